//! What becomes of a delivery, the same on both hosts: an order, nothing new, or a dead letter.

use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

on_both_hosts! {
    an_order_is_created_with_its_lines_and_tasks
    a_repeated_delivery_is_skipped
    a_version_that_is_there_is_skipped_whatever_topic_it_comes_under
    a_newer_body_wins_and_an_older_one_changes_nothing
    fifty_copies_at_once_make_one_order
    several_cakes_get_letters
    what_is_no_order_is_kept_once
    a_body_that_cannot_be_taken_is_kept_once_under_whatever_id_it_comes
    a_number_of_another_order_is_kept
    an_order_of_another_store_is_kept
    a_delivery_under_another_domain_does_not_pass_for_the_first
    a_delivery_under_another_topic_does_not_pass_for_the_first
    other_topics_are_recorded
    a_delivery_without_a_topic_is_kept
}

async fn an_order_is_created_with_its_lines_and_tasks(host: Host) {
    let number = number();
    let cake = Line::new("Chocolate Fudge Cake", "Large / Chocolate", 1).with("Cake writing", "Happy 30th!");
    let order = Order::new(BANNOS, number).lines(vec![cake, Line::new("Sparkling Candle", "Gold", 3)]);
    let answer = send(&shared().webhooks(host), &create(&order)).await;
    assert_eq!(answer.said(), "200 created", "{answer:?}");
    assert_eq!(answer.body["order_id"], format!("bannos-{number}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let database = database(&shared().stack).await;
    let row = database
        .query_one(
            "select o.shopify_order_id, o.customer_name, o.due_date::text, o.delivery_window, o.total_amount::text,
                    t.number, t.stage::text, t.size, t.flavour, t.cake_writing,
                    (select count(*) from ordak.order_lines as l where l.order_key = o.id)
             from ordak.orders as o join ordak.tasks as t on t.order_key = o.id where o.number = $1",
            &[&number],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), order.id);
    let texts: Vec<Option<String>> = (1..10).map(|column| row.get(column)).collect();
    let printed = format!("B{number}");
    let expected = [
        "Mia Sample",
        "2026-12-15",
        "10:00 AM and 12:00 PM",
        "380.00",
        &printed,
        "Filling",
        "Large",
        "Chocolate",
        "Happy 30th!",
    ];
    assert_eq!(texts, expected.map(|text| Some(text.to_owned())));
    assert_eq!(row.get::<_, i64>(10), 2);
}

async fn a_repeated_delivery_is_skipped(host: Host) {
    let webhook = create(&Order::new(BANNOS, number()));
    let url = shared().webhooks(host);
    let (first, second) = (send(&url, &webhook).await, send(&url, &webhook).await);
    assert_eq!([first.said(), second.said()], ["200 created", "200 skipped"]);
    assert_eq!(first.body["order_id"], second.body["order_id"]);
}

async fn a_version_that_is_there_is_skipped_whatever_topic_it_comes_under(host: Host) {
    let order = Order::new(FLOURLANE, number());
    let url = shared().webhooks(host);
    assert_eq!(send(&url, &create(&order)).await.said(), "200 created");
    let before = rows(&order).await;
    for topic in ["orders/create", "orders/updated", "orders/cancelled", "orders/cancel"] {
        let answer = send(&url, &Webhook::new(topic, FLOURLANE, order.body())).await;
        assert_eq!(answer.said(), "200 skipped", "{topic}");
        assert_eq!(answer.body["order_id"], format!("flourlane-{}", order.number));
        assert_eq!(rows(&order).await, before, "{topic}");
    }
}

async fn a_newer_body_wins_and_an_older_one_changes_nothing(host: Host) {
    let order = Order::new(BANNOS, number());
    let url = shared().webhooks(host);
    assert_eq!(send(&url, &create(&order)).await.said(), "200 created");
    let changed = Order { customer: "Somebody Else".into(), due: None, ..order.clone() }
        .lines(vec![Line::new("Matcha Cake", "Small", 3)]);
    let mut webhook = create(&changed);
    webhook.body["updated_at"] = "2026-12-01T09:30:00+11:00".into();
    assert_eq!(send(&url, &webhook).await.said(), "200 updated");
    let after = rows(&order).await;
    assert_eq!(after[0]["customer_name"], "Somebody Else");
    assert_eq!(after[0]["flags"], json!(["no_due_date"]));
    let numbers: Vec<_> = after[2].as_array().unwrap().iter().map(|task| &task["number"]).collect();
    assert_eq!(
        numbers,
        ["A", "B", "C"].map(|letter| json!(format!("B{}-{letter}", order.number))).each_ref()
    );
    // The second one is older as an instant, though as a text it is larger.
    for updated_at in ["2026-11-01T09:30:00+11:00", "2026-12-01T10:00:00+13:00"] {
        let mut webhook = create(&order);
        webhook.body["updated_at"] = updated_at.into();
        assert_eq!(send(&url, &webhook).await.said(), "200 skipped", "{updated_at}");
        assert_eq!(rows(&order).await, after, "{updated_at}");
    }
}

/// All that is kept of an order: itself, its lines and its tasks.
async fn rows(order: &Order) -> Value {
    let sql = "select jsonb_build_array(
                 to_jsonb(o),
                 (select jsonb_agg(l order by l.id) from ordak.order_lines as l where l.order_key = o.id),
                 (select jsonb_agg(t order by t.id) from ordak.tasks as t where t.order_key = o.id))::text
               from ordak.orders as o where o.shopify_order_id = $1";
    let text: String = queries().await.query_one(sql, &[&order.id]).await.unwrap().get(0);
    serde_json::from_str(&text).unwrap()
}

