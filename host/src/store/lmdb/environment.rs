//! Opening, sharing and resizing an environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use heed::types::{Bytes, DecodeIgnore};
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, WithoutTls};

use super::exclusive;
use super::gate::{Gate, Pass, Refused};
use super::transaction::{ReadTransaction, WriteTransaction, get};
use super::turn::{Turns, Writer};
use super::{Durability, MAX_KEY_SIZE, MAX_TABLES, OpenError, Options};
use crate::store::Snapshot;
use crate::store::engine::{Engine, Handle, StoreError, Transaction, check_table_names};
use crate::{lend, place};

/// A table: bytes to bytes.
pub(super) type Table = Database<'static, Bytes, Bytes>;

/// How long a resize waits for the transactions of this process to end.
pub(super) const RESIZE_PATIENCE: Duration = Duration::from_secs(10);
/// How often opening is tried again while another process creates or closes the environment, and how soon.
const CREATING: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);
/// The share of the maximum from which on a warning is logged.
const WARN_AT_PERCENT: u64 = 80;

/// An open environment. Clones share it; so does everybody in the process who
/// opens the same path.
#[derive(Clone)]
pub struct Environment {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) env: Env<WithoutTls>,
    pub(super) gate: Arc<Gate>,
    pub(super) options: Options,
    pub(super) path: PathBuf,
    turns: Turns,
    names: Mutex<HashMap<String, u32>>,
    tables: [OnceLock<Table>; MAX_TABLES as usize],
    warned: AtomicBool,
}

/// Environments that are open in this process. LMDB forbids opening one twice.
static OPEN: LazyLock<Mutex<OpenHere>> = LazyLock::new(Mutex::default);

type OpenHere = HashMap<PathBuf, Weak<Shared>>;

/// The environments that are open in this process; none is opened meanwhile.
pub(super) fn open_here() -> MutexGuard<'static, OpenHere> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Environment {
    /// Opens an environment in a directory.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. On an error nothing was created or changed.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref();
        prepare(path, &options)?;
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(io)?;
        let mut open = open_here();
        if exclusive::is_reserved(&path) {
            return Err(OpenError::InUse(path));
        }
        if let Some(shared) = open.get(&path).and_then(Weak::upgrade) {
            drop(open);
            return if shared.options.agrees_with(&options) {
                Environment { shared }.checked(options.check_pages)
            } else {
                Err(OpenError::OtherOptions(path))
            };
        }
        check_file(&path)?;
        let locking = if options.read_only && !path.join("lock.mdb").exists() {
            // LMDB would create the lock file. Without one nobody has the
            // environment open: it is a copy.
            Locking::Off
        } else {
            Locking::On
        };
        let env = open_env(&path, &options, locking)?;
        let turns = if options.read_only { Turns::none() } else { Turns::open(&path.join("data.mdb")).map_err(io)? };
        let check_pages = options.check_pages;
        let shared = Arc::new(Shared::new(env, options, path.clone(), turns));
        open.retain(|_, shared| shared.strong_count() > 0);
        open.insert(path, Arc::downgrade(&shared));
        drop(open);
        Environment { shared }.checked(check_pages)
    }

    /// Itself, if its pages are to be checked only when they are sound.
    pub(super) fn checked(self, check_pages: bool) -> Result<Self, OpenError> {
        if !check_pages {
            return Ok(self);
        }
        let path = || self.shared.path.clone();
        match self.check_pages() {
            Ok(_) => Ok(self),
            Err(source @ StoreError::Corrupted(_)) => Err(OpenError::Invalid { path: path(), source: source.into() }),
            Err(source) => Err(OpenError::Io { path: path(), source: std::io::Error::other(source) }),
        }
    }

    /// Checks the structure of everything that is committed: every tree and the
    /// lists of free pages, page by page, as LMDB takes them for granted. It
    /// reads with plain reads, so that a file that was damaged or cut off
    /// behind LMDB's back is an error here, where following its pages would end
    /// the process. Writers go on meanwhile.
    ///
    /// There are no checksums: a byte that was changed within a key or a value
    /// is not seen, unless it breaks an order or a count.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupted`] names the page.
    #[cfg(target_pointer_width = "64")]
    pub fn check_pages(&self) -> Result<super::PageReport, StoreError> {
        use super::pages::{Checked, check};
        let shared = &self.shared;
        for _ in 0..100 {
            let (txn, _pass) = shared.begin_with(|| shared.env.read_txn())?;
            match check(&shared.path.join("data.mdb"), txn.id() as u64) {
                Ok(Checked::Sound(report)) => return Ok(report),
                Ok(Checked::Damaged(damage)) => return Err(StoreError::Corrupted(damage.to_string())),
                // Two commits since the transaction began; there is a newer one.
                Ok(Checked::Gone) => {}
                Err(error) => return Err(engine("check the pages", error)),
            }
        }
        Err(StoreError::Conflict)
    }

    #[cfg(not(target_pointer_width = "64"))]
    fn check_pages(&self) -> Result<(), StoreError> {
        Err(StoreError::Unsupported("check of its pages on this platform"))
    }

    pub(super) fn read(&self) -> Result<ReadTransaction, StoreError> {
        let shared = self.shared.clone();
        let (txn, pass) = shared.begin_with(|| shared.env.clone().static_read_txn())?;
        Ok(ReadTransaction::new(txn, pass, shared))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Gives the pages of the map that are in memory back to the system, where
    /// they stay cached. For bulk work, whose process would otherwise seem to
    /// hold all that it has touched.
    pub fn release_pages(&self) {
        let _pass = self.shared.gate.enter();
        lend::release_pages(&self.shared.env);
    }
}

