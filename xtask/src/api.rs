//! `cargo xtask api`: writes what the database says about schema `api` as a document for people and as
//! types for TypeScript. Both come from the catalogue and its comments, so neither can promise more.

mod catalogue;
mod comment;
mod markdown;
mod typescript;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio_postgres::Client;

use crate::build;
use crate::project::{root, scratch};
use crate::stack::postgres::connect;
use crate::stack::{Options, Stack};

/// A file that is made from the catalogue.
#[derive(Debug)]
pub struct Generated {
    /// Where it lies in the working copy.
    pub path: &'static str,
    /// What must stand there.
    pub text: String,
}

/// A call of a function, as the example in its comment makes it.
#[derive(Debug)]
pub struct Call {
    /// The function.
    pub name: String,
    /// The least role that may call it, as its comment names it.
    pub role: String,
    /// Its arguments.
    pub arguments: Value,
}

/// Starts a stack with the migrations as they are, and writes the files.
///
/// # Errors
/// Where the stack does not start or a comment is not in the form that [`generate`] needs.
pub async fn run() -> Result<()> {
    build::all().await?;
    let options = Options { folder: scratch("api"), port: None, durable: false, fresh: true };
    let stack = Stack::start(options).await?;
    let files = read(&stack).await;
    stack.stop().await;
    for Generated { path, text } in files? {
        std::fs::write(root().join(path), text).with_context(|| format!("cannot write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

async fn read(stack: &Stack) -> Result<Vec<Generated>> {
    generate(&connect(&stack.database_url()).await?).await
}

/// The files as the database that `client` is connected to says they must be.
///
/// # Errors
/// Names every function, view and type whose comment is missing or disagrees with what it describes.
pub async fn generate(client: &Client) -> Result<Vec<Generated>> {
    let api = catalogue::read(client).await?;
    Ok(vec![
        Generated { path: "docs/api.md", text: markdown::document(&api) },
        Generated { path: "web/src/database.types.ts", text: typescript::types(&api)? },
    ])
}

/// A call of every function.
///
/// # Errors
/// As [`generate`].
pub async fn calls(client: &Client) -> Result<Vec<Call>> {
    let call = |(function, comment): &(catalogue::Function, comment::Comment)| {
        let arguments = serde_json::from_str(comment.example())?;
        Ok(Call { name: function.name.clone(), role: comment.role().to_owned(), arguments })
    };
    catalogue::read(client).await?.functions.iter().map(call).collect()
}
