//! Many sessions on one store, in threads and in processes: what one
//! transaction sees is of one moment, no write is lost, nobody waits for ever,
//! and who dies leaves nothing behind that keeps others out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tracker_host::types::{FileUpsert, SymbolUpsert};
use tracker_host::{Durability, Error, Options, Tracker};

use crate::support::{figure, scale};

/// Fails if something does not end: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs on a thread of its own and fails if it does not end.
fn in_time<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || done.send(f()));
    match wait.recv_timeout(PATIENCE) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

/// The store of these tests: the smallest map, so that it also grows among them.
fn options(path: &Path) -> Options {
    Tracker::options(path).durability(Durability::NoSync).map_size(64 << 10)
}

// One moment

const FILES: u64 = 40;

fn path(file: u64) -> String {
    format!("/src/dir/file-{file:03}.rs")
}

/// Writes all files as of this generation, some with another context and
/// another key each time, and as many symbols as it takes to shift the indexes.
fn write_generation(tracker: &mut Tracker, generation: i64) -> Result<(), Error> {
    let mut batch = tracker.batch()?;
    let files = (0..FILES).map(|file| FileUpsert {
        path: path(file),
        mtime: generation as f64,
        size: generation,
        content_hash: format!("{generation}"),
        blob_offset: 0,
        blob_length: generation,
        key_hash: file + 1000 * (generation as u64 % 2),
        contexts: vec!["all".into(), format!("context-{}", (file as i64 + generation) % 3)],
    });
    batch.upsert_files(&files.collect::<Vec<_>>())?;
    let file = generation as u64 % FILES;
    let symbols = (0..generation % 7).map(|line| SymbolUpsert {
        name: format!("name-{}", (line + generation) % 5),
        kind: "insight:todo".into(),
        line_start: line,
        line_end: None,
        blob_offset: 0,
        blob_length: 0,
        key_hash: generation as u64,
    });
    batch.replace_symbols(&path(file), &symbols.collect::<Vec<_>>())?;
    batch.update_file_vector(generation as u64 % FILES, generation * 512, 512)?;
    batch.cache_pattern(generation as u64 % 5, "p", "grep", &[path(file), path((file + 1) % FILES)], 0, 0)?;
    batch.set_metadata("generation", &generation.to_string())?;
    batch.commit()
}

/// One value, of all.
fn same<T: PartialEq + std::fmt::Debug>(values: impl IntoIterator<Item = T>) -> T {
    let mut values = values.into_iter();
    let first = values.next().expect("there is one");
    values.for_each(|other| assert_eq!(other, first, "of two moments"));
    first
}

/// What each single call has to see: one generation, and indexes that agree
/// with the records. An entry of an index without its record is `corrupt`.
fn look(reader: &mut Tracker, turn: u64) -> i64 {
    let listed = reader.list_files(None, 1000).unwrap().items;
    assert_eq!(listed.len() as u64, FILES);
    let generation = same(listed.iter().map(|file| file.size));
    let of_context = reader.list_files_by_context("all", None, 1000).unwrap().items;
    assert_eq!(of_context.len() as u64, FILES);
    let mut later = same(of_context.iter().map(|file| file.size));
    assert!(later >= generation);
    for step in 0..4 {
        let now = match (turn + step) % 4 {
            0 => {
                let context = format!("context-{}", turn % 3);
                let some = reader.list_files_by_context(&context, None, 1000).unwrap().items;
                assert!(some.iter().all(|file| file.detected_contexts[1] == context));
                same(some.iter().map(|file| file.size))
            }
            1 => {
                let paths: Vec<String> = (0..FILES).map(path).collect();
                same(reader.get_files(&paths).unwrap().into_iter().map(|file| file.unwrap().size))
            }
            2 => {
                // Two looks, of which the second may be of a later moment.
                let key = turn % FILES + 1000 * (turn % 2);
                if let Some(file) = reader.get_file_by_key(key).unwrap() {
                    assert_eq!(file.key_hash, key);
                }
                reader.get_symbol_by_key(generation.cast_unsigned()).unwrap();
                reader.list_all_symbols(None, None, 1000).unwrap();
                reader.list_insights_by_type("insight:todo", None, 1000).unwrap();
                reader.get_recent_symbols(20).unwrap();
                reader.list_live_vectors(None, 1000).unwrap();
                reader.get_recent_patterns(10).unwrap();
                later
            }
            _ => same(reader.get_recent_files(1000).unwrap().into_iter().map(|file| file.size)),
        };
        assert!(now >= later, "{now} was seen after {later}");
        later = now;
    }
    later
}

/// What a snapshot has to see: the same in all calls, and indexes without a fault.
fn look_through_snapshot(reader: &Tracker) {
    let mut snapshot = reader.snapshot().unwrap();
    let generation: i64 = snapshot.get_metadata("generation").unwrap().unwrap().parse().unwrap();
    assert_eq!(same(snapshot.list_files(None, 1000).unwrap().items.iter().map(|file| file.size)), generation);
    let files = snapshot.files_by_context("all", 7).map(|file| file.unwrap().size);
    assert_eq!(same(files), generation);
    let report = snapshot.verify().unwrap();
    assert_eq!(report.errors, 0, "{:?}", report.findings);
    assert_eq!(snapshot.get_metadata("generation").unwrap().unwrap(), generation.to_string());
}

