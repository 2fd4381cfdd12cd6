//! The people of a development database: signed up through the Auth service as anybody would be; the seed
//! makes them staff.

use anyhow::{Result, ensure};
use serde_json::json;

use super::Stack;
use super::postgres::{connect, seed};

/// Who can log in; the seed knows them by these addresses.
pub const PEOPLE: &[&str] = &[
    "admin@bakery.example",
    "supervisor@bakery.example",
    "bannos@bakery.example",
    "flourlane@bakery.example",
];

/// The password of each of them, on this machine alone.
pub const PASSWORD: &str = "bake a cake";

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
