//! What the tests share: the stack, a way to send webhooks, and looks into the database.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use ordak_core::route::{HEALTH, INVENTORY, ORDERS, ROUTES, WEBHOOKS_SHOPIFY};
use ordak_core::signature::sign;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use tokio_postgres::Client;
use xtask::build::CRASH_FUNCTION;
use xtask::stack::order::{Line, Order};
use xtask::stack::postgres::connect;
use xtask::stack::shopify::{Sent, Webhook};
use xtask::stack::{Options, Stack};

pub mod cumquat;
pub mod dice;
pub mod shop;

/// Makes two tests of each case, one for each host.
macro_rules! on_both_hosts {
    ($($name:ident)+) => {
        mod deno { $(#[test] fn $name() { crate::support::run(super::$name(crate::support::Host::Deno)); })+ }
        mod workerd { $(#[test] fn $name() { crate::support::run(super::$name(crate::support::Host::Workerd)); })+ }
    };
}

pub const BANNOS: &str = "bannos.myshopify.com";
pub const FLOURLANE: &str = "flour-lane.myshopify.com";

/// How long a test waits for what it expects; these machines can be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// By when a function has answered that waits for a database in vain: it gives up after four seconds, since Shopify waits
/// five, and a busy machine may take as long again until that is seen here. Whoever does not give up waits for ever.
pub const GIVES_UP: Duration = Duration::from_secs(8);

/// One runtime for all tests, since the shared stack must outlive each of them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

/// Accepts connections, as the system does by itself, and says nothing.
static SILENCE: LazyLock<std::net::TcpListener> =
    LazyLock::new(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());

/// The client of all tests: one of its own for each request would cost more than the request.
///
/// Each request has a connection of its own: workerd closes one whose request it has answered before reading all of it, and
/// the next that were sent on it would be lost.
static CLIENT: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap());

/// The stack that all tests use which leave it as it is.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let mut stack = start("shared").await;
        let functions: Vec<_> = started().collect();
        let mut ports = HashMap::new();
        for (name, variant) in &functions {
            let known = stack.function_port(name).filter(|_| *variant == Variant::Plain);
            let port = match known {
                Some(port) => port,
                None => stack.start_function(name, variant.env(&stack)).await.unwrap(),
            };
            ports.insert((Host::Deno, *name, *variant), port);
        }
        let workers: Vec<_> = functions.iter().map(|(name, variant)| (*name, variant.env(&stack))).collect();
        for ((name, variant), port) in functions.iter().zip(stack.start_workers(&workers).await.unwrap()) {
            ports.insert((Host::Workerd, *name, *variant), port);
        }
        Shared { stack, ports }
    })
});

/// The functions that run on both hosts: each as it is deployed, the one that crashes, and those that check a caller's
/// credentials in several circumstances.
fn started() -> impl Iterator<Item = (&'static str, Variant)> {
    let plain = ROUTES.iter().map(|route| route.function).chain([CRASH_FUNCTION]);
    let webhooks = Variant::ODD.iter().map(|variant| (WEBHOOKS_SHOPIFY.function, *variant));
    let orders = [Variant::Nowhere, Variant::Silent, Variant::NoSecret, Variant::OwnSecret];
    let orders = orders.map(|variant| (ORDERS.function, variant));
    let inventory = [Variant::Nowhere, Variant::NoSecret, Variant::WrongKey, Variant::NewKey];
    let inventory = inventory.map(|variant| (INVENTORY.function, variant));
    plain.map(|name| (name, Variant::Plain)).chain(webhooks).chain(orders).chain(inventory)
}

/// The runtimes that every function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// As Supabase runs it.
    Deno,
    /// As Cloudflare Workers run it.
    Workerd,
}

/// The circumstances that a function runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// As it is deployed.
    Plain,
    /// With a database that is not there.
    Nowhere,
    /// With a database that takes the request and never answers.
    Silent,
    /// Without the secret that it needs.
    NoSecret,
    /// With a secret of Flourlane's own and several of partners', in rotation.
    OwnSecret,
    /// With keys that are none.
    WrongKey,
    /// With keys of the new style, as hosted projects list them.
    NewKey,
}

impl Variant {
    /// Those that the webhooks function is started in.
    const ODD: &[Variant] = &[
        Variant::Nowhere,
        Variant::Silent,
        Variant::NoSecret,
        Variant::OwnSecret,
        Variant::WrongKey,
        Variant::NewKey,
    ];

