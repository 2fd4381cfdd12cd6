//! The work queue and the pushes, as a worker meets them: each arrow of the two diagrams in docs/sync.md, and what happens
//! where two come at once. Not here: calling Shopify, and what is read from it.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::stock::{Shop, line, listed, service};
use crate::support::*;

/// The store of these tests, for one test at a time: only one worker may work for it.
struct Turn {
    shop: &'static Shop,
    _guard: MutexGuard<'static, ()>,
}

/// Waits for the store, and has it forget what the test before has left.
async fn turn() -> Turn {
    static TURN: Mutex<()> = Mutex::const_new(());
    static MOUSSE: OnceCell<Shop> = OnceCell::const_new();
    let guard = TURN.lock().await;
    let shop = MOUSSE.get_or_init(|| Shop::new("mousse", "M")).await;
    for sql in [
        "update ordak.push_batches set state = 'void', closed_at = now() where store = 'mousse' and state = 'open'",
        "delete from ordak.work_queue where store = 'mousse'",
        "update ordak.listings set enabled = false, disabled_reason = null where store = 'mousse'",
        "update ordak.sync_stores set lease_token = null, lease_until = null, run = null, backoff_until = null, failures = 0
         where store = 'mousse'",
        "update ordak.sync_runs set state = 'done', finished_at = now()
         where store = 'mousse' and state in ('queued', 'running')",
        "update ordak.stores set stopped_at = null, stop_reason = null where code = 'mousse'",
        "update ordak.alerts set resolved_at = now() where store = 'mousse' and resolved_at is null",
    ] {
        change(sql).await;
    }
    Turn { shop, _guard: guard }
}

