//! Many people at once: of two calls one wins cleanly, nothing waits in a ring, and the events tell what became of
//! every task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::lifecycle::{Crew, STAGES, outcome, start_shift};
use crate::support::dice::Dice;
use crate::support::*;

/// One event of a task, with what the task was afterwards.
#[derive(Debug)]
struct Event {
    action: String,
    from: usize,
    to: usize,
    pass: i32,
    assignee: Option<i64>,
    storage: Option<String>,
    reason: Option<String>,
}

/// What a task is, as far as people change it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    stage: usize,
    pass: i32,
    assignee: Option<i64>,
    storage: Option<String>,
    printed: bool,
    held: bool,
    cancelled: bool,
    /// Of each pass and stage, whether it was started and whether it was completed.
    times: BTreeMap<(i32, usize), (bool, bool)>,
}

const PACKING: usize = 3;
const COMPLETE: usize = 4;

impl State {
    /// What a new task becomes through its events, each of which must be possible where it stands.
    fn replay(events: &[Event]) -> Result<State, String> {
        let new = State { pass: 1, ..State::default() };
        events.iter().try_fold(new, |state, event| {
            state.clone().after(event).map_err(|why| format!("{why}: {event:?} after {state:?}"))
        })
    }

    fn after(mut self, event: &Event) -> Result<State, &'static str> {
        let must = |holds: bool, why| if holds { Ok(()) } else { Err(why) };
        let (action, open) = (event.action.as_str(), self.stage != COMPLETE);
        must(event.from == self.stage, "it was in another stage")?;
        must(!self.cancelled, "it was cancelled")?;
        let while_held = ["assign", "unassign", "storage", "release", "cancel"].contains(&action);
        must(!self.held || while_held, "it was on hold")?;
        let reasoned = ["return", "move", "hold", "cancel"].contains(&action);
        must(event.reason.is_some() == reasoned, "a reason is missing, or there without need")?;
        match action {
            "print" => {
                must(!self.printed || self.stage == 0 && !self.time().0, "it was printed before")?;
                self.printed = true;
                if self.stage == 0 {
                    self.start();
                }
            }
            "start" => {
                must(open && !self.time().0, "it was started, or complete")?;
                self.start();
            }
            "complete" => {
                must(open, "it was complete")?;
                self.time().1 = true;
                self.go(self.stage + 1);
                if self.stage != COMPLETE {
                    self.assignee = None;
                }
            }
            "return" => {
                must(self.stage == PACKING, "it was not in Packing")?;
                self.go(PACKING - 1);
                self.assignee = None;
            }
            "move" | "finish" => {
                must(event.to != self.stage, "it stayed where it was")?;
                must(action == "move" || event.to == COMPLETE, "it was not finished")?;
                self.go(event.to);
                if self.stage == COMPLETE {
                    self.times.entry((self.pass, PACKING)).or_default().1 = true;
                }
                self.assignee = None;
            }
            "assign" => {
                must(open && event.assignee.is_some() && event.assignee != self.assignee, "it was theirs")?;
                self.assignee = event.assignee;
            }
            "unassign" => {
                must(open && self.assignee.is_some(), "it was nobody's")?;
                self.assignee = None;
            }
            "storage" => {
                must(event.storage != self.storage, "it stood there")?;
                self.storage.clone_from(&event.storage);
            }
            "hold" => self.held = true,
            "release" => {
                must(self.held, "it was not on hold")?;
                self.held = false;
            }
            "cancel" => {
                self.cancelled = true;
                self.assignee = self.assignee.filter(|_| !open);
            }
            _ => return Err("nobody knows this action"),
        }
        let told = (event.to, event.pass, event.assignee, &event.storage);
        must(told == (self.stage, self.pass, self.assignee, &self.storage), "it tells something else")?;
        Ok(self)
    }

    /// Goes to another stage; back is a new pass, and Packing starts by itself.
    fn go(&mut self, stage: usize) {
        self.pass += i32::from(stage < self.stage);
        self.stage = stage;
        if stage == PACKING {
            self.start();
        }
    }

    fn start(&mut self) {
        self.time().0 = true;
    }

    fn time(&mut self) -> &mut (bool, bool) {
        self.times.entry((self.pass, self.stage)).or_default()
    }
}

