//! What the worker says to the database, and what it is answered.

use serde::Serialize;

use super::request::Asked;
use super::work::{Report, Work};
use crate::json::Json;
use crate::rpc::{Answer, Rpc};

/// Takes the leases of the stores that have work.
#[derive(Debug, Serialize)]
pub struct BeginSync<'a> {
    /// What made it run: `schedule` or `kick`.
    pub trigger: &'a str,
    /// The codes of the stores that it has a token for.
    pub stores: &'a [&'a str],
}

impl Rpc for BeginSync<'_> {
    const NAME: &'static str = "begin_sync";
    type Answer = Leases;
}

/// The leases that were taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Leases(pub Vec<Lease>);

/// The sole right to work on a store, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The code of the store.
    pub store: String,
    /// Its `myshopify.com` domain.
    pub shop_domain: String,
    /// What the lease is known by.
    pub lease: String,
    /// Of which run it is.
    pub run_id: String,
}

impl Answer for Leases {
    fn read(json: Json<'_>) -> Option<Leases> {
        let lease = |row: Json<'_>| {
            let fields = row.fields(["store", "shop_domain", "lease", "run_id"])?;
            let [store, shop_domain, lease, run_id] = fields.map(|field| Some(field?.string()?.into_owned()));
            Some(Lease { store: store?, shop_domain: shop_domain?, lease: lease?, run_id: run_id? })
        };
        Some(Leases(json.items()?.map(lease).collect::<Option<_>>()?))
    }
}

/// Asks for a piece of work.
#[derive(Debug, Serialize)]
pub struct ClaimWork<'a> {
    /// The code of the store.
    pub store: &'a str,
    /// The lease.
    pub lease: &'a str,
}

impl Rpc for ClaimWork<'_> {
    const NAME: &'static str = "claim_work";
    type Answer = Work;
}

/// Reports a piece of work, and asks for the next.
#[derive(Debug, Serialize)]
pub struct FinishWork<'a> {
    /// The code of the store.
    pub store: &'a str,
    /// The lease.
    pub lease: &'a str,
    /// What became of it.
    pub result: &'a Report,
}

impl Rpc for FinishWork<'_> {
    const NAME: &'static str = "finish_work";
    type Answer = Work;
}

/// Gives a lease back; true where more came meanwhile and the lease is kept.
#[derive(Debug, Serialize)]
pub struct EndSync<'a> {
    /// The code of the store.
    pub store: &'a str,
    /// The lease.
    pub lease: &'a str,
    /// `done`, `left` where the time was over, or `failed`.
    pub outcome: &'a str,
    /// For a person.
    pub note: Option<&'a str>,
}

impl Rpc for EndSync<'_> {
    const NAME: &'static str = "end_sync";
    type Answer = bool;
}

/// Has Shopify told what it is owed, as a person who has logged in.
#[derive(Debug, Serialize)]
pub struct RequestSync<'a>(pub &'a Asked);

impl Rpc for RequestSync<'_> {
    const NAME: &'static str = "request_sync";
    type Answer = Written;
}

/// The same as the service.
#[derive(Debug, Serialize)]
pub struct RequestSyncService<'a>(pub &'a Asked);

impl Rpc for RequestSyncService<'_> {
    const NAME: &'static str = "request_sync_service";
    type Answer = Written;
}

/// Asks how a run stands, as a person who has logged in.
#[derive(Debug, Serialize)]
pub struct GetSyncRun<'a> {
    /// Which one.
    pub run_id: &'a str,
}

impl Rpc for GetSyncRun<'_> {
    const NAME: &'static str = "get_sync_run";
    type Answer = Written;
}

/// The same as the service.
#[derive(Debug, Serialize)]
pub struct GetSyncRunService<'a> {
    /// Which one.
    pub run_id: &'a str,
}

impl Rpc for GetSyncRunService<'_> {
    const NAME: &'static str = "get_sync_run_service";
    type Answer = Written;
}

/// An object as the database wrote it.
#[derive(Debug, PartialEq, Eq)]
pub struct Written(pub String);

impl Answer for Written {
    fn read(json: Json<'_>) -> Option<Written> {
        json.entries().map(|_| Written(json.raw().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    #[test]
    fn leases_are_read_whole_or_not_at_all() {
        let read = |text: &str| Leases::read(Document::parse(text).unwrap().root());
        let row =
            r#"{"store":"bannos","shop_domain":"b.myshopify.com","location":71,"lease":"l","run_id":"r"}"#;
        let lease = Lease {
            store: "bannos".into(),
            shop_domain: "b.myshopify.com".into(),
            lease: "l".into(),
            run_id: "r".into(),
        };
        assert_eq!(read(&format!("[{row},{row}]")), Some(Leases(vec![lease.clone(), lease])));
        assert_eq!(read("[]"), Some(Leases(Vec::new())));
        assert_eq!(read(&format!("[{row},{{}}]")), None);
        assert_eq!(read("null"), None);
    }
}
