//! Processes that never outlive us: a process group for each service, and a watchdog for when we are killed.
//!
//! A parent-death signal alone is not enough: it follows the thread that spawned, is lost when the uid
//! changes and does not reach grandchildren. So a small shell process holds the other end of a pipe and
//! ends the groups at its end of file (`watchdog.sh`).

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a service may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Starts services and sees to it that they end.
#[derive(Debug)]
pub struct Supervisor {
    watchdog: std::process::Child,
}

impl Supervisor {
    /// Starts the watchdog.
    ///
    /// # Errors
    /// Where there is no `sh`.
    pub fn start() -> Result<Supervisor> {
        use std::os::unix::process::CommandExt as _;
        // In a group of its own, or Ctrl-C would end it together with us.
        let watchdog = std::process::Command::new("sh")
            .args(["-c", include_str!("watchdog.sh"), "ordak-watchdog"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start `sh`")?;
        Ok(Supervisor { watchdog })
    }

    fn pipe(&self) -> &std::process::ChildStdin {
        self.watchdog.stdin.as_ref().expect("the pipe stays open until the watchdog is waited for")
    }

    /// Starts a service in its own process group, its output appended to `log`.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn spawn(&self, name: &str, mut command: Command, log: &Path, end: Signal) -> Result<Service> {
        let output = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let pipe = self.pipe().as_raw_fd();
        // SAFETY: between fork and exec only async-signal-safe calls are made: getpid and one write, of
        // text formatted on the stack. The service is known to the watchdog before it exists, so that there
        // is no instant at which killing us would leave it behind.
        unsafe {
            command.pre_exec(move || {
                let mut line = [0u8; 32];
                let mut rest = &mut line[..];
                writeln!(rest, "+ {} {}", std::process::id(), &end.as_str()[3..])?;
                let left = rest.len();
                let line = &line[..line.len() - left];
                nix::unistd::write(BorrowedFd::borrow_raw(pipe), line)?;
                Ok(())
            });
        }
        // Where exec fails, the watchdog keeps a pid that we never learn. That does no harm: it is nobody's,
        // and the command that could not start a service ends soon, the watchdog with it.
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().context("a service that just started has a process id")?;
        let pid = Pid::from_raw(pid.try_into()?);
        Ok(Service { name: name.to_owned(), child, pid, end, log: log.to_owned() })
    }

    fn forget(&self, pid: Pid) {
        // The watchdog may be gone already; then there is nothing to tell it.
        let _ = writeln!(self.pipe(), "- {pid}");
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Closing the pipe makes the watchdog end what is left; waiting for it keeps that orderly.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// What people call it.
    pub name: String,
    child: Child,
    pid: Pid,
    end: Signal,
    log: PathBuf,
}

impl Service {
    /// The process that leads the service's group.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The file that its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `ready` answers true.
    ///
    /// # Errors
    /// With the end of its log where the service ends first or takes longer than `limit`.
    pub async fn until<F: Future<Output = bool>>(
        &mut self,
        limit: Duration,
        ready: impl Fn() -> F,
    ) -> Result<()> {
        let poll = async {
            loop {
                let ready = ready().await;
                // Also after an answer: where ours has ended, another program on its port gave it.
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended ({status})", self.name);
                }
                if ready {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(limit, poll).await {
            Ok(result) => result,
            Err(_) => bail!("{} was not ready within {} s", self.name, limit.as_secs()),
        }
        .with_context(|| self.last_words())
    }

    /// Waits until the service has done its work and ended.
    ///
    /// # Errors
    /// With the end of its log where it fails.
    pub async fn finish(mut self, supervisor: &Supervisor) -> Result<()> {
        let status = self.child.wait().await?;
        supervisor.forget(self.pid);
        if status.success() {
            return Ok(());
        }
        Err(anyhow!("{} failed ({status})", self.name)).with_context(|| self.last_words())
    }

    /// What it said last.
    fn last_words(&self) -> String {
        format!("{}; its log {} ends with:\n{}", self.name, self.log.display(), tail(&self.log))
    }

    /// Waits for the service to end by itself.
    ///
    /// # Errors
    /// Where the operating system does not say.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Kills the service's group at once, as a crash would.
    pub async fn kill(&mut self, supervisor: &Supervisor) {
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child.wait().await;
        supervisor.forget(self.pid);
    }

    /// Asks the service to end, waits for it, and insists where it does not.
    pub async fn stop(mut self, supervisor: &Supervisor) {
        // Postgres is told through its postmaster, which ends its own children in order.
        let _ = match self.end {
            Signal::SIGINT => kill(self.pid, self.end),
            _ => killpg(self.pid, self.end),
        };
        let _ = timeout(GRACE, self.child.wait()).await;
        // It may not have listened, or have ended before what it started.
        self.kill(supervisor).await;
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
