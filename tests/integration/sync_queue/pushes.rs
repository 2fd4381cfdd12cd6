//! Pushes: what they tell of, each outcome of one, and what then becomes of its row.

use serde_json::{Value, json};

use super::{Worker, alerts, audited, change, changes, expected, later, look, push, read, row, text, turn};
use crate::support::*;

/// How long after its last push a listing can be pushed again.
async fn wait(listing: i64) -> String {
    look(&format!(
        "select (w.run_at - max(e.created_at))::text
         from ordak.work_queue as w join ordak.listing_effects as e on e.listing = w.key::bigint and e.kind = 'push'
         where w.topic = 'inventory_push' and w.key = '{listing}' group by w.run_at"
    ))
    .await
}

#[test]
fn a_push_that_shopify_took_is_counted_once_and_its_row_is_gone() {
    run(async {
        let turn = turn().await;
        let (listing, _) = turn.one().await;
        assert_eq!(row(listing).await, "ready 0 0");
        let worker = Worker::new().await;
        let work = worker.push().await;
        assert_eq!(row(listing).await, "leased 0 0");
        let key = text(&work, "key");
        let variables: Value = serde_json::from_str(text(&work, "variables")).unwrap();
        let item =
            look(&format!("select inventory_item_id::text from ordak.listings where id = {listing}")).await;
        assert_eq!(
            variables,
            json!({"key": key, "input": {
                "name": "available", "reason": "correction", "referenceDocumentUri": format!("ordak://push/{key}"),
                "changes": [{
                    "inventoryItemId": format!("gid://shopify/InventoryItem/{item}"),
                    "locationId": "gid://shopify/Location/71", "delta": -3, "changeFromQuantity": null,
                }],
            }})
        );
        for _ in 0..2 {
            let next = worker.done(&work).await;
            assert_eq!(next, json!({"work": "none", "wait_ms": null}));
            assert_eq!((row(listing).await, push(&work).await), (String::new(), "applied 1".into()));
            assert_eq!(expected(listing).await, 10, "by −3, once");
        }
        let effect = "select concat_ws(' ', e.kind, e.delta, e.shopify_at at time zone 'UTC') from ordak.listing_effects as e
                      where e.listing = $ and e.kind = 'push'";
        assert_eq!(look(&effect.replace('$', &listing.to_string())).await, "push -3 2026-11-24 10:00:00");
        assert_eq!(worker.figures().await, "running 2 0 20 1 0");
        assert!(!worker.end("done").await);
        assert_eq!(worker.figures().await, "done 2 0 20 1 0");
        assert!(Worker::come("kick").await.is_none(), "there is nothing to do");
        assert_eq!(audited().await, "");
    });
}

#[test]
fn what_changes_while_a_push_is_open_is_pushed_after_it() {
    run(async {
        let turn = turn().await;
        let (listing, sku) = turn.one().await;
        let (other, same) = turn.one().await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        turn.adjust(&sku, 5).await;
        // There and back again: nothing is owed of it in the end.
        turn.adjust(&same, 1).await;
        turn.adjust(&same, -1).await;
        let marked = format!("select version::text from ordak.work_queue where key = '{listing}'");
        assert_eq!(look(&marked).await, "1", "what is being pushed is not marked");
        worker.done(&work).await;
        assert_eq!((wait(listing).await.as_str(), row(other).await.as_str()), ("00:00:00.2", ""));
        assert_eq!(audited().await, "");
        // On a slow machine it may have it already.
        later().await;
        assert_eq!(changes(&worker.push().await)[0]["delta"], 5);
    });
}

#[test]
fn the_more_often_a_listing_changes_the_longer_it_waits() {
    run(async {
        let turn = turn().await;
        let (listing, sku) = turn.one().await;
        let work = Worker::new().await.push().await;
        turn.adjust(&sku, 5).await;
        // All in one transaction, for which it is always the same instant.
        change(&format!(
            "do $$
             declare
               v_pushed   timestamptz;
               v_wait     interval;
               v_expected interval;
             begin
               perform ordak.apply_push('{}', now());
               select e.created_at into v_pushed from ordak.listing_effects as e
               where e.listing = {listing} and e.kind = 'push';
               foreach v_expected in array '{{0.2, 0.2, 0.4, 0.6, 0.8, 1, 1}}'::interval[] loop
                 select w.run_at - v_pushed into v_wait from ordak.work_queue as w where w.key = '{listing}';
                 assert v_wait = v_expected, format('expected %s, but found %s', v_expected, v_wait);
                 perform ordak.mark_owed('{{{listing}}}');
               end loop;
               update ordak.work_queue as w set run_at = now() where w.key = '{listing}';
               perform ordak.mark_owed('{{{listing}}}');
               assert (select w.run_at = now() from ordak.work_queue as w where w.key = '{listing}'), 'it was put off';
             end $$",
            text(&work, "key")
        ))
        .await;
    });
}

