//! The bodies of `tests/fixtures`, for the tests beside this folder.

// Not each of them uses everything here, and Clippy exempts test functions alone.
#![allow(clippy::unwrap_used, dead_code)]

pub(crate) mod generate;

use std::fs;
use std::path::{Path, PathBuf};

/// The bodies of orders, in the order of their names.
pub(crate) fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/orders");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| !path.to_string_lossy().ends_with(".expected.json")).collect();
    cases.sort();
    cases
}

/// Those that are taken.
pub(crate) fn taken() -> Vec<Vec<u8>> {
    let cases = cases().into_iter().filter(|case| !case.to_string_lossy().contains("refused_"));
    cases.map(|case| fs::read(case).unwrap().trim_ascii().to_vec()).collect()
}
