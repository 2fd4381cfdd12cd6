//! Pushes in bad weather: people and workers at once, where answers and workers are lost at random.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Worker, alerts, audited, change, changes, expected, later, look, push, text, turn};
use crate::support::dice::Dice;
use crate::support::shop::line;
use crate::support::*;

/// Shopify as far as pushes go: its levels, and the keys of the pushes that it took.
#[derive(Debug, Default)]
struct Levels {
    levels: HashMap<String, i64>,
    taken: HashSet<String>,
}

impl Levels {
    /// Takes a push, unless it took it before.
    fn take(&mut self, work: &Value) {
        if self.taken.insert(text(work, "key").to_owned()) {
            for change in changes(work) {
                *self.levels.get_mut(text(&change, "inventoryItemId")).unwrap() +=
                    change["delta"].as_i64().unwrap();
            }
        }
    }
}

/// What a worker's calls to Shopify meet until nobody changes anything any more: answers that are lost before and after it
/// took the push, workers that are gone, and those that come back after another took over.
async fn work_in_bad_weather(shopify: &std::sync::Mutex<Levels>, over: &AtomicBool, mut dice: Dice) {
    while !over.load(Ordering::Relaxed) {
        later().await;
        let Some(worker) = Worker::come("kick").await else {
            tokio::task::yield_now().await;
            continue;
        };
        loop {
            let work = worker.claim().await;
            if work["work"] != "push" {
                if worker.end("done").await {
                    continue;
                }
                break;
            }
            // The third time it is told: what nobody ever learns is another test's.
            let fate = if push(&work).await == "open 3" { 0 } else { dice.roll(7) };
            if fate < 4 {
                shopify.lock().unwrap().take(&work);
            }
            let lost = format!(
                "update ordak.sync_stores set lease_until = now() - interval '1 second' where lease_token = '{}'",
                worker.lease
            );
            match fate {
                0 | 1 => drop(worker.done(&work).await),
                2 | 4 => {
                    drop(worker.finish(&work, "failed", json!({"reason": "timeout", "after_ms": null})).await)
                }
                3 => {
                    change(&lost).await;
                    tokio::time::sleep(std::time::Duration::from_millis(dice.roll(60) as u64)).await;
                    worker.done(&work).await;
                    break;
                }
                5 => drop(worker.finish(&work, "throttled", json!({"after_ms": 10})).await),
                _ => {
                    change(&lost).await;
                    break;
                }
            }
            change("update ordak.sync_stores set backoff_until = null where store = 'mousse'").await;
        }
    }
}

#[test]
fn whatever_happens_between_shopify_shows_in_the_end_what_there_is() {
    run(async {
        let turn = turn().await;
        let shopify = std::sync::Mutex::new(Levels::default());
        let mut things = Vec::new();
        for _ in 0..5 {
            let (listing, sku) = turn.one().await;
            let item = look(&format!(
                "select 'gid://shopify/InventoryItem/' || inventory_item_id from ordak.listings where id = {listing}"
            ))
            .await;
            shopify.lock().unwrap().levels.insert(item.clone(), 13);
            things.push((listing, sku, item));
        }
        let over = AtomicBool::new(false);
        let people = async |seed: u64| {
            let mut dice = Dice(seed);
            for _ in 0..25 {
                let (_, sku, item) = &things[dice.roll(5)];
                match dice.roll(3) {
                    // Sold in this shop: it knows before we do.
                    0 => {
                        *shopify.lock().unwrap().levels.get_mut(item).unwrap() -= 1;
                        let mut sold = line(sku, "accessory", 1);
                        // Of no product, whose image would have to be fetched.
                        (sold["product_id"], sold["variant_id"]) = (Value::Null, Value::Null);
                        turn.shop.take(&turn.shop.order(&[sold])).await;
                    }
                    _ => turn.adjust(sku, [-2, 3, 5, -4][dice.roll(4)]).await,
                }
            }
        };
        let everybody = async {
            join_all((1..=3).map(people)).await;
            over.store(true, Ordering::Relaxed);
        };
        let workers = (11..=13).map(|seed| work_in_bad_weather(&shopify, &over, Dice(seed)));
        tokio::join!(everybody, join_all(workers));

        // The weather is fine again, and the last one to be lost is followed by another.
        let expire = "update ordak.sync_stores set lease_until = now() - interval '1 second'
                      where store = 'mousse' and lease_token is not null";
        change(expire).await;
        until("level", async || {
            later().await;
            if let Some(worker) = Worker::come("kick").await {
                let mut work = worker.claim().await;
                while work["work"] == "push" || worker.end("done").await {
                    if work["work"] == "push" {
                        shopify.lock().unwrap().take(&work);
                        work = worker.done(&work).await;
                    } else {
                        work = worker.claim().await;
                    }
                }
            }
            let left = "select count(*) from ordak.work_queue
                        where store = 'mousse' and topic = 'inventory_push'";
            (count(queries().await, left).await == 0).then_some(())
        })
        .await;
        for (listing, sku, item) in &things {
            let there: i64 = turn.shop.stock(sku).await.split(' ').next_back().unwrap().parse().unwrap();
            let shown = shopify.lock().unwrap().levels[item];
            assert_eq!((shown, expected(*listing).await), (there, there), "{sku}");
        }
        assert_eq!((audited().await, alerts("sync_dead").await), (String::new(), String::new()));
    });
}
