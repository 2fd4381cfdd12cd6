//! The life of a request, the same for every function.

use std::cell::OnceCell;
use std::future::Future;
use std::rc::Rc;
use std::thread::LocalKey;

use js_sys::futures::{JsFuture, future_to_promise};
use js_sys::{Object, Uint8Array};
use ordak_core::config::{Missing, Reader, Worker};
use ordak_core::error::{Code, Error};
use ordak_core::etag::{etag, names};
use ordak_core::route::Route;
use ordak_core::rpc::{Ingested, Rpc};
use ordak_core::signature::PartnerKeys;
use serde::Serialize;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys::{Headers, ReadableStreamDefaultReader, Request, Response, ResponseInit};
use worker::{Context, Env};

use crate::database::Client;
use crate::host::{self, Slot, set};
use crate::kick::kick;
use crate::log::{Line, RpcLine, level};

/// The time a request has for the database, in ms: Shopify waits five seconds in all, and our answer has
/// to travel back.
const BUDGET_MS: f64 = 4000.0;

/// The largest body that is read, in bytes; a big order has some 200 KB.
const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// A function's settings: read once for each instance of the module, since the environment of a running
/// function does not change.
pub struct Settings<T> {
    read: fn(&mut Reader<'_>) -> T,
    cell: OnceCell<Result<Rc<T>, Missing>>,
}

impl<T> Settings<T> {
    /// Settings that `read` makes of the environment.
    pub const fn new(read: fn(&mut Reader<'_>) -> T) -> Settings<T> {
        Settings { read, cell: OnceCell::new() }
    }

    pub(crate) fn get(&self, env: &Env) -> Result<Rc<T>, Error> {
        let read = || {
            let vars = host::vars(env);
            let mut reader = Reader::new(&vars);
            let settings = (self.read)(&mut reader);
            reader.finish(Rc::new(settings))
        };
        self.cell.get_or_init(read).clone().map_err(|missing| {
            Error::new(Code::SYS003, "this function is not configured")
                .hint("the function's log names what is missing")
                .log(missing.to_string())
        })
    }
}

/// A success, ready to be sent.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    body: String,
    /// By which the caller, and nobody between, may keep it, to ask whether it is still so.
    etag: Option<String>,
}

impl Reply {
    /// An answer in JSON.
    pub fn json(status: u16, body: &impl Serialize) -> Reply {
        // Our answers are plain structs, which always serialize.
        Reply::written(status, serde_json::to_string(body).unwrap_or_default())
    }

    /// An answer that is JSON already.
    pub fn written(status: u16, body: String) -> Reply {
        Reply { status, body, etag: None }
    }
}

/// A request being handled: what came in, and what the log will say of it.
pub struct Call<T> {
    /// The function's settings.
    pub settings: Rc<T>,
    /// For the log: the store's code.
    pub store: Option<String>,
    /// For the log: the order's number.
    pub order_number: Option<i64>,
    /// For the log: the webhook's topic.
    pub topic: Option<String>,
    /// For the log: what became of it (`created`, `skipped`, …).
    pub outcome: Option<String>,
    /// For the log: whether a person must look at it, although it succeeded.
    pub attention: bool,
    request: Request,
    headers: Headers,
    query: String,
    started: f64,
    rpcs: Vec<RpcLine>,
    slot: Slot,
}

impl<T> Call<T> {
    /// A header of the request; none where it is absent.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).ok().flatten()
    }

    /// Whether the query string has `name`, with or without a value.
    pub fn has_query(&self, name: &str) -> bool {
        self.query.split('&').any(|pair| pair.split('=').next() == Some(name))
    }

