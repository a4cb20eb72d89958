//! SQLite with the schema and indexes of the reference: prepared statements, WAL.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Row, params};

use super::subject::{Change, Peer, Result, Subject};
use crate::Clock;
use crate::types::{FileRecord, FileUpsert, MemoryRecord, SymbolRecord, SymbolUpsert};

/// rusqlite.
pub struct SqliteSubject {
    connection: Connection,
    clock: Clock,
}

const FILE: &str = "path, mtime, size, content_hash, blob_offset, blob_length, key_hash, indexed_at, vector_offset, \
                    vector_length, detected_contexts";
const SYMBOL: &str = "id, file_path, name, kind, line_start, line_end, blob_offset, blob_length, key_hash, \
                      vector_offset, vector_length";

macro_rules! sql {
    ($($part:expr),+) => { &[$($part),+].concat() };
}

fn list<T: serde::de::DeserializeOwned>(text: Option<String>) -> rusqlite::Result<Vec<T>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

fn json(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::Value::from(texts).to_string())
}

fn file(row: &Row<'_>) -> rusqlite::Result<FileRecord> {
    Ok(FileRecord {
        path: row.get(0)?,
        mtime: row.get(1)?,
        size: row.get(2)?,
        content_hash: row.get(3)?,
        blob_offset: row.get(4)?,
        blob_length: row.get(5)?,
        key_hash: row.get::<_, i64>(6)?.cast_unsigned(),
        indexed_at: row.get(7)?,
        vector_offset: row.get(8)?,
        vector_length: row.get(9)?,
        detected_contexts: list(row.get(10)?)?,
        is_team: false,
    })
}

fn symbol(row: &Row<'_>) -> rusqlite::Result<SymbolRecord> {
    Ok(SymbolRecord {
        id: row.get::<_, i64>(0)?.cast_unsigned(),
        file_path: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        line_start: row.get(4)?,
        line_end: row.get(5)?,
        blob_offset: row.get(6)?,
        blob_length: row.get(7)?,
        key_hash: row.get::<_, i64>(8)?.cast_unsigned(),
        vector_offset: row.get(9)?,
        vector_length: row.get(10)?,
    })
}

fn memory(row: &Row<'_>) -> rusqlite::Result<MemoryRecord> {
    Ok(MemoryRecord {
        id: row.get(0)?,
        task: row.get(1)?,
        insights: list(row.get(2)?)?,
        context: list(row.get(3)?)?,
        symbol_keys: list(row.get(4)?)?,
        text: row.get(5)?,
        tags: list(row.get(6)?)?,
        blob_offset: row.get(7)?,
        blob_length: row.get(8)?,
        key_hash: row.get::<_, i64>(9)?.cast_unsigned(),
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        vector_offset: None,
        vector_length: None,
        access_count: 0,
        last_accessed: None,
        owner_id: None,
        is_team: false,
    })
}

impl SqliteSubject {
    /// Opens a database as the reference does.
    pub fn open(path: &Path, clock: &Clock) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // The bundled SQLite switches them on; FileTracker never does.
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut subject = SqliteSubject { connection, clock: clock.clone() };
        subject.set_durable(true)?;
        Ok(subject)
    }

    fn now(&self) -> f64 {
        self.clock.now().as_secs_f64()
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        take: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params, take)?.collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    fn row<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        take: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        Ok(rows.next()?.map(take).transpose()?)
    }

    fn put_file(&self, file: &FileUpsert) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO files (path, mtime, size, content_hash, blob_offset, blob_length, key_hash, indexed_at, \
                 detected_contexts) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT(path) DO UPDATE SET \
                 mtime=excluded.mtime, size=excluded.size, content_hash=excluded.content_hash, \
                 blob_offset=excluded.blob_offset, blob_length=excluded.blob_length, key_hash=excluded.key_hash, \
                 indexed_at=excluded.indexed_at, detected_contexts=excluded.detected_contexts",
            )?
            .execute(params![
                file.path,
                file.mtime,
                file.size,
                file.content_hash,
                file.blob_offset,
                file.blob_length,
                file.key_hash.cast_signed(),
                self.now(),
                json(&file.contexts)
            ])?;
        Ok(())
    }

    fn replace_symbols(&self, path: &str, symbols: &[SymbolUpsert]) -> Result<()> {
        let known: Vec<(i64, String, String, i64)> = self.rows(
            "SELECT id, name, kind, line_start FROM symbols WHERE file_path = ?1 ORDER BY id DESC",
            [path],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let mut known: HashMap<(&str, &str, i64), i64> =
            known.iter().map(|(id, name, kind, line)| ((&**name, &**kind, *line), *id)).collect();
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO symbols (file_path, name, kind, line_start, line_end, blob_offset, blob_length, key_hash) \
             VALUES (?,?,?,?,?,?,?,?)",
        )?;
        let mut update = self.connection.prepare_cached(
            "UPDATE symbols SET line_end = ?, blob_offset = ?, blob_length = ?, key_hash = ? WHERE id = ?",
        )?;
        for s in symbols {
            let key_hash = s.key_hash.cast_signed();
            match known.remove(&(&*s.name, &*s.kind, s.line_start)) {
                Some(id) => update.execute(params![s.line_end, s.blob_offset, s.blob_length, key_hash, id])?,
                None => insert.execute(params![
                    path,
                    s.name,
                    s.kind,
                    s.line_start,
                    s.line_end,
                    s.blob_offset,
                    s.blob_length,
                    key_hash
                ])?,
            };
        }
        let mut delete = self.connection.prepare_cached("DELETE FROM symbols WHERE id = ?")?;
        for id in known.into_values() {
            delete.execute([id])?;
        }
        Ok(())
    }
}

