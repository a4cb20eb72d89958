//! Migration of a FileTracker database into a store.
//!
//! The source is opened for reading only and copied first. Rows keep their ids
//! and times; the counters continue where SQLite's sequences stand. Rows are
//! written in batches; each batch notes how far it came, so that a migration
//! that is interrupted can be resumed, and the store says that it is incomplete
//! until everything was read back through the component and compared.
//!
//! Rows that the typed schema cannot hold are written to `<store>.rejects.jsonl`
//! and counted in the summary.

mod chunks;
pub mod compare;
mod error;
mod read;
mod rejects;
mod source;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use error::MigrateError;

use crate::store::lmdb::Exclusive;
use crate::tracker::{each_answered, server_url};
use crate::types::{CounterRow, ROW_KINDS, Row, RowKind};
use crate::{Options, Tracker};
use chunks::{Chunks, chunks};
use read::row_kind;
use rejects::Rejects;
use source::{Source, TABLES, Tolerance};

/// Rows a transaction.
const ROWS_PER_BATCH: usize = 10_000;

type Result<T> = std::result::Result<T, MigrateError>;

/// What to do with a target that has records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Go on with an unfinished migration of the same database.
    Resume,
    /// Delete the store and start over.
    Replace,
}

/// What a migration tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The source is being copied to this file.
    BackingUp(&'a Path),
    /// A table is being copied.
    Copying {
        /// The table.
        table: &'static str,
        /// Rows it has.
        rows: u64,
    },
    /// A table is being compared.
    Comparing {
        /// The table.
        table: &'static str,
        /// Rows it has.
        rows: u64,
    },
    /// So many more rows of the table are done.
    Advanced(u64),
    /// The table is done.
    Done,
}

/// How to migrate.
pub struct Migration<'a> {
    source: PathBuf,
    target: Options,
    target_path: PathBuf,
    backup: Option<PathBuf>,
    existing: Existing,
    tolerance: Tolerance,
    rejects: PathBuf,
    progress: Box<dyn FnMut(Progress<'_>) + 'a>,
    interrupted: Box<dyn Fn() -> bool + 'a>,
    peak_memory: Option<u64>,
}

/// What was migrated of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TableSummary {
    /// The table in SQLite.
    pub table: &'static str,
    /// Rows it has there.
    pub source_rows: u64,
    /// Rows that the store has of it.
    pub migrated: u64,
    /// Rows left behind, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// What was migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Summary {
    /// The copy of the source, if one was made.
    pub backup: Option<PathBuf>,
    /// The tables.
    pub tables: Vec<TableSummary>,
    /// The greatest id ever given out, by table.
    pub sequences: BTreeMap<String, u64>,
    /// The rejects file, if there are rejects.
    pub rejects_file: Option<PathBuf>,
    /// The most memory that this process has had to itself, in bytes, looked at
    /// before each commit; none where the system does not tell. Pages of the
    /// store that are mapped are not in it: the system takes them back when it
    /// needs them.
    pub peak_memory: Option<u64>,
}

impl Summary {
    /// Rows that were migrated.
    pub fn migrated(&self) -> u64 {
        self.tables.iter().map(|table| table.migrated).sum()
    }

    /// Rows that were left behind.
    pub fn rejected(&self) -> u64 {
        self.tables.iter().flat_map(|table| table.rejected.values()).sum()
    }
}

/// How far a migration came; kept in the store until it is complete.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct State {
    source: String,
    fingerprint: String,
    /// The table that is being copied.
    table: String,
    /// The last row of it that was.
    rowid: Option<i64>,
    /// The length of the rejects file.
    rejects_length: u64,
    /// What was rejected so far, by table and reason.
    rejected: BTreeMap<String, BTreeMap<String, u64>>,
}

