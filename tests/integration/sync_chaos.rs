//! The synchronisation in bad weather: whatever is killed, late, refused, doubled or lost, in the end each shop shows of each
//! item what can be sold, and nothing was told twice. Not here: each outcome by itself (`sync_queue`), what a level means
//! (`sync_topics`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use ordak_core::route::{Route, SYNC_WORKER, WEBHOOKS_SHOPIFY};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use xtask::build::generated;
use xtask::stack::people::{self, PASSWORD};
use xtask::stack::shopify::{Fault, FaultKind, Limit, UserErrorCode, Variant as Sold, Webhook};
use xtask::stack::{FLOURLANE as FLOURLANE_SHOP, Stack, serve_on_deno};

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
        self.database.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// One text out of the database; empty where there is none.
    async fn look(&self, sql: &str) -> String {
        let rows = self.database.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.first().and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default()
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

/// As if all that waits were due; but a store that rests goes on resting.
const HURRY: &str = "update ordak.work_queue set run_at = now() where id in (
                       select id from ordak.work_queue where state = 'ready' and run_at > now() for update skip locked)";

/// As if the time of a worker were over that is gone.
const EXPIRE: &str =
    "update ordak.sync_stores set lease_until = now() - interval '1 second' where lease_token is not null";

fn slow() -> Fault {
    Fault::from(FaultKind::Slow { ms: UNTIL_CLEARED }).of(ADJUST).times(1)
}

#[test]
fn a_worker_that_is_killed_between_the_answer_and_its_word_of_it_is_followed_by_one_that_sends_the_same() {
    run(async {
        let mut world = world().await;
        let env = world.stack.function_env();
        let port = world.stack.start_function(SYNC_WORKER.function, env).await.unwrap();
        let lot = world.lot(&[BANNOS], 5).await;
        world.stack.shopify.fault(BANNOS, slow()).unwrap();
        world.kick(port).await;
        let key = world.open("bannos").await;
        // It cannot say what Shopify answers.
        let mut other = database(&world.stack).await;
        let lock = other.transaction().await.unwrap();
        let store = "select from ordak.sync_stores where store = 'bannos' for update";
        lock.execute(store, &[]).await.unwrap();
        world.stack.shopify.clear_faults(BANNOS).unwrap();
        let waiting = "select count(*)::text from pg_stat_activity
                       where usename = 'authenticator' and wait_event_type = 'Lock' and query like '%finish_work%'";
        world.shows("words that wait", waiting, "1").await;
        world.stack.kill(&format!("{}-{port}", SYNC_WORKER.function)).await;
        // The database gives up what nobody waits for.
        world.shows("words that wait", waiting, "0").await;
        lock.rollback().await.unwrap();
        world.told_once(BANNOS, &lot, &[-2]);
        assert_eq!(world.push(&key).await, "open 1");
        let before = world.pushes(BANNOS);

        world.change(EXPIRE).await;
        world.settle(world.worker).await;
        assert_eq!((world.pushes(BANNOS), world.push(&key).await), (before + 1, "applied 2".into()));
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;
    });
}

#[test]
fn two_workers_and_ten_kicks_at_once_tell_of_each_change_once() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 300).await;
        let mut deltas = vec![-2];
        for round in 0..3 {
            let kicks = (0..20).map(|n| world.kick(if n % 2 == 0 { world.deno() } else { world.worker }));
            join_all(kicks).await;
            world.settle(world.deno()).await;
            for (_, shop, ..) in SHOPS {
                world.told_once(shop, &lot, &deltas);
            }
            if round < 2 {
                world.add(&lot, 3).await;
                deltas.push(3);
            }
        }
        world.level(&lot).await;
    });
}

