//! What the host takes from std, of loom.
//!
//! loom does not know time. A wait is over at once without patience
//! ([`Duration::ZERO`]), after the others had their turn with little
//! ([`LITTLE`]), and only when it is notified with more: a thread that nobody
//! wakes is a deadlock then, which loom reports.

use std::cell::Cell;
use std::ops::{Add, Deref, DerefMut};
use std::sync::LockResult;
use std::time::Duration;

pub use loom::sync::atomic::{AtomicUsize, Ordering};
pub use loom::thread::{ThreadId, current};

/// Enough for one wait.
pub const LITTLE: Duration = Duration::from_millis(1);

#[derive(Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

pub struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    guard: loom::sync::MutexGuard<'m, T>,
}

impl<T> Mutex<T> {
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        Ok(self.locked())
    }

    fn locked(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, guard: self.0.lock().expect("a thread that panics ends the model") }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[derive(Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub fn wait<'m, T>(&self, guard: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        let MutexGuard { mutex, guard } = guard;
        Ok(MutexGuard { mutex, guard: self.0.wait(guard).expect("a thread that panics ends the model") })
    }

    pub fn wait_timeout<'m, T>(&self, guard: MutexGuard<'m, T>, time: Duration) -> LockResult<(MutexGuard<'m, T>, ())> {
        if time > LITTLE {
            return self.wait(guard).map(|guard| (guard, ())).map_err(|_| unreachable!("it does not fail"));
        }
        let mutex = guard.mutex;
        drop(guard);
        loom::thread::yield_now();
        Ok((mutex.locked(), ()))
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Of a clock that stands still, but for those who have little patience and look again.
pub struct Instant {
    time: Duration,
    looked: Cell<bool>,
}

impl Instant {
    pub fn now() -> Self {
        Instant { time: Duration::ZERO, looked: Cell::new(false) }
    }

    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        let left = self.time.checked_sub(earlier.time).filter(|left| !left.is_zero())?;
        (left > LITTLE || !self.looked.replace(true)).then_some(left)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant { time: self.time + time, ..self }
    }
}