/// Checks the directory, and creates it where that is wanted.
fn prepare(path: &Path, options: &Options) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let create = options.create && !options.read_only;
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => return Err(OpenError::NotADirectory(path.into())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if !create {
                return Err(OpenError::Missing(path.into()));
            }
            let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
            let above: Vec<&Path> = path.ancestors().skip(1).take_while(is_missing).collect();
            std::fs::create_dir_all(path).map_err(io)?;
            if options.durability != Durability::NoSync {
                above.into_iter().try_for_each(sync_name).map_err(io)?;
            }
            return Ok(());
        }
        Err(error) => return Err(io(error)),
    }
    if !path.join("data.mdb").exists() {
        // A lock file alone is what a crash at creation leaves.
        // The data file may have come since: another process is creating it, too.
        let own = ["lock.mdb", "data.mdb"];
        let other =
            std::fs::read_dir(path).map_err(io)?.flatten().any(|entry| own.iter().all(|own| entry.file_name() != *own));
        if other {
            return Err(OpenError::NotAStore(path.into()));
        }
        if !create {
            return Err(OpenError::Missing(path.into()));
        }
    }
    Ok(())
}

/// Makes the name of a file or directory survive a loss of power, as far as
/// its directory may be opened for that.
fn sync_name(path: &Path) -> std::io::Result<()> {
    match place::sync_parent(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            tracing::debug!(path = %path.display(), %error, "the directory was not synced");
            Ok(())
        }
        synced => synced,
    }
}

/// Looks at the data file before LMDB does: see [`super::file`].
#[cfg(target_pointer_width = "64")]
pub(super) fn check_file(path: &Path) -> Result<(), OpenError> {
    let data = path.join("data.mdb");
    let mut checked = super::file::check(&data);
    // Another process may be creating it at this moment.
    for _ in 0..CREATING {
        if !matches!(checked, Ok(Err(super::file::Fault::NotLmdb))) || !is_short(&data) {
            break;
        }
        std::thread::sleep(PAUSE);
        checked = super::file::check(&data);
    }
    match checked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(fault)) => Err(OpenError::Invalid { path: path.into(), source: fault.into() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(OpenError::Io { path: path.into(), source }),
    }
}

/// Whether a file has no more than what is written when it is created.
#[cfg(target_pointer_width = "64")]
fn is_short(data: &Path) -> bool {
    std::fs::metadata(data).is_ok_and(|metadata| metadata.len() <= 2 * page_size::get() as u64)
}

#[cfg(not(target_pointer_width = "64"))]
pub(super) fn check_file(_path: &Path) -> Result<(), OpenError> {
    Ok(())
}

/// Whether LMDB keeps others out through the lock file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    On,
    /// Somebody else sees to it that nobody writes.
    Off,
}