#[test]
fn a_lease_that_ends_during_a_call_leads_to_two_answers_and_one_effect() {
    run(async {
        let world = world().await;
        world.change("update ordak.sync_settings set lease_time = interval '1 second'").await;
        let lease = "select lease_token::text from ordak.sync_stores where store = 'bannos'";
        // Done in the end, or never done.
        for kind in [FaultKind::Slow { ms: UNTIL_CLEARED }, FaultKind::Hang { ms: UNTIL_CLEARED }] {
            let lot = world.lot(&[BANNOS], 5).await;
            let hangs = matches!(kind, FaultKind::Hang { .. });
            world.stack.shopify.fault(BANNOS, Fault::from(kind).of(ADJUST).times(1)).unwrap();
            let before = world.pushes(BANNOS);
            world.kick(world.deno()).await;
            let (key, first) = (world.open("bannos").await, world.look(lease).await);
            let log = world.stack.service(SYNC_WORKER.function).unwrap().log().to_owned();
            let lost = |lines: Vec<Value>| lines.iter().filter(|line| line["outcome"] == "lost").count();
            let lost_before = lost(log_lines(&log));
            let taken_over = async || {
                world.kick(world.worker).await;
                (world.look(lease).await != first).then_some(())
            };
            until("another worker", taken_over).await;
            // The other has had an answer: that the first is under way, or that it is done.
            until("an answer", async || (world.pushes(BANNOS) > before).then_some(())).await;
            if hangs {
                world
                    .shows(
                        "the push",
                        &format!("select state from ordak.push_batches where key = '{key}'"),
                        "applied",
                    )
                    .await;
            }
            world.stack.shopify.clear_faults(BANNOS).unwrap();
            until("a worker that has lost its lease", async || {
                (lost(log_lines(&log)) > lost_before).then_some(())
            })
            .await;
            world.settle(world.worker).await;
            assert!(world.push(&key).await.starts_with("applied"));
            world.told_once(BANNOS, &lot, &[-2]);
            world.level(&lot).await;
        }
        world.change("update ordak.sync_settings set lease_time = default").await;
    });
}

#[test]
fn a_database_that_is_killed_during_a_run_has_it_go_on_afterwards() {
    run(async {
        let mut world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 600).await;
        world.stack.shopify.fault(BANNOS, slow()).unwrap();
        world.kick(world.worker).await;
        let key = world.open("bannos").await;
        world.stack.kill("postgres").await;
        world.stack.shopify.clear_faults(BANNOS).unwrap();
        until("an answer of Shopify's", async || (!world.told(BANNOS, &lot).is_empty()).then_some(())).await;
        // Not before the last of the old one's processes is gone.
        until("Postgres again", async || world.stack.start_postgres().await.ok()).await;
        world.database = database(&world.stack).await;
        world.change(EXPIRE).await;
        world.settle(world.worker).await;
        assert!(world.push(&key).await.starts_with("applied"));
        world.told_once(BANNOS, &lot, &[-2]);
        world.told_once(FLOURLANE_SHOP, &lot, &[-2]);
        world.level(&lot).await;
    });
}

#[test]
fn a_shop_that_throttles_fails_hangs_and_cuts_for_a_while_is_level_afterwards() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 300).await;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().len();
        for kind in [
            FaultKind::Status { status: 429, retry_after: Some(1) },
            FaultKind::Status { status: 500, retry_after: None },
            FaultKind::CutAfter,
            FaultKind::Throttled,
            FaultKind::CutBefore,
            FaultKind::Status { status: 503, retry_after: None },
            FaultKind::Hang { ms: 300 },
            FaultKind::CutAfter,
        ] {
            world.stack.shopify.fault(BANNOS, Fault::from(kind).times(1)).unwrap();
        }
        // This one waits for as long as the worker does.
        let hang = Fault::from(FaultKind::Hang { ms: UNTIL_CLEARED }).times(1);
        world.stack.shopify.fault(FLOURLANE_SHOP, hang).unwrap();
        world.settle_but(world.worker, "", HURRY).await;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().split_off(calls);
        assert_eq!(calls[0].status, Some(429));
        let asked_again = calls[1].at.duration_since(calls[0].at).as_secs_f64();
        assert!(asked_again > 0.9, "after {asked_again} s, where Shopify said in 1");
        let struck = calls.iter().filter(|call| call.fault.is_some()).count();
        assert_eq!(struck, 8, "{calls:?}");
        world.told_once(BANNOS, &lot, &[-2]);
        world.told_once(FLOURLANE_SHOP, &lot, &[-2]);
        world.level(&lot).await;
    });
}

