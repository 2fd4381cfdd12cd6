//! What starts by the clock, what people and our servers ask for, and what is forgotten.

use serde_json::json;

use crate::support::cumquat::cumquat;
use crate::support::shop::service;
use crate::support::*;

#[test]
fn the_clock_has_orders_listed_and_levels_read_once_a_night() {
    run(async {
        let shop = cumquat().await;
        shop.locate().await;
        let listing = shop.based("CUM-NIGHT", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.item("CUM-DARK", "accessory", 1.0).await;
        let dark = shop.text("select id::text from ordak.items where sku = 'CUM-DARK'").await;
        let plan = async |through: &str, checked: &str, zone: &str| {
            shop.sql(&format!(
                "delete from ordak.work_queue where store = 'cumquat';
                 update ordak.stores set time_zone = '{zone}' where code = 'cumquat';
                 update ordak.sync_stores set orders_through = {through}, checked_on = {checked} where store = 'cumquat';
                 select ordak.plan_work(); select ordak.plan_work()"
            ))
            .await;
            let sql = "select string_agg(topic || ' ' || key || ' ' || version, ', ' order by topic, key)
                       from ordak.work_queue where store = 'cumquat' and (topic <> 'find_listing' or key = (
                         select id::text from ordak.items where sku = 'CUM-DARK'))";
            shop.text(sql).await
        };
        // A zone where it is noon, and one where it is one in the morning.
        let zone = async |hour: i32| {
            shop.text(&format!(
                "select name from pg_timezone_names where name like 'Etc/GMT%'
                 and extract(hour from now() at time zone name) = {hour} limit 1"
            ))
            .await
        };
        let (noon, night) = (zone(12).await, zone(1).await);
        let today = "(select ordak.local_day(time_zone, now()) from ordak.stores where code = 'cumquat')";
        assert_eq!(plan("null", today, &noon).await, "list_orders cumquat 1", "and once only");
        assert_eq!(plan("now() - interval '14 minutes'", today, &noon).await, "");
        assert_eq!(plan("now() - interval '16 minutes'", today, &noon).await, "list_orders cumquat 1");
        // What was given up is tried again, and told again, as seldom as it is asked for.
        for (ago, expected) in [("14 minutes", "dead 1"), ("16 minutes", "ready 2")] {
            shop.sql(&format!(
                "delete from ordak.work_queue where store = 'cumquat';
                 insert into ordak.work_queue (topic, store, key, state, last_error, died_at)
                 values ('list_orders', 'cumquat', 'cumquat', 'dead', 'a test', now() - interval '{ago}');
                 update ordak.sync_stores set orders_through = null where store = 'cumquat'; select ordak.plan_work()"
            ))
            .await;
            let sql = "select state || ' ' || version from ordak.work_queue where topic = 'list_orders' and store = 'cumquat'";
            assert_eq!(shop.text(sql).await, expected, "{ago}");
            shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        }
        // What has no level yet is read at once, but for what was given up.
        shop.sql(&format!("update ordak.listings set based_at = null where id = {listing}")).await;
        assert_eq!(plan("now()", today, &noon).await, format!("base_listing {listing} 1"));
        shop.sql(&format!(
            "update ordak.listings set based_at = '2026-11-20T10:00:00Z' where id = {listing}"
        ))
        .await;
        assert_eq!(plan("now()", &format!("{today} - 1"), &night).await, "", "not before three");
        assert_eq!(
            plan("now()", &format!("{today} - 1"), &noon).await,
            format!("base_listing {listing} 1, find_listing {dark} 1")
        );
        let checked =
            format!("select (checked_on = {today})::text from ordak.sync_stores where store = 'cumquat'");
        assert_eq!(shop.text(&checked).await, "true");
        shop.sql("update ordak.stores set stopped_at = now(), stop_reason = 'a test' where code = 'cumquat'")
            .await;
        assert_eq!(plan("null", &format!("{today} - 1"), &noon).await, "", "a store that is stopped waits");
        shop.sql("update ordak.stores set time_zone = 'Australia/Sydney' where code = 'cumquat'").await;
    });
}

#[test]
fn what_fails_again_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
    run(async {
        // The longest that chance can give; see the start of these stacks.
        let sql = "select string_agg(ordak.backoff(n)::text, ' ' order by n)
                   from unnest('{0,1,2,3,9,10,11,1000}'::int[]) as n";
        let waits: String = queries().await.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(waits, "00:00:01 00:00:02 00:00:04 00:00:08 00:08:32 00:15:00 00:15:00 00:15:00");
    });
}

