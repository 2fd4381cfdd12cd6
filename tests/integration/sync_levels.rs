//! The base check: levels that are read, what they count, and what follows from them.

use serde_json::{Value, json};

use crate::support::cumquat::{LOCATION, cumquat, soon};
use crate::support::shop::{audited, id, service};
use crate::support::*;

#[test]
fn a_level_counts_what_came_before_it_and_nothing_that_came_after() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-BASE", 100.0, 100, "2026-11-20T10:00:00Z").await;
        // Before the read and known; then, while the level waits, before it, in its second, and after it.
        let early = shop.order_at("CUM-BASE", 1, "2026-11-20T10:30:00Z");
        shop.take(&early).await;
        // Shopify sold 1 + 2 + 4 up to 11:00:00, and nobody knows whether the 4 are in its level.
        let next = shop.read(listing, json!(97), 0, "2026-11-20T11:00:00Z").await;
        assert_eq!(next["work"], "none", "the level waits");
        shop.take(&shop.order_at("CUM-BASE", 2, "2026-11-20T10:59:59Z")).await;
        shop.take(&shop.order_at("CUM-BASE", 4, "2026-11-20T11:00:00Z")).await;
        shop.take(&shop.order_at("CUM-BASE", 8, "2026-11-20T11:00:01Z")).await;
        assert_eq!(shop.expected(listing).await, "85 10:00:00");
        shop.settle().await;
        // The sale of that second is taken to be in the level: too little is shown at worst.
        assert_eq!(shop.expected(listing).await, "89 11:00:00");
        assert_eq!(shop.marked("inventory_push").await, listing.to_string(), "4 are owed back");
        assert_eq!(
            shop.text(&format!(
                "select string_agg(delta::text, ' ') from ordak.listing_effects
            where listing = {listing} and kind = 'drift' and shopify_at > '2026-11-20T10:00:00Z'"
            ))
            .await,
            "4"
        );
        shop.end().await;
    });
}

#[test]
fn a_refund_about_the_second_of_the_read_came_after_it() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-BACK", 100.0, 100, "2026-11-20T10:00:00Z").await;
        let orders = ["11:59:57", "12:00:00", "12:00:01"]
            .map(|_| shop.order_at("CUM-BACK", 10, "2026-11-20T10:30:00Z"));
        for order in &orders {
            shop.take(order).await;
        }
        assert_eq!(shop.expected(listing).await, "70 10:00:00");
        // The first refund of 1 is in the level.
        shop.read(listing, json!(71), 0, "2026-11-20T12:00:00Z").await;
        for ((order, quantity), second) in
            orders.iter().zip([1, 2, 4]).zip(["11:59:57", "12:00:00", "12:00:01"])
        {
            shop.take(&shop.refunded_at(order, quantity, &format!("2026-11-20T{second}Z"))).await;
        }
        shop.settle().await;
        assert_eq!(shop.expected(listing).await, "77 12:00:00");
        let sql = format!(
            "select count(*)::text from ordak.listing_effects where listing = {listing} and kind = 'drift'
                           and delta <> 100"
        );
        assert_eq!(shop.text(&sql).await, "0", "it agreed");
        // A refund of the base's second that is told later counts, and a sale does not.
        let order = shop.order_at("CUM-BACK", 3, "2026-11-20T12:00:00Z");
        shop.take(&order).await;
        assert_eq!(shop.expected(listing).await, "77 12:00:00");
        shop.take(&shop.refunded_at(&order, 3, "2026-11-20T12:00:00Z")).await;
        assert_eq!(shop.expected(listing).await, "80 12:00:00");
        shop.take(&shop.refunded_at(&orders[0], 5, "2026-11-20T11:59:57Z")).await;
        assert_eq!(shop.expected(listing).await, "80 12:00:00");
    });
}

