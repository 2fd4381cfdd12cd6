//! The order in a Shopify body: REST's form, as webhooks carry it, or GraphQL's, as it is fetched.
//!
//! One function, [`normalise`], pure: the same order always makes the same [`Order`], whichever form it comes
//! in. What makes the body unusable is refused ([`FieldError`]); what only a person can judge is taken and
//! flagged ([`Flag`]). Not here: signatures, and what the database makes of the order.

use self::body::{LineBody, OrderBody, Person, RefundBody, RefundLineBody};
use super::answers::{properties, wishes};
use super::date::{self, BadDate};
use super::flags::{Flags, NOTES, SHORT, find, has, same};
use super::kind::kind;
use super::{DeliveryMethod, Flag, Kind, Line, Order, RefundLine};
use crate::body::{
    FieldError, Pairing, Pairs, Part as _, Raw, decimal, document, filled, host, id, instant, integer,
    is_true, misshapen, needed_id, needed_instant, quantity, required, trim,
};

pub(crate) mod body;

/// The most lines that an order may have: a body with more is a mistake, and costs a transaction as large.
const MAX_LINES: usize = 1_000;
/// The most refund lines, for the same reason.
const MAX_REFUND_LINES: usize = 5_000;

/// Reads the order in a body: REST's or GraphQL's, bare or as GraphQL answers it (`{data: {order: …}}`).
///
/// Lines keep the body's order, and each is kept. Texts and lists longer than is stored are cut and flagged.
///
/// # Errors
///
/// [`FieldError`] when the body is not JSON, or lacks what an order cannot be kept without: ids, number,
/// instants, amounts and quantities. Sending the same body again cannot help.
pub fn normalise(body: &[u8]) -> Result<Order, FieldError> {
    let document = document(body)?;
    let root = document.root();
    let root = match root.either([["data", "order"]]) {
        Some([Some(inner)]) => inner.field("order").unwrap_or(inner),
        _ => root,
    };
    let body = OrderBody::read(root);
    order(&body.map_err(|part| misshapen(part, "the shape of an order"))?)
}

fn order(body: &OrderBody<'_>) -> Result<Order, FieldError> {
    let mut flags = Flags::default();
    let attributes = Pairs::filled(body.note_attributes.as_ref());
    let shopify_order_id = needed_id("id", body.id, "Order")?;
    let (due_date, delivery_window) = due(body, &attributes, &mut flags);
    Ok(Order {
        shopify_order_id,
        shopify_order_gid: checked_gid(shopify_order_id, body.admin_graphql_api_id)?,
        number: number(body)?,
        customer_name: customer(body, &mut flags),
        due_date,
        delivery_window,
        delivery_method: delivery_method(body, &attributes),
        notes: notes(body.note, &attributes, &mut flags),
        currency: currency(body.currency)?,
        total_amount: decimal("total_price", body.total_price.or(body.current_total_price))?,
        pos: filled(body.source_name).is_some_and(|source| same(&source, "pos")),
        test: is_true(body.test),
        placed_at: needed_instant("created_at", body.created_at)?,
        updated_at: needed_instant("updated_at", body.updated_at)?,
        cancelled_at: instant("cancelled_at", body.cancelled_at)?,
        // GraphQL writes it in capitals.
        cancel_reason: flags.text(body.cancel_reason, SHORT).map(|word| word.to_ascii_lowercase()),
        shop_host: host(body.order_status_url),
        location_id: id("location_id", body.location_id, "Location")?,
        lines: lines(body, &mut flags)?,
        refund_lines: refund_lines(body.refunds.as_deref().unwrap_or_default(), &mut flags)?,
        flags: flags.0,
    })
}

/// What GraphQL calls an order.
pub(crate) fn gid(order: i64) -> String {
    format!("gid://shopify/Order/{order}")
}

/// The gid of the order, which the body must not contradict: known by both, it would be two orders.
fn checked_gid(order: i64, stated: Raw<'_>) -> Result<String, FieldError> {
    let gid = gid(order);
    match filled(stated) {
        Some(stated) if stated != gid => Err(FieldError::new("admin_graphql_api_id", "the gid of the id")),
        _ => Ok(gid),
    }
}

fn number(body: &OrderBody<'_>) -> Result<i64, FieldError> {
    let from_name = || {
        let name = filled(body.name)?;
        let digits = name.split(|c: char| !c.is_ascii_digit()).find(|run| !run.is_empty())?;
        digits.parse().ok()
    };
    let found = body.order_number.and_then(integer).filter(|number| *number > 0).or_else(from_name);
    found
        .filter(|number| *number > 0)
        .ok_or_else(|| FieldError::new("order_number", "a positive integer, here or in name"))
}

