//! What the functions say to Postgres and what it answers: one type for each argument and result.
//!
//! The field names are the JSON keys that the SQL functions in schema `api` read and return. Not here: how
//! a call travels (`ordak-edge`) and what the database does with it (`migrations/`).

use std::borrow::Cow;

use serde::Serialize;

use crate::body::is_true;
use crate::content::Content;
use crate::inventory::Asked;
use crate::json::Json;
use crate::order::partner::PartnerOrder;
use crate::signature::Verified;
use crate::slack::Alert;

/// A webhook delivery, as its headers and its signature describe it. Only the digest and `secret_store`
/// are proven; the rest are hints that the database cross-checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery<'a> {
    /// Shopify's id of the delivery, stable over its retries; the digest where the header is missing.
    pub webhook_id: Cow<'a, str>,
    /// The topic, as `orders/create`.
    pub topic: &'a str,
    /// The store's `myshopify.com` domain, lower case.
    pub shop_domain: &'a str,
    /// The code of the store whose own secret signed the body; none for the shared secret.
    pub secret_store: Option<&'a str>,
    /// The signature in hex: a keyed digest of the body.
    pub body_digest: String,
    /// Shared by all deliveries of one action: for correlation.
    pub event_id: Option<&'a str>,
    /// When Shopify says that it happened, for measuring how late it is.
    pub triggered_at: Option<&'a str>,
    /// The API version that the body was rendered in.
    pub api_version: Option<&'a str>,
}

impl<'a> Delivery<'a> {
    /// The delivery of a verified body, with the headers still to be filled in.
    pub fn new(verified: Verified<'a>, topic: &'a str, shop_domain: &'a str) -> Delivery<'a> {
        let body_digest = hex(&verified.digest);
        Delivery {
            webhook_id: Cow::Owned(body_digest.clone()),
            topic,
            shop_domain,
            secret_store: verified.store,
            body_digest,
            event_id: None,
            triggered_at: None,
            api_version: None,
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect()
}

/// What an RPC may answer.
pub trait Answer: Sized {
    /// Reads it; none where the answer has another shape.
    fn read(json: Json<'_>) -> Option<Self>;
}

/// An RPC: its name, its arguments (which serialize to the JSON body) and its answer.
pub trait Rpc: Serialize {
    /// The SQL function's name in schema `api`.
    const NAME: &'static str;
    /// What it answers.
    type Answer: Answer;
}

/// Takes a delivery: records it, and does what it says, unless that is done already.
#[derive(Debug, Serialize)]
pub struct Ingest<'a> {
    /// The delivery.
    pub delivery: &'a Delivery<'a>,
    /// What it says.
    pub content: &'a Content,
}

impl Rpc for Ingest<'_> {
    const NAME: &'static str = "ingest";
    type Answer = Ingested;
}

/// Keeps a delivery that cannot be taken, with the reason, for a person: sending it again cannot help.
#[derive(Debug, Serialize)]
pub struct RejectDelivery<'a> {
    /// The delivery.
    pub delivery: &'a Delivery<'a>,
    /// Why, for a person.
    pub reason: &'a str,
    /// The raw body in base64, since it may not even be text.
    pub body: &'a str,
    /// What was made of it, where it could be read.
    pub content: Option<&'a Content>,
}

impl Rpc for RejectDelivery<'_> {
    const NAME: &'static str = "reject_delivery";
    type Answer = Ingested;
}

/// Takes an order that a partner sent, unless it is there already.
#[derive(Debug, Serialize)]
pub struct CreateOrder<'a> {
    /// The order.
    pub content: &'a PartnerOrder,
    /// What the request was signed with, by which it is known where nothing else names it.
    pub request_id: &'a str,
}

impl Rpc for CreateOrder<'_> {
    const NAME: &'static str = "create_order";
    type Answer = Ingested;
}

/// What became of a delivery, or of a partner's order; written as the sender is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ingested {
    /// The code of the store.
    #[serde(skip)]
    pub store: String,
    /// The readable id of the order (`bannos-25771`); none where there is no order.
    pub order_id: Option<String>,
    /// `created`, `updated`, `skipped`, `recorded`, `ignored` or `rejected`.
    pub status: String,
    /// The same for a person.
    pub message: String,
    /// Whether Shopify is owed something by now.
    #[serde(skip)]
    pub dirty: bool,
}

