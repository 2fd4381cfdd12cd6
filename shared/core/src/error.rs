//! What can go wrong, by code: the one table of codes, HTTP statuses and the body that carries them.
//!
//! The body is the one PostgREST uses, `{code, message, details, hint}`, so that a caller meets the same
//! thing from a function and from the database. Messages are for the caller; what only an operator may
//! know goes to the log, in [`Error::log`].

use std::borrow::Cow;

use serde::Serialize;

use crate::body::FieldError;
use crate::json::Json;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $status:literal;)+) => {
        /// The stable name of what went wrong; a client branches on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[allow(clippy::upper_case_acronyms)]
        pub enum Code { $($(#[doc = $doc])+ $code,)+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$(Code::$code,)+];

            /// The HTTP status that the code is answered with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$code => $status,)+ }
            }

            /// The code as it is written on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code),)+ }
            }

            /// The code of that name.
            pub fn parse(name: &str) -> Option<Code> {
                Code::ALL.iter().copied().find(|code| code.as_str() == name)
            }
        }
    };
}

codes! {
    /// Order not found.
    ORD001 = 404;
    /// Invalid stage transition: a contradiction, not a repeat.
    ORD002 = 409;
    /// Already completed or cancelled.
    ORD003 = 409;
    /// Invalid order data.
    ORD004 = 422;
    /// Idempotency key, or order number, already used with other content.
    ORD005 = 409;
    /// Changed by somebody else meanwhile.
    ORD006 = 409;
    /// Insufficient stock.
    INV001 = 409;
    /// Component not found.
    INV002 = 404;
    /// Invalid stock change.
    INV003 = 422;
    /// Unauthorized: we do not know who is asking.
    AUTH001 = 401;
    /// Forbidden for this role or store.
    AUTH002 = 403;
    /// Shopify sync failed.
    SYNC001 = 502;
    /// Webhook rejected: a recorded reason; its sender is answered 200 because sending it again cannot help.
    SYNC002 = 200;
    /// Invalid input.
    VAL001 = 422;
    /// Upstream unavailable: the same request succeeds later.
    SYS001 = 503;
    /// Timeout (answered 503 to Shopify).
    SYS002 = 504;
    /// Misconfigured.
    SYS003 = 500;
    /// Paused by an operator.
    SYS004 = 503;
    /// Internal error: the function crashed on this request.
    SYS005 = 500;
}

/// A failure with everything both sides need: the caller's part and the operator's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// The HTTP status; the code's own unless the protocol asks for a finer one (405, 413).
    pub status: u16,
    /// What was found and what was expected, for the caller.
    pub message: String,
    /// More of it, for the caller.
    pub details: Option<Details>,
    /// What to do next, for the caller.
    pub hint: Option<String>,
    /// For the log only: never sent to the caller, and never with a secret or a person's data in it.
    pub log: Option<String>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
}

/// More of a failure: a text, as PostgREST has it, or every field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// In words.
    Text(String),
    /// A list of `{path, expected}`.
    Fields(Vec<FieldError>),
}

/// The error body of the wire, ours and PostgREST's.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    /// See [`Code`]; PostgREST's own codes (`PGRST…`, SQLSTATEs) stand here too.
    pub code: Cow<'a, str>,
    /// See [`Error::message`].
    pub message: Cow<'a, str>,
    /// See [`Error::details`].
    pub details: Option<Cow<'a, Details>>,
    /// See [`Error::hint`].
    pub hint: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    /// The body that a value is; none where it is another.
    pub fn read(json: Json<'a>) -> Option<Body<'a>> {
        let fields = json.fields(["code", "message", "details", "hint"])?;
        let [code, message, details, hint] = fields.map(|field| field.map(Json::text));
        let details = details.map(|text| Cow::Owned(Details::Text(text.into_owned())));
        Some(Body { code: code?, message: message?, details, hint })
    }
}

impl Error {
    /// An error with the code's own status.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error {
            code,
            status: code.status(),
            message: message.into(),
            details: None,
            hint: None,
            log: None,
            // Unavailable, timed out, paused: all pass, so a caller is told when to come back.
            retry_after: matches!(code, Code::SYS001 | Code::SYS002 | Code::SYS004).then_some(5),
        }
    }

    /// The same with a finer HTTP status.
    pub fn status(self, status: u16) -> Error {
        Error { status, ..self }
    }

    /// The same with what the caller should do next.
    pub fn hint(self, hint: impl Into<String>) -> Error {
        Error { hint: Some(hint.into()), ..self }
    }

    /// The same with what only the log may say.
    pub fn log(self, log: impl Into<String>) -> Error {
        Error { log: Some(log.into()), ..self }
    }

    /// The JSON body for the caller.
    pub fn body(&self) -> String {
        let body = Body {
            code: self.code.as_str().into(),
            message: self.message.as_str().into(),
            details: self.details.as_ref().map(Cow::Borrowed),
            hint: self.hint.as_deref().map(Into::into),
        };
        // Strings and lists of them always serialize; were it otherwise, the code alone is still true.
        serde_json::to_string(&body).unwrap_or_else(|_| format!(r#"{{"code":"{}"}}"#, self.code.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_written() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
        assert_eq!(Code::parse("PGRST202"), None);
    }

    #[test]
    fn the_body_has_the_four_fields_and_keeps_the_log_to_itself() {
        let error = Error::new(Code::SYS003, "not configured").log("SHOPIFY_WEBHOOK_SECRET is missing");
        assert_eq!(
            error.body(),
            r#"{"code":"SYS003","message":"not configured","details":null,"hint":null}"#
        );
        assert_eq!(error.status, 500);
    }

    #[test]
    fn what_passes_by_itself_says_when_to_come_back() {
        assert_eq!(Error::new(Code::SYS001, "").retry_after, Some(5));
        assert_eq!(Error::new(Code::AUTH001, "").retry_after, None);
    }
}
