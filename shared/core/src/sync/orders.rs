//! Orders as they are now, and which of them changed.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::work::{Changed, Fetched, Outcome};
use super::{Document, Next, Request, Unreadable, document, gid, next_page, nodes};
use crate::body::{instant, needed_id};
use crate::content::Content;
use crate::json::Json;
use crate::order::shopify::normalise;
use crate::rpc::hex;

const FETCH: Document = document!("FetchOrders");
const REFUND: Document = document!("FetchRefundLines");
const LIST: Document = document!("ListOrders");

/// How many refunds of an order are asked for, as the document says. They are no connection: what is beyond them cannot
/// be asked for, and an order that may have more is for a person.
const REFUNDS: usize = 20;

/// How often an order is read anew that changes while it is read.
const ATTEMPTS: usize = 3;

#[derive(Serialize)]
struct Of<'a> {
    id: String,
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct Since<'a> {
    search: String,
    after: Option<&'a str>,
}

/// A page of the orders that changed.
#[derive(Debug)]
pub struct List;

impl List {
    pub(super) fn request(since: &str, after: Option<&str>) -> Request {
        let search = format!("updated_at:>='{since}'");
        Request::with(&LIST, 252, &Since { search, after })
    }

    pub(super) fn take(data: Json<'_>) -> Result<Next, Unreadable> {
        let connection = data.field("orders").ok_or(Unreadable("a list without orders"))?;
        let changed = |node: Json<'_>| {
            Ok(Changed {
                id: needed_id("id", node.field("legacyResourceId"), "Order")?,
                updated_at: crate::body::needed_instant("updatedAt", node.field("updatedAt"))?,
            })
        };
        let orders: Result<_, crate::body::FieldError> = nodes(connection)?.map(changed).collect();
        let orders = orders.map_err(|_| Unreadable("a list of orders without ids or times"))?;
        Ok(Next::Done(Outcome::Listed { orders, after: next_page(connection)? }))
    }
}

/// Orders that are fetched, one after the other.
#[derive(Debug)]
pub struct Orders {
    /// Those that are not whole yet, the next one last.
    ids: Vec<i64>,
    /// What was read of the next one.
    parts: Option<Parts>,
    attempts: usize,
    fetched: Vec<Fetched>,
}

/// An order in parts: it is whole when nothing of it goes on.
#[derive(Debug)]
struct Parts {
    /// Its fields but for the lists, each as it was written.
    fields: String,
    updated_at: Option<String>,
    lines: Vec<String>,
    lines_after: Option<String>,
    refunds: Vec<Refund>,
}

#[derive(Debug)]
struct Refund {
    id: i64,
    fields: String,
    lines: Vec<String>,
    after: Option<String>,
}

impl Orders {
    pub(super) fn new(mut ids: Vec<i64>) -> Orders {
        ids.reverse();
        Orders { ids, parts: None, attempts: 0, fetched: Vec::new() }
    }

    /// What is to be asked next; none where all is whole.
    pub(super) fn request(&mut self) -> Option<Request> {
        let id = *self.ids.last()?;
        let refund =
            self.parts.as_ref().and_then(|parts| parts.refunds.iter().find(|refund| refund.after.is_some()));
        // Fifty lines with their price, product, variant and properties; twenty refunds with five lines each.
        let order = |after| Request::with(&FETCH, 700, &Of { id: gid("Order", id), after });
        Some(match (&self.parts, refund) {
            (Some(Parts { lines_after: Some(after), .. }), _) => order(Some(after)),
            (_, Some(refund)) => {
                let of = Of { id: gid("Refund", refund.id), after: refund.after.as_deref() };
                Request::with(&REFUND, 302, &of)
            }
            _ => order(None),
        })
    }

    pub(super) fn take(&mut self, data: Json<'_>) -> Result<Next, Unreadable> {
        let Some(id) = self.ids.last().copied() else { return Err(Unreadable("an answer to no question")) };
        match data.entries().and_then(|mut entries| entries.next()) {
            Some((name, order)) if name.raw() == "\"order\"" => match order.present() {
                Some(order) => self.page(id, order)?,
                None => self.done(Fetched { id, content: None, body_digest: None, reason: None }),
            },
            Some((_, refund)) => self.refund_page(refund)?,
            None => return Err(Unreadable("an answer without an order")),
        }
        Ok(match self.request() {
            Some(request) => Next::Ask(request),
            None => Next::Done(Outcome::Orders(std::mem::take(&mut self.fetched))),
        })
    }

