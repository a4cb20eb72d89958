//! JSON Lines.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use tracker_host::Tracker;
use tracker_host::export::{self, Import, ImportError};
use tracker_host::types::{
    ConventionRow, CounterRow, FileRow, MemoryRow, MetadataRow, Row, ThreadQueryRecord, TranscriptRow,
};

use super::{error, host, mode, names, rows, text};
use crate::support::{data, fresh, small};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_record_survives_an_export_and_an_import() {
    for fixture in data::all() {
        let dir = tempfile::tempdir().unwrap();
        let (file, copy) = (dir.path().join("a.jsonl"), dir.path().join("copy"));
        text(&host(["export", path(&fixture.store), "-o", path(&file)]), 0);
        assert_eq!(mode(&file), 0o600);
        text(&host(["import", path(&copy), path(&file)]), 0);
        assert!(rows(&copy) == rows(&fixture.store), "{} differs", fixture.name);
        let again = host(["export", path(&copy)]);
        assert!(again.stdout == std::fs::read(&file).unwrap(), "{} is exported otherwise", fixture.name);
        let mut tracker = Tracker::open(&copy).unwrap();
        let (report, original) = (tracker.verify().unwrap(), fixture.tracker().verify().unwrap());
        assert_eq!((report.errors, report.records), (0, original.records));
        // A second import changes nothing.
        Import::new(&mut tracker).run(&mut std::fs::read(&file).unwrap().as_slice()).unwrap();
        assert!(rows(&copy) == rows(&fixture.store));
    }
}

#[test]
fn extreme_values_survive_an_export_and_an_import() {
    let given = vec![
        Row::File(FileRow {
            path: "a\0b\n\"\u{1f600}".into(),
            mtime: f64::NEG_INFINITY,
            size: i64::MIN,
            content_hash: String::new(),
            blob_offset: i64::MAX,
            blob_length: -1,
            key_hash: u64::MAX,
            indexed_at: 0.1 + 0.2,
            vector_offset: Some(i64::MIN),
            vector_length: None,
            detected_contexts: Some("[\"cut \0 off".into()),
            is_team: true,
        }),
        Row::Metadata(MetadataRow { key: String::new(), value: "\u{2028}\r\n\0".into() }),
        Row::Memory(MemoryRow {
            id: "m".into(),
            task: None,
            insights: Some("nonsense".into()),
            context: Some(String::new()),
            symbol_keys: Some("[18446744073709551615, -1]".into()),
            text: "\0".into(),
            tags: None,
            blob_offset: 0,
            blob_length: 0,
            key_hash: 1 << 63,
            created_at: f64::INFINITY,
            updated_at: Some(f64::NEG_INFINITY),
            vector_offset: None,
            vector_length: None,
            access_count: u64::MAX,
            last_accessed: Some(5e-324),
            owner_id: Some("o".into()),
            is_team: true,
        }),
        Row::TranscriptPosition(TranscriptRow { path: "p".repeat(2000), byte_position: -1, updated_at: -0.0 }),
        Row::ThreadQuery(ThreadQueryRecord {
            id: u64::MAX - 1,
            thread_id: u64::MAX,
            query_text: String::new(),
            timestamp: 1e308,
            embedding_offset: None,
            embedding_length: Some(0),
        }),
        Row::Convention(ConventionRow {
            id: "c".into(),
            name: String::new(),
            description: String::new(),
            category: String::new(),
            scope: "{".into(),
            priority: String::new(),
            good_examples: "[]".into(),
            bad_examples: "[1]".into(),
            pattern: Some("\\d".into()),
            tags: "null".into(),
            org_id: None,
            blob_offset: 0,
            blob_length: 0,
            key_hash: 0,
            created_at: 1.0,
            updated_at: None,
            vector_offset: None,
            vector_length: None,
            times_applied: 3,
            last_applied: Some(2.0),
        }),
        Row::Counter(CounterRow { name: "symbols".into(), value: u64::MAX - 7 }),
        Row::Counter(CounterRow { name: "thread_queries".into(), value: u64::MAX - 1 }),
    ];
    let (mut one, mut two) = (fresh(), fresh());
    one.tracker.import_rows(&given).unwrap();
    let mut lines = Vec::new();
    export::write_jsonl(&one.tracker, &mut lines, &|| false).unwrap();
    Import::new(&mut two.tracker).run(&mut lines.as_slice()).unwrap();
    let stored = rows(two.tracker.path());
    assert_eq!(stored, rows(one.tracker.path()));
    for row in &given {
        assert!(stored.contains(row), "{row:?}");
    }
}

