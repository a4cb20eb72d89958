//! Who may have transactions: many readers, one writer, or one resize.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long a resize waits for the transactions of this process to end.
const RESIZE_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    transactions: usize,
    resizing: bool,
    writer: Option<ThreadId>,
    /// A write transaction ended on another thread than the one that began it:
    /// LMDB's lock cannot be given back.
    lock_lost: bool,
}

/// Counts the transactions of an environment in this process.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// Why a writer is not let in.
pub enum Refused {
    /// This thread has a write transaction already; another would wait for itself.
    SameThread,
    /// The lock was lost.
    LockLost,
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

    /// Lets a transaction begin; waits for a resize.
    pub fn enter(self: &Arc<Self>) -> Pass {
        let mut state = self.lock();
        while state.resizing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.transactions += 1;
        Pass(self.clone())
    }

    /// Lets a writer begin; waits for the one before.
    pub fn enter_writer(self: &Arc<Self>) -> Result<WriterPass, Refused> {
        let this = thread::current().id();
        let mut state = self.lock();
        loop {
            if state.lock_lost {
                return Err(Refused::LockLost);
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

    /// Runs `resize` while the process has no transaction. None if one did not end in time.
    pub fn resize<T>(&self, resize: impl FnOnce() -> T) -> Option<T> {
        let deadline = Instant::now() + RESIZE_PATIENCE;
        let mut state = self.lock();
        while state.resizing || state.transactions > 0 {
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.resizing = true;
        drop(state);
        let result = resize();
        self.lock().resizing = false;
        self.changed.notify_all();
        Some(result)
    }

    /// Notes that LMDB's writer lock is lost for this process.
    pub fn lose_lock(&self) {
        self.lock().lock_lost = true;
        self.changed.notify_all();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.transactions -= 1;
        if state.transactions == 0 {
            self.0.changed.notify_all();
        }
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
    use super::*;

    #[test]
    fn a_resize_waits_for_transactions_and_keeps_new_ones_out() {
        let gate = Arc::new(Gate::default());
        let pass = gate.enter();
        let resizing = gate.clone();
        let (started, wait) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            started.send(()).unwrap();
            resizing.resize(|| Instant::now()).unwrap()
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
}