#[test]
fn what_certainly_did_not_happen_counts_nothing_and_the_store_rests() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        for (outcome, more) in [
            ("throttled", json!({"after_ms": 1500})),
            ("concurrent", json!({})),
            ("throttled", json!({"after_ms": 60000})),
        ] {
            let next = worker.finish(&work, outcome, more.clone()).await;
            assert_eq!(next["work"], "none");
            let soon = next["wait_ms"].as_i64();
            let expected =
                if more["after_ms"] == 60000 { soon.is_none() } else { soon.is_some_and(|ms| ms > 0) };
            assert!(expected, "{outcome}: {next}");
            assert_eq!((push(&work).await, row(listing).await), ("open 0".into(), "leased 0 0".into()));
            later().await;
            assert_eq!(worker.push().await, work, "the same bytes");
            assert_eq!(push(&work).await, "open 1");
        }
        worker.finish(&work, "throttled", json!({"after_ms": 60000})).await;
        assert!(!worker.end("done").await);
        assert!(Worker::come("kick").await.is_none(), "the store rests");
        // Reading waits too, and nothing is counted.
        later().await;
        change("select ordak.mark('refetch_order', 'mousse', '1')").await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        let work = worker.done(&work).await;
        let next = worker.finish(&work, "throttled", json!({"after_ms": null})).await;
        assert!(next["wait_ms"].as_i64().is_some_and(|ms| ms > 0), "{next}");
        let row = "select concat_ws(' ', state, attempts, losses) from ordak.work_queue where key = '1' and store = 'mousse'";
        assert_eq!(look(row).await, "ready 0 0");
    });
}

#[test]
fn three_sends_without_an_answer_are_a_push_in_doubt() {
    run(async {
        let turn = turn().await;
        let listings = turn.owed(4).await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        for sends in 1..=3 {
            assert_eq!(push(&work).await, format!("open {sends}"));
            worker.finish(&work, "failed", json!({"reason": "503", "after_ms": null})).await;
            let failures = count(
                queries().await,
                "select failures::bigint from ordak.sync_stores where store = 'mousse'",
            )
            .await;
            assert_eq!(failures, sends);
            let rests = format!(
                "select (backoff_until < clock_timestamp() + interval '{} seconds')::text from ordak.sync_stores
                 where store = 'mousse'",
                1 << sends
            );
            assert_eq!(look(&rests).await, "true");
            if sends < 3 {
                later().await;
                assert_eq!(worker.push().await, work);
            }
        }
        assert_eq!(push(&work).await, "uncertain 3");
        // Their levels are read before anything more is pushed, and half as many are tried at once then.
        let based = "select string_agg(w.key, ',' order by w.key::bigint) from ordak.work_queue as w
                     join ordak.listings as g on g.id::text = w.key and g.based_at is null
                     where w.store = 'mousse' and w.topic = 'base_listing'";
        let all = listings.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(look(based).await, all);
        later().await;
        assert_eq!(worker.claim().await["work"], "read_levels");
        assert_eq!(row(listings[0]).await, "ready 0 1", "it is kept, with what it knows");
        read().await;
        later().await;
        assert_eq!(changes(&worker.push().await).len(), 4, "250 halved are more than 4");
        assert_eq!(audited().await, "");
    });
}

#[test]
fn one_that_poisons_its_push_is_alone_in_the_end_and_the_others_are_pushed() {
    run(async {
        let turn = turn().await;
        turn.owed(300).await;
        // The one that has waited longest.
        let first = "select key from ordak.work_queue where store = 'mousse' and topic = 'inventory_push' order by id limit 1";
        let listing: i64 = look(first).await.parse().unwrap();
        let poison = look(&format!(
            "select 'gid://shopify/InventoryItem/' || inventory_item_id from ordak.listings where id = {listing}"
        ))
        .await;
        let worker = Worker::new().await;
        let (mut sizes, mut pushes) = (Vec::new(), 0);
        while row(listing).await != "dead 8 7" {
            later().await;
            let work = worker.claim().await;
            if work["work"] != "push" {
                read().await;
                continue;
            }
            pushes += 1;
            assert!(pushes < 100, "{sizes:?}");
            let changes = changes(&work);
            if changes.iter().any(|change| change["inventoryItemId"] == *poison) {
                sizes.push(changes.len());
                worker.finish(&work, "failed", json!({"reason": "500", "after_ms": null})).await;
            } else {
                worker.done(&work).await;
            }
        }
        sizes.dedup();
        assert_eq!(sizes, [250, 125, 62, 31, 15, 7, 3, 1]);
        let left =
            "select count(*) from ordak.work_queue where store = 'mousse' and topic = 'inventory_push'";
        assert_eq!(count(queries().await, left).await, 1);
        assert_eq!(alerts("sync_dead").await, format!("inventory_push {listing}"));
    });
}

