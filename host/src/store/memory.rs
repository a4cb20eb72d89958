//! The engine in memory: [`tracker_memory`]'s map. What it holds is gone with its last clone.

use std::borrow::Cow;
use std::sync::Arc;

pub use tracker_memory::{MAX_KEY_SIZE, Memory};
use tracker_memory::{Read, Table, Write};

use super::Snapshot;
use super::engine::{Engine, Handle, Range, StoreError, Transaction, Visitor, check_table_names, each_op};
use super::packed::Op;

impl Engine for Memory {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        check_table_names(names)?;
        let foreign = |_| StoreError::Foreign { expected: names.first().cloned().unwrap_or_default() };
        let tables = self.open(names).map_err(foreign)?;
        Ok(tables.into_iter().map(|Table(number)| Some(Handle(number))).collect())
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(self.read()))
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let write = self.write().map_err(|_| StoreError::Closed("this thread has a write transaction already"))?;
        Ok(Box::new(write))
    }

    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Snapshot::new(self.clone(), Box::new(self.read()))))
    }

    fn max_key_size(&self) -> u32 {
        MAX_KEY_SIZE
    }
}

fn scan(read: &Read, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) {
    let mut entries = read.scan(Table(table.0), range.start, range.end);
    let mut next = || if range.descending { entries.next_back() } else { entries.next() };
    while let Some((key, value)) = next() {
        if visit(key, value).is_break() {
            break;
        }
    }
}

impl Transaction for Read {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(Read::get(self, Table(table.0), key).map(Cow::Borrowed))
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        scan(self, table, range, visit);
        Ok(())
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        Ok(Read::count(self, Table(table.0)))
    }
    fn write(&mut self, _packed: &[u8], _tables: &[Option<Handle>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Transaction for Write {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(Read::get(self, Table(table.0), key).map(Cow::Borrowed))
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        scan(self, table, range, visit);
        Ok(())
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        Ok(Read::count(self, Table(table.0)))
    }
    fn write(&mut self, packed: &[u8], tables: &[Option<Handle>]) -> Result<(), StoreError> {
        each_op(packed, tables, |handle, op| {
            let table = Table(handle.0);
            match op {
                Op::Put { key, value, .. } => self.put(table, key, value),
                Op::Delete { key, .. } => self.delete(table, key),
                Op::Clear { .. } => self.clear(table),
            }
            Ok(())
        })
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Write::commit(*self);
        Ok(())
    }
}
