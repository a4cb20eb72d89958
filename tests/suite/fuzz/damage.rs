//! Damaged entries in an LMDB store: what needs one says so and names it, all
//! else goes on, and the component never traps.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;
use tracker_guest::key::printable;
use tracker_guest::table::{Role, Table};
use tracker_host::export::{ExportError, Import, write_jsonl};
use tracker_host::types::{ROW_KINDS, Row, RowKind, Severity};
use tracker_host::{Durability, Error, Tracker};

use super::targets::cursors::populated;
use crate::verification::{Raw, damage};

/// A store with entries in every table.
static SOUND: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    write_jsonl(&populated(), &mut lines, &|| false).unwrap();
    let mut tracker = Tracker::options(dir.path()).durability(Durability::NoSync).open().unwrap();
    Import::new(&mut tracker).run(&mut &lines[..]).unwrap();
    dir
});

/// A copy of it with a change.
pub fn damaged(table: &str, change: impl FnOnce(&Raw, &mut heed::RwTxn)) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::copy(SOUND.path().join("data.mdb"), store.join("data.mdb")).unwrap();
    damage(&store, table, change);
    (dir, store)
}

fn open(store: &Path) -> Tracker {
    Tracker::options(store).durability(Durability::NoSync).open().unwrap()
}

/// The table of a kind of row, by the order in which the guest lists them.
fn kinds() -> Vec<(RowKind, &'static str)> {
    let tables = tracker_guest::fuzzing::tables();
    assert_eq!(tables.len() + 1, ROW_KINDS.len());
    let records = tables.iter().map(|table| {
        let kind = match *table {
            "files" => RowKind::File,
            "symbols" => RowKind::Symbol,
            "checkpoints" => RowKind::Checkpoint,
            "metadata" => RowKind::Metadata,
            "memories" => RowKind::Memory,
            "transcript_pos" => RowKind::TranscriptPosition,
            "patterns" => RowKind::Pattern,
            "pattern_files" => RowKind::PatternLink,
            "threads" => RowKind::Thread,
            "thread_files" => RowKind::ThreadFile,
            "thread_queries" => RowKind::ThreadQuery,
            "thread_tools" => RowKind::ThreadTool,
            "conventions" => RowKind::Convention,
            other => panic!("{other} has no kind of row"),
        };
        (kind, *table)
    });
    records.chain([(RowKind::Counter, "counters")]).collect()
}

type Spoil = fn(&[u8]) -> Vec<u8>;

/// Ways to damage a value that no reader may take for a record, by kind.
const OF_TEXTS: &[(&str, Spoil)] = &[("not UTF-8", |value| [value, b"\xff"].concat())];
const OF_COUNTERS: &[(&str, Spoil)] =
    &[("empty", |_| Vec::new()), ("cut off", |value| value[..7].to_vec()), ("longer", |value| [value, b"\0"].concat())];
const OF_RECORDS: &[(&str, Spoil)] = &[
    ("empty", |_| Vec::new()),
    ("no msgpack", |_| b"\xc1 not msgpack".to_vec()),
    ("cut off", |value| value[..value.len() - 1].to_vec()),
    ("longer", |value| [value, b"\xc0"].concat()),
    ("a list", |_| vec![0x90]),
    ("a field of another type", |value| {
        let mut value = value.to_vec();
        // The first field's value follows its name.
        let name = usize::from(value[1] & 0x1f);
        value[2 + name] = 0xc3;
        value
    }),
    ("nested deeply", |_| [&b"\x81\xa1x"[..], &[0x91; 60_000], b"\xc0"].concat()),
    ("a length beyond its end", |_| b"\x81\xa2id\xdb\xff\xff\xff\xff".to_vec()),
];

fn spoils(kind: RowKind) -> &'static [(&'static str, Spoil)] {
    match kind {
        RowKind::Metadata => OF_TEXTS,
        RowKind::Counter => OF_COUNTERS,
        _ => OF_RECORDS,
    }
}