async fn fifty_copies_at_once_make_one_order(host: Host) {
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let copies: Vec<_> = (0..50)
        .map(|_| {
            let (url, webhook) = (shared().webhooks(host), webhook.clone());
            tokio::spawn(async move { send(&url, &webhook).await.said() })
        })
        .collect();
    let mut created = 0;
    for copy in copies {
        match copy.await.unwrap().as_str() {
            "200 created" => created += 1,
            said => assert_eq!(said, "200 skipped"),
        }
    }
    assert_eq!(created, 1);
    let database = database(&shared().stack).await;
    let gid = format!("gid://shopify/Order/{}", order.id);
    let sql = format!(
        "select count(*) from ordak.orders as o join ordak.tasks as t on t.order_key = o.id where shopify_order_gid = '{gid}'"
    );
    assert_eq!(count(&database, &sql).await, 1);
}

async fn several_cakes_get_letters(host: Host) {
    let number = number();
    let order = Order::new(FLOURLANE, number)
        .lines(vec![Line::new("Fudge Cake", "Large", 27), Line::new("Matcha Cake", "Small", 1)]);
    assert_eq!(send(&shared().webhooks(host), &create(&order)).await.said(), "200 created");
    let database = database(&shared().stack).await;
    let rows = database
        .query("select number from ordak.tasks where number like $1 order by id", &[&format!("F{number}-%")])
        .await
        .unwrap();
    let numbers: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(numbers.len(), 28);
    let ends = [0, 25, 26, 27].map(|at| numbers[at].rsplit('-').next().unwrap());
    assert_eq!(ends, ["A", "Z", "AA", "AB"]);
}

async fn what_is_no_order_is_kept_once(host: Host) {
    let odd: [&[u8]; 8] = [
        b"{\"id\": 25",
        b"[]",
        b"null",
        b"\"text\"",
        b"{}",
        b"\xff\xfe not text",
        b"{\"id\": 1.5, \"line_items\": []}",
        b"{\"id\": 99999999999999999999, \"line_items\": []}",
    ];
    for body in odd {
        let webhook = create(&Order::new(BANNOS, number()));
        for _ in 0..2 {
            let answer = send_raw(&shared().webhooks(host), &webhook, body).await;
            assert_eq!(answer.said(), "200 rejected", "{:?}", String::from_utf8_lossy(body));
        }
        assert_eq!(deliveries(&webhook.webhook_id).await, ["bannos orders/create rejected"]);
        // Once on both hosts together.
        assert!(!only_dead_letter(body).await.is_empty());
    }
}

async fn a_body_that_cannot_be_taken_is_kept_once_under_whatever_id_it_comes(host: Host) {
    let body = format!("{{\"id\": {}", number()).into_bytes();
    let webhooks: Vec<_> = (0..3).map(|_| Webhook::new("orders/create", BANNOS, Value::Null)).collect();
    for webhook in &webhooks {
        let answer = send_raw(&shared().webhooks(host), webhook, &body).await;
        assert_eq!(answer.said(), "200 rejected");
        let reason = only_dead_letter(&body).await;
        assert!(answer.body["message"].as_str().unwrap().ends_with(&reason), "{answer:?}");
    }
    for webhook in &webhooks {
        assert_eq!(deliveries(&webhook.webhook_id).await, ["bannos orders/create rejected"]);
    }
}

/// The reason of the dead letter with this body, of which there must be one.
async fn only_dead_letter(body: &[u8]) -> String {
    let database = database(&shared().stack).await;
    let rows =
        database.query("select reason from ordak.dead_letters where body = $1", &[&body]).await.unwrap();
    assert_eq!(rows.len(), 1, "dead letters of {:?}", String::from_utf8_lossy(body));
    rows[0].get(0)
}