    /// Takes a page of lines, the first one with all the rest.
    fn page(&mut self, id: i64, order: Json<'_>) -> Result<(), Unreadable> {
        let updated_at = instant("updatedAt", order.field("updatedAt")).ok().flatten();
        match &mut self.parts {
            Some(parts) if parts.updated_at == updated_at => {
                let lines = order.field("lineItems").ok_or(Unreadable("an order without lines"))?;
                parts.lines.extend(nodes(lines)?.map(|line| line.raw().to_owned()));
                parts.lines_after = next_page(lines)?;
            }
            Some(_) => {
                // It changed between two pages: lines of before and lines of after are no order.
                self.parts = None;
                self.attempts += 1;
                return match self.attempts {
                    ATTEMPTS => Err(Unreadable("an order that changes all the time")),
                    _ => Ok(()),
                };
            }
            None => self.parts = Some(Parts::first(order)?),
        }
        self.finish(id);
        Ok(())
    }

    fn refund_page(&mut self, refund: Json<'_>) -> Result<(), Unreadable> {
        let lines = refund.field("refundLineItems").ok_or(Unreadable("a refund without lines"))?;
        let parts = self.parts.as_mut().map(|parts| &mut parts.refunds);
        if let Some(refund) =
            parts.and_then(|refunds| refunds.iter_mut().find(|refund| refund.after.is_some()))
        {
            refund.lines.extend(nodes(lines)?.map(|line| line.raw().to_owned()));
            refund.after = next_page(lines)?;
        }
        if let Some(id) = self.ids.last() {
            self.finish(*id);
        }
        Ok(())
    }

    /// Puts the order into normal form where it is whole.
    fn finish(&mut self, id: i64) {
        let whole = |parts: &mut Parts| {
            parts.lines_after.is_none() && parts.refunds.iter().all(|refund| refund.after.is_none())
        };
        let Some(parts) = self.parts.take_if(whole) else { return };
        if parts.refunds.len() >= REFUNDS {
            let reason = format!("expected fewer than {REFUNDS} refunds, but found as many or more");
            return self.done(Fetched { id, content: None, body_digest: None, reason: Some(reason) });
        }
        let body = parts.body();
        self.done(match normalise(body.as_bytes()) {
            Ok(order) => Fetched {
                id,
                content: Some(Content::Order(Box::new(order))),
                body_digest: Some(hex(&Sha256::digest(body.as_bytes()))),
                reason: None,
            },
            Err(error) => Fetched { id, content: None, body_digest: None, reason: Some(error.to_string()) },
        });
    }

    fn done(&mut self, fetched: Fetched) {
        self.fetched.push(fetched);
        self.ids.pop();
        self.attempts = 0;
    }
}

impl Parts {
    fn first(order: Json<'_>) -> Result<Parts, Unreadable> {
        let lines = order.field("lineItems").ok_or(Unreadable("an order without lines"))?;
        let refunds =
            order.field("refunds").and_then(Json::items).ok_or(Unreadable("an order without refunds"))?;
        Ok(Parts {
            fields: fields(order, &["lineItems", "refunds"]),
            updated_at: instant("updatedAt", order.field("updatedAt")).ok().flatten(),
            lines: nodes(lines)?.map(|line| line.raw().to_owned()).collect(),
            lines_after: next_page(lines)?,
            refunds: refunds.map(Refund::first).collect::<Result<_, _>>()?,
        })
    }

    /// The order as one body, its lists whole.
    fn body(&self) -> String {
        let refunds = self.refunds.iter().map(Refund::body).collect::<Vec<_>>().join(",");
        let lines = self.lines.join(",");
        ["{", &self.fields, "\"lineItems\":[", &lines, "],\"refunds\":[", &refunds, "]}"].concat()
    }
}

impl Refund {
    fn first(refund: Json<'_>) -> Result<Refund, Unreadable> {
        let lines = refund.field("refundLineItems").ok_or(Unreadable("a refund without lines"))?;
        let id = needed_id("id", refund.field("id"), "Refund");
        Ok(Refund {
            id: id.map_err(|_| Unreadable("a refund without an id"))?,
            fields: fields(refund, &["refundLineItems"]),
            lines: nodes(lines)?.map(|line| line.raw().to_owned()).collect(),
            after: next_page(lines)?,
        })
    }

    fn body(&self) -> String {
        ["{", &self.fields, "\"refundLineItems\":[", &self.lines.join(","), "]}"].concat()
    }
}

/// The fields of an object but for some, each with a comma behind it.
fn fields(object: Json<'_>, but: &[&str]) -> String {
    let mut fields = String::new();
    for (key, value) in object.entries().into_iter().flatten() {
        if !but.contains(&&*key.text()) {
            fields.extend([key.raw(), ":", value.raw(), ","]);
        }
    }
    fields
}
