//! Stock against a model: made-up lives of orders, in the database and in a few lines of Rust, that must agree.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::stock::{Shop, audited, id, line, service};
use crate::support::*;

/// How many made-up lives there are, and how many things happen in each.
const LIVES: u64 = 32;
const STEPS: usize = 40;

/// Pseudo-random numbers: the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.roll(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())].clone())
    }
}

/// The items of each life, in the order in which they are made. Amounts are thousandths.
const ITEMS: [(&str, &str); 6] = [
    ("CREAM", "component"),
    ("BOX", "component"),
    ("GOLD", "component"),
    ("TOY", "accessory"),
    ("TART", "product"),
    ("CAKE", "product"),
];
const CREAM: usize = 0;
const BOX: usize = 1;
const GOLD: usize = 2;
const TOY: usize = 3;
const TART: usize = 4;
const CAKE: usize = 5;

/// What one piece of an item needs: item, amount, stage, and whether it is optional; Packing is 3.
fn needs(item: usize) -> &'static [(usize, i64, i32, bool)] {
    match item {
        CAKE => {
            &[(CREAM, 400, 0, false), (CREAM, 1500, 2, false), (GOLD, 1000, 2, true), (BOX, 1000, 3, false)]
        }
        TART => &[(BOX, 1000, 3, false), (TART, 1000, 3, false)],
        TOY => &[(TOY, 1000, 3, false)],
        _ => &[],
    }
}

const STAGES: [&str; 5] = ["Filling", "Covering", "Decorating", "Packing", "Complete"];

/// A reservation.
#[derive(Clone)]
struct Row {
    order: usize,
    line: usize,
    unit: i32,
    item: usize,
    stage: i32,
    pass: i32,
    amount: i64,
    optional: bool,
    state: &'static str,
}

struct OrderModel {
    content: Value,
    key: i64,
    id: String,
    cancelled: bool,
    items: Vec<usize>,
    /// The lines of refunds that have given something back.
    returned: BTreeMap<i64, i64>,
}

/// A task as the database has it: of stages, the model knows nothing.
struct Task {
    line: usize,
    unit: i32,
    stage: i32,
    pass: i32,
    live: bool,
    begun: Vec<i32>,
    number: String,
}

struct World {
    store: &'static str,
    name: String,
    client: Client,
    dice: Dice,
    minute: i64,
    on_hand: [i64; 6],
    buffer: [i64; 6],
    rows: Vec<Row>,
    orders: Vec<OrderModel>,
    listings: BTreeMap<usize, (i64, i64)>,
}

fn number_of(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

impl OrderModel {
    fn due(&self) -> String {
        self.content["due_date"].as_str().unwrap_or("9").to_owned()
    }

    fn refunds(&self) -> &Vec<Value> {
        self.content["refund_lines"].as_array().unwrap()
    }

    fn wanted(&self, line: usize) -> i64 {
        let said = &self.content["lines"][line];
        let refunded = self.refunds().iter().filter(|refund| refund["line_id"] == said["line_id"]);
        let refunded: i64 = refunded.map(|refund| number_of(&refund["quantity"])).sum();
        let left = number_of(&said["quantity"]) - refunded;
        if self.cancelled { 0 } else { left.min(number_of(&said["current"])).max(0) }
    }
}

/// A connection that calls as the Admin of a shop.
async fn admin(shop: &Shop) -> Client {
    let client = database(&shared().stack).await;
    let claims = json!({"sub": shop.admin.id, "role": "authenticated"}).to_string();
    client.query("select set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
    client
}

/// Calls a function, and answers with what it said; None where there is too little.
async fn call(client: &Client, name: &str, arguments: Value) -> Option<Value> {
    let arguments = arguments.as_object().unwrap().iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} => '{text}'"),
        Value::Array(_) => format!("{name} => '{value}'"),
        other => format!("{name} => {other}"),
    });
    let arguments = arguments.collect::<Vec<_>>().join(", ");
    let sql = format!("select to_jsonb(r)::text from api.{name}({arguments}) as r");
    match client.query_one(&sql, &[]).await {
        Ok(row) => Some(serde_json::from_str(row.get(0)).unwrap()),
        Err(error) => {
            let message = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).message();
            assert!(message.contains("INV003"), "{sql}: {message}");
            None
        }
    }
}

