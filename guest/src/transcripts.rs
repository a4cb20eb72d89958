//! How far transcripts were read.

use crate::error::Result;
use crate::index::Sink;
use crate::key::Key;
use crate::record::{self, Record, msgpack_record, record};
use crate::scan::{Scan, key_of};
use crate::session::{self, now, read, write};
use crate::table::Table;

record! {
    /// A transcript position.
    Transcript as TranscriptRow {
        path: &'a str,
        byte_position: i64,
        updated_at: f64,
    }
}

impl<'a> Record<'a> for Transcript<'a> {
    msgpack_record!(TranscriptRow, TranscriptPos);

    fn key(&self) -> Key {
        Key::of_text(self.path)
    }
    fn index(&self, _sink: &mut dyn Sink) {}
}

pub fn get(path: &str) -> Result<i64> {
    let found = session::find(Table::TranscriptPos, &Key::of_text(path), |stored| {
        Ok(stored.decode::<Transcript>()?.byte_position)
    })?;
    Ok(found.unwrap_or(0))
}

pub fn get_all() -> Result<Vec<(String, i64)>> {
    read(|view| {
        let mut positions = Vec::new();
        let mut scan = Scan::prefix(view, Table::TranscriptPos, b"").keyed(key_of!(Transcript));
        while let Some(entry) = scan.next()? {
            let transcript: Transcript = record::decode(entry.physical, entry.stored())?;
            positions.push((transcript.path.to_owned(), transcript.byte_position));
        }
        Ok(positions)
    })
}

pub fn set(path: &str, byte_position: i64) -> Result<()> {
    write(|writer| {
        let new = Transcript { path, byte_position, updated_at: now() };
        let stored = writer.find(Table::TranscriptPos, &new.key())?;
        let old = stored.as_ref().map(|stored| stored.decode::<Transcript>()).transpose()?;
        writer.change(old.as_ref(), Some(&new));
        Ok(())
    })
}

pub fn clear() -> Result<u64> {
    write(|writer| {
        let count = writer.view().count(Table::TranscriptPos)?;
        writer.clear(Table::TranscriptPos);
        Ok(count)
    })
}
