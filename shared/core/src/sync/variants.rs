//! The variants that have a SKU of ours.

use serde::Serialize;

use super::levels::numbers;
use super::work::{Outcome, Variant};
use super::{Document, Next, Request, Unreadable, document, next_page, nodes};
use crate::body::{is_true, needed_id, trim};
use crate::json::Json;

const FIND: Document = document!("FindVariants");

/// The most pages that are read: a search that finds more finds what only resembles the SKUs. Twice as many full ones cost
/// more than the smallest plan of Shopify's gives within a run, so that it would never end.
const MOST_PAGES: usize = 10;

/// A search for SKUs.
#[derive(Debug)]
pub struct Find {
    location: String,
    skus: Vec<String>,
    found: Vec<Variant>,
    pages: usize,
}

#[derive(Serialize)]
struct Variables<'a> {
    search: String,
    location: &'a str,
    after: Option<&'a str>,
}

impl Find {
    pub(super) fn new(location: String, skus: Vec<String>) -> Find {
        Find { location, skus, found: Vec::new(), pages: 0 }
    }

    pub(super) fn request(&self, after: Option<&str>) -> Request {
        let search = self.skus.iter().map(|sku| format!("sku:{}", quoted(sku))).collect::<Vec<_>>();
        let variables = Variables { search: search.join(" OR "), location: &self.location, after };
        // A hundred variants, each with its item, its level and a number.
        Request::with(&FIND, 402, &variables)
    }

    pub(super) fn take(&mut self, data: Json<'_>) -> Result<Next, Unreadable> {
        let connection = data.field("productVariants").ok_or(Unreadable("a search without variants"))?;
        for node in nodes(connection)? {
            // The search finds also what only begins so, or is written otherwise.
            let sku = node.field("sku").map(Json::text).unwrap_or_default();
            if let Some(sku) = self.skus.iter().find(|asked| *asked == trim(&sku)) {
                self.found.push(variant(sku.clone(), node)?);
            }
        }
        self.pages += 1;
        match next_page(connection)? {
            Some(_) if self.pages == MOST_PAGES => Err(Unreadable("a search without an end")),
            Some(after) => Ok(Next::Ask(self.request(Some(&after)))),
            None => Ok(Next::Done(Outcome::Found(std::mem::take(&mut self.found)))),
        }
    }
}

fn variant(sku: String, node: Json<'_>) -> Result<Variant, Unreadable> {
    let item = node.field("inventoryItem").ok_or(Unreadable("a variant without an item"))?;
    let id = |json: Json<'_>, kind| {
        needed_id("id", json.field("id"), kind).map_err(|_| Unreadable("a variant without its ids"))
    };
    Ok(Variant {
        sku,
        inventory_item_id: id(item, "InventoryItem")?,
        variant_id: id(node, "ProductVariant")?,
        tracked: is_true(item.field("tracked")),
        available: numbers(item)?.map(|(available, _)| available),
    })
}

/// A text as Shopify's search has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}
