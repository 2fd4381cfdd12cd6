//! No sale is undone: hundreds of made-up lives of an item that two shops sell of one stock. Customers buy, cancel and
//! are given back; webhooks come late, shuffled, twice or never; people here count, restock and take orders, and edit
//! what a shop shows; answers to pushes are lost. Whatever happens, no push that a shop accepts raises it above what
//! there is, and in the end each shop shows that.
//!
//! What each life does follows from its number; what happens between the lives is up to the machine.

mod bound;
mod life;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use ordak_core::route::{SYNC_WORKER, WEBHOOKS_SHOPIFY};
use tokio_postgres::Client;
use xtask::stack::schedule::Worker;
use xtask::stack::shopify::{Limit, Variant as Sold};
use xtask::stack::{Stack, people};

use self::bound::{Known, Pushed};
use self::life::Life;
use crate::support::*;

/// How many lives there are, how many of them are led at a time, and how many things happen in each.
const LIVES: usize = 208;
const AT_ONCE: usize = 64;
const STEPS: usize = 14;

/// The letters of the shops; each two that stand together sell the same things.
const SHOPS: [&str; 8] = ["C", "D", "E", "G", "H", "I", "J", "K"];

/// How many connections our own people work on.
const HANDS: usize = 4;

/// How far Shopify's clock is ahead of ours.
const AHEAD: Duration = Duration::from_millis(37_300);

/// How the test paces the sync: all waits are for Shopify, and this one is quick.
const PACE: &str = "
    update ordak.sync_settings set base_wait = '300 milliseconds', orders_every = '3 seconds',
      orders_overlap = '10 seconds', push_window = '100 milliseconds', drift_threshold = 1000000;
    update ordak.settings set inventory_tracking = true where store like 'sales_%'";

/// Keeps the history of what our own ledger has come to: of each listing what can be sold, without what its own shop
/// sold and took back, as far as that is known here. Written when a transaction commits, whosever it is.
const HISTORY: &str = "
    create table ordak.own_ledger (
      id bigint generated always as identity primary key, listing bigint not null, own bigint not null,
      at timestamptz not null default clock_timestamp());
    create index own_ledger_listing_idx on ordak.own_ledger (listing, id);
    create function ordak.note_own(items bigint[]) returns void language plpgsql set search_path = '' as $$
    begin
      insert into ordak.own_ledger (listing, own)
      select o.* from (
        select g.id, (
          (select a.ats from ordak.ats(array[g.item], array[g.store]) as a)
          - coalesce((select sum(case e.kind when 'sold' then -e.counted else e.counted end)
                      from ordak.listing_effects as e where e.listing = g.id and e.kind in ('sold', 'refund')), 0)
        )::bigint as own
        from ordak.listings as g where g.item = any (items)
      ) as o
      where o.own is distinct from (
        select h.own from ordak.own_ledger as h where h.listing = o.id order by h.id desc limit 1);
    end $$;
    create function ordak.note_item() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      perform ordak.note_own(array[new.id]);
      return null;
    end $$;
    create function ordak.note_effect() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      perform ordak.note_own(array[g.item]) from ordak.listings as g where g.id = new.listing;
      return null;
    end $$;
    create constraint trigger note_own after update on ordak.items deferrable initially deferred
      for each row execute function ordak.note_item();
    create constraint trigger note_own after insert on ordak.listing_effects deferrable initially deferred
      for each row when (new.kind in ('sold', 'refund')) execute function ordak.note_effect()";

/// Has what waits after trouble be tried again at once, as when a person asks for it.
const ASKED_AGAIN: &str = "
    with resting as (
      select s.store from ordak.sync_stores as s where s.backoff_until > clock_timestamp() order by s.store for update)
    update ordak.sync_stores as s set backoff_until = null from resting as r where s.store = r.store;
    with waiting as (
      select w.id from ordak.work_queue as w
      where w.topic = 'inventory_push' and w.state = 'ready' and w.run_at > now() + interval '2 seconds'
      order by w.id for update skip locked)
    update ordak.work_queue as w set run_at = now() from waiting as v where w.id = v.id";

/// What is left to do, in words.
const LEFT: &str = "
    select concat_ws(' ', w.topic, w.store, w.key, w.state, w.attempts, w.run_at - now(), w.last_error)
    from ordak.work_queue as w
    union all
    select concat_ws(' ', 'open push', b.store, b.sends) from ordak.push_batches as b where b.state = 'open'
    union all
    select concat_ws(' ', 'level', r.store, r.listing) from ordak.level_reads as r";

