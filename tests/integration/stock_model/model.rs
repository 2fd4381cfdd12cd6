//! The model: what stock must be after whatever happens to orders, in a few lines that know no database. Of stages and
//! tasks it knows nothing of its own: it is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The items of each life, in the order in which they are made, and what there is of each at first. Amounts are
/// thousandths.
pub const ITEMS: [(&str, &str, i64); 6] = [
    ("CREAM", "component", 6000),
    ("BOX", "component", 8000),
    ("GOLD", "component", 3000),
    ("TOY", "accessory", 5000),
    ("TART", "product", 4000),
    ("CAKE", "product", 0),
];
pub const CREAM: usize = 0;
pub const BOX: usize = 1;
pub const GOLD: usize = 2;
pub const TOY: usize = 3;
pub const TART: usize = 4;
pub const CAKE: usize = 5;

pub const STAGES: [&str; 5] = ["Filling", "Covering", "Decorating", "Packing", "Complete"];

/// What is sold in the shop.
pub const SOLD: [usize; 3] = [CAKE, TART, TOY];

/// What one piece of an item needs: item, amount, stage, and whether it is optional; Packing is 3.
pub fn needs(item: usize) -> &'static [(usize, i64, i32, bool)] {
    match item {
        CAKE => {
            &[(CREAM, 400, 0, false), (CREAM, 1500, 2, false), (GOLD, 1000, 2, true), (BOX, 1000, 3, false)]
        }
        TART => &[(BOX, 1000, 3, false), (TART, 1000, 3, false)],
        TOY => &[(TOY, 1000, 3, false)],
        _ => &[],
    }
}

