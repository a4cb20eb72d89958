//! Who may have transactions: many readers, one writer, or one resize.

use std::any::Any;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

// What `tests/loom` exchanges to try every interleaving of this very file.
use super::sync::{AtomicUsize, Condvar, Instant, Mutex, MutexGuard, Ordering, ThreadId, current};

/// What only writers and resizes look at.
#[derive(Default)]
struct State {
    resizing: bool,
    /// Resizes that wait for transactions to end. New ones wait behind them, or
    /// busy readers would keep the map from ever growing.
    resizes_wanted: usize,
    writer: Option<ThreadId>,
    /// A write transaction that was let go on another thread than its own.
    orphan: Option<Orphan>,
}

/// LMDB's writer lock can be given back only by the thread that took it. What
/// was let go elsewhere is kept until that thread comes by.
struct Orphan {
    thread: ThreadId,
    transaction: Box<dyn Any + Send>,
}

/// Counts the transactions of an environment in this process.
///
/// A transaction that nobody waits for takes an atomic addition and a
/// subtraction; the lock is for everything else.
#[derive(Default)]
pub struct Gate {
    /// How many transactions there are, and [`ATTENTION`].
    transactions: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

/// Set while a resize is wanted or there is an orphan: transactions then begin
/// and end under the lock.
const ATTENTION: usize = 1 << (usize::BITS - 1);

/// Why a writer is not let in.
pub enum Refused {
    /// This thread has a write transaction already; another would wait for itself.
    SameThread,
    /// Another thread has to end its transaction first: see [`Gate::adopt`].
    Orphaned,
}

/// A transaction's permission to be.
pub struct Pass(Arc<Gate>);

/// The permission to be the writer.
pub struct WriterPass(Arc<Gate>);

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every point where a panic could occur.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets or clears [`ATTENTION`] after a change of the state.
    fn attend(&self, state: &State) {
        if state.resizing || state.resizes_wanted > 0 || state.orphan.is_some() {
            self.transactions.fetch_or(ATTENTION, Ordering::SeqCst);
        } else {
            self.transactions.fetch_and(!ATTENTION, Ordering::SeqCst);
        }
    }

    fn count(&self) -> usize {
        self.transactions.load(Ordering::SeqCst) & !ATTENTION
    }

    /// Lets a transaction begin; waits for a resize.
    pub fn enter(self: &Arc<Self>) -> Pass {
        if self.transactions.fetch_add(1, Ordering::SeqCst) & ATTENTION != 0 {
            self.leave();
            self.bury();
            let mut state = self.lock();
            while state.resizing || state.resizes_wanted > 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // Under the lock, so that no resize begins in between.
            self.transactions.fetch_add(1, Ordering::SeqCst);
        }
        Pass(self.clone())
    }

    fn leave(&self) {
        if self.transactions.fetch_sub(1, Ordering::SeqCst) & ATTENTION != 0 {
            // The lock keeps this from falling between a resize's look at the
            // count and its waiting.
            drop(self.lock());
            self.changed.notify_all();
        }
    }

    /// Lets a writer begin; waits for the one before.
    pub fn enter_writer(self: &Arc<Self>) -> Result<WriterPass, Refused> {
        self.bury();
        let this = current().id();
        let mut state = self.lock();
        loop {
            if state.orphan.is_some() {
                return Err(Refused::Orphaned);
            }
            match state.writer {
                None => break,
                Some(writer) if writer == this => return Err(Refused::SameThread),
                Some(_) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        state.writer = Some(this);
        Ok(WriterPass(self.clone()))
    }

    /// Runs `resize` while the process has no transaction. None if one did not
    /// end within the patience.
    pub fn resize<T>(&self, patience: Duration, resize: impl FnOnce() -> T) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        state.resizes_wanted += 1;
        self.attend(&state);
        while state.resizing || self.count() > 0 {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                state.resizes_wanted -= 1;
                self.attend(&state);
                self.changed.notify_all();
                return None;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.resizes_wanted -= 1;
        state.resizing = true;
        drop(state);
        let _resizing = Resizing(self);
        Some(resize())
    }

    /// Keeps a write transaction that was let go on another thread than its
    /// own. It is ended when that thread next begins a transaction; until then
    /// no thread can write.
    pub fn adopt(&self, thread: ThreadId, transaction: Box<dyn Any + Send>) {
        let mut state = self.lock();
        state.orphan = Some(Orphan { thread, transaction });
        self.attend(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends this thread's orphan, if there is one.
    fn bury(&self) {
        let mut state = self.lock();
        let mine = state.orphan.take_if(|orphan| orphan.thread == current().id());
        self.attend(&state);
        drop(state);
        if let Some(orphan) = mine {
            // Outside the lock: it holds passes, which take it.
            drop(orphan.transaction);
            self.changed.notify_all();
        }
    }
}

/// A resize that runs.
struct Resizing<'g>(&'g Gate);

impl Drop for Resizing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.resizing = false;
        self.0.attend(&state);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for WriterPass {
    fn drop(&mut self) {
        self.0.lock().writer = None;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_resize_waits_for_transactions_and_keeps_new_ones_out() {
        let gate = Arc::new(Gate::default());
        let pass = gate.enter();
        let resizing = gate.clone();
        let (started, wait) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            started.send(()).unwrap();
            resizing.resize(Duration::from_secs(10), Instant::now).unwrap()
        });
        wait.recv().unwrap();
        thread::sleep(Duration::from_millis(20));
        let released = Instant::now();
        drop(pass);
        assert!(thread.join().unwrap() >= released);
        drop(gate.enter());
    }

    #[test]
    fn a_thread_cannot_wait_for_itself() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter_writer().ok().unwrap();
        assert!(matches!(gate.enter_writer(), Err(Refused::SameThread)));
        drop(first);
        assert!(gate.enter_writer().is_ok());
    }

    #[test]
    fn writers_wait_for_each_other() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter_writer().ok().unwrap();
        let other = gate.clone();
        let thread = thread::spawn(move || other.enter_writer().map(|_| Instant::now()).ok().unwrap());
        thread::sleep(Duration::from_millis(20));
        let released = Instant::now();
        drop(first);
        assert!(thread.join().unwrap() >= released);
    }

    #[test]
    fn a_resize_gets_its_turn_among_busy_readers() {
        let gate = Arc::new(Gate::default());
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (gate, stop) = (gate.clone(), stop.clone());
                thread::spawn(move || {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let _pass = gate.enter();
                        thread::sleep(Duration::from_millis(3));
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        let resized = gate.resize(Duration::from_secs(5), || ());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(resized, Some(()));
    }

    #[test]
    fn a_resize_that_gives_up_lets_transactions_begin() {
        let gate = Arc::new(Gate::default());
        let pass = gate.enter();
        assert_eq!(gate.resize(Duration::ZERO, || ()), None);
        drop(gate.enter());
        drop(pass);
        assert_eq!(gate.resize(Duration::ZERO, || ()), Some(()));
    }

    #[test]
    fn an_orphan_is_ended_by_its_own_thread_only() {
        let gate = Arc::new(Gate::default());
        let pass = gate.enter_writer().ok().unwrap();
        gate.adopt(thread::current().id(), Box::new(pass));
        let other = gate.clone();
        assert!(matches!(
            thread::spawn(move || other.enter_writer().map(drop)).join().unwrap(),
            Err(Refused::Orphaned)
        ));
        assert!(gate.enter_writer().is_ok());
    }
}
