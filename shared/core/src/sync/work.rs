//! What the database gives the worker to do, and what it is told of it.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::body::{integer, is_true};
use crate::content::{Content, Product};
use crate::json::Json;
use crate::rpc::Answer;

/// A piece of work. The token says under which lease it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A push: its variables are sent as they are, also when it is sent again.
    Push {
        /// Under which lease.
        token: String,
        /// The variables of the mutation, as JSON.
        variables: String,
    },
    /// Items whose listings are to be found by their SKU.
    FindListings {
        /// Under which lease.
        token: String,
        /// The gid of the managed location.
        location: String,
        /// The SKUs.
        skus: Vec<String>,
    },
    /// Listings whose level is to be read.
    ReadLevels {
        /// Under which lease.
        token: String,
        /// The gid of the managed location.
        location: String,
        /// The listings.
        listings: Vec<Listing>,
    },
    /// Orders to be fetched, by Shopify's ids.
    FetchOrders {
        /// Under which lease.
        token: String,
        /// The ids.
        orders: Vec<i64>,
    },
    /// A page of the orders that changed since an instant.
    ListOrders {
        /// Under which lease.
        token: String,
        /// The instant, RFC 3339.
        since: String,
        /// Where the page before ended.
        after: Option<String>,
    },
    /// Products to be fetched, by Shopify's ids.
    FetchProducts {
        /// Under which lease.
        token: String,
        /// The ids.
        products: Vec<i64>,
    },
    /// Nothing.
    None {
        /// In how many ms something becomes due, where that is soon.
        wait_ms: Option<u32>,
        /// Whether another worker has the store now.
        lost: bool,
    },
}

/// A listing, and what Shopify calls what is counted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Our id.
    pub listing_id: i64,
    /// Shopify's.
    pub inventory_item_id: i64,
}

impl Work {
    /// What it is called on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Push { .. } => "push",
            Work::FindListings { .. } => "find_listings",
            Work::ReadLevels { .. } => "read_levels",
            Work::FetchOrders { .. } => "fetch_orders",
            Work::ListOrders { .. } => "list_orders",
            Work::FetchProducts { .. } => "fetch_products",
            Work::None { .. } => "none",
        }
    }

    /// Under which lease it was given.
    pub fn token(&self) -> &str {
        match self {
            Work::Push { token, .. }
            | Work::FindListings { token, .. }
            | Work::ReadLevels { token, .. }
            | Work::FetchOrders { token, .. }
            | Work::ListOrders { token, .. }
            | Work::FetchProducts { token, .. } => token,
            Work::None { .. } => "",
        }
    }
}

impl Answer for Work {
    fn read(json: Json<'_>) -> Option<Work> {
        let text = |name| Some(json.field(name)?.string()?.into_owned());
        let token = || text("token");
        let list = |name| json.field(name)?.items();
        let ids = |name| list(name)?.map(integer).collect::<Option<Vec<_>>>();
        let skus = || list("skus")?.map(|sku| Some(sku.string()?.into_owned())).collect::<Option<Vec<_>>>();
        Some(match &*text("work")? {
            "push" => Work::Push { token: token()?, variables: text("variables")? },
            "find_listings" => {
                Work::FindListings { token: token()?, location: text("location")?, skus: skus()? }
            }
            "read_levels" => {
                let listings = list("listings")?.map(listing).collect::<Option<Vec<_>>>()?;
                Work::ReadLevels { token: token()?, location: text("location")?, listings }
            }
            "fetch_orders" => Work::FetchOrders { token: token()?, orders: ids("orders")? },
            "list_orders" => {
                Work::ListOrders { token: token()?, since: text("since")?, after: text("after") }
            }
            "fetch_products" => Work::FetchProducts { token: token()?, products: ids("products")? },
            "none" => Work::None {
                wait_ms: json.field("wait_ms").and_then(integer).and_then(|ms| ms.try_into().ok()),
                lost: is_true(json.field("lost")),
            },
            _ => return None,
        })
    }
}

fn listing(json: Json<'_>) -> Option<Listing> {
    let [listing_id, inventory_item_id] = json.fields(["listing_id", "inventory_item_id"])?;
    Some(Listing { listing_id: integer(listing_id?)?, inventory_item_id: integer(inventory_item_id?)? })
}