#[test]
fn a_push_after_the_read_counts_and_one_during_it_voids_it() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-PUSH", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.read(listing, json!(10), 0, "2026-11-20T11:00:00Z").await;
        // While the level waits, two are written off and pushed, in the same second of Shopify's clock.
        shop.admin.does("adjust_stock", json!({"sku": "CUM-PUSH", "delta": -2, "reason": "damaged"})).await;
        let push = shop.claim().await;
        assert_eq!(push["work"], "push", "{push}");
        // Its level is not compared while nobody knows whether the push is done.
        shop.ripen().await;
        shop.sql("update ordak.sync_stores set orders_through = now() where store = 'cumquat'").await;
        shop.sql("select ordak.settle_levels('cumquat')").await;
        assert_eq!(shop.expected(listing).await, "10 10:00:00");
        shop.done(&push, json!({"at": "2026-11-20T11:00:00Z"})).await;
        shop.claim().await;
        assert_eq!(
            shop.expected(listing).await,
            "8 11:00:00",
            "8 is expected, for the level of 10 was before the push"
        );
        shop.end().await;

        // A push that is on its way when the level is to be read is waited for.
        shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        shop.admin.does("adjust_stock", json!({"sku": "CUM-PUSH", "delta": -1, "reason": "damaged"})).await;
        // It was pushed a moment ago.
        shop.sql("update ordak.work_queue set run_at = now() where store = 'cumquat'").await;
        let push = shop.begin_with("push").await;
        shop.mark("base_listing", listing).await;
        shop.sql("do $$ begin assert ordak.claim_read_levels('cumquat', gen_random_uuid()) is null; end $$")
            .await;
        let sql = "select (run_at > now() and state = 'ready')::text from ordak.work_queue
                   where store = 'cumquat' and topic = 'base_listing'";
        assert_eq!(shop.text(sql).await, "true", "it comes back by itself");
        // One that was sent and answered while the level was read: whether the level has it, nobody knows.
        shop.done(&push, json!({"at": "2026-11-20T12:00:00Z"})).await;
        shop.sql("update ordak.work_queue set run_at = now() where store = 'cumquat'").await;
        let work = shop.claim().await;
        assert_eq!(work["work"], "read_levels", "{work}");
        shop.sql("update ordak.push_batches set closed_at = clock_timestamp() where store = 'cumquat'").await;
        let read = json!({"listing_id": listing, "available": 7, "set_aside": 0});
        shop.done(&work, json!({"read_at": "2026-11-20T12:00:00Z", "levels": [read]})).await;
        assert_eq!(
            shop.text("select count(*)::text from ordak.level_reads where store = 'cumquat'").await,
            "0"
        );
        assert_eq!(shop.marked("base_listing").await, listing.to_string(), "it is read again");
    });
}

#[test]
fn a_level_waits_until_all_orders_up_to_it_are_here() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-WAIT", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.read(listing, json!(7), 0, "2026-11-20T11:00:00Z").await;
        shop.ripen().await;
        let list = shop.claim().await;
        assert_eq!((&list["work"], &list["after"]), (&json!("list_orders"), &Value::Null));
        // The order that explains it never came by a webhook.
        let order = shop.order_at("CUM-WAIT", 3, "2026-11-20T10:59:00Z");
        let listed = json!({"id": order["shopify_order_id"], "updated_at": order["updated_at"]});
        let fetch = shop.done(&list, json!({"orders": [listed], "after": null})).await;
        assert_eq!(fetch["orders"], json!([order["shopify_order_id"]]), "{fetch}");
        assert_eq!(shop.expected(listing).await, "10 10:00:00");
        let fetched = json!({"id": order["shopify_order_id"], "content": {"order": order}});
        let next = shop.done(&fetch, json!({"orders": [fetched]})).await;
        assert_eq!(next["work"], "fetch_products", "{next}");
        let next = shop.done(&next, json!({"products": []})).await;
        assert!(soon(&next), "{next}");
        shop.claim().await;
        assert_eq!(shop.expected(listing).await, "7 11:00:00");
        let sql = format!(
            "select count(*)::text from ordak.listing_effects where listing = {listing} and kind = 'drift'
                           and delta <> 10"
        );
        assert_eq!(shop.text(&sql).await, "0", "it agreed");
        assert_eq!(audited("CUM-WAIT").await, [""; 0]);
    });
}

