//! The way back to SQLite.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use rusqlite::types::Value;
use tracker_host::Tracker;
use tracker_host::export::{Import, write_sqlite};
use tracker_host::migrate::Migration;
use tracker_host::types::{Row, ThreadToolRecord, TranscriptRow};

use super::{error, host, mode, names, rows, text};
use crate::support::{data, fresh, small};

fn query(database: &Path, sql: &str) -> Vec<Vec<Value>> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

/// The rows of every table, with their types and the bits of their times.
fn contents(database: &Path) -> Vec<(String, BTreeSet<String>)> {
    let tables = query(database, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name");
    let table = |name: Vec<Value>| {
        let [Value::Text(name)] = &name[..] else { panic!("{name:?}") };
        let rows = query(database, &format!("SELECT * FROM {name}"));
        let number = rows.len();
        let set: BTreeSet<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        assert_eq!(set.len(), number, "{name} has two equal rows");
        (name.clone(), set)
    };
    tables.into_iter().map(table).collect()
}

#[test]
fn a_database_comes_back_row_by_row_but_for_the_rejects() {
    for fixture in data::all() {
        let dir = tempfile::tempdir().unwrap();
        let back = dir.path().join("back.db");
        text(&host(["export".as_ref(), "--sqlite".as_ref(), fixture.store.as_os_str(), back.as_os_str()]), 0);
        let schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid";
        assert_eq!(query(&back, schema), query(&fixture.database, schema));
        assert_eq!(query(&back, "PRAGMA integrity_check"), [[Value::Text("ok".into())]]);
        let (source, target) = (contents(&fixture.database), contents(&back));
        assert_eq!(source.len(), 13);
        let mut missing = 0;
        for ((name, source), (same_name, target)) in source.iter().zip(&target) {
            assert_eq!(name, same_name);
            assert_eq!(target.difference(source).next(), None, "{name} of {}", fixture.name);
            let rejected = fixture.summary.tables.iter().find(|table| table.table == name);
            let rejected = rejected.map_or(0, |table| table.rejected.values().sum());
            let left: Vec<_> = source.difference(target).collect();
            assert_eq!(left.len() as u64, rejected, "{name} of {}: {left:?}", fixture.name);
            missing += left.len();
        }
        assert_eq!(missing, usize::from(fixture.name == "small"));
        assert_eq!(mode(&back), 0o600);
        assert_eq!(names(dir.path()), ["back.db"]);
        // And forth again.
        let store = dir.path().join("store");
        Migration::new(&back, &store, Tracker::options(&store)).backup(None).run().unwrap();
        assert!(rows(&store) == rows(&fixture.store), "{} differs", fixture.name);
    }
}

#[test]
fn ids_of_deleted_records_are_not_given_out_again_after_the_way_back() {
    let mut fresh = fresh();
    let back = fresh.dir.path().join("back.db");
    let last =
        (1..=3).map(|line| fresh.tracker.upsert_symbol("/a", "n", "k", line, None, 0, 0, 0).unwrap()).max().unwrap();
    fresh.tracker.delete_symbols("/a").unwrap();
    fresh.tracker.save_checkpoint(1, 2, "/a").unwrap();
    write_sqlite(&fresh.tracker, &back, &|| false).unwrap();
    let sequences = query(&back, "SELECT name, seq FROM sqlite_sequence ORDER BY name");
    let sequence = |name: &str, seq| vec![Value::Text(name.into()), Value::Integer(seq)];
    assert_eq!(sequences, [sequence("checkpoints", 1), sequence("symbols", 3)]);
    let connection = Connection::open(&back).unwrap();
    // As FileTracker opens it; our SQLite is built with foreign keys switched on.
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    let insert = "INSERT INTO symbols (file_path, name, kind, line_start, blob_offset, blob_length, key_hash)
                  VALUES ('/b', 'n', 'k', 1, 0, 0, 0)";
    connection.execute(insert, []).unwrap();
    assert_eq!(connection.last_insert_rowid().unsigned_abs(), last + 1);
}

#[test]
fn what_the_database_cannot_hold_is_kept_beside_it_and_comes_back() {
    let mut fresh = fresh();
    let dir = fresh.dir.path().to_owned();
    let tracker = &mut fresh.tracker;
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let memory = |tracker: &mut Tracker, id: &str, key: u64, owner: Option<&str>| {
        tracker.upsert_memory(id, None, &[], &[], &[key], "text", &strings(&["t"]), 0, 0, key, owner, false).unwrap();
    };
    memory(tracker, "plain", 1, None);
    memory(tracker, "owned", 2, Some("o"));
    memory(tracker, "read", 3, None);
    tracker.record_memory_access("read").unwrap();
    let none = &[][..];
    tracker.upsert_convention("c", "n", "d", "cat", none, "required", none, none, None, none, None, 0, 0, 9).unwrap();
    let tool = |id, thread_id, name: &str| {
        Row::ThreadTool(ThreadToolRecord { id, thread_id, tool_name: name.into(), tool_count: 1, last_used: 1.0 })
    };
    let position = |path: &str, updated_at| {
        Row::TranscriptPosition(TranscriptRow { path: path.into(), byte_position: 1, updated_at })
    };
    let given = [
        tool(7, 1, "a"),
        tool(7, 2, "the same id"),
        tool(8, 1 << 63, "large id"),
        position("nan", f64::NAN),
        position("inf", f64::INFINITY),
    ];
    tracker.import_rows(&given).unwrap();
    let back = dir.join("back.db");
    let export = write_sqlite(tracker, &back, &|| false).unwrap();
    let expected = [
        ("convention: FileTracker has none", 1),
        ("memory: is-team, access-count, last-accessed and owner-id have no columns; the rest was written", 2),
        ("thread-tool: an id from 2^63 on", 1),
        ("thread-tool: another row has its id or key", 1),
        ("transcript-position: a time that is not a number", 1),
    ];
    let left: Vec<_> = export.left_behind.iter().map(|(what, rows)| (what.as_str(), *rows)).collect();
    assert_eq!(left, expected);
    assert_eq!(query(&back, "SELECT count(*) FROM memories"), [[Value::Integer(3)]]);
    assert_eq!(query(&back, "SELECT updated_at FROM transcript_positions"), [[Value::Real(f64::INFINITY)]]);
    let rest = export.rest_file.unwrap();
    assert_eq!((rest.clone(), mode(&rest)), (dir.join("back.db.rest.jsonl"), 0o600));

    // Migrated again and the rest imported, the store is what it was.
    let again = dir.join("again");
    Migration::new(&back, &again, Tracker::options(&again)).backup(None).run().unwrap();
    let mut second = Tracker::open(&again).unwrap();
    Import::new(&mut second).run(&mut std::fs::read(&rest).unwrap().as_slice()).unwrap();
    let (one, two) = (rows(tracker.path()), rows(&again));
    // What is not a number is not equal to itself.
    assert_eq!(format!("{one:?}"), format!("{two:?}"));
}

#[test]
fn a_database_keeps_files_and_leaves_none_that_is_not_whole() {
    let (dir, store) = small().copy();
    let back = dir.path().join("back.db");
    let export = || host(["export".as_ref(), "--sqlite".as_ref(), store.as_os_str(), back.as_os_str()]);
    for name in ["back.db", "back.db.rest.jsonl"] {
        let path = dir.path().join(name);
        std::fs::write(&path, "mine").unwrap();
        assert!(error(&export()).contains("is there already and was left alone"));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(path).unwrap();
    }
    assert!(write_sqlite(&Tracker::open(&store).unwrap(), &back, &|| true).is_err());
    let script =
        format!("trap '' XFSZ; ulimit -f 64; exec {:?} export --sqlite {store:?} {back:?}", env!("CARGO_BIN_EXE_host"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(error(&output).contains("cannot write the database"), "{output:?}");
    assert_eq!(names(dir.path()), ["store"]);
}
