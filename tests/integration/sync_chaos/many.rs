//! Many listings and many orders at once: how many calls they take, and how far apart those are.

use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use xtask::stack::FLOURLANE as FLOURLANE_SHOP;
use xtask::stack::shopify::Limit;

use super::world;
use crate::support::*;

#[test]
fn ten_thousand_listings_take_forty_calls_and_a_small_bucket_is_used() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS], 10_000).await;
        let before = world.pushes(BANNOS);
        world.settle(world.worker).await;
        let calls = world.pushes(BANNOS) - before;
        assert!((40..=45).contains(&calls), "{calls} calls");
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;

        let lot = world.lot(&[BANNOS], 4_000).await;
        let limit = Limit { maximum: 50.0, restore_rate: 20.0, ..Limit::default() };
        world.stack.shopify.limit(BANNOS, limit.clone()).unwrap();
        let (before, calls) =
            (world.stack.shopify.counts(BANNOS).unwrap(), world.stack.shopify.calls(BANNOS).unwrap().len());
        world.settle(world.worker).await;
        let spent = (world.stack.shopify.counts(BANNOS).unwrap().cost - before.cost) as f64;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().split_off(calls);
        let time = calls.last().unwrap().at.duration_since(calls[0].at).as_secs_f64();
        let allowed = limit.maximum + limit.restore_rate * time;
        println!("{spent} of {allowed} in {time} s, {} calls", calls.len());
        assert!(spent >= 160.0 && spent >= 0.9 * allowed, "{spent} of {allowed} in {time} s");
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;
    });
}

#[test]
fn a_thousand_orders_of_one_item_make_a_few_pushes() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 1).await;
        world.settle(world.worker).await;
        let sku = lot.sku(1);
        let from = world.stack.shopify.adjustments(FLOURLANE_SHOP).unwrap().len();
        let start = Instant::now();
        let orders = (0..1_000).map(|_| world.sell(BANNOS, &sku)).collect::<Vec<_>>();
        let sent = stream::iter(&orders).map(|order| world.send(world.webhooks, order)).buffer_unordered(8);
        let answers: Vec<_> = sent.map(|answer| answer.said()).collect().await;
        assert_eq!(answers, vec!["200 created"; 1_000]);
        let time = start.elapsed().as_secs_f64();
        world.settle(world.worker).await;
        let pushes = world.stack.shopify.adjustments(FLOURLANE_SHOP).unwrap().split_off(from);
        println!("{} pushes of 1000 orders in {time:.1} s", pushes.len());
        for pair in pushes.windows(2) {
            let apart = pair[1].at.duration_since(pair[0].at).as_secs_f64();
            assert!(apart > 0.19, "two pushes {apart} s apart");
        }
        // One at once, then one for each second, or earlier where the orders stop coming for a moment.
        assert!(pushes.len() as f64 <= 12_f64.max(2.0 + 1.5 * time), "{} pushes in {time} s", pushes.len());
        assert_eq!(pushes.last().unwrap().changes[0].after, -990);
        world.level(&lot).await;
    });
}