/// A shop.
struct Shop {
    code: String,
    domain: String,
    location: i64,
}

/// The shops, and what tells the worker of them.
struct World {
    stack: Stack,
    hands: Vec<Client>,
    shops: Vec<Shop>,
    webhooks: String,
    worker: Worker,
    /// How many webhooks were lost.
    lost: AtomicUsize,
}

impl World {
    async fn start() -> World {
        let mut stack = start("sales").await;
        people::sign_up(&stack).await.unwrap();
        stack.shopify.advance(AHEAD);
        let shop = |(location, letter): (i64, &&str)| {
            let code = format!("sales_{}", letter.to_lowercase());
            Shop { domain: format!("{}.myshopify.com", code.replace('_', "-")), code, location }
        };
        let shops: Vec<Shop> = (81_001..).zip(&SHOPS).map(shop).collect();
        let mut env = stack.function_env();
        for shop in &shops {
            let token = format!("shpat_{}", shop.code);
            stack.shopify.open(&shop.domain, &token, shop.location);
            let limit = Limit { maximum: 1e9, restore_rate: 1e9, status: 200 };
            stack.shopify.limit(&shop.domain, limit).unwrap();
            env.push((format!("SHOPIFY_{}_TOKEN", shop.code.to_uppercase()), token));
        }
        let mut worker = stack.worker();
        let port = stack.start_function(SYNC_WORKER.function, env.clone()).await.unwrap();
        worker.url = format!("http://127.0.0.1:{port}{}", SYNC_WORKER.path);
        env.push(("ORDAK_SYNC_WORKER_URL".into(), worker.url.clone()));
        let port = stack.start_function(WEBHOOKS_SHOPIFY.function, env).await.unwrap();
        let webhooks = format!("http://127.0.0.1:{port}{}", WEBHOOKS_SHOPIFY.path);
        let mut hands = Vec::new();
        for _ in 0..HANDS {
            hands.push(hand(&stack).await);
        }
        let world = World { stack, hands, shops, webhooks, worker, lost: AtomicUsize::new(0) };
        world.open().await;
        world
    }

    /// Opens the shops here, and puts an item for each life on sale.
    async fn open(&self) {
        let database = &self.hands[0];
        for (shop, letter) in self.shops.iter().zip(SHOPS) {
            let insert =
                "insert into ordak.stores (code, name, shop_domain, letter, time_zone, location) values
                          ($1, $1, $2, $3, 'Australia/Sydney', 'gid://shopify/Location/' || $4::bigint)";
            database.execute(insert, &[&shop.code, &shop.domain, &letter, &shop.location]).await.unwrap();
        }
        database.batch_execute(PACE).await.unwrap();
        database.batch_execute(HISTORY).await.unwrap();
        for n in 0..LIVES {
            for (id, shop) in (8_100_000_000 + 10 * n as i64..).zip(self.pair(n)) {
                let variant = Sold::new(id, &sku(n), "Candle").available(shop.location, 5 + n as i64 % 30);
                self.stack.shopify.put(&shop.domain, variant).unwrap();
            }
        }
        let define = format!(
            "insert into ordak.items (sku, name, kind)
             select 'SALE-' || n, 'Candle ' || n, 'accessory' from generate_series(0, {LIVES} - 1) as n;
             insert into ordak.stock_moves (item, delta, reason)
             select i.id, 10 + i.id % 20, 'count' from ordak.items as i where i.sku like 'SALE-%'"
        );
        database.batch_execute(&define).await.unwrap();
        for (pair, shops) in self.shops.chunks(2).enumerate() {
            let of_pair = "select ordak.mark_all('find_listing', array_agg($1::text), array_agg(i.id::text))
                from ordak.items as i
                where i.sku like 'SALE-%' and split_part(i.sku, '-', 2)::int % $2 = $3";
            let pairs = self.shops.len() as i32 / 2;
            for shop in shops {
                database.execute(of_pair, &[&shop.code, &pairs, &(pair as i32)]).await.unwrap();
            }
        }
    }

    /// The shops that sell the item of a life.
    fn pair(&self, n: usize) -> [&Shop; 2] {
        let first = n % (self.shops.len() / 2) * 2;
        [&self.shops[first], &self.shops[first + 1]]
    }

