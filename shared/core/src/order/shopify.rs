//! The order in a Shopify REST body, as `orders/create`, `orders/updated` and `orders/cancelled` carry it.
//!
//! One function, [`normalise`], pure: the same bytes always make the same [`Order`]. What makes the body
//! unusable is refused ([`NotAnOrder`]); what only a person can judge is taken and flagged ([`Flag`]).
//! Not here: signatures, the GraphQL shape, and what the database makes of the order.

use self::body::{
    LineBody, OrderBody, Pair, Pairing, Part as _, Raw, decimal, filled, id, instant, integer, is_true,
    pairs, quantity, required, trim,
};
use super::date::{self, BadDate};
use super::{DeliveryMethod, Flag, Kind, Line, Order, Property};
use crate::json::{Document, NotJson};
use std::fmt;

mod body;

/// The most lines that an order may have: a body with more is a mistake, and costs a transaction as large.
const MAX_LINES: usize = 1_000;
/// The most properties that are kept of a line.
const MAX_PROPERTIES: usize = 100;
/// How many characters are kept of names and titles, of what a customer answers, and of notes.
const SHORT: usize = 255;
const LONG: usize = 2_000;
const NOTES: usize = 5_000;

/// Reads the order in a webhook's body.
///
/// Lines keep the body's order, and each is kept. Texts and lists longer than is stored are cut and flagged.
///
/// # Errors
///
/// [`NotAnOrder`] when the body is not JSON, or lacks what an order cannot be kept without: ids, number,
/// instants, amounts and quantities. Sending the same body again cannot help.
pub fn normalise(body: &[u8]) -> Result<Order, NotAnOrder> {
    let text = std::str::from_utf8(body).map_err(|_| NotAnOrder::new("the body", "UTF-8"))?;
    let document = Document::parse(text).map_err(|NotJson(read)| NotAnOrder::there(text, read, "JSON"))?;
    let body = OrderBody::read(document.root());
    order(&body.map_err(|part| NotAnOrder::there(text, part.end(), "the shape of an order"))?)
}

/// Why a body is not an order: which field, and what was expected there.
///
/// It never quotes the body, which holds personal data: it may be logged and stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnOrder {
    at: String,
    expected: &'static str,
}

impl NotAnOrder {
    fn new(at: &str, expected: &'static str) -> NotAnOrder {
        NotAnOrder { at: at.to_owned(), expected }
    }

    /// Of what is wrong where so much of the body is read.
    fn there(body: &str, read: usize, expected: &'static str) -> NotAnOrder {
        let before = body.as_bytes().get(..read).unwrap_or_default();
        let (line, column) = before.iter().fold((1, 0), |(line, column), byte| match byte {
            b'\n' => (line + 1, 0),
            _ => (line, column + 1),
        });
        NotAnOrder { at: format!("line {line}, column {column}"), expected }
    }

    fn of_line(self, index: usize) -> NotAnOrder {
        NotAnOrder { at: format!("line_items[{index}].{}", self.at), ..self }
    }
}

impl fmt::Display for NotAnOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.at, self.expected)
    }
}

impl std::error::Error for NotAnOrder {}

fn order(body: &OrderBody<'_>) -> Result<Order, NotAnOrder> {
    let mut flags = Flags::default();
    let attributes = pairs(body.note_attributes.as_deref());
    let shopify_order_id = required("id", id("id", body.id)?)?;
    let cancelled_at = instant("cancelled_at", body.cancelled_at)?;
    let (due_date, delivery_window) = due(body, &attributes, &mut flags);
    Ok(Order {
        shopify_order_id,
        shopify_order_gid: gid(shopify_order_id, body.admin_graphql_api_id)?,
        number: number(body)?,
        customer_name: customer(body, &mut flags),
        due_date,
        delivery_window,
        delivery_method: delivery_method(body, &attributes),
        notes: notes(body.note, &attributes, &mut flags),
        currency: currency(body.currency)?,
        total_amount: decimal("total_price", body.total_price)?,
        pos: filled(body.source_name).is_some_and(|source| source == "pos"),
        test: is_true(body.test),
        placed_at: required("created_at", instant("created_at", body.created_at)?)?,
        updated_at: required("updated_at", instant("updated_at", body.updated_at)?)?,
        cancel_reason: flags.text(body.cancel_reason, SHORT),
        lines: lines(body, cancelled_at.is_some(), &mut flags)?,
        cancelled_at,
        flags: flags.0,
    })
}

