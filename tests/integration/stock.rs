//! Stock: what orders reserve and use up, who is served first, and what people may do with it.

use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::*;

/// A store of a test's own whose stock is counted, with somebody who is an Admin.
pub struct Shop {
    pub code: &'static str,
    pub admin: Person,
}

/// An id that Shopify would give, another one each time.
pub fn id() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(7_700_000_000_001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Shop {
    pub async fn new(code: &'static str, letter: &str) -> Shop {
        let database = database(&shared().stack).await;
        let insert = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
                      values ($1, $1, $1 || '.myshopify.com', $2, 'Australia/Sydney')";
        database.execute(insert, &[&code, &letter]).await.unwrap();
        let update = "update ordak.settings set inventory_tracking = true where store = $1";
        database.execute(update, &[&code]).await.unwrap();
        Shop { code, admin: Person::staff("Admin", None).await }
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
        let now = json!("2026-11-20T09:00:00Z");
        json!({
            "shopify_order_id": id, "shopify_order_gid": format!("gid://shopify/Order/{id}"), "number": number(),
            "customer_name": "Ada", "due_date": "2027-03-01", "delivery_window": null, "delivery_method": "Pickup",
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

/// The store that the tests share, each with items of its own.
async fn walnut() -> &'static Shop {
    static WALNUT: OnceCell<Shop> = OnceCell::const_new();
    WALNUT.get_or_init(|| Shop::new("walnut", "W")).await
}

/// Another store beside it.
async fn yuzu() -> &'static Shop {
    static YUZU: OnceCell<Shop> = OnceCell::const_new();
    YUZU.get_or_init(|| Shop::new("yuzu", "Y")).await
}

#[test]
fn of_forty_orders_at_once_for_the_last_ten_ten_are_served() {
    run(async {
        let shop = walnut().await;
        shop.item("KUM-TOY", "accessory", 10.0).await;
        let orders: Vec<Value> = (0..40)
            .map(|n| {
                let mut order = shop.order(&[line("KUM-TOY", "accessory", 1)]);
                order["due_date"] = json!(format!("2027-03-{:02}", 1 + n / 2));
                order["placed_at"] = json!(format!("2026-11-20T09:{n:02}:00Z"));
                order
            })
            .collect();
        let taken = join_all(orders.iter().map(|order| shop.take(order))).await;
        assert_eq!(shop.stock("KUM-TOY").await, "10 40 30 -30");
        let shown = shop.admin.does("get_inventory", json!({"skus": ["KUM-TOY"], "store": "walnut"})).await;
        assert_eq!(shown[0]["ats"], json!(0), "nobody sees less than nothing");
        let blocked = async || {
            let list = shop.admin.does("blocked_orders", json!({"store": "walnut", "page_size": 200})).await;
            let ids =
                list.as_array().unwrap().iter().map(|order| order["order_id"].as_str().unwrap().to_owned());
            ids.filter(|id| taken.contains(id)).collect::<Vec<_>>()
        };
        let waiting = blocked().await;
        assert_eq!(waiting.len(), 30);

        shop.admin.does("receive_stock", json!({"lines": [{"sku": "KUM-TOY", "quantity": 5}]})).await;
        assert_eq!(blocked().await, waiting[5..], "the five that are due first are served");
        assert_eq!(shop.stock("KUM-TOY").await, "15 40 25 -25");
        assert_eq!(audited("KUM").await, [""; 0]);
    });
}

#[test]
fn fractions_survive_and_a_stage_uses_up_what_it_needs() {
    run(async {
        let shop = walnut().await;
        shop.item("NEC-BOARD", "component", 10.0).await;
        shop.item("NEC-BOX", "component", 10.0).await;
        shop.product("NEC-CAKE", &[("NEC-BOARD", 0.4, "Filling"), ("NEC-BOX", 1.0, "Packing")]).await;
        assert_eq!(shop.stock("NEC-CAKE").await, "0 0 0 10");
        let order = shop.sell("NEC-CAKE", "cake", 5).await;
        assert_eq!(shop.stock("NEC-BOARD").await, "10 2 0 8");
        assert_eq!(shop.stock("NEC-CAKE").await, "0 0 0 5");
        for task in shop.tasks(&order).await {
            shop.complete(&task, &["Filling"]).await;
        }
        assert_eq!(shop.stock("NEC-BOARD").await, "8 0 0 8");
        assert_eq!(shop.stock("NEC-BOX").await, "10 5 0 5");
        assert_eq!(audited("NEC").await, [""; 0]);
    });
}

#[test]
fn two_stores_see_one_stock() {
    run(async {
        let (one, two) = (walnut().await, yuzu().await);
        one.item("WAL-BOX", "component", 3.0).await;
        one.product("WAL-CAKE", &[("WAL-BOX", 1.0, "Packing")]).await;
        two.product("YUZ-CAKE", &[("WAL-BOX", 1.0, "Packing")]).await;
        let (first, second) = (one.sell("WAL-CAKE", "cake", 2).await, two.sell("YUZ-CAKE", "cake", 2).await);
        assert_eq!(one.stock("WAL-BOX").await, two.stock("WAL-BOX").await);
        assert_eq!(one.stock("WAL-CAKE").await, "0 0 0 -1");
        one.admin.does("cancel_order", json!({"order_id": first, "reason": "Changed their mind"})).await;
        assert_eq!(one.reserved(&first).await, "WAL-BOX 1 Packing 1 released, WAL-BOX 2 Packing 1 released");
        assert_eq!(two.reserved(&second).await, "WAL-BOX 1 Packing 1 held, WAL-BOX 2 Packing 1 held");
        assert_eq!(two.stock("WAL-BOX").await, "3 2 0 1");
        assert_eq!(audited("WAL").await, [""; 0]);
    });
}

#[test]
fn what_is_begun_when_an_order_is_cancelled_is_waste_and_the_rest_is_free_again() {
    run(async {
        let shop = walnut().await;
        shop.item("CAN-CREAM", "component", 10.0).await;
        shop.item("CAN-BOX", "component", 10.0).await;
        shop.product(
            "CAN-CAKE",
            &[("CAN-CREAM", 1.0, "Filling"), ("CAN-CREAM", 2.0, "Covering"), ("CAN-BOX", 1.0, "Packing")],
        )
        .await;
        let order = shop.sell("CAN-CAKE", "cake", 2).await;
        let tasks = shop.tasks(&order).await;
        shop.complete(&tasks[0], &["Filling"]).await;
        shop.admin.does("start_stage", json!({"task_number": tasks[0], "stage": "Covering"})).await;
        for _ in 0..2 {
            shop.admin.does("cancel_order", json!({"order_id": order, "reason": "Changed their mind"})).await;
            assert_eq!(
                shop.reserved(&order).await,
                "CAN-CREAM 1 Filling 1 consumed, CAN-CREAM 1 Covering 1 waste, CAN-BOX 1 Packing 1 released, \
                 CAN-CREAM 2 Filling 1 released, CAN-CREAM 2 Covering 1 released, CAN-BOX 2 Packing 1 released"
            );
        }
        assert_eq!(shop.stock("CAN-CREAM").await, "7 0 0 7");
        assert_eq!(shop.stock("CAN-BOX").await, "10 0 0 10");
    });
}

#[test]
fn a_jump_uses_up_the_stages_passed_and_goes_below_zero_with_an_alert() {
    run(async {
        let shop = walnut().await;
        shop.item("JUM-CREAM", "component", 1.0).await;
        shop.product("JUM-CAKE", &[("JUM-CREAM", 2.0, "Filling"), ("JUM-CREAM", 1.0, "Decorating")]).await;
        let order = shop.sell("JUM-CAKE", "cake", 1).await;
        let task = &shop.tasks(&order).await[0];
        let alerts = async || {
            let sql = "select coalesce(string_agg(kind, ' ' order by kind), '') from ordak.alerts
                       where subject = 'JUM-CREAM' and resolved_at is null";
            queries().await.query_one(sql, &[]).await.unwrap().get::<_, String>(0)
        };
        assert_eq!(alerts().await, "stock_short");
        let jump = json!({"task_number": task, "stage": "Decorating", "reason": "Done already"});
        shop.admin.does("move_to_stage", jump.clone()).await;
        assert_eq!(shop.stock("JUM-CREAM").await, "-1 1 1 -2");
        assert_eq!(alerts().await, "stock_negative stock_short");
        shop.admin
            .does("move_to_stage", json!({"task_number": task, "stage": "Filling", "reason": "Not done"}))
            .await;
        shop.admin.does("move_to_stage", jump).await;
        assert_eq!(shop.stock("JUM-CREAM").await, "-1 1 1 -2", "what is used up is used up once");
        shop.admin.does("adjust_stock", json!({"sku": "JUM-CREAM", "delta": 5, "reason": "restock"})).await;
        assert_eq!(alerts().await, "");
        shop.admin.does("complete_order", json!({"order_id": order})).await;
        assert_eq!(shop.stock("JUM-CREAM").await, "3 0 0 3");
        assert_eq!(audited("JUM").await, [""; 0]);
    });
}

#[test]
fn a_cake_that_is_decorated_anew_needs_its_decoration_again_and_a_repair_needs_nothing() {
    run(async {
        let shop = walnut().await;
        shop.item("QC-ROSE", "component", 10.0).await;
        shop.item("QC-BOX", "component", 10.0).await;
        shop.product("QC-CAKE", &[("QC-ROSE", 3.0, "Decorating"), ("QC-BOX", 1.0, "Packing")]).await;
        let order = shop.sell("QC-CAKE", "cake", 1).await;
        let task = &shop.tasks(&order).await[0];
        shop.complete(task, &["Filling", "Covering", "Decorating"]).await;
        shop.admin.does("return_to_decorating", json!({"task_number": task, "reason": "A dent"})).await;
        assert_eq!(shop.reserved(&order).await, "QC-ROSE 1 Decorating 1 consumed, QC-BOX 1 Packing 1 held");
        shop.complete(task, &["Decorating"]).await;
        let remake = json!({"task_number": task, "reason": "Dropped", "remake": true});
        shop.admin.does("return_to_decorating", remake).await;
        assert_eq!(
            shop.reserved(&order).await,
            "QC-ROSE 1 Decorating 1 consumed, QC-ROSE 1 Decorating 3 held, QC-BOX 1 Packing 1 held"
        );
        shop.complete(task, &["Decorating", "Packing"]).await;
        assert_eq!(
            (shop.stock("QC-ROSE").await, shop.stock("QC-BOX").await),
            ("4 0 0 4".into(), "9 0 0 9".into())
        );
        assert_eq!(audited("QC-").await, [""; 0]);
    });
}

#[test]
fn what_is_optional_is_left_out_where_there_is_too_little() {
    run(async {
        let shop = walnut().await;
        shop.item("OPT-GOLD", "component", 1.0).await;
        shop.item("OPT-BOX", "component", 5.0).await;
        shop.item("OPT-CAKE", "product", 0.0).await;
        let lines =
            json!([{"sku": "OPT-GOLD", "quantity": 1, "optional": true}, {"sku": "OPT-BOX", "quantity": 1}]);
        shop.admin.does("set_bom", json!({"sku": "OPT-CAKE", "lines": lines})).await;
        assert_eq!(shop.stock("OPT-CAKE").await, "0 0 0 5", "it limits no sale");
        let order = shop.sell("OPT-CAKE", "cake", 2).await;
        let expected = "OPT-BOX 1 Packing 1 held, OPT-GOLD 1 Packing 1 held, \
                        OPT-BOX 2 Packing 1 held, OPT-GOLD 2 Packing 1 skipped";
        assert_eq!(shop.reserved(&order).await, expected);
        shop.admin.does("adjust_stock", json!({"sku": "OPT-GOLD", "delta": 5, "reason": "restock"})).await;
        assert_eq!(shop.reserved(&order).await, expected, "once and for all");
        assert_eq!(shop.stock("OPT-GOLD").await, "6 1 0 5");
    });
}

#[test]
fn what_is_sold_beside_cakes_goes_with_the_last_one_and_at_the_counter_at_once() {
    run(async {
        let shop = walnut().await;
        shop.item("ACC-CANDLE", "accessory", 10.0).await;
        shop.product("ACC-CAKE", &[]).await;
        let candle = line("ACC-CANDLE", "accessory", 1);
        let order = shop.take(&shop.order(&[line("ACC-CAKE", "cake", 2), candle.clone()])).await;
        let tasks = shop.tasks(&order).await;
        let all = ["Filling", "Covering", "Decorating", "Packing"];
        shop.complete(&tasks[0], &all).await;
        assert_eq!(shop.stock("ACC-CANDLE").await, "10 1 0 9");
        shop.complete(&tasks[1], &all).await;
        assert_eq!(shop.stock("ACC-CANDLE").await, "9 0 0 9");

        let mut alone = shop.order(&[line("ACC-CANDLE", "accessory", 2)]);
        shop.take(&alone).await;
        assert_eq!(shop.stock("ACC-CANDLE").await, "9 2 0 7");
        alone["lines"][0]["fulfilled"] = json!(true);
        alone["updated_at"] = json!("2026-11-20T10:00:00Z");
        shop.take(&alone).await;
        assert_eq!(shop.stock("ACC-CANDLE").await, "7 0 0 7");

        let mut counter = shop.order(&[line("ACC-CANDLE", "accessory", 3), line("ACC-CAKE", "cake", 1)]);
        counter["pos"] = json!(true);
        shop.take(&counter).await;
        assert_eq!(shop.stock("ACC-CANDLE").await, "4 0 0 4");
        assert_eq!(audited("ACC").await, [""; 0]);
    });
}

#[test]
fn an_update_changes_the_difference_alone() {
    run(async {
        let shop = walnut().await;
        shop.item("UPD-BOX", "component", 10.0).await;
        shop.product("UPD-CAKE", &[("UPD-BOX", 1.0, "Packing")]).await;
        let mut order = shop.order(&[line("UPD-CAKE", "cake", 3)]);
        let order_id = shop.take(&order).await;
        let again = async |order: &mut Value, at: &str, current: i64| {
            order["lines"][0]["current"] = json!(current);
            order["updated_at"] = json!(at);
            shop.take(order).await;
        };
        again(&mut order, "2026-11-20T10:00:00Z", 1).await;
        assert_eq!(shop.stock("UPD-BOX").await, "10 1 0 9");
        // A later bill is for new units.
        let lines = json!([{"sku": "UPD-BOX", "quantity": 5}]);
        shop.admin.does("set_bom", json!({"sku": "UPD-CAKE", "lines": lines})).await;
        again(&mut order, "2026-11-20T11:00:00Z", 3).await;
        assert_eq!(shop.stock("UPD-BOX").await, "10 3 0 7", "what is wanted again is as it was");
        order["lines"][0]["quantity"] = json!(4);
        again(&mut order, "2026-11-20T12:00:00Z", 4).await;
        assert_eq!(shop.stock("UPD-BOX").await, "10 8 0 2");
        assert_eq!(shop.tasks(&order_id).await.len(), 4);
        assert_eq!(audited("UPD").await, [""; 0]);
    });
}

#[test]
fn an_earlier_due_date_is_served_first() {
    run(async {
        let shop = walnut().await;
        shop.item("DUE-BOX", "component", 0.0).await;
        shop.product("DUE-CAKE", &[("DUE-BOX", 2.0, "Packing")]).await;
        let mut undated = shop.order(&[line("DUE-CAKE", "cake", 1)]);
        undated["due_date"] = json!(null);
        let (undated, later) = (shop.take(&undated).await, shop.sell("DUE-CAKE", "cake", 1).await);
        let change = json!({"due_date": "2027-02-01"});
        let edit = json!({"order_id": undated, "version": 1, "changes": change});
        shop.admin.does("adjust_stock", json!({"sku": "DUE-BOX", "delta": 1, "reason": "restock"})).await;
        assert_eq!(shop.stock("DUE-BOX").await, "1 4 4 -3", "each whole or not at all");
        shop.admin.does("edit_order", edit).await;
        shop.admin.does("adjust_stock", json!({"sku": "DUE-BOX", "delta": 1, "reason": "restock"})).await;
        assert_eq!(shop.reserved(&undated).await, "DUE-BOX 1 Packing 1 held");
        assert_eq!(shop.reserved(&later).await, "DUE-BOX 1 Packing 1 blocked");
        assert_eq!(audited("DUE").await, [""; 0]);
    });
}

#[test]
fn what_matches_no_item_is_flagged_and_reserved_once_it_does() {
    run(async {
        let shop = walnut().await;
        let mut unknown = line("MAP-SKU", "accessory", 2);
        unknown["title"] = json!("Shiny Mapgold 6 Balloon");
        let order = shop.take(&shop.order(&[unknown.clone()])).await;
        let flags = async || {
            let sql = "select array_to_string(flags, ' ') from ordak.orders where order_id = $1";
            queries().await.query_one(sql, &[&order]).await.unwrap().get::<_, String>(0)
        };
        assert_eq!(flags().await, "unmapped_product");
        for (sku, keyword) in [("MAP-A", "mapgold"), ("MAP-B", "mapgold 6")] {
            shop.item(sku, "accessory", 5.0).await;
            shop.admin.does("set_match_rule", json!({"sku": sku, "keyword": keyword})).await;
        }
        let remap = json!({"order_id": order});
        for changed in [true, false] {
            assert_eq!(shop.admin.does("remap_order", remap.clone()).await["changed"], json!(changed));
            assert_eq!(
                (flags().await, shop.stock("MAP-B").await),
                ("".into(), "5 2 0 3".into()),
                "the longest word"
            );
        }
        // What is explicit beats words.
        shop.item("MAP-C", "accessory", 5.0).await;
        let rule = json!({"sku": "MAP-C", "product_id": unknown["product_id"], "store": "walnut"});
        shop.admin.does("set_match_rule", rule).await;
        let mut order = shop.order(&[unknown.clone()]);
        order["lines"][0]["line_id"] = json!(id());
        shop.take(&order).await;
        assert_eq!(shop.stock("MAP-C").await, "5 2 0 3");
        let product = json!({"product_id": unknown["product_id"], "store": "walnut"});
        assert_eq!(shop.admin.does("get_inventory", product).await[0]["sku"], "MAP-C");
        shop.item("MAP-SKU", "accessory", 5.0).await;
        order = shop.order(&[unknown]);
        order["lines"][0]["line_id"] = json!(id());
        shop.take(&order).await;
        assert_eq!(shop.stock("MAP-SKU").await, "5 2 0 3");
    });
}

#[test]
fn what_a_customer_brings_back_is_on_the_shelf_again_once() {
    run(async {
        let shop = walnut().await;
        shop.item("RET-TOY", "accessory", 10.0).await;
        let mut order = shop.order(&[line("RET-TOY", "accessory", 2)]);
        order["lines"][0]["fulfilled"] = json!(true);
        shop.take(&order).await;
        assert_eq!(shop.stock("RET-TOY").await, "8 0 0 8");
        order["refund_lines"] = json!([{
            "refund_line_id": id(), "line_id": order["lines"][0]["line_id"], "quantity": 1, "restock_type": "return",
            "location_id": 71, "refunded_at": "2026-11-21T09:00:00Z",
        }]);
        for hour in 10..13 {
            order["updated_at"] = json!(format!("2026-11-21T{hour}:00:00Z"));
            shop.take(&order).await;
            assert_eq!(shop.stock("RET-TOY").await, "9 0 0 9");
        }
        assert_eq!(audited("RET").await, [""; 0]);
    });
}

#[test]
fn people_correct_the_stock_and_the_ledger_shows_it() {
    run(async {
        let shop = walnut().await;
        shop.item("LED-BOX", "component", 5.0).await;
        let adjust = |delta: f64, reason: &str, key: Value| json!({"sku": "LED-BOX", "delta": delta, "reason": reason, "idempotency_key": key});
        let said = async |arguments: Value| {
            let answer = shop.admin.rpc("adjust_stock", arguments).await;
            answer.body["changed"].as_bool().map_or_else(|| answer.said(), |changed| changed.to_string())
        };
        assert_eq!(said(adjust(-6.0, "damaged", json!(null))).await, "422 INV003");
        assert_eq!(said(adjust(-1.5, "damaged", json!("a"))).await, "true");
        assert_eq!(said(adjust(-1.5, "damaged", json!("a"))).await, "false");
        assert_eq!(said(adjust(-1.0, "damaged", json!("a"))).await, "409 ORD005");
        assert_eq!(said(adjust(-5.0, "correction", json!(null))).await, "true");
        for (delta, reason) in [
            (1.0, "damaged"),
            (-1.0, "restock"),
            (0.0, "correction"),
            (1.0, "gift"),
            (0.0001, "restock"),
            (1e9, "restock"),
        ] {
            assert_eq!(said(adjust(delta, reason, json!(null))).await, "422 VAL001", "{delta} {reason}");
        }
        assert_eq!(shop.stock("LED-BOX").await, "-1.5 0 0 -2");
        for changed in [true, false] {
            let counted = shop.admin.does("count_stock", json!({"sku": "LED-BOX", "counted": 4})).await;
            assert_eq!(counted["changed"], json!(changed));
        }
        let receive = json!({"lines": [{"sku": "LED-BOX", "quantity": 2}], "idempotency_key": "b"});
        for changed in [true, false] {
            assert_eq!(shop.admin.does("receive_stock", receive.clone()).await["changed"], json!(changed));
        }
        let two = json!({"lines": [{"sku": "LED-BOX", "quantity": 2}, {"sku": "LED-NONE", "quantity": 2}]});
        assert_eq!(shop.admin.rpc("receive_stock", two).await.said(), "404 INV002");
        let page = shop.admin.does("stock_ledger", json!({"sku": "LED-BOX", "page_size": 2})).await;
        let before = page[1]["move_id"].clone();
        let rest = shop.admin.does("stock_ledger", json!({"sku": "LED-BOX", "before": before})).await;
        let moves: Vec<String> = [page, rest]
            .iter()
            .flat_map(|page| page.as_array().unwrap())
            .map(|row| format!("{} {} {}", row["reason"].as_str().unwrap(), row["delta"], row["on_hand"]))
            .collect();
        let expected = [
            "restock 2.000 6.000",
            "count 5.500 4.000",
            "correction -5.000 -1.500",
            "damaged -1.500 3.500",
            "count 5.000 5.000",
        ];
        let plain = |row: &str| row.replace(".000", "").replace(".500", ".5").replace(".0", "");
        assert_eq!(moves.iter().map(|row| plain(row)).collect::<Vec<_>>(), expected.map(plain));
        assert_eq!(audited("LED").await, [""; 0]);
    });
}

#[test]
fn who_may_do_what_with_stock() {
    run(async {
        let shop = walnut().await;
        shop.item("ROL-BOX", "component", 5.0).await;
        let order = shop.sell("ROL-BOX", "accessory", 1).await;
        let calls = [
            ("Staff", "list_items", json!({})),
            ("Staff", "low_stock", json!({})),
            ("Staff", "blocked_orders", json!({"store": "walnut"})),
            ("Staff", "stock_ledger", json!({"sku": "ROL-BOX"})),
            ("Staff", "get_inventory", json!({"skus": ["ROL-BOX"]})),
            ("Staff", "get_bom", json!({"sku": "ROL-BOX"})),
            ("Staff", "list_match_rules", json!({})),
            ("Supervisor", "adjust_stock", json!({"sku": "ROL-BOX", "delta": 1, "reason": "restock"})),
            ("Supervisor", "count_stock", json!({"sku": "ROL-BOX", "counted": 5})),
            ("Supervisor", "receive_stock", json!({"lines": [{"sku": "ROL-BOX", "quantity": 1}]})),
            ("Supervisor", "recheck_blocked", json!({"sku": "ROL-BOX"})),
            ("Supervisor", "remap_order", json!({"order_id": order})),
            ("Supervisor", "list_listings", json!({"store": "walnut"})),
            ("Supervisor", "drift_report", json!({"store": "walnut"})),
            ("Admin", "save_item", json!({"sku": "ROL-BOX", "name": "Box", "kind": "component"})),
            ("Admin", "set_buffer", json!({"sku": "ROL-BOX", "buffer": 1})),
            ("Admin", "set_bom", json!({"sku": "ROL-BOX", "lines": []})),
            ("Admin", "set_match_rule", json!({"sku": "ROL-BOX", "variant_sku": "ROL-BOX"})),
            ("Admin", "delete_match_rule", json!({"rule_id": 0})),
            ("Admin", "delete_item", json!({"sku": "ROL-NONE"})),
            (
                "Admin",
                "set_listing",
                json!({"sku": "ROL-BOX", "store": "walnut", "inventory_item_id": 1, "location_id": 1}),
            ),
        ];
        let roles = ["Staff", "Supervisor", "Admin"];
        let stranger = Person::new().await;
        for (at, role) in roles.iter().enumerate() {
            let person = Person::staff(role, Some("walnut")).await;
            for (least, name, arguments) in &calls {
                let allowed = at >= roles.iter().position(|role| role == least).unwrap();
                let answer = person.rpc(name, arguments.clone()).await;
                assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role} {name}: {answer:?}");
                assert_eq!(stranger.rpc(name, arguments.clone()).await.said(), "401 AUTH001", "{name}");
            }
        }
        let other = Person::staff("Admin", Some("bannos")).await;
        for name in ["blocked_orders", "list_listings", "drift_report"] {
            assert_eq!(other.rpc(name, json!({"store": "walnut"})).await.said(), "403 AUTH002", "{name}");
        }
        assert_eq!(other.rpc("remap_order", json!({"order_id": order})).await.said(), "403 AUTH002");
        for name in ["inventory", "base_listing", "record_drift"] {
            let answer = shop
                .admin
                .rpc(name, json!({"listing_id": 1, "level": 1, "read_at": "2026-01-01T00:00:00Z"}))
                .await;
            assert_ne!(answer.status, 200, "{name}");
        }
        assert_eq!(service("inventory", json!({"skus": ["ROL-BOX"]})).await.status, 200);
    });
}

#[test]
fn what_an_item_or_a_bill_cannot_be_is_refused() {
    run(async {
        let shop = walnut().await;
        for sku in ["BAD-A", "BAD-B"] {
            shop.item(sku, "product", 1.0).await;
        }
        let said = async |name: &str, arguments: Value| shop.admin.rpc(name, arguments).await.said();
        let bom = |sku: &str, lines: Value| json!({"sku": sku, "lines": lines});
        shop.admin.does("set_bom", bom("BAD-A", json!([{"sku": "BAD-B", "quantity": 1}]))).await;
        for lines in [
            json!([{"sku": "BAD-A", "quantity": 1}]),
            json!([{"sku": "BAD-B", "quantity": 1}]),
            json!({}),
            json!([{"sku": "BAD-A"}]),
            json!([{"sku": "BAD-A", "quantity": 0}]),
            json!([{"sku": "BAD-A", "quantity": 1, "stage": "Complete"}]),
            json!([{"sku": "BAD-A", "quantity": 1, "store": "nowhere"}]),
            json!([{"sku": "BAD-A", "quantity": 1, "colour": "red"}]),
        ] {
            assert_eq!(said("set_bom", bom("BAD-B", lines.clone())).await, "422 VAL001", "{lines}");
        }
        assert_eq!(
            said("set_bom", bom("BAD-B", json!([{"sku": "BAD-NONE", "quantity": 1}]))).await,
            "404 INV002"
        );
        for fields in [
            json!({"kind": "cloud"}),
            json!({"sku": " x"}),
            json!({"name": ""}),
            json!({"tracked": false}),
            json!({"buffer": -1}),
            json!({"active": null}),
        ] {
            let mut item = json!({"sku": "BAD-C", "name": "C", "kind": "component"});
            item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            assert_eq!(said("save_item", item).await, "422 VAL001", "{fields}");
        }
        let untracked = json!({"sku": "BAD-A", "name": "A", "kind": "product", "tracked": false});
        assert_eq!(said("save_item", untracked).await, "422 INV003", "there is some");
        assert_eq!(said("delete_item", json!({"sku": "BAD-A"})).await, "422 INV003");
        assert_eq!(said("get_inventory", json!({"skus": ["BAD-A", "BAD-NONE"]})).await, "404 INV002");
        assert_eq!(said("get_inventory", json!({})).await, "422 VAL001");
        let rule = json!({"sku": "BAD-A", "keyword": "ab", "product_id": 1});
        assert_eq!(said("set_match_rule", rule).await, "422 VAL001");
        let direct = "update ordak.items set on_hand = 99 where sku = 'BAD-A'";
        assert!(queries().await.execute(direct, &[]).await.is_err(), "only moves change what is on hand");
    });
}

/// A listing of an item in a shop, based at a level that was read an hour before the orders here.
pub async fn listed(shop: &Shop, sku: &str, level: i64) -> i64 {
    let listing = json!({"sku": sku, "store": shop.code, "inventory_item_id": id(), "location_id": 71});
    let listing = shop.admin.does("set_listing", listing).await["listing"]["listing_id"].as_i64().unwrap();
    let base = json!({"listing_id": listing, "level": level, "read_at": "2026-11-20T08:00:00Z"});
    let based = service("base_listing", base).await;
    assert_eq!((based.status, &based.body["changed"]), (200, &json!(true)), "{based:?}");
    listing
}

/// What a listing expects, what it is owed, and how often it was marked.
async fn owed(listing: i64) -> String {
    let sql = "select concat_ws(' ', g.expected, o.owed, coalesce(w.version, 0))
               from ordak.listings as g
               left join ordak.owed(array[g.id]) as o on true
               left join ordak.work_queue as w on (w.topic, w.store, w.key) = ('inventory_push', g.store, g.id::text)
               where g.id = $1";
    queries().await.query_one(sql, &[&listing]).await.unwrap().get(0)
}

#[test]
fn a_shop_is_owed_what_it_does_not_know_of() {
    run(async {
        let (one, two) = (walnut().await, yuzu().await);
        one.item("OWE-TOY", "accessory", 10.0).await;
        let (first, second) = (listed(one, "OWE-TOY", 10).await, listed(two, "OWE-TOY", 12).await);
        assert_eq!((owed(first).await, owed(second).await), ("10 0 0".into(), "12 -2 1".into()));
        // Sold in one shop: it knows itself, the other one does not.
        let mut order = one.order(&[line("OWE-TOY", "accessory", 3)]);
        one.take(&order).await;
        assert_eq!((owed(first).await, owed(second).await), ("7 0 0".into(), "12 -5 2".into()));
        // A refund of what nobody has used up yet gives it back on both sides, once.
        order["updated_at"] = json!("2026-11-20T10:00:00Z");
        order["lines"][0]["current"] = json!(2);
        order["refund_lines"] = json!([{
            "refund_line_id": id(), "line_id": order["lines"][0]["line_id"], "quantity": 1, "restock_type": "cancel",
            "location_id": 71, "refunded_at": "2026-11-20T10:00:00Z",
        }]);
        for _ in 0..2 {
            one.take(&order).await;
            assert_eq!((owed(first).await, owed(second).await), ("8 0 0".into(), "12 -4 3".into()));
        }
        // What was sold before the level was read is in the level.
        let mut old = one.order(&[line("OWE-TOY", "accessory", 1)]);
        old["placed_at"] = json!("2026-11-20T07:00:00Z");
        one.take(&old).await;
        assert_eq!((owed(first).await, owed(second).await), ("8 -1 1".into(), "12 -5 4".into()));
        // At a counter elsewhere it did not go from the location that we manage.
        let mut counter = one.order(&[line("OWE-TOY", "accessory", 1)]);
        (counter["pos"], counter["location_id"]) = (json!(true), json!(72));
        one.take(&counter).await;
        assert_eq!((owed(first).await, owed(second).await), ("8 -2 2".into(), "12 -6 5".into()));
        // What people sell and correct here, no shop knows of; below nothing too.
        one.admin.does("adjust_stock", json!({"sku": "OWE-TOY", "delta": -9, "reason": "damaged"})).await;
        assert_eq!((owed(first).await, owed(second).await), ("8 -11 3".into(), "12 -15 6".into()));
        one.admin.does("set_buffer", json!({"sku": "OWE-TOY", "buffer": 1})).await;
        assert_eq!(owed(first).await, "8 -12 4");
        assert_eq!(audited("OWE").await, [""; 0]);
    });
}

#[test]
fn what_is_made_of_something_is_owed_when_that_changes() {
    run(async {
        let shop = walnut().await;
        shop.item("PAR-A", "component", 10.0).await;
        shop.item("PAR-B", "component", 10.0).await;
        shop.product("PAR-CAKE", &[("PAR-A", 2.0, "Filling"), ("PAR-B", 0.5, "Packing")]).await;
        let listing = listed(shop, "PAR-CAKE", 5).await;
        assert_eq!(owed(listing).await, "5 0 0");
        shop.sell("PAR-CAKE", "cake", 1).await;
        assert_eq!(owed(listing).await, "4 0 0", "sold there: it is owed nothing");
        shop.admin.does("count_stock", json!({"sku": "PAR-B", "counted": 1.5})).await;
        assert_eq!(owed(listing).await, "4 -2 1");
        // Both parts of what limits it at once: whoever comes second sees the whole.
        let add = async |sku: &str| {
            shop.admin.does("adjust_stock", json!({"sku": sku, "delta": 20, "reason": "restock"})).await
        };
        tokio::join!(add("PAR-A"), add("PAR-B"));
        assert_eq!(shop.stock("PAR-CAKE").await, "0 0 0 14");
        assert_eq!(owed(listing).await.split_once(' ').unwrap().1.split_once(' ').unwrap().0, "10");
        shop.admin
            .does("set_bom", json!({"sku": "PAR-CAKE", "lines": [{"sku": "PAR-A", "quantity": 1}]}))
            .await;
        assert_eq!(shop.stock("PAR-CAKE").await, "0 0 0 28");
    });
}

#[test]
fn a_level_that_differs_is_recorded_and_owed_back_or_a_person_is_asked() {
    run(async {
        let shop = walnut().await;
        shop.item("DRI-TOY", "accessory", 10.0).await;
        let listing = listed(shop, "DRI-TOY", 10).await;
        shop.sell("DRI-TOY", "accessory", 2).await;
        let drift = async |level: i64, read_at: &str, set_aside: i64| {
            let read =
                json!({"listing_id": listing, "level": level, "read_at": read_at, "set_aside": set_aside});
            let answer = service("record_drift", read).await;
            (answer.body["changed"].as_bool().unwrap(), owed(listing).await)
        };
        // Read before the order was placed, at nine: it knew nothing of it.
        assert_eq!(drift(10, "2026-11-20T08:30:00Z", 0).await, (true, "8 0 0".into()));
        assert_eq!(drift(7, "2026-11-20T08:20:00Z", 0).await, (false, "8 0 0".into()), "an older level");
        assert_eq!(drift(6, "2026-11-20T10:00:00Z", 0).await, (true, "6 2 1".into()));
        assert_eq!(drift(20, "2026-11-20T11:00:00Z", 0).await, (false, "6 2 1".into()), "far too much");
        assert_eq!(
            drift(5, "2026-11-20T11:00:00Z", 1).await,
            (false, "6 2 1".into()),
            "something is set aside"
        );
        let alerts = format!(
            "select count(*) from ordak.alerts
             where kind = 'stock_drift' and subject = '{listing}' and resolved_at is null"
        );
        assert_eq!(count(queries().await, &alerts).await, 1);
        assert_eq!(drift(9, "2026-11-20T12:00:00Z", 0).await, (true, "9 -1 2".into()));
        assert_eq!(count(queries().await, &alerts).await, 0);
        let report = shop.admin.does("drift_report", json!({"store": "walnut"})).await;
        let of = report.as_array().unwrap().iter().filter(|row| row["sku"] == "DRI-TOY");
        assert_eq!(of.map(|row| row["delta"].as_i64().unwrap()).collect::<Vec<_>>(), [3, -2, 10]);
        assert_eq!(audited("DRI").await, [""; 0]);
    });
}

#[test]
fn what_can_be_sold_is_read_by_index_for_one_item_and_for_250_alike() {
    /// 5000 items of which 2500 are products, each of eight parts: 20,000 lines of bills.
    const MANY: &str = "
        insert into ordak.items (sku, name, kind, tracked)
        select 'IDX-' || n, 'Many', case when n <= 2500 then 'product' else 'component' end, n > 2500
        from generate_series(1, 5000) as n;
        insert into ordak.bom_lines (product, item, quantity)
        select p.id, c.id, 0.5
        from generate_series(1, 2500) as n
        join ordak.items as p on p.sku = 'IDX-' || n
        cross join generate_series(0, 7) as k
        join ordak.items as c on c.sku = 'IDX-' || 2501 + (n * 8 + k) % 2500;
        analyze ordak.items, ordak.bom_lines";
    const READ: &str = "
        select sum(pg_stat_get_xact_numscans(c))::bigint, (
          select sum(pg_stat_get_xact_tuples_returned(indexrelid)) from pg_index
          where indrelid = any ('{ordak.items,ordak.bom_lines}'::regclass[]))::bigint
        from unnest('{ordak.items,ordak.bom_lines}'::regclass[]) as c";
    run(async {
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        transaction.batch_execute(MANY).await.unwrap();
        for size in [1_i64, 50, 250] {
            let sql = "select array_agg(id), array_agg('bannos'::text) from (
                         select id from ordak.items where sku like 'IDX-%' and not tracked order by sku limit $1) as i";
            let row = transaction.query_one(sql, &[&size]).await.unwrap();
            let (items, stores): (Vec<i64>, Vec<String>) = (row.get(0), row.get(1));
            let read = async || {
                let row = transaction.query_one(READ, &[]).await.unwrap();
                (row.get::<_, i64>(0), row.get::<_, i64>(1))
            };
            let before = read().await;
            let sql = "select ats::text from ordak.ats($1, $2)";
            let found = transaction.query(sql, &[&items, &stores]).await.unwrap();
            let after = read().await;
            assert_eq!(i64::try_from(found.len()).unwrap(), size);
            assert!(found.iter().all(|row| row.get::<_, &str>(0) == "0"));
            assert_eq!(after.0 - before.0, 0, "{size}: no table is read whole");
            assert!(after.1 - before.1 <= size * 20, "{size}: {} entries", after.1 - before.1);
        }
        transaction.rollback().await.unwrap();
    });
}