    fn env(self, stack: &Stack) -> Vec<(String, String)> {
        let mut env = stack.function_env();
        let mut set = |name: &str, value: &str| {
            env.retain(|(other, _)| other != name);
            env.push((name.to_owned(), value.to_owned()));
        };
        match self {
            Variant::Plain => {}
            Variant::Nowhere => set("SUPABASE_URL", "http://127.0.0.1:9"),
            Variant::Silent => set("SUPABASE_URL", &format!("http://{}", SILENCE.local_addr().unwrap())),
            Variant::NoSecret => {
                set("SHOPIFY_WEBHOOK_SECRET", " ");
                set("ORDAK_ORDERS_SECRET", "whsec_, ");
                set("ORDAK_SIGNING_SECRET", "");
            }
            Variant::OwnSecret => {
                set("SHOPIFY_FLOURLANE_WEBHOOK_SECRET", "old, matcha");
                set("ORDAK_ORDERS_SECRET", "whsec_b2xkIHNlY3JldA==, plain secret");
            }
            Variant::NewKey => {
                set("SUPABASE_SERVICE_ROLE_KEY", "");
                set("SUPABASE_SECRET_KEYS", &format!(r#"{{"default":"{}"}}"#, stack.keys.secret));
                set("SUPABASE_ANON_KEY", "");
                set("SUPABASE_PUBLISHABLE_KEYS", &format!(r#"{{"default":"{}"}}"#, stack.keys.publishable));
            }
            Variant::WrongKey => {
                set("SUPABASE_SERVICE_ROLE_KEY", "sb_secret_guess");
                set("SUPABASE_ANON_KEY", "sb_publishable_guess");
            }
        }
        env
    }
}

/// The shared stack and the ports of the functions beside it.
pub struct Shared {
    pub stack: Stack,
    ports: HashMap<(Host, &'static str, Variant), u16>,
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
    let options = Options { folder, port: None, durable: false, fresh: true };
    let stack = Stack::start(options).await.expect("the stack starts");
    take_chance_away(&stack).await;
    stack
}

/// Has whatever waits after a failure wait for the longest time that chance could give it. Where it may as well be none,
/// what has just failed is at times claimed again at once, and no test can say which.
async fn take_chance_away(stack: &Stack) {
    let sql = "do $$
        declare v_function constant text := pg_get_functiondef('ordak.backoff'::regproc);
        begin
          assert v_function like '%random()%', 'expected ordak.backoff to be random';
          execute replace(v_function, 'random()', '1.0');
        end $$";
    database(stack).await.batch_execute(sql).await.unwrap();
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
    /// Where a function answers on a host, at any path.
    pub fn url(&self, host: Host, function: &'static str, variant: Variant, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[&(host, function, variant)])
    }

    /// Where the webhooks function answers on a host.
    pub fn webhooks(&self, host: Host) -> String {
        self.variant(host, Variant::Plain)
    }

    /// Where one of its variants answers.
    pub fn variant(&self, host: Host, variant: Variant) -> String {
        self.url(host, WEBHOOKS_SHOPIFY.function, variant, WEBHOOKS_SHOPIFY.path)
    }

    /// Where the orders function answers on a host.
    pub fn orders(&self, host: Host) -> String {
        self.url(host, ORDERS.function, Variant::Plain, ORDERS.path)
    }

    /// Where the health function answers on a host.
    pub fn health(&self, host: Host) -> String {
        self.url(host, HEALTH.function, Variant::Plain, HEALTH.path)
    }

    /// Where the function answers that crashes.
    pub fn crash(&self, host: Host) -> String {
        self.url(host, CRASH_FUNCTION, Variant::Plain, "/crash")
    }

    /// The log of a function; on workerd all of them share one.
    pub fn log(&self, host: Host, function: &'static str, variant: Variant) -> PathBuf {
        let service = match host {
            Host::Deno => self.stack.function(function, self.ports[&(host, function, variant)]),
            Host::Workerd => self.stack.service("workerd"),
        };
        service.unwrap().log().to_owned()
    }

    /// The logs of every service of the stack.
    pub fn logs(&self) -> Vec<PathBuf> {
        let folder = self.stack.service("postgres").unwrap().log().parent().unwrap();
        let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
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
        Answer::to(client().get(url)).await
    }

    /// Sends a request.
    pub async fn to(request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    async fn of(response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// The HTTP status with the `status` or `code` of the body: what most tests compare.
    pub fn said(&self) -> String {
        said(self.status, &self.body)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The HTTP status of an answer with the `status` or `code` of its body.
pub fn said(status: u16, body: &Value) -> String {
    let word = body["status"].as_str().or(body["code"].as_str()).unwrap_or_default();
    format!("{status} {word}")
}

/// The same of what the Shopify stand-in sent; status 0 where there was no answer.
pub fn said_to_shopify(sent: &Sent) -> String {
    said(sent.status.unwrap_or_default(), &serde_json::from_str(&sent.answer).unwrap_or_default())
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
    let request =
        headers.iter().fold(client().post(url), |request, (name, value)| request.header(*name, value));
    Answer::to(request.body(body.to_vec())).await
}

/// Takes a new order through its webhook, and answers with its id and its tasks' numbers.
pub async fn take_order(shop_domain: &str, cakes: u32) -> (String, Vec<String>) {
    let order = Order::new(shop_domain, number());
    let order = order.lines(vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", cakes)]);
    let answer = send(&shared().webhooks(Host::Deno), &create(&order)).await;
    assert_eq!(answer.said(), "200 created");
    let order_id = answer.body["order_id"].as_str().unwrap().to_owned();
    let sql = "select t.number from ordak.tasks as t join ordak.orders as o on o.id = t.order_key
               where o.order_id = $1 order by t.id";
    let rows = queries().await.query(sql, &[&order_id]).await.unwrap();
    (order_id, rows.iter().map(|row| row.get(0)).collect())
}

/// The headers of a partner's request, signed now.
pub fn partner_headers(secret: &str, id: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    partner_headers_at(seconds(), secret, id, body)
}

/// The same, signed at another time.
pub fn partner_headers_at(seconds: i64, secret: &str, id: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", sign(secret, id, seconds, body).unwrap()),
    ]
}

/// Seconds since 1970.
pub fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// A year whose February and March are to come, and come within two years: days that an order may be due on, whenever
/// the tests run. The same one for the whole of a run.
pub fn coming_year() -> i64 {
    static YEAR: LazyLock<i64> = LazyLock::new(|| 1971 + seconds() / 31_556_952);
    *YEAR
}

/// The client of all tests.
pub fn client() -> &'static reqwest::Client {
    &CLIENT
}

/// Polls until there is something, and fails with what was waited for where there is nothing in time.
pub async fn until<T>(what: &str, poll: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, poll).await
}

/// The same with a limit of the caller's own.
pub async fn until_within<T>(limit: Duration, what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = poll().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(limit, polling).await;
    found.unwrap_or_else(|_| panic!("after {limit:?} there was still not {what}"))
}

/// A connection to a stack's database as the owner of our objects.
pub async fn database(stack: &Stack) -> Client {
    connect(&stack.database_url()).await.unwrap()
}

/// The connection to the shared stack's database that tests have in common, for single statements: a new one costs
/// the hash of a password.
pub async fn queries() -> &'static Client {
    static QUERIES: OnceCell<Client> = OnceCell::const_new();
    QUERIES.get_or_init(|| database(&shared().stack)).await
}

/// One number out of the database.
pub async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// One text out of the database; empty where there is none.
pub async fn one_text(client: &Client, sql: &str) -> String {
    let rows = client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.first().and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default()
}

/// Changes what only time, or a fault, could change.
pub async fn apply(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Makes a store of a test's own in Sydney, and answers with its domain.
pub async fn add_store(code: &str, letter: &str) -> String {
    let insert = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
                  values ($1, $1, $1 || '.myshopify.com', $2, 'Australia/Sydney')";
    queries().await.execute(insert, &[&code, &letter]).await.unwrap();
    format!("{code}.myshopify.com")
}

/// An object with the fields of another in place of its own.
pub fn with(mut object: Value, fields: Value) -> Value {
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object
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

/// Waits for a line in a log: hosts write it after the answer, workerd through a pipe.
pub async fn log_line(path: &Path, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let what = format!("a line in {} {what}", path.display());
    until(&what, async || log_lines(path).into_iter().find(&wanted)).await
}

/// Somebody who has signed up and logged in.
#[derive(Debug, Clone)]
pub struct Person {
    pub token: String,
    /// The auth user id, by which alone they are known.
    pub id: String,
}

impl Person {
    /// Signs somebody new up.
    pub async fn new() -> Person {
        let email = format!("cook{}@example.com", number());
        let credentials = json!({"email": email, "password": "a long password"});
        let url = format!("{}/auth/v1/signup", shared().stack.url());
        let request = client().post(url).header("apikey", &shared().stack.keys.publishable);
        let answer = Answer::to(request.json(&credentials)).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person { token: text(&answer.body["access_token"]), id: text(&answer.body["user"]["id"]) }
    }

    /// A member of staff, approved; of all stores where none is named.
    pub async fn staff(role: &str, store: Option<&str>) -> Person {
        let person = Person::new().await;
        let insert = "insert into ordak.staff_shared (user_id, full_name, email, role, store, approved, hourly_rate)
                      values ($1::text::uuid, 'A Cook', $1 || '@example.com', $2::text::ordak.role, $3, true, 30)";
        queries().await.execute(insert, &[&person.id, &role, &store]).await.unwrap();
        person
    }

    /// Has an RPC called as this person answer 200, and answers with its body.
    pub async fn does(&self, name: &str, arguments: Value) -> Value {
        let answer = self.rpc(name, arguments.clone()).await;
        assert_eq!(answer.status, 200, "{name} {arguments}: {:?}", answer.body);
        answer.body
    }

    /// Reads a view as this person.
    pub async fn read(&self, query: &str) -> Answer {
        let url = format!("{}/rest/v1/{query}", shared().stack.url());
        let request = client().get(url).header("apikey", &shared().stack.keys.publishable);
        Answer::to(request.bearer_auth(&self.token)).await
    }

    /// Calls an RPC as this person.
    pub async fn rpc(&self, name: &str, arguments: Value) -> Answer {
        let url = format!("{}/rest/v1/rpc/{name}", shared().stack.url());
        let request = client().post(url).header("apikey", &shared().stack.keys.publishable);
        Answer::to(request.bearer_auth(&self.token).json(&arguments)).await
    }
}
