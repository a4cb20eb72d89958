//! A recorded call: its arguments in WIT's terms, and the comparison of results.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracker_host::Tracker;

use crate::support::calls;

/// Who makes the calls. Names and fields are in snake_case.
pub trait Caller {
    /// Calls a function that succeeds.
    fn call(&mut self, name: &str, arguments: &[Value]) -> Value;
    /// All items of a paged list.
    fn pages(&mut self, name: &str, before: &[Value], limit: u64) -> Vec<Value>;
}

impl Caller for Tracker {
    fn call(&mut self, name: &str, arguments: &[Value]) -> Value {
        calls::call(self, name, arguments)
    }
    fn pages(&mut self, name: &str, before: &[Value], limit: u64) -> Vec<Value> {
        calls::pages(self, name, before, limit)
    }
}

/// A recorded call.
pub struct Call {
    pub method: String,
    /// Positional arguments, keyword arguments by name.
    pub args: Vec<Value>,
    kwargs: Value,
    recorded: Value,
}

/// What the tracker answers, in the shape of the reference.
pub type Answer = Value;

/// Limits of the reference: below zero is none.
fn limit(value: &Value) -> Value {
    json!(value.as_i64().map_or(0, |limit| u32::try_from(limit).unwrap_or(u32::MAX)))
}

/// A key hash as the reference takes it: modulo 2^64. Hosts in languages whose
/// integers are larger do the same.
fn folded(key: &Value) -> Value {
    match (key.as_i64(), key.as_f64()) {
        (Some(key), _) => json!(key.cast_unsigned()),
        (None, Some(18_446_744_073_709_551_616.0)) if !key.is_u64() => json!(0),
        _ => key.clone(),
    }
}

/// Columns that hold JSON text in the reference and lists in WIT.
const LISTS: [&str; 5] = ["detected_contexts", "insights", "context", "tags", "symbol_keys"];
/// Fields of memories and files that the reference does not have.
const LATER: [&str; 4] = ["is_team", "access_count", "last_accessed", "owner_id"];

impl Call {
    pub fn from_manifest(recorded: &Value) -> Self {
        Call {
            method: recorded["method"].as_str().unwrap().to_owned(),
            args: recorded["args"].as_array().unwrap().iter().map(plain).collect(),
            kwargs: recorded["kwargs"].clone(),
            recorded: recorded.clone(),
        }
    }

    /// An argument by position or name.
    pub fn arg(&self, position: usize, name: &str, default: Value) -> Value {
        self.args.get(position).cloned().or_else(|| self.kwargs.get(name).map(plain)).unwrap_or(default)
    }

    /// The recorded result, if it was recorded whole, with JSON text as lists.
    pub fn recorded(&self) -> Option<Value> {
        self.recorded.get("result").map(normalised)
    }

    /// Makes the call and gives the answer the shape that the reference's has.
    pub fn answer<C: Caller>(&self, tracker: &mut C) -> Answer {
        shaped(&self.method, self.make(tracker))
    }

    /// Makes the call.
    pub fn make<C: Caller>(&self, tracker: &mut C) -> Value {
        let name = self.method.as_str();
        let list = |tracker: &mut C, name: &str, before: &[Value], size: Value| {
            // The reference fetches a million at a time; the pages do not show in the result.
            Value::Array(tracker.pages(name, before, size.as_u64().unwrap().min(20_000)))
        };
        let list_arg = |position, name| match self.arg(position, name, Value::Null) {
            Value::Null => json!([]),
            other => other,
        };
        let size = |position| self.arg(position, "batch_size", json!(100));
        if let Some(Value::Number(id)) = self.args.first()
            && name.starts_with("get_thread")
            && id.as_i64().is_some_and(|id| id < 0)
        {
            // Ids are unsigned: no thread has this one, and hosts answer without a call.
            return if name == "get_thread" { Value::Null } else { json!([]) };
        }
        match name {
            "iter_files" => list(tracker, "list_files", &[], size(0)),
            "iter_files_by_context" => {
                list(tracker, "list_files_by_context", &[self.arg(0, "context", Value::Null)], size(1))
            }
            "iter_all_symbols" => {
                list(tracker, "list_all_symbols", &[self.arg(0, "name_filter", Value::Null)], size(1))
            }
            "iter_insights_by_type" => {
                list(tracker, "list_insights_by_type", &[self.arg(0, "insight_type", Value::Null)], size(1))
            }
            "iter_live_vectors" => list(tracker, "list_live_vectors", &[], json!(100)),
            "iter_memories" => list(tracker, "list_memories", &[], size(0)),
            "iter_patterns" => list(tracker, "list_patterns", &[], size(0)),
            "get_recent_files" | "get_recent_symbols" | "get_recent_memories" | "get_recent_patterns" => {
                tracker.call(name, &[limit(&self.arg(0, "limit", json!(10)))])
            }
            "get_recent_threads" => {
                let limit = limit(&self.arg(0, "limit", json!(20)));
                tracker.call(name, &[limit, self.arg(1, "active_only", json!(true))])
            }
            "get_thread_queries" => {
                tracker.call(name, &[self.args[0].clone(), limit(&self.arg(1, "limit", json!(50)))])
            }
            "search_thread_queries" => {
                tracker.call(name, &[self.args[0].clone(), limit(&self.arg(1, "limit", json!(20)))])
            }
            "get_file_by_key" | "get_symbol_by_key" | "get_memory_by_key" | "get_pattern_cache" => {
                tracker.call(name, &[folded(&self.args[0])])
            }
            "thread_count" => tracker.call(name, &[self.arg(0, "active_only", json!(true))]),
            "query_memories" => {
                let offset = self.arg(5, "offset", json!(0)).as_i64().unwrap().max(0);
                let arguments = [
                    self.arg(0, "task", Value::Null),
                    list_arg(1, "context_filter"),
                    list_arg(2, "insight_filter"),
                    list_arg(3, "tags"),
                    limit(&self.arg(4, "limit", json!(50))),
                    json!(offset),
                ];
                tracker.call(name, &arguments)
            }
            _ => {
                assert!(self.kwargs.as_object().unwrap().is_empty(), "{}", self.recorded);
                tracker.call(name, &self.args)
            }
        }
    }

