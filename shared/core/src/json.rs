//! JSON that is read value by value.
//!
//! A text is checked and indexed in one pass, without recursion; after that a value is looked up, and one that
//! nobody asks for costs nothing. Numbers stay text, so that none passes through a float. Not here: writing
//! JSON, which `serde_json` does.
//!
//! Why not read with `serde_json` too: it was measured. Derived types brought the webhook's module to 96 KB
//! gzipped, one visitor for all shapes to 81 KB, of a budget of 72 KB; this brings it to 64 KB. `json-event-parser`
//! would fit, but takes ten times as long as `serde_json` to pass over a body. The property tests below hold this
//! reader to what `serde_json` takes, refuses and decodes.

mod parse;

use std::borrow::Cow;

use self::parse::Parser;

/// A text that is JSON, with the place of every value in it.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    places: Vec<Place>,
}

/// Where a value stands. What is inside it follows it: items, or keys and values in turn.
#[derive(Debug)]
struct Place {
    start: usize,
    end: usize,
    /// The place after the last one inside it.
    next: usize,
    /// Whether it is a string that does not say what is written, for an escape stands in it.
    escaped: bool,
}

/// A text that is not JSON: how much of it was read when that was clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson(pub usize);

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// [`NotJson`], wherever RFC 8259 does not allow what it finds.
    pub fn parse(text: &'a str) -> Result<Document<'a>, NotJson> {
        // A body of Shopify's has a value for every ten bytes or so.
        let places = Vec::with_capacity(text.len() / 8);
        let mut parser = Parser { text: text.as_bytes(), at: 0, places, open: Vec::new() };
        match parser.document() {
            Some(()) => Ok(Document { text, places: parser.places }),
            None => Err(NotJson(text.len().min(parser.at + 1))),
        }
    }

    /// The value that the whole text is.
    pub fn root(&'a self) -> Json<'a> {
        Json { document: self, at: 0 }
    }
}

/// A value in a document.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a> {
    document: &'a Document<'a>,
    at: usize,
}

impl<'a> Json<'a> {
    /// The value as it was written.
    pub fn raw(self) -> &'a str {
        self.place().and_then(|place| self.document.text.get(place.start..place.end)).unwrap_or_default()
    }

    /// All of the text that is read at its end.
    pub fn read(self) -> &'a [u8] {
        let end = self.place().map_or(0, |place| place.end);
        self.document.text.as_bytes().get(..end).unwrap_or_default()
    }

    /// The value, unless it is null.
    pub fn present(self) -> Option<Json<'a>> {
        Some(self).filter(|value| value.raw() != "null")
    }

    /// The fields of these names, in their order; none for those that are absent or null. None at all where
    /// the value is no object, or has one of them twice.
    pub fn fields<const N: usize>(self, names: [&str; N]) -> Option<[Option<Json<'a>>; N]> {
        self.either(names.map(|name| [name; 2]))
    }

    /// The field of that name.
    pub fn field(self, name: &str) -> Option<Json<'a>> {
        self.fields([name]).and_then(|[value]| value)
    }

    /// The same of fields that go by either of two names; where both are there, the first is meant.
    pub fn either<const N: usize>(self, names: [[&str; 2]; N]) -> Option<[Option<Json<'a>>; N]> {
        let mut found = [[None; 2]; N];
        self.find(&names, &mut found)?;
        Some(found.map(|[first, second]| first.and_then(Json::present).or(second.and_then(Json::present))))
    }

    /// Not generic, so that all shapes share it.
    fn find(self, names: &[[&str; 2]], found: &mut [[Option<Json<'a>>; 2]]) -> Option<()> {
        for (key, value) in self.entries()? {
            let key = &*key.text();
            let place = names.iter().zip(&mut *found).find_map(|([first, second], places)| match places {
                [place, _] if *first == key => Some(place),
                [_, place] if *second == key => Some(place),
                _ => None,
            });
            if place.is_some_and(|place| place.replace(value).is_some()) {
                return None;
            }
        }
        Some(())
    }

    /// The keys and values of an object; none where it is no object.
    pub fn entries(self) -> Option<impl Iterator<Item = (Json<'a>, Json<'a>)>> {
        let mut inside = self.inside('{')?;
        Some(std::iter::from_fn(move || inside.next().zip(inside.next())))
    }

    /// The items of a list; none where it is no list.
    pub fn items(self) -> Option<impl Iterator<Item = Json<'a>>> {
        self.inside('[')
    }

    /// Any value as text: a string as what it says, anything else as compact JSON.
    pub fn text(self) -> Cow<'a, str> {
        let raw = self.raw();
        match self.string() {
            Some(string) => string,
            None if raw.starts_with(['[', '{']) => Cow::Owned(compact(raw)),
            None => Cow::Borrowed(raw),
        }
    }

    /// What a string says; none for other values. With an escape that stands for no character (half a
    /// surrogate pair) it is shown as it was written: that costs a character, not the whole text.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let written = self.raw().strip_prefix('"')?.strip_suffix('"')?;
        let said = if self.place()?.escaped { unescape(written) } else { None };
        Some(said.map_or(Cow::Borrowed(written), Cow::Owned))
    }

    fn place(self) -> Option<&'a Place> {
        self.document.places.get(self.at)
    }

    /// What is inside a list or an object, given the bracket that it opens with.
    fn inside(self, open: char) -> Option<Inside<'a>> {
        let place = self.place().filter(|_| self.raw().starts_with(open))?;
        Some(Inside { document: self.document, at: self.at + 1, end: place.next })
    }
}

