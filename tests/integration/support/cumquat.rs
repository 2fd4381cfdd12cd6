//! A store of the sync's tests that each of them has to itself, and its worker, which is played here: what it is told by
//! Shopify is what a test says.

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::shop::{Shop, id, line, service, take_level};
use super::*;

/// The location that is managed.
pub const LOCATION: i64 = 71;

/// The store that these tests share, each with it to itself, and its worker.
pub struct Cumquat {
    pub shop: &'static Shop,
    pub lease: Mutex<Value>,
    _alone: MutexGuard<'static, ()>,
}

impl std::ops::Deref for Cumquat {
    type Target = Shop;
    fn deref(&self) -> &Shop {
        self.shop
    }
}

/// The store, with nothing to do.
pub async fn cumquat() -> Cumquat {
    static ALONE: Mutex<()> = Mutex::const_new(());
    static CUMQUAT: OnceCell<Shop> = OnceCell::const_new();
    let alone = ALONE.lock().await;
    let shop = CUMQUAT.get_or_init(|| Shop::new("cumquat", "C")).await;
    // Without a location, items of other tests are not looked up here.
    let reset = "update ordak.stores set location = null, stopped_at = null, stop_reason = null
                   where code = 'cumquat';
                 update ordak.push_batches set state = 'void', closed_at = now() where store = 'cumquat' and state = 'open';
                 delete from ordak.level_reads where store = 'cumquat';
                 delete from ordak.webhook_deliveries where store = 'cumquat';
                 delete from ordak.dead_letters where store = 'cumquat';
                 delete from ordak.work_queue where store = 'cumquat';
                 update ordak.listings set enabled = false where store = 'cumquat';
                 update ordak.items set active = false where sku like 'CUM-%';
                 update ordak.sync_stores set lease_token = null, lease_until = null, run = null, backoff_until = null,
                   failures = 0, orders_through = null, orders_since = null, orders_cursor = null, orders_began = null,
                   checked_on = (now() at time zone 'Australia/Sydney')::date where store = 'cumquat';
                 update ordak.sync_runs set state = 'done', finished_at = now()
                   where store = 'cumquat' and finished_at is null";
    queries().await.batch_execute(reset).await.unwrap();
    Cumquat { shop, lease: Mutex::new(Value::Null), _alone: alone }
}

impl Cumquat {
    /// Has something done to the database.
    pub async fn sql(&self, sql: &str) {
        apply(queries().await, sql).await;
    }

    /// One text out of the database.
    pub async fn text(&self, sql: &str) -> String {
        one_text(queries().await, sql).await
    }

    /// Says which location is ours: from now on every new item is looked up, also those of other tests.
    pub async fn locate(&self) {
        self.sql("update ordak.stores set location = 'gid://shopify/Location/71' where code = 'cumquat'")
            .await;
    }

    /// Marks work.
    pub async fn mark(&self, topic: &str, key: impl ToString) {
        self.sql(&format!("select ordak.mark('{topic}', 'cumquat', '{}')", key.to_string())).await;
    }

    /// What is marked of a topic, but for what other tests have defined.
    pub async fn marked(&self, topic: &str) -> String {
        self.text(&format!(
            "select string_agg(key, ' ' order by key) from ordak.work_queue where store = 'cumquat' and topic = '{topic}'
             and (topic <> 'find_listing' or key in (select id::text from ordak.items where sku like 'CUM-%' and active))"
        ))
        .await
    }

    /// Begins to work for the store, of which something is due.
    pub async fn begin(&self) {
        let asked = json!({"trigger": "kick", "stores": ["cumquat"]});
        let leases = service("begin_sync", asked).await;
        *self.lease.lock().await = leases.body[0]["lease"].clone();
        assert!(leases.body[0]["lease"].is_string(), "{leases:?}");
    }

