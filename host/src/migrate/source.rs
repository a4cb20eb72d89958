//! The source database: opening it safely, and what is in it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::MigrateError;
use crate::PlaceError;
use crate::place::Partial;

/// How long to wait for another program's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// A table of FileTracker: its columns, those that old versions lack last.
pub struct TableSpec {
    /// Its name.
    pub name: &'static str,
    /// The columns that were always there.
    pub columns: &'static [&'static str],
    /// The columns that were added later.
    pub later: &'static [&'static str],
}

const VECTOR: &[&str] = &["vector_offset", "vector_length"];

/// The tables in the order they are migrated.
pub const TABLES: [TableSpec; 12] = [
    TableSpec {
        name: "files",
        columns: &["path", "mtime", "size", "content_hash", "blob_offset", "blob_length", "key_hash", "indexed_at"],
        later: &["vector_offset", "vector_length", "detected_contexts"],
    },
    TableSpec {
        name: "symbols",
        columns: &[
            "id",
            "file_path",
            "name",
            "kind",
            "line_start",
            "line_end",
            "blob_offset",
            "blob_length",
            "key_hash",
        ],
        later: VECTOR,
    },
    TableSpec {
        name: "checkpoints",
        columns: &["id", "created_at", "last_path", "total_files", "processed_files"],
        later: &[],
    },
    TableSpec { name: "metadata", columns: &["key", "value"], later: &[] },
    TableSpec {
        name: "memories",
        columns: &[
            "id",
            "task",
            "insights",
            "context",
            "symbol_keys",
            "text",
            "tags",
            "blob_offset",
            "blob_length",
            "key_hash",
            "created_at",
            "updated_at",
        ],
        later: VECTOR,
    },
    TableSpec { name: "transcript_positions", columns: &["path", "byte_position", "updated_at"], later: &[] },
    TableSpec {
        name: "pattern_caches",
        columns: &["key_hash", "pattern", "tool_type", "blob_offset", "blob_length", "created_at"],
        later: VECTOR,
    },
    TableSpec { name: "pattern_cache_files", columns: &["pattern_key_hash", "file_path"], later: &[] },
    TableSpec {
        name: "session_threads",
        columns: &[
            "id",
            "session_id",
            "title",
            "created_at",
            "last_touch",
            "touches",
            "is_active",
            "centroid_offset",
            "centroid_length",
        ],
        later: &[],
    },
    TableSpec {
        name: "thread_files",
        columns: &["thread_id", "file_path", "operation", "first_access", "last_access", "access_count"],
        later: &[],
    },
    TableSpec {
        name: "thread_queries",
        columns: &["id", "thread_id", "query_text", "timestamp", "embedding_offset", "embedding_length"],
        later: &[],
    },
    TableSpec {
        name: "thread_tools",
        columns: &["id", "thread_id", "tool_name", "tool_count", "last_used"],
        later: &[],
    },
];

impl TableSpec {
    /// Its position in [`TABLES`].
    pub fn position(name: &str) -> Option<usize> {
        TABLES.iter().position(|table| table.name == name)
    }
}

/// What of the source is not migrated silently.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tolerance {
    /// Take missing tables as empty.
    pub allow_missing: bool,
    /// Leave tables and columns behind that are not FileTracker's.
    pub ignore_extra: bool,
}

/// An open source database, in one read transaction.
pub struct Source {
    pub connection: Connection,
    path: PathBuf,
    /// For each table of [`TABLES`] the columns to select, none if it is missing.
    selects: Vec<Option<String>>,
}

impl Source {
    /// Opens a database for reading and checks that it is FileTracker's.
    pub fn open(path: &Path, tolerance: Tolerance) -> Result<Self, MigrateError> {
        check_header(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| sqlite(path, e))?;
        connection.busy_timeout(PATIENCE).map_err(|e| sqlite(path, e))?;
        // One snapshot for everything that follows.
        connection.execute_batch("BEGIN").map_err(|e| sqlite(path, e))?;
        let selects = selects(&connection, path, tolerance)?;
        Ok(Source { connection, path: path.to_owned(), selects })
    }

    /// The columns of a table, for a SELECT; none if the table is missing.
    pub fn columns(&self, table: usize) -> Option<&str> {
        self.selects.get(table)?.as_deref()
    }

    /// The number of rows of a table.
    pub fn count(&self, table: usize) -> Result<u64, MigrateError> {
        if self.columns(table).is_none() {
            return Ok(0);
        }
        let sql = format!("SELECT count(*) FROM {}", TABLES[table].name);
        self.connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
            .map_err(|e| self.error(e))
    }

    /// The greatest ids ever given out, by table.
    pub fn sequences(&self) -> Result<Vec<(String, u64)>, MigrateError> {
        let has = "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'";
        let has: i64 = self.connection.query_row(has, [], |row| row.get(0)).map_err(|e| self.error(e))?;
        if has == 0 {
            return Ok(Vec::new());
        }
        let mut statement = self
            .connection
            .prepare("SELECT name, seq FROM sqlite_sequence ORDER BY name")
            .map_err(|e| self.error(e))?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
        let rows = rows.and_then(|rows| rows.collect::<Result<Vec<_>, _>>()).map_err(|e| self.error(e))?;
        Ok(rows.into_iter().filter_map(|(name, seq)| Some((name, u64::try_from(seq).ok()?))).collect())
    }

    /// What tells one state of the database from another: size and SQLite's change counter.
    pub fn fingerprint(&self) -> Result<String, MigrateError> {
        let mut header = [0; 100];
        let read = File::open(&self.path).and_then(|mut file| {
            file.read_exact(&mut header)?;
            Ok(file.metadata()?.len())
        });
        let length = read.map_err(|source| MigrateError::Source { path: self.path.clone(), source })?;
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        Ok(format!("{length}-{}-{}", number(24), number(40)))
    }

