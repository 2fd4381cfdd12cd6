//! What goes wrong when it is told to.

use super::*;

#[tokio::test]
async fn a_key_in_use_is_told_so_and_the_work_outlives_its_caller() {
    let fixture = Fixture::new().await;
    fixture.shopify.fault(SHOP, Fault::from(FaultKind::Slow { ms: 600_000 }).times(1)).unwrap();
    {
        let slow = std::pin::pin!(fixture.adjust("k", json!([change(1, -1)])));
        let taken = std::pin::pin!(until(|| {
            locked(&fixture.shopify.world).shop(SHOP).unwrap().keys.contains_key("k")
        }));
        let first = futures_util::future::select(slow, taken).await;
        assert!(matches!(first, futures_util::future::Either::Right(_)), "expected it to be slow");
    }
    let meanwhile = fixture.adjust("k", json!([change(1, -1)])).await;
    assert_eq!(meanwhile.codes(), ["IDEMPOTENCY_CONCURRENT_REQUEST"]);
    assert_eq!(fixture.available("ONE"), 10);
    fixture.shopify.clear_faults(SHOP).unwrap();
    until(|| fixture.available("ONE") == 9).await;
    assert_eq!(fixture.adjust("k", json!([change(1, -1)])).await.codes(), [""; 0]);
    assert_eq!(fixture.available("ONE"), 9);
}

#[tokio::test]
async fn an_answer_that_is_lost_tells_nothing_of_what_was_done() {
    let fixture = Fixture::new().await;
    for (kind, available) in
        [(FaultKind::CutBefore, 10), (FaultKind::CutAfter, 9), (FaultKind::Hang { ms: 1 }, 9)]
    {
        fixture.shopify.fault(SHOP, Fault::from(kind.clone()).times(1)).unwrap();
        let body = json!({"query": ADJUST, "variables": variables("k", json!([change(1, -1)]))});
        let answer = fixture.post("2026-07", "shpat_right", body).await;
        assert!(answer.is_err(), "{kind:?}");
        assert_eq!(fixture.available("ONE"), available, "{kind:?}");
    }
    // The same key again: done already, and once.
    assert_eq!(fixture.adjust("k", json!([change(1, -1)])).await.codes(), [""; 0]);
    assert_eq!(fixture.available("ONE"), 9);
    fixture.shopify.fault(SHOP, Fault::from(FaultKind::FailAfter).times(1)).unwrap();
    assert_eq!(fixture.adjust("l", json!([change(1, -1)])).await.status, 500);
    assert_eq!(fixture.adjust("l", json!([change(1, -1)])).await.codes(), [""; 0]);
    assert_eq!(fixture.available("ONE"), 8);
    let cut = fixture.shopify.calls(SHOP).unwrap().iter().filter(|call| call.status.is_none()).count();
    assert_eq!(cut, 3);
}

#[tokio::test]
async fn a_fault_befalls_the_calls_that_it_is_for_as_often_as_told() {
    let fixture = Fixture::new().await;
    let faults = format!("{}/{SHOP}/faults", fixture.shopify.url());
    let fault = json!({
        "fault": "status", "status": 429, "retry_after": 3, "times": 2, "operation": "inventoryAdjustQuantities",
    });
    fixture.client.post(&faults).json(&fault).send().await.unwrap().error_for_status().unwrap();
    let read = fixture.call("{ locations(first: 1) { nodes { name } } }", Value::Null).await;
    assert_eq!(read.status, 200);
    for expected in [429, 429, 200] {
        let answer = fixture.adjust("k", json!([change(1, 1)])).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.headers.contains_key("retry-after"), expected == 429);
    }
    for status in [401, 402, 403, 404, 423, 430, 500, 503, 530] {
        fixture.shopify.fault(SHOP, Fault::status(status).times(1)).unwrap();
        assert_eq!(fixture.adjust("s", json!([change(1, 1)])).await.status, status);
    }
    fixture.shopify.fault(SHOP, Fault::status(500)).unwrap();
    for _ in 0..3 {
        assert_eq!(fixture.adjust("s", json!([change(1, 1)])).await.status, 500);
    }
    fixture.client.delete(&faults).send().await.unwrap();
    assert_eq!(fixture.adjust("s", json!([change(1, 1)])).await.status, 200);
}

#[tokio::test]
async fn a_poisoned_item_spoils_each_call_that_names_it() {
    let fixture = Fixture::new().await;
    fixture.shopify.fault(SHOP, Fault::status(500).item(2)).unwrap();
    assert_eq!(fixture.adjust("a", json!([change(1, 1), change(2, 1)])).await.status, 500);
    assert_eq!(fixture.adjust("b", json!([change(1, 1), change(22, 1)])).await.status, 200);
    let code = UserErrorCode::AdjustQuantitiesFailed;
    fixture.shopify.fault(SHOP, Fault::from(FaultKind::UserError { code }).item(3)).unwrap();
    let answer = fixture.adjust("c", json!([change(1, 1), change(3, 1)])).await;
    assert_eq!(answer.codes(), ["ADJUST_QUANTITIES_FAILED"]);
    let errors = &answer.body["data"]["inventoryAdjustQuantities"]["userErrors"];
    assert_eq!(errors[0]["field"], json!(["input", "changes", "1", "inventoryItemId"]));
    let code = UserErrorCode::ServiceUnavailable;
    fixture.shopify.fault(SHOP, Fault::from(FaultKind::UserError { code }).times(1)).unwrap();
    let answer = fixture.adjust("d", json!([change(1, 1)])).await;
    assert_eq!(answer.codes(), ["SERVICE_UNAVAILABLE"]);
    assert_eq!(answer.body["data"]["inventoryAdjustQuantities"]["userErrors"][0]["field"], Value::Null);
    assert_eq!(fixture.available("ONE"), 10);
}