impl Subject for SqliteSubject {
    fn peer(&self) -> Peer {
        Peer::Rusqlite
    }

    fn set_durable(&mut self, durable: bool) -> Result<()> {
        self.connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        Ok(())
    }

    fn get_file(&mut self, path: &str) -> Result<Option<FileRecord>> {
        self.row(sql!("SELECT ", FILE, " FROM files WHERE path = ?1"), [path], file)
    }

    fn get_files(&mut self, paths: &[String]) -> Result<Vec<Option<FileRecord>>> {
        let transaction = self.connection.unchecked_transaction()?;
        let found = paths
            .iter()
            .map(|path| self.row(sql!("SELECT ", FILE, " FROM files WHERE path = ?1"), [path], file))
            .collect();
        transaction.commit()?;
        found
    }

    fn get_file_by_key(&mut self, key_hash: u64) -> Result<Option<FileRecord>> {
        self.row(sql!("SELECT ", FILE, " FROM files WHERE key_hash = ?1"), [key_hash.cast_signed()], file)
    }

    fn get_symbols(&mut self, path: &str) -> Result<Vec<SymbolRecord>> {
        self.rows(sql!("SELECT ", SYMBOL, " FROM symbols WHERE file_path = ?1"), [path], symbol)
    }

    fn find_symbols(&mut self, filter: &str) -> Result<Vec<SymbolRecord>> {
        self.rows(
            sql!("SELECT ", SYMBOL, " FROM symbols WHERE name LIKE ?1 ORDER BY name, file_path, id"),
            [format!("%{filter}%")],
            symbol,
        )
    }

    fn list_files(&mut self) -> Result<Vec<FileRecord>> {
        self.rows(sql!("SELECT ", FILE, " FROM files ORDER BY path"), [], file)
    }

    fn recent_files(&mut self) -> Result<Vec<FileRecord>> {
        self.rows(sql!("SELECT ", FILE, " FROM files ORDER BY indexed_at DESC LIMIT 10"), [], file)
    }

    fn memories_by_tag(&mut self, tag: &str) -> Result<Vec<MemoryRecord>> {
        self.rows(
            "SELECT id, task, insights, context, symbol_keys, text, tags, blob_offset, blob_length, key_hash, \
             created_at, updated_at FROM memories WHERE tags LIKE ?1 ORDER BY created_at DESC LIMIT 50 OFFSET 0",
            [format!("%\"{tag}\"%")],
            memory,
        )
    }

    fn files_by_context(&mut self, context: &str) -> Result<Vec<FileRecord>> {
        self.rows(
            sql!("SELECT ", FILE, " FROM files WHERE detected_contexts LIKE ?1 ORDER BY path"),
            [format!("%\"{context}\"%")],
            file,
        )
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        for (file, symbols) in change.files.iter().zip(&change.symbols) {
            self.put_file(file)?;
            self.replace_symbols(&file.path, symbols)?;
        }
        Ok(transaction.commit()?)
    }

    fn upsert_file(&mut self, file: &FileUpsert) -> Result<()> {
        self.put_file(file)
    }
}
