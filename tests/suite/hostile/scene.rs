//! A store in use, beside which a component misbehaves.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tracker_host::{CodeCache, ComponentSource, Durability, Error, Limits, Options, Tracker};

use super::guest::{File, Guest};
use crate::support::ticking;

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

/// How every session opens the store. What the disk does is not looked at here.
fn options(store: &Path) -> Options {
    static CODE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    let cache = CodeCache::Directory(CODE.path().join("code"));
    Tracker::options(store).durability(Durability::NoSync).code_cache(cache).clock(ticking())
}

/// A store with some records, which a session reads all the time.
pub struct Scene {
    good: Tracker,
    dir: TempDir,
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
    reader: Option<JoinHandle<()>>,
}

impl Scene {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut good = options(&dir.path().join("store")).open().unwrap();
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
        Scene { good, dir, stop, reads, reader: Some(reader) }
    }

    /// Where the store is.
    pub fn path(&self) -> PathBuf {
        self.good.path().to_owned()
    }

    /// How to open the store.
    pub fn options(&self) -> Options {
        options(&self.path())
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
        let open = |path: &Path| options(path).component(file.source()).limits(limits.clone()).open();
        let error = open(&self.path()).map(drop).unwrap_err();
        let new = self.dir.path().join("new");
        assert!(open(&new).is_err() && !new.exists());
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
        // No read transaction keeps old pages alive: there is the reader's, if any, and that of the look.
        let open = || self.good.environment_stats().unwrap().active_readers.unwrap().len();
        until("the end of all read transactions", || open() <= 2);
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