    /// Calls the worker again and again, as the schedule does, until it is told to stop.
    async fn keep_calling(&self, stop: &AtomicBool) {
        for tick in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            self.hands[0].batch_execute(ASKED_AGAIN).await.unwrap();
            let trigger = if tick % 10 == 0 { "schedule" } else { "kick" };
            let answer = Answer::to(self.worker.call(client(), trigger).unwrap()).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    /// Waits until there is nothing left to do.
    async fn quiet(&self) {
        let mut left = Vec::new();
        let work = async {
            loop {
                left = texts(&self.hands[0], LEFT).await;
                if left.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), work).await.is_err() {
            panic!("{} things are still to be done: {:#?}", left.len(), &left[..left.len().min(20)]);
        }
    }

    /// Has orders listed that nobody told of, and then all levels compared, in a later second than all that happened.
    async fn reconcile(&self) {
        let lists = "select ordak.mark_all('list_orders', array_agg(s.code), array_agg(s.code))
                     from ordak.stores as s where s.code like 'sales_%'";
        self.hands[0].execute(lists, &[]).await.unwrap();
        self.quiet().await;
        let second = self.stack.shopify.now().as_second();
        until("the next second", async || (self.stack.shopify.now().as_second() > second).then_some(()))
            .await;
        let levels = "select ordak.mark_base(array(select g.id from ordak.listings as g))";
        self.hands[0].execute(levels, &[]).await.unwrap();
        self.quiet().await;
    }

    /// The listings by shop and inventory item, each with what can be sold.
    async fn listings(&self) -> Vec<Listing> {
        let sql = "select g.id, g.store, g.inventory_item_id, i.sku, a.ats::bigint from ordak.listings as g
                   join ordak.items as i on i.id = g.item
                   cross join lateral ordak.ats(array[g.item], array[g.store]) as a
                   where g.enabled and g.based_at is not null order by i.id, g.id";
        let rows = self.hands[0].query(sql, &[]).await.unwrap();
        let listing = |row: tokio_postgres::Row| {
            let (code, sku): (&str, String) = (row.get(1), row.get(3));
            let shop = self.shops.iter().position(|shop| shop.code == code).unwrap();
            let level = self.stack.shopify.available(&self.shops[shop].domain, &sku).unwrap();
            Listing { id: row.get(0), shop, item: row.get(2), sku, ats: row.get(4), level }
        };
        rows.into_iter().map(listing).collect()
    }
}

/// A connection that calls as an Admin.
async fn hand(stack: &Stack) -> Client {
    let hand = database(stack).await;
    let claims = "select set_config('request.jwt.claims',
                         json_build_object('sub', p.user_id, 'role', 'authenticated')::text, false)
                  from ordak.staff_shared as p where p.email = 'admin@bakery.example'";
    hand.query_one(claims, &[]).await.unwrap();
    hand
}

