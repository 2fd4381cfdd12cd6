//! What the stand-in knows, to look at: a page that loads itself anew, and the same as JSON.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::response::Html;
use serde_json::{Value, json};

use super::shop::Shop;
use super::{Shopify, locked};

/// How many of the newest calls, adjustments and webhooks are shown.
const NEWEST: usize = 20;

/// `GET /state`.
pub(super) async fn state(State(shopify): State<Shopify>) -> Json<Value> {
    Json(shopify.state())
}

/// `GET /`.
pub(super) async fn page(State(shopify): State<Shopify>) -> Html<String> {
    Html(render(&shopify.state()))
}

impl Shopify {
    /// All that it knows, the newest first where it is many.
    fn state(&self) -> Value {
        let sent: Vec<_> = self.sent().into_iter().rev().take(NEWEST).collect();
        let mut world = locked(&self.world);
        let now = world.clock.now();
        let shops = world.shops.values_mut().map(|shop| {
            let available = shop.bucket.available(now).floor();
            json!({
                "domain": shop.domain, "items": items(shop), "orders": shop.orders.len(),
                "bucket": {"available": available, "limit": shop.bucket.limit}, "counts": shop.counts,
                "faults": shop.faults, "calls": newest(&shop.calls), "adjustments": newest(&shop.adjustments),
            })
        });
        json!({"now": now, "shops": shops.collect::<Vec<_>>(), "webhooks": sent})
    }
}

fn newest<T: serde::Serialize>(all: &std::collections::VecDeque<T>) -> Vec<&T> {
    all.iter().rev().take(NEWEST).collect()
}

fn items(shop: &Shop) -> Vec<Value> {
    let item = |variant: &super::Variant| {
        let levels = variant.levels.iter().map(|(location, level)| {
            let on_hand = level.quantity("on_hand");
            json!({"location": location, "quantities": level.quantities, "on_hand": on_hand})
        });
        json!({
            "sku": variant.sku, "title": variant.product_title, "inventory_item": variant.inventory_item,
            "tracked": variant.tracked, "levels": levels.collect::<Vec<_>>(),
        })
    };
    shop.variants.values().map(item).collect()
}

const HEAD: &str = "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2>
<title>Shopify stand-in</title><style>
body{font:14px system-ui;margin:2em}table{border-collapse:collapse;margin:.5em 0 1.5em}
td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}th{border-bottom:1px solid}
</style><h1>Shopify stand-in</h1>";

fn render(state: &Value) -> String {
    let mut page = format!("{HEAD}<p>{}</p>", text(&state["now"]));
    for shop in list(&state["shops"]) {
        // Writing into a text does not fail.
        let _ = write!(page, "<h2>{}</h2>", text(&shop["domain"]));
        let facts = [("orders", "/orders"), ("throttled", "/counts/throttled"), ("cost", "/counts/cost")];
        for (name, at) in facts.into_iter().chain([("points", "/bucket/available")]) {
            let _ = write!(page, "{name} {} · ", shop.pointer(at).map(text).unwrap_or_default());
        }
        table(
            &mut page,
            "Faults",
            &shop["faults"],
            &["fault", "status", "times", "operation", "inventory_item"],
        );
        table(
            &mut page,
            "Items",
            &levels(shop),
            &[
                "sku",
                "title",
                "inventory_item",
                "location",
                "available",
                "committed",
                "reserved",
                "damaged",
                "safety_stock",
                "quality_control",
                "on_hand",
            ],
        );
        table(
            &mut page,
            "Last calls",
            &shop["calls"],
            &["at", "operations", "status", "requested", "actual", "fault", "errors"],
        );
        table(&mut page, "Last adjustments", &shop["adjustments"], &["at", "key", "reference", "changes"]);
    }
    let columns = ["shop_domain", "topic", "webhook_id", "attempt", "status", "answer", "duration_ms"];
    table(&mut page, "Last webhooks", &state["webhooks"], &columns);
    page
}

/// Each level of a shop as a row.
fn levels(shop: &Value) -> Value {
    let rows = list(&shop["items"]).flat_map(|item| {
        list(&item["levels"]).map(move |level| {
            let mut row = level["quantities"].clone();
            for (name, from) in [
                ("sku", item),
                ("title", item),
                ("inventory_item", item),
                ("location", level),
                ("on_hand", level),
            ] {
                row[name] = from[name].clone();
            }
            row
        })
    });
    rows.collect()
}

fn table(page: &mut String, title: &str, rows: &Value, columns: &[&str]) {
    let row = |cells: Vec<String>, cell: &str| {
        let cells = cells.iter().map(|text| format!("<{cell}>{text}")).collect::<String>();
        format!("<tr>{cells}")
    };
    let _ = write!(page, "<h3>{title}</h3><table>");
    page.push_str(&row(columns.iter().map(|name| name.replace('_', " ")).collect(), "th"));
    for line in list(rows) {
        page.push_str(&row(columns.iter().map(|name| text(&line[*name])).collect(), "td"));
    }
    page.push_str("</table>");
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A value as text that HTML shows as it is.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace('&', "&amp;").replace('<', "&lt;")
}
