//! Batches: many calls in one write transaction.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::{Result, Tracker};

/// A batch. Calls through it share one write transaction; dropping it aborts.
///
/// An error of the store or a trap inside a batch aborts it. The component
/// would then run the next call in a transaction of its own; the library
/// answers [`crate::Error::BatchAborted`] until the batch is ended, so that half
/// a batch is never taken for a whole one.
///
/// It cannot be sent to another thread, since LMDB's write transactions belong
/// to the thread that begins them:
///
/// ```compile_fail
/// fn send<T: Send>(_: T) {}
/// fn wrong(tracker: &mut tracker_host::Tracker) {
///     send(tracker.batch());
/// }
/// ```
#[must_use = "a batch that is dropped is aborted"]
pub struct Batch<'t> {
    tracker: &'t mut Tracker,
    open: bool,
    /// Makes it `!Send`.
    thread: PhantomData<*const ()>,
}

impl<'t> Batch<'t> {
    pub(super) fn new(tracker: &'t mut Tracker) -> Self {
        Batch { tracker, open: true, thread: PhantomData }
    }

    /// Commits. Nothing of the batch is kept if this fails.
    ///
    /// # Errors
    ///
    /// If an earlier error has aborted the batch, or the store fails.
    pub fn commit(mut self) -> Result<()> {
        self.open = false;
        self.tracker.end_batch()
    }

    /// Discards everything that was written.
    ///
    /// # Errors
    ///
    /// If the component fails; the batch is discarded all the same.
    pub fn abort(mut self) -> Result<()> {
        self.open = false;
        self.tracker.abort_batch()
    }
}

impl Deref for Batch<'_> {
    type Target = Tracker;

    fn deref(&self) -> &Tracker {
        self.tracker
    }
}

impl DerefMut for Batch<'_> {
    fn deref_mut(&mut self) -> &mut Tracker {
        self.tracker
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = self.tracker.abort_batch()
        {
            tracing::debug!(%error, "aborting a batch failed; its transaction is gone all the same");
        }
    }
}
