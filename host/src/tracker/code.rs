//! The component of a store's sessions, which can be exchanged while they are open.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::session::{Linked, Shared};
use super::{Result, Tracker};
use crate::component::ComponentSource;

/// The component that sessions take when they next need an instance.
pub(super) struct Code {
    linked: RwLock<Linked>,
    /// How often it was exchanged: sessions compare it at each call.
    generation: AtomicU64,
}

impl Code {
    pub(super) fn new(linked: Linked) -> Self {
        Code { linked: RwLock::new(linked), generation: AtomicU64::new(0) }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The component and its generation.
    pub(super) fn current(&self) -> (Linked, u64) {
        // Nothing panics while it holds the lock: what is in it is whole.
        let linked = self.linked.read().unwrap_or_else(PoisonError::into_inner);
        (linked.clone(), self.generation())
    }

    fn replace(&self, linked: Linked) {
        let mut current = self.linked.write().unwrap_or_else(PoisonError::into_inner);
        *current = linked;
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Tracker {
    /// Exchanges the component, usually for a newer one, while the store stays
    /// open: for this session and all others that [`Tracker::try_clone`] opened.
    ///
    /// The new component is tried first: on an empty store, where it has to start
    /// and to answer, then on this one, which it has to open and whose format it
    /// has to know. Each session then takes it with its next call. A call that runs,
    /// or a batch that is open, ends with the component that it began with.
    /// Snapshots ([`Tracker::snapshot`]) keep theirs.
    ///
    /// ```
    /// use tracker_host::{ComponentSource, Tracker};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut tracker = Tracker::in_memory()?;
    /// let mut reader = tracker.try_clone()?;
    /// tracker.set_metadata("a", "1")?;
    /// # let dir = std::env::temp_dir().join(format!("tracker-replace-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir)?;
    /// # let newer = dir.join("newer.wasm");
    /// # std::fs::write(&newer, tracker_host::TRACKER_WASM)?;
    /// tracker.replace_component(&ComponentSource::File(newer))?;
    /// assert_eq!(reader.get_metadata("a")?.as_deref(), Some("1"));
    /// # std::fs::remove_dir_all(dir)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If it cannot be loaded, is not a tracker component, or refuses the
    /// store. All sessions keep the component they have then.
    pub fn replace_component(&self, source: &ComponentSource) -> Result<()> {
        let linked = Linked::load(source, &self.shared.origin, &self.shared.limits)?;
        let trial = Shared { code: Code::new(linked.clone()), ..self.shared.over(self.shared.engine.clone()) };
        // The first call opens the tables and checks the format.
        Tracker::new(Arc::new(trial)).get_import_state()?;
        self.shared.code.replace(linked);
        Ok(())
    }
}
