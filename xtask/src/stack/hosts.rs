//! The functions of a stack: each on Deno and, where that is asked for, in workerd. Not here: how they are built
//! (`build`), and how a request finds them (`gateway`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ordak_core::route::SYNC_WORKER;
use tokio::process::Command;

use super::port::free_port;
use super::supervise::Service;
use super::{Stack, answered, probe};
use crate::build::generated;
use crate::files::write_private;
use crate::project::{npm_package, root, scratch};

impl Stack {
    pub(super) async fn start_functions(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            let port = free_port()?;
            self.run_function(name, name, port, self.function_env()).await?;
            self.targets().functions.insert(name.clone(), port);
        }
        Ok(())
    }

    /// Starts a function on Deno, beside those that the gateway knows, and answers with its port.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn start_function(&mut self, name: &str, env: Vec<(String, String)>) -> Result<u16> {
        let port = free_port()?;
        self.run_function(&service_name(name, port), name, port, env).await?;
        Ok(port)
    }

    async fn run_function(
        &mut self,
        service: &str,
        name: &str,
        port: u16,
        env: Vec<(String, String)>,
    ) -> Result<()> {
        let flags = ["--no-remote", "--no-npm", "--no-config", "--allow-net=127.0.0.1"];
        let command = serve_on_deno(&entry(name, "index.ts"), &flags, port, env);
        self.run(service, command, probe(port, "/"), answered).await
    }

    /// Starts functions in one workerd, each with its environment, and answers with their ports.
    ///
    /// # Errors
    /// Where they do not answer.
    pub async fn start_workers(&mut self, functions: &[(&str, Vec<(String, String)>)]) -> Result<Vec<u16>> {
        let ports = functions.iter().map(|_| free_port()).collect::<Result<Vec<_>>>()?;
        // Among themselves, and not by way of the gateway's.
        let own = functions.iter().zip(&ports).find(|((name, _), _)| *name == SYNC_WORKER.function);
        let own = own.map(|(_, port)| format!("http://127.0.0.1:{port}{}", SYNC_WORKER.path));
        let own = own.map(|url| ("ORDAK_SYNC_WORKER_URL".to_owned(), url));
        let workers = functions.iter().zip(&ports).map(|((name, env), port)| {
            let env: BTreeMap<_, _> = own.iter().chain(env).cloned().collect();
            serde_json::json!({"name": service_name(name, *port), "port": port, "entry": entry(name, "worker.ts"), "env": env})
        });
        let config = self.folder.join("workerd.json");
        let text = serde_json::json!({"compatibilityDate": compatibility_date()?, "control": self.control,
            "workers": workers.collect::<Vec<_>>()});
        write_private(&config, text.to_string())?;
        let mut command = Command::new("node");
        command.arg(root().join("xtask/src/stack/workerd.mjs")).arg(config).current_dir(root());
        let last = *ports.last().context("expected a function, but found none")?;
        self.run("workerd", command, probe(last, "/"), answered).await?;
        Ok(ports)
    }

    /// Has a schedule come due for a function that was started in workerd, and waits until its work is done; answers with
    /// what workerd says of that.
    ///
    /// # Errors
    /// Where workerd does not answer.
    pub async fn scheduled(&self, name: &str, port: u16) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/{}", self.control, service_name(name, port));
        Ok(reqwest::Client::new().post(url).send().await?.text().await?)
    }

    /// Starts a server of the caller's own beside the functions, with their environment, and answers with
    /// its port.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn start_server(
        &mut self,
        name: &str,
        command: impl FnOnce(u16, Vec<(String, String)>) -> Command,
    ) -> Result<u16> {
        let port = free_port()?;
        let command = command(port, self.function_env());
        self.run(name, command, probe(port, "/"), answered).await?;
        Ok(port)
    }

    /// The environment that functions of this stack run with.
    pub fn function_env(&self) -> Vec<(String, String)> {
        let keys = &self.keys;
        [
            ("SUPABASE_URL", self.url()),
            ("SUPABASE_SERVICE_ROLE_KEY", keys.service_role.clone()),
            ("SUPABASE_ANON_KEY", keys.anon.clone()),
            ("SHOPIFY_WEBHOOK_SECRET", keys.webhook_secret.clone()),
            ("ORDAK_ORDERS_SECRET", keys.orders_secret.clone()),
            ("ORDAK_SIGNING_SECRET", keys.signing_secret.clone()),
            ("SLACK_WEBHOOK_URL", self.slack.url()),
            ("SHOPIFY_BANNOS_TOKEN", keys.shopify_bannos_token.clone()),
            ("SHOPIFY_FLOURLANE_TOKEN", keys.shopify_flourlane_token.clone()),
            ("SHOPIFY_API_URL", format!("{}/{{shop}}", self.shopify.url())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// A function's service on Deno.
    pub fn function(&self, name: &str, port: u16) -> Option<&Service> {
        match self.function_port(name) == Some(port) {
            true => self.services.get(name),
            false => self.services.get(&service_name(name, port)),
        }
    }

    /// The port of a function that the gateway knows.
    pub fn function_port(&self, name: &str) -> Option<u16> {
        self.targets().functions.get(name).copied()
    }
}

/// The command that serves a TypeScript file on Deno, with what both the functions and others need and the
/// caller's own flags.
pub fn serve_on_deno(file: &Path, flags: &[&str], port: u16, env: Vec<(String, String)>) -> Command {
    let mut command = Command::new(npm_package("@deno/linux-x64-glibc/deno"));
    command.args(["run", "--quiet", "--no-prompt", "--no-lock", "--allow-env"]).args(flags).arg(file);
    command.env_clear().envs(env).envs([
        ("DENO_DIR", scratch("deno").to_string_lossy().into_owned()),
        ("DENO_SERVE_ADDRESS", format!("tcp:127.0.0.1:{port}")),
        ("DENO_NO_UPDATE_CHECK", "1".into()),
        ("NO_COLOR", "1".into()),
    ]);
    command
}

/// The name of the service of a function beside the gateway's own, of which there can be many.
fn service_name(function: &str, port: u16) -> String {
    format!("{function}-{port}")
}

/// A function's entry for a host.
fn entry(function: &str, file: &str) -> PathBuf {
    generated(function).with_file_name(file)
}

/// The compatibility date of the deployed Workers, so that the local ones behave alike.
fn compatibility_date() -> Result<String> {
    let text = std::fs::read_to_string(root().join("wrangler.toml"))?;
    let date = text.lines().find_map(|line| line.strip_prefix("compatibility_date = "));
    Ok(date.context("wrangler.toml has no compatibility_date")?.trim_matches('"').to_owned())
}
