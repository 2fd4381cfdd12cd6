//! What must agree across the working copy, and what to change where it does not.

use std::fs::read_to_string;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ordak_core::error::Code;
use ordak_core::route::ROUTES;
use xtask::build::generated;
use xtask::project::{functions, root};

fn read(path: &str) -> String {
    read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

#[test]
fn every_function_has_a_route_and_stands_in_every_configuration() {
    let names = functions().unwrap();
    let mut routed: Vec<_> = ROUTES.iter().map(|route| route.function).collect();
    routed.sort_unstable();
    assert_eq!(names, routed, "functions/ and the routes in ordak-core");
    let (supabase, wrangler, readme) =
        (read("supabase/config.toml"), read("wrangler.toml"), read("README.md"));
    for route in ROUTES {
        let name = route.function;
        let section = supabase.split(&format!("[functions.{name}]\n")).nth(1).unwrap_or_default();
        let section = section.split("\n[").next().unwrap_or_default();
        assert!(
            section.contains("verify_jwt = false"),
            "supabase/config.toml: [functions.{name}] verify_jwt = false"
        );
        assert!(wrangler.contains(&format!("[env.{name}]")), "wrangler.toml: add [env.{name}]");
        assert!(
            wrangler.contains(&format!("supabase/functions/{name}/worker.ts")),
            "wrangler.toml: main of {name}"
        );
        let query = if route.methods.contains(&"GET") { "*" } else { "" };
        assert!(
            wrangler.contains(&format!("ordak.example.com{}{query}\"", route.path)),
            "wrangler.toml: route of {name}"
        );
        assert!(
            readme.contains(&format!("`{} {}`", route.methods[0], route.path)),
            "README.md: the API's table lacks {name}"
        );
    }
}

/// Where they are built, which a fresh working copy has not done yet.
#[test]
fn both_hosts_run_the_same_module() {
    for name in functions().unwrap() {
        let folder = generated(&name);
        let Ok(module) = std::fs::read(folder.join("module.wasm")) else { continue };
        let text = read_to_string(folder.join("module.ts")).unwrap();
        let base64 = text.split('"').nth(1).unwrap_or_default();
        let decoded = STANDARD.decode(base64).unwrap_or_else(|error| panic!("module.ts of {name}: {error}"));
        assert!(decoded == module, "{name}: module.ts and module.wasm differ, run `cargo xtask build`");
    }
}

#[test]
fn every_error_code_is_documented() {
    let docs = read("docs/errors.md");
    for code in Code::ALL {
        let row = format!("| {} | {} |", code.as_str(), code.status());
        assert!(docs.contains(&row), "docs/errors.md lacks the row {row}");
    }
    for row in docs.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let documented = cells[2].parse::<u16>().is_ok();
        assert!(
            !documented || Code::parse(cells[1]).is_some(),
            "docs/errors.md has a code that is none: {row}"
        );
    }
}

#[test]
fn every_variable_is_explained() {
    let example = read(".env.example");
    for source in ["shared/core/src/config.rs"] {
        let code = read(source);
        let code = code.split("#[cfg(test)]").next().unwrap();
        let names = code.split('"').filter(|text| {
            text.len() > 4
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                && !text.ends_with('_')
                && !text.starts_with('_')
        });
        for name in names {
            assert!(example.contains(name), ".env.example does not explain {name}");
        }
    }
}

#[test]
fn every_migration_is_named_as_the_supabase_cli_expects() {
    for entry in root().join("migrations").read_dir().unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let (version, rest) = name.split_once('_').unwrap_or_default();
        let good = version.len() == 14
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && rest.ends_with(".sql");
        assert!(good, "expected <14 digits>_<name>.sql, but found {name}");
    }
    assert!(root().join("supabase/migrations").is_symlink(), "supabase/migrations must lead to migrations/");
}

#[test]
fn documents_lead_to_what_is_there() {
    let documents = [
        "README.md",
        "docs/api.md",
        "docs/architecture.md",
        "docs/errors.md",
        "docs/grants.md",
        "docs/ingestion.md",
        "docs/lifecycle.md",
        "docs/standin.md",
        "docs/stock.md",
        "docs/sync.md",
        "CHANGELOG.md",
    ];
    for document in documents {
        let text = read(document);
        let folder = root().join(document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let there = match file {
                "" => headings(&text).filter(|anchor| anchor == heading).count() == 1,
                _ => link.contains("://") || folder.join(file).exists(),
            };
            assert!(there, "{document} leads to {link}");
        }
    }
}

/// A document's headings as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
}
