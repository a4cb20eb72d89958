//! The engines that the suites run over.

use std::any::Any;
use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;
use tracker_host::export::{Import, write_jsonl};
use tracker_host::store::memory::Memory;
use tracker_host::{Clock, ComponentSource, Tracker};

use super::{Fixture, ticking};

/// A tracker on an engine, and what has to live as long.
pub struct Opened {
    pub tracker: Tracker,
    _keep: Option<Box<dyn Any>>,
}

impl Opened {
    pub fn new(tracker: Tracker, keep: impl Any) -> Self {
        Opened { tracker, _keep: Some(Box::new(keep)) }
    }
}

/// An engine.
#[derive(Clone, Copy)]
pub struct Engine {
    pub name: &'static str,
    /// Opens an empty store; says why if it cannot on this machine.
    open: fn(Clock) -> Option<Opened>,
    /// Whether the host sees what is done in the store.
    pub explains: bool,
}

const LMDB: Engine = Engine { name: "lmdb", open: lmdb, explains: true };
const MEMORY: Engine = Engine { name: "memory", open: memory, explains: true };
/// The component of stock runtimes, with the store inside.
const COMPOSED: Engine = Engine { name: "tracker-memory.wasm", open: composed, explains: false };

/// A server that speaks PostgreSQL's protocol: `tests/postgres.sh` starts one.
#[cfg(all(feature = "postgres", unix))]
const POSTGRES: Engine = Engine { name: "postgres", open: postgres, explains: true };

/// All engines.
pub const ENGINES: &[Engine] = &[
    LMDB,
    MEMORY,
    COMPOSED,
    #[cfg(all(feature = "postgres", unix))]
    POSTGRES,
];

#[cfg(all(feature = "postgres", unix))]
fn postgres(clock: Clock) -> Option<Opened> {
    let namespace = super::postgres::Namespace::new()?;
    let tracker = Tracker::options(&namespace.url).clock(clock).open().unwrap();
    Some(Opened::new(tracker, namespace))
}

fn lmdb(clock: Clock) -> Option<Opened> {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Tracker::options(dir.path().join("store")).clock(clock).open().unwrap();
    Some(Opened::new(tracker, dir))
}

fn over_memory() -> tracker_host::Options {
    Tracker::over(":memory:", std::sync::Arc::new(Memory::new()))
}

fn memory(clock: Clock) -> Option<Opened> {
    Some(Opened { tracker: over_memory().clock(clock).open().unwrap(), _keep: None })
}

/// The artifacts, written once.
pub fn artifact(name: &str) -> PathBuf {
    static ARTIFACTS: LazyLock<TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        tracker_artifacts::write(dir.path()).unwrap();
        dir
    });
    ARTIFACTS.path().join(name)
}

fn composed(clock: Clock) -> Option<Opened> {
    // The engine is not used: the component has its own.
    let component = ComponentSource::File(artifact("tracker-memory.wasm"));
    Some(Opened { tracker: over_memory().clock(clock).component(component).open().unwrap(), _keep: None })
}

impl Engine {
    /// An empty store with a clock that advances a second at each look.
    pub fn fresh(&self) -> Option<Opened> {
        self.fresh_at(ticking())
    }

    /// An empty store with a clock of the test's.
    pub fn fresh_at(&self, clock: Clock) -> Option<Opened> {
        (self.open)(clock)
    }

    /// A store with the rows of a fixture; only for reads.
    pub fn filled(&self, fixture: &Fixture) -> Option<Opened> {
        if self.name == LMDB.name {
            return Some(Opened { tracker: fixture.tracker(), _keep: None });
        }
        let mut opened = self.fresh()?;
        let mut rows = Vec::new();
        write_jsonl(&fixture.tracker(), &mut rows, &|| false).unwrap();
        Import::new(&mut opened.tracker).run(&mut rows.as_slice()).unwrap();
        Some(opened)
    }
}

/// An empty store in memory with a clock that advances a second at each look:
/// for tests of what an engine has no part in.
pub fn in_memory() -> Tracker {
    over_memory().clock(ticking()).open().unwrap()
}
