//! What is read, and what it costs.

use super::*;

#[tokio::test]
async fn the_version_and_the_time_are_told_with_the_answer() {
    let fixture = Fixture::new().await;
    fixture.shopify.set_clock("2026-11-24T02:05:09Z".parse().unwrap());
    let body = json!({"query": "{ locations(first: 1) { nodes { id } } }"});
    for (asked, answered) in [("2026-07", "2026-07"), ("2024-01", "2026-01")] {
        let answer = fixture.post(asked, "shpat_right", body.clone()).await.unwrap();
        assert_eq!(answer.headers["x-shopify-api-version"], answered);
        assert_eq!(answer.headers["date"], "Tue, 24 Nov 2026 02:05:09 GMT");
    }
    assert_eq!(fixture.post("2099-01", "shpat_right", body.clone()).await.unwrap().status, 404);
    assert_eq!(fixture.post("2026-07", "shpat_wrong", body).await.unwrap().status, 401);
}

#[tokio::test]
async fn levels_are_read_by_item_at_a_location() {
    let fixture = Fixture::new().await;
    let query = "query ($ids: [ID!]!, $location: ID!) { nodes(ids: $ids) { ... on InventoryItem { id tracked
        inventoryLevel(locationId: $location) { quantities(names: [\"available\", \"damaged\", \"on_hand\"]) {
        name quantity } } } } }";
    fixture.shopify.edit(SHOP, "TWO", "damaged", 2).unwrap();
    let ids = ["gid://shopify/InventoryItem/2", "gid://shopify/InventoryItem/99"];
    let answer = fixture.call(query, json!({"ids": ids, "location": "gid://shopify/Location/70001"})).await;
    let quantities = json!([
        {"name": "available", "quantity": 10}, {"name": "damaged", "quantity": 2},
        {"name": "on_hand", "quantity": 12},
    ]);
    let item = json!({
        "id": ids[0], "tracked": true, "inventoryLevel": {"quantities": quantities},
    });
    assert_eq!(answer.body["data"], json!({"nodes": [item, null]}));
}

#[tokio::test]
async fn the_bucket_pays_for_each_call_and_fills_again() {
    let fixture = Fixture::new().await;
    fixture.shopify.set_clock("2026-11-24T00:00:00Z".parse().unwrap());
    let limit = Limit { maximum: 30.0, restore_rate: 5.0, status: 200 };
    fixture.shopify.limit(SHOP, limit.clone()).unwrap();
    // A page of ten costs 2 + 10, of which three are there.
    let query = "query Some { productVariants(first: 10) { edges { node { sku } } } }";
    let answer = fixture.call(query, Value::Null).await;
    let status = json!({"maximumAvailable": 30.0, "currentlyAvailable": 25, "restoreRate": 5.0});
    let cost = json!({"requestedQueryCost": 12, "actualQueryCost": 5, "throttleStatus": status});
    assert_eq!(answer.body["extensions"]["cost"], cost);
    fixture.adjust("a", json!([change(1, 1)])).await;
    fixture.adjust("b", json!([change(1, 1)])).await;
    let throttled = fixture.adjust("c", json!([change(1, 1)])).await;
    assert_eq!((throttled.status, throttled.error()), (200, "THROTTLED"));
    assert_eq!(throttled.body["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"], 5);
    assert_eq!(fixture.available("ONE"), 12);
    fixture.shopify.advance(Duration::from_secs(1));
    assert_eq!(fixture.adjust("c", json!([change(1, 1)])).await.codes(), [""; 0]);
    fixture.shopify.limit(SHOP, Limit { maximum: 1.0, status: 429, ..limit }).unwrap();
    let throttled = fixture.adjust("d", json!([change(1, 1)])).await;
    assert_eq!((throttled.status, &throttled.headers["retry-after"]), (429, &"2.0".parse().unwrap()));
    let counts = fixture.shopify.counts(SHOP).unwrap();
    assert_eq!((counts.calls["inventoryAdjustQuantities"], counts.throttled, counts.cost), (5, 2, 35));
}

