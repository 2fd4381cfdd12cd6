//! What could not be taken: who may read it, and how it is taken after all.

use serde_json::{Value, json};
use xtask::stack::order::Order;
use xtask::stack::shopify::Webhook;

use crate::ingestion::{deliver, update};
use crate::support::*;

/// The newest dead letter of a store, as an Admin of all stores sees it.
async fn newest(store: &str) -> Value {
    let admin = Person::staff("Admin", None).await;
    admin.does("list_dead_letters", json!({"store": store, "page_size": 1})).await[0].clone()
}

/// A store of a test's own with a letter whose cause can go: the body names the shop by another domain.
async fn letter_with_a_cause(code: &str, letter: &str) -> Value {
    let shop_domain = add_store(code, letter).await;
    let body = json!({"myshopify_domain": format!("{code}-new.myshopify.com")});
    assert_eq!(deliver("app/uninstalled", &shop_domain, &body).await.said(), "200 rejected");
    newest(code).await
}

#[test]
fn admins_read_the_letters_of_their_stores_and_nobody_else_does() {
    run(async {
        let letter = letter_with_a_cause("halva", "H").await;
        let shown = ["store", "topic", "replayable", "replayed_at"].map(|field| &letter[field]);
        assert_eq!(json!(shown), json!(["halva", "app/uninstalled", true, null]));
        assert!(letter["bytes"].as_i64() > Some(20) && letter["reason"].as_str().unwrap().contains("halva"));
        let name = json!({"letter_id": letter["letter_id"]});
        for (role, store) in [("Supervisor", "halva"), ("Admin", "bannos")] {
            let person = Person::staff(role, Some(store)).await;
            for (rpc, arguments) in [
                ("list_dead_letters", json!({"store": "halva"})),
                ("get_dead_letter", name.clone()),
                ("replay_dead_letter", name.clone()),
            ] {
                assert_eq!(
                    person.rpc(rpc, arguments).await.said(),
                    "403 AUTH002",
                    "{rpc} as {role} of {store}"
                );
            }
        }
        let admin = Person::staff("Admin", Some("halva")).await;
        let listed = admin.does("list_dead_letters", json!({})).await;
        assert_eq!(listed, json!([letter]), "their own store's alone, where they name none");
        let before = json!({"before": letter["received_at"]});
        assert_eq!(admin.does("list_dead_letters", before).await, json!([]));
        let body = admin.does("get_dead_letter", name).await;
        assert_eq!(body, "eyJteXNob3BpZnlfZG9tYWluIjoiaGFsdmEtbmV3Lm15c2hvcGlmeS5jb20ifQ==");
        let nothing = json!({"letter_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"});
        for rpc in ["get_dead_letter", "replay_dead_letter"] {
            assert_eq!(admin.rpc(rpc, nothing.clone()).await.said(), "404 ORD001");
        }
        assert_eq!(admin.rpc("list_dead_letters", json!({"page_size": 201})).await.said(), "422 VAL001");
    });
}

#[test]
fn a_letter_is_refused_until_its_cause_is_gone_and_then_taken_once() {
    run(async {
        let letter = letter_with_a_cause("eclair", "E").await;
        let admin = Person::staff("Admin", Some("eclair")).await;
        let replay =
            async || admin.rpc("replay_dead_letter", json!({"letter_id": letter["letter_id"]})).await;
        for _ in 0..2 {
            assert_eq!(replay().await.said(), "409 ORD005");
        }
        let sql = "update ordak.stores set shop_domain = 'eclair-new.myshopify.com' where code = 'eclair'";
        queries().await.batch_execute(sql).await.unwrap();
        let first = replay().await;
        assert_eq!(json!([first.body["changed"], first.body["status"]]), json!([true, "recorded"]));
        assert!(!first.body["letter"]["replayed_at"].is_null());
        let again = replay().await;
        assert_eq!(json!([again.body["changed"], again.body["status"]]), json!([false, "skipped"]));
        assert_eq!(again.body["letter"], first.body["letter"]);
    });
}

#[test]
fn an_order_that_an_admin_finds_to_be_the_stores_is_taken_from_its_letter() {
    run(async {
        // Flourlane's body shows Bannos: the shops have merged, say.
        let order = Order::new(BANNOS, number());
        assert_eq!(deliver("orders/create", FLOURLANE, &order.body()).await.said(), "200 rejected");
        let admin = Person::staff("Admin", Some("flourlane")).await;
        let sql = "select letter_id::text from ordak.dead_letters where store = 'flourlane' and body = $1";
        let bytes = serde_json::to_vec(&order.body()).unwrap();
        let letter: String = queries().await.query_one(sql, &[&bytes]).await.unwrap().get(0);
        let answer = admin.does("replay_dead_letter", json!({"letter_id": letter})).await;
        assert_eq!(answer["status"], "created");
        assert_eq!(answer["order_id"], format!("flourlane-{}", order.number));
        // From now on its updates are taken too.
        let mut body = order.body();
        body["note"] = "later".into();
        update(FLOURLANE, &mut body, 1).await;
    });
}

#[test]
fn a_letter_that_cannot_be_read_is_for_a_person_alone() {
    run(async {
        let shop_domain = add_store("iced", "I").await;
        let webhook = Webhook::new("orders/create", &shop_domain, Value::Null);
        let answer = send_raw(&shared().webhooks(Host::Deno), &webhook, b"{\"id\": iced").await;
        assert_eq!(answer.said(), "200 rejected");
        let letter = newest("iced").await;
        assert_eq!(letter["replayable"], false);
        let admin = Person::staff("Admin", Some("iced")).await;
        let answer = admin.rpc("replay_dead_letter", json!({"letter_id": letter["letter_id"]})).await;
        assert_eq!(answer.said(), "422 ORD004");
    });
}

#[test]
fn deliveries_are_forgotten_and_bodies_purged_after_thirty_days() {
    run(async {
        let letter = letter_with_a_cause("grape", "G").await;
        let clean_up = async |most: Value| {
            let stack = &shared().stack;
            let url = format!("{}/rest/v1/rpc/clean_up", stack.url());
            let key = &stack.keys.service_role;
            Answer::to(client().post(url).header("apikey", key).bearer_auth(key).json(&json!({"most": most})))
                .await
        };
        let left = async || {
            let sql = "select (select count(*) from ordak.webhook_deliveries where store = 'grape') || ' '
                       || (select count(body) + count(content) from ordak.dead_letters where store = 'grape')";
            queries().await.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
        };
        for most in [json!(0), json!(-1), json!(50_001), json!(null)] {
            assert_eq!(clean_up(most).await.said(), "422 VAL001");
        }
        let admin = Person::staff("Admin", None).await;
        assert_ne!(admin.rpc("clean_up", json!({})).await.status, 200);
        for (days, expected) in [(29, "1 2"), (31, "0 0")] {
            let sql = format!(
                "update ordak.webhook_deliveries set received_at = now() - interval '{days} days' where store = 'grape';
                 update ordak.dead_letters set received_at = now() - interval '{days} days' where store = 'grape'"
            );
            queries().await.batch_execute(&sql).await.unwrap();
            assert_eq!(clean_up(json!(50)).await.status, 200);
            assert_eq!(left().await, expected, "after {days} days");
        }
        let name = json!({"letter_id": letter["letter_id"]});
        assert_eq!(admin.does("get_dead_letter", name.clone()).await, Value::Null);
        let answer = admin.rpc("replay_dead_letter", name).await;
        assert_eq!(answer.said(), "422 ORD004");
        assert!(answer.body["message"].as_str().unwrap().contains("purged"), "{answer:?}");
    });
}
