//! Whole bodies against their normal forms, and what holds of every body.
//!
//! Each case is a pair of files under `fixtures`: `<case>.json`, as Shopify sends it, and
//! `<case>.normal.json`, what is made of it.

// Clippy exempts test functions, but not the helpers beside them.
#![allow(clippy::unwrap_used)]

use ordak_core::order::shopify::normalise;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|path| !path.to_string_lossy().ends_with(".normal.json")).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

#[test]
fn each_body_has_its_normal_form() {
    for case in cases() {
        let found = serde_json::to_value(normalise(&fs::read(&case).unwrap()).unwrap()).unwrap();
        let expected = fs::read(case.with_extension("normal.json")).unwrap_or_default();
        let expected: Value = serde_json::from_slice(&expected).unwrap_or_default();
        assert!(found == expected, "{}: found {found:#}", case.display());
    }
}

/// Any text, among them those that the rules look for.
fn text() -> impl Strategy<Value = String> {
    let known = "(Rainbow |Cup)?[Cc]akes?|Candle|Tip|Medium / Lemon|Default Title|(1|31)/(2|13)/2026( between 9)?\
                 |Mon 8 Dec 2025|Cake Writing|Gelato Flavour|_x|Delivery Method|pick up";
    prop_oneof![known, any::<String>(), "[a\\x00 ]{0,3}", "a{250,260}"]
}

/// Any JSON with at most one key an object: texts made of it do not depend on the order of keys.
fn answer() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<Option<bool>>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            (text(), inner).prop_map(|(key, value)| json!({key: value})),
        ]
    })
}

fn pairs() -> impl Strategy<Value = Value> {
    let pair = (text(), answer()).prop_map(|(name, value)| json!({"name": name, "value": value}));
    prop_oneof![vec(pair, 0..6).prop_map(Value::from), Just(Value::Null)]
}

fn line() -> impl Strategy<Value = Value> {
    let units = (0..6, proptest::option::of(0..6));
    (text(), answer(), units, pairs(), any::<bool>()).prop_map(
        |(title, variant, (quantity, current), pairs, gift)| {
            json!({
                "title": title, "variant_title": variant, "quantity": quantity, "gift_card": gift,
                "current_quantity": current, "properties": pairs, "price": "9.50", "sku": title,
            })
        },
    )
}

/// A body that is an order, whatever its texts are.
fn body() -> impl Strategy<Value = Value> {
    let head = (1..=i64::MAX, 1..=i64::MAX, any::<bool>());
    let refunds = vec((1usize..8, 0..4), 0..6);
    (head, answer(), answer(), text(), pairs(), vec(line(), 0..6), refunds).prop_map(
        |((id, number, cancelled), note, name, tags, attributes, mut lines, refunds)| {
            for (line, id) in lines.iter_mut().zip(1..) {
                line["id"] = json!(id);
            }
            let refunds: Vec<_> = refunds
                .iter()
                .map(|(line, units)| json!({"line_item_id": line, "quantity": units}))
                .collect();
            json!({
                "id": id, "order_number": number, "note": note, "tags": tags, "total_price": "1",
                "customer": {"name": name, "first_name": tags}, "note_attributes": attributes,
                "line_items": lines, "refunds": [{"refund_line_items": refunds}],
                "created_at": "2025-12-01T09:00:00+11:00", "updated_at": "2025-12-01T09:00:05Z",
                "cancelled_at": cancelled.then_some("2025-12-01T09:00:04Z"),
            })
        },
    )
}

/// The same JSON with the keys of each object in the opposite order, and white space between all tokens.
fn rewritten(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(" ,\n");
    match value {
        Value::Array(items) => format!("[ {}\t]", list(items.iter().map(rewritten).collect())),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                format!("{} :\r\n {}", Value::from(key.as_str()), rewritten(value))
            };
            format!("{{ {} }}", list(fields.iter().rev().map(field).collect()))
        }
        scalar => scalar.to_string(),
    }
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

fn bodies() -> Vec<Vec<u8>> {
    cases().iter().map(|case| fs::read(case).unwrap().trim_ascii().to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_line_is_kept_with_units_that_can_be(body in body()) {
        let order = normalise(body.to_string().as_bytes()).unwrap();
        let lines = body["line_items"].as_array().unwrap();
        prop_assert_eq!(order.lines.len(), lines.len());
        for (line, body) in order.lines.iter().zip(lines) {
            prop_assert_eq!(Some(line.line_id), body["id"].as_i64());
            prop_assert_eq!(Some(i64::from(line.quantity)), body["quantity"].as_i64());
            prop_assert!((0..=line.quantity).contains(&line.wanted));
            prop_assert!(line.wanted == 0 || order.cancelled_at.is_none());
        }
        prop_assert!(order.flags.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn the_order_of_keys_and_white_space_mean_nothing(body in body()) {
        let expected = normalise(body.to_string().as_bytes());
        prop_assert_eq!(&expected, &normalise(rewritten(&body).as_bytes()));
        prop_assert!(expected.is_ok());
    }

    #[test]
    fn the_normal_form_is_bounded_by_the_body_and_postgres_takes_it(body in body()) {
        let body = body.to_string();
        let normal = serde_json::to_string(&normalise(body.as_bytes()).unwrap()).unwrap();
        prop_assert!(normal.len() <= 1_000 + 12 * body.len(), "{} of {}", normal.len(), body.len());
        fn holds_nul(value: &Value) -> bool {
            match value {
                Value::String(text) => text.contains('\0'),
                Value::Array(items) => items.iter().any(holds_nul),
                Value::Object(fields) => fields.values().any(holds_nul),
                _ => false,
            }
        }
        prop_assert!(!holds_nul(&serde_json::from_str(&normal).unwrap()));
    }

    #[test]
    fn a_body_with_any_value_elsewhere_is_read_or_refused(
        body in select(bodies()), path in vec(any::<Index>(), 1..6), value in answer()
    ) {
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        *descend(&mut body, &path) = value;
        if let Err(refused) = normalise(body.to_string().as_bytes()) {
            prop_assert!(!refused.to_string().is_empty());
        }
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        body in select(bodies()), damage in vec((any::<Index>(), any::<u8>()), 1..4), cut in any::<Index>()
    ) {
        let mut body = body;
        prop_assert!(normalise(&body[..cut.index(body.len())]).is_err());
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = normalise(&body);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..256), text in "[\\[{}\\]\":,a0-]{0,64}") {
        let _ = (normalise(&bytes), normalise(text.as_bytes()));
    }
}

#[test]
fn depth_and_breadth_are_no_attack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let body = |properties: &str| {
        format!(
            r#"{{"id":1,"order_number":1,"total_price":"1","created_at":"2025-12-01T09:00:00Z",
                "updated_at":"2025-12-01T09:00:00Z","unasked":{deep},"line_items":[
                {{"id":1,"title":"Cake","quantity":1,"price":"1","properties":[{properties}]}}]}}"#
        )
    };
    let order = normalise(body(&format!(r#"{{"name":"Nested","value":{deep}}}"#)).as_bytes()).unwrap();
    assert_eq!(order.lines[0].properties[0].value, "[".repeat(2_000));
    assert!(normalise(body(&deep).as_bytes()).is_err());
    let mut fields = Map::new();
    fields.extend((0..10_000).map(|n| (n.to_string(), Value::Null)));
    assert!(normalise(Value::from(fields).to_string().as_bytes()).is_err());
}
