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

async fn a_database_that_is_down_gets_503_and_the_delivery_succeeds_later(stack: &mut Stack) {
    let webhook = create(&Order::new(BANNOS, number()));
    for service in ["postgres", "postgrest"] {
        stack.kill(service).await;
        assert_eq!(
            said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()),
            "503 SYS001",
            "without {service}"
        );
        let ready = Answer::get(format!("{}{}?ready", stack.url(), HEALTH.path)).await;
        assert_eq!(ready.status, 503, "without {service}");
        let alive = Answer::get(format!("{}{}", stack.url(), HEALTH.path)).await;
        assert_eq!(alive.status, 200, "without {service}");
    }
    stack.start_postgres().await.unwrap();
    stack.start_postgrest().await.unwrap();
    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 created");
}

async fn a_slow_database_gets_503_in_time_and_nothing_is_half_written(stack: &mut Stack) {
    let (watcher, mut locker) = (database(stack).await, database(stack).await);
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table ordak.order_lines in access exclusive mode").await.unwrap();
    let start = Instant::now();
    let sent = stack.shopify.send(&webhook).await.unwrap();
    assert_eq!(said_to_shopify(&sent), "503 SYS002");
    assert!(
        start.elapsed() < Duration::from_millis(4900),
        "Shopify waits five seconds, this took {:?}",
        start.elapsed()
    );
    let mine = format!("where o.number = {}", order.number);
    let half: i64 =
        lock.query_one(&format!("select count(*) from ordak.orders as o {mine}"), &[]).await.unwrap().get(0);
    assert_eq!(half, 0);
    // Still locked: a call that nobody waits for must not keep its connection for as long as a lock lasts.
    let gone = async || (count(&watcher, WAITING).await == 0).then_some(());
    until_within(Duration::from_secs(5), "an end of the call that was answered 503", gone).await;
    lock.commit().await.unwrap();

    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 created");
    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 skipped");
    for table in ["order_lines", "tasks", "webhook_deliveries"] {
        let sql = format!(
            "select count(*) from ordak.orders as o join ordak.{table} as t on t.order_key = o.id {mine}"
        );
        assert_eq!(count(&watcher, &sql).await, 1, "{table}");
    }
}

/// How many calls wait for a lock. Not to be asked within a transaction, which would get the same answer
/// every time.
const WAITING: &str = "select count(*) from pg_stat_activity
                       where usename in ('authenticator', 'service_role') and wait_event_type = 'Lock'";

/// Some are taken before, some are being written when it happens, and the others come while it is down.
async fn postgrest_killed_in_the_middle_loses_nothing(stack: &mut Stack) {
    let webhooks: Vec<Webhook> = (1..=DELIVERIES).map(|number| create(&Order::new(BANNOS, number))).collect();
    let (before, rest) = webhooks.split_at(30);
    let (during, after) = rest.split_at(AT_ONCE);
    let taken = deliver(&stack.shopify, before).await;
    assert!(taken.iter().all(|sent| said_to_shopify(sent) == "200 created"), "{taken:?}");

    let (watcher, mut locker) = (database(stack).await, database(stack).await);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table ordak.tasks in access exclusive mode").await.unwrap();
    let shopify = stack.shopify.clone();
    let kill = async {
        let in_flight = async || (count(&watcher, WAITING).await == AT_ONCE as i64).then_some(());
        until("every delivery in the database", in_flight).await;
        stack.kill("postgrest").await;
        lock.commit().await.unwrap();
    };
    let (mut failed, ()) = tokio::join!(deliver(&shopify, during), kill);
    failed.extend(deliver(&stack.shopify, after).await);
    assert!(failed.iter().all(|sent| sent.status == Some(503)), "{failed:?}");
    stack.start_postgrest().await.unwrap();

    let lost = format!(
        "select count(*) from generate_series(1, {}) as n (number)
                        where not exists (select from ordak.orders as o where o.number = n.number)",
        before.len()
    );
    assert_eq!(count(&watcher, &lost).await, 0, "what was answered 200 is there");
    let again = deliver(&stack.shopify, &webhooks).await;
    assert!(again.iter().all(|sent| sent.status == Some(200)), "{again:?}");
    for joined in [
        "",
        "join ordak.tasks as t on t.order_key = o.id",
        "join ordak.webhook_deliveries as d on d.order_key = o.id",
    ] {
        let sql = format!("select count(*) from ordak.orders as o {joined} where o.number <= {DELIVERIES}");
        assert_eq!(count(&watcher, &sql).await, DELIVERIES, "{joined}");
    }
}

/// How many deliveries PostgREST's end falls among.
const DELIVERIES: i64 = 200;

/// How many deliveries are under way at once; PostgREST has ten connections.
const AT_ONCE: usize = 8;

/// Sends them; the answers are in their order.
async fn deliver(shopify: &Shopify, webhooks: &[Webhook]) -> Vec<Sent> {
    let sends = webhooks.iter().map(async |webhook| shopify.send(webhook).await.unwrap());
    futures_util::stream::iter(sends).buffered(AT_ONCE).collect().await
}
