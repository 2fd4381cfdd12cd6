//! What happens to deliveries when a part of the system is down, slow or killed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use ordak_core::route::HEALTH;
use serde_json::{Value, json};
use tokio_postgres::Client;
use xtask::stack::Stack;
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::{Sent, Webhook, delivery_id};

use crate::support::*;

/// One stack of its own for all of it, since starting one takes seconds.
#[test]
fn deliveries_survive_what_is_done_to_the_database() {
    run(async {
        let mut stack = start("faults").await;
        a_database_that_is_down_gets_503_and_the_delivery_succeeds_later(&mut stack).await;
        a_slow_database_gets_503_in_time_and_nothing_is_half_written(&mut stack).await;
        stack.stop().await;
    });
}

async fn a_database_that_is_down_gets_503_and_the_delivery_succeeds_later(stack: &mut Stack) {
    let webhook = create(&Order::new(BANNOS, number()));
    for service in ["postgres", "postgrest"] {
        stack.kill(service).await;
        assert_eq!(
            said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()),
            "503 SYS001",
            "without {service}"
        );
        let ready = Answer::get(format!("{}{}?ready", stack.url(), HEALTH.path)).await;
        assert_eq!(ready.status, 503, "without {service}");
        let alive = Answer::get(format!("{}{}", stack.url(), HEALTH.path)).await;
        assert_eq!(alive.status, 200, "without {service}");
    }
    stack.start_postgres().await.unwrap();
    stack.start_postgrest().await.unwrap();
    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 created");
}

async fn a_slow_database_gets_503_in_time_and_nothing_is_half_written(stack: &mut Stack) {
    let (watcher, mut locker) = (database(stack).await, database(stack).await);
    let order = Order::new(BANNOS, number());
    let webhook = create(&order);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table ordak.order_lines in access exclusive mode").await.unwrap();
    let start = Instant::now();
    let sent = stack.shopify.send(&webhook).await.unwrap();
    assert_eq!(said_to_shopify(&sent), "503 SYS002");
    assert!(start.elapsed() < GIVES_UP, "this took {:?}", start.elapsed());
    let mine = format!("where o.number = {}", order.number);
    let half: i64 =
        lock.query_one(&format!("select count(*) from ordak.orders as o {mine}"), &[]).await.unwrap().get(0);
    assert_eq!(half, 0);
    // Still locked: a call that nobody waits for must not keep its connection for as long as a lock lasts.
    let gone = async || (count(&watcher, WAITING).await == 0).then_some(());
    until("an end of the call that was answered 503", gone).await;
    lock.commit().await.unwrap();

    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 created");
    assert_eq!(said_to_shopify(&stack.shopify.send(&webhook).await.unwrap()), "200 skipped");
    for table in ["order_lines", "tasks", "webhook_deliveries"] {
        let sql = format!(
            "select count(*) from ordak.orders as o join ordak.{table} as t on t.order_key = o.id {mine}"
        );
        assert_eq!(count(&watcher, &sql).await, 1, "{table}");
    }
}

/// How many calls wait for a lock. Not to be asked within a transaction, which would get the same answer
/// every time.
const WAITING: &str = "select count(*) from pg_stat_activity
                       where usename in ('authenticator', 'service_role') and wait_event_type = 'Lock'";

/// How many orders the storm is about; each is one of six lives.
const ORDERS: i64 = 300;

/// The numbers of the orders that are delivered one after the other, and of those that come as a storm.
const CALM: i64 = 10_000;
const STORM: i64 = 20_000;

/// How many deliveries are under way at once; PostgREST has ten connections.
const AT_ONCE: usize = 16;
const CONNECTIONS: i64 = 10;

/// The time in which the four hours pass in which Shopify sends again what was not taken.
const FOUR_HOURS: Duration = Duration::from_secs(30);

/// 1,000 deliveries, of which 300 are repeats, come in no order and many at once, while Postgres is killed twice and
/// PostgREST once. In the end there is what the same deliveries make that come one after the other.
#[test]
fn a_storm_of_deliveries_ends_with_the_right_orders_whatever_is_killed() {
    run(async {
        let mut stack = start("storm").await;
        deliver_in_order(&stack).await;
        let webhooks = storm();
        let before = stack.shopify.sent().len();
        let start = Instant::now();
        deliver_while_killing(&mut stack, &webhooks).await;
        let sent = stack.shopify.sent().split_off(before);
        println!("{} in {:.1} s", counts(&sent), start.elapsed().as_secs_f32());

        let database = database(&stack).await;
        every_answer_was_true(&database, &webhooks, &sent).await;
        the_orders_are_right(&database).await;
        stack.stop().await;
    });
}

