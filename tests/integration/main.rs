//! The system tested as a whole, from outside: over HTTP on both hosts, in the database as each role.
//!
//! One stack serves all tests that leave it as it is; those that break something start their own. Not
//! here: the pure rules, which are tested beside their code in `shared/core`.

#[macro_use]
mod support;

mod alerts;
mod auditor;
mod catalogue;
mod compat;
mod concurrency;
mod conformance;
mod crash;
mod dead_letters;
mod deliveries;
mod faults;
mod gateway;
mod hostile;
mod hostile_http;
mod ingestion;
mod inventory;
mod lifecycle;
mod numbers;
mod order_edits;
mod overrides;
mod partner;
mod pause;
mod people;
mod priority;
mod products;
mod reading;
mod returns;
mod scale;
mod schedule;
mod settings;
mod shifts;
mod stock;
mod stock_lists;
mod stock_model;
mod stock_scale;
mod stock_tracking;
mod sync_chaos;
mod sync_http;
mod sync_levels;
mod sync_orders;
mod sync_queue;
mod sync_requests;
mod sync_sales;
mod sync_topics;
