//! Transactions.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use heed::{MdbError, RoTxn, RwTxn, WithoutTls};

use super::environment::{RESIZE_PATIENCE, Shared, Table, engine, reading};
use super::gate::Pass;
use super::turn::Writer;
use crate::lend;
use crate::store::engine::{Handle, Range, StoreError, Transaction, ValueVisitor, Visitor, each_op};
use crate::store::packed::Op;

/// A snapshot.
pub(super) struct ReadTransaction {
    txn: RoTxn<'static, WithoutTls>,
    shared: Arc<Shared>,
    /// After `txn`, so that it is dropped later.
    _pass: Pass,
}

impl ReadTransaction {
    pub(super) fn new(txn: RoTxn<'static, WithoutTls>, pass: Pass, shared: Arc<Shared>) -> Self {
        ReadTransaction { txn, shared, _pass: pass }
    }
}

pub(super) fn get<'t>(table: Table, txn: &'t RoTxn, key: &[u8]) -> Result<Option<Cow<'t, [u8]>>, StoreError> {
    if key.is_empty() || key.len() > super::MAX_KEY_SIZE as usize {
        return Ok(None);
    }
    Ok(table.get(txn, key).map_err(reading)?.map(Cow::Borrowed))
}

/// The key that follows if keys are numbers of this width, big-endian.
fn follows(key: &[u8], next: &[u8]) -> bool {
    let number = |key: &[u8]| key.try_into().map(u64::from_be_bytes);
    matches!((number(key), number(next)), (Ok(key), Ok(next)) if key.checked_add(1) == Some(next))
}

/// Keys that are numbers in a row are walked to, which costs a tenth of looking each up.
fn get_many(
    table: Table,
    txn: &RoTxn,
    keys: &mut dyn Iterator<Item = &[u8]>,
    visit: &mut ValueVisitor<'_>,
) -> Result<(), StoreError> {
    let mut keys = keys.peekable();
    let mut walk = None;
    while let Some(key) = keys.next() {
        let goes_on = keys.peek().is_some_and(|next| follows(key, next));
        if walk.is_none() && goes_on {
            walk = Some(table.range(txn, &(Bound::Included(key), Bound::Unbounded)).map_err(reading)?);
        }
        let value = match &mut walk {
            None => get(table, txn, key)?,
            Some(entries) => match entries.next().transpose().map_err(reading)? {
                Some((found, value)) if found == key => Some(Cow::Borrowed(value)),
                // A gap: the walk is ahead of the keys.
                _ => {
                    walk = None;
                    get(table, txn, key)?
                }
            },
        };
        if !goes_on {
            walk = None;
        }
        if visit(value.as_deref()).is_break() {
            break;
        }
    }
    Ok(())
}

fn scan(table: Table, txn: &RoTxn, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
    let start = if range.start.is_empty() { Bound::Unbounded } else { Bound::Included(range.start) };
    let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end) };
    let bounds = (start, end);
    if range.descending {
        for entry in table.rev_range(txn, &bounds).map_err(reading)? {
            let (key, value) = entry.map_err(reading)?;
            if visit(key, value).is_break() {
                break;
            }
        }
    } else {
        for entry in table.range(txn, &bounds).map_err(reading)? {
            let (key, value) = entry.map_err(reading)?;
            if visit(key, value).is_break() {
                break;
            }
        }
    }
    Ok(())
}