#[test]
fn who_asks_has_begin_at_once_what_waits() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-ASK", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let other = shop.based("CUM-OTHER", 10.0, 10, "2026-11-20T10:00:00Z").await;
        for sku in ["CUM-ASK", "CUM-OTHER"] {
            shop.admin.does("adjust_stock", json!({"sku": sku, "delta": -1, "reason": "damaged"})).await;
        }
        let wait = "update ordak.work_queue set run_at = now() + interval '10 minutes' where store = 'cumquat';
                    update ordak.sync_stores set backoff_until = now() + interval '10 minutes' where store = 'cumquat'";
        let due = "select string_agg(key, ' ' order by key::bigint) from ordak.work_queue
                   where store = 'cumquat' and topic = 'inventory_push' and run_at <= now()";
        shop.sql(wait).await;
        let ask = json!({"store": "cumquat", "skus": ["CUM-ASK"]});
        let run = shop.admin.does("request_sync", ask.clone()).await;
        assert_eq!(run["status"], "queued", "{run}");
        assert_eq!(shop.text(due).await, listing.to_string(), "that one alone");
        for again in [ask.clone(), json!({"store": "cumquat", "skus": ["CUM-ASK", "CUM-ASK"]})] {
            let again = shop.admin.does("request_sync", again).await;
            assert_eq!((&again["status"], &again["run_id"]), (&json!("already_running"), &run["run_id"]));
        }
        assert_eq!(service("request_sync_service", ask).await.body["run_id"], run["run_id"]);
        shop.sql(wait).await;
        let whole = service("request_sync_service", json!({"store": "cumquat"})).await.body;
        assert_ne!(whole["run_id"], run["run_id"], "another scope is another run");
        assert_eq!(shop.text(due).await, format!("{listing} {other}"));

        let look = json!({"run_id": run["run_id"]});
        let said = service("get_sync_run_service", look.clone()).await.body;
        assert_eq!((&said["status"], &said["stores"][0]["left"]), (&json!("queued"), &json!(1)));
        let push = shop.begin_with("push").await;
        assert_eq!(shop.admin.does("get_sync_run", look.clone()).await["status"], "running");
        assert_eq!(shop.done(&push, json!({"at": "2026-11-20T11:00:00Z"})).await["work"], "none");
        let done = json!({"store": "cumquat", "lease": *shop.lease.lock().await, "outcome": "done"});
        while service("end_sync", done.clone()).await.body == json!(true) {
            assert_eq!(shop.claim().await["work"], "none");
        }
        let said = shop.admin.does("get_sync_run", look.clone()).await;
        assert_eq!((&said["status"], &said["stores"][0]["left"]), (&json!("done"), &json!(0)), "{said}");
        shop.admin.does("adjust_stock", json!({"sku": "CUM-ASK", "delta": -1, "reason": "damaged"})).await;
        let run = shop.admin.does("request_sync", json!({"store": "cumquat", "skus": ["CUM-ASK"]})).await;
        assert_eq!(run["status"], "queued", "what is done can be asked for again");

        // What is given up is no work that is left, and is told.
        let dead = "update ordak.work_queue set state = 'dead', died_at = now(), last_error = 'a test'
                    where store = 'cumquat' and topic = 'inventory_push'";
        let numbers = async || {
            let said = shop.admin.does("get_sync_run", json!({"run_id": run["run_id"]})).await;
            (said["stores"][0]["failed"].clone(), said["stores"][0]["left"].clone())
        };
        assert_eq!(numbers().await, (json!(0), json!(1)));
        shop.sql(dead).await;
        assert_eq!(numbers().await, (json!(1), json!(0)));
    });
}

#[test]
fn a_full_run_reads_every_level_and_looks_up_what_is_missing() {
    run(async {
        let shop = cumquat().await;
        shop.locate().await;
        let listing = shop.based("CUM-FULL", 10.0, 10, "2026-11-20T10:00:00Z").await;
        shop.item("CUM-FRESH", "accessory", 1.0).await;
        shop.sql("delete from ordak.work_queue where store = 'cumquat'").await;
        let fresh = shop.text("select id::text from ordak.items where sku = 'CUM-FRESH'").await;
        let ask = json!({"store": "cumquat", "full_check": true, "skus": ["CUM-FRESH"]});
        assert_eq!(shop.admin.does("request_sync", ask).await["status"], "queued");
        assert_eq!((&*shop.marked("base_listing").await, &*shop.marked("find_listing").await), ("", &*fresh));
        let ask = json!({"store": "cumquat", "full_check": true});
        assert_eq!(shop.admin.does("request_sync", ask).await["status"], "queued");
        assert_eq!(shop.marked("base_listing").await, listing.to_string());
        assert_eq!(shop.marked("list_orders").await, "cumquat");
    });
}

