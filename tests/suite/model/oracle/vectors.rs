//! Vectors of files, symbols, memories and patterns.

use tracker_host::types::*;

use super::{Answer, Function, INVALID, Model, Part, Place, pages, read, write};
use crate::model::wire::Wire;

/// Sets the vector of all records with a key hash. True if there is one.
macro_rules! set_vectors {
    ($records:expr, $key:expr, $offset:expr, $length:expr) => {{
        let mut any = false;
        for record in $records.iter_mut().filter(|record| record.key_hash == $key) {
            (record.vector_offset, record.vector_length) = (Some($offset), Some($length));
            any = true;
        }
        any
    }};
}
pub(super) use set_vectors;

impl Model {
    pub(super) fn move_files(&mut self, key: u64, offset: i64, length: i64) -> bool {
        set_vectors!(self.files, key, offset, length)
    }
    pub(super) fn move_symbols(&mut self, key: u64, offset: i64, length: i64) -> bool {
        set_vectors!(self.symbols, key, offset, length)
    }
    pub(super) fn move_memories(&mut self, key: u64, offset: i64, length: i64) -> bool {
        set_vectors!(self.memories, key, offset, length)
    }
    pub(super) fn move_patterns(&mut self, key: u64, offset: i64, length: i64) -> bool {
        set_vectors!(self.patterns, key, offset, length)
    }

    /// The vectors of a table, in the order of the list: by table, offset and key.
    fn vectors_of(&self, table: u64) -> Vec<(Place, LiveVector)> {
        let mut vectors = Vec::new();
        let mut take = |key: Part, key_hash, offset: Option<i64>, length| {
            if let Some(offset) = offset {
                let place = vec![table.into(), offset.into(), key];
                vectors.push((place, LiveVector { key_hash, offset, length }));
            }
        };
        match table {
            0 => self.files.iter().for_each(|r| take((&r.path).into(), r.key_hash, r.vector_offset, r.vector_length)),
            1 => self.symbols.iter().for_each(|r| take(r.id.into(), r.key_hash, r.vector_offset, r.vector_length)),
            2 => self.memories.iter().for_each(|r| take((&r.id).into(), r.key_hash, r.vector_offset, r.vector_length)),
            _ => {
                self.patterns.iter().for_each(|r| take(r.key_hash.into(), r.key_hash, r.vector_offset, r.vector_length))
            }
        }
        vectors.sort_by(|(a, _), (b, _)| a.cmp(b));
        vectors
    }

    fn vectors(&self) -> Vec<(Place, LiveVector)> {
        (0..4).flat_map(|table| self.vectors_of(table)).collect()
    }
}

/// Tables one after the other; of each what points to an old offset before
/// anything of it moves, and with each its namesakes.
fn update_offsets(model: &mut Model, (moves,): (Vec<VectorMove>,)) -> Answer<u64> {
    if moves.iter().enumerate().any(|(n, a)| moves[..n].iter().any(|b| a.old_offset == b.old_offset)) {
        return Err(INVALID);
    }
    let mut matched = 0;
    for table in 0..4 {
        for (_, vector) in model.vectors_of(table) {
            let Some(moved) = moves.iter().find(|moved| moved.old_offset == vector.offset) else { continue };
            let (key, offset, length) = (vector.key_hash, moved.new_offset, moved.length);
            matched += u64::from(match table {
                0 => model.move_files(key, offset, length),
                1 => model.move_symbols(key, offset, length),
                2 => model.move_memories(key, offset, length),
                _ => model.move_patterns(key, offset, length),
            });
        }
    }
    Ok(matched)
}

pub fn functions() -> Vec<Function> {
    vec![
        read("live-vector-stats", |m, (): ()| {
            let vectors = m.vectors();
            let bytes = vectors.iter().fold(0_i64, |sum, (_, vector)| sum.wrapping_add(vector.length.unwrap_or(0)));
            VectorStats { bytes, count: vectors.len() as u64 }
        }),
        pages("list-live-vectors", |m, (): ()| {
            m.vectors().into_iter().map(|(place, vector)| (place, vector.write())).collect()
        }),
        write("update-vector-offsets", update_offsets),
    ]
}
