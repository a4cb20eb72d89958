//! Deadlines: a thread advances the engine's epoch while calls run.
//!
//! The thread sleeps when nothing has been called for a second, so that an idle
//! process is idle; while it is awake a call costs two relaxed atomic additions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, Store};

use crate::store::Waited;

/// How exact deadlines are.
const TICK: Duration = Duration::from_millis(10);
/// After how many ticks without a call the thread sleeps.
const IDLE_TICKS: u32 = 100;

/// Calls that have begun, and calls that have ended.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);
static ASLEEP: AtomicBool = AtomicBool::new(false);
static THREAD: OnceLock<Option<Thread>> = OnceLock::new();

/// Ticks so far: the engine's epoch, which wasmtime keeps to itself.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// A call that runs; its end is its drop.
pub(super) struct Running(());

/// What a call may use, all its attempts together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Time of its own.
    pub(super) time: Duration,
    /// Time that it waits for a server.
    pub(super) for_server: Duration,
}

/// When a call has to be over, for what runs in the host in its name.
#[derive(Clone, Default)]
pub(super) struct Until(Arc<Ticks>);

#[derive(Default)]
struct Ticks {
    until: AtomicU64,
    /// Those that waiting for a server may add.
    for_server: AtomicU64,
}

impl Until {
    /// The time that is left, as exact as deadlines are, if what it has waited is not counted.
    pub(super) fn left(&self, waited: Waited) -> Duration {
        let until = self.0.until.load(Ordering::Relaxed).saturating_add(self.allowed(waited));
        duration(until.saturating_sub(TICKS.load(Ordering::Relaxed)))
    }

    /// Allows more for what it has waited: so many ticks.
    pub(super) fn extend(&self, waited: Waited) -> u64 {
        let allowed = self.allowed(waited);
        self.0.for_server.fetch_sub(self.allowed_for_server(waited), Ordering::Relaxed);
        self.0.until.fetch_add(allowed, Ordering::Relaxed);
        allowed
    }

    /// What is left when the call has ended.
    pub(super) fn rest(&self, waited: Waited) -> Budget {
        self.extend(waited);
        let for_server = duration(self.0.for_server.load(Ordering::Relaxed));
        Budget { time: self.left(Waited::default()), for_server }
    }

    fn allowed(&self, waited: Waited) -> u64 {
        ticks(waited.for_writers) + self.allowed_for_server(waited)
    }

    fn allowed_for_server(&self, waited: Waited) -> u64 {
        ticks(waited.for_server).min(self.0.for_server.load(Ordering::Relaxed))
    }
}

/// Lets the store run for so long from now on.
pub(super) fn start<T>(store: &mut Store<T>, budget: Budget, until: &Until) -> Running {
    let time = ticks(budget.time).saturating_add(2);
    BEGUN.fetch_add(1, Ordering::SeqCst);
    wake(store.engine());
    until.0.until.store(TICKS.load(Ordering::Relaxed).saturating_add(time), Ordering::Relaxed);
    until.0.for_server.store(ticks(budget.for_server), Ordering::Relaxed);
    store.set_epoch_deadline(time);
    Running(())
}

/// How many ticks fit into a time.
fn ticks(time: Duration) -> u64 {
    (time.as_nanos() / TICK.as_nanos()).min(u128::from(u32::MAX)) as u64
}

fn duration(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

impl Drop for Running {
    fn drop(&mut self) {
        ENDED.fetch_add(1, Ordering::Relaxed);
    }
}

fn wake(engine: &Engine) {
    let thread = THREAD.get_or_init(|| {
        let engine = engine.clone();
        let spawned = thread::Builder::new().name("tracker-epoch".into()).spawn(move || run(&engine));
        match spawned {
            Ok(handle) => Some(handle.thread().clone()),
            Err(error) => {
                tracing::warn!(%error, "deadlines are not kept: the epoch thread cannot be started");
                None
            }
        }
    });
    if ASLEEP.load(Ordering::SeqCst)
        && let Some(thread) = thread
    {
        thread.unpark();
    }
}

fn run(engine: &Engine) {
    let mut idle = 0;
    let mut seen = 0;
    loop {
        thread::sleep(TICK);
        engine.increment_epoch();
        TICKS.fetch_add(1, Ordering::Relaxed);
        // `ENDED` first: what is read as ended was read as begun too.
        let ended = ENDED.load(Ordering::SeqCst);
        let begun = BEGUN.load(Ordering::SeqCst);
        idle = if begun == ended && begun == seen { idle + 1 } else { 0 };
        seen = begun;
        if idle >= IDLE_TICKS {
            ASLEEP.store(true, Ordering::SeqCst);
            // A call that began before it could see that the thread sleeps shows here.
            while BEGUN.load(Ordering::SeqCst) == seen {
                thread::park();
            }
            ASLEEP.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}
