//! What a person sees while a step runs: a spinner on a terminal, a line in a log.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::timeout;

/// Runs a named step; its failure carries its name.
///
/// # Errors
/// The step's own, under the step's name.
pub async fn step<T>(name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let bar = ProgressBar::new_spinner().with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut work = std::pin::pin!(work);
    let result = match timeout(Duration::from_secs(1), work.as_mut()).await {
        Ok(result) => result,
        Err(_) => {
            // A log has no spinner, so it is told what takes long before that is over.
            if bar.is_hidden() {
                eprintln!("  … {name}");
            }
            work.await
        }
    };
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f32();
    match &result {
        Ok(_) => eprintln!("  ✓ {name} {seconds:.1} s"),
        Err(_) => eprintln!("  ✗ {name} {seconds:.1} s"),
    }
    result.with_context(|| name.to_owned())
}

/// Waits until a condition holds.
///
/// # Errors
/// Where it does not within the limit, with what was waited for; the condition's own.
pub(crate) async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let poll = async {
        while !holds().await? {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    };
    match timeout(limit, poll).await {
        Ok(result) => result,
        Err(_) => bail!("after {} s there was still not {what}", limit.as_secs()),
    }
}
