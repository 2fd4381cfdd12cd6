//! The people of a development database: signed up through the Auth service as anybody would be; the seed
//! makes them staff.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::Stack;
use super::postgres::{connect, explained, seed};
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
/// them some that are complete or cancelled; has the cooks of each shop begin their shift; and stocks the shelves.
///
/// # Errors
/// Where the database refuses.
pub async fn open_shops(stack: &Stack) -> Result<()> {
    let url = stack.database_url();
    let database = connect(&url).await?;
    if database.query_opt("select from ordak.orders limit 1", &[]).await?.is_some() {
        return Ok(());
    }
    let (orders, first) = ORDERS;
    fill(&url, Some(first), orders, |_, _| {}).await?;
    let shifts = "insert into ordak.shifts (staff, store)
                  select id, store from ordak.staff_shared where role = 'Staff' and store is not null
                  on conflict do nothing";
    database.batch_execute(shifts).await.context("begin the shifts")?;
    stock_shelves(&database).await
}

/// Gives a database without items those of a bakery, and has the stock of its stores counted from now on.
///
/// # Errors
/// Where the database refuses.
pub(crate) async fn stock_shelves(database: &Client) -> Result<()> {
    let stock = concat!("begin;", include_str!("../seed/stock.sql"), "commit;");
    database.batch_execute(stock).await.map_err(explained).context("stock the shelves")
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
