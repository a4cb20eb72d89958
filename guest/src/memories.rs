//! Memories.

use crate::error::{Error, Result};
use crate::files::TIME;
use crate::index::{Sink, Tally, VectorKind};
use crate::json;
use crate::key::Key;
use crate::list;
use crate::record::{Record, msgpack_record, record};
use crate::scan::Scan;
use crate::session::{self, now, read, write};
use crate::table::Table;
use crate::types::{MemoryPage, MemoryRecord};
use crate::view::View;
use crate::write::Writer;

record! {
    /// A memory.
    Memory as MemoryRow {
        id: &'a str,
        #[serde(borrow)]
        task: Option<&'a str>,
        #[serde(borrow)]
        insights: Option<&'a str>,
        #[serde(borrow)]
        context: Option<&'a str>,
        #[serde(borrow)]
        symbol_keys: Option<&'a str>,
        text: &'a str,
        #[serde(borrow)]
        tags: Option<&'a str>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        created_at: f64,
        updated_at: Option<f64>,
        vector_offset: Option<i64>,
        vector_length: Option<i64>,
    }
    later {
        access_count: u64,
        last_accessed: Option<f64>,
        #[serde(borrow)]
        owner_id: Option<&'a str>,
        #[serde(deserialize_with = "crate::field::flag")]
        is_team: bool,
    }
}

/// What memories can be found by: the index and the tally of each.
#[derive(Clone, Copy)]
enum By {
    Task,
    Context,
    Insight,
    Tag,
}

impl By {
    const fn table(self) -> Table {
        match self {
            By::Task => Table::MemoriesByTask,
            By::Context => Table::MemoriesByContext,
            By::Insight => Table::MemoriesByInsight,
            By::Tag => Table::MemoriesByTag,
        }
    }
    const fn tally(self) -> Tally {
        match self {
            By::Task => Tally::MemoryTask,
            By::Context => Tally::MemoryContext,
            By::Insight => Tally::MemoryInsight,
            By::Tag => Tally::MemoryTag,
        }
    }
}

impl<'a> Record<'a> for Memory<'a> {
    msgpack_record!(MemoryRow, Memories);

    fn key(&self) -> Key {
        Key::of_text(self.id)
    }

    fn index(&self, sink: &mut dyn Sink) {
        sink.entry_with(Table::MemoriesByKey, Key::of_u64(self.key_hash), self.id.as_bytes());
        sink.entry(Table::MemoriesByCreated, Key::new().newest(self.created_at).tail(self.id));
        let mut by = |by: By, mut items: Vec<String>| {
            items.sort_unstable();
            items.dedup();
            for item in items {
                sink.entry(by.table(), Key::new().segment(&item).newest(self.created_at).tail(self.id));
                sink.tally(by.tally(), &item, 1);
            }
        };
        by(By::Task, self.task.iter().map(|task| (*task).to_owned()).collect());
        by(By::Context, json::texts(self.context));
        by(By::Insight, json::texts(self.insights));
        by(By::Tag, json::texts(self.tags));
        sink.vector(VectorKind::Memory, self.vector_offset, self.vector_length, self.id.as_bytes());
    }

    fn warnings(&self, report: &mut dyn FnMut(&str)) {
        for (column, json) in [("insights", self.insights), ("context", self.context), ("tags", self.tags)] {
            if json::malformed_texts(json) {
                report(&format!("{column} is not a JSON list of strings; it is shown as empty"));
            }
        }
        if self.symbol_keys.is_some_and(|keys| json::parse_numbers(keys).is_none()) {
            report("symbol_keys is not a JSON list of unsigned numbers; it is shown as empty");
        }
    }
}

impl Memory<'_> {
    /// The record that callers get.
    fn to_record(&self) -> MemoryRecord {
        MemoryRecord {
            id: self.id.to_owned(),
            task: self.task.map(str::to_owned),
            insights: json::texts(self.insights),
            context: json::texts(self.context),
            symbol_keys: json::numbers(self.symbol_keys),
            text: self.text.to_owned(),
            tags: json::texts(self.tags),
            blob_offset: self.blob_offset,
            blob_length: self.blob_length,
            key_hash: self.key_hash,
            created_at: self.created_at,
            updated_at: self.updated_at,
            vector_offset: self.vector_offset,
            vector_length: self.vector_length,
            access_count: self.access_count,
            last_accessed: self.last_accessed,
            owner_id: self.owner_id.map(str::to_owned),
            is_team: self.is_team,
        }
    }

    /// The same, as the lists give it: without its vector.
    fn to_listed(&self) -> MemoryRecord {
        MemoryRecord { vector_offset: None, vector_length: None, ..self.to_record() }
    }
}

