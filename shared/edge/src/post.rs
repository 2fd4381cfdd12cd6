//! One POST of JSON to somebody else's server. Not here: what is said to it, and whether it is said again.

use js_sys::Object;

use crate::host::{self, set};

/// What came of a POST.
#[derive(Debug)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// For how many seconds the server asks for a pause.
    pub retry_after: Option<u32>,
}

/// Posts a body and waits at most `timeout_ms` for the answer.
///
/// # Errors
/// With the name of what went wrong, for the log, where there was no answer: its message may hold the URL, which may be a
/// secret.
pub async fn post(url: &str, body: &str, timeout_ms: u32) -> Result<Posted, String> {
    let headers = Object::new();
    set(&headers, "content-type", &"application/json".into());
    let answered = host::post(url, &headers, &body.into(), timeout_ms).await;
    let (response, _) = answered.map_err(|thrown| host::exception(&thrown).0)?;
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok());
    Ok(Posted { status: response.status(), retry_after })
}
