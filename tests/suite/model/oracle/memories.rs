//! Memories.

use tracker_host::types::*;

use super::{Answer, CONFLICT, Function, Model, Place, first, given, json as column, newest, pages, put, read, remove};
use super::{sorted, write};
use crate::model::wire::Wire;

fn record(memory: &MemoryRow) -> MemoryRecord {
    MemoryRecord {
        id: memory.id.clone(),
        task: memory.task.clone(),
        insights: column::texts(memory.insights.as_ref()),
        context: column::texts(memory.context.as_ref()),
        symbol_keys: column::numbers(memory.symbol_keys.as_ref()),
        text: memory.text.clone(),
        tags: column::texts(memory.tags.as_ref()),
        blob_offset: memory.blob_offset,
        blob_length: memory.blob_length,
        key_hash: memory.key_hash,
        created_at: memory.created_at,
        updated_at: memory.updated_at,
        vector_offset: memory.vector_offset,
        vector_length: memory.vector_length,
        access_count: memory.access_count,
        last_accessed: memory.last_accessed,
        owner_id: memory.owner_id.clone(),
        is_team: memory.is_team,
    }
}

/// As lists give it.
fn listed(memory: &MemoryRow) -> MemoryRecord {
    MemoryRecord { vector_offset: None, vector_length: None, ..record(memory) }
}

fn place(memory: &MemoryRow) -> Place {
    vec![newest(memory.created_at), (&memory.id).into()]
}

impl Model {
    fn memory(&self, id: &str) -> Option<&MemoryRow> {
        self.memories.iter().find(|memory| memory.id == id)
    }

    pub(super) fn put_memory(&mut self, memory: MemoryRow) -> Answer<()> {
        if self.memories.iter().any(|other| other.key_hash == memory.key_hash && other.id != memory.id) {
            return Err(CONFLICT);
        }
        put(&mut self.memories, memory, |a, b| a.id == b.id);
        Ok(())
    }
}

type Upsert = (
    String,
    Option<String>,
    Vec<String>,
    Vec<String>,
    Vec<u64>,
    String,
    Vec<String>,
    i64,
    i64,
    u64,
    Option<String>,
    bool,
);

fn upsert(model: &mut Model, memory: Upsert) -> Answer<()> {
    let (id, task, insights, context, symbol_keys, text, tags, blob_offset, blob_length, key_hash, owner_id, is_team) =
        memory;
    let old = model.memory(&id);
    let new = MemoryRow {
        created_at: old.map_or(model.now, |old| old.created_at),
        updated_at: old.map(|_| model.now),
        vector_offset: old.and_then(|old| old.vector_offset),
        vector_length: old.and_then(|old| old.vector_length),
        access_count: 0,
        last_accessed: None,
        insights: Some(column::of_texts(&insights)),
        context: Some(column::of_texts(&context)),
        symbol_keys: Some(column::of_numbers(&symbol_keys)),
        tags: Some(column::of_texts(&tags)),
        id,
        task,
        text,
        blob_offset,
        blob_length,
        key_hash,
        owner_id,
        is_team,
    };
    model.put_memory(new)
}

type Query = (Option<String>, Vec<String>, Vec<String>, Vec<String>, u32, u32);

fn query(model: &Model, (task, contexts, insights, tags, limit, offset): Query) -> Vec<MemoryRecord> {
    let has = |column: &Option<String>, wanted: &[String]| {
        let items = column::texts(column.as_ref());
        wanted.iter().all(|item| items.contains(item))
    };
    let task = given(task);
    let wanted = |memory: &MemoryRow| {
        (task.is_none() || memory.task == task)
            && has(&memory.context, &contexts)
            && has(&memory.insights, &insights)
            && has(&memory.tags, &tags)
    };
    let found = sorted(&model.memories, wanted, place);
    found.iter().skip(offset as usize).take(limit as usize).map(listed).collect()
}

pub fn functions() -> Vec<Function> {
    vec![
        write("upsert-memory", upsert),
        read("get-memory", |m, (id,): (String,)| m.memory(&id).map(record)),
        read("get-memory-by-key", |m, (key,): (u64,)| {
            m.memories.iter().find(|memory| memory.key_hash == key).map(record)
        }),
        read("query-memories", query),
        write("delete-memory", |m, (id,): (String,)| Ok(remove(&mut m.memories, |memory| memory.id == id) > 0)),
        read("memory-count", |m, (): ()| m.memories.len() as u64),
        pages("list-memories", |m, (): ()| {
            m.memories.iter().map(|memory| (place(memory), listed(memory).write())).collect()
        }),
        read("get-recent-memories", |m, (limit,): (u32,)| {
            first(sorted(&m.memories, |_| true, place), limit).iter().map(record).collect::<Vec<_>>()
        }),
        write("update-memory-vector", |m, (key, offset, length): (u64, i64, i64)| {
            Ok(m.move_memories(key, offset, length))
        }),
        write("record-memory-access", |m, (id,): (String,)| {
            let now = m.now;
            let memory = m.memories.iter_mut().find(|memory| memory.id == id);
            Ok(memory.is_some_and(|memory| {
                memory.access_count = memory.access_count.saturating_add(1);
                memory.last_accessed = Some(now);
                true
            }))
        }),
    ]
}