impl Ingested {
    /// Whether it was kept for a person to look at.
    pub fn dead_letter(&self) -> bool {
        self.status == "rejected"
    }

    /// The order's number, which stands behind the store in its id.
    pub fn number(&self) -> Option<i64> {
        self.order_id.as_deref()?.strip_prefix(&*self.store)?.strip_prefix('-')?.parse().ok()
    }
}

impl Answer for Ingested {
    fn read(json: Json<'_>) -> Option<Ingested> {
        let fields = json.fields(["store", "order_id", "status", "message"])?;
        let [store, order_id, status, message] = fields.map(|field| Some(field?.string()?.into_owned()));
        let dirty = is_true(json.field("dirty"));
        Some(Ingested { store: store?, order_id, status: status?, message: message?, dirty })
    }
}

/// Asks what can be sold of items, as a person who has logged in.
#[derive(Debug, Serialize)]
pub struct GetInventory<'a>(pub &'a Asked);

impl Rpc for GetInventory<'_> {
    const NAME: &'static str = "get_inventory";
    type Answer = Rows;
}

/// The same as the service.
#[derive(Debug, Serialize)]
pub struct Inventory<'a>(pub &'a Asked);

impl Rpc for Inventory<'_> {
    const NAME: &'static str = "inventory";
    type Answer = Rows;
}

/// Rows as the database wrote them: a decimal that is not read stays exact.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows(Vec<String>);

impl Rows {
    /// All of them as a list, or the only one as it is.
    pub fn body(&self, list: bool) -> String {
        let rows = self.0.join(",");
        if list { ["[", &rows, "]"].concat() } else { rows }
    }
}

impl Answer for Rows {
    fn read(json: Json<'_>) -> Option<Rows> {
        Some(Rows(json.items()?.map(|row| row.raw().to_owned()).collect()))
    }
}

/// Claims what people are to be told: alerts, and that they are over.
#[derive(Debug, Serialize)]
pub struct ClaimAlerts {}

impl Rpc for ClaimAlerts {
    const NAME: &'static str = "claim_alerts";
    type Answer = ClaimedAlerts;
}

/// Alerts to tell, and the token to confirm them with; none of either where there is nothing to tell.
#[derive(Debug, PartialEq, Eq)]
pub struct ClaimedAlerts {
    /// The token.
    pub token: Option<String>,
    /// The alerts, oldest first.
    pub alerts: Vec<Alert>,
}

impl Answer for ClaimedAlerts {
    fn read(json: Json<'_>) -> Option<ClaimedAlerts> {
        let [token, alerts] = json.fields(["token", "alerts"])?;
        let token = token.and_then(Json::string).map(Cow::into_owned);
        Some(ClaimedAlerts { token, alerts: alerts?.items()?.map(Alert::read).collect::<Option<_>>()? })
    }
}

/// Says that people were told of the alerts claimed under a token.
#[derive(Debug, Serialize)]
pub struct AlertsSent<'a> {
    /// The token.
    pub token: &'a str,
}

impl Rpc for AlertsSent<'_> {
    const NAME: &'static str = "alerts_sent";
    type Answer = u32;
}

/// Says that they were not, and that nothing may be sent for a while.
#[derive(Debug, Serialize)]
pub struct AlertsDeferred<'a> {
    /// The token.
    pub token: &'a str,
    /// For how long.
    pub seconds: u32,
}

impl Rpc for AlertsDeferred<'_> {
    const NAME: &'static str = "alerts_deferred";
    type Answer = bool;
}

impl Answer for u32 {
    fn read(json: Json<'_>) -> Option<u32> {
        json.raw().parse().ok()
    }
}

/// Asks the database whether it is there, migrated and willing; it says how the worker's schedule is.
#[derive(Debug, Serialize)]
pub struct Ready {}

impl Rpc for Ready {
    const NAME: &'static str = "ready";
    type Answer = String;
}

impl Answer for String {
    fn read(json: Json<'_>) -> Option<String> {
        json.string().map(Cow::into_owned)
    }
}

impl Answer for bool {
    fn read(json: Json<'_>) -> Option<bool> {
        match json.raw() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}
