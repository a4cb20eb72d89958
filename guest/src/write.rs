//! Writing: the changes of one call, collected and applied in few crossings.
//!
//! Nothing reaches the store before [`Writer::finish`], so a call that fails
//! has no effect without the store having to undo anything. Until then reads of
//! records go through the collected changes. What many records of a call share
//! (owners, groups, tallies, counters) is accumulated and settled once.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::index::{self, Fact, Facts, Tally};
use crate::key::{self, Key};
use crate::pending::Pending;
use crate::record::{self, Record};
use crate::scan::Scan;
use crate::store::Transaction;
use crate::table::{Counter, Table};
use crate::view::{Many, Stored, View};

/// A call that rebuilds or imports a lot sends its changes on when they reach this many bytes.
const FLUSH_BYTES: usize = 4 << 20;

/// A set of additions and removals.
#[derive(Default)]
struct Changes {
    added: BTreeSet<Vec<u8>>,
    removed: BTreeSet<Vec<u8>>,
}

impl Changes {
    fn add(&mut self, item: Vec<u8>) {
        if !self.removed.remove(&item) {
            self.added.insert(item);
        }
    }
    fn remove(&mut self, item: Vec<u8>) {
        if !self.added.remove(&item) {
            self.removed.insert(item);
        }
    }
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
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
    owners: BTreeMap<(Table, u64), Changes>,
    groups: BTreeMap<(Table, Key), Changes>,
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
            owners: BTreeMap::new(),
            groups: BTreeMap::new(),
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
            (_, Some(new)) => {
                let mut value = Vec::with_capacity(256);
                new.encode(&mut value);
                let unchanged = old.is_some_and(|old| {
                    let mut before = Vec::with_capacity(value.len());
                    old.encode(&mut before);
                    before == value
                });
                if unchanged {
                    return;
                }
                let key = new.key();
                if New::KEY_IN_VALUE {
                    key::with_physical(key.bytes(), |physical| self.put_physical(New::TABLE, physical, &value));
                } else {
                    self.put(New::TABLE, &key, &value);
                }
            }
            (Some(old), None) => self.delete(Old::TABLE, &old.key()),
            (None, None) => return,
        }
        let (old, new) = (Facts::of(old), Facts::of(new));
        for (key, by) in &old.tallies {
            self.add_tally(key, -by);
        }
        for (key, by) in &new.tallies {
            self.add_tally(key, *by);
        }
        let mut retracted = Vec::new();
        let mut asserted = Vec::new();
        index::diff(old, new, |fact| retracted.push(fact), |fact| asserted.push(fact));
        retracted.into_iter().for_each(|fact| self.retract(fact));
        asserted.into_iter().for_each(|fact| self.assert(fact));
    }

    /// Inserts a record whose key is known to be new.
    pub fn insert<'a, R: Record<'a>>(&mut self, new: &R) {
        self.change(None::<&R>, Some(new));
    }

    /// Deletes a record.
    pub fn remove<'a, R: Record<'a>>(&mut self, old: &R) {
        self.change(Some(old), None::<&R>);
    }

    /// Asserts what follows from a record that is already there, for rebuilding.
    pub fn assert_facts<'a, R: Record<'a>>(&mut self, record: &R) {
        let facts = Facts::of(Some(record));
        facts.tallies.iter().for_each(|(key, by)| self.add_tally(key, *by));
        facts.facts.into_iter().for_each(|fact| self.assert(fact));
    }

    fn assert(&mut self, fact: Fact) {
        match fact {
            Fact::Entry { table, key, value } => self.put(table, &key, &value),
            Fact::Owner { table, key_hash, owner } => self.owners.entry((table, key_hash)).or_default().add(owner),
            Fact::Member { table, key, member } => self.groups.entry((table, key)).or_default().add(member),
        }
    }

    fn retract(&mut self, fact: Fact) {
        match fact {
            Fact::Entry { table, key, .. } => self.delete(table, &key),
            Fact::Owner { table, key_hash, owner } => self.owners.entry((table, key_hash)).or_default().remove(owner),
            Fact::Member { table, key, member } => self.groups.entry((table, key)).or_default().remove(member),
        }
    }

    fn add_tally(&mut self, key: &Key, by: i64) {
        if by != 0 {
            *self.tallies.entry(key.clone()).or_default() += by;
        }
    }

    // Counters

    /// The next number of a counter.
    pub fn next_id(&mut self, counter: Counter) -> Result<u64> {
        let count = self.count(counter)?;
        count.now += 1;
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
                let stored = self.view.get(Table::Counters, &Key::of_text(counter.name()))?;
                let stored = stored.and_then(|value| key::read_u64(&value)).unwrap_or(0);
                Count { stored, now: stored }
            }
        };
        Ok(self.counters[slot].insert(count))
    }

    // Settling

    /// The members of a group, as this call sees them.
    pub fn members(&mut self, table: Table, key: &Key) -> Result<Vec<Vec<u8>>> {
        if self.groups.contains_key(&(table, key.clone())) {
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

    fn settle_groups(&mut self) -> Result<()> {
        let mut groups = std::mem::take(&mut self.groups);
        groups.retain(|_, changes| !changes.is_empty());
        let mut by_table: BTreeMap<Table, Vec<Key>> = BTreeMap::new();
        for (table, key) in groups.keys() {
            by_table.entry(*table).or_default().push(key.clone());
        }
        for (table, keys) in by_table.into_iter().filter(|(_, keys)| keys.len() > 1) {
            self.find_ahead(table, keys)?;
        }
        for ((table, key), changes) in groups {
            let mut members: BTreeSet<Vec<u8>> = self.stored_members(table, &key)?.into_iter().collect();
            members.retain(|member| !changes.removed.contains(member));
            members.extend(changes.added);
            if members.is_empty() {
                self.delete(table, &key);
            } else {
                let members: Vec<Vec<u8>> = members.into_iter().collect();
                self.put(table, &key, &index::group::write(table, &members));
            }
        }
        Ok(())
    }

    /// All records that have a key hash, first owner first, as this call sees them.
    pub fn all_owners(&mut self, owners: Table, key_hash: u64) -> Result<Vec<Vec<u8>>> {
        if !self.owners.is_empty() {
            self.settle_owners()?;
        }
        let Some(first) = self.get_physical(owners, &key_hash.to_be_bytes())? else { return Ok(Vec::new()) };
        let mut all = vec![first];
        all.extend(self.more(owners, key_hash, usize::MAX)?);
        Ok(all)
    }

    /// The owners that are not the first, in order, at most so many.
    fn more(&mut self, owners: Table, key_hash: u64, limit: usize) -> Result<Vec<Vec<u8>>> {
        let table = index::more_owners(owners);
        let prefix = key_hash.to_be_bytes();
        let mut scan = Scan::prefix(self.view_for(table)?, table, &prefix);
        let mut more = Vec::new();
        while more.len() < limit
            && let Some(entry) = scan.next()?
        {
            more.push(entry.key[prefix.len()..].to_vec());
        }
        Ok(more)
    }

    fn settle_owners(&mut self) -> Result<()> {
        let mut owners = std::mem::take(&mut self.owners);
        owners.retain(|_, changes| !changes.is_empty());
        let mut by_table: BTreeMap<Table, Vec<Vec<u8>>> = BTreeMap::new();
        for (table, key_hash) in owners.keys() {
            by_table.entry(*table).or_default().push(key_hash.to_be_bytes().to_vec());
        }
        for (table, keys) in by_table.into_iter().filter(|(_, keys)| keys.len() > 1) {
            self.read_ahead(table, keys)?;
        }
        for ((table, key_hash), changes) in owners {
            let key = Key::of_u64(key_hash);
            let stored = self.get_physical(table, key.bytes())?;
            let more = index::more_owners(table);
            let lost = stored.as_ref().is_some_and(|first| changes.removed.contains(first));
            for owner in changes.removed.iter().filter(|owner| Some(*owner) != stored.as_ref()) {
                self.delete(more, &Key::of_u64(key_hash).raw(owner));
            }
            let mut candidates = changes.added.clone();
            if lost {
                let next = self.more(table, key_hash, changes.removed.len() + 1)?;
                candidates.extend(next.into_iter().find(|owner| !changes.removed.contains(owner)));
            } else {
                candidates.extend(stored.clone());
            }
            let first = candidates.pop_first();
            // Of the candidates all but the first belong into the other table;
            // one that was there already is put again with the same empty value.
            for owner in &candidates {
                self.put(more, &Key::of_u64(key_hash).raw(owner), &[]);
            }
            match first {
                Some(first) if Some(&first) == stored.as_ref() => {}
                Some(first) => {
                    if lost && !changes.added.contains(&first) {
                        self.delete(more, &Key::of_u64(key_hash).raw(&first));
                    }
                    self.put(table, &key, &first);
                }
                None => self.delete(table, &key),
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

/// The value of a tally entry.
pub fn read_tally(physical: &[u8], value: &[u8]) -> Result<i64> {
    let value = if key::is_cut(physical) { key::split_value(value).map(|(_, value)| value) } else { Some(value) };
    match value.map(<[u8; 8]>::try_from) {
        Some(Ok(bytes)) => Ok(u64::from_be_bytes(bytes).cast_signed()),
        _ => Err(record::corrupt(Table::Tallies, physical)),
    }
}