pub(super) fn open_env(path: &Path, options: &Options, locking: Locking) -> Result<Env<WithoutTls>, OpenError> {
    let page = page_size::get() as u64;
    let existing = std::fs::metadata(path.join("data.mdb")).map_or(0, |file| file.len());
    let map_size = options.map_size.max(existing).next_multiple_of(page).min(usize::MAX as u64);
    let mut flags = match options.durability {
        Durability::Sync => EnvFlags::empty(),
        Durability::NoMetaSync => EnvFlags::NO_META_SYNC,
        Durability::NoSync => EnvFlags::NO_SYNC,
    };
    if options.read_only {
        flags |= EnvFlags::READ_ONLY;
    }
    if locking == Locking::Off {
        flags |= EnvFlags::NO_LOCK;
    }
    let mut open = EnvOpenOptions::new().read_txn_without_tls();
    open.map_size(map_size as usize).max_dbs(MAX_TABLES).max_readers(options.max_readers);
    lend::set_flags(&mut open, flags);
    let mut attempts = 0;
    let env = loop {
        match lend::open_env(&open, path) {
            Ok(env) => break env,
            // Another thread is closing it right now.
            Err(heed::Error::EnvAlreadyOpened) if attempts < 100 => {
                attempts += 1;
                std::thread::sleep(PAUSE);
            }
            Err(heed::Error::EnvAlreadyOpened) => return Err(OpenError::OtherOptions(path.into())),
            // The data file was looked at before: it is the lock file. Another
            // process may have been killed while it was creating that.
            Err(heed::Error::Mdb(MdbError::VersionMismatch | MdbError::Invalid)) if attempts < CREATING => {
                attempts += 1;
                std::thread::sleep(PAUSE);
            }
            Err(heed::Error::Mdb(MdbError::VersionMismatch)) => return Err(OpenError::OtherLmdb(path.into())),
            Err(heed::Error::Io(source)) => return Err(OpenError::Io { path: path.into(), source }),
            Err(source) => return Err(OpenError::Invalid { path: path.into(), source: source.into() }),
        }
    };
    if !options.read_only && options.durability != Durability::NoSync && env.info().last_txn_id == 0 {
        // New. LMDB syncs the file only with the first commit, and its name and
        // that of the directory never.
        env.force_sync().map_err(|source| OpenError::Invalid { path: path.into(), source: source.into() })?;
        let synced = sync_name(&path.join("data.mdb")).and_then(|()| sync_name(path));
        synced.map_err(|source| OpenError::Io { path: path.into(), source })?;
    }
    if !options.read_only {
        clear_stale_readers(&env);
    }
    Ok(env)
}

/// Frees the slots of processes that died; a failure only means that they stay.
fn clear_stale_readers(env: &Env<WithoutTls>) {
    match env.clear_stale_readers() {
        Ok(0) => {}
        Ok(cleared) => tracing::info!(cleared, "cleared the slots of readers that died"),
        Err(error) => tracing::debug!(%error, "stale readers were not cleared"),
    }
}

