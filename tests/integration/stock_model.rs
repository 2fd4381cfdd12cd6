//! Stock against a model: made-up lives of orders, in the database and in a few lines of Rust, that must agree.

mod at_once;
mod life;
mod model;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use self::life::Life;
use crate::support::dice::Dice;
use crate::support::shop::{Shop, audited};
use crate::support::*;
use model::{CAKE, ITEMS, SOLD, STAGES, TART, Task, needs};

/// How many short lives there are, how many of them are led at a time, and how many things happen in each.
const SHORT: (u64, u64, usize) = (2_000, 100, 6);

/// The same of long ones.
const LONG: (u64, u64, usize) = (32, 32, 39);

/// After how many things the database and the model are compared, and the auditor is asked.
const CHECKPOINT: usize = 3;

/// How many connections lives are led on, at once.
const HANDS: usize = 5;

impl Dice {
    /// A day that an order may be due on, or none.
    fn due(&mut self) -> Value {
        match self.roll(9) {
            0 => json!(null),
            day => json!(format!("{}-03-0{day}", coming_year())),
        }
    }
}

/// Has an order taken.
const PUT: &str = "select p.order_key from ordak.stores as s
    cross join lateral ordak.put_order(s, $2::text::jsonb, true) as p where s.code = $1";

/// The tasks of an order.
const TASKS: &str = "
    select l.position - 1, t.unit, array_position(enum_range(null::ordak.stage), t.stage) - 1, t.pass,
           t.withdrawn_at is null, t.number,
           array(select array_position(enum_range(null::ordak.stage), s.stage) - 1 from ordak.stage_times as s
                 where s.task = t.id and s.pass = t.pass and s.started_at is not null)
    from ordak.tasks as t join ordak.order_lines as l on l.id = t.line_key
    where t.order_key = $1 order by t.id";

/// What there is of items and orders, in the model's words.
const TOLD: &str = "
    with items as materialized (select * from ordak.items as i where i.sku = any ($1)),
    orders as materialized (select * from ordak.orders as o where o.id = any ($2))
    select format('%s is [%s, %s, %s] ats %s', i.sku, (i.on_hand * 1000)::bigint, (i.held * 1000)::bigint,
                  (i.blocked * 1000)::bigint, a.ats)
    from ordak.ats(array(select id from items order by id), array(select $3::text from items)) as a
    join items as i on i.id = a.item
    union all
    select format('%s %s %s', i.sku, m.reason, (m.delta * 1000)::bigint)
    from items as i join ordak.stock_moves as m on m.item = i.id
    union all
    select format('%s expected %s marked %s', i.sku, g.expected, case when exists (
      select from ordak.work_queue as w where w.topic = 'inventory_push' and w.store = g.store and w.key = g.id::text)
      then 'true' else 'false' end)
    from items as i join ordak.listings as g on g.item = i.id
    union all
    select format('%s line %s unit %s %s %s %s %s', o.order_id, l.position, r.unit, split_part(i.sku, '-', 3), r.stage,
                  r.pass, r.state)
    from orders as o join ordak.reservations as r on r.order_key = o.id join ordak.items as i on i.id = r.item
    join ordak.order_lines as l on l.id = r.line_key
    union all
    select format('%s line %s unit %s task is blocked', o.order_id, l.position, t.unit)
    from orders as o join ordak.tasks as t on t.order_key = o.id join ordak.order_lines as l on l.id = t.line_key
    join api.tasks as v on v.task_number = t.number where v.inventory_blocked
    union all
    select format('%s is %s', o.order_id, s.what)
    from orders as o join api.orders as v on v.order_id = o.order_id
    cross join lateral (values ('blocked', v.inventory_blocked), ('unmapped', 'unmapped_product' = any (v.flags)))
      as s (what, so)
    where s.so";

/// Tells the planner what lives have left behind.
const ANALYZE: &str = "analyze ordak.orders, ordak.order_lines, ordak.tasks, ordak.stage_times, ordak.items,
    ordak.bom_lines, ordak.reservations, ordak.stock_moves, ordak.listings, ordak.listing_effects, ordak.work_queue";

