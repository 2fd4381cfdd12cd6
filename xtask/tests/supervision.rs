//! No process of the stack outlives `cargo xtask dev`, however that ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, told apart from a later one with the same id by its start time.
type Process = (i32, String);

/// The parent and the start time of a process; none where it is gone or a zombie.
fn stat(pid: i32) -> Option<(i32, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = text.rsplit(')').next()?.split_whitespace().collect();
    (fields[0] != "Z").then(|| (fields[1].parse().unwrap_or(0), fields[19].to_owned()))
}

/// Every process below `root`, itself left out.
fn descendants(root: i32) -> BTreeSet<Process> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: BTreeMap<i32, (i32, String)> = pids.filter_map(|pid: i32| Some((pid, stat(pid)?))).collect();
    let below = |mut pid: i32| loop {
        match parents.get(&pid) {
            Some((parent, _)) if *parent == root => return true,
            Some((parent, _)) => pid = *parent,
            None => return false,
        }
    };
    parents.iter().filter(|(pid, _)| below(**pid)).map(|(pid, (_, start))| (*pid, start.clone())).collect()
}

fn alive(processes: &BTreeSet<Process>) -> Vec<&Process> {
    processes.iter().filter(|(pid, start)| stat(*pid).is_some_and(|(_, now)| now == *start)).collect()
}

/// A `dev` of this test's own.
struct Dev {
    child: Child,
    folder: PathBuf,
}

impl Dev {
    fn start(name: &str) -> Dev {
        let folder = std::env::temp_dir().join(format!("ordak-supervision-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = std::fs::File::create(folder.join("dev.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["dev", "--port", "0", "--data"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Dev { child, folder }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.folder.join("dev.log")).unwrap()
    }

    /// Waits until it says that everything runs, and answers with its processes.
    fn until_running(&mut self) -> BTreeSet<Process> {
        let start = Instant::now();
        while !self.output().contains("Ctrl-C stops everything") {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.output());
            assert!(start.elapsed() < Duration::from_secs(600), "it does not start:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(50));
        }
        let processes = descendants(self.child.id() as i32);
        // Postgres and its workers, PostgREST, Auth, the functions, the watchdog.
        assert!(processes.len() >= 9, "{processes:?}");
        processes
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn until_gone(processes: &BTreeSet<Process>) {
    let start = Instant::now();
    while !alive(processes).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(15), "still there: {:?}", alive(processes));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_stops_everything() {
    let mut dev = Dev::start("interrupt");
    let processes = dev.until_running();
    dev.signal(Signal::SIGINT);
    assert!(dev.child.wait().unwrap().success(), "{}", dev.output());
    until_gone(&processes);
}

#[test]
fn kill_9_leaves_no_orphan_and_the_data_is_whole() {
    let mut dev = Dev::start("kill");
    let processes = dev.until_running();
    dev.signal(Signal::SIGKILL);
    dev.child.wait().unwrap();
    until_gone(&processes);
    // The same data again: its server was stopped in order, so this start needs no recovery.
    let log = std::fs::read_to_string(dev.folder.join("postgres.log")).unwrap();
    assert!(log.contains("database system is shut down"), "{log}");
}

/// What `dev` says where it cannot start.
fn refusal(name: &str, port: &str, path: Option<&str>) -> String {
    let folder = std::env::temp_dir().join(format!("ordak-supervision-{name}-{}", std::process::id()));
    let mut dev = Command::new(env!("CARGO_BIN_EXE_xtask"));
    dev.args(["dev", "--port", port, "--data"]).arg(&folder);
    if let Some(path) = path {
        dev.env("PATH", path);
    }
    let output = dev.output().unwrap();
    let _ = std::fs::remove_dir_all(folder);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !text.contains("backtrace"), "{text}");
    text
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let text = refusal("port", &port, None);
    let sentence = format!("port {port} is taken: stop what listens there, or choose another with --port\n");
    assert!(text.ends_with(&sentence), "{text}");
}

#[test]
fn a_missing_tool_is_one_clear_sentence() {
    let text = refusal("tool", "0", Some("/nonexistent"));
    assert!(text.contains("expected Node 20 or newer, but found no `node`: install it"), "{text}");
}
