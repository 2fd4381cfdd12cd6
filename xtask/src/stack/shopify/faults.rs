//! What goes wrong at Shopify when it is told to: answers that are no answers, and answers that do not arrive.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch::Receiver;

use super::inventory::UserErrorCode;

/// A fault that a shop has: which calls it befalls, and how often.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// How many calls it befalls; all of them, until it is cleared, where nothing is said.
    #[serde(default)]
    pub times: Option<u32>,
    /// Only calls that select this field of the root, as `inventoryAdjustQuantities`.
    #[serde(default)]
    pub operation: Option<String>,
    /// Only calls that name this inventory item.
    #[serde(default)]
    pub inventory_item: Option<i64>,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum FaultKind {
    /// It is answered so before anything is done.
    Status {
        /// The HTTP status.
        status: u16,
        /// The seconds of its `Retry-After`.
        retry_after: Option<u64>,
    },
    /// It is throttled, whatever the bucket holds.
    Throttled,
    /// It takes so long, or until the faults are cleared, and is done then, whether or not the caller still waits.
    Slow {
        /// How many ms.
        ms: u64,
    },
    /// Nothing is done, and the connection is cut after so long, or once the faults are cleared.
    Hang {
        /// How many ms.
        ms: u64,
    },
    /// The connection is cut, and nothing is done.
    CutBefore,
    /// It is done, and the connection is cut before the answer.
    CutAfter,
    /// It is done, and answered with 500 as if it were not.
    FailAfter,
    /// A mutation is answered with a user error, named by the index of the inventory item where one is told.
    UserError {
        /// The error's code.
        code: UserErrorCode,
    },
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Fault {
        Fault { kind, times: None, operation: None, inventory_item: None }
    }
}

impl Fault {
    /// Answers with an HTTP status.
    pub fn status(status: u16) -> Fault {
        FaultKind::Status { status, retry_after: None }.into()
    }

    /// The same for so many calls only.
    pub fn times(self, times: u32) -> Fault {
        Fault { times: Some(times), ..self }
    }

    /// The same for calls of one operation only.
    pub fn of(self, operation: &str) -> Fault {
        Fault { operation: Some(operation.into()), ..self }
    }

    /// The same for calls that name an inventory item only.
    pub fn item(self, inventory_item: i64) -> Fault {
        Fault { inventory_item: Some(inventory_item), ..self }
    }

    fn befalls(&self, operations: &[String], text: &str) -> bool {
        let named = |item: i64| {
            let gid = format!("gid://shopify/InventoryItem/{item}");
            // The digits of a longer id begin in the same way.
            text.match_indices(&gid)
                .any(|(at, gid)| !text[at + gid.len()..].starts_with(|next: char| next.is_ascii_digit()))
        };
        self.operation.as_ref().is_none_or(|operation| operations.contains(operation))
            && self.inventory_item.is_none_or(named)
    }
}

/// Takes the first fault that befalls a call of these operations whose variables and query are `text`.
pub(super) fn strike(faults: &mut Vec<Fault>, operations: &[String], text: &str) -> Option<Fault> {
    let index = faults.iter().position(|fault| fault.befalls(operations, text))?;
    let fault = faults[index].clone();
    if let Some(times) = &mut faults[index].times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            faults.remove(index);
        }
    }
    Some(fault)
}

/// A time to wait, which ends early where the faults are cleared.
pub(super) struct Pause {
    pub(super) ms: u64,
    pub(super) cleared: Receiver<()>,
}

impl Pause {
    pub(super) async fn wait(&self) {
        let mut cleared = self.cleared.clone();
        // Nobody clears them any more where their shop is gone: that is an end, too.
        let _ = tokio::time::timeout(Duration::from_millis(self.ms), cleared.changed()).await;
    }
}