// Look-ups

/// The id of the memory that has a key hash.
fn owner(writer: &Writer, key_hash: u64) -> Result<Option<String>> {
    let stored = writer.find(Table::MemoriesByKey, &Key::of_u64(key_hash))?;
    stored.map(|stored| Ok(list::text_after(Table::MemoriesByKey, &stored.value, 0)?.to_owned())).transpose()
}

pub fn get(id: &str) -> Result<Option<MemoryRecord>> {
    session::find(Table::Memories, &Key::of_text(id), |stored| Ok(stored.decode::<Memory>()?.to_record()))
}

pub fn get_by_key(key_hash: u64) -> Result<Option<MemoryRecord>> {
    session::find_by_key(
        Table::MemoriesByKey,
        key_hash,
        Table::Memories,
        |id| Ok(Key::of_text(list::text_after(Table::MemoriesByKey, id, 0)?)),
        |stored| {
            let memory = stored.decode::<Memory>()?;
            Ok((memory.key_hash == key_hash).then(|| memory.to_record()))
        },
    )
}

// Writes

pub fn upsert(new: &MemoryRecord) -> Result<()> {
    write(|writer| {
        let stored = writer.find(Table::Memories, &Key::of_text(&new.id))?;
        let old = stored.as_ref().map(|stored| stored.decode::<Memory>()).transpose()?;
        let now = now();
        let (insights, context) = (json::dump_texts(&new.insights), json::dump_texts(&new.context));
        let (symbol_keys, tags) = (json::dump_numbers(&new.symbol_keys), json::dump_texts(&new.tags));
        let memory = Memory {
            id: &new.id,
            task: new.task.as_deref(),
            insights: Some(&insights),
            context: Some(&context),
            symbol_keys: Some(&symbol_keys),
            text: &new.text,
            tags: Some(&tags),
            blob_offset: new.blob_offset,
            blob_length: new.blob_length,
            key_hash: new.key_hash,
            created_at: old.as_ref().map_or(now, |old| old.created_at),
            updated_at: old.as_ref().map(|_| now),
            vector_offset: old.as_ref().and_then(|old| old.vector_offset),
            vector_length: old.as_ref().and_then(|old| old.vector_length),
            access_count: 0,
            last_accessed: None,
            owner_id: new.owner_id.as_deref(),
            is_team: new.is_team,
        };
        put(writer, old.as_ref(), &memory)
    })
}

/// Puts a memory unless its key hash belongs to another one.
pub fn put(writer: &mut Writer, old: Option<&Memory>, new: &Memory) -> Result<()> {
    if let Some(owner) = owner(writer, new.key_hash)?.filter(|owner| owner != new.id) {
        return Err(Error::KeyConflict(format!("key hash {} belongs to memory {owner:?}", new.key_hash)));
    }
    writer.change(old, Some(new));
    Ok(())
}

pub fn delete(id: &str) -> Result<bool> {
    write(|writer| match writer.find(Table::Memories, &Key::of_text(id))? {
        None => Ok(false),
        Some(stored) => {
            writer.remove(&stored.decode::<Memory>()?);
            Ok(true)
        }
    })
}

/// Changes the memory with this id. False if there is none.
fn modify(writer: &mut Writer, id: &str, change: impl FnOnce(&mut Memory)) -> Result<bool> {
    let Some(stored) = writer.find(Table::Memories, &Key::of_text(id))? else { return Ok(false) };
    let old = stored.decode::<Memory>()?;
    let mut new = old.clone();
    change(&mut new);
    writer.change(Some(&old), Some(&new));
    Ok(true)
}

pub fn update_vector(key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    write(|writer| set_vector(writer, key_hash, offset, length))
}

/// Sets the vector of the memory with this key hash.
pub fn set_vector(writer: &mut Writer, key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    let Some(id) = owner(writer, key_hash)? else { return Ok(false) };
    modify(writer, &id, |memory| (memory.vector_offset, memory.vector_length) = (Some(offset), Some(length)))
}