#[test]
fn a_level_that_was_marked_again_is_read_again() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-AGAIN", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.read(listing, json!(4), 0, "2026-11-20T11:00:00Z").await;
        shop.mark("base_listing", listing).await;
        let work = shop.claim().await;
        assert_eq!(work["work"], "read_levels", "{work}");
        assert_eq!(shop.expected(listing).await, "10 10:00:00");
    });
}

#[test]
fn a_level_from_before_a_listing_was_changed_is_read_again() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-MOVED", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let moved = json!({"sku": "CUM-MOVED", "store": "cumquat", "inventory_item_id": id(), "location_id": LOCATION});
        for (hour, calls) in [(11, vec![("set_listing", moved)]), (12, vec![])] {
            shop.read(listing, json!(4), 0, &format!("2026-11-20T{hour}:00:00Z")).await;
            shop.sql("select ordak.alert('listing_ambiguous', 'cumquat', 'CUM-MOVED', 'a test')").await;
            for (name, arguments) in &calls {
                shop.admin.does(name, arguments.clone()).await;
                assert_eq!(shop.alerts("CUM-MOVED").await, "", "a person has named the right one");
            }
            if calls.is_empty() {
                let store = json!({"store": "cumquat"});
                shop.admin.does("stop_tracking", store.clone()).await;
                shop.sql("update ordak.settings set inventory_tracking = true where store = 'cumquat'").await;
            }
            let work = shop.claim().await;
            assert_eq!(work["work"], "read_levels", "{work}");
            shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
            shop.end().await;
        }
    });
}

#[test]
fn what_waits_to_be_pushed_is_over_where_nothing_is_counted() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-OFF", 10.0, 8, "2026-11-20T10:00:00Z").await;
        assert_eq!(shop.marked("inventory_push").await, listing.to_string());
        shop.admin.does("stop_tracking", json!({"store": "cumquat"})).await;
        shop.begin_with("none").await;
        let left = shop.marked("inventory_push").await;
        shop.sql("update ordak.settings set inventory_tracking = true where store = 'cumquat'").await;
        shop.end().await;
        assert_eq!(left, "", "for as long as that lasts, a worker would come for it");
    });
}

#[test]
fn drift_is_healed_but_a_person_decides_where_it_is_large_or_something_is_set_aside() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-DRIFT", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let cases = [
            // Up to the threshold, and downward whatever it is: ours wins.
            (15, 0, "11", "15", ""),
            (10, 0, "12", "10", ""),
            (2, 0, "13", "2", ""),
            // Further up, or with pieces aside, a person is asked; nothing changes.
            (8, 0, "14", "2", "stock_drift"),
            (3, 1, "15", "2", "stock_drift"),
            // What agrees needs nobody any more, also with pieces aside.
            (2, 1, "16", "2", ""),
        ];
        for (level, set_aside, hour, expected, alert) in cases {
            shop.read(listing, json!(level), set_aside, &format!("2026-11-20T{hour}:00:00Z")).await;
            shop.settle().await;
            let said = shop.expected(listing).await;
            assert_eq!(said.split(' ').next(), Some(expected), "level {level} at {hour}");
            assert_eq!(shop.alerts(listing).await, alert, "level {level} at {hour}");
            assert_eq!(shop.marked("base_listing").await, "");
            shop.sql("update ordak.push_batches set state = 'void', closed_at = now() - interval '1 minute'
                      where store = 'cumquat' and state = 'open'; delete from ordak.work_queue where store = 'cumquat'").await;
            shop.end().await;
        }
    });
}

