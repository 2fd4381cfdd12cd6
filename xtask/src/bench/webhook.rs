//! `cargo xtask bench webhook`: what a webhook costs, beside the same work by hand in TypeScript and beside
//! the database call alone.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use ordak_core::content::content;
use ordak_core::rpc::{Delivery, Ingest};
use ordak_core::signature::ShopifyKeys;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::process::Command;

use super::{on_a_stack, quantile};
use crate::project::root;
use crate::stack::order::{Line, Order};
use crate::stack::shopify::Webhook;
use crate::stack::supervise::Service;
use crate::stack::{Stack, serve_on_deno};

pub(super) const STORE: &str = "bannos.myshopify.com";

/// Requests of each kind in a round; a tick of the CPU clock is 10 ms, so there must be many.
const REQUESTS: usize = 1500;

/// Rounds, in which the kinds take turns, so that a busy moment of the machine meets all of them.
const ROUNDS: usize = 4;

/// Requests under way at once.
const CONNECTIONS: usize = 8;

/// Something that is measured.
struct Candidate {
    title: &'static str,
    url: String,
    /// The process whose CPU time is taken; none where there is no function.
    pid: Option<i32>,
    /// Ours and the TypeScript one take the webhook, the database its RPC.
    bare: bool,
    times: Vec<f64>,
    cpu: f64,
    seconds: f64,
}

/// A request that is ready to be sent.
pub(super) struct Prepared {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Runs the bench and prints its table.
///
/// # Errors
/// Where the stack does not start, or any request is not answered 200.
pub async fn run() -> Result<()> {
    on_a_stack(measure).await
}

async fn measure(stack: &mut Stack) -> Result<()> {
    let typescript = stack.start_server("bench-typescript", typescript).await?;
    let ours = stack.function_port("webhooks-shopify").context("the function runs")?;
    let pid = |service: Option<&Service>| service.map(Service::pid);
    let candidate = |title, url, pid, bare| Candidate {
        title,
        url,
        pid,
        bare,
        times: Vec::new(),
        cpu: 0.0,
        seconds: 0.0,
    };
    let path = ordak_core::route::WEBHOOKS_SHOPIFY.path;
    let mut candidates = [
        candidate(
            "our function",
            format!("http://127.0.0.1:{ours}{path}"),
            pid(stack.service("webhooks-shopify")),
            false,
        ),
        candidate(
            "TypeScript by hand",
            format!("http://127.0.0.1:{typescript}{path}"),
            pid(stack.service("bench-typescript")),
            false,
        ),
        candidate("the RPC alone", format!("{}/rest/v1/rpc/ingest", stack.url()), None, true),
    ];
    let mut next = 100_000;
    for round in 0..=ROUNDS {
        for candidate in &mut candidates {
            let requests = prepare(stack, candidate.bare, next)?;
            next += REQUESTS as i64;
            // The first round warms up: compiled code, connections, the database's caches.
            send(candidate, requests, round > 0).await?;
        }
    }
    let body = serde_json::to_vec(&order(1).body())?.len();
    println!("\n{body} bytes a webhook, {CONNECTIONS} connections, {} requests each\n", REQUESTS * ROUNDS);
    println!("{:<20} {:>16} {:>10} {:>10} {:>12}", "", "CPU ms/request", "p50 ms", "p95 ms", "requests/s");
    for candidate in &mut candidates {
        candidate.times.sort_by(f64::total_cmp);
        let count = candidate.times.len() as f64;
        let cpu = candidate.pid.map_or("–".into(), |_| format!("{:.3}", candidate.cpu / count * 1000.0));
        let rate = count / candidate.seconds;
        println!(
            "{:<20} {cpu:>16} {:>10.1} {:>10.1} {rate:>12.0}",
            candidate.title,
            quantile(&candidate.times, 0.5),
            quantile(&candidate.times, 0.95)
        );
    }
    println!("\nour CPU is {:.2} of the TypeScript's", candidates[0].cpu / candidates[1].cpu);
    Ok(())
}

fn typescript(port: u16, env: Vec<(String, String)>) -> Command {
    let flags = ["--node-modules-dir=manual", "--allow-net", "--allow-read"];
    let mut command = serve_on_deno(&root().join("bench/webhook.ts"), &flags, port, env);
    command.current_dir(root());
    command
}

/// A usual order, of some 13 KB: three cakes and two accessories.
fn order(number: i64) -> Order {
    Order::new(STORE, number).lines(vec![
        Line::new("Chocolate Fudge Cake", "Large / Chocolate", 1).with("Cake writing", "Happy 30th!"),
        Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 1).with("_origin", "product page"),
        Line::new("Matcha Cake", "Small Tall / Matcha", 1),
        Line::new("Sparkling Candle", "Gold", 3),
        Line::new("Happy Birthday Topper", "Silver", 1),
    ])
}

