//! What people correct in orders and tasks that there are.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{audited, day, pearl, request, text};
use crate::support::*;

#[test]
fn an_edit_changes_what_it_names_and_the_tasks_follow() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 2).await;
        let edit = async |version: i32, changes: Value| {
            let arguments = json!({"order_id": order_id, "version": version, "changes": changes});
            supervisor.does("edit_order", arguments).await
        };
        let due = day(4).await;
        let first = json!({"customer_name": "Grace Hopper", "due_date": due, "delivery_method": "Delivery",
                           "delivery_window": "9 to 10", "notes": "blue box"});
        let answer = edit(1, first.clone()).await;
        assert_eq!((&answer["changed"], &answer["order"]["version"]), (&json!(true), &json!(2)));
        for (field, value) in first.as_object().unwrap() {
            assert_eq!(&answer["order"][field], value, "{field}");
        }
        for task in answer["tasks"].as_array().unwrap() {
            assert_eq!((&task["due_date"], &task["customer_name"]), (&json!(due), &json!("Grace Hopper")));
        }
        let queue = "select concat_ws(' ', t.due_date, t.search) from ordak.tasks as t where t.number = $1";
        let columns = text(queue, &tasks[1]).await;
        assert!(columns.starts_with(&due) && columns.contains("Grace Hopper"), "{columns}");
        let staff = Person::staff("Staff", Some("bannos")).await;
        let query = format!("tasks?select=due_date,customer_name&task_number=eq.{}", tasks[1]);
        let shown = staff.read(&query).await.body;
        assert_eq!(shown, json!([{"due_date": due, "customer_name": "Grace Hopper"}]));

        for version in [1, 2] {
            let answer = edit(version, first.clone()).await;
            assert_eq!(
                (&answer["changed"], &answer["order"]["version"]),
                (&json!(false), &json!(2)),
                "a repeat"
            );
        }
        let answer =
            edit(2, json!({"notes": null, "delivery_window": null, "customer_name": "Grace Hopper"})).await;
        let order = &answer["order"];
        assert_eq!(
            json!([order["notes"], order["delivery_window"], order["due_date"]]),
            json!([null, null, due])
        );
        let (old, new) = (
            r#"{"notes": "blue box", "delivery_window": "9 to 10"}"#,
            r#"{"notes": null, "delivery_window": null}"#,
        );
        assert_eq!(audited(&order_id).await, format!("edit_order {old} {new}"));
        assert_eq!(edit(3, json!({})).await["changed"], false);
    });
}

#[test]
fn the_flag_of_an_order_without_a_date_follows_the_date() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 1).await;
        let database = database(&shared().stack).await;
        let flag = "update ordak.orders set due_date = null, flags = '{bad_due_date,unknown_product}'
                    where order_id = $1";
        database.execute(flag, &[&order_id]).await.unwrap();
        let due = day(2).await;
        for (version, due, flags) in [
            (1, json!(due), json!(["unknown_product"])),
            (2, json!(null), json!(["no_due_date", "unknown_product"])),
            (3, json!(day(0).await), json!(["unknown_product"])),
        ] {
            let arguments = json!({"order_id": order_id, "version": version, "changes": {"due_date": due}});
            let answer = supervisor.does("edit_order", arguments).await;
            assert_eq!((&answer["order"]["due_date"], &answer["order"]["flags"]), (&due, &flags));
            let queued =
                "select coalesce(t.due_date::text, 'none') from ordak.tasks as t where t.number = $1";
            assert_eq!(text(queued, &tasks[0]).await, due.as_str().unwrap_or("none"));
        }
        // A date that has passed since stays while other fields are edited.
        let past = "update ordak.orders set due_date = '2020-01-01' where order_id = $1";
        database.execute(past, &[&order_id]).await.unwrap();
        let changes = json!({"due_date": "2020-01-01", "notes": "late"});
        supervisor.does("edit_order", json!({"order_id": order_id, "version": 4, "changes": changes})).await;
    });
}

