//! The instance's state and the transaction of a call.
//!
//! A call is either inside the batch, whose write transaction is kept here
//! between the calls, or has a transaction of its own.

use std::cell::RefCell;

use crate::error::{Error, Result, ends_transaction};
use crate::key::{self, Key};
use crate::store::{self, Access, Transaction};
use crate::table::{Role, Table};
use crate::view::{Stored, View, dangling};
use crate::write::Writer;

/// The version of the layout that [`crate::table`], [`crate::key`] and the
/// records describe.
pub const FORMAT: u64 = 2;
const FORMAT_KEY: &str = "format";

#[derive(Default)]
struct State {
    opened: bool,
    /// The store is new: the first write notes the format.
    unmarked: bool,
    /// The batch has noted it: the store is marked if it is committed.
    marked: bool,
    batch: Option<Transaction>,
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State { opened: false, unmarked: false, marked: false, batch: None }) };
}

fn state<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(f)
}

/// Opens the tables at the instance's first call and checks the format.
fn ensure_open() -> Result<()> {
    if state(|state| state.opened) {
        return Ok(());
    }
    let names: Vec<String> = Table::ALL.iter().map(|table| table.name().to_owned()).collect();
    store::open(&names)?;
    let txn = Transaction::begin(Access::Read)?;
    let view = View::new(&txn);
    let unmarked = match view.get(Table::Meta, &Key::of_text(FORMAT_KEY))? {
        Some(value) => {
            check_format(&value)?;
            false
        }
        None => {
            for table in Table::ALL {
                if table.role() == Role::Primary && view.count(*table)? > 0 {
                    return Err(Error::Incompatible(format!(
                        "the store has {} but no format version; it is damaged or not a tracker store",
                        table.name()
                    )));
                }
            }
            true
        }
    };
    state(|state| (state.opened, state.unmarked) = (true, unmarked));
    Ok(())
}

fn check_format(value: &[u8]) -> Result<()> {
    let found = value.try_into().map(u64::from_be_bytes);
    match found {
        Ok(FORMAT) => Ok(()),
        Ok(other) => Err(Error::Incompatible(format!(
            "the store has format {other}, this tracker reads and writes format {FORMAT}; use the tracker that wrote it"
        ))),
        Err(_) => Err(Error::Incompatible("the store's format version cannot be read".into())),
    }
}

/// Runs a read in the batch, or in a snapshot of its own.
pub fn read<T>(f: impl FnOnce(&View) -> Result<T>) -> Result<T> {
    ensure_open()?;
    match state(|state| state.batch.take()) {
        None => {
            let txn = Transaction::begin(Access::Read)?;
            f(&View::new(&txn))
        }
        Some(txn) => {
            let result = f(&View::new(&txn));
            if !result.as_ref().is_err_and(ends_transaction) {
                state(|state| state.batch = Some(txn));
            }
            result
        }
    }
}

/// Looks one record up: in the batch, or in the newest snapshot without a
/// transaction to begin and to end.
pub fn find<T>(table: Table, key: &Key, f: impl FnOnce(Stored) -> Result<T>) -> Result<Option<T>> {
    if state(|state| !state.opened || state.batch.is_some()) {
        return read(|view| view.find(table, key)?.map(f).transpose());
    }
    key::with_physical(key.bytes(), |physical| match store::get(table.number(), physical) {
        Ok(value) => Ok(Some(f(Stored { physical: physical.to_vec(), value })?)),
        Err(store::Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    })
}

/// Looks up the record that an owner table names for a key hash: in the batch,
/// or in the newest snapshots without a transaction to begin and to end.
///
/// `locate` makes the record's key of what the owner table has. `take` answers
/// none if the record does not have the key hash: a writer came between the two
/// looks, so both are taken again, in one snapshot.
pub fn find_by_key<T>(
    owners: Table,
    key_hash: u64,
    records: Table,
    locate: impl Fn(&[u8]) -> Result<Key>,
    take: impl Fn(Stored) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let owner = Key::of_u64(key_hash);
    if state(|state| state.opened && state.batch.is_none()) {
        let Some(record) = find(owners, &owner, |stored| locate(&stored.value))? else { return Ok(None) };
        if let Some(answer) = find(records, &record, &take)?.flatten() {
            return Ok(Some(answer));
        }
    }
    read(|view| {
        let Some(stored) = view.find(owners, &owner)? else { return Ok(None) };
        let record = locate(&stored.value)?;
        match take(view.require(records, &record)?)? {
            Some(answer) => Ok(Some(answer)),
            None => Err(key::with_physical(record.bytes(), |physical| dangling(records, physical))),
        }
    })
}

/// Runs a write in the batch, or in a transaction of its own that is committed
/// if it succeeds. A failed write has no effect; if it failed after a part of
/// it had reached the store, a batch is over.
pub fn write<T>(f: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
    ensure_open()?;
    let (txn, in_batch) = match state(|state| state.batch.take()) {
        Some(txn) => (txn, true),
        None => (Transaction::begin(Access::Write)?, false),
    };
    let mut writer = Writer::new(&txn);
    let result = mark(&mut writer).and_then(|()| f(&mut writer)).and_then(|value| {
        writer.finish()?;
        Ok(value)
    });
    let partly_written = writer.flushed();
    drop(writer);
    match result {
        Ok(value) if in_batch => {
            state(|state| (state.batch, state.marked) = (Some(txn), true));
            Ok(value)
        }
        Ok(value) => {
            Transaction::commit(txn)?;
            state(|state| state.unmarked = false);
            Ok(value)
        }
        Err(error) => {
            if in_batch && !partly_written && !ends_transaction(&error) {
                state(|state| state.batch = Some(txn));
            }
            Err(error)
        }
    }
}

/// Notes the format in a new store, unless another instance was faster.
fn mark(writer: &mut Writer) -> Result<()> {
    if state(|state| state.unmarked) {
        let key = Key::of_text(FORMAT_KEY);
        match writer.view().get(Table::Meta, &key)? {
            Some(value) => check_format(&value)?,
            None => writer.put(Table::Meta, &key, &FORMAT.to_be_bytes()),
        }
    }
    Ok(())
}

/// Begins a batch, unless there is one.
pub fn begin_batch() -> Result<()> {
    ensure_open()?;
    if state(|state| state.batch.is_none()) {
        let txn = Transaction::begin(Access::Write)?;
        state(|state| (state.batch, state.marked) = (Some(txn), false));
    }
    Ok(())
}

/// Commits the batch, if there is one.
pub fn end_batch() -> Result<()> {
    if let Some(txn) = state(|state| state.batch.take()) {
        Transaction::commit(txn)?;
        // Not by a batch in which nothing was written.
        state(|state| state.unmarked &= !state.marked);
    }
    Ok(())
}

/// Discards the batch, if there is one.
pub fn abort_batch() {
    drop(state(|state| state.batch.take()));
}

/// Now, in seconds since 1970 as a double.
pub fn now() -> f64 {
    let time = crate::wall_clock::now();
    time.seconds as f64 + f64::from(time.nanoseconds) / 1e9
}
