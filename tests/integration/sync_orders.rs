//! Orders that Shopify is asked for: what is the same changes nothing, and what could not be read when it was delivered is
//! taken from there. Not here: lists of orders, and orders that fail among others.

use serde_json::{Value, json};
use xtask::stack::shopify::Webhook;

use crate::support::cumquat::{Cumquat, cumquat};
use crate::support::shop::{id, line};
use crate::support::*;

/// An order and the same in another form, as what is fetched of it says it.
fn fetched(order: &Value, changes: Value) -> Value {
    let mut order = order.clone();
    order.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({"id": order["shopify_order_id"], "content": {"order": order}})
}

/// The customer of an order.
async fn customer(shop: &Cumquat, order: &Value) -> String {
    let id = &order["shopify_order_id"];
    shop.text(&format!("select customer_name from ordak.orders where shopify_order_id = {id}")).await
}

#[test]
fn an_order_that_was_only_asked_for_is_not_changed() {
    run(async {
        let shop = cumquat().await;
        let at = "2026-11-20T11:00:00Z";
        let order = shop.order_at("CUM-SAME-FORM", 1, at);
        let mut delivered = order.clone();
        // As REST writes it.
        delivered["updated_at"] = json!("2026-11-20T22:00:00+11:00");
        delivered["placed_at"] = delivered["updated_at"].clone();
        delivered["flags"] = json!(["truncated"]);
        let order_id = shop.take(&delivered).await;
        shop.admin.does("dismiss_flag", json!({"order_id": order_id, "flag": "truncated"})).await;
        let state = async || {
            let sql = "select concat_ws(' ', o.flags, o.updated_at) from ordak.orders as o where order_id";
            shop.text(&format!("{sql} = '{order_id}'")).await
        };
        let before = state().await;
        shop.mark("refetch_order", order["shopify_order_id"].as_i64().unwrap()).await;
        let fetch = shop.begin_with("fetch_orders").await;
        // As GraphQL writes it.
        let mut lines = order["lines"].clone();
        lines[0]["price"] = json!("10.0");
        let form = json!({"total_amount": "10.0", "placed_at": at, "flags": ["truncated"], "lines": lines});
        shop.done(&fetch, json!({"orders": [fetched(&order, form)]})).await;
        assert_eq!(state().await, before);
        // Nor are the two forms rivals, of which Shopify must say which is right.
        shop.take(&delivered).await;
        assert_eq!((shop.marked("refetch_order").await, state().await), (String::new(), before));
        delivered["lines"][0]["price"] = json!("11.00");
        shop.take(&delivered).await;
        assert_eq!(shop.marked("refetch_order").await, order["shopify_order_id"].to_string());
    });
}

/// Has a body delivered that cannot be taken, and answers with its letter.
async fn refused(shop: &Cumquat, topic: &str, body: &Value) -> Value {
    let webhook = Webhook::new(topic, "cumquat.myshopify.com", body.clone());
    assert_eq!(send(&shared().webhooks(Host::Deno), &webhook).await.said(), "200 rejected");
    newest(shop).await
}

/// The newest letter of the store.
async fn newest(shop: &Cumquat) -> Value {
    shop.admin.does("list_dead_letters", json!({"store": "cumquat", "page_size": 1})).await[0].clone()
}

/// Replays a letter.
async fn replay(shop: &Cumquat, letter: &Value) -> Answer {
    shop.admin.rpc("replay_dead_letter", json!({"letter_id": letter["letter_id"]})).await
}

