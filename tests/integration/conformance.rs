//! What a function answers, the same on both hosts: every case runs on Deno and on workerd.

use std::time::{Duration, Instant};

use ordak_core::route::{HEALTH, ROUTES};
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
    a_number_of_another_order_is_kept
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
        let request = reqwest::Client::new().request(method.parse().unwrap(), shared().webhooks(host));
        let answer = Answer::of(request.send().await.unwrap()).await;
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
    let head = format!("POST {WEBHOOKS} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 2097153\r\n\r\nabc");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("VAL001") {
        let read = stream.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "the connection closed after {:?}", String::from_utf8_lossy(&text));
    }
    assert!(text.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&text));
}

async fn a_long_body_of_unknown_length_gets_413(host: Host) {
    let client = reqwest::Client::new();
    let body = |length: usize| {
        let chunks = (0..length >> 16).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1 << 16]));
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let long = client.post(shared().webhooks(host)).body(body(3 << 20)).send().await.unwrap();
    assert_eq!(Answer::of(long).await.said(), "413 VAL001");
    let short = client.post(shared().webhooks(host)).body(body(1 << 20)).send().await.unwrap();
    assert_eq!(Answer::of(short).await.said(), "401 AUTH001");
}

async fn what_is_no_order_is_kept_once(host: Host) {
    let database = database(&shared().stack).await;
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
        let row = database
            .query_one(
                "select l.body, l.reason from ordak.dead_letters as l
                 join ordak.webhook_deliveries as d on d.id = l.delivery where d.webhook_id = $1",
                &[&webhook.webhook_id],
            )
            .await
            .unwrap();
        assert_eq!(row.get::<_, Vec<u8>>(0), body);
        assert!(!row.get::<_, String>(1).is_empty());
    }
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

async fn other_topics_are_recorded(host: Host) {
    let webhook = Webhook::new("products/update", BANNOS, serde_json::json!({"id": 1}));
    let answer = send(&shared().webhooks(host), &webhook).await;
    assert_eq!(answer.said(), "200 ignored");
    assert_eq!(answer.body["order_id"], serde_json::Value::Null);
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
    let get = Answer::of(reqwest::get(&url).await.unwrap()).await;
    for answer in [signed, get] {
        assert_eq!(answer.said(), "500 SYS003");
        assert!(!answer.body.to_string().contains("SECRET"), "{answer:?}");
    }
    let lines = log_lines(&shared().log(host, Variant::NoSecret));
    assert!(
        lines.iter().any(|line| line["detail"] == "missing or empty: SHOPIFY_WEBHOOK_SECRET"),
        "{lines:?}"
    );
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
    let client = reqwest::Client::new();
    let ask = async |id: &str| {
        let answer = client.get(shared().health(host)).header("x-request-id", id).send().await.unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(ask("caller-1.a_b").await, "caller-1.a_b");
    for odd in ["", "two words", "\"quoted\"", &"x".repeat(65)] {
        assert_eq!(ask(odd).await.len(), 36, "a new id in place of {odd:?}");
    }
}

async fn health_answers(host: Host) {
    for query in ["", "?ready"] {
        let answer = Answer::of(reqwest::get(shared().health(host) + query).await.unwrap()).await;
        let expected = serde_json::json!({"ok": true, "version": env!("CARGO_PKG_VERSION")});
        assert_eq!((answer.status, answer.body), (200, expected), "{query}");
    }
    let head = reqwest::Client::new().head(shared().health(host)).send().await.unwrap();
    assert_eq!(head.status().as_u16(), 200);
}

/// No function but health answers somebody it does not know.
async fn every_function_checks_its_caller(host: Host) {
    for route in ROUTES.iter().filter(|route| **route != HEALTH) {
        let url = match host {
            Host::Deno => format!("{}{}", shared().stack.url(), route.path),
            Host::Workerd => shared().webhooks(host),
        };
        let key = &shared().stack.keys.service_role;
        let plain = reqwest::Client::new().post(&url).body("{}").send().await.unwrap();
        let with_key = reqwest::Client::new().post(&url).bearer_auth(key).header("apikey", key).body("{}");
        assert_eq!(Answer::of(plain).await.said(), "401 AUTH001", "{}", route.function);
        assert_eq!(
            Answer::of(with_key.send().await.unwrap()).await.said(),
            "401 AUTH001",
            "{}",
            route.function
        );
    }
}
