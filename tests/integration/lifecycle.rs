//! The lifecycle of tasks and orders: every case of docs/lifecycle.md, and what its tables cannot say.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::*;

/// How many cases are tried at once; other tests want the database too.
const AT_ONCE: usize = 8;

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

/// One cell of the document's tables.
struct Case {
    role: String,
    action: String,
    state: String,
    expected: String,
}

/// Every cell of the document's tables.
fn cases() -> Vec<Case> {
    let document = std::fs::read_to_string(xtask::project::root().join("docs/lifecycle.md")).unwrap();
    let every = document.split_once("## Every case").unwrap().1;
    let mut cases = Vec::new();
    for section in every.split("\n### ").skip(1) {
        let (role, rest) = section.split_once('\n').unwrap();
        let mut rows = rest
            .lines()
            .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
            .map(|line| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>());
        let states = rows.next().unwrap();
        for row in rows {
            let action = row[0].trim_matches('`');
            for (state, expected) in states[1..].iter().zip(&row[1..]) {
                cases.push(Case {
                    role: role.to_owned(),
                    action: action.to_owned(),
                    state: (*state).to_owned(),
                    expected: (*expected).to_owned(),
                });
            }
        }
    }
    cases
}

/// Tries a case on a task in its state, and answers with what went otherwise than the document says.
async fn deviation(case: &Case, task: &(String, String), crew: &Crew, database: &Client) -> Option<String> {
    let Case { role, action, state, expected } = case;
    let (order, task) = task;
    let named = match state.as_str() {
        "Complete" => "Packing",
        "Held" | "Cancelled" => "Filling",
        stage => stage,
    };
    let arguments = match action.as_str() {
        "print_ticket" | "unassign" => json!({"task_number": task}),
        "start_stage" | "complete_stage" => json!({"task_number": task, "stage": named}),
        "return_to_decorating" => json!({"task_number": task, "reason": "spelling"}),
        "move_to_stage" => json!({"task_number": task, "stage": "Decorating", "reason": "it fell"}),
        "assign" => json!({"task_number": task, "staff_id": crew.other.id}),
        "assign_many" => json!({"task_numbers": [task], "staff_id": crew.other.id}),
        "set_storage" => json!({"task_number": task, "location": "Store Fridge"}),
        "hold" | "cancel_order" => json!({"order_id": order, "reason": "a call"}),
        "release" | "complete_order" => json!({"order_id": order}),
        other => panic!("{other} is no action"),
    };
    let before = events(database, task).await.len();
    let answer = crew.behind(role).rpc(action, arguments).await;
    let written = events(database, task).await.len() - before;
    let found = (outcome(&answer), written);
    let wanted = (expected.clone(), usize::from(expected == "changed"));
    (found != wanted)
        .then(|| format!("{role} {action} in {state}: {found:?}, not {wanted:?}: {}", answer.body))
}

#[test]
fn every_case_of_the_document_is_so() {
    run(async {
        let (crew, database) = (&Crew::new().await, queries().await);
        let (changing, others): (Vec<_>, Vec<_>) =
            cases().into_iter().partition(|case| case.expected == "changed");
        assert_eq!(changing.len() + others.len(), 4 * 13 * 7, "each role, action and state");
        let changing = stream::iter(&changing).map(async |case| {
            let task = crew.task_in(&case.state).await;
            deviation(case, &task, crew, database).await
        });
        let mut deviations: Vec<_> = changing.buffer_unordered(AT_ONCE).collect().await;

        // What changes nothing can be tried on one and the same task.
        let mut tasks = HashMap::new();
        for state in others.iter().map(|case| &case.state) {
            if !tasks.contains_key(state) {
                tasks.insert(state, crew.task_in(state).await);
            }
        }
        for case in &others {
            deviations.push(deviation(case, &tasks[&case.state], crew, database).await);
        }
        let deviations: Vec<_> = deviations.into_iter().flatten().collect();
        assert_eq!(deviations, [""; 0]);
    });
}

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