#[test]
fn a_damaged_record_of_any_table_is_named_and_the_rest_stays_readable() {
    for (kind, table) in kinds() {
        if kind == RowKind::PatternLink {
            // The value is empty, and nothing in it is read.
            continue;
        }
        for (how, spoil) in spoils(kind) {
            let what = format!("{table}, {how}");
            let mut damaged_key = Vec::new();
            let (_dir, store) = damaged(table, |raw, txn| {
                let entries = raw.iter(txn).unwrap().map(|entry| entry.unwrap());
                let (key, value) = entries.filter(|(key, _)| key.len() < 494).last().map(owned).unwrap();
                raw.put(txn, &key, &spoil(&value)).unwrap();
                damaged_key = key;
            });
            check(&store, kind, table, &damaged_key, &what);
        }
    }
}

fn owned((key, value): (&[u8], &[u8])) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

fn check(store: &Path, kind: RowKind, table: &str, key: &[u8], what: &str) {
    let named = format!("table {table}, key {}:", printable(key));
    let is_named = |error: &Error| matches!(error, Error::Corrupt(message) if message.starts_with(&named));
    let mut sound = open(SOUND.path());
    let rows: Vec<Row> = sound.rows(kind, 100).map(Result::unwrap).collect();
    let mut tracker = open(store);

    // Look-ups: the one that needs it says so, all others answer.
    let mut lost = 0;
    for row in &rows {
        match tracker.find_rows(std::slice::from_ref(row)) {
            Ok(found) => assert_eq!(found, [Some(row.clone())], "{what}"),
            Err(error) => {
                assert!(is_named(&error), "{what}: {error:?}");
                lost += 1;
            }
        }
    }
    assert_eq!(lost, 1, "{what}");

    // Lists: what is before it, then the error.
    let listed: Vec<_> = tracker.rows(kind, 1).collect();
    let (last, before) = listed.split_last().unwrap();
    assert!(is_named(last.as_ref().unwrap_err()), "{what}: {last:?}");
    assert!(before.iter().zip(&rows).all(|(listed, row)| listed.as_ref().unwrap() == row), "{what}");
    // Lists of other kinds go on.
    for other in ROW_KINDS.into_iter().filter(|other| *other != kind) {
        assert!(tracker.rows(other, 100).all(|row| row.is_ok()), "{what}: {other:?}");
    }

    // Verify names it, export stops at it and says so.
    let report = tracker.verify().unwrap();
    let told = report.findings.iter().any(|finding| finding.table == table && finding.key == printable(key));
    assert!(told, "{what}: {:?}", report.findings);
    let exported = write_jsonl(&tracker, &mut Vec::new(), &|| false);
    assert!(matches!(&exported, Err(ExportError::Source(error)) if is_named(error)), "{what}: {exported:?}");

    // Reindex keeps all others.
    let records = tracker.reindex().unwrap();
    let report = tracker.verify().unwrap();
    if kind == RowKind::Counter {
        assert_eq!(report.errors, 0, "{what}: {:?}", report.findings);
        assert_eq!(records, report.records, "{what}");
    } else {
        assert_eq!((report.errors, records + 1), (1, report.records), "{what}: {:?}", report.findings);
        let left = report.findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
        assert_eq!((left.table.as_str(), &left.key), (table, &printable(key)), "{what}");
    }
    no_trap(&mut tracker, what);
}

#[test]
fn a_link_with_a_damaged_key_is_named() {
    for key in [&b"abc"[..], &[&[0; 8][..], b"\xff"].concat()] {
        let (_dir, store) = damaged("pattern_files", |raw, txn| raw.put(txn, key, b"").unwrap());
        let mut tracker = open(&store);
        let listed = tracker.rows(RowKind::PatternLink, 100).find_map(Result::err);
        let named = format!("table pattern_files, key {}:", printable(key));
        assert!(matches!(&listed, Some(Error::Corrupt(message)) if message.starts_with(&named)), "{listed:?}");
        assert!(tracker.verify().unwrap().findings.iter().any(|finding| finding.key == printable(key)));
        tracker.reindex().unwrap();
        no_trap(&mut tracker, "a link");
    }
}

