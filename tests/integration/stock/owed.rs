//! What shops are owed: what they show too much or too little of what can be sold.

use serde_json::json;

use super::{walnut, yuzu};
use crate::support::shop::{audited, id, line, listed, take_level};
use crate::support::*;

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
            take_level(listing, level, read_at, set_aside).await;
            owed(listing).await
        };
        // Read before the order was placed, at nine: it knew nothing of it.
        assert_eq!(drift(10, "2026-11-20T08:30:00Z", 0).await, "8 0 0");
        assert_eq!(drift(7, "2026-11-20T08:20:00Z", 0).await, "8 0 0", "an older level");
        assert_eq!(drift(6, "2026-11-20T10:00:00Z", 0).await, "6 2 1");
        assert_eq!(drift(20, "2026-11-20T11:00:00Z", 0).await, "6 2 1", "far too much");
        assert_eq!(drift(5, "2026-11-20T11:00:00Z", 1).await, "6 2 1", "something is set aside");
        let alerts = format!(
            "select count(*) from ordak.alerts
             where kind = 'stock_drift' and subject = '{listing}' and resolved_at is null"
        );
        assert_eq!(count(queries().await, &alerts).await, 1);
        assert_eq!(drift(9, "2026-11-20T12:00:00Z", 0).await, "9 -1 2");
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
