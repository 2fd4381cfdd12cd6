//! What a function does beside requests: work on a schedule, several things at once, and waiting.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::thread::LocalKey;
use std::time::Duration;

use js_sys::Promise;
use js_sys::futures::future_to_promise;
use ordak_core::route::Route;
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Delay, Env};

use crate::endpoint::Settings;
use crate::host::{self, Slot};
use crate::log::RunLine;

/// Does what is to be done on a schedule, where the function is configured; were it to crash, it is to blame and no
/// request.
pub fn scheduled<T: 'static>(
    route: &'static Route,
    settings: &'static LocalKey<Settings<T>>,
    env: Env,
    context: JsValue,
    work: impl AsyncFnOnce(Rc<T>) + 'static,
) -> Promise {
    future_to_promise(async move {
        match settings.with(|settings| settings.get(&env)) {
            Ok(settings) => host::entered(context.unchecked_ref::<Slot>(), work(settings)).await,
            Err(error) => RunLine::of(route, &error).write(),
        }
        Ok(JsValue::UNDEFINED)
    })
}

/// Does all of it at once.
pub async fn all(futures: impl IntoIterator<Item = impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Waits.
pub async fn sleep(ms: u32) {
    Delay::from(Duration::from_millis(ms.into())).await;
}
