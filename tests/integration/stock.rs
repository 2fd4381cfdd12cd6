//! Stock: what orders reserve and use up, and who is served first.

mod owed;
mod people;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::shop::{Shop, audited, id, line};
use crate::support::*;

/// The store that the tests share, each with items of its own.
pub async fn walnut() -> &'static Shop {
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
        let change = json!({"due_date": format!("{}-02-01", coming_year())});
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
