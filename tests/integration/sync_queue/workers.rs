//! Workers: who has the store's lease, what becomes of the work of one that is lost, and who comes next.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Worker, audited, change, expected, later, look, push, row, turn};
use crate::support::shop::service;
use crate::support::*;

#[test]
fn a_mark_between_claim_and_finish_is_never_lost() {
    run(async {
        let _turn = turn().await;
        for mark in [true, false] {
            change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
            let worker = Worker::new().await;
            let work = worker.claim().await;
            assert_eq!((&work["work"], &work["orders"]), (&json!("fetch_orders"), &json!([4711])));
            if mark {
                change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
            }
            let next = worker.finish(&work, "done", json!({"orders": [{"id": 4711}]})).await;
            let again = if mark { "fetch_orders" } else { "none" };
            assert_eq!(next["work"], again);
            change("delete from ordak.work_queue where store = 'mousse'").await;
            worker.end("done").await;
        }
    });
}

#[test]
fn what_a_worker_has_no_time_for_is_no_failure_of_it() {
    run(async {
        let _turn = turn().await;
        change("select ordak.mark('refetch_order', 'mousse', '4711')").await;
        let order = "select concat_ws(' ', state, attempts, losses, last_error)
                     from ordak.work_queue
                     where store = 'mousse' and topic = 'refetch_order'";
        for (outcome, expected) in [("left", "ready 0 0"), ("failed", "ready 1 0 the worker was lost")] {
            let worker = Worker::new().await;
            assert_eq!(worker.claim().await["work"], "fetch_orders");
            assert!(!worker.end(outcome).await);
            assert_eq!(look(order).await, expected, "{outcome}");
        }
    });
}

#[test]
fn only_one_of_many_that_come_at_once_works_for_a_store() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        let came = join_all((0..8).map(|_| Worker::come("kick"))).await;
        let came: Vec<Worker> = came.into_iter().flatten().collect();
        assert_eq!(came.len(), 1);
        // As many claims at once by the one: the same push, the same bytes.
        let works = join_all((0..2).map(|_| came[0].push())).await;
        assert_eq!(works[0], works[1]);
    });
}

#[test]
fn a_worker_that_was_lost_is_followed_by_another_that_sends_the_same_bytes() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let first = Worker::new().await;
        let work = first.push().await;
        assert!(Worker::come("kick").await.is_none(), "its lease holds");
        change(
            "update ordak.sync_stores set lease_until = now() - interval '1 second' where store = 'mousse'",
        )
        .await;
        let second = Worker::come("kick").await.expect("it takes over");
        assert_eq!(
            (second.run.clone(), second.push().await),
            (first.run.clone(), work.clone()),
            "goes on with the run"
        );
        assert_eq!(push(&work).await, "open 2");
        // The first one's answer comes after all: Shopify did change, whoever says so.
        let lost = json!({"work": "none", "wait_ms": null, "lost": true});
        assert_eq!(first.finish(&work, "failed", json!({"reason": "timeout", "after_ms": null})).await, lost);
        assert_eq!(push(&work).await, "open 2");
        assert_eq!(first.done(&work).await, lost);
        assert_eq!((push(&work).await, expected(listing).await), ("applied 2".into(), 0));
        assert_eq!(first.claim().await, lost);
        assert!(!first.end("done").await);
        second.done(&work).await;
        assert_eq!((expected(listing).await, row(listing).await), (0, String::new()), "once");
        assert_eq!(audited().await, "");
    });
}

#[test]
fn a_lease_that_nobody_took_is_good_after_its_time() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let work = worker.push().await;
        change("update ordak.sync_stores set lease_until = now() - interval '1 hour' where store = 'mousse'")
            .await;
        assert_eq!(worker.done(&work).await["lost"], Value::Null);
        assert_eq!(expected(listing).await, 0);
    });
}

#[test]
fn what_is_read_is_halved_where_it_fails_and_an_outage_kills_nothing() {
    run(async {
        let _turn = turn().await;
        change(
            "select ordak.mark_all('refetch_order', array_fill('mousse'::text, array[8]),
                                      array(select n::text from generate_series(1, 8) as n))",
        )
        .await;
        let worker = Worker::new().await;
        let sizes = async || {
            later().await;
            let work = worker.claim().await;
            let size = work["orders"].as_array().unwrap().len();
            worker.finish(&work, "failed", json!({"reason": "500", "after_ms": null})).await;
            size
        };
        let queue =
            "select string_agg(distinct concat_ws(' ', state, attempts, losses), ', ') from ordak.work_queue
                     where store = 'mousse' and topic = 'refetch_order'";
        assert_eq!(sizes().await, 8);
        assert_eq!(look(queue).await, "ready 0 1");
        let mut last = 0;
        for _ in 0..40 {
            last = sizes().await;
        }
        assert_eq!((last, look(queue).await), (1, "ready 0 3".into()), "Shopify is down: no attempt counts");
        // Shopify answers others again: now it is the row.
        change("update ordak.sync_stores set failures = 0 where store = 'mousse'").await;
        sizes().await;
        assert_eq!(look(queue).await, "ready 0 3, ready 1 3");
    });
}

