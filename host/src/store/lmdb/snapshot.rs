//! One snapshot for many calls.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use super::Environment;
use super::transaction::ReadTransaction;
use crate::store::engine::{Engine, Handle, Range, StoreError, Transaction, ValueVisitor, Visitor};

/// An engine for reading all of whose transactions see the same: what was
/// committed when it was made. They are one transaction of LMDB, which each
/// borrows and gives back, so there can be one at a time.
pub struct Snapshot {
    environment: Environment,
    slot: Slot,
}

type Slot = Arc<Mutex<Option<ReadTransaction>>>;

impl Snapshot {
    /// What is committed now. While it lives the pages that it refers to are
    /// kept, so the file grows under writers; and writers of this process
    /// cannot make the map larger.
    ///
    /// # Errors
    ///
    /// If a read transaction cannot be begun.
    pub fn new(environment: &Environment) -> Result<Self, StoreError> {
        let slot = Arc::new(Mutex::new(Some(environment.read()?)));
        Ok(Snapshot { environment: environment.clone(), slot })
    }
}

impl Engine for Snapshot {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        self.environment.open_tables(names)
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let txn = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let txn = txn.ok_or(StoreError::Closed("the snapshot is in use; it has one transaction at a time"))?;
        Ok(Box::new(Lent { txn: Some(txn), slot: self.slot.clone() }))
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Err(StoreError::ReadOnly)
    }

    /// The same one: what it sees does not change.
    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Snapshot { environment: self.environment.clone(), slot: self.slot.clone() }))
    }

    fn max_key_size(&self) -> u32 {
        self.environment.max_key_size()
    }
}

/// The snapshot's transaction, until it is given back.
struct Lent {
    txn: Option<ReadTransaction>,
    slot: Slot,
}

impl Lent {
    fn txn(&self) -> Result<&ReadTransaction, StoreError> {
        self.txn.as_ref().ok_or(StoreError::Closed("the transaction is over"))
    }
}

impl Transaction for Lent {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        self.txn()?.get(table, key)
    }
    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        self.txn()?.get_many(table, keys, visit)
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.txn()?.scan(table, range, visit)
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        self.txn()?.count(table)
    }
    fn write(&mut self, _packed: &[u8], _tables: &[Option<Handle>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.txn.take();
    }
}
