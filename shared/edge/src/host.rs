//! What the JavaScript host gives: the few bindings that `worker` and `js-sys` do not have.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use ordak_core::config::Vars;
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::web_sys::RequestInit;

#[wasm_bindgen]
extern "C" {
    /// The context that our host shims pass: it says which request a crash belongs to.
    pub(crate) type Slot;

    /// Marks this request as the one whose code runs now. Caught, so that a host without it works too.
    #[wasm_bindgen(method, catch)]
    fn enter(this: &Slot) -> Result<(), JsValue>;

    /// A new random request id.
    #[wasm_bindgen(js_namespace = crypto, js_name = randomUUID)]
    pub(crate) fn random_uuid() -> String;

    /// The host's `fetch`.
    pub(crate) fn fetch(url: &str, init: &RequestInit) -> js_sys::Promise;

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

/// Every text variable of the environment; bindings of other kinds are left out.
pub(crate) fn vars(env: &Env) -> Vars {
    let object: &js_sys::Object = env.unchecked_ref();
    js_sys::Object::keys(object)
        .iter()
        .filter_map(|name| Some((name.as_string()?, js_sys::Reflect::get(object, &name).ok()?.as_string()?)))
        .collect()
}

/// Milliseconds since 1970, by the host's clock.
pub(crate) fn now() -> f64 {
    js_sys::Date::now()
}

/// What a JavaScript exception says, for the log: its name and message.
pub(crate) fn exception(value: &JsValue) -> (String, String) {
    let text = |key: &str| js_sys::Reflect::get(value, &key.into()).ok().and_then(|part| part.as_string());
    (
        text("name").unwrap_or_default(),
        text("message").unwrap_or_else(|| "an exception without a message".into()),
    )
}
