//! `cargo xtask dev --demo`: the main job, shown. Real-shaped signed deliveries of both stores, late, twice and
//! forged ones too, and a partner's order go through the public paths, stock moves with orders, and Shopify's shops follow;
//! what was answered, what stands in the database and what the shops show is printed and compared with what should be.

mod stock;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ordak_core::route::WEBHOOKS_SHOPIFY;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::bench::quantile;
use crate::stack::order::{Line, Order};
use crate::stack::postgres::connect;
use crate::stack::shopify::Webhook;
use crate::stack::{BANNOS, FLOURLANE, Stack};

/// How many more orders are sent, one after the other, to say how long one takes.
const TIMED: i64 = 200;

/// One request of the demo and what it must be answered: the HTTP status, and the `status` or `code` in the body.
struct Scene {
    title: &'static str,
    request: RequestBuilder,
    expected: &'static str,
}

/// What must stand in the database afterwards: the order and its tasks' numbers.
const EXPECTED: &[(&str, &str)] = &[
    ("bannos-25771", "B25771-A B25771-B"),
    ("bannos-25772", ""),
    ("bannos-900000", "B900000-A B900000-B"),
    ("flourlane-18617", "F18617-A F18617-B"),
    ("flourlane-18618", "F18618"),
    ("flourlane-18619", ""),
];

/// How many deliveries are kept as dead letters.
const DEAD_LETTERS: usize = 2;

/// Runs the demo against a stack with an empty database, whose worker is called by this schedule once shops are open.
///
/// # Errors
/// Where an answer or the database is not as expected, after everything was printed.
pub async fn run(stack: &mut Stack, schedule: Duration) -> Result<()> {
    let mut wrong = 0;
    println!("\n{:<52} {:<14} {:<14} {:>8}", "sent", "answered", "expected", "ms");
    for Scene { title, request, expected } in scenes(stack)? {
        let (found, elapsed) = play(request).await?;
        let mark = if found == expected { "" } else { "  ← not as expected" };
        wrong += usize::from(found != expected);
        println!("{title:<52} {found:<14} {expected:<14} {:>8.1}{mark}", elapsed.as_secs_f64() * 1000.0);
    }
    wrong += database(stack).await?;
    println!("\n{}\n", timed(stack).await?);
    wrong += stock::show(stack, schedule).await?;
    ensure!(wrong == 0, "{wrong} of the above are not as expected");
    println!("\nEverything was as expected.");
    Ok(())
}

