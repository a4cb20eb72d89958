//! One snapshot for many calls, of any engine.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::{Engine, Handle, Range, StoreError, TableSize, Transaction, ValueVisitor, Visitor, Waits, Wanted};

/// An engine for reading all of whose transactions see the same. They are one
/// read transaction, which each borrows and gives back, so there can be one at
/// a time.
///
/// While it lives the engine keeps what it sees: pages of LMDB's file are not
/// used again and its map cannot be made larger by this process; a connection
/// to a server is taken.
///
/// ```
/// use tracker_host::store::{Engine, Snapshot, memory::Memory};
///
/// let memory = Memory::new();
/// let snapshot = Snapshot::new(memory.clone(), memory.begin_read()?);
/// assert!(snapshot.begin_write().is_err());
/// # Ok::<(), tracker_host::store::StoreError>(())
/// ```
pub struct Snapshot {
    engine: Arc<dyn Engine>,
    slot: Slot,
}

type Lendable = Option<Box<dyn Transaction>>;
type Slot = Arc<Mutex<Lendable>>;

fn lock(slot: &Slot) -> MutexGuard<'_, Lendable> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Snapshot {
    /// What a read transaction of an engine sees. If the engine begins its
    /// transactions with the first read, so does the snapshot.
    pub fn new(engine: impl Engine + 'static, transaction: Box<dyn Transaction>) -> Self {
        Snapshot { engine: Arc::new(engine), slot: Arc::new(Mutex::new(Some(transaction))) }
    }
}

impl Engine for Snapshot {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        self.engine.open_tables(names)
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let transaction = lock(&self.slot)
            .take()
            .ok_or(StoreError::Closed("the snapshot is in use; it has one transaction at a time"))?;
        Ok(Box::new(Lent { transaction: Some(transaction), slot: self.slot.clone() }))
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Err(StoreError::ReadOnly)
    }

    /// The same one: what it sees does not change.
    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Ok(Arc::new(Snapshot { engine: self.engine.clone(), slot: self.slot.clone() }))
    }

    fn max_key_size(&self) -> u32 {
        self.engine.max_key_size()
    }

    fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.engine.table_sizes()
    }

    fn waits(&self) -> Waits {
        self.engine.waits()
    }
}

/// The snapshot's transaction, until it is given back.
struct Lent {
    transaction: Lendable,
    slot: Slot,
}

impl Lent {
    fn with<'a, T>(&'a self, read: impl FnOnce(&'a dyn Transaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let transaction = self.transaction.as_deref().ok_or(StoreError::Closed("the transaction is over"))?;
        read(transaction).map_err(|error| match error {
            // Run again it would find another snapshot, if any. `Closed` is what follows.
            StoreError::Conflict | StoreError::Closed(_) => StoreError::SnapshotLost,
            error => error,
        })
    }
}

impl Transaction for Lent {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        self.with(|transaction| transaction.get(table, key))
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
        *lock(&self.slot) = self.transaction.take();
    }
}