    /// The query string as it came.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Checks that the sender signed this message, the body or what stands in its place, as Standard Webhooks has it;
    /// answers with the id that was signed with it.
    ///
    /// # Errors
    /// AUTH001.
    pub fn verify(&self, keys: &PartnerKeys, message: &[u8]) -> Result<String, Error> {
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| self.header(name));
        let [id, timestamp, signatures] = headers.each_ref().map(Option::as_deref);
        keys.verify(id, timestamp, signatures, message, self.seconds()).map_err(|rejection| {
            Error::new(Code::AUTH001, format!("expected a signature of this request, but found {rejection}"))
                .hint("sign as Standard Webhooks 1.0 has it, with the secret that you were given")
        })?;
        let [id, ..] = headers;
        Ok(id.unwrap_or_default())
    }

    /// Who asks: a person, as the client through which they are answered, or (none) one of our own servers, which signed
    /// this message.
    ///
    /// # Errors
    /// AUTH001 where it is neither.
    pub fn person(
        &self,
        keys: &PartnerKeys,
        message: &[u8],
        browser: &Client,
    ) -> Result<Option<Client>, Error> {
        // A signature comes first: beside it, a host may have put an `Authorization` of its own.
        match (self.header("webhook-signature"), self.header("authorization")) {
            (Some(_), _) => self.verify(keys, message).map(|_| None),
            (None, Some(login)) if login.split('.').count() == 3 => Ok(Some(browser.of_person(&login))),
            _ => {
                let error = Error::new(Code::AUTH001, "expected a login or a signature, but found neither");
                Err(error.hint("send `Authorization: Bearer` and the access token of who has logged in"))
            }
        }
    }

    /// The method, as one that the route has.
    pub fn method(&self) -> String {
        self.request.method()
    }

    /// When the request came, in seconds since 1970.
    pub fn seconds(&self) -> i64 {
        (self.started / 1000.0) as i64
    }

    /// The raw body.
    ///
    /// # Errors
    /// VAL001 with 413 as soon as it is known to be too long, before it is read whole; with 415 where it is compressed:
    /// what is signed is what is read; with 400 where the sender breaks off.
    pub async fn body(&self) -> Result<Vec<u8>, Error> {
        if self.header("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        {
            let message = "expected a body as it is, but found a Content-Encoding";
            return Err(Error::new(Code::VAL001, message).status(415));
        }
        let declared = self.header("content-length").and_then(|length| length.parse::<u64>().ok());
        match declared {
            Some(length) if length > BODY_LIMIT as u64 => Err(too_large()),
            Some(_) => {
                let buffer = JsFuture::from(self.request.array_buffer().map_err(cut)?).await.map_err(cut)?;
                let body = Uint8Array::new(&buffer);
                if body.length() as usize > BODY_LIMIT { Err(too_large()) } else { Ok(body.to_vec()) }
            }
            None => self.chunks().await,
        }
    }

    /// Reads a body of unknown length and stops at the limit.
    async fn chunks(&self) -> Result<Vec<u8>, Error> {
        let Some(stream) = self.request.body() else { return Ok(Vec::new()) };
        let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
        let part = |result: &JsValue, key: &str| js_sys::Reflect::get(result, &key.into()).map_err(cut);
        let mut body = Vec::new();
        loop {
            let result = JsFuture::from(reader.read()).await.map_err(cut)?;
            if part(&result, "done")?.is_truthy() {
                return Ok(body);
            }
            let chunk = Uint8Array::new(&part(&result, "value")?);
            if body.len() + chunk.length() as usize > BODY_LIMIT {
                let _ = reader.cancel();
                return Err(too_large());
            }
            body.extend(chunk.to_vec());
        }
    }

    /// Calls an RPC within the time that is left, and notes it for the log.
    ///
    /// # Errors
    /// Those of the database, see [`Client`].
    pub async fn rpc<R: Rpc>(&mut self, client: &Client, rpc: &R) -> Result<R::Answer, Error> {
        let start = host::now();
        let left = (BUDGET_MS - (start - self.started)).max(1.0);
        let answer = client.rpc(rpc, left as u32).await;
        let outcome = answer.as_ref().map_or_else(|error| error.code.as_str(), |_| "ok");
        self.rpcs.push(RpcLine { name: R::NAME, outcome, duration_ms: (host::now() - start) as u32 });
        answer
    }

    /// Goes on with work after the answer. It may die with the host, so that nothing may depend on it; were it to crash,
    /// it is to blame and no request.
    pub fn wait_until(&self, work: impl Future<Output = ()> + 'static) {
        let slot = self.slot.clone();
        let work = future_to_promise(async move {
            host::entered(&slot, work).await;
            Ok(JsValue::UNDEFINED)
        });
        let _ = self.slot.wait_until(&work);
    }

    /// Answers with JSON that is tagged; without it, where the caller says that it has the same.
    pub fn tagged(&self, body: String) -> Reply {
        let etag = etag(body.as_bytes());
        let known = self.header("if-none-match").is_some_and(|known| names(&known, &etag));
        Reply { status: if known { 304 } else { 200 }, body, etag: Some(etag) }
    }

    /// Tells the worker, after the answer, that there is something to do.
    pub fn kick(&self, worker: Option<Rc<Worker>>) {
        if let Some(worker) = worker {
            self.wait_until(async move { kick(&worker).await });
        }
    }

    /// Answers with what became of an order, notes it for the log, and tells the worker where Shopify is owed something.
    pub fn done(&mut self, done: Ingested, worker: Option<Rc<Worker>>) -> Reply {
        self.kick(worker.filter(|_| done.dirty));
        let reply = Reply::json(200, &done);
        self.attention = done.dead_letter();
        self.order_number = self.order_number.or(done.number());
        self.store = Some(done.store);
        self.outcome = Some(done.status);
        reply
    }
}

/// Answers one request: the only entry that a function needs.
///
/// It never fails. The error is of any type, best `Infallible`: for its own, `worker` brings the code that
/// shows it, some 7 KB gzipped.
///
/// # Errors
/// None.
pub async fn run<T: 'static, E>(
    route: &'static Route,
    settings: &'static LocalKey<Settings<T>>,
    request: Request,
    env: Env,
    context: Context,
    handler: impl AsyncFnOnce(&mut Call<T>) -> Result<Reply, Error>,
) -> Result<Response, E> {
    let slot: &JsValue = context.as_ref();
    let slot = slot.unchecked_ref::<Slot>();
    Ok(host::entered(slot, answer(route, settings, request, &env, slot, handler)).await)
}

