//! Lives that several people are at work on at once: what comes of it can be said beforehand.

use futures_util::future::join_all;
use serde_json::json;

use super::life::Life;
use super::model::{CAKE, CREAM, GOLD, ITEMS, SOLD, TART, TOY, needs};
use super::{Hand, define, zimt};
use crate::support::dice::Dice;
use crate::support::shop::{audited, line};
use crate::support::*;

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
