//! Session threads; their files, queries and tools are in modules of their own.

pub mod files;
pub mod queries;
pub mod tools;

use crate::error::Result;
use crate::index::{Sink, Tally};
use crate::key::{self, Key};
use crate::list;
use crate::record::{self, Record, msgpack_record, numbered, record};
use crate::scan::Scan;
use crate::session::{self, now, read, write};
use crate::table::{Counter, Table};
use crate::types::{ThreadRecord, ThreadStats};
use crate::view::View;

record! {
    /// A thread.
    Thread as ThreadRecord {
        id: u64,
        session_id: &'a str,
        title: &'a str,
        created_at: f64,
        last_touch: f64,
        touches: i64,
        #[serde(deserialize_with = "crate::field::flag")]
        is_active: bool,
        centroid_offset: Option<i64>,
        centroid_length: Option<i64>,
    }
}

/// The two parts of `threads_by_touch`.
const ALL: u8 = 0;
const ACTIVE: u8 = 1;

impl<'a> Record<'a> for Thread<'a> {
    msgpack_record!(ThreadRecord, Threads);
    numbered!(Threads);

    fn key(&self) -> Key {
        Key::of_u64(self.id)
    }

    fn index(&self, sink: &mut dyn Sink) {
        sink.entry(Table::ThreadsBySess, Key::new().segment(self.session_id).u64(self.id));
        sink.entry(Table::ThreadsByTouch, Key::new().byte(ALL).newest(self.last_touch).u64(self.id));
        sink.tally(Tally::SessionThreads, self.session_id, 1);
        if self.is_active {
            sink.entry(Table::ThreadsByTouch, Key::new().byte(ACTIVE).newest(self.last_touch).u64(self.id));
            sink.entry(Table::ThreadsActive, Key::new().segment(self.session_id).newest(self.last_touch).u64(self.id));
            sink.tally(Tally::ActiveThreads, "", 1);
        }
    }
}

pub fn create(
    session_id: &str,
    title: &str,
    centroid_offset: Option<i64>,
    centroid_length: Option<i64>,
) -> Result<ThreadRecord> {
    write(|writer| {
        let (id, now) = (writer.next_id(Counter::Threads)?, now());
        let thread = Thread {
            id,
            session_id,
            title,
            created_at: now,
            last_touch: now,
            touches: 1,
            is_active: true,
            centroid_offset,
            centroid_length,
        };
        writer.insert(&thread);
        Ok(thread.into_row())
    })
}

pub fn get(id: u64) -> Result<Option<ThreadRecord>> {
    session::find(Table::Threads, &Key::of_u64(id), |stored| Ok(stored.decode::<Thread>()?.into_row()))
}

/// Changes a thread; nothing happens if there is none.
fn modify(id: u64, change: impl FnOnce(&mut Thread)) -> Result<()> {
    write(|writer| {
        let Some(stored) = writer.find(Table::Threads, &Key::of_u64(id))? else { return Ok(()) };
        let old = stored.decode::<Thread>()?;
        let mut new = old.clone();
        change(&mut new);
        writer.change(Some(&old), Some(&new));
        Ok(())
    })
}

pub fn touch(id: u64) -> Result<()> {
    modify(id, |thread| {
        thread.last_touch = now();
        thread.touches = thread.touches.saturating_add(1);
    })
}

pub fn update_centroid(id: u64, offset: i64, length: i64) -> Result<()> {
    modify(id, |thread| (thread.centroid_offset, thread.centroid_length) = (Some(offset), Some(length)))
}

pub fn deactivate(id: u64) -> Result<()> {
    modify(id, |thread| thread.is_active = false)
}

/// The first threads that an index names under a prefix, behind a time.
fn listed(view: &View, index: Table, prefix: &[u8], limit: u32) -> Result<Vec<ThreadRecord>> {
    let (keys, _) = list::keys(Scan::prefix(view, index, prefix), None, limit)?;
    let threads = view.get_many(Table::Threads, list::numbered(index, &keys, prefix.len() + 8)?)?;
    (0..threads.len()).map(|i| Ok(threads.require::<Thread>(i)?.into_row())).collect()
}

pub fn for_session(session_id: &str) -> Result<Vec<ThreadRecord>> {
    read(|view| listed(view, Table::ThreadsActive, Key::new().segment(session_id).bytes(), u32::MAX))
}

pub fn recent(limit: u32, active_only: bool) -> Result<Vec<ThreadRecord>> {
    read(|view| listed(view, Table::ThreadsByTouch, &[if active_only { ACTIVE } else { ALL }], limit))
}

fn active(view: &View) -> Result<u64> {
    Ok(list::tally(view, Tally::ActiveThreads, "")?.cast_unsigned())
}

pub fn count(active_only: bool) -> Result<u64> {
    read(|view| if active_only { active(view) } else { view.count(Table::Threads) })
}

pub fn stats() -> Result<ThreadStats> {
    read(|view| {
        let active_threads = active(view)?;
        let (keys, _) = list::keys(Scan::prefix(view, Table::SessionsBySize, b""), None, 1)?;
        let top_session = match keys.first() {
            None => None,
            Some(key) => {
                let size = key::read_u64(key).ok_or_else(|| record::corrupt(Table::SessionsBySize, key))?;
                Some((list::text_after(Table::SessionsBySize, key, 8)?.to_owned(), !size))
            }
        };
        Ok(ThreadStats {
            active_threads,
            inactive_threads: view.count(Table::Threads)?.saturating_sub(active_threads),
            session_count: view.count(Table::SessionsBySize)?,
            file_associations: view.count(Table::ThreadFiles)?,
            query_count: view.count(Table::ThreadQueries)?,
            tool_associations: view.count(Table::ThreadTools)?,
            top_session,
        })
    })
}
