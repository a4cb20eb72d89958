//! An environment that nobody has open, held so that nobody opens it while its
//! data file is exchanged.
//!
//! Everybody who has an environment open holds a shared lock on the first byte
//! of its lock file; who opens it tries for an exclusive one first, and waits if
//! he cannot have either. Here that lock is taken exclusively. It is given back by opening the new environment through LMDB, which
//! sets up the lock file for it and makes the lock a shared one, just as the
//! first opener does: those who waited go on with the new data file.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::environment::{self, Environment, Locking, Shared};
use super::turn::Turns;
use super::{OpenError, Options};
use crate::place;

/// How long closing an environment may take that another thread just let go.
const CLOSING: Duration = Duration::from_secs(5);

/// Environments that this process may not open now.
static RESERVED: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

pub(super) fn is_reserved(path: &Path) -> bool {
    RESERVED.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
}

/// The right to exchange an environment's data file.
pub struct Exclusive {
    path: PathBuf,
    /// Holds the lock, until it is closed, or any other descriptor of the file
    /// in this process: that is how these locks are.
    _lock: File,
    _reserved: Reserved,
}

struct Reserved(PathBuf);

impl Drop for Reserved {
    fn drop(&mut self) {
        RESERVED.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

impl Exclusive {
    /// Takes the environment in a directory, which need not hold one yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if anybody has it open.
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let path = path.canonicalize().map_err(io)?;
        let reserved = reserve(&path)?;
        let lock = place_lock(&path.join("lock.mdb")).map_err(io)?;
        lock_first_byte(&lock).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::PermissionDenied => OpenError::InUse(path.clone()),
            _ => io(error),
        })?;
        Ok(Exclusive { path, _lock: lock, _reserved: reserved })
    }

    /// The environment, for reading. It does without LMDB's locks, since nobody
    /// else can be there.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn environment(&self) -> Result<Environment, OpenError> {
        let options = Options { read_only: true, create: false, ..Options::default() };
        environment::check_file(&self.path)?;
        let env = environment::open_env(&self.path, &options, Locking::Off)?;
        // It is about to be read to the last page.
        Environment { shared: Arc::new(Shared::new(env, options, self.path.clone(), Turns::none())) }.checked(true)
    }

    /// Puts a file in the place of the data file, if there is one with that
    /// one's permissions, and lets others in. The old data file is there until
    /// the new one is; after a crash there is one or the other.
    ///
    /// # Errors
    ///
    /// If the file cannot be moved: nothing was changed then.
    pub fn replace(self, file: &Path) -> Result<(), OpenError> {
        let data = self.path.join("data.mdb");
        let io = |source| OpenError::Io { path: data.clone(), source };
        if let Ok(old) = fs::metadata(&data) {
            fs::set_permissions(file, old.permissions()).map_err(io)?;
        }
        fs::rename(file, &data).map_err(io)?;
        place::sync_parent(&data).map_err(io)
    }

    /// Sets up the lock file for the data file and lets others in, see above.
    fn release(&self) -> Result<(), OpenError> {
        if self.path.join("data.mdb").exists() {
            environment::check_file(&self.path)?;
            environment::open_env(&self.path, &Options::default(), Locking::On)?.prepare_for_closing().wait();
        }
        Ok(())
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            // The first to open it will be told, too.
            tracing::debug!(%error, "the environment cannot be opened");
        }
    }
}

fn reserve(path: &Path) -> Result<Reserved, OpenError> {
    let open = environment::open_here();
    if open.get(path).is_some_and(|shared| shared.strong_count() > 0) {
        return Err(OpenError::InUse(path.into()));
    }
    // Another thread may be closing it right now, and its locks with it.
    if heed::env_closing_event(path).is_some_and(|closing| !closing.wait_timeout(CLOSING)) {
        return Err(OpenError::InUse(path.into()));
    }
    if !RESERVED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned()) {
        return Err(OpenError::InUse(path.into()));
    }
    Ok(Reserved(path.to_owned()))
}

fn place_lock(path: &Path) -> io::Result<File> {
    match place::create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::options().read(true).write(true).open(path),
        created => created,
    }
}

/// Locks the byte that every process which has the environment open locks. No
/// more: readers lock others.
#[cfg(unix)]
fn lock_first_byte(file: &File) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    let (kind, whence) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    let range = libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 1, l_pid: 0 };
    fcntl(file, FcntlArg::F_SETLK(&range)).map(drop).map_err(Into::into)
}

#[cfg(not(unix))]
fn lock_first_byte(_file: &File) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "exchanging a data file is implemented on Unix only"))
}
