//! What is asked of the synchronisation over HTTP: bodies and queries, read strictly.

use serde::Serialize;

use crate::error::{Code, Error};
use crate::json::{Document, Json};

/// The most SKUs of one request, and the most characters of a text in it.
const MOST: usize = 100;

/// What is to be synchronised: everything where nothing is named.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// In one store alone.
    pub store: Option<String>,
    /// Items alone that have these SKUs.
    pub skus: Option<Vec<String>>,
    /// Whether every level is read and compared too. (Postgres keeps the word `full` for itself.)
    #[serde(rename = "full_check")]
    pub full: bool,
}

/// Reads what is to be synchronised: an object with `store`, `skus` and `full`, each of which may be left out. A signed
/// one must name the function that it is for.
///
/// # Errors
/// VAL001 with what was expected; AUTH001 where it was signed for another function.
pub fn asked(body: &[u8], signed: bool) -> Result<Asked, Error> {
    let names = ["for", "store", "skus", "full"];
    let document = document(body)?;
    let [target, store, skus, full] = object(document.root(), names, if signed { 0 } else { 1 })?;
    if signed {
        meant_for(target, "sync")?;
    }
    let skus =
        match skus {
            None => None,
            Some(skus) => {
                let skus = skus.items().map(|skus| skus.map(text).collect::<Option<Vec<_>>>());
                let skus = skus.flatten().filter(|skus| (1..=MOST).contains(&skus.len()));
                Some(skus.ok_or_else(|| {
                    invalid("1 to 100 texts of 1 to 100 characters in skus", "something else")
                })?)
            }
        };
    let store = match store {
        None => None,
        Some(store) => Some(text(store).ok_or_else(|| invalid("the code of a store", "something else"))?),
    };
    let full = match full.map(Json::raw) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(invalid("true or false in full", "something else")),
    };
    Ok(Asked { store, skus, full })
}

/// Reads why the worker is to run: `kick` or `schedule`.
///
/// # Errors
/// VAL001 with what was expected; AUTH001 where it was signed for another function.
pub fn trigger(body: &[u8]) -> Result<&'static str, Error> {
    let document = document(body)?;
    let [target, trigger] = object(document.root(), ["for", "trigger"], 0)?;
    meant_for(target, "sync-worker")?;
    match trigger.map(Json::raw) {
        Some("\"kick\"") => Ok("kick"),
        Some("\"schedule\"") => Ok("schedule"),
        _ => Err(invalid("the trigger kick or schedule", "another")),
    }
}

/// Reads which run a query string names: `run_id` alone.
///
/// # Errors
/// VAL001 with what was expected.
pub fn run_id(query: &str) -> Result<&str, Error> {
    let uuid = |id: &&str| {
        let places = [8, 13, 18, 23];
        let right = |(at, byte): (usize, u8)| match places.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        };
        id.len() == 36 && id.bytes().enumerate().all(right)
    };
    let id = query.strip_prefix("run_id=").filter(uuid);
    id.ok_or_else(|| invalid("the parameter run_id alone, with a UUID", "something else"))
}

/// What a kick says.
pub const KICK: &str = r#"{"for":"sync-worker","trigger":"kick"}"#;

fn document(body: &[u8]) -> Result<Document<'_>, Error> {
    let text = std::str::from_utf8(body).ok().and_then(|text| Document::parse(text).ok());
    text.ok_or_else(|| invalid("JSON", "something else").status(400))
}

/// The fields of an object that has these alone, but for the first `but` of them, and each once.
fn object<'a, const N: usize>(
    root: Json<'a>,
    names: [&str; N],
    but: usize,
) -> Result<[Option<Json<'a>>; N], Error> {
    let allowed = names.get(but..).unwrap_or_default();
    let known = |(key, _): (Json<'_>, Json<'_>)| allowed.contains(&&*key.text());
    let fields = root.entries().filter(|_| root.entries().into_iter().flatten().all(known));
    fields.and_then(|_| root.fields(names)).ok_or_else(|| {
        invalid(&format!("an object with {} alone, each at most once", allowed.join(", ")), "another value")
    })
}

fn text(json: Json<'_>) -> Option<String> {
    let text = json.string()?;
    let fits = (1..=MOST).contains(&text.chars().count()) && !text.contains(char::is_control);
    fits.then(|| text.into_owned())
}

