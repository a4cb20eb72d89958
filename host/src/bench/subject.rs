//! What is compared: everything that can do the work of the table.

use crate::types::{FileRecord, FileUpsert, MemoryRecord, SymbolRecord, SymbolUpsert};

/// Why a benchmark stopped.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The tracker failed.
    #[error("the tracker failed")]
    Tracker(#[from] crate::Error),
    /// A migration failed.
    #[error("the migration failed")]
    Migrate(#[from] crate::migrate::MigrateError),
    /// The database of the SQLite peer could not be written.
    #[error("the database of the SQLite peer cannot be written")]
    Export(#[from] crate::export::ExportError),
    /// SQLite failed.
    #[error("SQLite failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The hand-written LMDB peer failed.
    #[error("LMDB failed")]
    Heed(#[from] heed::Error),
    /// redb failed.
    #[error("redb failed")]
    Redb(#[source] Box<redb::Error>),
    /// A peer could not read a record.
    #[error("a record could not be decoded")]
    Decode(#[from] rmp_serde::decode::Error),
    /// A peer could not write a record.
    #[error("a record could not be encoded")]
    Encode(#[from] rmp_serde::encode::Error),
    /// A column is no JSON list.
    #[error("a column is no JSON list")]
    Json(#[from] serde_json::Error),
    /// A file could not be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A command that was timed failed.
    #[error("`{command}` failed: {output}")]
    Command {
        /// The command.
        command: String,
        /// What it printed.
        output: String,
    },
    /// The plot could not be drawn.
    #[error("the plot could not be drawn: {0}")]
    Plot(String),
    /// A peer was asked for work that the benchmark never does.
    #[error("the hand-written peers cannot do this: {0}")]
    Unsupported(&'static str),
    /// The store to measure has files, and the benchmark would write to it.
    #[error("{} has files, and the benchmark would write to it; name an empty store", .0.display())]
    NotEmpty(std::path::PathBuf),
    /// A client of the benchmark panicked.
    #[error("a client of the benchmark panicked")]
    Panicked,
    /// The caller asked to stop.
    #[error("the benchmark was stopped")]
    Interrupted,
    /// The data has nothing to measure a row with.
    #[error("the data has no {0} to measure with")]
    NoData(&'static str),
}

/// What the benchmark returns.
pub type Result<T> = std::result::Result<T, BenchError>;

/// Makes the error for a file.
pub(super) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> BenchError + use<> {
    let path = path.to_owned();
    move |source| BenchError::Io { path, source }
}

/// Files with their symbols, to be written in one transaction.
#[derive(Clone, Default)]
pub struct Change {
    /// The files.
    pub files: Vec<FileUpsert>,
    /// The symbols of each of them, in the same order.
    pub symbols: Vec<Vec<SymbolUpsert>>,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The tracker, through its component.
    Tracker,
    /// rusqlite with FileTracker's schema.
    Rusqlite,
    /// What one would write by hand on LMDB.
    Heed,
    /// The same on redb.
    Redb,
}

impl Peer {
    /// Those that the tracker is compared with.
    pub const OTHERS: [Peer; 3] = [Peer::Rusqlite, Peer::Heed, Peer::Redb];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Tracker => "tracker",
            Peer::Rusqlite => "rusqlite",
            Peer::Heed => "heed",
            Peer::Redb => "redb",
        }
    }
}

/// Something that can do the work of the table. Every answer is made of owned
/// values with the same fields; every change maintains the same indexes.
pub trait Subject {
    /// Who it is.
    fn peer(&self) -> Peer;
    /// From now on commits survive a loss of power, or only a crash of the process.
    fn set_durable(&mut self, durable: bool) -> Result<()>;
    /// The file with this path.
    fn get_file(&mut self, path: &str) -> Result<Option<FileRecord>>;
    /// The files with these paths, from one snapshot.
    fn get_files(&mut self, paths: &[String]) -> Result<Vec<Option<FileRecord>>>;
    /// The file with this key hash.
    fn get_file_by_key(&mut self, key_hash: u64) -> Result<Option<FileRecord>>;
    /// The symbols of a file.
    fn get_symbols(&mut self, path: &str) -> Result<Vec<SymbolRecord>>;
    /// The symbols whose name contains a text, by name, file and id.
    fn find_symbols(&mut self, filter: &str) -> Result<Vec<SymbolRecord>>;
    /// All files by path.
    fn list_files(&mut self) -> Result<Vec<FileRecord>>;
    /// The ten files that were indexed last.
    fn recent_files(&mut self) -> Result<Vec<FileRecord>>;
    /// The memories with a tag, newest first, at most fifty.
    fn memories_by_tag(&mut self, tag: &str) -> Result<Vec<MemoryRecord>>;
    /// The files with a context, by path.
    fn files_by_context(&mut self, context: &str) -> Result<Vec<FileRecord>>;
    /// Writes files and replaces their symbols, in one transaction.
    fn apply(&mut self, change: &Change) -> Result<()>;
    /// Writes one file in a transaction of its own.
    fn upsert_file(&mut self, file: &FileUpsert) -> Result<()>;
}