    /// Whether an answer is the recorded one.
    pub fn matches(&self, answer: &Answer) -> bool {
        match self.recorded() {
            Some(recorded) => recorded == *answer,
            None => {
                let ids: Vec<Value> = answer.as_array().unwrap().iter().map(id).collect();
                let first = self.recorded["first_ids"].as_array().unwrap();
                let last = self.recorded["last_ids"].as_array().unwrap();
                json!(ids.len()) == self.recorded["result_len"]
                    && ids.starts_with(first)
                    && ids.ends_with(last)
                    && self.is_digest_of(&ids)
            }
        }
    }

    /// Whether these are the ids whose digest was recorded.
    pub fn is_digest_of(&self, ids: &[Value]) -> bool {
        self.recorded["ids_sha256"] == json!(digest(ids))
    }

    pub fn describe(&self, answer: &Answer) -> String {
        let cut = |text: String| text.chars().take(600).collect::<String>();
        let expected = match self.recorded() {
            Some(recorded) => cut(recorded.to_string()),
            None => cut(json!([self.recorded["result_len"], self.recorded["first_ids"]]).to_string()),
        };
        let answer = match self.recorded() {
            Some(_) => cut(answer.to_string()),
            None => {
                let ids: Vec<Value> = answer.as_array().unwrap().iter().map(id).collect();
                cut(json!([ids.len(), ids]).to_string())
            }
        };
        format!("{}({:?}, {})\n  recorded {expected}\n  answered {answer}", self.method, self.args, self.kwargs)
    }
}

/// The id by which the manifests name a record of a long list.
pub fn id(record: &Value) -> Value {
    match record {
        Value::Object(fields) => ["id", "path", "key_hash"].iter().find_map(|name| fields.get(*name)).unwrap().clone(),
        // A recent symbol: the symbol and a time.
        Value::Array(parts) if parts[0].is_object() => id(&parts[0]),
        other => other.clone(),
    }
}

fn digest(ids: &[Value]) -> String {
    let texts: Vec<String> = ids
        .iter()
        .map(|id| match id {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let parts: Vec<String> = parts.iter().map(Value::to_string).collect();
                format!("({})", parts.join(", "))
            }
            other => other.to_string(),
        })
        .collect();
    Sha256::digest(texts.join("\n")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Arguments without their marks.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("$path") => fields["$path"].clone(),
        other => other.clone(),
    }
}

/// A recorded value with JSON text as the list that it holds.
pub fn normalised(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(normalised).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let value = if LISTS.contains(&name.as_str()) { parsed(value, name) } else { normalised(value) };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// The list in a column; empty where it is NULL or malformed.
fn parsed(text: &Value, column: &str) -> Value {
    let list = text.as_str().and_then(|text| serde_json::from_str::<Value>(&without_surrogates(text)).ok());
    let fits = |item: &Value| if column == "symbol_keys" { item.is_u64() } else { item.is_string() };
    match list {
        Some(Value::Array(items)) if items.iter().all(fits) => Value::Array(items),
        _ => json!([]),
    }
}

/// Lone surrogates, which no UTF-8 text can hold, replaced.
fn without_surrogates(json: &str) -> String {
    json.replace("\\udcff", "\\ufffd")
}

/// An answer in the shape of the reference.
fn shaped(method: &str, answer: Value) -> Value {
    let answer = stripped(answer);
    match method {
        // Dictionaries.
        "get_context_stats" | "get_insight_stats" | "get_all_transcript_positions" => {
            let pairs = answer.as_array().unwrap().iter();
            Value::Object(pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect())
        }
        // Tuples.
        "live_vector_stats" => json!([answer["bytes"], answer["count"]]),
        "iter_live_vectors" => {
            answer.as_array().unwrap().iter().map(|v| json!([v["key_hash"], v["offset"], v["length"]])).collect()
        }
        "get_recent_symbols" => {
            answer.as_array().unwrap().iter().map(|recent| json!([recent["symbol"], recent["indexed_at"]])).collect()
        }
        _ => answer,
    }
}

/// Without the fields that the reference does not have, which must have their defaults.
fn stripped(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(stripped).collect(),
        Value::Object(mut fields) => {
            if fields.contains_key("symbol_keys") || fields.contains_key("content_hash") {
                for name in LATER {
                    let value = fields.remove(name).unwrap_or_default();
                    assert!([json!(null), json!(0), json!(false)].contains(&value), "{name} is {value}");
                }
            }
            Value::Object(fields.into_iter().map(|(name, value)| (name, stripped(value))).collect())
        }
        other => other,
    }
}
