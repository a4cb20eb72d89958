//! What one would write by hand on an ordered key-value engine, with serde and
//! without a sandbox: the limit for the tracker. It keeps the tracker's tables,
//! byte for byte, and like it does not rewrite what has not changed.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::kv::{Kv, Read, Table, Write};
use super::subject::{BenchError, Change, Peer, Result, Subject};
use crate::Clock;
use crate::types::{FileRecord, FileUpsert, MemoryRecord, SymbolRecord, SymbolUpsert};

#[derive(Serialize, Deserialize, PartialEq, Clone)]
struct File {
    path: String,
    mtime: f64,
    size: i64,
    content_hash: String,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    indexed_at: f64,
    vector_offset: Option<i64>,
    vector_length: Option<i64>,
    detected_contexts: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_team: bool,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Symbol {
    id: u64,
    file_path: String,
    name: String,
    kind: String,
    line_start: i64,
    line_end: Option<i64>,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    vector_offset: Option<i64>,
    vector_length: Option<i64>,
}

#[derive(Deserialize)]
struct Memory {
    id: String,
    task: Option<String>,
    insights: Option<String>,
    context: Option<String>,
    symbol_keys: Option<String>,
    text: String,
    tags: Option<String>,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    created_at: f64,
    updated_at: Option<f64>,
    #[serde(default)]
    access_count: u64,
    #[serde(default)]
    last_accessed: Option<f64>,
    #[serde(default)]
    owner_id: Option<String>,
    #[serde(default)]
    is_team: bool,
}

fn list<T: DeserializeOwned>(text: Option<&str>) -> Result<Vec<T>> {
    Ok(text.map(serde_json::from_str).transpose()?.unwrap_or_default())
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T> {
    Ok(rmp_serde::from_slice(value)?)
}

impl File {
    fn into_record(self) -> Result<FileRecord> {
        Ok(FileRecord {
            detected_contexts: list(self.detected_contexts.as_deref())?,
            path: self.path,
            mtime: self.mtime,
            size: self.size,
            content_hash: self.content_hash,
            blob_offset: self.blob_offset,
            blob_length: self.blob_length,
            key_hash: self.key_hash,
            indexed_at: self.indexed_at,
            vector_offset: self.vector_offset,
            vector_length: self.vector_length,
            is_team: self.is_team,
        })
    }
}

impl Symbol {
    fn into_record(self) -> SymbolRecord {
        SymbolRecord {
            id: self.id,
            file_path: self.file_path,
            name: self.name,
            kind: self.kind,
            line_start: self.line_start,
            line_end: self.line_end,
            blob_offset: self.blob_offset,
            blob_length: self.blob_length,
            key_hash: self.key_hash,
            vector_offset: self.vector_offset,
            vector_length: self.vector_length,
        }
    }
}

impl Memory {
    fn into_record(self) -> Result<MemoryRecord> {
        Ok(MemoryRecord {
            insights: list(self.insights.as_deref())?,
            context: list(self.context.as_deref())?,
            symbol_keys: list(self.symbol_keys.as_deref())?,
            tags: list(self.tags.as_deref())?,
            id: self.id,
            task: self.task,
            text: self.text,
            blob_offset: self.blob_offset,
            blob_length: self.blob_length,
            key_hash: self.key_hash,
            created_at: self.created_at,
            updated_at: self.updated_at,
            vector_offset: None,
            vector_length: None,
            access_count: self.access_count,
            last_accessed: self.last_accessed,
            owner_id: self.owner_id,
            is_team: self.is_team,
        })
    }
}

/// A time as bytes that sort as it does. The benchmark's times are not negative.
fn time(value: f64) -> [u8; 8] {
    (value.to_bits() ^ 1 << 63).to_be_bytes()
}

fn newest(value: f64) -> [u8; 8] {
    (!(value.to_bits() ^ 1 << 63)).to_be_bytes()
}

/// A hand-written peer on an engine.
pub struct Native<K> {
    kv: K,
    clock: Clock,
}

impl<K: Kv> Native<K> {
    /// A peer on this engine.
    pub fn new(kv: K, clock: &Clock) -> Self {
        Native { kv, clock: clock.clone() }
    }
}

fn find_file(reader: &impl Read, path: &[u8]) -> Result<Option<FileRecord>> {
    reader.get(Table::Files, path, |value| decode::<File>(value)?.into_record())
}

/// The files whose paths stand behind a prefix of an index, at most so many.
fn files_behind(reader: &impl Read, index: Table, prefix: &[u8], skip: usize, limit: usize) -> Result<Vec<FileRecord>> {
    let mut paths = Vec::new();
    reader.scan(index, prefix, |key, _| {
        if !key.starts_with(prefix) || paths.len() == limit {
            return Ok(false);
        }
        paths.push(key[skip..].to_vec());
        Ok(true)
    })?;
    Ok(paths.iter().map(|path| find_file(reader, path)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

impl<K: Kv> Subject for Native<K> {
    fn peer(&self) -> Peer {
        K::PEER
    }

    fn set_durable(&mut self, durable: bool) -> Result<()> {
        self.kv.set_durable(durable)
    }

    fn get_file(&mut self, path: &str) -> Result<Option<FileRecord>> {
        find_file(&self.kv.read()?, path.as_bytes())
    }

    fn get_files(&mut self, paths: &[String]) -> Result<Vec<Option<FileRecord>>> {
        let reader = self.kv.read()?;
        paths.iter().map(|path| find_file(&reader, path.as_bytes())).collect()
    }

    fn get_file_by_key(&mut self, key_hash: u64) -> Result<Option<FileRecord>> {
        let reader = self.kv.read()?;
        let found = reader.get(Table::FilesByKey, &key_hash.to_be_bytes(), |path| find_file(&reader, path))?;
        Ok(found.flatten())
    }

    fn get_symbols(&mut self, path: &str) -> Result<Vec<SymbolRecord>> {
        let reader = self.kv.read()?;
        let ids = reader.get(Table::SymbolsByFile, path.as_bytes(), decode::<Vec<u64>>)?.unwrap_or_default();
        let symbols = ids.iter().map(|id| reader.get(Table::Symbols, &id.to_be_bytes(), decode::<Symbol>));
        symbols.filter_map(|symbol| symbol.transpose()).map(|symbol| Ok(symbol?.into_record())).collect()
    }

    fn find_symbols(&mut self, filter: &str) -> Result<Vec<SymbolRecord>> {
        let mut found = Vec::new();
        self.kv.read()?.scan(Table::Symbols, &[], |_, value| {
            let symbol: Symbol = decode(value)?;
            let (name, filter) = (symbol.name.as_bytes(), filter.as_bytes());
            if name.windows(filter.len()).any(|part| part.eq_ignore_ascii_case(filter)) {
                found.push(symbol.into_record());
            }
            Ok(true)
        })?;
        found.sort_by(|a, b| (&a.name, &a.file_path, a.id).cmp(&(&b.name, &b.file_path, b.id)));
        Ok(found)
    }

    fn list_files(&mut self) -> Result<Vec<FileRecord>> {
        let mut files = Vec::new();
        self.kv.read()?.scan(Table::Files, &[], |_, value| {
            files.push(decode::<File>(value)?.into_record()?);
            Ok(true)
        })?;
        Ok(files)
    }

    fn recent_files(&mut self) -> Result<Vec<FileRecord>> {
        files_behind(&self.kv.read()?, Table::FilesByIndexed, &[], 8, 10)
    }

    fn memories_by_tag(&mut self, tag: &str) -> Result<Vec<MemoryRecord>> {
        let reader = self.kv.read()?;
        let prefix = [tag.as_bytes(), &[0]].concat();
        let mut ids: Vec<Vec<u8>> = Vec::new();
        reader.scan(Table::MemoriesByTag, &prefix, |key, _| {
            if !key.starts_with(&prefix) || ids.len() == 50 {
                return Ok(false);
            }
            ids.push(key[prefix.len() + 8..].to_vec());
            Ok(true)
        })?;
        let memories = ids.iter().map(|id| reader.get(Table::Memories, id, decode::<Memory>));
        memories.filter_map(|memory| memory.transpose()).map(|memory| memory?.into_record()).collect()
    }

    fn files_by_context(&mut self, context: &str) -> Result<Vec<FileRecord>> {
        let prefix = [context.as_bytes(), &[0]].concat();
        files_behind(&self.kv.read()?, Table::FilesByContext, &prefix, prefix.len(), usize::MAX)
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        let now = self.clock.now().as_secs_f64();
        self.kv.write(|writer| {
            let mut tallies = HashMap::new();
            change.files.iter().try_for_each(|file| put_file(writer, file, now, &mut tallies))?;
            let mut counter = None;
            for (file, symbols) in change.files.iter().zip(&change.symbols) {
                replace_symbols(writer, &file.path, symbols, &mut counter)?;
            }
            if let Some(counter) = counter {
                writer.put(Table::Counters, b"symbols", &u64::to_be_bytes(counter))?;
            }
            add_tallies(writer, tallies)
        })
    }

    fn upsert_file(&mut self, file: &FileUpsert) -> Result<()> {
        let now = self.clock.now().as_secs_f64();
        self.kv.write(|writer| {
            let mut tallies = HashMap::new();
            put_file(writer, file, now, &mut tallies)?;
            add_tallies(writer, tallies)
        })
    }
}

// Writing

/// Names the owner of a key hash: the first in byte order, others elsewhere.
fn add_owner(writer: &mut impl Write, table: Table, more: Table, key_hash: u64, owner: &[u8]) -> Result<()> {
    let key = key_hash.to_be_bytes();
    let stored = writer.get(table, &key, |first| Ok(first.to_vec()))?;
    match stored {
        None => writer.put(table, &key, owner),
        Some(first) if first == owner => Ok(()),
        Some(first) if *first < *owner => writer.put(more, &[&key, owner].concat(), &[]),
        Some(first) => {
            writer.put(more, &[&key, &first[..]].concat(), &[])?;
            writer.put(table, &key, owner)
        }
    }
}

fn put_file(writer: &mut impl Write, file: &FileUpsert, now: f64, tallies: &mut HashMap<String, i64>) -> Result<()> {
    let path = file.path.as_bytes();
    let old = writer.get(Table::Files, path, decode::<File>)?;
    let new = File {
        path: file.path.clone(),
        mtime: file.mtime,
        size: file.size,
        content_hash: file.content_hash.clone(),
        blob_offset: file.blob_offset,
        blob_length: file.blob_length,
        key_hash: file.key_hash,
        indexed_at: now,
        vector_offset: old.as_ref().and_then(|old| old.vector_offset),
        vector_length: old.as_ref().and_then(|old| old.vector_length),
        detected_contexts: (!file.contexts.is_empty())
            .then(|| format!("[{}]", file.contexts.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", "))),
        is_team: false,
    };
    if old.as_ref() == Some(&new) {
        return Ok(());
    }
    writer.put(Table::Files, path, &rmp_serde::to_vec_named(&new)?)?;
    if let Some(old) = &old {
        if old.key_hash != new.key_hash || new.vector_offset.is_some() {
            return Err(BenchError::Unsupported("changing a key hash or a file with a vector"));
        }
        if old.mtime != new.mtime {
            writer.delete(Table::FilesByMtime, &[&time(old.mtime), path].concat())?;
        }
        if old.indexed_at != new.indexed_at {
            writer.delete(Table::FilesByIndexed, &[&newest(old.indexed_at), path].concat())?;
        }
    } else {
        add_owner(writer, Table::FilesByKey, Table::FilesByKeyMore, new.key_hash, path)?;
    }
    if old.as_ref().map(|old| old.mtime) != Some(new.mtime) {
        writer.put(Table::FilesByMtime, &[&time(new.mtime), path].concat(), &[])?;
    }
    if old.as_ref().map(|old| old.indexed_at) != Some(new.indexed_at) {
        writer.put(Table::FilesByIndexed, &[&newest(new.indexed_at), path].concat(), &[])?;
    }
    let before: Vec<String> = list(old.as_ref().and_then(|old| old.detected_contexts.as_deref()))?;
    for gone in before.iter().filter(|context| !file.contexts.contains(context)) {
        writer.delete(Table::FilesByContext, &[gone.as_bytes(), &[0], path].concat())?;
        *tallies.entry(gone.clone()).or_default() -= 1;
    }
    for come in file.contexts.iter().filter(|context| !before.contains(context)) {
        writer.put(Table::FilesByContext, &[come.as_bytes(), &[0], path].concat(), &[])?;
        *tallies.entry(come.clone()).or_default() += 1;
    }
    Ok(())
}

/// The kind of the tallies of contexts in files.
const FILE_CONTEXT: u8 = 1;

fn number(value: &[u8]) -> Result<u64> {
    value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(BenchError::Unsupported("a short number"))
}

fn add_tallies(writer: &mut impl Write, tallies: HashMap<String, i64>) -> Result<()> {
    for (context, by) in tallies.into_iter().filter(|(_, by)| *by != 0) {
        let key = [&[FILE_CONTEXT], context.as_bytes()].concat();
        let before = writer.get(Table::Tallies, &key, number)?.unwrap_or(0).cast_signed();
        match before + by {
            0 => writer.delete(Table::Tallies, &key)?,
            after => writer.put(Table::Tallies, &key, &after.cast_unsigned().to_be_bytes())?,
        }
    }
    Ok(())
}

/// FNV-1a: what stands for a path where only equality matters.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

fn replace_symbols(
    writer: &mut impl Write,
    path: &str,
    symbols: &[SymbolUpsert],
    counter: &mut Option<u64>,
) -> Result<()> {
    let old_ids = writer.get(Table::SymbolsByFile, path.as_bytes(), decode::<Vec<u64>>)?.unwrap_or_default();
    let mut known: HashMap<(String, String, i64), Symbol> = HashMap::with_capacity(old_ids.len());
    for id in old_ids.iter().rev() {
        if let Some(symbol) = writer.get(Table::Symbols, &id.to_be_bytes(), decode::<Symbol>)? {
            known.insert((symbol.name.clone(), symbol.kind.clone(), symbol.line_start), symbol);
        }
    }
    let mut ids = old_ids.clone();
    let hash = fnv(path.as_bytes()).to_be_bytes();
    let mut groups: HashMap<&str, Vec<[u8; 16]>> = HashMap::new();
    for s in symbols {
        let old = known.remove(&(s.name.clone(), s.kind.clone(), s.line_start));
        let id = match &old {
            Some(old) => old.id,
            None => {
                let last = match *counter {
                    Some(last) => last,
                    None => writer.get(Table::Counters, b"symbols", number)?.unwrap_or(0),
                };
                *counter.insert(last + 1)
            }
        };
        let new = Symbol {
            id,
            file_path: path.to_owned(),
            name: s.name.clone(),
            kind: s.kind.clone(),
            line_start: s.line_start,
            line_end: s.line_end,
            blob_offset: s.blob_offset,
            blob_length: s.blob_length,
            key_hash: s.key_hash,
            vector_offset: old.as_ref().and_then(|old| old.vector_offset),
            vector_length: old.as_ref().and_then(|old| old.vector_length),
        };
        if old.as_ref() == Some(&new) {
            continue;
        }
        let key = id.to_be_bytes();
        writer.put(Table::Symbols, &key, &rmp_serde::to_vec_named(&new)?)?;
        match old {
            Some(old) if old.key_hash != new.key_hash || old.vector_offset.is_some() => {
                return Err(BenchError::Unsupported("changing a key hash or a symbol with a vector"));
            }
            Some(_) => {}
            None => {
                add_owner(writer, Table::SymbolsByKey, Table::SymbolsByKeyMore, new.key_hash, &key)?;
                let by_name = [s.name.as_bytes(), &[0], s.kind.as_bytes(), &[0], &hash, &key].concat();
                writer.put(Table::SymbolsByName, &by_name, &key)?;
                let mut member = [0; 16];
                member[..8].copy_from_slice(&(s.line_start.cast_unsigned() ^ 1 << 63).to_be_bytes());
                member[8..].copy_from_slice(&key);
                groups.entry(&s.kind).or_default().push(member);
                ids.push(id);
            }
        }
    }
    if !known.is_empty() {
        return Err(BenchError::Unsupported("removing symbols"));
    }
    if ids != old_ids {
        ids.sort_unstable();
        writer.put(Table::SymbolsByFile, path.as_bytes(), &rmp_serde::to_vec(&ids)?)?;
    }
    for (kind, mut members) in groups {
        let key = [kind.as_bytes(), &[0], path.as_bytes()].concat();
        if let Some(before) = writer.get(Table::SymbolsByKind, &key, |value| Ok(value.to_vec()))? {
            members.extend(before.as_chunks::<16>().0);
        }
        members.sort_unstable();
        writer.put(Table::SymbolsByKind, &key, &members.concat())?;
    }
    Ok(())
}
