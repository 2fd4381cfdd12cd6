//! `cargo xtask build`: each function crate becomes one WASM module, the same bytes for both hosts.
//!
//! cargo → wasm-bindgen (`--target web`: its glue runs on Deno and on workerd) → wasm-opt →
//! `supabase/functions/<name>/generated/`. The Deno entry needs the module as TypeScript, since only what is
//! imported is uploaded by every way of deploying; the Workers entry imports the `.wasm` itself.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::Flock;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::files;
use crate::npm::{self, run};
use crate::progress::step;
use crate::project::{functions, npm_package, root, scratch};

/// What a function may weigh, gzipped, module and glue together: it is loaded on every cold start. The worker's cold start
/// nobody waits for; beside all that the webhooks' function knows of orders, it talks to Shopify.
fn budget(name: &str) -> usize {
    let kib = if name == "sync-worker" { 112 } else { 80 };
    kib * 1024
}

/// The wasm features that V8 has had since before our oldest host; `--all-features` would emit newer ones.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// What a host calls in the glue, where the function has it.
const HOST_CALLS: &[&str] = &["fetch", "scheduled", "__wbg_reset_state"];

/// A built function and what it weighs.
#[derive(Debug)]
pub struct Built {
    /// The function's name.
    pub name: String,
    /// Bytes of module and glue.
    pub raw: usize,
    /// The same, each gzipped.
    pub gzip: usize,
}

/// The crate whose only job is to crash; built for the tests, never shipped.
pub const CRASH_FUNCTION: &str = "crash-function";

/// Where a function's generated files stand.
pub fn generated(name: &str) -> PathBuf {
    match name {
        CRASH_FUNCTION => scratch("crash-function/generated"),
        _ => root().join("supabase/functions").join(name).join("generated"),
    }
}

/// Builds every function and checks their weight.
///
/// # Errors
/// A tool's own words where one fails; the names of the functions that are over budget.
pub async fn all() -> Result<Vec<Built>> {
    let _lock = lock().await?;
    step("install npm packages", npm::install()).await?;
    let names = functions()?;
    let built = build(&names).await?;
    within_budget(&built)?;
    Ok(built)
}

/// Keeps other commands from installing packages and making modules in the same folders at the same time.
async fn lock() -> Result<Flock<File>> {
    std::fs::create_dir_all(scratch(""))?;
    files::lock(&scratch("build.lock"), "wait for another build").await
}

fn within_budget(built: &[Built]) -> Result<()> {
    let heavy = built.iter().filter(|built| built.gzip > budget(&built.name));
    let heavy: Vec<_> = heavy.map(|built| built.name.as_str()).collect();
    if !heavy.is_empty() {
        bail!("over the budget, gzipped: {}\n{}", heavy.join(", "), table(built));
    }
    Ok(())
}

/// Builds the crash function, for the tests of the hosts.
///
/// # Errors
/// A tool's own words where one fails.
pub async fn crash_function() -> Result<()> {
    let _lock = lock().await?;
    build(&[CRASH_FUNCTION.to_owned()]).await?;
    // It has the entries of any function, but stands elsewhere.
    for file in ["index.ts", "worker.ts"] {
        let entry = std::fs::read_to_string(root().join("supabase/functions/health").join(file))?;
        let entry = entry.replace("\"../_shared/", "\"../../../supabase/functions/_shared/");
        std::fs::write(generated(CRASH_FUNCTION).with_file_name(file), entry)?;
    }
    Ok(())
}

async fn build(names: &[String]) -> Result<Vec<Built>> {
    step(&format!("compile {}", names.join(", ")), compile(names)).await?;
    let mut built = Vec::new();
    for name in names {
        built.push(module(name).await.with_context(|| format!("function {name}"))?);
    }
    Ok(built)
}

/// The table that `cargo xtask build` prints.
pub fn table(built: &[Built]) -> String {
    let mut text = format!("{:<20} {:>10} {:>10} {:>10}\n", "function", "raw", "gzip", "budget");
    for Built { name, raw, gzip } in built {
        text += &format!(
            "{name:<20} {raw:>10} {gzip:>10} {:>9.0}%\n",
            *gzip as f64 * 100.0 / budget(name) as f64
        );
    }
    text
}

async fn compile(names: &[String]) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["build", "--locked", "--release", "--target", "wasm32-unknown-unknown"]);
    cargo.args(["--target-dir", "target"]);
    cargo.args(names.iter().flat_map(|name| ["--package", name]));
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", root().join("xtask/src/link/rust-lld"));
    match run(&mut cargo).await {
        Err(error) if format!("{error:?}").contains("target may not be installed") => {
            let hint = "the wasm target is missing: run `rustup target add wasm32-unknown-unknown`";
            run(Command::new("rustup").current_dir(root()).args(["target", "add", "wasm32-unknown-unknown"]))
                .await
                .context(hint)?;
            run(&mut cargo).await.map(drop)
        }
        result => result.map(drop),
    }
}

