//! The rules of Ordak Edge that need no host: who signed a request, what an error is called, what an
//! order means, what is said to Postgres.
//!
//! Not here: anything that does I/O or reads a clock, the environment or randomness. *Now*, configuration
//! and entropy are arguments, so that every rule is tested natively and the same code runs in wasm.
//! What touches a host is in `ordak-edge`.

pub mod body;
pub mod config;
pub mod content;
pub mod error;
pub mod etag;
pub mod inventory;
pub mod json;
pub mod order;
pub mod route;
pub mod rpc;
pub mod signature;
pub mod slack;
pub mod sync;
