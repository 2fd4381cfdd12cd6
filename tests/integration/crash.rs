//! A function that crashes: its host answers everybody and lives on.

use std::time::{Duration, Instant};

use crate::support::*;

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

async fn survives_crashes(host: Host) {
    let url = shared().crash(host);
    let ask = async |query: &str| Answer::of(reqwest::get(format!("{url}?{query}")).await.unwrap()).await;
    for way in ["panic", "trap", "overflow", "memory"] {
        let waiting: Vec<_> =
            (0..IN_FLIGHT).map(|_| tokio::spawn(Answer::get(format!("{url}?sleep=20000")))).collect();
        until_asleep(&url, IN_FLIGHT).await;
        let start = Instant::now();
        let crashed = ask(way).await;
        assert_eq!(crashed.said(), "500 SYS005", "{way} on {host:?}");
        assert!(crashed.header("x-request-id").is_some());
        for waiting in waiting {
            let answer = waiting.await.unwrap();
            assert_eq!(answer.said(), "503 SYS001", "{way} on {host:?}");
            assert!(answer.header("retry-after").is_some());
        }
        assert!(start.elapsed() < Duration::from_secs(10), "they were answered at once, not when they woke");
        assert_eq!(ask("").await.status, 200, "after {way} on {host:?}");
    }
    for _ in 0..10 {
        assert_eq!(ask("panic").await.said(), "500 SYS005");
    }
    assert_eq!(ask("").await.status, 200);
}

/// Waits until so many requests sleep inside the module, by its own count.
async fn until_asleep(url: &str, expected: usize) {
    while Answer::get(format!("{url}?asleep")).await.body != expected {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
