//! What people do at a shop, and what is shown of it.

use super::*;

/// What is available and committed of an SKU.
fn stock(fixture: &Fixture, sku: &str) -> (i64, i64) {
    let variant = fixture.shopify.variant(SHOP, sku).unwrap();
    let named = |name| variant.levels[&LOCATION].quantity(name).unwrap();
    (named("available"), named("committed"))
}

fn topics(webhooks: &[Webhook]) -> Vec<&str> {
    webhooks.iter().map(|webhook| webhook.topic.as_str()).collect()
}

#[tokio::test]
async fn what_is_sold_refunded_and_cancelled_moves_the_levels_at_once() {
    let fixture = Fixture::new().await;
    let shopify = &fixture.shopify;
    let sale = shopify.sell(&shopify.order(SHOP, &[("ONE", 4), ("TWO", 1)]).unwrap()).unwrap();
    assert_eq!((stock(&fixture, "ONE"), stock(&fixture, "TWO")), ((6, 4), (9, 1)));
    assert_eq!(
        topics(&sale.webhooks),
        ["orders/create", "inventory_levels/update", "inventory_levels/update"]
    );
    assert_eq!(sale.webhooks[1].body["available"], 6);
    for (restock, expected) in
        [(Restock::Cancel, (7, 3)), (Restock::NoRestock, (7, 2)), (Restock::Return, (8, 2))]
    {
        shopify.refund(SHOP, sale.order, 0, 1, restock).unwrap();
        assert_eq!(stock(&fixture, "ONE"), expected);
    }
    let told = shopify.cancel(SHOP, sale.order, true).unwrap();
    assert_eq!(topics(&told)[..3], ["orders/cancelled", "orders/updated", "refunds/create"]);
    assert_eq!((stock(&fixture, "ONE"), stock(&fixture, "TWO")), ((9, 1), (10, 0)));
    assert!(shopify.refund(SHOP, sale.order, 0, 1, Restock::Cancel).is_err(), "nothing is left of it");
}

/// A value in which an amount and an instant are the same however they are written.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::String(text) => match (text.parse::<Timestamp>(), text.strip_suffix(".00")) {
            (Ok(at), _) => at.to_string().into(),
            (_, Some(whole)) => format!("{whole}.0").into(),
            _ => text.into(),
        },
        other => other,
    }
}

#[tokio::test]
async fn an_order_says_the_same_in_both_forms() {
    let fixture = Fixture::new().await;
    let shopify = &fixture.shopify;
    let sale = shopify.sell(&shopify.order(SHOP, &[("ONE", 4), ("TWO", 1)]).unwrap()).unwrap();
    shopify.refund(SHOP, sale.order, 0, 1, Restock::Cancel).unwrap();
    let query = "query ($id: ID!) { order(id: $id) { id legacyResourceId name createdAt updatedAt cancelledAt
        cancelReason currencyCode totalPriceSet { shopMoney { amount } } customAttributes { key value } note tags
        sourceName test statusPageUrl retailLocation { id } customer { displayName firstName lastName }
        shippingAddress { name firstName lastName } lineItems(first: 10) { nodes { id title name variantTitle sku
        quantity currentQuantity fulfillmentStatus isGiftCard originalUnitPriceSet { shopMoney { amount } }
        product { id } variant { id } customAttributes { key value } } } refunds { createdAt processedAt
        refundLineItems(first: 10) { nodes { id quantity restockType lineItem { id } location { id } } } } } }";
    let id = format!("gid://shopify/Order/{}", sale.order);
    let answer = fixture.call(query, json!({"id": id})).await;
    assert_eq!(answer.body.get("errors"), None, "{}", answer.body);
    let normal = |body: &Value| {
        let order = ordak_core::order::shopify::normalise(body.to_string().as_bytes()).unwrap();
        plain(serde_json::to_value(order).unwrap())
    };
    let rest = normal(&shopify.order_body(SHOP, sale.order).unwrap());
    assert_eq!(normal(&answer.body), rest);
    assert_eq!(rest["refund_lines"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_page_and_its_json_show_what_is_there() {
    let fixture = Fixture::new().await;
    fixture.shopify.put(SHOP, Variant::new(6, "<B>", "Matcha Cake").available(LOCATION, 77)).unwrap();
    fixture.adjust("key-1", json!([change(1, -3)])).await;
    let get = async |path: &str| {
        let response = fixture.client.get(format!("{}{path}", fixture.shopify.url())).send().await.unwrap();
        response.text().await.unwrap()
    };
    let page = get("/").await;
    for text in [SHOP, "&lt;B>", "<td>77", "key-1", "inventoryAdjustQuantities"] {
        assert!(page.contains(text), "expected {text} in {page}");
    }
    let state: Value = serde_json::from_str(&get("/state").await).unwrap();
    assert_eq!(state["shops"][0]["items"][0]["levels"][0]["quantities"]["available"], 7);
    assert_eq!(state["shops"][0]["adjustments"][0]["changes"][0]["after"], 7);
}

#[tokio::test]
async fn a_person_sells_with_curl_and_is_told_the_webhooks() {
    let fixture = Fixture::new().await;
    let url = |path: &str| format!("{}/{SHOP}{path}", fixture.shopify.url());
    let post = async |path: &str, body: Value| -> Value {
        let response = fixture.client.post(url(path)).json(&body).send().await.unwrap();
        response.error_for_status().unwrap().json().await.unwrap()
    };
    let sold = post("/orders", json!({"lines": [{"sku": "ONE", "quantity": 3}], "deliver": false})).await;
    assert_eq!(sold["webhooks"][0]["topic"], "orders/create");
    assert_eq!(sold["sent"], json!([]));
    let order = sold["order"].as_str().unwrap();
    let refund = json!({"line": 0, "units": 1, "restock_type": "cancel", "deliver": false});
    post(&format!("/orders/{order}/refunds"), refund).await;
    assert_eq!(fixture.available("ONE"), 8);
    post(&format!("/orders/{order}/cancel"), json!({"restock": true, "deliver": false})).await;
    assert_eq!(fixture.available("ONE"), 10);
    // Nobody listens to webhooks here: each is sent, and not taken.
    let edited = post("/levels", json!({"sku": "ONE", "quantity": 2})).await;
    assert_eq!(
        (&edited["sent"][0]["topic"], &edited["sent"][0]["status"]),
        (&json!("inventory_levels/update"), &Value::Null)
    );
    assert_eq!(fixture.available("ONE"), 2);
    let wrong = fixture.client.post(url("/levels")).json(&json!({"sku": "NONE", "quantity": 2})).send().await;
    assert_eq!(wrong.unwrap().status(), 422);
}