#[test]
fn an_error_that_names_a_row_is_counted_until_it_is_dead_and_the_others_go_on() {
    run(async {
        let turn = turn().await;
        let listings = turn.owed(3).await;
        let worker = Worker::new().await;
        let mut work = worker.push().await;
        let errors = json!([{"index": 1, "code": "INVALID_QUANTITY_TOO_LOW", "message": "too low"}]);
        let next = worker.finish(&work, "rejected", json!({"errors": errors})).await;
        assert_eq!((push(&work).await, row(listings[1]).await), ("void 1".into(), "ready 1 0".into()));
        assert_ne!(next["key"], work["key"], "the others in another push, at once");
        assert_eq!(changes(&next).len(), 2);
        worker.done(&next).await;
        for attempt in 2..=8 {
            later().await;
            work = worker.push().await;
            let errors = json!([{"index": 0, "code": "INVALID_QUANTITY_TOO_LOW", "message": "too low"}]);
            worker.finish(&work, "rejected", json!({"errors": errors})).await;
            let state = if attempt == 8 { "dead" } else { "ready" };
            assert_eq!(row(listings[1]).await, format!("{state} {attempt} 0"));
        }
        let subject = format!("inventory_push {}", listings[1]);
        assert_eq!(alerts("sync_dead").await, subject);
        let message = look("select message from ordak.alerts where kind = 'sync_dead' and store = 'mousse' and resolved_at is null").await;
        assert!(
            message.starts_with("SYNC001: ") && message.contains("INVALID_QUANTITY_TOO_LOW: too low"),
            "{message}"
        );
        later().await;
        assert_eq!(worker.claim().await["work"], "none", "what is dead is left alone");

        // People see it, and have it tried again.
        let admin = &turn.shop.admin;
        let failed = admin.does("list_failed_sync", json!({"store": "mousse"})).await;
        let failed = &failed.as_array().unwrap()[..];
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(
            (&failed[0]["reason"], &failed[0]["attempts"]),
            (&json!("INVALID_QUANTITY_TOO_LOW: too low"), &json!(8))
        );
        assert!(text(&failed[0], "sku").starts_with("MOU-"), "{failed:?}");
        let of = |topic: &str| json!({"store": "mousse", "topic": topic, "work_id": failed[0]["work_id"]});
        assert_eq!(admin.does("retry_failed_sync", of("base_listing")).await, 0);
        assert_eq!(admin.does("retry_failed_sync", of("inventory_push")).await, 1);
        assert_eq!((row(listings[1]).await, alerts("sync_dead").await), ("ready 0 0".into(), String::new()));
        assert_eq!(admin.does("retry_failed_sync", json!({})).await, 0);
        let audit =
            "select new::text from ordak.audit_log where action = 'retry_failed_sync' and store = 'mousse'";
        assert_eq!(look(audit).await, r#"{"inventory_push": 1}"#);
        let work = worker.push().await;
        worker.done(&work).await;
        assert_eq!((row(listings[1]).await, audited().await), (String::new(), String::new()));
    });
}

#[test]
fn a_mark_revives_what_is_dead_and_what_waits_after_an_error_goes_on_waiting() {
    run(async {
        let turn = turn().await;
        let (listing, sku) = turn.one().await;
        let waits = format!("select run_at::text from ordak.work_queue where key = '{listing}'");
        change(&format!("update ordak.work_queue set attempts = 3, run_at = now() + interval '1 hour' where key = '{listing}'")).await;
        let before = look(&waits).await;
        turn.adjust(&sku, 1).await;
        assert_eq!((row(listing).await, look(&waits).await), ("ready 3 0".into(), before));
        assert!(Worker::come("kick").await.is_none());
        change(&format!(
            "update ordak.work_queue set state = 'dead', died_at = now(), last_error = 'no' where key = '{listing}'"
        ))
        .await;
        assert_eq!(alerts("sync_dead").await, format!("inventory_push {listing}"));
        assert!(Worker::come("kick").await.is_none());
        turn.adjust(&sku, 1).await;
        assert_eq!((row(listing).await, alerts("sync_dead").await), ("ready 0 0".into(), String::new()));
        assert!(Worker::come("kick").await.is_some());
        // One that is marked while it fails for the last time would have been revived: it is not dead.
        change(&format!("update ordak.work_queue set attempts = 7 where key = '{listing}'")).await;
        change("update ordak.sync_stores set lease_token = null, lease_until = null, run = null where store = 'mousse'").await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        change(&format!("select ordak.mark('inventory_push', 'mousse', '{listing}')")).await;
        let errors = json!([{"index": 0, "code": "INVALID_QUANTITY_TOO_LOW", "message": ""}]);
        worker.finish(&work, "rejected", json!({"errors": errors})).await;
        assert_eq!(row(listing).await, "ready 8 0");
    });
}

#[test]
fn what_no_repetition_changes_disables_the_listing_and_never_loops() {
    run(async {
        let turn = turn().await;
        let listings = turn.owed(3).await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        let errors = json!([
            {"index": 0, "code": "ITEM_NOT_STOCKED_AT_LOCATION", "message": "not there"},
            {"index": 0, "code": "SERVICE_UNAVAILABLE", "message": "twice"},
        ]);
        let next = worker.finish(&work, "rejected", json!({"errors": errors})).await;
        assert_eq!(row(listings[0]).await, "");
        let listing =
            format!("select disabled_reason from ordak.listings where id = {} and not enabled", listings[0]);
        assert_eq!(
            look(&listing).await,
            "ITEM_NOT_STOCKED_AT_LOCATION: not there; SERVICE_UNAVAILABLE: twice"
        );
        assert_eq!(alerts("listing_refused").await, listings[0].to_string());
        assert_eq!(changes(&next).len(), 2);
        worker.done(&next).await;
        assert_eq!((worker.claim().await["work"].clone(), audited().await), (json!("none"), String::new()));
        assert_eq!(worker.figures().await, "running 2 0 20 2 1");
    });
}

#[test]
fn a_refusal_that_names_nothing_halves_and_rests() {
    run(async {
        let turn = turn().await;
        let listings = turn.owed(2).await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        for errors in [json!([{"index": null, "code": "ADJUST_QUANTITIES_FAILED", "message": ""}]), json!([])]
        {
            assert_eq!(worker.finish(&work, "rejected", json!({"errors": errors})).await["work"], "none");
        }
        assert_eq!((push(&work).await, row(listings[1]).await), ("void 1".into(), "ready 0 1".into()));
        assert!(Worker::come("kick").await.is_none());
    });
}

#[test]
fn the_words_of_shopifys_about_keys_are_heeded() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        // The one before under this key failed: the same is sent under another.
        let next = worker.finish(&work, "void", json!({})).await;
        assert_eq!(push(&work).await, "void 1");
        assert_eq!((changes(&next), next["key"] == work["key"]), (changes(&work), false));
        // Shopify knows the key with another content: our fault, and nobody knows what it took.
        let level = worker.finish(&next, "uncertain", json!({"reason": "KEY_PARAMETER_MISMATCH"})).await;
        assert_eq!((push(&next).await, alerts("sync_bug").await), ("uncertain 1".into(), "push".into()));
        assert_eq!(level["work"], "read_levels");
        assert_eq!(level["listings"][0]["listing_id"], listing);
    });
}

