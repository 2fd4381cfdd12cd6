//! Shops that throttle, fail, hang or refuse, all of them or one item's.

use serde_json::json;
use xtask::stack::FLOURLANE as FLOURLANE_SHOP;
use xtask::stack::shopify::{Fault, FaultKind, UserErrorCode};

use super::{ADJUST, PATIENCE, UNTIL_CLEARED, world};
use crate::support::*;

/// As if all that waits were due; but a store that rests goes on resting.
const HURRY: &str = "update ordak.work_queue set run_at = now() where id in (
                       select id from ordak.work_queue where state = 'ready' and run_at > now() for update skip locked)";

#[test]
fn a_shop_that_throttles_fails_hangs_and_cuts_for_a_while_is_level_afterwards() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 300).await;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().len();
        for kind in [
            FaultKind::Status { status: 429, retry_after: Some(1) },
            FaultKind::Status { status: 500, retry_after: None },
            FaultKind::CutAfter,
            FaultKind::Throttled,
            FaultKind::CutBefore,
            FaultKind::Status { status: 503, retry_after: None },
            FaultKind::Hang { ms: 300 },
            FaultKind::CutAfter,
        ] {
            world.stack.shopify.fault(BANNOS, Fault::from(kind).times(1)).unwrap();
        }
        // This one waits for as long as the worker does.
        let hang = Fault::from(FaultKind::Hang { ms: UNTIL_CLEARED }).times(1);
        world.stack.shopify.fault(FLOURLANE_SHOP, hang).unwrap();
        world.settle_but(world.worker, "", HURRY).await;
        let calls = world.stack.shopify.calls(BANNOS).unwrap().split_off(calls);
        assert_eq!(calls[0].status, Some(429));
        let asked_again = calls[1].at.duration_since(calls[0].at).as_secs_f64();
        assert!(asked_again > 0.9, "after {asked_again} s, where Shopify said in 1");
        let struck = calls.iter().filter(|call| call.fault.is_some()).count();
        assert_eq!(struck, 8, "{calls:?}");
        world.told_once(BANNOS, &lot, &[-2]);
        world.told_once(FLOURLANE_SHOP, &lot, &[-2]);
        world.level(&lot).await;
    });
}

/// One of 250 is poison: it ends as it should, and the others arrive, whatever is done about it.
async fn one_of_250(fault: Fault, code: &str, expected: (&str, &str)) {
    let world = world().await;
    let lot = world.lot(&[BANNOS], 250).await;
    let poison = lot.id(BANNOS, 117);
    let sql = format!("select id::text from ordak.listings where inventory_item_id = {poison}");
    let listing = world.look(&sql).await;
    world.stack.shopify.fault(BANNOS, fault.item(poison)).unwrap();
    let ended = format!(
        "select coalesce((select 'disabled' from ordak.listings where id = {listing} and disabled_reason like '%{code}%'),
           (select max(state) from ordak.work_queue where key = '{listing}' and state = 'dead' and last_error like '%{code}%'))"
    );
    let end = async || {
        world.change(HURRY).await;
        // What else is asked of Shopify goes well: it is not down.
        world.change("select ordak.mark('list_orders', 'bannos', 'bannos')").await;
        world.kick(world.worker).await;
        (world.look(&ended).await == expected.0).then_some(())
    };
    until_within(PATIENCE, &format!("one that is {}", expected.0), end).await;
    world.settle_but(world.worker, &listing, HURRY).await;
    let mut told = world.told(BANNOS, &lot);
    assert_eq!(told.remove(&poison), None);
    assert_eq!((told.len(), told.values().all(|told| *told == [-2])), (249, true));
    let wrong = world.wrong(&lot).await;
    assert!(wrong.iter().all(|wrong| wrong.starts_with(&format!("{} ", lot.sku(117)))), "{wrong:?}");
    let alerts = format!(
        "select string_agg(kind, ', ') from ordak.alerts where subject like '%{listing}' and resolved_at is null"
    );
    assert_eq!(world.look(&alerts).await, expected.1);

    // What was at fault is put right.
    world.stack.shopify.clear_faults(BANNOS).unwrap();
    world
        .change(&format!(
            "update ordak.listings set enabled = true, disabled_reason = null where id = {listing};
                           select ordak.mark_owed(array[{listing}]);"
        ))
        .await;
    world.does("retry_failed_sync", json!({"store": "bannos"})).await;
    world.settle_but(world.worker, "", HURRY).await;
    world.told_once(BANNOS, &lot, &[-2]);
    world.level(&lot).await;
    world.change("update ordak.alerts set resolved_at = now() where resolved_at is null").await;
}

#[test]
fn one_of_250_that_shopify_refuses_for_good_is_off_and_the_others_arrive() {
    let code = UserErrorCode::ItemNotStockedAtLocation;
    let fault = Fault::from(FaultKind::UserError { code });
    run(one_of_250(fault, "ITEM_NOT_STOCKED", ("disabled", "listing_refused")));
}

#[test]
fn one_of_250_that_shopify_refuses_by_name_is_given_up_and_the_others_arrive() {
    let code = UserErrorCode::AdjustQuantitiesFailed;
    let fault = Fault::from(FaultKind::UserError { code });
    run(one_of_250(fault, "ADJUST_QUANTITIES_FAILED", ("dead", "sync_dead")));
}

#[test]
fn one_of_250_that_shopify_fails_at_whenever_it_is_named_is_given_up_and_the_others_arrive() {
    run(one_of_250(Fault::status(500), "", ("dead", "sync_dead")));
}

#[test]
fn one_of_250_that_shopify_hangs_at_is_given_up_and_the_others_arrive() {
    let fault = Fault::from(FaultKind::Hang { ms: 20 }).of(ADJUST);
    run(one_of_250(fault, "", ("dead", "sync_dead")));
}

#[test]
fn a_shop_that_takes_our_token_no_more_stops_and_the_other_goes_on() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 100).await;
        world.stack.shopify.fault(BANNOS, Fault::status(401)).unwrap();
        world.kick(world.worker).await;
        let stopped = "select stop_reason from ordak.stores where code = 'bannos' and stopped_at is not null";
        until("a stopped store", async || (!world.look(stopped).await.is_empty()).then_some(())).await;
        let level = async || (world.told(FLOURLANE_SHOP, &lot).len() == 100).then_some(());
        until("the other shop's levels", level).await;
        let alert = "select string_agg(subject, ', ') from ordak.alerts where kind = 'store_stopped' and resolved_at is null";
        assert_eq!(world.look(alert).await, "bannos");
        // Nothing more is asked of it, whoever comes.
        let asked = world.pushes(BANNOS);
        world.add(&lot, 1).await;
        let again = async || {
            world.kick(world.worker).await;
            (world.told(FLOURLANE_SHOP, &lot).values().all(|told| *told == [-2, 1])).then_some(())
        };
        until("the other shop's levels again", again).await;
        assert_eq!((world.pushes(BANNOS), world.told(BANNOS, &lot).len()), (asked, 0));

        world.stack.shopify.clear_faults(BANNOS).unwrap();
        world.does("resume_store", json!({"store": "bannos"})).await;
        world.settle(world.worker).await;
        assert_eq!(world.look(alert).await, "");
        world.told_once(FLOURLANE_SHOP, &lot, &[-2, 1]);
        world.level(&lot).await;
    });
}
