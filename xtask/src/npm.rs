//! The npm packages that the stack is made of, installed from the lock file.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::build::content_hash;
use crate::project::{root, scratch};

/// The oldest Node that the pinned packages run on, major and minor; package.json says the same.
const NODE: (u32, u32) = (20, 3);

/// Installs the packages when the lock file has changed since they were last installed.
///
/// # Errors
/// One sentence where Node or npm is missing or too old; npm's own words where it fails.
pub async fn install() -> Result<()> {
    check_node().await?;
    let lock = std::fs::read(root().join("package-lock.json")).context("cannot read package-lock.json")?;
    let (stamp, hash) = (scratch("npm.stamp"), content_hash([lock.as_slice()]));
    if root().join("node_modules").exists() && std::fs::read_to_string(&stamp).is_ok_and(|text| text == hash)
    {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(root()))
        .await?;
    std::fs::create_dir_all(scratch(""))?;
    std::fs::write(stamp, hash)?;
    Ok(())
}

async fn check_node() -> Result<()> {
    let expected = format!("expected Node {}.{} or newer", NODE.0, NODE.1);
    let Ok(output) = Command::new("node").arg("--version").output().await else {
        bail!("{expected}, but found no `node`: install it from your package manager or nodejs.org");
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok());
    if parts.next().zip(parts.next()).is_none_or(|found| found < NODE) {
        bail!("{expected}, but found {version}: install a newer one from nodejs.org");
    }
    Ok(())
}

/// Runs a command to its end; its output is shown only where it fails.
///
/// # Errors
/// The program's name, exit status and output where it does not end well.
pub async fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or(name);
    let output =
        command.kill_on_drop(true).output().await.with_context(|| format!("cannot start `{name}`"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned())
            .join("\n");
        bail!("`{name}` failed ({}):\n{text}", output.status);
    }
    Ok(output.stdout)
}
