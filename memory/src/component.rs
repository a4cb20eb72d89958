//! The component: the interface `store` over a [`Memory`] of the instance's own.

use std::cell::RefCell;

use crate::map::{self, Busy, Foreign, MAX_KEY_SIZE, Memory, Read};
use crate::packed;

#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used, unreachable_pub)]
mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "store-provider",
        generate_all,
        pub_export_macro: false,
    });
}

use bindings::exports::galaxybrain::tracker::store::{
    self, Access, Direction, Error, Guest, GuestTransaction, Page, Table,
};

bindings::export!(Store with_types_in bindings);

// The defaults of hosts: see `Limits` in `host/src/store/limits.rs`.
const TABLES: usize = 96;
const TRANSACTIONS: u32 = 8;
const SCAN_ENTRIES: u32 = 65_536;
const SCAN_BYTES: u32 = 4 << 20;
const VALUE_SIZE: u64 = 64 << 20;
const TRANSACTION_BYTES: u64 = 1 << 30;

#[derive(Default)]
struct State {
    memory: Memory,
    tables: Vec<map::Table>,
    transactions: u32,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

fn state<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(f)
}

/// Ends the instance: the guest is broken.
fn trap(why: std::fmt::Arguments<'_>) -> ! {
    panic!("{why}")
}

fn table(number: Table) -> map::Table {
    match state(|state| state.tables.get(number as usize).copied()) {
        Some(table) => table,
        None => trap(format_args!("table {number} was not opened")),
    }
}

/// A buffer's items, which have to parse.
fn parsed<T>(item: Result<T, packed::Malformed>) -> T {
    item.unwrap_or_else(|malformed| trap(format_args!("{malformed}")))
}

struct Store;

impl Guest for Store {
    type Transaction = Transaction;

    fn open(names: Vec<String>) -> Result<(), Error> {
        if names.is_empty() || names.len() > TABLES {
            trap(format_args!("{} tables were asked for; the limit is {TABLES}", names.len()));
        }
        state(|state| {
            if !state.tables.is_empty() {
                trap(format_args!("open was called twice"));
            }
            state.tables = state.memory.open(&names).map_err(|Foreign| Error::Foreign)?;
            Ok(())
        })
    }

    fn get(number: Table, key: Vec<u8>) -> Result<Vec<u8>, Error> {
        let table = table(number);
        find(&state(|state| state.memory.read()), table, &key)
    }
}

fn find(read: &Read, table: map::Table, key: &[u8]) -> Result<Vec<u8>, Error> {
    read.get(table, key).map(<[u8]>::to_vec).ok_or(Error::NotFound)
}

/// A guest's transaction.
pub struct Transaction(RefCell<Open>);

enum Open {
    Read(Read),
    Write {
        write: map::Write,
        /// Bytes of the operations so far.
        written: u64,
    },
    /// Ended by an error.
    Over,
}

impl Open {
    fn read(&self) -> Result<&Read, Error> {
        match self {
            Open::Read(read) => Ok(read),
            Open::Write { write, .. } => Ok(write),
            Open::Over => Err(Error::Closed),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        state(|state| state.transactions = state.transactions.saturating_sub(1));
    }
}

impl GuestTransaction for Transaction {
    fn begin(access: Access) -> Result<store::Transaction, Error> {
        let open = state(|state| {
            if state.transactions >= TRANSACTIONS {
                return Err(Error::TooManyTransactions(TRANSACTIONS));
            }
            let open = match access {
                Access::Read => Open::Read(state.memory.read()),
                Access::Write => {
                    let write = state.memory.write().map_err(|Busy| Error::Closed)?;
                    Open::Write { write, written: 0 }
                }
            };
            state.transactions += 1;
            Ok(open)
        })?;
        Ok(store::Transaction::new(Transaction(RefCell::new(open))))
    }

    fn get(&self, number: Table, key: Vec<u8>) -> Result<Vec<u8>, Error> {
        find(self.0.borrow().read()?, table(number), &key)
    }

