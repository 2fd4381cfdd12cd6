//! `POST /api/v1/orders`: what partners' servers send becomes orders, the same on both hosts.

mod signed;

use std::time::Instant;

use ordak_core::route::ORDERS;
use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};

use crate::support::*;

on_both_hosts! {
    an_order_is_created_with_its_lines_and_tasks
    without_a_number_the_store_gives_one
    a_request_sent_again_is_skipped
    a_key_is_for_one_order
    an_order_of_shopifys_is_known_by_its_gid
    a_number_is_for_one_order
    ten_equal_requests_at_once_make_one_order
    shopifys_own_webhook_completes_what_a_partner_told
    a_partner_and_shopify_at_the_same_instant_make_one_order
    everything_that_is_wrong_is_told_at_once
    each_field_is_held_to_its_form
    a_store_that_is_not_ours_is_refused
    a_database_that_is_away_or_silent_is_answered_in_time
    every_request_writes_one_log_line
}

/// An id or key that no other request has.
fn unique(what: &str) -> String {
    format!("{what}-{}", number())
}

/// The least that an order needs.
fn cake() -> Value {
    json!({
        "store": "bannos", "customer_name": "Mia Sample", "due_date": "2027-03-14",
        "products": [{"title": "Vanilla Bliss Cake", "quantity": 1}],
    })
}

async fn post_as(host: Host, id: &str, order: &Value) -> Answer {
    let body = serde_json::to_vec(order).unwrap();
    let headers = partner_headers(&shared().stack.keys.orders_secret, id, &body);
    send_with(&shared().orders(host), &headers, &body).await
}

/// Sends an order in a request of its own.
async fn post(host: Host, order: &Value) -> Answer {
    post_as(host, &unique("msg"), order).await
}

/// What is wrong with an order, as `path: what belongs there`.
async fn refused(host: Host, order: &Value) -> Vec<String> {
    let answer = post(host, order).await;
    assert_eq!(answer.said(), "422 VAL001", "{order}: {answer:?}");
    let errors = answer.body["details"].as_array().unwrap_or_else(|| panic!("{order}: {answer:?}"));
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    errors.iter().map(|error| format!("{}: {}", text(error, "path"), text(error, "expected"))).collect()
}

