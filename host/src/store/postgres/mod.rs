//! The engine on a server: anything that speaks PostgreSQL's protocol and has
//! serializable transactions. One store serves many machines.
//!
//! - A read transaction is one snapshot (`REPEATABLE READ`). It begins with its
//!   first statement, so that a look-up is one round trip.
//! - A write transaction is `SERIALIZABLE`. What it writes is kept here, laid
//!   over what it reads, and sent with the commit. Writers do not wait for each
//!   other: one of two that are in each other's way is answered `conflict`, and
//!   its call is run again.
//! - A connection that is lost is made anew, and what had not been committed is
//!   run again. A commit whose answer is lost is looked up: see `commit.rs`.
//!
//! `docs/postgres.md` says when to use it, its limits and on what it was tested.

mod changes;
mod commit;
mod connection;
mod error;
mod passfile;
mod pool;
mod session;
mod settings;
mod statements;
mod tables;
mod tls;
mod transaction;
mod wait;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use error::{OpenError, ServerError};

use super::Snapshot;
use super::engine::{Engine, Handle, StoreError, TableSize, Transaction, Waits};
use connection::Connection;
use error::Failure;
use pool::Pool;
use session::Session;
use settings::Settings;
use statements::{BEGIN_READ, BEGIN_WRITE, Statements};
use transaction::{ReadTransaction, WriteTransaction};

/// The longest key. Entries of PostgreSQL's indexes end near 2,700 bytes.
pub const MAX_KEY_SIZE: u32 = 2048;

/// Ids of commits that are forgotten together.
const FORGET_AT: usize = 64;
/// What a store waits for when it is closed.
const GOODBYE: Duration = Duration::from_secs(1);
/// The size of an entry that nothing is known of, in bytes.
const TYPICAL: u64 = 128;

/// How to open a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Open for reading only; nothing is created. Default false.
    pub read_only: bool,
    /// Create the namespace and its tables if they are missing. Default true.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { read_only: false, create: true }
    }
}

/// A store on a server. Clones share its connections.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.name()).finish()
    }
}

/// What the transactions of a store share.
struct Shared {
    pool: Pool,
    statements: Statements,
    options: Options,
    /// Their numbers by name.
    tables: Mutex<HashMap<String, u32>>,
    /// Rows and bytes that were read of each table.
    sizes: Mutex<HashMap<u32, (u64, u64)>>,
    /// Commits that are known here, whose rows are of no more use.
    acknowledged: Mutex<Vec<Vec<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Postgres {
    /// Opens the store that a URL names: `postgres://USER@HOST:PORT/DATABASE`,
    /// with `?namespace=NAME` where there are several, and other parameters of
    /// libpq. What it does not say is taken from the `PG…` variables of the
    /// environment and the password file.
    ///
    /// # Errors
    ///
    /// If the URL cannot be read, the server cannot be reached or refuses, or
    /// there is no store and none is to be created.
    pub fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        Self::open_with(url, options, &|name| std::env::var(name).ok())
    }

    /// The same with another environment.
    ///
    /// # Errors
    ///
    /// As [`Postgres::open`].
    #[doc(hidden)]
    pub fn open_with(
        url: &str,
        options: Options,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let settings = Settings::read(url, environment)?;
        let shared = Shared {
            statements: Statements::new(&settings.namespace),
            pool: Pool::new(settings),
            options,
            tables: Mutex::default(),
            sizes: Mutex::default(),
            acknowledged: Mutex::default(),
        };
        let there = shared.read_tables().map_err(|error| shared.pool.cannot_open(error))?;
        if !there && (options.read_only || !options.create) {
            return Err(OpenError::Missing(shared.pool.settings.name.clone()));
        }
        Ok(Postgres { shared: Arc::new(shared) })
    }

    /// The store's URL, without passwords.
    pub fn name(&self) -> &str {
        &self.shared.pool.settings.name
    }

    /// Removes the tables of the store, and the namespace if nothing else is in it.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    pub fn remove(self) -> Result<(), StoreError> {
        let connection = self.shared.pool.take()?;
        for statement in self.shared.statements.drop_all() {
            connection.batch(&statement).map_err(|failure| failure.into_plain("remove the store"))?;
        }
        if let Some(schema) = self.shared.statements.drop_schema() {
            // It stays where it holds anything else.
            let _ = connection.batch(&schema);
        }
        lock(&self.shared.acknowledged).clear();
        self.shared.pool.give(connection);
        Ok(())
    }

    /// Rows of commits that are kept on the server.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    #[doc(hidden)]
    pub fn pending_commits(&self) -> Result<u64, StoreError> {
        Session::new(self.shared.clone(), BEGIN_READ).commits()
    }

    fn read(&self) -> ReadTransaction {
        ReadTransaction::new(Session::new(self.shared.clone(), BEGIN_READ))
    }
}