async fn answer<T: 'static>(
    route: &'static Route,
    settings: &'static LocalKey<Settings<T>>,
    request: Request,
    env: &Env,
    slot: &Slot,
    handler: impl AsyncFnOnce(&mut Call<T>) -> Result<Reply, Error>,
) -> Response {
    let started = host::now();
    let headers = request.headers();
    let request_id = request_id(headers.get("x-request-id").ok().flatten());
    let mut call = None;
    let result = match accept(route, settings, request, headers, env, slot, started) {
        Ok(accepted) => handler(call.insert(accepted)).await,
        Err(error) => Err(error),
    };
    write_log(route, &request_id, started, call.as_ref(), &result);
    respond(route, &request_id, result)
}

/// Everything that is checked before a function's own code runs.
fn accept<T: 'static>(
    route: &Route,
    settings: &'static LocalKey<Settings<T>>,
    request: Request,
    headers: Headers,
    env: &Env,
    slot: &Slot,
    started: f64,
) -> Result<Call<T>, Error> {
    let settings = settings.with(|settings| settings.get(env))?;
    let url = request.url();
    let (path, query) = path_and_query(&url);
    if !route.serves(path) {
        let message = format!("expected the path {}, but found another", route.path);
        return Err(Error::new(Code::VAL001, message).status(404));
    }
    let method = request.method();
    if !route.methods.contains(&method.as_str()) {
        let message = format!("expected {}, but found another method", route.methods.join(" or "));
        return Err(Error::new(Code::VAL001, message).status(405));
    }
    Ok(Call {
        settings,
        store: None,
        order_number: None,
        topic: None,
        outcome: None,
        attention: false,
        query: query.to_owned(),
        request,
        headers,
        started,
        rpcs: Vec::new(),
        slot: slot.clone(),
    })
}

/// The caller's id where it is one, so that a request can be followed through several services; else a new one.
fn request_id(given: Option<String>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    given.filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(plain)).unwrap_or_else(host::random_uuid)
}

/// The path and the query of an absolute URL.
fn path_and_query(url: &str) -> (&str, &str) {
    // The path begins at the third slash: `scheme://host/path`.
    let path_at = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    let whole = url.get(path_at..).unwrap_or_default().split('#').next().unwrap_or_default();
    whole.split_once('?').unwrap_or((whole, ""))
}

fn too_large() -> Error {
    Error::new(Code::VAL001, format!("expected a body of at most {BODY_LIMIT} bytes, but found a longer one"))
        .status(413)
}

fn cut(thrown: JsValue) -> Error {
    let (name, message) = host::exception(&thrown);
    Error::new(Code::VAL001, "the body broke off").status(400).log(format!("{name}: {message}"))
}

fn write_log<T>(
    route: &Route,
    request_id: &str,
    started: f64,
    call: Option<&Call<T>>,
    result: &Result<Reply, Error>,
) {
    let (status, outcome) = match result {
        Ok(reply) => (reply.status, "ok"),
        Err(error) => (error.status, error.code.as_str()),
    };
    let line = Line {
        time: host::rfc3339(started),
        level: level(status, call.is_some_and(|call| call.attention)),
        function: route.function,
        request_id,
        store: call.and_then(|call| call.store.as_deref()),
        order_number: call.and_then(|call| call.order_number),
        topic: call.and_then(|call| call.topic.as_deref()),
        outcome: call.and_then(|call| call.outcome.as_deref()).unwrap_or(outcome),
        status,
        duration_ms: (host::now() - started) as u32,
        rpcs: call.map_or(&[], |call| &call.rpcs),
        detail: result.as_ref().err().and_then(|error| error.log.as_deref()),
    };
    // A line of plain fields always serializes.
    host::log_line(&serde_json::to_string(&line).unwrap_or_default());
}

fn respond(route: &Route, request_id: &str, result: Result<Reply, Error>) -> Response {
    let headers = Object::new();
    set(&headers, "content-type", &"application/json".into());
    set(&headers, "x-request-id", &request_id.into());
    let mut caching = "no-store";
    let (status, body, further) = match result {
        Ok(Reply { status, body, etag: None }) => (status, body, None),
        Ok(Reply { status, body, etag: Some(etag) }) => {
            caching = "private, no-cache";
            (status, body, Some(("etag", etag)))
        }
        Err(error) => {
            let further = match error.retry_after {
                _ if error.status == 405 => Some(("allow", route.methods.join(", "))),
                seconds => seconds.map(|seconds| ("retry-after", seconds.to_string())),
            };
            (error.status, error.body(), further)
        }
    };
    set(&headers, "cache-control", &caching.into());
    if let Some((name, value)) = further {
        set(&headers, name, &value.into());
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers);
    // A host refuses only what we never say: a status below 200 or a header with a line break. It answers
    // 500 itself where it is given this instead.
    let body = Some(&*body).filter(|_| status != 304);
    Response::new_with_opt_str_and_init(body, &init).unwrap_or_else(|_| Response::error())
}
