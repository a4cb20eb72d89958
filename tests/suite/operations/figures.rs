//! What `host stats` tells.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tracker_host::Tracker;
use tracker_host::store::Engine;
use tracker_host::store::lmdb::{Environment, Options};

use super::{Session, host, text};
use crate::support::small;

fn stats(store: &Path) -> Value {
    let output = text(&host(["stats".as_ref(), store.as_os_str(), "--json".as_ref()]), 0);
    serde_json::from_str::<Value>(&output).unwrap()["environment"].take()
}

fn write(store: &Path, value: &str) {
    let call = format!("set-metadata(\"written\", \"{value}\")");
    text(&host(["call".as_ref(), store.as_os_str(), call.as_ref()]), 0);
}

const CHILD: &str = "TRACKER_TEST_READER";

/// Also the other process of the test: it reads until it is killed.
#[test]
fn readers_of_all_processes_are_listed_with_their_lag_and_those_that_died_as_stale() {
    if let Some(store) = std::env::var_os(CHILD) {
        let environment = Environment::open(store, Options::default()).unwrap();
        let _txn = environment.begin_read().unwrap();
        println!("\nreading");
        loop {
            std::thread::park();
        }
    }
    let (_dir, store) = small().copy();
    write(&store, "0");
    assert_eq!(stats(&store)["active-readers"], serde_json::json!([]));
    let test = "operations::figures::readers_of_all_processes_are_listed_with_their_lag_and_those_that_died_as_stale";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, &store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "reading"));
    let first = stats(&store);
    let reader = &first["active-readers"][0];
    assert_eq!(reader["process"], child.id());
    assert_eq!(reader["txnid"], first["last-txnid"]);
    assert_eq!((&reader["lag"], &reader["stale"]), (&0.into(), &false.into()));
    assert_eq!(first["free-pages-kept"], 0);

    for value in ["1", "2", "3"] {
        write(&store, value);
    }
    let second = stats(&store);
    let reader = &second["active-readers"][0];
    assert_eq!(second["active-readers"].as_array().unwrap().len(), 1);
    assert_eq!((&reader["lag"], &reader["stale"]), (&3.into(), &false.into()));
    assert!(second["free-pages-kept"].as_u64().unwrap() > 0, "{second}");
    let shown = text(&host(["stats".as_ref(), store.as_os_str()]), 0);
    assert!(shown.contains(&format!("process {} reads transaction {}, 3 behind\n", child.id(), reader["txnid"])));

    // The first to open a store begins with an empty table, so somebody stays.
    let _other = Session::new(&store);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(stats(&store)["active-readers"][0]["stale"], true);
    assert!(text(&host(["stats".as_ref(), store.as_os_str()]), 0).contains("stale: the process is gone"));
    write(&store, "4");
    let last = stats(&store);
    assert_eq!((&last["active-readers"], &last["free-pages-kept"]), (&serde_json::json!([]), &0.into()));
}

#[test]
fn listing_readers_does_not_give_up_the_locks_of_this_process() {
    let (_dir, store) = small().copy();
    let tracker = Tracker::open(&store).unwrap();
    for _ in 0..2 {
        assert!(tracker.environment_stats().unwrap().active_readers.is_some());
    }
    // Without its lock on the lock file this process would not be noticed.
    let message = super::error(&host(["compact".as_ref(), store.as_os_str()]));
    assert!(message.contains("is open in another program"), "{message}");
}

#[test]
fn what_compacting_gains_is_what_it_gains() {
    let (_dir, store) = small().copy();
    let mut tracker = Tracker::open(&store).unwrap();
    tracker.set_metadata("large", &"x".repeat(3 << 20)).unwrap();
    tracker.set_metadata("large", "").unwrap();
    tracker.clear_pattern_caches().unwrap();
    drop(tracker);
    let before = stats(&store);
    assert!(before["free-pages"].as_u64().unwrap() > 700, "{before}");
    text(&host(["compact".as_ref(), store.as_os_str()]), 0);
    let after = stats(&store);
    assert_eq!(after["file-size"], before["compacted-size"]);
    assert_eq!((&after["free-pages"], &after["compacted-size"]), (&0.into(), &after["file-size"]));
    assert_eq!(after["tables"], before["tables"]);
}

#[test]
#[cfg(target_os = "linux")]
fn memory_of_the_map_grows_with_what_is_read() {
    let (_dir, store) = small().copy();
    let mut tracker = Tracker::open(&store).unwrap();
    let before = tracker.environment_stats().unwrap().resident.unwrap();
    tracker.verify().unwrap();
    let after = tracker.environment_stats().unwrap();
    assert!(after.resident.unwrap() > before);
    assert!(after.resident.unwrap() <= after.map_size);
}
