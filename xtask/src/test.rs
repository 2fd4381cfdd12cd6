//! `cargo xtask test`: every check there is, each under its own name, and a summary.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::project::{functions, npm_package, root, scratch};
use crate::{build, npm};

/// cargo-deny's version: a tool, so no lock file of ours pins it.
const CARGO_DENY: &str = "0.20.2";

/// What `cargo xtask test` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run only these; all of them where none is named.
    #[arg(value_enum)]
    only: Vec<Check>,
}

/// One kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Formatting of Rust and TypeScript.
    Format,
    /// clippy, with warnings as errors, natively and for wasm.
    Lint,
    /// Types of the hosts' TypeScript.
    Types,
    /// Licences, sources and bans of the dependencies.
    Deny,
    /// The pure rules and the tools.
    Unit,
    /// What would be deployed as Cloudflare Workers, made by wrangler and not sent.
    Deploy,
    /// The whole system, on both hosts.
    Integration,
}

/// What one check came to.
struct Outcome {
    check: Check,
    count: Count,
    ok: bool,
    elapsed: Duration,
}

/// Tests that ran within a check.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    passed: usize,
    failed: usize,
}

/// Runs the checks and prints a summary.
///
/// # Errors
/// Where any of them fails, after all have run.
pub async fn run(arguments: Arguments) -> Result<()> {
    build::all().await?;
    build::crash_function().await?;
    let checks = if arguments.only.is_empty() { Check::value_variants() } else { &arguments.only };
    let mut outcomes = Vec::new();
    for &check in checks {
        eprintln!("\n── {} ──", name(check));
        let (start, mut count) = (Instant::now(), Count::default());
        let result = run_check(check, &mut count).await;
        if let Err(error) = &result {
            eprintln!("{error:#}");
        }
        outcomes.push(Outcome { check, count, ok: result.is_ok(), elapsed: start.elapsed() });
    }
    summary(&outcomes)
}

async fn run_check(check: Check, count: &mut Count) -> Result<()> {
    let mut commands = Vec::new();
    match check {
        Check::Format => {
            commands.push(cargo("fmt --all --check"));
            commands.push(deno("fmt --check --quiet --options-line-width=110", typescript()?));
        }
        Check::Lint => {
            commands.push(cargo("clippy --locked --workspace --all-targets -- -D warnings"));
            // The functions once more for what they run on: much of their code is compiled for wasm alone.
            let mut wasm = cargo("clippy --locked --target wasm32-unknown-unknown --package ordak-edge");
            wasm.args(functions()?.iter().flat_map(|name| ["--package", name]))
                .args(["--", "-D", "warnings"]);
            commands.push(wasm);
        }
        Check::Types => {
            commands.push(deno("check --quiet --no-lock --node-modules-dir=manual", typescript()?))
        }
        Check::Deny => {
            let mut deny = Command::new(cargo_deny().await?);
            deny.args(["check", "bans", "licenses", "sources"]);
            commands.push(deny);
        }
        Check::Unit => {
            commands.push(cargo("test --locked --package ordak-core --package ordak-edge --package xtask"));
        }
        Check::Deploy => commands.extend(functions()?.iter().map(|name| deploy(name))),
        Check::Integration => commands.push(cargo("test --locked --package ordak-tests")),
    }
    for command in commands {
        stream(command, count).await?;
    }
    Ok(())
}

/// The TypeScript that runs on Deno, and what holds our types to what callers write; the Workers' entries
/// import a `.wasm`, which only bundlers know.
fn typescript() -> Result<Vec<String>> {
    let mut files: Vec<_> =
        functions()?.iter().map(|name| format!("supabase/functions/{name}/index.ts")).collect();
    for folder in ["bench", "supabase/functions/_shared", "tests/types"] {
        for entry in root().join(folder).read_dir()? {
            files.push(format!("{folder}/{}", entry?.file_name().to_string_lossy()));
        }
    }
    Ok(files)
}

fn name(check: Check) -> String {
    check.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &str) -> Command {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    command
}

fn cargo(arguments: &str) -> Command {
    command(env!("CARGO"), arguments)
}

fn deno(arguments: &str, files: Vec<String>) -> Command {
    let mut command = command(npm_package("@deno/linux-x64-glibc/deno"), arguments);
    command.args(files).env("DENO_DIR", scratch("deno")).env("DENO_NO_UPDATE_CHECK", "1");
    command
}

/// A trial run of deploying a function to Cloudflare: it says nothing to anybody and keeps what it writes
/// about itself in `target/`.
fn deploy(function: &str) -> Command {
    let mut command = command(npm_package(".bin/wrangler"), "deploy --dry-run --env");
    command.arg(function).arg("--outdir").arg(scratch("deploy").join(function)).envs([
        ("WRANGLER_SEND_METRICS", "false"),
        ("WRANGLER_HIDE_BANNER", "true"),
        ("CI", "1"),
    ]);
    command.env("HOME", scratch("wrangler")).env("XDG_CONFIG_HOME", scratch("wrangler"));
    command
}

/// Runs a command, passing on what it prints, and counts the tests that it says it ran.
async fn stream(mut command: Command, count: &mut Count) -> Result<()> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command
        .current_dir(root())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    let mut lines = BufReader::new(child.stdout.take().context("the output is piped")?).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{line}");
        if let Some(rest) = line.strip_prefix("test result: ") {
            let number = |word| {
                rest.split(&['.', ';']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
            };
            count.passed += number(" passed").unwrap_or(0);
            count.failed += number(" failed").unwrap_or(0);
        }
    }
    let status = child.wait().await?;
    if !status.success() {
        bail!("`{name}` ended with {status}");
    }
    Ok(())
}

/// cargo-deny, installed into `target/` where it is not there in this version.
async fn cargo_deny() -> Result<std::path::PathBuf> {
    let home = scratch(format!("cargo-deny-{CARGO_DENY}"));
    let program = home.join("bin/cargo-deny");
    if !program.exists() {
        let mut install =
            command(env!("CARGO"), "install --locked --quiet cargo-deny --no-default-features --version");
        install.arg(CARGO_DENY).arg("--root").arg(&home);
        crate::progress::step("install cargo-deny", npm::run(&mut install)).await?;
    }
    Ok(program)
}

fn summary(outcomes: &[Outcome]) -> Result<()> {
    println!("\n{:<14} {:<8} {:>7} {:>7} {:>9}", "check", "result", "passed", "failed", "seconds");
    let mut failed = Vec::new();
    let mut total = Count::default();
    for Outcome { check, count, ok, elapsed } in outcomes {
        (total.passed, total.failed) = (total.passed + count.passed, total.failed + count.failed);
        let word = if *ok { "ok" } else { "FAILED" };
        println!(
            "{:<14} {word:<8} {:>7} {:>7} {:>9.1}",
            name(*check),
            count.passed,
            count.failed,
            elapsed.as_secs_f32()
        );
        if !ok {
            failed.push(name(*check));
        }
    }
    println!("\n{} passed, {} failed", total.passed, total.failed.max(failed.len()));
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}