/// What became of a piece of work: the `result` of the RPC `finish_work`.
#[derive(Debug, PartialEq)]
pub struct Report {
    /// What it was.
    pub work: &'static str,
    /// Under which lease it was given.
    pub token: String,
    /// How often Shopify was called for it.
    pub calls: u32,
    /// What that cost, in points.
    pub cost: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a piece of work.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Shopify took the push.
    Pushed {
        /// When, by Shopify's clock, RFC 3339.
        at: String,
    },
    /// The variants of the SKUs that were asked for.
    Found(Vec<Variant>),
    /// The levels.
    Levels {
        /// When they were read, by Shopify's clock, RFC 3339.
        read_at: String,
        /// Of each listing that was asked for.
        levels: Vec<Level>,
    },
    /// The orders.
    Orders(Vec<Fetched>),
    /// Orders that changed.
    Listed {
        /// A page of them.
        orders: Vec<Changed>,
        /// Where the next page begins.
        after: Option<String>,
    },
    /// The products that there are.
    Products(Vec<Product>),
    /// Nothing happened: too much was asked in too short a time.
    Throttled {
        /// When it may be asked again.
        after_ms: u32,
    },
    /// Nobody knows whether it happened.
    Failed {
        /// Why, for a person.
        reason: String,
        /// When it may be asked again, where Shopify says so.
        after_ms: Option<u32>,
    },
    /// Shopify does not let us in: a person must look at it.
    Stopped {
        /// Why, for a person.
        reason: String,
    },
    /// Shopify took nothing of the push.
    Rejected(Vec<UserError>),
    /// The push is being done under the same key at this moment.
    Concurrent,
    /// The key is used up by an attempt that failed.
    Void,
    /// Nobody can know what became of the push.
    Uncertain {
        /// Why, for a person.
        reason: String,
    },
}

/// A variant with a SKU that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// The SKU, as it was asked for.
    pub sku: String,
    /// Shopify's id of what is counted.
    pub inventory_item_id: i64,
    /// Shopify's id of the variant.
    pub variant_id: i64,
    /// Whether Shopify counts it.
    pub tracked: bool,
    /// How many can be sold at the managed location; none where it is not stocked there.
    pub available: Option<i64>,
}

/// What Shopify shows of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// Our id.
    pub listing_id: i64,
    /// How many can be sold; none where it is not counted there.
    pub available: Option<i64>,
    /// How many were set aside by hand.
    pub set_aside: i64,
}

/// An order that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// Shopify's id.
    pub id: i64,
    /// What it says; none where there is no such order, or it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// A digest of what was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_digest: Option<String>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An order that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Shopify's id.
    pub id: i64,
    /// When, RFC 3339.
    pub updated_at: String,
}

/// What Shopify says against a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserError {
    /// Against which change; none where it is against all.
    pub index: Option<usize>,
    /// The code; empty where it has none.
    pub code: String,
    /// The same for a person.
    pub message: String,
}

impl Outcome {
    /// What it is called on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Pushed { .. }
            | Outcome::Found(_)
            | Outcome::Levels { .. }
            | Outcome::Orders(_)
            | Outcome::Listed { .. }
            | Outcome::Products(_) => "done",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Failed { .. } => "failed",
            Outcome::Stopped { .. } => "stopped",
            Outcome::Rejected(_) => "rejected",
            Outcome::Concurrent => "concurrent",
            Outcome::Void => "void",
            Outcome::Uncertain { .. } => "uncertain",
        }
    }
}

