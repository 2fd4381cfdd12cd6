//! `POST /api/v1/sync`: has Shopify told what it is owed; `GET`: how that stands.
//!
//! Whose request it is, what it asks for, one RPC, answer; then the worker is told. Admins come with their login, which is
//! passed on; our own servers sign the body, or the target of a `GET`. Not here: the work (`sync-worker`), nor what it is
//! (`migrations/`).

use std::convert::Infallible;
use std::rc::Rc;

use ordak_core::error::Error;
use ordak_core::signature::PartnerKeys;
use ordak_core::sync::request::{asked, run_id};
use ordak_core::sync::rpc::{GetSyncRun, GetSyncRunService, RequestSync, RequestSyncService};
use ordak_core::{config, route};
use ordak_edge::{Call, Client, Reply, Settings, run};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

struct Sync {
    keys: PartnerKeys,
    /// As which signed requests are answered.
    service: Client,
    /// What those are answered through who come with a login.
    browser: Client,
    worker: Option<Rc<config::Worker>>,
}

thread_local! {
    static SETTINGS: Settings<Sync> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Sync {
    Sync {
        keys: reader.signing_keys(),
        service: Client::new(&reader.database()),
        browser: Client::new(&reader.browser()),
        worker: reader.worker().map(Rc::new),
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    run(&route::SYNC, &SETTINGS, request, env, context, answer).await
}

async fn answer(call: &mut Call<Sync>) -> Result<Reply, Error> {
    let settings = call.settings.clone();
    if call.method() == "GET" {
        let target = format!("GET {}?{}", route::SYNC.function, call.query());
        let person = call.person(&settings.keys, target.as_bytes(), &settings.browser)?;
        let run_id = &run_id(call.query())?.to_owned();
        let run = match person {
            Some(client) => call.rpc(&client, &GetSyncRun { run_id }).await?,
            None => call.rpc(&settings.service, &GetSyncRunService { run_id }).await?,
        };
        return Ok(Reply::written(200, run.0));
    }
    let body = call.body().await?;
    let person = call.person(&settings.keys, &body, &settings.browser)?;
    let asked = asked(&body, person.is_none())?;
    let requested = match person {
        Some(client) => call.rpc(&client, &RequestSync(&asked)).await?,
        None => call.rpc(&settings.service, &RequestSyncService(&asked)).await?,
    };
    call.store = asked.store;
    call.kick(settings.worker.clone());
    Ok(Reply::written(202, requested.0))
}
