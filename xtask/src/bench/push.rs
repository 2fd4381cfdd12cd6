//! `cargo xtask bench push`: how long after an order Shopify's shops have the number that follows from it, at two orders a
//! second. Webhooks, the kick, the worker and its calls are those of a deployment; Shopify is the stand-in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{on_a_stack, quantile};
use crate::progress::{step, until};
use crate::stack::people::fill_shopify;
use crate::stack::postgres::{connect, explained};
use crate::stack::shopify::{Sent, delivery_id};
use crate::stack::{BANNOS, FLOURLANE, Stack};

/// Orders of each kind, and how far apart they are; those before them warm up.
const ORDERS_OF_A_KIND: usize = 120;
const EVERY: Duration = Duration::from_millis(500);
const WARM_UP: usize = 10;

/// How many SKUs are listed in both shops: pieces with a stock of their own, and cakes, of which ten share a board.
const OWN: usize = 1_000;
const CAKES: usize = 200;
const ON_A_BOARD: usize = 10;

/// How long the last pushes may take.
const LAST: Duration = Duration::from_secs(30);

/// A kind of order: of what it is, who sends it, and which shops are owed something by it.
struct Kind {
    title: &'static str,
    sold: fn(usize) -> Sold,
    partner: bool,
    owed: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        title: "webhook, each of another SKU",
        sold: |n| Sold { sku: format!("OWN-{n}"), stock: n },
        partner: false,
        owed: &[FLOURLANE],
    },
    Kind {
        title: "webhook, cakes that share boards",
        // The two boards in turns, so that each is needed once a second.
        sold: |n| Sold {
            sku: format!("CAKE-ON-BOARD-{}", n * 7 % (2 * ON_A_BOARD)),
            stock: n * 7 / ON_A_BOARD % 2,
        },
        partner: false,
        owed: &[FLOURLANE],
    },
    Kind {
        title: "partner's order, another SKU",
        sold: |n| Sold { sku: format!("OWN-{}", OWN / 2 + n), stock: n },
        partner: true,
        owed: &[BANNOS, FLOURLANE],
    },
];

/// What an order is of: one piece of this, which takes one of this stock.
struct Sold {
    sku: String,
    stock: usize,
}

/// An order that was taken, and when, in seconds.
struct Taken {
    sold: Sold,
    order_id: String,
    at: f64,
}

/// What became of the orders of a kind.
struct Outcome {
    /// How many ms each took, sorted.
    times: Vec<f64>,
    pushes: usize,
    calls: u64,
    cost: i64,
}

/// Runs the bench and prints its table.
///
/// # Errors
/// Where the stack does not start, an order is not taken, or a shop does not follow.
pub async fn run() -> Result<()> {
    on_a_stack(measure).await
}

async fn measure(stack: &mut Stack) -> Result<()> {
    let stack = &*stack;
    let database = connect(&stack.database_url()).await?;
    let sql =
        include_str!("push.sql").replace(":own", &OWN.to_string()).replace(":cakes", &CAKES.to_string());
    database.batch_execute(&format!("begin; {sql} commit")).await.map_err(explained)?;
    database.batch_execute("vacuum analyze").await.map_err(explained)?;
    fill_shopify(stack).await?;
    let mut outcomes = Vec::new();
    for kind in KINDS {
        outcomes.push(step(kind.title, outcome(stack, &database, kind)).await?);
    }
    println!("{}", table(&outcomes));
    Ok(())
}

fn table(outcomes: &[Outcome]) -> String {
    let rate = Duration::from_secs(1).as_millis() / EVERY.as_millis();
    let mut text = format!(
        "\n{ORDERS_OF_A_KIND} orders each, {rate} a second, {} SKUs listed in two shops; ms from the beginning of the\n\
         transaction that takes the order until the last shop that is owed something has taken it\n\n\
         {:<34} {:>7} {:>7} {:>7} {:>7} {:>9} {:>7} {:>7}\n",
        OWN + CAKES,
        "",
        "p50",
        "p95",
        "p99",
        "most",
        "pushes",
        "calls",
        "cost"
    );
    for (kind, Outcome { times, pushes, calls, cost }) in KINDS.iter().zip(outcomes) {
        let [p50, p95, p99, most] = [0.5, 0.95, 0.99, 1.0].map(|part| quantile(times, part));
        let each = |count: f64| count / (ORDERS_OF_A_KIND + WARM_UP) as f64;
        let [pushes, calls, cost] = [each(*pushes as f64), each(*calls as f64), each(*cost as f64)];
        text += &format!(
            "{:<34} {p50:>7.0} {p95:>7.0} {p99:>7.0} {most:>7.0} {pushes:>9.2} {calls:>7.2} {cost:>7.1}\n",
            kind.title
        );
    }
    text + "\npushes, calls and what they cost are those of both shops for an order; what is no push reads products that\n\
            are new. A shop has 100 points a second. 2000 ms are promised, 300 wanted"
}

