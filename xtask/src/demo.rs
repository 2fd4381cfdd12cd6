//! `cargo xtask dev --demo`: the main job, shown. Real-shaped signed orders of both stores go through the
//! public path; what was answered and what stands in the database is printed and compared with what
//! should be.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ordak_core::route::WEBHOOKS_SHOPIFY;
use serde_json::Value;

use crate::bench::quantile;
use crate::stack::Stack;
use crate::stack::order::{Line, Order};
use crate::stack::postgres::connect;
use crate::stack::shopify::Webhook;

const BANNOS: &str = "bannos.myshopify.com";
const FLOURLANE: &str = "flour-lane.myshopify.com";

/// How many more orders are sent, one after the other, to say how long one takes.
const TIMED: i64 = 200;

/// One request of the demo and what it must be answered.
struct Scene {
    title: &'static str,
    webhook: Webhook,
    /// Sent instead of the webhook's JSON, where the body is to be no JSON.
    raw: Option<&'static str>,
    secret: String,
    status: u16,
    /// The `status` or `code` in the answer.
    word: &'static str,
}

/// What must stand in the database afterwards: the order and its tasks' numbers.
const EXPECTED: &[(&str, &str)] = &[
    ("bannos-25771", "B25771"),
    ("bannos-25772", ""),
    ("flourlane-18617", "F18617-A F18617-B F18617-C"),
    ("flourlane-18618", "F18618"),
];

/// Runs the demo against a stack with an empty database.
///
/// # Errors
/// Where an answer or the database is not as expected, after everything was printed.
pub async fn run(stack: &Stack) -> Result<()> {
    let mut wrong = 0;
    println!("\n{:<52} {:<14} {:<14} {:>8}", "sent", "answered", "expected", "ms");
    for scene in scenes(stack) {
        let (status, word, elapsed) = play(stack, &scene).await?;
        let (found, expected) = (format!("{status} {word}"), format!("{} {}", scene.status, scene.word));
        let mark = if found == expected { "" } else { "  ← not as expected" };
        wrong += usize::from(found != expected);
        println!(
            "{:<52} {found:<14} {expected:<14} {:>8.1}{mark}",
            scene.title,
            elapsed.as_secs_f64() * 1000.0
        );
    }
    wrong += database(stack).await?;
    println!("\n{}", timed(stack).await?);
    ensure!(wrong == 0, "{wrong} of the above are not as expected");
    println!("Everything was as expected.");
    Ok(())
}

fn scenes(stack: &Stack) -> Vec<Scene> {
    let create = |order: &Order| Webhook::new("orders/create", &order.shop_domain, order.body());
    let scene = |title, webhook: &Webhook, status, word| Scene {
        title,
        webhook: webhook.clone(),
        raw: None,
        secret: stack.keys.webhook_secret.clone(),
        status,
        word,
    };
    let single = create(&Order::new(BANNOS, 25771));
    let split = create(&Order::new(FLOURLANE, 18617).lines(vec![
        Line::new("Chocolate Fudge Cake", "Large / Chocolate", 2).with("Cake writing", "Happy 30th!"),
        Line::new("Matcha Cake", "Small Tall / Matcha", 1),
        Line::new("Sparkling Candle", "Gold", 3),
    ]));
    let worded = create(&Order {
        due: Some("Mon 14 Dec 2026 between 9:00 AM and 11:00 AM".into()),
        ..Order::new(FLOURLANE, 18618)
    });
    let candles = create(&Order::new(BANNOS, 25772).lines(vec![Line::new("Number Candle", "7 / Silver", 1)]));
    let again = Webhook::new("orders/create", BANNOS, single.body.clone());
    let product =
        Webhook::new("products/update", BANNOS, serde_json::json!({"id": 788_032_119_674_292_922_i64}));
    let stranger = Webhook { shop_domain: "somebody-else.myshopify.com".into(), ..again.clone() };
    vec![
        scene("Bannos: one cake", &single, 200, "created"),
        scene("Flourlane: three cakes and candles, to be split", &split, 200, "created"),
        scene("Flourlane: due date in words", &worded, 200, "created"),
        scene("Bannos: a candle alone, nothing to make", &candles, 200, "created"),
        scene("the first delivery again", &single, 200, "skipped"),
        scene("the first order in a new delivery", &again, 200, "skipped"),
        Scene { secret: "a guess".into(), ..scene("a forged signature", &single, 401, "AUTH001") },
        scene("a store that is not ours", &stranger, 401, "AUTH001"),
        Scene {
            raw: Some("{\"id\": 25"),
            ..scene("a body that breaks off, rightly signed", &again, 200, "rejected")
        },
        scene("a topic that we do not act on", &product, 200, "ignored"),
    ]
}

