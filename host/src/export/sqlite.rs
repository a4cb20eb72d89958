//! A database for FileTracker: the way back, should a roll-out have to be undone.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, Params, params};
use serde::Serialize;

use super::{ExportError, Rows, jsonl, schema};
use crate::Tracker;
use crate::place::Partial;
use crate::types::{CounterRow, Row};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SqliteExport {
    /// The rows of the database, by kind.
    pub rows: Rows,
    /// Rows that SQLite or FileTracker's schema cannot hold, or not whole, by what was left behind.
    pub left_behind: BTreeMap<String, u64>,
    /// Where these are, as JSON Lines, if there are any.
    pub rest_file: Option<PathBuf>,
}

/// Writes a new SQLite database (mode 0600) with FileTracker's schema and every
/// row of the store: ids, times, JSON text and sequences as they are, key
/// hashes signed as FileTracker keeps them. The file has its name when it is
/// whole.
///
/// What FileTracker's schema has no place for (conventions, who shares or owns
/// a record, how often a memory was read) and numbers that SQLite cannot hold
/// (ids from 2^63 on, times that are not a number) are left behind: the whole
/// rows are written to `<database>.rest.jsonl`, which [`super::Import`] reads.
///
/// # Errors
///
/// See [`ExportError`]; [`crate::PlaceError::Exists`] if there is anything
/// under one of the names.
pub fn write_sqlite(
    tracker: &Tracker,
    to: impl AsRef<Path>,
    interrupted: &dyn Fn() -> bool,
) -> Result<SqliteExport, ExportError> {
    let to = to.as_ref();
    let mut snapshot = super::whole(tracker)?;
    let partial = Partial::file(to)?;
    let mut rest_path = to.to_owned().into_os_string();
    rest_path.push(".rest.jsonl");
    let rest_path = PathBuf::from(rest_path);
    let rest = Partial::file(&rest_path)?;
    let mut writer = Writer::new(partial.path(), rest.handle())?;
    super::each_row(&mut snapshot, interrupted, |row| writer.add(&row))?;
    let (rows, left_behind) = writer.finish()?;
    let rest_file = if left_behind.is_empty() {
        None
    } else {
        // Before the database: who has that has these, too.
        rest.place()?;
        Some(rest_path)
    };
    partial.place()?;
    Ok(SqliteExport { rows, left_behind, rest_file })
}

struct Writer<'f> {
    connection: Connection,
    path: PathBuf,
    rest: BufWriter<&'f std::fs::File>,
    rows: Rows,
    left_behind: BTreeMap<String, u64>,
}

/// Why a row is not in the database, or not whole.
enum Left {
    Row(&'static str),
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Left {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Left::Row("another row has its id or key"),
            _ => Left::Failed(error),
        }
    }
}