/// Has an order taken, and answers with its row and its id.
async fn put(client: &Client, store: &str, content: &Value) -> (i64, String) {
    let sql = "select p.order_key from ordak.stores as s
               cross join lateral ordak.put_order(s, $2::text::jsonb, true) as p where s.code = $1";
    let row = client.query_one(sql, &[&store, &content.to_string()]).await.unwrap();
    (row.get(0), format!("{store}-{}", content["number"]))
}

impl World {
    async fn new(shop: &Shop, seed: u64) -> World {
        let name = format!("{}-{seed}", shop.code);
        let mut world = World {
            store: shop.code,
            name,
            client: admin(shop).await,
            dice: Dice(seed),
            minute: 0,
            on_hand: [6000, 8000, 3000, 5000, 4000, 0],
            buffer: [0; 6],
            rows: Vec::new(),
            orders: Vec::new(),
            listings: BTreeMap::new(),
        };
        world.define().await;
        world
    }

    fn sku(&self, item: usize) -> String {
        format!("{}-{}", self.name, ITEMS[item].0)
    }

    async fn call(&self, name: &str, arguments: Value) -> Option<Value> {
        call(&self.client, name, arguments).await
    }

    async fn define(&mut self) {
        for (item, (_, kind)) in ITEMS.iter().enumerate() {
            let sku = self.sku(item);
            let what = json!({"sku": sku, "name": sku, "kind": kind, "tracked": item != CAKE});
            self.call("save_item", what).await;
            if item != CAKE {
                self.call("count_stock", json!({"sku": sku, "counted": self.on_hand[item] / 1000})).await;
            }
        }
        for item in [CAKE, TART] {
            let parts = needs(item).iter().filter(|part| part.0 != item);
            let lines: Vec<_> = parts
                .map(|(part, amount, stage, optional)| {
                    json!({"sku": self.sku(*part), "quantity": *amount as f64 / 1000.0, "optional": optional,
                           "stage": STAGES[*stage as usize]})
                })
                .collect();
            self.call("set_bom", json!({"sku": self.sku(item), "lines": lines})).await;
        }
        for item in [TOY, TART, CAKE] {
            let listing = json!({"sku": self.sku(item), "store": self.store, "inventory_item_id": id(), "location_id": 71});
            let listing =
                number_of(&self.call("set_listing", listing).await.unwrap()["listing"]["listing_id"]);
            let level = self.ats(item);
            let base = json!({"listing_id": listing, "level": level, "read_at": "2026-11-01T00:00:00Z"});
            assert_eq!(service("base_listing", base).await.status, 200);
            self.listings.insert(item, (listing, level));
        }
    }

    // The model.

    fn sum(&self, item: usize, states: &[&str]) -> i64 {
        let rows = self.rows.iter().filter(|row| row.item == item && states.contains(&row.state));
        rows.map(|row| row.amount).sum()
    }

    fn free(&self, item: usize) -> i64 {
        self.on_hand[item] - self.sum(item, &["held", "blocked"])
    }

    fn ats(&self, item: usize) -> i64 {
        let mut parts = BTreeMap::new();
        for (part, amount, _, _) in needs(item).iter().filter(|part| part.0 != item && !part.3) {
            *parts.entry(*part).or_insert(0) += amount;
        }
        let most = parts
            .iter()
            .map(|(part, amount)| (self.free(*part) - self.buffer[*part]).div_euclid(*amount))
            .min();
        let own = self.free(item);
        match most {
            None => (own - self.buffer[item]).div_euclid(1000),
            Some(most) if item == TART => ((most * 1000).min(own) - self.buffer[item]).div_euclid(1000),
            Some(most) => (most * 1000 - self.buffer[item]).div_euclid(1000),
        }
    }

