//! The lifecycle of tasks and orders: every case of docs/lifecycle.md, and what its tables cannot say.

mod every_case;
mod kitchen;
mod orders;

use serde_json::json;
use tokio_postgres::Client;

use crate::support::*;

/// The stages in their order.
pub const STAGES: [&str; 5] = ["Filling", "Covering", "Decorating", "Packing", "Complete"];

/// What a call was answered in the words of the document: what it changed, else the code.
pub fn outcome(answer: &Answer) -> String {
    match answer.body["changed"].as_bool() {
        Some(true) => "changed".to_owned(),
        Some(false) => "unchanged".to_owned(),
        None => answer.body["code"].as_str().unwrap_or_default().to_owned(),
    }
}

/// People of Bannos: one of each role of the document, and somebody else to assign to.
pub struct Crew {
    pub admin: Person,
    pub supervisor: Person,
    pub staff: Person,
    pub other: Person,
}

impl Crew {
    pub async fn new() -> Crew {
        let staff = |role| Person::staff(role, Some("bannos"));
        let crew = Crew {
            admin: staff("Admin").await,
            supervisor: staff("Supervisor").await,
            staff: staff("Staff").await,
            other: staff("Staff").await,
        };
        for person in [&crew.staff, &crew.other] {
            start_shift(person).await;
        }
        crew
    }

    /// Who stands behind a heading of the document.
    fn behind(&self, heading: &str) -> &Person {
        match heading {
            "Admin" => &self.admin,
            "Supervisor" => &self.supervisor,
            "Staff" => &self.staff,
            "Other Staff" => &self.other,
            other => panic!("{other} is nobody"),
        }
    }

    /// An order of one cake, assigned to this crew's member of staff and brought to a state step by step.
    async fn task_in(&self, state: &str) -> (String, String) {
        let (order, tasks) = take_order(BANNOS, 1).await;
        let task = tasks[0].clone();
        self.assign(&task).await;
        let way = STAGES.iter().position(|stage| *stage == state).unwrap_or_default();
        for (done, next) in STAGES.iter().zip(&STAGES[1..]).take(way) {
            self.supervisor.does("complete_stage", json!({"task_number": task, "stage": done})).await;
            if *next != "Complete" {
                self.assign(&task).await;
            }
        }
        if let Some((_, action)) =
            [("Held", "hold"), ("Cancelled", "cancel_order")].iter().find(|(s, _)| *s == state)
        {
            self.supervisor.does(action, json!({"order_id": order, "reason": "a call"})).await;
        }
        (order, task)
    }

    /// Assigns a task to this crew's member of staff.
    async fn assign(&self, task: &str) {
        self.supervisor.does("assign", json!({"task_number": task, "staff_id": self.staff.id})).await;
    }
}

/// Lets somebody be at work in Bannos.
pub async fn start_shift(person: &Person) {
    let insert = "insert into ordak.shifts (staff, store)
                  select id, 'bannos' from ordak.staff_shared where user_id = $1::text::uuid";
    queries().await.execute(insert, &[&person.id]).await.unwrap();
}

