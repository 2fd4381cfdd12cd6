//! A life: what customers, people here and Shopify do to one item in two shops.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::types::ToSql;
use xtask::stack::shopify::{Fault, FaultKind, Restock, Webhook};

use super::{HANDS, STEPS, Shop, World, sku};
use crate::support::dice::Dice;
use crate::support::*;

/// The field of the Admin API that takes pushes.
const ADJUST: &str = "inventoryAdjustQuantities";

/// An order of a shop, the first or the second of its life.
struct Placed {
    which: usize,
    order: i64,
    number: i64,
    /// How many pieces are left of it.
    left: i64,
}

/// A life.
pub struct Life<'a> {
    world: &'a World,
    n: usize,
    shops: [&'a Shop; 2],
    sku: String,
    dice: Dice,
    placed: Vec<Placed>,
    /// The orders that people here took.
    taken: Vec<String>,
    /// What Shopify has not told yet, and will.
    untold: Vec<Webhook>,
    /// What moved each level at Shopify, but for pushes.
    pub events: [i64; 2],
    /// What people took off each level by hand.
    pub removed: [i64; 2],
}

impl<'a> Life<'a> {
    pub fn new(world: &'a World, n: usize) -> Life<'a> {
        Life {
            world,
            n,
            shops: world.pair(n),
            sku: sku(n),
            dice: Dice(n as u64),
            placed: Vec::new(),
            taken: Vec::new(),
            untold: Vec::new(),
            events: [0; 2],
            removed: [0; 2],
        }
    }

    /// Leads it, until all is told that ever will be.
    pub async fn lead(mut self) -> Life<'a> {
        for _ in 0..STEPS {
            self.step().await;
            let pause = self.dice.roll(300) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        while !self.untold.is_empty() {
            self.deliver().await;
        }
        self
    }

    async fn step(&mut self) {
        match self.dice.roll(32) {
            0..9 => self.sell(),
            9..15 => self.deliver().await,
            15 | 16 => self.cancel(),
            17..20 => self.refund(),
            20 => self.restock().await,
            21 | 22 => self.count().await,
            23 | 24 => self.adjust().await,
            25 | 26 => self.take_order().await,
            27 | 28 => self.call_off().await,
            29 => self.edit(),
            30 => self.check().await,
            _ => self.trouble(),
        }
    }

    /// A customer buys.
    fn sell(&mut self) {
        let (which, units) = (self.dice.roll(2), 1 + self.dice.roll(3) as u32);
        let shopify = &self.world.stack.shopify;
        let order = shopify.order(&self.shops[which].domain, &[(&self.sku, units)]).unwrap();
        let sale = shopify.sell(&order).unwrap();
        let left = i64::from(units);
        self.events[which] -= left;
        self.placed.push(Placed { which, order: sale.order, number: order.number, left });
        self.tell(sale.webhooks, true);
    }

    /// Has webhooks be lost, wait, or wait twice. A change that nobody tells of is found by its second alone, so it
    /// must be `later` than what was told before.
    fn tell(&mut self, webhooks: Vec<Webhook>, later: bool) {
        for webhook in webhooks {
            let level = webhook.topic == "inventory_levels/update";
            let times = if level { [0, 0, 0, 1, 1, 2] } else { [0, 1, 1, 1, 1, 2] }[self.dice.roll(6)];
            let times = if times == 0 && !level && !later { 1 } else { times };
            if times == 0 {
                self.world.lost.fetch_add(1, Ordering::Relaxed);
            }
            self.untold.extend(std::iter::repeat_n(webhook, times));
        }
    }

    /// Some of what waits comes, in any order.
    async fn deliver(&mut self) {
        for _ in 0..=self.dice.roll(3) {
            if self.untold.is_empty() {
                return;
            }
            let webhook = self.untold.swap_remove(self.dice.roll(self.untold.len()));
            let body = serde_json::to_vec(&webhook.body).unwrap();
            let headers = webhook.headers(&self.world.stack.keys.webhook_secret, &body).unwrap();
            let answer = send_with(&self.world.webhooks, &headers, &body).await;
            if answer.status != 200 {
                assert!(answer.status >= 500, "{webhook:?}: {answer:?}");
                // Shopify sends it again.
                self.untold.push(webhook);
            }
        }
    }

    /// Changes an order at its shop, and tells of that.
    fn change(&mut self, placed: &Placed, change: impl FnOnce(&str) -> Vec<Webhook>) {
        let domain = &self.shops[placed.which].domain;
        let second = || {
            let body = self.world.stack.shopify.order_body(domain, placed.order).unwrap();
            body["updated_at"].clone()
        };
        let before = second();
        let webhooks = change(domain);
        let later = second() != before;
        self.tell(webhooks, later);
    }

    /// An order is cancelled at its shop; what is left of it is put back there, or not.
    fn cancel(&mut self) {
        let restock = self.dice.one_in(2);
        if self.placed.is_empty() {
            return;
        }
        let placed = self.placed.swap_remove(self.dice.roll(self.placed.len()));
        if restock {
            self.events[placed.which] += placed.left;
        }
        let shopify = &self.world.stack.shopify;
        self.change(&placed, |domain| shopify.cancel(domain, placed.order, restock).unwrap());
    }

    /// A piece of an order is given back, put back on the shelf or not.
    fn refund(&mut self) {
        let restock = [Restock::NoRestock, Restock::Cancel, Restock::Return][self.dice.roll(3)];
        if self.placed.is_empty() {
            return;
        }
        let mut placed = self.placed.swap_remove(self.dice.roll(self.placed.len()));
        if restock != Restock::NoRestock {
            self.events[placed.which] += 1;
        }
        let shopify = &self.world.stack.shopify;
        self.change(&placed, |domain| shopify.refund(domain, placed.order, 0, 1, restock).unwrap());
        placed.left -= 1;
        if placed.left > 0 {
            self.placed.push(placed);
        }
    }

    async fn restock(&mut self) {
        let lines = json!([{"sku": self.sku, "quantity": 1 + self.dice.roll(6)}]).to_string();
        self.does("select api.receive_stock($1::text::jsonb)::text", &[&lines]).await;
    }

    async fn count(&mut self) {
        let counted = self.dice.roll(30) as i32;
        self.does("select api.count_stock($1, $2::int)::text", &[&self.sku.clone(), &counted]).await;
    }

    async fn adjust(&mut self) {
        let delta = [-3, -2, -1, 1, 2][self.dice.roll(5)];
        let sql = "select api.adjust_stock($1, $2::int, 'correction')::text";
        self.does(sql, &[&self.sku.clone(), &delta]).await;
    }

    /// Somebody here takes an order.
    async fn take_order(&mut self) {
        let store = self.shops[self.dice.roll(2)].code.clone();
        let accessory =
            json!([{"title": "Candle", "sku": self.sku, "quantity": 1 + self.dice.roll(2)}]).to_string();
        let sql = "select (c.order).order_id
                   from api.create_manual_order($1, 'Ada', '[{\"product_title\": \"Plain Cake\", \"quantity\": 1}]',
                     accessories => $2::text::jsonb) as c";
        let order_id = self.does(sql, &[&store, &accessory]).await;
        self.taken.extend(order_id);
    }

    /// Somebody here cancels an order: one that was taken here, or one of Shopify's, which goes on there.
    async fn call_off(&mut self) {
        let placed: Vec<_> = self.placed.iter().map(|placed| (placed.which, placed.number)).collect();
        let placed =
            self.dice.pick(&placed).map(|(which, number)| format!("{}-{number}", self.shops[which].code));
        let taken = self.dice.pick(&self.taken);
        let order_id = if self.dice.one_in(3) { placed } else { taken };
        if let Some(order_id) = order_id {
            self.does("select api.cancel_order($1, 'A test')::text", &[&order_id]).await;
        }
    }

    /// Somebody edits by hand what a shop shows.
    fn edit(&mut self) {
        let (which, delta) = (self.dice.roll(2), [-3, -1, 1, 2][self.dice.roll(4)]);
        // Nothing is as sharp in a life where that has happened.
        if self.n.is_multiple_of(4) {
            self.events[which] += delta;
            self.removed[which] -= delta.min(0);
            let domain = &self.shops[which].domain;
            let webhooks = self.world.stack.shopify.edit_by(domain, &self.sku, delta).unwrap();
            self.tell(webhooks, true);
        }
    }

    /// The levels of the item are read, and compared with what they must be.
    async fn check(&mut self) {
        let sql = "select ordak.mark_base(array(
                     select g.id from ordak.listings as g join ordak.items as i on i.id = g.item
                     where i.sku = $1))::text";
        self.does(sql, &[&self.sku.clone()]).await;
    }

    /// Shopify has trouble: mostly with pushes, of which it takes some and says nothing.
    fn trouble(&mut self) {
        let kinds = [
            FaultKind::CutBefore,
            FaultKind::CutAfter,
            FaultKind::FailAfter,
            FaultKind::Slow { ms: 500 },
            FaultKind::Status { status: 503, retry_after: None },
        ];
        let (kind, times) = (kinds[self.dice.roll(kinds.len())].clone(), 1 + self.dice.roll(3) as u32);
        let operation = [ADJUST, ADJUST, ADJUST, "orders", "nodes"][self.dice.roll(5)];
        let domain = &self.shops[self.dice.roll(2)].domain;
        self.world.stack.shopify.fault(domain, Fault::from(kind).times(times).of(operation)).unwrap();
    }

    /// Has somebody here do a thing; what is not there yet, or not enough, stops it.
    async fn does(&self, sql: &str, arguments: &[&(dyn ToSql + Sync)]) -> Option<String> {
        match self.world.hands[self.n % HANDS].query_one(sql, arguments).await {
            Ok(row) => row.get(0),
            Err(error) => {
                let message = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}")).message();
                let expected = ["ORD001", "INV003"].iter().any(|code| message.contains(code));
                assert!(expected, "{sql}: {message}");
                None
            }
        }
    }
}
