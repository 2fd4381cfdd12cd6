//! What happens to deliveries when a part of the system is down, slow or killed.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ordak_core::route::HEALTH;
use xtask::stack::Stack;
use xtask::stack::order::Order;
use xtask::stack::shopify::{Sent, Shopify, Webhook};

use crate::support::*;

/// One stack of its own for all of it, since starting one takes seconds.
#[test]
fn deliveries_survive_what_is_done_to_the_database() {
    run(async {
        let mut stack = start("faults").await;
        a_database_that_is_down_gets_503_and_the_delivery_succeeds_later(&mut stack).await;
        a_slow_database_gets_503_in_time_and_nothing_is_half_written(&mut stack).await;
        postgrest_killed_in_the_middle_loses_nothing(&mut stack).await;
        stack.stop().await;
    });
}

/// A statement of what a delivery was answered, for comparing.
fn said(sent: &Sent) -> String {
    let body: serde_json::Value = serde_json::from_str(&sent.answer).unwrap_or_default();
    let word = body["status"].as_str().or(body["code"].as_str()).unwrap_or_default();
    format!("{} {word}", sent.status.unwrap_or_default())
}

async fn a_database_that_is_down_gets_503_and_the_delivery_succeeds_later(stack: &mut Stack) {
    let webhook = create(&Order::new(BANNOS, number()));
    for service in ["postgres", "postgrest"] {
        stack.kill(service).await;
        assert_eq!(said(&stack.shopify.send(&webhook).await.unwrap()), "503 SYS001", "without {service}");
        let ready = Answer::get(format!("{}{}?ready", stack.url(), HEALTH.path)).await;
        assert_eq!(ready.status, 503, "without {service}");
        let alive = Answer::get(format!("{}{}", stack.url(), HEALTH.path)).await;
        assert_eq!(alive.status, 200, "without {service}");
    }
    stack.start_postgres().await.unwrap();
    stack.start_postgrest().await.unwrap();
    assert_eq!(said(&stack.shopify.send(&webhook).await.unwrap()), "200 created");
}

async fn a_slow_database_gets_503_in_time_and_nothing_is_half_written(stack: &mut Stack) {
    let mut database = database(stack).await;
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let lock = database.transaction().await.unwrap();
    lock.batch_execute("lock table ordak.order_lines in access exclusive mode").await.unwrap();
    let start = Instant::now();
    let sent = stack.shopify.send(&webhook).await.unwrap();
    assert_eq!(said(&sent), "503 SYS002");
    assert!(
        start.elapsed() < Duration::from_millis(4900),
        "Shopify waits five seconds, this took {:?}",
        start.elapsed()
    );
    let half = format!("select count(*) from ordak.orders where number = {}", order.number);
    let seen: i64 = lock.query_one(&half, &[]).await.unwrap().get(0);
    assert_eq!(seen, 0);
    lock.commit().await.unwrap();
    let again = stack.shopify.send(&webhook).await.unwrap();
    assert!(["200 created", "200 skipped"].contains(&said(&again).as_str()), "{again:?}");
    assert_eq!(count(&database, &half).await, 1);
}

async fn postgrest_killed_in_the_middle_loses_nothing(stack: &mut Stack) {
    const DELIVERIES: usize = 200;
    let first = number();
    for _ in 1..DELIVERIES {
        number();
    }
    let webhooks: Vec<Webhook> =
        (first..).take(DELIVERIES).map(|number| create(&Order::new(BANNOS, number))).collect();
    let shopify = stack.shopify.clone();
    let deliveries = webhooks.clone();
    let sending = tokio::spawn(deliver(shopify, deliveries));
    let database = database(stack).await;
    let some = format!("select count(*) from ordak.orders where number >= {first}");
    while count(&database, &some).await < 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stack.kill("postgrest").await;
    let answers = sending.await.unwrap();
    stack.start_postgrest().await.unwrap();

    let taken = answers.iter().filter(|answer| answer.status == Some(200)).count();
    let failed = answers.iter().filter(|answer| answer.status == Some(503)).count();
    assert_eq!(taken + failed, DELIVERIES, "every answer is 200 or 503");
    assert!(taken >= 30 && failed > 0, "it was killed in the middle: {taken} taken, {failed} failed");
    for (answer, number) in answers.iter().zip(first..).filter(|(answer, _)| answer.status == Some(200)) {
        let sql = format!("select count(*) from ordak.orders where number = {number}");
        assert_eq!(count(&database, &sql).await, 1, "{answer:?}");
    }
    let again = deliver(stack.shopify.clone(), webhooks).await;
    assert!(again.iter().all(|answer| answer.status == Some(200)));
    assert_eq!(count(&database, &some).await, DELIVERIES as i64);
    let tasks = format!(
        "select count(*) from ordak.tasks as t join ordak.orders as o on o.id = t.order_key where o.number >= {first}"
    );
    assert_eq!(count(&database, &tasks).await, DELIVERIES as i64);
}

/// Sends them eight at a time; the answers are in their order.
async fn deliver(shopify: Shopify, webhooks: Vec<Webhook>) -> Vec<Sent> {
    let sends = webhooks.into_iter().map(|webhook| {
        let shopify = shopify.clone();
        async move { shopify.send(&webhook).await.unwrap() }
    });
    futures_util::stream::iter(sends).buffered(8).collect().await
}
