//! The workspace's tests. Each module states properties of one part; what they
//! share is in `support`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod support;
