//! Batches: one transaction for many calls.

use serde_json::json;
use tracker_host::{Error, Tracker};

use crate::support::{Fresh, fresh};

fn upsert(tracker: &mut Tracker, path: &str) {
    tracker.upsert_file(path, 1.0, 2, "hash", 0, 2, 7, &[]).unwrap();
}

#[test]
fn a_batch_reads_its_own_writes_and_others_do_not() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut other = tracker.try_clone().unwrap();
    let mut batch = tracker.batch().unwrap();
    upsert(&mut batch, "/a");
    assert_eq!(batch.file_count().unwrap(), 1);
    assert!(batch.get_file("/a").unwrap().is_some());
    assert_eq!(batch.get_file_by_key(7).unwrap().unwrap().path, "/a");
    assert_eq!(other.file_count().unwrap(), 0);
    batch.commit().unwrap();
    assert_eq!(other.file_count().unwrap(), 1);
}

#[test]
fn a_dropped_or_aborted_batch_leaves_nothing() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut batch = tracker.batch().unwrap();
    upsert(&mut batch, "/a");
    drop(batch);
    let mut batch = tracker.batch().unwrap();
    upsert(&mut batch, "/b");
    batch.abort().unwrap();
    assert_eq!(tracker.file_count().unwrap(), 0);
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn an_error_inside_a_batch_undoes_only_the_call_that_failed() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let memory = |tracker: &mut Tracker, id: &str, key| {
        tracker.upsert_memory(id, None, &[], &[], &[], "text", &[], 0, 0, key, None, false)
    };
    let mut batch = tracker.batch().unwrap();
    memory(&mut batch, "first", 1).unwrap();
    assert!(matches!(memory(&mut batch, "second", 1), Err(Error::KeyConflict(_))));
    let nan = batch.upsert_file("/nan", f64::NAN, 0, "", 0, 0, 0, &[]);
    assert!(matches!(nan, Err(Error::InvalidArgument(_))));
    let twice = batch.cache_pattern(1, "p", "grep", &["/a".into(), "/a".into()], 0, 0);
    assert!(matches!(twice, Err(Error::InvalidArgument(_))));
    memory(&mut batch, "third", 3).unwrap();
    batch.commit().unwrap();
    assert_eq!(tracker.memory_count().unwrap(), 2);
    assert_eq!(tracker.count_pattern_caches().unwrap(), 0);
    assert_eq!(tracker.file_count().unwrap(), 0);
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn batches_do_not_nest_and_ending_none_does_nothing() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.end_batch().unwrap();
    tracker.abort_batch().unwrap();
    tracker.begin_batch().unwrap();
    tracker.begin_batch().unwrap();
    upsert(&mut tracker, "/a");
    tracker.end_batch().unwrap();
    tracker.abort_batch().unwrap();
    assert_eq!(tracker.file_count().unwrap(), 1);
}

#[test]
fn a_second_writer_on_the_same_thread_is_refused_instead_of_waiting_for_itself() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut other = tracker.try_clone().unwrap();
    let batch = tracker.batch().unwrap();
    assert!(matches!(other.set_metadata("a", "1"), Err(Error::Store(_))));
    drop(batch);
    other.set_metadata("a", "1").unwrap();
}

#[test]
fn a_writer_on_another_thread_waits_for_the_batch() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut other = tracker.try_clone().unwrap();
    let mut batch = tracker.batch().unwrap();
    upsert(&mut batch, "/a");
    let thread = std::thread::spawn(move || {
        other.set_metadata("seen", "1").unwrap();
        other.file_count().unwrap()
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    batch.commit().unwrap();
    assert_eq!(thread.join().unwrap(), 1);
}

#[test]
fn ids_are_never_given_out_twice() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let first = tracker.save_checkpoint(1, 2, "/a").unwrap();
    tracker.clear_checkpoints().unwrap();
    let second = tracker.save_checkpoint(1, 2, "/a").unwrap();
    assert!(second > first);
    let symbol = tracker.upsert_symbol("/a", "s", "function", 1, None, 0, 0, 1).unwrap();
    tracker.delete_symbols("/a").unwrap();
    assert!(tracker.upsert_symbol("/a", "s", "function", 1, None, 0, 0, 1).unwrap() > symbol);
    // An id that an aborted batch has seen may be given out: nobody else saw it.
    let thread = tracker.create_thread("s", "t", None, None).unwrap().id;
    assert!(tracker.create_thread("s", "t", None, None).unwrap().id > thread);
}

#[test]
fn migrated_counters_continue_behind_everything_the_source_gave_out() {
    let fixture = crate::support::small();
    let (_dir, store) = fixture.copy();
    let mut tracker = Tracker::open(store).unwrap();
    let sequence = |name: &str| fixture.manifest["sqlite_sequence"][name].as_u64().unwrap();
    assert_eq!(tracker.save_checkpoint(0, 0, "").unwrap(), sequence("checkpoints") + 1);
    let symbol = tracker.upsert_symbol("/new", "s", "function", 1, None, 0, 0, 1).unwrap();
    assert_eq!(symbol, sequence("symbols") + 1);
    assert_eq!(tracker.create_thread("s", "t", None, None).unwrap().id, sequence("session_threads") + 1);
    assert_eq!(tracker.add_thread_query(1, "q", None, None).unwrap(), sequence("thread_queries") + 1);
    tracker.record_thread_tool(1, "a new tool").unwrap();
    let tools = crate::support::calls::call(&mut tracker, "get_thread_tools", &[json!(1)]);
    let ids: Vec<u64> = tools.as_array().unwrap().iter().filter_map(|tool| tool["id"].as_u64()).collect();
    assert_eq!(ids.iter().max(), Some(&(sequence("thread_tools") + 1)));
}
