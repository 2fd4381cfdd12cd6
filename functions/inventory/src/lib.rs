//! `GET /api/v1/inventory`: what can be sold of items.
//!
//! Whose request it is, what it asks for, one RPC, answer. Staff come with their login, which is passed on, for the
//! database to know it from any other token. Our own servers sign the request's target. Not here: what can be sold
//! (`migrations/`).

use std::convert::Infallible;

use ordak_core::error::Error;
use ordak_core::rpc::{GetInventory, Inventory};
use ordak_core::signature::PartnerKeys;
use ordak_core::{config, inventory, route};
use ordak_edge::{Call, Client, Reply, Settings, run};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

struct Stock {
    keys: PartnerKeys,
    /// As which signed requests are answered.
    service: Client,
    /// What those are answered through who come with a login.
    browser: Client,
}

thread_local! {
    static SETTINGS: Settings<Stock> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Stock {
    Stock {
        keys: reader.signing_keys(),
        service: Client::new(&reader.database()),
        browser: Client::new(&reader.browser()),
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    run(&route::INVENTORY, &SETTINGS, request, env, context, answer).await
}

async fn answer(call: &mut Call<Stock>) -> Result<Reply, Error> {
    let settings = call.settings.clone();
    let target = format!("GET {}?{}", route::INVENTORY.function, call.query());
    let person = call.person(&settings.keys, target.as_bytes(), &settings.browser)?;
    let asked = inventory::read(call.query())?;
    let rows = match person {
        Some(client) => call.rpc(&client, &GetInventory(&asked)).await?,
        None => call.rpc(&settings.service, &Inventory(&asked)).await?,
    };
    let body = rows.body(asked.several());
    call.store = asked.store;
    Ok(call.tagged(body))
}
