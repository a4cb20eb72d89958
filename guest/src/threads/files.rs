//! The files that threads worked on.

use crate::error::Result;
use crate::index::Sink;
use crate::key::Key;
use crate::list;
use crate::record::{self, Record, msgpack_record, record};
use crate::scan::{Scan, key_of};
use crate::session::{now, read, write};
use crate::table::Table;
use crate::types::ThreadFileRecord;

record! {
    /// A file of a thread.
    ThreadFile as ThreadFileRecord {
        thread_id: u64,
        file_path: &'a str,
        operation: &'a str,
        first_access: f64,
        last_access: f64,
        access_count: i64,
    }
}

impl<'a> Record<'a> for ThreadFile<'a> {
    msgpack_record!(ThreadFileRecord, ThreadFiles);

    fn key(&self) -> Key {
        Key::of_u64(self.thread_id).tail(self.file_path)
    }
    fn index(&self, sink: &mut dyn Sink) {
        sink.entry(Table::ThreadsByFile, Key::new().segment(self.file_path).u64(self.thread_id));
    }
}

pub fn add(thread_id: u64, file_path: &str, operation: &str) -> Result<()> {
    write(|writer| {
        let now = now();
        let mut new =
            ThreadFile { thread_id, file_path, operation, first_access: now, last_access: now, access_count: 1 };
        let stored = writer.find(Table::ThreadFiles, &new.key())?;
        let old = stored.as_ref().map(|stored| stored.decode::<ThreadFile>()).transpose()?;
        if let Some(old) = &old {
            new.first_access = old.first_access;
            new.access_count = old.access_count.saturating_add(1);
            if !matches!(operation, "write" | "edit") {
                new.operation = old.operation;
            }
        }
        writer.change(old.as_ref(), Some(&new));
        Ok(())
    })
}

pub fn of_thread(thread_id: u64) -> Result<Vec<ThreadFileRecord>> {
    read(|view| {
        let mut files = Vec::new();
        let mut scan = Scan::prefix(view, Table::ThreadFiles, &thread_id.to_be_bytes()).keyed(key_of!(ThreadFile));
        while let Some(entry) = scan.next()? {
            files.push(record::decode::<ThreadFile>(entry.physical, entry.stored())?.into_row());
        }
        // Stable, so that equal times stay in path order.
        files.sort_by(|a, b| b.last_access.total_cmp(&a.last_access));
        Ok(files)
    })
}

pub fn threads_of(file_path: &str) -> Result<Vec<u64>> {
    read(|view| {
        let prefix = Key::new().segment(file_path).into_bytes();
        let (keys, _) = list::keys(Scan::prefix(view, Table::ThreadsByFile, &prefix), None, u32::MAX)?;
        keys.iter().map(|key| list::number_after(Table::ThreadsByFile, key, prefix.len())).collect()
    })
}
