//! The typed calls whose records are lifted by hand, next to those by name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tracker_host::types::{Cursor, FilePage, MemoryPage, SymbolPage};
use tracker_host::{Result, Tracker};

use super::wire::Wire;

struct Arguments<'a>(&'a [Value]);

impl Arguments<'_> {
    fn get<T: Wire>(&self, position: usize) -> T {
        T::read(&self.0[position])
    }

    fn cursor(&self, position: usize) -> Option<Cursor> {
        self.0[position].as_str().map(|text| STANDARD.decode(text).unwrap())
    }
}

/// A page as the calls by name answer it.
fn page<T: Wire>(items: Vec<T>, next: Option<Cursor>) -> Value {
    let next = next.map_or(Value::Null, |next| json!(STANDARD.encode(next)));
    Value::Object(Map::from_iter([("items".into(), items.write()), ("next".into(), next)]))
}

/// Makes a call, if it is one of these.
pub fn call(tracker: &mut Tracker, name: &str, arguments: &[Value]) -> Option<Result<Value>> {
    let given = Arguments(arguments);
    let files = |FilePage { items, next }: FilePage| page(items, next);
    let symbols = |SymbolPage { items, next }: SymbolPage| page(items, next);
    let memories = |MemoryPage { items, next }: MemoryPage| page(items, next);
    let text = |position| given.get::<String>(position);
    let texts = |position| given.get::<Vec<String>>(position);
    Some(match name {
        "get-file" => tracker.get_file(&text(0)).map(|answer| answer.write()),
        "get-files" => tracker.get_files(&texts(0)).map(|answer| answer.write()),
        "get-file-by-key" => tracker.get_file_by_key(given.get(0)).map(|answer| answer.write()),
        "list-files" => tracker.list_files(given.cursor(0).as_ref(), given.get(1)).map(files),
        "list-files-by-context" => {
            tracker.list_files_by_context(&text(0), given.cursor(1).as_ref(), given.get(2)).map(files)
        }
        "get-recent-files" => tracker.get_recent_files(given.get(0)).map(|answer| answer.write()),
        "get-symbols" => tracker.get_symbols(&text(0)).map(|answer| answer.write()),
        "get-symbol-by-key" => tracker.get_symbol_by_key(given.get(0)).map(|answer| answer.write()),
        "list-all-symbols" => {
            let filter: Option<String> = given.get(0);
            tracker.list_all_symbols(filter.as_deref(), given.cursor(1).as_ref(), given.get(2)).map(symbols)
        }
        "list-insights-by-type" => {
            tracker.list_insights_by_type(&text(0), given.cursor(1).as_ref(), given.get(2)).map(symbols)
        }
        "get-memory" => tracker.get_memory(&text(0)).map(|answer| answer.write()),
        "get-memory-by-key" => tracker.get_memory_by_key(given.get(0)).map(|answer| answer.write()),
        "query-memories" => {
            let task: Option<String> = given.get(0);
            let (contexts, insights, tags) = (texts(1), texts(2), texts(3));
            let found =
                tracker.query_memories(task.as_deref(), &contexts, &insights, &tags, given.get(4), given.get(5));
            found.map(|answer| answer.write())
        }
        "list-memories" => tracker.list_memories(given.cursor(0).as_ref(), given.get(1)).map(memories),
        "get-recent-memories" => tracker.get_recent_memories(given.get(0)).map(|answer| answer.write()),
        _ => return None,
    })
}
