//! What [`super::gate`] synchronises with. In `tests/loom`, which includes the
//! gate's source, loom's types have these names.

pub use std::sync::atomic::{AtomicUsize, Ordering};
pub use std::sync::{Condvar, Mutex, MutexGuard};
pub use std::thread::{ThreadId, current};
pub use std::time::Instant;