/// Has orders of a kind come one after the other, and waits until the shops have followed them all.
async fn outcome(stack: &Stack, database: &tokio_postgres::Client, kind: &Kind) -> Result<Outcome> {
    let (before, start) = (used(stack)?, Instant::now());
    let client = Client::builder().tcp_nodelay(true).build()?;
    let orders = (0..WARM_UP + ORDERS_OF_A_KIND).map(async |n| {
        sleep_until(start + EVERY * u32::try_from(n)?).await;
        let sold = (kind.sold)(n);
        let order_id = match kind.partner {
            true => partner(stack, &client, &sold.sku).await?,
            false => sell(stack, &sold.sku).await?,
        };
        Ok(Taken { sold, order_id, at: 0.0 })
    });
    let taken = join_all(orders).await.into_iter().collect::<Result<Vec<_>>>()?;
    let taken = dated(database, taken).await?;
    let mut times = Vec::new();
    until(LAST, "every shop's number", async || {
        let found = times_of(stack, &taken, kind.owed)?;
        times = found.unwrap_or_default();
        Ok(!times.is_empty())
    })
    .await?;
    let mut times = times.split_off(WARM_UP);
    times.sort_by(f64::total_cmp);
    let after = used(stack)?;
    Ok(Outcome { times, pushes: after.0 - before.0, calls: after.1 - before.1, cost: after.2 - before.2 })
}

/// A customer of Bannos buys one; answers with the order's id.
async fn sell(stack: &Stack, sku: &str) -> Result<String> {
    let shopify = &stack.shopify;
    let sale = shopify.sell(&shopify.order(BANNOS, &[(sku, 1)])?)?;
    let mut sent = Vec::new();
    for webhook in &sale.webhooks {
        sent.push(taken(shopify.send(webhook).await?)?);
    }
    // And what tells of the levels that we have changed ourselves.
    for webhook in [BANNOS, FLOURLANE]
        .map(|shop| shopify.take_untold(shop))
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .concat()
    {
        taken(shopify.send(&webhook).await?)?;
    }
    order_id(&serde_json::from_str(&sent[0].answer)?)
}

fn taken(sent: Sent) -> Result<Sent> {
    ensure!(sent.taken(), "expected 200, but found {:?}: {}", sent.status, sent.answer);
    Ok(sent)
}

/// A partner orders one; answers with the order's id.
async fn partner(stack: &Stack, client: &Client, sku: &str) -> Result<String> {
    let product = json!({"title": "Piece", "sku": sku, "quantity": 1});
    let order = json!({"store": "bannos", "customer_name": "Café Sample", "due_date": "2026-12-15", "products": [product]});
    order_id(&stack.partner_order(client, &delivery_id(), &order)?.send().await?.json().await?)
}

fn order_id(answer: &Value) -> Result<String> {
    ensure!(answer["status"] == "created", "expected an order that is created, but found {answer}");
    Ok(answer["order_id"].as_str().context("expected an order_id")?.to_owned())
}

/// The orders in the sequence in which they were taken, and when, by the database's clock.
async fn dated(database: &tokio_postgres::Client, mut taken: Vec<Taken>) -> Result<Vec<Taken>> {
    let sql = "select order_id, extract(epoch from created_at)::float8 from ordak.orders";
    let rows = database.query(sql, &[]).await.map_err(explained)?;
    let at: BTreeMap<String, f64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for order in &mut taken {
        order.at = *at.get(&order.order_id).context("expected the order in the database")?;
    }
    taken.sort_by(|a, b| a.at.total_cmp(&b.at));
    Ok(taken)
}

/// How many ms after each order the last of the shops that are owed something had taken it; none where one has not.
///
/// The n-th order of a stock is there when what was pushed of the SKU that it is of is n.
fn times_of(stack: &Stack, taken: &[Taken], owed: &[&str]) -> Result<Option<Vec<f64>>> {
    let mut pushed = Vec::new();
    for shop in owed {
        pushed.push((*shop, pushes_of(stack, shop)?));
    }
    let mut ordered = BTreeMap::new();
    let mut times = Vec::new();
    for Taken { sold, at, .. } in taken {
        let units: &mut i64 = ordered.entry(sold.stock).or_default();
        *units += 1;
        let mut last = 0_f64;
        for (shop, pushes) in &pushed {
            let item = stack.shopify.variant(shop, &sold.sku)?.inventory_item;
            let followed = pushes.get(&item).and_then(|pushes| pushes.iter().find(|(_, sum)| sum >= units));
            let Some((followed, _)) = followed else { return Ok(None) };
            last = last.max(*followed);
        }
        times.push((last - at) * 1000.0);
    }
    Ok(Some(times))
}

/// What a shop has taken of each inventory item: when, and how many pieces less it had by then than at first.
fn pushes_of(stack: &Stack, shop: &str) -> Result<BTreeMap<i64, Vec<(f64, i64)>>> {
    let mut pushes: BTreeMap<i64, Vec<(f64, i64)>> = BTreeMap::new();
    for adjustment in stack.shopify.adjustments(shop)? {
        let at = adjustment.at.as_microsecond() as f64 / 1e6;
        for change in adjustment.changes {
            let of_item = pushes.entry(change.inventory_item).or_default();
            let before = of_item.last().map_or(0, |(_, sum)| *sum);
            of_item.push((at, before - change.delta));
        }
    }
    Ok(pushes)
}

/// How many pushes and calls both shops have had, and what these cost.
fn used(stack: &Stack) -> Result<(usize, u64, i64)> {
    let mut used = (0, 0, 0);
    for shop in [BANNOS, FLOURLANE] {
        let counts = stack.shopify.counts(shop)?;
        used.0 += stack.shopify.adjustments(shop)?.len();
        used.1 += counts.calls.values().sum::<u64>();
        used.2 += counts.cost;
    }
    Ok(used)
}
