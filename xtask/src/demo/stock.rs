//! The demo's second half: how stock moves with orders, and how what Shopify's shops show follows it.

use std::time::{Duration, Instant};

use anyhow::Result;
use ordak_core::route::WEBHOOKS_SHOPIFY;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::progress::until;
use crate::stack::order::{Line, Order};
use crate::stack::people::{base_listings, fill_shopify, log_in, sign_up, stock_shelves};
use crate::stack::postgres::connect;
use crate::stack::shopify::Webhook;
use crate::stack::{BANNOS, FLOURLANE, Stack};

/// The item whose stock the demo shows moving: a Red Velvet Heart Cake stands on one.
const BOARD: &str = "BOARD-HEART";

/// What there is of it: on hand, reserved, missing, and with its sign what can still be sold.
const SHELF: &str = "
    select concat_ws(' ', trim_scale(i.on_hand), trim_scale(i.held + i.blocked), trim_scale(i.blocked), a.ats)
    from ordak.items as i cross join ordak.ats(array[i.id], array['bannos']) as a where i.sku = $1";

/// What customers of both shops buy.
const GELATO: &str = "GELATO";

/// What can be sold of it.
const LEFT: &str = "
    select a.ats::bigint from ordak.items as i cross join ordak.ats(array[i.id], array['bannos']) as a where i.sku = $1";

/// How long the shops may take to follow: what comes in without an order waits for the schedule.
const FOLLOWED: Duration = Duration::from_secs(30);

/// What happens, after which both shops must show another number.
enum Happens {
    Nothing,
    /// A customer of this shop buys so many.
    Sale(&'static str, u32),
    /// So many come in.
    Delivery(u32),
}

/// A Supervisor who is logged in.
struct Supervisor<'a> {
    stack: &'a Stack,
    client: Client,
    token: String,
}

impl Supervisor<'_> {
    fn call(&self, name: &str, arguments: &Value) -> RequestBuilder {
        let post = self.client.post(format!("{}/rest/v1/rpc/{name}", self.stack.url())).json(arguments);
        post.bearer_auth(&self.token).header("apikey", &self.stack.keys.publishable)
    }

    fn receive(&self, sku: &str, quantity: u32) -> RequestBuilder {
        self.call("receive_stock", &json!({"lines": [{"sku": sku, "quantity": quantity}]}))
    }
}

/// Shows both, and counts what is not as expected, and what the auditor finds.
pub(super) async fn show(stack: &mut Stack, schedule: Duration) -> Result<usize> {
    sign_up(stack).await?;
    let database = connect(&stack.database_url()).await?;
    stock_shelves(&database).await?;
    fill_shopify(stack).await?;
    stack.keep_schedule(schedule);
    let stack = &*stack;
    let token = log_in(stack, "supervisor@bakery.example").await?;
    let supervisor = Supervisor { stack, client: Client::new(), token };
    let mut wrong = shelf(&supervisor, &database).await?;
    base_listings(stack).await?;
    wrong += shops(&supervisor, &database).await?;
    Ok(wrong + database.query("select from ordak.audit", &[]).await?.len())
}

/// Prints how stock moves: what is sold of it, beyond what there is too, received and used up.
async fn shelf(supervisor: &Supervisor<'_>, database: &tokio_postgres::Client) -> Result<usize> {
    let stack = supervisor.stack;
    let url = format!("{}{}", stack.url(), WEBHOOKS_SHOPIFY.path);
    let sell = |number| {
        let line = Line::new("Red Velvet Heart Cake", "Medium / Red Velvet", 3);
        let webhook =
            Webhook::new("orders/create", BANNOS, Order::new(BANNOS, number).lines(vec![line]).body());
        let body = webhook.body.to_string().into();
        webhook.request(&supervisor.client, &url, &stack.keys.webhook_secret, body)
    };
    let complete =
        |stage| supervisor.call("complete_stage", &json!({"task_number": "B25780-A", "stage": stage}));
    let whole = ["Covering", "Decorating", "Packing"].map(complete).into();
    let scenes = [
        ("heart boards, of which one is kept back", vec![], "5 0 0 4"),
        ("Bannos: three hearts are sold", vec![sell(25780)?], "5 3 0 1"),
        ("Bannos: three more, and a board is missing", vec![sell(25781)?], "5 6 1 -2"),
        (
            "four boards come in, and the last heart has its own",
            vec![supervisor.receive(BOARD, 4)],
            "9 6 0 2",
        ),
        ("the first heart is filled, on its board", vec![complete("Filling")], "8 5 0 2"),
        ("and packed; the board is used up once", whole, "8 5 0 2"),
    ];
    println!("{:<52} {:>8} {:>8} {:>8} {:>8}", "stock", "on hand", "reserved", "missing", "ATS");
    let mut wrong = 0;
    for (title, requests, expected) in scenes {
        for request in requests {
            request.send().await?.error_for_status()?;
        }
        let found: String = database.query_one(SHELF, &[&BOARD]).await?.get(0);
        let mark = if found == expected { "" } else { "  ← not as expected" };
        wrong += usize::from(found != expected);
        let columns: String = found.split(' ').map(|column| format!(" {column:>8}")).collect();
        println!("{title:<52}{columns}{mark}");
    }
    Ok(wrong)
}

/// Prints how both shops follow what is bought in one of them, and what comes in, and how long that takes.
async fn shops(supervisor: &Supervisor<'_>, database: &tokio_postgres::Client) -> Result<usize> {
    let shopify = &supervisor.stack.shopify;
    let scenes = [
        ("gelato cakes, of which two are kept back", Happens::Nothing, 58),
        ("a customer of Bannos buys two", Happens::Sale(BANNOS, 2), 56),
        ("a customer of Flourlane buys three", Happens::Sale(FLOURLANE, 3), 53),
        ("ten come in, and the schedule tells both shops", Happens::Delivery(10), 63),
    ];
    println!("\n{:<52} {:>8} {:>10} {:>6} {:>8}", "Shopify shows", "Bannos", "Flourlane", "ATS", "ms");
    let mut wrong = 0;
    for (title, happens, expected) in scenes {
        let start = Instant::now();
        supervisor.has_happen(happens).await?;
        let shown = || -> Result<_> {
            Ok([shopify.available(BANNOS, GELATO)?, shopify.available(FLOURLANE, GELATO)?])
        };
        let followed = async || Ok(shown()? == [expected; 2]);
        let late = until(FOLLOWED, "the number expected", followed).await.is_err();
        let (elapsed, [bannos, flourlane]) = (start.elapsed().as_secs_f64() * 1000.0, shown()?);
        let left: i64 = database.query_one(LEFT, &[&GELATO]).await?.get(0);
        let differs = late || left != expected;
        let mark = if differs { "  ← not as expected" } else { "" };
        wrong += usize::from(differs);
        println!("{title:<52} {bannos:>8} {flourlane:>10} {left:>6} {elapsed:>8.1}{mark}");
    }
    Ok(wrong)
}

impl Supervisor<'_> {
    async fn has_happen(&self, happens: Happens) -> Result<()> {
        let shopify = &self.stack.shopify;
        match happens {
            Happens::Nothing => {}
            Happens::Sale(shop, units) => {
                for webhook in shopify.sell(&shopify.order(shop, &[(GELATO, units)])?)?.webhooks {
                    shopify.send(&webhook).await?;
                }
            }
            Happens::Delivery(units) => {
                self.receive(GELATO, units).send().await?.error_for_status()?;
            }
        }
        Ok(())
    }
}