impl Transaction for ReadTransaction {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        get(self.shared.table(table)?, &self.txn, key)
    }
    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        get_many(self.shared.table(table)?, &self.txn, keys, visit)
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        scan(self.shared.table(table)?, &self.txn, range, visit)
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        self.shared.table(table)?.len(&self.txn).map_err(reading)
    }
    fn write(&mut self, _packed: &[u8], _tables: &[Option<Handle>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }
    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Operations that were written, and the tables that their numbers mean.
type Written = (Vec<u8>, Arc<[Option<Handle>]>);

/// The parts of a write transaction that end with each attempt.
struct Attempt {
    txn: RwTxn<'static>,
    _pass: Pass,
}

/// A write transaction. It keeps what was written, to write it again after the
/// map had to grow.
pub(super) struct WriteTransaction {
    /// None after an error that ended it.
    attempt: Option<Attempt>,
    /// The commit that it was begun on.
    base: usize,
    log: Vec<Written>,
    shared: Arc<Shared>,
    thread: ThreadId,
    /// Last, so that the next writer is let in when all else is dropped.
    writer: Option<Writer>,
}

/// What a write transaction leaves behind when it is let go on another thread
/// than its own, in the order in which it is dropped there.
struct Remains {
    _attempt: Option<Attempt>,
    /// Keeps the environment open, in which LMDB's lock is.
    _shared: Arc<Shared>,
    _writer: Option<Writer>,
}

impl WriteTransaction {
    pub(super) fn begin(shared: Arc<Shared>, writer: Writer) -> Result<Self, StoreError> {
        let attempt = Attempt::begin(&shared)?;
        let base = shared.env.info().last_txn_id;
        Ok(WriteTransaction {
            attempt: Some(attempt),
            base,
            log: Vec::new(),
            shared,
            thread: thread::current().id(),
            writer: Some(writer),
        })
    }

    /// LMDB's write transactions belong to the thread that began them.
    fn on_thread(&self) -> Result<&Attempt, StoreError> {
        if thread::current().id() != self.thread {
            return Err(StoreError::Closed("a write transaction can only be used on the thread that began it"));
        }
        self.attempt.as_ref().ok_or(StoreError::Closed("the write transaction was ended by an error"))
    }

    /// Grows the map and writes again what was written so far.
    fn replay(&mut self) -> Result<(), StoreError> {
        loop {
            self.attempt = None;
            self.shared.grow(RESIZE_PATIENCE)?;
            let attempt = self.attempt.insert(Attempt::begin(&self.shared)?);
            if self.shared.env.info().last_txn_id != self.base {
                self.attempt = None;
                return Err(StoreError::Conflict);
            }
            let replayed = self.log.iter().try_for_each(|(packed, tables)| attempt.apply(&self.shared, packed, tables));
            match replayed {
                Ok(()) => return Ok(()),
                Err(Failed::Full) => {}
                Err(Failed::Other(error)) => {
                    self.attempt = None;
                    return Err(error);
                }
            }
        }
    }
}

/// Why operations were not applied.
enum Failed {
    Full,
    Other(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed::Other(error)
    }
}

fn writing(error: heed::Error) -> Failed {
    match error {
        heed::Error::Mdb(MdbError::MapFull) => Failed::Full,
        error => Failed::Other(engine("write to the store", short_write(error))),
    }
}

/// LMDB reports a write of which the disk took a part as an error of the disk.
/// It is what comes before a disk that takes nothing.
fn short_write(error: heed::Error) -> heed::Error {
    match error {
        #[cfg(unix)]
        heed::Error::Io(error) if error.raw_os_error() == Some(nix::libc::EIO) => heed::Error::Io(std::io::Error::new(
            std::io::ErrorKind::WriteZero,
            "a write was cut short: the disk is full or failing, or a limit of it is reached",
        )),
        error => error,
    }
}

impl Attempt {
    fn begin(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let (txn, pass) = shared.begin_with(|| lend::static_write_txn(&shared.env))?;
        Ok(Attempt { txn, _pass: pass })
    }

    fn apply(&mut self, shared: &Shared, packed: &[u8], tables: &[Option<Handle>]) -> Result<(), Failed> {
        let mut full = false;
        let applied = each_op(packed, tables, |handle, op| {
            let table = shared.table(handle)?;
            let result = match op {
                Op::Put { key, value, .. } => table.put(&mut self.txn, key, value),
                Op::Delete { key, .. } => table.delete(&mut self.txn, key).map(drop),
                Op::Clear { .. } => table.clear(&mut self.txn),
            };
            result.map_err(|error| match writing(error) {
                Failed::Full => {
                    full = true;
                    StoreError::MapFull { max: 0 }
                }
                Failed::Other(error) => error,
            })
        });
        match applied {
            Err(_) if full => Err(Failed::Full),
            applied => Ok(applied?),
        }
    }
}

impl Transaction for WriteTransaction {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        get(self.shared.table(table)?, &self.on_thread()?.txn, key)
    }
    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        get_many(self.shared.table(table)?, &self.on_thread()?.txn, keys, visit)
    }
    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        scan(self.shared.table(table)?, &self.on_thread()?.txn, range, visit)
    }
    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        self.shared.table(table)?.len(&self.on_thread()?.txn).map_err(reading)
    }

    fn write(&mut self, packed: &[u8], tables: &[Option<Handle>]) -> Result<(), StoreError> {
        self.on_thread()?;
        let Some(attempt) = &mut self.attempt else { return Err(StoreError::Closed("the write transaction is over")) };
        let tables: Arc<[Option<Handle>]> = match self.log.last() {
            Some((_, last)) if **last == *tables => last.clone(),
            _ => tables.into(),
        };
        let applied = attempt.apply(&self.shared, packed, &tables);
        self.log.push((packed.to_vec(), tables));
        match applied {
            Ok(()) => Ok(()),
            Err(Failed::Full) => self.replay(),
            Err(Failed::Other(error)) => {
                self.attempt = None;
                Err(error)
            }
        }
    }

    fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.on_thread()?;
        loop {
            let Some(Attempt { txn, _pass }) = self.attempt.take() else {
                return Err(StoreError::Closed("the write transaction is over"));
            };
            match txn.commit() {
                Ok(()) => {
                    self.shared.watch_size();
                    return Ok(());
                }
                Err(heed::Error::Mdb(MdbError::MapFull)) => {
                    drop(_pass);
                    self.replay()?;
                }
                Err(error) => return Err(engine("commit", short_write(error))),
            }
        }
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if self.attempt.is_some() && thread::current().id() != self.thread {
            // Aborting here would leave LMDB's lock held by a thread that does
            // not know, and the next writer would wait for ever.
            tracing::error!(
                "a write transaction was let go on another thread than the one that began it; nobody can write until \
                 that thread uses the store again"
            );
            let (attempt, writer) = (self.attempt.take(), self.writer.take());
            let remains = Remains { _attempt: attempt, _shared: self.shared.clone(), _writer: writer };
            self.shared.gate.adopt(self.thread, Box::new(remains));
        }
    }
}