impl Shared {
    pub(super) fn new(env: Env<WithoutTls>, options: Options, path: PathBuf, turns: Turns) -> Self {
        Shared {
            env,
            gate: Arc::default(),
            options,
            path,
            turns,
            names: Mutex::default(),
            tables: [const { OnceLock::new() }; MAX_TABLES as usize],
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn table(&self, handle: Handle) -> Result<Table, StoreError> {
        let table = self.tables.get(handle.0 as usize).and_then(OnceLock::get);
        table.copied().ok_or(StoreError::Closed("the table is not open"))
    }

    /// Begins a transaction, growing the map first if another process has.
    pub(super) fn begin_with<T>(&self, begin: impl FnMut() -> Result<T, heed::Error>) -> Result<(T, Pass), StoreError> {
        self.begin("begin a transaction", begin)
    }

    /// The same for other things that have a transaction while they last.
    pub(super) fn begin<T>(
        &self,
        context: &'static str,
        mut begin: impl FnMut() -> Result<T, heed::Error>,
    ) -> Result<(T, Pass), StoreError> {
        let mut cleared = false;
        loop {
            let pass = self.gate.enter();
            match begin() {
                Ok(txn) => return Ok((txn, pass)),
                Err(heed::Error::Mdb(MdbError::MapResized)) => {
                    drop(pass);
                    self.set_map_size(0, RESIZE_PATIENCE)?;
                }
                // Some may be of processes that died since this one opened the store.
                Err(heed::Error::Mdb(MdbError::ReadersFull)) if !cleared => {
                    cleared = true;
                    clear_stale_readers(&self.env);
                }
                Err(error) => return Err(engine(context, error)),
            }
        }
    }

    /// Doubles the map, up to the maximum.
    pub(super) fn grow(&self, patience: Duration) -> Result<(), StoreError> {
        let page = page_size::get() as u64;
        let max = self.options.max_map_size / page * page;
        let now = self.env.info().map_size as u64;
        if now >= max {
            return Err(StoreError::MapFull { max });
        }
        self.set_map_size(now.saturating_mul(2).clamp(page, max), patience)
    }

    /// Sets the map's size; 0 adopts what the file says. The caller has no transaction.
    fn set_map_size(&self, size: u64, patience: Duration) -> Result<(), StoreError> {
        match self.gate.resize(patience, || lend::resize(&self.env, size as usize)) {
            Some(result) => {
                tracing::debug!(size, "resized the map");
                result.map_err(|e| engine("resize the map", e))
            }
            None => Err(StoreError::Other(
                "the map must grow, but a transaction of this process stayed open; end read transactions sooner".into(),
            )),
        }
    }

    /// Lets this thread write, once the writer before it has ended.
    fn enter_writer(&self) -> Result<Writer, StoreError> {
        let pass = self.gate.enter_writer().map_err(|refused| match refused {
            Refused::SameThread => {
                StoreError::Closed("this thread has a write transaction on this store already; end the batch first")
            }
            Refused::Orphaned => StoreError::Closed(
                "a write transaction was let go on another thread than the one that began it; use the store once on \
                 that thread, or restart the process",
            ),
        })?;
        Ok(self.turns.wait(pass))
    }

    /// Warns, once, when the maximum is near.
    pub(super) fn watch_size(&self) {
        let used = (self.env.info().last_page_number as u64 + 1) * page_size::get() as u64;
        let max = self.options.max_map_size;
        if used.saturating_mul(100) < max.saturating_mul(WARN_AT_PERCENT) {
            self.warned.store(false, Ordering::Relaxed);
        } else if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                used,
                max,
                "the store has reached {WARN_AT_PERCENT} % of its maximum size; raise it (--max-map-size), or see what \
                 compacting gains (`host stats`)"
            );
        }
    }

    /// Makes room before a write transaction, so that few of them meet the end
    /// of the map.
    fn make_room(&self) {
        self.watch_size();
        let info = self.env.info();
        let page = page_size::get() as u64;
        let used = (info.last_page_number as u64 + 1) * page;
        let max = self.options.max_map_size;
        if used.saturating_mul(2) > info.map_size as u64 && (info.map_size as u64) < max / page * page {
            // Only if nobody has to be waited for; there is room still.
            if let Err(error) = self.grow(Duration::ZERO) {
                tracing::debug!(%error, "the map was not grown ahead");
            }
        }
    }
}

impl Engine for Environment {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        let shared = &self.shared;
        check_table_names(names)?;
        let mut known = shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.iter().any(|name| !known.contains_key(name)) {
            for (name, table) in shared.find_or_create(names)? {
                if known.contains_key(&name) {
                    continue;
                }
                let next = known.len();
                let slot = shared.tables.get(next).ok_or_else(|| StoreError::Other("too many tables".into()))?;
                if slot.set(table).is_ok() {
                    known.insert(name, next as u32);
                }
            }
        }
        Ok(names.iter().map(|name| known.get(name).copied().map(Handle)).collect())
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(self.read()?))
    }

    fn get(&self, table: Handle, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let (txn, _pass) = shared.begin_with(|| shared.env.read_txn())?;
        let Some(value) = get(shared.table(table)?, &txn, key)? else { return Ok(false) };
        out.extend_from_slice(&value);
        Ok(true)
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let shared = self.shared.clone();
        if shared.options.read_only {
            return Err(StoreError::ReadOnly);
        }
        let writer = shared.enter_writer()?;
        shared.make_room();
        Ok(Box::new(WriteTransaction::begin(shared, writer)?))
    }

    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Snapshot::new(self.clone(), self.begin_read()?)))
    }

    fn max_key_size(&self) -> u32 {
        MAX_KEY_SIZE
    }
}

