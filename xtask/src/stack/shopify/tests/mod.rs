//! The stand-in's rules, each through real HTTP.

mod adjusting;
mod faults;
mod reading;
mod selling;

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::stack::port::{free_port, listen};

const SHOP: &str = "bannos.myshopify.com";
const LOCATION: i64 = 70_001;

/// A mutation as an app sends it.
const ADJUST: &str = "mutation ($key: String!, $input: InventoryAdjustQuantitiesInput!) {
  inventoryAdjustQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id reason changes { delta quantityAfterChange item { sku } } }
    userErrors { code field message }
  }
}";

/// A stand-in with one shop, of which items 1 to 3 have 10 each.
struct Fixture {
    shopify: Shopify,
    task: JoinHandle<()>,
    client: reqwest::Client,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("expected it to come to hold");
}

/// What a call was answered with.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The codes of the user errors.
    fn codes(&self) -> Vec<&str> {
        let errors = &self.body["data"]["inventoryAdjustQuantities"]["userErrors"];
        let errors = errors.as_array().unwrap_or_else(|| panic!("expected a payload: {}", self.body));
        errors.iter().map(|error| error["code"].as_str().unwrap()).collect()
    }

    /// The code of the first error of the whole request.
    fn error(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }
}

impl Fixture {
    async fn new() -> Fixture {
        let standin = listen(free_port().unwrap()).await.unwrap();
        let shops = [(SHOP, "shpat_right", LOCATION)];
        let (shopify, task) = Shopify::start(standin, "http://127.0.0.1:9", "secret".into(), &shops).unwrap();
        for (item, sku) in [(1, "ONE"), (2, "TWO"), (3, "THREE")] {
            shopify.put(SHOP, Variant::new(item, sku, "Matcha Cake").available(LOCATION, 10)).unwrap();
        }
        Fixture { shopify, task, client: reqwest::Client::new() }
    }

    async fn post(&self, version: &str, token: &str, body: Value) -> reqwest::Result<Answer> {
        let url = format!("{}/{SHOP}/admin/api/{version}/graphql.json", self.shopify.url());
        let request = self.client.post(url).header("x-shopify-access-token", token).json(&body);
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.json().await? })
    }

    async fn call(&self, query: &str, variables: Value) -> Answer {
        let body = json!({"query": query, "variables": variables});
        self.post("2026-07", "shpat_right", body).await.unwrap()
    }

    async fn adjust(&self, key: &str, changes: Value) -> Answer {
        self.call(ADJUST, variables(key, changes)).await
    }

    fn available(&self, sku: &str) -> i64 {
        self.shopify.available(SHOP, sku).unwrap()
    }
}

fn variables(key: &str, changes: Value) -> Value {
    let input = json!({
        "name": "available", "reason": "correction", "referenceDocumentUri": "ordak://push/1",
        "changes": changes,
    });
    json!({"key": key, "input": input})
}

/// A change of an item.
fn change(item: i64, delta: i64) -> Value {
    json!({
        "inventoryItemId": format!("gid://shopify/InventoryItem/{item}"),
        "locationId": format!("gid://shopify/Location/{LOCATION}"),
        "delta": delta, "changeFromQuantity": null,
    })
}

/// The same with another value of a field.
fn with(mut change: Value, field: &str, value: Value) -> Value {
    change[field] = value;
    change
}
