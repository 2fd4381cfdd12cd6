//! Stock against a model: made-up lives of orders, in the database and in a few lines of Rust, that must agree.

mod model;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use crate::stock::{Shop, audited, id, line};
use crate::support::*;
use model::{
    CAKE, CREAM, Change, GOLD, ITEMS, Model, Order, SOLD, STAGES, Sold, TART, TOY, Task, needs, number_of,
};

/// How many short lives there are, how many of them are led at a time, and how many things happen in each.
const SHORT: (u64, u64, usize) = (2_000, 100, 6);

/// The same of long ones.
const LONG: (u64, u64, usize) = (32, 32, 39);

/// After how many things the database and the model are compared, and the auditor is asked.
const CHECKPOINT: usize = 3;

/// How many connections lives are led on, at once.
const HANDS: usize = 5;

/// Pseudo-random numbers: the same ones for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.roll(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }

    /// A day that an order may be due on, or none.
    fn due(&mut self) -> Value {
        match self.roll(9) {
            0 => json!(null),
            day => json!(format!("2027-03-0{day}")),
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

/// A life: what happens to a shop's items of its own, in the database and in the model.
struct Life {
    name: String,
    dice: Dice,
    minute: i64,
    model: Model,
}

impl Life {
    fn new(shop: &Shop, seed: u64) -> Life {
        Life { name: format!("{}-{seed}", shop.code), dice: Dice(seed), minute: 0, model: Model::new() }
    }

    fn sku(&self, item: usize) -> String {
        format!("{}-{}", self.name, ITEMS[item].0)
    }

    /// The other name of an item, which nobody has mapped at first.
    fn alias(&self, item: usize) -> String {
        format!("{}-ALIAS", self.sku(item))
    }

    async fn step(&mut self, hand: &Hand) {
        let order = self.dice.roll(self.model.orders.len().max(1));
        match self.dice.roll(16) {
            _ if self.model.orders.is_empty() => self.sell(hand).await,
            0..=2 => self.sell(hand).await,
            3..=4 => self.update(hand, order).await,
            5 => self.edit(hand, order).await,
            6 => self.refund(hand, order).await,
            7 => self.close(hand, order).await,
            8..=9 => self.correct(hand).await,
            10 => self.remap(hand, order).await,
            _ => self.work(hand, order).await,
        }
    }

    /// Has the database take an order as it is in the model now.
    async fn deliver(&mut self, hand: &Hand, order: usize) {
        self.minute += 1;
        let (day, hour, minute) = (10 + self.minute / 1440, self.minute / 60 % 24, self.minute % 60);
        let at = json!(format!("2026-11-{day:02}T{hour:02}:{minute:02}:00Z"));
        let content = &mut self.model.orders[order].content;
        if content["placed_at"].is_null() {
            content["placed_at"] = at.clone();
        }
        content["updated_at"] = at;
        self.model.orders[order].key = hand.put(content).await;
        self.follow(hand, order, Change::Reserve { late: false }).await;
    }

    async fn follow(&mut self, hand: &Hand, order: usize, change: Change) {
        let tasks = hand.tasks(self.model.orders[order].key).await;
        self.model.follow(order, &tasks, change);
    }

    async fn sell(&mut self, hand: &Hand) {
        let mut items: Vec<usize> = SOLD.into_iter().filter(|_| self.dice.one_in(2)).collect();
        items.extend(if items.is_empty() { vec![CAKE] } else { vec![] });
        let (mut lines, mut sold) = (Vec::new(), Vec::new());
        for item in items {
            let alias = self.dice.one_in(5);
            let sku = if alias { self.alias(item) } else { self.sku(item) };
            let kind = if item == TOY { "accessory" } else { "cake" };
            lines.push(line(&sku, kind, 1 + self.dice.roll(3) as u32));
            sold.push(Sold { item, alias, known: false });
        }
        let mut content = hand.shop.order(&lines);
        content["placed_at"] = json!(null);
        content["pos"] = json!(self.dice.one_in(8));
        content["location_id"] = json!(71);
        content["due_date"] = self.dice.due();
        let id = format!("{}-{}", hand.shop.code, content["number"]);
        self.model.orders.push(Order::new(content, id, sold));
        self.deliver(hand, self.model.orders.len() - 1).await;
    }

    /// Shopify says something new of an order.
    async fn update(&mut self, hand: &Hand, order: usize) {
        let due = self.dice.due();
        let roll = self.dice.roll(6);
        let line = self.dice.roll(self.model.orders[order].lines.len());
        let model = &mut self.model.orders[order];
        let said = &mut model.content["lines"][line];
        let (quantity, current) = (number_of(&said["quantity"]), number_of(&said["current"]));
        match roll {
            0 => model.content["due_date"] = due,
            1 => (said["quantity"], said["current"]) = (json!(quantity + 1), json!(current + 1)),
            2 => said["current"] = json!((current - 1).max(0)),
            3 => said["current"] = json!((current + 1).min(quantity)),
            4 => said["fulfilled"] = json!(true),
            _ => {
                model.cancelled = true;
                model.content["cancelled_at"] = json!("2026-11-20T00:00:00Z");
            }
        }
        self.deliver(hand, order).await;
    }

    /// A person says when an order is due, which Shopify's word does not change any more.
    async fn edit(&mut self, hand: &Hand, order: usize) {
        let due = self.dice.due();
        let tasks = hand.tasks(self.model.orders[order].key).await;
        let model = &mut self.model.orders[order];
        let complete = !tasks.is_empty() && tasks.iter().all(|task| task.stage == 4);
        if model.cancelled || complete || due == *model.due() {
            return;
        }
        model.edited = (due != model.content["due_date"]).then(|| due.clone());
        let (order_id, version) = (model.id.clone(), hand.version(model.key).await);
        let edit = json!({"order_id": order_id, "version": version, "changes": {"due_date": due}});
        hand.call("edit_order", edit).await;
        self.follow(hand, order, Change::Reserve { late: false }).await;
    }

    async fn refund(&mut self, hand: &Hand, order: usize) {
        let line = self.dice.roll(self.model.orders[order].lines.len());
        let kind = self.dice.pick(&["return", "cancel", "no_restock", "legacy_restock"]);
        let content = &mut self.model.orders[order].content;
        let said = &mut content["lines"][line];
        let (line_id, current) = (said["line_id"].clone(), number_of(&said["current"]));
        said["current"] = json!((current - 1).max(0));
        let refund = json!({"refund_line_id": id(), "line_id": line_id, "quantity": 1, "restock_type": kind,
                            "location_id": 71, "refunded_at": "2026-11-20T00:00:00Z"});
        content["refund_lines"].as_array_mut().unwrap().push(refund);
        self.deliver(hand, order).await;
    }

    /// A person cancels an order, or says that it has left the shop.
    async fn close(&mut self, hand: &Hand, order: usize) {
        let model = &mut self.model.orders[order];
        if model.cancelled {
            return;
        }
        let order_id = model.id.clone();
        if self.dice.one_in(2) {
            model.cancelled = true;
            hand.call("cancel_order", json!({"order_id": order_id, "reason": "So it is"})).await;
            self.follow(hand, order, Change::Reserve { late: false }).await;
        } else {
            hand.call("complete_order", json!({"order_id": order_id})).await;
            self.follow(hand, order, Change::Stages).await;
        }
    }

    /// A person says what the other name of something means, and has an order follow.
    async fn remap(&mut self, hand: &Hand, order: usize) {
        let item = self.dice.pick(&SOLD).unwrap();
        let alias = self.alias(item);
        let rule = match self.dice.one_in(2) {
            true => json!({"sku": self.sku(item), "variant_sku": alias}),
            false => json!({"sku": self.sku(item), "keyword": alias}),
        };
        hand.call("set_match_rule", rule).await;
        self.model.mapped.insert(item);
        hand.call("remap_order", json!({"order_id": self.model.orders[order].id})).await;
        self.follow(hand, order, Change::Reserve { late: true }).await;
    }

    /// Somebody works on a cake.
    async fn work(&mut self, hand: &Hand, order: usize) {
        let tasks = hand.tasks(self.model.orders[order].key).await;
        let open: Vec<_> = tasks.iter().filter(|task| task.live && task.stage < 4).collect();
        let (Some(task), false) = (self.dice.pick(&open), self.model.orders[order].cancelled) else { return };
        let (number, stage) = (&task.number, STAGES[task.stage as usize]);
        let to = STAGES[self.dice.roll(5)];
        let (jump, remake) =
            (json!({"task_number": number, "stage": to, "reason": "So it is"}), self.dice.one_in(2));
        let mut change = Change::Stages;
        match self.dice.roll(6) {
            0 => hand.call("start_stage", json!({"task_number": number, "stage": stage})).await,
            1 => hand.call("move_to_stage", jump).await,
            2..=3 if task.stage == 3 => {
                if remake {
                    change = Change::Remake(task.line, task.unit);
                }
                let back = json!({"task_number": number, "reason": "A dent", "remake": remake});
                hand.call("return_to_decorating", back).await
            }
            _ => hand.call("complete_stage", json!({"task_number": number, "stage": stage})).await,
        };
        self.follow(hand, order, change).await;
    }

    /// A person corrects what there is of something, or what is kept back of it.
    async fn correct(&mut self, hand: &Hand) {
        let item = self.dice.roll(5);
        let (sku, amount) = (self.sku(item), 500 * (1 + self.dice.roll(8)) as i64);
        let (pieces, there) = (amount as f64 / 1000.0, self.model.on_hand[item]);
        match self.dice.roll(5) {
            0 => {
                hand.call("count_stock", json!({"sku": sku, "counted": pieces})).await;
                self.model.make_move(item, "count", amount - there);
            }
            1 => {
                let broken = json!({"sku": sku, "delta": -pieces, "reason": "damaged"});
                let taken = hand.call("adjust_stock", broken).await;
                assert_eq!(taken, there >= amount, "{sku}");
                self.model.make_move(item, "damaged", if taken { -amount } else { 0 });
            }
            2 => {
                hand.call("set_buffer", json!({"sku": sku, "buffer": pieces})).await;
                self.model.buffer[item] = amount;
            }
            3 => {
                hand.call("adjust_stock", json!({"sku": sku, "delta": pieces, "reason": "correction"})).await;
                self.model.make_move(item, "correction", amount);
            }
            _ => {
                let lines = json!([{"sku": sku, "quantity": pieces}]);
                hand.call("receive_stock", json!({"lines": lines})).await;
                self.model.make_move(item, "restock", amount);
            }
        }
        self.model.settle();
    }
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
/// What a person at once with others has changed of a life: each says what they add, whoever comes first.
#[derive(Default)]
struct Added {
    on_hand: [i64; 6],
    reserved: [i64; 6],
    sold: [i64; 6],
}

impl Added {
    fn reserve(&mut self, item: usize, sign: i64) {
        needs(item).iter().for_each(|(part, amount, _, _)| self.reserved[*part] += sign * amount);
    }

    fn use_up(&mut self, item: usize) {
        self.reserve(item, -1);
        needs(item).iter().for_each(|(part, amount, _, _)| self.on_hand[*part] -= amount);
    }
}

/// Somebody at work on a life beside others.
struct Somebody<'a> {
    hand: &'a Hand,
    life: &'a Life,
    dice: Dice,
    /// Their own orders that are open: id, row and items.
    open: Vec<(String, i64, [usize; 2])>,
    added: Added,
}

impl Somebody<'_> {
    /// Orders, edits, cancels, completions, restocks, and orders that are mapped once they are there.
    async fn step(&mut self) {
        let at = self.dice.roll(self.open.len().max(1));
        match self.dice.roll(7) {
            0 if !self.open.is_empty() => {
                let (order_id, _, items) = self.open.swap_remove(at);
                let cancel = json!({"order_id": order_id, "reason": "So it is"});
                self.hand.call("cancel_order", cancel).await;
                items.iter().for_each(|item| self.added.reserve(*item, -1));
            }
            1 if !self.open.is_empty() => self.complete(at).await,
            2 if !self.open.is_empty() => {
                let (order_id, key, _) = &self.open[at];
                let (version, due) = (self.hand.version(*key).await, self.dice.due());
                let edit = json!({"order_id": order_id, "version": version, "changes": {"due_date": due}});
                self.hand.call("edit_order", edit).await;
            }
            3 => {
                let item = self.dice.roll(5);
                let adjust = json!({"sku": self.life.sku(item), "delta": 1.5, "reason": "restock"});
                self.hand.call("adjust_stock", adjust).await;
                self.added.on_hand[item] += 1500;
            }
            roll => self.sell(roll == 6).await,
        }
    }

    /// Has a new order taken, under the items' other names too, and then mapped.
    async fn sell(&mut self, alias: bool) {
        let (hand, life) = (self.hand, self.life);
        let items = self.dice.pick(&[[CAKE, TART], [CAKE, TOY], [TART, TOY]]).unwrap();
        let name = |item| if alias { life.alias(item) } else { life.sku(item) };
        let kind = |item| if item == TOY { "accessory" } else { "cake" };
        let mut order = hand.shop.order(&items.map(|item| line(&name(item), kind(item), 1)));
        order["due_date"] = self.dice.due();
        let (key, order_id) = (hand.put(&order).await, format!("{}-{}", hand.shop.code, order["number"]));
        if alias {
            for item in items {
                let rule = json!({"sku": life.sku(item), "variant_sku": life.alias(item)});
                hand.call("set_match_rule", rule).await;
            }
            hand.call("remap_order", json!({"order_id": order_id})).await;
        }
        self.open.push((order_id, key, items));
        for item in items {
            self.added.reserve(item, 1);
            self.added.sold[item] += 1;
        }
    }

    /// Has an order completed, after its cake was decorated anew perhaps.
    async fn complete(&mut self, at: usize) {
        let (order_id, key, items) = self.open.swap_remove(at);
        if items[0] == CAKE && self.dice.one_in(2) {
            send_back(self.hand, key).await;
            // The decoration is needed twice, and both are used up.
            for (part, amount) in [(CREAM, 1500), (GOLD, 1000)] {
                self.added.on_hand[part] -= amount;
            }
        }
        self.hand.call("complete_order", json!({"order_id": order_id})).await;
        items.iter().for_each(|item| self.added.use_up(*item));
    }
}

/// Has the first cake of an order packed but for its box, and then decorated anew.
async fn send_back(hand: &Hand, order_key: i64) {
    let tasks = hand.tasks(order_key).await;
    let task = tasks.iter().find(|task| task.line == 0).unwrap();
    let jump = json!({"task_number": task.number, "stage": "Packing", "reason": "So it is"});
    hand.call("move_to_stage", jump).await;
    let back = json!({"task_number": task.number, "reason": "A dent", "remake": true});
    hand.call("return_to_decorating", back).await;
}

/// What there is of a life's items, what is reserved, and what Shopify must show less than at first.
const SUMS: &str = "
    select format('%s %s %s %s', i.sku, (i.on_hand * 1000)::bigint, ((i.held + i.blocked) * 1000)::bigint,
                  g.expected - e.delta)
    from ordak.items as i left join ordak.listings as g on g.item = i.id
    left join ordak.listing_effects as e on e.listing = g.id and e.kind = 'drift'
    where i.sku like $1 order by i.id";

/// What is used up and what is still needed does not depend on who comes first, so it can be said beforehand.
#[test]
fn what_happens_at_once_ends_as_if_it_came_one_after_the_other() {
    const PEOPLE: usize = 8;
    const ROUNDS: u64 = 12;
    const STEPS: usize = 12;
    run(async {
        let shop = zimt().await;
        let hands = join_all((0..PEOPLE).map(|_| Hand::new(shop))).await;
        // Seeds of their own, for each names its items.
        let first = 100_000;
        define(shop, first, first + ROUNDS - 1).await;
        for seed in first..first + ROUNDS {
            let life = Life::new(shop, seed);
            // What is optional is never short, or it would depend on who comes first.
            let lines = json!([{"sku": life.sku(GOLD), "quantity": 1000}]);
            hands[0].call("receive_stock", json!({"lines": lines})).await;
            let mut all = Added { on_hand: life.model.on_hand, ..Added::default() };
            all.on_hand[GOLD] += 1_000_000;
            let at_work = async |hand, seed| {
                let (dice, open, added) = (Dice(seed), Vec::new(), Added::default());
                let mut somebody = Somebody { hand, life: &life, dice, open, added };
                for _ in 0..STEPS {
                    somebody.step().await;
                }
                somebody.added
            };
            for added in join_all(hands.iter().zip(1..).map(|(hand, n)| at_work(hand, seed * 100 + n))).await
            {
                for item in 0..ITEMS.len() {
                    all.on_hand[item] += added.on_hand[item];
                    all.reserved[item] += added.reserved[item];
                    all.sold[item] += added.sold[item];
                }
            }
            let rows = hands[0].client.query(SUMS, &[&format!("{}-%", life.name)]).await.unwrap();
            let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let told = (0..ITEMS.len()).map(|item| {
                let shown = if SOLD.contains(&item) { (-all.sold[item]).to_string() } else { String::new() };
                format!("{} {} {} {shown}", life.sku(item), all.on_hand[item], all.reserved[item])
            });
            assert_eq!(found, told.collect::<Vec<_>>());
            assert_eq!(audited(shop.code).await, [""; 0], "{}", life.name);
        }
    });
}
