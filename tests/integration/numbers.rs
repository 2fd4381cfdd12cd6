//! Numbers of orders: whose a number is where a person or a partner has given it before Shopify's order came.

use serde_json::{Value, json};
use xtask::stack::order::Order;

use crate::support::*;

/// An order taken by hand under a number: its id and its task's number.
async fn by_hand(supervisor: &Person, number: i64) -> (String, String) {
    let cakes = json!([{"product_title": "Bliss Cake", "quantity": 1}]);
    let arguments =
        json!({"store": "bannos", "customer_name": "Ada", "cakes": cakes, "number": format!("B{number}")});
    let made = supervisor.does("create_manual_order", arguments).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["order"]["order_id"]), text(&made["tasks"][0]["task_number"]))
}

#[test]
fn an_order_of_shopifys_has_its_number_and_what_was_taken_by_hand_gets_another() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let order = Order::new(BANNOS, number());
        let (by_hand, _) = by_hand(&supervisor, order.number).await;
        assert_eq!(by_hand, format!("bannos-{}", order.number));

        let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!((answer.said(), &answer.body["order_id"]), ("200 created".to_owned(), &json!(by_hand)));
        let renumbered = supervisor
            .read(&format!("orders?customer_name=eq.Ada&source=eq.manual&number=gte.{}", 900_000))
            .await;
        let newest =
            renumbered.body.as_array().unwrap().iter().map(|row| row["number"].as_i64().unwrap()).max();
        let moved =
            supervisor.does("get_order", json!({"order_id": format!("bannos-{}", newest.unwrap())})).await;
        assert_eq!(moved["tasks"][0]["task_number"], format!("B{}", newest.unwrap()));
        let again = send(&shared().webhooks(Host::Deno), &create(&order)).await;
        assert_eq!(again.said(), "200 skipped", "the same body in another delivery");
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
