//! What the JavaScript host gives: the few bindings that `worker` and `js-sys` do not have.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use ordak_core::config::Vars;
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::web_sys::{AbortSignal, RequestInit, Response};

#[wasm_bindgen]
extern "C" {
    /// The context that our host shims pass: it says which request a crash belongs to.
    #[derive(Clone)]
    pub(crate) type Slot;

    /// Marks this request as the one whose code runs now. Caught, so that a host without it works too.
    #[wasm_bindgen(method, catch)]
    fn enter(this: &Slot) -> Result<(), JsValue>;

    /// Lets work go on after the answer. Caught, for a host may have no time for it.
    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &Slot, work: &Promise) -> Result<(), JsValue>;

    /// A new random request id.
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    pub(crate) fn random_uuid() -> String;

    /// The host's `fetch`.
    fn fetch(url: &str, init: &RequestInit) -> Promise;

    /// One line to the host's log.
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub(crate) fn log_line(line: &str);
}

/// Runs `future`, telling the host before each step whose request it is.
pub(crate) async fn entered<T>(slot: &Slot, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|context| -> Poll<T> {
        let _ = slot.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// Posts a body, text or bytes, and waits at most `timeout_ms` for the whole answer. A redirect is an answer: what is in
/// the headers is for this URL alone.
pub(crate) async fn post(
    url: &str,
    headers: &Object,
    body: &JsValue,
    timeout_ms: u32,
) -> Result<(Response, String), JsValue> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers);
    init.set_body(body);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(timeout_ms)));
    set(&init, "redirect", &"manual".into());
    let response: Response = JsFuture::from(fetch(url, &init)).await?.unchecked_into();
    let text = JsFuture::from(response.text()?).await?;
    Ok((response, text.as_string().unwrap_or_default()))
}

/// A property of a plain object, which cannot refuse it.
pub(crate) fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

/// Every text variable of the environment; bindings of other kinds are left out.
pub(crate) fn vars(env: &Env) -> Vars {
    let object: &Object = env.unchecked_ref();
    Object::keys(object)
        .iter()
        .filter_map(|name| Some((name.as_string()?, Reflect::get(object, &name).ok()?.as_string()?)))
        .collect()
}

/// Milliseconds since 1970, by the host's clock.
pub fn now() -> f64 {
    js_sys::Date::now()
}

/// An instant in ms since 1970 as RFC 3339.
pub(crate) fn rfc3339(ms: f64) -> String {
    js_sys::Date::new(&ms.into()).to_iso_string().into()
}

/// What a JavaScript exception says, for the log: its name and message.
pub(crate) fn exception(value: &JsValue) -> (String, String) {
    let text = |key: &str| Reflect::get(value, &key.into()).ok().and_then(|part| part.as_string());
    (
        text("name").unwrap_or_default(),
        text("message").unwrap_or_else(|| "an exception without a message".into()),
    )
}
