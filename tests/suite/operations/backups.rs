//! Backups and snapshots.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tracker_host::{Error, PlaceError, Tracker};

use super::{Session, error, host, mode, names, rows, text};
use crate::support::{fresh, small};

/// Commits batch after batch until told to stop: a file and a counter of commits each.
struct Writer {
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    fn start(store: &Path) -> Self {
        let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut session = Session::new(store);
        let (acknowledge, stopped) = (acknowledged.clone(), stop.clone());
        let thread = thread::spawn(move || {
            for number in 1.. {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                assert_eq!(session.call("begin-batch()"), "ok");
                assert_eq!(session.call(&format!("set-metadata(\"commits\", \"{number}\")")), "ok");
                let file = format!("upsert-file(\"/f/{number:06}\", 1.5, 1, \"h\", 0, 1, {number}, [\"c\"])");
                assert_eq!(session.call(&file), "ok");
                // Pages that are freed and used again by the next commits.
                assert!(session.call("delete-file(\"/f/000000\")").starts_with("false"));
                assert_eq!(session.call("end-batch()"), "ok");
                acknowledge.store(number, Ordering::SeqCst);
            }
        });
        Writer { acknowledged, stop, thread: Some(thread) }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until there are more commits than this.
    fn wait_for_more_than(&self, number: u64) {
        while self.acknowledged() <= number {
            assert!(!self.thread.as_ref().unwrap().is_finished(), "the writer failed");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_backup_made_while_another_process_writes_is_sound_and_holds_a_prefix_of_its_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let writer = Writer::start(&store);
    let own = Tracker::open(&store).unwrap();
    for round in 0..8 {
        let before = writer.acknowledged();
        writer.wait_for_more_than(before + 20);
        let least = writer.acknowledged();
        let to = dir.path().join(format!("backup {round}"));
        if round % 2 == 0 {
            text(&host(["backup".as_ref(), store.as_os_str(), to.as_os_str()]), 0);
        } else {
            own.backup(&to).unwrap();
        }
        // One more may be committed and not yet acknowledged.
        let most = writer.acknowledged() + 1;
        let mut backup = Tracker::options(&to).read_only(true).open().unwrap();
        let commits: u64 = backup.get_metadata("commits").unwrap().unwrap().parse().unwrap();
        assert!((least..=most).contains(&commits), "{least} <= {commits} <= {most}");
        let paths: Vec<String> = backup.paths("/f", 100).map(Result::unwrap).collect();
        let expected: Vec<String> = (1..=commits).map(|number| format!("/f/{number:06}")).collect();
        assert_eq!(paths, expected);
        let report = backup.verify().unwrap();
        assert_eq!((report.errors, report.warnings), (0, 0), "{:?}", report.findings);
    }
    writer.stop();
}

#[test]
fn a_backup_is_equal_private_and_without_free_pages() {
    let (dir, store) = small().copy();
    let backup = dir.path().join("backup");
    // Something to leave out.
    let mut tracker = Tracker::open(&store).unwrap();
    tracker.clear_pattern_caches().unwrap();
    tracker.import_rows(&[]).unwrap();
    tracker.backup(&backup).unwrap();
    drop(tracker);
    assert_eq!(rows(&store), rows(&backup));
    assert_eq!(names(&backup), ["data.mdb"]);
    assert_eq!((mode(&backup), mode(&backup.join("data.mdb"))), (0o700, 0o600));
    let bytes = |store: &Path| std::fs::metadata(store.join("data.mdb")).unwrap().len();
    assert!(bytes(&backup) < bytes(&store));
    assert_eq!(names(dir.path()), ["backup", "store"]);
}

#[test]
fn a_backup_leaves_alone_what_has_its_name() {
    let (dir, store) = small().copy();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("file"), "mine").unwrap();
    std::fs::create_dir(path("empty")).unwrap();
    std::fs::create_dir(path("full")).unwrap();
    std::fs::write(path("full/data.mdb"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
    let tracker = Tracker::open(&store).unwrap();
    for name in ["file", "empty", "full", "link", "store"] {
        let message = error(&host(["backup".as_ref(), store.as_os_str(), path(name).as_os_str()]));
        assert!(message.contains("is there already and was left alone"), "{message}");
        assert!(matches!(tracker.backup(path(name)), Err(Error::Place(PlaceError::Exists(_)))));
    }
    assert!(matches!(tracker.backup(path("missing/backup")), Err(Error::Place(PlaceError::Io { .. }))));
    assert_eq!(std::fs::read(path("file")).unwrap(), b"mine");
    assert_eq!(std::fs::read(path("full/data.mdb")).unwrap(), b"mine");
    assert_eq!(names(&path("empty")).len(), 0);
    assert_eq!(names(dir.path()), ["empty", "file", "full", "link", "store"]);
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_under_its_name_and_can_be_made_again() {
    let (dir, store) = small().copy();
    for delay in 0..12 {
        let to = dir.path().join(format!("backup{delay}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
            .args(["backup".as_ref(), store.as_os_str(), to.as_os_str()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(delay * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        if !to.exists() {
            text(&host(["backup".as_ref(), store.as_os_str(), to.as_os_str()]), 0);
        }
        assert_eq!(rows(&to).len(), rows(&store).len());
        assert!(!dir.path().join(format!("backup{delay}.tracker-partial")).exists());
    }
    // What a killed one may leave: the next one replaces it.
    let partial = dir.path().join("last.tracker-partial");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("data.mdb"), "half").unwrap();
    text(&host(["backup".as_ref(), store.as_os_str(), dir.path().join("last").as_os_str()]), 0);
    assert!(!partial.exists());
}

#[test]
fn a_backup_without_room_on_the_disk_leaves_nothing() {
    let (dir, store) = small().copy();
    let to = dir.path().join("backup");
    // No file may be longer than 64 KiB.
    let script = format!("trap '' XFSZ; ulimit -f 64; exec {:?} backup {store:?} {to:?}", env!("CARGO_BIN_EXE_host"));
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(error(&output).contains("copy the store"), "{output:?}");
    assert_eq!(names(dir.path()), ["store"]);
}

#[test]
fn a_batch_is_in_a_backup_once_it_is_committed() {
    let mut fresh = fresh();
    fresh.tracker.set_metadata("a", "before").unwrap();
    let mut batch = fresh.tracker.batch().unwrap();
    batch.set_metadata("a", "within").unwrap();
    let read = |name: &str| {
        Tracker::options(fresh.dir.path().join(name)).read_only(true).open().unwrap().get_metadata("a").unwrap()
    };
    batch.backup(fresh.dir.path().join("one")).unwrap();
    assert_eq!(read("one").as_deref(), Some("before"));
    batch.commit().unwrap();
    fresh.tracker.backup(fresh.dir.path().join("two")).unwrap();
    assert_eq!(read("two").as_deref(), Some("within"));
}

#[test]
fn a_snapshot_shows_one_state_and_takes_no_writes() {
    let mut fresh = fresh();
    fresh.tracker.set_metadata("a", "1").unwrap();
    let mut snapshot = fresh.tracker.snapshot().unwrap();
    fresh.tracker.set_metadata("a", "2").unwrap();
    fresh.tracker.set_metadata("b", "2").unwrap();
    for _ in 0..3 {
        assert_eq!(snapshot.get_metadata("a").unwrap().as_deref(), Some("1"));
        assert_eq!(snapshot.get_metadata("b").unwrap(), None);
    }
    assert!(matches!(snapshot.set_metadata("a", "3"), Err(Error::ReadOnly)));
    assert!(matches!(snapshot.begin_batch(), Err(Error::ReadOnly)));
    assert_eq!(snapshot.get_metadata("a").unwrap().as_deref(), Some("1"));
    assert_eq!(fresh.tracker.snapshot().unwrap().get_metadata("a").unwrap().as_deref(), Some("2"));
}
