//! What the store and its sessions survive: growth among busy readers, misuse
//! of threads, damaged files, other processes, exhausted budgets.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tracker_host::store::lmdb::{self, Environment};
use tracker_host::store::memory::Memory;
use tracker_host::store::{Engine, Limits, MAX_TABLE_NAME, Range, packed};
use tracker_host::{Error, Tracker};

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut ops = Vec::new();
    packed::push_op(packed::Op::Put { table: 0, key, value }, &mut ops);
    ops
}

fn small_map() -> lmdb::Options {
    lmdb::Options { map_size: 1 << 20, ..Default::default() }
}

/// Runs on a thread of its own and fails if it does not end in time.
fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || done.send(f()));
    wait.recv_timeout(Duration::from_secs(30)).expect("it hangs, or it panicked (see above)")
}

/// Runs the test of this name as a process of its own.
fn in_another_process(test: &str, variable: &str, path: &Path) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("robustness::{test}"), "--exact", "--nocapture"])
        .env(variable, path)
        .output()
        .unwrap()
}

fn listing(dir: &Path) -> Vec<(String, u64)> {
    let entry = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len());
    let mut listing: Vec<_> = fs::read_dir(dir).unwrap().map(|found| entry(found.unwrap())).collect();
    listing.sort();
    listing
}

#[test]
fn the_map_grows_among_busy_readers() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::open(dir.path(), small_map()).unwrap();
    let tables = environment.open_tables(&["a".into()]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (environment, stop, table) = (environment.clone(), stop.clone(), tables[0].unwrap());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let txn = environment.begin_read().unwrap();
                    txn.get(table, b"k").unwrap();
                    thread::sleep(Duration::from_millis(5));
                }
            })
        })
        .collect();
    let written = in_time(move || {
        let mut txn = environment.begin_write()?;
        for key in 0..400u32 {
            txn.write(&put(&key.to_be_bytes(), &[7; 10_000]), &tables)?;
        }
        txn.commit()
    });
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    written.unwrap();
}

#[test]
fn a_writer_does_not_wait_for_a_reader_while_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::open(dir.path(), small_map()).unwrap();
    let tables = environment.open_tables(&["a".into()]).unwrap();
    let write = |key: &[u8], length: usize| {
        let mut txn = environment.begin_write().unwrap();
        txn.write(&put(key, &vec![1; length]), &tables).unwrap();
        txn.commit().unwrap();
    };
    write(b"more than half of the map", 600_000);
    let _reader = environment.begin_read().unwrap();
    let begun = Instant::now();
    write(b"a little", 10);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_batch_grows_the_map_and_stops_at_its_maximum() {
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = Tracker::options(dir.path()).map_size(256 << 10).max_map_size(8 << 20).open().unwrap();
    let text = "x".repeat(1000);
    let mut batch = tracker.batch().unwrap();
    for key in 0..1500 {
        batch.set_metadata(&format!("kept {key}"), &text).unwrap();
    }
    batch.commit().unwrap();
    let mut batch = tracker.batch().unwrap();
    let full = (0..50_000).find_map(|key| batch.set_metadata(&format!("lost {key}"), &text).err());
    assert!(matches!(full, Some(Error::MapFull)), "{full:?}");
    assert!(matches!(batch.commit(), Err(Error::BatchAborted)));
    assert_eq!(tracker.get_metadata("lost 0").unwrap(), None);
    assert_eq!(tracker.get_metadata("kept 1499").unwrap().unwrap(), text);
    tracker.set_metadata("small", "1").unwrap();
    assert_eq!(tracker.get_metadata("small").unwrap().as_deref(), Some("1"));
}

#[test]
fn the_bytes_of_a_transaction_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.transaction_bytes = 1 << 20;
    let mut tracker = Tracker::options(dir.path()).limits(limits).open().unwrap();
    let text = "x".repeat(100_000);
    let mut batch = tracker.batch().unwrap();
    let refused = (0..100).find_map(|n| batch.set_metadata("always the same", &format!("{n}{text}")).err());
    assert!(matches!(&refused, Some(Error::Store(why)) if why.contains("1048576 bytes")), "{refused:?}");
    drop(batch);
    assert_eq!(tracker.get_metadata("always the same").unwrap(), None);
    tracker.set_metadata("always the same", &text).unwrap();
}