fn stage(name: &str) -> usize {
    STAGES.iter().position(|stage| *stage == name).unwrap()
}

/// The events of a task, in order.
async fn events(database: &Client, task: &str) -> Vec<Event> {
    let sql = "select e.action, e.from_stage::text, e.to_stage::text, e.pass, e.assignee, e.storage, e.reason
               from ordak.stage_events as e join ordak.tasks as t on t.id = e.task
               where t.number = $1 order by e.id";
    let rows = database.query(sql, &[&task]).await.unwrap();
    let event = |row: &tokio_postgres::Row| Event {
        action: row.get(0),
        from: stage(row.get(1)),
        to: stage(row.get(2)),
        pass: row.get(3),
        assignee: row.get(4),
        storage: row.get(5),
        reason: row.get(6),
    };
    rows.iter().map(event).collect()
}

/// What the tables say about a task.
async fn state(database: &Client, task: &str) -> State {
    let sql = "select t.stage::text, t.pass, t.assignee, t.storage, t.printed_at is not null, o.held_at is not null,
                      o.cancelled_at is not null, (t.cancelled_at is not null) = (o.cancelled_at is not null)
               from ordak.tasks as t join ordak.orders as o on o.id = t.order_key
               where t.number = $1";
    let row = database.query_one(sql, &[&task]).await.unwrap();
    assert!(row.get::<_, bool>(7), "{task} and its order disagree whether it is cancelled");
    let sql = "select s.pass, s.stage::text, s.started_at is not null, s.completed_at is not null
               from ordak.stage_times as s join ordak.tasks as t on t.id = s.task
               where t.number = $1";
    let times = database.query(sql, &[&task]).await.unwrap();
    State {
        stage: stage(row.get(0)),
        pass: row.get(1),
        assignee: row.get(2),
        storage: row.get(3),
        printed: row.get(4),
        held: row.get(5),
        cancelled: row.get(6),
        times: times
            .iter()
            .map(|time| ((time.get(0), stage(time.get(1))), (time.get(2), time.get(3))))
            .collect(),
    }
}

/// Fails where a task's events do not lead to what it is.
async fn assert_replays(database: &Client, task: &str) {
    assert_eq!(State::replay(&events(database, task).await), Ok(state(database, task).await), "{task}");
}

/// The actions among a task's events.
async fn actions(database: &Client, task: &str) -> Vec<String> {
    events(database, task).await.into_iter().map(|event| event.action).collect()
}

#[test]
fn of_twenty_who_complete_a_stage_at_once_one_does() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, tasks) = take_order(BANNOS, 1).await;
        let task = &tasks[0];
        crew.supervisor.does("assign", json!({"task_number": task, "staff_id": crew.staff.id})).await;
        for name in &STAGES[..4] {
            let complete = json!({"task_number": task, "stage": name});
            let people = [&crew.staff, &crew.supervisor, &crew.admin].into_iter().cycle().take(20);
            let answers =
                join_all(people.map(|person| person.does("complete_stage", complete.clone()))).await;
            assert_eq!(answers.iter().filter(|answer| answer["changed"] == true).count(), 1, "{name}");
            if *name != "Packing" {
                let assign = json!({"task_number": task, "staff_id": crew.staff.id});
                crew.supervisor.does("assign", assign).await;
            }
        }
        let done = actions(database, task).await;
        assert_eq!(done, ["assign", "complete"].repeat(4), "one event for each stage");
        assert_replays(database, task).await;
    });
}

#[test]
fn of_two_who_assign_at_once_the_last_one_wins_and_both_are_told() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let (_, tasks) = take_order(BANNOS, 10).await;
        join_all(tasks.iter().map(async |task| {
            let assign = async |by: &Person, to: &Person| {
                by.does("assign", json!({"task_number": task, "staff_id": to.id})).await["changed"].clone()
            };
            let (one, two) =
                tokio::join!(assign(&crew.supervisor, &crew.staff), assign(&crew.admin, &crew.other));
            assert_eq!((one, two), (json!(true), json!(true)), "{task}");
            assert_eq!(actions(database, task).await, ["assign", "assign"]);
            assert_replays(database, task).await;
        }))
        .await;
    });
}

