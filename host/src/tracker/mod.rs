//! Trackers: sessions with the component on a store.

mod batch;
mod code;
mod dynamic;
mod error;
mod operations;
mod options;
mod pages;
mod session;
mod ticker;
mod typed;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use batch::Batch;
pub(crate) use dynamic::type_name;
pub use dynamic::{Param, Signature};
pub use error::Error;
pub(crate) use error::each_answered;
pub use operations::{Backup, Compaction, Restored};
pub use options::Options;
pub(crate) use options::server_url;
pub use pages::Pages;

use crate::component::EXPORT as INTERFACE;
use crate::store::lmdb::EnvironmentStats;
use crate::store::memory::Memory;
use crate::store::{Engine, Explain};
use session::{Session, Shared};

/// What every call returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What a store in memory is called.
const IN_MEMORY: &str = ":memory:";

/// How often a call is run again when other writers were faster. With the pauses
/// between that is a few seconds: sixteen writers of the same records on a
/// server get through.
const RETRIES: u32 = 40;

/// A session with the tracker component on a store.
///
/// Calls take `&mut self`: a session has one instance of the component, which
/// runs one call at a time. For another thread, [`Tracker::try_clone`] opens
/// another session on the same environment; readers run in parallel and one
/// writer at a time. A tracker can be sent to another thread, except while it
/// has a batch.
///
/// A call that traps ends the instance: its transactions are aborted, and the
/// next call gets a new one.
pub struct Tracker {
    shared: Arc<Shared>,
    session: Option<Session>,
    batch: BatchState,
    /// The open batch has a transaction of the host's.
    batch_is_seen: bool,
    explain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BatchState {
    None,
    Open,
    /// An error ended it; everything until its end is refused.
    Aborted,
}

/// How long to wait before an attempt is repeated: at random up to a time that
/// grows from 2 to 256 ms, so that writers that met once do not meet again.
pub(crate) fn pause(attempt: u32) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let most = 1000 << attempt.min(8);
    Duration::from_micros(500 + RandomState::new().hash_one(attempt) % most)
}

/// How long a call may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    Call,
    Bulk,
}

