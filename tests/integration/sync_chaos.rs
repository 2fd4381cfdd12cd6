//! The synchronisation in bad weather: whatever is killed, late, refused, doubled or lost, in the end each shop shows of each
//! item what can be sold, and nothing was told twice. Not here: each outcome by itself (`sync_queue`), what a level means
//! (`sync_topics`).

mod many;
mod shops;
mod workers;

use std::collections::HashMap;
use std::time::Duration;

use ordak_core::route::{SYNC_WORKER, WEBHOOKS_SHOPIFY};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use xtask::stack::people::{self, PASSWORD};
use xtask::stack::shopify::{Limit, Variant as Sold, Webhook};
use xtask::stack::{FLOURLANE as FLOURLANE_SHOP, Stack};

use crate::support::*;

/// How a shop is told what it is owed.
const ADJUST: &str = "inventoryAdjustQuantities";

/// Longer than any test lasts, in ms: until the faults are cleared.
const UNTIL_CLEARED: u64 = 600_000;

/// How long all that is owed may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);

const SHOPS: [(&str, &str, i64, i64); 2] =
    [("bannos", BANNOS, 70_001, 0), ("flourlane", FLOURLANE_SHOP, 70_002, 50_000)];

/// A stack of these tests' own, which is well again after each.
struct World {
    stack: Stack,
    database: tokio_postgres::Client,
    admin: String,
    /// The webhooks and the worker in workerd.
    webhooks: u16,
    worker: u16,
}

/// Items of which there are ten, and which shops sell that show twelve: each is owed −2.
struct Lot {
    number: i64,
    many: i64,
}

impl Lot {
    fn sku(&self, n: i64) -> String {
        format!("LOT-{}-{n}", self.number)
    }

    /// The first id of its inventory items in a shop; those of the others follow.
    fn id(&self, shop: &str, n: i64) -> i64 {
        let (.., offset) = SHOPS.iter().find(|(_, domain, ..)| *domain == shop).unwrap();
        self.number * 100_000 + offset + n
    }
}

/// The world, for one test at a time.
async fn world() -> MutexGuard<'static, World> {
    static WORLD: OnceCell<Mutex<World>> = OnceCell::const_new();
    let world = WORLD.get_or_init(async || Mutex::new(World::start().await)).await.lock().await;
    for (_, shop, ..) in SHOPS {
        world.stack.shopify.clear_faults(shop).unwrap();
        world.stack.shopify.limit(shop, Limit::default()).unwrap();
    }
    world
}

impl World {
    async fn start() -> World {
        let mut stack = start("chaos").await;
        people::sign_up(&stack).await.unwrap();
        let database = database(&stack).await;
        // Two minutes are for Shopify to have told of everything; this one tells of nothing by itself. The nightly check of
        // all levels has been, and the thousand orders of one test are not listed again in each that follows.
        // How long is waited for after an error is other tests' matter.
        let quick = "create or replace function ordak.backoff(failures int) returns interval
                     language sql volatile set search_path = '' as $$ select random() * interval '10 ms' $$;
                     update ordak.settings set inventory_tracking = true;
                     update ordak.sync_settings set base_wait = interval '0', orders_overlap = interval '0';
                     update ordak.sync_stores as y set checked_on = ordak.local_day(s.time_zone, now())
                     from ordak.stores as s where s.code = y.store;";
        database.batch_execute(quick).await.unwrap();
        let routes = [WEBHOOKS_SHOPIFY, SYNC_WORKER];
        let workers = routes.map(|route| (route.function, stack.function_env()));
        let ports = stack.start_workers(&workers).await.unwrap();
        let url = format!("{}/auth/v1/token?grant_type=password", stack.url());
        let request = client().post(url).header("apikey", &stack.keys.publishable);
        let login = json!({"email": "admin@bakery.example", "password": PASSWORD});
        let answer = Answer::to(request.json(&login)).await;
        let admin = answer.body["access_token"].as_str().unwrap().to_owned();
        World { stack, database, admin, webhooks: ports[0], worker: ports[1] }
    }

    /// Changes what only time, or a fault, could change.
    async fn change(&self, sql: &str) {
        apply(&self.database, sql).await;
    }

    /// One text out of the database; empty where there is none.
    async fn look(&self, sql: &str) -> String {
        one_text(&self.database, sql).await
    }

