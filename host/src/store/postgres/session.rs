//! A transaction on the server: begun with its first statement, in one round
//! trip, and what can be read in it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Shared;
use super::connection::{Command, Connection, Params, Rows};
use super::error::Failure;
use super::statements::Statement;
use crate::store::engine::{Handle, Range, StoreError, ValueVisitor, Visitor, Wanted};

/// Keys that are looked up in one statement.
const KEYS: usize = 1024;
/// Values that are kept until their turn comes, in bytes.
const KEPT_BYTES: usize = 16 << 20;
/// Rows that are asked for where nobody says how many are wanted.
const ROWS: u32 = 512;
const MOST_ROWS: u32 = 16_384;
/// What a first page should not be larger than, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// What reading fails with: it says what was being done.
const READING: &str = "read from the server";

/// Values by key.
type Found = HashMap<Vec<u8>, Vec<u8>>;

enum State {
    /// Nothing was asked yet.
    Waiting,
    Open(Connection),
    /// It failed.
    Over,
}

/// A transaction.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    begin: &'static str,
    state: RefCell<State>,
}

fn broken(error: tokio_postgres::Error) -> Failure {
    Failure::Client(error)
}

/// A column of bytes.
fn bytes(row: &Row, column: usize) -> Result<&[u8], Failure> {
    row.try_get(column).map_err(broken)
}

fn number(row: &Row) -> Result<u64, Failure> {
    let number: i64 = row.try_get(0).map_err(broken)?;
    Ok(number.unsigned_abs())
}

