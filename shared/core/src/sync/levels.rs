//! The levels that Shopify shows of listings.

use serde::Serialize;

use super::work::{Level, Listing, Outcome};
use super::{Document, Next, Request, Unreadable, document, gid};
use crate::body::{integer, is_true, needed_id};
use crate::json::Json;

const READ: Document = document!("ReadLevels");

/// Levels that were asked for.
#[derive(Debug)]
pub struct Levels {
    listings: Vec<Listing>,
}

#[derive(Serialize)]
struct Variables<'a> {
    items: Vec<String>,
    location: &'a str,
}

impl Levels {
    pub(super) fn new(listings: Vec<Listing>) -> Levels {
        Levels { listings }
    }

    pub(super) fn request(&self, location: &str) -> Request {
        let item = |listing: &Listing| gid("InventoryItem", listing.inventory_item_id);
        let items: Vec<_> = self.listings.iter().map(item).collect();
        // The item, its level and five numbers.
        Request::with(&READ, 7 * items.len(), &Variables { items, location })
    }

    pub(super) fn take(&self, data: Json<'_>, at: &str) -> Result<Next, Unreadable> {
        let nodes = data.field("nodes").and_then(Json::items).ok_or(Unreadable("levels without nodes"))?;
        let mut read = Vec::new();
        for node in nodes.filter_map(Json::present) {
            let item = needed_id("id", node.field("id"), "InventoryItem");
            let item = item.map_err(|_| Unreadable("a level without an item"))?;
            let numbers = if is_true(node.field("tracked")) { numbers(node)? } else { None };
            read.push((item, numbers));
        }
        let level = |listing: &Listing| {
            let numbers = read.iter().find(|(item, _)| *item == listing.inventory_item_id);
            let numbers = numbers.and_then(|(_, numbers)| *numbers);
            let (available, set_aside) = numbers.map_or((None, 0), |(sold, aside)| (Some(sold), aside));
            Level { listing_id: listing.listing_id, available, set_aside }
        };
        let levels = self.listings.iter().map(level).collect();
        Ok(Next::Done(Outcome::Levels { read_at: at.to_owned(), levels }))
    }
}

/// What can be sold of an item at the location, and what was set aside there; none where it is not stocked there.
pub(super) fn numbers(item: Json<'_>) -> Result<Option<(i64, i64)>, Unreadable> {
    let Some(level) = item.field("inventoryLevel") else { return Ok(None) };
    let quantities = level.field("quantities").and_then(Json::items);
    let (mut available, mut set_aside) = (None, 0);
    for quantity in quantities.ok_or(Unreadable("a level without numbers"))? {
        let number =
            quantity.field("quantity").and_then(integer).ok_or(Unreadable("a level that is none"))?;
        match quantity.field("name").and_then(Json::string).as_deref() {
            Some("available") => available = Some(number),
            _ => set_aside += number,
        }
    }
    Ok(Some((available.ok_or(Unreadable("a level without what can be sold"))?, set_aside)))
}
