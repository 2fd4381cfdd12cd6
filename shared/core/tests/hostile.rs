//! Bodies that nobody should send: whatever comes, it is read or refused, and what is made of it is no larger
//! than it.

// Clippy exempts test functions, but not the helpers beside them.
#![allow(clippy::unwrap_used)]

mod bodies;

use bodies::generate::{answer, body};
use ordak_core::content::{Content, content};
use ordak_core::order::partner;
use ordak_core::order::shopify::normalise;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// One topic of each shape.
const TOPICS: [&str; 6] = [
    "orders/updated",
    "refunds/create",
    "orders/edited",
    "products/update",
    "inventory_levels/update",
    "app/uninstalled",
];

/// A valid body of each shape but the order, and of a partner's order.
const OTHERS: [&str; 6] = [
    r#"{"id":1,"order_id":2,"processed_at":"2025-12-02T09:00:00Z","refund_line_items":[
        {"id":61,"line_item_id":7001,"quantity":1,"restock_type":"return","location_id":71}]}"#,
    r#"{"order_edit":{"id":1,"order_id":2}}"#,
    r#"{"id":8,"title":"Matcha Cake","updated_at":"2025-12-02T09:00:00Z","images":[{"src":"https://cdn.example/a"}],
        "variants":[{"sku":"MC-1"},{"sku":null}]}"#,
    r#"{"inventory_item_id":5,"location_id":71,"available":-3,"updated_at":"2025-12-02T09:00:00Z"}"#,
    r#"{"id":1,"myshopify_domain":"bannos.myshopify.com"}"#,
    r#"{"store":"bannos","customer_name":"Juno Pell","due_date":"2025-12-20","number":5,"products":[
        {"title":"Cake","quantity":1,"properties":[{"name":"Writing","value":"Hi"}]}]}"#,
];

/// Valid bodies of every shape.
fn bodies() -> Vec<Vec<u8>> {
    let others = OTHERS.iter().map(|body| body.as_bytes().to_vec());
    bodies::taken().into_iter().chain(others).collect()
}

/// The same as values, but for what `serde_json` does not take.
fn values() -> Vec<Value> {
    bodies().iter().filter_map(|body| serde_json::from_slice(body).ok()).collect()
}

/// The value that the indices lead to: one step down for each, for as long as there is something below.
fn descend<'a>(value: &'a mut Value, path: &[Index]) -> &'a mut Value {
    let Some((step, rest)) = path.split_first() else { return value };
    let below = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if below == 0 {
        return value;
    }
    let at = step.index(below);
    let next = match value {
        Value::Array(items) => items.get_mut(at),
        Value::Object(fields) => fields.values_mut().nth(at),
        _ => None,
    };
    descend(next.unwrap(), rest)
}

/// Reads it under every topic and as a partner's, and measures what comes out.
fn read(body: &[u8]) {
    let most = 1_000 + 12 * body.len();
    for topic in TOPICS {
        let size = match content(topic, body) {
            Ok(content) => serde_json::to_vec(&content).unwrap().len(),
            Err(refused) => refused.to_string().len(),
        };
        assert!(size <= most, "{topic}: {size} of {}", body.len());
    }
    let size = match partner::read(body) {
        Ok(order) => serde_json::to_vec(&order).unwrap().len(),
        Err(refused) => serde_json::to_vec(&refused).unwrap().len(),
    };
    // A hundred errors at most, each with a name of at most 64 characters, which may be written as six bytes.
    assert!(size <= most + 100 * 600, "{size} of {}", body.len());
}