fn table_number(table: Handle) -> Result<i32, StoreError> {
    i32::try_from(table.0).map_err(|_| StoreError::Other(format!("there is no table {}", table.0)))
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, begin: &'static str) -> Self {
        Session { shared, begin, state: RefCell::new(State::Waiting) }
    }

    /// Asks, and passes on what is answered.
    fn ask<T>(
        &self,
        statement: &Statement,
        params: &Params<'_>,
        mut take: impl FnMut(&mut Rows<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.borrow_mut();
        loop {
            let asked = match &*state {
                State::Open(connection) => {
                    connection.query(None, statement, params).and_then(|mut rows| take(&mut rows))
                }
                State::Waiting => {
                    let connection = self.shared.pool.take()?;
                    let reused = !connection.is_new();
                    let begun = connection.query(Some(self.begin), statement, params);
                    if reused && matches!(begun, Err(Failure::Lost(_))) {
                        // It had been closed while nobody looked. Nothing was read yet.
                        continue;
                    }
                    let asked = begun.and_then(|mut rows| take(&mut rows));
                    *state = State::Open(connection);
                    asked
                }
                State::Over => return Err(StoreError::Closed("the transaction was ended by an error")),
            };
            return asked.map_err(|failure| {
                self.end(&mut state);
                failure.into_store(READING)
            });
        }
    }

    /// Begins now, so that the snapshot is of now.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        self.ask(&self.shared.statements.tables, &[], |rows| {
            while rows.next()?.is_some() {}
            Ok(())
        })
    }

    /// Begins on the server, if that has not happened yet.
    pub(super) fn ensure_begun(&self) -> Result<(), StoreError> {
        let mut state = self.state.borrow_mut();
        while matches!(*state, State::Waiting) {
            let connection = self.shared.pool.take()?;
            match connection.batch(self.begin) {
                Ok(()) => *state = State::Open(connection),
                Err(Failure::Lost(_)) if !connection.is_new() => {}
                Err(failure) => {
                    *state = State::Over;
                    return Err(failure.into_store("begin a transaction"));
                }
            }
        }
        Ok(())
    }

    fn end(&self, state: &mut State) {
        if let State::Open(connection) = std::mem::replace(state, State::Over) {
            connection.roll_back();
            self.shared.pool.give(connection);
        }
    }

    /// The connection, to commit on.
    pub(super) fn into_connection(mut self) -> Result<Option<Connection>, StoreError> {
        match std::mem::replace(self.state.get_mut(), State::Over) {
            State::Open(connection) => Ok(Some(connection)),
            State::Waiting => Ok(None),
            State::Over => Err(StoreError::Closed("the transaction was ended by an error")),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.shared.takes(key) {
            return Ok(None);
        }
        let table = table_number(table)?;
        self.ask(&self.shared.statements.get, &[&table, &key], |rows| {
            let row = rows.next()?;
            // To the end: a transaction may fail behind its last row.
            while rows.next()?.is_some() {}
            row.map(|row| bytes(&row, 0).map(<[u8]>::to_vec)).transpose()
        })
    }

    /// Visits the values of keys, in their order, a statement for many.
    pub(super) fn get_many(
        &self,
        table: Handle,
        keys: &[&[u8]],
        visit: &mut ValueVisitor<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        for keys in keys.chunks(KEYS) {
            let (found, all) = self.find(table, keys)?;
            for key in keys {
                let flow = match found.get(*key) {
                    Some(value) => visit(Some(value)),
                    None if all => visit(None),
                    // Large values: those that were left out are fetched alone.
                    None => visit(self.get(table, key)?.as_deref()),
                };
                if flow.is_break() {
                    return Ok(flow);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Values by key, and whether they are all there are.
    fn find(&self, table: Handle, keys: &[&[u8]]) -> Result<(Found, bool), StoreError> {
        let asked: Vec<&[u8]> = keys.iter().copied().filter(|key| self.shared.takes(key)).collect();
        let table = table_number(table)?;
        self.ask(&self.shared.statements.get_many, &[&table, &asked], |rows| {
            let (mut found, mut size) = (HashMap::with_capacity(asked.len()), 0);
            while let Some(row) = rows.next()? {
                let (key, value) = (bytes(&row, 0)?, bytes(&row, 1)?);
                size += key.len() + value.len();
                found.insert(key.to_vec(), value.to_vec());
                if size > KEPT_BYTES {
                    return Ok((found, false));
                }
            }
            Ok((found, true))
        })
    }

    /// Visits entries in order, some at a time.
    pub(super) fn scan(
        &self,
        table: Handle,
        range: Range<'_>,
        wanted: Option<Wanted>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        let no = table_number(table)?;
        let (mut start, mut end) = (range.start.to_vec(), range.end.to_vec());
        let typical = self.shared.typical(table);
        let fit = |bytes: usize| u32::try_from(bytes / typical + 2).unwrap_or(u32::MAX);
        let wanted = wanted.map_or((ROWS, PAGE_BYTES), |wanted| (wanted.entries, wanted.bytes));
        let mut page = wanted.0.min(fit(wanted.1)).min(MOST_ROWS);
        let statements = &self.shared.statements;
        loop {
            let limit = i64::from(page);
            let (from, to): (&[u8], &[u8]) = (&start, &end);
            let statement = match (range.descending, to.is_empty()) {
                (false, true) => &statements.up,
                (false, false) => &statements.up_to,
                (true, true) => &statements.down,
                (true, false) => &statements.down_from,
            };
            let params: [&(dyn ToSql + Sync); 4] = [&no, &limit, &from, &to];
            let params = if to.is_empty() { &params[..3] } else { &params[..] };
            let mut last = Vec::new();
            let (rows, size, flow) = self.ask(statement, params, |rows| {
                let (mut number, mut size) = (0, 0);
                while let Some(row) = rows.next()? {
                    let (key, value) = (bytes(&row, 0)?, bytes(&row, 1)?);
                    number += 1;
                    size += key.len() + value.len();
                    if number == page {
                        last.extend_from_slice(key);
                    }
                    if visit(key, value).is_break() {
                        return Ok((number, size, ControlFlow::Break(())));
                    }
                }
                Ok((number, size, ControlFlow::Continue(())))
            })?;
            self.shared.note_size(table, rows, size);
            if flow.is_break() || rows < page {
                return Ok(());
            }
            if range.descending {
                end = last;
            } else {
                last.push(0);
                start = last;
            }
            // Who goes on will go on.
            page =
                page.saturating_mul(4).min((PAGE_BYTES * rows as usize / size.max(1)) as u32 + 2).clamp(2, MOST_ROWS);
        }
    }

    /// The number of entries.
    pub(super) fn count(&self, table: Handle) -> Result<u64, StoreError> {
        let table = table_number(table)?;
        self.ask(&self.shared.statements.count, &[&table], one)
    }

    /// How many of these keys have entries.
    pub(super) fn count_of(&self, table: Handle, keys: &[&[u8]]) -> Result<u64, StoreError> {
        let table = table_number(table)?;
        let mut all = 0;
        for keys in keys.chunks(KEYS) {
            all += self.ask(&self.shared.statements.count_of, &[&table, &keys], one)?;
        }
        Ok(all)
    }

    /// Rows of commits.
    pub(super) fn commits(&self) -> Result<u64, StoreError> {
        self.ask(&self.shared.statements.commits, &[], one)
    }

    /// Entries and bytes by table number.
    pub(super) fn sizes(&self) -> Result<HashMap<u32, (u64, u64)>, StoreError> {
        self.ask(&self.shared.statements.sizes, &[], |rows| {
            let mut sizes = HashMap::new();
            while let Some(row) = rows.next()? {
                let get = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs).map_err(broken);
                let no: i32 = row.try_get(0).map_err(broken)?;
                sizes.insert(no.unsigned_abs(), (get(1)?, get(2)?));
            }
            Ok(sizes)
        })
    }

    /// Runs statements before the commit, in one round trip.
    pub(super) fn execute(&self, commands: &[Command<'_>]) -> Result<(), StoreError> {
        let mut state = self.state.borrow_mut();
        let State::Open(connection) = &*state else {
            return Err(StoreError::Closed("the transaction has not begun"));
        };
        connection.execute_all(commands).map_err(|failure| {
            self.end(&mut state);
            failure.into_store("write to the server")
        })
    }
}

/// The number that is the answer.
fn one(rows: &mut Rows<'_>) -> Result<u64, Failure> {
    let row = rows.next()?;
    while rows.next()?.is_some() {}
    row.as_ref().map_or(Ok(0), number)
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = std::mem::replace(self.state.get_mut(), State::Over);
        self.end(&mut state);
    }
}
