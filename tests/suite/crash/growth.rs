//! The map grows by itself, up to its maximum, whoever looks on.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tracker_host::types::FileUpsert;
use tracker_host::{Durability, Error, Tracker};

use super::smallest;
use crate::operations::Session;
use crate::support::figure;

fn file(n: u64) -> FileUpsert {
    FileUpsert {
        path: format!("/home/somebody/project/src/module{:03}/file{n:06}.rs", n % 500),
        mtime: n as f64,
        size: n as i64,
        content_hash: format!("{n:064x}"),
        blob_offset: 0,
        blob_length: 1,
        key_hash: n + 1,
        contexts: vec![format!("context:{}", n % 50)],
    }
}

fn files(range: std::ops::Range<u64>) -> Vec<FileUpsert> {
    range.map(file).collect()
}

#[test]
fn the_smallest_map_takes_a_batch_of_200_000_rows() {
    const ROWS: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = smallest(&dir.path().join("store"), Durability::Sync).open().unwrap();
    let first = tracker.environment_stats().unwrap().map_size;
    let mut batch = tracker.batch().unwrap();
    for chunk in (0..ROWS).step_by(5000) {
        batch.upsert_files(&files(chunk..chunk + 5000)).unwrap();
    }
    // What was written before the map grew is still seen within the batch.
    assert_eq!(batch.get_file(&file(0).path).unwrap().unwrap().key_hash, 1);
    batch.commit().unwrap();
    assert_eq!(tracker.file_count().unwrap(), ROWS);
    assert_eq!(tracker.get_file_by_key(ROWS).unwrap().unwrap().path, file(ROWS - 1).path);
    let report = tracker.verify().unwrap();
    assert_eq!((report.errors, report.records), (0, ROWS), "{:?}", report.findings);
    let last = tracker.environment_stats().unwrap().map_size;
    assert!(last >= 256 * first, "{first} -> {last}");
    figure("growth: the map in one batch of 200,000 rows, bytes", format_args!("{first} -> {last}"));
}

#[test]
fn the_map_grows_while_other_threads_read_and_another_process_has_the_store_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut tracker = smallest(&store, Durability::Sync).open().unwrap();
    tracker.upsert_files(&files(0..500)).unwrap();
    let mut other = Session::new(&store);
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (mut reader, stop, reads) = (tracker.try_clone().unwrap(), stop.clone(), reads.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    // Each page is a transaction; the first 500 are always there.
                    let seen = reader.files(100).map(|file| file.unwrap().key_hash).filter(|key| *key <= 500).count();
                    assert_eq!(seen, 500);
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let before = tracker.environment_stats().unwrap().map_size;
    let mut batch = tracker.batch().unwrap();
    for chunk in (500..8500).step_by(500) {
        batch.upsert_files(&files(chunk..chunk + 500)).unwrap();
        assert_eq!(other.call("file-count()"), "500");
    }
    batch.commit().unwrap();
    stop.store(true, Ordering::SeqCst);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(reads.load(Ordering::SeqCst) > 0);
    assert!(tracker.environment_stats().unwrap().map_size >= 8 * before);
    // The other process reads and writes beyond the map that it had.
    assert_eq!(other.call("file-count()"), "8500");
    assert!(other.call("get-file-by-key(8500)").contains(&file(8499).path));
    assert_eq!(other.call("set-metadata(\"from\", \"the other\")"), "ok");
    assert_eq!(tracker.get_metadata("from").unwrap().as_deref(), Some("the other"));
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn two_processes_whose_maps_grow_in_turns_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut tracker = smallest(&store, Durability::Sync).open().unwrap();
    let mut other = Session::new(&store);
    let text = "x".repeat(1 << 20);
    for round in 0..24 {
        tracker.set_metadata(&format!("a{round}"), &text).unwrap();
        assert_eq!(other.call(&format!("set-metadata(\"b{round}\", \"{text}\")")), "ok");
        assert_eq!(tracker.get_metadata(&format!("b{round}")).unwrap().map(|text| text.len()), Some(1 << 20));
    }
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

fn session(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn at_the_maximum_the_command_says_map_full_keeps_what_is_committed_and_works_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let store = store.to_str().unwrap();
    let text = "x".repeat(100_000);
    let mut input = String::new();
    for n in 0..60 {
        input += &format!("set-metadata(\"k{n}\", \"{text}\")\n");
    }
    input += "begin-batch()\nset-metadata(\"small\", \"in a batch\")\n";
    input += &format!("set-metadata(\"large\", \"{text}{text}{text}{text}\")\nend-batch()\n");
    input += "set-metadata(\"after\", \"1\")\nget-metadata(\"small\")\nget-metadata(\"after\")\n";
    let output = session(&["call", store, "-", "--create", "--json", "--max-map-size", "4MiB"], &input);
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<serde_json::Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept = answers.iter().take_while(|answer| answer.is_null()).count();
    assert!((20..=40).contains(&kept), "{kept}");
    let case = |answer: &serde_json::Value| answer["case"].as_str().map(str::to_owned);
    assert!(answers[kept..60].iter().all(|answer| case(answer).as_deref() == Some("map-full")), "{stdout}");
    let rest: Vec<_> = answers[60..].iter().map(case).collect();
    let (full, aborted) = (Some("map-full".to_owned()), Some("batch-aborted".to_owned()));
    assert_eq!(rest, [None, None, full, aborted, None, None, None]);
    assert!(answers[65].is_null() && answers[66] == "1", "{stdout}");
    // With more room it goes on, and everything is there.
    let mut tracker = Tracker::options(store).check_pages(true).open().unwrap();
    for n in 0..60 {
        assert_eq!(tracker.get_metadata(&format!("k{n}")).unwrap().is_some(), n < kept, "{n}");
    }
    tracker.set_metadata("large", &text.repeat(40)).unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

/// Collects what is logged as a warning.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "cli")]
#[test]
fn four_fifths_of_the_maximum_are_warned_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let warnings = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().lines().count();
    tracing::subscriber::with_default(subscriber, || {
        let mut tracker = Tracker::options(&store).max_map_size(4 << 20).open().unwrap();
        let mut full = None;
        for n in 0..200 {
            let used = (tracker.environment_stats().unwrap().last_pgno + 1) * 4096;
            assert_eq!(warnings(), usize::from(used * 100 >= (80 * 4) << 20), "{used} bytes are used");
            full = tracker.set_metadata(&format!("k{n}"), &"x".repeat(60_000)).err();
            if full.is_some() {
                break;
            }
        }
        assert!(matches!(full, Some(Error::MapFull)), "{full:?}");
        assert_eq!(warnings(), 1);
    });
    // The command says it, too: on standard error, once, and nothing below.
    let store = store.to_str().unwrap();
    let calls = "set-metadata(\"a\", \"1\")\n".repeat(20);
    let output = session(&["call", store, "-", "--max-map-size", "4MiB"], &calls);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(0), 1), "{text}");
    assert!(text.contains("80 % of its maximum size") && text.contains("--max-map-size"), "{text}");
    let output = session(&["call", store, "-", "--max-map-size", "1GiB"], &calls);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}
