//! Why a database cannot be migrated.

use std::path::PathBuf;

use crate::Error;

/// Why a migration stopped. Unless it says otherwise nothing was changed; a
/// migration that stopped half-way can be resumed or started over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The source is not there or cannot be read.
    #[error("cannot read {path}")]
    Source {
        /// The database.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The source is something else.
    #[error("{0} is not an SQLite database, or it is encrypted; give the file that FileTracker wrote")]
    NotSqlite(PathBuf),
    /// The source ends too early.
    #[error("{path} is truncated: its header says {expected} bytes, it has {found}; restore it from a copy")]
    Truncated {
        /// The database.
        path: PathBuf,
        /// Bytes by the header.
        expected: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// Another program holds a lock.
    #[error("{0} is locked by another program; stop that program, or try again")]
    Locked(PathBuf),
    /// The source's pages are damaged.
    #[error("{path} is damaged; try `sqlite3 {path} .recover` on a copy")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Tables are missing.
    #[error(
        "{path} lacks the tables {tables}; if it is a FileTracker database of an old version, --allow-missing takes them \
         as empty"
    )]
    MissingTables {
        /// The database.
        path: PathBuf,
        /// The tables.
        tables: String,
    },
    /// A table lacks a column that has always been there.
    #[error("table {table} of {path} lacks the column {column}; it is not a FileTracker database")]
    MissingColumn {
        /// The database.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// There is more than FileTracker's tables and columns.
    #[error("{path} holds what the tracker has no place for: {what}; --ignore-extra leaves it behind")]
    Extra {
        /// The database.
        path: PathBuf,
        /// Tables and columns.
        what: String,
    },
    /// SQLite answered with an error.
    #[error("cannot read {path}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The copy could not be made.
    #[error("cannot copy the database to {path}; make room, or pass --no-backup")]
    Backup {
        /// The copy.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The copy is there already.
    #[error("{0} is there already; move it away, or pass --no-backup")]
    BackupExists(PathBuf),
    /// The target has records.
    #[error("{0} holds records already; give a new path, or pass --force to replace them")]
    NotEmpty(PathBuf),
    /// Another process is migrating into the target.
    #[error("another process is migrating into {0} at this moment; wait for it, or end it and go on with --resume")]
    InUse(PathBuf),
    /// The target has half of a migration.
    #[error("{path} holds an unfinished migration ({state}); pass --resume to go on or --force to start over")]
    Unfinished {
        /// The store.
        path: PathBuf,
        /// Where it stopped.
        state: String,
    },
    /// There is nothing to resume.
    #[error("{0} holds no unfinished migration to resume")]
    NothingToResume(PathBuf),
    /// The unfinished migration is of another database.
    #[error(
        "{path} holds an unfinished migration of {other}, or that database has changed since; pass --force to start over"
    )]
    OtherSource {
        /// The store.
        path: PathBuf,
        /// The database that was migrated.
        other: String,
    },
    /// The rejects file cannot be written.
    #[error("cannot write the rejects file {path}")]
    Rejects {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The target does not hold what the source does. It stays marked as incomplete.
    #[error(
        "the store does not hold what the database does: {0}; the store is marked as incomplete, please report this"
    )]
    Validation(String),
    /// The caller asked to stop. What was committed stays and can be resumed.
    #[error("interrupted; run again with --resume to go on")]
    Interrupted,
    /// The target failed.
    #[error(transparent)]
    Target(#[from] Error),
}
