//! Workers, databases and hosts that are killed, late or unheard, or whose clock is wrong.

use futures_util::future::join_all;
use ordak_core::route::{Route, SYNC_WORKER, WEBHOOKS_SHOPIFY};
use serde_json::Value;
use xtask::build::generated;
use xtask::stack::shopify::{Fault, FaultKind};
use xtask::stack::{FLOURLANE as FLOURLANE_SHOP, serve_on_deno};

use super::{ADJUST, SHOPS, UNTIL_CLEARED, World, world};
use crate::support::*;

/// As if the time of a worker were over that is gone.
const EXPIRE: &str =
    "update ordak.sync_stores set lease_until = now() - interval '1 second' where lease_token is not null";

fn slow() -> Fault {
    Fault::from(FaultKind::Slow { ms: UNTIL_CLEARED }).of(ADJUST).times(1)
}

#[test]
fn a_worker_that_is_killed_between_the_answer_and_its_word_of_it_is_followed_by_one_that_sends_the_same() {
    run(async {
        let mut world = world().await;
        let env = world.stack.function_env();
        let port = world.stack.start_function(SYNC_WORKER.function, env).await.unwrap();
        let lot = world.lot(&[BANNOS], 5).await;
        world.stack.shopify.fault(BANNOS, slow()).unwrap();
        world.kick(port).await;
        let key = world.open("bannos").await;
        // It cannot say what Shopify answers.
        let mut other = database(&world.stack).await;
        let lock = other.transaction().await.unwrap();
        let store = "select from ordak.sync_stores where store = 'bannos' for update";
        lock.execute(store, &[]).await.unwrap();
        world.stack.shopify.clear_faults(BANNOS).unwrap();
        let waiting = "select count(*)::text from pg_stat_activity
                       where usename = 'authenticator' and wait_event_type = 'Lock' and query like '%finish_work%'";
        world.shows("words that wait", waiting, "1").await;
        world.stack.kill(&format!("{}-{port}", SYNC_WORKER.function)).await;
        // The database gives up what nobody waits for.
        world.shows("words that wait", waiting, "0").await;
        lock.rollback().await.unwrap();
        world.told_once(BANNOS, &lot, &[-2]);
        assert_eq!(world.push(&key).await, "open 1");
        let before = world.pushes(BANNOS);

        world.change(EXPIRE).await;
        world.settle(world.worker).await;
        assert_eq!((world.pushes(BANNOS), world.push(&key).await), (before + 1, "applied 2".into()));
        world.told_once(BANNOS, &lot, &[-2]);
        world.level(&lot).await;
    });
}

#[test]
fn two_workers_and_ten_kicks_at_once_tell_of_each_change_once() {
    run(async {
        let world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 300).await;
        let mut deltas = vec![-2];
        for round in 0..3 {
            let kicks = (0..20).map(|n| world.kick(if n % 2 == 0 { world.deno() } else { world.worker }));
            join_all(kicks).await;
            world.settle(world.deno()).await;
            for (_, shop, ..) in SHOPS {
                world.told_once(shop, &lot, &deltas);
            }
            if round < 2 {
                world.add(&lot, 3).await;
                deltas.push(3);
            }
        }
        world.level(&lot).await;
    });
}

#[test]
fn a_lease_that_ends_during_a_call_leads_to_two_answers_and_one_effect() {
    run(async {
        let world = world().await;
        world.change("update ordak.sync_settings set lease_time = interval '1 second'").await;
        let lease = "select lease_token::text from ordak.sync_stores where store = 'bannos'";
        // Done in the end, or never done.
        for kind in [FaultKind::Slow { ms: UNTIL_CLEARED }, FaultKind::Hang { ms: UNTIL_CLEARED }] {
            let lot = world.lot(&[BANNOS], 5).await;
            let hangs = matches!(kind, FaultKind::Hang { .. });
            world.stack.shopify.fault(BANNOS, Fault::from(kind).of(ADJUST).times(1)).unwrap();
            let before = world.pushes(BANNOS);
            world.kick(world.deno()).await;
            let (key, first) = (world.open("bannos").await, world.look(lease).await);
            let log = world.stack.service(SYNC_WORKER.function).unwrap().log().to_owned();
            let lost = |lines: Vec<Value>| lines.iter().filter(|line| line["outcome"] == "lost").count();
            let lost_before = lost(log_lines(&log));
            let taken_over = async || {
                world.kick(world.worker).await;
                (world.look(lease).await != first).then_some(())
            };
            until("another worker", taken_over).await;
            // The other has had an answer: that the first is under way, or that it is done.
            until("an answer", async || (world.pushes(BANNOS) > before).then_some(())).await;
            if hangs {
                world
                    .shows(
                        "the push",
                        &format!("select state from ordak.push_batches where key = '{key}'"),
                        "applied",
                    )
                    .await;
            }
            world.stack.shopify.clear_faults(BANNOS).unwrap();
            until("a worker that has lost its lease", async || {
                (lost(log_lines(&log)) > lost_before).then_some(())
            })
            .await;
            world.settle(world.worker).await;
            assert!(world.push(&key).await.starts_with("applied"));
            world.told_once(BANNOS, &lot, &[-2]);
            world.level(&lot).await;
        }
        world.change("update ordak.sync_settings set lease_time = default").await;
    });
}