impl<'f> Writer<'f> {
    fn new(path: &Path, rest: &'f std::fs::File) -> Result<Self, ExportError> {
        let sqlite = |source| ExportError::Sqlite { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // Nobody else knows the file, and it is locked in another way already.
        let connection = if cfg!(unix) {
            Connection::open_with_flags_and_vfs(path, flags, "unix-none")
        } else {
            Connection::open_with_flags(path, flags)
        };
        let connection = connection.map_err(sqlite)?;
        // FileTracker never switches foreign keys on: parents need not exist.
        // The file is synced as a whole at the end, or removed.
        let setup = "PRAGMA foreign_keys = OFF; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;";
        connection.execute_batch(setup).and_then(|()| connection.execute_batch(schema::TABLES)).map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(32);
        let rest = BufWriter::new(rest);
        Ok(Writer { connection, path: path.to_owned(), rest, rows: Rows::default(), left_behind: BTreeMap::new() })
    }

    fn sqlite(&self, source: rusqlite::Error) -> ExportError {
        ExportError::Sqlite { path: self.path.clone(), source }
    }

    fn add(&mut self, row: &Row) -> Result<(), ExportError> {
        let left = match self.insert(row) {
            Ok(()) => {
                self.rows.count(super::kind_of(row));
                unheld(row)
            }
            Err(Left::Row(reason)) => Some(reason),
            Err(Left::Failed(error)) => return Err(self.sqlite(error)),
        };
        let Some(reason) = left else { return Ok(()) };
        let what = format!("{}: {reason}", super::kind_name(super::kind_of(row)));
        *self.left_behind.entry(what).or_default() += 1;
        jsonl::write(row, &mut self.rest).map_err(ExportError::Write)
    }

    fn finish(mut self) -> Result<(Rows, BTreeMap<String, u64>), ExportError> {
        let finished = self.connection.execute_batch(schema::INDEXES);
        let finished = finished.and_then(|()| self.connection.execute_batch("COMMIT"));
        finished.map_err(|error| self.sqlite(error))?;
        self.rest.flush().map_err(ExportError::Write)?;
        let Writer { connection, path, rows, left_behind, .. } = self;
        connection.close().map_err(|(_, source)| ExportError::Sqlite { path, source })?;
        Ok((rows, left_behind))
    }

    fn run(&self, sql: &str, values: impl Params) -> Result<(), Left> {
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn insert(&self, row: &Row) -> Result<(), Left> {
        match row {
            Row::File(row) => self.run(
                "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    row.path,
                    time(row.mtime)?,
                    row.size,
                    row.content_hash,
                    row.blob_offset,
                    row.blob_length,
                    row.key_hash.cast_signed(),
                    time(row.indexed_at)?,
                    row.vector_offset,
                    row.vector_length,
                    row.detected_contexts
                ],
            ),
            Row::Symbol(row) => self.run(
                "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    id(row.id)?,
                    row.file_path,
                    row.name,
                    row.kind,
                    row.line_start,
                    row.line_end,
                    row.blob_offset,
                    row.blob_length,
                    row.key_hash.cast_signed(),
                    row.vector_offset,
                    row.vector_length
                ],
            ),
            Row::Checkpoint(row) => self.run(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)",
                params![id(row.id)?, time(row.created_at)?, row.last_path, row.total_files, row.processed_files],
            ),
            Row::Metadata(row) => self.run("INSERT INTO metadata VALUES (?, ?)", params![row.key, row.value]),
            Row::Memory(row) => self.run(
                "INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    row.id,
                    row.task,
                    row.insights,
                    row.context,
                    row.symbol_keys,
                    row.text,
                    row.tags,
                    row.blob_offset,
                    row.blob_length,
                    row.key_hash.cast_signed(),
                    time(row.created_at)?,
                    row.updated_at.map(time).transpose()?,
                    row.vector_offset,
                    row.vector_length
                ],
            ),
            Row::TranscriptPosition(row) => self.run(
                "INSERT INTO transcript_positions VALUES (?, ?, ?)",
                params![row.path, row.byte_position, time(row.updated_at)?],
            ),
            Row::Pattern(row) => self.run(
                "INSERT INTO pattern_caches VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    row.key_hash.cast_signed(),
                    row.pattern,
                    row.tool_type,
                    row.blob_offset,
                    row.blob_length,
                    time(row.created_at)?,
                    row.vector_offset,
                    row.vector_length
                ],
            ),
            // All of them: a pattern's files come as rows of their own, too.
            Row::PatternLink(row) => self.run(
                "INSERT INTO pattern_cache_files VALUES (?, ?)",
                params![row.pattern_key_hash.cast_signed(), row.file_path],
            ),
            Row::Thread(row) => self.run(
                "INSERT INTO session_threads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    id(row.id)?,
                    row.session_id,
                    row.title,
                    time(row.created_at)?,
                    time(row.last_touch)?,
                    row.touches,
                    row.is_active,
                    row.centroid_offset,
                    row.centroid_length
                ],
            ),
            Row::ThreadFile(row) => self.run(
                "INSERT INTO thread_files VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    id(row.thread_id)?,
                    row.file_path,
                    row.operation,
                    time(row.first_access)?,
                    time(row.last_access)?,
                    row.access_count
                ],
            ),
            Row::ThreadQuery(row) => self.run(
                "INSERT INTO thread_queries VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    id(row.id)?,
                    id(row.thread_id)?,
                    row.query_text,
                    time(row.timestamp)?,
                    row.embedding_offset,
                    row.embedding_length
                ],
            ),
            Row::ThreadTool(row) => self.run(
                "INSERT INTO thread_tools VALUES (?, ?, ?, ?, ?)",
                params![id(row.id)?, id(row.thread_id)?, row.tool_name, row.tool_count, time(row.last_used)?],
            ),
            Row::Convention(_) => Err(Left::Row("FileTracker has none")),
            Row::Counter(row) => self.set_sequence(row),
        }
    }

    /// The rows have set the sequences to the greatest ids there are; ids of
    /// rows that were deleted are not given out again either.
    fn set_sequence(&self, row: &CounterRow) -> Result<(), Left> {
        let value = id(row.value)?;
        let set = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1";
        if value > 0 && self.connection.prepare_cached(set)?.execute(params![row.name, value])? == 0 {
            self.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", params![row.name, value])?;
        }
        Ok(())
    }
}

fn id(value: u64) -> Result<i64, Left> {
    value.try_into().map_err(|_| Left::Row("an id from 2^63 on"))
}

/// SQLite takes what is not a number for NULL.
fn time(value: f64) -> Result<f64, Left> {
    if value.is_nan() { Err(Left::Row("a time that is not a number")) } else { Ok(value) }
}

/// What of a row that was written has no column.
fn unheld(row: &Row) -> Option<&'static str> {
    match row {
        Row::File(row) if row.is_team => Some("is-team has no column; the rest was written"),
        Row::Memory(row)
            if row.is_team || row.access_count > 0 || row.last_accessed.is_some() || row.owner_id.is_some() =>
        {
            Some("is-team, access-count, last-accessed and owner-id have no columns; the rest was written")
        }
        _ => None,
    }
}
