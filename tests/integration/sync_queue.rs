//! The work queue and the pushes, as a worker meets them: each arrow of the two diagrams in docs/sync.md, and what happens
//! where two come at once. Not here: calling Shopify, and what is read from it.

mod outside;
mod pushes;
mod weather;
mod workers;

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::support::shop::{Shop, listed, service};
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
        // Other tests have the schedule come, which must find that all was listed and checked just now.
        "update ordak.sync_stores set lease_token = null, lease_until = null, run = null, backoff_until = null, failures = 0,
           orders_through = now(), checked_on = (now() at time zone 'Australia/Sydney')::date
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
    apply(queries().await, sql).await;
}

/// One text out of the database; empty where there is none.
async fn look(sql: &str) -> String {
    one_text(queries().await, sql).await
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
        let result =
            json!({"work": work["work"], "token": work["token"], "outcome": outcome, "calls": 1, "cost": 10});
        let result = with(result, more);
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
