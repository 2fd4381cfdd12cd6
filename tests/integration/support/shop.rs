//! A store of a test's own whose stock is counted, what is ordered and listed there, and what the auditor finds of it.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::*;

/// A store of a test's own whose stock is counted, with somebody who is an Admin.
pub struct Shop {
    pub code: &'static str,
    pub admin: Person,
    /// The day on which its orders are placed.
    pub day: String,
}

/// An id that Shopify would give, another one each time.
pub fn id() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(7_700_000_000_001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Shop {
    pub async fn new(code: &'static str, letter: &str) -> Shop {
        add_store(code, letter).await;
        let update = "update ordak.settings set inventory_tracking = true where store = $1";
        queries().await.execute(update, &[&code]).await.unwrap();
        Shop { code, admin: Person::staff("Admin", None).await, day: "2026-11-20".into() }
    }

    /// Defines an item of which there is so much.
    pub async fn item(&self, sku: &str, kind: &str, on_hand: f64) {
        let tracked = kind != "product" || on_hand > 0.0;
        let item = json!({"sku": sku, "name": sku, "kind": kind, "tracked": tracked});
        self.admin.does("save_item", item).await;
        if on_hand > 0.0 {
            self.admin.does("count_stock", json!({"sku": sku, "counted": on_hand})).await;
        }
    }

    /// A product that is made to order of these: (sku, quantity, stage).
    pub async fn product(&self, sku: &str, parts: &[(&str, f64, &str)]) {
        self.item(sku, "product", 0.0).await;
        let lines: Vec<Value> = parts
            .iter()
            .map(|(sku, quantity, stage)| json!({"sku": sku, "quantity": quantity, "stage": stage}))
            .collect();
        self.admin.does("set_bom", json!({"sku": sku, "lines": lines})).await;
    }

    /// An order of Shopify's of these lines, in normal form; `updated_at` counts up.
    pub fn order(&self, lines: &[Value]) -> Value {
        let id = id();
        let now = json!(format!("{}T09:00:00Z", self.day));
        json!({
            "shopify_order_id": id, "shopify_order_gid": format!("gid://shopify/Order/{id}"), "number": number(),
            "customer_name": "Ada", "due_date": format!("{}-03-01", coming_year()), "delivery_window": null, "delivery_method": "Pickup",
            "notes": null, "currency": "AUD", "total_amount": "10.00", "pos": false, "test": false,
            "placed_at": now, "updated_at": now, "cancelled_at": null, "cancel_reason": null, "shop_host": null,
            "location_id": null, "flags": [], "lines": lines, "refund_lines": [],
        })
    }

    /// Has an order ingested, and answers with its id.
    pub async fn take(&self, order: &Value) -> String {
        let webhook = id().to_string();
        let delivery = json!({
            "shop_domain": format!("{}.myshopify.com", self.code), "topic": "orders/updated", "webhook_id": webhook,
            "body_digest": webhook, "secret_store": self.code,
        });
        let answer = service("ingest", json!({"delivery": delivery, "content": {"order": order}})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["order_id"].as_str().unwrap().to_owned()
    }

    /// Takes a new order of so many of one thing.
    pub async fn sell(&self, sku: &str, kind: &str, quantity: u32) -> String {
        self.take(&self.order(&[line(sku, kind, quantity)])).await
    }

    /// What there is of an item, as on hand, reserved, blocked, and what can be sold.
    pub async fn stock(&self, sku: &str) -> String {
        let sql = "select concat_ws(' ', trim_scale(i.on_hand), trim_scale(i.held + i.blocked), trim_scale(i.blocked), a.ats)
                   from ordak.items as i, ordak.ats(array[i.id], array[$2]) as a where i.sku = $1";
        queries().await.query_one(sql, &[&sku, &self.code]).await.unwrap().get(0)
    }

    /// The reservations of an order, as item, unit, stage, pass and state.
    pub async fn reserved(&self, order_id: &str) -> String {
        let sql = "select coalesce(string_agg(concat_ws(' ', i.sku, r.unit, r.stage, r.pass, r.state), ', '
                          order by r.unit, r.stage, r.pass, i.sku), '')
                   from ordak.reservations as r join ordak.items as i on i.id = r.item
                   join ordak.orders as o on o.id = r.order_key where o.order_id = $1";
        queries().await.query_one(sql, &[&order_id]).await.unwrap().get(0)
    }

    /// The numbers of an order's tasks.
    pub async fn tasks(&self, order_id: &str) -> Vec<String> {
        let sql = "select t.number from ordak.tasks as t join ordak.orders as o on o.id = t.order_key
                   where o.order_id = $1 and t.withdrawn_at is null order by t.id";
        let rows = queries().await.query(sql, &[&order_id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Has the Admin complete a task's stages.
    pub async fn complete(&self, task: &str, stages: &[&str]) {
        for stage in stages {
            self.admin.does("complete_stage", json!({"task_number": task, "stage": stage})).await;
        }
    }
}

/// A line of an order in normal form.
pub fn line(sku: &str, kind: &str, quantity: u32) -> Value {
    json!({
        "line_id": id(), "product_id": id(), "variant_id": id(), "sku": sku, "title": format!("Some {sku}"),
        "variant_title": null, "kind": kind, "quantity": quantity, "current": quantity, "fulfilled": false,
        "price": "10.00", "size": null, "flavour": null, "cake_writing": null, "properties": [],
    })
}

/// Calls an RPC as our functions do.
pub async fn service(name: &str, arguments: Value) -> Answer {
    let url = format!("{}/rest/v1/rpc/{name}", shared().stack.url());
    let secret = &shared().stack.keys.secret;
    Answer::to(client().post(url).header("apikey", secret).json(&arguments)).await
}

/// What the auditor finds of things with this in their name; nothing, always.
pub async fn audited(subjects: &str) -> Vec<String> {
    let sql = "select concat_ws(' ', check_name, subject) from ordak.audit where subject like $1";
    let rows = queries().await.query(sql, &[&format!("%{subjects}%")]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// A listing of an item in a shop, based at a level that was read an hour before the orders here.
pub async fn listed(shop: &Shop, sku: &str, level: i64) -> i64 {
    let listing = json!({"sku": sku, "store": shop.code, "inventory_item_id": id(), "location_id": 71});
    let listing = shop.admin.does("set_listing", listing).await["listing"]["listing_id"].as_i64().unwrap();
    take_level(listing, level, "2026-11-20T08:00:00Z", 0).await;
    listing
}

/// Has a level taken that was read at an instant, as the base check takes it once its time has come.
pub async fn take_level(listing: i64, level: i64, read_at: &str, set_aside: i64) {
    let sql = "select ordak.take_level_read($1, $2, $3::text::timestamptz, 5, $4, max(id)) from ordak.listing_effects";
    queries().await.execute(sql, &[&listing, &level, &read_at, &set_aside]).await.unwrap();
}
