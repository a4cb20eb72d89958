//! Restoring and compacting: what exchanges a store's data file.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tracker_host::store::lmdb::OpenError;
use tracker_host::{Error, Tracker};

use super::{Session, error, host, mode, names, rows, text};
use crate::support::small;
use crate::verification::damage;

fn restore(backup: &Path, store: &Path, more: &[&str]) -> std::process::Output {
    let paths = [backup.to_str().unwrap(), store.to_str().unwrap()];
    host([&["restore"], &paths[..], more].concat())
}

#[test]
fn a_backup_is_restored_to_a_new_place_and_over_a_store_only_if_told() {
    let (dir, store) = small().copy();
    let backup = dir.path().join("backup");
    Tracker::open(&store).unwrap().backup(&backup).unwrap();
    let new = dir.path().join("a new place é");
    text(&restore(&backup, &new, &[]), 0);
    assert_eq!(rows(&new), rows(&backup));
    assert_eq!((mode(&new), mode(&new.join("data.mdb"))), (0o700, 0o600));

    Tracker::open(&store).unwrap().set_metadata("after", "the backup").unwrap();
    let message = error(&restore(&backup, &store, &[]));
    assert!(message.contains("holds a store already, which was left alone; pass --replace"), "{message}");
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.get_metadata("after").unwrap().as_deref(), Some("the backup"));
    drop(tracker);
    text(&restore(&backup, &store, &["--replace"]), 0);
    assert_eq!(rows(&store), rows(&backup));
    // It takes writes, and another process reads them.
    Tracker::open(&store).unwrap().set_metadata("after", "the restore").unwrap();
    assert_eq!(Session::new(&store).call("get-metadata(\"after\")"), "some(\"the restore\")");
    assert_eq!(names(&store), ["data.mdb", "lock.mdb"]);

    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    text(&restore(&backup, &empty, &[]), 0);
    assert_eq!(rows(&empty), rows(&backup));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine"), "").unwrap();
    assert!(error(&restore(&backup, &other, &["--replace"])).contains("is not empty and holds no store"));
    assert_eq!(names(&other), ["mine"]);
}

#[test]
fn a_damaged_backup_is_refused_and_the_store_stays() {
    let (dir, store) = small().copy();
    Tracker::open(&store).unwrap().upsert_file("/x", 1.0, 1, "h", 0, 1, 99, &["context:cli".into()]).unwrap();
    let expected = rows(&store);
    let (backup, cut) = (dir.path().join("backup"), dir.path().join("cut"));
    for dir in [&backup, &cut] {
        Tracker::open(&store).unwrap().backup(dir).unwrap();
    }
    // LMDB's, but an index is not what the records say.
    damage(&backup, "files_by_context", |raw, txn| raw.clear(txn).unwrap());
    let message = error(&restore(&backup, &store, &["--replace"]));
    assert!(message.contains("is not sound and was not restored"), "{message}");
    let data = std::fs::File::options().write(true).open(cut.join("data.mdb")).unwrap();
    data.set_len(data.metadata().unwrap().len() / 2).unwrap();
    assert!(error(&restore(&cut, &store, &["--replace"])).contains("damaged"));
    assert!(error(&restore(&dir.path().join("missing"), &store, &["--replace"])).contains("there is no store"));
    let new = dir.path().join("new");
    error(&restore(&backup, &new, &[]));
    assert_eq!(rows(&store), expected);
    assert_eq!(names(&store), ["data.mdb", "lock.mdb"]);
    assert_eq!(names(dir.path()), ["backup", "cut", "store"]);
}

#[test]
fn a_damaged_store_is_replaced() {
    let (dir, store) = small().copy();
    let backup = dir.path().join("backup");
    Tracker::open(&store).unwrap().backup(&backup).unwrap();
    std::fs::write(store.join("data.mdb"), "not LMDB's").unwrap();
    text(&restore(&backup, &store, &["--replace"]), 0);
    assert_eq!(rows(&store), rows(&backup));
}