/// A scalar that is written as no serializer would.
fn odd_scalar() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "9223372036854775808",
            "-9223372036854775809",
            "1e400",
            "-0",
            "0.0000001",
            "123456789012345678901234567890",
            r#""9223372036854775808""#,
            r#""\u0000""#,
            r#""a\u0000b""#,
            r#""\ud83c""#,
            r#""\udf82\ud83c""#,
            r#""gid://shopify/Order/9223372036854775808""#,
            r#""31/31/2025""#,
            "true",
            "null",
            "[]",
            "{}",
            "[[]]",
        ][..],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..256), text in "[\\[{}\\]\":,a0-]{0,64}") {
        read(&bytes);
        read(text.as_bytes());
    }

    #[test]
    fn any_order(body in body()) {
        read(body.to_string().as_bytes());
    }

    #[test]
    fn any_value_anywhere(body in select(values()), path in vec(any::<Index>(), 1..6), value in answer()) {
        let mut body = body;
        *descend(&mut body, &path) = value;
        read(body.to_string().as_bytes());
    }

    #[test]
    fn any_odd_scalar_anywhere(body in select(values()), path in vec(any::<Index>(), 1..6), odd in odd_scalar()) {
        let mut body = body;
        *descend(&mut body, &path) = json!("HERE");
        read(body.to_string().replace("\"HERE\"", odd).as_bytes());
    }

    #[test]
    fn damaged_bytes(
        body in select(bodies()), damage in vec((any::<Index>(), any::<u8>()), 1..4), ends in any::<[Index; 2]>()
    ) {
        let mut body = body;
        let [from, to] = ends.map(|end| end.index(body.len()));
        let cut = &body[..to];
        prop_assert!(content("orders/create", cut).is_err() && partner::read(cut).is_err());
        // A part of it twice, which gives lists their items and objects their keys again.
        let part = &body[from.min(to)..from.max(to)];
        read(&[&body[..from.max(to)], part, &body[from.max(to)..]].concat());
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        read(&body);
    }
}

/// A valid order's body with these lines, and this in a field that nobody asks for.
fn order(lines: &str, unasked: &str) -> String {
    format!(
        r#"{{"id":1,"order_number":1,"total_price":"1","created_at":"2025-12-01T09:00:00Z",
            "updated_at":"2025-12-01T09:00:00Z","unasked":{unasked},"line_items":[{lines}]}}"#
    )
}

#[test]
fn depth_is_no_attack() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let line = |properties: &str| {
        format!(r#"{{"id":1,"title":"Cake","quantity":1,"price":"1","properties":[{properties}]}}"#)
    };
    let taken = normalise(order(&line(&format!(r#"{{"name":"Nested","value":{deep}}}"#)), &deep).as_bytes());
    assert_eq!(taken.unwrap().lines[0].properties[0].value, "[".repeat(2_000));
    let taken = normalise(order(&line(&deep), "1").as_bytes());
    assert_eq!(taken.unwrap().lines[0].properties[0].value, "[".repeat(2_000));
    for name in ["a", "id", "data", "order", "shopMoney", "nodes", "order_edit", "image", "products"] {
        let open = format!("{{\"{name}\":");
        let deep = open.repeat(10_000) + "1" + &"}".repeat(10_000);
        read(deep.as_bytes());
        read(order(&line("").replace("\"quantity\":1", &format!("\"quantity\":{deep}")), &deep).as_bytes());
    }
}

#[test]
fn breadth_is_no_attack() {
    let line = |id: usize| format!(r#"{{"id":{id},"title":"Cake","quantity":1,"price":"1"}}"#);
    let lines = |count: usize| (1..=count).map(line).collect::<Vec<_>>().join(",");
    let refused = normalise(order(&lines(10_000), "1").as_bytes()).unwrap_err();
    assert_eq!(refused.to_string(), "line_items: expected at most 1000 lines");
    match content("orders/create", order(&lines(1_000), "1").as_bytes()).unwrap() {
        Content::Order(order) => assert_eq!(order.lines.len(), 1_000),
        other => panic!("expected an order, but found {other:?}"),
    }
    let refund = r#"{"id":1,"line_item_id":1,"quantity":1},"#.repeat(5_001);
    let refund = format!(
        r#"{{"order_id":1,"created_at":"2025-12-01T09:00:00Z","refund_line_items":[{}]}}"#,
        refund.trim_end_matches(',')
    );
    let refused = content("refunds/create", refund.as_bytes()).unwrap_err();
    assert_eq!(refused.to_string(), "refunds: expected at most 5000 refund lines");
    let mut fields = Map::new();
    fields.extend((0..10_000).map(|n| (n.to_string(), Value::Null)));
    read(Value::from(fields).to_string().as_bytes());
    let words = "20/12/2025 ".repeat(100_000);
    let dated = json!({"note_attributes": [{"name": "Delivery Date", "value": words}]});
    read(
        order("", "1").replacen('{', &format!("{},", dated.to_string().trim_end_matches('}')), 1).as_bytes(),
    );
}
