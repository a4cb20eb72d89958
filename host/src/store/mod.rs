//! The store adapter: lends a guest transactions over an [`Engine`].
//!
//! It knows tables, keys and values, and no entity. Any wasmtime-based tool can
//! add it to its linker: two fields, a one-method impl and one call.
//!
//! ```
//! use std::sync::Arc;
//! use tracker_host::store::{self, Limits, StoreCtx, StoreHostView, StoreView, lmdb};
//! use wasmtime::component::{Linker, ResourceTable};
//!
//! struct State {
//!     store: StoreCtx,
//!     resources: ResourceTable,
//! }
//!
//! impl StoreHostView for State {
//!     fn store(&mut self) -> StoreView<'_> {
//!         StoreView { ctx: &mut self.store, resources: &mut self.resources }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("tracker-doc-{}", std::process::id()));
//! let mut linker: Linker<State> = Linker::new(&wasmtime::Engine::default());
//! store::add_to_linker(&mut linker)?;
//! let environment = lmdb::Environment::open(&dir, lmdb::Options::default())?;
//! let store = StoreCtx::new(Arc::new(environment), Limits::default());
//! let state = State { store, resources: ResourceTable::new() };
//! # drop(state);
//! # std::fs::remove_dir_all(dir)?;
//! # Ok(())
//! # }
//! ```

mod engine;
mod host;
mod limits;
pub mod lmdb;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
mod snapshot;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;

pub use engine::{
    Engine, Handle, MAX_TABLE_NAME, Range, StoreError, TableSize, Transaction, ValueVisitor, Visitor, Waits, Wanted,
    each_op,
};
pub use host::add_to_linker;
#[cfg(feature = "postgres")]
pub(crate) use host::chain;
pub use limits::Limits;
pub use snapshot::Snapshot;
pub use trace::{Explain, TableUse};
pub use tracker_memory::packed;

/// What the adapter keeps for one guest instance.
pub struct StoreCtx {
    engine: Arc<dyn Engine>,
    limits: Limits,
    tables: Option<Tables>,
    transactions: u32,
    /// Scratch for bytes that go in, kept for its allocation.
    input: Vec<u8>,
    /// Bytes that go out, until they are lowered into the guest.
    output: Vec<u8>,
    explain: Option<Box<Explain>>,
    /// The engine's round trips when `explain` was last taken.
    round_trips: u64,
    waited_for_writers: Duration,
    interrupt: Option<Box<Interrupt>>,
    /// The engine's waits when they were last taken.
    waits_taken: Duration,
}

/// Whether a guest that has waited so long has had its time.
type Interrupt = dyn Fn(Waited) -> bool + Send + Sync;

/// How long a guest has waited, which is not time of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// For other writers to let it begin. It cannot bring that about.
    pub for_writers: Duration,
    /// For a server to answer. It can: each answer that it asks for takes a while.
    pub for_server: Duration,
}

struct Tables {
    handles: Vec<Option<Handle>>,
    names: Vec<String>,
}

/// A guest's transaction.
#[doc(hidden)]
pub struct OpenTransaction {
    inner: Box<dyn Transaction>,
    writable: bool,
    /// Set when an error has ended it.
    over: bool,
    /// Bytes of the operations that were written.
    written: u64,
}

impl StoreCtx {
    /// Lends this engine within these limits.
    pub fn new(engine: Arc<dyn Engine>, limits: Limits) -> Self {
        StoreCtx {
            engine,
            limits,
            tables: None,
            transactions: 0,
            input: Vec::new(),
            output: Vec::new(),
            explain: None,
            round_trips: 0,
            waited_for_writers: Duration::ZERO,
            interrupt: None,
            waits_taken: Duration::ZERO,
        }
    }

    /// Asks `is_over` during long writes whether the guest has had its time; if
    /// so the guest is trapped with [`wasmtime::Trap::Interrupt`]. Wasmtime's own
    /// deadlines end a guest, but not what the host does for it. It is told how
    /// long the guest has waited since [`Self::take_waited`].
    pub fn set_interrupt(&mut self, is_over: impl Fn(Waited) -> bool + Send + Sync + 'static) {
        self.interrupt = Some(Box::new(is_over));
    }

    /// Starts or stops counting what calls do.
    pub fn set_explain(&mut self, on: bool) {
        self.explain = on.then(Box::default);
        self.round_trips = self.engine.waits().round_trips;
    }

    /// What was counted since the last time it was taken.
    pub fn take_explain(&mut self) -> Option<Explain> {
        let mut explain = self.explain.as_deref_mut().map(std::mem::take)?;
        let now = self.engine.waits().round_trips;
        explain.round_trips = now.saturating_sub(std::mem::replace(&mut self.round_trips, now));
        Some(explain)
    }

    /// How long the guest has waited since this was last asked. An embedder with
    /// deadlines gives a call that much longer, within reason: a guest that does
    /// nothing but ask a server would never have had its time.
    pub fn take_waited(&mut self) -> Waited {
        let waited = self.waited();
        self.waits_taken = self.engine.waits().time;
        self.waited_for_writers = Duration::ZERO;
        waited
    }

    fn waited(&self) -> Waited {
        let for_server = self.engine.waits().time.saturating_sub(self.waits_taken);
        Waited { for_writers: self.waited_for_writers, for_server }
    }

    /// Transactions that are open.
    pub fn open_transactions(&self) -> u32 {
        self.transactions
    }
}

/// A view of the parts of an embedder's state that the adapter works on.
pub struct StoreView<'a> {
    /// The adapter's state.
    pub ctx: &'a mut StoreCtx,
    /// Where transactions are kept.
    pub resources: &'a mut ResourceTable,
}

/// Implemented by an embedder's state.
pub trait StoreHostView: 'static {
    /// The parts of the state that the adapter works on.
    fn store(&mut self) -> StoreView<'_>;
}
