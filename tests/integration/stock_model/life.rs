//! A life: what happens to a shop's items of its own, in the database and in the model.

use serde_json::json;

use super::Hand;
use super::model::{CAKE, Change, ITEMS, Model, Order, SOLD, STAGES, Sold, TOY, number_of};
use crate::support::dice::Dice;
use crate::support::shop::{Shop, id, line};

/// A life: what happens to a shop's items of its own, in the database and in the model.
pub struct Life {
    pub name: String,
    dice: Dice,
    minute: i64,
    pub model: Model,
}

impl Life {
    pub fn new(shop: &Shop, seed: u64) -> Life {
        Life { name: format!("{}-{seed}", shop.code), dice: Dice(seed), minute: 0, model: Model::new() }
    }

    pub fn sku(&self, item: usize) -> String {
        format!("{}-{}", self.name, ITEMS[item].0)
    }

    /// The other name of an item, which nobody has mapped at first.
    pub fn alias(&self, item: usize) -> String {
        format!("{}-ALIAS", self.sku(item))
    }

    pub async fn step(&mut self, hand: &Hand) {
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