#[test]
fn an_edit_that_is_wrong_is_refused_and_changes_nothing() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 1).await;
        let state = "select concat_ws(' ', o::text, t::text, (select count(*) from ordak.audit_log as l
                                                              where l.subject in (o.order_id, t.number)))
                     from ordak.orders as o join ordak.tasks as t on t.order_key = o.id where o.order_id = $1";
        let before = text(state, &order_id).await;
        let orders = [
            json!(null),
            json!([]),
            json!("notes"),
            json!({"number": 5}),
            json!({"version": 9}),
            json!({"notes = null --": "x"}),
            json!({"customer_name": null}),
            json!({"customer_name": 5}),
            json!({"customer_name": "x".repeat(101)}),
            json!({"delivery_method": null}),
            json!({"delivery_method": "Manual"}),
            json!({"delivery_method": "delivery"}),
            json!({"notes": ""}),
            json!({"notes": {"a": 1}}),
            json!({"due_date": 20_261_224}),
            json!({"due_date": "24/12/2026"}),
            json!({"due_date": "2026-13-01"}),
            json!({"due_date": day(-1).await}),
            json!({"due_date": day(800).await}),
        ];
        for changes in orders {
            let arguments = json!({"order_id": order_id, "version": 1, "changes": changes});
            assert_eq!(supervisor.rpc("edit_order", arguments).await.said(), "422 VAL001", "{changes}");
        }
        let of_tasks = [
            json!(null),
            json!({"stage": "Complete"}),
            json!({"assignee": 1}),
            json!({"product_title": null}),
            json!({"product_title": " Cake"}),
            json!({"size": 5}),
            json!({"flavour": ["Vanilla"]}),
            json!({"cake_writing": "x".repeat(501)}),
        ];
        for changes in of_tasks {
            let arguments = json!({"task_number": tasks[0], "version": 1, "changes": changes});
            assert_eq!(supervisor.rpc("edit_task", arguments).await.said(), "422 VAL001", "{changes}");
        }
        for (name, key, value) in
            [("edit_order", "order_id", &order_id), ("edit_task", "task_number", &tasks[0])]
        {
            let changes = json!({if name == "edit_order" { "notes" } else { "size" }: "new"});
            for (version, said) in
                [(json!(null), "422 VAL001"), (json!(0), "409 ORD006"), (json!(2), "409 ORD006")]
            {
                let answer =
                    supervisor.rpc(name, json!({key: value, "version": version, "changes": changes})).await;
                assert_eq!(answer.said(), said, "{name} of version {version}");
                if said == "409 ORD006" {
                    assert_eq!(answer.body["message"], format!("expected version {version}, but found 1"));
                }
            }
        }
        assert_eq!(text(state, &order_id).await, before);
    });
}

#[test]
fn a_day_that_is_blacked_out_is_no_new_date_but_a_repeat_is_known() {
    run(async {
        pearl().await;
        let supervisor = Person::staff("Supervisor", Some("pearl")).await;
        let arguments =
            request("pearl", json!({"number": "P1", "due_date": day(20).await, "idempotency_key": "early"}));
        let order = supervisor.does("create_manual_order", arguments.clone()).await;
        let black_out = "update ordak.settings set due_blackout_dates = due_blackout_dates || $1::text::date
                         where store = 'pearl'";
        database(&shared().stack).await.execute(black_out, &[&day(20).await]).await.unwrap();
        let repeat = supervisor.does("create_manual_order", arguments).await;
        assert_eq!((&repeat["changed"], &repeat["order"]), (&json!(false), &order["order"]));

        let edit = async |changes: Value| {
            let arguments = json!({"order_id": "pearl-1", "version": 1, "changes": changes});
            supervisor.rpc("edit_order", arguments).await.said()
        };
        assert_eq!(edit(json!({"due_date": day(10).await})).await, "422 VAL001");
        assert_eq!(edit(json!({"due_date": day(20).await, "notes": "as before"})).await, "200 ");
    });
}

