//! Shopify's own scalars.

use async_graphql::{Enum, scalar};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A time in UTC, as ISO 8601 writes it.
#[derive(Serialize, Deserialize)]
pub(super) struct DateTime(pub(super) String);
scalar!(DateTime);

/// An amount, as text.
#[derive(Serialize, Deserialize)]
pub(super) struct Decimal(pub(super) String);
scalar!(Decimal);

/// An address on the web.
#[derive(Serialize, Deserialize)]
pub(super) struct Url(pub(super) String);
scalar!(Url, "URL");

/// An id without its gid, as text.
#[derive(Serialize, Deserialize)]
pub(super) struct UnsignedInt64(pub(super) String);
scalar!(UnsignedInt64);

/// The currencies that orders come in here.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub(super) enum CurrencyCode {
    Aud,
    Eur,
    Gbp,
    Nzd,
    Usd,
}

impl CurrencyCode {
    pub(super) fn of(code: &Value) -> CurrencyCode {
        match code.as_str() {
            Some("EUR") => CurrencyCode::Eur,
            Some("GBP") => CurrencyCode::Gbp,
            Some("NZD") => CurrencyCode::Nzd,
            Some("USD") => CurrencyCode::Usd,
            _ => CurrencyCode::Aud,
        }
    }
}

/// An id as `legacyResourceId` writes it.
pub(super) fn legacy(id: i64) -> UnsignedInt64 {
    UnsignedInt64(id.to_string())
}
