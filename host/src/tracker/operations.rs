//! Backup, restore, compaction, snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{Error, Options, Result, Tracker};
use crate::place::{self, Partial};
use crate::store::TableSize;
use crate::store::lmdb::{self, Environment, Exclusive, OpenError, TableStats};

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its data file.
    pub bytes: u64,
}

/// A backup that was put in a store's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Restored {
    /// The records that were checked.
    pub records: u64,
    /// Bytes of the data file.
    pub bytes: u64,
    /// Whether there was a store before.
    pub replaced: bool,
}

/// What compacting a store has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Compaction {
    /// Bytes of the data file before.
    pub before: u64,
    /// Bytes of the data file now.
    pub after: u64,
}

impl Tracker {
    /// Copies what is committed now, without free pages, into a new directory
    /// (mode 0700, files 0600), while others write. It is on the disk when this
    /// returns; nothing is under the name before. Of a batch nothing is copied
    /// until it is committed.
    ///
    /// ```
    /// # fn main() -> Result<(), tracker_host::Error> {
    /// # let dir = std::env::temp_dir().join(format!("tracker-backup-{}", std::process::id()));
    /// let mut tracker = tracker_host::Tracker::open(dir.join("store"))?;
    /// tracker.set_metadata("a", "1")?;
    /// tracker.backup(dir.join("backup"))?;
    /// let mut backup = tracker_host::Tracker::options(dir.join("backup")).read_only(true).open()?;
    /// assert_eq!(backup.get_metadata("a")?.as_deref(), Some("1"));
    /// # drop((tracker, backup));
    /// # std::fs::remove_dir_all(dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`crate::PlaceError::Exists`] if there is anything under the name,
    /// [`Error::NotOnServer`] over another engine than LMDB. After an error
    /// nothing is left behind.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Backup> {
        let environment = match &self.shared.environment {
            Some(environment) => environment,
            None => return Err(Error::NotOnServer("a backup")),
        };
        let partial = Partial::directory(to.as_ref())?;
        let bytes = copy(environment, &partial)?;
        partial.place()?;
        Ok(Backup { path: to.as_ref().to_owned(), bytes })
    }

    /// A session for reading all of whose calls see the store as it is now,
    /// whatever is written meanwhile. For exports and comparisons.
    ///
    /// Let it go soon: while it lives, the pages that it refers to are not used
    /// again, so the file grows under writers; and writers of this process
    /// cannot make the map larger. Clones of it share its one transaction and
    /// cannot run at the same time.
    ///
    /// # Errors
    ///
    /// If a read transaction cannot be begun, or another engine has no snapshots.
    pub fn snapshot(&self) -> Result<Tracker> {
        let engine = self.shared.engine.snapshot()?;
        let mut tracker = Tracker::new(Arc::new(self.shared.over(engine)));
        tracker.session()?;
        Ok(tracker)
    }

    /// What the tables of the store hold, as the engine knows it. It may read everything.
    ///
    /// # Errors
    ///
    /// If the engine fails, or cannot tell: of an LMDB environment
    /// [`Tracker::environment_stats`] has the figures.
    pub fn table_sizes(&self) -> Result<Vec<TableSize>> {
        Ok(self.shared.engine.table_sizes()?)
    }

    /// Refuses a store that holds half of a migration.
    pub(crate) fn require_complete(&mut self) -> Result<()> {
        match self.get_import_state()? {
            None => Ok(()),
            Some(state) => Err(Error::Incomplete { path: self.path().to_owned(), state }),
        }
    }
}