impl Tracker {
    /// Opens a store with default options, creating it if it is missing.
    ///
    /// # Errors
    ///
    /// If the store cannot be opened or is not a tracker's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new(path).open()
    }

    /// Options for opening a store: a directory, or the `postgres://` URL of one on a server.
    pub fn options(path: impl AsRef<Path>) -> Options {
        Options::new(path)
    }

    /// A tracker on an empty store in memory, for tests and for what need not be
    /// kept. [`Tracker::try_clone`] opens further sessions on it.
    ///
    /// ```
    /// # fn main() -> Result<(), tracker_host::Error> {
    /// let mut tracker = tracker_host::Tracker::in_memory()?;
    /// tracker.set_metadata("a", "1")?;
    /// assert_eq!(tracker.try_clone()?.get_metadata("a")?.as_deref(), Some("1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the component cannot be loaded.
    pub fn in_memory() -> Result<Self> {
        Tracker::over(IN_MEMORY, Arc::new(Memory::new())).open()
    }

    /// Options for a tracker over an engine other than an LMDB environment.
    /// `name` is what errors call it. Options of environments (durability, map
    /// size, reading only…) have no meaning for it.
    pub fn over(name: impl AsRef<Path>, engine: Arc<dyn Engine>) -> Options {
        Options::over(name, engine)
    }

    fn new(shared: Arc<Shared>) -> Self {
        Tracker { shared, session: None, batch: BatchState::None, batch_is_seen: false, explain: false }
    }

    /// Another session on the same environment.
    ///
    /// # Errors
    ///
    /// If the component cannot be instantiated.
    pub fn try_clone(&self) -> Result<Self> {
        let mut other = Tracker::new(self.shared.clone());
        other.session()?;
        Ok(other)
    }

    /// The directory of the store; over another engine than LMDB what that is called.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Figures of the environment and its tables.
    ///
    /// # Errors
    ///
    /// If the environment cannot be read, or there is another engine than LMDB.
    pub fn environment_stats(&self) -> Result<EnvironmentStats> {
        Ok(self.shared.environment("figures of an environment")?.stats()?)
    }

    /// Gives the pages of the store that are mapped into memory back to the
    /// system, where they stay cached. For bulk work, whose process would
    /// otherwise seem to hold all that it has touched.
    pub fn release_pages(&self) {
        if let Some(environment) = &self.shared.environment {
            environment.release_pages();
        }
    }

    /// Starts or stops counting what calls do in the store.
    pub fn set_explain(&mut self, on: bool) {
        self.explain = on;
        if let Some(session) = &mut self.session {
            session.store.data_mut().store.set_explain(on);
        }
    }

    /// What the calls did in the store since this was last asked.
    pub fn take_explain(&mut self) -> Explain {
        let session = self.session.as_mut();
        session.and_then(|session| session.store.data_mut().store.take_explain()).unwrap_or_default()
    }

    /// Begins a batch: see `begin-batch` in `wit/tracker.wit`. Dropping the guard aborts it.
    ///
    /// # Errors
    ///
    /// If the write transaction cannot be begun.
    pub fn batch(&mut self) -> Result<Batch<'_>> {
        self.begin_batch()?;
        Ok(Batch::new(self))
    }

    /// True between [`Tracker::begin_batch`] and its end.
    pub fn in_batch(&self) -> bool {
        self.batch != BatchState::None
    }

    /// `begin-batch`: prefer [`Tracker::batch`], whose guard cannot be forgotten.
    ///
    /// # Errors
    ///
    /// If the write transaction cannot be begun.
    pub fn begin_batch(&mut self) -> Result<()> {
        let before = self.batch;
        if before == BatchState::None {
            self.batch = BatchState::Open;
        }
        let begun = self.call("begin_batch", Deadline::Call, |session| {
            session.bindings.galaxybrain_tracker_tracker().call_begin_batch(&mut session.store)
        });
        if before == BatchState::None {
            self.batch_is_seen = self.has_transaction();
            if begun.is_err() {
                self.batch = BatchState::None;
                self.end_strays();
            }
        }
        begun
    }

    /// `end-batch`: commits the batch.
    ///
    /// # Errors
    ///
    /// If an earlier error has aborted the batch, or the commit fails: nothing of it is kept then.
    pub fn end_batch(&mut self) -> Result<()> {
        if self.batch == BatchState::Aborted {
            self.batch = BatchState::None;
            return Err(Error::BatchAborted);
        }
        let ended = self.call("end_batch", Deadline::Bulk, |session| {
            session.bindings.galaxybrain_tracker_tracker().call_end_batch(&mut session.store)
        });
        self.batch = BatchState::None;
        // A component that says that it has ended the batch may not have done so.
        ended.and(self.finish())
    }

    /// `abort-batch`: discards the batch.
    ///
    /// # Errors
    ///
    /// If the component fails; the batch is discarded all the same.
    pub fn abort_batch(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.batch, BatchState::None) == BatchState::Aborted {
            return Ok(());
        }
        self.call("abort_batch", Deadline::Call, |session| {
            session.bindings.galaxybrain_tracker_tracker().call_abort_batch(&mut session.store)
        })
    }

    fn session(&mut self) -> Result<&mut Session> {
        if self.session.as_ref().is_some_and(|session| session.is_outdated(&self.shared)) {
            self.session = None;
        }
        if self.session.is_none() {
            self.session = Some(Session::new(&self.shared, self.explain)?);
        }
        match &mut self.session {
            Some(session) => Ok(session),
            None => unreachable!("it was just set"),
        }
    }

    fn deadline(&self, deadline: Deadline) -> Duration {
        match deadline {
            Deadline::Call => self.shared.limits.call_deadline,
            Deadline::Bulk => self.shared.limits.bulk_deadline,
        }
    }

    /// Runs an exported function: within its deadline, again if another writer
    /// was faster, and without leaving anything behind when it fails.
    fn call<T, E: Into<Error>>(
        &mut self,
        function: &str,
        deadline: Deadline,
        mut f: impl FnMut(&mut Session) -> wasmtime::Result<std::result::Result<T, E>>,
    ) -> Result<T> {
        let _span = tracing::debug_span!("call", function).entered();
        if self.batch == BatchState::Aborted {
            return Err(Error::BatchAborted);
        }
        let allowed = self.deadline(deadline);
        let mut budget = self.shared.budget(allowed);
        let in_batch = self.in_batch();
        for attempt in 1.. {
            let session = self.session()?;
            let running = session.start(budget);
            let answer = f(session);
            drop(running);
            match answer.map(|answer| answer.map_err(E::into)) {
                Ok(Ok(value)) => {
                    session.ready = true;
                    return self.finish().map(|()| value);
                }
                Ok(Err(Error::Conflict(_))) if !in_batch => {
                    budget = session.rest();
                    // Whoever was faster is not kept waiting in turn.
                    self.end_strays();
                    if attempt > RETRIES {
                        return Err(Error::Conflict(attempt));
                    }
                    std::thread::sleep(pause(attempt));
                }
                Ok(Err(error)) => {
                    self.note_lost_batch();
                    self.end_strays();
                    return Err(error);
                }
                Err(trap) => return Err(self.trapped(trap, allowed)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Ends a call that the component says has succeeded. What it wrote in a
    /// transaction that it has left open is lost.
    fn finish(&mut self) -> Result<()> {
        match self.end_strays() {
            0 => Ok(()),
            strays => Err(Error::Nonsense(format!("success, with {strays} transactions left open; they were aborted"))),
        }
    }

    /// Outside a batch no transaction outlives a call: a reader would keep old
    /// pages alive, a writer would keep all others out. Returns how many there were.
    fn end_strays(&mut self) -> u32 {
        if self.session.as_ref().is_some_and(|session| !session.ready) {
            self.session = None;
        }
        let strays = self.session.as_ref().map_or(0, |session| session.store.data().store.open_transactions());
        if self.batch == BatchState::None && strays > 0 {
            tracing::warn!(strays, "the component left transactions open; they were aborted and its instance dropped");
            self.session = None;
            return strays;
        }
        0
    }

    /// If an error has ended the batch's transaction, the batch is refused from
    /// now on. A component with a store inside has none that could be seen here.
    fn note_lost_batch(&mut self) {
        if self.batch == BatchState::Open && self.batch_is_seen && !self.has_transaction() {
            self.batch = BatchState::Aborted;
        }
    }

    fn has_transaction(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.store.data().store.open_transactions() > 0)
    }

    /// Drops the instance, and with it its transactions.
    fn trapped(&mut self, trap: wasmtime::Error, allowed: Duration) -> Error {
        let session = self.session.take();
        if self.batch == BatchState::Open {
            self.batch = BatchState::Aborted;
        }
        match session {
            Some(session) => session::failed(trap, session.store.data(), allowed),
            None => Error::Trap(trap),
        }
    }
}
