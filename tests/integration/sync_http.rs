//! The synchronisation over HTTP, on both hosts: who may ask for it, how the worker is called, and that what happens here
//! reaches Shopify. Not here: what the queue does with an outcome, and what a level means.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ordak_core::route::{HEALTH, Route, SYNC, SYNC_WORKER, WEBHOOKS_SHOPIFY};
use ordak_core::signature::sign;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use xtask::stack::order::{Line, Order};
use xtask::stack::people::{self, PASSWORD};
use xtask::stack::shopify::Variant as Sold;
use xtask::stack::slack::Fault;
use xtask::stack::{FLOURLANE as FLOURLANE_SHOP, Stack};

use crate::support::*;

on_both_hosts! {
    an_order_of_one_shop_reaches_the_other_at_once
    what_is_asked_for_is_done_once_and_can_be_followed
    an_admin_alone_may_ask
    what_cannot_be_asked_is_refused
    our_own_servers_sign_what_they_ask
    the_worker_comes_for_our_own_servers_alone
    the_worker_comes_on_a_schedule
    a_run_has_one_line_in_the_log_for_each_shop
    what_people_must_know_reaches_slack_and_slack_that_is_down_stops_nothing
}

/// A stack of these tests' own, in which both shops' stock is counted, and nobody but a kick calls the worker.
struct World {
    stack: Stack,
    database: tokio_postgres::Client,
    /// The ports in workerd.
    ports: [(Route, u16); 3],
    admin: String,
    cook: String,
}

/// The world, for one test at a time: only one worker may work for a shop.
async fn world() -> (&'static World, MutexGuard<'static, ()>) {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    (WORLD.get_or_init(World::start).await, turn)
}

impl World {
    async fn start() -> World {
        let mut stack = start("sync").await;
        people::sign_up(&stack).await.unwrap();
        let database = database(&stack).await;
        // Two minutes are for Shopify to have told of everything; this one tells of nothing by itself.
        let quick = "update ordak.settings set inventory_tracking = true;
                     update ordak.sync_settings set base_wait = interval '0';";
        database.batch_execute(quick).await.unwrap();
        let routes = [WEBHOOKS_SHOPIFY, SYNC, SYNC_WORKER];
        let workers = routes.map(|route| (route.function, stack.function_env()));
        let started = stack.start_workers(&workers).await.unwrap();
        let mut ports = routes.map(|route| (route, 0));
        ports.iter_mut().zip(started).for_each(|((_, port), started)| *port = started);
        let token = async |email: &str| {
            let url = format!("{}/auth/v1/token?grant_type=password", stack.url());
            let request = client().post(url).header("apikey", &stack.keys.publishable);
            let answer = Answer::to(request.json(&json!({"email": email, "password": PASSWORD}))).await;
            answer.body["access_token"].as_str().unwrap().to_owned()
        };
        let (admin, cook) = (token("admin@bakery.example").await, token("bannos@bakery.example").await);
        World { stack, database, ports, admin, cook }
    }

    fn url(&self, host: Host, route: Route) -> String {
        match host {
            Host::Deno => format!("{}/functions/v1/{}", self.stack.url(), route.function),
            Host::Workerd => {
                let (_, port) = self.ports.iter().find(|(known, _)| *known == route).unwrap();
                format!("http://127.0.0.1:{port}{}", route.path)
            }
        }
    }

    /// Has an RPC called as the Admin answer 200.
    async fn does(&self, name: &str, arguments: Value) -> Value {
        let url = format!("{}/rest/v1/rpc/{name}", self.stack.url());
        let request = client().post(url).header("apikey", &self.stack.keys.publishable);
        let answer = Answer::to(request.bearer_auth(&self.admin).json(&arguments)).await;
        assert_eq!(answer.status, 200, "{name} {arguments}: {:?}", answer.body);
        answer.body
    }

    /// Defines an item of which there are ten, and which both shops sell: by their own count there are twelve.
    async fn item(&self) -> String {
        static NEXT: AtomicI64 = AtomicI64::new(5_100_001);
        let id = NEXT.fetch_add(2, Ordering::Relaxed);
        let sku = format!("SYNC-{id}");
        for (shop, id, location) in [(BANNOS, id, 70_001), (FLOURLANE_SHOP, id + 1, 70_002)] {
            self.stack.shopify.put(shop, Sold::new(id, &sku, "Candle").available(location, 12)).unwrap();
        }
        self.does("save_item", json!({"sku": sku, "name": sku, "kind": "accessory", "tracked": true})).await;
        self.does("count_stock", json!({"sku": sku, "counted": 10})).await;
        sku
    }

    /// Asks as somebody with this token.
    async fn ask(&self, host: Host, token: &str, body: &str) -> Answer {
        let request = client().post(self.url(host, SYNC)).bearer_auth(token);
        Answer::to(request.body(body.to_owned())).await
    }