impl Options {
    /// Puts a copy of a backup in the place of the store that these options
    /// would open. The copy is verified first. A store that is there is kept
    /// until then, and exchanged in one step.
    ///
    /// # Errors
    ///
    /// [`Error::StoreExists`] if there is a store and it shall not be replaced,
    /// [`OpenError::InUse`] if anybody has it open, [`Error::Unsound`] if the
    /// backup does not verify. After an error the store is as it was.
    pub fn restore(self, backup: impl AsRef<Path>, replace: bool) -> Result<Restored> {
        self.require_directory("restoring a backup")?;
        let (backup, store) = (backup.as_ref(), self.path.clone());
        let source = lmdb::Options { read_only: true, create: false, check_pages: true, ..lmdb::Options::default() };
        let source = Environment::open(backup, source)?;
        let there = look_at(&store)?;
        if there == There::Store && !replace {
            return Err(Error::StoreExists(store));
        }
        let partial = if there == There::Nothing {
            Partial::directory(&store)?
        } else {
            // Early, so that nobody waits for the copy to be told.
            drop(Exclusive::acquire(&store)?);
            Partial::inside(&store)?
        };
        let bytes = copy(&source, &partial)?;
        drop(source);
        let records = self.verify_copy(partial.path(), backup)?;
        if there == There::Nothing {
            partial.place()?;
        } else {
            Exclusive::acquire(&store)?.replace(&partial.path().join("data.mdb"))?;
        }
        Ok(Restored { records, bytes, replaced: there == There::Store })
    }

    /// Verifies a copy that nobody else uses, and returns its number of records.
    fn verify_copy(self, copy: &Path, backup: &Path) -> Result<u64> {
        let mut options = self.read_only(true).create(false);
        options.path = copy.to_owned();
        let mut tracker = options.open()?;
        let named = |error| match error {
            Error::Incomplete { state, .. } => Error::Incomplete { path: backup.to_owned(), state },
            error => error,
        };
        tracker.require_complete().map_err(named)?;
        let report = tracker.verify()?;
        if report.errors == 0 {
            return Ok(report.records);
        }
        let is_error = |finding: &&crate::types::Finding| finding.severity == crate::types::Severity::Error;
        let first = report.findings.iter().find(is_error);
        let first = first.map(|finding| format!("{} {}: {}", finding.table, finding.key, finding.message));
        Err(Error::Unsound { path: backup.to_owned(), errors: report.errors, first: first.unwrap_or_default() })
    }

    /// Writes the store that these options would open anew, without free pages,
    /// and exchanges it for the old one in one step. Nobody may have it open.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if anybody has it open. After an error the store is as it was.
    pub fn compact(self) -> Result<Compaction> {
        self.require_directory("compacting")?;
        let store = self.path;
        if look_at(&store)? != There::Store {
            return Err(OpenError::Missing(store).into());
        }
        let exclusive = Exclusive::acquire(&store)?;
        let environment = exclusive.environment()?;
        let old = environment.stats()?;
        let partial = Partial::inside(&store)?;
        let after = copy(&environment, &partial)?;
        drop(environment);
        let options = lmdb::Options { read_only: true, create: false, ..lmdb::Options::default() };
        let new = Environment::open(partial.path(), options)?.stats()?;
        if !same_entries(&old.tables, &new.tables) {
            return Err(Error::CopyDiffers(store));
        }
        exclusive.replace(&partial.path().join("data.mdb"))?;
        Ok(Compaction { before: old.file_size, after })
    }
}

fn copy(from: &Environment, to: &Partial) -> Result<u64> {
    let path = to.path().join("data.mdb");
    let mut file = place::create_file(&path).map_err(place::at(&path))?;
    Ok(from.copy_to(&mut file)?)
}

fn same_entries(old: &[TableStats], new: &[TableStats]) -> bool {
    let entries = |table: &TableStats| (table.name.clone(), table.entries);
    old.iter().map(entries).eq(new.iter().map(entries))
}

/// What is at a store's path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    /// A directory with nothing in it, or a lock file that a crash has left.
    Empty,
    Store,
}

fn look_at(store: &Path) -> Result<There> {
    let io = |source| OpenError::Io { path: store.to_owned(), source };
    match std::fs::metadata(store) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(There::Nothing),
        Err(error) => return Err(io(error).into()),
        Ok(metadata) if !metadata.is_dir() => return Err(OpenError::NotADirectory(store.into()).into()),
        Ok(_) => {}
    }
    if store.join("data.mdb").exists() {
        return Ok(There::Store);
    }
    for entry in std::fs::read_dir(store).map_err(io)? {
        // What a restore that was killed has left is no obstacle.
        let name = entry.map_err(io)?.file_name();
        if name != "lock.mdb" && name != place::INSIDE {
            return Err(OpenError::NotAStore(store.into()).into());
        }
    }
    Ok(There::Empty)
}