#[test]
fn a_long_key_whose_value_names_another_is_corrupt() {
    for table in ["files", "metadata", "files_by_context", "memories_by_created", "vectors"] {
        for front in [&b"\0\0\0\x03abc"[..], b"\0\0", b"", b"\0\0\0\0", b"\xff\xff\xff\xff"] {
            let mut long = Vec::new();
            let (_dir, store) = damaged(table, |raw, txn| {
                let cut = raw.iter(txn).unwrap().map(|entry| entry.unwrap()).find(|(key, _)| key.len() == 511);
                long = cut.unwrap_or_else(|| panic!("{table} has no long key")).0.to_vec();
                raw.put(txn, &long, front).unwrap();
            });
            let mut tracker = open(&store);
            let kind = kinds().into_iter().find(|(_, primary)| *primary == table).map(|(kind, _)| kind);
            if let Some(kind) = kind {
                let error = tracker.rows(kind, 100).find_map(Result::err);
                let named = format!("table {table}, key {}:", printable(&long));
                assert!(matches!(&error, Some(Error::Corrupt(message)) if message.starts_with(&named)), "{error:?}");
            }
            assert!(tracker.verify().unwrap().errors > 0, "{table} {front:x?}");
            no_trap(&mut tracker, table);
            tracker.reindex().unwrap();
            no_trap(&mut tracker, table);
        }
    }
}

#[test]
fn damaged_index_entries_never_trap_and_reindex_repairs_them() {
    let derived = Table::ALL.iter().filter(|table| !matches!(table.role(), Role::Primary | Role::System));
    for table in derived.map(|table| table.name()) {
        type Change = fn(&Raw, &mut heed::RwTxn);
        let changes: [(&str, Change); 5] = [
            ("short keys", |raw, txn| {
                for key in [&b"\0"[..], b"\x01ab", b"\xff\xff\xff\xff\xff\xff\xff"] {
                    raw.put(txn, key, b"").unwrap();
                }
            }),
            ("keys cut off", |raw, txn| {
                let keys: Vec<_> = raw.iter(txn).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
                for key in keys.iter().filter(|key| key.len() > 2) {
                    raw.put(txn, &key[..key.len() / 2], b"").unwrap();
                    raw.put(txn, &key[..key.len() - 1], b"x").unwrap();
                }
            }),
            ("empty values", |raw, txn| set_all(raw, txn, b"")),
            ("wild values", |raw, txn| set_all(raw, txn, b"\xdd\xff\xff\xff\xff\xff\x00")),
            ("wild keys", |raw, txn| {
                for byte in [0, 1, b'a', 0xff] {
                    raw.put(txn, &[byte; 511], b"\0\0\0\x01a").unwrap();
                    raw.put(txn, &[byte; 24], &[byte; 16]).unwrap();
                }
                let mut form = [b'/'; 511];
                form[494] = 0xff;
                raw.put(txn, &form, b"").unwrap();
            }),
        ];
        for (how, change) in changes {
            let what = format!("{table}, {how}");
            let mut changed = false;
            let (_dir, store) = damaged(table, |raw, txn| {
                let before = all(raw, txn);
                change(raw, txn);
                changed = all(raw, txn) != before;
            });
            let mut tracker = open(&store);
            no_trap(&mut tracker, &what);
            // Most values of indexes are empty as they are.
            assert_eq!(tracker.verify().unwrap().errors > 0, changed, "{what}");
            assert!(changed || how == "empty values", "{what}");
            tracker.reindex().unwrap();
            let report = tracker.verify().unwrap();
            assert_eq!(report.errors, 0, "{what}: {:?}", report.findings);
        }
    }
}

fn all(raw: &Raw, txn: &heed::RwTxn) -> Vec<(Vec<u8>, Vec<u8>)> {
    raw.iter(txn).unwrap().map(|entry| owned(entry.unwrap())).collect()
}

fn set_all(raw: &Raw, txn: &mut heed::RwTxn, value: &[u8]) {
    let keys: Vec<_> = raw.iter(txn).unwrap().map(|entry| entry.unwrap().0.to_vec()).collect();
    keys.iter().for_each(|key| raw.put(txn, key, value).unwrap());
}