#[test]
fn each_of_many_levels_is_read_once_also_where_the_first_may_be_compared_while_others_are_read() {
    run(async {
        let shop = cumquat().await;
        shop.locate().await;
        let insert = "with added as (
            insert into ordak.items (sku, name, kind) select 'CUM-MANY-' || n, 'Many', 'accessory' from generate_series(1, 250) as n
            returning id
          ), listed as (
            insert into ordak.listings (item, store, inventory_item_id, location_id)
            select a.id, 'cumquat', 8800000000000 + a.id, 71 from added as a returning id
          ) select ordak.mark('base_listing', 'cumquat', l.id::text) from listed as l";
        shop.sql("update ordak.sync_settings set base_wait = '0'").await;
        shop.sql(insert).await;
        shop.begin().await;
        let mut reads = 0;
        loop {
            let mut work = shop.claim().await;
            while work["work"] != "none" {
                let read = |listing: &Value| json!({"listing_id": listing["listing_id"], "available": 3, "set_aside": 0});
                let levels = work["listings"].as_array().into_iter().flatten().map(read).collect::<Vec<_>>();
                reads += i64::from(work["work"] == "read_levels");
                let result = match work["work"].as_str() {
                    Some("read_levels") => json!({"read_at": now().await, "levels": levels}),
                    Some("list_orders") => json!({"orders": [], "after": null}),
                    Some("push") => json!({"at": now().await}),
                    _ => json!({"found": []}),
                };
                work = shop.done(&work, result).await;
            }
            let Some(wait) = work["wait_ms"].as_u64() else { break };
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        shop.sql("update ordak.sync_settings set base_wait = '2 minutes'").await;
        let based = "select count(*)::text from ordak.listings where store = 'cumquat' and enabled and based_at is not null";
        assert_eq!((reads, shop.text(based).await.as_str()), (3, "250"));
        shop.end().await;
    });
}

/// What time it is at Shopify.
async fn now() -> String {
    let sql = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    queries().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[test]
fn an_admin_who_has_looked_why_has_the_next_level_taken_as_it_is() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-LOOKED", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.read(listing, json!(50), 1, "2026-11-20T11:00:00Z").await;
        shop.settle().await;
        assert_eq!(shop.alerts(listing).await, "stock_drift");
        shop.end().await;
        let arguments = json!({"listing_id": listing});
        for (role, store, expected) in [
            ("Staff", Some("cumquat"), "403 AUTH002"),
            ("Supervisor", Some("cumquat"), "403 AUTH002"),
            ("Admin", Some("bannos"), "403 AUTH002"),
            ("Admin", Some("cumquat"), "200 "),
        ] {
            let person = Person::staff(role, store).await;
            assert_eq!(
                person.rpc("rebase_listing", arguments.clone()).await.said(),
                expected,
                "{role} {store:?}"
            );
        }
        let admin = Person::staff("Admin", None).await;
        assert_eq!(admin.does("rebase_listing", arguments).await, json!(false), "it is waited for");
        assert_eq!(admin.rpc("rebase_listing", json!({"listing_id": 0})).await.said(), "404 INV002");
        shop.read(listing, json!(50), 1, "2026-11-20T12:00:00Z").await;
        shop.settle().await;
        assert_eq!(shop.expected(listing).await, "50 12:00:00");
        assert_eq!(shop.alerts(listing).await, "");
        shop.end().await;
    });
}

