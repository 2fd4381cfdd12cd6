//! The Shopify stand-in: sends webhooks as Shopify does, signed over the raw body, to the public path.
//!
//! It listens too, so that a person can send deliveries with curl and see what became of them. Not here:
//! anything that real Shopify would not do; a forged request is made by whoever wants one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ordak_core::route::WEBHOOKS_SHOPIFY;
use ordak_core::signature::sign_shopify;
use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::keys::random_bytes;

/// How long Shopify waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The API version that bodies are rendered in.
const API_VERSION: &str = "2026-07";

/// How many of the webhooks that it sent the stand-in remembers.
const REMEMBERED: usize = 1000;

/// A running stand-in; clones share its state.
#[derive(Clone)]
pub struct Shopify {
    port: u16,
    target: String,
    secret: String,
    client: Client,
    sent: Arc<Mutex<VecDeque<Sent>>>,
}

/// A webhook to be sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Webhook {
    /// The topic, as `orders/create`.
    pub topic: String,
    /// The store's domain.
    pub shop_domain: String,
    /// The delivery's id, the same when it is sent again; a new one where it is left out.
    #[serde(default = "delivery_id")]
    pub webhook_id: String,
    /// The body.
    pub body: Value,
}

/// A webhook that was sent, and what it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// The delivery's id.
    pub webhook_id: String,
    /// The topic.
    pub topic: String,
    /// The store's domain.
    pub shop_domain: String,
    /// The HTTP status; none where there was no answer within five seconds.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: String,
    /// How long it took, in ms.
    pub duration_ms: f64,
}

/// A new delivery id, of the form that Shopify uses.
pub fn delivery_id() -> String {
    // This does not fail on Linux; ids that repeat would be seen at once.
    let hex: String =
        random_bytes::<16>().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Webhook {
    /// A new delivery.
    pub fn new(topic: &str, shop_domain: &str, body: Value) -> Webhook {
        Webhook { topic: topic.into(), shop_domain: shop_domain.into(), webhook_id: delivery_id(), body }
    }

    /// The headers that Shopify sends with `body`, signed with `secret`.
    ///
    /// # Errors
    /// Where the secret is empty.
    pub fn headers(&self, secret: &str, body: &[u8]) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("content-type", "application/json".into()),
            ("x-shopify-topic", self.topic.clone()),
            ("x-shopify-shop-domain", self.shop_domain.clone()),
            ("x-shopify-webhook-id", self.webhook_id.clone()),
            ("x-shopify-event-id", self.webhook_id.clone()),
            ("x-shopify-api-version", API_VERSION.into()),
            ("x-shopify-triggered-at", jiff::Timestamp::now().to_string()),
            ("x-shopify-hmac-sha256", sign_shopify(secret, body).context("the webhook secret is empty")?),
        ])
    }

    /// The request that brings `body` to `url`, signed with `secret`.
    ///
    /// # Errors
    /// Where the secret is empty.
    pub fn request(&self, client: &Client, url: &str, secret: &str, body: Vec<u8>) -> Result<RequestBuilder> {
        let headers = self.headers(secret, &body)?;
        let request = client.post(url).body(body);
        Ok(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
    }
}

impl Shopify {
    /// Starts the stand-in; it sends to the public path at `gateway`.
    pub(super) fn start(
        (listener, port): (TcpListener, u16),
        gateway: String,
        secret: String,
    ) -> Result<(Shopify, JoinHandle<()>)> {
        let target = format!("{gateway}{}", WEBHOOKS_SHOPIFY.path);
        let client = Client::builder().tcp_nodelay(true).timeout(PATIENCE).build()?;
        let shopify = Shopify { port, target, secret, client, sent: Arc::default() };
        let app = Router::new().route("/deliveries", get(list).post(post)).with_state(shopify.clone());
        let task = tokio::spawn(async move {
            // Only fails where the listener itself does, and then there is nobody to tell.
            let _ = axum::serve(listener, app).await;
        });
        Ok((shopify, task))
    }

    /// Where the stand-in listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sends a webhook once and remembers the answer.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub async fn send(&self, webhook: &Webhook) -> Result<Sent> {
        let body = serde_json::to_vec(&webhook.body)?;
        let request = webhook.request(&self.client, &self.target, &self.secret, body)?;
        let start = Instant::now();
        let (status, answer) = match request.send().await {
            Ok(response) => (Some(response.status().as_u16()), response.text().await.unwrap_or_default()),
            Err(error) => (None, error.to_string()),
        };
        let sent = Sent {
            webhook_id: webhook.webhook_id.clone(),
            topic: webhook.topic.clone(),
            shop_domain: webhook.shop_domain.clone(),
            status,
            answer,
            duration_ms: start.elapsed().as_secs_f64() * 1000.0,
        };
        let mut remembered = self.remembered();
        if remembered.len() == REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(sent.clone());
        Ok(sent)
    }

    fn remembered(&self) -> MutexGuard<'_, VecDeque<Sent>> {
        self.sent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `GET /deliveries`: what was sent lately, oldest first.
async fn list(State(shopify): State<Shopify>) -> Json<VecDeque<Sent>> {
    Json(shopify.remembered().clone())
}

/// `POST /deliveries`: sends one.
async fn post(
    State(shopify): State<Shopify>,
    Json(webhook): Json<Webhook>,
) -> Result<Json<Sent>, (StatusCode, String)> {
    let sent = shopify.send(&webhook).await;
    sent.map(Json).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))
}
