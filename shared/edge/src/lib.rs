//! Ordak Edge on a host: the only code that touches `worker` and `js-sys`.
//!
//! A function crate is a route, its settings and one handler; [`run`] does the rest of a request: request
//! id, configuration, path, method, the log line and the error body. Not here: any rule (`ordak-core`).

mod database;
mod endpoint;
mod host;
mod log;

pub use database::Client;
pub use endpoint::{Call, Reply, Settings, run};
