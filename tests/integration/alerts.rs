//! Alerts: what raises one and what ends it, that people are told of each once and that it is over, and who reads them.

use futures_util::future::join_all;
use ordak_core::json::Document;
use ordak_core::rpc::{Answer as _, ClaimedAlerts};
use serde_json::{Value, json};
use tokio_postgres::Client;
use xtask::stack::Stack;
use xtask::stack::order::Order;
use xtask::stack::slack::Fault;

use crate::support::cumquat::cumquat;
use crate::support::*;

/// Whatever the time is: it is between 12:00 and 13:00 at Bannos, which opened at 8:00, has just got an order, and works
/// on one cake. All are far from any limit.
const USUAL: &str = "
    update ordak.stores set time_zone = format('Etc/GMT%s', to_char(extract(hour from now() at time zone 'UTC') - 12, 'FMSG99'))
      where code = 'bannos';
    update ordak.settings set due_allowed_days = array_fill(true, array[7]);
    delete from ordak.work_queue;
    update ordak.orders set placed_at = now(), due_date = TODAY + 7;
    update ordak.tasks set created_at = now() - interval '10 days', progressed_at = null, assignee = null";

/// The calendar day at Bannos.
const TODAY: &str = "(select ordak.local_day(time_zone, now()) from ordak.stores where code = 'bannos')";

const ROW: &str =
    "insert into ordak.work_queue (topic, store, key, run_at) values ('refetch_order', 'bannos', '1',";