/// By hand, since `serde` would bring its buffers for flattened and tagged values along.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("work", self.work)?;
        map.serialize_entry("token", &self.token)?;
        map.serialize_entry("calls", &self.calls)?;
        map.serialize_entry("cost", &self.cost)?;
        map.serialize_entry("outcome", self.outcome.name())?;
        match &self.outcome {
            Outcome::Pushed { at } => map.serialize_entry("at", at)?,
            Outcome::Found(found) => map.serialize_entry("found", found)?,
            Outcome::Levels { read_at, levels } => {
                map.serialize_entry("read_at", read_at)?;
                map.serialize_entry("levels", levels)?;
            }
            Outcome::Orders(orders) => map.serialize_entry("orders", orders)?,
            Outcome::Listed { orders, after } => {
                map.serialize_entry("orders", orders)?;
                map.serialize_entry("after", after)?;
            }
            Outcome::Products(products) => map.serialize_entry("products", products)?,
            Outcome::Throttled { after_ms } => map.serialize_entry("after_ms", after_ms)?,
            Outcome::Failed { reason, after_ms } => {
                map.serialize_entry("reason", reason)?;
                map.serialize_entry("after_ms", after_ms)?;
            }
            Outcome::Stopped { reason } | Outcome::Uncertain { reason } => {
                map.serialize_entry("reason", reason)?;
            }
            Outcome::Rejected(errors) => map.serialize_entry("errors", errors)?,
            Outcome::Concurrent | Outcome::Void => {}
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;
    use serde_json::{Value, json};

    fn read(value: Value) -> Option<Work> {
        let text = value.to_string();
        Work::read(Document::parse(&text).unwrap().root())
    }

    #[test]
    fn each_kind_of_work_is_read() {
        let token = "6f9c".to_owned();
        let location = "gid://shopify/Location/71".to_owned();
        let variables = r#"{"key":"a","input":{"changes":[]}}"#.to_owned();
        for (value, expected) in [
            (
                json!({"work": "push", "token": "6f9c", "key": "a", "variables": variables}),
                Work::Push { token: token.clone(), variables },
            ),
            (
                json!({"work": "find_listings", "token": "6f9c", "location": location, "skus": ["A", "B\"1"]}),
                Work::FindListings {
                    token: token.clone(),
                    location: location.clone(),
                    skus: vec!["A".into(), "B\"1".into()],
                },
            ),
            (
                json!({"work": "read_levels", "token": "6f9c", "location": location,
                    "listings": [{"listing_id": 1, "inventory_item_id": 9_007_199_254_740_993_i64}]}),
                Work::ReadLevels {
                    token: token.clone(),
                    location,
                    listings: vec![Listing { listing_id: 1, inventory_item_id: 9_007_199_254_740_993 }],
                },
            ),
            (
                json!({"work": "fetch_orders", "token": "6f9c", "orders": [9_007_199_254_740_993_i64]}),
                Work::FetchOrders { token: token.clone(), orders: vec![9_007_199_254_740_993] },
            ),
            (
                json!({"work": "list_orders", "token": "6f9c", "since": "2026-01-01T00:00:00Z", "after": null}),
                Work::ListOrders { token: token.clone(), since: "2026-01-01T00:00:00Z".into(), after: None },
            ),
            (
                json!({"work": "fetch_products", "token": "6f9c", "products": [8]}),
                Work::FetchProducts { token, products: vec![8] },
            ),
            (json!({"work": "none", "wait_ms": 1200}), Work::None { wait_ms: Some(1200), lost: false }),
            (json!({"work": "none", "wait_ms": null}), Work::None { wait_ms: None, lost: false }),
            (json!({"work": "none", "lost": true}), Work::None { wait_ms: None, lost: true }),
        ] {
            let found = read(value.clone());
            assert_eq!(found.as_ref(), Some(&expected), "{value}");
            assert_eq!(
                (json!(expected.name()), expected.token()),
                (value["work"].clone(), value["token"].as_str().unwrap_or_default())
            );
        }
    }

    #[test]
    fn what_is_no_work_is_not_taken_for_some() {
        for value in [
            json!(null),
            json!({}),
            json!({"work": "dance"}),
            json!({"work": "push", "token": "a"}),
            json!({"work": "push", "variables": "{}"}),
            json!({"work": "fetch_orders", "token": "a", "orders": ["x"]}),
            json!({"work": "read_levels", "token": "a", "location": "l", "listings": [{"listing_id": 1}]}),
        ] {
            assert_eq!(read(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn a_report_is_written_as_the_database_reads_it() {
        let report = |outcome| {
            let report = Report { work: "push", token: "t".into(), calls: 1, cost: 12, outcome };
            serde_json::to_value(report).unwrap()
        };
        for (outcome, expected) in [
            (
                Outcome::Pushed { at: "2026-01-01T00:00:00.000Z".into() },
                json!({"outcome": "done", "at": "2026-01-01T00:00:00.000Z"}),
            ),
            (
                Outcome::Found(vec![Variant {
                    sku: "A".into(),
                    inventory_item_id: 1,
                    variant_id: 2,
                    tracked: true,
                    available: None,
                }]),
                json!({"outcome": "done", "found": [{"sku": "A", "inventory_item_id": 1, "variant_id": 2, "tracked": true, "available": null}]}),
            ),
            (
                Outcome::Levels {
                    read_at: "t".into(),
                    levels: vec![Level { listing_id: 1, available: Some(-3), set_aside: 2 }],
                },
                json!({"outcome": "done", "read_at": "t", "levels": [{"listing_id": 1, "available": -3, "set_aside": 2}]}),
            ),
            (
                Outcome::Orders(vec![
                    Fetched { id: 2, content: None, body_digest: None, reason: Some("why".into()) },
                    Fetched { id: 3, content: None, body_digest: None, reason: None },
                ]),
                json!({"outcome": "done", "orders": [{"id": 2, "reason": "why"}, {"id": 3}]}),
            ),
            (
                Outcome::Listed { orders: vec![Changed { id: 1, updated_at: "t".into() }], after: None },
                json!({"outcome": "done", "orders": [{"id": 1, "updated_at": "t"}], "after": null}),
            ),
            (Outcome::Products(Vec::new()), json!({"outcome": "done", "products": []})),
            (Outcome::Throttled { after_ms: 5 }, json!({"outcome": "throttled", "after_ms": 5})),
            (
                Outcome::Failed { reason: "r".into(), after_ms: None },
                json!({"outcome": "failed", "reason": "r", "after_ms": null}),
            ),
            (Outcome::Stopped { reason: "r".into() }, json!({"outcome": "stopped", "reason": "r"})),
            (
                Outcome::Rejected(vec![UserError { index: Some(3), code: "C".into(), message: "m".into() }]),
                json!({"outcome": "rejected", "errors": [{"index": 3, "code": "C", "message": "m"}]}),
            ),
            (Outcome::Concurrent, json!({"outcome": "concurrent"})),
            (Outcome::Void, json!({"outcome": "void"})),
            (Outcome::Uncertain { reason: "r".into() }, json!({"outcome": "uncertain", "reason": "r"})),
        ] {
            let mut whole = json!({"work": "push", "token": "t", "calls": 1, "cost": 12});
            whole.as_object_mut().unwrap().extend(expected.as_object().unwrap().clone());
            assert_eq!(report(outcome), whole);
        }
    }
}
