//! Everything a developer runs, and the local stack that `dev`, the tests and the benches share.
//!
//! One module for each command. Not here: anything that is shipped; no function and no deployment
//! depends on this crate.

pub mod api;
pub mod bench;
pub mod build;
pub mod demo;
pub mod dev;
mod files;
pub mod npm;
pub mod progress;
pub mod project;
pub mod seed;
pub mod stack;
pub mod status;
pub mod test;
