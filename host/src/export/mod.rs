//! Stores into other formats, and back.
//!
//! [`write_jsonl`] writes every record as a line of JSON, [`Import`] reads such
//! lines. [`write_sqlite`] writes a database that FileTracker opens. An export
//! is of one snapshot ([`crate::Tracker::snapshot`]): it holds what one commit
//! has left, whatever is written meanwhile.

mod import;
mod jsonl;
mod schema;
mod sqlite;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use import::{Import, ImportError, Imported};
pub use sqlite::{SqliteExport, write_sqlite};

use crate::place::{Partial, PlaceError};
use crate::types::{ROW_KINDS, Row, RowKind};
use crate::{Error, Tracker};

/// Rows a page.
const PAGE: u32 = 2_000;

/// Why an export stopped. Nothing is under its name then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Source(#[from] Error),
    /// The export cannot be put in its place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The stream does not take what is written.
    #[error("cannot write the export")]
    Write(#[source] io::Error),
    /// SQLite answered with an error.
    #[error("cannot write the database {path}")]
    Sqlite {
        /// The database, under the name that it has until it is whole.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted; nothing was written under the name of the export")]
    Interrupted,
}

/// How many rows there were, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Rows(pub BTreeMap<&'static str, u64>);

impl Rows {
    /// Of all kinds.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn count(&mut self, kind: RowKind) {
        *self.0.entry(kind_name(kind)).or_default() += 1;
    }
}

/// What a kind of row is called in `wit/types.wit`.
pub fn kind_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::File => "file",
        RowKind::Symbol => "symbol",
        RowKind::Checkpoint => "checkpoint",
        RowKind::Metadata => "metadata",
        RowKind::Memory => "memory",
        RowKind::TranscriptPosition => "transcript-position",
        RowKind::Pattern => "pattern",
        RowKind::PatternLink => "pattern-link",
        RowKind::Thread => "thread",
        RowKind::ThreadFile => "thread-file",
        RowKind::ThreadQuery => "thread-query",
        RowKind::ThreadTool => "thread-tool",
        RowKind::Convention => "convention",
        RowKind::Counter => "counter",
    }
}

/// A snapshot of a store that is not half of a migration.
fn whole(tracker: &Tracker) -> Result<Tracker, ExportError> {
    let mut snapshot = tracker.snapshot()?;
    snapshot.require_complete()?;
    Ok(snapshot)
}

/// Passes every row of a snapshot on; asks before each page whether to stop.
fn each_row(
    snapshot: &mut Tracker,
    interrupted: &dyn Fn() -> bool,
    mut take: impl FnMut(Row) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    for kind in ROW_KINDS {
        for (number, row) in snapshot.rows(kind, PAGE).enumerate() {
            if number % PAGE as usize == 0 && interrupted() {
                return Err(ExportError::Interrupted);
            }
            take(row?)?;
        }
    }
    Ok(())
}

/// Writes every row of a store to a stream: one JSON object a line, whose one
/// name is the row's kind and whose value is the row, both as in
/// `wit/types.wit`. Integers are exact, doubles have all their digits, and
/// those that JSON has no number for are "inf", "-inf" and "nan".
///
/// `interrupted` is asked now and then whether to stop.
///
/// # Errors
///
/// See [`ExportError`]. What was written before an error stays in the stream.
pub fn write_jsonl(
    tracker: &Tracker,
    out: &mut dyn Write,
    interrupted: &dyn Fn() -> bool,
) -> Result<Rows, ExportError> {
    let mut rows = Rows::default();
    each_row(&mut whole(tracker)?, interrupted, |row| {
        rows.count(kind_of(&row));
        jsonl::write(&row, out).map_err(ExportError::Write)
    })?;
    out.flush().map_err(ExportError::Write)?;
    Ok(rows)
}

/// The same into a new file (mode 0600), which has its name when it is whole.
///
/// # Errors
///
/// See [`ExportError`]; [`PlaceError::Exists`] if there is anything under the name.
pub fn write_jsonl_file(
    tracker: &Tracker,
    to: impl AsRef<Path>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Rows, ExportError> {
    let partial = Partial::file(to.as_ref())?;
    let mut out = io::BufWriter::with_capacity(1 << 18, partial.handle());
    let rows = write_jsonl(tracker, &mut out, interrupted)?;
    drop(out);
    partial.place()?;
    Ok(rows)
}

/// A row as a line, with its end.
pub(crate) fn line(row: &Row) -> Vec<u8> {
    let mut line = Vec::new();
    // A row always has a JSON form, and memory takes it.
    let _ = jsonl::write(row, &mut line);
    line
}

/// The row of a line, or what is wrong with it.
pub(crate) fn read_line(line: &[u8]) -> Result<Row, String> {
    jsonl::read(line)
}

/// The fields of a row as JSON, without its kind.
pub(crate) fn fields(row: &Row) -> serde_json::Value {
    let object = serde_json::from_slice::<serde_json::Map<_, _>>(&line(row)).ok();
    object.and_then(|object| object.into_iter().next()).map_or(serde_json::Value::Null, |(_, fields)| fields)
}

/// The kind of a row.
pub(crate) fn kind_of(row: &Row) -> RowKind {
    match row {
        Row::File(_) => RowKind::File,
        Row::Symbol(_) => RowKind::Symbol,
        Row::Checkpoint(_) => RowKind::Checkpoint,
        Row::Metadata(_) => RowKind::Metadata,
        Row::Memory(_) => RowKind::Memory,
        Row::TranscriptPosition(_) => RowKind::TranscriptPosition,
        Row::Pattern(_) => RowKind::Pattern,
        Row::PatternLink(_) => RowKind::PatternLink,
        Row::Thread(_) => RowKind::Thread,
        Row::ThreadFile(_) => RowKind::ThreadFile,
        Row::ThreadQuery(_) => RowKind::ThreadQuery,
        Row::ThreadTool(_) => RowKind::ThreadTool,
        Row::Convention(_) => RowKind::Convention,
        Row::Counter(_) => RowKind::Counter,
    }
}