type Found = Vec<(String, Table)>;

impl Shared {
    /// Opens tables that are there; creates them if one is missing and the environment can be written.
    fn find_or_create(self: &Arc<Self>, names: &[String]) -> Result<Found, StoreError> {
        let (found, anything) = self.find(names)?;
        let owner = names.first().map(String::as_str).unwrap_or_default();
        if anything && !found.iter().any(|(name, _)| name == owner) {
            return Err(StoreError::Foreign { expected: owner.to_owned() });
        }
        if found.len() == names.len() || self.options.read_only {
            return Ok(found);
        }
        self.create(names)
    }

    /// The tables among these that are there, and whether the environment holds anything.
    fn find(&self, names: &[String]) -> Result<(Found, bool), StoreError> {
        let (txn, _pass) = self.begin_with(|| self.env.read_txn())?;
        let opened = self.env.open_databases_and_commit(txn, |opener, txn| {
            let anything = match opener.open_database::<Bytes, DecodeIgnore>(txn, None)? {
                Some(root) => !root.is_empty(txn)?,
                None => false,
            };
            let mut tables = [const { None }; MAX_TABLES as usize];
            for (slot, name) in tables.iter_mut().zip(names) {
                *slot = opener.open_database::<Bytes, Bytes>(txn, Some(name))?;
            }
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((tables, Ok::<(), bool>(()), Flag(anything))))
        });
        let CommitOrAbort::Commit((tables, _, Flag(anything))) = opened.map_err(reading)? else {
            return Ok((Vec::new(), false));
        };
        let found = names.iter().cloned().zip(tables).filter_map(|(name, table)| Some((name, table?))).collect();
        Ok((found, anything))
    }

    fn create(&self, names: &[String]) -> Result<Found, StoreError> {
        let _writer = self.enter_writer()?;
        loop {
            let (txn, pass) = self.begin_with(|| self.env.write_txn())?;
            let created = self.env.create_databases_and_commit(txn, |opener, txn| {
                let mut tables = [const { None }; MAX_TABLES as usize];
                for (slot, name) in tables.iter_mut().zip(names) {
                    *slot = Some(opener.create_database::<Bytes, Bytes>(txn, Some(name))?);
                }
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
            });
            drop(pass);
            match created {
                Ok(CommitOrAbort::Commit(tables)) => {
                    return Ok(names.iter().cloned().zip(tables).filter_map(|(name, t)| Some((name, t?))).collect());
                }
                Ok(CommitOrAbort::Abort(())) => return Ok(Vec::new()),
                Err(heed::Error::Mdb(MdbError::MapFull)) => self.grow(RESIZE_PATIENCE)?,
                Err(error) => return Err(engine("create tables", error)),
            }
        }
    }
}

/// A flag that passes through a commit.
struct Flag(bool);

impl heed::OnCommit for Flag {
    type Committed = Flag;

    fn on_commit(self, _token: &heed::CommitToken) -> Flag {
        self
    }
}

/// What heed says about reading.
pub(super) fn reading(error: heed::Error) -> StoreError {
    engine("read the store", error)
}

/// Sorts an engine's error into the cases that a caller can act on.
pub(super) fn engine(context: &'static str, error: impl Into<heed::Error>) -> StoreError {
    match error.into() {
        heed::Error::Mdb(
            error @ (MdbError::Corrupted | MdbError::PageNotFound | MdbError::Panic | MdbError::Invalid),
        ) => StoreError::Corrupted(error.to_string()),
        heed::Error::Io(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::StorageFull
                    | std::io::ErrorKind::QuotaExceeded
                    | std::io::ErrorKind::FileTooLarge
                    | std::io::ErrorKind::WriteZero
            ) =>
        {
            StoreError::DiskFull(std::io::Error::new(error.kind(), format!("cannot {context}: {error}")))
        }
        heed::Error::Io(error) => StoreError::Engine { context, source: error.into() },
        error => StoreError::Engine { context, source: error.into() },
    }
}