/// One of 250 is poison: it ends as it should, and the others arrive, whatever is done about it.
async fn one_of_250(fault: Fault, code: &str, expected: (&str, &str)) {
    let world = world().await;
    let lot = world.lot(&[BANNOS], 250).await;
    let poison = lot.id(BANNOS, 117);
    let sql = format!("select id::text from ordak.listings where inventory_item_id = {poison}");
    let listing = world.look(&sql).await;
    world.stack.shopify.fault(BANNOS, fault.item(poison)).unwrap();
    let ended = format!(
        "select coalesce((select 'disabled' from ordak.listings where id = {listing} and disabled_reason like '%{code}%'),
           (select max(state) from ordak.work_queue where key = '{listing}' and state = 'dead' and last_error like '%{code}%'))"
    );
    let end = async || {
        world.change(HURRY).await;
        // What else is asked of Shopify goes well: it is not down.
        world.change("select ordak.mark('list_orders', 'bannos', 'bannos')").await;
        world.kick(world.worker).await;
        (world.look(&ended).await == expected.0).then_some(())
    };
    until_within(PATIENCE, &format!("one that is {}", expected.0), end).await;
    world.settle_but(world.worker, &listing, HURRY).await;
    let mut told = world.told(BANNOS, &lot);
    assert_eq!(told.remove(&poison), None);
    assert_eq!((told.len(), told.values().all(|told| *told == [-2])), (249, true));
    let wrong = world.wrong(&lot).await;
    assert!(wrong.iter().all(|wrong| wrong.starts_with(&format!("{} ", lot.sku(117)))), "{wrong:?}");
    let alerts = format!(
        "select string_agg(kind, ', ') from ordak.alerts where subject like '%{listing}' and resolved_at is null"
    );
    assert_eq!(world.look(&alerts).await, expected.1);

    // What was at fault is put right.
    world.stack.shopify.clear_faults(BANNOS).unwrap();
    world
        .change(&format!(
            "update ordak.listings set enabled = true, disabled_reason = null where id = {listing};
                           select ordak.mark_owed(array[{listing}]);"
        ))
        .await;
    world.does("retry_failed_sync", json!({"store": "bannos"})).await;
    world.settle_but(world.worker, "", HURRY).await;
    world.told_once(BANNOS, &lot, &[-2]);
    world.level(&lot).await;
    world.change("update ordak.alerts set resolved_at = now() where resolved_at is null").await;
}

#[test]
fn one_of_250_that_shopify_refuses_for_good_is_off_and_the_others_arrive() {
    let code = UserErrorCode::ItemNotStockedAtLocation;
    let fault = Fault::from(FaultKind::UserError { code });
    run(one_of_250(fault, "ITEM_NOT_STOCKED", ("disabled", "listing_refused")));
}

#[test]
fn one_of_250_that_shopify_refuses_by_name_is_given_up_and_the_others_arrive() {
    let code = UserErrorCode::AdjustQuantitiesFailed;
    let fault = Fault::from(FaultKind::UserError { code });
    run(one_of_250(fault, "ADJUST_QUANTITIES_FAILED", ("dead", "sync_dead")));
}

#[test]
fn one_of_250_that_shopify_fails_at_whenever_it_is_named_is_given_up_and_the_others_arrive() {
    run(one_of_250(Fault::status(500), "", ("dead", "sync_dead")));
}

#[test]
fn one_of_250_that_shopify_hangs_at_is_given_up_and_the_others_arrive() {
    let fault = Fault::from(FaultKind::Hang { ms: 20 }).of(ADJUST);
    run(one_of_250(fault, "", ("dead", "sync_dead")));
}

