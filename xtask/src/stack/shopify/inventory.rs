//! `inventoryAdjustQuantities`: all changes are made, or none; and what was asked for under a key is done once.

use std::collections::HashMap;
use std::time::Duration;

use async_graphql::Enum;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::shop::{Adjustment, Change, ON_HAND, Shop};

/// How long a key is known.
const KEY_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The most and the least that a level can hold.
const MOST: i64 = 2_000_000_000;
const LEAST: i64 = -MOST;

/// The reasons that an app may give.
const REASONS: [&str; 17] = [
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "reservation_deleted",
    "reservation_updated",
    "restock",
    "safety_stock",
    "shrinkage",
];

/// Why an adjustment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(name = "InventoryAdjustQuantitiesUserErrorCode")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "their names are Shopify's")]
pub enum UserErrorCode {
    InternalLedgerDocument,
    InvalidAvailableDocument,
    InvalidInventoryItem,
    InvalidLedgerDocument,
    InvalidLocation,
    InvalidQuantityDocument,
    InvalidQuantityName,
    InvalidQuantityTooLow,
    InvalidQuantityTooHigh,
    InvalidReason,
    InvalidReferenceDocument,
    ServiceUnavailable,
    ChangeFromQuantityStale,
    AdjustQuantitiesFailed,
    MaxOneLedgerDocument,
    ItemNotStockedAtLocation,
    NonMutableInventoryItem,
    IdempotencyConcurrentRequest,
    IdempotencyKeyParameterMismatch,
    IdempotencyPreviousAttemptFailed,
}

impl UserErrorCode {
    fn message(self) -> &'static str {
        match self {
            Self::InvalidInventoryItem => "The specified inventory item could not be found.",
            Self::InvalidLocation => "The specified location could not be found.",
            Self::InvalidQuantityName => "The specified quantity name is invalid.",
            Self::InvalidQuantityTooLow => "The quantity can't be lower than -2,000,000,000.",
            Self::InvalidQuantityTooHigh => "The quantity can't be higher than 2,000,000,000.",
            Self::InvalidReason => "The specified reason is invalid.",
            Self::InvalidReferenceDocument => "The specified reference document is invalid.",
            Self::InvalidAvailableDocument => {
                "A ledger document URI is not allowed when adjusting available."
            }
            Self::ServiceUnavailable => "The service is temporarily unavailable. Try again later.",
            Self::ChangeFromQuantityStale => {
                "The changeFromQuantity argument no longer matches the persisted quantity."
            }
            Self::ItemNotStockedAtLocation => "The inventory item is not stocked at the location.",
            Self::NonMutableInventoryItem => {
                "The specified inventory item is not allowed to be adjusted via API."
            }
            Self::IdempotencyConcurrentRequest => "This request is currently in progress, please try again.",
            Self::IdempotencyKeyParameterMismatch => {
                "The same idempotency key cannot be used with different operation parameters."
            }
            Self::IdempotencyPreviousAttemptFailed => {
                "A previous request with this idempotency key failed. Retry with a new idempotency key."
            }
            _ => "The quantities couldn't be adjusted. Try again.",
        }
    }
}

/// A refusal, and which part of the input it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserError {
    pub(super) code: UserErrorCode,
    pub(super) field: Option<Vec<String>>,
}

impl UserError {
    pub(super) fn unnamed(code: UserErrorCode) -> UserError {
        UserError { code, field: None }
    }

    /// One that names a field of the input.
    fn of(code: UserErrorCode, field: &str) -> UserError {
        UserError { code, field: Some(vec!["input".into(), field.into()]) }
    }

    /// One that names a field of a change.
    pub(super) fn of_change(code: UserErrorCode, index: usize, field: &str) -> UserError {
        let path = ["input", "changes", &index.to_string(), field].map(str::to_owned);
        UserError { code, field: Some(path.to_vec()) }
    }

    pub(super) fn message(&self) -> &'static str {
        self.code.message()
    }
}

/// What was asked for under a key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    at: Timestamp,
    asked: Asked,
    outcome: Outcome,
}

/// What became of what was asked for under a key.
#[derive(Debug, Clone)]
enum Outcome {
    Running,
    Failed,
    Done(Group),
}

/// The input, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) reference: Option<String>,
    pub(super) changes: Vec<AskedChange>,
}

/// A change that is asked for; ids that are of another kind of thing are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AskedChange {
    pub(super) inventory_item: Option<i64>,
    pub(super) location: Option<i64>,
    pub(super) delta: i64,
    /// What must be available before; none opts out of it.
    pub(super) from: Option<i64>,
    pub(super) ledger_document: bool,
}

/// An adjustment that was made.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) id: i64,
    pub(super) at: Timestamp,
    pub(super) reason: String,
    pub(super) reference: Option<String>,
    pub(super) changes: Vec<Change>,
}