/// Who receives it, else who bought it.
fn customer(body: &OrderBody<'_>, flags: &mut Flags) -> String {
    let name =
        body.shipping_address.as_ref().and_then(name).or_else(|| body.customer.as_ref().and_then(name));
    flags.keep(name.as_deref().unwrap_or("Customer"), SHORT)
}

fn name(person: &Person<'_>) -> Option<String> {
    let whole = filled(person.name).map(|name| trim(&name).to_owned());
    whole.filter(|name| !is_contact(name)).or_else(|| {
        let halves = [person.first_name, person.last_name].map(|half| filled(half).unwrap_or_default());
        let whole = halves.each_ref().map(|half| trim(half)).join(" ");
        Some(trim(&whole).to_owned()).filter(|name| !name.is_empty())
    })
}

/// Whether it is an e-mail address or a telephone number, which GraphQL displays where there is no name.
fn is_contact(name: &str) -> bool {
    name.contains('@')
        || name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b' ' | b'(' | b')' | b'-'))
}

/// The due date as `YYYY-MM-DD`, and the window told beside it.
fn due(
    body: &OrderBody<'_>,
    attributes: &[Pairing<'_>],
    flags: &mut Flags,
) -> (Option<String>, Option<String>) {
    let stated = attributes.iter().find(|(name, _)| name == "Local Delivery Date and Time").or_else(|| {
        let older = |name: &str| ["delivery date", "pickup date"].iter().any(|n| same(name, n));
        attributes.iter().find(|(name, _)| older(name))
    });
    let between = " between ";
    let (found, window) = match stated {
        None => (tagged_date(body.tags), ""),
        Some((_, value)) => match find(value, between).and_then(|at| value.split_at_checked(at)) {
            Some((day, rest)) => {
                (Some(date::parse(trim(day))), rest.strip_prefix(between).unwrap_or_default())
            }
            None => {
                let (day, time) = date::parse_with_time(trim(value));
                (Some(day), time)
            }
        },
    };
    let window = trim(window);
    match found {
        None => flags.raise(Flag::NoDueDate),
        Some(Err(_)) => flags.raise(Flag::BadDueDate),
        Some(Ok(_)) => {}
    }
    let window = (!window.is_empty()).then(|| flags.keep(window, SHORT));
    (found.and_then(Result::ok).map(|date| date.to_string()), window)
}

/// The first tag that has the form of a date; other tags are not dates, hence not bad ones.
fn tagged_date(tags: Raw<'_>) -> Option<Result<date::Date, BadDate>> {
    let dated = |tags: &str| {
        let mut tags = tags.split(',').map(|tag| date::parse_with_weekday(trim(tag)));
        tags.find(|tag| *tag != Err(BadDate::Unreadable))
    };
    // REST writes them as one text, GraphQL as a list.
    match tags?.items() {
        Some(mut tags) => tags.find_map(|tag| dated(&tag.text())),
        None => dated(&tags?.text()),
    }
}

fn delivery_method(body: &OrderBody<'_>, attributes: &[Pairing<'_>]) -> DeliveryMethod {
    let stated =
        attributes.iter().filter(|(name, _)| same(name, "delivery method")).find_map(|(_, value)| {
            let value = value.to_ascii_lowercase();
            if ["pickup", "pick up", "pick-up"].iter().any(|word| has(&value, word)) {
                Some(DeliveryMethod::Pickup)
            } else {
                has(&value, "delivery").then_some(DeliveryMethod::Delivery)
            }
        });
    stated.unwrap_or(match body.shipping_address {
        Some(_) => DeliveryMethod::Delivery,
        None => DeliveryMethod::Pickup,
    })
}

fn notes(note: Raw<'_>, attributes: &[Pairing<'_>], flags: &mut Flags) -> Option<String> {
    let mut notes = filled(note).map(|note| trim(&note).to_owned()).unwrap_or_default();
    for (_, value) in attributes.iter().filter(|(name, _)| same(name, "delivery instructions")) {
        notes.push_str(if notes.is_empty() { "" } else { "\n" });
        notes.push_str("Delivery instructions: ");
        notes.push_str(trim(value));
    }
    (!notes.is_empty()).then(|| flags.keep(&notes, NOTES))
}

