//! What people have done to an order and its cakes outlives whatever Shopify says of it later.

use serde_json::{Value, json};
use xtask::stack::order::{Line, Order};

use crate::ingestion::{deliver, json_of, open_tasks, order_row, taken, update};
use crate::support::*;

/// All tasks of an order, in the order of their making.
async fn tasks(order: &Order) -> Vec<Value> {
    let sql = "select jsonb_agg(to_jsonb(t) - 'updated_at' order by t.id)::text
               from ordak.tasks as t join ordak.orders as o on o.id = t.order_key where o.shopify_order_id = $1";
    json_of(sql, order.id).await.as_array().unwrap().clone()
}

/// What a task and its order say: the fields that somebody could have changed.
async fn shown(person: &Person, task: &str) -> Value {
    person.read(&format!("tasks?task_number=eq.{task}")).await.body[0].clone()
}

async fn flags(order: &Order) -> Value {
    order_row(order).await["flags"].clone()
}

fn bought(body: &mut Value, line: usize, units: u32) {
    for count in ["quantity", "current_quantity"] {
        body["line_items"][line][count] = units.into();
    }
}

fn number_of(order: &Order, suffix: &str) -> String {
    format!("B{}{suffix}", order.number)
}

#[test]
fn what_the_kitchen_has_done_survives_every_redelivery_and_every_update() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 3).await;
        let [a, b, c] = ["-A", "-B", "-C"].map(|suffix| number_of(&order, suffix));
        cook.does("print_ticket", json!({"task_number": a})).await;
        cook.does("complete_stage", json!({"task_number": a, "stage": "Filling"})).await;
        cook.does("assign", json!({"task_number": b, "staff_id": cook.id})).await;
        let before = tasks(&order).await;
        assert_eq!((&before[0]["stage"], before[1]["assignee"].is_null()), (&json!("Covering"), false));
        for minute in [5, 3, 7] {
            body["note"] = format!("of minute {minute}").into();
            body["updated_at"] = format!("2026-12-01T09:{minute:02}:00+11:00").into();
            for topic in ["orders/updated", "orders/create"] {
                deliver(topic, BANNOS, &body).await;
            }
        }
        assert_eq!(order_row(&order).await["notes"], "of minute 7");
        assert_eq!(tasks(&order).await, before);

        // Fewer: what nobody touched goes, what is assigned is withdrawn, what is begun stays.
        body["line_items"][0]["current_quantity"] = 1.into();
        update(BANNOS, &mut body, 8).await;
        assert_eq!(open_tasks(&order).await, [a.as_str()]);
        let withdrawn = tasks(&order).await.into_iter().find(|task| task["number"] == b.as_str()).unwrap();
        assert_eq!((withdrawn["withdrawn_at"].is_null(), &withdrawn["assignee"]), (false, &Value::Null));
        assert_eq!(flags(&order).await, json!([]));
        // More again: a number that somebody has seen in use is never another cake's.
        bought(&mut body, 0, 3);
        update(BANNOS, &mut body, 9).await;
        assert_eq!(open_tasks(&order).await, [a, c, number_of(&order, "-D")]);
        assert_eq!(tasks(&order).await[0], before[0]);
    });
}

#[test]
fn the_only_cake_keeps_the_orders_number_once_it_is_begun_and_the_second_is_b() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        for begun in [true, false] {
            let (order, mut body) = taken(BANNOS, 1).await;
            let only = number_of(&order, "");
            assert_eq!(open_tasks(&order).await, [only.as_str()]);
            if begun {
                cook.does("print_ticket", json!({"task_number": only})).await;
            }
            bought(&mut body, 0, 3);
            update(BANNOS, &mut body, 1).await;
            let first = if begun { only } else { number_of(&order, "-A") };
            assert_eq!(open_tasks(&order).await, [first, number_of(&order, "-B"), number_of(&order, "-C")]);
        }
    });
}

#[test]
fn what_is_begun_beyond_what_is_wanted_stays_and_is_flagged_while_it_is_so() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 3).await;
        let [a, b, _] = ["-A", "-B", "-C"].map(|suffix| number_of(&order, suffix));
        for task in [&a, &b] {
            cook.does("print_ticket", json!({"task_number": task})).await;
        }
        body["line_items"][0]["current_quantity"] = 1.into();
        update(BANNOS, &mut body, 1).await;
        assert_eq!(open_tasks(&order).await, [a.as_str(), b.as_str()]);
        assert_eq!(flags(&order).await, json!(["too_many_begun"]));
        body["note"] = "still".into();
        update(BANNOS, &mut body, 2).await;
        assert_eq!(flags(&order).await, json!(["too_many_begun"]));
        // Another line beside it is made all the same.
        let mut added = body["line_items"][0].clone();
        added["id"] = (order.id * 2 + 2).into();
        body["line_items"].as_array_mut().unwrap().push(added);
        update(BANNOS, &mut body, 3).await;
        assert_eq!(open_tasks(&order).await, [&a, &b, &number_of(&order, "-C")].map(String::as_str));
        bought(&mut body, 0, 2);
        update(BANNOS, &mut body, 4).await;
        assert_eq!(flags(&order).await, json!([]));
    });
}

