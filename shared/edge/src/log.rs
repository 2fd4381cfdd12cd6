//! One JSON line for each request. It has no room for names, addresses, bodies or secrets: every field is
//! listed here, and the only texts from outside, request id and topic, must have the form of one.

use serde::Serialize;

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

/// The level that a status stands for: 5xx is ours to mend, 4xx the caller's, and some successes a person's.
pub(crate) fn level(status: u16, attention: bool) -> &'static str {
    match status {
        500.. => "error",
        400.. => "warn",
        _ if attention => "warn",
        _ => "info",
    }
}