#[test]
fn what_another_process_wrote_beyond_the_map_is_read() {
    const VARIABLE: &str = "ROBUSTNESS_GROW";
    if let Some(path) = std::env::var_os(VARIABLE) {
        let mut tracker = Tracker::open(path).unwrap();
        let text = "x".repeat(60_000);
        let mut batch = tracker.batch().unwrap();
        for key in 0..1000 {
            batch.set_metadata(&format!("g{key}"), &text).unwrap();
        }
        return batch.commit().unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let mut tracker = Tracker::open(dir.path()).unwrap();
    tracker.set_metadata("k", "v").unwrap();
    let output = in_another_process("what_another_process_wrote_beyond_the_map_is_read", VARIABLE, dir.path());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(tracker.get_metadata("g999").unwrap().unwrap().len(), 60_000);
    tracker.set_metadata("k", "w").unwrap();
}

#[test]
fn waiting_for_a_writer_is_not_charged_to_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(300);
    let mut tracker = Tracker::options(dir.path()).limits(limits).open().unwrap();
    let mut other = tracker.try_clone().unwrap();
    let (begun, wait) = mpsc::channel();
    let writer = thread::spawn(move || {
        let batch = other.batch().unwrap();
        begun.send(()).unwrap();
        thread::sleep(Duration::from_secs(1));
        batch.commit().unwrap();
    });
    wait.recv().unwrap();
    tracker.set_metadata("k", "v").unwrap();
    writer.join().unwrap();
}

#[test]
fn a_thread_does_not_wait_for_its_own_batch() {
    let dir = tempfile::tempdir().unwrap();
    in_time(move || {
        let mut tracker = Tracker::open(dir.path()).unwrap();
        let mut other = tracker.try_clone().unwrap();
        let mut batch = tracker.batch().unwrap();
        batch.set_metadata("k", "v").unwrap();
        assert!(other.set_metadata("k", "w").is_err());
        batch.commit().unwrap();
        other.set_metadata("k", "x").unwrap();
    });
}

#[test]
fn a_batch_that_was_moved_is_refused_and_ends_when_its_thread_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    in_time(move || {
        let mut tracker = Tracker::open(dir.path()).unwrap();
        let mut here = tracker.try_clone().unwrap();
        let mut elsewhere = tracker.try_clone().unwrap();
        tracker.begin_batch().unwrap();
        tracker.set_metadata("k", "lost").unwrap();
        thread::spawn(move || {
            assert!(tracker.set_metadata("k", "moved").is_err());
            assert!(matches!(tracker.end_batch(), Err(Error::BatchAborted)));
            // Nobody else waits for ever, either.
            assert!(elsewhere.set_metadata("k", "elsewhere").is_err());
            assert_eq!(elsewhere.get_metadata("k").unwrap(), None);
        })
        .join()
        .unwrap();
        here.set_metadata("k", "here").unwrap();
        thread::spawn(move || here.set_metadata("k", "anywhere").unwrap()).join().unwrap();
    });
}

#[test]
fn a_tracker_dropped_elsewhere_with_its_batch_blocks_nobody_for_long() {
    let dir = tempfile::tempdir().unwrap();
    in_time(move || {
        for _ in 0..3 {
            let mut tracker = Tracker::open(dir.path()).unwrap();
            tracker.begin_batch().unwrap();
            tracker.set_metadata("lost", "v").unwrap();
            thread::spawn(move || drop(tracker)).join().unwrap();
            let mut tracker = Tracker::open(dir.path()).unwrap();
            tracker.set_metadata("k", "v").unwrap();
            assert_eq!(tracker.get_metadata("lost").unwrap(), None);
        }
        thread::spawn(move || Tracker::open(dir.path()).unwrap().set_metadata("k", "w").unwrap()).join().unwrap();
    });
}

#[test]
fn files_that_are_not_lmdbs_are_refused_and_left_alone() {
    for bytes in [vec![0x5a; 100_000], b"short".to_vec(), vec![0; 8192]] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data.mdb"), bytes).unwrap();
        let before = listing(dir.path());
        assert!(Tracker::open(dir.path()).is_err());
        assert_eq!(listing(dir.path()), before);
    }
}