#[test]
fn a_shop_that_takes_our_token_no_more_stops_and_the_other_goes_on() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 100).await;
        world.stack.shopify.fault(BANNOS, Fault::status(401)).unwrap();
        world.kick(world.worker).await;
        let stopped = "select stop_reason from ordak.stores where code = 'bannos' and stopped_at is not null";
        until("a stopped store", async || (!world.look(stopped).await.is_empty()).then_some(())).await;
        let level = async || (world.told(FLOURLANE_SHOP, &lot).len() == 100).then_some(());
        until("the other shop's levels", level).await;
        let alert = "select string_agg(subject, ', ') from ordak.alerts where kind = 'store_stopped' and resolved_at is null";
        assert_eq!(world.look(alert).await, "bannos");
        // Nothing more is asked of it, whoever comes.
        let asked = world.pushes(BANNOS);
        world.add(&lot, 1).await;
        let again = async || {
            world.kick(world.worker).await;
            (world.told(FLOURLANE_SHOP, &lot).values().all(|told| *told == [-2, 1])).then_some(())
        };
        until("the other shop's levels again", again).await;
        assert_eq!((world.pushes(BANNOS), world.told(BANNOS, &lot).len()), (asked, 0));

        world.stack.shopify.clear_faults(BANNOS).unwrap();
        world.does("resume_store", json!({"store": "bannos"})).await;
        world.settle(world.worker).await;
        assert_eq!(world.look(alert).await, "");
        world.told_once(FLOURLANE_SHOP, &lot, &[-2, 1]);
        world.level(&lot).await;
    });
}

/// A function on a host whose clock is so many hours off.
async fn at_another_time(world: &mut World, function: Route, hours: i64, worker: Option<u16>) -> u16 {
    let name = format!("{}-at-{hours}", function.function);
    let folder = world.stack.service("postgres").unwrap().log().parent().unwrap().to_owned();
    let (clock, entry) = (folder.join(format!("clock{hours}.ts")), folder.join(format!("{name}.ts")));
    let ms = hours * 3_600_000;
    let text = format!(
        "const Real = Date; const now = () => Real.now() + {ms};
         globalThis.Date = class extends Real {{
           constructor(...args: unknown[]) {{ super(...(args.length ? args : [now()]) as [number]); }}
           static override now() {{ return now(); }}
         }} as DateConstructor;\n"
    );
    std::fs::write(&clock, text).unwrap();
    let index = generated(function.function).with_file_name("index.ts");
    let text = format!("import \"{}\";\nimport \"{}\";\n", clock.display(), index.display());
    std::fs::write(&entry, text).unwrap();
    let flags = ["--no-remote", "--no-npm", "--no-config", "--allow-net=127.0.0.1"];
    let worker = worker.map(|port| format!("http://127.0.0.1:{port}{}", SYNC_WORKER.path));
    let started = world.stack.start_server(&name, |port, mut env| {
        env.extend(worker.map(|url| ("ORDAK_SYNC_WORKER_URL".to_owned(), url)));
        serve_on_deno(&entry, &flags, port, env)
    });
    started.await.unwrap()
}

#[test]
fn a_host_whose_clock_is_an_hour_off_tells_its_own_worker_and_all_is_level() {
    run(async {
        let mut world = world().await;
        for hours in [-1, 1] {
            let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 3).await;
            world.settle(world.worker).await;
            let worker = at_another_time(&mut world, SYNC_WORKER, hours, None).await;
            let webhooks = at_another_time(&mut world, WEBHOOKS_SHOPIFY, hours, Some(worker)).await;
            // Ours is signed now, which is another time there.
            let mut ours = world.stack.worker();
            ours.url = format!("http://127.0.0.1:{worker}{}", SYNC_WORKER.path);
            assert_eq!(Answer::to(ours.call(client(), "kick").unwrap()).await.said(), "401 AUTH001");
            let answer = world.send(webhooks, &world.sell(BANNOS, &lot.sku(1))).await;
            assert_eq!(answer.said(), "200 created");
            // Nobody else calls a worker.
            let told = || world.told(FLOURLANE_SHOP, &lot).remove(&lot.id(FLOURLANE_SHOP, 1));
            until("the order in the other shop", async || (told() == Some(vec![-2, -1])).then_some(())).await;
            world.settle(world.worker).await;
            world.level(&lot).await;
        }
    });
}

