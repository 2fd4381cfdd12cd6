//! The people of a development database: signed up through the Auth service as anybody would be; the seed
//! makes them staff.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::Stack;
use super::postgres::{connect, explained, seed};
use super::shopify::Variant;
use crate::progress::until;
use crate::seed::fill;

/// Who can log in; the seed knows them by these addresses.
pub const PEOPLE: &[&str] = &[
    "admin@bakery.example",
    "supervisor@bakery.example",
    "bannos@bakery.example",
    "flourlane@bakery.example",
];

/// The password of each of them, on this machine alone.
pub const PASSWORD: &str = "bake a cake";

/// How many orders a new bakery begins with, and the number of the first, near what the shops are at.
const ORDERS: (u32, i64) = (100, 24_001);

/// Signs them up, and has the seed make them staff; those who are there already stay as they are.
///
/// # Errors
/// Where Auth or the database refuses.
pub async fn sign_up(stack: &Stack) -> Result<()> {
    let client = reqwest::Client::new();
    for email in PEOPLE {
        let request = client.post(format!("{}/auth/v1/signup", stack.url()));
        let request = request.header("apikey", &stack.keys.publishable);
        let status = request.json(&json!({"email": email, "password": PASSWORD})).send().await?.status();
        ensure!(status == 200 || status == 422, "expected that {email} can sign up, but found {status}");
    }
    seed(&connect(&stack.database_url()).await?).await
}

/// Gives a database without orders those of shops at work: open in every stage, held, overdue and undated, behind
/// them some that are complete or cancelled; has the cooks of each shop begin their shift; and stocks the shelves. Answers
/// with whether it did.
///
/// # Errors
/// Where the database refuses.
pub async fn open_shops(stack: &Stack) -> Result<bool> {
    let url = stack.database_url();
    let database = connect(&url).await?;
    if database.query_opt("select from ordak.orders limit 1", &[]).await?.is_some() {
        return Ok(false);
    }
    let (orders, first) = ORDERS;
    fill(&url, Some(first), orders, |_, _| {}).await?;
    let shifts = "insert into ordak.shifts (staff, store)
                  select id, store from ordak.staff_shared where role = 'Staff' and store is not null
                  on conflict do nothing";
    database.batch_execute(shifts).await.context("begin the shifts")?;
    stock_shelves(&database).await?;
    Ok(true)
}

/// Gives a database without items those of a bakery, and has the stock of its stores counted from now on.
///
/// # Errors
/// Where the database refuses.
pub(crate) async fn stock_shelves(database: &Client) -> Result<()> {
    let stock = concat!("begin;", include_str!("../seed/stock.sql"), "commit;");
    database.batch_execute(stock).await.map_err(explained).context("stock the shelves")
}

/// Has the stand-in's shops sell what is listed in them, as much as Shopify is expected to show of it, and number their
/// orders above those that are there.
///
/// # Errors
/// Where the database refuses.
pub async fn fill_shopify(stack: &Stack) -> Result<()> {
    let database = connect(&stack.database_url()).await?;
    let numbers = "select s.shop_domain, max(o.number) from ordak.orders as o join ordak.stores as s on s.code = o.store
                   group by s.code";
    for row in database.query(numbers, &[]).await.map_err(explained)? {
        stack.shopify.number_above(row.get(0), row.get(1))?;
    }
    let listings = "select s.shop_domain, l.inventory_item_id, l.location_id, l.variant_id, i.sku, i.name,
                           case when l.based_at is null then coalesce(floor(a.ats), 0)::bigint else l.expected end
                    from ordak.listings as l
                    join ordak.items as i on i.id = l.item
                    join ordak.stores as s on s.code = l.store
                    cross join ordak.ats(array[i.id], array[s.code]) as a";
    for row in database.query(listings, &[]).await.map_err(explained).context("read what is listed")? {
        let (sku, name): (&str, &str) = (row.get(4), row.get(5));
        let mut variant = Variant::new(row.get(1), sku, name).available(row.get(2), row.get(6));
        variant.variant = row.get::<_, Option<i64>>(3).unwrap_or(variant.variant);
        variant.image = Some(format!("https://cdn.shopify.com/s/files/1/0548/3800/files/{sku}.jpg"));
        stack.shopify.put(row.get(0), variant)?;
    }
    Ok(())
}

/// Has the worker read what the stand-in's shops show of everything that is listed; from then on they are told what they
/// are owed.
///
/// # Errors
/// Where that takes longer than a minute.
pub(crate) async fn base_listings(stack: &Stack) -> Result<()> {
    let database = connect(&stack.database_url()).await?;
    stack.worker().call(&reqwest::Client::new(), "schedule")?.send().await?.error_for_status()?;
    let left = "select not exists (select from ordak.listings where based_at is null)";
    let based = async || Ok(database.query_one(left, &[]).await.map_err(explained)?.get(0));
    until(Duration::from_secs(60), "a level of each listing", based).await?;
    // From now on a level waits for what explains it; the stand-in takes seconds where Shopify takes minutes.
    let wait = "update ordak.sync_settings set base_wait = interval '3 seconds'";
    database.batch_execute(wait).await.map_err(explained)?;
    // Shopify tells of whole seconds: what is sold in that of a level counts as known to it.
    let known = "select max(based_at) < date_trunc('second', clock_timestamp()) from ordak.listings";
    let over = async || Ok(database.query_one(known, &[]).await.map_err(explained)?.get(0));
    until(Duration::from_secs(10), "a second after the levels", over).await
}

/// Logs somebody in, and answers with their token.
///
/// # Errors
/// Where Auth refuses.
pub(crate) async fn log_in(stack: &Stack, email: &str) -> Result<String> {
    let request = reqwest::Client::new().post(format!("{}/auth/v1/token?grant_type=password", stack.url()));
    let request = request.header("apikey", &stack.keys.publishable);
    let response = request.json(&json!({"email": email, "password": PASSWORD})).send().await?;
    let answer: Value = response.error_for_status()?.json().await?;
    Ok(answer["access_token"].as_str().context("expected a token of Auth")?.to_owned())
}