/// A connection that calls as the Admin of a shop.
struct Hand {
    shop: &'static Shop,
    client: Client,
    put: Statement,
    tasks: Statement,
    told: Statement,
}

impl Hand {
    async fn new(shop: &'static Shop) -> Hand {
        let client = database(&shared().stack).await;
        let claims = json!({"sub": shop.admin.id, "role": "authenticated"}).to_string();
        client.query("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
        let prepared = async |sql: &str| client.prepare(sql).await.unwrap();
        let (put, tasks, told) = (prepared(PUT).await, prepared(TASKS).await, prepared(TOLD).await);
        Hand { shop, client, put, tasks, told }
    }

    /// Calls a function, and answers with whether it did it: not where there is too little.
    async fn call(&self, name: &str, arguments: Value) -> bool {
        let arguments = arguments.as_object().unwrap().iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name} => '{text}'"),
            Value::Array(_) | Value::Object(_) => format!("{name} => '{value}'"),
            other => format!("{name} => {other}"),
        });
        let arguments = arguments.collect::<Vec<_>>().join(", ");
        let sql = format!("select api.{name}({arguments})");
        let answered = self.client.simple_query(&sql).await;
        let Err(error) = answered else { return true };
        let message = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).message();
        assert!(message.contains("INV003"), "{sql}: {message}");
        false
    }

    /// Has an order taken, and answers with its row.
    async fn put(&self, content: &Value) -> i64 {
        let row = self.client.query_one(&self.put, &[&self.shop.code, &content.to_string()]).await;
        row.unwrap_or_else(|error| panic!("{content}: {error:?}")).get(0)
    }

    async fn tasks(&self, order_key: i64) -> Vec<Task> {
        let rows = self.client.query(&self.tasks, &[&order_key]).await.unwrap();
        let task = |row: &tokio_postgres::Row| Task {
            line: usize::try_from(row.get::<_, i32>(0)).unwrap(),
            unit: row.get(1),
            stage: row.get(2),
            pass: row.get(3),
            live: row.get(4),
            number: row.get(5),
            begun: row.get(6),
        };
        rows.iter().map(task).collect()
    }

    async fn version(&self, order_key: i64) -> Value {
        let sql = format!("select version from ordak.orders where id = {order_key}");
        let rows = self.client.simple_query(&sql).await.unwrap();
        let row = rows.into_iter().find_map(|row| match row {
            SimpleQueryMessage::Row(row) => row.get(0).map(|version| version.parse::<i32>().unwrap()),
            _ => None,
        });
        json!(row.unwrap())
    }

    /// The database says of these lives what the model says.
    async fn compare(&self, lives: &[Life], at: &str) {
        let skus: Vec<String> =
            lives.iter().flat_map(|life| ITEMS.map(|item| format!("{}-{}", life.name, item.0))).collect();
        let orders = lives.iter().flat_map(|life| life.model.orders.iter().map(|order| order.key));
        let orders: Vec<i64> = orders.collect();
        let rows = self.client.query(&self.told, &[&skus, &orders, &self.shop.code]).await.unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut told: Vec<String> = lives.iter().flat_map(|life| life.model.told(&life.name)).collect();
        found.sort();
        told.sort();
        let only = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|what| other.binary_search(what).is_err()).take(20).cloned().collect()
        };
        assert!(
            found == told,
            "{at}\nthe database alone: {:#?}\nthe model alone: {:#?}",
            only(&found, &told),
            only(&told, &found)
        );
    }
}

