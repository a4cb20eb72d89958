//! The workspace's tests. Each module states properties of one part; what they
//! share is in `support`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod artifacts;
mod batches;
mod command;
mod component;
mod concurrency;
mod conformance;
mod consumers;
mod cost;
mod crash;
mod engine;
mod fuzz;
mod hostile;
mod keys;
mod layout;
mod migration;
mod model;
mod operations;
mod paging;
#[cfg(feature = "bench")]
mod peers;
mod plugin;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
mod records;
mod robustness;
#[allow(dead_code, reason = "not every set of features uses all of it")]
mod support;
mod tracking;
mod verification;