fn read_until(reader: &mut Tracker, stop: &dyn Fn() -> bool) -> u64 {
    let (mut turn, mut last) = (0, 0);
    while !stop() || turn == 0 {
        let generation = look(reader, turn);
        assert!(generation >= last, "{generation} was seen after {last}");
        last = generation;
        if turn % 8 == 0 {
            let report = reader.verify().unwrap();
            assert_eq!(report.errors, 0, "{:?}", report.findings);
            look_through_snapshot(reader);
        }
        turn += 1;
    }
    turn
}

#[test]
fn readers_in_threads_see_one_moment_a_call_while_a_writer_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (generations, turns) = in_time(move || {
        let mut writer = options(&store).open().unwrap();
        write_generation(&mut writer, 1).unwrap();
        let done = AtomicBool::new(false);
        let generations = scale(60, 3000) as i64;
        let turns: u64 = thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let (mut reader, done) = (writer.try_clone().unwrap(), &done);
                    scope.spawn(move || read_until(&mut reader, &|| done.load(Ordering::Relaxed)))
                })
                .collect();
            for generation in 2..=generations {
                write_generation(&mut writer, generation).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            readers.into_iter().map(|reader| reader.join().unwrap()).sum()
        });
        (generations, turns)
    });
    figure("readers in threads: generations written", generations);
    figure("readers in threads: rounds of calls read", turns);
}

// Nothing lost

/// Increments of three kinds: in one call, in one batch, and by another call's answer.
fn increment(tracker: &mut Tracker) -> Result<(), Error> {
    tracker.add_thread_file(1, "/counted", "read")?;
    let mut batch = tracker.batch()?;
    let count: u64 = batch.get_metadata("count")?.map_or(0, |count| count.parse().unwrap());
    batch.set_metadata("count", &(count + 1).to_string())?;
    batch.commit()?;
    tracker.add_thread_query(1, "counted", None, None)?;
    Ok(())
}

fn assert_counted(tracker: &mut Tracker, times: u64) {
    assert_eq!(tracker.get_metadata("count").unwrap().unwrap(), times.to_string());
    assert_eq!(tracker.get_thread_files(1).unwrap()[0].access_count.cast_unsigned(), times);
    let mut ids: Vec<u64> = tracker.get_thread_queries(1, u32::MAX).unwrap().iter().map(|query| query.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=times).collect::<Vec<_>>(), "an id was given twice");
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn no_update_of_many_writers_in_threads_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (writers, each) = (6, scale(60, 2000) as u64);
    in_time(move || {
        let mut tracker = options(&store).open().unwrap();
        thread::scope(|scope| {
            for _ in 0..writers {
                let mut writer = tracker.try_clone().unwrap();
                scope.spawn(move || (0..each).for_each(|_| increment(&mut writer).unwrap()));
            }
        });
        assert_counted(&mut tracker, writers * each);
    });
    figure("writers in threads: updates counted", writers * each * 3);
}

// Processes

const STORE: &str = "CONCURRENCY_STORE";
const ROLE: &str = "CONCURRENCY_ROLE";

/// The test of this name in a process of its own.
fn another_process(test: &str, role: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("concurrency::{test}"), "--exact", "--nocapture"])
        .env(STORE, store)
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The store and the role of a process that [`another_process`] has begun.
fn given() -> Option<(PathBuf, String)> {
    Some((std::env::var_os(STORE)?.into(), std::env::var(ROLE).unwrap()))
}

fn assert_ended_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn processes_share_a_store_without_loss_and_readers_see_one_moment() {
    const TEST: &str = "processes_share_a_store_without_loss_and_readers_see_one_moment";
    let each = scale(25, 1000) as u64;
    match given() {
        Some((store, role)) if role == "increment" => {
            let mut tracker = options(&store).open().unwrap();
            return (0..each).for_each(|_| increment(&mut tracker).unwrap());
        }
        Some((store, _)) => {
            let mut reader = options(&store).open().unwrap();
            let done = store.with_extension("done");
            read_until(&mut reader, &|| done.exists());
            return;
        }
        None => {}
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let processes = 3;
    in_time(move || {
        let mut tracker = options(&store).open().unwrap();
        write_generation(&mut tracker, 1).unwrap();
        let readers: Vec<Child> = (0..2).map(|_| another_process(TEST, "read", &store)).collect();
        let mut writers: Vec<Child> = (0..processes).map(|_| another_process(TEST, "increment", &store)).collect();
        let mut generation = 1;
        while writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()) {
            generation += 1;
            write_generation(&mut tracker, generation).unwrap();
        }
        std::fs::write(store.with_extension("done"), "").unwrap();
        writers.into_iter().chain(readers).for_each(assert_ended_well);
        assert_counted(&mut tracker, processes * each);
        figure("writers in processes: updates counted", processes * each * 3);
        figure("writers in processes: generations written meanwhile", generation);
    });
}

