//! Webhooks, sent as Shopify does: signed over the raw body, to the public path, and again where they are not taken.
//!
//! A person can send deliveries with curl, and see what became of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ordak_core::route::WEBHOOKS_SHOPIFY;
use ordak_core::signature::sign_shopify;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shop::push;
use super::{Shopify, locked};
use crate::stack::keys::random_bytes;

/// How long Shopify waits for a connection, and for the whole answer.
const CONNECT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// When a webhook is sent that is not taken, in minutes after the time before: at once, and eight times more over four
/// hours. How Shopify spreads them it does not say; the first come soon.
const MINUTES: [u32; 9] = [0, 1, 2, 5, 10, 22, 40, 70, 90];

/// The API version that bodies are rendered in.
const API_VERSION: &str = "2026-07";

/// What sends webhooks; clones share what was sent.
#[derive(Clone)]
pub(super) struct Sender {
    target: String,
    secret: String,
    client: Client,
    sent: Arc<Mutex<VecDeque<Sent>>>,
}

impl Sender {
    /// One that sends to the public path at `gateway`, signed with the app's secret.
    pub(super) fn new(gateway: &str, secret: String) -> Result<Sender> {
        let client = Client::builder().tcp_nodelay(true).redirect(Policy::none());
        let client = client.connect_timeout(CONNECT).timeout(PATIENCE).build()?;
        let target = format!("{gateway}{}", WEBHOOKS_SHOPIFY.path);
        Ok(Sender { target, secret, client, sent: Arc::default() })
    }
}

/// A webhook to be sent.
#[derive(Debug, Clone, Deserialize, Serialize)]
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

/// A webhook as `POST /deliveries` takes it.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(flatten)]
    webhook: Webhook,
    /// In how many seconds the four hours pass in which it is sent again; left out, it is sent once.
    retry_seconds: Option<u64>,
}

/// A webhook that was sent once, and what it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// The delivery's id.
    pub webhook_id: String,
    /// The topic.
    pub topic: String,
    /// The store's domain.
    pub shop_domain: String,
    /// Which time it was: 1, and up to 9 where it is sent again.
    pub attempt: usize,
    /// The HTTP status; none where there was no answer within five seconds.
    pub status: Option<u16>,
    /// The body of the answer.
    pub answer: String,
    /// How long it took, in ms.
    pub duration_ms: f64,
    /// Whether it was the last time, and not taken: nobody sends it any more.
    pub given_up: bool,
}

impl Sent {
    /// Whether Shopify takes it for delivered. A redirect is a failure like any other.
    pub fn taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
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
    /// Sends a webhook once and remembers the answer.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub async fn send(&self, webhook: &Webhook) -> Result<Sent> {
        Ok(self.attempt(webhook, self.request(webhook)?, 1).await)
    }

    /// Sends a webhook until it is taken or given up, as Shopify does over four hours, which pass in the time given.
    /// Answers with the last time that it was sent.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub async fn deliver(&self, webhook: &Webhook, four_hours: Duration) -> Result<Sent> {
        // One for all times: the bytes, the id and the signature stay the same.
        let request = self.request(webhook)?;
        let mut attempt = 0;
        loop {
            tokio::time::sleep(four_hours * MINUTES[attempt] / 240).await;
            attempt += 1;
            let again = request.try_clone().context("expected a body that can be sent again")?;
            let sent = self.attempt(webhook, again, attempt).await;
            if sent.taken() || sent.given_up {
                return Ok(sent);
            }
        }
    }

    /// What was sent lately, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        locked(&self.sender.sent).iter().cloned().collect()
    }

    fn request(&self, webhook: &Webhook) -> Result<RequestBuilder> {
        let Sender { target, secret, client, .. } = &self.sender;
        webhook.request(client, target, secret, serde_json::to_vec(&webhook.body)?)
    }

    /// Sends a webhook's request and remembers the answer.
    async fn attempt(&self, webhook: &Webhook, request: RequestBuilder, attempt: usize) -> Sent {
        let start = Instant::now();
        let answer = async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.text().await?))
        };
        let (status, answer) = match answer.await {
            Ok((status, text)) => (Some(status), text),
            Err(error) => (None, reqwest::Error::to_string(&error)),
        };
        let mut sent = Sent {
            webhook_id: webhook.webhook_id.clone(),
            topic: webhook.topic.clone(),
            shop_domain: webhook.shop_domain.clone(),
            attempt,
            status,
            answer,
            duration_ms: start.elapsed().as_secs_f64() * 1000.0,
            given_up: false,
        };
        sent.given_up = attempt == MINUTES.len() && !sent.taken();
        push(&mut locked(&self.sender.sent), sent.clone());
        sent
    }
}

