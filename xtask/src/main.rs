//! `cargo xtask <command>`: parses the command line and dispatches.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

/// Everything that a developer of Ordak Edge runs.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every function into its WASM module and print what it weighs.
    Build,
    /// Start the whole system on this machine, or show its main job with --demo.
    Dev(xtask::dev::Arguments),
    /// Run every check and test, on a stack of their own.
    Test(xtask::test::Arguments),
    /// Measure what something costs.
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        what: Bench,
    },
    /// Write docs/api.md and the TypeScript types from the database's catalogue.
    Api,
    /// Fill the running `dev` with the orders of three years.
    ///
    /// They belong to all its stores. The newest are open, in every stage and due from some days ago to two weeks
    /// ahead; the others are complete or cancelled. The same count gives the same orders on the same day, numbered
    /// from 1000000. A second run adds more behind those, but never so many that more than some 5000 tasks are open.
    /// Whoever uses the `dev` meanwhile waits until all of them are there.
    Seed(xtask::seed::Arguments),
    /// Print where the running `dev` is.
    Status(xtask::status::Arguments),
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// A webhook: our function, the same by hand in TypeScript, and the database call alone.
    Webhook,
    /// The kitchen's reads: the queue, its search and its counts, with 2000 orders and with 200000.
    Queue,
    /// What counting stock adds to taking an order, among 5000 items and 200000 orders.
    Ingest,
    /// How soon Shopify follows an order: webhooks, the worker and its calls, at two orders a second.
    Push,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Dev(arguments) => xtask::dev::run(arguments).await?,
        Command::Test(arguments) => xtask::test::run(arguments).await?,
        Command::Api => xtask::api::run().await?,
        Command::Bench { what: Bench::Webhook } => xtask::bench::webhook::run().await?,
        Command::Bench { what: Bench::Queue } => xtask::bench::queue::run().await?,
        Command::Bench { what: Bench::Ingest } => xtask::bench::ingest::run().await?,
        Command::Bench { what: Bench::Push } => xtask::bench::push::run().await?,
        Command::Seed(arguments) => xtask::seed::run(arguments).await?,
        Command::Status(arguments) => print!("{}", xtask::status::text(arguments)?),
        Command::Build => print!("{}", xtask::build::table(&xtask::build::all().await?)),
    }
    Ok(())
}

/// What went wrong, outermost first, without a backtrace: it is for whoever ran the command.
fn chain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
