//! Files that only their owner may read, and locks between processes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::progress::step;

/// Writes a file that holds secrets: whole or not at all, and for nobody else to read.
pub(crate) fn write_private(path: &Path, text: impl AsRef<[u8]>) -> Result<File> {
    let write = || {
        let temporary = path.with_extension("new");
        // One that an earlier run left behind would keep its mode.
        let _ = std::fs::remove_file(&temporary);
        let mut file = File::options().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_ref())?;
        std::fs::rename(temporary, path)?;
        std::io::Result::Ok(file)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The lock on a file, which is made where it is missing; none where another process holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<Flock<File>>> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// The same, waiting under the name `wait` until it is free.
pub(crate) async fn lock(path: &Path, wait: &str) -> Result<Flock<File>> {
    if let Some(lock) = try_lock(path)? {
        return Ok(lock);
    }
    // Asks again and again, since a thread that blocks in the system could not be interrupted.
    let free = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Some(lock) = try_lock(path)? {
                return Ok(lock);
            }
        }
    };
    step(wait, free).await
}
