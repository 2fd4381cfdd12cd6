//! The stand-in's clock: the machine's, unless a test sets it or moves it on.
//!
//! Everything that Shopify dates goes by it: answers, orders, levels, the bucket, and how long a key is known.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// What time it is.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Where it stands, once a test has set it.
    set: Option<Timestamp>,
    ahead: Duration,
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        self.set.unwrap_or_else(Timestamp::now) + self.ahead
    }

    pub(super) fn set(&mut self, at: Timestamp) {
        *self = Clock { set: Some(at), ahead: Duration::ZERO };
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }
}

/// A time as REST bodies write it: to the second, in the shop's time zone.
pub(super) fn rest(at: Timestamp) -> String {
    let zone = TimeZone::fixed(Offset::constant(11));
    at.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A time as GraphQL writes it: to the second, in UTC.
pub(super) fn graphql(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as the `Date` header writes it.
pub(super) fn http(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
