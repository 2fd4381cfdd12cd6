//! A function that crashes: its host answers everybody and lives on.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Mutex;
use xtask::build::CRASH_FUNCTION;

use crate::support::*;

/// A crash on a host takes every request along: these tests run one after the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// How many requests are inside the module when it crashes.
const IN_FLIGHT: usize = 20;

#[test]
fn deno_survives_crashes() {
    run(survives_crashes(Host::Deno));
}

#[test]
fn workerd_survives_crashes() {
    run(survives_crashes(Host::Workerd));
}

#[test]
fn deno_survives_crashes_after_the_answer() {
    run(survives_crashes_after_the_answer(Host::Deno));
}

#[test]
fn workerd_survives_crashes_after_the_answer() {
    run(survives_crashes_after_the_answer(Host::Workerd));
}

async fn survives_crashes(host: Host) {
    let _turn = TURN.lock().await;
    let url = shared().crash(host);
    let ask = async |query: &str| Answer::get(format!("{url}?{query}")).await;
    for way in ["panic", "trap", "overflow", "memory"] {
        let ids: Vec<_> = (0..IN_FLIGHT).map(|at| format!("{way}-{host:?}-{at}")).collect();
        let waiting: Vec<_> = ids
            .iter()
            .map(|id| {
                let request = client().get(format!("{url}?sleep=20000")).header("x-request-id", id);
                tokio::spawn(Answer::to(request))
            })
            .collect();
        let asleep = async || Answer::get(format!("{url}?asleep")).await.body == IN_FLIGHT;
        until("every request asleep in the module", async || asleep().await.then_some(())).await;
        let start = Instant::now();
        let guilty = format!("{way}-{host:?}");
        let crashed = Answer::to(client().get(format!("{url}?{way}")).header("x-request-id", &guilty)).await;
        assert_eq!(crashed.said(), "500 SYS005", "{way} on {host:?}");
        assert_eq!(crashed.header("x-request-id"), Some(guilty.as_str()));
        for (waiting, id) in waiting.into_iter().zip(&ids) {
            let answer = waiting.await.unwrap();
            assert_eq!(answer.said(), "503 SYS001", "{way} on {host:?}");
            assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
            assert!(answer.header("retry-after").is_some());
        }
        assert!(start.elapsed() < Duration::from_secs(10), "they were answered at once, not when they woke");
        assert_eq!(ask("").await.status, 200, "after {way} on {host:?}");
        logged(host, &guilty, "SYS005", 500).await;
        for id in &ids {
            logged(host, id, "SYS001", 503).await;
        }
    }
    for _ in 0..10 {
        assert_eq!(ask("panic").await.said(), "500 SYS005");
    }
    assert_eq!(ask("").await.status, 200);
}

/// Work that goes on after the answer takes nobody along but those who were inside, and they may come again.
async fn survives_crashes_after_the_answer(host: Host) {
    let _turn = TURN.lock().await;
    let url = shared().crash(host);
    let ask = async |query: &str| Answer::get(format!("{url}?{query}")).await;
    for way in ["panic", "trap"] {
        let waiting = tokio::spawn(Answer::get(format!("{url}?sleep=20000")));
        let asleep = async || ask("asleep").await.body == 1;
        until("a request asleep in the module", async || asleep().await.then_some(())).await;
        let start = Instant::now();
        assert_eq!(ask(&format!("later&{way}")).await.body, "later");
        assert_eq!(waiting.await.unwrap().said(), "503 SYS001", "{way} on {host:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "it was answered at once, not when it woke");
        assert_eq!(ask("").await.status, 200, "after {way} on {host:?}");
    }
    // And a request that crashes is to blame itself, whatever goes on beside it.
    assert_eq!(ask("later&sleep=20000").await.body, "later");
    until("work asleep", async || (ask("asleep").await.body == 1).then_some(())).await;
    assert_eq!(ask("panic").await.said(), "500 SYS005");
    assert_eq!(ask("asleep").await.body, 0);
}

/// A request that a crash ended has its one line in the log, as if it had lived.
async fn logged(host: Host, id: &str, outcome: &str, status: u16) {
    let log = shared().log(host, CRASH_FUNCTION, Variant::Plain);
    let line = log_line(&log, &format!("of the request {id}"), |line| line["request_id"] == id).await;
    assert_eq!(
        (&line["outcome"], &line["status"], &line["level"]),
        (&json!(outcome), &json!(status), &json!("error"))
    );
    assert!(line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    let lines = log_lines(&log).iter().filter(|line| line["request_id"] == id).count();
    assert_eq!(lines, 1, "{id} in {}", log.display());
}