    fn get_many(&self, number: Table, keys: Vec<u8>) -> Result<Vec<u8>, Error> {
        let table = table(number);
        let open = self.0.borrow();
        let read = open.read()?;
        packed::keys(&keys).for_each(|key| {
            parsed(key);
        });
        let mut answer = Vec::new();
        for key in packed::keys(&keys).flatten() {
            packed::push_value(read.get(table, key), &mut answer);
            if answer.len() >= SCAN_BYTES as usize {
                break;
            }
        }
        Ok(answer)
    }

    fn scan(
        &self,
        number: Table,
        start: Vec<u8>,
        end: Vec<u8>,
        direction: Direction,
        max_entries: u32,
        max_bytes: u32,
    ) -> Result<Page, Error> {
        let table = table(number);
        let open = self.0.borrow();
        let entries = open.read()?.scan(table, &start, &end);
        let (max_entries, max_bytes) = (max_entries.clamp(1, SCAN_ENTRIES), max_bytes.clamp(1, SCAN_BYTES) as usize);
        Ok(match direction {
            Direction::Ascending => page(entries, max_entries, max_bytes),
            Direction::Descending => page(entries.rev(), max_entries, max_bytes),
        })
    }

    fn count(&self, number: Table) -> Result<u64, Error> {
        let table = table(number);
        Ok(self.0.borrow().read()?.count(table))
    }

    fn write(&self, ops: Vec<u8>) -> Result<(), Error> {
        let mut open = self.0.borrow_mut();
        let (write, written) = match &mut *open {
            Open::Write { write, written } => (write, written),
            Open::Read(_) => trap(format_args!("a read transaction was written to")),
            Open::Over => return Err(Error::Closed),
        };
        check(&ops)?;
        *written += ops.len() as u64;
        if *written > TRANSACTION_BYTES {
            *open = Open::Over;
            return Err(Error::Other(format!(
                "the transaction writes more than {TRANSACTION_BYTES} bytes; write less at a time"
            )));
        }
        for op in packed::ops(&ops).flatten() {
            let table = table(u32::from(op.table()));
            match op {
                packed::Op::Put { key, value, .. } => write.put(table, key, value),
                packed::Op::Delete { key, .. } => write.delete(table, key),
                packed::Op::Clear { .. } => write.clear(table),
            }
        }
        Ok(())
    }

    fn commit(this: store::Transaction) -> Result<(), Error> {
        let transaction: Transaction = this.into_inner();
        match transaction.0.replace(Open::Over) {
            Open::Read(_) => Ok(()),
            Open::Write { write, .. } => {
                write.commit();
                Ok(())
            }
            Open::Over => Err(Error::Closed),
        }
    }
}

fn page<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, max_entries: u32, max_bytes: usize) -> Page {
    let mut page = Page { entries: Vec::new(), done: true };
    for (count, (key, value)) in (0..).zip(entries) {
        if count == max_entries || (count > 0 && page.entries.len() + key.len() + value.len() > max_bytes) {
            page.done = false;
            break;
        }
        packed::push_entry(key, value, &mut page.entries);
    }
    page
}

/// Checks all operations before any is applied.
fn check(ops: &[u8]) -> Result<(), Error> {
    for op in packed::ops(ops) {
        let op = parsed(op);
        table(u32::from(op.table()));
        let (key, value): (&[u8], &[u8]) = match op {
            packed::Op::Put { key, value, .. } => (key, value),
            packed::Op::Delete { key, .. } => (key, &[]),
            packed::Op::Clear { .. } => continue,
        };
        if key.is_empty() || key.len() > MAX_KEY_SIZE as usize {
            return Err(Error::KeySize(MAX_KEY_SIZE));
        }
        if value.len() as u64 > VALUE_SIZE {
            return Err(Error::ValueTooLarge(VALUE_SIZE));
        }
    }
    Ok(())
}
