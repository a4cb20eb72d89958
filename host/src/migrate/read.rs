//! From SQLite's rows to the tracker's.

use rusqlite::types::ValueRef;

use super::source::TABLES;
use crate::types::{
    Checkpoint, FileRow, MemoryRow, MetadataRow, PatternLink, PatternRecord, Row, RowKind, SymbolRecord,
    ThreadFileRecord, ThreadQueryRecord, ThreadRecord, ThreadToolRecord, TranscriptRow,
};

/// Why a row has no place in the typed schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject(pub String);

/// A row of SQLite: the rowid first, then the columns in the order of the table's specification.
pub struct SqlRow<'r> {
    row: &'r rusqlite::Row<'r>,
    table: usize,
}

type Value<T> = Result<T, Reject>;

impl<'r> SqlRow<'r> {
    pub fn new(row: &'r rusqlite::Row<'r>, table: usize) -> Self {
        SqlRow { row, table }
    }

    pub fn rowid(&self) -> i64 {
        self.row.get(0).unwrap_or_default()
    }

    fn name(&self, column: usize) -> &'static str {
        let spec = &TABLES[self.table];
        spec.columns.iter().chain(spec.later).nth(column).copied().unwrap_or("?")
    }

    fn value(&self, column: usize) -> Value<ValueRef<'r>> {
        self.row.get_ref(column + 1).map_err(|e| Reject(format!("{}: {e}", self.name(column))))
    }

    fn wrong<T>(&self, column: usize, found: &str, expected: &str) -> Value<T> {
        Err(Reject(format!("{} is {found}, not {expected}", self.name(column))))
    }

    fn text(&self, column: usize) -> Value<String> {
        match self.value(column)? {
            ValueRef::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(_) => self.wrong(column, "text that is not UTF-8", "text"),
            },
            other => self.wrong(column, kind(other), "text"),
        }
    }

    fn integer(&self, column: usize) -> Value<i64> {
        match self.value(column)? {
            ValueRef::Integer(value) => Ok(value),
            other => self.wrong(column, kind(other), "an integer"),
        }
    }

    fn real(&self, column: usize) -> Value<f64> {
        match self.value(column)? {
            ValueRef::Real(value) => Ok(value),
            other => self.wrong(column, kind(other), "a number"),
        }
    }

    fn optional<T>(&self, column: usize, get: impl FnOnce(&Self, usize) -> Value<T>) -> Value<Option<T>> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            _ => get(self, column).map(Some),
        }
    }

    /// A key hash: unsigned, stored signed.
    fn hash(&self, column: usize) -> Value<u64> {
        self.integer(column).map(i64::cast_unsigned)
    }

    /// A number that a table gives out.
    fn id(&self, column: usize) -> Value<u64> {
        let value = self.integer(column)?;
        u64::try_from(value).or_else(|_| self.wrong(column, "negative", "an id"))
    }

    fn flag(&self, column: usize) -> Value<bool> {
        match self.integer(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.wrong(column, "neither 0 nor 1", "a flag"),
        }
    }

    fn optional_text(&self, column: usize) -> Value<Option<String>> {
        self.optional(column, Self::text)
    }

    fn optional_integer(&self, column: usize) -> Value<Option<i64>> {
        self.optional(column, Self::integer)
    }
}

fn kind(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) => "an INTEGER",
        ValueRef::Real(_) => "a REAL",
        ValueRef::Text(_) => "a TEXT",
        ValueRef::Blob(_) => "a BLOB",
    }
}

/// The kind of row that a table of [`TABLES`] holds.
pub fn row_kind(table: usize) -> RowKind {
    match TABLES[table].name {
        "files" => RowKind::File,
        "symbols" => RowKind::Symbol,
        "checkpoints" => RowKind::Checkpoint,
        "metadata" => RowKind::Metadata,
        "memories" => RowKind::Memory,
        "transcript_positions" => RowKind::TranscriptPosition,
        "pattern_caches" => RowKind::Pattern,
        "pattern_cache_files" => RowKind::PatternLink,
        "session_threads" => RowKind::Thread,
        "thread_files" => RowKind::ThreadFile,
        "thread_queries" => RowKind::ThreadQuery,
        _ => RowKind::ThreadTool,
    }
}