fn currency(raw: Raw<'_>) -> Result<String, FieldError> {
    let Some(code) = filled(raw) else { return Ok("AUD".to_owned()) };
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(code.to_ascii_uppercase())
    } else {
        Err(FieldError::new("currency", "three letters"))
    }
}

fn lines(body: &OrderBody<'_>, flags: &mut Flags) -> Result<Vec<Line>, FieldError> {
    // An absent list is not an empty one: read so, it would withdraw every cake of the order.
    let lines = body.line_items.as_deref().ok_or_else(|| FieldError::new("line_items", "a list"))?;
    if lines.len() > MAX_LINES {
        return Err(FieldError::new("line_items", "at most 1000 lines"));
    }
    let mut ids = Vec::with_capacity(lines.len());
    let mut read = Vec::with_capacity(lines.len());
    for (index, body) in lines.iter().enumerate() {
        let line = line(body, flags).map_err(|error| error.of_item("line_items", index))?;
        match ids.binary_search(&line.line_id) {
            Ok(_) => return Err(FieldError::new("id", "each id once").of_item("line_items", index)),
            Err(place) => ids.insert(place, line.line_id),
        }
        read.push(line);
    }
    Ok(read)
}

fn line(body: &LineBody<'_>, flags: &mut Flags) -> Result<Line, FieldError> {
    let bought = quantity("quantity", body.quantity)?;
    let title = flags.text(body.title, SHORT).or_else(|| flags.text(body.name, SHORT));
    let title = title.unwrap_or_else(|| "Untitled".to_owned());
    let variant = || body.variant_id?.field("title");
    let variant_title =
        flags.text(body.variant_title.or_else(variant), SHORT).filter(|title| title != "Default Title");
    let properties = properties(body.properties.as_ref(), flags);
    let kind = if is_true(body.gift_card) || bought == 0 { Kind::Ignored } else { kind(&title) };
    let wishes = match kind {
        Kind::Ignored => Default::default(),
        // Whatever it is called: its product may be found to be a cake later.
        _ => wishes(variant_title.as_deref(), &properties, flags),
    };
    Ok(Line {
        line_id: needed_id("id", body.id, "LineItem")?,
        product_id: id("product_id", body.product_id, "Product")?,
        variant_id: id("variant_id", body.variant_id, "ProductVariant")?,
        sku: flags.text(body.sku, SHORT),
        title,
        variant_title,
        kind,
        quantity: bought,
        current: match body.current_quantity {
            None => bought,
            stated => quantity("current_quantity", stated)?,
        },
        fulfilled: filled(body.fulfillment_status).is_some_and(|status| same(&status, "fulfilled")),
        price: decimal("price", body.price)?,
        size: wishes.size,
        flavour: wishes.flavour,
        cake_writing: wishes.writing,
        properties,
    })
}

/// The refund lines of all refunds, one after the other.
pub(crate) fn refund_lines(
    refunds: &[RefundBody<'_>],
    flags: &mut Flags,
) -> Result<Vec<RefundLine>, FieldError> {
    let mut read = Vec::new();
    for (index, body) in refunds.iter().enumerate() {
        refund(body, &mut read, flags).map_err(|error| error.of_item("refunds", index))?;
    }
    if read.len() > MAX_REFUND_LINES {
        return Err(FieldError::new("refunds", "at most 5000 refund lines"));
    }
    Ok(read)
}

fn refund(body: &RefundBody<'_>, read: &mut Vec<RefundLine>, flags: &mut Flags) -> Result<(), FieldError> {
    let at = instant("processed_at", body.processed_at.or(body.created_at))?;
    for (index, line) in body.refund_line_items.iter().flatten().enumerate() {
        let line = refund_line(line, at.as_deref(), flags);
        read.push(line.map_err(|error| error.of_item("refund_line_items", index))?);
    }
    Ok(())
}

fn refund_line(
    body: &RefundLineBody<'_>,
    at: Option<&str>,
    flags: &mut Flags,
) -> Result<RefundLine, FieldError> {
    Ok(RefundLine {
        refund_line_id: needed_id("id", body.id, "RefundLineItem")?,
        line_id: needed_id("line_item_id", body.line_item_id, "LineItem")?,
        quantity: quantity("quantity", body.quantity)?,
        // Where nothing is said of the stock, none came back.
        restock_type: match flags.text(body.restock_type, 32) {
            Some(word) => word.to_ascii_lowercase(),
            None => "no_restock".to_owned(),
        },
        location_id: id("location_id", body.location_id, "Location")?,
        refunded_at: required("processed_at of the refund", at)?.to_owned(),
    })
}

#[cfg(test)]
mod tests;
