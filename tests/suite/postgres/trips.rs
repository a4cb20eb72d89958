//! How often a call waits for the server.

use tracker_host::Tracker;
use tracker_host::store::Engine;

use super::table;
use crate::support::postgres::Namespace;
use crate::support::small;
use tracker_host::export::{Import, write_jsonl};
use tracker_host::types::SymbolUpsert;

fn trips<T>(tracker: &mut Tracker, what: &str, most: u64, call: impl Fn(&mut Tracker) -> T) {
    // The second time: statements are known by then.
    for _ in 0..2 {
        tracker.take_explain();
        call(tracker);
        let explain = tracker.take_explain();
        assert!(explain.round_trips <= most, "{what}: {} round trips: {explain:?}", explain.round_trips);
    }
    tracker.take_explain();
    call(tracker);
    crate::support::figure(&format!("round trips of {what}"), tracker.take_explain().round_trips);
}

#[test]
fn look_ups_and_short_lists_take_a_few_round_trips_whatever_the_store_holds() {
    let Some(namespace) = Namespace::new() else { return };
    let mut tracker = Tracker::open(&namespace.url).unwrap();
    let mut rows = Vec::new();
    write_jsonl(&small().tracker(), &mut rows, &|| false).unwrap();
    Import::new(&mut tracker).run(&mut rows.as_slice()).unwrap();
    tracker.set_explain(true);
    let files: Vec<_> = tracker.files(1000).map(Result::unwrap).collect();
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let path = "/home/dev/project/src/back\\slash.py";
    trips(&mut tracker, "get-file", 1, |tracker| tracker.get_file(path).unwrap());
    trips(&mut tracker, "get-file of none", 1, |tracker| tracker.get_file("/none").unwrap());
    trips(&mut tracker, "get-file-by-key", 2, |tracker| tracker.get_file_by_key(9_223_372_036_854_775_808).unwrap());
    trips(&mut tracker, "get-metadata", 1, |tracker| tracker.get_metadata("none").unwrap());
    trips(&mut tracker, "file-count", 1, |tracker| tracker.file_count().unwrap());
    trips(&mut tracker, "get-files of 189", 1, |tracker| tracker.get_files(&paths).unwrap());
    trips(&mut tracker, "get-symbols", 2, |tracker| tracker.get_symbols(path).unwrap());
    trips(&mut tracker, "get-recent-files(10)", 2, |tracker| tracker.get_recent_files(10).unwrap());
    trips(&mut tracker, "list-files(100)", 1, |tracker| tracker.list_files(None, 100).unwrap());
    trips(&mut tracker, "set-metadata", 2, |tracker| tracker.set_metadata("a", "1").unwrap());
    let upsert = |tracker: &mut Tracker| {
        let n = tracker.get_metadata("n").unwrap().map_or(0, |n| n.parse::<u64>().unwrap()) + 1;
        tracker.set_metadata("n", &n.to_string()).unwrap();
        n
    };
    for n in 0..2 {
        upsert(&mut tracker);
        tracker.take_explain();
        tracker.upsert_file(&format!("/new/{n}"), 1.0, 1, "hash", 0, 1, n, &["context".into()]).unwrap();
        let explain = tracker.take_explain();
        assert!(explain.round_trips <= 6, "{explain:?}");
        crate::support::figure("round trips of upsert-file", explain.round_trips);
        // However many: looked up together, and the keys that they lose, too.
        for (many, what) in [(10, "10"), (200, "200"), (200, "200 with other keys")] {
            let other = if what.ends_with("keys") { 500 } else { 0 };
            let symbols: Vec<SymbolUpsert> = (0..many).map(|line| symbol(n, line, other)).collect();
            tracker.take_explain();
            tracker.replace_symbols(&format!("/new/{n}"), &symbols).unwrap();
            let explain = tracker.take_explain();
            assert!(explain.round_trips <= 8, "{what}: {explain:?}");
            crate::support::figure(&format!("round trips of replace-symbols of {what}"), explain.round_trips);
        }
    }
    for n in 1..=2 {
        tracker.take_explain();
        tracker.delete_file(&format!("/new/{n}")).unwrap();
        let explain = tracker.take_explain();
        assert!(explain.round_trips <= 12, "{explain:?}");
        crate::support::figure("round trips of delete-file with 200 symbols", explain.round_trips);
    }
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

fn symbol(file: u64, line: u64, other: u64) -> SymbolUpsert {
    SymbolUpsert {
        name: format!("symbol{line}"),
        kind: "function".into(),
        line_start: line as i64,
        line_end: None,
        blob_offset: 0,
        blob_length: 1,
        key_hash: file * 1000 + other + line,
    }
}

#[test]
fn a_transaction_is_one_round_trip_longer_than_what_it_reads() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let tables = table(&engine);
    let t = tables[0].unwrap();
    super::increment(&engine, &tables, b"warm").unwrap();
    let counted = |what: &mut dyn FnMut()| {
        let before = engine.waits().round_trips;
        what();
        engine.waits().round_trips - before
    };
    assert_eq!(counted(&mut || drop(engine.begin_read().unwrap())), 0, "what was not used");
    assert_eq!(counted(&mut || drop(super::value(&engine, t, b"a"))), 1);
    let read = counted(&mut || {
        let read = engine.begin_read().unwrap();
        for key in [b"a", b"b", b"c"] {
            read.get(t, key).unwrap();
        }
    });
    assert_eq!(read, 3, "the beginning comes along with the first");
    let written = counted(&mut || {
        let mut write = engine.begin_write().unwrap();
        for n in 0..100u8 {
            assert_eq!(write.get(t, b"a").unwrap(), None);
            write.write(&super::put(&[b'x', n], b"1"), &tables).unwrap();
            write.get(t, &[b'x', n]).unwrap();
        }
        write.commit().unwrap();
    });
    assert_eq!(written, 2, "one read, and all writes with the commit");
}
