//! A store in use, beside which a component misbehaves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tracker_host::store::lmdb;
use tracker_host::store::memory::{self, Memory};
use tracker_host::{CodeCache, ComponentSource, Durability, Error, Limits, Options, Tracker};

use super::guest::{File, Guest};
#[cfg(all(feature = "postgres", unix))]
use crate::support::postgres::Namespace;
use crate::support::ticking;

/// Makes tests of functions that take a scene: of each one over each engine.
macro_rules! over_every_engine {
    ($($test:ident),+ $(,)?) => {
        over_every_engine!(mod lmdb, on_lmdb: $($test)+);
        over_every_engine!(mod memory, in_memory: $($test)+);
        #[cfg(all(feature = "postgres", unix))]
        over_every_engine!(mod postgres, on_postgres: $($test)+);
    };
    (mod $engine:ident, $scene:ident: $($test:ident)+) => {
        mod $engine {
            use super::Scene;
            $(
                #[test]
                fn $test() {
                    if let Some(scene) = Scene::$scene() {
                        super::$test(scene);
                    }
                }
            )+
        }
    };
}
pub(super) use over_every_engine;

/// Nothing here takes longer, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs on a thread of its own and fails if it does not end.
pub fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(f()));
    wait.recv_timeout(PATIENCE).expect("it hangs, or it panicked (see above)")
}

/// Waits for something to be so.
fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come about");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Limits under which a guest that loops is ended soon.
pub fn brief() -> Limits {
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(500);
    limits.bulk_deadline = limits.call_deadline;
    limits
}

/// The default limits, some of them changed.
pub fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

/// An error with its causes.
pub fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What the store of a scene is on.
enum Place {
    Directory(TempDir),
    Memory(Memory),
    #[cfg(all(feature = "postgres", unix))]
    Server(Namespace, Namespace),
}

impl Place {
    /// How every session opens the store.
    fn options(&self) -> Options {
        let options = match self {
            // What the disk does is not looked at here.
            Place::Directory(dir) => Tracker::options(dir.path().join("store")).durability(Durability::NoSync),
            Place::Memory(memory) => Tracker::over(":memory:", Arc::new(memory.clone())),
            #[cfg(all(feature = "postgres", unix))]
            Place::Server(namespace, _) => Tracker::options(&namespace.url),
        };
        common(options)
    }

    /// How to open one that is not there.
    fn missing(&self) -> Options {
        common(match self {
            Place::Directory(dir) => Tracker::options(dir.path().join("new")),
            Place::Memory(_) => Tracker::over(":memory:", Arc::new(Memory::new())),
            #[cfg(all(feature = "postgres", unix))]
            Place::Server(_, new) => Tracker::options(&new.url),
        })
    }

    /// Whether that is there now.
    fn was_made(&self) -> bool {
        match self {
            Place::Directory(dir) => dir.path().join("new").exists(),
            // Nobody else has it.
            Place::Memory(_) => false,
            #[cfg(all(feature = "postgres", unix))]
            Place::Server(_, new) => new.is_there(),
        }
    }

    fn max_key_size(&self) -> u32 {
        match self {
            Place::Directory(_) => lmdb::MAX_KEY_SIZE,
            Place::Memory(_) => memory::MAX_KEY_SIZE,
            #[cfg(all(feature = "postgres", unix))]
            Place::Server(..) => tracker_host::store::postgres::MAX_KEY_SIZE,
        }
    }

    /// Read transactions that keep the engine from forgetting what they see.
    fn open_transactions(&self, good: &Tracker) -> usize {
        match self {
            Place::Directory(_) => good.environment_stats().unwrap().active_readers.unwrap().len(),
            Place::Memory(_) => 0,
            #[cfg(all(feature = "postgres", unix))]
            Place::Server(namespace, _) => namespace.open_transactions(),
        }
    }
}

fn common(options: Options) -> Options {
    static CODE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    options.code_cache(CodeCache::Directory(CODE.path().join("code"))).clock(ticking())
}

