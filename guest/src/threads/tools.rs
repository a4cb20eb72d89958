//! The tools that threads used.

use crate::error::Result;
use crate::index::Sink;
use crate::key::Key;
use crate::record::{self, Record, msgpack_record, numbered, record};
use crate::scan::{Scan, key_of};
use crate::session::{now, read, write};
use crate::table::{Counter, Table};
use crate::types::ThreadToolRecord;

record! {
    /// A tool of a thread.
    ThreadTool as ThreadToolRecord {
        id: u64,
        thread_id: u64,
        tool_name: &'a str,
        tool_count: i64,
        last_used: f64,
    }
}

impl<'a> Record<'a> for ThreadTool<'a> {
    msgpack_record!(ThreadToolRecord, ThreadTools);
    numbered!(Tools);

    fn key(&self) -> Key {
        Key::of_u64(self.thread_id).tail(self.tool_name)
    }
    fn index(&self, _sink: &mut dyn Sink) {}
}

pub fn record(thread_id: u64, tool_name: &str) -> Result<()> {
    write(|writer| {
        let key = Key::of_u64(thread_id).tail(tool_name);
        let stored = writer.find(Table::ThreadTools, &key)?;
        let old = stored.as_ref().map(|stored| stored.decode::<ThreadTool>()).transpose()?;
        let (id, tool_count) = match &old {
            Some(old) => (old.id, old.tool_count.saturating_add(1)),
            None => (writer.next_id(Counter::Tools)?, 1),
        };
        writer.change(old.as_ref(), Some(&ThreadTool { id, thread_id, tool_name, tool_count, last_used: now() }));
        Ok(())
    })
}

pub fn of_thread(thread_id: u64) -> Result<Vec<ThreadToolRecord>> {
    read(|view| {
        let mut tools = Vec::new();
        let mut scan = Scan::prefix(view, Table::ThreadTools, &thread_id.to_be_bytes()).keyed(key_of!(ThreadTool));
        while let Some(entry) = scan.next()? {
            tools.push(record::decode::<ThreadTool>(entry.physical, entry.stored())?.into_row());
        }
        // Stable, so that equal counts stay in name order.
        tools.sort_by_key(|tool| std::cmp::Reverse(tool.tool_count));
        Ok(tools)
    })
}
