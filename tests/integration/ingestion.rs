//! What the deliveries about an order make of it, in whatever order they come, and of everything else that Shopify tells.

mod any_order;

use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

/// Delivers a body to the function on Deno.
pub async fn deliver(topic: &str, shop_domain: &str, body: &Value) -> Answer {
    send(&shared().webhooks(Host::Deno), &Webhook::new(topic, shop_domain, body.clone())).await
}

/// Delivers a body that was so at a minute of the first of December, and expects that it changed the order.
pub async fn update(shop_domain: &str, body: &mut Value, minute: u64) {
    body["updated_at"] = instant(minute).into();
    assert_eq!(deliver("orders/updated", shop_domain, body).await.said(), "200 updated");
}

fn instant(minute: u64) -> String {
    format!("2026-12-01T09:{minute:02}:00+11:00")
}

/// An order of a test's own, with as many cakes, that has been taken.
pub async fn taken(shop_domain: &str, cakes: u32) -> (Order, Value) {
    let order = Order::new(shop_domain, number());
    let order = order.lines(vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", cakes)]);
    let body = order.body();
    assert_eq!(deliver("orders/create", shop_domain, &body).await.said(), "200 created");
    (order, body)
}

/// The order's row.
pub async fn order_row(order: &Order) -> Value {
    json_of("select to_jsonb(o)::text from ordak.orders as o where o.shopify_order_id = $1", order.id).await
}

/// What is still to be made of an order: the tasks' numbers.
pub async fn open_tasks(order: &Order) -> Vec<String> {
    let sql = "select t.number from ordak.tasks as t join ordak.orders as o on o.id = t.order_key
               where o.shopify_order_id = $1 and t.cancelled_at is null order by t.id";
    queries().await.query(sql, &[&order.id]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The JSON that a query of one text column answers about an id.
pub async fn json_of(sql: &str, id: i64) -> Value {
    let text: String = queries().await.query_one(sql, &[&id]).await.unwrap().get(0);
    serde_json::from_str(&text).unwrap()
}

/// How often something is marked as still to be done.
async fn marks(topic: &str, key: &str) -> i64 {
    let sql = "select coalesce(sum(version), 0)::bigint from ordak.work_queue where topic = $1 and key = $2";
    queries().await.query_one(sql, &[&topic, &key]).await.unwrap().get(0)
}

/// A refund of units of an order's line.
fn refund(order: &Order, line: i64, refund_line: i64, units: i64) -> Value {
    json!({
        "id": refund_line, "order_id": order.id, "created_at": "2026-12-01T10:00:00+11:00",
        "processed_at": "2026-12-01T10:00:00+11:00", "note": null,
        "refund_line_items": [{"id": refund_line, "line_item_id": order.id * 2 + line, "quantity": units,
                               "restock_type": "return", "location_id": 71}],
    })
}

#[test]
fn a_cancellation_before_its_order_leaves_a_cancelled_order_and_the_order_is_skipped() {
    run(async {
        let order = Order::new(BANNOS, number());
        let mut cancelled = order.body();
        cancelled["cancelled_at"] = instant(5).into();
        cancelled["cancel_reason"] = "customer".into();
        cancelled["updated_at"] = instant(5).into();
        assert_eq!(deliver("orders/cancelled", BANNOS, &cancelled).await.said(), "200 created");
        let before = order_row(&order).await;
        assert_eq!(before["cancel_reason"], "customer");
        assert_eq!(deliver("orders/create", BANNOS, &order.body()).await.said(), "200 skipped");
        assert_eq!(order_row(&order).await, before);
        assert_eq!(open_tasks(&order).await, [""; 0]);
    });
}

#[test]
fn an_older_body_that_is_cancelled_cancels_for_good_and_says_nothing_else() {
    run(async {
        let (order, mut body) = taken(BANNOS, 2).await;
        body["note"] = "newest".into();
        update(BANNOS, &mut body, 9).await;
        let mut cancelled = order.body();
        cancelled["cancelled_at"] = instant(5).into();
        cancelled["updated_at"] = instant(5).into();
        assert_eq!(deliver("orders/cancel", BANNOS, &cancelled).await.said(), "200 updated");
        body["note"] = "newer still".into();
        update(BANNOS, &mut body, 10).await;
        let row = order_row(&order).await;
        assert_eq!((&row["notes"], row["cancelled_at"].is_null()), (&json!("newer still"), false));
        assert_eq!(open_tasks(&order).await, [""; 0]);
    });
}

/// A body that shows nothing of its store: the shop has a domain of its own, and its product is new.
fn without_evidence(shop_domain: &str) -> (Order, Value) {
    let order = Order::new(shop_domain, number());
    let mut body = order.body();
    body["order_status_url"] = "https://cakes.example/5483800/orders/c0ffee".into();
    body["line_items"][0]["product_id"] = (9_000_000_000_000 + order.number).into();
    (order, body)
}

#[test]
fn an_order_that_shows_nothing_of_its_store_is_taken_and_flagged_until_it_does() {
    run(async {
        let (order, mut body) = without_evidence(FLOURLANE);
        assert_eq!(deliver("orders/create", FLOURLANE, &body).await.said(), "200 created");
        assert_eq!(order_row(&order).await["flags"], json!(["unproven_store"]));
        body["note"] = "still nothing".into();
        update(FLOURLANE, &mut body, 1).await;
        // Taken or not, it is no evidence for itself.
        assert_eq!(deliver("orders/updated", FLOURLANE, &body).await.said(), "200 skipped");
        assert_eq!(order_row(&order).await["flags"], json!(["unproven_store"]));
        let webhook = Webhook::new("orders/updated", FLOURLANE, body.clone());
        let bytes = serde_json::to_vec(&body).unwrap();
        let url = shared().variant(Host::Deno, Variant::OwnSecret);
        let answer = send_with(&url, &webhook.headers("matcha", &bytes).unwrap(), &bytes).await;
        assert_eq!(answer.said(), "200 skipped");
        assert_eq!(order_row(&order).await["flags"], json!([]));
    });
}

#[test]
fn an_order_whose_body_shows_another_store_is_kept_as_a_dead_letter() {
    run(async {
        // By its gid: it stands in Flourlane, and is proven.
        let (order, mut body) = taken(FLOURLANE, 1).await;
        body["order_status_url"] = "https://cakes.example/1".into();
        body["updated_at"] = instant(1).into();
        assert_eq!(deliver("orders/updated", BANNOS, &body).await.said(), "200 rejected");
        assert_eq!(deliver("orders/updated", FLOURLANE, &body).await.said(), "200 updated");
        assert_eq!(order_row(&order).await["flags"], json!([]));
        for topic in ["refunds/create", "orders/edited"] {
            let body = json!({"order_id": order.id, "order_edit": {"order_id": order.id}});
            assert_eq!(deliver(topic, BANNOS, &body).await.said(), "200 rejected", "{topic}");
        }
        // By its product, which Bannos has sold before and Flourlane has not.
        let (_, mut first) = without_evidence(BANNOS);
        first["order_status_url"] = format!("https://{BANNOS}/1/orders/2").into();
        assert_eq!(deliver("orders/create", BANNOS, &first).await.said(), "200 created");
        let (second, mut body) = without_evidence(BANNOS);
        body["line_items"][0]["product_id"] = first["line_items"][0]["product_id"].clone();
        assert_eq!(deliver("orders/create", FLOURLANE, &body).await.said(), "200 rejected");
        assert_eq!(deliver("orders/create", BANNOS, &body).await.said(), "200 created");
        assert_eq!(order_row(&second).await["flags"], json!([]));
    });
}

#[test]
fn a_stores_own_secret_decides_whose_a_body_is() {
    run(async {
        let order = Order::new(BANNOS, number());
        let bytes = serde_json::to_vec(&order.body()).unwrap();
        let url = shared().variant(Host::Deno, Variant::OwnSecret);
        for (shop_domain, said) in [(BANNOS, "401 AUTH001"), (FLOURLANE, "200 created")] {
            let webhook = Webhook::new("orders/create", shop_domain, Value::Null);
            let headers = webhook.headers("matcha", &bytes).unwrap();
            assert_eq!(send_with(&url, &headers, &bytes).await.said(), said, "{shop_domain}");
        }
        assert_eq!(order_row(&order).await["store"], "flourlane");
    });
}

#[test]
fn a_refund_counts_once_whether_it_comes_before_its_order_after_it_or_in_it() {
    run(async {
        let order = Order::new(BANNOS, number());
        let order = order.clone().lines(vec![Line::new("Fudge Cake", "Large", 4)]);
        let id = |n: i64| order.id * 2 + 100 + n;
        let first = refund(&order, 1, id(1), 1);
        assert_eq!(deliver("refunds/create", BANNOS, &first).await.said(), "200 recorded");
        assert_eq!(marks("refetch_order", &order.id.to_string()).await, 1);
        let mut body = order.body();
        // Shopify may write down the order before it has counted the refund.
        body["refunds"] = json!([first]);
        assert_eq!(deliver("orders/create", BANNOS, &body).await.said(), "200 created");
        assert_eq!(open_tasks(&order).await.len(), 3);
        assert_eq!(deliver("refunds/create", BANNOS, &first).await.said(), "200 recorded");
        let answer = deliver("refunds/create", BANNOS, &refund(&order, 1, id(2), 2)).await;
        assert_eq!(answer.said(), "200 updated");
        assert_eq!(answer.body["order_id"], format!("bannos-{}", order.number));
        assert_eq!(open_tasks(&order).await, [format!("B{}", order.number)]);
        assert_eq!(marks("refetch_order", &order.id.to_string()).await, 3);
        // Now Shopify has counted all of it, and leaves as many.
        body["line_items"][0]["current_quantity"] = 1.into();
        update(BANNOS, &mut body, 3).await;
        assert_eq!(open_tasks(&order).await.len(), 1);
        // Of a line that the order does not have, and of more than it had.
        let unknown = deliver("refunds/create", BANNOS, &refund(&order, 9, id(3), 1)).await;
        assert_eq!(unknown.said(), "200 updated");
        assert_eq!(open_tasks(&order).await.len(), 1);
        for n in [4, 5] {
            let most = refund(&order, 1, id(n), i64::from(i32::MAX));
            assert_eq!(deliver("refunds/create", BANNOS, &most).await.said(), "200 updated");
        }
        assert_eq!(open_tasks(&order).await, [""; 0]);
    });
}

#[test]
fn an_edited_order_is_to_be_read_again_each_time() {
    run(async {
        let (order, _) = taken(BANNOS, 1).await;
        for edit in 1..=2 {
            let body = json!({"order_edit": {"id": edit, "order_id": order.id}});
            let answer = deliver("orders/edited", BANNOS, &body).await;
            assert_eq!(answer.said(), "200 recorded");
            assert_eq!(answer.body["order_id"], format!("bannos-{}", order.number));
            assert_eq!(marks("refetch_order", &order.id.to_string()).await, edit);
        }
    });
}

#[test]
fn two_bodies_that_claim_to_be_one_version_are_to_be_read_again() {
    run(async {
        let (order, mut body) = taken(BANNOS, 1).await;
        body["note"] = "another".into();
        deliver("orders/updated", BANNOS, &body).await;
        assert_eq!(marks("refetch_order", &order.id.to_string()).await, 1);
    });
}

#[test]
fn the_newest_level_is_remembered() {
    run(async {
        let item = 8_000_000_000_000 + number();
        for (available, minute, expected) in [
            (json!(5), 2, json!(5)),
            (json!(9), 1, json!(5)),
            (json!(null), 3, json!(null)),
            (json!(-2), 4, json!(-2)),
        ] {
            let body = json!({"inventory_item_id": item, "location_id": 71, "available": available,
                              "updated_at": instant(minute)});
            let answer = deliver("inventory_levels/update", BANNOS, &body).await;
            assert_eq!(answer.said(), "200 recorded");
            let sql = "select coalesce(available::text, 'null') from ordak.levels_seen where inventory_item_id = $1";
            assert_eq!(json_of(sql, item).await, expected, "{available} of minute {minute}");
        }
    });
}

#[test]
fn an_uninstalled_app_stops_its_store_until_an_admin_resumes_it() {
    run(async {
        let shop_domain = add_store("kransky", "K").await;
        let stopped = async || {
            let sql =
                "select (select count(*) from ordak.stores where code = 'kransky' and stopped_at is not null)
                       || ' stopped, '
                       || (select count(*) from ordak.alerts where store = 'kransky' and resolved_at is null)
                       || ' alerts'";
            queries().await.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
        };
        // The topic is not signed: whatever we were sent once could be sent again under it.
        for body in [Order::new(&shop_domain, number()).body(), json!({"myshopify_domain": BANNOS})] {
            assert_eq!(deliver("app/uninstalled", &shop_domain, &body).await.said(), "200 rejected");
        }
        assert_eq!(stopped().await, "0 stopped, 0 alerts");
        for id in 1..=2 {
            let body = json!({"id": id, "myshopify_domain": shop_domain});
            assert_eq!(deliver("app/uninstalled", &shop_domain, &body).await.said(), "200 recorded");
            assert_eq!(stopped().await, "1 stopped, 1 alerts");
        }
        let resume = json!({"store": "kransky"});
        for (role, store) in [("Supervisor", "kransky"), ("Admin", "bannos")] {
            let person = Person::staff(role, Some(store)).await;
            assert_eq!(person.rpc("resume_store", resume.clone()).await.said(), "403 AUTH002");
        }
        let admin = Person::staff("Admin", Some("kransky")).await;
        assert_eq!(admin.does("resume_store", resume.clone()).await, true);
        assert_eq!(stopped().await, "0 stopped, 0 alerts");
        assert_eq!(admin.does("resume_store", resume).await, false);
        assert_eq!(admin.rpc("resume_store", json!({"store": "nowhere"})).await.said(), "403 AUTH002");
    });
}

#[test]
fn more_cakes_than_can_be_made_are_kept_as_a_dead_letter() {
    run(async {
        let (order, mut body) = taken(BANNOS, 1).await;
        for count in ["quantity", "current_quantity"] {
            body["line_items"][0][count] = 501.into();
        }
        body["updated_at"] = instant(1).into();
        assert_eq!(deliver("orders/updated", BANNOS, &body).await.said(), "200 rejected");
        assert_eq!(open_tasks(&order).await.len(), 1);
    });
}

/// Calls `create_order` as the function for partners does.
async fn partner_order(content: &Value) -> Answer {
    let stack = &shared().stack;
    let key = &stack.keys.service_role;
    let url = format!("{}/rest/v1/rpc/create_order", stack.url());
    let request = client().post(url).header("apikey", key).bearer_auth(key);
    Answer::to(request.json(&json!({"content": content, "request_id": "msg_1"}))).await
}

#[test]
fn a_partners_order_becomes_shopifys_and_the_cakes_that_are_begun_are_the_same() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        let order = Order::new(BANNOS, number());
        let line = |title: &str, quantity: i64| {
            json!({"product_id": null, "sku": null, "title": title, "variant_title": "Large / Vanilla", "kind": "cake",
                   "quantity": quantity, "size": "Large", "flavour": "Vanilla", "cake_writing": null, "properties": []})
        };
        let content = json!({
            "store": "bannos", "idempotency_key": null, "shopify_order_id": order.id, "number": order.number,
            "shopify_order_gid": format!("gid://shopify/Order/{}", order.id), "customer_name": "Ada",
            "due_date": null, "delivery_method": "Pickup", "notes": null, "flags": ["no_due_date"],
            "lines": [line("Fudge Cake", 1), line("Matcha Cake", 2)],
        });
        // Shopify's own delivery may come at the same instant; whoever is first, it is one order.
        let (first, second) = tokio::join!(partner_order(&content), partner_order(&content));
        let mut said = [first.said(), second.said()];
        said.sort();
        assert_eq!(said, ["200 created", "200 skipped"]);
        let [a, b, c] = ["A", "B", "C"].map(|letter| format!("B{}-{letter}", order.number));
        cook.does("print_ticket", json!({"task_number": b})).await;
        let lines = [("Matcha Cake", 2), ("Fudge Cake", 1)];
        let lines = lines.map(|(title, units)| Line::new(title, "Large / Vanilla", units)).to_vec();
        let body = order.clone().lines(lines).body();
        assert_eq!(deliver("orders/create", BANNOS, &body).await.said(), "200 updated");
        let mut open = open_tasks(&order).await;
        open.sort();
        assert_eq!(open, [a, b, c]);
        let row = order_row(&order).await;
        assert_eq!(
            json!([row["customer_name"], row["flags"]]),
            json!(["Mia Sample", ["changed_when_begun"]])
        );
        assert_eq!(deliver("orders/create", BANNOS, &body).await.said(), "200 skipped");
        assert_eq!(partner_order(&content).await.said(), "200 skipped");
    });
}