/// The items of a list, or the keys and values of an object in turn.
struct Inside<'a> {
    document: &'a Document<'a>,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Inside<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        let value = Json { document: self.document, at: self.at };
        self.at = value.place().filter(|_| self.at < self.end)?.next;
        Some(value)
    }
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = json.chars().filter(|c| {
        in_string ^= *c == '"' && !escaped;
        escaped = in_string && *c == '\\' && !escaped;
        in_string || !c.is_ascii_whitespace()
    });
    kept.collect()
}

/// What a string says, given what stands between its quotes; none where half a surrogate pair is in it.
fn unescape(written: &str) -> Option<String> {
    let mut said = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((plain, escape)) = rest.split_once('\\') {
        said.push_str(plain);
        let kind = escape.chars().next()?;
        rest = escape.get(1..)?;
        said.push(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut units = [unit(rest)?, 0];
                rest = rest.get(4..)?;
                if (0xD800..0xDC00).contains(&units[0]) {
                    rest = rest.strip_prefix("\\u")?;
                    units[1] = unit(rest)?;
                    rest = rest.get(4..)?;
                }
                char::decode_utf16(units).next()?.ok()?
            }
            // Quote, backslash and slash stand for themselves.
            other => other,
        });
    }
    said.push_str(rest);
    Some(said)
}

