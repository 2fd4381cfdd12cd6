//! What a function answers, the same on both hosts: every case runs on Deno and on workerd.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use ordak_core::route::{HEALTH, ROUTES, WEBHOOKS_SHOPIFY};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

/// Makes two tests of each case, one for each host.
macro_rules! on_both_hosts {
    ($($name:ident)+) => {
        mod deno { $(#[test] fn $name() { crate::support::run(super::$name(crate::support::Host::Deno)); })+ }
        mod workerd { $(#[test] fn $name() { crate::support::run(super::$name(crate::support::Host::Workerd)); })+ }
    };
}

on_both_hosts! {
    an_order_is_created_with_its_lines_and_tasks
    a_repeated_delivery_is_skipped
    an_order_that_is_there_is_skipped
    a_newer_and_an_older_body_of_an_order_leave_it_as_it_is
    fifty_copies_at_once_make_one_order
    several_cakes_get_letters
    an_unsigned_body_is_refused
    a_refused_body_never_reaches_the_database
    a_store_that_is_not_ours_is_refused
    a_stores_own_secret_signs_for_that_store_alone
    another_method_gets_405
    another_path_gets_404
    a_long_body_gets_413_before_it_is_read
    a_long_body_of_unknown_length_gets_413
    what_is_no_order_is_kept_once
    a_body_that_cannot_be_taken_is_kept_once_under_whatever_id_it_comes
    a_number_of_another_order_is_kept
    an_order_of_another_store_is_kept
    a_delivery_under_another_domain_does_not_pass_for_the_first
    a_delivery_under_another_topic_does_not_pass_for_the_first
    other_topics_are_recorded
    both_header_forms_are_read
    a_function_without_its_secret_answers_500
    a_key_of_the_new_style_works
    a_key_that_is_not_accepted_is_a_misconfiguration
    an_unreachable_database_gets_503
    a_silent_database_gets_503_before_shopify_gives_up
    a_delivery_without_a_topic_is_kept
    request_ids_are_passed_on
    health_answers
    every_request_writes_one_log_line
    only_what_has_the_form_of_a_topic_is_logged_as_one
    no_personal_data_and_no_secret_stands_in_a_log
    every_function_checks_its_caller
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

async fn an_order_that_is_there_is_skipped(host: Host) {
    let order = Order::new(FLOURLANE, number());
    let url = shared().webhooks(host);
    assert_eq!(send(&url, &create(&order)).await.said(), "200 created");
    let changed = Order { customer: "Somebody Else".into(), ..order.clone() };
    assert_eq!(send(&url, &create(&changed)).await.said(), "200 skipped");
    let database = database(&shared().stack).await;
    let sql = format!(
        "select count(*) from ordak.orders where number = {} and customer_name = 'Mia Sample'",
        order.number
    );
    assert_eq!(count(&database, &sql).await, 1);
}

async fn a_newer_and_an_older_body_of_an_order_leave_it_as_it_is(host: Host) {
    let order = Order::new(BANNOS, number());
    let url = shared().webhooks(host);
    assert_eq!(send(&url, &create(&order)).await.said(), "200 created");
    let database = database(&shared().stack).await;
    let rows = async || -> String {
        let sql = "select jsonb_build_array(
                     to_jsonb(o),
                     (select jsonb_agg(l order by l.id) from ordak.order_lines as l where l.order_key = o.id),
                     (select jsonb_agg(t order by t.id) from ordak.tasks as t where t.order_key = o.id))::text
                   from ordak.orders as o where o.number = $1";
        database.query_one(sql, &[&order.number]).await.unwrap().get(0)
    };
    let before = rows().await;
    let changed = Order { customer: "Somebody Else".into(), due: None, ..order.clone() }
        .lines(vec![Line::new("Matcha Cake", "Small", 3)]);
    for updated_at in ["2026-12-01T09:30:00+11:00", "2026-11-01T09:30:00+11:00"] {
        let mut webhook = create(&changed);
        webhook.body["updated_at"] = updated_at.into();
        let answer = send(&url, &webhook).await;
        assert_eq!(answer.said(), "200 skipped", "{updated_at}");
        assert_eq!(answer.body["order_id"], format!("bannos-{}", order.number));
        assert_eq!(rows().await, before, "{updated_at}");
    }
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

async fn an_unsigned_body_is_refused(host: Host) {
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let good = webhook.headers(&shared().stack.keys.webhook_secret, &body).unwrap();
    let signature = &good.last().unwrap().1;
    let with = |signature: Option<String>| {
        let mut headers = good.clone();
        headers.pop();
        headers.extend(signature.map(|signature| ("x-shopify-hmac-sha256", signature)));
        headers
    };
    let forged = webhook.headers("a guess", &body).unwrap().pop().unwrap().1;
    let wrong = [
        None,
        Some(String::new()),
        Some("not base64!".into()),
        Some(signature.trim_end_matches('=').into()),
        Some(format!("{signature}=")),
        Some(format!("{signature}, {signature}")),
        Some(forged),
    ];
    for signature in wrong {
        let answer = send_with(&shared().webhooks(host), &with(signature.clone()), &body).await;
        assert_eq!(answer.said(), "401 AUTH001", "{signature:?}");
    }
    let empty = send_raw(&shared().webhooks(host), &webhook, b"").await;
    assert_eq!(empty.said(), "401 AUTH001", "an empty body, rightly signed");
    let database = database(&shared().stack).await;
    let sql =
        format!("select count(*) from ordak.webhook_deliveries where webhook_id = '{}'", webhook.webhook_id);
    assert_eq!(count(&database, &sql).await, 0);
}

/// A function whose database is nowhere still says 401 at once: it never asked.
async fn a_refused_body_never_reaches_the_database(host: Host) {
    let url = shared().variant(host, Variant::Nowhere);
    let webhook = create(&Order::new(BANNOS, number()));
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let forged = webhook.headers("a guess", &body).unwrap();
    assert_eq!(send_with(&url, &forged, &body).await.said(), "401 AUTH001");
}

async fn a_store_that_is_not_ours_is_refused(host: Host) {
    let stranger = create(&Order::new("somebody-else.myshopify.com", number()));
    let answer = send(&shared().webhooks(host), &stranger).await;
    assert_eq!(answer.said(), "401 AUTH001");
    let database = database(&shared().stack).await;
    let sql =
        format!("select count(*) from ordak.webhook_deliveries where webhook_id = '{}'", stranger.webhook_id);
    assert_eq!(count(&database, &sql).await, 0);
}

async fn a_stores_own_secret_signs_for_that_store_alone(host: Host) {
    let url = shared().variant(host, Variant::OwnSecret);
    for (shop, expected) in [(FLOURLANE, "200 created"), (BANNOS, "401 AUTH001")] {
        let webhook = create(&Order::new(shop, number()));
        let body = serde_json::to_vec(&webhook.body).unwrap();
        let headers = webhook.headers("matcha", &body).unwrap();
        assert_eq!(send_with(&url, &headers, &body).await.said(), expected, "{shop}");
    }
}

async fn another_method_gets_405(host: Host) {
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = Answer::to(client().request(method.parse().unwrap(), shared().webhooks(host))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
        assert_eq!(answer.body["code"], "VAL001");
    }
}

async fn another_path_gets_404(host: Host) {
    let url = shared().webhooks(host).replace("shopify", "nobody");
    let answer = send(&url, &create(&Order::new(BANNOS, number()))).await;
    assert_eq!(answer.said(), "404 VAL001");
}

/// The answer comes while most of the body was never sent.
async fn a_long_body_gets_413_before_it_is_read(host: Host) {
    let url = shared().webhooks(host);
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let path = WEBHOOKS_SHOPIFY.path;
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2097153\r\n\r\nabc");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("VAL001") {
        let read = stream.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "the connection closed after {:?}", String::from_utf8_lossy(&text));
    }
    assert!(text.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&text));
}

/// The answer comes while the sender still waits to send more. (What nobody reads would reset the connection.)
async fn a_long_body_of_unknown_length_gets_413(host: Host) {
    let limit = || stream::iter((0..32).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1 << 16])));
    let one_more = stream::iter([Ok(vec![b'x'])]);
    let long = reqwest::Body::wrap_stream(limit().chain(one_more).chain(stream::pending()));
    assert_eq!(Answer::to(client().post(shared().webhooks(host)).body(long)).await.said(), "413 VAL001");
    let whole = reqwest::Body::wrap_stream(limit());
    assert_eq!(Answer::to(client().post(shared().webhooks(host)).body(whole)).await.said(), "401 AUTH001");
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
        let other = Webhook { topic: "products/update".into(), ..real.clone() };
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
        assert_eq!(recorded, ["bannos orders/create created", "bannos products/update ignored"]);
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
    let webhook = Webhook::new("products/update", BANNOS, json!({"id": 1}));
    let answer = send(&shared().webhooks(host), &webhook).await;
    assert_eq!(answer.said(), "200 ignored");
    assert_eq!(answer.body["order_id"], Value::Null);
    let database = database(&shared().stack).await;
    let sql = format!(
        "select count(*) from ordak.webhook_deliveries where outcome = 'ignored' and topic = 'products/update' and webhook_id = '{}'",
        webhook.webhook_id
    );
    assert_eq!(count(&database, &sql).await, 1);
}