pub fn number_of(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

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

/// What a line of an order is of.
#[derive(Clone)]
pub struct Sold {
    pub item: usize,
    /// Whether the line names it by another name, which nobody may have mapped yet.
    pub alias: bool,
    /// Whether it was mapped when its order last reserved: then Shopify's count of it is known.
    pub known: bool,
}

pub struct Order {
    /// As Shopify says it.
    pub content: Value,
    pub key: i64,
    pub id: String,
    pub cancelled: bool,
    /// When it is due, where a person has said so.
    pub edited: Option<Value>,
    pub lines: Vec<Sold>,
    /// The lines of refunds that have given something back.
    returned: BTreeMap<i64, i64>,
    unmapped: bool,
}

impl Order {
    pub fn new(content: Value, id: String, lines: Vec<Sold>) -> Order {
        let (cancelled, edited, returned, unmapped) = (false, None, BTreeMap::new(), false);
        Order { content, key: 0, id, cancelled, edited, lines, returned, unmapped }
    }

    pub fn due(&self) -> &Value {
        self.edited.as_ref().unwrap_or(&self.content["due_date"])
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

/// A task as the database has it.
pub struct Task {
    pub line: usize,
    pub unit: i32,
    pub stage: i32,
    pub pass: i32,
    pub live: bool,
    pub begun: Vec<i32>,
    pub number: String,
}

/// What has happened to an order.
#[derive(Clone, Copy)]
pub enum Change {
    /// It reserves what it lacks; `late` where it should have had it from the start.
    Reserve { late: bool },
    /// Its tasks are in other stages.
    Stages,
    /// And this unit of a line is decorated anew.
    Remake(usize, i32),
}

pub struct Model {
    pub on_hand: [i64; 6],
    pub buffer: [i64; 6],
    pub orders: Vec<Order>,
    /// The items whose other name somebody has mapped.
    pub mapped: BTreeSet<usize>,
    rows: Vec<Row>,
    /// The ledger: item, reason, delta.
    moves: Vec<(usize, &'static str, i64)>,
    /// What the shop showed of each item at first.
    levels: BTreeMap<usize, i64>,
    /// What has been owed once, which nobody has pushed yet.
    marked: BTreeSet<usize>,
}

impl Model {
    pub fn new() -> Model {
        let on_hand = ITEMS.map(|item| item.2);
        let first = (0..6).filter(|item| on_hand[*item] != 0);
        let mut model = Model {
            on_hand,
            buffer: [0; 6],
            orders: Vec::new(),
            mapped: BTreeSet::new(),
            rows: Vec::new(),
            moves: first.map(|item| (item, "count", on_hand[item])).collect(),
            levels: BTreeMap::new(),
            marked: BTreeSet::new(),
        };
        model.levels = SOLD.map(|item| (item, model.ats(item))).into();
        model
    }

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

    /// What Shopify must show: it has counted its own sales and refunds.
    fn expected(&self, item: usize) -> i64 {
        let mut expected = self.levels[&item];
        for order in &self.orders {
            for (at, _) in order.lines.iter().enumerate().filter(|(_, sold)| sold.item == item && sold.known)
            {
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

    /// A line of the ledger.
    pub fn make_move(&mut self, item: usize, reason: &'static str, delta: i64) {
        if delta != 0 {
            self.on_hand[item] += delta;
            self.moves.push((item, reason, delta));
        }
    }

    /// What follows from whatever happened.
    pub fn settle(&mut self) {
        self.serve();
        for item in SOLD {
            if self.ats(item) != self.expected(item) {
                self.marked.insert(item);
            }
        }
    }

    /// Of what there is, who is due first is served first; the first that does not fit stops it.
    fn serve(&mut self) {
        for item in 0..6 {
            let mut waiting: Vec<usize> = (0..self.rows.len()).collect();
            waiting.retain(|at| self.rows[*at].item == item && self.rows[*at].state == "blocked");
            waiting.sort_by_key(|at| {
                let order = self.rows[*at].order;
                (self.orders[order].due().as_str().unwrap_or("9").to_owned(), order, *at)
            });
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

    fn is_mapped(&self, sold: &Sold) -> bool {
        !sold.alias || self.mapped.contains(&sold.item)
    }

    fn is_live(&self, order: usize, line: usize, unit: i32, tasks: &[Task]) -> bool {
        let model = &self.orders[order];
        match tasks.iter().find(|task| task.line == line && task.unit == unit) {
            _ if model.cancelled => false,
            Some(task) => task.live,
            None => {
                let made = model.lines[line].item != TOY && model.content["pos"] == false;
                !made && i64::from(unit) <= model.wanted(line)
            }
        }
    }

    /// What must follow from what an order and its tasks are now.
    pub fn follow(&mut self, order: usize, tasks: &[Task], change: Change) {
        match change {
            Change::Reserve { late } => self.reserve(order, tasks, late),
            Change::Stages => {}
            Change::Remake(line, unit) => self.remake(order, line, unit, tasks),
        }
        for at in 0..self.rows.len() {
            let row = &self.rows[at];
            if row.order != order || !["blocked", "held", "released"].contains(&row.state) {
                continue;
            }
            let (item, amount, state) = (row.item, row.amount, self.due_state(row, tasks));
            self.rows[at].state = state;
            match state {
                "consumed" => self.make_move(item, "order", -amount),
                "waste" => self.make_move(item, "waste", -amount),
                _ => {}
            }
        }
        self.take_back(order);
        self.serve();
        for row in self.rows.iter_mut().filter(|row| row.order == order && row.state == "blocked") {
            row.state = if row.optional { "skipped" } else { "blocked" };
        }
        self.settle();
    }

    /// Adds what an order lacks of what its lines are mapped to.
    fn reserve(&mut self, order: usize, tasks: &[Task], late: bool) {
        let mut unmapped = false;
        for line in 0..self.orders[order].lines.len() {
            let sold = self.orders[order].lines[line].clone();
            if !self.is_mapped(&sold) {
                unmapped |= self.orders[order].wanted(line) > 0;
                continue;
            }
            self.orders[order].lines[line].known = true;
            for unit in 1..=60 {
                let known =
                    self.rows.iter().any(|row| (row.order, row.line, row.unit) == (order, line, unit));
                if known || !self.is_live(order, line, unit, tasks) {
                    continue;
                }
                let task = tasks.iter().find(|task| task.line == line && task.unit == unit);
                let from = if late { 0 } else { task.map_or(0, |task| task.stage) };
                for &(item, amount, stage, optional) in needs(sold.item).iter().filter(|part| part.2 >= from)
                {
                    let (pass, state) = (1, "blocked");
                    self.rows.push(Row { order, line, unit, item, stage, pass, amount, optional, state });
                }
            }
        }
        self.orders[order].unmapped = unmapped;
    }

    /// Adds what a cake needs that is decorated anew.
    fn remake(&mut self, order: usize, line: usize, unit: i32, tasks: &[Task]) {
        let task = tasks.iter().find(|task| (task.line, task.unit) == (line, unit)).unwrap();
        let first = self.rows.iter().filter(|row| {
            (row.order, row.line, row.unit, row.stage, row.pass) == (order, line, unit, 2, 1)
                && row.state != "skipped"
        });
        let again: Vec<Row> =
            first.map(|row| Row { pass: task.pass, state: "blocked", ..row.clone() }).collect();
        self.rows.extend(again);
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
            let item = model.lines[line].item;
            let gone = self.rows.iter().filter(|row| {
                row.order == order && row.line == line && row.item == item && row.state == "consumed"
            });
            let of_line = model.refunds().iter().filter(|other| other["line_id"] == refund["line_id"]);
            let back: i64 =
                of_line.filter_map(|other| model.returned.get(&number_of(&other["refund_line_id"]))).sum();
            let beyond = gone.count() as i64 - model.wanted(line) - back;
            let pieces = number_of(&refund["quantity"]).min(beyond);
            if pieces > 0 {
                self.make_move(item, "refund", pieces * 1000);
                self.orders[order].returned.insert(refund_id, pieces);
            }
        }
    }

    /// Everything that must be found in the database of a life, a line each.
    pub fn told(&self, life: &str) -> Vec<String> {
        let mut told = Vec::new();
        for (item, (name, _, _)) in ITEMS.iter().enumerate() {
            let sums = [self.on_hand[item], self.sum(item, &["held"]), self.sum(item, &["blocked"])];
            let sums = if item == CAKE { [0; 3] } else { sums };
            told.push(format!("{life}-{name} is {sums:?} ats {}", self.ats(item)));
        }
        for (item, reason, delta) in &self.moves {
            told.push(format!("{life}-{} {reason} {delta}", ITEMS[*item].0));
        }
        for item in SOLD {
            let (expected, marked) = (self.expected(item), self.marked.contains(&item));
            told.push(format!("{life}-{} expected {expected} marked {marked}", ITEMS[item].0));
        }
        let mut blocked = BTreeSet::new();
        for row in &self.rows {
            let order = &self.orders[row.order];
            let (item, stage) = (ITEMS[row.item].0, STAGES[row.stage as usize]);
            let unit = format!("{} line {} unit {}", order.id, row.line + 1, row.unit);
            told.push(format!("{unit} {item} {stage} {} {}", row.pass, row.state));
            if row.state == "blocked" {
                blocked.insert(order.id.clone());
                if order.lines[row.line].item != TOY && order.content["pos"] == false {
                    blocked.insert(format!("{unit} task"));
                }
            }
        }
        told.extend(blocked.into_iter().map(|what| format!("{what} is blocked")));
        let unmapped = self.orders.iter().filter(|order| order.unmapped && !order.cancelled);
        told.extend(unmapped.map(|order| format!("{} is unmapped", order.id)));
        told
    }
}
