//! The RPC client: one POST to PostgREST, a typed answer or an error with its code.
//!
//! A thin client of our own on the host's `fetch`: the `postgrest` crate would double the module's size.
//! Not here: which RPC is called when.

use std::borrow::Cow;

use js_sys::{Object, Uint8Array};
use ordak_core::config;
use ordak_core::error::{Body, Code, Error};
use ordak_core::json::Document;
use ordak_core::rpc::{Answer as _, Rpc};
use wasm_bindgen::JsValue;

use crate::host::{self, post, set};

/// Calls RPCs, as the service or as a person.
pub struct Client {
    base: String,
    headers: Object,
    /// The error where the database does not accept who calls.
    unaccepted: fn(String) -> Error,
}

impl Client {
    /// A client for the project that the settings name.
    pub fn new(database: &config::Database) -> Client {
        let headers = Object::new();
        let fixed = [
            ("accept", "application/json"),
            ("content-type", "application/json"),
            ("content-profile", "api"),
        ];
        let fixed = fixed.map(|(name, value)| (name, value.to_owned()));
        for (name, value) in fixed.into_iter().chain(database.credentials()) {
            set(&headers, name, &value.into());
        }
        Client { base: format!("{}/rest/v1/rpc/", database.url), headers, unaccepted: not_configured }
    }

    /// The same as the person whose `Authorization` this is. Whether it is one, the database says.
    pub fn of_person(&self, authorization: &str) -> Client {
        let headers = Object::assign(&Object::new(), &self.headers);
        set(&headers, "authorization", &authorization.into());
        Client { base: self.base.clone(), headers, unaccepted: not_logged_in }
    }

    /// Calls an RPC and waits at most `timeout_ms` for the whole answer.
    ///
    /// # Errors
    /// The database's own error where it raised one of ours; ORD004 where it refused the data; SYS001 and
    /// SYS002 where the same call may succeed later; where it does not accept us SYS003, and a person AUTH001.
    pub async fn rpc<R: Rpc>(&self, rpc: &R, timeout_ms: u32) -> Result<R::Answer, Error> {
        // RPCs are plain structs, which always serialize.
        let arguments = serde_json::to_vec(rpc).unwrap_or_default();
        let text = self.call(R::NAME, &arguments, timeout_ms).await?;
        let answer = Document::parse(&text).ok().and_then(|answer| R::Answer::read(answer.root()));
        answer
            .ok_or_else(|| Error::new(Code::SYS001, "the database's answer was not understood").log(R::NAME))
    }

    /// Not generic: what is sent and answered is text here, so that all RPCs share the code.
    async fn call(&self, name: &str, arguments: &[u8], timeout_ms: u32) -> Result<String, Error> {
        let arguments: JsValue = Uint8Array::from(arguments).into();
        match post(&[&self.base, name].concat(), &self.headers, &arguments, timeout_ms).await {
            Ok((response, text)) => match response.status() {
                status @ 400.. => Err(refused(self.unaccepted, status, &text)),
                _ => Ok(text),
            },
            Err(thrown) => Err(failed(&thrown)),
        }
    }
}

/// The error of a call that got no answer.
fn failed(thrown: &JsValue) -> Error {
    let (name, message) = host::exception(thrown);
    if name == "TimeoutError" {
        return Error::new(Code::SYS002, "the database did not answer in time").log("timed out");
    }
    Error::new(Code::SYS001, "the database cannot be reached").log(format!("{name}: {message}"))
}

/// The error of a call that was answered with one. The database's words go to the caller only where they
/// are ours: PostgREST's and Postgres' own may quote data, so of them the log gets the code alone.
fn refused(unaccepted: fn(String) -> Error, status: u16, text: &str) -> Error {
    let answer = Document::parse(text).ok();
    let Some(body) = answer.as_ref().and_then(|answer| Body::read(answer.root())) else {
        let log = format!("status {status}");
        // The gateway in front has no codes: it does not accept our key.
        return if matches!(status, 401 | 403) { not_configured(log) } else { unavailable(log) };
    };
    if let Some(code) = Code::parse(&body.code) {
        let mut error = Error::new(code, body.message).status(status);
        error.details = body.details.map(Cow::into_owned);
        error.hint = body.hint.map(Into::into);
        return error;
    }
    let log = format!("status {status}, code {}", body.code);
    match body.code.as_bytes() {
        // Data exceptions and broken constraints: the same data would be refused again.
        [b'2', b'2' | b'3', ..] if body.code.len() == 5 => {
            Error::new(Code::ORD004, format!("the database refused the data ({})", body.code)).log(log)
        }
        // Our key, or a person's login, is not accepted, or may not do this.
        b"42501" | [b'P', b'G', b'R', b'S', b'T', b'3', ..] => unaccepted(log),
        _ => unavailable(log),
    }
}

fn not_configured(log: String) -> Error {
    Error::new(Code::SYS003, "not configured").log(log)
}

/// It is no token, that of a key, or one that is over.
fn not_logged_in(log: String) -> Error {
    Error::new(Code::AUTH001, "expected somebody who has logged in, but found another")
        .hint("log in")
        .log(log)
}

fn unavailable(log: String) -> Error {
    Error::new(Code::SYS001, "the database is unavailable").log(log)
}
