//! Checkpoints of indexing runs.

use crate::error::Result;
use crate::files::TIME;
use crate::index::Sink;
use crate::key::Key;
use crate::list;
use crate::record::{Record, msgpack_record, numbered, record};
use crate::scan::Scan;
use crate::session::{now, read, write};
use crate::table::{Counter, Table};
use crate::types;

record! {
    /// A checkpoint.
    Checkpoint as Checkpoint {
        id: u64,
        created_at: f64,
        last_path: &'a str,
        total_files: i64,
        processed_files: i64,
    }
}

impl<'a> Record<'a> for Checkpoint<'a> {
    msgpack_record!(Checkpoint, Checkpoints);
    numbered!(Checkpoints);

    fn key(&self) -> Key {
        Key::of_u64(self.id)
    }
    fn index(&self, sink: &mut dyn Sink) {
        sink.entry(Table::CheckpointsByCreated, Key::new().newest(self.created_at).u64(self.id));
    }
}

pub fn save(processed_files: i64, total_files: i64, last_path: &str) -> Result<u64> {
    write(|writer| {
        let id = writer.next_id(Counter::Checkpoints)?;
        writer.insert(&Checkpoint { id, created_at: now(), last_path, total_files, processed_files });
        Ok(id)
    })
}

pub fn latest() -> Result<Option<types::Checkpoint>> {
    read(|view| {
        let index = Table::CheckpointsByCreated;
        let (keys, _) = list::keys(Scan::prefix(view, index, b""), None, 1)?;
        let Some(id) = list::numbered(index, &keys, TIME)?.pop() else { return Ok(None) };
        Ok(Some(view.require(Table::Checkpoints, &id)?.decode::<Checkpoint>()?.into_row()))
    })
}

pub fn clear() -> Result<u64> {
    write(|writer| {
        let count = writer.view().count(Table::Checkpoints)?;
        writer.clear(Table::Checkpoints);
        writer.clear(Table::CheckpointsByCreated);
        Ok(count)
    })
}