/// What is in the database of an order: itself, its lines and its tasks.
async fn rows(order_id: &Value) -> Value {
    let sql = "
        select jsonb_build_object(
          'order', jsonb_build_array(
            o.store, o.number, o.source, o.shopify_order_id, o.customer_name, o.due_date, o.delivery_method, o.notes,
            o.total_amount, o.pos, o.test, o.flags),
          'lines', (select jsonb_agg(jsonb_build_array(
                      l.kind, l.title, l.variant_title, l.sku, l.product_id, l.quantity, l.wanted, l.properties) order by l.position)
                    from ordak.order_lines as l where l.order_key = o.id),
          'tasks', (select jsonb_agg(jsonb_build_array(t.number, t.stage, t.size, t.flavour, t.cake_writing) order by t.id)
                    from ordak.tasks as t where t.order_key = o.id))::text
        from ordak.orders as o where o.order_id = $1";
    let row = queries().await.query_one(sql, &[&order_id.as_str()]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

/// How many orders a customer has.
async fn orders_of(customer: &str) -> i64 {
    let sql = "select count(*) from ordak.orders where customer_name = $1";
    queries().await.query_one(sql, &[&customer]).await.unwrap().get(0)
}

async fn an_order_is_created_with_its_lines_and_tasks(host: Host) {
    let number = number();
    let answer = post(
        host,
        &json!({
            "store": "flourlane", "customer_name": " Zoë O'Hara ", "due_date": "2027-03-14", "number": number,
            "delivery_method": "delivery", "notes": "Ring twice.",
            "products": [
                {
                    "title": "Matcha Cake", "quantity": 2, "sku": "MAT-M", "product_id": 7_513_594_000_001_i64,
                    "variant_title": "Medium / Matcha",
                    "properties": [{"name": "Cake Writing", "value": "Happy 30th!"}],
                },
                {"title": "Number Candle", "quantity": 3, "sku": null},
            ],
        }),
    )
    .await;
    assert_eq!(answer.said(), "200 created", "{answer:?}");
    let order_id = format!("flourlane-{number}");
    let expected = json!({"order_id": order_id, "status": "created", "message": "order created"});
    assert_eq!(answer.body, expected);
    let writing = json!([{"name": "Cake Writing", "value": "Happy 30th!"}]);
    let task = |letter| json!([format!("F{number}-{letter}"), "Filling", "Medium", "Matcha", "Happy 30th!"]);
    let expected = json!({
        "order": [
            "flourlane", number, "api", null, "Zoë O'Hara", "2027-03-14", "Delivery", "Ring twice.", null, false, false, [],
        ],
        "lines": [
            ["cake", "Matcha Cake", "Medium / Matcha", "MAT-M", 7_513_594_000_001_i64, 2, 2, writing],
            ["accessory", "Number Candle", null, null, null, 3, 3, []],
        ],
        "tasks": [task("A"), task("B")],
    });
    assert_eq!(rows(&answer.body["order_id"]).await, expected);
}

async fn without_a_number_the_store_gives_one(host: Host) {
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let answer = post(host, &cake()).await;
        let id = answer.body["order_id"].as_str().unwrap().strip_prefix("bannos-").unwrap().to_owned();
        numbers.push(id.parse::<i64>().unwrap());
    }
    assert!(numbers[0] >= 900_000 && numbers[1] > numbers[0], "{numbers:?}");
    let undated = post(host, &with(cake(), json!({"due_date": null}))).await;
    assert_eq!(undated.said(), "200 created");
    assert_eq!(
        rows(&undated.body["order_id"]).await["order"][11],
        json!(["no_due_date"]),
        "a person will see it"
    );
}

async fn a_request_sent_again_is_skipped(host: Host) {
    let id = unique("msg");
    let first = post_as(host, &id, &cake()).await;
    assert_eq!(first.said(), "200 created");
    let again = post_as(host, &id, &cake()).await;
    let expected = json!({"order_id": first.body["order_id"], "status": "skipped", "message": "this order was there already"});
    assert_eq!((again.status, again.body), (200, expected));
    // The same JSON, written otherwise.
    let body = br#"{"products":[{"quantity":1,"title":"Vanilla Bliss Cake"}], "due_date":"2027-03-14",
                    "customer_name":"Mia \u0053ample", "store":"bannos"}"#;
    let headers = partner_headers(&shared().stack.keys.orders_secret, &id, body);
    assert_eq!(send_with(&shared().orders(host), &headers, body).await.said(), "200 skipped");
    let other = post_as(host, &id, &with(cake(), json!({"customer_name": "Somebody Else"}))).await;
    assert_eq!(other.said(), "409 ORD005");
    let elsewhere = post_as(host, &id, &with(cake(), json!({"store": "flourlane"}))).await;
    assert_eq!(elsewhere.said(), "200 created", "a key is a store's");
}

async fn a_key_is_for_one_order(host: Host) {
    let order = with(cake(), json!({"idempotency_key": unique("key")}));
    let first = post(host, &order).await;
    let again = post(host, &order).await;
    assert_eq!([first.said(), again.said()], ["200 created", "200 skipped"], "in requests of different ids");
    assert_eq!(first.body["order_id"], again.body["order_id"]);
    for fields in [
        json!({"due_date": "2027-03-15"}),
        json!({"notes": "No nuts"}),
        json!({"products": [{"title": "Vanilla Bliss Cake", "quantity": 2}]}),
    ] {
        let before = rows(&first.body["order_id"]).await;
        let answer = post(host, &with(order.clone(), fields)).await;
        assert_eq!(answer.said(), "409 ORD005");
        assert_eq!(answer.body["hint"], "use a new key for a new order");
        assert_eq!(rows(&first.body["order_id"]).await, before);
    }
}

