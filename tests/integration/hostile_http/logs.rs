//! Words that stand nowhere else, sent on every way that a request can end, and looked for in every log.

use ordak_core::route::{ORDERS, WEBHOOKS_SHOPIFY};
use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

on_both_hosts! {
    nothing_of_a_body_stands_in_a_log
}

/// Words that stand nowhere else, in every field of every body, on every way that a request can end. Postgres' and
/// PostgREST's own logs are held to it too: what the database refuses passes through both. (The gateway of the
/// local stack and the Shopify stand-in write no log.)
async fn nothing_of_a_body_stands_in_a_log(host: Host) {
    let mark = format!("zq{host:?}{}", number()).to_lowercase();
    let store = store_of_its_own(host, &mark).await;
    tokio::join!(marked_webhooks(host, &mark), marked_orders(host, &mark, &store));
    marked_while_the_database_waits(host, &mark, &store).await;

    // What was sent last has been logged.
    let last = format!("last-{mark}").replace(&mark, &number().to_string());
    for (name, url) in
        [(WEBHOOKS_SHOPIFY.function, shared().webhooks(host)), (ORDERS.function, shared().orders(host))]
    {
        Answer::to(client().get(url).header("x-request-id", &last)).await;
        let log = shared().log(host, name, Variant::Plain);
        log_line(&log, "of the last request", |line| line["request_id"] == *last).await;
    }
    let keys = serde_json::to_value(&shared().stack.keys).unwrap();
    let secrets = keys.as_object().unwrap().values().map(|key| key.as_str().unwrap());
    let forbidden: Vec<_> = secrets.chain([&*mark, "Mia Sample", "mia@example.com"]).collect();
    let logs = shared().logs();
    for name in ["workerd", "postgres", "postgrest", "webhooks-shopify", "orders"] {
        assert!(logs.iter().any(|log| log.ends_with(format!("{name}.log"))), "{name} in {logs:?}");
    }
    for log in logs {
        let text = std::fs::read_to_string(&log).unwrap();
        let found = text.lines().filter(|line| forbidden.iter().any(|word| line.contains(word)));
        let found: Vec<_> = found.take(3).collect();
        assert!(found.is_empty(), "{}: {found:#?}", log.display());
    }
}

/// A store that nobody waits for while the test keeps it locked; answers with its code.
async fn store_of_its_own(host: Host, mark: &str) -> String {
    let letter = if host == Host::Deno { "V" } else { "D" };
    let code = format!("quiet_{}", letter.to_lowercase());
    let sql = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
               values ($1, $1, $2, $3, 'Australia/Sydney')";
    queries().await.execute(sql, &[&code, &shop(mark), &letter]).await.unwrap();
    code
}

fn shop(mark: &str) -> String {
    format!("{mark}.myshopify.com")
}

/// Puts marked words into every text of a body but those that must have a form.
fn mark_all(value: &mut Value, name: &str, mark: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mark_all(item, name, mark)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| mark_all(value, name, mark)),
        Value::String(text) => {
            let form = ["_at", "currency", "currency_code", "url", "store", "due_date"]
                .iter()
                .any(|end| name.ends_with(end));
            if !form && !text.starts_with("gid://") && text.parse::<f64>().is_err() {
                *text = format!("{mark} {name} cake");
            }
        }
        _ => {}
    }
}

/// A webhook's body with marked words in every field, also in those that Shopify does not send yet.
fn marked_order(shop_domain: &str, mark: &str) -> Value {
    let cake = Line::new("Fudge Cake", "Large", 1).with("Cake writing", "Happy 30th!");
    let mut body = Order::new(shop_domain, number()).lines(vec![cake]).body();
    for name in ["phone", "po_number", "reference", "access_token", "secret", mark] {
        body[name] = "filled in".into();
    }
    mark_all(&mut body, "", mark);
    assert!(body.to_string().matches(mark).count() > 50, "{body}");
    body
}

async fn marked_webhooks(host: Host, mark: &str) {
    let (keys, body) = (&shared().stack.keys, marked_order(BANNOS, mark));
    let changed = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    let number_of = |body: &Value| body["order_number"].as_i64().unwrap();
    let mut unreadable = body.clone();
    unreadable["line_items"][0]["quantity"] = mark.into();
    let text = body.to_string();
    let cases = [
        (text.clone(), "200 created"),
        (text.clone(), "200 skipped"),
        (changed("updated_at", json!("2026-12-01T09:30:00+11:00")).to_string(), "200 updated"),
        (unreadable.to_string(), "200 rejected"),
        (text[..text.len() - 1].to_owned(), "200 rejected"),
        (changed("currency", mark.into()).to_string(), "200 rejected"),
        // Refused by our SQL, as another order's number; and by Postgres itself, which has no such second.
        (renewed(body.clone(), number_of(&body)), "200 rejected"),
        (renewed(changed("updated_at", json!("2026-12-31T23:59:60.5Z")), number()), "200 rejected"),
    ];
    let webhook = |body: Value| Webhook::new("orders/create", BANNOS, body);
    for url in [shared().webhooks(host), format!("{}{}", shared().stack.url(), WEBHOOKS_SHOPIFY.path)] {
        for (body, expected) in &cases {
            let answer = send_raw(&url, &webhook(Value::Null), body.as_bytes()).await;
            let skipped = ["200 created", "200 updated"].contains(expected) && answer.said() == "200 skipped";
            assert!(answer.said() == *expected || skipped, "{expected}: {answer:?}");
            assert!(!answer.body.to_string().contains(mark), "{answer:?}");
        }
        let forged = webhook(Value::Null).headers("a guess", text.as_bytes()).unwrap();
        assert_eq!(send_with(&url, &forged, text.as_bytes()).await.said(), "401 AUTH001");
        let stranger = Webhook::new("orders/create", &format!("x{mark}.myshopify.com"), body.clone());
        assert_eq!(send(&url, &stranger).await.said(), "401 AUTH001");
        let topic = Webhook::new(&format!("orders/{mark}"), BANNOS, body.clone());
        assert_eq!(send(&url, &topic).await.said(), "200 rejected");
        let question = format!("{url}?note={mark}");
        assert_eq!(Answer::to(client().put(question).body(text.clone())).await.said(), "405 VAL001");
    }
    let signed = webhook(body.clone());
    for (variant, expected) in [
        (Variant::Nowhere, "503 SYS001"),
        (Variant::Silent, "503 SYS002"),
        (Variant::NoSecret, "500 SYS003"),
        (Variant::WrongKey, "500 SYS003"),
    ] {
        assert_eq!(send(&shared().variant(host, variant), &signed).await.said(), expected);
    }
    let mut compressed = signed.headers(&keys.webhook_secret, text.as_bytes()).unwrap();
    compressed.push(("content-encoding", mark.to_owned()));
    assert_eq!(send_with(&shared().webhooks(host), &compressed, text.as_bytes()).await.said(), "415 VAL001");
}

