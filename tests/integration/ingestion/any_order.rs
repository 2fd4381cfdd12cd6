//! Lives of orders, delivered in any order and more than once, at once too: what is kept is the same.

use futures_util::future::join_all;
use ordak_core::content::content;
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement};
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::delivery_id;

use super::{instant, refund};
use crate::support::dice::Dice;
use crate::support::*;

type Deliveries = Vec<(&'static str, Value)>;

/// All that Shopify says of an order in the course of its life, in the order of its happening.
fn life(dice: &mut Dice, order: &Order) -> Deliveries {
    const TITLES: [&str; 4] = ["Fudge Cake", "Matcha Cake", "Sparkling Candle", "Box of Cupcakes"];
    let lines = (0..=dice.roll(3))
        .map(|_| Line::new(TITLES[dice.roll(4)], "Medium / Vanilla", 1 + dice.roll(3) as u32))
        .collect();
    let mut body = order.clone().lines(lines).body();
    body["refunds"] = json!([]);
    let mut life = vec![("orders/create", body.clone())];
    for step in 1..=2 + dice.roll(5) {
        let lines = body["line_items"].as_array().unwrap().len();
        let line = dice.roll(lines);
        let [bought, left] =
            ["quantity", "current_quantity"].map(|count| body["line_items"][line][count].as_i64().unwrap());
        let mut minute = step as u64;
        match dice.roll(8) {
            0 => {
                body["line_items"][line]["quantity"] = (bought + 1).into();
                body["line_items"][line]["current_quantity"] = (left + 1).into();
                life.push(("orders/edited", json!({"order_edit": {"id": step, "order_id": order.id}})));
            }
            1 => body["line_items"][line]["current_quantity"] = (left - 1).max(0).into(),
            2 => body["line_items"][line]["current_quantity"] = 0.into(),
            3 => {
                let mut added = body["line_items"][line].clone();
                added["id"] = (order.id * 2 + 1 + lines as i64).into();
                added["title"] = TITLES[dice.roll(4)].into();
                added["current_quantity"] = bought.into();
                body["line_items"].as_array_mut().unwrap().push(added);
            }
            4 if left > 0 => {
                let units = 1 + dice.roll(left as usize) as i64;
                let refund = refund(order, 1 + line as i64, order.id * 2 + 100 + step as i64, units);
                body["line_items"][line]["current_quantity"] = (left - units).into();
                body["refunds"].as_array_mut().unwrap().push(refund.clone());
                life.push(("refunds/create", refund));
            }
            kind => {
                // Sometimes two bodies claim to be the same version.
                minute -= dice.roll(2) as u64;
                let due = ["16/12/2026", "some day", "17/12/2026 between 8 and 9"][dice.roll(3)];
                body["note_attributes"][1]["value"] = due.into();
                body["note"] = format!("note {kind} of step {step}").into();
                body["shipping_address"]["name"] = ["Mia", "Max", "Ada"][dice.roll(3)].into();
            }
        }
        body["updated_at"] = instant(minute).into();
        life.push(("orders/updated", body.clone()));
    }
    if dice.roll(3) == 0 {
        body["cancelled_at"] = instant(30).into();
        body["cancel_reason"] = "customer".into();
        body["updated_at"] = instant(30).into();
        life.push(("orders/cancelled", body.clone()));
        if dice.roll(2) == 0 {
            body["note"] = "too late".into();
            body["updated_at"] = instant(31).into();
            life.push(("orders/updated", body));
        }
    }
    life
}

/// Delivers as the function would: hundreds of orders over HTTP take too long.
async fn ingest(
    (client, ingest): &(Client, Statement),
    order: &Order,
    id: &str,
    (topic, body): &(&'static str, Value),
) {
    let body = body.to_string();
    let delivery = json!({
        "webhook_id": id, "topic": topic, "shop_domain": order.shop_domain, "secret_store": null,
        "body_digest": format!("{:x}", content_number(&body)), "event_id": null, "triggered_at": null,
        "api_version": null,
    });
    let content = serde_json::to_string(&content(topic, body.as_bytes()).unwrap()).unwrap();
    client.execute(ingest, &[&delivery.to_string(), &content]).await.unwrap();
}

/// A number that is another for another body.
fn content_number(body: &str) -> u64 {
    body.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// All that is kept of an order, but for row ids and times of receipt.
async fn kept(client: &Client, order: &Order) -> String {
    let sql = "select jsonb_pretty(jsonb_build_object(
                 'order', to_jsonb(o) - '{id,created_at,updated_at}'::text[],
                 'lines', (select jsonb_agg(to_jsonb(l) - '{id,order_key}'::text[] order by l.line_id)
                           from ordak.order_lines as l where l.order_key = o.id),
                 'tasks', (select jsonb_agg(to_jsonb(t) - '{id,order_key,line_key,created_at,updated_at}'::text[]
                                            || jsonb_build_object('line', l.line_id) order by t.number)
                           from ordak.tasks as t join ordak.order_lines as l on l.id = t.line_key
                           where t.order_key = o.id),
                 'refunds', (select jsonb_agg(r order by r.refund_line_id) from ordak.refund_lines as r
                             where r.shopify_order_id = o.shopify_order_id)))
               from ordak.orders as o where o.shopify_order_id = $1";
    client.query_one(sql, &[&order.id]).await.unwrap().get(0)
}

/// Delivers an order's life as it happened, and takes it back; then shuffled and repeated, in some cases at once.
async fn check_life(clients: &[(Client, Statement)], shop_domain: &str, seed: u64) {
    let mut dice = Dice(seed);
    let order = Order::new(shop_domain, number());
    let life = life(&mut dice, &order);
    let first = &clients[0].0;
    first.batch_execute("begin; set local role service_role").await.unwrap();
    for delivery in &life {
        ingest(&clients[0], &order, &delivery_id(), delivery).await;
    }
    first.batch_execute("reset role").await.unwrap();
    let expected = kept(first, &order).await;
    first.batch_execute("rollback").await.unwrap();

    let mut shuffled = Vec::new();
    for delivery in &life {
        let id = delivery_id();
        for _ in 0..=dice.roll(3) {
            // A copy under the same id, or the same body in another delivery.
            shuffled.push((if dice.roll(2) == 0 { id.clone() } else { delivery_id() }, delivery));
        }
    }
    dice.shuffle(&mut shuffled);
    let at_once = if seed.is_multiple_of(3) { clients.len() } else { 1 };
    join_all(clients[..at_once].iter().enumerate().map(async |(place, client)| {
        client.0.batch_execute("set role service_role").await.unwrap();
        for (id, delivery) in shuffled.iter().skip(place).step_by(at_once) {
            ingest(client, &order, id, delivery).await;
        }
        client.0.batch_execute("reset role").await.unwrap();
    }))
    .await;
    let found = kept(first, &order).await;
    let came: Vec<_> = shuffled.iter().map(|(_, (topic, body))| (topic, &body["updated_at"])).collect();
    assert_eq!(found, expected, "seed {seed}, delivered as {came:?}");
}

#[test]
fn in_whatever_order_and_however_often_deliveries_come_the_order_is_the_same() {
    run(async {
        let shop_domain = add_store("nougat", "N").await;
        join_all((0..3).map(async |worker| {
            let clients = join_all((0..3).map(async |_| {
                let client = database(&shared().stack).await;
                let sql = "select api.ingest($1::text::jsonb, $2::text::jsonb)";
                let ingest = client.prepare(sql).await.unwrap();
                (client, ingest)
            }))
            .await;
            for case in 0..60 {
                check_life(&clients, &shop_domain, case * 3 + worker).await;
            }
        }))
        .await;
    });
}
