//! What products are to the kitchen, and how orders follow whoever says so.

use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};

use crate::ingestion::{deliver, open_tasks, order_row, update};
use crate::support::*;

/// An order of two units of a product that is new, with nothing in its title that says what it is. It has no date, so its
/// day is never over.
async fn unknown(shop_domain: &str) -> (Order, Value, i64) {
    let order = Order { due: None, ..Order::new(shop_domain, number()) };
    let order = order.lines(vec![Line::new("Box of Delights", "Large / Mango", 2)]);
    let mut body = order.body();
    let product = 9_100_000_000_000 + order.number;
    body["line_items"][0]["product_id"] = product.into();
    // Orders of the last 90 days follow.
    body["created_at"] = shared().stack.shopify.now().to_string().into();
    assert_eq!(deliver("orders/create", shop_domain, &body).await.said(), "200 created");
    (order, body, product)
}

async fn flags(order: &Order) -> Value {
    order_row(order).await["flags"].clone()
}

#[test]
fn what_a_person_says_of_a_product_its_orders_follow() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let classify = async |product: i64, kind: &str| {
            let answer = supervisor
                .does("classify_product", json!({"store": "bannos", "product_id": product, "kind": kind}))
                .await;
            json!([answer["changed"], answer["orders"]])
        };
        let (order, mut body, product) = unknown(BANNOS).await;
        assert_eq!(flags(&order).await, json!(["no_due_date", "unknown_product"]));
        assert_eq!(open_tasks(&order).await, [""; 0]);

        assert_eq!(classify(product, "cake").await, json!([true, 1]));
        let [a, b] = ["A", "B"].map(|letter| format!("B{}-{letter}", order.number));
        assert_eq!(open_tasks(&order).await, [a.as_str(), b.as_str()]);
        assert_eq!(flags(&order).await, json!(["no_due_date"]));
        assert_eq!(classify(product, "cake").await, json!([false, 0]));
        let shown = supervisor.read(&format!("tasks?task_number=eq.{a}")).await.body[0].clone();
        assert_eq!((&shown["size"], &shown["flavour"]), (&json!("Large"), &json!("Mango")));
        // What Shopify says of it later, in another order or of the product, changes nothing.
        body["note"] = "later".into();
        update(BANNOS, &mut body, 1).await;
        assert_eq!(open_tasks(&order).await, [a.as_str(), b.as_str()]);
        let mut next = Order { due: None, ..Order::new(BANNOS, number()) }.body();
        next["line_items"][0]["product_id"] = product.into();
        next["line_items"][0]["title"] = "Box of Delights".into();
        next["created_at"] = body["created_at"].clone();
        let answer = deliver("orders/create", BANNOS, &next).await;
        assert_eq!(answer.said(), "200 created");
        let order_id = &answer.body["order_id"];
        let tasks = supervisor.read(&format!("tasks?order_id=eq.{}", order_id.as_str().unwrap())).await;
        assert_eq!(tasks.body.as_array().unwrap().len(), 1);

        supervisor.does("print_ticket", json!({"task_number": a})).await;
        assert_eq!(classify(product, "ignored").await, json!([true, 2]));
        assert_eq!(open_tasks(&order).await, [a.as_str()]);
        assert_eq!(flags(&order).await, json!(["no_due_date", "too_many_begun"]));
        // A mistake is taken back.
        assert_eq!(classify(product, "cake").await, json!([true, 2]));
        assert_eq!(open_tasks(&order).await, [a, b]);
        assert_eq!(flags(&order).await, json!(["no_due_date"]));
    });
}

#[test]
fn no_cake_is_made_for_an_order_whose_day_is_over_nor_for_a_cancelled_one() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        for (field, value) in
            [("note_attributes", json!([])), ("cancelled_at", json!("2026-12-01T09:00:00Z"))]
        {
            let (order, mut body, product) = unknown(BANNOS).await;
            body[field] = value;
            body["tags"] = "Wed 1 Jan 2020".into();
            update(BANNOS, &mut body, 1).await;
            let request = json!({"store": "bannos", "product_id": product, "kind": "cake"});
            assert_eq!(supervisor.does("classify_product", request).await["orders"], 0, "{field}");
            assert_eq!(open_tasks(&order).await, [""; 0]);
        }
    });
}

#[test]
fn an_order_that_is_being_taken_while_its_product_is_classified_follows_too() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (_, mut body, product) = unknown(BANNOS).await;
        let order = Order { due: None, ..Order::new(BANNOS, number()) };
        let line = body["line_items"][0].take();
        body = order.body();
        body["line_items"] = json!([line]);
        body["created_at"] = shared().stack.shopify.now().to_string().into();
        // The delivery has asked what the product is, and waits for a lock before it is written.
        let mut locker = database(&shared().stack).await;
        let lock = locker.transaction().await.unwrap();
        let sql = "select pg_advisory_xact_lock(hashtextextended('bannos', $1))";
        lock.execute(sql, &[&order.id]).await.unwrap();
        let classify = async {
            let waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted";
            let waiting = async || (count(queries().await, waits).await > 0).then_some(());
            until("the delivery at the lock", waiting).await;
            lock.commit().await.unwrap();
            let request = json!({"store": "bannos", "product_id": product, "kind": "cake"});
            supervisor.does("classify_product", request).await
        };
        let (answer, _) = tokio::join!(deliver("orders/create", BANNOS, &body), classify);
        assert_eq!(answer.said(), "200 created");
        assert_eq!(open_tasks(&order).await.len(), 2);
    });
}

