//! How to open a tracker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::session::{Backing, Linked, Origin, Shared};
use super::{Error, Result, Tracker};
use crate::clock::Clock;
use crate::component::{CodeCache, ComponentSource};
use crate::store::lmdb::{self, Durability, Environment};
use crate::store::{Engine, Limits};

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
    /// In place of an environment.
    engine: Option<Arc<dyn Engine>>,
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
            engine: None,
            limits: Limits::default(),
            clock: Clock::system(),
            component: ComponentSource::default(),
            cache: CodeCache::default(),
        }
    }

    pub(super) fn over(name: impl AsRef<Path>, engine: Arc<dyn Engine>) -> Self {
        Options { engine: Some(engine), ..Options::new(name) }
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

    /// Check the structure of all pages first, and refuse a store that is
    /// damaged, where LMDB would follow its pages and the process could be
    /// killed. It reads the whole file: about 0.5 s a gigabyte that is cached.
    /// For stores of doubtful origin, or after trouble with a disk. Default false.
    pub fn check_pages(mut self, check: bool) -> Self {
        self.environment.check_pages = check;
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

    /// Refuses what only a store in a directory has.
    pub(super) fn require_directory(&self, what: &'static str) -> Result<()> {
        match server_url(&self.path) {
            None => Ok(()),
            Some(_) => Err(Error::NotOnServer(what)),
        }
    }

    /// Opens the tracker.
    ///
    /// # Errors
    ///
    /// If the store cannot be opened, is not a tracker's or of another format,
    /// or the component cannot be loaded. Nothing is changed then.
    pub fn open(self) -> Result<Tracker> {
        let origin = Origin { cache: self.cache, clock: self.clock };
        let linked = Linked::load(&self.component, &origin, &self.limits)?;
        let backing = match self.engine {
            Some(engine) => Backing { path: self.path, environment: None, engine },
            None => match server_url(&self.path) {
                Some(url) => on_server(url, &self.environment)?,
                None => Environment::open(&self.path, self.environment)?.into(),
            },
        };
        let mut tracker = Tracker::new(Arc::new(Shared::new(linked, origin, backing, self.limits)));
        // The first call opens the tables and checks the format.
        tracker.get_import_state()?;
        Ok(tracker)
    }
}

#[cfg(feature = "postgres")]
impl Options {
    /// Removes the store on a server that these options would open.
    pub(crate) fn remove_from_server(self) -> Result<()> {
        use crate::store::postgres::{Options, Postgres};
        let Some(url) = server_url(&self.path) else { return Ok(()) };
        Ok(Postgres::open(url, Options { create: true, read_only: false })?.remove()?)
    }
}

#[cfg(not(feature = "postgres"))]
impl Options {
    pub(crate) fn remove_from_server(self) -> Result<()> {
        Ok(())
    }
}

/// The URL that a store has in place of a path, if it is on a server.
pub(crate) fn server_url(path: &Path) -> Option<&str> {
    path.to_str().filter(|path| path.starts_with("postgres://") || path.starts_with("postgresql://"))
}

#[cfg(feature = "postgres")]
fn on_server(url: &str, options: &lmdb::Options) -> Result<Backing> {
    use crate::store::postgres::{Options, Postgres};
    let options = Options { read_only: options.read_only, create: options.create };
    let postgres = Postgres::open(url, options)?;
    let path = PathBuf::from(postgres.name());
    Ok(Backing { path, environment: None, engine: Arc::new(postgres) })
}

#[cfg(not(feature = "postgres"))]
fn on_server(_url: &str, _options: &lmdb::Options) -> Result<Backing> {
    Err(Error::NotOnServer("this build: it was made without the feature `postgres`, and it"))
}
