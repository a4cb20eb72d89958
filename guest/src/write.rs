//! Writing: the changes of one call, collected and applied in few crossings.
//!
//! Nothing reaches the store before [`Writer::finish`], so a call that fails
//! has no effect without the store having to undo anything. Until then reads of
//! records go through the collected changes. What many records of a call share
//! (owners, groups, tallies, counters) is accumulated and settled once.

mod owners;

use std::collections::BTreeMap;

use crate::bytes;
use crate::error::{Error, Result};
use crate::index::{self, Fact, Facts, Sink, Tally};
use crate::key::{self, Key};
use crate::pending::Pending;
use crate::record::{self, Record};
use crate::store::Transaction;
use crate::table::{Counter, Table};
use crate::view::{Many, Stored, View};

/// A call that rebuilds or imports a lot sends its changes on when they reach this many bytes.
const FLUSH_BYTES: usize = 4 << 20;

/// A record is added to or removed from what a key stands for.
struct Change<K> {
    table: Table,
    key: K,
    item: Vec<u8>,
    added: bool,
}

/// The changes of one key: what was added and what was removed, in order, each once.
#[derive(Default)]
struct Net {
    added: Vec<Vec<u8>>,
    removed: Vec<Vec<u8>>,
}

/// Sorts the changes and passes the net ones on, key by key. What was added and
/// removed again is not among them.
fn net<K: Ord>(mut changes: Vec<Change<K>>) -> Vec<(Table, K, Net)> {
    changes.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)).then_with(|| bytes::compare(&a.item, &b.item)));
    let mut all: Vec<(Table, K, Net)> = Vec::with_capacity(changes.len());
    let mut changes = changes.into_iter().peekable();
    while let Some(Change { table, key, item, added }) = changes.next() {
        let mut by = if added { 1 } else { -1 };
        let same = |next: &Change<K>| next.table == table && next.key == key && next.item == item;
        while let Some(next) = changes.next_if(same) {
            by += if next.added { 1 } else { -1 };
        }
        if by == 0 {
            continue;
        }
        if all.last().is_none_or(|(last_table, last_key, _)| *last_table != table || *last_key != key) {
            all.push((table, key, Net::default()));
        }
        if let Some((.., net)) = all.last_mut() {
            if by > 0 { net.added.push(item) } else { net.removed.push(item) }
        }
    }
    all
}

#[derive(Clone, Copy)]
struct Count {
    stored: u64,
    now: u64,
}

/// The changes of a call.
pub struct Writer<'t> {
    view: View<'t>,
    pending: Pending,
    owners: Vec<Change<u64>>,
    groups: Vec<Change<Key>>,
    tallies: BTreeMap<Key, i64>,
    counters: [Option<Count>; Counter::ALL.len()],
    flushed: bool,
}

impl<'t> Writer<'t> {
    /// Collects changes for this transaction.
    pub fn new(txn: &'t Transaction) -> Self {
        Writer {
            view: View::new(txn),
            pending: Pending::default(),
            owners: Vec::new(),
            groups: Vec::new(),
            tallies: BTreeMap::new(),
            counters: [None; Counter::ALL.len()],
            flushed: false,
        }
    }

