//! Bodies of known shape: how their parts are found, how their scalars are read, and what is said of one that
//! is not as it must be.
//!
//! Not here: what the parts mean. Every scalar is borrowed raw and read when it is used, so that an error names
//! the field, a number never passes through a float, and a field that nobody asks for costs one scan.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::json::{Document, Json, NotJson};
use crate::order::date;

/// Why a body is not what it should be: which field, and what was expected there.
///
/// It never quotes a value, for the body holds personal data: it may be logged and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The field, as `line_items[2].quantity`; where the shape is wrong, the place in the body.
    pub path: String,
    /// What belongs there.
    pub expected: &'static str,
}

impl FieldError {
    pub(crate) fn new(path: &str, expected: &'static str) -> FieldError {
        FieldError { path: path.to_owned(), expected }
    }

    /// Of what is wrong where so much of the body is read.
    fn after(read: &[u8], expected: &'static str) -> FieldError {
        let (line, column) = read.iter().fold((1, 0), |(line, column), byte| match byte {
            b'\n' => (line + 1, 0),
            _ => (line, column + 1),
        });
        FieldError { path: format!("line {line}, column {column}"), expected }
    }

    /// The same of an item's field.
    pub(crate) fn of_item(self, list: &str, index: usize) -> FieldError {
        let dot = if self.path.is_empty() { "" } else { "." };
        FieldError { path: format!("{list}[{index}]{dot}{}", self.path), ..self }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.path, self.expected)
    }
}

impl std::error::Error for FieldError {}

/// The JSON that a body is.
pub(crate) fn document(body: &[u8]) -> Result<Document<'_>, FieldError> {
    let text = std::str::from_utf8(body).map_err(|_| FieldError::new("the body", "UTF-8"))?;
    Document::parse(text)
        .map_err(|NotJson(read)| FieldError::after(body.get(..read).unwrap_or_default(), "JSON"))
}

/// That a value is not of that shape.
pub(crate) fn misshapen(part: Json<'_>, shape: &'static str) -> FieldError {
    FieldError::after(part.read(), shape)
}

/// A value of the body; none where it is absent or null.
pub(crate) type Raw<'a> = Option<Json<'a>>;

/// A part of the body that is known by its shape.
pub(crate) trait Part<'a>: Sized {
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
        let list = list(json)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(T::read(item)?);
        }
        Ok(items)
    }
}

/// The items of a list, or of GraphQL's connection: `{nodes: […]}` or `{edges: [{node: …}]}`.
pub(crate) fn list(json: Json<'_>) -> Result<Vec<Json<'_>>, Json<'_>> {
    if let Some(items) = json.items() {
        return Ok(items.collect());
    }
    let [nodes, edges, page] = json.fields(["nodes", "edges", "pageInfo"]).ok_or(json)?;
    if page.is_some_and(|page| is_true(page.field("hasNextPage"))) {
        // Half a list would pass for the whole: lines would be missed, and cakes withdrawn.
        return Err(json);
    }
    match nodes {
        Some(nodes) => Ok(nodes.items().ok_or(nodes)?.collect()),
        None => {
            let mut list = Vec::new();
            for edge in edges.and_then(Json::items).ok_or(json)? {
                list.push(edge.field("node").ok_or(edge)?);
            }
            Ok(list)
        }
    }
}

/// Objects: each a struct whose fields are those that are asked for, none where absent or null. A field may
/// have another name, by which GraphQL knows it.
macro_rules! objects {
    (@other $field:ident) => { stringify!($field) };
    (@other $field:ident $other:literal) => { $other };
    ($($name:ident { $($field:ident $(| $other:literal)?: $part:ty,)+ })+) => {$(
        pub(crate) struct $name<'a> { $(pub(crate) $field: Option<$part>,)+ }

        impl<'a> $crate::body::Part<'a> for $name<'a> {
            fn read(json: Json<'a>) -> Result<Self, Json<'a>> {
                let [$($field),+] = json
                    .either([$([stringify!($field), objects!(@other $field $($other)?)]),+])
                    .ok_or(json)?;
                Ok($name { $($field: $field.map($crate::body::Part::read).transpose()?,)+ })
            }
        }
    )+};
}
pub(crate) use objects;

objects! {
    Pair {
        name | "key": Json<'a>,
        value: Json<'a>,
    }
}

/// Names and values: a list of pairs, or an object with one of each.
pub(crate) struct Pairs<'a>(Vec<Pair<'a>>);

