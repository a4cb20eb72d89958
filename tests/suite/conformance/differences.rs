//! Where the tracker differs from the reference on purpose: one table.
//!
//! Each entry computes what the answer must be from the rows of the SQLite
//! database alone, in plain code, and the answer has to be exactly that.

use serde_json::{Value, json};

use super::oracle::{contains, newest_first, rows};
use super::replay::Call;
use crate::support::Fixture;

/// An intended difference.
pub struct Difference {
    /// The method of the reference.
    pub method: &'static str,
    /// What is different, and why.
    pub what: &'static str,
    /// What the answer must be instead.
    pub expected: fn(&Fixture, &Call) -> Value,
}

const EXACT: &str = "contexts, tags and insights match whole elements exactly; the reference looks for text in JSON text, \
                     where case, wildcards and escapes get in the way. Order among equal times is by id, which the \
                     reference's SQL leaves open";
const PLAIN: &str = "the filter is plain text, ASCII letters without case; in the reference % and _ are wildcards and a NUL \
                     ends the text";
const TIES: &str = "order among equal times is by id; the reference's SQL leaves it open";

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    Difference { method: "iter_files_by_context", what: EXACT, expected: files_by_context },
    Difference { method: "query_memories", what: EXACT, expected: query_memories },
    Difference { method: "iter_memories", what: TIES, expected: all_memories },
    Difference { method: "get_recent_memories", what: TIES, expected: recent_memories },
    Difference { method: "iter_all_symbols", what: PLAIN, expected: symbols },
    Difference { method: "search_thread_queries", what: PLAIN, expected: queries },
    Difference {
        method: "iter_live_vectors",
        what: "in each table by offset, the order that rewriting the vector file wants; the reference's SQL leaves it open",
        expected: live_vectors,
    },
    Difference {
        method: "get_patterns_for_file",
        what: "keys ascend; the reference's SQL leaves the order open",
        expected: patterns_for_file,
    },
    Difference {
        method: "get_thread_files",
        what: "thread ids are unsigned: a row with a negative one is rejected by the migration",
        expected: |_, call| {
            assert_eq!(call.args, [json!(-5)]);
            json!([])
        },
    },
];

fn list<'a>(value: &'a Value, column: &str) -> &'a Vec<Value> {
    value[column].as_array().unwrap()
}

/// The first so many; below zero is all.
fn limited(mut items: Vec<Value>, limit: &Value) -> Value {
    if let Ok(limit) = usize::try_from(limit.as_i64().unwrap()) {
        items.truncate(limit);
    }
    Value::Array(items)
}

fn files_by_context(fixture: &Fixture, call: &Call) -> Value {
    let context = call.arg(0, "context", Value::Null);
    let mut files = rows(fixture, "files");
    files.retain(|file| list(file, "detected_contexts").contains(&context));
    files.sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
    Value::Array(files)
}

fn memories(fixture: &Fixture) -> Vec<Value> {
    let mut memories = rows(fixture, "memories");
    memories.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
    newest_first(&mut memories, "created_at");
    memories
}

/// As the lists give them.
fn without_vectors(mut memories: Vec<Value>) -> Vec<Value> {
    for memory in &mut memories {
        (memory["vector_offset"], memory["vector_length"]) = (Value::Null, Value::Null);
    }
    memories
}

fn all_memories(fixture: &Fixture, _call: &Call) -> Value {
    Value::Array(without_vectors(memories(fixture)))
}

fn recent_memories(fixture: &Fixture, call: &Call) -> Value {
    limited(memories(fixture), &call.arg(0, "limit", json!(10)))
}

fn query_memories(fixture: &Fixture, call: &Call) -> Value {
    let task = call.arg(0, "task", Value::Null);
    let filters = [(1, "context_filter", "context"), (2, "insight_filter", "insights"), (3, "tags", "tags")];
    let mut memories = without_vectors(memories(fixture));
    if task.as_str().is_some_and(|task| !task.is_empty()) {
        memories.retain(|memory| memory["task"] == task);
    }
    for (position, name, column) in filters {
        for item in call.arg(position, name, Value::Null).as_array().unwrap_or(&Vec::new()) {
            memories.retain(|memory| list(memory, column).contains(item));
        }
    }
    let offset = usize::try_from(call.arg(5, "offset", json!(0)).as_i64().unwrap()).unwrap_or(0);
    limited(memories.into_iter().skip(offset).collect(), &call.arg(4, "limit", json!(50)))
}

fn symbols(fixture: &Fixture, call: &Call) -> Value {
    let filter = call.arg(0, "name_filter", Value::Null);
    let mut symbols = rows(fixture, "symbols");
    symbols.retain(|symbol| contains(symbol["name"].as_str().unwrap(), filter.as_str().unwrap()));
    symbols.sort_by_key(|symbol| {
        let text = |column: &str| symbol[column].as_str().unwrap().to_owned();
        (text("name"), text("file_path"), symbol["id"].as_u64())
    });
    Value::Array(symbols)
}

fn queries(fixture: &Fixture, call: &Call) -> Value {
    let text = call.args[0].as_str().unwrap();
    let mut queries = rows(fixture, "thread_queries");
    queries.retain(|query| contains(query["query_text"].as_str().unwrap(), text));
    queries.sort_by_key(|query| query["id"].as_u64());
    newest_first(&mut queries, "timestamp");
    limited(queries, &call.arg(1, "limit", json!(20)))
}

fn live_vectors(fixture: &Fixture, call: &Call) -> Value {
    let tables = [("files", "path"), ("symbols", "id"), ("memories", "id"), ("pattern_caches", "key_hash")];
    let (mut recorded, mut expected) = (Vec::new(), Vec::new());
    for (table, key) in tables {
        let mut embedded = rows(fixture, table);
        embedded.retain(|row| !row["vector_offset"].is_null());
        let vector = |row: &Value| json!([row["key_hash"], row["vector_offset"], row["vector_length"]]);
        recorded.extend(embedded.iter().map(vector));
        embedded.sort_by_key(|row| {
            (row["vector_offset"].as_i64(), row[key].as_str().map(str::to_owned), row[key].as_u64())
        });
        expected.extend(embedded.iter().map(vector));
    }
    // The reference's own list is in rowid order: the difference is the order alone.
    assert!(call.is_digest_of(&recorded));
    Value::Array(expected)
}

fn patterns_for_file(_fixture: &Fixture, call: &Call) -> Value {
    let mut keys: Vec<u64> = call.recorded().unwrap().as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    keys.sort_unstable();
    json!(keys)
}
