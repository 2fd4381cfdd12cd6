//! Where things are in the working copy.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the working copy, found from where this crate was compiled.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the working copy")
}

/// `target/ordak/<parts>`: everything that we write and may delete.
pub fn scratch(parts: impl AsRef<Path>) -> PathBuf {
    root().join("target/ordak").join(parts)
}

/// A program or file of a pinned npm package.
pub fn npm_package(path: &str) -> PathBuf {
    root().join("node_modules").join(path)
}

/// The names of the function crates: the folders of `functions/`, sorted.
pub fn functions() -> Result<Vec<String>> {
    let folder = root().join("functions");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