#[test]
fn of_a_cancel_and_the_last_completion_at_once_one_wins() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        for _ in 0..10 {
            let (order, tasks) = take_order(BANNOS, 1).await;
            let task = &tasks[0];
            let pack = json!({"task_number": task, "stage": "Packing", "reason": "in a hurry"});
            crew.admin.does("move_to_stage", pack).await;
            let (complete, cancel) = tokio::join!(
                crew.admin.rpc("complete_stage", json!({"task_number": task, "stage": "Packing"})),
                crew.supervisor.rpc("cancel_order", json!({"order_id": order, "reason": "a call"})),
            );
            let last = match (outcome(&complete).as_str(), outcome(&cancel).as_str()) {
                ("changed", "ORD003") => "complete",
                ("ORD003", "changed") => "cancel",
                both => panic!("{both:?}"),
            };
            assert_eq!(actions(database, task).await, ["move", last]);
            assert_replays(database, task).await;
        }
    });
}

#[test]
fn many_orders_are_locked_in_one_order_whatever_order_they_are_named_in() {
    run(async {
        let (crew, queries) = (Crew::new().await, queries().await);
        let mut orders = Vec::new();
        for _ in 0..3 {
            orders.push(take_order(BANNOS, 1).await);
        }
        let ids: Vec<_> = orders.iter().map(|(order, _)| order.clone()).collect();
        let numbers: Vec<_> = orders.iter().rev().map(|(_, tasks)| &tasks[0]).collect();
        let mut other = database(&shared().stack).await;
        let transaction = other.transaction().await.unwrap();
        let lock = "select order_id from ordak.orders where order_id = any ($1) for no key update";
        transaction.query(lock, &[&vec![&ids[1]]]).await.unwrap();

        let assign = json!({"task_numbers": numbers, "staff_id": crew.staff.id});
        let call = crew.supervisor.does("assign_many", assign);
        let free = format!("{lock} skip locked");
        let waits = until("a call that has locked the first order and waits for the second", async || {
            let rows = queries.query(&free, &[&ids]).await.unwrap();
            (rows.len() == 1 && rows[0].get::<_, String>(0) == ids[2]).then_some(())
        });
        let release = async {
            waits.await;
            transaction.rollback().await.unwrap();
        };
        let (assigned, ()) = tokio::join!(call, release);
        assert_eq!(assigned["assigned"].as_array().unwrap().len(), 3);
    });
}

impl Dice {
    fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    /// Any call, as often as it happens in a kitchen where much goes wrong.
    fn call(&mut self, orders: &[(String, Vec<String>)], staff: &[&Person]) -> (&'static str, Value) {
        let (order, tasks) = self.one_of(orders);
        let (task, person) = (self.one_of(tasks), self.one_of(staff));
        let (stage, any) = (self.one_of(&STAGES[..4]), self.one_of(&STAGES));
        let location = self.one_of(&[Some("Store Fridge"), Some("Store Freezer"), None]);
        match self.roll(1000) {
            0..80 => ("print_ticket", json!({"task_number": task})),
            80..200 => ("start_stage", json!({"task_number": task, "stage": stage})),
            200..410 => ("complete_stage", json!({"task_number": task, "stage": stage})),
            410..420 => {
                let cakes = json!([{"product_title": "Bliss Cake", "quantity": 2}]);
                ("create_manual_order", json!({"store": "bannos", "customer_name": "Ada", "cakes": cakes}))
            }
            420..435 => {
                let changes = json!({"notes": format!("number {}", self.roll(100)), "due_date": null});
                ("edit_order", json!({"order_id": order, "version": 1 + self.roll(3), "changes": changes}))
            }
            435..450 => {
                let changes = json!({"cake_writing": format!("number {}", self.roll(100))});
                ("edit_task", json!({"task_number": task, "version": 1 + self.roll(3), "changes": changes}))
            }
            450..530 => ("return_to_decorating", json!({"task_number": task, "reason": "spelling"})),
            530..600 => ("move_to_stage", json!({"task_number": task, "stage": any, "reason": "it fell"})),
            600..700 => ("assign", json!({"task_number": task, "staff_id": person.id})),
            700..740 => {
                let many: Vec<_> = (0..10).flat_map(|_| self.one_of(orders).1.clone()).collect();
                ("assign_many", json!({"task_numbers": many, "staff_id": person.id}))
            }
            740..780 => ("unassign", json!({"task_number": task})),
            780..880 => ("set_storage", json!({"task_number": task, "location": location})),
            880..886 => ("start_shift", json!({"store": "bannos"})),
            886..890 => (
                *self.one_of(&["end_shift", "start_break", "end_break", "end_break"]),
                json!({"staff_id": null}),
            ),
            890..910 => ("hold", json!({"order_id": order, "reason": "a call"})),
            910..985 => ("release", json!({"order_id": order})),
            985..995 => ("complete_order", json!({"order_id": order})),
            _ => ("cancel_order", json!({"order_id": order, "reason": "a call"})),
        }
    }
}