#[test]
fn a_cancelled_order_keeps_what_was_begun_and_nobody_is_assigned_to_it() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 2).await;
        let a = number_of(&order, "-A");
        cook.does("assign", json!({"task_number": a, "staff_id": cook.id})).await;
        cook.does("print_ticket", json!({"task_number": a})).await;
        body["cancelled_at"] = "2026-12-01T09:01:00+11:00".into();
        body["cancel_reason"] = "customer".into();
        update(BANNOS, &mut body, 1).await;
        let left = tasks(&order).await;
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((&left[0]["number"], &left[0]["assignee"]), (&json!(a), &Value::Null));
        assert!(!left[0]["printed_at"].is_null() && !left[0]["cancelled_at"].is_null());
        assert_eq!(flags(&order).await, json!([]));
        let sql = "select to_jsonb(e.action || ' ' || e.reason)::text from ordak.stage_events as e where e.task = $1
                   order by e.id desc limit 1";
        assert_eq!(json_of(sql, left[0]["id"].as_i64().unwrap()).await, "cancel customer");
    });
}

#[test]
fn a_person_who_has_cancelled_an_order_is_not_overruled() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 2).await;
        let order_id = format!("bannos-{}", order.number);
        supervisor.does("cancel_order", json!({"order_id": order_id, "reason": "no oven"})).await;
        let before = tasks(&order).await;
        bought(&mut body, 0, 5);
        update(BANNOS, &mut body, 1).await;
        assert_eq!(order_row(&order).await["cancel_reason"], "no oven");
        assert_eq!(tasks(&order).await, before);
    });
}

/// An order with a date of its own, and its body.
async fn dated() -> (Order, Value) {
    let order = Order { due: Some("15/12/2099".into()), ..Order::new(BANNOS, number()) };
    let cake = Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 1).with("Cake writing", "Ada");
    let order = order.lines(vec![cake]);
    let body = order.body();
    assert_eq!(deliver("orders/create", BANNOS, &body).await.said(), "200 created");
    (order, body)
}

#[test]
fn what_a_person_has_corrected_in_an_order_wins_and_a_conflict_is_flagged_while_there_is_one() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = dated().await;
        let order_id = format!("bannos-{}", order.number);
        let edit = async |changes: Value| -> Value {
            let version = order_row(&order).await["version"].clone();
            let request = json!({"order_id": order_id, "version": version, "changes": changes});
            supervisor.does("edit_order", request).await["changed"].clone()
        };
        let says = async || {
            let row = order_row(&order).await;
            json!([row["customer_name"], row["notes"], row["flags"]])
        };
        assert_eq!(edit(json!({"notes": "ours", "customer_name": "Ada"})).await, true);
        // Something else changes: no conflict.
        body["total_price"] = "200.00".into();
        update(BANNOS, &mut body, 1).await;
        assert_eq!(says().await, json!(["Ada", "ours", []]));
        body["note"] = "theirs".into();
        update(BANNOS, &mut body, 2).await;
        assert_eq!(says().await, json!(["Ada", "ours", ["edit_conflict"]]));
        // The person has seen it, and says the same again; once.
        assert_eq!(edit(json!({"notes": "ours"})).await, true);
        assert_eq!(edit(json!({"notes": "ours"})).await, false);
        assert_eq!(says().await, json!(["Ada", "ours", []]));
        body["note"] = "theirs again".into();
        update(BANNOS, &mut body, 3).await;
        assert_eq!(says().await, json!(["Ada", "ours", ["edit_conflict"]]));
        // Shopify comes to say the same.
        body["note"] = "ours".into();
        update(BANNOS, &mut body, 4).await;
        assert_eq!(says().await, json!(["Ada", "ours", []]));
        // What is as Shopify says is no correction any more, and follows.
        assert_eq!(edit(json!({"notes": "ours", "customer_name": "Mia Sample"})).await, true);
        body["note"] = "newest".into();
        body["shipping_address"]["name"] = "Max".into();
        update(BANNOS, &mut body, 5).await;
        assert_eq!(says().await, json!(["Max", "newest", []]));
        assert_eq!(order_row(&order).await["overrides"], json!({}));
    });
}

#[test]
fn a_due_date_that_a_person_has_decided_is_no_date_that_lacks() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 1).await;
        body["note_attributes"][1]["value"] = "some day".into();
        update(BANNOS, &mut body, 1).await;
        assert_eq!(flags(&order).await, json!(["bad_due_date"]));
        let order_id = format!("bannos-{}", order.number);
        let sql = "select (ordak.local_day('Australia/Sydney', now()) + 3)::text";
        let day: String = queries().await.query_one(sql, &[]).await.unwrap().get(0);
        for (version, due, flagged) in [(1, json!(day), json!([])), (2, json!(null), json!(["no_due_date"]))]
        {
            let request = json!({"order_id": order_id, "version": version, "changes": {"due_date": due}});
            // Setting it to what Shopify says takes the correction back.
            supervisor.does("edit_order", request).await;
            body["note"] = format!("version {version}").into();
            update(BANNOS, &mut body, 1 + version).await;
            let row = order_row(&order).await;
            let expected = if due.is_null() { json!(["bad_due_date"]) } else { flagged };
            assert_eq!((&row["due_date"], &row["flags"]), (&due, &expected));
            let task = shown(&supervisor, &number_of(&order, "")).await;
            assert_eq!(task["due_date"], due);
        }
    });
}