async fn texts(database: &Client, sql: &str) -> Vec<String> {
    database.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

fn sku(n: usize) -> String {
    format!("SALE-{n}")
}

/// A listing, what can be sold of it, and what its shop shows.
struct Listing {
    id: i64,
    shop: usize,
    item: i64,
    sku: String,
    ats: i64,
    level: i64,
}

/// All that is known of the listings at the end, in their order.
async fn learn(world: &World, begun: &[Listing], lives: &[Life<'_>]) -> Vec<Known> {
    let rows = "select h.listing, (extract(epoch from h.at) * 1000000)::bigint, h.own
                from ordak.own_ledger as h order by h.id";
    let rows = world.hands[0].query(rows, &[]).await.unwrap();
    let mut own: HashMap<i64, Vec<(i64, i64)>> = HashMap::new();
    rows.iter().for_each(|row| own.entry(row.get(0)).or_default().push((row.get(1), row.get(2))));
    let opened = "select b.key::text, (extract(epoch from b.opened_at) * 1000000)::bigint from ordak.push_batches as b";
    let opened: HashMap<String, i64> =
        world.hands[0].query(opened, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut pushes: HashMap<(usize, i64), Vec<Pushed>> = HashMap::new();
    for (index, shop) in world.shops.iter().enumerate() {
        for adjustment in world.stack.shopify.adjustments(&shop.domain).unwrap() {
            let accepted = adjustment.at.as_microsecond() - AHEAD.as_micros() as i64;
            let opened = opened[adjustment.reference.as_deref().unwrap().trim_start_matches("ordak://push/")];
            for change in &adjustment.changes {
                let (before, delta, after) = (change.before, change.delta, change.after);
                let push = Pushed { opened, accepted, before, delta, after };
                pushes.entry((index, change.inventory_item)).or_default().push(push);
            }
        }
    }
    let known = |listing: &Listing| {
        let own = own.remove(&listing.id).unwrap();
        let life = &lives[listing.sku[5..].parse::<usize>().unwrap()];
        let which = listing.shop % 2;
        let mut pushes = pushes.remove(&(listing.shop, listing.item)).unwrap_or_default();
        pushes.retain(|push| push.opened > own[0].0);
        let told: i64 = pushes.iter().map(|push| push.delta).sum();
        let now = world.stack.shopify.available(&world.shops[listing.shop].domain, &listing.sku).unwrap();
        assert_eq!(listing.level + told + life.events[which], now, "what happened to {}", listing.sku);
        Known { level: listing.level, own, removed: life.removed[which], pushes }
    };
    begun.iter().map(known).collect()
}

#[test]
fn no_sale_is_undone() {
    run(async {
        let world = World::start().await;
        let stop = AtomicBool::new(false);
        let lives = async {
            let result = lead_all(&world).await;
            stop.store(true, Ordering::Relaxed);
            result
        };
        let ((begun, lives), ()) = tokio::join!(lives, world.keep_calling(&stop));
        let known = learn(&world, &begun, &lives).await;
        let undone: Vec<_> = begun
            .iter()
            .zip(&known)
            .filter_map(|(listing, known)| {
                let (push, most) = known.undone()?;
                Some(format!(
                    "{} in {}: {push:?} exceeds {most}: {known:?}",
                    listing.sku, world.shops[listing.shop].code
                ))
            })
            .collect();
        assert!(undone.is_empty(), "{} listings: {:#?}", undone.len(), &undone[..undone.len().min(3)]);
        busy(&world, &known).await;
        world.stack.stop().await;
    });
}

/// Leads all lives, and compares everything when it is quiet again. Answers with the listings as they were before.
async fn lead_all(world: &World) -> (Vec<Listing>, Vec<Life<'_>>) {
    world.quiet().await;
    let start = "select ordak.note_own(array(select i.id from ordak.items as i))";
    world.hands[0].batch_execute("truncate ordak.own_ledger").await.unwrap();
    world.hands[0].execute(start, &[]).await.unwrap();
    let begun = world.listings().await;
    assert_eq!(begun.len(), 2 * LIVES);
    level(&begun);
    let lives = stream::iter(0..LIVES).map(|n| Life::new(world, n).lead()).buffered(AT_ONCE);
    let lives = lives.collect::<Vec<_>>().await;
    for shop in &world.shops {
        world.stack.shopify.clear_faults(&shop.domain).unwrap();
    }
    world.quiet().await;
    world.reconcile().await;
    level(&world.listings().await);
    assert_eq!(texts(&world.hands[0], "select concat_ws(' ', a.*) from ordak.audit as a").await, [""; 0]);
    (begun, lives)
}

/// Shopify shows what can be sold.
fn level(listings: &[Listing]) {
    let other = listings.iter().filter(|listing| listing.level != listing.ats);
    let other = other
        .map(|listing| format!("{} {}: {} of {}", listing.sku, listing.shop, listing.level, listing.ats));
    assert_eq!(other.collect::<Vec<_>>(), [""; 0]);
}

/// All of it happened: pushes, lost answers, lost webhooks, base checks.
async fn busy(world: &World, known: &[Known]) {
    let pushes: usize = known.iter().map(|known| known.pushes.len()).sum();
    let of = async |sql: &str| count(&world.hands[0], sql).await;
    let sent_again = of("select count(*) from ordak.push_batches as b where b.sends > 1").await;
    let drifts = "select count(*) from ordak.listing_effects as e
                  where e.kind = 'drift' and e.created_at > (select min(h.at) from ordak.own_ledger as h)";
    let drifts = of(drifts).await;
    let strikes = world.shops.iter().flat_map(|shop| world.stack.shopify.calls(&shop.domain).unwrap());
    let strikes = strikes.filter(|call| call.fault.is_some()).count();
    let lost = world.lost.load(Ordering::Relaxed);
    let enough = pushes > 2 * LIVES && strikes > 20 && sent_again > 5 && drifts > 5 && lost > LIVES;
    assert!(
        enough,
        "too little happened: {pushes} pushes, {sent_again} of them sent again, {strikes} calls in trouble, \
         {drifts} drifts, {lost} webhooks lost"
    );
}
