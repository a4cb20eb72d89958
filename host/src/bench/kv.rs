//! The engines that the hand-written peers run on: LMDB and redb, with the
//! tables of a tracker's store.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use super::subject::{BenchError, Peer, Result, io};
use crate::lend;

/// The tables that the peers read and write.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "they are those of the guest")]
pub enum Table {
    Files,
    FilesByKey,
    FilesByKeyMore,
    FilesByMtime,
    FilesByIndexed,
    FilesByContext,
    Symbols,
    SymbolsByFile,
    SymbolsByKey,
    SymbolsByKeyMore,
    SymbolsByName,
    SymbolsByKind,
    Memories,
    MemoriesByTag,
    Tallies,
    Counters,
}

/// Their names, in the order of the enum.
const NAMES: [&str; 16] = [
    "files",
    "files_by_key",
    "files_by_key_more",
    "files_by_mtime",
    "files_by_indexed",
    "files_by_context",
    "symbols",
    "symbols_by_file",
    "symbols_by_key",
    "symbols_by_key_more",
    "symbols_by_name",
    "symbols_by_kind",
    "memories",
    "memories_by_tag",
    "tallies",
    "counters",
];

/// Reading.
pub trait Read {
    /// What `f` makes of the value of a key.
    fn get<T>(&self, table: Table, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>>;
    /// Visits entries from `start` on until `visit` returns false.
    fn scan(&self, table: Table, start: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()>;
}

/// Writing.
pub trait Write: Read {
    /// Puts an entry.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()>;
    /// Deletes an entry.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()>;
}

/// An engine.
pub trait Kv {
    /// Which peer this engine makes.
    const PEER: Peer;
    /// A snapshot.
    type Reader<'a>: Read
    where
        Self: 'a;
    /// A write transaction.
    type Writer<'a>: Write;
    /// From now on commits survive a loss of power, or not.
    fn set_durable(&mut self, durable: bool) -> Result<()>;
    /// Begins a read transaction.
    fn read(&self) -> Result<Self::Reader<'_>>;
    /// Runs a write transaction and commits it.
    fn write(&self, f: impl FnOnce(&mut Self::Writer<'_>) -> Result<()>) -> Result<()>;
}

/// LMDB, through heed, as the tracker's host uses it.
pub struct Lmdb {
    /// None only while it is opened again.
    opened: Option<Opened>,
    path: std::path::PathBuf,
}

struct Opened {
    env: Env<WithoutTls>,
    tables: [Option<LmdbTable>; NAMES.len()],
}

type LmdbTable = Database<'static, Bytes, Bytes>;

/// What the environment may grow to: only address space.
const MAP_SIZE: usize = 64 << 30;

impl Lmdb {
    /// Opens a copy of a tracker's environment.
    pub fn open(path: &Path, durable: bool) -> Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_SIZE).max_dbs(64);
        if !durable {
            lend::set_flags(&mut options, EnvFlags::NO_SYNC);
        }
        let env = lend::open_env(&options, path)?;
        let found = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
            let mut tables = [const { None }; NAMES.len()];
            for (slot, name) in tables.iter_mut().zip(NAMES) {
                *slot = opener.open_database::<Bytes, Bytes>(txn, Some(name))?;
            }
            Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(tables))
        });
        let CommitOrAbort::Commit(tables) = found? else { return Err(NOT_OPEN) };
        Ok(Lmdb { opened: Some(Opened { env, tables }), path: path.to_owned() })
    }

    fn opened(&self) -> Result<&Opened> {
        self.opened.as_ref().ok_or(NOT_OPEN)
    }
}

const NOT_OPEN: BenchError = BenchError::Unsupported("an environment that could not be opened");

impl Opened {
    fn table(tables: &[Option<LmdbTable>], table: Table) -> Result<LmdbTable> {
        tables[table as usize].ok_or(BenchError::NoData(NAMES[table as usize]))
    }
}

/// A snapshot of LMDB.
pub struct LmdbReader<'a> {
    txn: RoTxn<'a, WithoutTls>,
    tables: &'a [Option<LmdbTable>],
}

/// A write transaction of LMDB.
pub struct LmdbWriter<'a> {
    txn: RwTxn<'a>,
    tables: &'a [Option<LmdbTable>],
}

fn lmdb_get<T>(table: LmdbTable, txn: &RoTxn, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
    table.get(txn, key)?.map(f).transpose()
}

fn lmdb_scan(
    table: LmdbTable,
    txn: &RoTxn,
    start: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
) -> Result<()> {
    let from = if start.is_empty() { std::ops::Bound::Unbounded } else { std::ops::Bound::Included(start) };
    for entry in table.range(txn, &(from, std::ops::Bound::Unbounded))? {
        let (key, value) = entry?;
        if !visit(key, value)? {
            break;
        }
    }
    Ok(())
}

impl Read for LmdbReader<'_> {
    fn get<T>(&self, table: Table, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        lmdb_get(Opened::table(self.tables, table)?, &self.txn, key, f)
    }
    fn scan(&self, table: Table, start: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        lmdb_scan(Opened::table(self.tables, table)?, &self.txn, start, visit)
    }
}