fn gid(order: i64, stated: Raw<'_>) -> Result<String, NotAnOrder> {
    let gid = format!("gid://shopify/Order/{order}");
    // An order is known by either for ever: were they to differ, it would be two orders.
    match filled(stated) {
        Some(stated) if stated != gid => Err(NotAnOrder::new("admin_graphql_api_id", "the gid of the id")),
        _ => Ok(gid),
    }
}

fn number(body: &OrderBody<'_>) -> Result<i64, NotAnOrder> {
    let from_name = || {
        let name = filled(body.name)?;
        let digits = name.split(|c: char| !c.is_ascii_digit()).find(|run| !run.is_empty())?;
        digits.parse().ok()
    };
    let found = body.order_number.and_then(integer).filter(|number| *number > 0).or_else(from_name);
    found
        .filter(|number| *number > 0)
        .ok_or_else(|| NotAnOrder::new("order_number", "a positive integer, here or in name"))
}

fn customer(body: &OrderBody<'_>, flags: &mut Flags) -> String {
    let customer = body.customer.as_ref();
    let recipient = body.shipping_address.as_ref().and_then(|address| filled(address.name));
    let named = || customer.and_then(|customer| filled(customer.name));
    match recipient.or_else(named) {
        Some(name) => flags.keep(trim(&name), SHORT),
        None => {
            let [first, last] = [
                customer.and_then(|customer| filled(customer.first_name)),
                customer.and_then(|customer| filled(customer.last_name)),
            ]
            .map(Option::unwrap_or_default);
            let whole = [trim(&first), trim(&last)].join(" ");
            let whole = trim(&whole);
            flags.keep(if whole.is_empty() { "Customer" } else { whole }, SHORT)
        }
    }
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
    let (found, window) = match stated {
        Some((_, value)) => {
            let between = " between ";
            let (day, rest) =
                value.split_at_checked(find(value, between).unwrap_or(value.len())).unwrap_or_default();
            (Some(date::parse(trim(day))), trim(rest.strip_prefix(between).unwrap_or_default()))
        }
        None => (tagged_date(body.tags), ""),
    };
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
    let tags = filled(tags)?;
    tags.split(',')
        .map(|tag| date::parse_with_weekday(trim(tag)))
        .find(|tag| *tag != Err(BadDate::Unreadable))
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

fn currency(raw: Raw<'_>) -> Result<String, NotAnOrder> {
    let Some(code) = filled(raw) else { return Ok("AUD".to_owned()) };
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        Ok(code.to_ascii_uppercase())
    } else {
        Err(NotAnOrder::new("currency", "three letters"))
    }
}

