//! What an answer of Shopify's means, whatever was asked.
//!
//! Pure: status, headers and body in, verdict out. Not here: what the data say.

use crate::json::{Document, Json};

/// How long to wait where Shopify asks for less and does not say until when, in ms.
const A_WHILE: u32 = 2_000;

/// An hour, in seconds: longer than Shopify ever asks for.
const LONGEST: u32 = 3_600;

/// The most characters of Shopify's own words that are kept.
const MOST: usize = 200;

/// An answer that came.
#[derive(Debug)]
pub struct Answer<'a> {
    status: u16,
    retry_after: Option<&'a str>,
    body: Option<Document<'a>>,
}

/// What an answer means.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// It has data.
    Data(Json<'a>),
    /// Nothing was done: too much was asked in too short a time.
    Throttled {
        /// When it may be asked again.
        after_ms: u32,
    },
    /// It may pass by itself; nobody knows what was done.
    Failed {
        /// Why, for a person.
        reason: String,
        /// When it may be asked again, where Shopify says so.
        after_ms: Option<u32>,
    },
    /// It will not pass by itself.
    Stopped {
        /// Why, for a person.
        reason: String,
    },
}

/// What a question cost, and what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// What it might have cost at most: so much had to be there.
    pub requested: f64,
    /// What it did cost.
    pub actual: f64,
    /// What is left.
    pub available: f64,
    /// What can be there at most.
    pub maximum: f64,
    /// What comes back each second.
    pub rate: f64,
}

