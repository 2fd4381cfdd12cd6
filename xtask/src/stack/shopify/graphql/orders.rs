//! Orders in GraphQL's form, as they are now, read from the body that REST would send.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use jiff::Timestamp;
use serde_json::Value;

use super::catalogue::{Location, Product, ProductVariant};
use super::page::{Arguments, Page, Place, page};
use super::scalars::{CurrencyCode, DateTime, Decimal, UnsignedInt64, Url, legacy};
use super::{gid, shop};
use crate::stack::shopify::clock;
use crate::stack::shopify::shop::Shop;

/// What orders are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum OrderSortKeys {
    CreatedAt,
    Id,
    ProcessedAt,
    UpdatedAt,
}

impl OrderSortKeys {
    /// Where an order stands among the others.
    pub(super) fn place(self, order: &Value) -> Place {
        let last_value = match self {
            OrderSortKeys::CreatedAt => time(&order["created_at"]),
            OrderSortKeys::Id => None,
            OrderSortKeys::ProcessedAt => time(&order["processed_at"]),
            OrderSortKeys::UpdatedAt => time(&order["updated_at"]),
        };
        let last_value = last_value.map(|DateTime(at)| at).unwrap_or_default();
        Place { last_value, last_id: number(&order["id"]) }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn count(value: &Value) -> i32 {
    i32::try_from(number(value)).unwrap_or(i32::MAX)
}

fn time(value: &Value) -> Option<DateTime> {
    let at: Timestamp = value.as_str()?.parse().ok()?;
    Some(DateTime(clock::graphql(at)))
}

/// A time that no order is without.
fn needed_time(value: &Value) -> DateTime {
    time(value).unwrap_or_else(|| DateTime(clock::graphql(Timestamp::UNIX_EPOCH)))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Objects of a list with their places.
fn placed<T>(value: &Value, make: impl Fn(Value) -> T) -> Vec<(Place, T)> {
    // They stand in the order in which they were made, which their ids follow.
    items(value).map(|item| (Place::of(number(&item["id"])), make(item.clone()))).collect()
}

/// What REST calls note attributes, and properties of a line.
fn attributes(value: &Value) -> Vec<Attribute> {
    let attribute = |pair: &Value| Attribute {
        key: text(&pair["name"]).unwrap_or_default(),
        value: text(&pair["value"]),
    };
    items(value).map(attribute).collect()
}

pub(super) struct Order(pub(super) Value);

#[Object]
impl Order {
    pub(super) async fn id(&self) -> ID {
        gid("Order", number(&self.0["id"]))
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(number(&self.0["id"]))
    }

    async fn name(&self) -> String {
        text(&self.0["name"]).unwrap_or_default()
    }

    async fn number(&self) -> i32 {
        count(&self.0["order_number"])
    }

    async fn created_at(&self) -> DateTime {
        needed_time(&self.0["created_at"])
    }

    async fn processed_at(&self) -> DateTime {
        needed_time(&self.0["processed_at"])
    }

    async fn updated_at(&self) -> DateTime {
        needed_time(&self.0["updated_at"])
    }

    async fn cancelled_at(&self) -> Option<DateTime> {
        time(&self.0["cancelled_at"])
    }

    async fn cancel_reason(&self) -> Option<OrderCancelReason> {
        self.0["cancel_reason"].as_str().map(OrderCancelReason::of)
    }

    async fn currency_code(&self) -> CurrencyCode {
        CurrencyCode::of(&self.0["currency"])
    }

    async fn total_price_set(&self) -> MoneyBag {
        MoneyBag::of(&self.0["total_price_set"])
    }

    async fn current_total_price_set(&self) -> MoneyBag {
        MoneyBag::of(&self.0["current_total_price_set"])
    }

    async fn custom_attributes(&self) -> Vec<Attribute> {
        attributes(&self.0["note_attributes"])
    }

    async fn shipping_address(&self) -> Option<MailingAddress> {
        MailingAddress::of(&self.0["shipping_address"])
    }

    async fn customer(&self) -> Option<Customer> {
        Customer::of(&self.0["customer"])
    }

    async fn note(&self) -> Option<String> {
        text(&self.0["note"])
    }

    async fn tags(&self) -> Vec<String> {
        let tags = text(&self.0["tags"]).unwrap_or_default();
        tags.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect()
    }

    async fn source_name(&self) -> Option<String> {
        text(&self.0["source_name"])
    }

    async fn test(&self) -> bool {
        self.0["test"] == true
    }

    async fn status_page_url(&self) -> Url {
        Url(text(&self.0["order_status_url"]).unwrap_or_default())
    }

    async fn retail_location(&self, context: &Context<'_>) -> Result<Option<Location>> {
        shop(context, |shop, _| Location::of(shop, self.0["location_id"].as_i64()?))
    }

    async fn line_items(&self, first: Option<i32>, after: Option<String>) -> Result<Page<LineItem>> {
        page(placed(&self.0["line_items"], LineItem), Arguments { first, after, reverse: false })
    }

    async fn refunds(&self, first: Option<i32>) -> Vec<Refund> {
        let refund = |body: &Value| Refund { body: body.clone(), lines: self.0["line_items"].clone() };
        let most = first.map_or(usize::MAX, |first| usize::try_from(first).unwrap_or_default());
        items(&self.0["refunds"]).take(most).map(refund).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum OrderCancelReason {
    Customer,
    Declined,
    Fraud,
    Inventory,
    Staff,
    Other,
}

impl OrderCancelReason {
    fn of(word: &str) -> OrderCancelReason {
        match word {
            "customer" => OrderCancelReason::Customer,
            "declined" => OrderCancelReason::Declined,
            "fraud" => OrderCancelReason::Fraud,
            "inventory" => OrderCancelReason::Inventory,
            "staff" => OrderCancelReason::Staff,
            _ => OrderCancelReason::Other,
        }
    }
}

#[derive(SimpleObject)]
struct Attribute {
    key: String,
    value: Option<String>,
}

#[derive(SimpleObject)]
struct MoneyBag {
    presentment_money: MoneyV2,
    shop_money: MoneyV2,
}

#[derive(SimpleObject)]
struct MoneyV2 {
    amount: Decimal,
    currency_code: CurrencyCode,
}

impl MoneyBag {
    fn of(value: &Value) -> MoneyBag {
        let money = |value: &Value| {
            let amount = text(&value["amount"]).unwrap_or_else(|| "0".into());
            // GraphQL leaves out the zeros at the end, but one.
            let (whole, cents) = amount.split_once('.').unwrap_or((&amount, ""));
            let cents = cents.trim_end_matches('0');
            let amount = Decimal(format!("{whole}.{}", if cents.is_empty() { "0" } else { cents }));
            MoneyV2 { amount, currency_code: CurrencyCode::of(&value["currency_code"]) }
        };
        let [presentment_money, shop_money] =
            ["presentment_money", "shop_money"].map(|part| money(&value[part]));
        MoneyBag { presentment_money, shop_money }
    }
}

#[derive(SimpleObject)]
struct MailingAddress {
    first_name: Option<String>,
    last_name: Option<String>,
    name: Option<String>,
}

impl MailingAddress {
    fn of(value: &Value) -> Option<MailingAddress> {
        let [first_name, last_name, name] =
            ["first_name", "last_name", "name"].map(|part| text(&value[part]));
        value.is_object().then_some(MailingAddress { first_name, last_name, name })
    }
}

#[derive(SimpleObject)]
struct Customer {
    display_name: String,
    first_name: Option<String>,
    id: ID,
    last_name: Option<String>,
}

impl Customer {
    fn of(value: &Value) -> Option<Customer> {
        let [first_name, last_name, email] =
            ["first_name", "last_name", "email"].map(|part| text(&value[part]));
        let names: Vec<_> = [&first_name, &last_name].into_iter().flatten().cloned().collect();
        let display_name = if names.is_empty() { email.unwrap_or_default() } else { names.join(" ") };
        let id = gid("Customer", value["id"].as_i64()?);
        Some(Customer { display_name, first_name, id, last_name })
    }
}

struct LineItem(Value);

#[Object]
impl LineItem {
    async fn id(&self) -> ID {
        gid("LineItem", number(&self.0["id"]))
    }

    async fn title(&self) -> String {
        text(&self.0["title"]).unwrap_or_default()
    }

    async fn name(&self) -> String {
        text(&self.0["name"]).unwrap_or_default()
    }

    async fn variant_title(&self) -> Option<String> {
        text(&self.0["variant_title"])
    }

    async fn sku(&self) -> Option<String> {
        text(&self.0["sku"])
    }

    async fn quantity(&self) -> i32 {
        count(&self.0["quantity"])
    }

    async fn current_quantity(&self) -> i32 {
        count(&self.0["current_quantity"])
    }

    async fn fulfillment_status(&self) -> String {
        text(&self.0["fulfillment_status"]).unwrap_or_else(|| "unfulfilled".into())
    }

    async fn is_gift_card(&self) -> bool {
        self.0["gift_card"] == true
    }

    async fn original_unit_price_set(&self) -> MoneyBag {
        MoneyBag::of(&self.0["price_set"])
    }

    async fn product(&self, context: &Context<'_>) -> Result<Option<Product>> {
        shop(context, |shop, _| Product::of(shop, self.0["product_id"].as_i64()?))
    }

    async fn variant(&self, context: &Context<'_>) -> Result<Option<ProductVariant>> {
        let id = self.0["variant_id"].as_i64();
        let found = shop(context, |shop, _| {
            shop.variants.values().find(|variant| Some(variant.variant) == id).cloned()
        })?;
        Ok(found.map(ProductVariant))
    }

    async fn custom_attributes(&self) -> Vec<Attribute> {
        attributes(&self.0["properties"])
    }
}

/// A refund, with the lines of its order.
pub(super) struct Refund {
    body: Value,
    lines: Value,
}

impl Refund {
    pub(super) fn of(shop: &Shop, id: i64) -> Option<Refund> {
        let all =
            shop.orders.values().flat_map(|order| items(&order["refunds"]).map(move |body| (order, body)));
        let (order, body) = all.into_iter().find(|(_, body)| body["id"] == id)?;
        Some(Refund { body: body.clone(), lines: order["line_items"].clone() })
    }
}

#[Object]
impl Refund {
    async fn id(&self) -> ID {
        gid("Refund", number(&self.body["id"]))
    }

    async fn legacy_resource_id(&self) -> UnsignedInt64 {
        legacy(number(&self.body["id"]))
    }

    async fn created_at(&self) -> Option<DateTime> {
        time(&self.body["created_at"])
    }

    async fn processed_at(&self) -> DateTime {
        needed_time(&self.body["processed_at"])
    }

    async fn note(&self) -> Option<String> {
        text(&self.body["note"])
    }

    async fn refund_line_items(
        &self,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Page<RefundLineItem>> {
        let line = |body: Value| {
            let line = items(&self.lines).find(|line| line["id"] == body["line_item_id"]).cloned();
            RefundLineItem { body, line: line.unwrap_or_default() }
        };
        page(placed(&self.body["refund_line_items"], line), Arguments { first, after, reverse: false })
    }
}

struct RefundLineItem {
    body: Value,
    line: Value,
}

#[Object]
impl RefundLineItem {
    async fn id(&self) -> Option<ID> {
        Some(gid("RefundLineItem", number(&self.body["id"])))
    }

    async fn line_item(&self) -> LineItem {
        LineItem(self.line.clone())
    }

    async fn location(&self, context: &Context<'_>) -> Result<Option<Location>> {
        shop(context, |shop, _| Location::of(shop, self.body["location_id"].as_i64()?))
    }

    async fn quantity(&self) -> i32 {
        count(&self.body["quantity"])
    }

    async fn restock_type(&self) -> RefundLineItemRestockType {
        RefundLineItemRestockType::of(&self.body["restock_type"])
    }

    async fn restocked(&self) -> bool {
        RefundLineItemRestockType::of(&self.body["restock_type"]) != RefundLineItemRestockType::NoRestock
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum RefundLineItemRestockType {
    Return,
    Cancel,
    LegacyRestock,
    NoRestock,
}

impl RefundLineItemRestockType {
    fn of(word: &Value) -> RefundLineItemRestockType {
        match word.as_str() {
            Some("return") => RefundLineItemRestockType::Return,
            Some("cancel") => RefundLineItemRestockType::Cancel,
            Some("legacy_restock") => RefundLineItemRestockType::LegacyRestock,
            _ => RefundLineItemRestockType::NoRestock,
        }
    }
}