    async fn shows(&self, what: &str, sql: &str, expected: &str) {
        let said = async || (self.look(sql).await == expected).then_some(());
        until_within(PATIENCE, &format!("{what}: {expected}"), said).await;
    }

    /// Has an RPC called as the Admin answer 200.
    async fn does(&self, name: &str, arguments: Value) {
        let url = format!("{}/rest/v1/rpc/{name}", self.stack.url());
        let request = client().post(url).header("apikey", &self.stack.keys.publishable);
        let answer = Answer::to(request.bearer_auth(&self.admin).json(&arguments)).await;
        assert_eq!(answer.status, 200, "{name} {arguments}: {:?}", answer.body);
    }

    /// The port of the worker on Deno.
    fn deno(&self) -> u16 {
        self.stack.function_port(SYNC_WORKER.function).unwrap()
    }

    /// Calls a worker, whether or not it answers.
    async fn call(&self, port: u16, trigger: &str) {
        let mut worker = self.stack.worker();
        worker.url = format!("http://127.0.0.1:{port}{}", SYNC_WORKER.path);
        let _ = worker.call(client(), trigger).unwrap().send().await;
    }

    async fn kick(&self, port: u16) {
        self.call(port, "kick").await;
    }

    /// A lot that all of these shops sell.
    async fn lot(&self, shops: &[&str], many: i64) -> Lot {
        static NEXT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(101);
        let lot = Lot { number: NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed), many };
        let prefix = format!("LOT-{}-", lot.number);
        let items = "with items as (
                       insert into ordak.items (sku, name, kind)
                       select $1 || n, 'A candle', 'accessory' from generate_series(1, $2::bigint) as n returning id)
                     insert into ordak.stock_moves (item, delta, reason) select id, 10, 'restock' from items";
        self.database.execute(items, &[&prefix, &many]).await.unwrap();
        for (code, shop, location, offset) in SHOPS.into_iter().filter(|(_, shop, ..)| shops.contains(shop)) {
            for n in 1..=many {
                let sold = Sold::new(lot.id(shop, n), &lot.sku(n), "Candle").available(location, 12);
                self.stack.shopify.put(shop, sold).unwrap();
            }
            let listings = "with listings as (
                  insert into ordak.listings (item, store, inventory_item_id, location_id, based_at)
                  select id, $2, $3 + substr(sku, length($1) + 1)::bigint, $4, now() - interval '1 day'
                  from ordak.items where starts_with(sku, $1) order by id
                  returning id)
                insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
                select id, 'drift', 1, 12, 12, now() - interval '1 day' from listings";
            let first = lot.number * 100_000 + offset;
            self.database.execute(listings, &[&prefix, &code, &first, &location]).await.unwrap();
        }
        self.database.execute(MARK, &[&prefix]).await.unwrap();
        lot
    }

    /// Changes how many there are of all items of a lot.
    async fn add(&self, lot: &Lot, delta: i32) {
        let moved = "insert into ordak.stock_moves (item, delta, reason)
                     select id, $2::int, 'correction' from ordak.items where starts_with(sku, $1) order by id";
        let prefix = format!("LOT-{}-", lot.number);
        self.database.execute(moved, &[&prefix, &delta]).await.unwrap();
        self.database.execute(MARK, &[&prefix]).await.unwrap();
    }

    /// Waits until the queue has nothing left that is not dead, and nobody works any more; calls a worker all the time.
    async fn settle(&self, port: u16) {
        self.settle_but(port, "", "").await;
    }

    /// The same without the rows of one key, with `hurry` before each call.
    async fn settle_but(&self, port: u16, key: &str, hurry: &str) {
        let left = format!(
            "select string_agg(what, ', ') from (
               select concat_ws(' ', topic, key, state) from ordak.work_queue where state <> 'dead' and key <> '{key}'
               union all
               select concat_ws(' ', 'push', b.key) from ordak.push_batches as b where b.state = 'open'
               union all
               select concat_ws(' ', 'worker', store) from ordak.sync_stores where lease_token is not null) as l (what)"
        );
        let done = async || {
            if self.look(&left).await.is_empty() {
                return Some(());
            }
            self.change(hurry).await;
            self.kick(port).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        };
        let settled = tokio::time::timeout(PATIENCE, until_within(PATIENCE * 2, "an end", done)).await;
        assert!(settled.is_ok(), "after {PATIENCE:?} there is still {}", self.look(&left).await);
    }

    /// Which listings of a lot, of those that are enabled, a shop does not show as they must be.
    async fn wrong(&self, lot: &Lot) -> Vec<String> {
        let sql = "with sold as materialized (
                     select i.id, i.sku, g.store, g.expected from ordak.items as i
                     join ordak.listings as g on g.item = i.id and g.enabled
                     where starts_with(i.sku, $1))
                   select s.sku, s.store, a.ats::bigint, s.expected
                   from ordak.ats(array(select id from sold), array(select store from sold)) as a
                   join sold as s on s.id = a.item and s.store = a.store";
        let rows = self.database.query(sql, &[&format!("LOT-{}-", lot.number)]).await.unwrap();
        assert!(rows.len() as i64 >= lot.many - 1, "{} listings", rows.len());
        let shown: HashMap<_, _> =
            SHOPS.map(|(code, shop, ..)| (code, self.stack.shopify.levels(shop).unwrap())).into();
        let wrong = rows.iter().filter_map(|row| {
            let (sku, store): (String, String) = (row.get(0), row.get(1));
            let (ats, expected): (i64, i64) = (row.get(2), row.get(3));
            let shown = shown[store.as_str()][&sku];
            (shown != ats || expected != ats)
                .then(|| format!("{sku} in {store}: {shown}, expected {expected}, for sale {ats}"))
        });
        wrong.collect()
    }

    /// All is as it must be: what each shop shows of each item of a lot, and what the auditor finds.
    async fn level(&self, lot: &Lot) {
        assert_eq!(self.wrong(lot).await, [""; 0]);
        let found = "select string_agg(concat_ws(' ', check_name, subject), '; ') from ordak.audit";
        assert_eq!(self.look(found).await, "");
    }

    /// What a shop was told of the items of a lot, by inventory item.
    fn told(&self, shop: &str, lot: &Lot) -> HashMap<i64, Vec<i64>> {
        let ids = lot.id(shop, 1)..=lot.id(shop, lot.many);
        let mut told: HashMap<i64, Vec<i64>> = HashMap::new();
        for change in self.stack.shopify.adjustments(shop).unwrap().iter().flat_map(|each| &each.changes) {
            if ids.contains(&change.inventory_item) {
                told.entry(change.inventory_item).or_default().push(change.delta);
            }
        }
        told
    }

    /// A shop was told these differences of each item of a lot, each once.
    fn told_once(&self, shop: &str, lot: &Lot, deltas: &[i64]) {
        let told = self.told(shop, lot);
        assert_eq!(told.len() as i64, lot.many);
        let twice: Vec<_> = told.iter().filter(|(_, told)| *told != deltas).collect();
        assert!(twice.is_empty(), "{shop} was told {twice:?}");
    }

    /// How many pushes a shop was asked for.
    fn pushes(&self, shop: &str) -> u64 {
        self.stack.shopify.counts(shop).unwrap().calls.get(ADJUST).copied().unwrap_or_default()
    }

    /// Waits for an open push of a store, and answers with its key.
    async fn open(&self, store: &str) -> String {
        let sql =
            format!("select key::text from ordak.push_batches where store = '{store}' and state = 'open'");
        until("an open push", async || Some(self.look(&sql).await).filter(|key| !key.is_empty())).await
    }

    /// How a push stands, as its state and how often it was sent.
    async fn push(&self, key: &str) -> String {
        self.look(&format!("select concat_ws(' ', state, sends) from ordak.push_batches where key = '{key}'"))
            .await
    }

    /// Sells one of an item, and answers with the webhook that tells of it.
    fn sell(&self, shop: &str, sku: &str) -> Webhook {
        let order = self.stack.shopify.order(shop, &[(sku, 1)]).unwrap();
        self.stack.shopify.sell(&order).unwrap().webhooks.remove(0)
    }

    /// Sends a webhook to a function at a port.
    async fn send(&self, port: u16, webhook: &Webhook) -> Answer {
        let body = serde_json::to_vec(&webhook.body).unwrap();
        let headers = webhook.headers(&self.stack.keys.webhook_secret, &body).unwrap();
        send_with(&format!("http://127.0.0.1:{port}{}", WEBHOOKS_SHOPIFY.path), &headers, &body).await
    }
}

/// Marks what is owed of the items whose SKUs begin so.
const MARK: &str = "select ordak.mark_listings(array(select id from ordak.items where starts_with(sku, $1)))";