    /// Of what there is, who is due first is served first; the first that does not fit stops it.
    fn serve(&mut self) {
        for item in 0..6 {
            let mut waiting: Vec<usize> = (0..self.rows.len()).collect();
            waiting.retain(|at| self.rows[*at].item == item && self.rows[*at].state == "blocked");
            waiting.sort_by_key(|at| (self.orders[self.rows[*at].order].due(), self.rows[*at].order, *at));
            let mut free = self.on_hand[item] - self.sum(item, &["held"]);
            for at in waiting {
                free -= self.rows[at].amount;
                if free < 0 {
                    break;
                }
                self.rows[at].state = "held";
            }
        }
    }

    fn is_live(&self, order: usize, line: usize, unit: i32, tasks: &[Task]) -> bool {
        let model = &self.orders[order];
        match tasks.iter().find(|task| task.line == line && task.unit == unit) {
            _ if model.cancelled => false,
            Some(task) => task.live,
            None => {
                let made = model.items[line] != TOY && model.content["pos"] == false;
                !made && i64::from(unit) <= model.wanted(line)
            }
        }
    }

    /// What must follow from what an order and its tasks are now; `remade` is a cake that is decorated anew.
    fn follow(&mut self, order: usize, tasks: &[Task], remade: Option<&Task>) {
        for line in 0..self.orders[order].items.len() {
            let item = self.orders[order].items[line];
            for unit in 1..=60 {
                let known =
                    self.rows.iter().any(|row| (row.order, row.line, row.unit) == (order, line, unit));
                if known || !self.is_live(order, line, unit, tasks) {
                    continue;
                }
                let stage = tasks
                    .iter()
                    .find(|task| task.line == line && task.unit == unit)
                    .map_or(0, |task| task.stage);
                for &(item, amount, at, optional) in needs(item).iter().filter(|part| part.2 >= stage) {
                    self.rows.push(Row {
                        order,
                        line,
                        unit,
                        item,
                        stage: at,
                        pass: 1,
                        amount,
                        optional,
                        state: "blocked",
                    });
                }
            }
        }
        if let Some(task) = remade {
            let again = self.rows.iter().filter(|row| {
                (row.order, row.line, row.unit, row.stage, row.pass) == (order, task.line, task.unit, 2, 1)
                    && row.state != "skipped"
            });
            let again: Vec<Row> =
                again.map(|row| Row { pass: task.pass, state: "blocked", ..row.clone() }).collect();
            self.rows.extend(again);
        }
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            if row.order != order || !["blocked", "held", "released"].contains(&row.state) {
                continue;
            }
            let state = self.due_state(row, tasks);
            if state == "consumed" || state == "waste" {
                self.on_hand[row.item] -= row.amount;
            }
            self.rows[at].state = state;
        }
        self.take_back(order);
        self.serve();
        for row in
            self.rows.iter_mut().filter(|row| row.order == order && row.state == "blocked" && row.optional)
        {
            row.state = "skipped";
        }
        self.serve();
    }

    fn due_state(&self, row: &Row, tasks: &[Task]) -> &'static str {
        let task = tasks.iter().find(|task| task.line == row.line && task.unit == row.unit);
        let model = &self.orders[row.order];
        if self.is_live(row.order, row.line, row.unit, tasks) {
            let mut active = tasks.iter().filter(|task| task.live).peekable();
            let used = match task {
                Some(task) => row.stage < task.stage,
                None if model.content["pos"] == true => true,
                None if active.peek().is_some() => active.all(|task| task.stage == 4),
                None => model.content["lines"][row.line]["fulfilled"] == true,
            };
            match row.state {
                _ if used => "consumed",
                "released" => "blocked",
                state => state,
            }
        } else if row.state != "released" && task.is_some_and(|task| task.begun.contains(&row.stage)) {
            "waste"
        } else {
            "released"
        }
    }

    fn take_back(&mut self, order: usize) {
        for refund in self.orders[order].refunds().clone() {
            let refund_id = number_of(&refund["refund_line_id"]);
            let model = &self.orders[order];
            if refund["restock_type"] != "return" || model.returned.contains_key(&refund_id) {
                continue;
            }
            let lines = model.content["lines"].as_array().unwrap();
            let line = lines.iter().position(|line| line["line_id"] == refund["line_id"]).unwrap();
            let item = model.items[line];
            let gone = self.rows.iter().filter(|row| {
                row.order == order && row.line == line && row.item == item && row.state == "consumed"
            });
            let of_line = model.refunds().iter().filter(|other| other["line_id"] == refund["line_id"]);
            let back: i64 =
                of_line.filter_map(|other| model.returned.get(&number_of(&other["refund_line_id"]))).sum();
            let pieces = number_of(&refund["quantity"]).min(gone.count() as i64 - back);
            if pieces > 0 {
                self.on_hand[item] += pieces * 1000;
                self.orders[order].returned.insert(refund_id, pieces);
            }
        }
    }

    fn expected(&self, item: usize) -> i64 {
        let mut expected = self.listings[&item].1;
        for order in &self.orders {
            for (at, _) in order.items.iter().enumerate().filter(|(_, sold)| **sold == item) {
                let line = &order.content["lines"][at];
                expected -= number_of(&line["quantity"]);
                let back = order.refunds().iter().filter(|refund| {
                    refund["line_id"] == line["line_id"] && refund["restock_type"] != "no_restock"
                });
                expected += back.map(|refund| number_of(&refund["quantity"])).sum::<i64>();
            }
        }
        expected
    }
}

