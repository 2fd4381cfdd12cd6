//! An order as the database takes it, whatever shape it arrived in.
//!
//! [`shopify::normalise`] makes one of a Shopify REST body. Not here: what becomes of it (tasks, stock);
//! that is decided in the transaction that writes it.

pub mod date;
pub mod shopify;

use serde::Serialize;

/// An order in normal form: the argument of the `ingest_order` RPC.
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
    /// Shopify's word for why (`customer`, `inventory`, …).
    pub cancel_reason: Option<String>,
    /// What a person should look at; sorted, each once.
    pub flags: Vec<Flag>,
    /// Every line of the order, in its order, also those that nothing is made for.
    pub lines: Vec<Line>,
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
    /// A line is neither cake nor accessory nor known to be ignored: someone must classify the product.
    UnknownProduct,
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
    /// Units still wanted: `min(current_quantity, quantity - refunded)`, never below zero; zero when the
    /// order is cancelled.
    pub wanted: i32,
    /// Price of one unit, a decimal.
    pub price: String,
    /// Size of the cake, from the variant; none for what is no cake.
    pub size: Option<String>,
    /// Flavour of the cake, from the variant, else from a property; none for what is no cake.
    pub flavour: Option<String>,
    /// What is written on the cake, several texts joined with ` / `; none for what is no cake.
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
    /// Not understood: flagged, never dropped.
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
