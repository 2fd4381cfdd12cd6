//! One JSON line for each request, and for each store that the worker runs for. It has no room for names, addresses,
//! bodies or secrets: every field is listed here, and the only texts from outside, request id and topic, must have the
//! form of one.

use ordak_core::error::Error;
use ordak_core::route::Route;
use serde::Serialize;

use crate::host;

/// What is said of a request.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) time: String,
    pub(crate) level: &'static str,
    pub(crate) function: &'static str,
    pub(crate) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order_number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<&'a str>,
    pub(crate) outcome: &'a str,
    pub(crate) status: u16,
    pub(crate) duration_ms: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) rpcs: &'a [RpcLine],
    /// What only an operator may know of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<&'a str>,
}

/// What is said of one RPC within it.
#[derive(Debug, Serialize)]
pub(crate) struct RpcLine {
    pub(crate) name: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) duration_ms: u32,
}

/// What is said of a run for one store.
#[derive(Debug, Default, Serialize)]
pub struct RunLine<'a> {
    /// When it is written; filled in then.
    pub time: String,
    /// `info`, `warn` or `error`.
    pub level: &'static str,
    /// The function.
    pub function: &'static str,
    /// The run.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub run_id: &'a str,
    /// What made it run.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub trigger: &'a str,
    /// The code of the store.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub store: &'a str,
    /// What became of it.
    pub outcome: &'a str,
    /// How often Shopify was called.
    pub calls: u32,
    /// What that cost, in points.
    pub cost: u32,
    /// How many listings were pushed.
    pub pushed: usize,
    /// How long it took.
    pub duration_ms: u32,
    /// What only an operator may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
}

impl<'a> RunLine<'a> {
    /// What is said of one that failed.
    pub fn of(route: &Route, error: &'a Error) -> RunLine<'a> {
        RunLine {
            level: level(error.status, false),
            function: route.function,
            outcome: error.code.as_str(),
            detail: error.log.as_deref().or(Some(&error.message)),
            ..RunLine::default()
        }
    }

    /// Writes it.
    pub fn write(self) {
        let line = RunLine { time: host::rfc3339(host::now()), ..self };
        // A line of plain fields always serializes.
        host::log_line(&serde_json::to_string(&line).unwrap_or_default());
    }
}

/// The level that a status stands for: 5xx is ours to mend, 4xx the caller's, and some successes a person's.
pub(crate) fn level(status: u16, attention: bool) -> &'static str {
    match status {
        500.. => "error",
        400.. => "warn",
        _ if attention => "warn",
        _ => "info",
    }
}
