//! What the worker says to Shopify's Admin API, and how it reads the answers.
//!
//! The database decides what is to be done ([`Work`]) and what an outcome means ([`Report`]); between the two stands
//! a [`Job`]: it says what to ask, takes an answer, and asks on or is done. [`Answer`] classifies an answer and [`Pace`]
//! says when the next question may be asked. Not here: how a question travels, and when there is work.

pub mod answer;
mod levels;
mod orders;
pub mod pace;
mod products;
mod push;
pub mod request;
pub mod rpc;
#[cfg(test)]
mod tests;
mod variants;
pub mod work;

use serde::Serialize;

pub use answer::{Answer, Cost, Verdict};
pub use pace::Pace;
pub use work::{Outcome, Report, Work};

use crate::json::Json;

/// A question to Shopify.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The name of its document.
    pub name: &'static str,
    /// The body: the document and its variables.
    pub body: String,
    /// What it may cost at most, by Shopify's published rules: an object is a point, a mutation ten.
    pub points: f64,
}

impl Request {
    /// A question, given its variables as JSON.
    fn new(document: &Document, points: usize, variables: &str) -> Request {
        // A text always serializes.
        let query = serde_json::to_string(document.text).unwrap_or_default();
        let body = ["{\"query\":", &query, ",\"variables\":", variables, "}"].concat();
        Request { name: document.name, body, points: points as f64 }
    }

    fn with(document: &Document, points: usize, variables: &impl Serialize) -> Request {
        // Variables are plain structs, which always serialize.
        Request::new(document, points, &serde_json::to_string(variables).unwrap_or_default())
    }
}

/// A document of the folder `graphql`, by the name of its operation.
struct Document {
    name: &'static str,
    text: &'static str,
}

macro_rules! document {
    ($name:literal) => {
        $crate::sync::Document { name: $name, text: include_str!(concat!("graphql/", $name, ".graphql")) }
    };
}
use document;

/// An answer that has not the shape of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

/// What comes after an answer.
#[derive(Debug)]
pub enum Next {
    /// Something more must be asked.
    Ask(Request),
    /// That was all.
    Done(Outcome),
}

/// A piece of work that is being done.
#[derive(Debug)]
pub enum Job {
    /// Tells Shopify what it is owed.
    Push(push::Push),
    /// Finds what Shopify calls items.
    Find(variants::Find),
    /// Reads what Shopify shows of items.
    Levels(levels::Levels),
    /// Fetches whole orders.
    Orders(orders::Orders),
    /// Lists the orders that changed.
    List(orders::List),
    /// Fetches products.
    Products(products::Products),
}

impl Job {
    /// Begins a piece of work; none where there is nothing to ask.
    pub fn begin(work: Work) -> Option<(Job, Request)> {
        Some(match work {
            Work::None { .. } => return None,
            Work::Push { variables, .. } => {
                let (push, request) = push::Push::begin(&variables);
                (Job::Push(push), request)
            }
            Work::FindListings { location, skus, .. } => {
                let find = variants::Find::new(location, skus);
                let request = find.request(None);
                (Job::Find(find), request)
            }
            Work::ReadLevels { location, listings, .. } => {
                let levels = levels::Levels::new(listings);
                let request = levels.request(&location);
                (Job::Levels(levels), request)
            }
            Work::FetchOrders { orders, .. } => {
                let mut job = orders::Orders::new(orders);
                let request = job.request()?;
                (Job::Orders(job), request)
            }
            Work::ListOrders { since, after, .. } => {
                (Job::List(orders::List), orders::List::request(&since, after.as_deref()))
            }
            Work::FetchProducts { products, .. } => {
                let mut job = products::Products::new(products);
                let request = job.request()?;
                (Job::Products(job), request)
            }
        })
    }

    /// Takes the data of an answer that Shopify gave at that time.
    ///
    /// # Errors
    /// [`Unreadable`] where it has not the shape that was asked for.
    pub fn take(&mut self, data: Json<'_>, at: &str) -> Result<Next, Unreadable> {
        match self {
            Job::Push(_) => push::Push::take(data, at),
            Job::Find(find) => find.take(data),
            Job::Levels(levels) => levels.take(data, at),
            Job::Orders(orders) => orders.take(data),
            Job::List(_) => orders::List::take(data),
            Job::Products(products) => products.take(data),
        }
    }

    /// How many listings it pushes.
    pub fn pushes(&self) -> usize {
        match self {
            Job::Push(push) => push.changes,
            _ => 0,
        }
    }
}

/// What Shopify calls a thing of that kind.
fn gid(kind: &str, id: i64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// The cursor after which a connection goes on; none where it is whole.
fn next_page(connection: Json<'_>) -> Result<Option<String>, Unreadable> {
    let page = connection.field("pageInfo").ok_or(Unreadable("a page without its end"))?;
    if !crate::body::is_true(page.field("hasNextPage")) {
        return Ok(None);
    }
    let cursor = page.field("endCursor").and_then(Json::string);
    cursor.map(|cursor| Some(cursor.into_owned())).ok_or(Unreadable("a page without a cursor"))
}

/// The nodes of a connection.
fn nodes<'a>(connection: Json<'a>) -> Result<impl Iterator<Item = Json<'a>>, Unreadable> {
    connection.field("nodes").and_then(Json::items).ok_or(Unreadable("a connection without nodes"))
}
