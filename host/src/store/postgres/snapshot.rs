//! One snapshot for many calls.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use super::Postgres;
use super::transaction::ReadTransaction;
use crate::store::engine::{
    Engine, Handle, Range, StoreError, TableSize, Transaction, ValueVisitor, Visitor, Waits, Wanted,
};

/// An engine for reading all of whose transactions are one transaction of the
/// server, which each borrows and gives back: there can be one at a time.
pub(super) struct Snapshot {
    postgres: Postgres,
    slot: Slot,
}

type Slot = Arc<Mutex<Option<ReadTransaction>>>;

impl Snapshot {
    pub(super) fn new(postgres: &Postgres) -> Result<Self, StoreError> {
        let transaction = postgres.read();
        transaction.session().begin()?;
        Ok(Snapshot { postgres: postgres.clone(), slot: Arc::new(Mutex::new(Some(transaction))) })
    }
}

impl Engine for Snapshot {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        self.postgres.open_tables(names)
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let transaction = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let transaction = transaction.ok_or(StoreError::Closed(
            "the snapshot is in use, or its connection was lost; it has one transaction at a time",
        ))?;
        Ok(Box::new(Lent { transaction: Some(transaction), slot: self.slot.clone() }))
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Err(StoreError::ReadOnly)
    }

    /// The same one: what it sees does not change.
    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Snapshot { postgres: self.postgres.clone(), slot: self.slot.clone() }))
    }

    fn max_key_size(&self) -> u32 {
        self.postgres.max_key_size()
    }

    fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.postgres.table_sizes()
    }

    fn waits(&self) -> Waits {
        self.postgres.waits()
    }
}

/// The snapshot's transaction, until it is given back.
struct Lent {
    transaction: Option<ReadTransaction>,
    slot: Slot,
}

impl Lent {
    fn with<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let transaction = self.transaction.as_ref().ok_or(StoreError::Closed("the transaction is over"))?;
        read(transaction).map_err(|error| match error {
            // Run again it would find another snapshot, if any.
            StoreError::Conflict => StoreError::Other(
                "the connection to the server was lost, and with it the snapshot; run the whole command again".into(),
            ),
            error => error,
        })
    }
}

impl Transaction for Lent {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        let value = self.with(|transaction| transaction.session().get(table, key))?;
        Ok(value.map(Cow::Owned))
    }
    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        self.with(|transaction| transaction.get_many(table, keys, visit))
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.with(|transaction| transaction.scan(table, range, visit))
    }
    fn scan_some(
        &self,
        table: Handle,
        range: Range<'_>,
        wanted: Wanted,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.with(|transaction| transaction.scan_some(table, range, wanted, visit))
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        self.with(|transaction| transaction.count(table))
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
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = self.transaction.take();
    }
}
