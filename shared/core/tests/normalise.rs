//! What holds of every order's body.

// Clippy exempts test functions, but not the helpers beside them.
#![allow(clippy::unwrap_used)]

mod bodies;

use bodies::generate::body;
use ordak_core::order::shopify::normalise;
use proptest::prelude::*;
use serde_json::{Value, json};

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

/// The same order in GraphQL's form, with its lists as one of the three that they may have.
fn graphql(rest: &Value, shape: usize) -> Value {
    let connection = |items: Vec<Value>| match shape {
        0 => {
            json!({"edges": items.iter().map(|item| json!({"node": item, "cursor": "c"})).collect::<Vec<_>>()})
        }
        1 => json!({"nodes": items, "pageInfo": {"hasNextPage": false}}),
        _ => Value::from(items),
    };
    let each = |list: &Value, item: &dyn Fn(&Value) -> Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(item).collect()
    };
    let gid = |kind: &str, id: &Value| format!("gid://shopify/{kind}/{id}");
    let thing = |kind: &str, id: &Value| (!id.is_null()).then(|| json!({"id": gid(kind, id)}));
    let money = |amount: &Value| json!({"shopMoney": {"amount": amount, "currencyCode": "AUD"}});
    let person = |person: &Value, whole: &str| {
        (!person.is_null()).then(|| {
            json!({whole: person["name"], "firstName": person["first_name"], "lastName": person["last_name"]})
        })
    };
    let capitals = |word: &Value| word.as_str().map(str::to_ascii_uppercase);
    let pairs = |list: &Value| match list {
        Value::Null => Value::Null,
        list => each(list, &|pair| json!({"key": pair["name"], "value": pair["value"]})).into(),
    };
    let line = |line: &Value| {
        json!({
            "id": gid("LineItem", &line["id"]), "title": line["title"], "variantTitle": line["variant_title"],
            "sku": line["sku"], "quantity": line["quantity"], "currentQuantity": line["current_quantity"],
            "isGiftCard": line["gift_card"], "fulfillmentStatus": line["fulfillment_status"],
            "originalUnitPriceSet": money(&line["price"]), "product": thing("Product", &line["product_id"]),
            "variant": thing("ProductVariant", &line["variant_id"]), "customAttributes": pairs(&line["properties"]),
        })
    };
    let refund_line = |line: &Value| {
        json!({
            "id": gid("RefundLineItem", &line["id"]), "lineItem": thing("LineItem", &line["line_item_id"]),
            "quantity": line["quantity"], "restockType": capitals(&line["restock_type"]),
            "location": thing("Location", &line["location_id"]),
        })
    };
    let refund = |refund: &Value| {
        json!({
            "createdAt": refund["created_at"], "processedAt": refund["processed_at"],
            "refundLineItems": connection(each(&refund["refund_line_items"], &refund_line)),
        })
    };
    let tags: Vec<_> = rest["tags"].as_str().unwrap().split(',').collect();
    json!({
        "id": gid("Order", &rest["id"]), "legacyResourceId": rest["id"].to_string(), "name": rest["name"],
        "createdAt": rest["created_at"], "updatedAt": rest["updated_at"], "cancelledAt": rest["cancelled_at"],
        "cancelReason": capitals(&rest["cancel_reason"]), "currencyCode": rest["currency"],
        "totalPriceSet": money(&rest["total_price"]), "customAttributes": pairs(&rest["note_attributes"]),
        "shippingAddress": person(&rest["shipping_address"], "name"),
        "customer": person(&rest["customer"], "displayName"), "note": rest["note"], "tags": tags,
        "sourceName": rest["source_name"], "test": rest["test"], "statusPageUrl": rest["order_status_url"],
        "retailLocation": thing("Location", &rest["location_id"]),
        "lineItems": connection(each(&rest["line_items"], &line)), "refunds": each(&rest["refunds"], &refund),
    })
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
            prop_assert_eq!(Some(i64::from(line.current)), body["current_quantity"].as_i64().or(body["quantity"].as_i64()));
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
    fn an_order_is_the_same_in_graphqls_form(body in body(), shape in 0..3usize, wraps in 0..3usize) {
        let expected = normalise(body.to_string().as_bytes());
        prop_assert!(expected.is_ok());
        let mut graphql = graphql(&body, shape);
        for name in ["order", "data"].into_iter().take(wraps) {
            graphql = json!({name: graphql});
        }
        prop_assert_eq!(normalise(graphql.to_string().as_bytes()), expected);
    }
}