const RUN: &str =
    "insert into ordak.sync_runs (run_id, trigger, store, state, started_at, finished_at, calls, failed_calls)
     values (gen_random_uuid(), 'schedule', 'bannos', 'done', now(), now(),";
const BEGUN: &str = "update ordak.tasks set stage = 'Covering', progressed_at = now() -";
const STAFF: &str = "update ordak.tasks set assignee = (select min(id) from ordak.staff_shared)";
const CLOSED: &str = "update ordak.settings set open_until = '11:00'";
const NO_ORDER: &str = "update ordak.orders set placed_at = now() - interval '121 minutes'";

/// What happens at Bannos, and the alerts that are open then; TASK is the number of its cake. What stands behind `|`
/// happens after the alerts were looked for once.
fn cases() -> Vec<(String, &'static str)> {
    let both = "task_stuck TASK, task_stuck_long TASK";
    let held = "update ordak.orders set held_at = now(), hold_reason = 'x'";
    let done = "update ordak.tasks set stage = 'Complete', completed_at = now()";
    let unassign = "insert into ordak.stage_events (task, action, from_stage, to_stage, pass, at)
                    select id, 'unassign', 'Covering', 'Covering', 1, now() - interval";
    let begun = format!("{BEGUN} interval '3 hours'");
    let errors = format!("{RUN} 100, 2)");
    let stopped = "update ordak.stores set stopped_at = now(), stop_reason = 'x'";
    let backlog = "insert into ordak.work_queue (topic, store, key) select 'refetch_order', 'bannos', n
                   from generate_series(1, LIMIT) as n";
    let limit = |limit: &str| backlog.replace("LIMIT", limit);
    let due = |days: &str| format!("update ordak.orders set due_date = TODAY {days}; {STAFF}");
    let beat = |age: &str| {
        format!("insert into ordak.schedule_beats values ('sync-worker', now() - interval '{age}')")
    };
    let words: Vec<(String, &str)> = vec![
        (String::new(), ""),
        (limit("500"), ""),
        (limit("501"), "sync_backlog bannos"),
        (format!("{} | delete from ordak.work_queue", limit("501")), ""),
        (format!("{}; {stopped}", limit("501")), ""),
        (format!("update ordak.sync_settings set alert_backlog = 9; {}", limit("10")), "sync_backlog bannos"),
        (format!("{ROW} now() - interval '14 minutes')"), ""),
        (format!("{ROW} now() - interval '16 minutes')"), "sync_backlog bannos"),
        (format!("{} ; update ordak.work_queue set run_at = now() + interval '1 hour'", limit("501")), ""),
        (errors.clone(), "sync_errors bannos"),
        (format!("{errors} | {RUN} 100, 0)"), ""),
        // Who fails backs off; that no call was made shows nothing.
        (format!("{errors} | delete from ordak.sync_runs"), "sync_errors bannos"),
        (format!("{errors} | update ordak.sync_runs set calls = 1, failed_calls = 0"), ""),
        (format!("{RUN} 100, 1)"), ""),
        (format!("{RUN} 19, 18)"), ""),
        (
            format!("{RUN} 20, 1); update ordak.sync_runs set state = 'running', finished_at = null"),
            "sync_errors bannos",
        ),
        (format!("{RUN} 5, 5)"), "sync_errors bannos"),
        (format!("{RUN} 4, 4)"), ""),
        (
            format!("{RUN} 100, 2); update ordak.sync_runs set finished_at = now() - interval '11 minutes'"),
            "",
        ),
        (format!("{STAFF}; {BEGUN} interval '23 hours'"), ""),
        (format!("{STAFF}; {BEGUN} interval '25 hours'"), "task_stuck TASK"),
        (format!("{STAFF}; {BEGUN} interval '49 hours'"), both),
        (format!("{STAFF}; {BEGUN} interval '49 hours' | {BEGUN} interval '1 minute'"), ""),
        (format!("{STAFF}; {BEGUN} interval '49 hours' | {done}"), ""),
        (format!("{STAFF}; {BEGUN} interval '49 hours' | {held}"), ""),
        (
            format!(
                "update ordak.sync_settings set alert_stuck = '1 hour'; {STAFF}; {BEGUN} interval '2 hours'"
            ),
            "task_stuck TASK",
        ),
        // Not begun: its day counts.
        (due(""), ""),
        (due("- 1"), "task_stuck TASK"),
        (due("- 2"), both),
        (format!("{}; update ordak.tasks set created_at = now()", due("- 2")), ""),
        (
            "update ordak.orders set due_date = null".into(),
            "task_stuck TASK, task_stuck_long TASK, task_unassigned TASK",
        ),
        (begun.clone(), "task_unassigned TASK"),
        (format!("{begun} | {STAFF}"), ""),
        (format!("{begun} | {CLOSED}"), "task_unassigned TASK"),
        (format!("{begun} | {CLOSED}; {STAFF}"), ""),
        (format!("{begun} | {CLOSED}; {held}"), ""),
        (format!("{begun}; {CLOSED}"), ""),
        (format!("{begun}; update ordak.settings set open_from = '11:30'"), ""),
        (format!("{begun}; {unassign} '1 hour' from ordak.tasks"), ""),
        (format!("{begun}; {unassign} '150 minutes' from ordak.tasks"), "task_unassigned TASK"),
        (format!("{BEGUN} interval '1 hour'"), ""),
        ("update ordak.orders set due_date = TODAY".into(), "task_unassigned TASK"),
        ("update ordak.orders set due_date = TODAY + 1".into(), ""),
        (NO_ORDER.into(), "no_orders bannos"),
        (NO_ORDER.replace("121", "119"), ""),
        (format!("{NO_ORDER}; {CLOSED}"), ""),
        (format!("{NO_ORDER}; update ordak.settings set open_from = '11:30'"), ""),
        (format!("{NO_ORDER}; update ordak.settings set due_blackout_dates = array[TODAY]"), ""),
        (
            format!(
                "{NO_ORDER}; update ordak.settings set due_allowed_days[extract(isodow from TODAY)] = false"
            ),
            "",
        ),
        (format!("{NO_ORDER}; {stopped}"), ""),
        (format!("{NO_ORDER} | update ordak.orders set placed_at = now()"), ""),
        (format!("{NO_ORDER} | {CLOSED}"), "no_orders bannos"),
        (beat("4 minutes"), ""),
        (beat("6 minutes"), "schedule_missed sync-worker"),
        (format!("{} | update ordak.schedule_beats set at = now()", beat("6 minutes")), ""),
        (beat("59 minutes").replace("sync-worker", "clean_up"), ""),
        (format!("{}; insert into ordak.pause (reason) values ('x')", beat("6 minutes")), ""),
    ];
    words.into_iter().map(|(sql, alerts)| (sql.replace("TODAY", TODAY), alerts)).collect()
}

#[test]
fn what_waits_stays_away_or_fails_for_too_long_is_told_until_it_is_over() {
    run(async {
        let stack = start("alert_rules").await;
        let mut database = database(&stack).await;
        let order = Order::new(BANNOS, number());
        assert_eq!(said_to_shopify(&stack.shopify.send(&create(&order)).await.unwrap()), "200 created");
        let task = format!("B{}", order.number);
        let insert = "insert into ordak.staff_shared (user_id, full_name, email) values (gen_random_uuid(), 'A', 'a@b.c')";
        database.batch_execute(insert).await.unwrap();
        let mut wrong = Vec::new();
        for (sql, expected) in cases() {
            let transaction = database.transaction().await.unwrap();
            transaction.batch_execute(&USUAL.replace("TODAY", TODAY)).await.unwrap();
            for step in sql.split('|') {
                transaction.batch_execute(step).await.unwrap_or_else(|error| panic!("{step}: {error:?}"));
                // Twice: what is told already is not told again.
                for _ in 0..2 {
                    transaction.batch_execute("select ordak.evaluate_alerts()").await.unwrap();
                }
            }
            let open = "select coalesce(string_agg(concat_ws(' ', kind, subject), ', ' order by kind), '')
                        from ordak.alerts where resolved_at is null";
            let open: String = transaction.query_one(open, &[]).await.unwrap().get(0);
            let open = open.replace(&task, "TASK");
            if open != expected {
                wrong.push(format!("{sql}: {open} and not {expected}"));
            }
            let names = "select count(*) from ordak.alerts where message ~ 'Sample'";
            assert_eq!(transaction.query_one(names, &[]).await.unwrap().get::<_, i64>(0), 0, "{sql}");
            transaction.rollback().await.unwrap();
        }
        assert_eq!(wrong, NONE);
        stack.stop().await;
    });
}

#[test]
fn a_store_opens_by_its_own_clock_also_when_that_changes() {
    let cases = [
        // A Saturday; on Sundays it is closed.
        ("2026-07-11 07:59", "+10", None),
        ("2026-07-11 08:00", "+10", Some("2026-07-11 08:00+10")),
        ("2026-07-11 17:59", "+10", Some("2026-07-11 08:00+10")),
        ("2026-07-11 18:00", "+10", None),
        ("2026-07-12 12:00", "+10", None),
        ("2026-01-10 12:00", "+11", Some("2026-01-10 08:00+11")),
        // Nights in which the clocks change, of Sundays on which it is open from one to four.
        ("2026-10-04 03:30", "+11", Some("2026-10-04 01:00+10")),
        ("2026-10-04 04:00", "+11", None),
        ("2026-04-05 02:30", "+10", Some("2026-04-05 01:00+11")),
    ];
    run(async {
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        let store = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
                     values ('opens', 'Opens', 'opens.myshopify.com', 'O', 'Australia/Sydney')";
        transaction.batch_execute(store).await.unwrap();
        for (at, offset, expected) in cases {
            let (days, hours) = match at.contains("-04-05") || at.contains("-10-04") {
                true => ("f,f,f,f,f,f,t", ["01:00", "04:00"]),
                false => ("t,t,t,t,t,t,f", ["08:00", "18:00"]),
            };
            let sql = format!(
                "update ordak.settings set due_allowed_days = '{{{days}}}', open_from = '{}', open_until = '{}'
                 where store = 'opens'",
                hours[0], hours[1]
            );
            transaction.batch_execute(&sql).await.unwrap();
            let sql = format!(
                "select coalesce(ordak.opened_at('opens', '{at}{offset}') = '{}', {})",
                expected.unwrap_or("infinity"),
                expected.is_none()
            );
            assert!(transaction.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0), "{at}");
        }
        transaction.rollback().await.unwrap();
    });
}