/// Changes what only time, or a fault, could change.
async fn change(sql: &str) {
    queries().await.execute(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// One text out of the database; empty where there is none.
async fn look(sql: &str) -> String {
    let rows = queries().await.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.first().and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default()
}

/// What the queue knows of a listing's push, as its state, attempts and losses; empty where it has no row.
async fn row(listing: i64) -> String {
    look(&format!(
        "select concat_ws(' ', state, attempts, losses) from ordak.work_queue
         where topic = 'inventory_push' and key = '{listing}'"
    ))
    .await
}

/// How the push with this key stands, as its state and how often it was sent.
async fn push(work: &Value) -> String {
    look(&format!(
        "select concat_ws(' ', state, sends) from ordak.push_batches where key = '{}'",
        text(work, "key")
    ))
    .await
}

/// What Shopify must show of a listing.
async fn expected(listing: i64) -> i64 {
    count(queries().await, &format!("select expected from ordak.listings where id = {listing}")).await
}

/// The open alerts of a kind, as their subjects.
async fn alerts(kind: &str) -> String {
    look(&format!(
        "select string_agg(subject, ', ' order by id) from ordak.alerts
         where store = 'mousse' and kind = '{kind}' and resolved_at is null"
    ))
    .await
}

/// What the auditor finds of the sync of this store.
async fn audited() -> String {
    look("select string_agg(concat_ws(' ', check_name, subject), '; ') from ordak.audit where subject like '%mousse%'").await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

/// As if the levels had been read of which somebody doubts, and Shopify had taken nothing of what is uncertain.
async fn read() {
    change("delete from ordak.work_queue where topic = 'base_listing' and store = 'mousse'").await;
    change(
        "update ordak.listings set based_at = now() where store = 'mousse' and enabled and based_at is null",
    )
    .await;
}

/// How long after its last push a listing can be pushed again.
async fn wait(listing: i64) -> String {
    look(&format!(
        "select (w.run_at - max(e.created_at))::text
         from ordak.work_queue as w join ordak.listing_effects as e on e.listing = w.key::bigint and e.kind = 'push'
         where w.topic = 'inventory_push' and w.key = '{listing}' group by w.run_at"
    ))
    .await
}

/// As if the store had rested, and all that waits were due.
async fn later() {
    change("update ordak.sync_stores set backoff_until = null where store = 'mousse'").await;
    // Who waits longest stays first. Locked in the order of those who mark and finish meanwhile.
    change(
        "update ordak.work_queue as w set run_at = w.run_at - interval '20 minutes'
         from (select q.id from ordak.work_queue as q where q.store = 'mousse' order by q.topic, q.key for update) as q
         where w.id = q.id",
    )
    .await;
}

impl Turn {
    /// So many listings of things of which there are none, where Shopify shows 3: each is owed −3.
    async fn owed(&self, many: i64) -> Vec<i64> {
        let sql = "with items as (
                     insert into ordak.items (sku, name, kind)
                     select format('MOU-%s-%s', $1::bigint, n), 'A mousse', 'accessory' from generate_series(1, $2::bigint) as n
                     returning id)
                   insert into ordak.listings (item, store, inventory_item_id, location_id, based_at)
                   select id, 'mousse', $1::bigint * 1000 + row_number() over (order by id), 71, '2026-11-20T08:00:00Z' from items
                   returning id";
        let rows = queries().await.query(sql, &[&number(), &many]).await.unwrap();
        let mut listings: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        listings.sort_unstable();
        let sql = "insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
                   select l, 'drift', 1, 3, 3, '2026-11-20T08:00:00Z' from unnest($1::bigint[]) as l";
        queries().await.execute(sql, &[&listings]).await.unwrap();
        queries().await.execute("select ordak.mark_owed($1)", &[&listings]).await.unwrap();
        listings
    }

    /// A listing that is owed −3, whose stock people can change.
    async fn one(&self) -> (i64, String) {
        let sku = format!("MOU-{}", number());
        self.shop.item(&sku, "accessory", 10.0).await;
        let listing = listed(self.shop, &sku, 13).await;
        read().await;
        (listing, sku)
    }

    async fn adjust(&self, sku: &str, delta: i64) {
        self.shop
            .admin
            .does("adjust_stock", json!({"sku": sku, "delta": delta, "reason": "correction"}))
            .await;
    }
}

/// A worker that has the store's lease.
#[derive(Debug, Clone)]
struct Worker {
    lease: String,
    run: String,
}

impl Worker {
    /// Comes for the store; none where there is nothing to do, or somebody who does it.
    async fn come(trigger: &str) -> Option<Worker> {
        let answer =
            service("begin_sync", json!({"trigger": trigger, "stores": ["mousse", "nowhere"]})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let leases = answer.body.as_array().unwrap();
        assert!(leases.len() <= 1, "{answer:?}");
        let lease = leases.first()?;
        assert_eq!(text(lease, "shop_domain"), "mousse.myshopify.com");
        Some(Worker { lease: text(lease, "lease").to_owned(), run: text(lease, "run_id").to_owned() })
    }

    async fn new() -> Worker {
        Worker::come("kick").await.expect("there is something to do")
    }

    /// What it is to do next.
    async fn claim(&self) -> Value {
        let answer = service("claim_work", json!({"store": "mousse", "lease": self.lease})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Claims a push.
    async fn push(&self) -> Value {
        let work = self.claim().await;
        assert_eq!(work["work"], "push", "{work}");
        assert_eq!(work["token"], work["key"], "{work}");
        work
    }

    /// Says how it went, and is answered what to do next.
    async fn finish(&self, work: &Value, outcome: &str, more: Value) -> Value {
        let mut result =
            json!({"work": work["work"], "token": work["token"], "outcome": outcome, "calls": 1, "cost": 10});
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer =
            service("finish_work", json!({"store": "mousse", "lease": self.lease, "result": result})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Says that Shopify took it.
    async fn done(&self, work: &Value) -> Value {
        self.finish(work, "done", json!({"at": "2026-11-24T10:00:00Z"})).await
    }

    async fn end(&self, outcome: &str) -> bool {
        let end = json!({"store": "mousse", "lease": self.lease, "outcome": outcome, "note": null});
        service("end_sync", end).await.body.as_bool().unwrap()
    }

    /// How its run stands: state, calls, failed calls, cost, pushed, failed.
    async fn figures(&self) -> String {
        look(&format!(
            "select concat_ws(' ', state, calls, failed_calls, cost, pushed, failed) from ordak.sync_runs
             where run_id = '{}'",
            self.run
        ))
        .await
    }
}

/// The changes that a push tells Shopify of.
fn changes(work: &Value) -> Vec<Value> {
    let variables: Value = serde_json::from_str(text(work, "variables")).unwrap();
    variables["input"]["changes"].as_array().unwrap().clone()
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
fn a_mark_between_claim_and_finish_is_never_lost() {
    run(async {
        let _turn = turn().await;
        for mark in [true, false] {
            change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
            let worker = Worker::new().await;
            let work = worker.claim().await;
            assert_eq!((&work["work"], &work["orders"]), (&json!("fetch_orders"), &json!([4711])));
            if mark {
                change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
            }
            let next = worker.finish(&work, "done", json!({"orders": [{"id": 4711}]})).await;
            let again = if mark { "fetch_orders" } else { "none" };
            assert_eq!(next["work"], again);
            change("delete from ordak.work_queue where store = 'mousse'").await;
            worker.end("done").await;
        }
    });
}

#[test]
fn what_a_worker_has_no_time_for_is_no_failure_of_it() {
    run(async {
        let _turn = turn().await;
        change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
        let order = "select concat_ws(' ', state, attempts, losses, last_error)
                     from ordak.work_queue where store = 'mousse'";
        for (outcome, expected) in [("left", "ready 0 0"), ("failed", "ready 1 0 the worker was lost")] {
            let worker = Worker::new().await;
            assert_eq!(worker.claim().await["work"], "fetch_orders");
            assert!(!worker.end(outcome).await);
            assert_eq!(look(order).await, expected, "{outcome}");
        }
    });
}

#[test]
fn only_one_of_many_that_come_at_once_works_for_a_store() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        let came = join_all((0..8).map(|_| Worker::come("kick"))).await;
        let came: Vec<Worker> = came.into_iter().flatten().collect();
        assert_eq!(came.len(), 1);
        // As many claims at once by the one: the same push, the same bytes.
        let works = join_all((0..2).map(|_| came[0].push())).await;
        assert_eq!(works[0], works[1]);
    });
}

#[test]
fn a_worker_that_was_lost_is_followed_by_another_that_sends_the_same_bytes() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let first = Worker::new().await;
        let work = first.push().await;
        assert!(Worker::come("kick").await.is_none(), "its lease holds");
        change(
            "update ordak.sync_stores set lease_until = now() - interval '1 second' where store = 'mousse'",
        )
        .await;
        let second = Worker::come("kick").await.expect("it takes over");
        assert_eq!(
            (second.run.clone(), second.push().await),
            (first.run.clone(), work.clone()),
            "goes on with the run"
        );
        assert_eq!(push(&work).await, "open 2");
        // The first one's answer comes after all: Shopify did change, whoever says so.
        let lost = json!({"work": "none", "wait_ms": null, "lost": true});
        assert_eq!(first.finish(&work, "failed", json!({"reason": "timeout", "after_ms": null})).await, lost);
        assert_eq!(push(&work).await, "open 2");
        assert_eq!(first.done(&work).await, lost);
        assert_eq!((push(&work).await, expected(listing).await), ("applied 2".into(), 0));
        assert_eq!(first.claim().await, lost);
        assert!(!first.end("done").await);
        second.done(&work).await;
        assert_eq!((expected(listing).await, row(listing).await), (0, String::new()), "once");
        assert_eq!(audited().await, "");
    });
}

#[test]
fn a_lease_that_nobody_took_is_good_after_its_time() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        change("update ordak.sync_stores set lease_until = now() - interval '1 hour' where store = 'mousse'")
            .await;
        assert_eq!(worker.done(&work).await["lost"], Value::Null);
        assert_eq!(expected(listing).await, 0);
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
                if more["after_ms"] == 60000 { soon.is_none() } else { soon.is_some_and(|ms| ms > 500) };
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
        assert!(next["wait_ms"].as_i64().is_some_and(|ms| ms > 500), "{next}");
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
        let first = "select key from ordak.work_queue where store = 'mousse' order by id limit 1";
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
fn what_is_read_is_halved_where_it_fails_and_an_outage_kills_nothing() {
    run(async {
        let _turn = turn().await;
        change(
            "select ordak.mark_all('refetch_order', array_fill('mousse'::text, array[8]),
                                      array(select n::text from generate_series(1, 8) as n))",
        )
        .await;
        let worker = Worker::new().await;
        let sizes = async || {
            later().await;
            let work = worker.claim().await;
            let size = work["orders"].as_array().unwrap().len();
            worker.finish(&work, "failed", json!({"reason": "500", "after_ms": null})).await;
            size
        };
        let queue =
            "select string_agg(distinct concat_ws(' ', state, attempts, losses), ', ') from ordak.work_queue
                     where store = 'mousse'";
        assert_eq!(sizes().await, 8);
        assert_eq!(look(queue).await, "ready 0 1");
        let mut last = 0;
        for _ in 0..40 {
            last = sizes().await;
        }
        assert_eq!((last, look(queue).await), (1, "ready 0 3".into()), "Shopify is down: no attempt counts");
        // Shopify answers others again: now it is the row.
        change("update ordak.sync_stores set failures = 0 where store = 'mousse'").await;
        sizes().await;
        assert_eq!(look(queue).await, "ready 0 3, ready 1 3");
    });
}

#[test]
fn what_a_worker_does_not_finish_is_given_back() {
    run(async {
        let _turn = turn().await;
        change("select ordak.mark_all('refetch_order', '{mousse,mousse}', '{1,2}')").await;
        let worker = Worker::new().await;
        let work = worker.claim().await;
        assert_eq!(work["orders"], json!([1, 2]));
        // It asks again without a word about the first: that is lost, and nothing it says of it later counts.
        worker.claim().await;
        let queue = "select string_agg(concat_ws(' ', state, attempts, losses), ', ' order by key) from ordak.work_queue
                     where store = 'mousse' and topic = 'refetch_order'";
        assert_eq!(look(queue).await, "ready 0 1, ready 0 1");
        worker.finish(&work, "done", json!({"orders": []})).await;
        assert_eq!(
            count(queries().await, "select count(*) from ordak.work_queue where store = 'mousse'").await,
            2
        );
        // Nor does a lease stay with a worker that is gone, whoever comes for whatever store.
        later().await;
        worker.claim().await;
        change("update ordak.sync_stores set lease_until = now() - interval '1 hour' where store = 'mousse'")
            .await;
        let answer = service("begin_sync", json!({"trigger": "schedule", "stores": []})).await;
        assert_eq!(answer.body, json!([]));
        assert_eq!(look(queue).await, "ready 0 2, ready 0 2");
        let beat = "select (at > now() - interval '1 minute')::text from ordak.schedule_beats where name = 'sync-worker'";
        assert_eq!(look(beat).await, "true");
    });
}

#[test]
fn a_worker_goes_on_where_more_came_meanwhile() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        worker.done(&work).await;
        turn.owed(1).await;
        assert!(worker.end("done").await, "there is more");
        let work = worker.push().await;
        worker.done(&work).await;
        // Somebody asks for a run: it is the same worker's.
        change(
            "insert into ordak.sync_runs (run_id, trigger, store)
             values ('0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0001', 'manual', 'mousse')",
        )
        .await;
        let asked = "select state from ordak.sync_runs where run_id = '0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0001'";
        assert!(worker.end("done").await);
        assert_eq!((look(asked).await, worker.figures().await), ("running".into(), "done 2 0 20 2 0".into()));
        assert!(!worker.end("done").await);
        assert_eq!(look(asked).await, "done");
    });
}

