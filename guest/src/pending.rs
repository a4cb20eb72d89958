//! The operations of a call, packed as the store takes them, and what they
//! make of the keys they touch.

use std::ops::Range;

use hashbrown::HashTable;

use crate::bytes::same;
use crate::table::{Role, Table};

const PUT: u8 = 0;
const DELETE: u8 = 1;
const CLEAR: u8 = 2;

/// A key that was written: where it and its value are in the operations.
struct Latest {
    table: Table,
    key: Range<usize>,
    /// None if it was deleted.
    value: Option<Range<usize>>,
}

/// A key that was read.
struct Ahead {
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// Operations that have not been sent to the store.
#[derive(Default)]
pub struct Pending {
    ops: Vec<u8>,
    /// The last operation on each key that may be read again.
    latest: HashTable<Latest>,
    ahead: HashTable<Ahead>,
    /// A bit for each table that was written to.
    changed: u64,
}

const _: () = assert!(Table::ALL.len() <= 64, "a bit for each table");

/// FxHash: keys come from the caller's own data, and a call is bounded in time.
fn hash(table: Table, key: &[u8]) -> u64 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = u64::from(table.number());
    let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(SEED);
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        add(chunk.iter().fold(0, |word, b| word << 8 | u64::from(*b)));
    }
    add(chunks.remainder().iter().fold(key.len() as u64, |word, b| word << 8 | u64::from(*b)));
    // The table takes the upper bits for its tags and the lower for its buckets.
    hash ^ hash >> 32
}

impl Pending {
    /// The packed operations.
    pub fn ops(&self) -> &[u8] {
        &self.ops
    }

    /// True if there is an operation on this table.
    pub fn has_changed(&self, table: Table) -> bool {
        self.changed & 1 << table.number() != 0
    }

    /// Puts an entry.
    pub fn put(&mut self, table: Table, physical: &[u8], value: &[u8]) {
        let key = self.push(PUT, table, physical, value);
        let value = key.end..key.end + value.len();
        self.note(table, key, Some(value));
    }

    /// Deletes an entry.
    pub fn delete(&mut self, table: Table, physical: &[u8]) {
        let key = self.push(DELETE, table, physical, &[]);
        self.note(table, key, None);
    }

    /// Deletes all entries of a table.
    pub fn clear(&mut self, table: Table) {
        self.push(CLEAR, table, &[], &[]);
        self.latest.retain(|latest| latest.table != table);
        self.ahead.retain(|ahead| ahead.table != table);
    }

    /// Appends an operation and returns where its key is.
    fn push(&mut self, kind: u8, table: Table, physical: &[u8], value: &[u8]) -> Range<usize> {
        self.changed |= 1 << table.number();
        self.ops.push(kind);
        self.ops.extend_from_slice(&(table.number() as u16).to_le_bytes());
        self.ops.extend_from_slice(&(physical.len() as u32).to_le_bytes());
        self.ops.extend_from_slice(&(value.len() as u32).to_le_bytes());
        let start = self.ops.len();
        self.ops.extend_from_slice(physical);
        self.ops.extend_from_slice(value);
        start..start + physical.len()
    }

    fn note(&mut self, table: Table, key: Range<usize>, value: Option<Range<usize>>) {
        // Index entries are never read again by the call that writes them.
        if table.role() == Role::Entries {
            return;
        }
        let Pending { ops, latest, .. } = self;
        let physical = &ops[key.clone()];
        let same_key = |other: &Latest| other.table == table && same(&ops[other.key.clone()], physical);
        let rehash = |other: &Latest| hash(other.table, &ops[other.key.clone()]);
        let noted = Latest { table, key: key.clone(), value };
        match latest.find_mut(hash(table, physical), same_key) {
            Some(other) => *other = noted,
            None => {
                latest.insert_unique(hash(table, physical), noted, rehash);
            }
        }
    }

    /// Notes what was read, so that it need not be read again.
    pub fn read_ahead(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        let hashed = hash(table, &key);
        match self.ahead.find_mut(hashed, |ahead| ahead.table == table && same(&ahead.key, &key)) {
            Some(ahead) => ahead.value = value,
            None => {
                self.ahead.insert_unique(hashed, Ahead { table, key, value }, |ahead| hash(ahead.table, &ahead.key));
            }
        }
    }

    /// The value that a key has by what was written or read; none if nothing is known of it.
    pub fn get(&self, table: Table, physical: &[u8]) -> Option<Option<&[u8]>> {
        if self.latest.is_empty() && self.ahead.is_empty() {
            return None;
        }
        let hashed = hash(table, physical);
        let same_key = |latest: &Latest| latest.table == table && same(&self.ops[latest.key.clone()], physical);
        if let Some(latest) = self.latest.find(hashed, same_key) {
            return Some(latest.value.clone().map(|value| &self.ops[value]));
        }
        let ahead = self.ahead.find(hashed, |ahead| ahead.table == table && same(&ahead.key, physical))?;
        Some(ahead.value.as_deref())
    }

    /// Forgets everything, after the operations were sent.
    pub fn reset(&mut self) {
        self.ops.clear();
        self.latest.clear();
        self.ahead.clear();
        self.changed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_operation_on_a_key_counts() {
        let mut pending = Pending::default();
        for n in 0..1000u64 {
            pending.put(Table::Files, &n.to_be_bytes(), b"first");
            pending.put(Table::Symbols, &n.to_be_bytes(), &n.to_le_bytes());
        }
        for n in (0..1000u64).step_by(2) {
            pending.delete(Table::Files, &n.to_be_bytes());
        }
        pending.read_ahead(Table::Files, b"other".to_vec(), None);
        for n in 0..1000u64 {
            let expected = if n % 2 == 0 { None } else { Some(&b"first"[..]) };
            assert_eq!(pending.get(Table::Files, &n.to_be_bytes()), Some(expected));
            assert_eq!(pending.get(Table::Symbols, &n.to_be_bytes()), Some(Some(&n.to_le_bytes()[..])));
        }
        assert_eq!(pending.get(Table::Files, b"other"), Some(None));
        assert_eq!(pending.get(Table::Files, b"unknown"), None);
        assert!(pending.has_changed(Table::Files) && !pending.has_changed(Table::Metadata));
        pending.clear(Table::Files);
        assert_eq!(pending.get(Table::Files, &1u64.to_be_bytes()), None);
        pending.reset();
        assert_eq!(pending.get(Table::Symbols, &1u64.to_be_bytes()), None);
    }
}