impl<'a> Part<'a> for Pairs<'a> {
    fn read(json: Json<'a>) -> Result<Self, Json<'a>> {
        let pair = |(name, value): (Json<'a>, Json<'a>)| Pair { name: Some(name), value: value.present() };
        match json.entries() {
            Some(entries) => Ok(Pairs(entries.map(pair).collect())),
            None => {
                // What is no pair is kept all the same, under its own name.
                let pair = |item| Pair::read(item).unwrap_or(Pair { name: Some(item), value: Some(item) });
                Ok(Pairs(json.items().ok_or(json)?.map(pair).collect()))
            }
        }
    }
}

/// A name and a value, neither of them blank, the name trimmed.
pub(crate) type Pairing<'a> = (String, Cow<'a, str>);

impl<'a> Pairs<'a> {
    /// Those that are filled in.
    pub(crate) fn filled(pairs: Option<&Pairs<'a>>) -> Vec<Pairing<'a>> {
        let pair = |pair: &Pair<'a>| Some((trim(&filled(pair.name)?).to_owned(), filled(pair.value)?));
        pairs.map(|pairs| pairs.0.iter().filter_map(pair).collect()).unwrap_or_default()
    }
}

pub(crate) fn required<T>(path: &str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::new(path, "a value"))
}

/// The scalar itself, or the one that GraphQL wraps: `{id}`, or `{shopMoney: {amount}}`.
fn inner(json: Json<'_>) -> Json<'_> {
    let [id, money] = json.fields(["id", "shopMoney"]).unwrap_or_default();
    let amount = || money?.field("amount");
    id.or_else(amount).unwrap_or(json)
}

/// The id of a thing of that kind: a number, in a string too, or GraphQL's `gid://shopify/<kind>/<number>`.
pub(crate) fn id(path: &str, raw: Raw<'_>, kind: &str) -> Result<Option<i64>, FieldError> {
    let Some(raw) = raw else { return Ok(None) };
    let text = inner(raw).text();
    let digits = match text.strip_prefix("gid://shopify/") {
        Some(gid) => gid.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')),
        None => Some(&*text),
    };
    match digits.and_then(whole) {
        Some(id) if id > 0 => Ok(Some(id)),
        _ => Err(FieldError::new(path, "a positive 64-bit integer")),
    }
}

/// The same, which must be there.
pub(crate) fn needed_id(path: &str, raw: Raw<'_>, kind: &str) -> Result<i64, FieldError> {
    required(path, id(path, raw, kind)?)
}

pub(crate) fn quantity(path: &str, raw: Raw<'_>) -> Result<i32, FieldError> {
    let units = raw.and_then(integer).filter(|units| *units >= 0).and_then(|units| units.try_into().ok());
    units.ok_or_else(|| FieldError::new(path, "a 32-bit integer that is not negative"))
}

pub(crate) fn instant(path: &str, raw: Raw<'_>) -> Result<Option<String>, FieldError> {
    let Some(raw) = raw else { return Ok(None) };
    let text = raw.text();
    if date::is_instant(&text) {
        Ok(Some(text.into_owned()))
    } else {
        Err(FieldError::new(path, "an RFC 3339 instant"))
    }
}

/// The same, which must be there.
pub(crate) fn needed_instant(path: &str, raw: Raw<'_>) -> Result<String, FieldError> {
    required(path, instant(path, raw)?)
}

pub(crate) fn decimal(path: &str, raw: Raw<'_>) -> Result<String, FieldError> {
    let text = raw.map(|raw| inner(raw).text()).unwrap_or_default();
    let amount = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    // Ten digits are more than any currency needs, and no more than the database's columns hold.
    if digits(whole, 10) && digits(fraction, 6) {
        Ok(text.into_owned())
    } else {
        Err(FieldError::new(path, "a decimal of at most 10 digits and 6 after the point"))
    }
}

/// An integer, a JSON number or in a string; never by way of a float, which has 53 bits.
pub(crate) fn integer(raw: Json<'_>) -> Option<i64> {
    whole(&raw.text())
}

fn whole(text: &str) -> Option<i64> {
    // `parse` alone would also take a plus sign.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

pub(crate) fn is_true(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| raw.raw() == "true")
}

/// The text of a field, unless it is absent, null or blank.
pub(crate) fn filled<'a>(raw: Raw<'a>) -> Option<Cow<'a, str>> {
    raw.map(Json::text).filter(|text| !trim(text).is_empty())
}

/// Without white space at the ends, nor the U+0000 that is dropped later.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

/// The host in a URL, or of itself, in lower case; none where it has not the form of one.
pub(crate) fn host(raw: Raw<'_>) -> Option<String> {
    let text = raw?.string()?;
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(&text);
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b':'));
    let host = rest.get(..end.unwrap_or(rest.len()))?;
    let form = (1..=253).contains(&host.len())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    form.then(|| host.to_ascii_lowercase())
}