async fn an_order_of_shopifys_is_known_by_its_gid(host: Host) {
    let shopify_id = Order::new(BANNOS, number()).id;
    let gid = format!("gid://shopify/Order/{shopify_id}");
    let first = post(host, &with(cake(), json!({"shopify_order_gid": gid}))).await;
    assert_eq!(first.said(), "200 created");
    let order = &rows(&first.body["order_id"]).await["order"];
    assert_eq!((&order[2], &order[3]), (&json!("shopify"), &json!(shopify_id)));
    for fields in [
        json!({"shopify_order_gid": gid}),
        json!({"shopify_order_id": shopify_id}),
        json!({"shopify_order_id": shopify_id.to_string(), "shopify_order_gid": gid}),
        // Shopify's own webhook decides what it says.
        json!({"shopify_order_gid": gid, "customer_name": "Somebody Else"}),
    ] {
        let again = post(host, &with(cake(), fields.clone())).await;
        assert_eq!(again.said(), "200 skipped", "{fields}");
        assert_eq!(again.body["order_id"], first.body["order_id"]);
    }
    let elsewhere = post(host, &with(cake(), json!({"shopify_order_gid": gid, "store": "flourlane"}))).await;
    assert_eq!(elsewhere.said(), "409 ORD005", "it stands in another store");
}

async fn a_number_is_for_one_order(host: Host) {
    let order = with(cake(), json!({"number": number()}));
    assert_eq!(post(host, &order).await.said(), "200 created");
    assert_eq!(post(host, &order).await.said(), "409 ORD005");
}

async fn ten_equal_requests_at_once_make_one_order(host: Host) {
    let gid = format!("gid://shopify/Order/{}", Order::new(BANNOS, number()).id);
    for fields in [json!({}), json!({"idempotency_key": unique("key")}), json!({"shopify_order_gid": gid})] {
        let (customer, id) = (unique("Tenfold"), unique("msg"));
        let order = with(with(cake(), fields), json!({"customer_name": customer}));
        let answers = (0..10).map(|_| post_as(host, &id, &order));
        let answers = futures_util::future::join_all(answers).await;
        let created = answers.iter().filter(|answer| answer.said() == "200 created").count();
        let skipped = answers.iter().filter(|answer| answer.said() == "200 skipped").count();
        assert_eq!((created, skipped), (1, 9), "{answers:?}");
        assert_eq!(orders_of(&customer).await, 1);
    }
}

async fn shopifys_own_webhook_completes_what_a_partner_told(host: Host) {
    let order =
        Order::new(BANNOS, number()).lines(vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 2)]);
    let told = json!({
        "store": "bannos", "customer_name": "M.", "number": order.number, "shopify_order_id": order.id,
        "products": [{"title": "Vanilla Bliss Cake", "variant_title": "Medium / Vanilla", "quantity": 2}],
    });
    let first = post(host, &told).await;
    assert_eq!(first.said(), "200 created");
    let tasks = rows(&first.body["order_id"]).await["tasks"].clone();
    let webhook = send(&shared().webhooks(host), &create(&order)).await;
    assert_eq!(webhook.said(), "200 updated", "{webhook:?}");
    assert_eq!(webhook.body["order_id"], first.body["order_id"]);
    let after = rows(&first.body["order_id"]).await;
    let (order, lines) = (&after["order"], after["lines"].as_array().unwrap());
    assert_eq!((&order[4], &order[5], &order[11]), (&json!("Mia Sample"), &json!("2026-12-15"), &json!([])));
    assert_eq!(order[8], 190.0, "Shopify knows what it costs");
    assert_eq!((lines.len(), &after["tasks"]), (1, &tasks), "the cakes are those that there were");
    assert_eq!(post(host, &told).await.said(), "200 skipped");
}

async fn a_partner_and_shopify_at_the_same_instant_make_one_order(host: Host) {
    for _ in 0..5 {
        let order = Order::new(BANNOS, number());
        let told = with(cake(), json!({"number": order.number, "shopify_order_id": order.id}));
        let (webhooks, webhook) = (shared().webhooks(host), create(&order));
        let (partner, shopify) = tokio::join!(post(host, &told), send(&webhooks, &webhook));
        let said = [partner.said(), shopify.said()];
        let expected = [["200 created", "200 updated"], ["200 skipped", "200 created"]];
        assert!(expected.iter().any(|expected| said == *expected), "{said:?} {partner:?}");
        assert_eq!(partner.body["order_id"], shopify.body["order_id"]);
        let rows = rows(&partner.body["order_id"]).await;
        assert_eq!(rows["order"][4], "Mia Sample");
        assert_eq!(rows["tasks"].as_array().unwrap().len(), 1);
    }
}

