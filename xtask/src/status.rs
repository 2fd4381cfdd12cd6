//! `cargo xtask status`: where the running stack is.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use nix::fcntl::{Flock, FlockArg};

use crate::project::scratch;
use crate::stack::ENV_FILE;

/// What `cargo xtask status` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The form of the output.
    #[arg(short, long, value_enum, default_value = "env")]
    output: Format,
    /// The folder that `dev` was given with --data.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// How the status is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// `NAME=value` lines, for a shell or an `.env` file.
    Env,
    /// One JSON object.
    Json,
}

/// The text to print.
///
/// # Errors
/// Where no `dev` is running.
pub fn text(arguments: Arguments) -> Result<String> {
    let env = env(arguments.data)?;
    match arguments.output {
        Format::Env => Ok(env.iter().map(|(name, value)| format!("{name}={value}\n")).collect()),
        Format::Json => {
            let pairs: BTreeMap<_, _> = env.into_iter().collect();
            Ok(serde_json::to_string_pretty(&pairs)? + "\n")
        }
    }
}

/// The names and values that the `dev` on a folder, or on the usual one, has written.
///
/// # Errors
/// Where none is running.
pub(crate) fn env(folder: Option<PathBuf>) -> Result<Vec<(String, String)>> {
    let folder = folder.unwrap_or_else(|| scratch(""));
    let file = folder.join(ENV_FILE);
    if !held(&file) {
        bail!("no stack is running on {}: start it with `cargo xtask dev`", folder.display());
    }
    let text = std::fs::read_to_string(file)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Whether the `dev` that wrote the file still runs: it outlives one that was killed, its lock does not.
fn held(file: &Path) -> bool {
    // `dev` waits for this lock, which is let go at once, so asking never makes it fail.
    File::open(file).is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
}