/// How long the storm lasts, and how many calls it makes at most, eight at once.
const STORM: Duration = Duration::from_secs(15);
const CALLS: usize = 6000;
const CALLERS: usize = 8;

#[test]
fn after_a_storm_of_calls_the_events_tell_what_every_task_is() {
    run(async {
        let (crew, database) = (Crew::new().await, queries().await);
        let everywhere = [Person::staff("Staff", None).await, Person::staff("Admin", None).await];
        start_shift(&everywhere[0]).await;
        let cakes = [1, 3, 1, 2, 1, 2].into_iter().cycle().take(30);
        let orders = join_all(cakes.map(|cakes| take_order(BANNOS, cakes))).await;
        assert_eq!(orders.iter().map(|(_, tasks)| tasks.len()).sum::<usize>(), 50);
        let staff = [&crew.staff, &crew.other, &everywhere[0]];
        let people = [&crew.supervisor, &crew.admin, &everywhere[1], staff[0], staff[1], staff[2]];

        let start = Instant::now();
        let callers = (1..=CALLERS).map(async |seed| {
            let mut dice = Dice(seed as u64);
            let mut said = BTreeMap::new();
            for _ in 0..CALLS / CALLERS {
                if start.elapsed() > STORM {
                    break;
                }
                let (name, arguments) = dice.call(&orders, &staff);
                let answer = dice.one_of(&people).rpc(name, arguments.clone()).await;
                assert!(answer.status < 500, "{name} {arguments}: {answer:?}");
                *said.entry(outcome(&answer)).or_insert(0) += 1;
            }
            said
        });
        let mut said: BTreeMap<String, usize> = BTreeMap::new();
        for (word, times) in join_all(callers).await.into_iter().flatten() {
            *said.entry(word).or_default() += times;
        }
        println!("{said:?} in {:?}", start.elapsed());
        let expected = ["AUTH002", "ORD002", "ORD003", "ORD006", "changed", "unchanged"];
        assert!(said.keys().eq(expected), "{said:?}");

        let mut seen = BTreeSet::new();
        for task in orders.iter().flat_map(|(_, tasks)| tasks) {
            assert_replays(database, task).await;
            seen.extend(actions(database, task).await);
        }
        assert!(seen.len() >= 10, "most actions happened: {seen:?}");
    });
}

#[test]
fn a_story_that_cannot_be_is_found() {
    let event = |action: &str, from, to, pass| Event {
        action: action.to_owned(),
        from,
        to,
        pass,
        assignee: None,
        storage: None,
        reason: ["return", "cancel"].contains(&action).then(|| "a call".to_owned()),
    };
    let stories = [
        vec![event("complete", 1, 2, 1)],
        vec![event("complete", 0, 2, 1)],
        vec![event("return", 0, 2, 2)],
        vec![event("print", 0, 0, 1), event("print", 0, 0, 1)],
        vec![event("cancel", 0, 0, 1), event("complete", 0, 1, 1)],
        vec![event("complete", 0, 1, 2)],
        vec![event("release", 0, 0, 1)],
        vec![event("hold", 0, 0, 1)],
        vec![event("assign", 0, 0, 1)],
    ];
    for story in stories {
        assert!(State::replay(&story).is_err(), "{story:?}");
    }
    let good = [event("complete", 0, 1, 1), event("cancel", 1, 1, 1)];
    assert!(State::replay(&good).is_ok_and(|state| state.stage == 1 && state.cancelled));
}