/// Calls an RPC as the service.
async fn service(stack: &Stack, name: &str, arguments: Value) -> Value {
    let request = client().post(format!("{}/rest/v1/rpc/{name}", stack.url())).json(&arguments);
    let answer = Answer::to(request.header("apikey", &stack.keys.service_role)).await;
    assert_eq!(answer.status, 200, "{name}: {:?}", answer.body);
    answer.body
}

/// Claims what is to be told: the token, and what it is about.
async fn claim(stack: &Stack) -> (Value, Vec<String>, Value) {
    let claimed = service(stack, "claim_alerts", json!({})).await;
    let word = |alert: &Value| {
        let end = if alert["resolved"] == true { " is over" } else { "" };
        format!("{}{end}", alert["subject"].as_str().unwrap())
    };
    let subjects = claimed["alerts"].as_array().unwrap().iter().map(word).collect();
    (claimed["token"].clone(), subjects, claimed)
}

/// Tells Slack what was claimed, and answers with the status and the pause that it asks for.
async fn tell(stack: &Stack, claimed: &Value) -> (u16, Option<u32>) {
    let text = claimed.to_string();
    let claimed = ClaimedAlerts::read(Document::parse(&text).unwrap().root()).unwrap();
    let request = client().post(stack.slack.url()).header("content-type", "application/json");
    let answer = Answer::to(request.body(ordak_core::slack::message(&claimed.alerts))).await;
    (answer.status, answer.header("retry-after").and_then(|seconds| seconds.parse().ok()))
}

