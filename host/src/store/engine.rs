//! What stands behind the store interface: an ordered, transactional key-value
//! engine. It is as small as the WIT interface, so that another engine is a few
//! hundred lines; resources, limits, tracing and errors are above it.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::packed::Op;

/// What an engine can answer instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store has reached its maximum size.
    #[error("the store is full: it has reached its maximum size of {max} bytes; raise --max-map-size")]
    MapFull {
        /// The maximum, in bytes.
        max: u64,
    },
    /// A key is empty or too long.
    #[error("a key has {length} bytes; the store takes 1 to {max}")]
    KeySize {
        /// Its length.
        length: usize,
        /// The greatest length.
        max: u32,
    },
    /// A value is too long.
    #[error("a value has {length} bytes; the limit is {max}")]
    ValueTooLarge {
        /// Its length.
        length: usize,
        /// The greatest length.
        max: u64,
    },
    /// The transaction of a snapshot is gone, for instance with the connection to a server.
    #[error("the snapshot was lost, probably with the connection to the server; run the whole command again")]
    SnapshotLost,
    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// The transaction has to be run again.
    #[error("another writer was faster; run the transaction again")]
    Conflict,
    /// The environment belongs to another program.
    #[error("the environment has tables, but none called {expected:?}: it is not a tracker store and was left alone")]
    Foreign {
        /// The table that names the owner.
        expected: String,
    },
    /// The transaction is over or belongs to another thread.
    #[error("{0}")]
    Closed(&'static str),
    /// The store's bytes are damaged.
    #[error("the store is damaged: {0}")]
    Corrupted(String),
    /// There is no room on the disk, or a quota or limit is reached.
    #[error("there is no room on the disk; nothing half is kept")]
    DiskFull(#[source] std::io::Error),
    /// The engine cannot do this.
    #[error("the engine behind this store has no {0}")]
    Unsupported(&'static str),
    /// Anything else the engine says.
    #[error("{context}")]
    Engine {
        /// What was being done.
        context: &'static str,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Whether a commit took effect cannot be found out.
    #[error(
        "the connection was lost during a commit, and the server could not be asked within {0:?} whether it took effect: \
         look before you do it again"
    )]
    InDoubt(Duration),
    /// Something to tell that has no source.
    #[error("{0}")]
    Other(String),
}

/// A table of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub u32);

/// Takes the key and value of each entry of a scan, until it breaks.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Takes the value of each key of a `get_many`, or that there is none, until it breaks.
pub type ValueVisitor<'a> = dyn FnMut(Option<&[u8]>) -> ControlFlow<()> + 'a;

/// Keys from `start` to before `end`; empty means unbounded.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// The first key.
    pub start: &'a [u8],
    /// The key after the last.
    pub end: &'a [u8],
    /// From the greatest key down.
    pub descending: bool,
}

/// How much of a scan will probably be visited.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Entries.
    pub entries: u32,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// How a thread has waited for servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Answers that it has waited for.
    pub round_trips: u64,
    /// The time until they came.
    pub time: Duration,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// Its entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl TableSize {
    /// A table's.
    pub fn new(name: String, entries: u64, bytes: u64) -> Self {
        TableSize { name, entries, bytes }
    }
}

/// An engine.
pub trait Engine: Send + Sync {
    /// Opens tables, creating missing ones in one write transaction; takes no
    /// write lock where none is missing. A missing table of a read-only engine
    /// is none. The first name is the owner's: see `store.open`. Names have 1
    /// to [`MAX_TABLE_NAME`] bytes and no NUL; others are an error, and no
    /// guest's reaches an engine.
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError>;
    /// Begins a read transaction on a snapshot.
    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError>;
    /// Appends the value of a key in the newest snapshot to `out`; false if there is none.
    fn get(&self, table: Handle, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StoreError> {
        let transaction = self.begin_read()?;
        let Some(value) = transaction.get(table, key)? else { return Ok(false) };
        out.extend_from_slice(&value);
        Ok(true)
    }
    /// Begins a write transaction, waiting for the one that is running.
    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError>;
    /// An engine for reading all of whose transactions see what is committed
    /// now. An engine that cannot hold on to a snapshot for so long refuses.
    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        Err(StoreError::Unsupported("a snapshot of several calls"))
    }
    /// The longest key it takes, in bytes.
    fn max_key_size(&self) -> u32;
    /// What all tables hold, in name order. It may read everything.
    fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        Err(StoreError::Unsupported("figures of its tables"))
    }
    /// How this thread has waited for servers of this kind of engine since it
    /// began, whatever the store.
    fn waits(&self) -> Waits {
        Waits::default()
    }
}

/// A transaction of an engine. Dropping it aborts it.
pub trait Transaction: Send {
    /// The value of a key.
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError>;
    /// Visits the values of keys in the order of the keys until the visitor
    /// breaks. An engine that is far away fetches them together.
    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        for key in keys {
            if visit(self.get(table, key)?.as_deref()).is_break() {
                break;
            }
        }
        Ok(())
    }
    /// Visits entries in order until the visitor breaks.
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError>;
    /// The same. An engine that is far away fetches about as much at a time as is wanted.
    fn scan_some(
        &self,
        table: Handle,
        range: Range<'_>,
        _wanted: Wanted,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.scan(table, range, visit)
    }
    /// The number of entries.
    fn count(&self, table: Handle) -> Result<u64, StoreError>;
    /// Applies operations in order. `packed` is where they come from, and parses.
    fn write(&mut self, packed: &[u8], tables: &[Option<Handle>]) -> Result<(), StoreError>;
    /// Commits.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// The longest name of a table in bytes, in every engine: in LMDB names are keys, too.
pub const MAX_TABLE_NAME: usize = 511;

/// Refuses names that not every engine can give a table.
pub(crate) fn check_table_names(names: &[String]) -> Result<(), StoreError> {
    let wrong = |name: &&String| name.is_empty() || name.contains('\0') || name.len() > MAX_TABLE_NAME;
    match names.iter().find(wrong) {
        Some(name) => Err(StoreError::Other(format!("{name:?} cannot be the name of a table"))),
        None => Ok(()),
    }
}

/// Applies packed operations, which have been checked, one by one.
pub fn each_op(
    packed: &[u8],
    tables: &[Option<Handle>],
    mut apply: impl FnMut(Handle, Op<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for op in super::packed::ops(packed) {
        let op = op.map_err(|malformed| StoreError::Other(malformed.to_string()))?;
        let Some(Some(table)) = tables.get(op.table() as usize) else { return Err(StoreError::ReadOnly) };
        apply(*table, op)?;
    }
    Ok(())
}
