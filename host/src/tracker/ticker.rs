//! Deadlines: a thread advances the engine's epoch while calls run.
//!
//! The thread sleeps when nothing has been called for a second, so that an idle
//! process is idle; while it is awake a call costs two relaxed atomic additions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::{Engine, Store};

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

/// When a call has to be over, for what runs in the host in its name.
#[derive(Clone, Default)]
pub(super) struct Until(Arc<AtomicU64>);

impl Until {
    /// The time that is left if waiting is not counted, as exact as deadlines are.
    pub(super) fn left(&self, waited: Duration) -> Duration {
        let until = self.0.load(Ordering::Relaxed).saturating_add(ticks(waited));
        let left = until.saturating_sub(TICKS.load(Ordering::Relaxed));
        TICK.saturating_mul(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Allows so many ticks more.
    pub(super) fn extend(&self, ticks: u64) {
        self.0.fetch_add(ticks, Ordering::Relaxed);
    }
}

/// Lets the store run for so long from now on.
pub(super) fn start<T>(store: &mut Store<T>, time: Duration, until: &Until) -> Running {
    let ticks = ticks(time).saturating_add(2);
    BEGUN.fetch_add(1, Ordering::SeqCst);
    wake(store.engine());
    until.0.store(TICKS.load(Ordering::Relaxed).saturating_add(ticks), Ordering::Relaxed);
    store.set_epoch_deadline(ticks);
    Running(())
}

/// How many ticks fit into a time.
pub(super) fn ticks(time: Duration) -> u64 {
    (time.as_nanos() / TICK.as_nanos()).min(u128::from(u32::MAX)) as u64
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
