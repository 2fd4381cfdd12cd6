//! `cargo xtask bench <what>`: what something costs, each time in one run on one stack of the bench's own. Compare the
//! ratios; the figures are this machine's.

pub mod ingest;
pub mod push;
pub mod queue;
pub mod webhook;

use anyhow::Result;

use crate::build;
use crate::project::scratch;
use crate::stack::{Options, Stack};

/// Runs a measurement on an empty stack, and stops that.
async fn on_a_stack(measure: impl AsyncFnOnce(&mut Stack) -> Result<()>) -> Result<()> {
    build::all().await?;
    let options = Options { folder: scratch("bench"), port: None, durable: false, fresh: true };
    let mut stack = Stack::start(options).await?;
    let result = measure(&mut stack).await;
    stack.stop().await;
    result
}

/// The value below which a part of the others is; they are sorted.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}
