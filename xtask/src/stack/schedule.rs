//! The local schedule: calls the worker now and then, signed, as cron does it for a deployment.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ordak_core::signature::sign;
use reqwest::RequestBuilder;
use tokio::task::JoinHandle;

use super::shopify::delivery_id;

/// Where the worker answers, and what its callers sign with.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its URL.
    pub url: String,
    pub(super) secret: String,
}

impl Worker {
    /// A call of the worker, signed now: `kick` or `schedule`.
    ///
    /// # Errors
    /// Where the secret is none.
    pub fn call(&self, client: &reqwest::Client, trigger: &str) -> Result<RequestBuilder> {
        let body = format!(r#"{{"for":"sync-worker","trigger":"{trigger}"}}"#);
        signed(client.post(&self.url), &self.secret, &delivery_id(), body)
    }
}

/// A request with a body, signed now as Standard Webhooks has it.
pub(super) fn signed(
    request: RequestBuilder,
    secret: &str,
    id: &str,
    body: String,
) -> Result<RequestBuilder> {
    let now = jiff::Timestamp::now().as_second();
    let signature = sign(secret, id, now, body.as_bytes()).context("the secret to sign with is none")?;
    let request = request.header("webhook-id", id).header("webhook-timestamp", now);
    Ok(request.header("webhook-signature", signature).body(body))
}

/// Calls the worker again and again, until the task is aborted.
pub(super) fn run(worker: Worker, every: Duration) -> JoinHandle<()> {
    tokio::spawn(async move {
        let client = reqwest::Client::new();
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            // One that is lost is made up for by the next.
            if let Ok(call) = worker.call(&client, "schedule") {
                let _ = call.send().await;
            }
        }
    })
}