async fn both_header_forms_are_read(host: Host) {
    let webhook = create(&Order::new(BANNOS, number()));
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let headers = webhook.headers(&shared().stack.keys.webhook_secret, &body).unwrap();
    let newer: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.strip_prefix("x-").unwrap_or(name), value)).collect();
    assert_eq!(send_with(&shared().webhooks(host), &newer, &body).await.said(), "200 created");
}

async fn a_function_without_its_secret_answers_500(host: Host) {
    let url = shared().variant(host, Variant::NoSecret);
    let signed = send(&url, &create(&Order::new(BANNOS, number()))).await;
    let get = Answer::get(url).await;
    for answer in [signed, get] {
        assert_eq!(answer.said(), "500 SYS003");
        assert!(!answer.body.to_string().contains("SECRET"), "{answer:?}");
    }
    let log = shared().log(host, WEBHOOKS_SHOPIFY.function, Variant::NoSecret);
    log_line(&log, "that names the variable", |line| {
        line["detail"] == "missing or empty: SHOPIFY_WEBHOOK_SECRET"
    })
    .await;
}

async fn a_key_of_the_new_style_works(host: Host) {
    let answer = send(&shared().variant(host, Variant::NewKey), &create(&Order::new(BANNOS, number()))).await;
    assert_eq!(answer.said(), "200 created");
}

