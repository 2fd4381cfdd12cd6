//! `POST /api/v1/orders`: orders that partners' servers send.
//!
//! Verify the signature, read the order, one RPC, answer. Sent again it is the same order, so a partner repeats a
//! request, under the same `webhook-id`, until it is answered with 200 or with what must be put right. Not here: what an
//! order must look like (`ordak-core`) and what it does (`migrations/`).

use std::convert::Infallible;
use std::rc::Rc;

use ordak_core::body::FieldError;
use ordak_core::error::{Code, Details, Error};
use ordak_core::order::partner;
use ordak_core::rpc::CreateOrder;
use ordak_core::signature::PartnerKeys;
use ordak_core::{config, route};
use ordak_edge::{Call, Client, Reply, Settings, run};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

struct Orders {
    keys: PartnerKeys,
    database: Client,
    worker: Option<Rc<config::Worker>>,
}

thread_local! {
    static SETTINGS: Settings<Orders> = const { Settings::new(read) };
}

fn read(reader: &mut config::Reader<'_>) -> Orders {
    Orders {
        keys: reader.orders_keys(),
        database: Client::new(&reader.database()),
        worker: reader.worker().map(Rc::new),
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response, Infallible> {
    run(&route::ORDERS, &SETTINGS, request, env, context, receive).await
}

async fn receive(call: &mut Call<Orders>) -> Result<Reply, Error> {
    let settings = call.settings.clone();
    let body = call.body().await?;
    let request_id = &call.verify(&settings.keys, &body)?;

    let content = &partner::read(&body).map_err(invalid)?;
    call.order_number = content.number;
    let done = call.rpc(&settings.database, &CreateOrder { content, request_id }).await?;
    Ok(call.done(done, settings.worker.clone()))
}

/// All that is wrong at once, so that it is put right at once.
fn invalid(errors: Vec<FieldError>) -> Error {
    let count = errors.len();
    let mut error = Error::new(Code::VAL001, format!("expected an order, but found {count} errors in it"))
        .hint("put right what `details` lists, by path");
    error.details = Some(Details::Fields(errors));
    error
}
