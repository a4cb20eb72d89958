//! The time that the component is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::bindings::wasi::clocks::wall_clock::Datetime;

/// What the component is told when it asks for the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Clock(Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// A clock that answers what `now` does: the time since 1970.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    /// A clock that begins at this second and advances by one at each look, for
    /// records that can be reproduced.
    pub fn ticking(start: u64) -> Self {
        let seconds = AtomicU64::new(start);
        Clock::new(move || Duration::from_secs(seconds.fetch_add(1, Ordering::SeqCst)))
    }

    /// The time since 1970.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

/// Adds `wasi:clocks/wall-clock` to a linker: the one import of the component
/// besides the store. A tool that has wasmtime-wasi's clocks in its linker does
/// not need it.
///
/// # Errors
///
/// If the linker has the interface already and does not allow shadowing.
pub fn add_to_linker<T: 'static>(linker: &mut Linker<T>, clock: Clock) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:clocks/wall-clock@0.2.6")?;
    interface.func_wrap("now", move |_: StoreContextMut<'_, T>, (): ()| {
        let since = clock.now();
        Ok((Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() },))
    })?;
    interface
        .func_wrap("resolution", |_: StoreContextMut<'_, T>, (): ()| Ok((Datetime { seconds: 0, nanoseconds: 1 },)))
}