#[test]
fn a_run_that_is_asked_for_begins_although_the_store_rests() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        change("update ordak.sync_stores set backoff_until = now() + interval '10 minutes', failures = 9 where store = 'mousse'").await;
        assert!(Worker::come("kick").await.is_none());
        change(
            "insert into ordak.sync_runs (run_id, trigger, store)
             values ('0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0002', 'manual', 'mousse')",
        )
        .await;
        let worker = Worker::new().await;
        assert_eq!(worker.run, "0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0002");
        let work = worker.push().await;
        worker.done(&work).await;
        assert_eq!(
            count(queries().await, "select failures::bigint from ordak.sync_stores where store = 'mousse'")
                .await,
            0
        );
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
            let began = std::time::Instant::now();
            work = worker.done(&work).await;
            // A tenth of a second where nothing else runs; the database stops what takes four seconds.
            assert!(began.elapsed().as_millis() < 2000, "{:?}", began.elapsed());
        }
        assert_eq!(sizes, [250, 250, 250, 249]);
        assert_eq!(audited().await, "");
    });
}

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

/// Shopify as far as pushes go: its levels, and the keys of the pushes that it took.
#[derive(Debug, Default)]
struct Levels {
    levels: HashMap<String, i64>,
    taken: HashSet<String>,
}

