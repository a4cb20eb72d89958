//! What a transaction has written and not yet sent, laid over what the server has.

use std::collections::{BTreeMap, HashMap};
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use crate::store::engine::{Handle, Range, Visitor};
use crate::store::packed::Op;

/// None is a deletion.
type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
type Entries<'c> = Box<dyn Iterator<Item = (&'c Vec<u8>, &'c Option<Vec<u8>>)> + 'c>;

/// The changes of a table.
#[derive(Default)]
pub(super) struct TableChanges {
    /// Nothing of what the server has counts.
    pub(super) cleared: bool,
    pub(super) values: Values,
}

/// The changes of a transaction.
#[derive(Default)]
pub(super) struct Changes {
    tables: HashMap<u32, TableChanges>,
}

/// What is known of a key.
pub(super) enum Known<'c> {
    /// It has this value, or none.
    Value(Option<&'c [u8]>),
    /// The server has to be asked.
    No,
}

impl Changes {
    /// Notes an operation.
    pub(super) fn apply(&mut self, table: Handle, op: Op<'_>) {
        let changes = self.tables.entry(table.0).or_default();
        match op {
            Op::Put { key, value, .. } => {
                changes.values.insert(key.to_vec(), Some(value.to_vec()));
            }
            // What is cleared on the server needs no deletion.
            Op::Delete { key, .. } if changes.cleared => {
                changes.values.remove(key);
            }
            Op::Delete { key, .. } => {
                changes.values.insert(key.to_vec(), None);
            }
            Op::Clear { .. } => *changes = TableChanges { cleared: true, values: Values::new() },
        }
    }

    /// What was done to a key.
    pub(super) fn known(&self, table: Handle, key: &[u8]) -> Known<'_> {
        let Some(changes) = self.tables.get(&table.0) else { return Known::No };
        match changes.values.get(key) {
            Some(value) => Known::Value(value.as_deref()),
            None if changes.cleared => Known::Value(None),
            None => Known::No,
        }
    }

    /// The changes of a table, if there are any.
    pub(super) fn of(&self, table: Handle) -> Option<&TableChanges> {
        self.tables.get(&table.0)
    }

    /// All changes, in the order of the tables: transactions lock in one order.
    pub(super) fn sorted(&self) -> Vec<(u32, &TableChanges)> {
        let mut tables: Vec<_> = self.tables.iter().map(|(table, changes)| (*table, changes)).collect();
        tables.sort_by_key(|(table, _)| *table);
        tables
    }

    /// True if there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.tables.values().all(|changes| !changes.cleared && changes.values.is_empty())
    }
}

impl TableChanges {
    /// The changes in a range, in its order.
    pub(super) fn overlay(&self, range: Range<'_>) -> Overlay<'_> {
        let start = if range.start.is_empty() { Bound::Unbounded } else { Bound::Included(range.start) };
        let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
        let empty = !range.end.is_empty() && range.start >= range.end;
        let entries: Entries<'_> = match range.descending {
            _ if empty => Box::new(std::iter::empty()),
            false => Box::new(self.values.range::<[u8], _>((start, end))),
            true => Box::new(self.values.range::<[u8], _>((start, end)).rev()),
        };
        Overlay { entries: entries.peekable(), descending: range.descending }
    }
}

/// Changes that are merged into what the server has.
pub(super) struct Overlay<'c> {
    entries: Peekable<Entries<'c>>,
    descending: bool,
}

impl Overlay<'_> {
    /// Visits an entry of the server after all that comes before it.
    pub(super) fn pass(&mut self, key: &[u8], value: &[u8], visit: &mut Visitor<'_>) -> ControlFlow<()> {
        while let Some((changed, _)) = self.entries.peek() {
            let before = if self.descending { changed.as_slice() > key } else { changed.as_slice() < key };
            let same = changed.as_slice() == key;
            if !before && !same {
                break;
            }
            if let Some((changed, Some(value))) = self.entries.next() {
                visit(changed, value)?;
            }
            if same {
                return ControlFlow::Continue(());
            }
        }
        visit(key, value)
    }

    /// Visits what comes after all that the server has.
    pub(super) fn rest(self, visit: &mut Visitor<'_>) -> ControlFlow<()> {
        for (key, value) in self.entries {
            if let Some(value) = value {
                visit(key, value)?;
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_scan_is_that_of_one_map() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let mut server: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let key = |random: &mut fastrand::Rng| vec![b'a' + random.u8(0..6); random.usize(1..3)];
            for _ in 0..random.usize(0..8) {
                server.insert(key(&mut random), vec![random.u8(..)]);
            }
            let mut model = server.clone();
            let mut changes = Changes::default();
            for _ in 0..random.usize(0..8) {
                let (key, value) = (key(&mut random), vec![random.u8(..)]);
                match random.u8(0..8) {
                    0 => {
                        changes.apply(Handle(1), Op::Clear { table: 0 });
                        model.clear();
                    }
                    1..4 => {
                        changes.apply(Handle(1), Op::Delete { table: 0, key: &key });
                        model.remove(&key);
                    }
                    _ => {
                        changes.apply(Handle(1), Op::Put { table: 0, key: &key, value: &value });
                        model.insert(key, value);
                    }
                }
            }
            let (start, end) = (key(&mut random), key(&mut random));
            let (start, end) =
                (if random.bool() { &start[..] } else { b"" }, if random.bool() { &end[..] } else { b"" });
            let range = Range { start, end, descending: random.bool() };
            let within = |key: &Vec<u8>| key.as_slice() >= start && (end.is_empty() || key.as_slice() < end);
            let ordered = |map: &BTreeMap<Vec<u8>, Vec<u8>>| {
                let mut all: Vec<_> = map.clone().into_iter().filter(|(key, _)| within(key)).collect();
                if range.descending {
                    all.reverse();
                }
                all
            };
            let mut seen = Vec::new();
            let enough = random.usize(1..10);
            let mut visit = |key: &[u8], value: &[u8]| {
                seen.push((key.to_vec(), value.to_vec()));
                if seen.len() == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let none = TableChanges::default();
            let of = changes.of(Handle(1)).unwrap_or(&none);
            let mut overlay = of.overlay(range);
            let from_server = if of.cleared { Vec::new() } else { ordered(&server) };
            let passed = from_server.iter().try_for_each(|(key, value)| overlay.pass(key, value, &mut visit));
            if passed.is_continue() {
                let _ = overlay.rest(&mut visit);
            }
            let expected: Vec<_> = ordered(&model).into_iter().take(enough).collect();
            assert_eq!(seen, expected);
        }
    }
}