impl<'a> Answer<'a> {
    /// An answer, given its status, its header `Retry-After` and its body.
    pub fn new(status: u16, retry_after: Option<&'a str>, body: &'a str) -> Answer<'a> {
        Answer { status, retry_after, body: Document::parse(body).ok() }
    }

    /// What it means.
    pub fn verdict(&'a self) -> Verdict<'a> {
        let reason = || format!("Shopify answered {}", self.status);
        match self.status {
            200 => self.of_graphql(),
            429 => Verdict::Throttled { after_ms: self.after_ms().unwrap_or(A_WHILE) },
            // A redirect is one too: the token is for this shop alone.
            300..=399 | 400..=404 | 422 | 423 | 430 => Verdict::Stopped { reason: reason() },
            _ => Verdict::Failed { reason: reason(), after_ms: self.retry_after.and_then(seconds) },
        }
    }

    /// What it cost; none where it does not say.
    pub fn cost(&'a self) -> Option<Cost> {
        let cost = self.root()?.field("extensions")?.field("cost")?;
        let [requested, actual, status] =
            cost.fields(["requestedQueryCost", "actualQueryCost", "throttleStatus"])?;
        let [available, maximum, rate] =
            status?.fields(["currentlyAvailable", "maximumAvailable", "restoreRate"])?;
        Some(Cost {
            requested: points(requested?)?,
            // None where nothing was done.
            actual: actual.and_then(points).unwrap_or_default(),
            available: points(available?)?,
            maximum: points(maximum?)?,
            rate: points(rate?)?,
        })
    }

    fn root(&'a self) -> Option<Json<'a>> {
        self.body.as_ref().map(Document::root)
    }

    fn of_graphql(&'a self) -> Verdict<'a> {
        let failed = |reason: String| Verdict::Failed { reason, after_ms: None };
        let Some([data, errors]) = self.root().and_then(|root| root.fields(["data", "errors"])) else {
            return failed("Shopify's answer was not understood".to_owned());
        };
        let error = match errors.map(|errors| (errors, errors.items())) {
            None => None,
            Some((_, Some(mut errors))) => errors.find(|error| !hides_a_part(*error)),
            // As it says it of a request that it does not even read.
            Some((error, None)) => Some(error),
        };
        let Some(error) = error else {
            return data.map_or_else(|| failed("Shopify answered without data".to_owned()), Verdict::Data);
        };
        let code = code(error);
        let reason = format!("Shopify answered {code}: {}", words(error));
        match &*code {
            "THROTTLED" => Verdict::Throttled { after_ms: self.after_ms().unwrap_or(A_WHILE) },
            "ACCESS_DENIED" | "SHOP_INACTIVE" => Verdict::Stopped { reason },
            _ => failed(reason),
        }
    }

    /// When it may be asked again: as the header says, or when enough is there.
    fn after_ms(&'a self) -> Option<u32> {
        let missing = |cost: Cost| {
            let wanted = cost.requested.min(cost.maximum) - cost.available;
            (cost.rate > 0.0)
                .then(|| ((wanted * 1000.0 / cost.rate).ceil().max(0.0) as u32).min(LONGEST * 1000))
        };
        self.retry_after.and_then(seconds).or_else(|| self.cost().and_then(missing))
    }
}

/// The code of an error; empty where it has none.
fn code(error: Json<'_>) -> String {
    let code = error.field("extensions").and_then(|extensions| extensions.field("code"));
    code.and_then(Json::string).map(Into::into).unwrap_or_default()
}

/// Whether it only says that the protected data of an order's customer may not be seen, and are null. Anything else that is
/// hidden would be taken for what there is not: a level that may not be read for an item that is not stocked.
fn hides_a_part(error: Json<'_>) -> bool {
    let mut path = error.field("path").and_then(Json::items).into_iter().flatten().map(Json::text);
    code(error) == "ACCESS_DENIED"
        && path.next().is_some_and(|name| name == "order")
        && path.next().is_some_and(|name| name == "customer" || name == "shippingAddress")
}

/// What an error says, as far as it is kept.
pub(super) fn words(error: Json<'_>) -> String {
    let said = error.field("message").map(Json::text).unwrap_or_default();
    said.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

/// Whole points, which Shopify writes with a point and a zero. Rounded down: too few never hurt.
fn points(raw: Json<'_>) -> Option<f64> {
    let text = raw.raw();
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    Some(whole.parse::<i32>().ok()?.into())
}

/// Seconds, perhaps with a fraction, as ms, rounded up.
fn seconds(text: &str) -> Option<u32> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let seconds =
        whole.parse::<u32>().ok()?.min(LONGEST) + u32::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(seconds.min(LONGEST) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// What an answer means, in words.
    fn meaning(status: u16, retry_after: Option<&str>, body: &str) -> String {
        let answer = Answer::new(status, retry_after, body);
        match answer.verdict() {
            Verdict::Data(data) => format!("data {}", data.raw()),
            Verdict::Throttled { after_ms } => format!("throttled {after_ms}"),
            Verdict::Failed { reason, after_ms } => format!("failed {after_ms:?}: {reason}"),
            Verdict::Stopped { reason } => format!("stopped: {reason}"),
        }
    }

    fn error(code: &str, path: Value) -> Value {
        json!({"message": "a message", "extensions": {"code": code}, "path": path})
    }

    fn cost(requested: f64, available: f64) -> Value {
        json!({"cost": {"requestedQueryCost": requested, "actualQueryCost": null,
            "throttleStatus": {"maximumAvailable": 1000.0, "currentlyAvailable": available, "restoreRate": 50.0}}})
    }

    #[test]
    fn a_status_that_passes_is_told_from_one_that_does_not() {
        for status in [400, 401, 402, 403, 404, 422, 423, 430, 301, 302, 307] {
            let expected = format!("stopped: Shopify answered {status}");
            assert_eq!(meaning(status, Some("1"), "<html>"), expected);
        }
        for status in [500, 502, 503, 504, 530, 540, 408, 418, 204] {
            let expected = format!("failed None: Shopify answered {status}");
            assert_eq!(meaning(status, None, "{\"data\":{}}"), expected);
        }
        assert_eq!(meaning(503, Some("3"), ""), "failed Some(3000): Shopify answered 503");
    }

    #[test]
    fn what_came_too_soon_is_told_when_to_come_again() {
        assert_eq!(meaning(429, Some("2.0"), ""), "throttled 2000");
        assert_eq!(meaning(429, Some(" 1.25"), ""), "throttled 2000");
        for long in ["99999", "3600.5", "4294967295.5"] {
            assert_eq!(meaning(429, Some(long), ""), "throttled 3600000", "{long}");
        }
        for odd in [None, Some(""), Some("soon"), Some("-1"), Some("Tue, 24 Nov 2026 10:00:00 GMT")] {
            assert_eq!(meaning(429, odd, "<html>"), "throttled 2000", "{odd:?}");
        }
        let throttled = |extensions: Value| json!({"errors": [error("THROTTLED", json!(null))], "extensions": extensions});
        for status in [200, 429] {
            let body = throttled(cost(500.0, 450.0)).to_string();
            assert_eq!(meaning(status, None, &body), "throttled 1000");
            // What is more than the bucket holds is never there.
            assert_eq!(meaning(status, None, &throttled(cost(5000.0, 950.0)).to_string()), "throttled 1000");
            assert_eq!(meaning(status, Some("4"), &body), "throttled 4000");
            let indebted = throttled(cost(500.0, -2_000_000_000.0)).to_string();
            assert_eq!(meaning(status, None, &indebted), "throttled 3600000");
        }
        assert_eq!(meaning(200, None, &throttled(json!({})).to_string()), "throttled 2000");
    }

    #[test]
    fn errors_in_an_answer_are_not_overlooked() {
        let of = |body: Value| meaning(200, None, &body.to_string());
        assert_eq!(of(json!({"data": {"a": 1}})), "data {\"a\":1}");
        assert_eq!(of(json!({"data": {"a": 1}, "errors": []})), "data {\"a\":1}");
        let data = json!({"a": 1});
        for (code, expected) in [
            ("INTERNAL_SERVER_ERROR", "failed None: Shopify answered INTERNAL_SERVER_ERROR: a message"),
            ("MAX_COST_EXCEEDED", "failed None: Shopify answered MAX_COST_EXCEEDED: a message"),
            ("SHOP_INACTIVE", "stopped: Shopify answered SHOP_INACTIVE: a message"),
            ("ACCESS_DENIED", "stopped: Shopify answered ACCESS_DENIED: a message"),
        ] {
            assert_eq!(of(json!({"data": data, "errors": [error(code, json!(["orders"]))]})), expected);
            assert_eq!(of(json!({"data": null, "errors": [error(code, json!(null))]})), expected);
        }
        let plain = json!({"errors": [{"message": format!("{}\n{}", "x".repeat(300), "y")}]});
        assert_eq!(of(plain), format!("failed None: Shopify answered : {}", "x".repeat(200)));
        // What may not be seen of a customer is null; the order is an order all the same.
        let hidden = error("ACCESS_DENIED", json!(["order", "customer"]));
        assert_eq!(of(json!({"data": data, "errors": [hidden, hidden]})), "data {\"a\":1}");
        let name = error("ACCESS_DENIED", json!(["order", "shippingAddress", "name"]));
        assert_eq!(of(json!({"data": data, "errors": [name]})), "data {\"a\":1}");
        // What may not be seen of anything else is not nothing: a level that may not be read is not an item without one.
        for path in [
            json!(["nodes", 0]),
            json!(["nodes", 0, "inventoryLevel"]),
            json!(["productVariants", "nodes", 3, "inventoryItem"]),
            json!(["order", "lineItems", "nodes", 0, "product"]),
            json!(["order", "retailLocation"]),
        ] {
            let stopped = "stopped: Shopify answered ACCESS_DENIED: a message";
            assert_eq!(of(json!({"data": data, "errors": [hidden, error("ACCESS_DENIED", path)]})), stopped);
        }
        let worse = [hidden, error("INTERNAL_SERVER_ERROR", json!(["order"]))];
        assert!(of(json!({"data": data, "errors": worse})).starts_with("failed"));
    }

    #[test]
    fn what_is_no_answer_of_graphql_has_failed() {
        for body in ["", "<html>", "[]", "null", "{\"data\":1,\"data\":2}"] {
            assert_eq!(
                meaning(200, None, body),
                "failed None: Shopify's answer was not understood",
                "{body}"
            );
        }
        assert_eq!(meaning(200, None, "{}"), "failed None: Shopify answered without data");
        for body in [r#"{"errors":"[API] Invalid"}"#, r#"{"data":{},"errors":{"a":1}}"#] {
            assert_eq!(meaning(200, None, body), "failed None: Shopify answered : ", "{body}");
        }
    }

    #[test]
    fn what_a_question_cost_is_read_in_whole_points() {
        let body = json!({"data": {}, "extensions": {"cost": {"requestedQueryCost": 402, "actualQueryCost": 12,
            "throttleStatus": {"maximumAvailable": 2000.0, "currentlyAvailable": 1987.9, "restoreRate": 100.0}}}});
        let cost = Answer::new(200, None, &body.to_string()).cost();
        let expected =
            Cost { requested: 402.0, actual: 12.0, available: 1987.0, maximum: 2000.0, rate: 100.0 };
        assert_eq!(cost, Some(expected));
        for body in ["", "{}", "{\"extensions\":{\"cost\":{\"requestedQueryCost\":1}}}"] {
            assert_eq!(Answer::new(200, None, body).cost(), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics_or_passes_for_data(
            status in any::<u16>(), retry_after in any::<Option<String>>(), body in "\\PC{0,80}|\\{\"errors\":\\PC{0,40}\\}",
        ) {
            let answer = Answer::new(status, retry_after.as_deref(), &body);
            let _ = answer.cost();
            let data = matches!(answer.verdict(), Verdict::Data(_));
            prop_assert!(!data, "{status} {body}");
        }
    }
}