async fn everything_that_is_wrong_is_told_at_once(host: Host) {
    let order = json!({
        "store": "Bannos!", "customer_name": " ", "due_date": "14/03/2027", "delivery_method": "Drone", "number": 0,
        "shopify_order_gid": "gid://shopify/Product/1", "discount": 10, "notes": "x".repeat(5001),
        "products": [
            {"title": "Cake", "quantity": 0},
            {"quantity": 1.5, "colour": "red"},
            "a cake",
            {"title": "Cake", "quantity": 1, "properties": {"Cake Writing": "x"}},
        ],
    });
    let customer = unique("Wrong");
    let found = refused(host, &order).await;
    let expected = [
        "discount: no field of this name",
        "store: the code of a store",
        "customer_name: a text of 1 to 255 characters",
        "due_date: a day from 2000 to 2100 as YYYY-MM-DD",
        "shopify_order_gid: gid://shopify/Order/ and the id",
        "number: a positive integer",
        "delivery_method: Pickup or Delivery",
        "notes: a text of at most 5000 characters",
        "products[0].quantity: an integer from 1 to 500",
        "products[1].colour: no field of this name",
        "products[1].title: a text of 1 to 255 characters",
        "products[1].quantity: an integer from 1 to 500",
        "products[3].properties: a list of at most 100 objects with a name and a value",
    ];
    for expected in expected {
        assert!(found.iter().any(|found| found == expected), "{expected} is not in {found:#?}");
    }
    assert!(found.iter().any(|found| found.starts_with("products[2]: ")), "{found:#?}");
    let answer = post(host, &with(order, json!({"customer_name": customer}))).await;
    let names: Vec<_> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "details", "hint", "message"]);
    assert!(!answer.body.to_string().contains(&customer), "{answer:?}");
    assert_eq!(orders_of(&customer).await, 0);
}

async fn each_field_is_held_to_its_form(host: Host) {
    let long = "x".repeat(256);
    let product =
        |fields: Value| json!({"products": [with(json!({"title": "Cake", "quantity": 1}), fields)]});
    let cases = [
        (json!({"store": null}), "store"),
        (json!({"store": "ban nos"}), "store"),
        (json!({"customer_name": null}), "customer_name"),
        (json!({"customer_name": 7}), "customer_name"),
        (json!({"customer_name": long}), "customer_name"),
        (json!({"due_date": "2027-02-29"}), "due_date"),
        (json!({"due_date": "1999-12-31"}), "due_date"),
        (json!({"due_date": "2101-01-01"}), "due_date"),
        (json!({"due_date": 20270314}), "due_date"),
        (json!({"due_date": "2027-03-14T10:00:00Z"}), "due_date"),
        (json!({"number": "25771"}), "number"),
        (json!({"number": -1}), "number"),
        (json!({"number": 1.5}), "number"),
        (json!({"number": 9_223_372_036_854_775_808_u64}), "number"),
        (json!({"shopify_order_id": 0}), "shopify_order_id"),
        (json!({"shopify_order_id": 1.5}), "shopify_order_id"),
        (json!({"shopify_order_id": 1, "shopify_order_gid": "gid://shopify/Order/2"}), "shopify_order_gid"),
        (json!({"shopify_order_gid": 1}), "shopify_order_gid"),
        (json!({"delivery_method": 1}), "delivery_method"),
        (json!({"idempotency_key": ""}), "idempotency_key"),
        (json!({"idempotency_key": long}), "idempotency_key"),
        (json!({"Store": "bannos"}), "Store"),
        (json!({"products": null}), "products"),
        (json!({"products": []}), "products"),
        (json!({"products": {}}), "products"),
        (json!({"products": vec![json!({"title": "Cake", "quantity": 1}); 101]}), "products"),
        (json!({"products": vec![json!({"title": "Cake", "quantity": 251}); 2]}), "products"),
        (product(json!({"title": long})), "products[0].title"),
        (product(json!({"quantity": "1"})), "products[0].quantity"),
        (product(json!({"quantity": 501})), "products[0].quantity"),
        (product(json!({"sku": long})), "products[0].sku"),
        (product(json!({"variant_title": 1})), "products[0].variant_title"),
        (product(json!({"product_id": "gid://shopify/Order/1"})), "products[0].product_id"),
        (product(json!({"price": "95.00"})), "products[0].price"),
        (product(json!({"properties": [1]})), "products[0].properties"),
    ];
    for (fields, path) in cases {
        let found = refused(host, &with(cake(), fields.clone())).await;
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{fields}: {found:?}");
    }
    for (body, path) in [("{", "line 1, column 1"), ("[]", "the body"), ("\u{feff}{}", "line 1, column 1")] {
        let headers = partner_headers(&shared().stack.keys.orders_secret, "a", body.as_bytes());
        let answer = send_with(&shared().orders(host), &headers, body.as_bytes()).await;
        assert_eq!(answer.said(), "422 VAL001", "{body}");
        assert_eq!(answer.body["details"][0]["path"], path, "{body}");
    }
}