/// Items, bills and listings of lives; what stands in braces is filled in.
const DEFINE: &str = "
    create temporary table lives as select '{shop}-' || n || '-' as life from generate_series({first}, {last}) as n;
    create temporary table parts (place, name, kind, on_hand) as values {items};
    create temporary table sold as select life || n as sku from lives, unnest(array[{sold}]) as n;
    insert into ordak.items (sku, name, kind, tracked)
    select life || name, name, kind, name <> 'CAKE' from lives, parts order by life, place;
    insert into ordak.stock_moves (item, delta, reason)
    select i.id, p.on_hand, 'count' from lives, parts as p, ordak.items as i
    where i.sku = life || p.name and p.on_hand > 0;
    insert into ordak.bom_lines (product, item, quantity, stage, optional)
    select p.id, i.id, b.amount, b.stage::ordak.stage, b.optional
    from lives, (values {bills}) as b (product, item, amount, stage, optional), ordak.items as p, ordak.items as i
    where p.sku = life || b.product and i.sku = life || b.item;
    insert into ordak.listings (item, store, inventory_item_id, location_id, based_at)
    select i.id, '{shop}', i.id, 71, '2026-11-01' from sold as s join ordak.items as i on i.sku = s.sku;
    insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
    select g.id, 'drift', 1, a.ats, a.ats, '2026-11-01'
    from sold as s join ordak.items as i on i.sku = s.sku join ordak.listings as g on g.item = i.id
    cross join ordak.ats(array[i.id], array['{shop}']) as a;
    drop table lives, parts, sold";

/// Defines the items of some lives, what they are made of, and how the shop lists them, all at once.
async fn define(shop: &Shop, first: u64, last: u64) {
    let items = ITEMS
        .iter()
        .enumerate()
        .map(|(place, (name, kind, on_hand))| format!("({place}, '{name}', '{kind}', {on_hand}.0 / 1000)"));
    let bills = [CAKE, TART].into_iter().flat_map(|product| {
        let parts = needs(product).iter().filter(move |part| part.0 != product);
        parts.map(move |(item, amount, stage, optional)| {
            let (product, item, stage) = (ITEMS[product].0, ITEMS[*item].0, STAGES[*stage as usize]);
            format!("('{product}', '{item}', {amount}.0 / 1000, '{stage}', {optional})")
        })
    });
    let sql = DEFINE
        .replace("{shop}", shop.code)
        .replace("{first}", &first.to_string())
        .replace("{last}", &last.to_string())
        .replace("{items}", &items.collect::<Vec<_>>().join(", "))
        .replace("{bills}", &bills.collect::<Vec<_>>().join(", "))
        .replace("{sold}", &SOLD.map(|item| format!("'{}'", ITEMS[item].0)).join(", "));
    let client = database(&shared().stack).await;
    client.batch_execute(&sql).await.unwrap();
    // What else happens by itself, or each step would cost what a thousand lives have left behind.
    client.batch_execute(ANALYZE).await.unwrap();
}

/// The store of all lives.
async fn zimt() -> &'static Shop {
    static ZIMT: OnceCell<Shop> = OnceCell::const_new();
    ZIMT.get_or_init(|| Shop::new("zimt", "Z")).await
}

/// Leads lives at once from a seed on, all of them from checkpoint to checkpoint.
async fn lead(hands: &[Hand], first: u64, lives: u64, steps: usize) {
    let shop = hands[0].shop;
    define(shop, first, first + lives - 1).await;
    let mut lanes: Vec<Vec<Life>> = hands.iter().map(|_| Vec::new()).collect();
    for seed in first..first + lives {
        lanes[seed as usize % hands.len()].push(Life::new(shop, seed));
    }
    for checkpoint in 1..=steps / CHECKPOINT {
        let at = format!("lives from {first} on, after {} steps", checkpoint * CHECKPOINT);
        let lane = async |hand: &Hand, lives: &mut Vec<Life>| {
            for life in lives.iter_mut() {
                for _ in 0..CHECKPOINT {
                    life.step(hand).await;
                }
            }
            hand.compare(lives, &at).await;
        };
        join_all(hands.iter().zip(&mut lanes).map(|(hand, lives)| lane(hand, lives))).await;
        assert_eq!(audited(shop.code).await, [""; 0], "{at}");
    }
}

#[test]
fn whatever_happens_stock_is_what_the_model_says() {
    run(async {
        let shop = zimt().await;
        let hands = join_all((0..HANDS).map(|_| Hand::new(shop))).await;
        let mut seed = 0;
        for (all, at_once, steps) in [LONG, SHORT] {
            for _ in 0..all / at_once {
                lead(&hands, seed, at_once, steps).await;
                seed += at_once;
            }
        }
    });
}