#[test]
fn a_file_that_was_cut_off_does_not_kill_the_process() {
    const VARIABLE: &str = "ROBUSTNESS_TRUNCATED";
    if let Some(path) = std::env::var_os(VARIABLE) {
        return assert!(Tracker::open(path).is_err());
    }
    for share in [1, 3, 5, 7, 9] {
        let dir = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(dir.path()).unwrap();
        let mut batch = tracker.batch().unwrap();
        for key in 0..2000 {
            batch.upsert_file(&format!("/src/dir/file-{key}.rs"), 1.0, 2, "hash", 0, 1, key, &["c".into()]).unwrap();
        }
        batch.commit().unwrap();
        drop(tracker);
        let file = fs::OpenOptions::new().write(true).open(dir.path().join("data.mdb")).unwrap();
        file.set_len(file.metadata().unwrap().len() * share / 10).unwrap();
        let output = in_another_process("a_file_that_was_cut_off_does_not_kill_the_process", VARIABLE, dir.path());
        assert!(output.status.success(), "{share}/10: {output:?}");
    }
}

#[test]
fn a_path_can_be_opened_and_closed_by_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    drop(Tracker::open(dir.path()).unwrap());
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let mut tracker = Tracker::options(dir.path()).create(false).open().unwrap();
                    tracker.file_count().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_read_only_session_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(Tracker::open(dir.path()).unwrap());
    fs::remove_file(dir.path().join("lock.mdb")).unwrap();
    let before = listing(dir.path());
    let mut tracker = Tracker::options(dir.path()).read_only(true).open().unwrap();
    assert_eq!(tracker.file_count().unwrap(), 0);
    assert!(matches!(tracker.set_metadata("k", "v"), Err(Error::ReadOnly)));
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn names_that_a_table_cannot_have_are_errors_in_every_engine() {
    let dir = tempfile::tempdir().unwrap();
    refuses_names(&Environment::open(dir.path(), lmdb::Options::default()).unwrap());
    refuses_names(&Memory::new());
    #[cfg(all(feature = "postgres", unix))]
    if let Some(namespace) = crate::support::postgres::Namespace::new() {
        refuses_names(&namespace.engine());
    }
}

fn refuses_names(engine: &dyn Engine) {
    let longest = "n".repeat(MAX_TABLE_NAME);
    for name in ["", "a\0b", &format!("{longest}n")] {
        let error = engine.open_tables(&["a".into(), name.into()]).unwrap_err();
        assert!(error.to_string().ends_with("cannot be the name of a table"), "{error}");
    }
    assert!(engine.open_tables(&["a".into(), longest]).is_ok());
}

#[test]
fn bounds_of_a_scan_may_be_longer_than_keys_and_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::open(dir.path(), lmdb::Options::default()).unwrap();
    let tables = environment.open_tables(&["a".into()]).unwrap();
    let mut txn = environment.begin_write().unwrap();
    for first in [5, 6] {
        txn.write(&put(&[first; 511], b"v"), &tables).unwrap();
    }
    let after = [&[5; 511][..], &[0]].concat();
    for descending in [false, true] {
        for (start, end, expected) in [(&after[..], &[7; 900][..], vec![6]), (b"z", b"a", vec![])] {
            let mut found = Vec::new();
            let mut visit = |key: &[u8], _: &[u8]| {
                found.push(key[0]);
                ControlFlow::Continue(())
            };
            txn.scan(tables[0].unwrap(), Range { start, end, descending }, &mut visit).unwrap();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_session_whose_first_call_found_no_reader_slot_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let tracker = Tracker::open(dir.path()).unwrap();
    let environment = Environment::open(dir.path(), lmdb::Options::default()).unwrap();
    let mut session = tracker.try_clone().unwrap();
    let readers: Vec<_> = std::iter::from_fn(|| environment.begin_read().ok()).collect();
    assert!(session.file_count().is_err());
    drop(readers);
    assert_eq!(session.file_count().unwrap(), 0);
}

#[test]
fn trackers_can_be_sent() {
    fn send<T: Send>() {}
    send::<Tracker>();
}