#[test]
fn a_store_that_is_open_is_neither_replaced_nor_compacted() {
    let (dir, store) = small().copy();
    let backup = dir.path().join("backup");
    let own = Tracker::open(&store).unwrap();
    own.backup(&backup).unwrap();
    let is_in_use = |error: Error| assert!(matches!(error, Error::Open(OpenError::InUse(_))), "{error}");
    is_in_use(Tracker::options(&store).compact().unwrap_err());
    is_in_use(Tracker::options(&store).restore(&backup, true).unwrap_err());
    drop(own);
    let before = std::fs::read(store.join("data.mdb")).unwrap();
    let mut session = Session::new(&store);
    for output in [restore(&backup, &store, &["--replace"]), host(["compact", store.to_str().unwrap()])] {
        let message = error(&output);
        assert!(message.contains("is open in another program"), "{message}");
    }
    assert_eq!(std::fs::read(store.join("data.mdb")).unwrap(), before);
    assert_eq!(session.call("set-metadata(\"still\", \"works\")"), "ok");
    // A reader counts, too.
    drop(session);
    let reader = Tracker::options(&store).read_only(true).open().unwrap();
    assert!(error(&host(["compact", store.to_str().unwrap()])).contains("is open in another program"));
    drop(reader);
    text(&host(["compact", store.to_str().unwrap()]), 0);
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.get_metadata("still").unwrap().as_deref(), Some("works"));
}

#[test]
fn compacting_gives_free_pages_back_and_keeps_everything_else() {
    let (_dir, store) = small().copy();
    let data = store.join("data.mdb");
    let mut tracker = Tracker::open(&store).unwrap();
    tracker.set_metadata("large", &"x".repeat(4 << 20)).unwrap();
    tracker.set_metadata("large", "small").unwrap();
    drop(tracker);
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o640)).unwrap();
    }
    let expected = rows(&store);
    let before = std::fs::metadata(&data).unwrap().len();
    let output = text(&host(["compact", store.to_str().unwrap(), "--json"]), 0);
    let figures: serde_json::Value = serde_json::from_str(&output).unwrap();
    let after = std::fs::metadata(&data).unwrap().len();
    assert_eq!((figures["before"].as_u64(), figures["after"].as_u64()), (Some(before), Some(after)));
    assert!(after + (4 << 20) <= before, "{before} -> {after}");
    assert_eq!(mode(&data), 0o640);
    assert_eq!(rows(&store), expected);
    let mut tracker = Tracker::open(&store).unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
    // Ids go on where they were.
    let id = tracker.upsert_symbol("/new", "n", "function", 1, None, 0, 0, 1).unwrap();
    let counter = |row: &tracker_host::types::Row| match row {
        tracker_host::types::Row::Counter(row) if row.name == "symbols" => Some(row.value),
        _ => None,
    };
    assert_eq!(Some(id), expected.iter().find_map(counter).map(|last| last + 1));
    assert_eq!(names(&store), ["data.mdb", "lock.mdb"]);
}

/// The race that matters: a process that opens the store while its file is
/// exchanged must not write into the old one.
#[test]
fn no_write_is_lost_to_processes_that_come_while_the_store_is_compacted() {
    let (_dir, store) = small().copy();
    let stop = AtomicBool::new(false);
    let (compacted, written) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (store, written) = (&store, &written);
                scope.spawn(move || {
                    for number in 0..40 {
                        let call = format!("set-metadata(\"{writer}-{number}\", \"written\")");
                        text(&host(["call", store.to_str().unwrap(), &call]), 0);
                        written.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let compact = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                match Tracker::options(&store).compact() {
                    Ok(_) => _ = compacted.fetch_add(1, Ordering::SeqCst),
                    Err(Error::Open(OpenError::InUse(_))) => {}
                    Err(error) => panic!("{error}"),
                }
                thread::yield_now();
            }
        });
        let writers: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::SeqCst);
        compact.join().unwrap();
        writers.into_iter().for_each(|writer| writer.unwrap());
    });
    assert_eq!(written.load(Ordering::SeqCst), 80);
    assert!(compacted.load(Ordering::SeqCst) > 0, "the case did not arise");
    let mut tracker = Tracker::open(&store).unwrap();
    for (writer, number) in (0..2).flat_map(|writer| (0..40).map(move |number| (writer, number))) {
        let key = format!("{writer}-{number}");
        assert_eq!(tracker.get_metadata(&key).unwrap().as_deref(), Some("written"), "{key}");
    }
    assert_eq!(tracker.verify().unwrap().errors, 0);
}