pub fn record_access(id: &str) -> Result<bool> {
    write(|writer| {
        modify(writer, id, |memory| {
            memory.access_count = memory.access_count.saturating_add(1);
            memory.last_accessed = Some(now());
        })
    })
}

// Queries

/// The memories that index keys name behind their first `skip` bytes.
fn fetch<T>(
    view: &View,
    index: Table,
    keys: &[Vec<u8>],
    skip: usize,
    mut take: impl FnMut(Memory) -> T,
) -> Result<Vec<T>> {
    let memories = view.get_many(Table::Memories, list::named(index, keys, skip)?)?;
    (0..memories.len()).map(|i| Ok(take(memories.require::<Memory>(i)?))).collect()
}

pub fn query(
    task: Option<&str>,
    contexts: &[String],
    insights: &[String],
    tags: &[String],
    limit: u32,
    offset: u32,
) -> Result<Vec<MemoryRecord>> {
    let (limit, mut offset) = (limit as usize, offset as usize);
    let task = task.filter(|task| !task.is_empty());
    let conditions: Vec<(By, &str)> = task
        .map(|task| (By::Task, task))
        .into_iter()
        .chain(contexts.iter().map(|item| (By::Context, item.as_str())))
        .chain(insights.iter().map(|item| (By::Insight, item.as_str())))
        .chain(tags.iter().map(|item| (By::Tag, item.as_str())))
        .collect();
    read(|view| {
        // The rarest condition is looked up, the others are checked.
        let mut rarest: Option<(i64, By, &str)> = None;
        if conditions.len() > 1 {
            for (by, item) in &conditions {
                let count = list::tally(view, by.tally(), item)?;
                if rarest.is_none_or(|(least, ..)| count < least) {
                    rarest = Some((count, *by, item));
                }
            }
        } else {
            rarest = conditions.first().map(|(by, item)| (0, *by, *item));
        }
        let (index, prefix) = match rarest {
            Some((_, by, item)) => (by.table(), Key::new().segment(item).into_bytes()),
            None => (Table::MemoriesByCreated, Vec::new()),
        };
        let skip = prefix.len() + TIME;
        let checked = conditions.len() > 1;
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while found.len() < limit {
            let wanted = if checked { 256 } else { (limit - found.len()).saturating_add(offset).min(1024) } as u32;
            let (keys, next) = list::keys(Scan::prefix(view, index, &prefix), after.as_deref(), wanted)?;
            if checked {
                for memory in fetch(view, index, &keys, skip, |memory| {
                    matches(&memory, task, contexts, insights, tags).then(|| memory.to_listed())
                })?
                .into_iter()
                .flatten()
                {
                    if offset > 0 {
                        offset -= 1;
                    } else if found.len() < limit {
                        found.push(memory);
                    }
                }
            } else {
                let passed = offset.min(keys.len());
                offset -= passed;
                found.append(&mut fetch(view, index, &keys[passed..], skip, |memory| memory.to_listed())?);
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(found)
    })
}

fn matches(memory: &Memory, task: Option<&str>, contexts: &[String], insights: &[String], tags: &[String]) -> bool {
    let has = |json: Option<&str>, wanted: &[String]| {
        wanted.is_empty() || {
            let items = json::texts(json);
            wanted.iter().all(|item| items.contains(item))
        }
    };
    task.is_none_or(|task| memory.task == Some(task))
        && has(memory.context, contexts)
        && has(memory.insights, insights)
        && has(memory.tags, tags)
}

pub fn list(after: Option<&[u8]>, limit: u32) -> Result<MemoryPage> {
    read(|view| {
        let index = Table::MemoriesByCreated;
        let (keys, next) = list::keys(Scan::prefix(view, index, b""), after, limit)?;
        Ok(MemoryPage { items: fetch(view, index, &keys, TIME, |memory| memory.to_listed())?, next })
    })
}

pub fn recent(limit: u32) -> Result<Vec<MemoryRecord>> {
    read(|view| {
        let index = Table::MemoriesByCreated;
        let (keys, _) = list::keys(Scan::prefix(view, index, b""), None, limit)?;
        fetch(view, index, &keys, TIME, |memory| memory.to_record())
    })
}

pub fn count() -> Result<u64> {
    read(|view| view.count(Table::Memories))
}