async fn a_store_that_is_not_ours_is_refused(host: Host) {
    let answer = post(host, &with(cake(), json!({"store": "somebody_else"}))).await;
    assert_eq!(answer.said(), "422 VAL001");
    assert_eq!(answer.body["message"], "expected the code of a store, but found another");
}

fn variant(host: Host, variant: Variant) -> String {
    shared().url(host, ORDERS.function, variant, ORDERS.path)
}

async fn a_database_that_is_away_or_silent_is_answered_in_time(host: Host) {
    let body = serde_json::to_vec(&cake()).unwrap();
    for (name, expected) in [(Variant::Nowhere, "503 SYS001"), (Variant::Silent, "504 SYS002")] {
        let (start, headers) =
            (Instant::now(), partner_headers(&shared().stack.keys.orders_secret, "a", &body));
        let answer = send_with(&variant(host, name), &headers, &body).await;
        assert_eq!((answer.said().as_str(), answer.header("retry-after")), (expected, Some("5")));
        assert!(start.elapsed() < GIVES_UP, "{:?}", start.elapsed());
    }
}

async fn every_request_writes_one_log_line(host: Host) {
    let (name, id) = (ORDERS.function, unique("logged"));
    let order = with(cake(), json!({"idempotency_key": unique("key")}));
    let cases = [
        (order.clone(), "right", json!(["info", 200, "created", "bannos", "create_order", null])),
        (order.clone(), "right", json!(["info", 200, "skipped", "bannos", "create_order", null])),
        (
            with(order.clone(), json!({"notes": "x"})),
            "right",
            json!(["warn", 409, "ORD005", null, "create_order", null]),
        ),
        (
            with(order.clone(), json!({"number": 0})),
            "right",
            json!(["warn", 422, "VAL001", null, null, null]),
        ),
        (order, "wrong", json!(["warn", 401, "AUTH001", null, null, null])),
    ];
    for (at, (order, secret, expected)) in cases.into_iter().enumerate() {
        let (id, body) = (format!("{id}-{at}"), serde_json::to_vec(&order).unwrap());
        let secret = if secret == "right" { &shared().stack.keys.orders_secret } else { secret };
        let mut headers = partner_headers(secret, &id, &body);
        headers.push(("x-request-id", id.clone()));
        let answer = send_with(&shared().orders(host), &headers, &body).await;
        assert_eq!(answer.header("x-request-id"), Some(&*id));
        let log = shared().log(host, name, Variant::Plain);
        let line = log_line(&log, &format!("of the request {id}"), |line| line["request_id"] == *id).await;
        let of = |field: &str| line[field].clone();
        let rpc = &line["rpcs"][0]["name"];
        let found = json!([of("level"), of("status"), of("outcome"), of("store"), rpc, of("detail")]);
        assert_eq!(found, expected, "{line}");
        assert_eq!(line["function"], name);
        let number = answer.body["order_id"].as_str().map(|order_id| order_id.replace("bannos-", ""));
        assert_eq!(line["order_number"].as_i64().map(|number| number.to_string()), number, "{line}");
    }
}