#[test]
fn who_may_not_ask_or_asks_for_what_cannot_be_is_told_so() {
    run(async {
        let shop = cumquat().await;
        let staff = Person::staff("Supervisor", Some("cumquat")).await;
        let elsewhere = Person::staff("Admin", Some("bannos")).await;
        let run = shop.admin.does("request_sync", json!({"store": "cumquat"})).await["run_id"].clone();
        for (who, said) in [(&staff, "403 AUTH002"), (&elsewhere, "403 AUTH002")] {
            assert_eq!(who.rpc("request_sync", json!({"store": "cumquat"})).await.said(), said);
            assert!(who.rpc("request_sync_service", json!({})).await.status >= 401);
            assert!(who.rpc("get_sync_run_service", json!({"run_id": run})).await.status >= 401);
        }
        assert_eq!(staff.rpc("get_sync_run", json!({"run_id": run})).await.said(), "403 AUTH002");
        assert_eq!(elsewhere.rpc("get_sync_run", json!({"run_id": run})).await.said(), "404 ORD001");
        for asked in ["request_sync", "get_sync_run"] {
            let body = if asked == "get_sync_run" { json!({"run_id": run}) } else { json!({}) };
            assert_eq!(service(asked, body).await.status, 403, "{asked} is for people");
        }
        let unknown = json!({"run_id": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"});
        assert_eq!(service("get_sync_run_service", unknown.clone()).await.said(), "404 ORD001");
        assert_eq!(shop.admin.rpc("get_sync_run", unknown).await.said(), "404 ORD001");
        let cases = [
            (json!({"store": "cumquat", "skus": ["CUM-NOBODY"]}), "404 INV002"),
            (json!({"store": "cumquat", "skus": []}), "422 VAL001"),
            (json!({"store": "cumquat", "skus": vec!["CUM"; 101]}), "422 VAL001"),
            (json!({"store": "cumquat", "full_check": null}), "422 VAL001"),
            (json!({"store": "nowhere"}), "422 VAL001"),
        ];
        for (asked, said) in cases {
            assert_eq!(service("request_sync_service", asked.clone()).await.said(), said, "{asked}");
        }
        let told = async |word: &str| {
            let answer = service("request_sync_service", json!({"store": "cumquat"})).await;
            assert_eq!(answer.said(), "422 VAL001");
            assert!(answer.body["hint"].as_str().unwrap().contains(word), "{answer:?}");
        };
        shop.sql("update ordak.stores set stopped_at = now(), stop_reason = 'token' where code = 'cumquat'")
            .await;
        told("resume_store").await;
        shop.sql(
            "update ordak.stores set stopped_at = null, stop_reason = null where code = 'cumquat';
                  update ordak.settings set inventory_tracking = false where store = 'cumquat'",
        )
        .await;
        told("start_tracking").await;
        shop.sql("update ordak.settings set inventory_tracking = true where store = 'cumquat'").await;
    });
}

#[test]
fn what_is_over_is_forgotten_in_time() {
    run(async {
        let shop = cumquat().await;
        let listing = shop.based("CUM-OLD", 10.0, 10, "2026-11-20T10:00:00Z").await;
        let old = |days: i32| {
            format!(
                "with batch as (
                   insert into ordak.push_batches (key, store, variables, state, opened_at, closed_at)
                   values (gen_random_uuid(), 'cumquat', 'of {days}', 'applied', now() - interval '{days} days',
                           now() - interval '{days} days') returning key
                 ) insert into ordak.push_items (batch, position, listing, delta) select key, 0, {listing}, 1 from batch;
                 insert into ordak.sync_runs (run_id, trigger, store, state, note, finished_at)
                 values (gen_random_uuid(), 'kick', 'cumquat', 'done', 'of {days}', now() - interval '{days} days');
                 insert into ordak.alerts (kind, store, subject, message, resolved_at)
                 values ('a_test', 'cumquat', 'of {days}', 'a test', now() - interval '{days} days')"
            )
        };
        for days in [29, 31, 89, 91] {
            shop.sql(&old(days)).await;
        }
        // Small pushes go by the thousand, not as few as there might be of large ones.
        shop.sql(
            "insert into ordak.push_batches (key, store, variables, state, closed_at)
             select gen_random_uuid(), 'cumquat', 'of 31', 'void', now() - interval '31 days' from generate_series(1, 25)",
        )
        .await;
        let answer = service("clean_up", json!({"most": 5000})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        for (what, least) in [("pushes", 28), ("runs", 3), ("alerts", 1)] {
            assert!(answer.body[what].as_i64().unwrap() >= least, "{answer:?}");
        }
        let left = "select concat_ws(', ',
          (select string_agg(variables, ' ') from ordak.push_batches where variables like 'of %'),
          (select string_agg(note, ' ') from ordak.sync_runs where note like 'of %'),
          (select string_agg(subject, ' ' order by id) from ordak.alerts where kind = 'a_test'))";
        assert_eq!(shop.text(left).await, "of 29, of 29, of 29 of 31 of 89");
    });
}
