//! The queries made in threads.

use crate::bytes;
use crate::error::Result;
use crate::index::Sink;
use crate::key::Key;
use crate::list;
use crate::record::{Record, msgpack_record, numbered, record};
use crate::scan::Scan;
use crate::session::{now, read, write};
use crate::table::{Counter, Table};
use crate::types::ThreadQueryRecord;
use crate::view::View;

record! {
    /// A query of a thread.
    ThreadQuery as ThreadQueryRecord {
        id: u64,
        thread_id: u64,
        query_text: &'a str,
        timestamp: f64,
        embedding_offset: Option<i64>,
        embedding_length: Option<i64>,
    }
}

impl<'a> Record<'a> for ThreadQuery<'a> {
    msgpack_record!(ThreadQueryRecord, ThreadQueries);
    numbered!(Queries);

    fn key(&self) -> Key {
        Key::of_u64(self.id)
    }
    fn index(&self, sink: &mut dyn Sink) {
        sink.entry(Table::QueriesByThread, Key::of_u64(self.thread_id).newest(self.timestamp).u64(self.id));
        sink.entry(Table::QueriesByTime, Key::new().newest(self.timestamp).u64(self.id));
    }
}

pub fn add(
    thread_id: u64,
    query_text: &str,
    embedding_offset: Option<i64>,
    embedding_length: Option<i64>,
) -> Result<u64> {
    write(|writer| {
        let id = writer.next_id(Counter::Queries)?;
        writer.insert(&ThreadQuery { id, thread_id, query_text, timestamp: now(), embedding_offset, embedding_length });
        Ok(id)
    })
}

pub fn update_embedding(id: u64, offset: i64, length: i64) -> Result<()> {
    write(|writer| {
        let Some(stored) = writer.find(Table::ThreadQueries, &Key::of_u64(id))? else { return Ok(()) };
        let old = stored.decode::<ThreadQuery>()?;
        let new = ThreadQuery { embedding_offset: Some(offset), embedding_length: Some(length), ..old.clone() };
        writer.change(Some(&old), Some(&new));
        Ok(())
    })
}

/// The queries that index keys name behind their first `skip` bytes, as far as `keep` wants them.
fn fetch(
    view: &View,
    index: Table,
    keys: &[Vec<u8>],
    skip: usize,
    keep: impl Fn(&ThreadQuery) -> bool,
) -> Result<Vec<ThreadQueryRecord>> {
    let queries = view.get_many(Table::ThreadQueries, list::numbered(index, keys, skip)?)?;
    let mut kept = Vec::new();
    for position in 0..queries.len() {
        let query = queries.require::<ThreadQuery>(position)?;
        if keep(&query) {
            kept.push(query.into_row());
        }
    }
    Ok(kept)
}

pub fn of_thread(thread_id: u64, limit: u32) -> Result<Vec<ThreadQueryRecord>> {
    read(|view| {
        let index = Table::QueriesByThread;
        let (keys, _) = list::keys(Scan::prefix(view, index, &thread_id.to_be_bytes()), None, limit)?;
        fetch(view, index, &keys, 16, |_| true)
    })
}

pub fn search(text: &str, limit: u32) -> Result<Vec<ThreadQueryRecord>> {
    let limit = limit as usize;
    read(|view| {
        let index = Table::QueriesByTime;
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while found.len() < limit {
            let (keys, next) = list::keys(Scan::prefix(view, index, b""), after.as_deref(), 1024)?;
            found.append(&mut fetch(view, index, &keys, 8, |query| {
                bytes::contains_ignoring_ascii_case(query.query_text.as_bytes(), text.as_bytes())
            })?);
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    })
}
