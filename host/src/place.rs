//! New files and directories that get their name when they are whole.
//!
//! What is written goes to `<name>.tracker-partial` and is renamed at the end, so that
//! nobody ever finds half of it under its name, and what is there already is
//! never overwritten. A lock on the partial one tells what another process is
//! writing now from what a process that was killed has left: that is removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Why something new cannot be put in its place. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Something has the name.
    #[error("{0} is there already and was left alone; give a new name, or move it away")]
    Exists(PathBuf),
    /// Another process is writing it.
    #[error("another process is writing {0} at this moment; wait for it, or give another name")]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot write {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

const SUFFIX: &str = ".tracker-partial";
/// What [`Partial::inside`] is called.
pub(crate) const INSIDE: &str = "new.tracker-partial";

type Result<T> = std::result::Result<T, PlaceError>;

/// Something new on its way. Dropped, it is removed.
pub(crate) struct Partial {
    partial: PathBuf,
    to: PathBuf,
    /// Holds the lock.
    handle: File,
    directory: bool,
    placed: bool,
}

/// Names the path in an error.
pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> PlaceError {
    move |source| PlaceError::Io { path: path.to_owned(), source }
}

impl Partial {
    /// A directory that only its owner may enter.
    pub(crate) fn directory(to: &Path) -> Result<Self> {
        Self::new(to, beside(to), true)
    }

    /// A directory that is never placed: its files are moved out of it one by
    /// one. It lies in `parent`, and so on the same file system.
    pub(crate) fn inside(parent: &Path) -> Result<Self> {
        let partial = parent.join(INSIDE);
        Self::new(&parent.join("new"), partial, true)
    }

    /// A file that only its owner may read.
    pub(crate) fn file(to: &Path) -> Result<Self> {
        Self::new(to, beside(to), false)
    }

    fn new(to: &Path, partial: PathBuf, directory: bool) -> Result<Self> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(PlaceError::Exists(to.into()));
        }
        let opened = if directory { open_directory(&partial) } else { open_file(&partial) };
        let handle = opened.map_err(at(&partial))?;
        match handle.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Err(PlaceError::InUse(to.into())),
            // A file system without locks: two processes that write the same
            // name at the same time are then not told apart.
            Ok(()) | Err(fs::TryLockError::Error(_)) => {}
        }
        if !is_still(&handle, &partial).map_err(at(&partial))? {
            // The other process has just finished it.
            return Err(PlaceError::InUse(to.into()));
        }
        let this = Partial { partial, to: to.into(), handle, directory, placed: false };
        this.empty().map_err(at(&this.partial))?;
        Ok(this)
    }

    /// Removes what a process that was killed has left.
    fn empty(&self) -> io::Result<()> {
        if !self.directory {
            return self.handle.set_len(0);
        }
        for file in ["data.mdb", "lock.mdb"] {
            match fs::remove_file(self.partial.join(file)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// Where it is until it is placed.
    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// The file; for a directory its handle.
    pub(crate) fn handle(&self) -> &File {
        &self.handle
    }

    /// Gives it its name, and makes that survive a loss of power. The contents
    /// of a directory's files have been synced by whoever wrote them.
    pub(crate) fn place(mut self) -> Result<()> {
        self.handle.sync_all().map_err(at(&self.partial))?;
        rename_new(&self.partial, &self.to).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => PlaceError::Exists(self.to.clone()),
            _ => at(&self.to)(error),
        })?;
        self.placed = true;
        sync_parent(&self.to).map_err(at(&self.to))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.placed {
            return;
        }
        let removed = if self.directory { fs::remove_dir_all(&self.partial) } else { fs::remove_file(&self.partial) };
        if let Err(error) = removed {
            tracing::warn!(path = %self.partial.display(), %error, "what was not finished could not be removed");
        }
    }
}

fn beside(to: &Path) -> PathBuf {
    // A path that ends in a slash would put it inside.
    let mut name: std::ffi::OsString = to.components().as_path().into();
    name.push(SUFFIX);
    name.into()
}

/// A new file that only its owner may read.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    private(&mut options).read(true).write(true).create_new(true).open(path)
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    private(&mut options).read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(unix)]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

fn open_directory(path: &Path) -> io::Result<File> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => created?,
    }
    File::open(path)
}

/// Whether the path still leads to what was opened.
#[cfg(unix)]
fn is_still(handle: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let opened = handle.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_still(_handle: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Renames to a name that is free.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::errno::Errno;
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // An old kernel, or a file system that cannot.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {}
            renamed => return renamed.map_err(Into::into),
        }
    }
    // Here somebody can take the name in between.
    if fs::symlink_metadata(to).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Makes the names in a path's directory survive a loss of power.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_dropped_leaves_nothing_and_what_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a");
        drop(Partial::file(&to).unwrap());
        drop(Partial::directory(&to).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let partial = Partial::file(&to).unwrap();
        partial.handle().write_all(b"new").unwrap();
        // Somebody takes the name while it is written.
        fs::write(&to, "old").unwrap();
        assert!(matches!(partial.place(), Err(PlaceError::Exists(_))));
        assert_eq!(fs::read(&to).unwrap(), b"old");
        assert!(matches!(Partial::directory(&to), Err(PlaceError::Exists(_))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_at_a_time_are_refused_and_what_was_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("a");
        let first = Partial::file(&to).unwrap();
        assert!(matches!(Partial::file(&to), Err(PlaceError::InUse(_))));
        drop(first);
        fs::write(dir.path().join("a.tracker-partial"), "left by a process that was killed").unwrap();
        let again = Partial::file(&to).unwrap();
        again.handle().write_all(b"b").unwrap();
        again.place().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"b");
    }
}
