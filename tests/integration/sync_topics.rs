//! What the worker is told by Shopify and what follows from it: listings that are found, orders and products that are
//! fetched. The worker itself is played here, and for the tests of levels and of what is asked for beside it.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::stock::{Shop, audited, id, line, service};
use crate::support::*;

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
        queries().await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One text out of the database.
    pub async fn text(&self, sql: &str) -> String {
        let row = queries().await.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        row.get::<_, Option<String>>(0).unwrap_or_default()
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
        let mut whole = json!({
            "work": work["work"], "token": work["token"], "outcome": "done", "calls": 1, "cost": 2,
        });
        whole.as_object_mut().unwrap().extend(result.as_object().unwrap().clone());
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
        let base = json!({"listing_id": listing, "level": level, "read_at": at});
        assert_eq!(service("base_listing", base).await.status, 200);
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

/// A variant that is found by its SKU.
fn found(sku: &str, item: i64, variant: i64, tracked: bool) -> Value {
    json!({"sku": sku, "inventory_item_id": item, "variant_id": variant, "tracked": tracked, "available": 2})
}

#[test]
fn what_has_no_listing_is_looked_up_by_its_sku_once() {
    run(async {
        let shop = cumquat().await;
        shop.locate().await;
        let kinds =
            [("ONE", "accessory"), ("TWO", "product"), ("UNCOUNTED", "topper"), ("NONE", "accessory")];
        for (sku, kind) in kinds {
            shop.item(&format!("CUM-{sku}"), kind, 3.0).await;
        }
        shop.item("CUM-PART", "component", 3.0).await;
        let work = shop.begin_with("find_listings").await;
        assert_eq!(work["location"], "gid://shopify/Location/71");
        let skus = work["skus"].as_array().unwrap().iter().filter_map(Value::as_str);
        let skus: Vec<_> = skus.filter(|sku| sku.starts_with("CUM-")).collect();
        assert_eq!(skus, ["CUM-NONE", "CUM-ONE", "CUM-TWO", "CUM-UNCOUNTED"]);

        let (item, variant) = (id(), id());
        shop.done(&work, json!({"found": [
            found("CUM-ONE", item, variant, true), found("CUM-TWO", id(), id(), true), found("CUM-TWO", id(), id(), true),
            found("CUM-UNCOUNTED", id(), id(), false), found("cum-none", id(), id(), true),
        ]})).await;
        assert_eq!(shop.marked("find_listing").await, "", "each is looked up once");
        let sql =
            "select string_agg(concat_ws(' ', i.sku, g.inventory_item_id, g.location_id, g.variant_id), ', ')
                   from ordak.listings as g join ordak.items as i on i.id = g.item
                   where g.store = 'cumquat' and i.active";
        assert_eq!(shop.text(sql).await, format!("CUM-ONE {item} 71 {variant}"));
        assert_eq!(shop.alerts("CUM-TWO").await, "listing_ambiguous");
        let listing =
            shop.text("select id::text from ordak.listings where enabled and store = 'cumquat'").await;
        assert_eq!(shop.marked("base_listing").await, listing, "its level is read");
        shop.end().await;

        // Another article with the stock of the first is no second listing; once it is right, nobody is asked any more.
        let two = shop.text("select id::text from ordak.items where sku = 'CUM-TWO'").await;
        for (inventory_item, alert) in [(item, "listing_ambiguous"), (id(), "")] {
            shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
            shop.mark("find_listing", &two).await;
            let work = shop.begin_with("find_listings").await;
            shop.done(&work, json!({"found": [found("CUM-TWO", inventory_item, id(), true)]})).await;
            assert_eq!(shop.alerts("CUM-TWO").await, alert);
            shop.end().await;
        }
        // What has one by now is not looked up.
        shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        shop.mark("find_listing", &two).await;
        shop.begin().await;
        shop.claim().await;
        assert_eq!(shop.marked("find_listing").await, "");
    });
}

#[test]
fn who_has_not_said_where_the_stock_is_is_told() {
    run(async {
        let shop = cumquat().await;
        shop.item("CUM-LOST", "accessory", 1.0).await;
        assert_eq!(
            (&*shop.marked("find_listing").await, &*shop.alerts("cumquat").await),
            ("", "location_missing")
        );
        shop.locate().await;
        shop.sql("select ordak.mark_missing_listings('cumquat')").await;
        assert_eq!(shop.alerts("cumquat").await, "");
        let item = shop.text("select id::text from ordak.items where sku = 'CUM-LOST'").await;
        assert!(shop.marked("find_listing").await.contains(&item));
    });
}

#[test]
fn an_order_that_is_fetched_is_right_also_where_its_version_is_the_same() {
    run(async {
        let shop = cumquat().await;
        let order = shop.order_at("CUM-SAME", 2, "2026-11-20T10:00:00Z");
        let order_id = shop.take(&order).await;
        let name = format!("select customer_name from ordak.orders where order_id = '{order_id}'");
        // Of two names, one has the smaller hash: it must win too.
        for customer in ["Bea", "Cid", "Dot"] {
            shop.mark("refetch_order", order["shopify_order_id"].as_i64().unwrap()).await;
            let work = shop.begin_with("fetch_orders").await;
            assert_eq!(work["orders"], json!([order["shopify_order_id"]]));
            let mut fetched = order.clone();
            fetched["customer_name"] = json!(customer);
            let content = json!({"id": order["shopify_order_id"], "content": {"order": fetched}});
            let next = shop.done(&work, json!({"orders": [content]})).await;
            assert_eq!(next["work"], "none", "{next}");
            assert_eq!(shop.text(&name).await, customer);
            assert_eq!(shop.marked("refetch_order").await, "", "it is not fetched again");
            shop.end().await;
        }
        // An older one changes nothing.
        shop.mark("refetch_order", order["shopify_order_id"].as_i64().unwrap()).await;
        let work = shop.begin_with("fetch_orders").await;
        let mut old = order.clone();
        (old["customer_name"], old["updated_at"]) = (json!("Eve"), json!("2026-11-20T09:59:59Z"));
        let content = json!({"id": order["shopify_order_id"], "content": {"order": old}});
        shop.done(&work, json!({"orders": [content]})).await;
        assert_eq!(shop.text(&name).await, "Dot");
    });
}

#[test]
fn each_order_that_is_fetched_stands_for_itself() {
    run(async {
        let shop = cumquat().await;
        shop.item("CUM-MIX", "accessory", 10.0).await;
        shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        let good = shop.order_at("CUM-MIX", 1, "2026-11-20T10:00:00Z");
        let mut bad = shop.order_at("CUM-MIX", 1, "2026-11-20T10:00:00Z");
        bad["currency"] = json!(null);
        // A number that another order of the store has, which is the store's beyond doubt.
        let mut taken = shop.order_at("CUM-MIX", 1, "2026-11-20T10:00:00Z");
        shop.take(&good).await;
        taken["number"] = good["number"].clone();
        let (unread, gone, absent) = (id(), id(), id());
        let ids = [&good, &bad, &taken].map(|order| order["shopify_order_id"].as_i64().unwrap());
        for id in ids.into_iter().chain([unread, gone, absent]) {
            shop.mark("refetch_order", id).await;
        }
        let work = shop.begin_with("fetch_orders").await;
        let mut newer = good.clone();
        (newer["updated_at"], newer["customer_name"]) = (json!("2026-11-20T11:00:00Z"), json!("Zoe"));
        let content = |order: &Value| json!({"id": order["shopify_order_id"], "content": {"order": order}});
        shop.done(&work, json!({"orders": [
            content(&bad), content(&taken), content(&newer), {"id": unread, "reason": "more than 500 lines"}, {"id": gone},
        ]})).await;
        let sql = format!("select customer_name from ordak.orders where shopify_order_id = {}", ids[0]);
        assert_eq!(shop.text(&sql).await, "Zoe");
        let letters =
            "select string_agg(left(reason, 7) || ' ' || (content is not null), ', ' order by reason)
                       from ordak.dead_letters where store = 'cumquat' and topic = 'sync/order'";
        assert_eq!(shop.text(letters).await, "ORD004: true, ORD005: true, more th false");
        // Only what the answer lacks is tried again.
        assert_eq!(shop.marked("refetch_order").await, absent.to_string());
        // When is random: at times it is claimed again at once.
        let row = format!(
            "select concat_ws(' ', attempts, last_error) from ordak.work_queue where key = '{absent}'"
        );
        assert_eq!(shop.text(&row).await, "1 the answer lacks it");
        assert_eq!(audited("CUM-MIX").await, [""; 0]);
    });
}

#[test]
fn orders_that_are_fetched_together_wait_for_nobody_who_waits_for_them() {
    run(async {
        let shop = cumquat().await;
        let skus = ["CUM-RING-1", "CUM-RING-2", "CUM-RING-3"];
        for sku in skus {
            shop.based(sku, 500.0, 500, "2026-11-20T09:00:00Z").await;
        }
        let orders: Vec<Value> = (0..10)
            .map(|n| {
                let mut lines = skus.map(|sku| line(sku, "accessory", 1)).to_vec();
                lines.rotate_left(n % 3);
                lines.truncate(1 + n % 2);
                let mut order = shop.order(&lines);
                order["placed_at"] = json!("2026-11-20T10:00:00Z");
                order
            })
            .collect();
        for round in 1..=4 {
            for order in &orders {
                shop.mark("refetch_order", order["shopify_order_id"].as_i64().unwrap()).await;
            }
            let work = shop.begin_with("fetch_orders").await;
            let newer = |minute: usize| {
                orders.iter().map(move |order| {
                    let mut order = order.clone();
                    order["updated_at"] = json!(format!("2026-11-20T1{round}:{minute:02}:00Z"));
                    order
                })
            };
            let fetched: Vec<Value> = newer(1)
                .map(|order| json!({"id": order["shopify_order_id"], "content": {"order": order}}))
                .collect();
            // The same orders are delivered at this instant, in the other direction.
            let delivered: Vec<Value> = newer(2).collect();
            let deliveries = join_all(delivered.iter().rev().map(|order| shop.shop.take(order)));
            let (_, next) = tokio::join!(deliveries, shop.done(&work, json!({"orders": fetched})));
            assert_ne!(next["work"], "fetch_orders", "none of them failed: {next}");
            assert_eq!(shop.marked("refetch_order").await, "");
            shop.sql("delete from ordak.work_queue where store = 'cumquat' and topic = 'product_image'")
                .await;
            shop.sql(
                "update ordak.push_batches set state = 'void', closed_at = now()
                      where store = 'cumquat' and state = 'open'",
            )
            .await;
            shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
            shop.end().await;
        }
        assert_eq!(audited("CUM-RING").await, [""; 0]);
    });
}

#[test]
fn orders_are_listed_page_by_page_and_only_what_is_newer_is_fetched() {
    run(async {
        let shop = cumquat().await;
        let known = shop.order_at("CUM-LIST", 1, "2026-11-20T10:00:00Z");
        shop.take(&known).await;
        shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        shop.mark("list_orders", "cumquat").await;
        let first = shop.begin_with("list_orders").await;
        let since = format!(
            "select ('{}' between now() - interval '25 hours' and now() - interval '23 hours')::text",
            first["since"].as_str().unwrap()
        );
        assert_eq!(shop.text(&since).await, "true", "the first time lists a day");
        let (unknown, last) = (id(), id());
        let listed = |id: &Value, at: &str| json!({"id": id, "updated_at": at});
        let fetch = shop.done(&first, json!({"after": "page 2", "orders": [
            listed(&known["shopify_order_id"], "2026-11-20T10:00:00Z"), listed(&json!(unknown), "2026-11-20T10:00:00Z"),
        ]})).await;
        assert_eq!(fetch["orders"], json!([unknown]));
        let second = shop.done(&fetch, json!({"orders": [{"id": unknown}]})).await;
        assert_eq!((&second["work"], &second["after"]), (&json!("list_orders"), &json!("page 2")));
        assert_eq!(second["since"], first["since"]);
        assert_eq!(
            shop.text("select orders_through::text from ordak.sync_stores where store = 'cumquat'").await,
            ""
        );

        let fetch = shop.done(&second, json!({"after": null, "orders": [
            listed(&known["shopify_order_id"], "2026-11-20T10:00:01Z"), listed(&json!(last), "2026-11-20T10:00:00Z"),
        ]})).await;
        assert_eq!(fetch["orders"], json!([known["shopify_order_id"], last]));
        let next =
            shop.done(&fetch, json!({"orders": [{"id": known["shopify_order_id"]}, {"id": last}]})).await;
        assert_eq!(next["work"], "none", "{next}");
        shop.end().await;

        // From then on a little before it began the last time; a page that fails is begun anew.
        shop.mark("list_orders", "cumquat").await;
        let work = shop.begin_with("list_orders").await;
        let overlap = format!(
            "select date_trunc('second', orders_through - '{}')::text from ordak.sync_stores where store = 'cumquat'",
            work["since"].as_str().unwrap()
        );
        assert_eq!(shop.text(&overlap).await, "00:05:00");
        let work = shop.done(&work, json!({"after": "page 2", "orders": []})).await;
        assert_eq!(work["after"], "page 2");
        let failed = json!({"work": "list_orders", "token": work["token"], "outcome": "failed", "reason": "500", "calls": 1});
        let asked = json!({"store": "cumquat", "lease": *shop.lease.lock().await, "result": failed});
        assert_eq!(service("finish_work", asked).await.body["work"], "none");
        shop.sql(
            "update ordak.sync_stores set backoff_until = null where store = 'cumquat';
                  update ordak.work_queue set run_at = now() where store = 'cumquat'",
        )
        .await;
        let work = shop.claim().await;
        assert_eq!((&work["work"], &work["after"]), (&json!("list_orders"), &Value::Null));
    });
}

#[test]
fn pictures_of_products_are_looked_up() {
    run(async {
        let shop = cumquat().await;
        shop.shop
            .take(&shop.order(&[line("CUM-PIC", "accessory", 1), line("CUM-NOPIC", "accessory", 1)]))
            .await;
        let work = shop.begin_with("fetch_products").await;
        let products = work["products"].as_array().unwrap().clone();
        assert_eq!(products.len(), 2);
        let product = json!({
            "product_id": products[0], "title": "A candle", "kind": "accessory", "updated_at": "2026-11-20T10:00:00Z",
            "image_url": "https://cdn.shopify.com/candle.jpg",
        });
        let next = shop.done(&work, json!({"products": [product]})).await;
        assert_eq!(next["work"], "none", "{next}");
        let sql =
            format!("select image_url || proven from ordak.products where product_id = {}", products[0]);
        assert_eq!(shop.text(&sql).await, "https://cdn.shopify.com/candle.jpgtrue");
        assert_eq!(shop.marked("product_image").await, "", "one that is not there is not looked up for ever");
    });
}
