//! What the tests share: the stack, a way to send webhooks, and looks into the database.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use xtask::build::CRASH_FUNCTION;
use xtask::stack::order::Order;
use xtask::stack::postgres::connect;
use xtask::stack::shopify::Webhook;
use xtask::stack::{Options, Stack};

pub const BANNOS: &str = "bannos.myshopify.com";
pub const FLOURLANE: &str = "flour-lane.myshopify.com";

/// The path of the webhooks function.
pub const WEBHOOKS: &str = ordak_core::route::WEBHOOKS_SHOPIFY.path;

/// One runtime for all tests, since the shared stack must outlive each of them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Accepts connections, as the system does by itself, and says nothing.
static SILENCE: LazyLock<std::net::TcpListener> =
    LazyLock::new(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());

/// The stack that all tests use which leave it as it is.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let mut stack = start("shared").await;
        let functions: Vec<_> =
            Variant::ALL.iter().map(|variant| (variant.function(), variant.env(&stack))).collect();
        let mut deno = Vec::new();
        for (name, env) in &functions {
            deno.push(stack.start_function(name, env.clone()).await.unwrap());
        }
        let workerd = stack.start_workers(&functions).await.unwrap();
        Shared { stack, deno, workerd }
    })
});

/// The runtimes that every function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// As Supabase runs it.
    Deno,
    /// As Cloudflare Workers run it.
    Workerd,
}

/// The webhooks function in several circumstances, and the health function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As it is deployed.
    Plain,
    /// With a database that is not there.
    Nowhere,
    /// With a database that takes the request and never answers.
    Silent,
    /// Without the secret that it needs.
    NoSecret,
    /// With a secret of Flourlane's own, in rotation.
    OwnSecret,
    /// With a key that is none.
    WrongKey,
    /// With a key of the new style, as hosted projects list it.
    NewKey,
    /// Not the webhooks function but health.
    Health,
    /// Not the webhooks function but the one that crashes when asked to.
    Crash,
}

impl Variant {
    const ALL: &[Variant] = &[
        Variant::Plain,
        Variant::Nowhere,
        Variant::Silent,
        Variant::NoSecret,
        Variant::OwnSecret,
        Variant::WrongKey,
        Variant::NewKey,
        Variant::Health,
        Variant::Crash,
    ];

    fn function(self) -> &'static str {
        match self {
            Variant::Health => "health",
            Variant::Crash => CRASH_FUNCTION,
            _ => "webhooks-shopify",
        }
    }

    fn env(self, stack: &Stack) -> Vec<(String, String)> {
        let mut env = stack.function_env();
        let mut set = |name: &str, value: &str| {
            env.retain(|(other, _)| other != name);
            env.push((name.to_owned(), value.to_owned()));
        };
        match self {
            Variant::Plain | Variant::Health | Variant::Crash => {}
            Variant::Nowhere => set("SUPABASE_URL", "http://127.0.0.1:9"),
            Variant::Silent => set("SUPABASE_URL", &format!("http://{}", SILENCE.local_addr().unwrap())),
            Variant::NoSecret => set("SHOPIFY_WEBHOOK_SECRET", " "),
            Variant::OwnSecret => set("SHOPIFY_FLOURLANE_WEBHOOK_SECRET", "old, matcha"),
            Variant::NewKey => {
                set("SUPABASE_SERVICE_ROLE_KEY", "");
                set("SUPABASE_SECRET_KEYS", &format!(r#"{{"default":"{}"}}"#, stack.keys.secret));
            }
            Variant::WrongKey => set("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_guess"),
        }
        env
    }
}

/// The shared stack and the ports of the functions beside it, in the order of [`Variant::ALL`].
pub struct Shared {
    pub stack: Stack,
    deno: Vec<u16>,
    workerd: Vec<u16>,
}

/// Runs a test's body.
pub fn run(test: impl Future<Output = ()>) {
    // Started before the test's own future is polled: a runtime cannot wait inside itself.
    LazyLock::force(&SHARED);
    RUNTIME.block_on(test);
}

/// The shared stack.
pub fn shared() -> &'static Shared {
    &SHARED
}

