//! `cargo xtask bench queue`: what the kitchen's reads cost as Staff through the gateway, with the orders of some
//! weeks and then with those of years.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{on_a_stack, quantile};
use crate::progress::step;
use crate::seed::fill;
use crate::stack::Stack;
use crate::stack::people::{log_in, sign_up};

/// How many orders there are at the first measurement and at the second.
const ORDERS: [u32; 2] = [2_000, 200_000];

/// Calls of each kind; the kinds take turns, so that a busy moment of the machine meets all of them.
const CALLS: usize = 300;

/// Calls before them, which warm up: connections, plans, the database's caches.
const WARM_UP: usize = 30;

/// The page that stands for a later one.
const LATER: usize = 10;

/// Runs the bench and prints its table.
///
/// # Errors
/// Where the stack does not start, or any call is not answered 200.
pub async fn run() -> Result<()> {
    on_a_stack(measure).await
}

async fn measure(stack: &mut Stack) -> Result<()> {
    sign_up(stack).await?;
    let token = log_in(stack, "bannos@bakery.example").await?;
    let mut there = 0;
    let mut found = Vec::new();
    for orders in ORDERS {
        let url = stack.database_url();
        step(&format!("make {orders} orders"), fill(&url, None, orders - there, |_, _| {})).await?;
        there = orders;
        found.push(step(&format!("read among {orders} orders"), times(stack, &token)).await?);
    }
    let (small, large) = (&found[0], &found[1]);
    println!("\n{CALLS} calls each, one after the other, as Staff through the gateway; p50 and p95 in ms\n");
    let title = |orders: u32| format!("{orders} orders");
    println!("{:<22} {:>20} {:>20} {:>12}", "", title(ORDERS[0]), title(ORDERS[1]), "p95 ratio");
    for ((what, few), (_, many)) in small.iter().zip(large) {
        let figures = |times: &[f64]| format!("{:.1} {:>7.1}", quantile(times, 0.5), quantile(times, 0.95));
        let ratio = quantile(many, 0.95) / quantile(few, 0.95);
        println!("{what:<22} {:>20} {:>20} {ratio:>12.2}", figures(few), figures(many));
    }
    Ok(())
}

/// How long the calls of each kind take, sorted.
async fn times(stack: &Stack, token: &str) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let client = Client::builder().tcp_nodelay(true).build()?;
    let call = |name: &str, arguments: &Value| {
        let post = client.post(format!("{}/rest/v1/rpc/{name}", stack.url()));
        post.header("apikey", &stack.keys.publishable).bearer_auth(token).json(arguments)
    };
    let (mut after, mut number) = (Value::Null, Value::Null);
    for _ in 1..LATER {
        let page: Value = answer(call("queue", &json!({"after": after}))).await?;
        (after, number) = (page["next"].clone(), page["tasks"][0]["task_number"].clone());
        ensure!(after.is_string(), "expected {LATER} pages in the queue, but found fewer");
    }
    let kinds = [
        ("first page", "queue", json!({})),
        ("page 10", "queue", json!({"after": after})),
        ("one stage", "queue", json!({"stage": "Decorating"})),
        ("search by customer", "queue", json!({"search": "smith"})),
        ("search by number", "queue", json!({"search": number})),
        ("a task by its number", "find_task", json!({"code": number})),
        ("counts", "stage_counts", json!({"store": "bannos"})),
    ];
    let mut times = kinds.each_ref().map(|(what, ..)| (*what, Vec::new()));
    for round in 0..WARM_UP + CALLS {
        for ((_, name, arguments), (_, times)) in kinds.iter().zip(&mut times) {
            let start = Instant::now();
            answer(call(name, arguments)).await?;
            if round >= WARM_UP {
                times.push(start.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    for (_, times) in &mut times {
        times.sort_by(f64::total_cmp);
    }
    Ok(times.into())
}

/// The body of an answer, which must be 200.
async fn answer(request: RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status == 200, "expected 200, but found {status}: {body}");
    serde_json::from_str(&body).context("expected JSON")
}