async fn a_key_that_is_not_accepted_is_a_misconfiguration(host: Host) {
    let answer =
        send(&shared().variant(host, Variant::WrongKey), &create(&Order::new(BANNOS, number()))).await;
    assert_eq!(answer.said(), "500 SYS003");
}

async fn an_unreachable_database_gets_503(host: Host) {
    let answer =
        send(&shared().variant(host, Variant::Nowhere), &create(&Order::new(BANNOS, number()))).await;
    assert_eq!((answer.said().as_str(), answer.header("retry-after")), ("503 SYS001", Some("5")));
}

async fn a_silent_database_gets_503_before_shopify_gives_up(host: Host) {
    let start = Instant::now();
    let answer = send(&shared().variant(host, Variant::Silent), &create(&Order::new(BANNOS, number()))).await;
    assert_eq!((answer.said().as_str(), answer.header("retry-after")), ("503 SYS002", Some("5")));
    assert!(
        start.elapsed() < Duration::from_millis(4900),
        "Shopify waits five seconds, this took {:?}",
        start.elapsed()
    );
}

async fn a_delivery_without_a_topic_is_kept(host: Host) {
    let webhook = create(&Order::new(BANNOS, number()));
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let mut headers = webhook.headers(&shared().stack.keys.webhook_secret, &body).unwrap();
    headers.retain(|(name, _)| *name != "x-shopify-topic");
    let answer = send_with(&shared().webhooks(host), &headers, &body).await;
    assert_eq!(answer.said(), "200 rejected");
}

