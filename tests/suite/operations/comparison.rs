//! A database and a store side by side.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use tracker_host::Tracker;
use tracker_host::migrate::compare::{Comparison, Kind};
use tracker_host::types::Row;

use super::{error, host, text};
use crate::support::{data, small};

fn change(database: &Path, sql: &str) {
    // Our SQLite is built with foreign keys switched on, FileTracker's is not.
    let sql = format!("PRAGMA foreign_keys = OFF; {sql}");
    Connection::open(database).unwrap().execute_batch(&sql).unwrap();
}

#[test]
fn a_store_agrees_with_the_database_that_was_migrated() {
    for fixture in data::all() {
        let report = Comparison::new(&fixture.database).run(&fixture.tracker()).unwrap();
        assert_eq!((report.total(), report.differences.len()), (0, 0), "{:?}", report.differences);
        for (table, migrated) in report.tables.iter().zip(&fixture.summary.tables) {
            assert_eq!((table.table, table.database_rows), (migrated.table, migrated.source_rows));
            assert_eq!(table.store_rows, migrated.migrated);
            assert_eq!(table.rejected, migrated.rejected.values().sum::<u64>());
        }
        let output = host(["compare".as_ref(), fixture.database.as_os_str(), fixture.store.as_os_str()]);
        assert!(text(&output, 0).ends_with("they agree\n"));
    }
}

#[test]
fn every_kind_of_difference_is_counted_and_named() {
    let (dir, store) = small().copy();
    let database = dir.path().join("small.db");
    std::fs::copy(&small().database, &database).unwrap();
    change(
        &database,
        "UPDATE files SET size = size + 1, vector_offset = NULL WHERE path = '/home/dev/project/src/a';
         INSERT INTO metadata VALUES ('only here', 'v');
         DELETE FROM metadata WHERE key = (SELECT min(key) FROM metadata WHERE key <> 'only here');
         INSERT INTO symbols (id, file_path, name, kind, line_start, blob_offset, blob_length, key_hash)
             VALUES (90000, '/n', 'n', 'k', 1, 0, 0, -1);
         DELETE FROM thread_files WHERE rowid = (SELECT min(rowid) FROM thread_files WHERE thread_id > 0);
         DELETE FROM pattern_cache_files WHERE rowid = 1;
         DELETE FROM thread_tools WHERE id = (SELECT max(id) FROM thread_tools);",
    );
    let mut tracker = Tracker::open(&store).unwrap();
    tracker.set_transcript_position("/only/there", 5).unwrap();
    // What FileTracker has no column for is no difference.
    let memory = tracker.memories(1).next().unwrap().unwrap().id;
    tracker.record_memory_access(&memory).unwrap();
    let none = &[][..];
    tracker.upsert_convention("c", "n", "d", "cat", none, "required", none, none, None, none, None, 0, 0, 9).unwrap();
    let report = Comparison::new(&database).run(&tracker).unwrap();
    let counted: Vec<_> = report
        .tables
        .iter()
        .filter(|table| table.missing + table.extra + table.different > 0)
        .map(|table| (table.table, table.missing, table.extra, table.different))
        .collect();
    let expected = [
        ("files", 0, 0, 1),
        ("symbols", 1, 0, 0),
        ("metadata", 1, 1, 0),
        ("transcript_positions", 0, 1, 0),
        // Its list of files is one shorter, and the link is extra.
        ("pattern_caches", 0, 0, 1),
        ("pattern_cache_files", 0, 1, 0),
        ("thread_files", 0, 1, 0),
        ("thread_tools", 0, 1, 0),
    ];
    assert_eq!(counted, expected);
    assert_eq!((report.sequences, report.total()), (1, 10));
    let of = |table: &str, kind| report.differences.iter().find(|d| d.table == table && d.kind == kind).unwrap();
    let file = of("files", Kind::Different);
    assert_eq!(file.key, json!({ "path": "/home/dev/project/src/a" }));
    let size = file.fields["size"].1.as_i64().unwrap();
    assert_eq!(file.fields["size"], (json!(size + 1), json!(size)));
    assert!(file.fields.keys().all(|name| name == "size" || name == "vector-offset"), "{:?}", file.fields);
    assert_eq!(of("symbols", Kind::Missing).key, json!({ "id": 90000 }));
    assert_eq!(of("metadata", Kind::Missing).key, json!({ "key": "only here" }));
    assert_eq!(of("transcript_positions", Kind::Extra).key, json!({ "path": "/only/there" }));
    let sequence = of("sqlite_sequence", Kind::Different);
    assert_eq!((&sequence.key, &sequence.fields["seq"]), (&json!({ "name": "symbols" }), &(json!(90000), json!(2278))));
    drop(tracker);

    let arguments = ["compare".as_ref(), database.as_os_str(), store.as_os_str()];
    let shown = text(&host(arguments), 1);
    assert!(shown.contains("metadata {\"key\":\"only here\"} is not in the store\n"), "{shown}");
    assert!(shown.ends_with("10 differences, of which 10 are listed\n"), "{shown}");
    let more = [&arguments[..], &["--json".as_ref(), "--limit".as_ref(), "0".as_ref()]].concat();
    let document: Value = serde_json::from_str(&text(&host(more), 1)).unwrap();
    assert_eq!((&document["tables"][0]["different"], &document["tables"][0]["extra"]), (&json!(1), &json!(0)));
}

#[test]
fn extra_rows_are_found_among_as_many_missing_ones() {
    let (dir, store) = small().copy();
    let database = dir.path().join("small.db");
    std::fs::copy(&small().database, &database).unwrap();
    // Another key with the same values: the counts stay equal.
    change(&database, "UPDATE pattern_caches SET key_hash = -77 WHERE rowid = (SELECT max(rowid) FROM pattern_caches)");
    let report = Comparison::new(&database).run(&Tracker::open(&store).unwrap()).unwrap();
    let patterns = report.tables.iter().find(|table| table.table == "pattern_caches").unwrap();
    assert_eq!((patterns.database_rows, patterns.store_rows), (50, 50));
    assert_eq!((patterns.missing, patterns.extra), (1, 1));
    let missing = report.differences.iter().find(|difference| difference.kind == Kind::Missing).unwrap();
    assert_eq!(missing.key, json!({ "key-hash": (-77i64).cast_unsigned() }));
}

#[test]
fn a_comparison_needs_both_sides() {
    let (dir, store) = small().copy();
    let missing = dir.path().join("missing");
    let compare =
        |database: &Path, store: &Path| error(&host(["compare".as_ref(), database.as_os_str(), store.as_os_str()]));
    assert!(compare(&missing, &store).contains("cannot read"));
    assert!(compare(&small().database, &missing).contains("there is no store"));
    assert!(!missing.exists());
    // Nothing is written to either.
    let before = std::fs::read(store.join("data.mdb")).unwrap();
    let rows: Vec<Row> = super::rows(&store);
    Comparison::new(&small().database).run(&Tracker::open(&store).unwrap()).unwrap();
    assert_eq!(std::fs::read(store.join("data.mdb")).unwrap(), before);
    assert_eq!(super::rows(&store), rows);
}
