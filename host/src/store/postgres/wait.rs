//! The thread that talks to servers, and waiting for it.
//!
//! Connections live on one thread of the process, so that their sockets are
//! served while their owner computes, and so that a caller only parks: it may
//! be a thread of an async runtime, inside which another could not be run.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::store::engine::Waits;

thread_local! {
    static WAITS: Cell<Waits> = const { Cell::new(Waits { round_trips: 0, time: Duration::ZERO }) };
    /// A wake for a wait that is over only makes the next one look once more.
    static PARKED: Arc<Parked> = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
}

/// How this thread has waited for servers.
pub(super) fn waits() -> Waits {
    WAITS.get()
}

/// Counts an answer that is waited for.
pub(super) fn count_round_trip() {
    let waits = WAITS.get();
    WAITS.set(Waits { round_trips: waits.round_trips + 1, ..waits });
}

fn count_time(since: Instant) {
    let waits = WAITS.get();
    WAITS.set(Waits { time: waits.time + since.elapsed(), ..waits });
}

/// Pauses before a server is tried again.
pub(super) fn pause(pause: Duration) {
    let began = Instant::now();
    thread::sleep(pause);
    count_time(began);
}

/// Runs a future on the thread that has the sockets.
pub(super) fn spawn<F>(future: F) -> io::Result<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Ok(sockets()?.spawn(future))
}

fn sockets() -> io::Result<&'static Handle> {
    static SOCKETS: OnceLock<Handle> = OnceLock::new();
    if let Some(handle) = SOCKETS.get() {
        return Ok(handle);
    }
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("tracker-postgres".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    // Of two threads that come here at the same time both have a runtime, and one is not used.
    Ok(SOCKETS.get_or_init(|| handle))
}

/// The time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedOut;

struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Waits for a future that needs no runtime, at most so long.
pub(super) fn wait<F: Future>(future: F, patience: Duration) -> Result<F::Output, TimedOut> {
    let mut future = pin!(future);
    let parked = PARKED.with(Arc::clone);
    let waker = Waker::from(parked.clone());
    let mut context = Context::from_waker(&waker);
    // Most of the rows of an answer are there already.
    if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
        return Ok(output);
    }
    let began = Instant::now();
    let answered = park(future, &mut context, &parked, began.checked_add(patience));
    count_time(began);
    answered
}

fn park<F: Future>(
    mut future: Pin<&mut F>,
    context: &mut Context<'_>,
    parked: &Parked,
    deadline: Option<Instant>,
) -> Result<F::Output, TimedOut> {
    loop {
        while !parked.woken.swap(false, Ordering::Acquire) {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Err(TimedOut),
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Ok(output);
        }
    }
}

/// Polls a future once: a request that it makes is on its way then, also if it is dropped.
pub(super) fn start<F: Future>(future: F) {
    let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_future_or_with_the_patience() {
        let done = spawn(async { 5 }).unwrap();
        assert_eq!(wait(done, Duration::from_secs(60)).unwrap().unwrap(), 5);
        assert_eq!(wait(std::future::pending::<()>(), Duration::from_millis(5)), Err(TimedOut));
    }
}