/// One secret signs what is for several functions: what was signed for one must not be played to another.
fn meant_for(target: Option<Json<'_>>, function: &str) -> Result<(), Error> {
    match target.and_then(Json::string) {
        Some(target) if target == function => Ok(()),
        _ => {
            let message = format!("expected a request signed for {function}, but found one for another");
            Err(Error::new(Code::AUTH001, message).hint(format!("sign a body with \"for\":\"{function}\"")))
        }
    }
}

fn invalid(expected: &str, found: &str) -> Error {
    Error::new(Code::VAL001, format!("expected {expected}, but found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, signed: bool, expected: Result<Asked, &str>) {
        let found = asked(body.as_bytes(), signed).map_err(|error| error.message);
        assert_eq!(found, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn what_is_asked_is_read() {
        let all = || Asked::default();
        check("{}", false, Ok(all()));
        check(r#"{"store":null,"skus":null,"full":null}"#, false, Ok(all()));
        check(
            r#"{"store":"bannos","skus":["A","B C"],"full":true}"#,
            false,
            Ok(Asked {
                store: Some("bannos".into()),
                skus: Some(vec!["A".into(), "B C".into()]),
                full: true,
            }),
        );
        check(r#"{"for":"sync","full":false}"#, true, Ok(all()));
    }

    #[test]
    fn what_is_asked_otherwise_is_refused() {
        const SKUS: &str = "expected 1 to 100 texts of 1 to 100 characters in skus, but found something else";
        let alone =
            "expected an object with store, skus, full alone, each at most once, but found another value";
        for body in
            ["[]", "1", "null", r#"{"stores":"a"}"#, r#"{"full":true,"full":true}"#, r#"{"for":"sync"}"#]
        {
            check(body, false, Err(alone));
        }
        let many = format!("{{\"skus\":[{}]}}", vec!["\"A\""; 101].join(","));
        let long = format!("{{\"skus\":[\"{}\"]}}", "a".repeat(101));
        for body in [
            "{\"skus\":[]}",
            "{\"skus\":\"A\"}",
            "{\"skus\":[1]}",
            "{\"skus\":[\"\"]}",
            "{\"skus\":[\"a\\u0000\"]}",
            &many,
            &long,
        ] {
            let escaped = body.replace("\\u0000", "\u{7f}");
            check(&escaped, false, Err(SKUS));
        }
        check(r#"{"store":1}"#, false, Err("expected the code of a store, but found something else"));
        check(r#"{"full":"yes"}"#, false, Err("expected true or false in full, but found something else"));
        check("", false, Err("expected JSON, but found something else"));
        check("{", false, Err("expected JSON, but found something else"));
        for body in ["{}", r#"{"for":"sync-worker"}"#, r#"{"for":null}"#] {
            assert_eq!(
                asked(body.as_bytes(), true).map_err(|error| error.code),
                Err(Code::AUTH001),
                "{body}"
            );
        }
    }

    #[test]
    fn a_trigger_is_read() {
        assert_eq!(trigger(KICK.as_bytes()), Ok("kick"));
        assert_eq!(trigger(br#"{"trigger":"schedule","for":"sync-worker"}"#), Ok("schedule"));
        for (body, code) in [
            (r#"{"for":"sync","trigger":"kick"}"#, Code::AUTH001),
            (r#"{"trigger":"kick"}"#, Code::AUTH001),
            (r#"{"for":"sync-worker"}"#, Code::VAL001),
            (r#"{"for":"sync-worker","trigger":"manual"}"#, Code::VAL001),
            (r#"{"for":"sync-worker","trigger":"kick","more":1}"#, Code::VAL001),
            ("nonsense", Code::VAL001),
        ] {
            assert_eq!(trigger(body.as_bytes()).map_err(|error| error.code), Err(code), "{body}");
        }
    }

    #[test]
    fn a_run_is_named_by_its_id_alone() {
        let id = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
        assert_eq!(run_id(&format!("run_id={id}")), Ok(id));
        for query in [
            "",
            "run_id=",
            "run_id=6f9619ff",
            &format!("run_id={id}&a"),
            &format!("id={id}"),
            &format!("run_id={}", id.replace('-', "0")),
        ] {
            assert_eq!(run_id(query).map_err(|error| error.code), Err(Code::VAL001), "{query}");
        }
    }
}
