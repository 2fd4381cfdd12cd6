//! What `inventoryAdjustQuantities` does, and what it refuses.

use super::*;

#[tokio::test]
async fn an_adjustment_moves_every_level_by_its_difference() {
    let fixture = Fixture::new().await;
    let answer = fixture.adjust("k", json!([change(1, -3), change(2, 5)])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.codes(), [""; 0]);
    assert_eq!((fixture.available("ONE"), fixture.available("TWO"), fixture.available("THREE")), (7, 15, 10));
    let group = &answer.body["data"]["inventoryAdjustQuantities"]["inventoryAdjustmentGroup"];
    assert_eq!(group["changes"][0], json!({"delta": -3, "quantityAfterChange": 7, "item": {"sku": "ONE"}}));
    let adjustments = fixture.shopify.adjustments(SHOP).unwrap();
    assert_eq!(adjustments.len(), 1);
    assert_eq!(adjustments[0].key, "k");
    let first = Change { inventory_item: 1, location: LOCATION, delta: -3, before: 10, after: 7 };
    assert_eq!(adjustments[0].changes[0], first);
}

#[tokio::test]
async fn without_a_key_or_with_the_comparison_left_out_nothing_is_done() {
    let fixture = Fixture::new().await;
    let without = ADJUST.replace("@idempotent(key: $key)", "").replace("$key: String!, ", "");
    let answer = fixture.call(&without, variables("k", json!([change(1, 1)]))).await;
    assert_eq!((answer.status, answer.error()), (200, "BAD_REQUEST"));
    let mut silent = change(1, 1);
    silent.as_object_mut().unwrap().remove("changeFromQuantity");
    for (key, changes, expected) in [
        ("  ", json!([change(1, 1)]), "BAD_REQUEST"),
        ("k", json!([silent]), "INVALID_FIELD_ARGUMENTS"),
        ("k", vec![change(1, 1); 251].into(), "MAX_INPUT_SIZE_EXCEEDED"),
    ] {
        assert_eq!(fixture.adjust(key, changes).await.error(), expected);
    }
    assert_eq!(fixture.available("ONE"), 10);
    assert_eq!(fixture.adjust("k", vec![change(1, 1); 250].into()).await.codes(), [""; 0]);
}

#[tokio::test]
async fn one_refused_change_undoes_them_all_and_is_named() {
    let fixture = Fixture::new().await;
    let shopify = &fixture.shopify;
    shopify.put(SHOP, Variant::new(4, "NOWHERE", "Matcha Cake")).unwrap();
    let bundle = Variant::new(5, "BUNDLE", "Matcha Cake").available(LOCATION, 1);
    shopify.put(SHOP, Variant { mutable: false, ..bundle }).unwrap();
    let good = change(1, 1);
    for (number, (bad, code, field)) in [
        (change(99, 1), "INVALID_INVENTORY_ITEM", "inventoryItemId"),
        (
            with(good.clone(), "inventoryItemId", "gid://shopify/Product/1".into()),
            "INVALID_INVENTORY_ITEM",
            "inventoryItemId",
        ),
        (
            with(good.clone(), "locationId", "gid://shopify/Location/1".into()),
            "INVALID_LOCATION",
            "locationId",
        ),
        (change(4, 1), "ITEM_NOT_STOCKED_AT_LOCATION", "locationId"),
        (change(5, 1), "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId"),
        (change(2, 2_000_000_000), "INVALID_QUANTITY_TOO_HIGH", "delta"),
        (change(2, -2_000_000_012), "INVALID_QUANTITY_TOO_LOW", "delta"),
        (
            with(change(2, 1), "changeFromQuantity", 9.into()),
            "CHANGE_FROM_QUANTITY_STALE",
            "changeFromQuantity",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let answer =
            fixture.adjust(&format!("k{number}"), json!([good, change(2, 1), change(3, 1), bad])).await;
        let payload = &answer.body["data"]["inventoryAdjustQuantities"];
        assert_eq!(payload["inventoryAdjustmentGroup"], Value::Null);
        assert_eq!(payload["userErrors"][0]["field"], json!(["input", "changes", "3", field]));
        assert_eq!(answer.codes(), [code]);
        assert_eq!((fixture.available("ONE"), fixture.available("THREE")), (10, 10));
    }
    assert!(shopify.adjustments(SHOP).unwrap().is_empty());
    // What is compared rightly passes, also below 0.
    let right = with(change(2, -12), "changeFromQuantity", 10.into());
    assert_eq!(fixture.adjust("right", json!([right])).await.codes(), [""; 0]);
    assert_eq!(fixture.available("TWO"), -2);
}

#[tokio::test]
async fn a_reason_or_a_quantity_that_is_none_is_refused() {
    let fixture = Fixture::new().await;
    for (field, value, code) in [
        ("name", "on_hand", "INVALID_QUANTITY_NAME"),
        ("reason", "because", "INVALID_REASON"),
        ("referenceDocumentUri", "gid://shopify/Order/1", "INVALID_REFERENCE_DOCUMENT"),
    ] {
        let mut variables = variables(field, json!([change(1, 1)]));
        variables["input"][field] = value.into();
        let answer = fixture.call(ADJUST, variables).await;
        assert_eq!(answer.codes(), [code]);
        let payload = &answer.body["data"]["inventoryAdjustQuantities"];
        assert_eq!(payload["userErrors"][0]["field"], json!(["input", field]));
    }
}

#[tokio::test]
async fn a_key_is_good_for_one_adjustment_in_a_day() {
    let fixture = Fixture::new().await;
    let first = fixture.adjust("k", json!([change(1, -1)])).await;
    let again = fixture.adjust("k", json!([change(1, -1)])).await;
    assert_eq!(again.body["data"], first.body["data"]);
    assert_eq!(fixture.available("ONE"), 9);
    let other = fixture.adjust("k", json!([change(1, -2)])).await;
    assert_eq!(other.codes(), ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]);
    fixture.shopify.advance(Duration::from_secs(24 * 60 * 60));
    fixture.adjust("k", json!([change(1, -1)])).await;
    assert_eq!(fixture.available("ONE"), 8);
    assert_eq!(fixture.adjust("bad", json!([change(99, 1)])).await.codes(), ["INVALID_INVENTORY_ITEM"]);
    let failed = fixture.adjust("bad", json!([change(99, 1)])).await;
    assert_eq!(failed.codes(), ["IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"]);
}
