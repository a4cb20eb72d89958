//! The vectors that files, symbols, memories and patterns point to.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::files::{self, File};
use crate::index::{Tally, VectorKind};
use crate::key::Key;
use crate::list;
use crate::memories::{self, Memory};
use crate::patterns::{self, Pattern};
use crate::scan::Scan;
use crate::session::{read, write};
use crate::symbols::{self, Symbol};
use crate::table::Table;
use crate::types::{LiveVector, VectorMove, VectorPage, VectorStats};
use crate::view::{Many, View};

/// How long kind and offset are at the front of a key.
const HEAD: usize = 9;

pub fn stats() -> Result<VectorStats> {
    read(|view| {
        let mut stats = VectorStats { bytes: 0, count: 0 };
        for kind in VectorKind::ALL {
            stats.count += list::tally(view, Tally::Vectors, kind.name())?.cast_unsigned();
            stats.bytes = stats.bytes.wrapping_add(list::tally(view, Tally::VectorBytes, kind.name())?);
        }
        Ok(stats)
    })
}

pub fn count_of(kind: VectorKind) -> Result<u64> {
    read(|view| Ok(list::tally(view, Tally::Vectors, kind.name())?.cast_unsigned()))
}

impl VectorKind {
    const fn table(self) -> Table {
        match self {
            VectorKind::File => Table::Files,
            VectorKind::Symbol => Table::Symbols,
            VectorKind::Memory => Table::Memories,
            VectorKind::Pattern => Table::Patterns,
        }
    }

    /// The key of the record that an index key names.
    fn record_key(self, key: &[u8]) -> Result<Key> {
        match self {
            VectorKind::File | VectorKind::Memory => Ok(Key::of_text(list::text_after(Table::Vectors, key, HEAD)?)),
            VectorKind::Symbol | VectorKind::Pattern => Ok(Key::of_u64(list::number_after(Table::Vectors, key, HEAD)?)),
        }
    }

    /// The vector of the record at this position.
    fn vector(self, records: &Many, position: usize) -> Result<LiveVector> {
        let (key_hash, offset, length) = match self {
            VectorKind::File => {
                let file = records.require::<File>(position)?;
                (file.key_hash, file.vector_offset, file.vector_length)
            }
            VectorKind::Symbol => {
                let symbol = records.require::<Symbol>(position)?;
                (symbol.key_hash, symbol.vector_offset, symbol.vector_length)
            }
            VectorKind::Memory => {
                let memory = records.require::<Memory>(position)?;
                (memory.key_hash, memory.vector_offset, memory.vector_length)
            }
            VectorKind::Pattern => {
                let pattern = records.require::<Pattern>(position)?;
                (pattern.key_hash, pattern.vector_offset, pattern.vector_length)
            }
        };
        Ok(LiveVector { key_hash, offset: offset.unwrap_or_default(), length })
    }
}

/// The vectors that index keys of one kind name.
fn fetch(view: &View, kind: VectorKind, keys: &[Vec<u8>]) -> Result<Vec<LiveVector>> {
    let keys = keys.iter().map(|key| kind.record_key(key)).collect::<Result<Vec<_>>>()?;
    let records = view.get_many(kind.table(), keys)?;
    (0..records.len()).map(|position| kind.vector(&records, position)).collect()
}

pub fn list_live(after: Option<&[u8]>, limit: u32) -> Result<VectorPage> {
    read(|view| {
        let (keys, next) = list::keys(Scan::prefix(view, Table::Vectors, b""), after, limit)?;
        let mut items = Vec::with_capacity(keys.len());
        for kind in VectorKind::ALL {
            let start = keys.partition_point(|key| key[0] < kind as u8);
            let end = keys.partition_point(|key| key[0] <= kind as u8);
            items.append(&mut fetch(view, kind, &keys[start..end])?);
        }
        Ok(VectorPage { items, next })
    })
}

pub fn update_offsets(moves: &[VectorMove]) -> Result<u64> {
    let mut by_offset = BTreeMap::new();
    for moved in moves {
        if by_offset.insert(moved.old_offset, (moved.new_offset, moved.length)).is_some() {
            return Err(Error::InvalidArgument(format!("old-offset {} is given twice", moved.old_offset)));
        }
    }
    write(|writer| {
        let mut matched = 0;
        for kind in VectorKind::ALL {
            // All records that point to an old offset, as they are before anything of this kind moves.
            let mut pointing: Vec<(u64, i64, i64)> = Vec::new();
            for (old, (new, length)) in &by_offset {
                let prefix = Key::new().byte(kind as u8).i64(*old).into_bytes();
                let (keys, _) = list::keys(Scan::prefix(writer.view(), Table::Vectors, &prefix), None, u32::MAX)?;
                for vector in fetch(writer.view(), kind, &keys)? {
                    pointing.push((vector.key_hash, *new, *length));
                }
            }
            matched += pointing.len() as u64;
            for (key_hash, offset, length) in pointing {
                match kind {
                    VectorKind::File => files::set_vector(writer, key_hash, offset, length)?,
                    VectorKind::Symbol => symbols::set_vector(writer, key_hash, offset, length)?,
                    VectorKind::Memory => memories::set_vector(writer, key_hash, offset, length)?,
                    VectorKind::Pattern => patterns::set_vector(writer, key_hash, offset, length)?,
                };
            }
        }
        Ok(matched)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn kinds_come_in_the_order_of_the_reference() {
        let tables: Vec<&str> = VectorKind::ALL.iter().map(|kind| kind.table().name()).collect();
        assert_eq!(tables, ["files", "symbols", "memories", "patterns"]);
        assert_eq!(File::TABLE, VectorKind::File.table());
    }
}