impl Shared {
    /// Whether a key can be in the store.
    fn takes(&self, key: &[u8]) -> bool {
        !key.is_empty() && key.len() <= MAX_KEY_SIZE as usize
    }

    /// The size of an entry of a table, in bytes.
    fn typical(&self, table: Handle) -> usize {
        let (rows, bytes) = lock(&self.sizes).get(&table.0).copied().unwrap_or_default();
        ((bytes + 16 * TYPICAL) / (rows + 16)).max(1) as usize
    }

    fn note_size(&self, table: Handle, rows: u32, bytes: usize) {
        let mut sizes = lock(&self.sizes);
        let size = sizes.entry(table.0).or_default();
        *size = (size.0 + u64::from(rows), size.1 + bytes as u64);
        if size.0 > 1 << 16 {
            *size = (size.0 / 2, size.1 / 2);
        }
    }

    /// Notes that the answer to a commit has arrived.
    fn acknowledge(&self, id: Vec<u8>, connection: Option<&Connection>) {
        let mut acknowledged = lock(&self.acknowledged);
        acknowledged.push(id);
        if let Some(connection) = connection.filter(|_| acknowledged.len() >= FORGET_AT) {
            let ids = std::mem::take(&mut *acknowledged);
            drop(acknowledged);
            connection.send(&self.statements.forget(&ids));
            connection.send(&self.statements.forget_old());
        }
    }

    /// A look-up without a transaction.
    fn get(&self, table: Handle, key: &[u8], out: &mut Vec<u8>) -> Result<bool, Failed> {
        let connection = self.pool.take()?;
        let reused = !connection.is_new();
        let table = table.0.cast_signed();
        let found = connection.query(None, &self.statements.get, &[&table, &key]).and_then(|mut rows| {
            let Some(row) = rows.next()? else { return Ok(false) };
            let value: &[u8] = row.try_get(0).map_err(Failure::Client)?;
            out.extend_from_slice(value);
            Ok(true)
        });
        match found {
            Ok(found) => {
                self.pool.give(connection);
                Ok(found)
            }
            Err(Failure::Lost(_)) if reused => Err(Failed::Stale),
            Err(failure) => {
                self.pool.give(connection);
                Err(failure.into_store("read from the server").into())
            }
        }
    }
}

enum Failed {
    /// The connection had been closed while nobody looked.
    Stale,
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed::Store(error)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let ids = std::mem::take(&mut *lock(&self.acknowledged));
        if let (false, Some(connection)) = (ids.is_empty(), self.pool.idle()) {
            // Best effort: rows that stay are forgotten after a day.
            connection.batch_within(&self.statements.forget(&ids), GOODBYE);
        }
    }
}

impl Engine for Postgres {
    fn open_tables(&self, names: &[String]) -> Result<Vec<Option<Handle>>, StoreError> {
        self.shared.open_tables(names)
    }

    fn begin_read(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(self.read()))
    }

    fn get(&self, table: Handle, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StoreError> {
        if !self.shared.takes(key) {
            return Ok(false);
        }
        let before = out.len();
        loop {
            match self.shared.get(table, key, out) {
                Ok(found) => return Ok(found),
                Err(Failed::Stale) => out.truncate(before),
                Err(Failed::Store(error)) => return Err(error),
            }
        }
    }

    fn begin_write(&self) -> Result<Box<dyn Transaction>, StoreError> {
        if self.shared.options.read_only {
            return Err(StoreError::ReadOnly);
        }
        Ok(Box::new(WriteTransaction::new(Session::new(self.shared.clone(), BEGIN_WRITE))))
    }

    fn snapshot(&self) -> Result<Arc<dyn Engine>, StoreError> {
        let transaction = self.read();
        transaction.session().begin()?;
        Ok(Arc::new(Snapshot::new(self.clone(), Box::new(transaction))))
    }

    fn max_key_size(&self) -> u32 {
        MAX_KEY_SIZE
    }

    fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let sizes = Session::new(self.shared.clone(), BEGIN_READ).sizes()?;
        let tables = lock(&self.shared.tables);
        let size = |(name, no): (&String, &u32)| {
            let (entries, bytes) = sizes.get(no).copied().unwrap_or_default();
            TableSize::new(name.clone(), entries, bytes)
        };
        let mut sizes: Vec<TableSize> = tables.iter().map(size).collect();
        sizes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(sizes)
    }

    fn waits(&self) -> Waits {
        wait::waits()
    }
}