/// The UTF-16 unit that four hexadecimal digits stand for.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The raw values of the fields.
    fn fields<const N: usize>(text: &str, names: [&str; N]) -> Option<[Option<String>; N]> {
        let document = Document::parse(text).unwrap();
        document.root().fields(names).map(|found| found.map(|value| Some(value?.raw().to_owned())))
    }

    fn said(text: &str) -> String {
        Document::parse(text).unwrap().root().text().into_owned()
    }

    #[test]
    fn fields_are_found_by_name_whatever_stands_around_them() {
        let object = " {\"a\" : [1, {\"b\": 2}] ,\"\\u0062\":\"x\\\"}\", \"n\":null,\"c\":-1.5e3}\n";
        let [a, b, n, c, absent] = fields(object, ["a", "b", "n", "c", "d"]).unwrap();
        assert_eq!(a.as_deref(), Some("[1, {\"b\": 2}]"));
        assert_eq!((b.as_deref(), n), (Some("\"x\\\"}\""), None));
        assert_eq!((c.as_deref(), absent), (Some("-1.5e3"), None));
        for text in ["[]", "\"a\"", "1", "null", r#"{"a":1,"a":1}"#, r#"{"a":null,"\u0061":1}"#] {
            assert_eq!(fields(text, ["a"]), None, "{text}");
        }
        assert_eq!(fields("{}", ["a"]), Some([None]));
        assert_eq!(fields(r#"{"z":1,"z":2,"a":3}"#, ["a"]), Some([Some("3".to_owned())]));
    }

    #[test]
    fn a_field_may_go_by_either_of_two_names() {
        for (text, expected) in [
            (r#"{"a":1}"#, Some(Some("1"))),
            (r#"{"b":2}"#, Some(Some("2"))),
            (r#"{"b":2,"a":1}"#, Some(Some("1"))),
            (r#"{"a":null,"b":2}"#, Some(Some("2"))),
            ("{}", Some(None)),
            (r#"{"b":2,"b":2}"#, None),
        ] {
            let document = Document::parse(text).unwrap();
            let found = document.root().either([["a", "b"]]).map(|[value]| value.map(Json::raw));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_shown_as_it_was_written() {
        for half in [r#""a\ud83c""#, r#""\udf82""#, r#""\ud83c\n""#, r#""\ud83c\u0041""#] {
            assert_eq!(said(half), half.trim_matches('"'));
        }
        assert_eq!(said(r#""\ud83c\udf82\/""#), "🎂/");
    }

    #[test]
    fn what_is_not_json_is_told_by_how_much_was_read() {
        for (text, read) in
            [("", 0), (" ", 1), ("[1,]", 4), ("[1 2]", 4), ("{\"a\" 1}", 6), ("01", 2), ("\"a", 2)]
        {
            assert_eq!(Document::parse(text).map(drop), Err(NotJson(read)), "{text}");
        }
    }

    /// What `serde_json` makes of it, in the words of this module.
    fn check(value: &Value, read: Json<'_>) {
        match value {
            Value::Array(items) => {
                let found: Vec<_> = read.items().unwrap().collect();
                assert_eq!(found.len(), items.len(), "{read:?}");
                items.iter().zip(found).for_each(|(item, found)| check(item, found));
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let [found] = read.fields([name]).unwrap();
                    match found {
                        Some(found) => check(value, found),
                        None => assert!(value.is_null(), "{name}: {read:?}"),
                    }
                }
            }
            Value::String(text) => assert_eq!(read.text(), text.as_str()),
            scalar => assert_eq!(read.text(), scalar.to_string()),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            "[\\\\\"{}\\[\\],: /]{0,6}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<Option<bool>>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..5).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_read_as_serde_json_reads_them(value in value(), pretty in any::<bool>()) {
            let text = if pretty { format!("{value:#}") } else { value.to_string() };
            check(&value, Document::parse(&text).unwrap().root());
        }

        #[test]
        fn strings_say_what_serde_json_reads(text in "([a-z🎂é ]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,8}") {
            let quoted = format!("\"{text}\"");
            let expected = serde_json::from_str::<String>(&quoted).unwrap_or(text);
            prop_assert_eq!(said(&quoted), expected);
        }

        #[test]
        fn what_serde_json_takes_is_taken_and_nothing_else(
            text in "([\\[\\]{},:]|\"[a\\\\u0é\n]{0,3}\"|-?[0-9]{1,2}|[.eE+-]|true|null|fals|[ \n\t]|\u{b}){0,10}",
            value in value(), damage in any::<prop::sample::Index>(), by in "[\\[\\]{},:\"\\\\0-9eE.+ -]",
        ) {
            let mut damaged = value.to_string();
            let at = damaged.floor_char_boundary(damage.index(damaged.len()));
            damaged.insert_str(at, &by);
            for text in [text, damaged] {
                let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                prop_assert_eq!(Document::parse(&text).is_ok(), expected, "{:?}", text);
            }
        }
    }
}