#[test]
fn where_every_kick_is_lost_the_schedule_brings_all_level() {
    run(async {
        let mut world = world().await;
        let mut env = world.stack.function_env();
        env.push(("ORDAK_SYNC_WORKER_URL".into(), "http://127.0.0.1:9/".into()));
        let deaf = world.stack.start_function(WEBHOOKS_SHOPIFY.function, env).await.unwrap();
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 20).await;
        for n in 1..=20 {
            let shop = if n % 2 == 0 { BANNOS } else { FLOURLANE_SHOP };
            assert_eq!(world.send(deaf, &world.sell(shop, &lot.sku(n))).await.said(), "200 created");
        }
        for (_, shop, ..) in SHOPS {
            assert_eq!(world.told(shop, &lot).len(), 0, "nobody has called a worker");
        }
        assert_eq!(world.stack.scheduled(SYNC_WORKER.function, world.worker).await.unwrap(), "ok");
        for (_, shop, ..) in SHOPS {
            assert_eq!(world.told(shop, &lot).len(), 20);
        }
        world.level(&lot).await;
        world.settle(world.worker).await;
    });
}

#[test]
fn ten_thousand_listings_take_forty_calls_and_a_small_bucket_is_used() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS], 10_000).await;
        let before = world.pushes(BANNOS);
        world.settle(world.worker).await;
        let calls = world.pushes(BANNOS) - before;
        assert!((40..=45).contains(&calls), "{calls} calls");
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;

        let lot = world.lot(&[BANNOS], 4_000).await;
        let limit = Limit { maximum: 50.0, restore_rate: 20.0, ..Limit::default() };
        world.stack.shopify.limit(BANNOS, limit.clone()).unwrap();
        let (before, calls) =
            (world.stack.shopify.counts(BANNOS).unwrap(), world.stack.shopify.calls(BANNOS).unwrap().len());
        world.settle(world.worker).await;
        let spent = (world.stack.shopify.counts(BANNOS).unwrap().cost - before.cost) as f64;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().split_off(calls);
        let time = calls.last().unwrap().at.duration_since(calls[0].at).as_secs_f64();
        let allowed = limit.maximum + limit.restore_rate * time;
        println!("{spent} of {allowed} in {time} s, {} calls", calls.len());
        assert!(spent >= 160.0 && spent >= 0.9 * allowed, "{spent} of {allowed} in {time} s");
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;
    });
}

#[test]
fn a_thousand_orders_of_one_item_make_a_few_pushes() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 1).await;
        world.settle(world.worker).await;
        let sku = lot.sku(1);
        let from = world.stack.shopify.adjustments(FLOURLANE_SHOP).unwrap().len();
        let start = Instant::now();
        let orders = (0..1_000).map(|_| world.sell(BANNOS, &sku)).collect::<Vec<_>>();
        let sent = stream::iter(&orders).map(|order| world.send(world.webhooks, order)).buffer_unordered(8);
        let answers: Vec<_> = sent.map(|answer| answer.said()).collect().await;
        assert_eq!(answers, vec!["200 created"; 1_000]);
        let time = start.elapsed().as_secs_f64();
        world.settle(world.worker).await;
        let pushes = world.stack.shopify.adjustments(FLOURLANE_SHOP).unwrap().split_off(from);
        println!("{} pushes of 1000 orders in {time:.1} s", pushes.len());
        for pair in pushes.windows(2) {
            let apart = pair[1].at.duration_since(pair[0].at).as_secs_f64();
            assert!(apart > 0.19, "two pushes {apart} s apart");
        }
        // One at once, then one for each second, or earlier where the orders stop coming for a moment.
        assert!(pushes.len() as f64 <= 12_f64.max(2.0 + 1.5 * time), "{} pushes in {time} s", pushes.len());
        assert_eq!(pushes.last().unwrap().changes[0].after, -990);
        world.level(&lot).await;
    });
}
