//! The push: what Shopify is owed, and what it says to it.

use super::answer::words;
use super::work::{Outcome, UserError};
use super::{Document, Next, Request, Unreadable, document};
use crate::json::{self, Json};

const ADJUST: Document = document!("AdjustQuantities");

/// A push that was sent.
#[derive(Debug)]
pub struct Push {
    /// How many listings it changes.
    pub(super) changes: usize,
}

impl Push {
    pub(super) fn begin(variables: &str) -> (Push, Request) {
        let changes = |json: Json<'_>| Some(json.field("input")?.field("changes")?.items()?.count());
        let changes = json::Document::parse(variables).ok().and_then(|text| changes(text.root()));
        let changes = changes.unwrap_or_default();
        (Push { changes }, Request::new(&ADJUST, 10, variables))
    }

    pub(super) fn take(data: Json<'_>, at: &str) -> Result<Next, Unreadable> {
        let payload = data.field("inventoryAdjustQuantities");
        let errors = payload.and_then(|payload| payload.field("userErrors")).and_then(Json::items);
        // Without the list nobody knows whether it happened.
        let errors: Vec<_> = errors.ok_or(Unreadable("a push without its errors"))?.map(user_error).collect();
        let said = |code: &str| errors.iter().find(|error| error.code == code);
        Ok(Next::Done(if errors.is_empty() {
            Outcome::Pushed { at: at.to_owned() }
        } else if said("IDEMPOTENCY_CONCURRENT_REQUEST").is_some() {
            Outcome::Concurrent
        } else if let Some(error) = said("IDEMPOTENCY_KEY_PARAMETER_MISMATCH") {
            Outcome::Uncertain { reason: format!("{}: {}", error.code, error.message) }
        } else if said("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED").is_some() {
            Outcome::Void
        } else {
            Outcome::Rejected(errors)
        }))
    }
}

fn user_error(error: Json<'_>) -> UserError {
    // As in ["input", "changes", "3", "inventoryItemId"].
    let mut field = error.field("field").and_then(Json::items).into_iter().flatten().map(Json::text);
    let index = field.any(|part| part == "changes").then(|| field.next()).flatten();
    UserError {
        index: index.and_then(|index| index.parse().ok()),
        code: error.field("code").and_then(Json::string).map(Into::into).unwrap_or_default(),
        message: words(error),
    }
}
