//! `GET /api/health`: whether this deployment lives and, with `?ready`, whether it can work.
//!
//! Open to anyone, so it says nothing but that. Not here: monitoring; what it answers is for load
//! balancers and for an operator's first look.

use std::convert::Infallible;

use ordak_core::error::Error;
use ordak_core::{config, route, rpc};
use ordak_edge::{Call, Client, Reply, Settings, run};
use serde::Serialize;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

thread_local! {
    static SETTINGS: Settings<Client> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Client {
    Client::new(&reader.database())
}

#[derive(Serialize)]
struct Health {
    ok: bool,
    version: &'static str,
    /// How the worker's schedule is. Orders are taken without it, so it makes nobody unready.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    run(&route::HEALTH, &SETTINGS, request, env, context, health).await
}

/// A database that is down or not migrated is the error that the call gives: 503, try again.
async fn health(call: &mut Call<Client>) -> Result<Reply, Error> {
    let schedule = match call.has_query("ready") {
        true => Some(call.rpc(&call.settings.clone(), &rpc::Ready {}).await?),
        false => None,
    };
    Ok(Reply::json(200, &Health { ok: true, version: env!("CARGO_PKG_VERSION"), schedule }))
}
