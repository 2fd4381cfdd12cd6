//! `cargo xtask seed`: fills the database of a running `dev` with orders as a bakery has them after some years.
//!
//! Set-based SQL as the owner, in one transaction: it is for a development database alone, whose seed may write tables.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio_postgres::SimpleQueryMessage::CommandComplete;

use crate::stack::postgres::{connect, explained};
use crate::status;

/// What is made, one after the other, and the statements that make it; the last of them that writes rows writes these.
const STEPS: &[(&str, &str)] = &[
    ("orders", include_str!("seed/orders.sql")),
    ("lines", include_str!("seed/order_lines.sql")),
    ("tasks", include_str!("seed/tasks.sql")),
    ("stage times", include_str!("seed/stage_times.sql")),
    ("events", include_str!("seed/stage_events.sql")),
];

/// Tells the planner what is in the tables that were filled, and spares reads the question whether each row is visible.
const VACUUM: &str =
    "vacuum analyze ordak.orders, ordak.order_lines, ordak.tasks, ordak.stage_times, ordak.stage_events";

/// What `cargo xtask seed` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many orders to add.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    orders: u32,
    /// The folder that `dev` was given with --data.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// Fills the database of the running `dev` and prints what was made.
///
/// # Errors
/// Where no `dev` is running, or a statement fails; nothing is written then.
pub async fn run(arguments: Arguments) -> Result<()> {
    let env = status::env(arguments.data)?;
    let url = env.iter().find(|(name, _)| name == "DATABASE_URL").context("stack.env has no DATABASE_URL")?;
    let (start, mut last) = (Instant::now(), Instant::now());
    let done = |what: &str, rows: u64| {
        eprintln!("  ✓ {rows} {what} {:.1} s", last.elapsed().as_secs_f32());
        last = Instant::now();
    };
    fill(&url.1, None, arguments.orders, done).await?;
    println!("done in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Makes orders and all that belongs to them, and tells after each step how many rows of what there are.
///
/// Their numbers begin at `first`, else behind the highest there is, and from 1000000 on.
///
/// # Errors
/// Where a statement fails; nothing is written then.
pub async fn fill(url: &str, first: Option<i64>, orders: u32, mut done: impl FnMut(&str, u64)) -> Result<()> {
    let mut client = connect(url).await?;
    let transaction = client.transaction().await?;
    let behind = "select greatest(1000000, max(number) + 1) from ordak.orders";
    let first = match first {
        Some(first) => first,
        None => transaction.query_one(behind, &[]).await?.get(0),
    };
    for (what, sql) in STEPS {
        let sql = sql.replace(":orders", &orders.to_string()).replace(":first", &first.to_string());
        let messages = transaction
            .simple_query(&sql)
            .await
            .map_err(explained)
            .with_context(|| format!("make {what}"))?;
        let written = messages.iter().rev().find_map(|message| match message {
            CommandComplete(rows) if *rows > 0 => Some(*rows),
            _ => None,
        });
        done(what, written.unwrap_or_default());
    }
    transaction.commit().await?;
    client.batch_execute(VACUUM).await.map_err(explained).context("vacuum and analyze")
}