/// Begins a process that does something with the store and then waits to be
/// killed; returns when it has done it.
fn until_ready(test: &str, role: &str, store: &Path) -> Child {
    let ready = store.with_extension("ready");
    let _ = std::fs::remove_file(&ready);
    let mut child = another_process(test, role, store);
    let begun = Instant::now();
    while !ready.exists() {
        if child.try_wait().unwrap().is_some() || begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            assert_ended_well(child);
            panic!("it ended instead of waiting");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Says that everything is done, and waits to be killed.
fn ready(store: &Path) -> ! {
    std::fs::write(store.with_extension("ready"), "").unwrap();
    // Not for ever: whoever should kill it may have failed.
    thread::sleep(PATIENCE);
    std::process::exit(1)
}

/// SIGKILL: nothing of the process runs any more.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_slot_of_a_reader_that_was_killed_is_free_when_the_store_is_next_opened() {
    const TEST: &str = "the_slot_of_a_reader_that_was_killed_is_free_when_the_store_is_next_opened";
    if let Some((store, _)) = given() {
        let tracker = options(&store).open().unwrap();
        let _snapshot = tracker.snapshot().unwrap();
        ready(&store);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    in_time(move || {
        let mut tracker = options(&store).open().unwrap();
        tracker.set_metadata("k", "v").unwrap();
        let child = until_ready(TEST, "snapshot", &store);
        let readers = |tracker: &Tracker| tracker.environment_stats().unwrap().active_readers.unwrap();
        assert!(readers(&tracker).iter().any(|reader| reader.process == child.id() && reader.stale == Some(false)));
        let process = child.id();
        kill(child);
        assert!(readers(&tracker).iter().any(|reader| reader.process == process && reader.stale == Some(true)));
        drop(tracker);
        let tracker = options(&store).open().unwrap();
        assert_eq!(readers(&tracker), []);
    });
}

#[cfg(unix)]
#[test]
fn slots_of_readers_that_were_killed_are_taken_when_there_are_no_others() {
    const TEST: &str = "slots_of_readers_that_were_killed_are_taken_when_there_are_no_others";
    const SLOTS: u32 = 4;
    if let Some((store, _)) = given() {
        let tracker = options(&store).max_readers(SLOTS).open().unwrap();
        let mut snapshots = Vec::new();
        while let Ok(snapshot) = tracker.snapshot() {
            snapshots.push(snapshot);
        }
        assert!(!snapshots.is_empty());
        ready(&store);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    in_time(move || {
        let mut tracker = options(&store).max_readers(SLOTS).open().unwrap();
        tracker.set_metadata("k", "v").unwrap();
        for _ in 0..3 {
            let child = until_ready(TEST, "all slots", &store);
            // They are in use.
            assert!(tracker.snapshot().is_err());
            kill(child);
            let mut snapshot = tracker.snapshot().unwrap();
            assert_eq!(snapshot.get_metadata("k").unwrap().as_deref(), Some("v"));
        }
    });
}

#[cfg(unix)]
#[test]
fn a_writer_that_was_killed_keeps_nobody_out_and_leaves_nothing() {
    const TEST: &str = "a_writer_that_was_killed_keeps_nobody_out_and_leaves_nothing";
    if let Some((store, _)) = given() {
        let mut tracker = options(&store).open().unwrap();
        tracker.begin_batch().unwrap();
        tracker.set_metadata("k", "lost").unwrap();
        ready(&store);
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    in_time(move || {
        let mut tracker = options(&store).open().unwrap();
        tracker.set_metadata("k", "kept").unwrap();
        for turn in 0..3 {
            let child = until_ready(TEST, "batch", &store);
            // Readers do not wait for it; a writer does, until it is killed.
            assert_eq!(tracker.get_metadata("k").unwrap().as_deref(), Some("kept"));
            let mut waiting = tracker.try_clone().unwrap();
            let writer = thread::spawn(move || waiting.set_metadata("turn", &turn.to_string()));
            thread::sleep(Duration::from_millis(30));
            assert!(!writer.is_finished(), "there are two writers");
            kill(child);
            writer.join().unwrap().unwrap();
            assert_eq!(tracker.get_metadata("k").unwrap().as_deref(), Some("kept"));
            assert_eq!(tracker.get_metadata("turn").unwrap(), Some(turn.to_string()));
        }
        assert_eq!(tracker.verify().unwrap().errors, 0);
    });
}

// Threads

#[test]
fn a_session_may_move_between_threads_and_each_thread_may_have_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    in_time(move || {
        let mut tracker = options(&store).open().unwrap();
        for turn in 0..20_u64 {
            tracker = thread::spawn(move || {
                increment(&mut tracker).unwrap();
                let mut own = tracker.try_clone().unwrap();
                assert_eq!(own.get_metadata("count").unwrap().unwrap(), (turn + 1).to_string());
                tracker
            })
            .join()
            .unwrap();
        }
        assert_counted(&mut tracker, 20);
    });
}