#[test]
fn a_database_that_is_killed_during_a_run_has_it_go_on_afterwards() {
    run(async {
        let mut world = world().await;
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 600).await;
        world.stack.shopify.fault(BANNOS, slow()).unwrap();
        world.kick(world.worker).await;
        let key = world.open("bannos").await;
        world.stack.kill("postgres").await;
        world.stack.shopify.clear_faults(BANNOS).unwrap();
        until("an answer of Shopify's", async || (!world.told(BANNOS, &lot).is_empty()).then_some(())).await;
        // Not before the last of the old one's processes is gone.
        until("Postgres again", async || world.stack.start_postgres().await.ok()).await;
        world.database = database(&world.stack).await;
        world.change(EXPIRE).await;
        world.settle(world.worker).await;
        assert!(world.push(&key).await.starts_with("applied"));
        world.told_once(BANNOS, &lot, &[-2]);
        world.told_once(FLOURLANE_SHOP, &lot, &[-2]);
        world.level(&lot).await;
    });
}

/// A function on a host whose clock is so many hours off.
async fn at_another_time(world: &mut World, function: Route, hours: i64, worker: Option<u16>) -> u16 {
    let name = format!("{}-at-{hours}", function.function);
    let folder = world.stack.service("postgres").unwrap().log().parent().unwrap().to_owned();
    let (clock, entry) = (folder.join(format!("clock{hours}.ts")), folder.join(format!("{name}.ts")));
    let ms = hours * 3_600_000;
    let text = format!(
        "const Real = Date; const now = () => Real.now() + {ms};
         globalThis.Date = class extends Real {{
           constructor(...args: unknown[]) {{ super(...(args.length ? args : [now()]) as [number]); }}
           static override now() {{ return now(); }}
         }} as DateConstructor;\n"
    );
    std::fs::write(&clock, text).unwrap();
    let index = generated(function.function).with_file_name("index.ts");
    let text = format!("import \"{}\";\nimport \"{}\";\n", clock.display(), index.display());
    std::fs::write(&entry, text).unwrap();
    let flags = ["--no-remote", "--no-npm", "--no-config", "--allow-net=127.0.0.1"];
    let worker = worker.map(|port| format!("http://127.0.0.1:{port}{}", SYNC_WORKER.path));
    let started = world.stack.start_server(&name, |port, mut env| {
        env.extend(worker.map(|url| ("ORDAK_SYNC_WORKER_URL".to_owned(), url)));
        serve_on_deno(&entry, &flags, port, env)
    });
    started.await.unwrap()
}

#[test]
fn a_host_whose_clock_is_an_hour_off_tells_its_own_worker_and_all_is_level() {
    run(async {
        let mut world = world().await;
        for hours in [-1, 1] {
            let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 3).await;
            world.settle(world.worker).await;
            let worker = at_another_time(&mut world, SYNC_WORKER, hours, None).await;
            let webhooks = at_another_time(&mut world, WEBHOOKS_SHOPIFY, hours, Some(worker)).await;
            // Ours is signed now, which is another time there.
            let mut ours = world.stack.worker();
            ours.url = format!("http://127.0.0.1:{worker}{}", SYNC_WORKER.path);
            assert_eq!(Answer::to(ours.call(client(), "kick").unwrap()).await.said(), "401 AUTH001");
            let answer = world.send(webhooks, &world.sell(BANNOS, &lot.sku(1))).await;
            assert_eq!(answer.said(), "200 created");
            // Nobody else calls a worker.
            let told = || world.told(FLOURLANE_SHOP, &lot).remove(&lot.id(FLOURLANE_SHOP, 1));
            until("the order in the other shop", async || (told() == Some(vec![-2, -1])).then_some(())).await;
            world.settle(world.worker).await;
            world.level(&lot).await;
        }
    });
}

#[test]
fn where_every_kick_is_lost_the_schedule_brings_all_level() {
    run(async {
        let mut world = world().await;
        let mut env = world.stack.function_env();
        env.push(("ORDAK_SYNC_WORKER_URL".into(), "http://127.0.0.1:9/".into()));
        let deaf = world.stack.start_function(WEBHOOKS_SHOPIFY.function, env).await.unwrap();
        let lot = world.lot(&[BANNOS, FLOURLANE_SHOP], 20).await;
        for n in 1..=20 {
            let shop = if n % 2 == 0 { BANNOS } else { FLOURLANE_SHOP };
            assert_eq!(world.send(deaf, &world.sell(shop, &lot.sku(n))).await.said(), "200 created");
        }
        for (_, shop, ..) in SHOPS {
            assert_eq!(world.told(shop, &lot).len(), 0, "nobody has called a worker");
        }
        assert_eq!(world.stack.scheduled(SYNC_WORKER.function, world.worker).await.unwrap(), "ok");
        for (_, shop, ..) in SHOPS {
            assert_eq!(world.told(shop, &lot).len(), 20);
        }
        world.level(&lot).await;
        world.settle(world.worker).await;
    });
}