    /// Tells the damage of the source where that is why its rows contradict one
    /// another: SQLite reads many a damaged page without noticing.
    pub fn blame(&self, error: MigrateError) -> MigrateError {
        use crate::Error;
        let suspicious = matches!(
            error,
            MigrateError::Validation(_) | MigrateError::Target(Error::KeyConflict(_) | Error::InvalidArgument(_))
        );
        if !suspicious {
            return error;
        }
        match self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0)) {
            Ok(sound) if sound == "ok" => error,
            Ok(damage) => {
                let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                self.error(rusqlite::Error::SqliteFailure(code, Some(damage)))
            }
            Err(found) => self.error(found),
        }
    }

    /// An error of SQLite, with the case that fits it.
    pub fn error(&self, error: rusqlite::Error) -> MigrateError {
        sqlite(&self.path, error)
    }
}

/// Copies a database with SQLite's backup API, which also takes what is still
/// in a write-ahead log.
pub fn back_up(from: &Path, to: &Path) -> Result<(), MigrateError> {
    if to.exists() {
        return Err(MigrateError::BackupExists(to.into()));
    }
    check_header(from)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(|e| sqlite(from, e))?;
    source.busy_timeout(PATIENCE).map_err(|e| sqlite(from, e))?;
    // Reads a page, so that what is wrong with the source is not blamed on the copy.
    source.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map_err(|e| sqlite(from, e))?;
    // Beside it and locked until it is whole: another process may be copying, too.
    let partial = Partial::file(to).map_err(place)?;
    let copied = Connection::open(partial.path()).and_then(|mut target| {
        let backup = rusqlite::backup::Backup::new(&source, &mut target)?;
        backup.run_to_completion(4096, Duration::ZERO, None)
    });
    copied.map_err(|source| match code(&source) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => MigrateError::Locked(from.into()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => sqlite(from, source),
        _ => MigrateError::Backup { path: to.into(), source },
    })?;
    partial.place().map_err(place)
}

fn place(error: PlaceError) -> MigrateError {
    match error {
        PlaceError::Exists(path) => MigrateError::BackupExists(path),
        error => MigrateError::Target(error.into()),
    }
}

/// Looks at the file without SQLite, to tell what is wrong in plain words.
fn check_header(path: &Path) -> Result<(), MigrateError> {
    let source = |source| MigrateError::Source { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(source)?;
    let metadata = file.metadata().map_err(source)?;
    if metadata.is_dir() {
        return Err(MigrateError::NotSqlite(path.into()));
    }
    let mut header = [0; 100];
    if file.read_exact(&mut header).is_err() || &header[..16] != b"SQLite format 3\0" {
        return Err(MigrateError::NotSqlite(path.into()));
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    // The page count holds only if it was written by the change that the change counter counts.
    let (pages, valid) = (u64::from(number(28)), number(24) == number(92));
    let found = metadata.len();
    let wal = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    if valid && pages * page > found && !wal.exists() {
        return Err(MigrateError::Truncated { path: path.into(), expected: pages * page, found });
    }
    Ok(())
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn sqlite(path: &Path, source: rusqlite::Error) -> MigrateError {
    let path = path.to_owned();
    match code(&source) {
        Some(ErrorCode::NotADatabase) => MigrateError::NotSqlite(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => MigrateError::Locked(path),
        Some(ErrorCode::DatabaseCorrupt) => MigrateError::Damaged { path, source },
        _ => MigrateError::Sqlite { path, source },
    }
}

/// Compares the schema with FileTracker's and says what to select.
fn selects(connection: &Connection, path: &Path, tolerance: Tolerance) -> Result<Vec<Option<String>>, MigrateError> {
    let error = |e| sqlite(path, e);
    let names = |sql: &str| -> Result<Vec<String>, MigrateError> {
        let mut statement = connection.prepare(sql).map_err(error)?;
        let rows = statement.query_map([], |row| row.get(0)).and_then(Iterator::collect);
        rows.map_err(error)
    };
    let tables: BTreeSet<String> =
        names("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?
            .into_iter()
            .collect();
    let missing: Vec<&str> = TABLES.iter().map(|table| table.name).filter(|name| !tables.contains(*name)).collect();
    if missing.len() == TABLES.len() || (!missing.is_empty() && !tolerance.allow_missing) {
        return Err(MigrateError::MissingTables { path: path.into(), tables: missing.join(", ") });
    }
    let mut extra: Vec<String> =
        tables.iter().filter(|name| TableSpec::position(name).is_none()).map(|name| format!("table {name}")).collect();
    let mut selects = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        if !tables.contains(table.name) {
            selects.push(None);
            continue;
        }
        let columns = names(&format!("SELECT name FROM pragma_table_info('{}')", table.name))?;
        if let Some(column) = table.columns.iter().find(|column| !columns.iter().any(|name| name == *column)) {
            return Err(MigrateError::MissingColumn { path: path.into(), table: table.name, column });
        }
        let known = |name: &String| table.columns.contains(&name.as_str()) || table.later.contains(&name.as_str());
        extra.extend(columns.iter().filter(|name| !known(name)).map(|name| format!("column {}.{name}", table.name)));
        let later = table.later.iter().map(|column| {
            if columns.iter().any(|name| name == column) { (*column).to_owned() } else { format!("NULL AS {column}") }
        });
        let select: Vec<String> = table.columns.iter().map(|column| (*column).to_owned()).chain(later).collect();
        selects.push(Some(select.join(", ")));
    }
    if !extra.is_empty() && !tolerance.ignore_extra {
        return Err(MigrateError::Extra { path: path.into(), what: extra.join(", ") });
    }
    Ok(selects)
}
