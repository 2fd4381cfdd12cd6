//! The worker: tells Shopify what it is owed, and reads what it says.
//!
//! It comes when our own servers call it, signed, and on a schedule. It takes the leases of the stores that have work, answers,
//! and works on. Here is how it comes; [`run`] is what it does for a store. Not here: what is to be done and what an outcome
//! means (`migrations/`), what is asked and how an answer is read (`ordak-core`).

mod alerts;
mod run;
mod shopify;

use std::convert::Infallible;

use ordak_core::error::Error;
use ordak_core::signature::PartnerKeys;
use ordak_core::sync::request::trigger;
use ordak_core::sync::rpc::BeginSync;
use ordak_core::{config, route};
use ordak_edge::{Call, Client, Promise, Reply, Settings, scheduled as on_schedule};
use serde::Serialize;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::{self, JsValue};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

struct Worker {
    keys: PartnerKeys,
    database: Client,
    shopify: config::Shopify,
    /// Itself, to come again.
    own: Option<config::Worker>,
    /// Where people are told of alerts.
    slack: Option<String>,
}

thread_local! {
    static SETTINGS: Settings<Worker> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Worker {
    Worker {
        keys: reader.signing_keys(),
        database: Client::new(&reader.database()),
        shopify: reader.shopify(),
        own: reader.worker(),
        slack: reader.slack(),
    }
}

/// How many stores it works for.
#[derive(Serialize)]
struct Begun {
    run: usize,
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    ordak_edge::run(&route::SYNC_WORKER, &SETTINGS, request, env, context, come).await
}

async fn come(call: &mut Call<Worker>) -> Result<Reply, Error> {
    let worker = call.settings.clone();
    let body = call.body().await?;
    call.verify(&worker.keys, &body)?;
    let trigger = trigger(&body)?;
    let stores = worker.shopify.stores();
    let (leases, answer) = match call.rpc(&worker.database, &BeginSync { trigger, stores: &stores }).await {
        Ok(leases) => (leases.0, Ok(())),
        // Writing may be paused; people are told of alerts all the same.
        Err(error) => (Vec::new(), Err(error)),
    };
    let begun = Begun { run: leases.len() };
    call.wait_until(run::run(worker, trigger, leases));
    answer.map(|()| Reply::json(202, &begun))
}

/// On Workers, as wrangler.toml has it.
#[wasm_bindgen]
pub fn scheduled(_event: JsValue, env: Env, context: JsValue) -> Promise {
    on_schedule(&route::SYNC_WORKER, &SETTINGS, env, context, run::on_schedule)
}
