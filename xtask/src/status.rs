//! `cargo xtask status`: where the running stack is.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::dev::{ENV_FILE, lock};
use crate::project::scratch;

/// How the status is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// `NAME=value` lines, for a shell or an `.env` file.
    Env,
    /// One JSON object.
    Json,
}

/// The text to print.
///
/// # Errors
/// Where no `dev` is running.
pub fn text(format: Format) -> Result<String> {
    // The file outlives a `dev` that was killed; its lock does not.
    if lock(&scratch("")).is_ok() {
        bail!("no stack is running here: start it with `cargo xtask dev`");
    }
    let text = std::fs::read_to_string(scratch(ENV_FILE)).context("the stack is still starting")?;
    match format {
        Format::Env => Ok(text),
        Format::Json => {
            let pairs: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
            Ok(serde_json::to_string_pretty(&pairs)? + "\n")
        }
    }
}
