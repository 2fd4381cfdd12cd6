//! An order as the database takes it, whatever shape it arrived in.
//!
//! [`shopify::normalise`] makes one of a Shopify body, [`partner::read`] of what a partner sends. Not here: what
//! becomes of it (tasks, stock); that is decided in the transaction that writes it.

mod answers;
pub mod date;
mod flags;
mod kind;
pub mod partner;
pub mod shopify;

pub(crate) use flags::{Flags, SHORT};
pub(crate) use kind::kind;

use serde::Serialize;

/// An order in normal form: what the `ingest` RPC is given of one.
///
/// Amounts are decimal strings as Shopify wrote them, instants RFC 3339 as Shopify wrote them: Postgres
/// reads both exactly, so nothing is rounded on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Shopify's number of the order; above 2^53 in practice, so never a float.
    pub shopify_order_id: i64,
    /// `gid://shopify/Order/<id>`: what an order is deduplicated on, for ever.
    pub shopify_order_gid: String,
    /// The digits that people read (`order_number`, or the first digit run of `name`).
    pub number: i64,
    /// Never empty: "Customer" where Shopify gives no name.
    pub customer_name: String,
    /// `YYYY-MM-DD`; none where absent, unreadable or impossible, and then flagged.
    pub due_date: Option<String>,
    /// What the customer was told beside the date, as written ("10:00 AM and 12:00 PM").
    pub delivery_window: Option<String>,
    /// How the order leaves the bakery.
    pub delivery_method: DeliveryMethod,
    /// The order's note, as the customer or the shop wrote it, then the delivery instructions.
    pub notes: Option<String>,
    /// ISO 4217, upper case.
    pub currency: String,
    /// The order's total, a decimal.
    pub total_amount: String,
    /// Sold over the counter: moves stock and money and makes no task.
    pub pos: bool,
    /// Placed in Shopify's test mode.
    pub test: bool,
    /// When it was placed, RFC 3339.
    pub placed_at: String,
    /// The version of this body: an older one never wins.
    pub updated_at: String,
    /// When it was cancelled in Shopify, RFC 3339.
    pub cancelled_at: Option<String>,
    /// Shopify's word for why, lower case (`customer`, `inventory`, …).
    pub cancel_reason: Option<String>,
    /// The host of its status page, lower case: evidence of the store in the signed body.
    pub shop_host: Option<String>,
    /// Shopify's id of the place where it was sold over the counter.
    pub location_id: Option<i64>,
    /// What a person should look at; sorted, each once.
    pub flags: Vec<Flag>,
    /// Every line of the order, in its order, also those that nothing is made for.
    pub lines: Vec<Line>,
    /// What was refunded of them, as far as the body knows.
    pub refund_lines: Vec<RefundLine>,
}

/// How an order leaves the bakery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DeliveryMethod {
    /// The customer comes for it.
    Pickup,
    /// It is brought to an address.
    Delivery,
}

/// What could not be understood, taken all the same and shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The body names no due date.
    NoDueDate,
    /// The body names a due date that is none: unreadable, impossible, or with the wrong weekday.
    BadDueDate,
    /// A text or a list was longer than is kept, and was cut.
    Truncated,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Shopify's id of the line: with the unit it identifies a task for ever.
    pub line_id: i64,
    /// Product id at Shopify; none for custom lines.
    pub product_id: Option<i64>,
    /// Variant id at Shopify.
    pub variant_id: Option<i64>,
    /// Stock keeping unit, trimmed; none when blank.
    pub sku: Option<String>,
    /// The product's title.
    pub title: String,
    /// The variant's title; "Default Title" is none.
    pub variant_title: Option<String>,
    /// What the title says it is: a guess, which a product's own row overrules.
    pub kind: Kind,
    /// Units bought, as the body says: it keeps what was refunded.
    pub quantity: i32,
    /// Units that the order still has after edits and refunds, by Shopify's count (`current_quantity`, else
    /// the quantity). What is wanted of them the database knows, which knows every refund.
    pub current: i32,
    /// Whether Shopify reports all of it as handed over.
    pub fulfilled: bool,
    /// Price of one unit, a decimal.
    pub price: String,
    /// Size of the cake, from the variant; none for what is ignored.
    pub size: Option<String>,
    /// Flavour of the cake, from the variant, else from a property; none for what is ignored.
    pub flavour: Option<String>,
    /// What is written on the cake, several texts joined with ` / `; none for what is ignored.
    pub cake_writing: Option<String>,
    /// The properties that people filled in, blank and technical ones left out.
    pub properties: Vec<Property>,
}

/// What a line is, for the kitchen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Made in the kitchen: one task for each unit.
    Cake,
    /// Sold beside cakes: candle, balloon, topper.
    Accessory,
    /// Nothing to make and nothing to count: gift cards, tips, shipping protection.
    Ignored,
    /// Not understood: kept, for somebody to classify.
    Unknown,
}

/// A line property: a question of the product page and the customer's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Property {
    /// The question.
    pub name: String,
    /// The answer, as text, whatever JSON it was.
    pub value: String,
}

/// Units of a line that were refunded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundLine {
    /// Shopify's id of the refund line: what it is known by, wherever it is delivered.
    pub refund_line_id: i64,
    /// The line that it takes from.
    pub line_id: i64,
    /// How many units.
    pub quantity: i32,
    /// What became of the stock: `no_restock`, `cancel`, `return` or `legacy_restock`; another word as Shopify
    /// wrote it, lower case.
    pub restock_type: String,
    /// Where it was put back.
    pub location_id: Option<i64>,
    /// When it was refunded, RFC 3339.
    pub refunded_at: String,
}