/// A store with some records, which a session reads all the time.
pub struct Scene {
    good: Tracker,
    place: Place,
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Scene {
    pub fn on_lmdb() -> Option<Self> {
        Some(Self::new(Place::Directory(tempfile::tempdir().unwrap())))
    }

    pub fn in_memory() -> Option<Self> {
        Some(Self::new(Place::Memory(Memory::new())))
    }

    /// None, and says so, where there is no server.
    #[cfg(all(feature = "postgres", unix))]
    pub fn on_postgres() -> Option<Self> {
        Some(Self::new(Place::Server(Namespace::new()?, Namespace::new()?)))
    }

    fn new(place: Place) -> Self {
        let mut good = place.options().open().unwrap();
        good.upsert_file("/kept.rs", 1.0, 2, "hash", 0, 2, 7, &["context:kept".into()]).unwrap();
        good.upsert_symbol("/kept.rs", "main", "function", 1, None, 0, 1, 8).unwrap();
        good.set_metadata("kept", "1").unwrap();
        let (stop, reads) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let mut session = good.try_clone().unwrap();
        let reader = thread::spawn({
            let (stop, reads) = (stop.clone(), reads.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(session.get_metadata("kept").unwrap().as_deref(), Some("1"));
                    assert_eq!(session.get_symbols("/kept.rs").unwrap().len(), 1);
                    reads.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Scene { good, place, stop, reads, reader: Some(reader) }
    }

    /// The longest key that the engine takes.
    pub fn max_key_size(&self) -> usize {
        self.place.max_key_size() as usize
    }

    /// How to open the store.
    pub fn options(&self) -> Options {
        self.place.options()
    }

    /// A session of the tracker on it.
    pub fn good(&self) -> Tracker {
        self.good.try_clone().unwrap()
    }

    /// A session of the component on the store.
    pub fn session(&self, guest: &Guest, limits: Limits) -> Tracker {
        let file = guest.file();
        let options = self.options().component(file.source()).limits(limits);
        options.open().unwrap_or_else(|error| panic!("{}", said(&error)))
    }

    /// The component cannot be loaded, neither at the start nor in place of
    /// another, and a store that is not there is not made for it.
    pub fn refused(&mut self, component: &[u8], limits: Limits) -> Error {
        let file = File::new(component);
        let open = |options: Options| options.component(file.source()).limits(limits.clone()).open();
        let error = open(self.options()).map(drop).unwrap_err();
        assert!(open(self.place.missing()).is_err() && !self.place.was_made());
        let old = self.options().limits(limits.clone()).open().unwrap();
        assert!(old.replace_component(&file.source()).is_err());
        self.unharmed(old);
        error
    }

    /// The component's session, after it has misbehaved: nobody else has noticed
    /// and nothing is left of it.
    pub fn unharmed(&mut self, mut session: Tracker) {
        // The reader goes on.
        let before = self.reads.load(Ordering::Relaxed);
        until("a read", || self.reads.load(Ordering::Relaxed) > before + 1);
        assert!(!self.reader.as_ref().unwrap().is_finished());
        // Another session writes while this one is still there.
        let mut other = self.good.try_clone().unwrap();
        in_time(move || other.set_metadata("written", "1").unwrap());
        // No read transaction keeps what is old alive: there is the reader's, if any, and that of the look.
        until("the end of all read transactions", || self.place.open_transactions(&self.good) <= 2);
        // The session itself can be used again, with a component that behaves.
        session.replace_component(&ComponentSource::Embedded).unwrap();
        assert_eq!(session.get_metadata("kept").unwrap().as_deref(), Some("1"));
        session.set_metadata("again", "1").unwrap();
        drop(session);
        let report = self.good.verify().unwrap();
        assert!(report.errors == 0 && report.findings.is_empty(), "{report:?}");
        assert_eq!(self.good.file_count().unwrap(), 1);
    }

    /// A call of a component fails, and does no harm.
    pub fn fails<T: std::fmt::Debug>(
        &mut self,
        guest: &Guest,
        limits: Limits,
        call: impl FnOnce(&mut Tracker) -> Result<T, Error>,
    ) -> Error {
        let mut session = self.session(guest, limits);
        let error = call(&mut session).unwrap_err();
        // The same session takes the next call: it has a new instance if it needs one.
        assert_eq!(session.get_import_state().unwrap(), None);
        self.unharmed(session);
        error
    }

    /// The same for one that traps; what the trap says.
    pub fn traps(&mut self, guest: &Guest, call: impl FnOnce(&mut Tracker) -> Result<(), Error>) -> String {
        let error = self.fails(guest, Limits::default(), call);
        assert!(matches!(error, Error::Trap(_)), "{error:?}");
        said(&error)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.reader.take().unwrap().join().is_err() && !thread::panicking() {
            panic!("the reader was disturbed");
        }
    }
}

/// What tests call of a component: the function that reads, and the one that writes.
pub fn read(session: &mut Tracker) -> Result<(), Error> {
    session.get_metadata("a").map(drop)
}

pub fn write(session: &mut Tracker) -> Result<(), Error> {
    session.set_metadata("a", "b")
}
