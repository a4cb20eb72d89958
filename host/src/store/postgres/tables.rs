//! The tables of a store: finding and creating them.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::connection::{Command, Connection};
use super::error::Failure;
use super::statements::{BEGIN_WRITE, COMMIT, Statements};
use super::{Shared, lock};
use crate::store::engine::{Handle, StoreError, check_table_names};

/// How often to try where others create the same at the same time.
const ATTEMPTS: u32 = 20;

/// What creating something says that somebody else is creating.
const RACED: [SqlState; 5] = [
    SqlState::DUPLICATE_SCHEMA,
    SqlState::DUPLICATE_TABLE,
    // The type that a table's rows have.
    SqlState::DUPLICATE_OBJECT,
    SqlState::UNIQUE_VIOLATION,
    // "tuple concurrently updated".
    SqlState::INTERNAL_ERROR,
];

type Numbers = HashMap<String, u32>;

fn plain(failure: Failure) -> StoreError {
    failure.into_plain("open the store's tables")
}

impl Shared {
    /// The tables that are there; none if there is no store.
    fn numbers(&self, connection: &Connection) -> Result<Option<Numbers>, Failure> {
        let asked = connection.query(None, &self.statements.tables, &[]).and_then(|mut rows| {
            let mut numbers = Numbers::new();
            while let Some(row) = rows.next()? {
                let no: i32 = row.try_get(0).map_err(Failure::Client)?;
                numbers.insert(row.try_get(1).map_err(Failure::Client)?, no.unsigned_abs());
            }
            Ok(numbers)
        });
        match asked {
            Ok(numbers) => Ok(Some(numbers)),
            Err(failure) if failure.has_code(&[SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Looks what tables there are; false if there is no store.
    pub(super) fn read_tables(&self) -> Result<bool, StoreError> {
        let connection = self.pool.take()?;
        let numbers = self.numbers(&connection).map_err(plain)?;
        self.pool.give(connection);
        let there = numbers.as_ref().is_some_and(|numbers| !numbers.is_empty());
        *lock(&self.tables) = numbers.unwrap_or_default();
        Ok(there)
    }

    /// Opens tables, and creates those that are missing.
    pub(super) fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        check_table_names(names)?;
        let missing = {
            let known = lock(&self.tables);
            self.check_owner(&known, names)?;
            names.iter().any(|name| !known.contains_key(name))
        };
        if missing && !self.options.read_only {
            let mut attempt = 1;
            let created = loop {
                match self.create(names) {
                    Err(StoreError::Conflict) if attempt < ATTEMPTS => {}
                    created => break created?,
                }
                thread::sleep(Duration::from_millis(10 * u64::from(attempt)));
                attempt += 1;
            };
            *lock(&self.tables) = created;
        }
        let known = lock(&self.tables);
        Ok(names.iter().map(|name| known.get(name).copied().map(Handle)).collect())
    }

    fn check_owner(&self, known: &Numbers, names: &[String]) -> Result<(), StoreError> {
        match names.first() {
            Some(owner) if !known.is_empty() && !known.contains_key(owner) => {
                Err(StoreError::Foreign { expected: owner.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Creates what is missing. `Conflict` if somebody else did something of it at the same time.
    fn create(&self, names: &[String]) -> Result<Numbers, StoreError> {
        let connection = self.pool.take()?;
        if self.numbers(&connection).map_err(plain)?.is_none() {
            self.create_namespace(&connection, names)?;
        }
        let created = self.add_tables(&connection, names);
        if created.is_err() {
            connection.roll_back();
        }
        self.pool.give(connection);
        created
    }

    fn create_namespace(&self, connection: &Connection, names: &[String]) -> Result<(), StoreError> {
        let namespace = &self.pool.settings.namespace;
        let found = connection.query(None, &self.statements.anything, &[namespace]).and_then(|mut rows| rows.next());
        if let Some(row) = found.map_err(plain)? {
            let name: String = row.try_get(0).map_err(|error| plain(Failure::Client(error)))?;
            // Ours, if somebody is just creating them.
            if !name.starts_with("kv1_") {
                return Err(StoreError::Foreign { expected: names.first().cloned().unwrap_or_default() });
            }
        }
        for sql in &self.statements.create {
            let created = match connection.batch(sql) {
                Err(failure) if failure.has_code(&[SqlState::SYNTAX_ERROR]) => {
                    connection.batch(&Statements::without_order(sql))
                }
                created => created,
            };
            match created {
                Ok(()) => {}
                // The schema may be there, and the right to make others not be needed.
                Err(failure)
                    if sql.starts_with("CREATE SCHEMA") && failure.has_code(&[SqlState::INSUFFICIENT_PRIVILEGE]) =>
                {
                    tracing::debug!(?failure, "the schema cannot be created");
                }
                Err(failure) if failure.has_code(&RACED) => return Err(StoreError::Conflict),
                Err(failure) => return Err(failure.into_store("create the store's tables")),
            }
        }
        Ok(())
    }

    fn add_tables(&self, connection: &Connection, names: &[String]) -> Result<Numbers, StoreError> {
        let failed = |failure: Failure| {
            if failure.has_code(&RACED) {
                StoreError::Conflict
            } else {
                failure.into_store("create the store's tables")
            }
        };
        connection.batch(BEGIN_WRITE).map_err(failed)?;
        let mut numbers = self.numbers(connection).map_err(failed)?.unwrap_or_default();
        self.check_owner(&numbers, names)?;
        let (mut added, mut added_names) = (Vec::new(), Vec::new());
        let mut next = numbers.values().max().map_or(1, |no| no + 1);
        for name in names {
            if !numbers.contains_key(name) {
                numbers.insert(name.clone(), next);
                added.push(next.cast_signed());
                added_names.push(name.as_str());
                next += 1;
            }
        }
        connection
            .execute_all(&[
                Command::With(&self.statements.add_tables, vec![&added, &added_names]),
                Command::Plain(COMMIT),
            ])
            .map_err(failed)?;
        Ok(numbers)
    }
}