/// A new stack of a test's own, with nothing in it.
pub async fn start(name: &str) -> Stack {
    let folder = folder().join(name);
    Stack::start(Options { folder, port: None, durable: false, fresh: true }).await.expect("the stack starts")
}

/// The folder of this run, beside which those of runs that are over are deleted.
fn folder() -> PathBuf {
    let runs = xtask::project::scratch("test");
    for run in runs.read_dir().into_iter().flatten().flatten() {
        if !Path::new("/proc").join(run.file_name()).exists() {
            let _ = std::fs::remove_dir_all(run.path());
        }
    }
    runs.join(std::process::id().to_string())
}

impl Shared {
    fn port(&self, host: Host, variant: Variant) -> u16 {
        let ports = if host == Host::Deno { &self.deno } else { &self.workerd };
        ports[Variant::ALL.iter().position(|other| *other == variant).unwrap()]
    }

    /// Where the webhooks function answers on a host.
    pub fn webhooks(&self, host: Host) -> String {
        self.variant(host, Variant::Plain)
    }

    /// Where one of its variants answers.
    pub fn variant(&self, host: Host, variant: Variant) -> String {
        format!("http://127.0.0.1:{}{WEBHOOKS}", self.port(host, variant))
    }

    /// Where the health function answers on a host.
    pub fn health(&self, host: Host) -> String {
        format!("http://127.0.0.1:{}/api/health", self.port(host, Variant::Health))
    }

    /// Where the function answers that crashes.
    pub fn crash(&self, host: Host) -> String {
        format!("http://127.0.0.1:{}/crash", self.port(host, Variant::Crash))
    }

    /// The log of a variant of the webhooks function.
    pub fn log(&self, host: Host, variant: Variant) -> PathBuf {
        let service = match host {
            Host::Deno => self.stack.function(variant.function(), self.port(host, variant)),
            Host::Workerd => self.stack.service("workerd"),
        };
        service.unwrap().log().to_owned()
    }
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn get(url: String) -> Answer {
        Answer::of(reqwest::get(url).await.unwrap()).await
    }

    pub async fn of(response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// The HTTP status with the `status` or `code` of the body: what most tests compare.
    pub fn said(&self) -> String {
        let word = self.body["status"].as_str().or(self.body["code"].as_str()).unwrap_or_default();
        format!("{} {word}", self.status)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A webhook for an order.
pub fn create(order: &Order) -> Webhook {
    Webhook::new("orders/create", &order.shop_domain, order.body())
}

/// Sends a webhook, rightly signed.
pub async fn send(url: &str, webhook: &Webhook) -> Answer {
    send_raw(url, webhook, &serde_json::to_vec(&webhook.body).unwrap()).await
}

/// Sends a webhook with other bytes for a body, rightly signed.
pub async fn send_raw(url: &str, webhook: &Webhook, body: &[u8]) -> Answer {
    let headers = webhook.headers(&shared().stack.keys.webhook_secret, body).unwrap();
    send_with(url, &headers, body).await
}

/// Sends any headers and body.
pub async fn send_with(url: &str, headers: &[(&'static str, String)], body: &[u8]) -> Answer {
    Answer::of(post(url, headers).body(body.to_vec()).send().await.unwrap()).await
}

/// A request with headers.
pub fn post(url: &str, headers: &[(&'static str, String)]) -> reqwest::RequestBuilder {
    headers
        .iter()
        .fold(reqwest::Client::new().post(url), |request, (name, value)| request.header(*name, value))
}

/// A connection to a stack's database as the owner of our objects.
pub async fn database(stack: &Stack) -> Client {
    connect(&stack.database_url()).await.unwrap()
}

/// One number out of the database.
pub async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A number for an order that no other test uses.
pub fn number() -> i64 {
    static NEXT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(40_000);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The log lines that a service has written, as JSON; lines that are none are left out.
pub fn log_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
