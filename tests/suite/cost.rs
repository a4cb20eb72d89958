//! Every query reads in proportion to what it returns, not to what is stored.

use serde_json::{Value, json};
use tracker_host::Tracker;

use crate::support::calls::call;
use crate::support::{ENGINES, large, long, small};

/// What a query may read beyond what it returns.
const SLACK: u64 = 300;

#[test]
fn queries_scan_no_more_than_they_return_and_a_constant() {
    let fixture = large().unwrap_or_else(small);
    check(&mut fixture.tracker());
}

#[test]
fn they_do_over_every_engine() {
    let fixture = if long() { large().unwrap_or_else(small) } else { small() };
    for engine in ENGINES.iter().skip(1).filter(|engine| engine.explains) {
        if let Some(mut opened) = engine.filled(fixture) {
            check(&mut opened.tracker);
        }
    }
}

fn check(tracker: &mut Tracker) {
    let page = |before: &[Value]| [before, &[Value::Null, json!(20)]].concat();
    let file = call(tracker, "list_files", &[Value::Null, json!(1)])["items"][0]["path"].clone();
    let memory = call(tracker, "get_recent_memories", &[json!(1)])[0].clone();
    let thread = call(tracker, "get_recent_threads", &[json!(1), json!(true)])[0].clone();
    let pattern = call(tracker, "get_recent_patterns", &[json!(1)])[0].clone();
    let context = call(tracker, "list_available_contexts", &[])[0].clone();
    let tag = memory["tags"][0].clone();
    let linked = pattern["matched_files"][0].clone();
    let queries: Vec<(&str, Vec<Value>)> = vec![
        ("get_file", vec![file.clone()]),
        ("get_files", vec![json!([file, "/none"])]),
        ("get_file_by_key", vec![json!(1)]),
        ("needs_index", vec![file.clone(), json!(1.0), json!(1)]),
        ("needs_embed", vec![file.clone()]),
        ("get_contexts_for_file", vec![file.clone()]),
        ("list_files", page(&[])),
        ("list_paths", page(&[json!("")])),
        ("list_files_by_context", page(&[context])),
        ("get_recent_files", vec![json!(10)]),
        ("get_context_stats", vec![]),
        ("list_available_contexts", vec![]),
        ("get_symbols", vec![file.clone()]),
        ("get_symbol_keys", vec![file.clone()]),
        ("get_symbol_by_key", vec![json!(1)]),
        ("get_recent_symbols", vec![json!(10)]),
        ("get_insight_stats", vec![]),
        ("list_available_insights", vec![]),
        ("list_insights_by_type", page(&[json!("function")])),
        ("list_insights_by_type", page(&[json!("insight:todo")])),
        ("live_vector_stats", vec![]),
        ("list_live_vectors", page(&[])),
        ("get_latest_checkpoint", vec![]),
        ("get_metadata", vec![json!("a")]),
        ("get_transcript_position", vec![json!("a")]),
        ("get_memory", vec![memory["id"].clone()]),
        ("get_memory_by_key", vec![memory["key_hash"].clone()]),
        ("query_memories", vec![Value::Null, json!([]), json!([]), json!([]), json!(10), json!(0)]),
        ("query_memories", vec![Value::Null, json!([]), json!([]), json!([tag]), json!(10), json!(0)]),
        ("list_memories", page(&[])),
        ("get_recent_memories", vec![json!(10)]),
        ("get_pattern_cache", vec![pattern["key_hash"].clone()]),
        ("get_patterns_for_file", vec![linked]),
        ("get_recent_patterns", vec![json!(10)]),
        ("list_patterns", page(&[])),
        ("get_thread", vec![thread["id"].clone()]),
        ("get_threads_for_session", vec![thread["session_id"].clone()]),
        ("get_recent_threads", vec![json!(10), json!(true)]),
        ("get_thread_files", vec![thread["id"].clone()]),
        ("get_threads_for_file", vec![file]),
        ("get_thread_queries", vec![thread["id"].clone(), json!(10)]),
        ("get_thread_tools", vec![thread["id"].clone()]),
        ("get_thread_stats", vec![]),
        ("query_conventions", vec![Value::Null, json!([]), Value::Null, Value::Null, json!(10), json!(0)]),
        ("list_conventions", page(&[])),
        ("file_count", vec![]),
        ("embedded_file_count", vec![]),
        ("symbol_count", vec![]),
        ("embedded_symbol_count", vec![]),
        ("memory_count", vec![]),
        ("count_pattern_caches", vec![]),
        ("thread_count", vec![json!(true)]),
        ("convention_count", vec![]),
    ];
    tracker.set_explain(true);
    for (name, arguments) in queries {
        tracker.take_explain();
        let answer = call(tracker, name, &arguments);
        let explain = tracker.take_explain();
        let returned = match &answer {
            Value::Array(items) => items.len(),
            Value::Object(fields) if fields.contains_key("items") => answer["items"].as_array().unwrap().len(),
            _ => 1,
        } as u64;
        let scanned = explain.rows_scanned();
        assert!(
            scanned <= returned + SLACK,
            "{name}({arguments:?}) returned {returned} and scanned {scanned}: {explain:?}"
        );
        // Look-ups: a record a result, and an index entry on the way to it.
        let got: u64 = explain.tables.values().map(|table| table.gets).sum();
        assert!(got <= 3 * returned + 40, "{name}({arguments:?}) returned {returned} and looked up {got}: {explain:?}");
        assert!(explain.crossings <= 40, "{name}({arguments:?}) crossed {} times: {explain:?}", explain.crossings);
    }
}

#[test]
fn a_page_of_all_symbols_reads_only_the_symbols_of_its_names() {
    let fixture = large().unwrap_or_else(small);
    let mut tracker = fixture.tracker();
    let mut of_name = std::collections::BTreeMap::<String, u64>::new();
    for symbol in tracker.all_symbols(None, 1000) {
        *of_name.entry(symbol.unwrap().name).or_default() += 1;
    }
    let mut after = None;
    tracker.set_explain(true);
    for _ in 0..20 {
        tracker.take_explain();
        let page = tracker.list_all_symbols(None, after.as_ref(), 20).unwrap();
        let explain = tracker.take_explain();
        let names: std::collections::BTreeSet<_> = page.items.iter().map(|symbol| &symbol.name).collect();
        let there: u64 = names.iter().map(|name| of_name[*name]).sum();
        let scanned = explain.rows_scanned();
        assert!(scanned <= there + SLACK, "{names:?} have {there} symbols, {scanned} were scanned");
        let got: u64 = explain.tables.values().map(|table| table.gets).sum();
        assert!(got <= there + SLACK, "{names:?} have {there} symbols, {got} were looked up");
        after = page.next;
    }
}

#[test]
fn an_unchanged_upsert_touches_only_what_holds_its_time() {
    let mut fresh = crate::support::fresh();
    let tracker = &mut fresh.tracker;
    let upsert = |tracker: &mut tracker_host::Tracker| {
        tracker.upsert_file("/a", 1.0, 1, "h", 0, 1, 7, &["x".into(), "y".into()]).unwrap();
    };
    upsert(tracker);
    tracker.set_explain(true);
    tracker.take_explain();
    upsert(tracker);
    let explain = tracker.take_explain();
    let written = explain.tables.iter().filter(|(_, table)| table.puts + table.deletes > 0);
    assert_eq!(written.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["files", "files_by_indexed"]);
}
