//! `POST /api/v1/webhooks/shopify`: Shopify's deliveries, of every topic and every store.
//!
//! Verify the signature, put the body into normal form, one RPC, answer. 2xx means that the delivery is
//! stored, as an order, as an ignored topic or as a dead letter; whatever may pass by itself is answered
//! 503, and Shopify sends it again. Not here: what an order means (`ordak-core`) or does (`migrations/`).

use std::convert::Infallible;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ordak_core::content::{Content, content};
use ordak_core::error::{Code, Error};
use ordak_core::rpc::{Delivery, Ingest, Ingested, RejectDelivery};
use ordak_core::signature::ShopifyKeys;
use ordak_core::{config, route};
use ordak_edge::{Call, Client, Reply, Settings, run};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

struct Webhooks {
    keys: ShopifyKeys,
    database: Client,
    worker: Option<Rc<config::Worker>>,
}

thread_local! {
    static SETTINGS: Settings<Webhooks> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Webhooks {
    Webhooks {
        keys: reader.shopify_keys(),
        database: Client::new(&reader.database()),
        worker: reader.worker().map(Rc::new),
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    run(&route::WEBHOOKS_SHOPIFY, &SETTINGS, request, env, context, receive).await
}

async fn receive(call: &mut Call<Webhooks>) -> Result<Reply, Error> {
    let settings = call.settings.clone();
    let body = call.body().await?;
    let signature = header(call, "hmac-sha256");
    let verified = settings.keys.verify(&body, signature.as_deref()).map_err(|rejection| {
        Error::new(Code::AUTH001, format!("expected Shopify's signature of this body, but found {rejection}"))
            .hint("sign the raw body with the app's client secret")
    })?;

    let topic = header(call, "topic").unwrap_or_default().to_ascii_lowercase();
    call.topic = Some(String::from(if is_topic(&topic) { &topic } else { "other" }));
    let shop_domain = header(call, "shop-domain").unwrap_or_default().to_ascii_lowercase();
    let [webhook_id, event_id, triggered_at, api_version] =
        ["webhook-id", "event-id", "triggered-at", "api-version"].map(|name| header(call, name));
    let mut delivery = Delivery::new(verified, &topic, &shop_domain);
    if let Some(id) = webhook_id {
        delivery.webhook_id = id.into();
    }
    delivery.event_id = event_id.as_deref();
    delivery.triggered_at = triggered_at.as_deref();
    delivery.api_version = api_version.as_deref();

    let done = store(call, &settings.database, &delivery, &body).await.map_err(for_shopify)?;
    Ok(call.done(done, settings.worker.clone()))
}

/// A topic is a header and not signed: what has not the form of one is neither logged nor passed over as a topic that
/// nobody needs, for a proxy may have cut, doubled or changed it.
fn is_topic(topic: &str) -> bool {
    (1..=100).contains(&topic.len()) && topic.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'/'))
}

/// A header of Shopify's, under its older name (`X-Shopify-…`) or its newer one.
fn header(call: &Call<Webhooks>, name: &str) -> Option<String> {
    let value =
        call.header(&["x-shopify-", name].concat()).or_else(|| call.header(&["shopify-", name].concat()));
    value.filter(|value| !value.is_empty())
}

/// Hands the delivery to the database: as what it says, or for a person to look at.
async fn store(
    call: &mut Call<Webhooks>,
    database: &Client,
    delivery: &Delivery<'_>,
    body: &[u8],
) -> Result<Ingested, Error> {
    let read = match is_topic(delivery.topic) {
        true => content(delivery.topic, body).map_err(|error| error.to_string()),
        false => Err("expected a topic in the headers, but found none".to_owned()),
    };
    let (reason, content) = match read {
        Ok(content) => match ingest(call, database, delivery, &content).await {
            // Sent again it would be refused again: a person must look at it.
            Err(error) if matches!(error.code, Code::ORD004 | Code::ORD005) => (error.message, Some(content)),
            result => return result,
        },
        Err(reason) => (reason, None),
    };
    let (reason, body) = (&reason, &STANDARD.encode(body));
    call.rpc(database, &RejectDelivery { delivery, reason, body, content: content.as_ref() }).await
}

async fn ingest(
    call: &mut Call<Webhooks>,
    database: &Client,
    delivery: &Delivery<'_>,
    content: &Content,
) -> Result<Ingested, Error> {
    if let Content::Order(order) = content {
        call.order_number = Some(order.number);
    }
    call.rpc(database, &Ingest { delivery, content }).await
}

/// Shopify understands 503 as "send it again later"; 504 is for callers who asked for an answer in time.
fn for_shopify(error: Error) -> Error {
    if error.code == Code::SYS002 { error.status(503) } else { error }
}
