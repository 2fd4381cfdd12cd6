//! Ordak Edge on a host: the only code that touches `worker` and `js-sys`.
//!
//! A function crate is a route, its settings and one handler; [`run`] does the rest of a request: request
//! id, configuration, path, method, the log line and the error body. Not here: any rule (`ordak-core`).

mod background;
mod database;
mod endpoint;
mod host;
mod kick;
mod log;
mod post;
mod shopify;

pub use background::{all, scheduled, sleep};
pub use database::Client;
pub use endpoint::{Call, Reply, Settings, run};
pub use host::now;
pub use js_sys::Promise;
pub use kick::kick;
pub use log::RunLine;
pub use post::{Posted, post};
pub use shopify::{Answered, Shop};
