//! The queue from outside: who sees it, what is refused, who is told that there is work, and what the auditor finds.

use serde_json::{Value, json};

use super::{Worker, alerts, audited, change, row, text, turn};
use crate::support::shop::{line, service};
use crate::support::*;

#[test]
fn only_admins_see_the_queue_and_the_figures_add_up() {
    run(async {
        let turn = turn().await;
        let listings = turn.owed(3).await;
        let worker = Worker::new().await;
        let _work = worker.push().await;
        turn.owed(1).await;
        change(&format!(
            "update ordak.work_queue set state = 'dead', died_at = now(), last_error = 'no', lease_token = null,
             lease_until = null, created_at = now() - interval '1 hour' where key = '{}'",
            listings[2]
        ))
        .await;
        let statistics = turn.shop.admin.does("sync_statistics", json!({"store": "mousse"})).await;
        let found: Vec<String> = statistics
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                format!("{} {} {} {}", text(row, "topic"), text(row, "state"), row["depth"], row["due"])
            })
            .collect();
        assert_eq!(
            found,
            ["inventory_push dead 1 0", "inventory_push leased 2 0", "inventory_push ready 1 1"]
        );
        assert!(statistics[0]["oldest_seconds"].as_i64().is_some_and(|age| age >= 3600), "{statistics}");
        let supervisor = Person::staff("Supervisor", None).await;
        let stranger = Person::staff("Admin", Some("bannos")).await;
        for name in ["sync_statistics", "list_failed_sync", "retry_failed_sync"] {
            assert_eq!(supervisor.rpc(name, json!({})).await.said(), "403 AUTH002", "{name}");
            assert_eq!(stranger.rpc(name, json!({"store": "mousse"})).await.said(), "403 AUTH002", "{name}");
            assert_eq!(
                turn.shop.admin.rpc(name, json!({"store": "nowhere"})).await.said(),
                "422 VAL001",
                "{name}"
            );
        }
        assert_eq!(stranger.does("retry_failed_sync", json!({})).await, 0, "of their own store");
        change(&format!("delete from ordak.work_queue where key = '{}'", listings[2])).await;
        assert_eq!(alerts("sync_dead").await, "");
    });
}

#[test]
fn nonsense_is_refused() {
    run(async {
        let _turn = turn().await;
        let lease = "0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0003";
        let finish = |result: Value| json!({"store": "mousse", "lease": lease, "result": result});
        for (name, arguments) in [
            ("begin_sync", json!({"trigger": "manual", "stores": ["mousse"]})),
            ("begin_sync", json!({"trigger": "kick", "stores": null})),
            ("end_sync", json!({"store": "mousse", "lease": lease, "outcome": "bored"})),
            ("finish_work", finish(json!({"work": "push", "outcome": "done"}))),
            ("finish_work", finish(json!({"work": "push", "outcome": "bored", "token": lease}))),
            ("finish_work", finish(json!({"work": "sleep", "outcome": "done", "token": lease}))),
            ("finish_work", finish(json!({"work": "fetch_orders", "outcome": "void", "token": lease}))),
            ("finish_work", finish(json!([]))),
        ] {
            assert_eq!(service(name, arguments.clone()).await.said(), "422 VAL001", "{name} {arguments}");
        }
        assert_eq!(
            service("claim_work", json!({"store": "nowhere", "lease": lease})).await.body["lost"],
            true
        );
    });
}

#[test]
fn who_sends_something_in_is_told_that_there_is_something_to_push() {
    run(async {
        let turn = turn().await;
        let (listing, sku) = turn.one().await;
        let sent = async |sku: &str| {
            let webhook = number().to_string();
            let order = turn.shop.order(&[line(sku, "accessory", 1)]);
            let delivery = json!({
                "shop_domain": "mousse.myshopify.com", "topic": "orders/updated", "webhook_id": webhook,
                "body_digest": webhook, "secret_store": "mousse",
            });
            service("ingest", json!({"delivery": delivery, "content": {"order": order}})).await.body["dirty"]
                .clone()
        };
        assert_eq!((sent(&sku).await, sent("MOU-NOT-LISTED").await), (json!(true), Value::Null));
        let partner = async |sku: &str| {
            let content = json!({
                "store": "mousse", "customer_name": "Ada", "due_date": "2027-03-01", "flags": [], "refund_lines": [],
                "delivery_method": "Pickup",
                "lines": [line(sku, "accessory", 1)],
            });
            let order = json!({"content": content, "request_id": number().to_string()});
            let answer = service("create_order", order).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.body["dirty"].clone()
        };
        assert_eq!((partner(&sku).await, partner("MOU-NOT-LISTED").await), (json!(true), Value::Null));
        assert_eq!(row(listing).await, "ready 0 0");
    });
}

#[test]
fn the_auditor_finds_each_fault_of_the_queue() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        let key = text(&work, "key");
        for (cheat, fault) in [
            (
                "update ordak.work_queue set lease_until = now() - interval '6 minutes' where key = '$'",
                "leased by nobody, or for too long mousse inventory_push $",
            ),
            ("delete from ordak.work_queue where key = '$'", "owed and not marked mousse $"),
            (
                "with b as (insert into ordak.push_batches (key, store, variables)
                            values (gen_random_uuid(), 'bannos', '') returning key)
                 insert into ordak.push_items (batch, position, listing, delta) select key, 0, $, 1 from b",
                "two open pushes of a listing mousse",
            ),
            (
                "update ordak.push_batches set state = 'applied', closed_at = now() where key = '#'",
                "a push is not counted once where Shopify took it, and never else mousse",
            ),
            (
                "update ordak.push_batches set state = 'void', closed_at = now() where key = '#';
                 insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
                 select listing, 'push', id, delta, delta, now() from ordak.push_items where batch = '#'",
                "a push is not counted once where Shopify took it, and never else mousse",
            ),
        ] {
            let mut database = database(&shared().stack).await;
            let transaction = database.transaction().await.unwrap();
            let cheat = cheat.replace('$', &listing.to_string()).replace('#', key);
            transaction.batch_execute(&cheat).await.unwrap_or_else(|error| panic!("{cheat}: {error}"));
            let sql =
                "select concat_ws(' ', check_name, subject) from ordak.audit where subject like '%mousse%'";
            let rows = transaction.query(sql, &[]).await.unwrap();
            transaction.rollback().await.unwrap();
            let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let fault = fault.replace('$', &listing.to_string());
            assert!(found.iter().any(|found| found.starts_with(&fault)), "{cheat}: {found:?}");
        }
        assert_eq!(audited().await, "");
        let nobody = format!("update ordak.work_queue set lease_token = null where key = '{listing}'");
        let refused = queries().await.execute(&nobody, &[]).await.unwrap_err();
        assert_eq!(refused.as_db_error().unwrap().constraint(), Some("work_queue_lease"));
    });
}