impl<'a> Migration<'a> {
    /// A migration of a database into the store that these options open.
    /// `target_path` is its path.
    pub fn new(source: impl AsRef<Path>, target_path: impl AsRef<Path>, target: Options) -> Self {
        let (source, target_path) = (source.as_ref().to_owned(), target_path.as_ref().to_owned());
        // What is on a server has no place beside it.
        let beside = if server_url(&target_path).is_some() { &source } else { &target_path };
        let mut rejects = beside.clone().into_os_string();
        rejects.push(".rejects.jsonl");
        let mut backup = source.clone().into_os_string();
        backup.push(".bak");
        Migration {
            source,
            target,
            target_path,
            backup: Some(backup.into()),
            existing: Existing::default(),
            tolerance: Tolerance::default(),
            rejects: rejects.into(),
            progress: Box::new(|_| {}),
            interrupted: Box::new(|| false),
            peak_memory: None,
        }
    }

    /// Where to copy the source first; none for no copy. Default `<source>.bak`.
    #[must_use]
    pub fn backup(mut self, path: Option<PathBuf>) -> Self {
        self.backup = path;
        self
    }

    /// What to do with a target that has records. Default: refuse it.
    #[must_use]
    pub fn existing(mut self, existing: Existing) -> Self {
        self.existing = existing;
        self
    }