#[test]
fn a_push_that_shopify_will_have_forgotten_is_in_doubt_also_in_a_store_that_is_stopped() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        let next = worker.finish(&work, "stopped", json!({"reason": "401 Unauthorized"})).await;
        assert_eq!(next, json!({"work": "none", "wait_ms": null}));
        assert_eq!((push(&work).await, alerts("store_stopped").await), ("open 0".into(), "mousse".into()));
        assert!(!worker.end("failed").await);
        assert!(Worker::come("schedule").await.is_none(), "it is stopped");
        assert_eq!(worker.figures().await, "failed 1 1 10 0 0");
        for (age, state) in [("19 hours", "open 0"), ("2 hours", "uncertain 0")] {
            change(&format!(
                "update ordak.push_batches set opened_at = opened_at - interval '{age}' where key = '{}'",
                text(&work, "key")
            ))
            .await;
            assert!(Worker::come("schedule").await.is_none());
            assert_eq!(push(&work).await, state);
        }
        assert_eq!(row(listing).await, "ready 0 0");
        turn.shop.admin.does("resume_store", json!({"store": "mousse"})).await;
        assert_eq!((alerts("store_stopped").await, audited().await), (String::new(), String::new()));
        later().await;
        assert_eq!(Worker::new().await.claim().await["work"], "read_levels", "before it is pushed again");
    });
}

#[test]
fn a_thousand_listings_are_four_pushes_and_none_takes_long() {
    run(async {
        let turn = turn().await;
        turn.owed(999).await;
        let worker = Worker::new().await;
        let mut work = worker.push().await;
        let mut sizes = Vec::new();
        while work["work"] == "push" {
            sizes.push(changes(&work).len());
            // A tenth of a second where nothing else runs; the database stops what takes four seconds.
            work = worker.done(&work).await;
        }
        assert_eq!(sizes, [250, 250, 250, 249]);
        assert_eq!(audited().await, "");
    });
}
