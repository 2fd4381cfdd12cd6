//! Orders made up by chance, in REST's form.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Any text, among them those that the rules look for.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let known = "(Rainbow |Cup)?[Cc]akes?|Candle|Tip|Medium / Lemon|Default Title|(1|31)/(2|13)/2026( between 9)?\
                 |Mon 8 Dec 2025|Cake Writing|Gelato Flavour|_x|Delivery Method|pick up";
    prop_oneof![known, any::<String>(), "[a\\x00 ]{0,3}", "a{250,260}"]
}

/// Any JSON with at most one key an object: texts made of it do not depend on the order of keys.
pub(crate) fn answer() -> impl Strategy<Value = Value> {
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
    let units = (0..6, proptest::option::of(0..6), select(&[None, Some("fulfilled"), Some("partial")][..]));
    let ids = (proptest::option::of(1..=i64::MAX), proptest::option::of(1..=i64::MAX));
    (text(), answer(), units, pairs(), any::<bool>(), ids).prop_map(
        |(title, variant, (quantity, current, status), pairs, gift, (product, variant_id))| {
            json!({
                "title": title, "variant_title": variant, "quantity": quantity, "gift_card": gift,
                "current_quantity": current, "properties": pairs, "price": "9.50", "sku": title,
                "product_id": product, "variant_id": variant_id, "fulfillment_status": status,
            })
        },
    )
}

fn refund() -> impl Strategy<Value = Value> {
    let words = select(&["no_restock", "cancel", "return", "legacy_restock", "other"][..]);
    let line = (1..i64::MAX, 1i64..8, 0..4, words, proptest::option::of(1..=i64::MAX)).prop_map(
        |(id, line, units, word, location)| {
            json!({"id": id, "line_item_id": line, "quantity": units, "restock_type": word, "location_id": location})
        },
    );
    let times = (proptest::option::of(Just("2025-12-02T09:00:00Z")), Just("2025-12-02T08:00:00+11:00"));
    (times, vec(line, 0..4)).prop_map(|((processed, created), lines)| {
        json!({"processed_at": processed, "created_at": created, "refund_line_items": lines})
    })
}

/// A body that is an order, whatever its texts are.
pub(crate) fn body() -> impl Strategy<Value = Value> {
    let head = (1..=i64::MAX, 1..=i64::MAX, any::<bool>(), any::<bool>(), proptest::option::of(1..=i64::MAX));
    let texts = (answer(), answer(), text(), text());
    (head, texts, pairs(), vec(line(), 0..6), vec(refund(), 0..4)).prop_map(
        |((id, number, cancelled, pos, location), (note, name, tags, host), attributes, mut lines, refunds)| {
            for (line, id) in lines.iter_mut().zip(1..) {
                line["id"] = json!(id);
            }
            json!({
                "id": id, "order_number": number, "name": format!("#B{number}"), "note": note, "tags": tags,
                "customer": {"name": name, "first_name": tags, "last_name": host},
                "shipping_address": pos.then(|| json!({"name": host, "first_name": name})),
                "note_attributes": attributes, "line_items": lines, "refunds": refunds, "total_price": "1",
                "currency": "aud", "source_name": if pos { "pos" } else { "web" }, "test": pos,
                "location_id": location, "order_status_url": format!("https://{host}.myshopify.com/1/orders/2"),
                "created_at": "2025-12-01T09:00:00+11:00", "updated_at": "2025-12-01T09:00:05Z",
                "cancelled_at": cancelled.then_some("2025-12-01T09:00:04Z"),
                "cancel_reason": cancelled.then_some("customer"),
            })
        },
    )
}
