//! Committing, and finding out what became of a commit whose answer was lost.
//!
//! A commit writes a row with an id of its own. If the connection is lost
//! before the answer, the same id is written on another connection, with a
//! mark that it was not applied. Of the two rows one is refused: either the
//! commit has taken effect and the mark meets its row, or the mark is there
//! first and the commit, should it still be on its way, fails on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;

use super::Shared;
use super::changes::Changes;
use super::connection::Command;
use super::error::Failure;
use super::session::Session;
use super::statements::{COMMIT, NO_TIMEOUT};
use super::wait;
use crate::store::engine::StoreError;

/// Entries of one statement.
const GROUP_ROWS: usize = 8192;
/// Bytes of keys and values of one statement.
const GROUP_BYTES: usize = 4 << 20;
/// Bytes that are sent before an answer is waited for.
const FLIGHT_BYTES: usize = 16 << 20;
const PAUSE: Duration = Duration::from_millis(200);

/// Deletions of one table.
struct Deletions<'c> {
    table: i32,
    keys: Vec<&'c [u8]>,
}

/// Entries to put.
#[derive(Default)]
struct Puts<'c> {
    tables: Vec<i32>,
    keys: Vec<&'c [u8]>,
    values: Vec<&'c [u8]>,
    bytes: usize,
}

/// What is sent, in few statements.
#[derive(Default)]
struct Groups<'c> {
    cleared: Vec<i32>,
    deletions: Vec<Deletions<'c>>,
    puts: Vec<Puts<'c>>,
}

impl<'c> Groups<'c> {
    fn new(changes: &'c Changes) -> Self {
        let mut groups = Groups::default();
        let mut puts = Puts::default();
        for (table, changes) in changes.sorted() {
            let table = table.cast_signed();
            if changes.cleared {
                groups.cleared.push(table);
            }
            let mut deleted = Vec::new();
            for (key, value) in &changes.values {
                let Some(value) = value else {
                    deleted.push(key.as_slice());
                    continue;
                };
                puts.tables.push(table);
                puts.keys.push(key);
                puts.values.push(value);
                puts.bytes += key.len() + value.len();
                if puts.keys.len() >= GROUP_ROWS || puts.bytes >= GROUP_BYTES {
                    groups.puts.push(std::mem::take(&mut puts));
                }
            }
            for keys in deleted.chunks(GROUP_ROWS) {
                groups.deletions.push(Deletions { table, keys: keys.to_vec() });
            }
        }
        if !puts.keys.is_empty() {
            groups.puts.push(puts);
        }
        groups
    }
}

/// A new id of a transaction.
fn new_id() -> Result<Vec<u8>, StoreError> {
    let mut id = vec![0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| StoreError::Other(format!("the system has no random numbers: {error}")))?;
    Ok(id)
}

/// Sends the changes and commits them: one round trip, unless they are many.
pub(super) fn commit(session: Session, changes: &Changes) -> Result<(), StoreError> {
    let shared = session.shared.clone();
    let statements = &shared.statements;
    let id = new_id()?;
    let groups = Groups::new(changes);
    // What is sent after a BEGIN that failed would be committed on its own.
    session.ensure_begun()?;
    let mut flight: Vec<Command<'_>> = Vec::new();
    for table in &groups.cleared {
        flight.push(Command::With(&statements.clear, vec![table]));
    }
    for Deletions { table, keys } in &groups.deletions {
        flight.push(Command::With(&statements.delete, vec![table, keys]));
    }
    let mut bytes = 0;
    for puts in &groups.puts {
        bytes += puts.bytes;
        if bytes > FLIGHT_BYTES {
            session.execute(&flight)?;
            flight.clear();
            bytes = puts.bytes;
        }
        let params: Vec<&(dyn ToSql + Sync)> = vec![&puts.tables, &puts.keys, &puts.values];
        flight.push(Command::With(&statements.upsert, params));
    }
    flight.push(Command::With(&statements.note, vec![&id]));
    flight.push(Command::Plain(NO_TIMEOUT));
    flight.push(Command::Plain(COMMIT));
    let connection = session.into_connection()?.ok_or(StoreError::Closed("the transaction has not begun"))?;
    match connection.execute_all(&flight) {
        Ok(()) => {
            shared.acknowledge(id, Some(&connection));
            shared.pool.give(connection);
            Ok(())
        }
        Err(failure) if failure.is_ambiguous() => {
            tracing::warn!(
                ?failure,
                "the connection was lost during a commit; asking the server whether it took effect"
            );
            drop(connection);
            settle(&shared, id)
        }
        Err(failure) => {
            connection.roll_back();
            shared.pool.give(connection);
            Err(failure.into_store("commit"))
        }
    }
}

/// Finds out whether a commit took effect, and sees to it that it does not later.
fn settle(shared: &Arc<Shared>, id: Vec<u8>) -> Result<(), StoreError> {
    let began = Instant::now();
    let patience = shared.pool.settings.reconnect_timeout;
    let in_doubt = || StoreError::InDoubt(began.elapsed());
    loop {
        let connection = shared.pool.connect().map_err(|error| {
            tracing::error!(%error, "a commit is in doubt");
            in_doubt()
        })?;
        let statements = &shared.statements;
        let fenced = connection.execute_all(&[Command::With(&statements.fence, vec![&id])]);
        let found = fenced.and_then(|()| {
            let mut rows = connection.query(None, &statements.look_up, &[&id])?;
            let row = rows.next()?;
            row.map(|row| row.try_get::<_, bool>(0).map_err(Failure::Client)).transpose()
        });
        match found {
            Ok(Some(true)) => {
                shared.acknowledge(id, Some(&connection));
                shared.pool.give(connection);
                return Ok(());
            }
            Ok(Some(false)) => {
                shared.pool.give(connection);
                return Err(StoreError::Conflict);
            }
            Ok(None) => return Err(in_doubt()),
            Err(failure) if began.elapsed() > patience => {
                tracing::error!(?failure, "a commit is in doubt");
                return Err(in_doubt());
            }
            Err(failure) => tracing::debug!(?failure, "the server cannot tell yet"),
        }
        wait::pause(PAUSE);
    }
}
