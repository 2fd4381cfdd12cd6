//! Whole bodies against their normal forms: each `<case>.json` in `tests/fixtures/orders`, as Shopify sends it,
//! stands beside `<case>.expected.json`, what is made of it, or `{"refused": why}`.

// Clippy exempts test functions, but not the helpers beside them.
#![allow(clippy::unwrap_used)]

mod bodies;

use std::fs;

use ordak_core::content::{Content, content};
use serde_json::{Value, json};

/// The normal form of an order, or why it was refused.
fn found(body: &[u8]) -> Value {
    match content("orders/updated", body) {
        Ok(Content::Order(order)) => serde_json::to_value(order).unwrap(),
        Ok(other) => serde_json::to_value(other).unwrap(),
        Err(refused) => json!({"refused": refused.to_string()}),
    }
}

#[test]
fn each_body_has_its_normal_form() {
    let mut wrong = Vec::new();
    let cases = bodies::cases();
    for case in &cases {
        let found = found(&fs::read(case).unwrap());
        let expected = fs::read(case.with_extension("expected.json")).unwrap_or_default();
        let expected: Value = serde_json::from_slice(&expected).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}: found {found:#}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() >= 45, "{}", cases.len());
}