    /// How a run stands.
    async fn run(&self, host: Host, run_id: &str) -> Answer {
        let url = format!("{}?run_id={run_id}", self.url(host, SYNC));
        Answer::to(client().get(url).bearer_auth(&self.admin)).await
    }

    /// Waits until a run is done, and answers with how it went.
    async fn done(&self, host: Host, run_id: &str) -> Value {
        let run = until("a run that is done", async || {
            Some(self.run(host, run_id).await).filter(|run| run.said() == "200 done")
        });
        run.await.body
    }

    /// Calls the worker, having signed this message with this secret.
    async fn call(&self, host: Host, secret: &str, signed: &str, body: &str) -> Answer {
        let request = client().post(self.url(host, SYNC_WORKER));
        Answer::to(with_signature(request, secret, signed).body(body.to_owned())).await
    }

    /// What a shop has available of an item.
    fn available(&self, shop: &str, sku: &str) -> i64 {
        self.stack.shopify.available(shop, sku).unwrap()
    }

    async fn shows(&self, shop: &str, sku: &str, expected: i64) {
        let what = format!("{expected} of {sku} in {shop}");
        until(&what, async || (self.available(shop, sku) == expected).then_some(())).await;
    }

    /// The log that the worker of a host writes.
    fn log(&self, host: Host) -> std::path::PathBuf {
        let service = match host {
            Host::Deno => SYNC_WORKER.function,
            Host::Workerd => "workerd",
        };
        self.stack.service(service).unwrap().log().to_owned()
    }
}

