//! The kick: tells the worker that there is something to do, without waiting for it.

use js_sys::Object;
use ordak_core::config;
use ordak_core::sync::request::KICK;

use crate::host::{self, post, set};

/// How long a kick may take, in ms: the worker answers before it works.
const PATIENCE_MS: u32 = 5_000;

/// Sends a kick, signed now. Where it is lost, the schedule comes, and the log says so: nobody else would notice that
/// all of them are.
pub async fn kick(worker: &config::Worker) {
    let (id, seconds) = (host::random_uuid(), (host::now() / 1000.0) as i64);
    let Some(signature) = worker.keys.sign(&id, seconds, KICK.as_bytes()) else { return };
    let headers = Object::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("webhook-id", &id),
        ("webhook-timestamp", &seconds.to_string()),
        ("webhook-signature", &signature),
    ] {
        set(&headers, name, &value.into());
    }
    let detail = match post(&worker.url, &headers, &KICK.into(), PATIENCE_MS).await {
        Ok((response, _)) if response.ok() => return,
        Ok((response, _)) => response.status().to_string(),
        Err(thrown) => host::exception(&thrown).0,
    };
    // A status, or the name of an exception.
    let fields = r#"","level":"warn","outcome":"kick","detail":""#;
    host::log_line(&[r#"{"time":""#, &host::rfc3339(host::now()), fields, &detail, r#""}"#].concat());
}
