//! What a function answers, the same on both hosts: every case runs on Deno and on workerd.

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use ordak_core::route::{HEALTH, ROUTES, SYNC, WEBHOOKS_SHOPIFY};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xtask::stack::order::Order;
use xtask::stack::shopify::Webhook;

use crate::support::*;

on_both_hosts! {
    an_unsigned_body_is_refused
    a_refused_body_never_reaches_the_database
    a_store_that_is_not_ours_is_refused
    a_stores_own_secret_signs_for_that_store_alone
    another_method_gets_405
    another_path_gets_404
    a_long_body_gets_413_before_it_is_read
    a_long_body_of_unknown_length_gets_413
    both_header_forms_are_read
    a_function_without_its_secret_answers_500
    a_key_of_the_new_style_works
    a_key_that_is_not_accepted_is_a_misconfiguration
    an_unreachable_database_gets_503
    a_silent_database_gets_503_before_shopify_gives_up
    request_ids_are_passed_on
    health_answers
    every_request_writes_one_log_line
    only_what_has_the_form_of_a_topic_is_logged_as_one
    every_function_checks_its_caller
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
    assert!(start.elapsed() < GIVES_UP, "this took {:?}", start.elapsed());
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
        let mut answer = Answer::get(shared().health(host) + query).await;
        let schedule = answer.body.as_object_mut().and_then(|body| body.remove("schedule"));
        assert_eq!(schedule.is_some(), query == "?ready", "{query}");
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
    let customer = Webhook::new("customers/create", FLOURLANE, json!({"id": 1}));
    let broken = Webhook::new("orders/create", FLOURLANE, json!({"id": number()}));
    let cases = [
        (
            &webhook,
            secret.as_str(),
            json!(["info", 200, "created", "orders/create", "bannos", order.number, "ingest"]),
        ),
        (
            &webhook,
            secret,
            json!(["info", 200, "skipped", "orders/create", "bannos", order.number, "ingest"]),
        ),
        (&customer, secret, json!(["info", 200, "ignored", "customers/create", "flourlane", null, "ingest"])),
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
        ("orders/risk_assessment_changed", "orders/risk_assessment_changed", "ignored"),
        ("Orders/Risk_Assessment_Changed", "orders/risk_assessment_changed", "ignored"),
        (&long[1..], &long[1..], "ignored"),
        // What was an order's topic once must not pass for one that nobody needs.
        (&long, "other", "rejected"),
        ("mia@example.com", "other", "rejected"),
        ("orders/create, orders/create", "other", "rejected"),
    ];
    for (topic, logged_as, outcome) in cases {
        let webhook = Webhook::new(topic, BANNOS, json!({"id": number()}));
        let line = logged(host, &webhook, &shared().stack.keys.webhook_secret).await;
        assert_eq!((&line["topic"], &line["outcome"]), (&json!(logged_as), &json!(outcome)), "{line}");
    }
}

/// No function but health answers somebody it does not know.
async fn every_function_checks_its_caller(host: Host) {
    for route in ROUTES.iter().filter(|route| **route != HEALTH) {
        // With what it needs to be asked, so that nothing else is wrong.
        let query = match *route {
            SYNC => "?run_id=6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
            _ => "?sku=A",
        };
        let url = shared().url(host, route.function, Variant::Plain, route.path) + query;
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