fn with_signature(request: reqwest::RequestBuilder, secret: &str, message: &str) -> reqwest::RequestBuilder {
    let (id, now) = (number().to_string(), seconds());
    let signature = sign(secret, &id, now, message.as_bytes()).unwrap();
    let request = request.header("webhook-id", id).header("webhook-timestamp", now);
    request.header("webhook-signature", signature)
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

async fn an_order_of_one_shop_reaches_the_other_at_once(host: Host) {
    let (world, _turn) = world().await;
    let sku = world.item().await;
    // Found by its SKU, read, compared, and healed.
    let asked = world.ask(host, &world.admin, r#"{"full": true}"#).await;
    assert_eq!(asked.said(), "202 queued", "{asked:?}");
    world.done(host, &text(&asked.body, "run_id")).await;
    world.shows(BANNOS, &sku, 10).await;
    world.shows(FLOURLANE_SHOP, &sku, 10).await;

    // No level is read any more that would know of the sale before we do.
    let queued = "select count(*) from ordak.work_queue";
    until("an empty queue", async || (count(&world.database, queued).await == 0).then_some(())).await;
    world.stack.shopify.edit(BANNOS, &sku, "available", 7).unwrap();
    let order = Order::new(BANNOS, number()).lines(vec![Line::new("Candle", "", 3).sku(sku.clone())]);
    let mut webhook = create(&order);
    // After the level was read; Shopify tells of whole seconds.
    let now = (world.stack.shopify.now() + Duration::from_secs(2)).to_string();
    webhook.body["created_at"] = json!(now);
    webhook.body["updated_at"] = json!(now);
    webhook.body["line_items"][0]["variant_id"] =
        json!(world.stack.shopify.variant(BANNOS, &sku).unwrap().variant);
    let body = serde_json::to_vec(&webhook.body).unwrap();
    let headers = webhook.headers(&world.stack.keys.webhook_secret, &body).unwrap();
    let answer = send_with(&world.url(host, WEBHOOKS_SHOPIFY), &headers, &body).await;
    assert_eq!(answer.said(), "200 created");
    assert_eq!(answer.body.get("dirty"), None, "Shopify is not told what we owe: {answer:?}");
    world.shows(FLOURLANE_SHOP, &sku, 7).await;
    // Bannos' shop took its own order off itself.
    until("an empty queue", async || (count(&world.database, queued).await == 0).then_some(())).await;
    assert_eq!(world.available(BANNOS, &sku), 7);
}

async fn what_is_asked_for_is_done_once_and_can_be_followed(host: Host) {
    let (world, _turn) = world().await;
    let sku = world.item().await;
    let body = json!({"store": "bannos", "skus": [sku], "full": true}).to_string();
    // Asked of the database alone, nobody tells the worker.
    let queued =
        world.does("request_sync", json!({"store": "bannos", "skus": [sku], "full_check": true})).await;
    let run_id = text(&queued, "run_id");
    let run = world.run(host, &run_id).await;
    assert_eq!((run.said(), &run.body["run_id"]), ("200 queued".into(), &json!(run_id)), "{run:?}");
    let again = world.ask(host, &world.admin, &body).await;
    assert_eq!((again.said(), &again.body["run_id"]), ("202 already_running".into(), &json!(run_id)));
    assert_eq!(again.header("cache-control"), Some("no-store"));
    let run = world.done(host, &run_id).await;
    assert_eq!(run["stores"][0]["store"], "bannos", "{run}");
    assert!(run["stores"][0]["calls"].as_i64() > Some(0), "{run}");
    world.shows(BANNOS, &sku, 10).await;
    assert_eq!(run["stores"].as_array().map(Vec::len), Some(1), "{run}");
}

async fn an_admin_alone_may_ask(host: Host) {
    let (world, _turn) = world().await;
    let anon = &world.stack.keys.anon;
    for (token, expected) in
        [(&world.cook, "403 AUTH002"), (anon, "401 AUTH001"), (&"x".to_owned(), "401 AUTH001")]
    {
        assert_eq!(world.ask(host, token, r#"{"store":"bannos"}"#).await.said(), expected);
        let url = format!("{}?run_id=6f9619ff-8b86-4d01-b42d-00cf4fc964ff", world.url(host, SYNC));
        assert_eq!(Answer::to(client().get(url).bearer_auth(token)).await.said(), expected);
    }
    assert_eq!(Answer::to(client().post(world.url(host, SYNC)).body("{}")).await.said(), "401 AUTH001");
}

async fn what_cannot_be_asked_is_refused(host: Host) {
    let (world, _turn) = world().await;
    let many = json!({"skus": vec!["A"; 101]}).to_string();
    for (body, expected) in [
        ("", "400 VAL001"),
        ("{", "400 VAL001"),
        ("[]", "422 VAL001"),
        (r#"{"stores":"bannos"}"#, "422 VAL001"),
        (r#"{"skus":[]}"#, "422 VAL001"),
        (r#"{"full":1}"#, "422 VAL001"),
        (&many, "422 VAL001"),
        (r#"{"skus":["NO-SUCH"]}"#, "404 INV002"),
    ] {
        assert_eq!(world.ask(host, &world.admin, body).await.said(), expected, "{body}");
    }
    let unknown = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
    for (run_id, expected) in [(unknown, "404 ORD001"), ("", "422 VAL001"), ("1", "422 VAL001")] {
        assert_eq!(world.run(host, run_id).await.said(), expected, "{run_id}");
    }
    let answer = Answer::to(client().delete(world.url(host, SYNC))).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")));
}

async fn our_own_servers_sign_what_they_ask(host: Host) {
    let (world, _turn) = world().await;
    let secret = &world.stack.keys.signing_secret;
    let post = async |secret: &str, body: &str| {
        let request = client().post(world.url(host, SYNC)).body(body.to_owned());
        Answer::to(with_signature(request, secret, body)).await
    };
    let body = r#"{"for":"sync","store":"bannos"}"#;
    let answer = post(secret, body).await;
    assert_eq!(answer.said(), "202 queued", "{answer:?}");
    let run_id = text(&answer.body, "run_id");
    world.done(host, &run_id).await;
    for body in [r#"{"store":"bannos"}"#, r#"{"for":"sync-worker","store":"bannos"}"#] {
        assert_eq!(post(secret, body).await.said(), "401 AUTH001", "{body}");
    }
    assert_eq!(post(&world.stack.keys.orders_secret, body).await.said(), "401 AUTH001");
    let query = format!("run_id={run_id}");
    let get = async |message: &str| {
        let request = client().get(format!("{}?{query}", world.url(host, SYNC)));
        Answer::to(with_signature(request, secret, message)).await
    };
    assert_eq!(get(&format!("GET sync?{query}")).await.said(), "200 done");
    assert_eq!(get(&format!("GET inventory?{query}")).await.said(), "401 AUTH001");
}

async fn the_worker_comes_for_our_own_servers_alone(host: Host) {
    let (world, _turn) = world().await;
    let secret = &world.stack.keys.signing_secret;
    let kick = r#"{"for":"sync-worker","trigger":"kick"}"#;
    let url = world.url(host, SYNC_WORKER);
    assert_eq!(Answer::to(client().post(&url).body(kick)).await.said(), "401 AUTH001");
    let login = client().post(&url).bearer_auth(&world.admin).body(kick);
    assert_eq!(Answer::to(login).await.said(), "401 AUTH001");
    assert_eq!(Answer::get(url).await.status, 405);
    for (secret, signed, body, expected) in [
        (secret, kick, kick, "202 "),
        (&world.stack.keys.orders_secret, kick, kick, "401 AUTH001"),
        (secret, "{}", kick, "401 AUTH001"),
        (secret, r#"{"for":"sync-worker"}"#, r#"{"for":"sync-worker"}"#, "422 VAL001"),
        (secret, r#"{"for":"sync","trigger":"kick"}"#, r#"{"for":"sync","trigger":"kick"}"#, "401 AUTH001"),
        (secret, "no JSON", "no JSON", "400 VAL001"),
    ] {
        assert_eq!(world.call(host, secret, signed, body).await.said(), expected, "{signed} {body}");
    }
}

async fn the_worker_comes_on_a_schedule(host: Host) {
    let (world, _turn) = world().await;
    let sku = world.item().await;
    let beats = "select count(*) from ordak.schedule_beats where name = 'sync-worker' and at > now() - interval '1 minute'";
    world.database.execute("delete from ordak.schedule_beats", &[]).await.unwrap();
    let queued =
        world.does("request_sync", json!({"store": "bannos", "skus": [sku], "full_check": true})).await;
    match host {
        Host::Deno => {
            let body = r#"{"for":"sync-worker","trigger":"schedule"}"#;
            let answer = world.call(host, &world.stack.keys.signing_secret, body, body).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            world.done(host, &text(&queued, "run_id")).await;
        }
        Host::Workerd => {
            let (_, port) = world.ports[2];
            assert_eq!(world.stack.scheduled(SYNC_WORKER.function, port).await.unwrap(), "ok");
            // It ends when its work is done.
            assert_eq!(world.run(host, &text(&queued, "run_id")).await.said(), "200 done");
        }
    }
    assert_eq!(world.available(BANNOS, &sku), 10);
    assert_eq!(count(&world.database, beats).await, 1);
    let health = format!("{}{}?ready", world.stack.url(), HEALTH.path);
    assert_eq!(Answer::get(health.clone()).await.body["schedule"], "on time");
    let late = "update ordak.schedule_beats set at = now() - interval '6 minutes'";
    world.database.execute(late, &[]).await.unwrap();
    assert_eq!(Answer::get(health).await.body["schedule"], "late");
}

async fn what_people_must_know_reaches_slack_and_slack_that_is_down_stops_nothing(host: Host) {
    let (world, _turn) = world().await;
    let (sku, slack) = (world.item().await, &world.stack.slack);
    let told = async |what: &str| {
        let told = |message: &Value| message.to_string().contains(what);
        until("a message in Slack", async || slack.messages().iter().any(told).then_some(())).await;
    };
    let alert = format!("select ordak.alert('stock_drift', 'bannos', '{sku}', 'Look at {sku}')");
    let sync = async |expected| {
        let asked = world.ask(host, &world.admin, r#"{"full": true}"#).await;
        world.done(host, &text(&asked.body, "run_id")).await;
        world.shows(BANNOS, &sku, expected).await;
    };
    slack.fail([Fault::Broken]);
    let before = slack.requests();
    world.database.execute(&alert, &[]).await.unwrap();
    sync(10).await;
    until("a request to Slack", async || (slack.requests() > before).then_some(())).await;
    // Nobody else tells it for two minutes.
    world
        .database
        .execute("update ordak.alerts set lease_until = now() where lease_token is not null", &[])
        .await
        .unwrap();
    world.does("count_stock", json!({"sku": sku, "counted": 9})).await;
    sync(9).await;
    told(&format!("Look at {sku}")).await;
    let over = format!("select ordak.resolve_alert('stock_drift', 'bannos', '{sku}')");
    world.database.execute(&over, &[]).await.unwrap();
    let messages = slack.messages().len();
    sync(9).await;
    until("another message", async || (slack.messages().len() > messages).then_some(())).await;
    let twice = slack.messages().iter().filter(|message| message.to_string().contains(&sku)).count();
    assert_eq!(twice, 2, "once each, and that it is over");
}

async fn a_run_has_one_line_in_the_log_for_each_shop(host: Host) {
    let (world, _turn) = world().await;
    let sku = world.item().await;
    let body = json!({"store": "bannos", "skus": [sku], "full": true}).to_string();
    let asked = world.ask(host, &world.admin, &body).await;
    let run_id = text(&asked.body, "run_id");
    world.done(host, &run_id).await;
    let line = log_line(&world.log(host), "of the run", |line| line["run_id"] == run_id).await;
    let expected = json!({"level": "info", "function": "sync-worker", "run_id": run_id, "trigger": "kick", "store": "bannos",
        "outcome": "done", "pushed": 1});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name} in {line}");
    }
    assert!(line["calls"].as_i64() > Some(2) && line["cost"].as_i64() > Some(2), "{line}");
    let written = std::fs::read_to_string(world.log(host)).unwrap();
    for secret in [&world.stack.keys.shopify_bannos_token, &world.stack.keys.signing_secret, &sku] {
        assert!(!written.contains(secret.as_str()), "{secret}");
    }
}
