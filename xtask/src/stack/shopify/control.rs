//! The stand-in's own paths, by which a person with curl has customers buy, levels drift, and things go wrong.

use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Json, Router, routing};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sales::Restock;
use super::{Fault, Limit, Shopify, Webhook, page};

/// What a path answers with: JSON, or why not.
type Answer = Result<Json<Value>, (StatusCode, String)>;

/// The paths.
pub(super) fn routes() -> Router<Shopify> {
    Router::new()
        .route("/", routing::get(page::page))
        .route("/state", routing::get(page::state))
        .route("/clock", routing::post(clock))
        .route("/{shop}/orders", routing::post(sell))
        .route("/{shop}/orders/{order}/cancel", routing::post(cancel))
        .route("/{shop}/orders/{order}/refunds", routing::post(refund))
        .route("/{shop}/levels", routing::post(edit))
        .route("/{shop}/faults", routing::post(fault).delete(clear))
        .route("/{shop}/limit", routing::post(limit))
}

fn refused(error: anyhow::Error) -> (StatusCode, String) {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{error:#}\n"))
}

fn done(result: Result<()>) -> Answer {
    result.map(|()| Json(json!({"done": true}))).map_err(refused)
}

/// Whether the webhooks are sent at once, or only told, for `POST /deliveries`.
#[derive(Deserialize)]
struct Delivery {
    #[serde(default = "yes")]
    deliver: bool,
}

fn yes() -> bool {
    true
}

impl Shopify {
    async fn told(&self, delivery: &Delivery, order: Option<i64>, webhooks: Result<Vec<Webhook>>) -> Answer {
        let webhooks = webhooks.map_err(refused)?;
        let mut sent = Vec::new();
        for webhook in webhooks.iter().filter(|_| delivery.deliver) {
            sent.push(self.send(webhook).await.map_err(refused)?);
        }
        // As a text: it is too large for what many read numbers as.
        Ok(Json(json!({"order": order.map(|id| id.to_string()), "webhooks": webhooks, "sent": sent})))
    }
}

#[derive(Deserialize)]
struct Sell {
    lines: Vec<SoldLine>,
    #[serde(flatten)]
    delivery: Delivery,
}

#[derive(Deserialize)]
struct SoldLine {
    sku: String,
    quantity: u32,
}

async fn sell(State(shopify): State<Shopify>, Path(shop): Path<String>, Json(sell): Json<Sell>) -> Answer {
    let lines: Vec<_> = sell.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    let sale = shopify.order(&shop, &lines).and_then(|order| shopify.sell(&order)).map_err(refused)?;
    shopify.told(&sell.delivery, Some(sale.order), Ok(sale.webhooks)).await
}

#[derive(Deserialize)]
struct Cancel {
    restock: bool,
    #[serde(flatten)]
    delivery: Delivery,
}

async fn cancel(
    State(shopify): State<Shopify>,
    Path((shop, order)): Path<(String, i64)>,
    Json(cancel): Json<Cancel>,
) -> Answer {
    let webhooks = shopify.cancel(&shop, order, cancel.restock);
    shopify.told(&cancel.delivery, Some(order), webhooks).await
}

#[derive(Deserialize)]
struct RefundLine {
    line: usize,
    units: i64,
    restock_type: Restock,
    #[serde(flatten)]
    delivery: Delivery,
}

async fn refund(
    State(shopify): State<Shopify>,
    Path((shop, order)): Path<(String, i64)>,
    Json(refund): Json<RefundLine>,
) -> Answer {
    let webhooks = shopify.refund(&shop, order, refund.line, refund.units, refund.restock_type);
    shopify.told(&refund.delivery, Some(order), webhooks).await
}

#[derive(Deserialize)]
struct Edit {
    sku: String,
    #[serde(default = "available")]
    name: String,
    quantity: i64,
    #[serde(flatten)]
    delivery: Delivery,
}

fn available() -> String {
    "available".into()
}

async fn edit(State(shopify): State<Shopify>, Path(shop): Path<String>, Json(edit): Json<Edit>) -> Answer {
    let webhooks = shopify.edit(&shop, &edit.sku, &edit.name, edit.quantity);
    shopify.told(&edit.delivery, None, webhooks).await
}

async fn fault(State(shopify): State<Shopify>, Path(shop): Path<String>, Json(fault): Json<Fault>) -> Answer {
    done(shopify.fault(&shop, fault))
}

async fn clear(State(shopify): State<Shopify>, Path(shop): Path<String>) -> Answer {
    done(shopify.clear_faults(&shop))
}

async fn limit(State(shopify): State<Shopify>, Path(shop): Path<String>, Json(limit): Json<Limit>) -> Answer {
    done(shopify.limit(&shop, limit))
}

#[derive(Deserialize)]
struct Advance {
    advance_seconds: u64,
}

async fn clock(State(shopify): State<Shopify>, Json(clock): Json<Advance>) -> Answer {
    shopify.advance(Duration::from_secs(clock.advance_seconds));
    Ok(Json(json!({"now": shopify.now()})))
}