impl Read for LmdbWriter<'_> {
    fn get<T>(&self, table: Table, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        lmdb_get(Opened::table(self.tables, table)?, &self.txn, key, f)
    }
    fn scan(&self, table: Table, start: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        lmdb_scan(Opened::table(self.tables, table)?, &self.txn, start, visit)
    }
}

impl Write for LmdbWriter<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(Opened::table(self.tables, table)?.put(&mut self.txn, key, value)?)
    }
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        Opened::table(self.tables, table)?.delete(&mut self.txn, key)?;
        Ok(())
    }
}

impl Kv for Lmdb {
    const PEER: Peer = Peer::Heed;
    type Reader<'a> = LmdbReader<'a>;
    type Writer<'a> = LmdbWriter<'a>;

    fn set_durable(&mut self, durable: bool) -> Result<()> {
        // The environment is opened once in a process, so the old one goes first.
        if let Some(Opened { env, .. }) = self.opened.take() {
            env.prepare_for_closing().wait();
        }
        *self = Lmdb::open(&self.path, durable)?;
        Ok(())
    }
    fn read(&self) -> Result<LmdbReader<'_>> {
        let Opened { env, tables } = self.opened()?;
        Ok(LmdbReader { txn: env.read_txn()?, tables })
    }
    fn write(&self, f: impl FnOnce(&mut LmdbWriter<'_>) -> Result<()>) -> Result<()> {
        let Opened { env, tables } = self.opened()?;
        let mut writer = LmdbWriter { txn: env.write_txn()?, tables };
        f(&mut writer)?;
        Ok(writer.txn.commit()?)
    }
}

/// redb.
pub struct Redb {
    database: redb::Database,
    durable: bool,
}

const fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// redb's errors are one type each call.
fn redb<E: Into<redb::Error>>(error: E) -> BenchError {
    BenchError::Redb(Box::new(error.into()))
}

impl Redb {
    /// Makes a database with the entries of the LMDB peer.
    pub fn fill(path: &Path, from: &Lmdb) -> Result<Self> {
        if path.exists() {
            std::fs::remove_file(path).map_err(io(path))?;
        }
        let database = redb::Database::create(path).map_err(redb)?;
        let txn = database.begin_write().map_err(redb)?;
        let reader = from.read()?;
        for (name, source) in NAMES.iter().zip(&from.opened()?.tables) {
            let mut table = txn.open_table(definition(name)).map_err(redb)?;
            let Some(source) = source else { continue };
            lmdb_scan(*source, &reader.txn, &[], |key, value| {
                table.insert(key, value).map_err(redb)?;
                Ok(true)
            })?;
        }
        txn.commit().map_err(redb)?;
        Ok(Redb { database, durable: true })
    }
}

/// A snapshot of redb.
pub struct RedbReader {
    txn: redb::ReadTransaction,
}

/// A write transaction of redb, with its tables opened.
pub struct RedbWriter<'a> {
    tables: Vec<redb::Table<'a, &'static [u8], &'static [u8]>>,
}

fn redb_scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    start: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
) -> Result<()> {
    for entry in table.range::<&[u8]>(start..).map_err(redb)? {
        let (key, value) = entry.map_err(redb)?;
        if !visit(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

impl Read for RedbReader {
    fn get<T>(&self, table: Table, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        let table = self.txn.open_table(definition(NAMES[table as usize])).map_err(redb)?;
        table.get(key).map_err(redb)?.map(|value| f(value.value())).transpose()
    }
    fn scan(&self, table: Table, start: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        redb_scan(&self.txn.open_table(definition(NAMES[table as usize])).map_err(redb)?, start, visit)
    }
}

impl Read for RedbWriter<'_> {
    fn get<T>(&self, table: Table, key: &[u8], f: impl FnOnce(&[u8]) -> Result<T>) -> Result<Option<T>> {
        self.tables[table as usize].get(key).map_err(redb)?.map(|value| f(value.value())).transpose()
    }
    fn scan(&self, table: Table, start: &[u8], visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        redb_scan(&self.tables[table as usize], start, visit)
    }
}

impl Write for RedbWriter<'_> {
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        self.tables[table as usize].insert(key, value).map_err(redb)?;
        Ok(())
    }
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<()> {
        self.tables[table as usize].remove(key).map_err(redb)?;
        Ok(())
    }
}

impl Kv for Redb {
    const PEER: Peer = Peer::Redb;
    type Reader<'a> = RedbReader;
    type Writer<'a> = RedbWriter<'a>;

    fn set_durable(&mut self, durable: bool) -> Result<()> {
        self.durable = durable;
        Ok(())
    }
    fn read(&self) -> Result<RedbReader> {
        Ok(RedbReader { txn: self.database.begin_read().map_err(redb)? })
    }
    fn write(&self, f: impl FnOnce(&mut RedbWriter<'_>) -> Result<()>) -> Result<()> {
        let mut txn = self.database.begin_write().map_err(redb)?;
        let durability = if self.durable { redb::Durability::Immediate } else { redb::Durability::None };
        txn.set_durability(durability).map_err(redb)?;
        {
            let tables =
                NAMES.iter().map(|name| txn.open_table(definition(name))).collect::<std::result::Result<_, _>>();
            f(&mut RedbWriter { tables: tables.map_err(redb)? })?;
        }
        txn.commit().map_err(redb)
    }
}