fn scenes(stack: &Stack) -> Result<Vec<Scene>> {
    let (client, url) = (Client::new(), format!("{}{}", stack.url(), WEBHOOKS_SHOPIFY.path));
    let secret = &stack.keys.webhook_secret;
    let signed =
        |webhook: &Webhook, secret: &str, body: &str| webhook.request(&client, &url, secret, body.into());
    let send = |webhook: &Webhook| signed(webhook, secret, &webhook.body.to_string());
    let whole = |topic: &str, order: &Order| Webhook::new(topic, &order.shop_domain, order.body());
    let create = |order: &Order| whole("orders/create", order);

    let one = Order::new(BANNOS, 25771);
    let mut two = one.clone().at(10);
    two.lines.push(Line::new("Matcha Cake", "Small / Matcha", 1));
    let three = Order::new(FLOURLANE, 18617).lines(vec![
        Line::new("Chocolate Fudge Cake", "Large / Chocolate", 2).with("Cake writing", "Happy 30th!"),
        Line::new("Matcha Cake", "Small Tall / Matcha", 1),
        Line::new("Sparkling Candle", "Gold", 3),
    ]);
    let due = Some("Mon 14 Dec 2026 between 9:00 AM and 11:00 AM".into());
    let worded = Order { due, ..Order::new(FLOURLANE, 18618) };
    let candle = Order::new(BANNOS, 25772).lines(vec![Line::new("Number Candle", "7 / Silver", 1)]);
    let cancelled = Order::new(FLOURLANE, 18619);
    let first = create(&one);
    let refund = three.clone().refunded(10, 0, 1).refund_bodies().remove(0);
    let refund = Webhook::new("refunds/create", FLOURLANE, refund);
    let product = json!({"id": 7_513_594, "title": "Pavlova", "updated_at": "2026-11-20T09:30:00+11:00"});
    let product = Webhook::new("products/update", BANNOS, product);
    let cart = Webhook::new("carts/update", BANNOS, json!({"id": 1}));
    let stranger = Webhook { shop_domain: "somebody-else.myshopify.com".into(), ..first.clone() };
    let misled = Webhook { shop_domain: BANNOS.into(), ..create(&Order::new(FLOURLANE, 18620)) };
    let scenes = [
        ("Bannos: one cake", send(&first), "200 created"),
        ("Flourlane: three cakes and candles, to be split", send(&create(&three)), "200 created"),
        ("Flourlane: due date in words", send(&create(&worded)), "200 created"),
        ("Bannos: a candle alone, nothing to make", send(&create(&candle)), "200 created"),
        ("Bannos: the first order gets a second cake", send(&whole("orders/updated", &two)), "200 updated"),
        ("Flourlane: one of the three cakes is refunded", send(&refund), "200 updated"),
        (
            "Flourlane: cancelled, before it was created",
            send(&whole("orders/cancelled", &cancelled.clone().cancelled(5))),
            "200 created",
        ),
        ("Flourlane: what was cancelled is created, late", send(&create(&cancelled)), "200 skipped"),
        ("the first delivery again", send(&first), "200 skipped"),
        ("the first order, as it was, in a new delivery", send(&create(&one)), "200 skipped"),
        ("Bannos: two cakes for a partner", partner(stack, &client), "200 created"),
        ("the partner's request again", partner(stack, &client), "200 skipped"),
        ("a product", send(&product), "200 recorded"),
        ("a topic that we do not act on", send(&cart), "200 ignored"),
        ("a forged signature", signed(&first, "a guess", &first.body.to_string()), "401 AUTH001"),
        ("a store that is not ours", send(&stranger), "401 AUTH001"),
        ("an order of Flourlane's under Bannos' domain", send(&misled), "200 rejected"),
        ("a body that breaks off, rightly signed", signed(&first, secret, "{\"id\": 25"), "200 rejected"),
    ];
    let scene =
        |(title, request, expected): (_, Result<_>, _)| Ok(Scene { title, request: request?, expected });
    scenes.into_iter().map(scene).collect()
}

/// A partner's order, always the same.
fn partner(stack: &Stack, client: &Client) -> Result<RequestBuilder> {
    let cakes = json!({"title": "Vanilla Bliss Cake", "variant_title": "Medium / Vanilla", "quantity": 2});
    let order = json!({"store": "bannos", "customer_name": "Café Sample", "due_date": "2026-12-15", "products": [cakes]});
    stack.partner_order(client, "msg_1", &order)
}

/// Sends one request; answers with what it was answered, and how long it took.
async fn play(request: RequestBuilder) -> Result<(String, Duration)> {
    let start = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    let answer: Value = response.json().await?;
    let elapsed = start.elapsed();
    let word = answer["status"].as_str().or(answer["code"].as_str()).unwrap_or_default();
    Ok((format!("{status} {word}"), elapsed))
}

/// Prints the orders and tasks that stand in the database, and counts what is not as expected.
async fn database(stack: &Stack) -> Result<usize> {
    let client = connect(&stack.database_url()).await?;
    let rows = client
        .query(
            "select o.order_id, o.customer_name, coalesce(to_char(o.due_date, 'dd/mm/yyyy'), '–'), o.delivery_method,
                    coalesce(string_agg(t.number, ' ' order by t.number), ''),
                    case when o.cancelled_at is not null then 'cancelled'
                         else coalesce(string_agg(distinct t.stage::text, ' '), '–') end
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
    let letters = client.query("select reason from ordak.dead_letters order by id", &[]).await?;
    for letter in &letters {
        println!("dead letter: {}", letter.get::<_, String>(0));
    }
    let expected = EXPECTED.iter().map(|(order, tasks)| (order.to_string(), tasks.to_string()));
    Ok(usize::from(!found.into_iter().eq(expected)) + usize::from(letters.len() != DEAD_LETTERS))
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
    let line = json!({"id": 1, "title": "Vanilla Bliss Cake", "variant_title": "Medium / Vanilla", "quantity": 1, "price": "95.00"});
    let body = json!({
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
