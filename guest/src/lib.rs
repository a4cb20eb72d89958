//! The tracker component.
//!
//! # Layers
//!
//! ```text
//! exports            the WIT interface, one line a function
//! abi                what is done by hand at the boundary; all `unsafe`
//! files, symbols, …  one module an entity: its record, its facts, its queries
//! rows, verify       what is the same for all records
//! session            the transaction of a call, batches
//! view, scan, write  reading, scanning in key order, collecting changes (pending); packed buffers
//! index, record      facts and their maintenance; records and msgpack
//! key, table, json   encodings and names on disk
//! ```
//!
//! Nothing below the entities knows an entity, and nothing here knows the
//! engine behind the store.
//!
//! # Layout on disk
//!
//! [`table`] lists the tables with their keys and values, [`key`] how keys are
//! encoded, `record.rs` how records are.

// Natively only the unit tests use what is here.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]

#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "tracker-component",
        generate_all,
        additional_derives: [PartialEq, Clone],
        pub_export_macro: false,
        // Exported by hand: see `abi/exports.rs`.
        skip: [
            "get-file", "get-files", "get-file-by-key", "list-files", "list-files-by-context", "get-recent-files",
            "get-symbols", "get-symbol-by-key",
        ],
    });
}

use bindings::exports::galaxybrain::tracker::{tracker, types};
use bindings::galaxybrain::tracker::store;
use bindings::wasi::clocks::wall_clock;

mod abi;
mod bytes;
mod checkpoints;
mod conventions;
mod error;
mod exports;
mod field;
mod files;
mod freshness;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod json;
pub mod key;
mod list;
mod memories;
mod metadata;
mod packed;
mod patterns;
mod pending;
mod record;
mod rows;
mod scan;
mod session;
mod symbols;
pub mod table;
mod threads;
mod transcripts;
mod vectors;
mod verify;
mod view;
mod write;

// The exports' names are no symbol names of native linkers.
#[cfg(target_arch = "wasm32")]
bindings::export!(Tracker with_types_in bindings);

/// The component.
struct Tracker;
