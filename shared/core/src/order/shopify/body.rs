//! The parts of a Shopify body that an order is made of, and how its scalars are read.
//!
//! Not here: what they mean. Every scalar is borrowed raw and read when it is used, so that an error names
//! the field, a number never passes through a float, and a field that nobody asks for costs one scan.

use super::NotAnOrder;
use crate::json::Json;
use crate::order::date;
use std::borrow::Cow;

/// A value of the body; none where it is absent or null.
pub(super) type Raw<'a> = Option<Json<'a>>;

/// A part of the body that is known by its shape.
pub(super) trait Part<'a>: Sized {
    /// Reads it; the error is the value that has another shape.
    fn read(json: Json<'a>) -> Result<Self, Json<'a>>;
}

impl<'a> Part<'a> for Json<'a> {
    fn read(json: Json<'a>) -> Result<Self, Json<'a>> {
        Ok(json)
    }
}

impl<'a, T: Part<'a>> Part<'a> for Vec<T> {
    fn read(json: Json<'a>) -> Result<Self, Json<'a>> {
        let mut items = Vec::new();
        for item in json.items().ok_or(json)? {
            items.push(T::read(item)?);
        }
        Ok(items)
    }
}

/// Objects: each a struct whose fields are those that are asked for, none where absent or null.
macro_rules! objects {
    ($($name:ident { $($field:ident: $part:ty,)+ })+) => {$(
        pub(super) struct $name<'a> { $(pub(super) $field: Option<$part>,)+ }

        impl<'a> Part<'a> for $name<'a> {
            fn read(json: Json<'a>) -> Result<Self, Json<'a>> {
                let [$($field),+] = json.fields([$(stringify!($field)),+]).ok_or(json)?;
                Ok($name { $($field: $field.map(Part::read).transpose()?,)+ })
            }
        }
    )+};
}

objects! {
    OrderBody {
        id: Json<'a>,
        admin_graphql_api_id: Json<'a>,
        order_number: Json<'a>,
        name: Json<'a>,
        customer: Person<'a>,
        shipping_address: Person<'a>,
        note: Json<'a>,
        note_attributes: Vec<Pair<'a>>,
        tags: Json<'a>,
        currency: Json<'a>,
        total_price: Json<'a>,
        source_name: Json<'a>,
        test: Json<'a>,
        created_at: Json<'a>,
        updated_at: Json<'a>,
        cancelled_at: Json<'a>,
        cancel_reason: Json<'a>,
        line_items: Vec<LineBody<'a>>,
        refunds: Vec<Refund<'a>>,
    }
    Person {
        name: Json<'a>,
        first_name: Json<'a>,
        last_name: Json<'a>,
    }
    Pair {
        name: Json<'a>,
        value: Json<'a>,
    }
    LineBody {
        id: Json<'a>,
        product_id: Json<'a>,
        variant_id: Json<'a>,
        sku: Json<'a>,
        title: Json<'a>,
        name: Json<'a>,
        variant_title: Json<'a>,
        gift_card: Json<'a>,
        quantity: Json<'a>,
        current_quantity: Json<'a>,
        price: Json<'a>,
        properties: Vec<Pair<'a>>,
    }
    Refund {
        refund_line_items: Vec<RefundLine<'a>>,
    }
    RefundLine {
        line_item_id: Json<'a>,
        quantity: Json<'a>,
    }
}

/// A name and a value, neither of them blank, the name trimmed.
pub(super) type Pairing<'a> = (String, Cow<'a, str>);

pub(super) fn pairs<'a>(all: Option<&[Pair<'a>]>) -> Vec<Pairing<'a>> {
    let pair = |pair: &Pair<'a>| Some((trim(&filled(pair.name)?).to_owned(), filled(pair.value)?));
    all.unwrap_or_default().iter().filter_map(pair).collect()
}

pub(super) fn required<T>(at: &str, value: Option<T>) -> Result<T, NotAnOrder> {
    value.ok_or_else(|| NotAnOrder::new(at, "a value"))
}

pub(super) fn id(at: &str, raw: Raw<'_>) -> Result<Option<i64>, NotAnOrder> {
    let Some(raw) = raw else { return Ok(None) };
    match integer(raw) {
        Some(id) if id > 0 => Ok(Some(id)),
        _ => Err(NotAnOrder::new(at, "a positive 64-bit integer")),
    }
}

pub(super) fn quantity(at: &str, raw: Raw<'_>) -> Result<i32, NotAnOrder> {
    let units = raw.and_then(integer).filter(|units| *units >= 0).and_then(|units| units.try_into().ok());
    units.ok_or_else(|| NotAnOrder::new(at, "a 32-bit integer that is not negative"))
}

pub(super) fn instant(at: &str, raw: Raw<'_>) -> Result<Option<String>, NotAnOrder> {
    let Some(raw) = raw else { return Ok(None) };
    let text = raw.text();
    if date::is_instant(&text) {
        Ok(Some(text.into_owned()))
    } else {
        Err(NotAnOrder::new(at, "an RFC 3339 instant"))
    }
}

pub(super) fn decimal(at: &str, raw: Raw<'_>) -> Result<String, NotAnOrder> {
    let text = raw.map(Json::text).unwrap_or_default();
    let amount = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    // Ten digits are more than any currency needs, and no more than the database's columns hold.
    if digits(whole, 10) && digits(fraction, 6) {
        Ok(text.into_owned())
    } else {
        Err(NotAnOrder::new(at, "a decimal of at most 10 digits and 6 after the point"))
    }
}

/// An integer, a JSON number or in a string; never by way of a float, which has 53 bits.
pub(super) fn integer(raw: Json<'_>) -> Option<i64> {
    let text = raw.text();
    // `parse` alone would also take a plus sign.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

pub(super) fn is_true(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| raw.raw() == "true")
}

/// The text of a field, unless it is absent, null or blank.
pub(super) fn filled<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    raw.map(Json::text).filter(|text| !trim(text).is_empty())
}

/// Without white space at the ends, nor the U+0000 that is dropped later.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}
