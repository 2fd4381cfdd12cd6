//! The way of a cake through the kitchen: tickets, stages, second passes, repeats, and who is at work.

use serde_json::{Value, json};

use super::{Crew, events, outcome, times};
use crate::support::*;

#[test]
fn a_cake_goes_from_its_first_ticket_to_the_packed_box() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, tasks) = take_order(BANNOS, 2).await;
        let task = &tasks[0];
        crew.assign(task).await;
        let ticket = crew.staff.does("print_ticket", json!({"task_number": task})).await;
        assert_eq!((&ticket["barcode"], &ticket["printed_before"]), (&json!(task), &Value::Null));
        assert!(task.ends_with("-A"), "the whole number: {task}");
        assert_eq!((&ticket["ticket_size"], &ticket["ticket_copies"]), (&json!("80mm"), &json!(1)));
        assert_eq!((&ticket["printed_by"], &ticket["task"]["stage"]), (&json!("A Cook"), &json!("Filling")));
        assert!(ticket["task"]["started_at"].is_string());

        let complete = async |stage: &str| {
            let change =
                crew.staff.does("complete_stage", json!({"task_number": task, "stage": stage})).await;
            assert_eq!(change["changed"], true);
            change["task"].clone()
        };
        assert_eq!(complete("Filling").await["assignee_id"], Value::Null, "nobody yet covers it");
        crew.assign(task).await;
        let started = crew.staff.does("start_stage", json!({"task_number": task, "stage": "Covering"})).await;
        assert!(started["task"]["started_at"].is_string());
        let covered = complete("Covering").await;
        assert_ne!(covered["updated_at"], started["task"]["updated_at"]);
        assert_eq!(covered["started_at"], Value::Null, "Decorating is not started yet");
        crew.assign(task).await;
        let packing = complete("Decorating").await;
        assert_eq!((&packing["stage"], &packing["assignee_id"]), (&json!("Packing"), &Value::Null));
        assert!(packing["started_at"].is_string(), "packing starts by itself");
        crew.assign(task).await;
        crew.staff.does("set_storage", json!({"task_number": task, "location": "Store Fridge"})).await;
        let complete = complete("Packing").await;
        assert_eq!((&complete["stage"], &complete["storage"]), (&json!("Complete"), &json!("Store Fridge")));
        assert_eq!(complete["assignee_id"], json!(crew.staff.id), "whoever packed it");
        assert!(complete["completed_at"].is_string());

        assert_eq!(
            events(database, task).await,
            [
                "assign Filling Filling 1",
                "print Filling Filling 1",
                "complete Filling Covering 1",
                "assign Covering Covering 1",
                "start Covering Covering 1",
                "complete Covering Decorating 1",
                "assign Decorating Decorating 1",
                "complete Decorating Packing 1",
                "assign Packing Packing 1",
                "storage Packing Packing 1",
                "complete Packing Complete 1",
            ]
        );
        assert_eq!(
            times(database, task).await,
            [
                "Filling 1 started completed",
                "Covering 1 started completed",
                "Decorating 1 completed",
                "Packing 1 started completed",
            ],
            "nobody started Decorating"
        );
        let sql = "select count(*) from ordak.stage_events as e join ordak.tasks as t on t.id = e.task
                   join ordak.staff_shared as s on s.id = e.actor
                   where t.number = $1 and s.user_id::text = any ($2)";
        let actors = vec![crew.staff.id.clone(), crew.supervisor.id.clone()];
        let known: i64 = database.query_one(sql, &[task, &actors]).await.unwrap().get(0);
        assert_eq!(known, 11, "each event knows who did it");
    });
}

#[test]
fn a_second_ticket_says_when_the_first_was_printed_and_writes_nothing() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, task) = crew.task_in("Covering").await;
        let first = crew.staff.does("print_ticket", json!({"task_number": task})).await;
        assert_eq!(first["changed"], true);
        assert_eq!(first["task"]["started_at"], Value::Null, "a ticket starts nothing but Filling");
        let written = events(database, &task).await;
        for person in [&crew.staff, &crew.admin] {
            let again = person.does("print_ticket", json!({"task_number": task})).await;
            assert_eq!(again["changed"], false);
            assert_eq!(again["printed_before"], first["task"]["printed_at"]);
            assert_eq!((&again["barcode"], &again["task"]), (&json!(task), &first["task"]));
        }
        assert_eq!(events(database, &task).await, written);
    });
}

#[test]
fn a_cake_that_is_sent_back_has_times_of_its_second_pass_beside_the_first() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, task) = crew.task_in("Packing").await;
        let back = json!({"task_number": task, "reason": "Wrong spelling: Mia, not Maya"});
        let change = crew.supervisor.does("return_to_decorating", back.clone()).await;
        let now = &change["task"];
        assert_eq!((&now["stage"], &now["pass"]), (&json!("Decorating"), &json!(2)));
        assert_eq!((&now["assignee_id"], &now["started_at"]), (&Value::Null, &Value::Null));
        assert_eq!(crew.supervisor.does("return_to_decorating", back.clone()).await["changed"], false);

        let start = json!({"task_number": task, "stage": "Decorating"});
        assert_eq!(crew.admin.does("start_stage", start.clone()).await["changed"], true);
        assert_eq!(crew.admin.does("start_stage", start).await["changed"], false);
        assert_eq!(crew.supervisor.does("return_to_decorating", back.clone()).await["changed"], false);
        for stage in ["Decorating", "Packing"] {
            let change =
                crew.admin.does("complete_stage", json!({"task_number": task, "stage": stage})).await;
            assert_eq!(change["changed"], true, "{stage} once more");
        }
        assert_eq!(
            times(database, &task).await,
            [
                "Filling 1 completed",
                "Covering 1 completed",
                "Decorating 1 completed",
                "Packing 1 started",
                "Decorating 2 started completed",
                "Packing 2 started completed",
            ]
        );
        let (_, decorating) = crew.task_in("Decorating").await;
        let answer = crew
            .supervisor
            .rpc("return_to_decorating", json!({"task_number": decorating, "reason": "spelling"}))
            .await;
        assert_eq!(answer.said(), "409 ORD002", "one that has never been sent back is no repeat");
    });
}

