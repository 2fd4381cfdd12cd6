//! What a partner may send, and what is said of the rest.

use super::*;
use serde_json::{Value, json};

fn body(changes: Value) -> Value {
    let mut body = json!({
        "store": "bannos", "customer_name": " Juno Pell ", "due_date": "2025-12-20",
        "products": [{"title": "Matcha Cake", "quantity": 1}],
    });
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn product(changes: Value) -> Value {
    let mut product = json!({"title": "Matcha Cake", "quantity": 1});
    for (key, value) in changes.as_object().unwrap() {
        product[key] = value.clone();
    }
    body(json!({"products": [product]}))
}

fn taken(body: &Value) -> PartnerOrder {
    read(body.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn refused(body: &Value, expected: &[&str]) {
    let errors = read(body.to_string().as_bytes()).unwrap_err();
    let found: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{body}");
}

#[test]
fn an_order_is_put_into_the_form_that_shopifys_have() {
    let order = taken(&body(json!({
        "products": [
            {"title": "Matcha Cake", "quantity": 2, "sku": " MC-1 ", "product_id": "gid://shopify/Product/8",
             "variant_title": "Small / Matcha", "properties": [
                {"name": "Cake Writing", "value": "Hi"}, {"name": "_id", "value": "x"}, {"name": "Tiers", "value": 2}]},
            {"title": "Gift Card", "quantity": 1, "variant_title": "$50", "sku": null},
        ],
        "shopify_order_id": 5, "number": 25771, "delivery_method": "DELIVERY", "notes": "Nuts", "idempotency_key": "k-1",
    })));
    let found = serde_json::to_value(order).unwrap();
    assert_eq!(
        found,
        json!({
            "store": "bannos", "idempotency_key": "k-1", "shopify_order_id": 5,
            "shopify_order_gid": "gid://shopify/Order/5", "number": 25771, "customer_name": "Juno Pell",
            "due_date": "2025-12-20", "delivery_method": "Delivery", "notes": "Nuts", "flags": [],
            "lines": [
                {"product_id": 8, "sku": "MC-1", "title": "Matcha Cake", "variant_title": "Small / Matcha",
                 "kind": "cake", "quantity": 2, "size": "Small", "flavour": "Matcha", "cake_writing": "Hi",
                 "properties": [{"name": "Cake Writing", "value": "Hi"}, {"name": "Tiers", "value": "2"}]},
                {"product_id": null, "sku": null, "title": "Gift Card", "variant_title": "$50", "kind": "ignored",
                 "quantity": 1, "size": null, "flavour": null, "cake_writing": null, "properties": []},
            ],
        })
    );
}

#[test]
fn what_is_absent_has_a_meaning() {
    for absent in
        [json!({"due_date": null}), json!({"due_date": null, "delivery_method": null, "notes": " "})]
    {
        let order = taken(&body(absent));
        assert_eq!((order.due_date, order.flags), (None, vec![Flag::NoDueDate]));
        assert_eq!((order.delivery_method, order.number, order.notes), (DeliveryMethod::Pickup, None, None));
    }
}

#[test]
fn shopifys_order_may_be_named_either_way_or_both() {
    let gid = "gid://shopify/Order/9007199254740993";
    for changes in [
        json!({"shopify_order_id": 9_007_199_254_740_993i64}),
        json!({"shopify_order_id": "9007199254740993"}),
        json!({"shopify_order_gid": gid}),
        json!({"shopify_order_id": 9_007_199_254_740_993i64, "shopify_order_gid": gid}),
    ] {
        let order = taken(&body(changes));
        assert_eq!(order.shopify_order_id, Some(9_007_199_254_740_993));
        assert_eq!(order.shopify_order_gid.as_deref(), Some(gid));
    }
    refused(
        &body(json!({"shopify_order_id": 5, "shopify_order_gid": gid})),
        &["shopify_order_gid: expected the gid of shopify_order_id"],
    );
    for gid in ["5", "gid://shopify/Product/5", "gid://shopify/Order/x"] {
        let expected = "shopify_order_gid: expected gid://shopify/Order/ and the id";
        refused(&body(json!({"shopify_order_gid": gid})), &[expected]);
    }
}

#[test]
fn every_mistake_is_told_at_once() {
    refused(
        &json!({
            "store": "Bannos!", "customer_name": " ", "due_date": "20/12/2025", "delivery_method": "drone",
            "shopify_order_id": 0, "number": "5", "notes": 5, "idempotency_key": "", "colour": "red",
            "products": [
                {"title": "Cake", "quantity": 1},
                {"quantity": 0, "size": "L"},
                {"title": "Cake", "quantity": 1.5, "sku": 7, "product_id": -1, "properties": {"a": "b"}},
                "Cake",
            ],
        }),
        &[
            "colour: expected no field of this name",
            "shopify_order_id: expected a positive 64-bit integer",
            "store: expected the code of a store",
            "customer_name: expected a text of 1 to 255 characters",
            "due_date: expected a day from 2000 to 2100 as YYYY-MM-DD",
            "number: expected a positive integer",
            "delivery_method: expected Pickup or Delivery",
            "notes: expected a text of at most 5000 characters",
            "idempotency_key: expected a text of 1 to 255 characters",
            "products[1].size: expected no field of this name",
            "products[1].title: expected a text of 1 to 255 characters",
            "products[1].quantity: expected an integer from 1 to 500",
            "products[2].properties: expected a list of at most 100 objects with a name and a value",
            "products[2].product_id: expected a positive 64-bit integer",
            "products[2].sku: expected a text of at most 255 characters",
            "products[2].quantity: expected an integer from 1 to 500",
            "products[3]: expected an object with each field once",
            "products[3].title: expected a text of 1 to 255 characters",
            "products[3].quantity: expected an integer from 1 to 500",
        ],
    );
}

#[test]
fn what_is_needed_must_be_there() {
    refused(
        &json!({}),
        &[
            "store: expected the code of a store",
            "customer_name: expected a text of 1 to 255 characters",
            "products: expected a list of 1 to 100 products",
        ],
    );
    let other = read(b"[]").unwrap_err();
    assert_eq!(other[0].to_string(), "the body: expected an object with each field once");
    let cut = read(b"{\"store\": ").unwrap_err();
    assert_eq!(cut[0].to_string(), "line 1, column 10: expected JSON");
    let twice = read(br#"{"store":"bannos","store":"flourlane"}"#).unwrap_err();
    assert_eq!(twice[0].to_string(), "the body: expected an object with each field once");
}

#[test]
fn there_are_limits() {
    let products = |count: usize, quantity: i64| {
        body(json!({"products": vec![json!({"title": "Cake", "quantity": quantity}); count]}))
    };
    assert_eq!(taken(&products(100, 5)).lines.len(), 100);
    refused(&products(100, 6), &["products: expected at most 500 units in all"]);
    for wrong in [products(101, 1), products(0, 1), body(json!({"products": "Cake"}))] {
        refused(&wrong, &["products: expected a list of 1 to 100 products"]);
    }
    for quantity in [json!(0), json!(-1), json!(501), json!("2"), json!(null), json!(u64::MAX)] {
        refused(
            &product(json!({"quantity": quantity})),
            &["products[0].quantity: expected an integer from 1 to 500"],
        );
    }
    for title in [json!("é".repeat(256)), json!(""), json!("\u{0}"), json!(7), json!(null)] {
        refused(
            &product(json!({"title": title})),
            &["products[0].title: expected a text of 1 to 255 characters"],
        );
    }
    assert_eq!(taken(&product(json!({"title": "é".repeat(255)}))).flags, []);
    let answers =
        |count| product(json!({"properties": vec![json!({"name": "Writing", "value": "w"}); count]}));
    assert_eq!(taken(&answers(100)).lines[0].properties.len(), 100);
    refused(
        &answers(101),
        &["products[0].properties: expected a list of at most 100 objects with a name and a value"],
    );
    for date in ["2025-02-29", "2025-12-8", "2025-12-20T10:00", "", "Sat 20 Dec 2025"] {
        refused(
            &body(json!({"due_date": date})),
            &["due_date: expected a day from 2000 to 2100 as YYYY-MM-DD"],
        );
    }
    let unknown: serde_json::Map<_, _> = (0..500).map(|n| (format!("field{n}"), json!(1))).collect();
    assert_eq!(read(Value::from(unknown).to_string().as_bytes()).unwrap_err().len(), MAX_ERRORS);
}