#[test]
fn what_is_closed_is_not_edited() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let database = database(&shared().stack).await;
        let complete = "update ordak.tasks set stage = 'Complete', completed_at = now() where number = $1";
        let cancel = "update ordak.orders set cancelled_at = now() where order_id = $1";
        let edit_order = async |order_id: &str, version: i32, changes: Value| {
            let arguments = json!({"order_id": order_id, "version": version, "changes": changes});
            supervisor.rpc("edit_order", arguments).await.said()
        };
        let edit_task = async |number: &str, changes: Value| {
            let arguments = json!({"task_number": number, "version": 1, "changes": changes});
            supervisor.rpc("edit_task", arguments).await.said()
        };
        let (order_id, tasks) = take_order(BANNOS, 2).await;
        database.execute(complete, &[&tasks[0]]).await.unwrap();
        assert_eq!(edit_order(&order_id, 1, json!({"notes": "half done"})).await, "200 ");
        assert_eq!(edit_task(&tasks[0], json!({"size": "Small"})).await, "409 ORD003");
        assert_eq!(edit_task(&tasks[1], json!({"size": "Small"})).await, "200 ");
        database.execute(complete, &[&tasks[1]]).await.unwrap();
        assert_eq!(edit_order(&order_id, 2, json!({"notes": "all done"})).await, "409 ORD003");
        assert_eq!(edit_order(&order_id, 2, json!({"notes": "half done"})).await, "200 ", "a repeat");

        let (order_id, tasks) = take_order(BANNOS, 1).await;
        database.execute(cancel, &[&order_id]).await.unwrap();
        assert_eq!(edit_order(&order_id, 1, json!({"notes": "too late"})).await, "409 ORD003");
        assert_eq!(edit_task(&tasks[0], json!({"size": "Small"})).await, "409 ORD003");
    });
}

#[test]
fn of_two_edits_at_once_one_wins_and_the_other_is_told() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 1).await;
        let order =
            |n: i32| json!({"order_id": order_id, "version": 1, "changes": {"notes": format!("note {n}")}});
        let task =
            |n: i32| json!({"task_number": tasks[0], "version": 1, "changes": {"size": format!("size {n}")}});
        let orders = join_all((0..8).map(|n| supervisor.rpc("edit_order", order(n)))).await;
        let of_tasks = join_all((0..8).map(|n| supervisor.rpc("edit_task", task(n)))).await;
        for answers in [orders, of_tasks] {
            let mut said: Vec<_> = answers.iter().map(Answer::said).collect();
            said.sort_unstable();
            assert_eq!(said, [&["200 "][..], &["409 ORD006"; 7]].concat());
            let message = &answers.iter().find(|answer| answer.status == 409).unwrap().body["message"];
            assert_eq!(message, "expected version 1, but found 2");
        }
    });
}

#[test]
fn an_edit_of_a_task_concerns_that_cake_alone() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 2).await;
        let sql = "select concat_ws(' ', t.version, t.size_rank, t.search) from ordak.tasks as t where t.number = $1";
        let sibling = text(sql, &tasks[1]).await;
        let edit = async |version: i32, changes: Value| {
            let arguments = json!({"task_number": tasks[0], "version": version, "changes": changes});
            supervisor.does("edit_task", arguments).await
        };
        let first = json!({"product_title": "Marble Cake", "size": "Large Tall", "flavour": "Lemon",
                           "cake_writing": "Hi"});
        let answer = edit(1, first.clone()).await;
        assert_eq!((&answer["changed"], &answer["task"]["version"]), (&json!(true), &json!(2)));
        for (field, value) in first.as_object().unwrap() {
            assert_eq!(&answer["task"][field], value, "{field}");
        }
        let columns = text(sql, &tasks[0]).await;
        assert!(columns.starts_with("2 7 ") && columns.contains("Marble Cake"), "{columns}");
        assert_eq!(text(sql, &tasks[1]).await, sibling);
        assert_eq!(edit(1, first).await["changed"], false, "a repeat");
        let answer = edit(2, json!({"flavour": null, "cake_writing": null, "size": "Large Tall"})).await;
        let task = &answer["task"];
        assert_eq!(json!([task["flavour"], task["cake_writing"], task["version"]]), json!([null, null, 3]));
        let expected =
            r#"edit_task {"flavour": "Lemon", "cake_writing": "Hi"} {"flavour": null, "cake_writing": null}"#;
        assert_eq!(audited(&tasks[0]).await, expected);
        assert_eq!(
            text("select o.version::text from ordak.orders as o where o.order_id = $1", &order_id).await,
            "1"
        );
    });
}
