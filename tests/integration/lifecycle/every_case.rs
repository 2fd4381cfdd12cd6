//! Every case of docs/lifecycle.md: each action by each role on a task in each state.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio_postgres::Client;

use super::{Crew, events, outcome};
use crate::support::*;

/// How many cases are tried at once; other tests want the database too.
const AT_ONCE: usize = 8;

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