impl Levels {
    /// Takes a push, unless it took it before.
    fn take(&mut self, work: &Value) {
        if self.taken.insert(text(work, "key").to_owned()) {
            for change in changes(work) {
                *self.levels.get_mut(text(&change, "inventoryItemId")).unwrap() +=
                    change["delta"].as_i64().unwrap();
            }
        }
    }
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What a worker's calls to Shopify meet until nobody changes anything any more: answers that are lost before and after it
/// took the push, workers that are gone, and those that come back after another took over.
async fn work_in_bad_weather(shopify: &std::sync::Mutex<Levels>, over: &AtomicBool, mut dice: Dice) {
    while !over.load(Ordering::Relaxed) {
        later().await;
        let Some(worker) = Worker::come("kick").await else {
            tokio::task::yield_now().await;
            continue;
        };
        loop {
            let work = worker.claim().await;
            if work["work"] != "push" {
                if worker.end("done").await {
                    continue;
                }
                break;
            }
            // The third time it is told: what nobody ever learns is another test's.
            let fate = if push(&work).await == "open 3" { 0 } else { dice.roll(7) };
            if fate < 4 {
                shopify.lock().unwrap().take(&work);
            }
            let lost = format!(
                "update ordak.sync_stores set lease_until = now() - interval '1 second' where lease_token = '{}'",
                worker.lease
            );
            match fate {
                0 | 1 => drop(worker.done(&work).await),
                2 | 4 => {
                    drop(worker.finish(&work, "failed", json!({"reason": "timeout", "after_ms": null})).await)
                }
                3 => {
                    change(&lost).await;
                    tokio::time::sleep(std::time::Duration::from_millis(dice.roll(60))).await;
                    worker.done(&work).await;
                    break;
                }
                5 => drop(worker.finish(&work, "throttled", json!({"after_ms": 10})).await),
                _ => {
                    change(&lost).await;
                    break;
                }
            }
            change("update ordak.sync_stores set backoff_until = null where store = 'mousse'").await;
        }
    }
}

#[test]
fn whatever_happens_between_shopify_shows_in_the_end_what_there_is() {
    run(async {
        let turn = turn().await;
        let shopify = std::sync::Mutex::new(Levels::default());
        let mut things = Vec::new();
        for _ in 0..5 {
            let (listing, sku) = turn.one().await;
            let item = look(&format!(
                "select 'gid://shopify/InventoryItem/' || inventory_item_id from ordak.listings where id = {listing}"
            ))
            .await;
            shopify.lock().unwrap().levels.insert(item.clone(), 13);
            things.push((listing, sku, item));
        }
        let over = AtomicBool::new(false);
        let people = async |seed: u64| {
            let mut dice = Dice(seed);
            for _ in 0..25 {
                let (_, sku, item) = &things[dice.roll(5) as usize];
                match dice.roll(3) {
                    // Sold in this shop: it knows before we do.
                    0 => {
                        *shopify.lock().unwrap().levels.get_mut(item).unwrap() -= 1;
                        let mut sold = line(sku, "accessory", 1);
                        // Of no product, whose image would have to be fetched.
                        (sold["product_id"], sold["variant_id"]) = (Value::Null, Value::Null);
                        turn.shop.take(&turn.shop.order(&[sold])).await;
                    }
                    _ => turn.adjust(sku, [-2, 3, 5, -4][dice.roll(4) as usize]).await,
                }
            }
        };
        let everybody = async {
            join_all((1..=3).map(people)).await;
            over.store(true, Ordering::Relaxed);
        };
        let workers = (11..=13).map(|seed| work_in_bad_weather(&shopify, &over, Dice(seed)));
        tokio::join!(everybody, join_all(workers));

        // The weather is fine again, and the last one to be lost is followed by another.
        let expire = "update ordak.sync_stores set lease_until = now() - interval '1 second'
                      where store = 'mousse' and lease_token is not null";
        change(expire).await;
        until("level", async || {
            later().await;
            if let Some(worker) = Worker::come("kick").await {
                let mut work = worker.claim().await;
                while work["work"] == "push" || worker.end("done").await {
                    if work["work"] == "push" {
                        shopify.lock().unwrap().take(&work);
                        work = worker.done(&work).await;
                    } else {
                        work = worker.claim().await;
                    }
                }
            }
            let left = "select count(*) from ordak.work_queue
                        where store = 'mousse' and topic = 'inventory_push'";
            (count(queries().await, left).await == 0).then_some(())
        })
        .await;
        for (listing, sku, item) in &things {
            let there: i64 = turn.shop.stock(sku).await.split(' ').next_back().unwrap().parse().unwrap();
            let shown = shopify.lock().unwrap().levels[item];
            assert_eq!((shown, expected(*listing).await), (there, there), "{sku}");
        }
        assert_eq!((audited().await, alerts("sync_dead").await), (String::new(), String::new()));
    });
}

#[test]
fn what_is_due_and_locked_is_asked_for_once_a_second() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let mut marker = database(&shared().stack).await;
        let marking = marker.transaction().await.unwrap();
        let mark = format!("select ordak.mark('inventory_push', 'mousse', '{listing}')");
        marking.batch_execute(&mark).await.unwrap();
        let next = worker.claim().await;
        assert!(next["wait_ms"].as_i64().is_some_and(|wait| (500..=1000).contains(&wait)), "{next}");
        marking.commit().await.unwrap();
        later().await;
        worker.push().await;
    });
}