#[tokio::test]
async fn a_query_that_could_cost_more_than_1000_points_is_refused() {
    let fixture = Fixture::new().await;
    let query = "query ($first: Int!) { productVariants(first: $first) { nodes { inventoryItem {
        inventoryLevels(first: 10) { nodes { id } } } } } }";
    // 2 + 71 × (1 + 1 + 2 + 10) = 996
    let answer = fixture.call(query, json!({"first": 71})).await;
    assert_eq!(answer.body["extensions"]["cost"]["requestedQueryCost"], 996);
    assert_eq!(fixture.call(query, json!({"first": 72})).await.error(), "MAX_COST_EXCEEDED");
}

#[tokio::test]
async fn variants_are_found_by_sku_and_what_is_not_understood_is_refused() {
    let fixture = Fixture::new().await;
    let quote = Variant::new(4, "O'NE 1\"", "Matcha Cake");
    fixture.shopify.put(SHOP, quote).unwrap();
    let query =
        "query ($q: String) { productVariants(first: 9, query: $q) { nodes { sku inventoryItem { id } } } }";
    for (search, expected) in [
        ("sku:ONE", vec!["ONE"]),
        ("sku:'two' OR sku:\"THREE\" OR sku:NONE", vec!["TWO", "THREE"]),
        ("sku:'O\\'NE 1\"'", vec!["O'NE 1\""]),
        ("sku:ONE AND sku:TWO", vec![]),
    ] {
        let answer = fixture.call(query, json!({"q": search})).await;
        let nodes = answer.body["data"]["productVariants"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.iter().map(|node| node["sku"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    }
    for search in
        ["ONE", "sku:ON*", "title:Matcha", "sku:O NE", "sku:ONE OR", "(sku:ONE)", "sku:'ONE", "-sku:ONE"]
    {
        let answer = fixture.call(query, json!({"q": search})).await;
        assert!(answer.body["errors"].is_array(), "{search}: {}", answer.body);
    }
}

#[tokio::test]
async fn orders_are_listed_by_their_last_change_page_by_page() {
    let fixture = Fixture::new().await;
    let shopify = &fixture.shopify;
    shopify.set_clock("2026-11-24T00:00:00Z".parse().unwrap());
    let mut sold = Vec::new();
    for _ in 0..3 {
        sold.push(shopify.sell(&shopify.order(SHOP, &[("ONE", 1)]).unwrap()).unwrap().order);
        shopify.advance(Duration::from_secs(60));
    }
    shopify.cancel(SHOP, sold[1], true).unwrap();
    let query = "query ($after: String) { orders(first: 2, after: $after, sortKey: UPDATED_AT,
        query: \"updated_at:>='2026-11-24T00:01:00Z'\") { nodes { legacyResourceId updatedAt cancelledAt }
        pageInfo { hasNextPage endCursor } } }";
    let first = fixture.call(query, json!({"after": null})).await.body["data"]["orders"].take();
    let order = |id: i64, updated: &str, cancelled: Option<&str>| {
        let id = id.to_string();
        json!({"legacyResourceId": id, "updatedAt": updated, "cancelledAt": cancelled})
    };
    let at = "2026-11-24T00:03:00Z";
    let expected = json!([order(sold[2], "2026-11-24T00:02:00Z", None), order(sold[1], at, Some(at))]);
    assert_eq!(first["nodes"], expected);
    assert_eq!(first["pageInfo"]["hasNextPage"], false);
    // What changes after a page was read stands behind its cursor.
    shopify.advance(Duration::from_secs(60));
    shopify.refund(SHOP, sold[0], 0, 1, Restock::NoRestock).unwrap();
    let second = fixture.call(query, json!({"after": first["pageInfo"]["endCursor"]})).await;
    let expected = json!([order(sold[0], "2026-11-24T00:04:00Z", None)]);
    assert_eq!(second.body["data"]["orders"]["nodes"], expected);
}
