//! The Slack stand-in: an incoming webhook that takes messages and refuses others as Slack does, and has its bad days when
//! it is told to.
//!
//! A person can read at `/messages` what it took. Not here: what is told (`ordak_core::slack`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The path of the webhook; at Slack it is the secret.
const PATH: &str = "/services/T00000000/B00000000/standin";

/// How many messages are remembered.
const REMEMBERED: usize = 1000;

/// A running stand-in; clones share its state.
#[derive(Clone)]
pub struct Slack {
    port: u16,
    state: Arc<Mutex<Channel>>,
}

/// What the next request meets, instead of being taken.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// 429: nothing is taken for so many seconds.
    TooMany(u64),
    /// 500, as when Slack is down.
    Broken,
    /// The answer takes so long.
    Slow(Duration),
}

#[derive(Default)]
struct Channel {
    messages: VecDeque<Value>,
    faults: VecDeque<Fault>,
    /// How many requests came, taken or not.
    requests: usize,
    closed_until: Option<Instant>,
}

impl Slack {
    /// Starts the stand-in.
    pub(super) fn start((listener, port): (TcpListener, u16)) -> (Slack, JoinHandle<()>) {
        let slack = Slack { port, state: Arc::default() };
        let app = Router::new()
            .route(PATH, post(take))
            .route("/messages", get(list))
            .fallback(async || (StatusCode::NOT_FOUND, "no_service"))
            .with_state(slack.clone());
        let task = tokio::spawn(async move {
            // Only fails where the listener itself does, and then there is nobody to tell.
            let _ = axum::serve(listener, app).await;
        });
        (slack, task)
    }

    /// The webhook's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// The messages that were taken, oldest first.
    pub fn messages(&self) -> Vec<Value> {
        self.channel().messages.iter().cloned().collect()
    }

    /// How many requests came, taken or not.
    pub fn requests(&self) -> usize {
        self.channel().requests
    }

    /// Has the next requests meet these faults, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.channel().faults.extend(faults);
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `GET /messages`: what was taken, oldest first.
async fn list(State(slack): State<Slack>) -> Json<Vec<Value>> {
    Json(slack.messages())
}

async fn take(State(slack): State<Slack>, headers: HeaderMap, body: Bytes) -> Response {
    let fault = {
        let mut channel = slack.channel();
        channel.requests += 1;
        channel.faults.pop_front()
    };
    match fault {
        Some(Fault::Broken) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, "rollup_error").into_response();
        }
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::TooMany(seconds)) => {
            slack.channel().closed_until = Some(Instant::now() + Duration::from_secs(seconds));
        }
        None => {}
    }
    let mut channel = slack.channel();
    let left = channel.closed_until.and_then(|until| until.checked_duration_since(Instant::now()));
    if let Some(left) = left {
        let seconds = left.as_secs_f64().ceil().to_string();
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds)], "rate_limited").into_response();
    }
    match read(&headers, &body) {
        Ok(message) => {
            if channel.messages.len() == REMEMBERED {
                channel.messages.pop_front();
            }
            channel.messages.push_back(message);
            "ok".into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}

/// A message, or Slack's word for what is wrong with it.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, &'static str> {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err("invalid_payload");
    }
    let message: Value = serde_json::from_slice(body).map_err(|_| "invalid_payload")?;
    let Value::Object(fields) = &message else { return Err("invalid_payload") };
    if let Some(blocks) = fields.get("blocks") {
        let blocks = blocks.as_array().ok_or("invalid_blocks_format")?;
        let whole =
            !blocks.is_empty() && blocks.len() <= 50 && blocks.iter().all(|block| block["type"].is_string());
        return if whole { Ok(message) } else { Err("invalid_blocks") };
    }
    match fields.get("text") {
        Some(Value::String(text)) if text.chars().count() > 40_000 => Err("msg_too_long"),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(message),
        _ => Err("no_text"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Client;
    use serde_json::json;

    use super::*;
    use crate::stack::port::{free_port, listen};

    async fn start() -> (Slack, JoinHandle<()>) {
        Slack::start(listen(free_port().unwrap()).await.unwrap())
    }

    /// Sends a body, and answers with the status and Slack's word.
    async fn send(url: &str, kind: &str, body: &str) -> String {
        let request = Client::new().post(url).header("content-type", kind).body(body.to_owned());
        let response = request.send().await.unwrap();
        format!("{} {}", response.status().as_u16(), response.text().await.unwrap())
    }

    #[tokio::test]
    async fn what_slack_would_refuse_is_refused() {
        let (slack, listening) = start().await;
        let json = "application/json";
        let long = json!({"text": "x".repeat(40_001)}).to_string();
        let many = json!({"blocks": vec![json!({"type": "divider"}); 51]}).to_string();
        let cases = [
            (json, r#"{"text": "x"}"#, "200 ok"),
            (json, r#"{"blocks": [{"type": "divider"}]}"#, "200 ok"),
            ("text/plain", r#"{"text": "x"}"#, "400 invalid_payload"),
            (json, "{", "400 invalid_payload"),
            (json, "[]", "400 invalid_payload"),
            (json, "{}", "400 no_text"),
            (json, r#"{"text": " "}"#, "400 no_text"),
            (json, &long, "400 msg_too_long"),
            (json, r#"{"blocks": []}"#, "400 invalid_blocks"),
            (json, &many, "400 invalid_blocks"),
        ];
        for (kind, body, expected) in cases {
            assert_eq!(send(&slack.url(), kind, body).await, expected, "{body:.60}");
        }
        let elsewhere = slack.url() + "x";
        assert_eq!(send(&elsewhere, json, r#"{"text": "x"}"#).await, "404 no_service");
        assert_eq!((slack.messages().len(), slack.requests()), (2, cases.len()));
        listening.abort();
    }

    #[tokio::test]
    async fn its_bad_days_come_as_told_and_pass() {
        let (slack, listening) = start().await;
        slack.fail([Fault::Broken, Fault::TooMany(60), Fault::Slow(Duration::from_millis(1))]);
        let send = async || send(&slack.url(), "application/json", r#"{"text": "x"}"#).await;
        assert_eq!(send().await, "500 rollup_error");
        assert_eq!(send().await, "429 rate_limited");
        assert_eq!(send().await, "429 rate_limited", "until its time is over");
        slack.channel().closed_until = Some(Instant::now());
        assert_eq!(send().await, "200 ok");
        listening.abort();
    }
}