/// Claims what is to be told, tells it, says so, and answers with what it was about.
async fn told(stack: &Stack) -> Vec<String> {
    let (token, subjects, claimed) = claim(stack).await;
    assert_eq!(tell(stack, &claimed).await, (200, None));
    assert_eq!(service(stack, "alerts_sent", json!({"token": token})).await, subjects.len());
    subjects
}

async fn raise(database: &Client, subject: &str) {
    let sql = format!("select ordak.alert('stock_short', 'bannos', '{subject}', '{subject} is short')");
    database.batch_execute(&sql).await.unwrap();
}

async fn resolve(database: &Client, subject: &str) {
    database
        .batch_execute(&format!("select ordak.resolve_alert('stock_short', 'bannos', '{subject}')"))
        .await
        .unwrap();
}

/// Has what is claimed be free again, as when its time is over.
async fn expire(database: &Client) {
    let sql =
        "update ordak.alerts set lease_until = now() - interval '1 second' where lease_until is not null";
    assert!(database.execute(sql, &[]).await.unwrap() > 0);
}

const NONE: [&str; 0] = [];

#[test]
fn people_are_told_of_each_alert_once_and_that_it_is_over() {
    run(async {
        let stack = start("alert_telling").await;
        let database = database(&stack).await;
        for subject in ["FLOUR", "EGGS", "SUGAR"] {
            raise(&database, subject).await;
            raise(&database, subject).await;
        }
        let claims = join_all((0..8).map(|_| claim(&stack))).await;
        let mut claims = claims.into_iter().filter(|(token, ..)| !token.is_null());
        let (token, subjects, claimed) = claims.next().unwrap();
        assert_eq!((subjects, claims.count()), (vec!["FLOUR".into(), "EGGS".into(), "SUGAR".into()], 0));
        assert_eq!(tell(&stack, &claimed).await, (200, None));
        // Over while people are told of it: they must still hear that.
        resolve(&database, "EGGS").await;
        assert_eq!(service(&stack, "alerts_sent", json!({"token": token})).await, 3);
        assert_eq!(service(&stack, "alerts_sent", json!({"token": token})).await, 0);
        resolve(&database, "FLOUR").await;
        assert_eq!(told(&stack).await, ["FLOUR is over", "EGGS is over"]);
        raise(&database, "SALT").await;
        resolve(&database, "SALT").await;
        assert_eq!(told_nothing(&stack).await, NONE, "what was over before anybody knew");
        raise(&database, "SALT").await;
        database.batch_execute("insert into ordak.pause (reason) values ('restore')").await.unwrap();
        assert_eq!(told(&stack).await, ["SALT"], "also while writing is paused");
        database.batch_execute("delete from ordak.pause").await.unwrap();

        let texts: Vec<_> = stack.slack.messages().iter().map(|body| body["text"].to_string()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(
            texts[0].contains("EGGS is short") && texts[1].contains("*stock short* is over: FLOUR, EGGS")
        );
        slack_is_down(&stack, &database).await;
        slack_asks_for_a_pause(&stack, &database).await;
        for number in 0..60 {
            raise(&database, &format!("N{number:02}")).await;
        }
        let (first, second) = (told(&stack).await, told(&stack).await);
        assert_eq!((first.len(), second.len(), &*second[9]), (50, 10, "N59"));
        assert_eq!(told_nothing(&stack).await, NONE);
        stack.stop().await;
    });
}

/// Claims and finds nothing.
async fn told_nothing(stack: &Stack) -> Vec<String> {
    let (token, subjects, _) = claim(stack).await;
    assert_eq!(token, Value::Null);
    subjects
}

async fn slack_is_down(stack: &Stack, database: &Client) {
    raise(database, "MILK").await;
    stack.slack.fail([Fault::Broken]);
    let (_, subjects, claimed) = claim(stack).await;
    assert_eq!((tell(stack, &claimed).await, subjects), ((500, None), vec!["MILK".to_owned()]));
    assert_eq!(told_nothing(stack).await, NONE, "until its time is over");
    expire(database).await;
    assert_eq!(told(stack).await, ["MILK"]);
    let late = json!({"token": claimed["token"]});
    assert_eq!(service(stack, "alerts_sent", late).await, 0, "another has told it");
}

async fn slack_asks_for_a_pause(stack: &Stack, database: &Client) {
    raise(database, "BUTTER").await;
    stack.slack.fail([Fault::TooMany(1)]);
    let (token, _, claimed) = claim(stack).await;
    let (status, seconds) = tell(stack, &claimed).await;
    assert_eq!((status, seconds), (429, Some(1)));
    assert_eq!(service(stack, "alerts_deferred", json!({"token": token, "seconds": 900})).await, true);
    raise(database, "CREAM").await;
    assert_eq!(told_nothing(stack).await, NONE, "nothing else either");
    let left = "select count(*) from ordak.alerts where lease_until between now() + interval '14 minutes'
                and now() + interval '15 minutes'";
    assert_eq!(count(database, left).await, 1);
    let other = json!({"token": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01", "seconds": 1});
    assert_eq!(service(stack, "alerts_deferred", other).await, false);
    expire(database).await;
    let taken = async || {
        let (status, _) = tell(stack, &claimed).await;
        (status == 200).then_some(())
    };
    until("Slack takes messages again", taken).await;
    assert_eq!(told(stack).await, ["BUTTER", "CREAM"]);
}

#[test]
fn supervisors_read_the_alerts_of_their_stores_and_those_of_all() {
    run(async {
        let raise = "select ordak.alert('stock_drift', 'bannos', 'listed-1', 'x'), ordak.alert('stock_drift', 'flourlane',
                     'listed-2', 'x'), ordak.alert('schedule_missed', null, 'listed-3', 'x'),
                     ordak.resolve_alert('schedule_missed', null, 'listed-3'),
                     ordak.alert('schedule_missed', null, 'listed-4', 'x')";
        queries().await.batch_execute(raise).await.unwrap();
        let listed = async |person: &Person, arguments: Value| -> Vec<String> {
            let rows = person.does("list_alerts", arguments).await;
            let rows = rows.as_array().unwrap().iter();
            let rows = rows.filter(|row| row["subject"].as_str().unwrap().starts_with("listed-"));
            rows.map(|row| {
                format!("{} {}", row["subject"].as_str().unwrap(), row["severity"].as_str().unwrap())
            })
            .collect()
        };
        let own = Person::staff("Supervisor", Some("bannos")).await;
        let all = Person::staff("Supervisor", None).await;
        let (one, two) = ("listed-1 warning", "listed-2 warning");
        let (three, four) = ("listed-3 critical", "listed-4 critical");
        assert_eq!(listed(&own, json!({"page_size": 200})).await, [four, one]);
        assert_eq!(listed(&own, json!({"page_size": 200, "open": null})).await, [four, three, one]);
        assert_eq!(listed(&own, json!({"page_size": 200, "open": false})).await, [three]);
        assert_eq!(listed(&all, json!({"page_size": 200})).await, [four, two, one]);
        assert_eq!(listed(&all, json!({"store": "flourlane", "page_size": 200})).await, [four, two]);
        let first = all.does("list_alerts", json!({"page_size": 1})).await;
        let next = json!({"before": first[0]["alert_id"], "page_size": 1});
        let second = all.does("list_alerts", next).await;
        assert!(second[0]["alert_id"].as_i64() < first[0]["alert_id"].as_i64());

        let staff = Person::staff("Staff", Some("bannos")).await;
        let stranger = Person::new().await;
        assert_eq!(staff.rpc("list_alerts", json!({})).await.said(), "403 AUTH002");
        assert_eq!(stranger.rpc("list_alerts", json!({})).await.said(), "401 AUTH001");
        for (arguments, expected) in [
            (json!({"store": "flourlane"}), "403 AUTH002"),
            (json!({"store": "nowhere"}), "403 AUTH002"),
            (json!({"page_size": 201}), "422 VAL001"),
        ] {
            assert_eq!(own.rpc("list_alerts", arguments).await.said(), expected);
        }
        let admin = Person::staff("Admin", None).await;
        let token = json!({"token": "6f1c1d5e-5f0b-4c55-9d6c-0c6f6c0f1a01"});
        let deferred = json!({"token": token["token"], "seconds": 1});
        for (name, arguments) in
            [("claim_alerts", json!({})), ("alerts_sent", token), ("alerts_deferred", deferred)]
        {
            assert_eq!(admin.rpc(name, arguments).await.status, 403, "{name}");
        }
    });
}

#[test]
fn an_admin_of_all_stores_says_from_when_on_people_are_told() {
    run(async {
        // There is one set of these settings, which tests of that store change too.
        let _alone = cumquat().await;
        for (role, store) in [("Staff", None), ("Supervisor", None), ("Admin", Some("bannos"))] {
            let person = Person::staff(role, store).await;
            let save = json!({"settings": {"alert_error_calls": 25}});
            for (name, arguments) in [("get_sync_settings", json!({})), ("save_sync_settings", save)] {
                assert_eq!(person.rpc(name, arguments).await.said(), "403 AUTH002", "{role} {name}");
            }
        }
        let admin = Person::staff("Admin", None).await;
        let before = admin.does("get_sync_settings", json!({})).await;
        assert_eq!(json!([before["base_wait"], before["alert_backlog"]]), json!(["00:02:00", 500]));
        let change =
            json!({"alert_error_calls": 25, "alert_error_percent": 1.5, "alert_unassigned": "150 minutes"});
        let answer = admin.does("save_sync_settings", json!({"settings": change})).await;
        assert_eq!(answer["changed"], true);
        let read = admin.does("get_sync_settings", json!({})).await;
        assert_eq!(answer["settings"], read);
        let now = json!([read["alert_error_calls"], read["alert_error_percent"], read["alert_unassigned"]]);
        assert_eq!(now, json!([25, 1.5, "02:30:00"]));
        // What was read can be saved.
        let mut same = read.clone();
        same.as_object_mut().unwrap().remove("updated_at");
        let answer = admin.does("save_sync_settings", json!({"settings": same})).await;
        assert_eq!(answer["changed"], false);
        let log = admin.read("audit_log?action=eq.save_sync_settings&order=at.desc&limit=1").await;
        assert_eq!(log.body[0]["old"]["alert_error_calls"], 20);
        assert_eq!(log.body[0]["new"]["alert_unassigned"], "02:30:00");
        let mut restore = before.clone();
        restore.as_object_mut().unwrap().remove("updated_at");
        admin.does("save_sync_settings", json!({"settings": restore})).await;
    });
}

#[test]
fn a_limit_that_cannot_be_is_refused_by_name() {
    run(async {
        let _alone = cumquat().await;
        let admin = Person::staff("Admin", None).await;
        let before = admin.does("get_sync_settings", json!({})).await;
        let wrong = [
            (
                "lease_time",
                json!("2 years"),
                "expected lease_time to be 10 seconds to 10 minutes, but found a text of 7",
            ),
            ("lease_time", json!("5 seconds"), "but found a text of 9"),
            ("lease_time", json!(60), "but found 60"),
            ("base_wait", Value::Null, "but found null"),
            ("push_window", json!("-1 seconds"), "expected push_window"),
            ("drift_threshold", json!(1.5), "but found 1.5"),
            ("drift_threshold", json!("5"), "but found a text of 1"),
            ("alert_error_percent", json!(100.5), "but found 100.5"),
            ("alert_backlog", json!(1e30), "expected alert_backlog to be 1 to 100000"),
            (
                "alert_stuck",
                json!("48 hours"),
                "expected alert_stuck below alert_stuck_critical, but found 48:00:00",
            ),
            ("one", json!(true), "expected the name of a setting of the sync, but found one"),
            ("flavours", json!(["Vanilla"]), "but found flavours"),
        ];
        for (key, value, expected) in wrong {
            let settings = json!({"alert_error_calls": 30, key: value});
            let answer = admin.rpc("save_sync_settings", json!({"settings": settings})).await;
            let message = answer.body["message"].as_str().unwrap_or_default();
            assert!(answer.said() == "422 VAL001" && message.contains(expected), "{key}: {answer:?}");
        }
        let answer = admin.rpc("save_sync_settings", json!({"settings": []})).await;
        assert_eq!(answer.said(), "422 VAL001");
        assert_eq!(
            admin.does("get_sync_settings", json!({})).await["alert_error_calls"],
            before["alert_error_calls"]
        );
    });
}