/// Calls everything that reads: answers and errors, but no trap.
fn no_trap(tracker: &mut Tracker, what: &str) {
    use tracker_host::Result;
    type Call = fn(&mut Tracker) -> Result<()>;
    let calls: [(&str, Call); 34] = [
        ("get-file", |t| t.get_file("/src/1").map(drop)),
        ("get-files", |t| t.get_files(&["/src/1".into(), "/src/2".into()]).map(drop)),
        ("get-file-by-key", |t| t.get_file_by_key(1).map(drop)),
        ("list-files", |t| t.files(7).try_for_each(|item| item.map(drop))),
        ("list-paths", |t| t.paths("/src", 7).try_for_each(|item| item.map(drop))),
        ("list-files-by-context", |t| t.files_by_context("c", 7).try_for_each(|item| item.map(drop))),
        ("a long context", |t| t.files_by_context(&"long".repeat(130), 7).try_for_each(|item| item.map(drop))),
        ("get-recent-files", |t| t.get_recent_files(50).map(drop)),
        ("get-context-stats", |t| t.get_context_stats().map(drop)),
        ("get-symbols", |t| t.get_symbols("/src/1").map(drop)),
        ("get-symbol-by-key", |t| t.get_symbol_by_key(1).map(drop)),
        ("get-symbol-keys", |t| t.get_symbol_keys("/src/1").map(drop)),
        ("list-all-symbols", |t| t.all_symbols(None, 7).try_for_each(|item| item.map(drop))),
        ("filtered symbols", |t| t.all_symbols(Some("a"), 7).try_for_each(|item| item.map(drop))),
        ("list-insights-by-type", |t| t.insights_by_type("insight:todo", 7).try_for_each(|item| item.map(drop))),
        ("get-recent-symbols", |t| t.get_recent_symbols(50).map(drop)),
        ("list-live-vectors", |t| t.live_vectors(7).try_for_each(|item| item.map(drop))),
        ("live-vector-stats", |t| t.live_vector_stats().map(drop)),
        ("get-latest-checkpoint", |t| t.get_latest_checkpoint().map(drop)),
        ("get-memory-by-key", |t| t.get_memory_by_key(101).map(drop)),
        ("list-memories", |t| t.memories(7).try_for_each(|item| item.map(drop))),
        ("get-recent-memories", |t| t.get_recent_memories(50).map(drop)),
        ("query-memories", |t| t.query_memories(Some("t"), &[], &["x".into()], &["x".into()], 9, 0).map(drop)),
        ("by tag", |t| t.query_memories(None, &[], &[], &["x".into()], 9, 1).map(drop)),
        ("get-patterns-for-file", |t| t.get_patterns_for_file("/src/1").map(drop)),
        ("list-patterns", |t| t.patterns(7).try_for_each(|item| item.map(drop))),
        ("get-recent-threads", |t| t.get_recent_threads(9, true).and(t.get_recent_threads(9, false)).map(drop)),
        ("get-threads-for-session", |t| t.get_threads_for_session("s").map(drop)),
        ("get-threads-for-file", |t| t.get_threads_for_file("/src/a.rs").map(drop)),
        ("get-thread-stats", |t| t.get_thread_stats().map(drop)),
        ("get-thread-queries", |t| t.get_thread_queries(3, 9).map(drop)),
        ("search-thread-queries", |t| t.search_thread_queries("w", 9).map(drop)),
        ("conventions", |t| {
            t.conventions(7).try_for_each(|item| item.map(drop))?;
            t.conventions_by_scope("x", 7).try_for_each(|item| item.map(drop))?;
            t.conventions_by_category("style", 7).try_for_each(|item| item.map(drop))?;
            t.get_convention_stats().map(drop)
        }),
        ("query-conventions", |t| {
            t.query_conventions(Some("style"), &[], None, None, 9, 0)?;
            t.query_conventions(None, &["x".into()], Some("required"), None, 9, 0).map(drop)
        }),
    ];
    for (name, call) in calls {
        match call(tracker) {
            Ok(()) | Err(Error::Corrupt(_)) => {}
            Err(error) => panic!("{what}: {name}: {error:?}"),
        }
    }
}