/// The events of a task as `action from to pass`.
async fn events(database: &Client, task: &str) -> Vec<String> {
    let sql = "select concat_ws(' ', e.action, e.from_stage, e.to_stage, e.pass)
               from ordak.stage_events as e join ordak.tasks as t on t.id = e.task
               where t.number = $1 order by e.id";
    database.query(sql, &[&task]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The stage times of a task as `stage pass`, with `started` and `completed` where they are.
async fn times(database: &Client, task: &str) -> Vec<String> {
    let sql = "select concat_ws(' ', s.stage, s.pass, case when s.started_at is not null then 'started' end,
                                case when s.completed_at is not null then 'completed' end)
               from ordak.stage_times as s join ordak.tasks as t on t.id = s.task
               where t.number = $1 order by s.pass, s.stage";
    database.query(sql, &[&task]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn strangers_and_people_of_another_store_can_do_nothing() {
    run(async {
        let crew = Crew::new().await;
        let database = queries().await;
        let (order, task) = crew.task_in("Packing").await;
        let by_task = json!({"task_number": task});
        let by_order = json!({"order_id": order, "reason": "a call"});
        let staged = json!({"task_number": task, "stage": "Packing"});
        let moved = json!({"task_number": task, "stage": "Filling", "reason": "it fell"});
        let assigned = json!({"task_number": task, "staff_id": crew.other.id});
        let calls = [
            ("print_ticket", by_task.clone()),
            ("start_stage", staged.clone()),
            ("complete_stage", staged),
            ("return_to_decorating", json!({"task_number": task, "reason": "spelling"})),
            ("move_to_stage", moved),
            ("assign", assigned),
            ("assign_many", json!({"task_numbers": [task], "staff_id": crew.other.id})),
            ("unassign", by_task),
            ("set_storage", json!({"task_number": task, "location": null})),
            ("hold", by_order.clone()),
            ("release", json!({"order_id": order})),
            ("cancel_order", by_order),
            ("complete_order", json!({"order_id": order})),
        ];
        let [inactive, waiting] = [Person::staff("Admin", None).await, Person::staff("Admin", None).await];
        for (person, change) in [(&inactive, "is_active = false"), (&waiting, "approved = false")] {
            let sql = format!("update ordak.staff_shared set {change} where user_id = '{}'", person.id);
            database.batch_execute(&sql).await.unwrap();
        }
        let callers = [
            (Person::new().await, "401 AUTH001"),
            (inactive, "401 AUTH001"),
            (waiting, "401 AUTH001"),
            (Person::staff("Admin", Some("flourlane")).await, "403 AUTH002"),
        ];
        let before = events(database, &task).await;
        for (person, said) in &callers {
            for (name, arguments) in &calls {
                assert_eq!(person.rpc(name, arguments.clone()).await.said(), *said, "{name}");
            }
        }
        assert_eq!(events(database, &task).await, before);
    });
}

#[test]
fn what_is_not_there_is_not_found_and_what_makes_no_sense_is_refused() {
    run(async {
        let crew = Crew::new().await;
        let (order, task) = crew.task_in("Packing").await;
        let nobody = "00000000-0000-0000-0000-000000000000";
        let long = "x".repeat(501);
        for (name, arguments, said) in [
            ("print_ticket", json!({"task_number": "B1-Z"}), "404 ORD001"),
            ("print_ticket", json!({"task_number": null}), "404 ORD001"),
            ("start_stage", json!({"task_number": "B1-Z", "stage": "Filling"}), "404 ORD001"),
            ("start_stage", json!({"task_number": task, "stage": "Complete"}), "422 VAL001"),
            ("start_stage", json!({"task_number": task, "stage": null}), "422 VAL001"),
            ("complete_stage", json!({"task_number": task, "stage": "packing"}), "422 VAL001"),
            ("complete_stage", json!({"task_number": task, "stage": "Complete"}), "422 VAL001"),
            ("return_to_decorating", json!({"task_number": task, "reason": null}), "422 VAL001"),
            ("return_to_decorating", json!({"task_number": task, "reason": " "}), "422 VAL001"),
            ("return_to_decorating", json!({"task_number": task, "reason": long}), "422 VAL001"),
            ("move_to_stage", json!({"task_number": task, "stage": "Oven", "reason": "heat"}), "422 VAL001"),
            ("move_to_stage", json!({"task_number": task, "stage": "Filling", "reason": ""}), "422 VAL001"),
            ("set_storage", json!({"task_number": task, "location": "Under the table"}), "422 VAL001"),
            ("set_storage", json!({"task_number": task, "location": ""}), "422 VAL001"),
            ("assign", json!({"task_number": task, "staff_id": nobody}), "422 VAL001"),
            ("assign", json!({"task_number": task, "staff_id": null}), "422 VAL001"),
            ("hold", json!({"order_id": order, "reason": ""}), "422 VAL001"),
            ("hold", json!({"order_id": "bannos-0", "reason": "a call"}), "404 ORD001"),
            ("release", json!({"order_id": "bannos-0"}), "404 ORD001"),
            ("cancel_order", json!({"order_id": order, "reason": null}), "422 VAL001"),
            ("cancel_order", json!({"order_id": "bannos-0", "reason": "a call"}), "404 ORD001"),
            ("complete_order", json!({"order_id": null}), "404 ORD001"),
        ] {
            assert_eq!(crew.admin.rpc(name, arguments.clone()).await.said(), said, "{name} {arguments}");
        }
    });
}

#[test]
fn a_task_is_assigned_to_somebody_who_works_in_its_store() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, task) = crew.task_in("Covering").await;
        let [gone, waiting, everywhere] = [
            Person::staff("Staff", None).await,
            Person::staff("Staff", None).await,
            Person::staff("Staff", None).await,
        ];
        for (person, change) in [(&gone, "is_active = false"), (&waiting, "approved = false")] {
            let sql = format!("update ordak.staff_shared set {change} where user_id = '{}'", person.id);
            database.batch_execute(&sql).await.unwrap();
        }
        let foreign = Person::staff("Staff", Some("flourlane")).await;
        for (person, expected) in [
            (&gone, "VAL001"),
            (&waiting, "VAL001"),
            (&foreign, "VAL001"),
            (&everywhere, "changed"),
            (&everywhere, "unchanged"),
        ] {
            let one = json!({"task_number": task, "staff_id": person.id});
            let answer = crew.supervisor.rpc("assign", one).await;
            assert_eq!(outcome(&answer), expected, "{}", answer.body);
            if expected == "VAL001" {
                let many = json!({"task_numbers": [task], "staff_id": person.id});
                assert_eq!(crew.supervisor.rpc("assign_many", many).await.said(), "422 VAL001");
            } else {
                assert_eq!(answer.body["task"]["stage"], "Covering", "assigning moves nothing");
                assert_eq!(answer.body["task"]["assignee_id"], json!(person.id));
            }
        }
    });
}