    /// What the worker is to do next.
    pub async fn claim(&self) -> Value {
        let asked = json!({"store": "cumquat", "lease": *self.lease.lock().await});
        let answer = service("claim_work", asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Begins, and claims work of this kind.
    pub async fn begin_with(&self, kind: &str) -> Value {
        self.begin().await;
        let work = self.claim().await;
        assert_eq!(work["work"], kind, "{work}");
        work
    }

    /// Says that work was done, with this result; answers with the next work.
    pub async fn done(&self, work: &Value, result: Value) -> Value {
        let whole = json!({
            "work": work["work"], "token": work["token"], "outcome": "done", "calls": 1, "cost": 2,
        });
        let whole = with(whole, result);
        let asked = json!({"store": "cumquat", "lease": *self.lease.lock().await, "result": whole});
        let answer = service("finish_work", asked).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Ends the worker's work.
    pub async fn end(&self) {
        let asked = json!({"store": "cumquat", "lease": *self.lease.lock().await, "outcome": "left"});
        assert_eq!(service("end_sync", asked).await.status, 200);
    }

    /// Has an order ingested; its products' pictures are of no interest here.
    pub async fn take(&self, order: &Value) -> String {
        let order_id = self.shop.take(order).await;
        self.sql("delete from ordak.work_queue where store = 'cumquat' and topic = 'product_image'").await;
        order_id
    }

    /// An accessory of which there is so much, and its listing, which is not based.
    pub async fn listing(&self, sku: &str, on_hand: f64) -> i64 {
        self.item(sku, "accessory", on_hand).await;
        let listing = json!({
            "sku": sku, "store": "cumquat", "inventory_item_id": id(), "location_id": LOCATION,
        });
        let answer = self.admin.does("set_listing", listing).await;
        self.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        answer["listing"]["listing_id"].as_i64().unwrap()
    }

    /// The same, based at this level at an instant.
    pub async fn based(&self, sku: &str, on_hand: f64, level: i64, at: &str) -> i64 {
        let listing = self.listing(sku, on_hand).await;
        take_level(listing, level, at, 0).await;
        listing
    }

    /// E of a listing, and since when.
    pub async fn expected(&self, listing: i64) -> String {
        self.text(&format!(
            "select expected || coalesce(to_char(based_at at time zone 'UTC', ' HH24:MI:SS'), '')
             from ordak.listings where id = {listing}"
        ))
        .await
    }

    /// Has a listing's level read, at an instant by Shopify's clock; answers with the next work.
    pub async fn read(&self, listing: i64, level: Value, set_aside: i64, at: &str) -> Value {
        self.mark("base_listing", listing).await;
        let work = self.begin_with("read_levels").await;
        let read = json!({"listing_id": listing, "available": level, "set_aside": set_aside});
        self.done(&work, json!({"read_at": at, "levels": [read]})).await
    }

    /// Lets the time pass that levels wait for.
    pub async fn ripen(&self) {
        self.sql(
            "update ordak.level_reads set due_at = now() - interval '1 second'
             where store = 'cumquat' and due_at is not null",
        )
        .await;
    }

    /// The same, and lists the orders up to then, of which there are none.
    pub async fn settle(&self) {
        self.ripen().await;
        let mut work = self.claim().await;
        if work["work"] == "list_orders" {
            work = self.done(&work, json!({"orders": [], "after": null})).await;
            assert!(soon(&work), "it is to come back for the levels: {work}");
            self.claim().await;
        }
    }

    /// The open alerts about something, as kinds.
    pub async fn alerts(&self, subject: impl ToString) -> String {
        self.text(&format!(
            "select string_agg(kind, ' ' order by kind) from ordak.alerts
             where store = 'cumquat' and subject = '{}' and resolved_at is null",
            subject.to_string()
        ))
        .await
    }

    /// An order of so many of something, placed at an instant.
    pub fn order_at(&self, sku: &str, quantity: u32, at: &str) -> Value {
        let mut order = self.order(&[line(sku, "accessory", quantity)]);
        order["placed_at"] = json!(at);
        order["updated_at"] = json!(at);
        order
    }

    /// The same with a refund of so many at an instant.
    pub fn refunded_at(&self, order: &Value, quantity: u32, at: &str) -> Value {
        let mut order = order.clone();
        order["updated_at"] = json!(at);
        order["refund_lines"] = json!([{
            "refund_line_id": id(), "line_id": order["lines"][0]["line_id"], "quantity": quantity,
            "restock_type": "return", "location_id": LOCATION, "refunded_at": at,
        }]);
        order
    }
}

/// Whether a worker is told to come back within a second.
pub fn soon(work: &Value) -> bool {
    work["work"] == "none" && work["wait_ms"].as_i64().is_some_and(|wait| wait <= 1000)
}
