//! The native host of the tracker component.
//!
//! [`Tracker`] opens a store, an LMDB environment, and calls the component that
//! holds all query and index logic:
//!
//! ```
//! use tracker_host::{Error, Tracker};
//!
//! # fn main() -> Result<(), Error> {
//! # let dir = std::env::temp_dir().join(format!("tracker-lib-{}", std::process::id()));
//! let mut tracker = Tracker::open(&dir)?;
//! let mut batch = tracker.batch()?;
//! batch.upsert_file("/src/a.rs", 1.7e9, 120, "5f1c…", 0, 120, 42, &["context:cli".into()])?;
//! batch.upsert_symbol("/src/a.rs", "main", "function", 1, Some(9), 0, 120, 43)?;
//! batch.commit()?;
//! for file in tracker.files_by_context("context:cli", 1000) {
//!     println!("{}", file?.path);
//! }
//! # drop(tracker);
//! # std::fs::remove_dir_all(dir).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! ```text
//! tracker    sessions: typed calls, batches, page iterators, deadlines, retries
//! component  the component and its compiled code
//! store      the adapter that lends a guest transactions; the LMDB engine
//! migrate    SQLite databases of FileTracker into a store
//! export     JSON Lines of every record, and back; SQLite databases for FileTracker
//! track      a directory's files into a store
//! ```
//!
//! [`store`] knows no entity and can be added to the linker of any tool based
//! on wasmtime; everything above it uses the same calls that a user has.

#![deny(missing_docs)]

#[cfg(feature = "bench")]
pub mod bench;
#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]
mod bindings;
pub mod clock;
mod component;
pub mod export;
mod lend;
mod lift;
pub mod migrate;
mod place;
pub mod store;
pub mod track;
mod tracker;

/// The records of the tracker, as `wit/types.wit` describes them.
pub mod types {
    pub use crate::bindings::exports::galaxybrain::tracker::types::*;

    /// All kinds of rows, in an order in which they can be imported.
    pub const ROW_KINDS: [RowKind; 14] = [
        RowKind::File,
        RowKind::Symbol,
        RowKind::Checkpoint,
        RowKind::Metadata,
        RowKind::Memory,
        RowKind::TranscriptPosition,
        RowKind::Pattern,
        RowKind::PatternLink,
        RowKind::Thread,
        RowKind::ThreadFile,
        RowKind::ThreadQuery,
        RowKind::ThreadTool,
        RowKind::Convention,
        RowKind::Counter,
    ];
}

/// The memory that this process has to itself, in bytes; none where the system
/// does not tell. Mapped files are not in it.
pub fn private_memory() -> Option<u64> {
    memory("RssAnon:")
}

/// The most memory that this process has had, in bytes, mapped files included;
/// none where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

pub use clock::Clock;
pub use component::{CodeCache, ComponentError, ComponentSource, TRACKER_WASM, engine_config};
pub use place::PlaceError;
pub use store::lmdb::{Durability, EnvironmentStats, OpenError, Reader, TableStats};
pub use store::{Explain, Limits, TableUse};
/// The version of wasmtime that this library's types belong to.
pub use wasmtime;

pub use tracker::{Backup, Batch, Compaction, Error, Options, Pages, Param, Restored, Result, Signature, Tracker};