    /// Take missing tables as empty instead of refusing the source.
    #[must_use]
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.tolerance.allow_missing = allow;
        self
    }

    /// Leave tables and columns behind that are not FileTracker's, instead of refusing the source.
    #[must_use]
    pub fn ignore_extra(mut self, ignore: bool) -> Self {
        self.tolerance.ignore_extra = ignore;
        self
    }

    /// Where to write the rows that the typed schema cannot hold. Default `<store>.rejects.jsonl`.
    #[must_use]
    pub fn rejects(mut self, path: PathBuf) -> Self {
        self.rejects = path;
        self
    }

    /// What to tell while it runs.
    #[must_use]
    pub fn progress(mut self, progress: impl FnMut(Progress<'_>) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Asked between calls whether to stop. What was committed can be resumed.
    #[must_use]
    pub fn interrupted(mut self, interrupted: impl Fn() -> bool + 'a) -> Self {
        self.interrupted = Box::new(interrupted);
        self
    }

    /// Migrates.
    ///
    /// # Errors
    ///
    /// See [`MigrateError`].
    pub fn run(mut self) -> Result<Summary> {
        // The source is looked at first: a bad one leaves no trace.
        let source = Source::open(&self.source, self.tolerance)?;
        let fingerprint = source.fingerprint()?;
        if let Some(path) = self.backup.as_ref().filter(|path| path.exists() && self.existing != Existing::Resume) {
            return Err(MigrateError::BackupExists(path.clone()));
        }
        let fresh = server_url(&self.target_path).is_none() && !self.target_path.exists();
        let lock = self.lock_target()?;
        let (mut tracker, state) = match self.open_target(&fingerprint) {
            Ok(opened) => opened,
            Err(error) => {
                if fresh {
                    // Best effort, and only if it is empty.
                    let _ = std::fs::remove_dir(&self.target_path);
                }
                return Err(error);
            }
        };
        let mut source = match self.back_up(source, state.is_some()) {
            Ok(source) => source,
            Err(error) => {
                drop(tracker);
                if fresh {
                    // Best effort: an empty store does no harm.
                    let _ = std::fs::remove_dir_all(&self.target_path);
                }
                return Err(error);
            }
        };
        let mut state = state.unwrap_or_else(|| State {
            source: self.source.display().to_string(),
            fingerprint,
            table: TABLES[0].name.to_owned(),
            ..State::default()
        });
        let mut rejects = Rejects::resume(&self.rejects, state.rejects_length)?;
        let copied = self.copy(&mut source, &mut tracker, &mut state, &mut rejects);
        copied.map_err(|error| source.blame(error))?;
        let sequences = self.copy_sequences(&source, &mut tracker)?;
        let tables = self.compare(&mut source, &mut tracker, &state).map_err(|error| source.blame(error))?;
        tracker.set_import_state(None)?;
        drop(lock);
        let rejects_file = rejects.path().map(Path::to_owned);
        Ok(Summary { backup: self.backup, tables, sequences, rejects_file, peak_memory: self.peak_memory })
    }

    /// Keeps other migrations out of the target until it is dropped. Two of them
    /// would mix their rows and their notes of how far they came.
    fn lock_target(&self) -> Result<Option<File>> {
        let target = &self.target_path;
        let io = |source| crate::Error::Io { path: target.clone(), source };
        if server_url(target).is_some() || target.exists() && !target.is_dir() || !cfg!(unix) {
            // A server keeps writers apart. Opening another thing tells what it is.
            // Elsewhere a directory cannot be locked.
            return Ok(None);
        }
        std::fs::create_dir_all(target).map_err(io)?;
        let directory = File::open(target).map_err(io)?;
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => Err(MigrateError::InUse(target.clone())),
            // A file system without locks: there the user has to see to it.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(directory)),
        }
    }

    /// Opens the target and finds out where to begin.
    fn open_target(&mut self, fingerprint: &str) -> Result<(Tracker, Option<State>)> {
        let on_server = server_url(&self.target_path).is_some();
        let fresh = !on_server && !self.target_path.join("data.mdb").exists();
        if fresh && self.existing == Existing::Resume {
            return Err(MigrateError::NothingToResume(self.target_path.clone()));
        }
        let mut tracker = self.target.clone().open()?;
        // Of a URL without its password.
        let target = if on_server { tracker.path().to_owned() } else { self.target_path.clone() };
        let noted = tracker.get_import_state()?;
        match (noted, self.existing) {
            (None, Existing::Resume) => Err(MigrateError::NothingToResume(target)),
            (None, Existing::Refuse) => match is_empty(&mut tracker)? {
                true => Ok((tracker, None)),
                false => Err(MigrateError::NotEmpty(target)),
            },
            (_, Existing::Replace) => {
                if !is_empty(&mut tracker)? || tracker.get_import_state()?.is_some() {
                    drop(tracker);
                    if on_server {
                        self.target.clone().remove_from_server()?;
                    } else {
                        // Whoever has it open would go on in the file that is removed.
                        let exclusive = Exclusive::acquire(&target).map_err(crate::Error::from)?;
                        let path = target.join("data.mdb");
                        std::fs::remove_file(&path).map_err(|source| crate::Error::Io { path, source })?;
                        drop(exclusive);
                    }
                    tracker = self.target.clone().open()?;
                }
                Ok((tracker, None))
            }
            (Some(noted), Existing::Refuse) => Err(MigrateError::Unfinished { path: target, state: describe(&noted) }),
            (Some(noted), Existing::Resume) => match serde_json::from_str::<State>(&noted) {
                Ok(state) if state.fingerprint == fingerprint => Ok((tracker, Some(state))),
                _ => Err(MigrateError::OtherSource { path: target, other: describe(&noted) }),
            },
        }
    }

    /// Copies the source, and goes on with the copy, which nobody changes.
    fn back_up(&mut self, source: Source, resuming: bool) -> Result<Source> {
        let Some(path) = &self.backup else { return Ok(source) };
        if !(resuming && path.exists()) {
            (self.progress)(Progress::BackingUp(path));
            source::back_up(&self.source, path)?;
            (self.progress)(Progress::Done);
        }
        Source::open(path, self.tolerance)
    }

    fn check_interrupted(&self) -> Result<()> {
        if (self.interrupted)() { Err(MigrateError::Interrupted) } else { Ok(()) }
    }

    // Copying

    fn copy(
        &mut self,
        source: &mut Source,
        tracker: &mut Tracker,
        state: &mut State,
        rejects: &mut Rejects,
    ) -> Result<()> {
        note(tracker, state)?;
        let first = source::TableSpec::position(&state.table).unwrap_or(0);
        for (table, spec) in TABLES.iter().enumerate().skip(first) {
            if state.table != spec.name {
                (state.table, state.rowid) = (spec.name.to_owned(), None);
            }
            (self.progress)(Progress::Copying { table: spec.name, rows: source.count(table)? });
            chunks(source, table, state.rowid, |chunks| {
                while self.copy_batch(chunks, tracker, state, rejects)? {}
                Ok(())
            })?;
            (self.progress)(Progress::Done);
        }
        Ok(())
    }

    /// Copies rows in one transaction. False if there are no more.
    fn copy_batch(
        &mut self,
        chunks: &mut Chunks<'_>,
        tracker: &mut Tracker,
        state: &mut State,
        rejects: &mut Rejects,
    ) -> Result<bool> {
        let mut batch = tracker.batch()?;
        let mut taken = 0;
        let more = loop {
            let Some(chunk) = chunks.next() else { break false };
            let chunk = chunk?;
            batch.import_rows(&chunk.rows)?;
            (self.progress)(Progress::Advanced(chunk.rows.len() as u64));
            taken += chunk.rows.len() + chunk.rejected.len();
            for (rowid, reason) in chunk.rejected {
                rejects.add(&state.table, rowid, &reason)?;
                *state.rejected.entry(state.table.clone()).or_default().entry(reason).or_default() += 1;
            }
            state.rowid = Some(chunk.last);
            self.check_interrupted()?;
            if taken >= ROWS_PER_BATCH {
                break true;
            }
        };
        state.rejects_length = rejects.flush()?;
        note(&mut batch, state)?;
        self.peak_memory = self.peak_memory.max(crate::private_memory());
        batch.commit()?;
        tracker.release_pages();
        self.check_interrupted()?;
        Ok(more)
    }

    fn copy_sequences(&mut self, source: &Source, tracker: &mut Tracker) -> Result<BTreeMap<String, u64>> {
        let sequences: BTreeMap<String, u64> =
            source.sequences()?.into_iter().filter(|(name, _)| source::TableSpec::position(name).is_some()).collect();
        let rows: Vec<Row> = sequences
            .iter()
            .map(|(name, value)| Row::Counter(CounterRow { name: name.clone(), value: *value }))
            .collect();
        tracker.import_rows(&rows)?;
        Ok(sequences)
    }

    // Comparing

    /// Reads every row of the source again and compares it with what the component answers.
    fn compare(&mut self, source: &mut Source, tracker: &mut Tracker, state: &State) -> Result<Vec<TableSummary>> {
        let mut tables = Vec::with_capacity(TABLES.len());
        for (table, spec) in TABLES.iter().enumerate() {
            let source_rows = source.count(table)?;
            (self.progress)(Progress::Comparing { table: spec.name, rows: source_rows });
            let rejected = state.rejected.get(spec.name).cloned().unwrap_or_default();
            // A damaged source can count fewer rows than it gives.
            let expected = source_rows.saturating_sub(rejected.values().sum());
            let migrated = tracker.count_rows(row_kind(table))?;
            if migrated != expected {
                let name = spec.name;
                return Err(MigrateError::Validation(format!("{name} has {migrated} rows instead of {expected}")));
            }
            self.compare_table(source, table, tracker)?;
            (self.progress)(Progress::Done);
            tables.push(TableSummary { table: spec.name, source_rows, migrated, rejected });
        }
        Ok(tables)
    }

    fn compare_table(&mut self, source: &mut Source, table: usize, tracker: &mut Tracker) -> Result<()> {
        let mut compared = 0;
        chunks(source, table, None, |chunks| {
            for chunk in chunks {
                let given = chunk?.rows;
                let found = each_answered(given.len(), tracker.find_rows(&given)?)?;
                for (given, found) in given.iter().zip(&found) {
                    if Some(given) != found.as_ref() {
                        return Err(MigrateError::Validation(format!("{given:?} came back as {found:?}")));
                    }
                }
                (self.progress)(Progress::Advanced(given.len() as u64));
                compared += given.len();
                if compared >= ROWS_PER_BATCH {
                    tracker.release_pages();
                    self.peak_memory = self.peak_memory.max(crate::private_memory());
                    compared = 0;
                }
                self.check_interrupted()?;
            }
            Ok(())
        })
    }
}

fn note(tracker: &mut Tracker, state: &State) -> Result<()> {
    // A map of strings and numbers always has a JSON form.
    let text = serde_json::to_string(state).unwrap_or_default();
    Ok(tracker.set_import_state(Some(&text))?)
}

fn describe(noted: &str) -> String {
    match serde_json::from_str::<State>(noted) {
        Ok(state) => format!("{} stopped in table {}", state.source, state.table),
        Err(_) => noted.to_owned(),
    }
}

fn is_empty(tracker: &mut Tracker) -> Result<bool> {
    for kind in ROW_KINDS.into_iter().filter(|kind| *kind != RowKind::Counter) {
        if tracker.count_rows(kind)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
