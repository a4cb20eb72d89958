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
//! store      the adapter that lends a guest transactions; the engines: LMDB, memory, PostgreSQL's protocol
//! migrate    SQLite databases of FileTracker into a store
//! json       values of calls as JSON, and back
//! export     JSON Lines of every record, and back; SQLite databases for FileTracker
//! track      a directory's files into a store
//! copy       a store into another one, on any engine
//! ```
//!
//! [`store`] knows no entity and can be added to the linker of any tool based
//! on wasmtime; everything above it uses the same calls that a user has.
//!
//! # Threads and processes
//!
//! | what | where it may be |
//! |---|---|
//! | [`Tracker`], a session | one thread at a time; it may be sent to another, but not while it has a batch |
//! | [`Tracker::try_clone`] | another session on the same store, for another thread |
//! | [`Batch`] | the thread that began it; it cannot be sent |
//! | [`Tracker::snapshot`] | as a session; its clones share one transaction and do not run at the same time |
//! | a store | open once in a process, whoever opens it; and in as many processes as one likes |
//!
//! - A call is one transaction, and what it sees is of one moment: an index never
//!   disagrees with a record in it. Two calls may see two moments; a snapshot is for more.
//! - Readers wait for nobody, but for the moment in which the map is resized.
//! - Writers are one at a time over all processes and wait for each other. The time
//!   they wait is not charged to a call's deadline. A thread with a batch that writes
//!   through another session is refused at once: it would wait for itself.
//! - What reads and then writes by what it read belongs into a batch, as in
//!   `let n = batch.get_metadata(..)?; batch.set_metadata(..)?`: nobody else writes between.
//! - A process that dies lets the next writer in, and leaves nothing of its transaction.
//!   The slots of its readers are free when the store is next opened, or when they run out.
//!
//! # The component as a plugin
//!
//! A tool that has a wasmtime engine of its own does not need [`Tracker`]: it
//! loads `tracker.wasm`, which `cargo run -p tracker-artifacts -- <dir>` writes
//! with the WIT package, and lends it a store. The component imports `store`
//! and the time of day, and can do nothing else. This is all that the tool
//! adds; `host/examples/plugin.rs` is a whole one, `plugin_async.rs` an async one:
//!
//! ```
//! use std::sync::Arc;
//! use tracker_host::clock::{self, Clock};
//! use tracker_host::store::{self, Limits, StoreCtx, StoreHostView, StoreView, lmdb};
//! use wasmtime::component::{Component, Linker, ResourceTable};
//! use wasmtime::{Engine, Store};
//!
//! struct Tool {
//!     store: StoreCtx,
//!     resources: ResourceTable,
//! }
//!
//! impl StoreHostView for Tool {
//!     fn store(&mut self) -> StoreView<'_> {
//!         StoreView { ctx: &mut self.store, resources: &mut self.resources }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("tracker-plugin-{}", std::process::id()));
//! # let bytes = tracker_host::TRACKER_WASM;
//! let engine = Engine::default();
//! let mut linker = Linker::new(&engine);
//! store::add_to_linker::<Tool>(&mut linker)?;
//! clock::add_to_linker(&mut linker, Clock::system())?;
//! let environment = lmdb::Environment::open(&dir, lmdb::Options::default())?;
//! let lend = || Tool {
//!     store: StoreCtx::new(Arc::new(environment.clone()), Limits::default()),
//!     resources: ResourceTable::new(),
//! };
//! let mut store = Store::new(&engine, lend());
//! let plugin = linker.instantiate(&mut store, &Component::new(&engine, bytes)?)?;
//!
//! // A newer component on the same store, which stays open:
//! # let newer = bytes;
//! let mut store = Store::new(&engine, lend());
//! let plugin = linker.instantiate(&mut store, &Component::new(&engine, newer)?)?;
//! # drop((store, environment));
//! # std::fs::remove_dir_all(dir)?;
//! # Ok(())
//! # }
//! ```
//!
//! What the component may use of the store is in [`Limits`]. Its memory and its
//! time are the tool's to bound: `wasmtime::Store::limiter`, and epochs or fuel,
//! which [`store::StoreCtx::set_interrupt`] extends to long writes.
//! Instances of several versions can use one environment at a time, also from
//! several processes; each checks the store's format at its first call. The
//! types of this library are those of [`wasmtime`] as it is re-exported here.
//! A [`Tracker`] exchanges its component with [`Tracker::replace_component`].
//!
//! # Async
//!
//! The adapter works on engines whose calls are futures: its functions do not
//! await, and a call may be suspended in between (by epochs or fuel). Two things
//! follow from LMDB, whose write transactions belong to the thread that begins them:
//!
//! - A call that writes has to end on its thread, and so has a batch: poll it on
//!   a runtime of one thread or in a `LocalSet`. Where it is resumed on another
//!   one it fails with `store(closed)` and nothing of it is kept; it never hangs.
//! - Beginning a write waits for the writer before it and blocks the thread. If
//!   that writer is suspended on the same thread the answer is `store(closed)`
//!   at once; keep writers in order with a mutex of the runtime.
//!
//! On a runtime of many threads hand a call or a batch as a whole to a blocking
//! thread. A hop costs some microseconds, so make it one for many calls:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tracker_host::Tracker;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let mut tracker = Tracker::in_memory()?;
//! let written = tokio::task::spawn_blocking(move || {
//!     let mut batch = tracker.batch()?;
//!     batch.set_metadata("a", "1")?;
//!     batch.set_metadata("b", "2")?;
//!     batch.commit()?;
//!     tracker_host::Result::Ok(tracker)
//! });
//! let mut tracker = written.await??;
//! # assert_eq!(tracker.get_metadata("b")?.as_deref(), Some("2"));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # What stays
//!
//! Records and calls are those of the WIT package, and change with its version.
//! Errors, limits and answers that only this library makes are
//! `#[non_exhaustive]`. What is hidden from this documentation is for the
//! `host` command and may change at any time.

#![deny(missing_docs)]

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]
mod bindings;
#[doc(hidden)]
pub mod call;
pub mod clock;
mod component;
pub mod copy;
pub mod export;
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
mod lend;
mod lift;
pub mod migrate;
mod place;
pub mod store;
pub mod track;
mod tracker;
mod unfold;

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
#[doc(hidden)]
pub fn private_memory() -> Option<u64> {
    memory("RssAnon:")
}

/// The most memory that this process has had, in bytes, mapped files included;
/// none where the system does not tell.
#[doc(hidden)]
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
#[cfg(target_pointer_width = "64")]
pub use store::lmdb::PageReport;
pub use store::lmdb::{Durability, EnvironmentStats, OpenError, Reader, TableStats};
pub use store::{Explain, Limits, TableUse};
/// The version of wasmtime that this library's types belong to.
pub use wasmtime;

pub use tracker::{Backup, Batch, Compaction, Error, Options, Pages, Param, Restored, Result, Signature, Tracker};
