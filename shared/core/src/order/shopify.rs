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
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A small valid body with some of its fields replaced.
    fn body(changes: Value) -> Value {
        let mut body = json!({
            "id": 5001, "order_number": 1001, "total_price": "85.00", "line_items": [line_body(json!({}))],
            "created_at": "2025-12-01T09:00:00+11:00", "updated_at": "2025-12-01T09:00:05+11:00",
        });
        replace(&mut body, changes);
        body
    }

    fn line_body(changes: Value) -> Value {
        let mut line = json!({"id": 7001, "title": "Rainbow Cake", "quantity": 1, "price": "85.00"});
        replace(&mut line, changes);
        line
    }

    fn replace(body: &mut Value, changes: Value) {
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
    }

    fn read(changes: Value) -> Order {
        normalise(body(changes).to_string().as_bytes()).unwrap()
    }

    fn read_line(changes: Value) -> Line {
        read(json!({"line_items": [line_body(changes)]})).lines.remove(0)
    }

    fn attributes(pairs: &[(&str, &str)]) -> Value {
        pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
    }

    #[track_caller]
    fn refused(body: &str, expected: &str) {
        assert_eq!(normalise(body.as_bytes()).unwrap_err().to_string(), expected, "{body}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_quoted() {
        let gid = "gid://shopify/Order/5002";
        for (changes, expected) in [
            (json!({"id": null}), "id: expected a value"),
            (json!({"id": 0}), "id: expected a positive 64-bit integer"),
            (json!({"id": -1}), "id: expected a positive 64-bit integer"),
            (json!({"id": 1.5}), "id: expected a positive 64-bit integer"),
            (json!({"id": "+7"}), "id: expected a positive 64-bit integer"),
            (json!({"id": "Ada"}), "id: expected a positive 64-bit integer"),
            (json!({"id": u64::MAX}), "id: expected a positive 64-bit integer"),
            (json!({"admin_graphql_api_id": gid}), "admin_graphql_api_id: expected the gid of the id"),
            (json!({"order_number": null}), "order_number: expected a positive integer, here or in name"),
            (
                json!({"order_number": 0, "name": "#B-0"}),
                "order_number: expected a positive integer, here or in name",
            ),
            (json!({"created_at": null}), "created_at: expected a value"),
            (json!({"updated_at": null}), "updated_at: expected a value"),
            (json!({"updated_at": "Ada"}), "updated_at: expected an RFC 3339 instant"),
            (json!({"cancelled_at": ""}), "cancelled_at: expected an RFC 3339 instant"),
            (json!({"currency": "dollars"}), "currency: expected three letters"),
            (
                json!({"total_price": "8,50"}),
                "total_price: expected a decimal of at most 10 digits and 6 after the point",
            ),
            (json!({"line_items": null}), "line_items: expected a list"),
            (
                json!({"line_items": vec![line_body(json!({})); 1001]}),
                "line_items: expected at most 1000 lines",
            ),
            (
                json!({"line_items": [line_body(json!({})), line_body(json!({}))]}),
                "line_items[1].id: expected each id once",
            ),
            (
                json!({"refunds": [{"refund_line_items": [{"line_item_id": 7001, "quantity": -1}]}]}),
                "refunds[].refund_line_items[].quantity: expected a 32-bit integer that is not negative",
            ),
        ] {
            refused(&body(changes).to_string(), expected);
        }
        for (changes, expected) in [
            (json!({"id": null}), "line_items[0].id: expected a value"),
            (json!({"product_id": "x"}), "line_items[0].product_id: expected a positive 64-bit integer"),
            (
                json!({"quantity": null}),
                "line_items[0].quantity: expected a 32-bit integer that is not negative",
            ),
            (
                json!({"quantity": 1u64 << 31}),
                "line_items[0].quantity: expected a 32-bit integer that is not negative",
            ),
            (
                json!({"current_quantity": "many"}),
                "line_items[0].current_quantity: expected a 32-bit integer that is not negative",
            ),
            (
                json!({"price": null}),
                "line_items[0].price: expected a decimal of at most 10 digits and 6 after the point",
            ),
        ] {
            refused(&body(json!({"line_items": [line_body(changes)]})).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_order_says_where() {
        refused("", "line 1, column 0: expected JSON");
        refused("{\"id\": 1,\n oops}", "line 2, column 2: expected JSON");
        refused("\"Ada\"", "line 1, column 5: expected the shape of an order");
        refused("{}", "id: expected a value");
        refused("{\"customer\": \"Ada\"}", "line 1, column 18: expected the shape of an order");
        let not_text = normalise(b"{\"note\": \"\xff\"}").unwrap_err();
        assert_eq!(not_text.to_string(), "the body: expected UTF-8");
    }

    #[test]
    fn ids_are_whole_numbers_however_large() {
        let order = read(json!({"id": "9007199254740993", "admin_graphql_api_id": ""}));
        assert_eq!(order.shopify_order_id, 9_007_199_254_740_993);
        assert_eq!(order.shopify_order_gid, "gid://shopify/Order/9007199254740993");
        assert_eq!(read(json!({"id": i64::MAX})).shopify_order_id, i64::MAX);
    }

    #[test]
    fn the_number_is_what_people_read() {
        for (changes, expected) in [
            (json!({"order_number": 25771, "name": "#B1"}), 25771),
            (json!({"order_number": "25771"}), 25771),
            (json!({"order_number": null, "name": "#B25771-A2"}), 25771),
            (json!({"order_number": -5, "name": "F00042"}), 42),
        ] {
            assert_eq!(read(changes.clone()).number, expected, "{changes}");
        }
    }

    #[test]
    fn the_customer_is_whoever_receives_it() {
        let named = json!({"name": " Mim Quill ", "first_name": "Other"});
        let halves = json!({"first_name": " Mim", "last_name": "Quill "});
        for (shipping, customer, expected) in [
            (named.clone(), halves.clone(), "Mim Quill"),
            (json!({"name": " "}), named, "Mim Quill"),
            (json!(null), halves, "Mim Quill"),
            (json!(null), json!({"first_name": null, "last_name": "Quill"}), "Quill"),
            (json!({}), json!({"first_name": " ", "last_name": ""}), "Customer"),
            (json!(null), json!(null), "Customer"),
            (json!(null), json!({"first_name": "\0"}), "Customer"),
        ] {
            let changes = json!({"shipping_address": shipping, "customer": customer});
            assert_eq!(read(changes.clone()).customer_name, expected, "{changes}");
        }
    }

    #[test]
    fn the_due_date_comes_from_the_attribute_else_from_older_names_else_from_a_tag() {
        let app = "Local Delivery Date and Time";
        for (pairs, tags, date, window, flag) in [
            (
                vec![(app, "08/12/2025 between 10:00 AM and 12:00 PM")],
                "",
                Some("2025-12-08"),
                Some("10:00 AM and 12:00 PM"),
                None,
            ),
            (vec![(app, "Mon 8 Dec 2025")], "", Some("2025-12-08"), None, None),
            (vec![(app, "Mon 8 Dec 2025 between ")], "", Some("2025-12-08"), None, None),
            (
                vec![(app, "Tue 8 Dec 2025 between 9 and 10")],
                "",
                None,
                Some("9 and 10"),
                Some(Flag::BadDueDate),
            ),
            (vec![(app, "12/25/2025")], "", None, None, Some(Flag::BadDueDate)),
            (
                vec![("Delivery Date", "1/1/2026"), (app, "soon")],
                "Fri 14 Nov 2025",
                None,
                None,
                Some(Flag::BadDueDate),
            ),
            (vec![(app, " "), ("PICKUP date", "2025-12-08")], "", Some("2025-12-08"), None, None),
            (vec![("local delivery date and time", "8/12/2025")], "", None, None, Some(Flag::NoDueDate)),
            (vec![], "vip, Fri 14 Nov 2025,Sat 15 Nov 2025", Some("2025-11-14"), None, None),
            (vec![], "2025-11-14, 14/11/2025, Mon special order now", None, None, Some(Flag::NoDueDate)),
            (vec![], "Sat 14 Nov 2025", None, None, Some(Flag::BadDueDate)),
            (vec![], "", None, None, Some(Flag::NoDueDate)),
        ] {
            let order = read(json!({"note_attributes": attributes(&pairs), "tags": tags}));
            let found = (order.due_date.as_deref(), order.delivery_window.as_deref(), order.flags);
            assert_eq!(found, (date, window, Vec::from_iter(flag)), "{pairs:?} {tags}");
        }
    }

    #[test]
    fn the_delivery_method_is_what_was_chosen_else_what_the_address_suggests() {
        use DeliveryMethod::{Delivery, Pickup};
        for (stated, address, expected) in [
            ("Local Delivery", false, Delivery),
            ("Store Pick Up", true, Pickup),
            ("PICKUP", true, Pickup),
            ("pick-up instead of delivery", true, Pickup),
            ("drone", true, Delivery),
            ("", true, Delivery),
            ("", false, Pickup),
        ] {
            let address = if address { json!({}) } else { json!(null) };
            let attributes = attributes(&[("DELIVERY method", stated)]);
            let order = read(json!({"note_attributes": attributes, "shipping_address": address}));
            assert_eq!(order.delivery_method, expected, "{stated:?}");
        }
    }

    #[test]
    fn notes_end_with_the_delivery_instructions() {
        for (note, instructions, expected) in [
            (json!(" Ring twice\n"), "", Some("Ring twice")),
            (json!("Ring"), "Side gate ", Some("Ring\nDelivery instructions: Side gate")),
            (json!(null), "Side gate", Some("Delivery instructions: Side gate")),
            (json!(" \n"), " ", None),
        ] {
            let attributes = attributes(&[("Delivery Instructions", instructions)]);
            let order = read(json!({"note": note, "note_attributes": attributes}));
            assert_eq!(order.notes.as_deref(), expected, "{note} {instructions}");
        }
    }

    #[test]
    fn a_title_says_what_a_line_is() {
        for (titles, expected) in [
            (["Buttercup Cake", "CHEESECAKE", "Cake & 6 Cupcakes", "Dill Pickle Cake"], Kind::Cake),
            (["Cake (pick up only)", "Pick-up cake", "Pancake stack", "Kuchen (cake)"], Kind::Cake),
            (["Gold Candle", "Balloons", "Cake Topper", "Birthday cake candles"], Kind::Accessory),
            (["Tip", "GRATUITY", "Cake Gift Card", "Route Protection"], Kind::Ignored),
            (["Cupcakes", "Cup Cakes", "mini cup-cakes", "Box of cookies"], Kind::Unknown),
            (["Cake decorations", "Cake picks", "Star cake pick", "Tip top tart"], Kind::Unknown),
        ] {
            for title in titles {
                assert_eq!(kind(title), expected, "{title}");
            }
        }
        assert_eq!(read_line(json!({"gift_card": true})).kind, Kind::Ignored);
        assert_eq!(read_line(json!({"title": "Mystery", "quantity": 0})).kind, Kind::Ignored);
        assert_eq!(read_line(json!({"title": " ", "name": "Named Cake"})).title, "Named Cake");
        let unknown = read(json!({"line_items": [line_body(json!({"title": null}))]}));
        assert_eq!(unknown.lines[0].title, "Untitled");
        assert_eq!(unknown.flags, [Flag::NoDueDate, Flag::UnknownProduct]);
    }

    #[test]
    fn size_and_flavour_come_from_the_variant() {
        let gelato =
            attributes(&[("Choose your Gelato Flavour", " Pistachio "), ("Gelato flavour 2", "Fig")]);
        for (variant, properties, size, flavour) in [
            (json!("Medium Tall / Vanilla"), json!([]), Some("Medium Tall"), Some("Vanilla")),
            (json!("Small/Vanilla / Rose"), json!([]), Some("Small"), Some("Vanilla / Rose")),
            (json!("Gift Size"), json!([]), Some("Gift Size"), None),
            (json!("Large /"), gelato.clone(), Some("Large"), Some("Pistachio")),
            (json!("/ Lemon"), gelato.clone(), None, Some("Lemon")),
            (json!("Default Title"), gelato, None, Some("Pistachio")),
            (json!(null), json!(null), None, None),
        ] {
            let line = read_line(json!({"variant_title": variant, "properties": properties}));
            assert_eq!((line.size.as_deref(), line.flavour.as_deref()), (size, flavour), "{variant}");
        }
        let candle = json!({"title": "Candle", "variant_title": "Gold / 6", "properties": [
            {"name": "Writing", "value": "Six"}]});
        let candle = read_line(candle);
        assert_eq!((candle.size, candle.flavour, candle.cake_writing), (None, None, None));
        assert_eq!(candle.variant_title.as_deref(), Some("Gold / 6"));
        assert_eq!(read_line(json!({"variant_title": "Default Title"})).variant_title, None);
    }

    #[test]
    fn properties_are_what_people_filled_in() {
        let line = read_line(json!({"properties": [
            {"name": "Cake Writing", "value": "Happy 6th\n"},
            {"name": "Plaque writing", "value": " Mim "},
            {"name": "_writing", "value": "technical"},
            {"name": "photo_origin", "value": "x"},
            {"name": "photo_RAW", "value": "x"},
            {"name": "GWP", "value": "x"},
            {"name": "Blank", "value": " \u{0}"},
            {"name": "Null", "value": null},
            {"name": "Absent"},
            {"name": " ", "value": "nameless"},
            {"name": "Candles", "value": 6},
            {"name": "Gluten free", "value": false},
            {"name": "Colours", "value": ["pink, \" [x]\\", {"and": null}]},
        ]}));
        assert_eq!(line.cake_writing.as_deref(), Some("Happy 6th / Mim"));
        let found: Vec<_> = line.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
        assert_eq!(
            found,
            [
                ("Cake Writing", "Happy 6th\n"),
                ("Plaque writing", " Mim "),
                ("Candles", "6"),
                ("Gluten free", "false"),
                ("Colours", r#"["pink, \" [x]\\",{"and":null}]"#),
            ]
        );
    }

    #[test]
    fn wanted_is_what_was_neither_removed_nor_refunded() {
        let refund = |units: &[u32]| -> Value {
            units
                .iter()
                .map(|n| {
                    json!({"refund_line_items": [{"line_item_id": 7001, "quantity": n},
                                                      {"line_item_id": 9, "quantity": 9}]})
                })
                .collect()
        };
        for (quantity, current, refunds, cancelled, wanted) in [
            (3, json!(null), json!(null), false, 3),
            (3, json!(2), json!([]), false, 2),
            (3, json!(3), refund(&[1, 1]), false, 1),
            (3, json!(1), refund(&[1]), false, 1),
            (3, json!(0), json!([{}]), false, 0),
            (1, json!(5), refund(&[2]), false, 0),
            (1, json!(null), refund(&[2_147_483_647, 2_147_483_647]), false, 0),
            (1, json!(5), json!(null), false, 1),
            (0, json!(0), json!(null), false, 0),
            (3, json!(3), json!(null), true, 0),
        ] {
            let cancelled = if cancelled { json!("2025-12-02T09:00:00Z") } else { json!(null) };
            let line = line_body(json!({"quantity": quantity, "current_quantity": current}));
            let order = read(json!({"line_items": [line], "refunds": refunds, "cancelled_at": cancelled}));
            assert_eq!((order.lines[0].quantity, order.lines[0].wanted), (quantity, wanted));
        }
    }

    #[test]
    fn amounts_stay_as_they_were_written() {
        for (raw, expected) in [
            ("\"85.00\"", Some("85.00")),
            ("85.00", Some("85.00")),
            ("0", Some("0")),
            ("\"-4.5\"", Some("-4.5")),
            ("9999999999.99", Some("9999999999.99")),
            ("10000000000", None),
            ("1e3", None),
            ("\"1.\"", None),
            ("\".5\"", None),
            ("\"--1\"", None),
            ("\"\"", None),
            ("\"$5\"", None),
        ] {
            let text = body(json!({})).to_string().replacen("\"85.00\"", raw, 2);
            let found = normalise(text.as_bytes()).ok().map(|order| order.total_amount);
            assert_eq!(found.as_deref(), expected, "{raw}");
        }
        assert_eq!(read(json!({"currency": "nzd"})).currency, "NZD");
        assert_eq!(read(json!({"currency": " "})).currency, "AUD");
    }

    #[test]
    fn what_is_too_long_is_cut_on_a_character_and_flagged() {
        let long = "é".repeat(6_000);
        let many: Vec<Value> = (0..101).map(|n| json!({"name": format!("q{n}"), "value": "a"})).collect();
        let order = read(json!({
            "note": long, "customer": {"name": long},
            "line_items": [line_body(json!({"title": long, "properties": [{"name": long, "value": long}]})),
                           line_body(json!({"id": 2, "properties": many}))],
        }));
        assert_eq!(order.notes.unwrap().chars().count(), NOTES);
        assert_eq!(order.customer_name.chars().count(), SHORT);
        assert_eq!(order.lines[0].title.chars().count(), SHORT);
        assert_eq!(order.lines[0].properties[0].name.chars().count(), SHORT);
        assert_eq!(order.lines[0].properties[0].value.chars().count(), LONG);
        assert_eq!(order.lines[1].properties.len(), MAX_PROPERTIES);
        assert_eq!(order.flags, [Flag::NoDueDate, Flag::UnknownProduct, Flag::Truncated]);
        let fits = read(json!({"note": "é".repeat(NOTES)}));
        assert_eq!(fits.flags, [Flag::NoDueDate]);
    }

    #[test]
    fn no_text_holds_what_postgres_cannot() {
        let order = read(json!({"note": "\u{0} a\u{0}b \u{0}", "customer": {"name": "M\u{0}im"}}));
        assert_eq!((order.notes.as_deref(), order.customer_name.as_str()), (Some("ab"), "Mim"));
        let half = body(json!({"note": "HALF"})).to_string().replace("HALF", r"half \ud83c");
        assert_eq!(normalise(half.as_bytes()).unwrap().notes.as_deref(), Some(r"half \ud83c"));
    }
}
