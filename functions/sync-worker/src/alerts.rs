//! Tells people in Slack what the database finds that they must know. Not here: what that is (`migrations/`), how it is
//! put (`ordak_core::slack`).

use ordak_core::error::Error;
use ordak_core::rpc::{AlertsDeferred, AlertsSent, ClaimAlerts};
use ordak_core::slack::message;
use ordak_edge::{Client, post};

/// How long the database, and Slack, may take to answer, in ms.
const TIMEOUT_MS: u32 = 4000;

/// The longest pause that is kept, in seconds; the database counts a longer one as no more.
const LONGEST: u32 = 3_600;

/// How many messages are sent at the most; what is left then, the next run tells.
const MESSAGES: usize = 4;

/// Sends what is to be told to an incoming webhook; without one nothing is claimed, and people see the alerts in
/// `list_alerts` alone.
///
/// Never fails, for work with Shopify must go on: what could not be sent is claimed again by a later run. Answers with
/// what went wrong, for the log.
pub(crate) async fn send(database: &Client, url: Option<&str>) -> Option<String> {
    let url = url?;
    for _ in 0..MESSAGES {
        match send_some(database, url).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return Some(error),
        }
    }
    None
}

/// Sends one message. False where there was nothing to tell.
async fn send_some(database: &Client, url: &str) -> Result<bool, String> {
    let claimed = database.rpc(&ClaimAlerts {}, TIMEOUT_MS).await.map_err(|error| said(&error))?;
    let Some(token) = claimed.token else { return Ok(false) };
    let answer = post(url, &message(&claimed.alerts), TIMEOUT_MS).await;
    match answer {
        Ok(posted) if (200..300).contains(&posted.status) => {
            database.rpc(&AlertsSent { token: &token }, TIMEOUT_MS).await.map_err(|error| said(&error))?;
            Ok(true)
        }
        Ok(posted) => {
            if let Some(seconds) = posted.retry_after {
                let deferred = AlertsDeferred { token: &token, seconds: seconds.min(LONGEST) };
                database.rpc(&deferred, TIMEOUT_MS).await.map_err(|error| said(&error))?;
            }
            Err(format!("slack: status {}", posted.status))
        }
        Err(thrown) => Err(format!("slack: {thrown}")),
    }
}

fn said(error: &Error) -> String {
    format!("slack: {} {}", error.code.as_str(), error.log.as_deref().unwrap_or(&error.message))
}