/// The tracker's row for a row of SQLite. A pattern comes without its files.
pub fn convert(row: &SqlRow<'_>) -> Value<Row> {
    Ok(match row_kind(row.table) {
        RowKind::File => Row::File(FileRow {
            path: row.text(0)?,
            mtime: row.real(1)?,
            size: row.integer(2)?,
            content_hash: row.text(3)?,
            blob_offset: row.integer(4)?,
            blob_length: row.integer(5)?,
            key_hash: row.hash(6)?,
            indexed_at: row.real(7)?,
            vector_offset: row.optional_integer(8)?,
            vector_length: row.optional_integer(9)?,
            detected_contexts: row.optional_text(10)?,
            is_team: false,
        }),
        RowKind::Symbol => Row::Symbol(SymbolRecord {
            id: row.id(0)?,
            file_path: row.text(1)?,
            name: row.text(2)?,
            kind: row.text(3)?,
            line_start: row.integer(4)?,
            line_end: row.optional_integer(5)?,
            blob_offset: row.integer(6)?,
            blob_length: row.integer(7)?,
            key_hash: row.hash(8)?,
            vector_offset: row.optional_integer(9)?,
            vector_length: row.optional_integer(10)?,
        }),
        RowKind::Checkpoint => Row::Checkpoint(Checkpoint {
            id: row.id(0)?,
            created_at: row.real(1)?,
            last_path: row.text(2)?,
            total_files: row.integer(3)?,
            processed_files: row.integer(4)?,
        }),
        RowKind::Metadata => Row::Metadata(MetadataRow { key: row.text(0)?, value: row.text(1)? }),
        RowKind::Memory => Row::Memory(MemoryRow {
            id: row.text(0)?,
            task: row.optional_text(1)?,
            insights: row.optional_text(2)?,
            context: row.optional_text(3)?,
            symbol_keys: row.optional_text(4)?,
            text: row.text(5)?,
            tags: row.optional_text(6)?,
            blob_offset: row.integer(7)?,
            blob_length: row.integer(8)?,
            key_hash: row.hash(9)?,
            created_at: row.real(10)?,
            updated_at: row.optional(11, SqlRow::real)?,
            vector_offset: row.optional_integer(12)?,
            vector_length: row.optional_integer(13)?,
            access_count: 0,
            last_accessed: None,
            owner_id: None,
            is_team: false,
        }),
        RowKind::TranscriptPosition => Row::TranscriptPosition(TranscriptRow {
            path: row.text(0)?,
            byte_position: row.integer(1)?,
            updated_at: row.real(2)?,
        }),
        RowKind::Pattern => Row::Pattern(PatternRecord {
            key_hash: row.hash(0)?,
            pattern: row.text(1)?,
            tool_type: row.text(2)?,
            matched_files: Vec::new(),
            blob_offset: row.integer(3)?,
            blob_length: row.integer(4)?,
            created_at: row.real(5)?,
            vector_offset: row.optional_integer(6)?,
            vector_length: row.optional_integer(7)?,
        }),
        RowKind::PatternLink => {
            Row::PatternLink(PatternLink { pattern_key_hash: row.hash(0)?, file_path: row.text(1)? })
        }
        RowKind::Thread => Row::Thread(ThreadRecord {
            id: row.id(0)?,
            session_id: row.text(1)?,
            title: row.text(2)?,
            created_at: row.real(3)?,
            last_touch: row.real(4)?,
            touches: row.integer(5)?,
            is_active: row.flag(6)?,
            centroid_offset: row.optional_integer(7)?,
            centroid_length: row.optional_integer(8)?,
        }),
        RowKind::ThreadFile => Row::ThreadFile(ThreadFileRecord {
            thread_id: row.id(0)?,
            file_path: row.text(1)?,
            operation: row.text(2)?,
            first_access: row.real(3)?,
            last_access: row.real(4)?,
            access_count: row.integer(5)?,
        }),
        RowKind::ThreadQuery => Row::ThreadQuery(ThreadQueryRecord {
            id: row.id(0)?,
            thread_id: row.id(1)?,
            query_text: row.text(2)?,
            timestamp: row.real(3)?,
            embedding_offset: row.optional_integer(4)?,
            embedding_length: row.optional_integer(5)?,
        }),
        _ => Row::ThreadTool(ThreadToolRecord {
            id: row.id(0)?,
            thread_id: row.id(1)?,
            tool_name: row.text(2)?,
            tool_count: row.integer(3)?,
            last_used: row.real(4)?,
        }),
    })
}