/// What happens.
impl World {
    async fn tasks(&self, order: usize) -> Vec<Task> {
        let sql = "select l.position - 1, t.unit, array_position(enum_range(null::ordak.stage), t.stage) - 1, t.pass,
                          t.withdrawn_at is null, t.number,
                          array(select array_position(enum_range(null::ordak.stage), s.stage) - 1 from ordak.stage_times as s
                                where s.task = t.id and s.pass = t.pass and s.started_at is not null)
                   from ordak.tasks as t join ordak.order_lines as l on l.id = t.line_key
                   where t.order_key = $1 order by t.id";
        let rows = self.client.query(sql, &[&self.orders[order].key]).await.unwrap();
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

    /// Has the database take an order as it is in the model now.
    async fn deliver(&mut self, order: usize) {
        self.minute += 1;
        let at = format!(
            "2026-11-{:02}T{:02}:{:02}:00Z",
            10 + self.minute / 1440,
            self.minute / 60 % 24,
            self.minute % 60
        );
        let content = &mut self.orders[order].content;
        content["updated_at"] = json!(at);
        if content["placed_at"].is_null() {
            content["placed_at"] = json!(at);
        }
        (self.orders[order].key, _) = put(&self.client, self.store, &self.orders[order].content).await;
        let tasks = self.tasks(order).await;
        self.follow(order, &tasks, None);
    }

    async fn sell(&mut self, shop: &Shop) {
        let mut items = Vec::new();
        for item in [CAKE, TART, TOY] {
            if self.dice.one_in(2) {
                items.push(item);
            }
        }
        items.extend(if items.is_empty() { vec![CAKE] } else { vec![] });
        let lines: Vec<_> = items
            .iter()
            .map(|item| {
                let kind = if *item == TOY { "accessory" } else { "cake" };
                line(&self.sku(*item), kind, 1 + self.dice.roll(3) as u32)
            })
            .collect();
        let mut content = shop.order(&lines);
        content["placed_at"] = json!(null);
        content["pos"] = json!(self.dice.one_in(8));
        content["location_id"] = json!(71);
        content["due_date"] = self.due();
        let id = format!("{}-{}", self.store, content["number"]);
        self.orders.push(OrderModel {
            content,
            key: 0,
            id,
            cancelled: false,
            items,
            returned: BTreeMap::new(),
        });
        self.deliver(self.orders.len() - 1).await;
    }

    fn due(&mut self) -> Value {
        let day = self.dice.roll(9);
        if day == 0 { json!(null) } else { json!(format!("2027-03-0{day}")) }
    }

    /// Shopify says something new of an order.
    async fn update(&mut self, order: usize) {
        let due = self.due();
        let roll = self.dice.roll(6);
        let line = self.dice.roll(self.orders[order].items.len());
        let model = &mut self.orders[order];
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
        self.deliver(order).await;
    }

    async fn refund(&mut self, order: usize) {
        let line = self.dice.roll(self.orders[order].items.len());
        let kind = self.dice.pick(&["return", "cancel", "no_restock", "legacy_restock"]);
        let said = &mut self.orders[order].content["lines"][line];
        let (line_id, current) = (said["line_id"].clone(), number_of(&said["current"]));
        said["current"] = json!((current - 1).max(0));
        let refund = json!({"refund_line_id": id(), "line_id": line_id, "quantity": 1, "restock_type": kind,
                            "location_id": 71, "refunded_at": "2026-11-20T00:00:00Z"});
        self.orders[order].content["refund_lines"].as_array_mut().unwrap().push(refund);
        self.deliver(order).await;
    }

    async fn work(&mut self, order: usize) {
        let tasks = self.tasks(order).await;
        let open: Vec<_> = tasks.iter().filter(|task| task.live && task.stage < 4).collect();
        let (Some(task), false) = (self.dice.pick(&open), self.orders[order].cancelled) else { return };
        let of = json!({"task_number": task.number});
        let with = |fields: Value| {
            let mut of = of.clone();
            of.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            of
        };
        let mut remade = None;
        match self.dice.roll(6) {
            0 => self.call("start_stage", with(json!({"stage": STAGES[task.stage as usize]}))).await,
            1 => {
                let stage = STAGES[self.dice.roll(5)];
                self.call("move_to_stage", with(json!({"stage": stage, "reason": "So it is"}))).await
            }
            2 if task.stage == 3 => {
                let remake = self.dice.one_in(2);
                remade = remake.then_some((task.line, task.unit));
                self.call("return_to_decorating", with(json!({"reason": "A dent", "remake": remake}))).await
            }
            _ => self.call("complete_stage", with(json!({"stage": STAGES[task.stage as usize]}))).await,
        };
        let tasks = self.tasks(order).await;
        let remade =
            remade.and_then(|(line, unit)| tasks.iter().find(|task| (task.line, task.unit) == (line, unit)));
        self.follow(order, &tasks, remade);
    }

    async fn cancel(&mut self, order: usize) {
        let id = self.orders[order].id.clone();
        self.call("cancel_order", json!({"order_id": id, "reason": "So it is"})).await;
        self.orders[order].cancelled = true;
        let tasks = self.tasks(order).await;
        self.follow(order, &tasks, None);
    }

    async fn correct(&mut self) {
        let item = self.dice.roll(5);
        let (sku, amount) = (self.sku(item), 500 * (1 + self.dice.roll(8)) as i64);
        let pieces = amount as f64 / 1000.0;
        match self.dice.roll(5) {
            0 => {
                self.call("count_stock", json!({"sku": sku, "counted": pieces})).await;
                self.on_hand[item] = amount;
            }
            1 => {
                let taken = self
                    .call("adjust_stock", json!({"sku": sku, "delta": -pieces, "reason": "damaged"}))
                    .await;
                assert_eq!(taken.is_some(), self.on_hand[item] >= amount, "{sku}");
                self.on_hand[item] -= if taken.is_some() { amount } else { 0 };
            }
            2 => {
                self.call("set_buffer", json!({"sku": sku, "buffer": pieces})).await;
                self.buffer[item] = amount;
            }
            3 => {
                self.call("adjust_stock", json!({"sku": sku, "delta": pieces, "reason": "correction"})).await;
                self.on_hand[item] += amount;
            }
            _ => {
                let lines = json!([{"sku": sku, "quantity": pieces}]);
                self.call("receive_stock", json!({"lines": lines})).await;
                self.on_hand[item] += amount;
            }
        }
        self.serve();
    }

    async fn step(&mut self, shop: &Shop) {
        let order = self.dice.roll(self.orders.len().max(1));
        match self.dice.roll(12) {
            _ if self.orders.is_empty() => self.sell(shop).await,
            0..=1 => self.sell(shop).await,
            2..=3 => self.update(order).await,
            4 => self.refund(order).await,
            5 if self.dice.one_in(3) && !self.orders[order].cancelled => self.cancel(order).await,
            6..=7 => self.correct().await,
            _ => self.work(order).await,
        }
    }

    /// The database and the model say the same of everything.
    async fn check(&self, step: usize) {
        let at = format!("{} step {step}", self.name);
        for item in 0..6 {
            let sql = "select (i.on_hand * 1000)::bigint, (i.held * 1000)::bigint, (i.blocked * 1000)::bigint, a.ats::bigint
                       from ordak.items as i, ordak.ats(array[i.id], array[$2]) as a where i.sku = $1";
            let row = self.client.query_one(sql, &[&self.sku(item), &self.store]).await.unwrap();
            let found: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
            let model =
                [self.on_hand[item], self.sum(item, &["held"]), self.sum(item, &["blocked"]), self.ats(item)];
            assert_eq!(
                found,
                if item == CAKE { [0, 0, 0, model[3]] } else { model },
                "{at} {}",
                self.sku(item)
            );
        }
        for order in 0..self.orders.len() {
            let sql = "select l.position || ' ' || r.unit || ' ' || split_part(i.sku, '-', 3) || ' ' || r.stage || ' ' || r.pass || ' ' || r.state
                       from ordak.reservations as r join ordak.items as i on i.id = r.item
                       join ordak.order_lines as l on l.id = r.line_key where r.order_key = $1";
            let rows = self.client.query(sql, &[&self.orders[order].key]).await.unwrap();
            let found: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
            let model = self.rows.iter().filter(|row| row.order == order).map(|row| {
                let (item, stage) = (ITEMS[row.item].0, STAGES[row.stage as usize]);
                format!("{} {} {item} {stage} {} {}", row.line + 1, row.unit, row.pass, row.state)
            });
            assert_eq!(found, model.collect(), "{at} {}", self.orders[order].id);
        }
        for (item, (listing, _)) in &self.listings {
            let sql = "select g.expected, exists (select from ordak.work_queue as w where w.topic = 'inventory_push'
                                                  and w.store = g.store and w.key = g.id::text)
                       from ordak.listings as g where g.id = $1";
            let row = self.client.query_one(sql, &[listing]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), self.expected(*item), "{at} {}", self.sku(*item));
            assert!(
                row.get::<_, bool>(1) || self.ats(*item) == self.expected(*item),
                "{at} {}",
                self.sku(*item)
            );
        }
    }
}