#[test]
fn what_could_not_be_read_is_fetched_when_it_is_replayed() {
    run(async {
        let shop = cumquat().await;
        let order = shop.order(&[line("CUM-LETTER", "accessory", 1)]);
        let id = order["shopify_order_id"].as_i64().unwrap();
        let letter = refused(&shop, "orders/create", &json!({"id": id, "line_items": "many"})).await;
        assert_eq!(json!([letter["topic"], letter["replayable"]]), json!(["orders/create", true]));
        let answer = replay(&shop, &letter).await;
        assert_eq!(json!([answer.body["changed"], answer.body["status"]]), json!([true, "recorded"]));
        let fetch = shop.begin_with("fetch_orders").await;
        assert_eq!(fetch["orders"], json!([id]));

        // It still cannot be read: that is a letter of its own, which can be replayed too, also when it is purged.
        shop.done(&fetch, json!({"orders": [{"id": id, "reason": "expected a shape, but found another"}]}))
            .await;
        shop.end().await;
        let again = newest(&shop).await;
        assert_eq!(json!([again["topic"], again["replayable"]]), json!(["sync/order", true]));
        let purge = "update ordak.dead_letters set body = null, content = null where store = 'cumquat'";
        shop.sql(purge).await;
        assert_eq!(replay(&shop, &again).await.body["status"], "recorded");
        let fetch = shop.begin_with("fetch_orders").await;
        shop.done(&fetch, json!({"orders": [fetched(&order, json!({}))]})).await;
        assert_eq!(customer(&shop, &order).await, "Ada");
        assert_eq!(replay(&shop, &again).await.body["changed"], false);
    });
}

#[test]
fn a_letter_is_fetched_by_the_order_that_it_names_whatever_its_topic_and_else_not() {
    run(async {
        let shop = cumquat().await;
        let order = || id().to_string();
        let [refund, edit, unnamed] = [order(), order(), order()];
        let number = |id: &str| id.parse::<i64>().unwrap();
        let gid = format!("gid://shopify/Order/{unnamed}");
        let cases = [
            (
                "refunds/create",
                json!({"id": 5, "order_id": number(&refund), "refund_line_items": 1}),
                &*refund,
            ),
            // A gateway that lost the topic.
            ("", json!({"id": number(&unnamed), "admin_graphql_api_id": gid}), &*unnamed),
            ("products/update", json!({"id": 77, "title": [], "variants": 1}), ""),
            ("orders/create", json!({"id": "77777777777777777777"}), ""),
            ("orders/create", json!([{"id": 77}]), ""),
            ("orders/create", json!({"id": 77.5}), ""),
        ];
        for (topic, body, expected) in cases {
            let letter = refused(&shop, topic, &body).await;
            assert_eq!(letter["replayable"], !expected.is_empty(), "{topic} {body}");
            let said = replay(&shop, &letter).await.said();
            assert_eq!(
                said,
                if expected.is_empty() { "422 ORD004" } else { "200 recorded" },
                "{topic} {body}"
            );
            assert_eq!(shop.marked("refetch_order").await, expected, "{topic} {body}");
            shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        }
        let named = format!(
            "select ordak.order_named('orders/edited', '{{\"order_edit\": {{\"order_id\": {edit}}}}}')::text"
        );
        assert_eq!(shop.text(&named).await, edit);
        let texts =
            [r#"{"id": "\u0000"}"#, "", "{\"id\": 1"].map(|text| format!("convert_to('{text}', 'UTF8')"));
        let others = [r"'\xff'::bytea", "convert_to(repeat('[', 100000), 'UTF8')"].map(str::to_owned);
        for body in texts.into_iter().chain(others) {
            let named = format!("select ordak.order_named('orders/create', {body})::text");
            assert_eq!(shop.text(&named).await, "", "{body}");
        }
    });
}

#[test]
fn letters_of_one_transaction_stand_on_different_pages() {
    run(async {
        let shop = cumquat().await;
        let orders = [id(), id(), id()];
        for order in orders {
            shop.mark("refetch_order", order).await;
        }
        let fetch = shop.begin_with("fetch_orders").await;
        let letters: Vec<Value> =
            orders.iter().map(|id| json!({"id": id, "reason": "a page each"})).collect();
        shop.done(&fetch, json!({"orders": letters})).await;
        let mut before = Value::Null;
        let mut found = Vec::new();
        for _ in orders {
            let page = json!({"store": "cumquat", "before": before, "page_size": 1});
            let letter = shop.admin.does("list_dead_letters", page).await[0].clone();
            assert_eq!(letter["reason"], "a page each");
            before = letter["received_at"].clone();
            found.push(letter["letter_id"].clone());
        }
        found.dedup();
        assert_eq!(found.len(), 3);
    });
}