fn lines(body: &OrderBody<'_>, cancelled: bool, flags: &mut Flags) -> Result<Vec<Line>, NotAnOrder> {
    // An absent list is not an empty one: read so, it would withdraw every cake of the order.
    let lines = body.line_items.as_deref().ok_or_else(|| NotAnOrder::new("line_items", "a list"))?;
    if lines.len() > MAX_LINES {
        return Err(NotAnOrder::new("line_items", "at most 1000 lines"));
    }
    let mut refunded = Refunded::default();
    for (index, line) in lines.iter().enumerate() {
        let id = id("id", line.id).and_then(|id| required("id", id)).map_err(|error| error.of_line(index))?;
        if !refunded.add(id) {
            return Err(NotAnOrder::new("id", "each id once").of_line(index));
        }
    }
    let refunds = body.refunds.iter().flatten();
    for refund in refunds.flat_map(|refund| refund.refund_line_items.iter().flatten()) {
        let line = id("refunds[].refund_line_items[].line_item_id", refund.line_item_id)?;
        let units = quantity("refunds[].refund_line_items[].quantity", refund.quantity)?;
        if let Some(sum) = line.and_then(|line| refunded.of(line)) {
            *sum = units.saturating_add(*sum);
        }
    }
    let mut read = Vec::with_capacity(lines.len());
    for (index, body) in lines.iter().enumerate() {
        read.push(line(body, cancelled, &mut refunded, flags).map_err(|error| error.of_line(index))?);
    }
    Ok(read)
}

/// The units refunded of each line, sorted by the line's id.
#[derive(Default)]
struct Refunded(Vec<(i64, i32)>);

impl Refunded {
    fn find(&self, line: i64) -> Result<usize, usize> {
        self.0.binary_search_by_key(&line, |(id, _)| *id)
    }

    /// Takes a line with nothing refunded; false where it is there already.
    fn add(&mut self, line: i64) -> bool {
        self.find(line).map_err(|place| self.0.insert(place, (line, 0))).is_err()
    }

    fn of(&mut self, line: i64) -> Option<&mut i32> {
        let place = self.find(line).ok()?;
        self.0.get_mut(place).map(|(_, units)| units)
    }
}

fn line(
    body: &LineBody<'_>,
    cancelled: bool,
    refunded: &mut Refunded,
    flags: &mut Flags,
) -> Result<Line, NotAnOrder> {
    let line_id = required("id", id("id", body.id)?)?;
    let bought = quantity("quantity", body.quantity)?;
    let current = match body.current_quantity {
        None => bought,
        stated => quantity("current_quantity", stated)?,
    };
    let left = bought - refunded.of(line_id).map_or(0, |units| *units);
    let title = flags.text(body.title, SHORT).or_else(|| flags.text(body.name, SHORT));
    let title = title.unwrap_or_else(|| "Untitled".to_owned());
    let variant_title = flags.text(body.variant_title, SHORT).filter(|title| title != "Default Title");
    let properties = properties(body.properties.as_deref(), flags);
    let kind = if is_true(body.gift_card) || bought == 0 { Kind::Ignored } else { kind(&title) };
    if kind == Kind::Unknown {
        flags.raise(Flag::UnknownProduct);
    }
    let cake = match kind {
        Kind::Cake => cake(variant_title.as_deref(), &properties, flags),
        _ => Cake::default(),
    };
    Ok(Line {
        line_id,
        product_id: id("product_id", body.product_id)?,
        variant_id: id("variant_id", body.variant_id)?,
        sku: flags.text(body.sku, SHORT),
        title,
        variant_title,
        kind,
        quantity: bought,
        wanted: if cancelled { 0 } else { left.min(current).max(0) },
        price: decimal("price", body.price)?,
        size: cake.size,
        flavour: cake.flavour,
        cake_writing: cake.writing,
        properties,
    })
}

fn properties(all: Option<&[Pair<'_>]>, flags: &mut Flags) -> Vec<Property> {
    let technical = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with('_')
            || ["_origin", "_raw", "gwp", "_localdeliveryid"].iter().any(|part| has(&name, part))
    };
    let mut filled_in = pairs(all);
    filled_in.retain(|(name, _)| !technical(name));
    if filled_in.len() > MAX_PROPERTIES {
        filled_in.truncate(MAX_PROPERTIES);
        flags.raise(Flag::Truncated);
    }
    let mut property = |(name, value): &Pairing<'_>| Property {
        name: flags.keep(name, SHORT),
        value: flags.keep(value, LONG),
    };
    filled_in.iter().map(&mut property).collect()
}