/// The store of all lives.
async fn zimt() -> &'static Shop {
    static ZIMT: OnceCell<Shop> = OnceCell::const_new();
    ZIMT.get_or_init(|| Shop::new("zimt", "Z")).await
}

#[test]
fn whatever_happens_stock_is_what_the_model_says() {
    run(async {
        let shop = zimt().await;
        let live = async |lane: u64| {
            for seed in (lane..LIVES).step_by(4) {
                let mut world = World::new(shop, seed).await;
                for step in 0..STEPS {
                    world.step(shop).await;
                    if step % 5 == 4 {
                        world.check(step).await;
                    }
                }
            }
        };
        join_all((0..4).map(live)).await;
        assert_eq!(audited("zimt").await, [""; 0]);
    });
}

/// What is used up and what is still needed does not depend on who comes first, so it can be said beforehand.
#[test]
fn what_happens_at_once_ends_as_if_it_came_one_after_the_other() {
    const AT_ONCE: u64 = 8;
    run(async {
        let shop = zimt().await;
        let mut world = World::new(shop, 1000).await;
        // What is optional is never short, or it would depend on who comes first.
        let lines = json!([{"sku": world.sku(GOLD), "quantity": 1000}]);
        world.call("receive_stock", json!({"lines": lines})).await;
        let somebody = async |seed: u64| {
            let (client, mut dice) = (admin(shop).await, Dice(seed));
            let (mut change, mut reserved) = ([0; 6], [0; 6]);
            let (mut open, mut sold) = (Vec::<(String, [usize; 2])>::new(), [0; 6]);
            for _ in 0..STEPS {
                let at = dice.roll(open.len().max(1));
                match dice.roll(4) {
                    0 if !open.is_empty() => {
                        let (order_id, items) = open.swap_remove(at);
                        call(&client, "cancel_order", json!({"order_id": order_id, "reason": "So it is"}))
                            .await;
                        needed(&items, |item, amount| reserved[item] -= amount);
                    }
                    1 if !open.is_empty() => {
                        let (order_id, items) = open.swap_remove(at);
                        call(&client, "complete_order", json!({"order_id": order_id})).await;
                        needed(&items, |item, amount| {
                            reserved[item] -= amount;
                            change[item] -= amount;
                        });
                    }
                    2 => {
                        let item = dice.roll(5);
                        let adjust = json!({"sku": world.sku(item), "delta": 1.5, "reason": "restock"});
                        call(&client, "adjust_stock", adjust).await;
                        change[item] += 1500;
                    }
                    _ => {
                        let items = dice.pick(&[[CAKE, TART], [CAKE, TOY], [TART, TOY]]).unwrap();
                        let lines = items.map(|item| {
                            line(&world.sku(item), if item == TOY { "accessory" } else { "cake" }, 1)
                        });
                        let mut order = shop.order(&lines);
                        order["due_date"] = json!(format!("2027-03-{:02}", 1 + dice.roll(28)));
                        open.push((put(&client, shop.code, &order).await.1, items));
                        needed(&items, |item, amount| reserved[item] += amount);
                        items.iter().for_each(|item| sold[*item] += 1);
                    }
                }
            }
            (change, reserved, sold)
        };
        let done = join_all((0..AT_ONCE).map(somebody)).await;
        world.on_hand[GOLD] += 1_000_000;
        let mut reserved = [0; 6];
        for (change, more, sold) in done {
            for item in 0..6 {
                world.on_hand[item] += change[item];
                reserved[item] += more[item];
                if let Some((_, expected)) = world.listings.get_mut(&item) {
                    *expected -= sold[item];
                }
            }
        }
        for (item, reserved) in reserved.into_iter().enumerate().take(5) {
            let sql = "select (on_hand * 1000)::bigint, ((held + blocked) * 1000)::bigint from ordak.items where sku = $1";
            let row = world.client.query_one(sql, &[&world.sku(item)]).await.unwrap();
            assert_eq!(
                [row.get::<_, i64>(0), row.get(1)],
                [world.on_hand[item], reserved],
                "{}",
                world.sku(item)
            );
        }
        for (item, (listing, expected)) in &world.listings {
            let sql = format!("select expected from ordak.listings where id = {listing}");
            assert_eq!(count(&world.client, &sql).await, *expected, "{}", world.sku(*item));
        }
        assert_eq!(audited("zimt").await, [""; 0]);
    });
}

/// Names what units of these items need.
fn needed(items: &[usize], mut part: impl FnMut(usize, i64)) {
    for item in items {
        needs(*item).iter().for_each(|(item, amount, _, _)| part(*item, *amount));
    }
}
