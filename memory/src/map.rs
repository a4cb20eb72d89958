//! Tables, snapshots and the writer.

use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use imbl::OrdMap;

/// The longest key, in bytes: that of LMDB, so that what works here works there.
pub const MAX_KEY_SIZE: u32 = 511;

/// A table, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table(pub u32);

/// The store has tables, but not the first one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has tables, but not the first one asked for: it belongs to another program")]
pub struct Foreign;

/// The thread that asks for a write transaction has begun one that is still
/// open: waiting for it would never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this thread has a write transaction already")]
pub struct Busy;

/// Shared, because a write copies the entries of the nodes on its path.
type Bytes = Arc<[u8]>;

/// Everything at one moment.
#[derive(Clone, Default)]
struct State {
    names: Arc<Vec<String>>,
    tables: Arc<Vec<OrdMap<Bytes, Bytes>>>,
}

#[derive(Default)]
struct Shared {
    committed: Mutex<State>,
    /// The thread that began the write transaction that is running.
    writer: Mutex<Option<ThreadId>>,
    free: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs while a lock is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store. Clones share it.
#[derive(Clone, Default)]
pub struct Memory {
    shared: Arc<Shared>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Memory::default()
    }

    /// Opens tables, creating those that are missing. The first names the owner.
    ///
    /// # Errors
    ///
    /// [`Foreign`] if there are tables, but not that one.
    pub fn open(&self, names: &[String]) -> Result<Vec<Table>, Foreign> {
        let mut state = lock(&self.shared.committed);
        if !state.names.is_empty() && names.first().is_some_and(|owner| !state.names.contains(owner)) {
            return Err(Foreign);
        }
        let open = names.iter().map(|name| {
            let number = state.names.iter().position(|known| known == name).unwrap_or_else(|| {
                Arc::make_mut(&mut state.names).push(name.clone());
                state.names.len() - 1
            });
            Table(number as u32)
        });
        let open = open.collect();
        let State { names: known, tables } = &mut *state;
        Arc::make_mut(tables).resize(known.len(), OrdMap::new());
        Ok(open)
    }

    /// Begins a read transaction on what is committed.
    pub fn read(&self) -> Read {
        Read { state: lock(&self.shared.committed).clone() }
    }

    /// Begins a write transaction, waiting for the one that is running.
    ///
    /// # Errors
    ///
    /// [`Busy`] if the running one was begun on this thread.
    pub fn write(&self) -> Result<Write, Busy> {
        let mut writer = lock(&self.shared.writer);
        let this = thread::current().id();
        while let Some(other) = *writer {
            if other == this {
                return Err(Busy);
            }
            writer = self.shared.free.wait(writer).unwrap_or_else(PoisonError::into_inner);
        }
        *writer = Some(this);
        drop(writer);
        Ok(Write { read: self.read(), shared: self.shared.clone() })
    }
}

/// A read transaction: the store as it was when it was begun.
#[derive(Clone)]
pub struct Read {
    state: State,
}

impl Read {
    fn table(&self, table: Table) -> Option<&OrdMap<Bytes, Bytes>> {
        self.state.tables.get(table.0 as usize)
    }

    /// The value of a key.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.table(table)?.get(key).map(|value| &value[..])
    }

    /// The entries with `start` <= key < `end` in key order; empty means unbounded.
    pub fn scan<'a>(
        &'a self,
        table: Table,
        start: &'a [u8],
        end: &'a [u8],
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> {
        let bounds = (
            if start.is_empty() { Bound::Unbounded } else { Bound::Included(start) },
            if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) },
        );
        let ordered = end.is_empty() || start < end;
        let table = self.table(table).filter(|_| ordered);
        let entries = table.map(|table| table.range::<_, [u8]>(bounds));
        entries.into_iter().flatten().map(|(key, value)| (&key[..], &value[..]))
    }

    /// The number of entries.
    pub fn count(&self, table: Table) -> u64 {
        self.table(table).map_or(0, |table| table.len() as u64)
    }
}

/// The write transaction: reads through it see what it wrote. Dropping it aborts it.
pub struct Write {
    read: Read,
    shared: Arc<Shared>,
}

impl Write {
    fn table(&mut self, table: Table) -> &mut OrdMap<Bytes, Bytes> {
        let tables = Arc::make_mut(&mut self.read.state.tables);
        let number = table.0 as usize;
        if number >= tables.len() {
            // It was opened after this transaction was begun.
            tables.resize(number + 1, OrdMap::new());
        }
        &mut tables[number]
    }

    /// Puts an entry.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.table(table).insert(key.into(), value.into());
    }

    /// Deletes an entry, if it is there.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.table(table).remove(key);
    }

    /// Deletes all entries of a table.
    pub fn clear(&mut self, table: Table) {
        self.table(table).clear();
    }

    /// Makes what was written visible to transactions that are begun from now on.
    pub fn commit(mut self) {
        let mut committed = lock(&self.shared.committed);
        let mut tables = std::mem::take(&mut self.read.state.tables);
        // Tables that were opened meanwhile are empty: this was the only writer.
        if tables.len() < committed.tables.len() {
            Arc::make_mut(&mut tables).resize(committed.tables.len(), OrdMap::new());
        }
        let old = std::mem::replace(&mut committed.tables, tables);
        drop(committed);
        // What nobody reads any more is freed while others go on.
        drop(old);
    }
}

impl std::ops::Deref for Write {
    type Target = Read;

    fn deref(&self) -> &Read {
        &self.read
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        *lock(&self.shared.writer) = None;
        self.shared.free.notify_one();
    }
}

#[cfg(test)]
mod tests;