/// Makes a compiled crate the module that is shipped; does nothing where that is done already.
async fn module(name: &str) -> Result<Built> {
    let compiled =
        root().join("target/wasm32-unknown-unknown/release").join(name.replace('-', "_") + ".wasm");
    let compiled = std::fs::read(&compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let folder = generated(name);
    let recipe: [&[u8]; 3] =
        [&compiled, include_bytes!("build.rs"), include_bytes!("../../package-lock.json")];
    let (stamp, hash) = (folder.join("stamp"), content_hash(recipe));
    if !std::fs::read_to_string(&stamp).is_ok_and(|text| text == hash) {
        step(&format!("optimise {name}"), optimise(compiled, &folder)).await?;
        std::fs::write(stamp, hash)?;
    }
    let parts = [std::fs::read(folder.join("module.wasm"))?, std::fs::read(folder.join("glue.js"))?];
    let gzip = parts.iter().map(|part| gzipped(part)).sum::<Result<usize>>()?;
    Ok(Built { name: name.to_owned(), raw: parts.iter().map(Vec::len).sum(), gzip })
}

async fn optimise(compiled: Vec<u8>, folder: &Path) -> Result<()> {
    // Nothing of an earlier build may stay: its snippets have other names.
    let _ = std::fs::remove_dir_all(folder);
    let bound = folder.join("bound");
    std::fs::create_dir_all(&bound)?;
    let out = bound.clone();
    tokio::task::spawn_blocking(move || {
        let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
        bindgen.input_bytes("glue", compiled).web(true)?.typescript(false).omit_default_module_path(true);
        // The host makes a new instance after a crash. (The abort handler would do it by itself, but with
        // exception-handling instructions that older runtimes refuse.)
        bindgen.reset_state_function(true);
        bindgen.generate(out)
    })
    .await??;
    let glue = shake(&bound).await?;
    let wasm = prune(&std::fs::read(bound.join("glue_bg.wasm"))?, &glue)?;
    std::fs::write(folder.join("glue.js"), glue)?;
    std::fs::write(bound.join("pruned.wasm"), wasm)?;
    let module = folder.join("module.wasm");
    let mut wasm_opt = Command::new("node");
    wasm_opt.arg(npm_package("binaryen/bin/wasm-opt")).args(FEATURES).args(["-O3", "--strip-producers"]);
    run(wasm_opt.arg(bound.join("pruned.wasm")).arg("-o").arg(&module)).await?;
    std::fs::remove_dir_all(bound)?;
    let text = STANDARD.encode(std::fs::read(module)?);
    let module = format!(
        "// Generated by `cargo xtask build`: module.wasm in base64.\nexport const wasm = \"{text}\";\n"
    );
    std::fs::write(folder.join("module.ts"), module)?;
    Ok(())
}

/// The glue as one small script with only what a host calls: the `worker` crate exports some twenty
/// classes that no function of ours uses.
async fn shake(bound: &Path) -> Result<String> {
    let glue = bound.join("glue.js");
    let text = std::fs::read_to_string(&glue)?;
    // What holds a class that nobody uses: its disposal, and a registry that frees objects which JavaScript
    // forgot. We hand none out, and the closures of a request are dropped by Rust; without the registry each
    // of them is some microseconds cheaper.
    let lines =
        text.lines().filter(|line| !line.starts_with("if (Symbol.dispose)")).collect::<Vec<_>>().join("\n");
    std::fs::write(&glue, lines.replace("(typeof FinalizationRegistry === 'undefined')", "true"))?;
    let names = HOST_CALLS
        .iter()
        .filter(|name| text.contains(&format!("function {name}")))
        .copied()
        .collect::<Vec<_>>();
    let entry = bound.join("entry.js");
    std::fs::write(
        &entry,
        format!("export {{ {} }} from './glue.js';\n", [&["initSync"], &names[..]].concat().join(", ")),
    )?;
    let mut esbuild = Command::new(npm_package(".bin/esbuild"));
    esbuild.args(["--bundle", "--format=esm", "--minify", "--log-level=warning"]).arg(entry);
    Ok(String::from_utf8(run(&mut esbuild).await?)?)
}

/// The module without the exports that the shaken glue does not name; what only they used goes with them.
fn prune(wasm: &[u8], glue: &str) -> Result<Vec<u8>> {
    let mut module = walrus::Module::from_buffer(wasm)?;
    let words: HashSet<&str> =
        glue.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').collect();
    let unused: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !words.contains(export.name.as_str()))
        .map(|export| export.id())
        .collect();
    for export in unused {
        module.exports.delete(export);
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

/// A hash of several pieces, to tell whether something must be made again.
pub fn content_hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece.len().to_le_bytes());
        hash.update(piece);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzipped(bytes: &[u8]) -> Result<usize> {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_over_the_budget_fails_the_build_and_is_named() {
        let built = |name: &str, gzip| Built { name: name.to_owned(), raw: 2 * gzip, gzip };
        assert!(within_budget(&[built("light", 80 << 10), built("sync-worker", 112 << 10)]).is_ok());
        let error =
            within_budget(&[built("light", 1), built("heavy", (80 << 10) + 1)]).unwrap_err().to_string();
        assert!(error.starts_with("over the budget, gzipped: heavy\n"), "{error}");
        assert!(within_budget(&[built("sync-worker", (112 << 10) + 1)]).is_err());
    }
}
