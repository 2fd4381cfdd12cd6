//! `cargo xtask bench ingest`: what counting stock adds to taking an order: the same webhooks with tracking off and on,
//! and of products that are listed in both shops, so that what Shopify is owed is compared too. The worker has told it
//! everything before each order, as it has in a shop: an order that finds its listings marked already costs less.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ordak_core::route::WEBHOOKS_SHOPIFY;
use reqwest::Client;

use super::webhook::{Prepared, STORE, prepare_rpc, prepare_webhook};
use super::{on_a_stack, quantile};
use crate::progress::step;
use crate::seed::fill;
use crate::stack::Stack;
use crate::stack::order::{Line, Order};
use crate::stack::people::sign_up;
use crate::stack::postgres::{connect, explained};

/// How many items there are, four of five products of five parts each, and how many orders.
const ITEMS: i64 = 5_000;
const ORDERS: u32 = 200_000;

/// Tells the planner what is in the tables that were filled.
const VACUUM: &str =
    "vacuum analyze ordak.items, ordak.bom_lines, ordak.match_rules, ordak.listings, ordak.stock_moves";

/// Requests of each kind in a round, one after the other.
const REQUESTS: i64 = 4;

/// Rounds, in which the kinds take turns, so that a busy moment of the machine meets all of them; the first warm up.
const ROUNDS: usize = 60;
const WARM_UP: usize = 10;

/// Orders come much faster than in a shop, so nothing may wait for the next push; and the worker, which each of them
/// calls, has nothing to do, or what it takes of this machine would be measured as well.
const NO_WORKER: &str = "
update ordak.sync_settings set push_window = '0 seconds';
update ordak.sync_stores set backoff_until = now() + interval '1 day';";

/// Tells Shopify all that it is owed, as the worker does.
const TELL: &str = "do $$
declare
  v_store text;
  v_push  jsonb;
begin
  foreach v_store in array '{bannos,flourlane}'::text[] loop
    loop
      v_push := ordak.claim_push(v_store, gen_random_uuid());
      exit when v_push is null;
      perform ordak.apply_push((v_push ->> 'key')::uuid, now());
    end loop;
  end loop;
end
$$";

/// A kind of order: whether stock is counted, and of which products it is, from which on.
struct Kind {
    title: &'static str,
    tracking: bool,
    first: i64,
    webhook: Vec<f64>,
    rpc: Vec<f64>,
}

/// Runs the bench and prints its table.
///
/// # Errors
/// Where the stack does not start, or any request is not answered 200.
pub async fn run() -> Result<()> {
    on_a_stack(measure).await
}

/// Makes so many items, with bills, rules and listings.
///
/// # Errors
/// Where the database refuses.
pub async fn fill_stock(url: &str, items: i64) -> Result<()> {
    let client = connect(url).await?;
    let sql = include_str!("stock.sql").replace(":items", &items.to_string());
    client.batch_execute(&format!("begin; {sql} commit")).await.map_err(explained)?;
    client.batch_execute(VACUUM).await.map_err(explained)
}

async fn measure(stack: &mut Stack) -> Result<()> {
    sign_up(stack).await?;
    let url = stack.database_url();
    step(&format!("make {ORDERS} orders"), fill(&url, None, ORDERS, |_, _| {})).await?;
    step(&format!("make {ITEMS} items"), fill_stock(&url, ITEMS)).await?;
    let (database, client) = (connect(&url).await?, Client::builder().tcp_nodelay(true).build()?);
    let kind = |title, tracking, first| Kind { title, tracking, first, webhook: vec![], rpc: vec![] };
    let listed = ITEMS * 2 / 5;
    let mut kinds = [
        kind("not counted", false, 0),
        kind("counted", true, 0),
        kind("not counted, listed", false, listed),
        kind("counted, listed", true, listed),
    ];
    let webhooks = format!("{}{}", stack.url(), WEBHOOKS_SHOPIFY.path);
    let rpc = format!("{}/rest/v1/rpc/ingest", stack.url());
    database.batch_execute(NO_WORKER).await.map_err(explained)?;
    let mut next = 10_000_000;
    for round in 0..WARM_UP + ROUNDS {
        for kind in &mut kinds {
            let update = "update ordak.settings set inventory_tracking = $1 where store = 'bannos'";
            database.execute(update, &[&kind.tracking]).await?;
            for _ in 0..REQUESTS {
                let requests = [
                    (&mut kind.webhook, &webhooks, prepare_webhook(stack, &order(next, kind.first))?),
                    (&mut kind.rpc, &rpc, prepare_rpc(stack, &order(next + 1, kind.first))?),
                ];
                next += 2;
                for (times, url, request) in requests {
                    database.batch_execute(TELL).await.map_err(explained)?;
                    let time = send(&client, url, request).await?;
                    if round >= WARM_UP {
                        times.push(time);
                    }
                }
            }
        }
    }
    println!("{}", table(&mut kinds)?);
    Ok(())
}

/// Three cakes and two kinds of accessories.
fn order(number: i64, first: i64) -> Order {
    // Another product each, spread over the half that begins at the first.
    let product = |cake: i64| format!("PRODUCT-{}", first + (number * 3 + cake) * 7 % (ITEMS * 2 / 5));
    Order::new(STORE, number).lines(vec![
        Line::new("Chocolate Fudge Cake", "Large / Chocolate", 1).sku(product(0)),
        Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 1).sku(product(1)),
        Line::new("Matcha Cake", "Small Tall / Matcha", 1).sku(product(2)),
        Line::new("Sparkling Candle", "Gold", 3),
        Line::new("Happy Birthday Topper", "Silver", 1),
    ])
}

/// How many ms a request takes, which must be answered 200.
async fn send(client: &Client, url: &str, request: Prepared) -> Result<f64> {
    let start = Instant::now();
    let response = client.post(url).headers(request.headers).body(request.body).send().await?;
    let (status, body) = (response.status(), response.text().await?);
    ensure!(status == 200, "expected 200, but found {status}: {body}");
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

fn table(kinds: &mut [Kind]) -> Result<String> {
    let mut text = format!("\n{} orders each, one after the other; ms\n\n", ROUNDS * REQUESTS as usize);
    text += &format!(
        "{:<22} {:>22} {:>22}\n{:<22} {:>22} {:>22}\n",
        "", "webhook", "the RPC alone", "", "p50     p95", "p50     p95"
    );
    let mut before: Option<[f64; 4]> = None;
    for kind in kinds {
        for times in [&mut kind.webhook, &mut kind.rpc] {
            times.sort_by(f64::total_cmp);
        }
        let [a, b] = [&kind.webhook, &kind.rpc];
        let figures = [quantile(a, 0.5), quantile(a, 0.95), quantile(b, 0.5), quantile(b, 0.95)];
        text += &row(kind.title, figures, 1);
        before = match before {
            None => Some(figures),
            Some(off) => {
                let ratios = [0, 1, 2, 3].map(|at| figures[at] / off[at]);
                text += &row("ratio", ratios, 2);
                None
            }
        };
    }
    before.is_none().then_some(text).context("expected pairs")
}

fn row(title: &str, [a, b, c, d]: [f64; 4], decimals: usize) -> String {
    let pair = |a: f64, b: f64| format!("{a:.decimals$} {b:>7.decimals$}");
    format!("{title:<22} {:>22} {:>22}\n", pair(a, b), pair(c, d))
}