/// Takes a key for what is asked for under it. Answers with what was answered already, where it was.
pub(super) fn begin(
    shop: &mut Shop,
    key: &str,
    asked: &Asked,
    now: Timestamp,
) -> Result<Option<Group>, UserError> {
    let known = shop.keys.get(key).filter(|known| now.duration_since(known.at).unsigned_abs() < KEY_LIFE);
    let refused = match known {
        None => {
            let key_of = Key { at: now, asked: asked.clone(), outcome: Outcome::Running };
            shop.keys.insert(key.to_owned(), key_of);
            return Ok(None);
        }
        Some(known) if known.asked != *asked => UserErrorCode::IdempotencyKeyParameterMismatch,
        Some(Key { outcome: Outcome::Running, .. }) => UserErrorCode::IdempotencyConcurrentRequest,
        Some(Key { outcome: Outcome::Failed, .. }) => UserErrorCode::IdempotencyPreviousAttemptFailed,
        Some(Key { outcome: Outcome::Done(group), .. }) => return Ok(Some(group.clone())),
    };
    Err(UserError::unnamed(refused))
}

/// Does what was asked for under a key that was taken for it, or says why not; then nothing is changed.
pub(super) fn finish(
    shop: &mut Shop,
    (key, id): (&str, i64),
    asked: &Asked,
    injected: Option<UserError>,
    now: Timestamp,
) -> Result<Group, Vec<UserError>> {
    let result = match injected {
        Some(error) => Err(vec![error]),
        None => apply(shop, asked, now),
    };
    let result = result.map(|changes| Group {
        id,
        at: now,
        reason: asked.reason.clone(),
        reference: asked.reference.clone(),
        changes,
    });
    if let Some(known) = shop.keys.get_mut(key) {
        known.outcome = result.as_ref().map_or(Outcome::Failed, |group| Outcome::Done(group.clone()));
    }
    if let Ok(group) = &result {
        shop.adjusted(Adjustment {
            at: now,
            shop_domain: shop.domain.clone(),
            key: key.to_owned(),
            reference: group.reference.clone(),
            changes: group.changes.clone(),
        });
    }
    result
}

/// What there would be of each item at each location, after the changes before.
type Running = HashMap<(i64, i64), i64>;

fn apply(shop: &mut Shop, asked: &Asked, now: Timestamp) -> Result<Vec<Change>, Vec<UserError>> {
    check_input(asked).map_err(|error| vec![error])?;
    let mut running = Running::new();
    let (mut changes, mut errors) = (Vec::new(), Vec::new());
    for (index, change) in asked.changes.iter().enumerate() {
        match check_change(shop, change, &mut running) {
            Ok(change) => changes.push(change),
            Err((code, field)) => errors.push(UserError::of_change(code, index, field)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for change in &changes {
        let variant = shop.variants.get_mut(&change.inventory_item);
        if let Some(level) = variant.and_then(|variant| variant.levels.get_mut(&change.location)) {
            level.add(&asked.name, change.delta, now);
        }
    }
    Ok(changes)
}

/// What a change would make of its level, or why it is refused and which of its fields is at fault.
fn check_change(
    shop: &Shop,
    change: &AskedChange,
    running: &mut Running,
) -> Result<Change, (UserErrorCode, &'static str)> {
    if change.ledger_document {
        return Err((UserErrorCode::InvalidAvailableDocument, "ledgerDocumentUri"));
    }
    let variant = change.inventory_item.and_then(|item| shop.variants.get(&item));
    let variant = variant.ok_or((UserErrorCode::InvalidInventoryItem, "inventoryItemId"))?;
    let location = change.location.filter(|location| shop.locations.contains_key(location));
    let location = location.ok_or((UserErrorCode::InvalidLocation, "locationId"))?;
    if !variant.mutable {
        return Err((UserErrorCode::NonMutableInventoryItem, "inventoryItemId"));
    }
    let level = variant.levels.get(&location);
    let level = level.ok_or((UserErrorCode::ItemNotStockedAtLocation, "locationId"))?;
    let now = running
        .entry((variant.inventory_item, location))
        .or_insert_with(|| level.quantity(ON_HAND[0]).unwrap_or_default());
    let (before, after) = (*now, *now + change.delta);
    if change.from.is_some_and(|from| from != before) {
        return Err((UserErrorCode::ChangeFromQuantityStale, "changeFromQuantity"));
    }
    match after {
        ..LEAST => Err((UserErrorCode::InvalidQuantityTooLow, "delta")),
        LEAST..=MOST => {
            *now = after;
            let inventory_item = variant.inventory_item;
            Ok(Change { inventory_item, location, delta: change.delta, before, after })
        }
        _ => Err((UserErrorCode::InvalidQuantityTooHigh, "delta")),
    }
}

/// What is wrong with the input whatever it changes.
fn check_input(asked: &Asked) -> Result<(), UserError> {
    // Other quantities need a ledger's document, which nobody here has.
    if asked.name != ON_HAND[0] {
        return Err(UserError::of(UserErrorCode::InvalidQuantityName, "name"));
    }
    if !REASONS.contains(&asked.reason.as_str()) {
        return Err(UserError::of(UserErrorCode::InvalidReason, "reason"));
    }
    let uri = |text: &String| text.contains("://") && !text.starts_with("gid://shopify/");
    if !asked.reference.as_ref().is_none_or(uri) {
        return Err(UserError::of(UserErrorCode::InvalidReferenceDocument, "referenceDocumentUri"));
    }
    Ok(())
}
