//! `cargo xtask dev`: builds, starts the stack, says where it is and how to try it, stops it on Ctrl-C.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use nix::fcntl::{Flock, FlockArg};
use tokio::signal::unix::{SignalKind, signal};

use crate::build;
use crate::demo;
use crate::files::write_private;
use crate::progress::step;
use crate::project::{root, scratch};
use crate::stack::people::{self, PASSWORD, PEOPLE};
use crate::stack::{BANNOS, ENV_FILE, Options, Stack};

/// The gateway's port unless another is asked for; the Supabase CLI's is the same.
const PORT: u16 = 54321;

/// How often the worker comes by itself; where stock changes it is called at once.
const SCHEDULE: Duration = Duration::from_secs(10);

/// What `cargo xtask dev` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Delete the local database and its keys first.
    #[arg(long)]
    fresh: bool,
    /// The port of the gateway; 0 picks a free one. The demo picks one by itself.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Keep the data in another folder than target/ordak.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Send real-shaped orders through the whole system, print what became of them, and stop.
    #[arg(long)]
    demo: bool,
}

/// Runs the stack until Ctrl-C, or the demo to its end.
///
/// # Errors
/// Where something does not build or start, a service ends by itself, or the demo is not as expected.
pub async fn run(arguments: Arguments) -> Result<()> {
    platform()?;
    // The demo is its own: it runs beside a running `dev`, and always from an empty database.
    let usual = scratch(if arguments.demo { "demo" } else { "" });
    let folder = arguments.data.unwrap_or(usual);
    eprint!("{}", build::table(&build::all().await?));
    let mut stop = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let options = Options {
        folder: std::path::absolute(&folder)?,
        port: arguments.port.or((!arguments.demo).then_some(PORT)),
        durable: true,
        fresh: arguments.fresh || arguments.demo,
    };
    let mut stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        () = stopped(&mut stop) => bail!("interrupted while starting; nothing was left running"),
    };
    let result = tokio::select! {
        result = session(&mut stack, &folder, arguments.demo) => result,
        () = stopped(&mut stop) => match arguments.demo {
            true => Err(anyhow!("the demo was interrupted")),
            false => Ok(()),
        },
    };
    eprintln!("stopping");
    // Before the stack ends and another `dev` can write its own.
    let _ = std::fs::remove_file(folder.join(ENV_FILE));
    stack.stop().await;
    result
}

async fn stopped(signals: &mut (tokio::signal::unix::Signal, tokio::signal::unix::Signal)) {
    tokio::select! {
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
}

async fn session(stack: &mut Stack, folder: &Path, demo: bool) -> Result<()> {
    if demo {
        return demo::run(stack, SCHEDULE).await;
    }
    step("sign up staff", people::sign_up(stack)).await?;
    let new = step("open the shops", people::open_shops(stack)).await?;
    step("fill the Shopify stand-in", people::fill_shopify(stack)).await?;
    stack.keep_schedule(SCHEDULE);
    if new {
        step("read what Shopify shows", people::base_listings(stack)).await?;
    }
    let env =
        stack.env().iter().fold(String::new(), |text, (name, value)| text + &format!("{name}={value}\n"));
    let file = write_private(&folder.join(ENV_FILE), env)?;
    // Held for as long as this runs, and waited for: a `status` that asks holds it for an instant.
    let _running = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .with_context(|| format!("cannot lock {ENV_FILE}"))?;
    println!("{}", welcome(stack, folder)?);
    stack.watch().await
}

/// What a person sees once everything runs: where things are, and a request that can be pasted.
fn welcome(stack: &Stack, folder: &Path) -> Result<String> {
    let mut text = String::from("\nOrdak Edge is running.\n\n");
    for (name, value) in stack.env() {
        writeln!(text, "  {name:<26} {value}")?;
    }
    writeln!(text, "\nStaff who can log in, each with the password \"{PASSWORD}\": {}", PEOPLE.join(", "))?;
    let place = folder.strip_prefix(root()).unwrap_or(folder).display();
    writeln!(text, "\n`cargo xtask status` prints the same; logs are in {place}. Try it:\n")?;
    writeln!(text, "  curl {}/api/health?ready\n", stack.url())?;
    write!(text, "{}", shopping(stack))?;
    writeln!(text, "{}", demo::curl(stack)?)?;
    write!(text, "Ctrl-C stops everything.")?;
    Ok(text)
}

/// How to buy something at the stand-in for Shopify, and to ask for a sync.
fn shopping(stack: &Stack) -> String {
    let (url, shopify, key) = (stack.url(), stack.shopify.url(), &stack.keys.publishable);
    let (json, admin) = ("-H 'content-type: application/json'", PEOPLE[0]);
    format!(
        r#"What the shops show of their stock is at {shopify}/: have a customer of Bannos buy
two gelato cakes, and Flourlane's number follows.

  curl {shopify}/{BANNOS}/orders {json} \
    -d '{{"lines": [{{"sku": "GELATO", "quantity": 2}}]}}'

Log in as an Admin, have every level at Shopify compared, and see how far that is:

  TOKEN=$(curl -s '{url}/auth/v1/token?grant_type=password' -H 'apikey: {key}' \
    {json} -d '{{"email": "{admin}", "password": "{PASSWORD}"}}' |
    sed 's/.*"access_token":"\([^"]*\).*/\1/')
  RUN=$(curl -s {url}/api/v1/sync -H "authorization: Bearer $TOKEN" -d '{{"full": true}}' |
    grep -oE '[0-9a-f-]{{36}}')
  curl "{url}/api/v1/sync?run_id=$RUN" -H "authorization: Bearer $TOKEN"

And an order as Shopify sends it:

"#
    )
}

fn platform() -> Result<()> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    bail!(
        "the local stack runs on Linux x86-64 (WSL2 included), but this is {} {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}
