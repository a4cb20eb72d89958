//! `verify` names what is damaged, `reindex` repairs what can be rebuilt.

use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, EnvOpenOptions, RwTxn};
use tracker_host::types::Severity;
use tracker_host::{Error, Tracker};

use crate::support::{fresh, small};

pub type Raw = heed::Database<'static, Bytes, Bytes>;

/// Changes a table behind the tracker's back.
pub fn damage(store: &Path, table: &str, change: impl FnOnce(&Raw, &mut RwTxn)) {
    let mut options = EnvOpenOptions::new();
    options.max_dbs(128).map_size(256 << 20);
    // SAFETY: nobody has the store open.
    let env = unsafe { options.open(store) }.unwrap();
    let txn = env.write_txn().unwrap();
    let opened = env.create_databases_and_commit(txn, |opener, txn| {
        let table = opener.open_database::<Bytes, Bytes>(txn, Some(table))?.unwrap();
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(table))
    });
    let CommitOrAbort::Commit(table) = opened.unwrap() else { unreachable!() };
    let mut txn = env.write_txn().unwrap();
    change(&table, &mut txn);
    txn.commit().unwrap();
    env.prepare_for_closing().wait();
}

fn first(table: &Raw, txn: &RwTxn) -> (Vec<u8>, Vec<u8>) {
    let (key, value) = table.first(txn).unwrap().unwrap();
    (key.to_vec(), value.to_vec())
}

#[test]
fn every_kind_of_index_damage_is_named_and_repaired() {
    let derived = [
        "vectors",
        "tallies",
        "files_by_key",
        "files_by_key_more",
        "files_by_mtime",
        "files_by_indexed",
        "files_by_context",
        "symbols_by_file",
        "symbols_by_key",
        "symbols_by_key_more",
        "symbols_by_name",
        "symbols_by_kind",
        "checkpoints_by_created",
        "memories_by_key",
        "memories_by_created",
        "memories_by_task",
        "memories_by_context",
        "memories_by_insight",
        "memories_by_tag",
        "patterns_by_file",
        "patterns_by_created",
        "patterns_embedded",
        "threads_by_sess",
        "threads_active",
        "threads_by_touch",
        "sessions_by_size",
        "threads_by_file",
        "queries_by_thread",
        "queries_by_time",
    ];
    for table in derived {
        for kind in ["missing", "stray", "changed"] {
            let (_dir, store) = small().copy();
            damage(&store, table, |raw, txn| {
                let (key, value) = first(raw, txn);
                match kind {
                    "missing" => assert!(raw.delete(txn, &key).unwrap()),
                    "stray" => {
                        let mut key = key.clone();
                        let last = key.len() - 1;
                        key[last] ^= 0x41;
                        raw.put(txn, &key, &value).unwrap();
                    }
                    _ => raw.put(txn, &key, &[&value[..], b"\x01"].concat()).unwrap(),
                }
            });
            let mut tracker = Tracker::open(&store).unwrap();
            let report = tracker.verify().unwrap();
            let named = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
            let tables: Vec<&str> = named.map(|finding| finding.table.as_str()).collect();
            // A fact about owners is told by two tables.
            let told = tables.iter().any(|named| *named == table || table.starts_with(named));
            assert!(told, "{kind} entry of {table}: {:?}", report.findings);
            tracker.reindex().unwrap();
            let report = tracker.verify().unwrap();
            assert_eq!(report.errors, 0, "{kind} entry of {table}: {:?}", report.findings);
        }
    }
}

#[test]
fn a_damaged_record_is_named_and_the_rest_stays_readable() {
    let (_dir, store) = small().copy();
    let path = "/home/dev/project/src/a";
    damage(&store, "files", |raw, txn| raw.put(txn, path.as_bytes(), b"\xc1 not msgpack").unwrap());
    let mut tracker = Tracker::open(&store).unwrap();
    let Err(Error::Corrupt(message)) = tracker.get_file(path) else { panic!("it was read") };
    assert!(message.contains("files") && message.contains(path), "{message}");
    assert!(tracker.get_file("/home/dev/project/src/_").unwrap().is_some());
    let report = tracker.verify().unwrap();
    assert!(report.findings.iter().any(|finding| finding.table == "files" && finding.key == path));
    assert_eq!(tracker.reindex().unwrap() + 1, report.records);
}

#[test]
fn a_lagging_counter_is_named_and_raised() {
    let (_dir, store) = small().copy();
    damage(&store, "counters", |raw, txn| raw.put(txn, b"symbols", &5u64.to_be_bytes()).unwrap());
    let mut tracker = Tracker::open(&store).unwrap();
    let report = tracker.verify().unwrap();
    assert_eq!((report.errors, report.findings.iter().any(|f| f.table == "counters")), (1, true));
    tracker.reindex().unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
    assert_eq!(tracker.upsert_symbol("/n", "n", "k", 1, None, 0, 0, 0).unwrap(), 2276);
}

#[test]
fn a_pattern_and_its_links_are_compared() {
    let (_dir, store) = small().copy();
    damage(&store, "pattern_files", |raw, txn| {
        let (key, _) = first(raw, txn);
        raw.delete(txn, &key).unwrap();
    });
    let mut tracker = Tracker::open(&store).unwrap();
    assert!(tracker.verify().unwrap().findings.iter().any(|finding| finding.table == "pattern_files"));
    tracker.reindex().unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn malformed_json_text_is_a_warning() {
    let report = small().tracker().verify().unwrap();
    assert_eq!(report.errors, 0);
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Warning));
    assert!(report.findings.iter().any(|finding| finding.table == "memories" && finding.key == "mem:badjson"));
}

#[test]
fn a_store_of_another_format_is_refused_and_not_changed() {
    let (_dir, store) = small().copy();
    damage(&store, "meta", |raw, txn| raw.put(txn, b"format", &3u64.to_be_bytes()).unwrap());
    let Err(Error::Incompatible(message)) = Tracker::open(&store) else { panic!("it was opened") };
    assert!(message.contains("format 3") && message.contains("format 2"), "{message}");
}

#[test]
fn reindexing_an_empty_store_is_nothing() {
    let mut fresh = fresh();
    assert_eq!(fresh.tracker.reindex().unwrap(), 0);
    assert_eq!(fresh.tracker.verify().unwrap().errors, 0);
}