#[test]
fn what_is_not_stocked_at_the_location_is_disabled() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-GONE", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let other = shop.listing("CUM-ABSENT", 10.0).await;
        shop.mark("base_listing", other).await;
        let next = shop.read(listing, Value::Null, 0, "2026-11-20T11:00:00Z").await;
        assert_eq!(next["work"], "none", "{next}");
        for listing in [listing, other] {
            assert_eq!(shop.alerts(listing).await, "listing_refused");
        }
        assert_eq!(shop.marked("base_listing").await, "");
        shop.end().await;
        // A person decides: one stays off, and of the other nobody knows what Shopify has counted meanwhile.
        for (sku, id, enabled) in [("CUM-ABSENT", other, false), ("CUM-GONE", listing, true)] {
            let sql = format!("select inventory_item_id::text from ordak.listings where id = {id}");
            let item: i64 = shop.text(&sql).await.parse().unwrap();
            let change = json!({
                "sku": sku, "store": "cumquat", "inventory_item_id": item, "location_id": LOCATION, "enabled": enabled,
            });
            assert_eq!(shop.admin.does("set_listing", change).await["changed"], json!(true));
        }
        assert_eq!((&*shop.alerts(other).await, &*shop.alerts(listing).await), ("", "listing_refused"));
        assert_eq!(shop.expected(listing).await, "10");
        // Put right, it is read and based as any other.
        shop.read(listing, json!(4), 0, "2026-11-20T12:00:00Z").await;
        shop.settle().await;
        assert_eq!((&*shop.expected(listing).await, &*shop.alerts(listing).await), ("4 12:00:00", ""));
    });
}

#[test]
fn a_level_that_shopify_tells_of_is_checked_if_it_is_still_not_right_after_a_while() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-SEEN", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let item = shop
            .text(&format!("select inventory_item_id::text from ordak.listings where id = {listing}"))
            .await;
        let item: i64 = item.parse().unwrap();
        let seen = async |available: i64, at: &str| {
            let webhook = id().to_string();
            let delivery = json!({
                "shop_domain": "cumquat.myshopify.com", "topic": "inventory_levels/update", "webhook_id": webhook,
                "body_digest": webhook, "secret_store": "cumquat",
            });
            let level = json!({
                "inventory_item_id": item, "location_id": LOCATION, "available": available, "updated_at": at,
            });
            let content = json!({"delivery": delivery, "content": {"level": level}});
            assert_eq!(service("ingest", content).await.said(), "200 recorded");
            let sql = format!(
                "select (check_at > now() + interval '1 minute')::text from ordak.levels_seen
                               where inventory_item_id = {item}"
            );
            shop.text(&sql).await
        };
        let later = async || {
            shop.sql(&format!(
                "update ordak.levels_seen set check_at = now() where inventory_item_id = {item}
                               and check_at is not null; select ordak.recheck_levels()"
            ))
            .await;
            shop.marked("base_listing").await
        };
        // Right from the start; early, and explained by the order that comes after it.
        assert_eq!((&*seen(10, "2026-11-20T10:10:00Z").await, &*later().await), ("", ""));
        assert_eq!(seen(8, "2026-11-20T10:20:00Z").await, "true");
        assert_eq!(shop.marked("base_listing").await, "", "it may be explained yet");
        shop.take(&shop.order_at("CUM-SEEN", 2, "2026-11-20T10:20:00Z")).await;
        assert_eq!(later().await, "");
        // Not explained, then put right; not explained.
        assert_eq!(
            (&*seen(5, "2026-11-20T10:30:00Z").await, &*seen(8, "2026-11-20T10:31:00Z").await),
            ("true", "")
        );
        assert_eq!(later().await, "");
        assert_eq!(seen(5, "2026-11-20T10:40:00Z").await, "true");
        assert_eq!(later().await, listing.to_string());
        // While it is checked it is not marked again, which would begin that anew; but it is not forgotten.
        let version =
            "select version::text from ordak.work_queue where store = 'cumquat' and topic = 'base_listing'";
        assert_eq!(seen(4, "2026-11-20T10:50:00Z").await, "true");
        assert_eq!((&*later().await, &*shop.text(version).await), (&*listing.to_string(), "1"));
        let sql = format!(
            "select (check_at > now())::text from ordak.levels_seen where inventory_item_id = {item}"
        );
        assert_eq!(shop.text(&sql).await, "true");
    });
}