/// The same order under another id.
fn renewed(mut body: Value, number: i64) -> String {
    let id = Order::new(BANNOS, self::number()).id;
    body["id"] = id.into();
    body["admin_graphql_api_id"] = format!("gid://shopify/Order/{id}").into();
    body["order_number"] = number.into();
    body.to_string()
}

fn marked_partner_order(store: &str, mark: &str) -> Value {
    let mut order = json!({
        "store": store, "customer_name": "filled in", "due_date": "2027-03-14", "notes": "filled in", "number": number(),
        "idempotency_key": "filled in",
        "products": [{
            "title": "filled in", "quantity": 1, "sku": "filled in", "variant_title": "filled in",
            "properties": [{"name": "filled in", "value": "filled in"}, {"name": "Cake writing", "value": "filled in"}],
        }],
    });
    mark_all(&mut order, "", mark);
    order
}

async fn marked_orders(host: Host, mark: &str, store: &str) {
    let (secret, order) = (&shared().stack.keys.orders_secret, marked_partner_order(store, mark));
    let changed = |field: &str, value: Value| {
        let mut order = order.clone();
        order[field] = value;
        order
    };
    let cases = [
        (order.clone(), "200 created"),
        (order.clone(), "200 skipped"),
        (changed("notes", format!("{mark} other").into()), "409 ORD005"),
        (changed("idempotency_key", format!("{mark} other").into()), "409 ORD005"),
        (changed("due_date", mark.into()), "422 VAL001"),
        (changed("store", mark.into()), "422 VAL001"),
        (changed("number", mark.into()), "422 VAL001"),
        (changed("products", mark.into()), "422 VAL001"),
        (changed(mark, mark.into()), "422 VAL001"),
    ];
    for url in [shared().orders(host), format!("{}{}", shared().stack.url(), ORDERS.path)] {
        for (order, expected) in &cases {
            let body = order.to_string();
            let id = format!("{mark}-{}", number());
            let answer =
                send_with(&url, &partner_headers(secret, &id, body.as_bytes()), body.as_bytes()).await;
            let skipped = *expected == "200 created" && answer.said() == "200 skipped";
            assert!(answer.said() == *expected || skipped, "{expected}: {answer:?}");
        }
        let body = order.to_string();
        let forged = partner_headers("a guess", mark, body.as_bytes());
        assert_eq!(send_with(&url, &forged, body.as_bytes()).await.said(), "401 AUTH001");
    }
    let body = order.to_string();
    let signed = partner_headers(secret, mark, body.as_bytes());
    for (variant, expected) in
        [(Variant::Nowhere, "503 SYS001"), (Variant::Silent, "504 SYS002"), (Variant::NoSecret, "500 SYS003")]
    {
        let url = shared().url(host, ORDERS.function, variant, ORDERS.path);
        assert_eq!(send_with(&url, &signed, body.as_bytes()).await.said(), expected);
    }
}

/// A statement that Postgres itself cancels, and writes a line about.
async fn marked_while_the_database_waits(host: Host, mark: &str, store: &str) {
    let mut database = database(&shared().stack).await;
    let lock = database.transaction().await.unwrap();
    lock.execute("select from ordak.stores where code = $1 for update", &[&store]).await.unwrap();
    let body = marked_partner_order(store, mark).to_string();
    let headers = partner_headers(&shared().stack.keys.orders_secret, &format!("{mark}-w"), body.as_bytes());
    let webhook = Webhook::new("orders/create", &shop(mark), marked_order(&shop(mark), mark));
    let (orders, webhooks) = (shared().orders(host), shared().webhooks(host));
    let (partner, shopify) =
        tokio::join!(send_with(&orders, &headers, body.as_bytes()), send(&webhooks, &webhook));
    assert!(["504 SYS002", "503 SYS001"].contains(&partner.said().as_str()), "{partner:?}");
    assert!(["503 SYS002", "503 SYS001"].contains(&shopify.said().as_str()), "{shopify:?}");
    lock.rollback().await.unwrap();
}