#[test]
fn many_tasks_are_assigned_at_once_or_none() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, cakes) = take_order(BANNOS, 3).await;
        let (_, own) = crew.task_in("Filling").await;
        let (_, complete) = crew.task_in("Complete").await;
        let (cancelled_order, cancelled) = crew.task_in("Filling").await;
        crew.admin.does("cancel_order", json!({"order_id": cancelled_order, "reason": "a call"})).await;
        let arguments = |numbers: Vec<&String>| json!({"task_numbers": numbers, "staff_id": crew.staff.id});

        let (_, foreign) = take_order(FLOURLANE, 1).await;
        let answer = crew.supervisor.rpc("assign_many", arguments(vec![&cakes[0], &foreign[0]])).await;
        assert_eq!(answer.said(), "403 AUTH002", "one task of another store");
        assert_eq!(events(database, &cakes[0]).await, [""; 0], "all or none");

        let unknown = "B1-Z".to_owned();
        let all = [&cakes[2], &cakes[0], &cakes[1], &cakes[0], &own, &complete, &cancelled, &unknown];
        let mut skipped = [&complete, &cancelled, &unknown];
        skipped.sort();
        let expected = json!({"changed": true, "assigned": cakes, "unchanged": [own], "skipped": skipped});
        assert_eq!(crew.supervisor.does("assign_many", arguments(all.to_vec())).await, expected);
        for cake in &cakes {
            assert_eq!(events(database, cake).await, ["assign Filling Filling 1"]);
        }
        let again = crew.supervisor.does("assign_many", arguments(all.to_vec())).await;
        assert_eq!((&again["changed"], &again["assigned"]), (&json!(false), &json!([])));

        let number = |n: usize| json!({"task_numbers": vec![&cakes[0]; n], "staff_id": crew.staff.id});
        for (arguments, said) in [
            (number(0), "422 VAL001"),
            (number(100), "200 "),
            (number(101), "422 VAL001"),
            (json!({"task_numbers": null, "staff_id": crew.staff.id}), "422 VAL001"),
            (json!({"task_numbers": [cakes[0], null], "staff_id": crew.staff.id}), "422 VAL001"),
        ] {
            assert_eq!(
                crew.supervisor.rpc("assign_many", arguments.clone()).await.said(),
                said,
                "{arguments}"
            );
        }
    });
}
