//! Whole orders: held, cancelled, and completed by an Admin.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Crew, events, times};
use crate::support::*;

#[test]
fn an_order_on_hold_stands_still_until_it_is_released() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (order, tasks) = take_order(BANNOS, 2).await;
        let done = json!({"task_number": tasks[1], "stage": "Complete", "reason": "packed already"});
        crew.admin.does("move_to_stage", done).await;
        let hold = async |reason: &str| {
            crew.supervisor.does("hold", json!({"order_id": order, "reason": reason})).await
        };
        let held = hold("The customer calls back").await;
        assert_eq!(held["changed"], true);
        let again = hold("Another reason").await;
        assert_eq!(
            (&again["changed"], &again["order"]["hold_reason"]),
            (&json!(false), &json!("The customer calls back"))
        );
        assert_eq!(again["tasks"].as_array().unwrap().len(), 2);
        let moved = json!({"task_number": tasks[0], "stage": "Packing", "reason": "a mistake"});
        let answer = crew.admin.rpc("move_to_stage", moved).await;
        assert_eq!(answer.said(), "409 ORD002");
        assert!(answer.body["message"].as_str().unwrap().contains("on hold"), "{}", answer.body);

        let released = crew.supervisor.does("release", json!({"order_id": order})).await;
        assert_eq!(
            (&released["order"]["held_at"], &released["order"]["hold_reason"]),
            (&Value::Null, &Value::Null)
        );
        crew.admin.does("complete_stage", json!({"task_number": tasks[0], "stage": "Filling"})).await;
        assert_eq!(
            events(database, &tasks[0]).await,
            ["hold Filling Filling 1", "release Filling Filling 1", "complete Filling Covering 1"]
        );
        assert_eq!(
            events(database, &tasks[1]).await,
            ["move Filling Complete 1", "hold Complete Complete 1", "release Complete Complete 1"]
        );
        assert_eq!(
            audit(database, &order).await,
            ["hold held_at,hold_reason", "release held_at,hold_reason"]
        );
    });
}

/// The audit log's lines about an order as `action fields`.
async fn audit(database: &Client, order: &str) -> Vec<String> {
    let sql = "select action || ' ' || (select string_agg(key, ',' order by key) from jsonb_object_keys(new) as key)
               from ordak.audit_log where subject = $1 order by id";
    database.query(sql, &[&order]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_cancelled_order_leaves_the_queue_and_is_nobodys() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (order, tasks) = take_order(BANNOS, 2).await;
        for task in &tasks {
            crew.assign(task).await;
        }
        let packed = json!({"task_number": tasks[1], "stage": "Packing", "reason": "in a hurry"});
        crew.admin.does("move_to_stage", packed).await;
        crew.assign(&tasks[1]).await;
        crew.staff.does("complete_stage", json!({"task_number": tasks[1], "stage": "Packing"})).await;
        let cancel = json!({"order_id": order, "reason": "The customer has changed their mind"});
        let change = crew.supervisor.does("cancel_order", cancel.clone()).await;
        assert!(change["order"]["cancelled_at"].is_string());
        let [open, done] = [&change["tasks"][0], &change["tasks"][1]];
        assert_eq!((&open["stage"], &open["assignee_id"]), (&json!("Filling"), &Value::Null));
        assert_eq!((&done["stage"], &done["assignee_id"]), (&json!("Complete"), &json!(crew.staff.id)));
        for task in [open, done] {
            assert!(task["cancelled_at"].is_string() && task["priority"].is_null(), "{task}");
        }
        assert_eq!(crew.supervisor.does("cancel_order", cancel).await["changed"], false);
        let queue = format!("tasks?order_id=eq.{order}&stage=neq.Complete&cancelled_at=is.null");
        assert_eq!(crew.staff.read(&queue).await.body, json!([]));
        for (task, last) in tasks.iter().zip(["cancel Filling Filling 1", "cancel Complete Complete 1"]) {
            assert_eq!(events(database, task).await.last().unwrap(), last);
        }
        assert_eq!(audit(database, &order).await, ["cancel_order cancel_reason,cancelled_at"]);
        let sql =
            "select distinct e.reason from ordak.stage_events as e join ordak.tasks as t on t.id = e.task
                   where t.number = any ($1) and e.action = 'cancel'";
        let reason: String = database.query_one(sql, &[&tasks]).await.unwrap().get(0);
        assert_eq!(reason, "The customer has changed their mind");
    });
}

#[test]
fn an_admin_completes_what_left_without_being_scanned_and_takes_it_back() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (order, tasks) = take_order(BANNOS, 3).await;
        crew.admin.does("complete_stage", json!({"task_number": tasks[0], "stage": "Filling"})).await;
        let change = crew.admin.does("complete_order", json!({"order_id": order})).await;
        for task in change["tasks"].as_array().unwrap() {
            assert_eq!((&task["stage"], &task["assignee_id"]), (&json!("Complete"), &Value::Null));
        }
        assert_eq!(audit(database, &order).await, ["complete_order completed"]);
        assert_eq!(events(database, &tasks[0]).await.last().unwrap(), "finish Covering Complete 1");

        let back = json!({"task_number": tasks[0], "stage": "Packing", "reason": "It is still here"});
        let change = crew.admin.does("move_to_stage", back).await;
        assert_eq!((&change["task"]["pass"], &change["task"]["completed_at"]), (&json!(2), &Value::Null));
        assert_eq!(
            times(database, &tasks[0]).await,
            ["Filling 1 completed", "Packing 1 completed", "Packing 2 started"]
        );
        crew.admin.does("complete_stage", json!({"task_number": tasks[0], "stage": "Packing"})).await;
        assert_eq!(crew.admin.does("complete_order", json!({"order_id": order})).await["changed"], false);
    });
}

#[test]
fn an_order_without_a_cake_has_nothing_to_complete_but_can_be_held_and_cancelled() {
    run(async {
        let crew = Crew::new().await;
        let (order, tasks) = take_order(BANNOS, 0).await;
        assert_eq!(tasks, [""; 0]);
        let (id, reasoned) = (json!({"order_id": order}), json!({"order_id": order, "reason": "a call"}));
        for (name, arguments, changed) in [
            ("complete_order", &id, false),
            ("hold", &reasoned, true),
            ("release", &id, true),
            ("cancel_order", &reasoned, true),
        ] {
            let change = crew.admin.does(name, arguments.clone()).await;
            assert_eq!((&change["changed"], &change["tasks"]), (&json!(changed), &json!([])), "{name}");
        }
    });
}