#[test]
fn a_repeat_is_a_success_and_a_contradiction_names_both_stages() {
    run(async {
        let crew = Crew::new().await;
        let (_, task) = crew.task_in("Decorating").await;
        for (name, stage, said) in [
            ("complete_stage", "Filling", "200 "),
            ("complete_stage", "Covering", "200 "),
            ("complete_stage", "Packing", "409 ORD002"),
            ("start_stage", "Packing", "409 ORD002"),
            // Completed, but never started: no repeat of anything.
            ("start_stage", "Filling", "409 ORD002"),
        ] {
            // The caller is not assigned any more, as after every completion.
            crew.supervisor.does("unassign", json!({"task_number": task})).await;
            let answer = crew.supervisor.rpc(name, json!({"task_number": task, "stage": stage})).await;
            assert_eq!(answer.said(), said, "{name} {stage}");
            if answer.status == 200 {
                assert_eq!(answer.body["changed"], false);
                let lost = crew.staff.rpc(name, json!({"task_number": task, "stage": stage})).await;
                assert_eq!(outcome(&lost), "unchanged", "whose answer was lost may ask again");
            } else {
                let message = answer.body["message"].as_str().unwrap();
                assert!(message.contains(stage) && message.contains("Decorating"), "{message}");
            }
        }
    });
}

#[test]
fn staff_work_on_what_is_assigned_to_them_while_they_are_at_work() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, task) = crew.task_in("Filling").await;
        let calls = [
            ("start_stage", json!({"task_number": task, "stage": "Filling"})),
            ("print_ticket", json!({"task_number": task})),
            ("set_storage", json!({"task_number": task, "location": "Store Fridge"})),
            ("complete_stage", json!({"task_number": task, "stage": "Filling"})),
        ];
        let refused = async |person: &Person, word: &str| {
            for (name, arguments) in &calls {
                let answer = person.rpc(name, arguments.clone()).await;
                assert_eq!(answer.said(), "403 AUTH002", "{name}, {word}");
                assert!(answer.body["message"].as_str().unwrap().contains(word), "{name}: {}", answer.body);
            }
        };
        let shift = async |change: &str| {
            let sql = format!(
                "with mine as (select s.* from ordak.shifts as s join ordak.staff_shared as p on p.id = s.staff
                               where p.user_id = '{}') {change}",
                crew.staff.id
            );
            database.batch_execute(&sql).await.unwrap();
        };
        refused(&crew.other, "assigned to you").await;
        shift("insert into ordak.breaks (shift) select id from mine").await;
        refused(&crew.staff, "on a break").await;
        shift("delete from ordak.breaks where shift in (select id from mine)").await;
        shift("update ordak.shifts set store = 'flourlane' where id in (select id from mine)").await;
        refused(&crew.staff, "one on shift in flourlane").await;
        let forgotten = "store = 'bannos', started_at = now() - interval '13 hours'";
        shift(&format!("update ordak.shifts set {forgotten} where id in (select id from mine)")).await;
        refused(&crew.staff, "one on no shift").await;
        shift("update ordak.shifts set started_at = now() where id in (select id from mine)").await;
        for (name, arguments) in &calls {
            assert_eq!(crew.staff.does(name, arguments.clone()).await["changed"], true, "{name}");
        }
    });
}

#[test]
fn a_store_without_shifts_asks_for_none() {
    run(async {
        let database = queries().await;
        let sql = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
                   values ('lamington', 'Lamington', 'lamington.myshopify.com', 'L', 'Australia/Perth');
                   update ordak.settings
                   set shifts_enabled = false, ticket_size = '58mm', ticket_copies = 2, storage_locations = '{Cellar}'
                   where store = 'lamington'";
        database.batch_execute(sql).await.unwrap();
        let supervisor = Person::staff("Supervisor", Some("lamington")).await;
        let staff = Person::staff("Staff", Some("lamington")).await;
        let (_, tasks) = take_order("lamington.myshopify.com", 1).await;
        let task = &tasks[0];
        let print = json!({"task_number": task});
        assert_eq!(staff.rpc("print_ticket", print.clone()).await.said(), "403 AUTH002");
        supervisor.does("assign", json!({"task_number": task, "staff_id": staff.id})).await;
        let ticket = staff.does("print_ticket", print).await;
        assert_eq!((&ticket["ticket_size"], &ticket["ticket_copies"]), (&json!("58mm"), &json!(2)));
        for (location, said) in
            [(json!("Store Fridge"), "422 VAL001"), (json!("Cellar"), "200 "), (Value::Null, "200 ")]
        {
            let answer =
                staff.rpc("set_storage", json!({"task_number": task, "location": location.clone()})).await;
            assert_eq!(answer.said(), said, "{location}");
            if answer.status == 200 {
                assert_eq!(answer.body["task"]["storage"], location);
            } else {
                assert!(answer.body["hint"].as_str().unwrap().contains("Cellar"), "{}", answer.body);
            }
        }
    });
}