/// Sends one request; answers with its HTTP status, the word in the answer, and how long it took.
async fn play(stack: &Stack, scene: &Scene) -> Result<(u16, String, Duration)> {
    let body = scene.raw.map_or_else(|| serde_json::to_vec(&scene.webhook.body), |raw| Ok(raw.into()))?;
    let url = format!("{}{}", stack.url(), WEBHOOKS_SHOPIFY.path);
    let request = scene.webhook.request(&reqwest::Client::new(), &url, &scene.secret, body)?;
    let start = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    let answer: Value = response.json().await?;
    let word = answer["status"].as_str().or(answer["code"].as_str()).unwrap_or_default().to_owned();
    Ok((status, word, start.elapsed()))
}

/// Prints the orders and tasks that stand in the database, and counts what is not as expected.
async fn database(stack: &Stack) -> Result<usize> {
    let client = connect(&stack.database_url()).await?;
    let rows = client
        .query(
            "select o.order_id, o.customer_name, coalesce(to_char(o.due_date, 'dd/mm/yyyy'), '–'), o.delivery_method,
                    coalesce(string_agg(t.number, ' ' order by t.number), ''),
                    coalesce(string_agg(distinct t.stage::text, ' '), '–')
             from ordak.orders as o left join ordak.tasks as t on t.order_key = o.id
             group by o.id order by o.order_id",
            &[],
        )
        .await?;
    println!("\n{:<18} {:<14} {:<12} {:<10} {:<28} stage", "order", "customer", "due", "delivery", "tasks");
    let mut found = Vec::new();
    for row in &rows {
        let [order, customer, due, delivery, tasks, stage] =
            [0, 1, 2, 3, 4, 5].map(|column| row.get::<_, String>(column));
        println!("{order:<18} {customer:<14} {due:<12} {delivery:<10} {tasks:<28} {stage}");
        found.push((order, tasks));
    }
    let letters = client.query("select reason from ordak.dead_letters", &[]).await?;
    for letter in &letters {
        println!("dead letter: {}", letter.get::<_, String>(0));
    }
    let expected = EXPECTED.iter().map(|(order, tasks)| (order.to_string(), tasks.to_string()));
    Ok(usize::from(!found.into_iter().eq(expected)) + usize::from(letters.len() != 1))
}

/// How long a webhook takes, from the sender's side, one after the other.
async fn timed(stack: &Stack) -> Result<String> {
    let mut times = Vec::new();
    for number in 30_000..30_000 + TIMED {
        let order = Order::new(BANNOS, number);
        let sent = stack.shopify.send(&Webhook::new("orders/create", BANNOS, order.body())).await?;
        ensure!(sent.status == Some(200), "expected 200, but found {:?}: {}", sent.status, sent.answer);
        times.push(sent.duration_ms);
    }
    times.sort_by(f64::total_cmp);
    let mut text = String::new();
    write!(
        text,
        "{TIMED} more orders, one after the other: p50 {:.1} ms, p95 {:.1} ms",
        quantile(&times, 0.5),
        quantile(&times, 0.95)
    )?;
    Ok(text)
}

/// A signed request that can be pasted into a shell as it is.
///
/// # Errors
/// Where the stack's secret is empty.
pub fn curl(stack: &Stack) -> Result<String> {
    let order = Order::new(BANNOS, 1);
    let line = serde_json::json!({"id": 1, "title": "Vanilla Bliss Cake", "variant_title": "Medium / Vanilla", "quantity": 1, "price": "95.00"});
    let body = serde_json::json!({
        "id": order.id, "order_number": 1, "created_at": "2026-11-20T09:30:00+11:00", "updated_at": "2026-11-20T09:30:00+11:00",
        "currency": "AUD", "total_price": "95.00", "customer": {"first_name": "Mia", "last_name": "Sample"},
        "note_attributes": [{"name": "Local Delivery Date and Time", "value": "15/12/2026 between 10:00 AM and 12:00 PM"}],
        "line_items": [line],
    })
    .to_string();
    let webhook = Webhook::new("orders/create", BANNOS, Value::Null);
    let mut text = format!("  curl {}{} \\\n", stack.url(), WEBHOOKS_SHOPIFY.path);
    for (name, value) in webhook.headers(&stack.keys.webhook_secret, body.as_bytes())? {
        writeln!(text, "    -H '{name}: {value}' \\")?;
    }
    writeln!(text, "    --data-raw '{body}'")?;
    Ok(text)
}
