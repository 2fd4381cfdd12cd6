//! What the worker is told by Shopify and what follows from it: listings that are found, orders and products that are
//! fetched.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::cumquat::cumquat;
use crate::support::shop::{audited, id, line, service};
use crate::support::*;

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