/// `GET /deliveries`: what was sent lately, oldest first.
pub(super) async fn list(State(shopify): State<Shopify>) -> Json<Vec<Sent>> {
    Json(shopify.sent())
}

/// `POST /deliveries`: sends one, and answers with the last time that it was sent.
pub(super) async fn post(
    State(shopify): State<Shopify>,
    Json(request): Json<Request>,
) -> Result<Json<Sent>, (StatusCode, String)> {
    let sent = match request.retry_seconds {
        None => shopify.send(&request.webhook).await,
        Some(seconds) => shopify.deliver(&request.webhook, Duration::from_secs(seconds)).await,
    };
    sent.map(Json).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::stack::port::{free_port, listen};

    /// What the webhook's path was sent, and the statuses that it answers with; 503 where there are none left.
    #[derive(Clone)]
    struct Target {
        requests: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
        statuses: &'static [u16],
    }

    async fn receive(
        State(target): State<Target>,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap) {
        let mut requests = target.requests.lock().unwrap();
        requests.push((headers, body));
        let status = target.statuses.get(requests.len() - 1).copied().unwrap_or(503);
        let location = [("location".parse().unwrap(), "/elsewhere".parse().unwrap())];
        (StatusCode::from_u16(status).unwrap(), location.into_iter().collect())
    }

    /// Delivers a webhook to who answers with these statuses, and answers with what came of it and what was received.
    async fn deliver(statuses: &'static [u16]) -> (Vec<Sent>, Vec<(HeaderMap, Bytes)>) {
        let target = Target { requests: Arc::default(), statuses };
        let app = Router::new().fallback(receive).with_state(target.clone());
        let (listener, port) = listen(free_port().unwrap()).await.unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        let standin = listen(free_port().unwrap()).await.unwrap();
        let gateway = format!("http://127.0.0.1:{port}");
        let (shopify, listening) = Shopify::start(standin, &gateway, "secret".into(), &[]).unwrap();
        let webhook = Webhook::new("orders/create", "bannos.myshopify.com", json!({"id": 1}));
        let last = shopify.deliver(&webhook, Duration::ZERO).await.unwrap();
        let sent = shopify.sent();
        assert_eq!((last.attempt, last.status), (sent.len(), sent[sent.len() - 1].status));
        serving.abort();
        listening.abort();
        let requests = target.requests.lock().unwrap().clone();
        (sent, requests)
    }

    #[tokio::test]
    async fn what_is_not_answered_2xx_is_sent_again_as_it_was() {
        let (sent, requests) = deliver(&[302, 404, 500, 204]).await;
        let statuses: Vec<_> = sent.iter().map(|sent| sent.status.unwrap()).collect();
        assert_eq!(statuses, [302, 404, 500, 204]);
        assert_eq!(requests.len(), 4, "no redirect is followed");
        assert!(requests.iter().all(|request| *request == requests[0]));
        assert!(sent.iter().all(|sent| !sent.given_up));
    }

    #[tokio::test]
    async fn after_eight_retries_it_is_given_up() {
        let (sent, requests) = deliver(&[]).await;
        assert_eq!(requests.len(), 9);
        let given_up: Vec<_> = sent.iter().filter(|sent| sent.given_up).map(|sent| sent.attempt).collect();
        assert_eq!(given_up, [9]);
        assert_eq!(MINUTES.iter().sum::<u32>(), 4 * 60);
    }
}