fn prepare(stack: &Stack, bare: bool, first: i64) -> Result<Vec<Prepared>> {
    (first..)
        .take(REQUESTS)
        .map(order)
        .map(|order| if bare { prepare_rpc(stack, &order) } else { prepare_webhook(stack, &order) })
        .collect()
}

/// The webhook that brings an order.
pub(super) fn prepare_webhook(stack: &Stack, order: &Order) -> Result<Prepared> {
    let webhook = Webhook::new("orders/create", STORE, order.body());
    let body = serde_json::to_vec(&webhook.body)?;
    Ok(Prepared { headers: headers(webhook.headers(&stack.keys.webhook_secret, &body)?)?, body })
}

/// What the function would send for the same webhook.
pub(super) fn prepare_rpc(stack: &Stack, order: &Order) -> Result<Prepared> {
    let Prepared { headers: signed, body } = prepare_webhook(stack, order)?;
    let mut keys = ShopifyKeys::default();
    keys.add(None, &stack.keys.webhook_secret);
    let text = |name: &str| signed.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let verified = keys.verify(&body, Some(text("x-shopify-hmac-sha256"))).ok().context("we signed it")?;
    let mut delivery = Delivery::new(verified, "orders/create", STORE);
    delivery.webhook_id = text("x-shopify-webhook-id").to_owned().into();
    let content = content("orders/create", &body).map_err(|error| anyhow::anyhow!("{error}"))?;
    let key = &stack.keys.service_role;
    let names = [
        ("apikey", key.clone()),
        ("authorization", format!("Bearer {key}")),
        ("content-type", "application/json".into()),
    ];
    let body = serde_json::to_vec(&Ingest { delivery: &delivery, content: &content })?;
    Ok(Prepared { headers: headers(names)?, body })
}

fn headers(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Result<HeaderMap> {
    let pair = |(name, value): (&'static str, String)| {
        Ok((HeaderName::from_static(name), HeaderValue::from_str(&value)?))
    };
    pairs.into_iter().map(pair).collect()
}

async fn send(candidate: &mut Candidate, requests: Vec<Prepared>, counts: bool) -> Result<()> {
    let client = reqwest::Client::builder().tcp_nodelay(true).pool_max_idle_per_host(CONNECTIONS).build()?;
    let (cpu, start) = (candidate.pid.map(cpu_seconds).transpose()?, Instant::now());
    let sends = requests.into_iter().map(|request| {
        let post = client.post(&candidate.url).headers(request.headers).body(request.body);
        async move {
            let start = Instant::now();
            let response = post.send().await?;
            ensure!(
                response.status() == 200,
                "expected 200, but found {}: {}",
                response.status(),
                response.text().await?
            );
            response.bytes().await?;
            Ok(start.elapsed().as_secs_f64() * 1000.0)
        }
    });
    let times: Vec<Result<f64>> =
        futures_util::stream::iter(sends).buffer_unordered(CONNECTIONS).collect().await;
    let times = times.into_iter().collect::<Result<Vec<_>>>()?;
    if counts {
        candidate.seconds += start.elapsed().as_secs_f64();
        if let (Some(pid), Some(before)) = (candidate.pid, cpu) {
            candidate.cpu += cpu_seconds(pid)? - before;
        }
        candidate.times.extend(times);
    }
    Ok(())
}

/// The CPU time that a process has used, all its threads together.
fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| {
        fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("/proc/<pid>/stat has changed")
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
