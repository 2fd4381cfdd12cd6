//! Schema `api` as the catalogue has it, each part with its comment read and held to it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio_postgres::Client;

use super::comment::{Comment, checked_role};

/// All of it.
#[derive(Debug)]
pub(crate) struct Api {
    /// In the order in which the migrations make them.
    pub(crate) functions: Vec<(Function, Comment)>,
    pub(crate) views: Vec<(Relation, Comment)>,
    /// The composite types; their comments are plain.
    pub(crate) types: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The title of the migration that makes it.
    pub(crate) area: String,
    body: String,
    comment: String,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) result: Type,
    /// Whether the result is a row or any number of them.
    pub(crate) set: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Argument {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) of: Type,
    /// The SQL expression that stands for it where it is left out.
    pub(crate) default: Option<String>,
}

/// A view or a composite type.
#[derive(Debug, Deserialize)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) comment: String,
    pub(crate) columns: Vec<Column>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) of: Type,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Type {
    /// Of the elements, where it is an array.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) array: bool,
    /// The words of an enumeration.
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    /// One of Postgres' own.
    Plain,
    Enumeration,
    /// A row of a view in `api`.
    View,
    /// A composite type in `api`.
    Composite,
}

#[derive(Deserialize)]
struct Found {
    functions: Vec<Function>,
    views: Vec<Relation>,
    types: Vec<Relation>,
}

impl Argument {
    /// Whether null says something: that it is left out.
    pub(crate) fn nullable(&self) -> bool {
        self.default.as_deref().is_some_and(|default| default.starts_with("NULL"))
    }
}

impl Api {
    /// The enumerations that a caller meets, by name.
    pub(crate) fn enumerations(&self) -> BTreeMap<&str, &[String]> {
        let functions = self.functions.iter().flat_map(|(function, _)| {
            function.arguments.iter().map(|argument| &argument.of).chain([&function.result])
        });
        let relations = self.views.iter().map(|(view, _)| view).chain(&self.types);
        let columns = relations.flat_map(|relation| relation.columns.iter().map(|column| &column.of));
        functions
            .chain(columns)
            .filter(|of| of.kind == Kind::Enumeration)
            .map(|of| (of.name.as_str(), of.words.as_slice()))
            .collect()
    }
}

/// Reads the catalogue.
pub(crate) async fn read(client: &Client) -> Result<Api> {
    let row = client.query_one(include_str!("catalogue.sql"), &[]).await.context("read the catalogue")?;
    let found: Found = serde_json::from_str(row.get(0)).context("read the catalogue")?;
    let mut wrong = Vec::new();
    let mut functions = Vec::new();
    let mut names = BTreeSet::new();
    for function in found.functions {
        if !names.insert(function.name.clone()) {
            wrong.push(format!("api.{}: expected one function of this name, but found two", function.name));
        }
        match comment_of(&function) {
            Ok(comment) => functions.push((function, comment)),
            Err(error) => wrong.push(format!("api.{}: {error}", function.name)),
        }
    }
    let mut views = Vec::new();
    for view in found.views {
        match Comment::of_view(&view.comment) {
            Ok(comment) => views.push((view, comment)),
            Err(error) => wrong.push(format!("view api.{}: {error}", view.name)),
        }
    }
    for bare in found.types.iter().filter(|of| of.comment.is_empty()) {
        wrong.push(format!("type api.{}: expected a comment, but found none", bare.name));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(Api { functions, views, types: found.types })
}

/// A function's comment, which must agree with its arguments and with whom its body lets pass.
fn comment_of(function: &Function) -> Result<Comment, String> {
    let names: Vec<_> = function.arguments.iter().map(|argument| argument.name.as_str()).collect();
    let comment = Comment::of_function(&function.comment, &names)?;
    let needed = function.arguments.iter().filter(|argument| argument.default.is_none());
    comment.check_example(&names, &needed.map(|argument| argument.name.as_str()).collect::<Vec<_>>())?;
    let checked = checked_role(&function.body).unwrap_or("none");
    if comment.role() != checked {
        return Err(format!("its comment says role {}, but its body checks {checked}", comment.role()));
    }
    Ok(comment)
}
