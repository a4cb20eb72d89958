//! How to open a tracker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::session::Shared;
use super::{Result, Tracker};
use crate::component::{self, CodeCache, ComponentSource};
use crate::store::Limits;
use crate::store::lmdb::{self, Durability, Environment};

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

    /// The time since 1970.
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

/// Options for opening a tracker.
///
/// ```
/// use tracker_host::{Durability, Tracker};
///
/// # fn main() -> Result<(), tracker_host::Error> {
/// # let dir = std::env::temp_dir().join(format!("tracker-options-{}", std::process::id()));
/// let mut tracker = Tracker::options(&dir).durability(Durability::NoMetaSync).open()?;
/// tracker.set_metadata("schema", "3")?;
/// assert_eq!(tracker.get_metadata("schema")?.as_deref(), Some("3"));
/// # drop(tracker);
/// # std::fs::remove_dir_all(dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) path: PathBuf,
    pub(super) environment: lmdb::Options,
    limits: Limits,
    clock: Clock,
    component: ComponentSource,
    cache: CodeCache,
}

impl Options {
    pub(super) fn new(path: impl AsRef<Path>) -> Self {
        Options {
            path: path.as_ref().to_owned(),
            environment: lmdb::Options::default(),
            limits: Limits::default(),
            clock: Clock::system(),
            component: ComponentSource::default(),
            cache: CodeCache::default(),
        }
    }

    /// Open for reading only; nothing is created. Default false.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.environment.read_only = read_only;
        self
    }

    /// Create the store if it is missing. Default true.
    pub fn create(mut self, create: bool) -> Self {
        self.environment.create = create;
        self
    }

    /// What a commit survives. Default [`Durability::Sync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.environment.durability = durability;
        self
    }

    /// The size of the memory map at first, in bytes. Default 16 MiB.
    pub fn map_size(mut self, bytes: u64) -> Self {
        self.environment.map_size = bytes;
        self
    }

    /// What the map may grow to, in bytes: the most that the store can hold. Default 64 GiB.
    pub fn max_map_size(mut self, bytes: u64) -> Self {
        self.environment.max_map_size = bytes;
        self.environment.map_size = self.environment.map_size.min(bytes);
        self
    }

    /// Read transactions over all processes. Default 126.
    pub fn max_readers(mut self, readers: u32) -> Self {
        self.environment.max_readers = readers;
        self
    }

    /// Budgets of the component.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The clock that gives records their times.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The component. Default: the one that was built with this crate.
    pub fn component(mut self, component: ComponentSource) -> Self {
        self.component = component;
        self
    }

    /// Where compiled code is kept. Default: the user's cache directory.
    pub fn code_cache(mut self, cache: CodeCache) -> Self {
        self.cache = cache;
        self
    }

    /// Opens the tracker.
    ///
    /// # Errors
    ///
    /// If the store cannot be opened, is not a tracker's or of another format,
    /// or the component cannot be loaded. Nothing is changed then.
    pub fn open(self) -> Result<Tracker> {
        let engine = component::engine()?;
        let code = component::load(engine, &self.component, &self.cache)?;
        let what = match &self.component {
            ComponentSource::Embedded => "the embedded component".to_owned(),
            ComponentSource::File(path) => path.display().to_string(),
        };
        let environment = Environment::open(&self.path, self.environment)?;
        let mut tracker = Tracker::new(Arc::new(Shared::new(code, what, environment, self.limits, self.clock)?));
        // The first call opens the tables and checks the format.
        tracker.get_import_state()?;
        Ok(tracker)
    }
}