#[test]
fn what_a_person_has_corrected_in_a_task_wins_and_the_rest_follows() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = dated().await;
        let task = number_of(&order, "");
        let edit = async |version: i64, changes: Value| {
            let request = json!({"task_number": task, "version": version, "changes": changes});
            supervisor.does("edit_task", request).await["changed"].clone()
        };
        let says = async || {
            let task = shown(&supervisor, &task).await;
            json!([task["size"], task["cake_writing"], task["flags"]])
        };
        assert_eq!(edit(1, json!({"cake_writing": "Ada!"})).await, true);
        body["line_items"][0]["variant_title"] = "Large / Vanilla".into();
        update(BANNOS, &mut body, 1).await;
        assert_eq!(says().await, json!(["Large", "Ada!", []]));
        body["line_items"][0]["properties"][0]["value"] = "Adah".into();
        update(BANNOS, &mut body, 2).await;
        assert_eq!(says().await, json!(["Large", "Ada!", ["edit_conflict"]]));
        assert_eq!(edit(2, json!({"cake_writing": "Adah!"})).await, true);
        assert_eq!(says().await, json!(["Large", "Adah!", []]));
        // The number of cakes is Shopify's, also of one that was corrected.
        bought(&mut body, 0, 0);
        update(BANNOS, &mut body, 3).await;
        assert_eq!(open_tasks(&order).await, [""; 0]);
        bought(&mut body, 0, 1);
        update(BANNOS, &mut body, 4).await;
        assert_eq!(open_tasks(&order).await, [number_of(&order, "-B")]);
    });
}

#[test]
fn a_cake_that_changes_once_it_is_begun_follows_and_is_flagged_and_a_complete_one_stays() {
    run(async {
        let admin = Person::staff("Admin", Some("bannos")).await;
        let (order, mut body) = dated().await;
        let task = number_of(&order, "");
        admin.does("print_ticket", json!({"task_number": task})).await;
        body["line_items"][0]["variant_title"] = "Large / Vanilla".into();
        update(BANNOS, &mut body, 1).await;
        let after = shown(&admin, &task).await;
        assert_eq!((&after["size"], &after["flags"]), (&json!("Large"), &json!(["changed_when_begun"])));
        admin.does("complete_order", json!({"order_id": format!("bannos-{}", order.number)})).await;
        let before = tasks(&order).await;
        body["line_items"][0]["variant_title"] = "Small / Vanilla".into();
        update(BANNOS, &mut body, 2).await;
        assert_eq!(tasks(&order).await, before);
        // One that is refunded after it was packed asks nothing of anybody; one more is made.
        bought(&mut body, 0, 2);
        update(BANNOS, &mut body, 3).await;
        assert_eq!(open_tasks(&order).await, [task, number_of(&order, "-B")]);
        assert_eq!(tasks(&order).await[0], before[0]);
        for units in [1, 0] {
            body["line_items"][0]["current_quantity"] = units.into();
            update(BANNOS, &mut body, 5 - units).await;
            assert_eq!(tasks(&order).await, before);
        }
        assert_eq!(flags(&order).await, json!(["changed_when_begun"]));
    });
}

#[test]
fn who_prints_a_ticket_while_its_cake_is_taken_back_is_told_so() {
    run(async {
        let cook = Person::staff("Supervisor", Some("bannos")).await;
        let (order, mut body) = taken(BANNOS, 2).await;
        body["line_items"][0]["current_quantity"] = 1.into();
        let mut locker = database(&shared().stack).await;
        let lock = locker.transaction().await.unwrap();
        let sql = "select from ordak.orders where shopify_order_id = $1 for no key update";
        lock.execute(sql, &[&order.id]).await.unwrap();
        // Behind the lock the delivery stands first, and makes of two cakes one, which goes by the order's number.
        let waiting = async |calls: i64| {
            let sql = "select count(*) from pg_locks as l join pg_stat_activity as a using (pid)
                       where not l.granted and l.locktype in ('transactionid', 'tuple')
                         and a.query ilike any (array['%print_ticket%', '%ingest%'])";
            until("calls behind the lock", async || {
                (count(queries().await, sql).await >= calls).then_some(())
            })
            .await;
        };
        let print = async {
            waiting(1).await;
            let print =
                async || cook.rpc("print_ticket", json!({"task_number": number_of(&order, "-B")})).await;
            let commit = async {
                waiting(2).await;
                lock.commit().await.unwrap();
            };
            tokio::join!(print(), commit).0
        };
        let ((), answer) = tokio::join!(update(BANNOS, &mut body, 1), print);
        assert_eq!(answer.said(), "404 ORD001");
        assert_eq!(open_tasks(&order).await, [number_of(&order, "")]);
    });
}