#[test]
fn an_export_holds_one_state_while_another_thread_writes() {
    let mut fresh = fresh();
    // So many that an export takes many pages.
    let path = |number: u32| format!("/{number:05}");
    let write = |tracker: &mut Tracker, state: u32| {
        let mut batch = tracker.batch().unwrap();
        for number in [0, 9_999] {
            batch.upsert_file(&path(number), f64::from(state), 1, "h", 0, 1, 1, &[]).unwrap();
        }
        batch.set_metadata("state", &state.to_string()).unwrap();
        batch.commit().unwrap();
    };
    let mut batch = fresh.tracker.batch().unwrap();
    for number in 0..10_000 {
        batch.upsert_file(&path(number), 0.0, 1, "h", 0, 1, 1, &[]).unwrap();
    }
    batch.commit().unwrap();
    write(&mut fresh.tracker, 0);
    let (mut writer, stop) = (fresh.tracker.try_clone().unwrap(), AtomicBool::new(false));
    let mut exports = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for state in 1.. {
                write(&mut writer, state);
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        for _ in 0..6 {
            let mut lines = Vec::new();
            export::write_jsonl(&fresh.tracker, &mut lines, &|| false).unwrap();
            exports.push(lines);
        }
        stop.store(true, Ordering::SeqCst);
    });
    let mut states = Vec::new();
    for lines in exports {
        let lines: Vec<serde_json::Value> =
            lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let files: Vec<_> = lines.iter().filter(|line| line["file"].is_object()).collect();
        assert_eq!(files.len(), 10_000);
        let state = lines.iter().find(|line| line["metadata"]["key"] == "state").unwrap();
        let state: f64 = state["metadata"]["value"].as_str().unwrap().parse().unwrap();
        assert_eq!(files[0]["file"]["mtime"], state);
        assert_eq!(files[9_999]["file"]["mtime"], state);
        states.push(state);
    }
    assert!(states.last() > states.first(), "the writer did not write meanwhile: {states:?}");
}

fn line(number: u32) -> String {
    format!("{{\"metadata\":{{\"key\":\"{number:05}\",\"value\":\"v\"}}}}\n")
}

#[test]
fn an_import_names_the_malformed_line_and_goes_on_after_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, file) = (dir.path().join("store"), dir.path().join("a.jsonl"));
    let good: Vec<String> = (1..=25_000).map(line).collect();
    for bad in ["{\"metadata\":{\"key\":\"1", "not JSON", "{\"metadata\":{\"key\":1,\"value\":\"\"}}", "{\"meta\":{}}"]
    {
        let _ = std::fs::remove_dir_all(&store);
        let mut lines = good.clone();
        lines[12_344] = format!("{bad}\n");
        std::fs::write(&file, lines.concat()).unwrap();
        let message = error(&host(["import", path(&store), path(&file)]));
        assert!(message.contains("line 12345 is not a row"), "{message}");
        assert!(message.contains("lines 1 to 10000 are in the store and nothing else"), "{message}");
        let mut tracker = Tracker::open(&store).unwrap();
        assert_eq!(tracker.count_rows(tracker_host::types::RowKind::Metadata).unwrap(), 10_000);
        assert!(tracker.get_metadata("10000").unwrap().is_some() && tracker.get_metadata("10001").unwrap().is_none());
        drop(tracker);
        // What was skipped counts as being in the store.
        let message = error(&host(["import", path(&store), path(&file), "--skip", "11000"]));
        assert!(message.contains("line 12345") && message.contains("lines 1 to 11000 are in the store"), "{message}");
        std::fs::write(&file, good.concat()).unwrap();
        let output = text(&host(["import", path(&store), path(&file), "--skip", "10000", "--json"]), 0);
        assert_eq!(output, "{\"lines\":25000,\"rows\":{\"metadata\":15000}}\n");
        assert_eq!(rows(&store).len(), 25_000);
    }
}

