//! Pages of connections. A cursor says what stood last on a page, so that what moves meanwhile is not repeated.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Error, OutputType, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The most that a page may hold.
const MOST: i32 = 250;

/// A page of nodes.
pub(super) type Page<T> = Connection<String, T, EmptyFields, EmptyFields>;

/// Which page is asked for.
pub(super) struct Arguments {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) reverse: bool,
}

/// Where a node stands among the others: by what they are sorted by, and by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) last_value: String,
    pub(super) last_id: i64,
}

impl Place {
    /// That of what is sorted by its id.
    pub(super) fn of(id: i64) -> Place {
        Place { last_value: String::new(), last_id: id }
    }
}

/// The page that is asked for.
pub(super) fn page<T: OutputType>(mut nodes: Vec<(Place, T)>, arguments: Arguments) -> Result<Page<T>> {
    let first = match arguments.first {
        Some(first @ 0..=MOST) => first as usize,
        Some(_) => return Err(Error::new(format!("expected first from 0 to {MOST}"))),
        None => return Err(Error::new("you must provide one of first or last")),
    };
    nodes.sort_by(|(a, _), (b, _)| if arguments.reverse { b.cmp(a) } else { a.cmp(b) });
    let after = arguments.after.as_deref().map(place).transpose()?;
    let behind = |place: &Place| match &after {
        Some(after) if arguments.reverse => place < after,
        Some(after) => place > after,
        None => true,
    };
    let start = nodes.iter().position(|(place, _)| behind(place)).unwrap_or(nodes.len());
    let end = nodes.len().min(start + first);
    let mut page = Page::new(start > 0, end < nodes.len());
    let here = nodes.into_iter().skip(start).take(first);
    page.edges = here.map(|(place, node)| Edge::new(cursor(&place), node)).collect();
    Ok(page)
}

fn cursor(place: &Place) -> String {
    // Text and a number always have a form in JSON.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

fn place(cursor: &str) -> Result<Place> {
    let json = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = json.and_then(|json| serde_json::from_slice(&json).ok());
    place.ok_or_else(|| Error::new(format!("expected a cursor of a page before, but found {cursor}")))
}
