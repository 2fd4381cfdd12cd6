//! Numbers of orders: whose a number is where a person or a partner has given it before Shopify's order came.

use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

/// An order of two cakes taken by hand under a number: its id and its first task's number.
async fn by_hand(supervisor: &Person, number: i64) -> (String, String) {
    let made = supervisor.does("create_manual_order", request(number)).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["order"]["order_id"]), text(&made["tasks"][0]["task_number"]))
}

fn request(number: i64) -> Value {
    let cakes = json!([{"product_title": "Bliss Cake", "quantity": 2}]);
    json!({"store": "bannos", "customer_name": format!("Held {number}"), "cakes": cakes, "number": format!("B{number}")})
}

/// The order of a customer, as a supervisor reads it.
async fn of_customer(supervisor: &Person, number: i64) -> Value {
    supervisor.read(&format!("orders?customer_name=eq.Held%20{number}")).await.body[0].clone()
}

#[test]
fn an_order_of_shopifys_has_its_number_and_what_was_taken_by_hand_gets_another() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let order = Order::new(BANNOS, number());
        let (id, _) = by_hand(&supervisor, order.number).await;
        assert_eq!(id, format!("bannos-{}", order.number));

        let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!((answer.said(), &answer.body["order_id"]), ("200 created".to_owned(), &json!(id)));
        let moved = of_customer(&supervisor, order.number).await;
        assert_eq!((&moved["flags"], &moved["version"]), (&json!(["number_taken"]), &json!(2)), "{moved}");
        let number = moved["number"].as_i64().unwrap();
        assert!(number >= 900_000);
        let whole = supervisor.does("get_order", json!({"order_id": format!("bannos-{number}")})).await;
        let tasks: Vec<_> =
            whole["tasks"].as_array().unwrap().iter().map(|task| task["task_number"].clone()).collect();
        assert_eq!(tasks, [format!("B{number}-A"), format!("B{number}-B")]);
        let again = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!(again.said(), "200 skipped", "the same body in another delivery");
    });
}

/// The number is being given away at the very instant that Shopify's order comes for it.
#[test]
fn a_number_that_is_given_away_meanwhile_is_freed_too() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        for _ in 0..10 {
            let order = Order::new(BANNOS, number());
            let (made, answer) =
                tokio::join!(supervisor.rpc("create_manual_order", request(order.number)), async {
                    send(&shared().webhooks(Host::Deno), &create(&order)).await
                },);
            // Whoever comes second: Shopify's order is taken, under its own number.
            assert_eq!(answer.said(), "200 created", "{answer:?}");
            assert_eq!(answer.body["order_id"], format!("bannos-{}", order.number));
            assert!(["200 ", "409 ORD005"].contains(&made.said().as_str()), "{made:?}");
        }
    });
}

/// Headers are not signed: what only claims to be a store's takes no number there, and does not prove itself.
#[test]
fn an_order_that_shows_no_store_takes_no_number_and_gives_way_to_the_one_that_does() {
    run(async {
        let supervisor = Person::staff("Supervisor", None).await;
        let (held, order) = (number(), Order::new(FLOURLANE, number()));
        by_hand(&supervisor, held).await;
        let product = order.id % 1_000_000_000 + 9_000_000_000_000;
        let mut body = Order { number: held, ..order.clone() }.body();
        body["line_items"][0]["product_id"] = product.into();
        body["order_status_url"] = Value::Null;
        let sent = async |shop: &str, body: &Value| {
            send(&shared().webhooks(Host::Deno), &Webhook::new("orders/create", shop, body.clone())).await
        };
        // Flourlane's order under Bannos' domain, twice: it does not prove itself by having been here.
        for (word, again) in [("200 created", false), ("200 skipped", true)] {
            let answer = sent(BANNOS, &body).await;
            assert_eq!(answer.said(), word);
            let id = answer.body["order_id"].as_str().unwrap().to_owned();
            assert_ne!(id, format!("bannos-{held}"), "the number stays with who has it");
            let row = supervisor.read(&format!("orders?order_id=eq.{id}")).await;
            let flags = row.body[0]["flags"].as_array().unwrap().clone();
            for flag in ["number_taken", "unproven_store"] {
                assert!(flags.contains(&json!(flag)), "{flag}, again {again}: {flags:?}");
            }
        }
        // Its own store shows that it is its own: it moves there.
        body["order_status_url"] = format!("https://{FLOURLANE}/1/orders/2").into();
        let answer = sent(FLOURLANE, &body).await;
        assert_eq!(
            (answer.said(), &answer.body["order_id"]),
            ("200 updated".into(), &json!(format!("flourlane-{held}")))
        );
        let tasks = supervisor.read(&format!("tasks?order_id=eq.flourlane-{held}")).await;
        assert_eq!(tasks.body[0]["task_number"], format!("F{held}"));
        assert_eq!(tasks.body.as_array().unwrap().len(), 1);
        // And another order of that product under the wrong domain is refused from now on.
        let mut other = Order::new(FLOURLANE, number()).body();
        other["line_items"][0]["product_id"] = product.into();
        other["order_status_url"] = Value::Null;
        assert_eq!(sent(BANNOS, &other).await.said(), "200 rejected");
        assert_eq!(sent(FLOURLANE, &other).await.said(), "200 created");
    });
}