/// What Shopify sends of an order from its beginning to its end, and how many cakes are wanted then.
struct Life {
    webhooks: Vec<Webhook>,
    cakes: i64,
}

impl Life {
    /// One of six, of the order with this number after the first.
    fn new(first: i64, index: i64) -> Life {
        let shop_domain = if index % 2 == 0 { BANNOS } else { FLOURLANE };
        let units = 1 + index / 12 % 3;
        let placed = Order::new(shop_domain, first + index).lines(vec![
            Line::new("Chocolate Fudge Cake", "Large / Chocolate", units as u32),
            Line::new("Matcha Cake", "Small / Matcha", 1).with("Cake writing", "Happy 30th!"),
            Line::new("Sparkling Candle", "Gold", 3),
        ]);
        let send = |topic: &str, body: Value| Webhook::new(topic, shop_domain, body);
        let updated = |order: Order| send("orders/updated", order.body());
        let cancelled = |order: Order| send("orders/cancelled", order.body());
        let (rest, cakes) = match index / 2 % 6 {
            0 => (vec![], units + 1),
            1 => {
                let mut bigger = placed.clone().at(10);
                bigger.lines.push(Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 2));
                (vec![updated(bigger)], units + 3)
            }
            2 => {
                let refunded = placed.clone().refunded(10, 0, 1);
                (vec![send("refunds/create", refunded.refund_bodies().remove(0)), updated(refunded)], units)
            }
            3 => {
                let moved = Order { customer: "Noa Sample".into(), due: None, ..placed.clone() }.at(10);
                (vec![updated(moved.clone()), cancelled(moved.cancelled(20))], 0)
            }
            4 => {
                let edit = json!({"order_edit": {"id": placed.id, "order_id": placed.id}});
                let mut smaller = placed.clone().at(10);
                smaller.lines[1].removed = 1;
                (vec![send("orders/edited", edit), updated(smaller)], units)
            }
            _ => (vec![cancelled(placed.clone().cancelled(5))], 0),
        };
        Life { webhooks: [vec![create(&placed)], rest].concat(), cakes }
    }
}

fn lives(first: i64) -> impl Iterator<Item = Life> {
    (0..ORDERS).map(move |index| Life::new(first, index))
}

/// All deliveries of all lives, and repeats of three in seven, half of these under an id of their own. Shuffled, the
/// same way every time; but those of two orders in five come at the same instant, the last first.
fn storm() -> Vec<Webhook> {
    let (mut groups, mut places) = (Vec::new(), (0..14).cycle());
    for (index, life) in lives(STORM).enumerate() {
        let mut sent = Vec::new();
        for (webhook, place) in life.webhooks.into_iter().zip(&mut places) {
            match place {
                0..3 => sent.push(webhook.clone()),
                3..6 => sent.push(Webhook { webhook_id: delivery_id(), ..webhook.clone() }),
                _ => {}
            }
            sent.push(webhook);
        }
        match index % 5 {
            0..2 => groups.push(sent.into_iter().rev().collect()),
            _ => groups.extend(sent.into_iter().map(|webhook| vec![webhook])),
        }
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..groups.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        groups.swap(last, (random % (last as u64 + 1)) as usize);
    }
    let webhooks = groups.concat();
    assert_eq!(webhooks.len(), 1000);
    webhooks
}

/// Each life one delivery after the other, with nothing in the way.
async fn deliver_in_order(stack: &Stack) {
    let sends = lives(CALM).map(async |life| {
        for webhook in &life.webhooks {
            let sent = stack.shopify.send(webhook).await.unwrap();
            assert_eq!(sent.status, Some(200), "{sent:?}");
        }
    });
    stream::iter(sends).buffer_unordered(4).collect::<Vec<()>>().await;
}

