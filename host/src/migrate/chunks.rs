//! The source's rows, read ahead in a thread of its own: reading SQLite takes
//! about as long as writing what was read.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::Result;
use super::read::{SqlRow, convert};
use super::source::{self, Source, TABLES};
use crate::types::Row;

/// Rows a chunk, which is a call. A call costs little; the limit keeps memory bounded.
const ROWS: usize = 2_000;
/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// Rows that follow one another.
#[derive(Default)]
pub struct Chunk {
    /// Those that the typed schema can hold.
    pub rows: Vec<Row>,
    /// The others: rowid and reason.
    pub rejected: Vec<(i64, String)>,
    /// The last rowid.
    pub last: i64,
}

/// Chunks as they come.
pub struct Chunks<'c>(&'c Receiver<Result<Chunk>>);

impl Iterator for Chunks<'_> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Result<Chunk>> {
        self.0.recv().ok()
    }
}

/// Passes a table's rows behind `after` to `take`, in the order of their rowids.
pub fn chunks<T>(
    source: &mut Source,
    table: usize,
    after: Option<i64>,
    take: impl FnOnce(&mut Chunks<'_>) -> Result<T>,
) -> Result<T> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            if let Err(error) = read(source, table, after, &sender) {
                // Whoever takes the rows may have stopped.
                let _ = sender.send(Err(error));
            }
        });
        let taken = take(&mut Chunks(&receiver));
        // The thread ends when it finds nobody who takes more.
        drop(receiver);
        taken
    })
}

/// Sends a table's rows until there are no more or nobody takes them.
fn read(source: &Source, table: usize, after: Option<i64>, sender: &SyncSender<Result<Chunk>>) -> Result<()> {
    let Some(columns) = source.columns(table) else { return Ok(()) };
    let name = TABLES[table].name;
    let sql = format!("SELECT rowid, {columns} FROM {name} WHERE rowid > ?1 OR ?1 IS NULL ORDER BY rowid");
    let error = |e| source.error(e);
    let mut statement = source.connection.prepare(&sql).map_err(error)?;
    let mut rows = statement.query([after]).map_err(error)?;
    let mut chunk = Chunk::default();
    while let Some(row) = rows.next().map_err(error)? {
        let row = SqlRow::new(row, table);
        match convert(&row) {
            Ok(Row::Pattern(mut pattern)) => {
                pattern.matched_files = matched_files(source, pattern.key_hash)?;
                chunk.rows.push(Row::Pattern(pattern));
            }
            Ok(row) => chunk.rows.push(row),
            Err(reason) => chunk.rejected.push((row.rowid(), reason.0)),
        }
        chunk.last = row.rowid();
        if chunk.rows.len() + chunk.rejected.len() == ROWS {
            let next = Chunk { rows: Vec::with_capacity(ROWS), ..Chunk::default() };
            if sender.send(Ok(std::mem::replace(&mut chunk, next))).is_err() {
                return Ok(());
            }
        }
    }
    if chunk.rows.len() + chunk.rejected.len() > 0 {
        let _ = sender.send(Ok(chunk));
    }
    Ok(())
}

/// The files of a pattern in byte order; those that are no text are rejected with their own rows.
fn matched_files(source: &Source, key_hash: u64) -> Result<Vec<String>> {
    let Some(links) =
        source::TableSpec::position("pattern_cache_files").filter(|links| source.columns(*links).is_some())
    else {
        return Ok(Vec::new());
    };
    let sql = "SELECT rowid, pattern_key_hash, file_path FROM pattern_cache_files WHERE pattern_key_hash = ?1";
    let mut statement = source.connection.prepare_cached(sql).map_err(|e| source.error(e))?;
    let mut rows = statement.query([key_hash.cast_signed()]).map_err(|e| source.error(e))?;
    let mut files = Vec::new();
    while let Some(row) = rows.next().map_err(|e| source.error(e))? {
        if let Ok(Row::PatternLink(link)) = convert(&SqlRow::new(row, links)) {
            files.push(link.file_path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