#[test]
fn what_a_worker_does_not_finish_is_given_back() {
    run(async {
        let _turn = turn().await;
        change("select ordak.mark_all('refetch_order', '{mousse,mousse}', '{1,2}')").await;
        let worker = Worker::new().await;
        let work = worker.claim().await;
        assert_eq!(work["orders"], json!([1, 2]));
        // It asks again without a word about the first: that is lost, and nothing it says of it later counts.
        worker.claim().await;
        let queue = "select string_agg(concat_ws(' ', state, attempts, losses), ', ' order by key) from ordak.work_queue
                     where store = 'mousse' and topic = 'refetch_order'";
        assert_eq!(look(queue).await, "ready 0 1, ready 0 1");
        worker.finish(&work, "done", json!({"orders": []})).await;
        assert_eq!(
            count(queries().await, "select count(*) from ordak.work_queue where store = 'mousse'").await,
            2
        );
        // Nor does a lease stay with a worker that is gone, whoever comes for whatever store.
        later().await;
        worker.claim().await;
        change("update ordak.sync_stores set lease_until = now() - interval '1 hour' where store = 'mousse'")
            .await;
        let answer = service("begin_sync", json!({"trigger": "schedule", "stores": []})).await;
        assert_eq!(answer.body, json!([]));
        assert_eq!(look(queue).await, "ready 0 2, ready 0 2");
        let beat = "select (at > now() - interval '1 minute')::text from ordak.schedule_beats where name = 'sync-worker'";
        assert_eq!(look(beat).await, "true");
    });
}

#[test]
fn a_worker_goes_on_where_more_came_meanwhile() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        let worker = Worker::new().await;
        let work = worker.push().await;
        worker.done(&work).await;
        turn.owed(1).await;
        assert!(worker.end("done").await, "there is more");
        let work = worker.push().await;
        worker.done(&work).await;
        // Somebody asks for a run: it is the same worker's.
        change(
            "insert into ordak.sync_runs (run_id, trigger, store)
             values ('0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0001', 'manual', 'mousse')",
        )
        .await;
        let asked = "select state from ordak.sync_runs where run_id = '0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0001'";
        assert!(worker.end("done").await);
        assert_eq!((look(asked).await, worker.figures().await), ("running".into(), "done 2 0 20 2 0".into()));
        assert!(!worker.end("done").await);
        assert_eq!(look(asked).await, "done");
    });
}

#[test]
fn a_run_that_is_asked_for_begins_although_the_store_rests() {
    run(async {
        let turn = turn().await;
        turn.owed(1).await;
        change("update ordak.sync_stores set backoff_until = now() + interval '10 minutes', failures = 9 where store = 'mousse'").await;
        assert!(Worker::come("kick").await.is_none());
        change(
            "insert into ordak.sync_runs (run_id, trigger, store)
             values ('0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0002', 'manual', 'mousse')",
        )
        .await;
        let worker = Worker::new().await;
        assert_eq!(worker.run, "0d9f2a63-4b1a-4b62-9d4e-2f4c1c7a0002");
        let work = worker.push().await;
        worker.done(&work).await;
        assert_eq!(
            count(queries().await, "select failures::bigint from ordak.sync_stores where store = 'mousse'")
                .await,
            0
        );
    });
}

#[test]
fn what_is_due_and_locked_is_asked_for_once_a_second() {
    run(async {
        let turn = turn().await;
        let listing = turn.owed(1).await[0];
        let worker = Worker::new().await;
        let mut marker = database(&shared().stack).await;
        let marking = marker.transaction().await.unwrap();
        let mark = format!("select ordak.mark('inventory_push', 'mousse', '{listing}')");
        marking.batch_execute(&mark).await.unwrap();
        let next = worker.claim().await;
        assert!(next["wait_ms"].as_i64().is_some_and(|wait| (1..=1000).contains(&wait)), "{next}");
        marking.commit().await.unwrap();
        later().await;
        worker.push().await;
    });
}
