//! Shopify's search syntax, as far as it is needed: `field:value` terms, joined by `OR` or by `AND`.
//!
//! Shopify ignores a filter that it does not know and finds everything; here it is refused.

use async_graphql::{Error, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::stack::shopify::shop::Variant;

/// A term: a field, how it is compared, and with what.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    field: String,
    comparator: &'static str,
    value: String,
}

/// Terms of which all must hold, or one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Search {
    terms: Vec<Term>,
    any: bool,
}

/// Comparators, longer ones first.
const COMPARATORS: [&str; 5] = [">=", "<=", ">", "<", ""];

/// A search for variants by their SKU.
pub(super) fn variants(query: Option<&str>) -> Result<Search> {
    Search::parse(query.unwrap_or_default(), |term| match (term.field.as_str(), term.comparator) {
        ("sku", "") => Ok(()),
        ("id", "") if term.value.parse::<i64>().is_ok() => Ok(()),
        _ => Err(refused(term)),
    })
}

/// A search for orders by when they were changed or placed.
pub(super) fn orders(query: Option<&str>) -> Result<Search> {
    Search::parse(query.unwrap_or_default(), |term| match term.field.as_str() {
        "updated_at" | "created_at" => time(&term.value).map(|_| ()),
        _ => Err(refused(term)),
    })
}

fn refused(term: &Term) -> Error {
    let Term { field, comparator, value } = term;
    Error::new(format!("expected a filter that the stand-in knows, but found {field}:{comparator}{value}"))
}

impl Search {
    fn parse(query: &str, check: impl Fn(&Term) -> Result<()>) -> Result<Search> {
        let (mut terms, mut connectives) = (Vec::new(), Vec::new());
        let mut rest = query.trim_start();
        while !rest.is_empty() {
            let connective = ["OR", "AND"].iter().find(|word| {
                rest.strip_prefix(**word).is_some_and(|rest| rest.starts_with(char::is_whitespace))
            });
            if let Some(connective) = connective {
                connectives.push(*connective);
                rest = rest[connective.len()..].trim_start();
            } else if connectives.len() < terms.len() {
                connectives.push("AND");
            }
            let (term, behind) = self::term(rest)?;
            check(&term)?;
            terms.push(term);
            rest = behind.trim_start();
        }
        let any = connectives.contains(&"OR");
        if connectives.len() >= terms.len().max(1) || any && connectives.contains(&"AND") {
            return Err(Error::new(format!("expected terms joined by OR, or by AND, but found {query}")));
        }
        Ok(Search { terms, any })
    }

    fn holds(&self, test: impl Fn(&Term) -> bool) -> bool {
        match self.any {
            true => self.terms.iter().any(test),
            false => self.terms.iter().all(test),
        }
    }
}

/// What a search is made over.
pub(super) trait Found {
    /// Whether a term holds for it.
    fn holds(&self, field: &str, comparator: &str, value: &str) -> bool;
}

impl Search {
    /// Whether it finds this.
    pub(super) fn matches(&self, found: &impl Found) -> bool {
        self.holds(|term| found.holds(&term.field, term.comparator, &term.value))
    }
}

impl Found for Variant {
    fn holds(&self, field: &str, _: &str, value: &str) -> bool {
        match field {
            // Upper and lower case are one to Shopify's search.
            "sku" => self.sku.eq_ignore_ascii_case(value),
            _ => value.parse() == Ok(self.variant),
        }
    }
}

impl Found for Value {
    fn holds(&self, field: &str, comparator: &str, value: &str) -> bool {
        let stated = self[field].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let (Some(at), Ok(wanted)) = (stated, time(value)) else { return false };
        match comparator {
            ">=" => at >= wanted,
            "<=" => at <= wanted,
            ">" => at > wanted,
            "<" => at < wanted,
            _ => at == wanted,
        }
    }
}

/// An instant, or the beginning of a day in UTC.
fn time(text: &str) -> Result<Timestamp> {
    let day = || text.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|day| day.timestamp());
    let at = text.parse().ok().or_else(day);
    at.ok_or_else(|| Error::new(format!("expected a time, but found {text}")))
}

/// The term that a query begins with, and what is behind it.
fn term(query: &str) -> Result<(Term, &str)> {
    let wrong = || Error::new(format!("expected field:value, but found {query}"));
    let (field, rest) = query.split_once(':').ok_or_else(wrong)?;
    if field.is_empty() || !field.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        return Err(wrong());
    }
    let comparator = COMPARATORS.into_iter().find(|comparator| rest.starts_with(comparator));
    let comparator = comparator.unwrap_or_default();
    let rest = &rest[comparator.len()..];
    let (value, rest) = match rest.chars().next() {
        Some(quote @ ('\'' | '"')) => quoted(&rest[1..], quote).ok_or_else(wrong)?,
        _ => {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let plain = |c: char| !matches!(c, '*' | '(' | ')' | '\'' | '"' | '\\');
            if end == 0 || !rest[..end].chars().all(plain) {
                return Err(wrong());
            }
            (rest[..end].to_owned(), &rest[end..])
        }
    };
    Ok((Term { field: field.into(), comparator, value }, rest))
}

/// What stands before the closing quote, and what is behind it; a backslash takes the next character as it is.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            _ if character == quote => return Some((value, &text[at + 1..])),
            _ => value.push(character),
        }
    }
    None
}