async fn request_ids_are_passed_on(host: Host) {
    let ask = async |id: &str| {
        let answer = Answer::to(client().get(shared().health(host)).header("x-request-id", id)).await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(ask("caller-1.a_b").await, "caller-1.a_b");
    for odd in ["", "two words", "\"quoted\"", &"x".repeat(65)] {
        assert_eq!(ask(odd).await.len(), 36, "a new id in place of {odd:?}");
    }
}

async fn health_answers(host: Host) {
    for query in ["", "?ready"] {
        let answer = Answer::get(shared().health(host) + query).await;
        let expected = json!({"ok": true, "version": env!("CARGO_PKG_VERSION")});
        assert_eq!((answer.status, answer.body), (200, expected), "{query}");
    }
    assert_eq!(Answer::to(client().head(shared().health(host))).await.status, 200);
}

/// Sends a webhook with a request id of its own, and answers with the line that the host logs of it.
async fn logged(host: Host, webhook: &Webhook, secret: &str) -> Value {
    let id = format!("logged-{host:?}-{}", number());
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let mut headers = webhook.headers(secret, &body).unwrap();
    headers.push(("x-request-id", id.clone()));
    send_with(&shared().webhooks(host), &headers, &body).await;
    let log = shared().log(host, WEBHOOKS_SHOPIFY.function, Variant::Plain);
    let line = log_line(&log, &format!("of the request {id}"), |line| line["request_id"] == *id).await;
    let lines = log_lines(&log).iter().filter(|line| line["request_id"] == *id).count();
    assert_eq!(lines, 1, "{id} in {}", log.display());
    line
}

async fn every_request_writes_one_log_line(host: Host) {
    let secret = &shared().stack.keys.webhook_secret;
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let product = Webhook::new("products/update", FLOURLANE, json!({"id": 1}));
    let broken = Webhook::new("orders/create", FLOURLANE, json!({"id": number()}));
    let cases = [
        (
            &webhook,
            secret.as_str(),
            json!(["info", 200, "created", "orders/create", "bannos", order.number, "ingest_order"]),
        ),
        (
            &webhook,
            secret,
            json!(["info", 200, "skipped", "orders/create", "bannos", order.number, "ingest_order"]),
        ),
        (
            &product,
            secret,
            json!(["info", 200, "ignored", "products/update", "flourlane", null, "ignore_delivery"]),
        ),
        // A person must look at it.
        (
            &broken,
            secret,
            json!(["warn", 200, "rejected", "orders/create", "flourlane", null, "reject_delivery"]),
        ),
        (&webhook, "a guess", json!(["warn", 401, "AUTH001", null, null, null, null])),
    ];
    for (webhook, secret, expected) in cases {
        let line = logged(host, webhook, secret).await;
        let found = ["level", "status", "outcome", "topic", "store", "order_number"].map(|name| &line[name]);
        let found =
            json!([found[0], found[1], found[2], found[3], found[4], found[5], line["rpcs"][0]["name"]]);
        assert_eq!(found, expected, "{line}");
        assert_eq!(line["function"], WEBHOOKS_SHOPIFY.function);
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{line}");
        assert!(line["duration_ms"].as_u64().is_some_and(|ms| ms < 5000), "{line}");
        for rpc in line["rpcs"].as_array().into_iter().flatten() {
            assert_eq!(rpc["outcome"], "ok", "{line}");
            assert!(rpc["duration_ms"].is_u64(), "{line}");
        }
    }
}

async fn only_what_has_the_form_of_a_topic_is_logged_as_one(host: Host) {
    let long = "a".repeat(101);
    let cases = [
        ("orders/risk_assessment_changed", "orders/risk_assessment_changed"),
        (&long[1..], &long[1..]),
        (&long, "other"),
        ("mia@example.com", "other"),
        ("Orders/Create", "other"),
    ];
    for (topic, expected) in cases {
        let webhook = Webhook::new(topic, BANNOS, json!({"id": number()}));
        let line = logged(host, &webhook, &shared().stack.keys.webhook_secret).await;
        assert_eq!((&line["topic"], &line["outcome"]), (&json!(expected), &json!("ignored")), "{line}");
    }
}

/// Whatever becomes of the order: taken, kept as a dead letter, refused, or answered with an error.
async fn no_personal_data_and_no_secret_stands_in_a_log(host: Host) {
    let cake = Line::new("Fudge Cake", "Large", 1).with("Cake writing", "Happy 30th, Quendolina!");
    let mut webhook = create(&Order::new(BANNOS, number()).lines(vec![cake]));
    let name = "Quendolina Vexworth";
    let personal =
        ["quendolina@vexworth.example", "+61 491 570 156", "17 Wattlebird Crescent", "The side door, please"];
    let body = &mut webhook.body;
    for (name, at) in [("email", 0), ("contact_email", 0), ("phone", 1), ("note", 3)] {
        body[name] = personal[at].into();
    }
    for person in ["customer", "billing_address", "shipping_address"] {
        for (name, at) in [("email", 0), ("phone", 1), ("address1", 2)] {
            body[person][name] = personal[at].into();
        }
        for (part, text) in [("first_name", "Quendolina"), ("last_name", "Vexworth"), ("name", name)] {
            body[person][part] = text.into();
        }
    }
    let secret = &shared().stack.keys.webhook_secret;
    let mut broken = Webhook::new("orders/create", BANNOS, webhook.body.clone());
    broken.body["line_items"][0]["quantity"] = name.into();
    let mut impossible = Webhook::new("orders/create", BANNOS, webhook.body.clone());
    impossible.body["currency"] = name.into();
    logged(host, &webhook, "a guess").await;
    for (webhook, outcome) in [(&webhook, "created"), (&broken, "rejected"), (&impossible, "rejected")] {
        let line = logged(host, webhook, secret).await;
        assert_eq!(line["outcome"], outcome, "{line}");
    }
    for variant in [Variant::Nowhere, Variant::WrongKey, Variant::NoSecret] {
        let answer = send(&shared().variant(host, variant), &webhook).await;
        assert!(answer.status >= 500, "{answer:?}");
    }

    let keys = serde_json::to_value(&shared().stack.keys).unwrap();
    let secrets = keys.as_object().unwrap().values().map(|key| key.as_str().unwrap());
    let words = ["Quendolina", "Vexworth", "Wattlebird", "Happy 30th", "Mia Sample", "mia@example.com"];
    let forbidden: Vec<_> = personal.into_iter().chain(words).chain(secrets).collect();
    for log in shared().logs() {
        let text = std::fs::read_to_string(&log).unwrap();
        let found: Vec<_> = forbidden.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{found:?} in {}", log.display());
    }
}

/// No function but health answers somebody it does not know.
async fn every_function_checks_its_caller(host: Host) {
    for route in ROUTES.iter().filter(|route| **route != HEALTH) {
        let url = shared().url(host, route.function, Variant::Plain, route.path);
        let key = &shared().stack.keys.service_role;
        for method in route.methods {
            let plain = client().request(method.parse().unwrap(), &url).body("{}");
            let with_key = plain.try_clone().unwrap().bearer_auth(key).header("apikey", key);
            for request in [plain, with_key] {
                assert_eq!(Answer::to(request).await.said(), "401 AUTH001", "{}", route.function);
            }
        }
    }
}