    /// The store as it was before this call, except for what was flushed.
    pub fn view(&self) -> &View<'t> {
        &self.view
    }

    /// The store with what this call has written to a table, for scanning it.
    pub fn view_for(&mut self, table: Table) -> Result<&View<'t>> {
        if self.pending.has_changed(table) {
            self.flush()?;
        }
        Ok(&self.view)
    }

    /// True if a part of the changes has reached the store.
    pub fn flushed(&self) -> bool {
        self.flushed
    }

    // Single entries

    /// Puts an entry that is not a record.
    pub fn put(&mut self, table: Table, key: &Key, value: &[u8]) {
        if key::needs_cut(key.bytes()) {
            self.put_physical(table, &key::cut(key.bytes()), &key::join_value(key.bytes(), value));
        } else {
            self.put_physical(table, key.bytes(), value);
        }
    }

    fn put_physical(&mut self, table: Table, physical: &[u8], value: &[u8]) {
        self.pending.put(table, physical, value);
    }

    /// Deletes an entry.
    pub fn delete(&mut self, table: Table, key: &Key) {
        key::with_physical(key.bytes(), |physical| self.pending.delete(table, physical));
    }

    /// Deletes all entries of a table. The call does not read the table after that.
    pub fn clear(&mut self, table: Table) {
        self.pending.clear(table);
    }

    fn get_physical(&self, table: Table, physical: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.pending.get(table, physical) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => self.view.get_physical(table, physical),
        }
    }

    /// Reads values that will be asked for one by one, in one crossing.
    fn read_ahead(&mut self, table: Table, physical: Vec<Vec<u8>>) -> Result<()> {
        let many = self.view.get_many_physical(table, physical.clone())?;
        for (position, key) in physical.into_iter().enumerate() {
            self.pending.read_ahead(table, key, many.value(position).map(<[u8]>::to_vec));
        }
        Ok(())
    }

    // Records

    /// The record with this key, as this call sees it.
    pub fn find(&self, table: Table, key: &Key) -> Result<Option<Stored>> {
        key::with_physical(key.bytes(), |physical| {
            let value = self.get_physical(table, physical)?;
            Ok(value.map(|value| Stored { physical: physical.to_vec(), value }))
        })
    }

    /// Reads the records with these keys ahead.
    pub fn find_ahead(&mut self, table: Table, keys: impl IntoIterator<Item = Key>) -> Result<()> {
        let physical = keys.into_iter().map(|key| key::with_physical(key.bytes(), <[u8]>::to_vec)).collect();
        self.read_ahead(table, physical)
    }

    /// Replaces a record by another one with the same key, or inserts or
    /// deletes one, and maintains all that follows from it.
    pub fn change<'a, 'b, Old: Record<'a>, New: Record<'b>>(&mut self, old: Option<&Old>, new: Option<&New>) {
        match (old, new) {
            (Some(old), Some(new)) => {
                let mut value = Vec::with_capacity(256);
                old.encode(&mut value);
                self.upsert(Some((old, &value)), new);
            }
            (None, Some(new)) => self.insert(new),
            (Some(old), None) => {
                self.delete(Old::TABLE, &old.key());
                old.index(&mut Stating { writer: self, holds: false });
            }
            (None, None) => {}
        }
    }

    /// Inserts a record, or replaces the one with its key, which is given with
    /// its bytes. Where these do not change, nothing does.
    pub fn upsert<'a, 'b, Old: Record<'a>, New: Record<'b>>(&mut self, old: Option<(&Old, &[u8])>, new: &New) {
        let Some((old, before)) = old else { return self.insert(new) };
        let mut value = Vec::with_capacity(before.len() + 32);
        new.encode(&mut value);
        if bytes::same(&value, before) {
            return;
        }
        self.put_record(new, &value);
        let (old, new) = (Facts::of(Some(old)), Facts::of(Some(new)));
        for (key, by) in &old.tallies {
            self.add_tally(key, by.wrapping_neg());
        }
        for (key, by) in &new.tallies {
            self.add_tally(key, *by);
        }
        let mut retracted = Vec::new();
        let mut asserted = Vec::new();
        index::diff(old, new, |fact| retracted.push(fact), |fact| asserted.push(fact));
        retracted.into_iter().for_each(|fact| self.state(fact, false));
        asserted.into_iter().for_each(|fact| self.state(fact, true));
    }

    fn put_record<'a, R: Record<'a>>(&mut self, record: &R, value: &[u8]) {
        let key = record.key();
        if R::KEY_IN_VALUE {
            key::with_physical(key.bytes(), |physical| self.put_physical(R::TABLE, physical, value));
        } else {
            self.put(R::TABLE, &key, value);
        }
    }

    /// Inserts a record whose key is known to be new.
    pub fn insert<'a, R: Record<'a>>(&mut self, new: &R) {
        let mut value = Vec::with_capacity(256);
        new.encode(&mut value);
        self.put_record(new, &value);
        new.index(&mut Stating { writer: self, holds: true });
    }

    /// Deletes a record.
    pub fn remove<'a, R: Record<'a>>(&mut self, old: &R) {
        self.change(Some(old), None::<&R>);
    }

    /// Asserts what follows from a record that is already there, for rebuilding.
    pub fn assert_facts<'a, R: Record<'a>>(&mut self, record: &R) {
        record.index(&mut Stating { writer: self, holds: true });
    }

    /// Makes a fact hold, or no longer hold.
    fn state(&mut self, fact: Fact, holds: bool) {
        match fact {
            Fact::Entry { table, key, value } if holds => self.put(table, &key, &value),
            Fact::Entry { table, key, .. } => self.delete(table, &key),
            Fact::Owner { table, key_hash, owner } => {
                self.owners.push(Change { table, key: key_hash, item: owner, added: holds });
            }
            Fact::Member { table, key, member } => {
                self.groups.push(Change { table, key, item: member, added: holds });
            }
        }
    }

    fn add_tally(&mut self, key: &Key, by: i64) {
        if by != 0 {
            let sum = self.tallies.entry(key.clone()).or_default();
            *sum = sum.wrapping_add(by);
        }
    }

    // Counters

    /// The next number of a counter; an error when there is none left, which
    /// only an import of the last number can bring about.
    pub fn next_id(&mut self, counter: Counter) -> Result<u64> {
        let count = self.count(counter)?;
        count.now = count.now.checked_add(1).ok_or_else(|| {
            Error::InvalidArgument(format!("no id is left: the last one of {} was imported", counter.name()))
        })?;
        Ok(count.now)
    }

    /// Makes sure that a number is never given out.
    pub fn skip_id(&mut self, counter: Counter, used: u64) -> Result<()> {
        let count = self.count(counter)?;
        count.now = count.now.max(used);
        Ok(())
    }

    fn count(&mut self, counter: Counter) -> Result<&mut Count> {
        let slot = counter as usize;
        let count = match self.counters[slot] {
            Some(count) => count,
            None => {
                let key = Key::of_text(counter.name());
                // Taking a damaged one for 0 would give ids out again.
                let stored = match self.view.get(Table::Counters, &key)? {
                    Some(value) => read_counter(&value).ok_or_else(|| record::corrupt(Table::Counters, key.bytes()))?,
                    None => 0,
                };
                Count { stored, now: stored }
            }
        };
        Ok(self.counters[slot].insert(count))
    }

    // Settling

    /// The members of a group, as this call sees them.
    pub fn members(&mut self, table: Table, key: &Key) -> Result<Vec<Vec<u8>>> {
        if !self.groups.is_empty() {
            self.settle_groups()?;
        }
        self.stored_members(table, key)
    }

    fn stored_members(&self, table: Table, key: &Key) -> Result<Vec<Vec<u8>>> {
        let Some(current) = self.find(table, key)? else { return Ok(Vec::new()) };
        let value = if key::is_cut(&current.physical) {
            key::split_value(&current.value).map(|(_, value)| value)
        } else {
            Some(&current.value[..])
        };
        value
            .and_then(|value| index::group::read(table, value))
            .ok_or_else(|| record::corrupt(table, &current.physical))
    }

    /// Reads the values of sorted keys ahead, those of a table in one crossing.
    fn read_ahead_sorted<K>(&mut self, all: &[(Table, K, Net)], physical: impl Fn(&K) -> Vec<u8>) -> Result<()> {
        for of_table in all.chunk_by(|(a, ..), (b, ..)| a == b) {
            if let [(table, ..), _, ..] = of_table {
                self.read_ahead(*table, of_table.iter().map(|(_, key, _)| physical(key)).collect())?;
            }
        }
        Ok(())
    }

    fn settle_groups(&mut self) -> Result<()> {
        let groups = net(std::mem::take(&mut self.groups));
        self.read_ahead_sorted(&groups, |key| key::with_physical(key.bytes(), <[u8]>::to_vec))?;
        for (table, key, Net { added, removed }) in groups {
            let mut members = self.stored_members(table, &key)?;
            members.retain(|member| removed.binary_search(member).is_err());
            // Both are in order, but for what was there already.
            members.extend(added);
            members.sort();
            members.dedup();
            if members.is_empty() {
                self.delete(table, &key);
            } else {
                self.put(table, &key, &index::group::write(table, &members));
            }
        }
        Ok(())
    }

    fn settle_tallies(&mut self) -> Result<()> {
        let mut tallies = std::mem::take(&mut self.tallies);
        tallies.retain(|_, by| *by != 0);
        if tallies.len() > 1 {
            self.find_ahead(Table::Tallies, tallies.keys().cloned())?;
        }
        for (key, by) in tallies {
            let before = match self.find(Table::Tallies, &key)? {
                None => 0,
                Some(current) => read_tally(&current.physical, &current.value)?,
            };
            let after = before.wrapping_add(by);
            if after == 0 {
                self.delete(Table::Tallies, &key);
            } else {
                self.put(Table::Tallies, &key, &after.cast_unsigned().to_be_bytes());
            }
            if let [kind, session @ ..] = key.bytes()
                && *kind == Tally::SessionThreads as u8
            {
                self.rank_session(session, before, after);
            }
        }
        Ok(())
    }

    /// Keeps the sessions ordered by their number of threads.
    fn rank_session(&mut self, session: &[u8], before: i64, after: i64) {
        let key = |size: i64| Key::new().u64(!size.cast_unsigned()).raw(session);
        if before != 0 {
            self.delete(Table::SessionsBySize, &key(before));
        }
        if after != 0 {
            self.put(Table::SessionsBySize, &key(after), &[]);
        }
    }

    /// Sends the changes on if there are many. Only for calls that may be half
    /// done when a batch ends: see [`crate::session::write`].
    pub fn flush_if_large(&mut self) -> Result<()> {
        if self.pending.ops().len() >= FLUSH_BYTES {
            self.settle()?;
            self.flush()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.settle_owners()?;
        self.settle_groups()?;
        self.settle_tallies()
    }

    /// Sends what was put and deleted on; see [`Writer::flush_if_large`].
    pub fn flush(&mut self) -> Result<()> {
        if !self.pending.ops().is_empty() {
            self.view.txn().write(self.pending.ops())?;
            self.flushed = true;
            self.pending.reset();
        }
        Ok(())
    }

    /// Applies everything.
    pub fn finish(&mut self) -> Result<()> {
        self.settle()?;
        for counter in Counter::ALL {
            if let Some(count) = self.counters[counter as usize]
                && count.now > count.stored
            {
                self.put(Table::Counters, &Key::of_text(counter.name()), &count.now.to_be_bytes());
            }
        }
        if !self.pending.ops().is_empty() {
            self.view.txn().write(self.pending.ops())?;
        }
        Ok(())
    }

    /// The values of many keys at once, as the store has them.
    pub fn get_many(&self, table: Table, keys: impl IntoIterator<Item = Key>) -> Result<Many> {
        self.view.get_many(table, keys)
    }
}

/// Passes a record's facts on as it states them.
struct Stating<'w, 't> {
    writer: &'w mut Writer<'t>,
    holds: bool,
}

impl Sink for Stating<'_, '_> {
    fn fact(&mut self, fact: Fact) {
        self.writer.state(fact, self.holds);
    }
    fn tally(&mut self, tally: Tally, what: &str, by: i64) {
        self.writer.add_tally(&tally.key(what), if self.holds { by } else { by.wrapping_neg() });
    }
}

/// The value of a counter.
pub fn read_counter(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// The value of a tally entry.
pub fn read_tally(physical: &[u8], value: &[u8]) -> Result<i64> {
    let value = if key::is_cut(physical) { key::split_value(value).map(|(_, value)| value) } else { Some(value) };
    match value.map(<[u8; 8]>::try_from) {
        Some(Ok(bytes)) => Ok(u64::from_be_bytes(bytes).cast_signed()),
        _ => Err(record::corrupt(Table::Tallies, physical)),
    }
}