/// What is recorded under a webhook id, in the order of arrival.
async fn deliveries(webhook_id: &str) -> Vec<String> {
    let database = database(&shared().stack).await;
    let sql = "select concat_ws(' ', store, topic, outcome) from ordak.webhook_deliveries
               where webhook_id = $1 order by id";
    database.query(sql, &[&webhook_id]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn a_number_of_another_order_is_kept(host: Host) {
    let order = Order::new(BANNOS, number());
    let url = shared().webhooks(host);
    assert_eq!(send(&url, &create(&order)).await.said(), "200 created");
    let other = Order { id: order.id + 1, ..order };
    let answer = send(&url, &create(&other)).await;
    assert_eq!(answer.said(), "200 rejected");
    assert!(answer.body["message"].as_str().unwrap().contains("belongs to another order"), "{answer:?}");
}

async fn an_order_of_another_store_is_kept(host: Host) {
    for (first, second) in [(BANNOS, FLOURLANE), (FLOURLANE, BANNOS)] {
        let order = Order::new(first, number());
        assert_eq!(send(&shared().webhooks(host), &create(&order)).await.said(), "200 created");
        let webhook = create(&Order { shop_domain: second.into(), ..order.clone() });
        let answer = send(&shared().webhooks(host), &webhook).await;
        assert_eq!(answer.said(), "200 rejected", "{answer:?}");
        assert_eq!(answer.body["order_id"], Value::Null);
        only_dead_letter(&serde_json::to_vec(&webhook.body).unwrap()).await;
        assert_eq!(stores_of(&order).await, [code(first)]);
    }
}

/// The domain is a header and not signed: a captured delivery must not keep the real one out, nor be lost.
async fn a_delivery_under_another_domain_does_not_pass_for_the_first(host: Host) {
    for (first, second) in [(BANNOS, FLOURLANE), (FLOURLANE, BANNOS)] {
        let order = Order::new(first, number());
        let webhook = create(&order);
        let other = Webhook { shop_domain: second.into(), ..webhook.clone() };
        let mut said = Vec::new();
        for webhook in [&webhook, &other, &webhook, &other] {
            said.push(send(&shared().webhooks(host), webhook).await.said());
        }
        assert_eq!(said, ["200 created", "200 rejected", "200 skipped", "200 rejected"], "{first} first");
        let recorded = [(first, "created"), (second, "rejected")];
        let recorded = recorded.map(|(shop, outcome)| format!("{} orders/create {outcome}", code(shop)));
        assert_eq!(deliveries(&webhook.webhook_id).await, recorded);
        only_dead_letter(&serde_json::to_vec(&webhook.body).unwrap()).await;
        assert_eq!(stores_of(&order).await, [code(first)]);
    }
}

/// Nor is the topic signed.
async fn a_delivery_under_another_topic_does_not_pass_for_the_first(host: Host) {
    for real_first in [true, false] {
        let order = Order::new(BANNOS, number());
        let real = create(&order);
        let other = Webhook { topic: "carts/update".into(), ..real.clone() };
        let mut both = [(&real, "200 created", "200 skipped"), (&other, "200 ignored", "200 ignored")];
        if !real_first {
            both.reverse();
        }
        for (webhook, first, _) in both {
            assert_eq!(send(&shared().webhooks(host), webhook).await.said(), first, "{}", webhook.topic);
        }
        for (webhook, _, again) in both {
            assert_eq!(send(&shared().webhooks(host), webhook).await.said(), again, "{}", webhook.topic);
        }
        let mut recorded = deliveries(&real.webhook_id).await;
        recorded.sort();
        assert_eq!(recorded, ["bannos carts/update ignored", "bannos orders/create created"]);
        assert_eq!(stores_of(&order).await, ["bannos"]);
    }
}

/// The code of a store.
fn code(shop_domain: &str) -> &'static str {
    if shop_domain == BANNOS { "bannos" } else { "flourlane" }
}

/// The stores that an order stands in.
async fn stores_of(order: &Order) -> Vec<String> {
    let database = database(&shared().stack).await;
    let sql = "select store from ordak.orders where shopify_order_id = $1 or number = $2";
    database.query(sql, &[&order.id, &order.number]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn other_topics_are_recorded(host: Host) {
    let webhook = Webhook::new("carts/update", BANNOS, json!({"id": 1}));
    let answer = send(&shared().webhooks(host), &webhook).await;
    assert_eq!(answer.said(), "200 ignored");
    assert_eq!(answer.body["order_id"], Value::Null);
    let database = database(&shared().stack).await;
    let sql = format!(
        "select count(*) from ordak.webhook_deliveries where outcome = 'ignored' and topic = 'carts/update' and webhook_id = '{}'",
        webhook.webhook_id
    );
    assert_eq!(count(&database, &sql).await, 1);
}

async fn a_delivery_without_a_topic_is_kept(host: Host) {
    let webhook = create(&Order::new(BANNOS, number()));
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let mut headers = webhook.headers(&shared().stack.keys.webhook_secret, &body).unwrap();
    headers.retain(|(name, _)| *name != "x-shopify-topic");
    let answer = send_with(&shared().webhooks(host), &headers, &body).await;
    assert_eq!(answer.said(), "200 rejected");
}