async fn deliver_while_killing(stack: &mut Stack, webhooks: &[Webhook]) {
    let (shopify, taken) = (stack.shopify.clone(), AtomicUsize::new(0));
    let sends = webhooks.iter().map(async |webhook| {
        let sent = shopify.deliver(webhook, FOUR_HOURS).await.unwrap();
        assert!(sent.taken(), "given up: {sent:?}");
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let sends = stream::iter(sends).buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    let kills = async {
        let plan = [(200, "postgres", false), (450, "postgrest", true), (700, "postgres", true)];
        for (after, service, busy) in plan {
            let what = format!("{after} deliveries that are taken");
            until(&what, async || (taken.load(Ordering::Relaxed) >= after).then_some(())).await;
            if busy {
                kill_in_the_middle(stack, service).await;
            } else {
                stack.kill(service).await;
            }
            let refused = async || {
                stack.shopify.sent().iter().rev().take(AT_ONCE).all(|sent| !sent.taken()).then_some(())
            };
            until("deliveries that are refused", refused).await;
            match service {
                "postgres" => stack.start_postgres().await.unwrap(),
                _ => stack.start_postgrest().await.unwrap(),
            }
        }
    };
    tokio::join!(sends, kills);
}

/// Kills a service while every connection of PostgREST's has half written a delivery.
async fn kill_in_the_middle(stack: &mut Stack, service: &str) {
    let (watcher, mut locker) = (database(stack).await, database(stack).await);
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table ordak.tasks in access exclusive mode").await.unwrap();
    let waiting = async || (count(&watcher, WAITING).await == CONNECTIONS).then_some(());
    until("every connection in the middle of a delivery", waiting).await;
    stack.kill(service).await;
    // Gone already where it was the database.
    let _ = lock.commit().await;
}

/// What the storm was like, in figures.
fn counts(sent: &[Sent]) -> String {
    let with = |status: Option<u16>| sent.iter().filter(|sent| sent.status == status).count();
    let most = sent.iter().map(|sent| sent.attempt).max().unwrap_or_default();
    format!(
        "{} requests, {} answered 200, {} answered 503, {} not at all, at most {most} for one delivery",
        sent.len(),
        with(Some(200)),
        with(Some(503)),
        with(None)
    )
}

/// Whatever was answered 2xx is there, and was from then on: under one id nothing was taken twice.
async fn every_answer_was_true(database: &Client, webhooks: &[Webhook], sent: &[Sent]) {
    let said = |sent: &Sent| serde_json::from_str::<Value>(&sent.answer).unwrap()["message"].to_string();
    let mut new = HashMap::new();
    for sent in sent.iter().filter(|sent| sent.taken() && !said(sent).contains("taken before")) {
        *new.entry(&sent.webhook_id).or_insert(0) += 1;
    }
    assert!(new.values().all(|times| *times == 1), "{new:?}");

    let sql = "select webhook_id from ordak.webhook_deliveries where outcome <> 'rejected'";
    let rows = database.query(sql, &[]).await.unwrap();
    let recorded: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(recorded.len(), rows.len());
    let lost: Vec<_> = webhooks.iter().filter(|webhook| !recorded.contains(&webhook.webhook_id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(count(database, "select count(*) from ordak.dead_letters").await, 0);
}

async fn the_orders_are_right(database: &Client) {
    let (calm, storm) = (orders(database, CALM).await, orders(database, STORM).await);
    assert_eq!(storm.len(), ORDERS as usize);
    for ((calm, storm), life) in calm.iter().zip(&storm).zip(lives(CALM)) {
        assert_eq!(storm, calm);
        let tasks = storm["tasks"].as_array().map_or(0, Vec::len);
        assert_eq!(tasks as i64, life.cakes, "{storm:#}");
    }
}

/// The orders from a number on with all that belongs to them, but for what differs with the number.
async fn orders(database: &Client, first: i64) -> Vec<Value> {
    let sql = "
        select jsonb_build_object(
          'number', o.number - $1,
          'order_id', o.shopify_order_id - $1 * 100,
          'order', to_jsonb(o) - '{id,number,order_id,shopify_order_id,shopify_order_gid,content_sha256}'::text[]
                               - '{created_at,updated_at}'::text[],
          'marks', (
            select jsonb_agg(w.topic) from ordak.work_queue as w where w.key = o.shopify_order_id::text),
          'lines', (
            select jsonb_agg(to_jsonb(l) - '{id,order_key}'::text[]
                             || jsonb_build_object('line_id', l.line_id - $1 * 200) order by l.line_id)
            from ordak.order_lines as l where l.order_key = o.id),
          'tasks', (
            select jsonb_agg(to_jsonb(t) - '{id,order_key,line_key,order_number,search,created_at,updated_at}'::text[]
                             || jsonb_build_object('number', replace(t.number, o.number::text, ''),
                                                   'line_id', l.line_id - $1 * 200) order by t.number)
            from ordak.tasks as t join ordak.order_lines as l on l.id = t.line_key where t.order_key = o.id),
          'refunds', (
            select jsonb_agg(to_jsonb(r) - '{refund_line_id,shopify_order_id}'::text[]
                             || jsonb_build_object('line_id', r.line_id - $1 * 200) order by r.refund_line_id)
            from ordak.refund_lines as r where r.store = o.store and r.shopify_order_id = o.shopify_order_id)
        )::text
        from ordak.orders as o
        where o.number between $1 and $1 + 9999
        order by o.number";
    let rows = database.query(sql, &[&first]).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}