#[test]
fn tickets_that_are_printed_keep_their_number_and_shopifys_order_is_flagged() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let order = Order::new(BANNOS, number());
        let (_, task) = by_hand(&supervisor, order.number).await;
        supervisor.does("print_ticket", json!({"task_number": task})).await;

        let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!(answer.said(), "200 created");
        let order_id = answer.body["order_id"].as_str().unwrap().to_owned();
        assert_ne!(order_id, format!("bannos-{}", order.number));
        let flags = async || {
            supervisor.read(&format!("orders?order_id=eq.{order_id}")).await.body[0]["flags"].clone()
        };
        assert!(flags().await.as_array().unwrap().contains(&json!("number_taken")));
        assert_eq!(send(&shared().webhooks(Host::Deno), &create(&order)).await.said(), "200 skipped");

        let dismiss = json!({"order_id": order_id, "flag": "number_taken"});
        let other = Person::staff("Supervisor", Some("flourlane")).await;
        assert_eq!(other.rpc("dismiss_flag", dismiss.clone()).await.said(), "403 AUTH002");
        for changed in [true, false] {
            assert_eq!(supervisor.does("dismiss_flag", dismiss.clone()).await["changed"], changed);
        }
        assert!(!flags().await.as_array().unwrap().contains(&json!("number_taken")));
    });
}

/// A partner's order of one of Shopify's, of which it does not know the number.
async fn told(order: &Order) -> String {
    let body = json!({
        "store": "bannos", "customer_name": "M.", "due_date": "2027-03-14", "shopify_order_id": order.id,
        "products": [{"title": "Vanilla Bliss Cake", "quantity": 2}],
    });
    let body = serde_json::to_vec(&body).unwrap();
    let headers =
        partner_headers(&shared().stack.keys.orders_secret, &format!("own-{}", order.number), &body);
    let answer = send_with(&shared().orders(Host::Deno), &headers, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["order_id"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_partner_told_of_has_shopifys_number_as_soon_as_that_is_known() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let order =
            Order::new(BANNOS, number()).lines(vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 2)]);
        assert!(told(&order).await.starts_with("bannos-9000"), "the store's, until then");
        // Somebody has taken an order by hand under its number: Shopify has told its customer, so that one gives way.
        by_hand(&supervisor, order.number).await;
        let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        let own = format!("bannos-{}", order.number);
        assert_eq!((answer.said(), &answer.body["order_id"]), ("200 updated".to_owned(), &json!(own)));
        let whole = supervisor.does("get_order", json!({"order_id": own})).await;
        assert_eq!(whole["order"]["flags"], json!([]));
        let tasks: Vec<_> =
            whole["tasks"].as_array().unwrap().iter().map(|task| task["task_number"].clone()).collect();
        assert_eq!(tasks, ["A", "B"].map(|letter| format!("B{}-{letter}", order.number)));
        assert_eq!(of_customer(&supervisor, order.number).await["flags"], json!(["number_taken"]));
        assert_eq!(told(&order).await, own, "the partner's request again");
    });
}

#[test]
fn what_a_partner_told_of_keeps_its_number_once_it_is_printed_and_is_flagged() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let order =
            Order::new(BANNOS, number()).lines(vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 2)]);
        let first = told(&order).await;
        let whole = supervisor.does("get_order", json!({"order_id": first})).await;
        supervisor.does("print_ticket", json!({"task_number": whole["tasks"][0]["task_number"]})).await;
        let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!((answer.said(), &answer.body["order_id"]), ("200 updated".to_owned(), &json!(first)));
        let row = supervisor.read(&format!("orders?order_id=eq.{first}")).await;
        assert!(row.body[0]["flags"].as_array().unwrap().contains(&json!("number_taken")), "{row:?}");
    });
}