#[test]
fn an_import_names_the_line_that_the_store_refuses() {
    let memory = |id: &str, key: u64| {
        let nothing = "\"insights\":null,\"context\":null,\"symbol-keys\":null,\"tags\":null,\"updated-at\":null";
        let more = "\"vector-offset\":null,\"vector-length\":null,\"last-accessed\":null,\"owner-id\":null";
        format!(
            "{{\"memory\":{{\"id\":\"{id}\",\"task\":null,{nothing},\"text\":\"\",\"blob-offset\":0,\"blob-length\":0,\
             \"key-hash\":{key},\"created-at\":1.0,{more},\"access-count\":0,\"is-team\":false}}}}\n"
        )
    };
    let mut fresh = fresh();
    let lines = [line(1), memory("a", 7), "\n".into(), memory("b", 8), memory("c", 7), memory("d", 9)].concat();
    let refused = Import::new(&mut fresh.tracker).run(&mut lines.as_bytes()).unwrap_err();
    assert!(matches!(refused, ImportError::Refused { line: 5, committed: 0, .. }), "{refused:?}");
    assert!(refused.to_string().contains("nothing was imported"), "{refused}");
    assert!(rows(fresh.tracker.path()).is_empty());
    assert!(!fresh.tracker.in_batch());
    let lines = lines.replace(&memory("c", 7), "");
    assert_eq!(Import::new(&mut fresh.tracker).run(&mut lines.as_bytes()).unwrap().rows.total(), 4);
}

#[test]
fn an_import_reads_a_pipe_and_a_wrong_name_creates_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let import = |arguments: &[&str], input: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
            .args(["import", path(&store)])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that has ended already does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    assert!(error(&import(&["missing.jsonl"], "")).contains("cannot read missing.jsonl"));
    assert!(!store.exists());
    // The last line without an end, and lines as Windows writes them.
    assert_eq!(text(&import(&[], line(1).replace('\n', "\r\n").as_str()), 0), "1 rows were imported from 1 lines\n");
    assert_eq!(text(&import(&["-"], line(2).trim_end()), 0), "1 rows were imported from 1 lines\n");
    assert_eq!(rows(&store).len(), 2);
}

#[test]
fn an_export_keeps_files_and_leaves_none_that_is_not_whole() {
    let (dir, store) = small().copy();
    let file = dir.path().join("a.jsonl");
    std::fs::write(&file, "mine").unwrap();
    assert!(error(&host(["export", path(&store), "-o", path(&file)])).contains("is there already"));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    let other = dir.path().join("b.jsonl");
    let tracker = Tracker::open(&store).unwrap();
    let stopped = export::write_jsonl_file(&tracker, &other, &|| true).unwrap_err();
    assert!(matches!(stopped, export::ExportError::Interrupted));
    let script =
        format!("trap '' XFSZ; ulimit -f 64; exec {:?} export {store:?} -o {other:?}", env!("CARGO_BIN_EXE_host"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(error(&output).contains("cannot write the export"), "{output:?}");
    // A migration that has not finished is not exported as if it were whole.
    let mut tracker = tracker;
    tracker.set_import_state(Some("half")).unwrap();
    assert!(error(&host(["export", path(&store)])).contains("is incomplete"));
    assert_eq!(names(dir.path()), ["a.jsonl", "store"]);
}

#[test]
fn an_export_into_a_closed_pipe_ends_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["export", path(&small().store)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"{\"file\":");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}