#[test]
fn supervisors_classify_the_products_of_their_store_and_nobody_else_does() {
    run(async {
        let (_, _, product) = unknown(BANNOS).await;
        let request = json!({"store": "bannos", "product_id": product, "kind": "accessory"});
        let list = json!({"store": "bannos"});
        for (role, store) in [("Staff", "bannos"), ("Admin", "flourlane")] {
            let person = Person::staff(role, Some(store)).await;
            assert_eq!(person.rpc("classify_product", request.clone()).await.said(), "403 AUTH002");
            assert_eq!(person.rpc("list_products", list.clone()).await.said(), "403 AUTH002");
        }
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        for (change, said) in [
            (json!({"product_id": 1}), "404 INV002"),
            (json!({"product_id": null, "sku": "none such"}), "404 INV002"),
            (json!({"product_id": null}), "422 VAL001"),
            (json!({"sku": "x"}), "422 VAL001"),
            (json!({"kind": "unknown"}), "422 VAL001"),
            (json!({"kind": null}), "422 VAL001"),
        ] {
            let mut wrong = request.clone();
            wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(supervisor.rpc("classify_product", wrong).await.said(), said, "{change}");
        }
        supervisor.does("classify_product", request).await;
        let sql = "select count(*) from ordak.audit_log where action = 'classify_product' and subject = $1::bigint::text
                   and old = '{\"kind\": \"unknown\"}' and new = '{\"kind\": \"accessory\"}'";
        assert_eq!(queries().await.query_one(sql, &[&product]).await.unwrap().get::<_, i64>(0), 1);
    });
}

#[test]
fn products_are_listed_by_pages_also_those_without_an_id() {
    run(async {
        let shop_domain = add_store("jam", "J").await;
        let mut body = Order::new(&shop_domain, number())
            .lines((1..=5).map(|n| Line::new(&format!("Thing {n}"), "Gold", 1)).collect())
            .body();
        for line in 0..5 {
            body["line_items"][line]["product_id"] = Value::Null;
            body["line_items"][line]["sku"] = ["J-1", "J-2", "J-3", "J-4", ""][line].into();
        }
        assert_eq!(deliver("orders/create", &shop_domain, &body).await.said(), "200 created");
        let supervisor = Person::staff("Supervisor", Some("jam")).await;
        let page = async |after: Value, reviewed: bool| -> Vec<String> {
            let request = json!({"store": "jam", "after": after, "page_size": 2, "reviewed": reviewed});
            let rows = supervisor.does("list_products", request).await;
            rows.as_array().unwrap().iter().map(|row| row["sku"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(page(json!(null), false).await, ["J-1", "J-2"]);
        assert_eq!(page(json!("J-2"), false).await, ["J-3", "J-4"]);
        assert_eq!(page(json!("J-4"), false).await, [""; 0]);
        let request = json!({"store": "jam", "sku": "J-3", "kind": "ignored"});
        let answer = supervisor.does("classify_product", request).await;
        assert_eq!(answer["product"]["kind"], "ignored");
        assert_eq!(page(json!(null), true).await, ["J-3"]);
        assert_eq!(page(json!("J-3"), false).await, ["J-4"], "also after one that has left the list");
        for wrong in [json!({"after": "J-9"}), json!({"reviewed": null}), json!({"page_size": 0})] {
            let mut request = json!({"store": "jam"});
            request.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            assert_eq!(supervisor.rpc("list_products", request).await.said(), "422 VAL001", "{wrong}");
        }
    });
}

#[test]
fn a_product_is_as_its_newest_body_says_but_for_what_a_person_has_said() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (_, _, product) = unknown(BANNOS).await;
        let says = async || {
            let sql =
                "select concat_ws(' ', title, kind, image_url) from ordak.products where product_id = $1";
            queries().await.query_one(sql, &[&product]).await.unwrap().get::<_, String>(0)
        };
        let tell = async |minute: u32, title: &str, image: Value| {
            let body = json!({"id": product, "title": title, "images": [image], "variants": [],
                              "updated_at": format!("2026-12-01T09:{minute:02}:00+11:00")});
            assert_eq!(deliver("products/update", BANNOS, &body).await.said(), "200 recorded");
        };
        let sql =
            "select count(*) from ordak.work_queue where topic = 'product_image' and key = $1::bigint::text";
        assert_eq!(queries().await.query_one(sql, &[&product]).await.unwrap().get::<_, i64>(0), 1);
        tell(5, "Mango Cake", json!({"src": "https://cdn.example/5.jpg"})).await;
        assert_eq!(says().await, "Mango Cake cake https://cdn.example/5.jpg");
        tell(3, "Older", json!({"src": "https://cdn.example/3.jpg"})).await;
        assert_eq!(says().await, "Mango Cake cake https://cdn.example/5.jpg");
        let request = json!({"store": "bannos", "product_id": product, "kind": "accessory"});
        supervisor.does("classify_product", request).await;
        tell(6, "Mango Cake Pick", json!({})).await;
        assert_eq!(says().await, "Mango Cake Pick accessory");
    });
}