/// What a title says that a line is.
fn kind(title: &str) -> Kind {
    let title = title.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| has(&title, word));
    if ["tip", "tips", "gratuity"].contains(&title.as_str())
        || any(&["gift card", "shipping protection", "route protection"])
    {
        Kind::Ignored
    } else if any(&["candle", "balloon", "topper"]) {
        Kind::Accessory
    } else if names_cake(&title) && !names_decoration(&title) {
        Kind::Cake
    } else {
        Kind::Unknown
    }
}

/// Whether there is a cake beside the cupcakes, which the kitchen makes otherwise.
fn names_cake(title: &str) -> bool {
    let mut rest = title;
    while let Some((before, after)) = find(rest, "cake").and_then(|at| rest.split_at_checked(at)) {
        let word = before.trim_end_matches([' ', '-']).rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        if word != Some("cup") {
            return true;
        }
        rest = after.strip_prefix("cake").unwrap_or_default();
    }
    false
}

/// Whether a word of it is a decoration or a pick, which is stuck into a cake ("pick up" is not one).
fn names_decoration(title: &str) -> bool {
    let mut words =
        title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let found = match word {
            "decoration" | "decorations" | "picks" => true,
            "pick" => words.peek() != Some(&"up"),
            _ => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// What only a cake has.
#[derive(Default)]
struct Cake {
    size: Option<String>,
    flavour: Option<String>,
    writing: Option<String>,
}

fn cake(variant: Option<&str>, properties: &[Property], flags: &mut Flags) -> Cake {
    let answers = |question: &'static str| {
        let asked = move |property: &&Property| has(&property.name.to_ascii_lowercase(), question);
        properties.iter().filter(asked).map(|property| trim(&property.value))
    };
    let (size, flavour) =
        variant.map(|title| title.split_once('/').unwrap_or((title, ""))).unwrap_or_default();
    let flavour = Some(trim(flavour)).filter(|flavour| !flavour.is_empty());
    let writing = answers("writing").collect::<Vec<_>>().join(" / ");
    Cake {
        size: Some(trim(size)).filter(|size| !size.is_empty()).map(str::to_owned),
        flavour: flavour
            .or_else(|| answers("gelato flavour").next())
            .map(|flavour| flags.keep(flavour, SHORT)),
        writing: (!writing.is_empty()).then(|| flags.keep(&writing, LONG)),
    }
}

/// The flags raised so far, sorted and each once.
#[derive(Default)]
struct Flags(Vec<Flag>);

impl Flags {
    fn raise(&mut self, flag: Flag) {
        if let Err(place) = self.0.binary_search(&flag) {
            self.0.insert(place, flag);
        }
    }

    /// The first `most` characters; without U+0000, which Postgres cannot hold.
    fn keep(&mut self, text: &str, most: usize) -> String {
        // Nearly every text, and copied as a whole: characters are at least as many bytes.
        if text.len() <= most && !text.contains('\0') {
            return text.to_owned();
        }
        let mut rest = text.chars().filter(|c| *c != '\0');
        let kept = rest.by_ref().take(most).collect();
        if rest.next().is_some() {
            self.raise(Flag::Truncated);
        }
        kept
    }

    /// The same of a field, trimmed; none when blank.
    fn text(&mut self, raw: Raw<'_>, most: usize) -> Option<String> {
        filled(raw).map(|text| self.keep(trim(&text), most))
    }
}

fn has(text: &str, word: &str) -> bool {
    find(text, word).is_some()
}

/// Where a word begins. (The standard search prepares for long texts: here that costs more than it saves.)
fn find(text: &str, word: &str) -> Option<usize> {
    let word = word.as_bytes();
    text.as_bytes().windows(word.len()).position(|part| part.first() == word.first() && part == word)
}

fn same(name: &str, lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower)
}

#[cfg(test)]
mod tests;
