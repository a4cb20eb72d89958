//! Opening stores and growing them.

use std::ops::ControlFlow;
use std::sync::Arc;

use tracker_host::store::lmdb::{Environment, OpenError, Options};
use tracker_host::store::{Engine, Range, StoreError, packed};
use tracker_host::{Error, Tracker};

use crate::support::fresh;

fn environment(options: Options) -> (tempfile::TempDir, Environment) {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::open(dir.path().join("store"), options).unwrap();
    (dir, environment)
}

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut ops = Vec::new();
    packed::push_op(packed::Op::Put { table: 0, key, value }, &mut ops);
    ops
}

#[test]
fn scans_go_both_ways_and_respect_their_bounds() {
    let (_dir, environment) = environment(Options::default());
    let tables = environment.open_tables(&["t".into()]).unwrap();
    let mut write = environment.begin_write().unwrap();
    for key in [&b"a"[..], b"b", b"b\0", b"c"] {
        write.write(&put(key, b"v"), &tables).unwrap();
    }
    write.commit().unwrap();
    let read = environment.begin_read().unwrap();
    let keys = |start: &[u8], end: &[u8], descending| {
        let mut keys = Vec::new();
        read.scan(tables[0].unwrap(), Range { start, end, descending }, &mut |key, _| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
        keys
    };
    assert_eq!(keys(b"", b"", false), ["a", "b", "b\0", "c"]);
    assert_eq!(keys(b"b\0", b"c", false), ["b\0"]);
    assert_eq!(keys(b"b", b"", true), ["c", "b\0", "b"]);
    assert_eq!(keys(b"", b"b", true), ["a"]);
    // A start may be longer than any key: the key after the longest one.
    assert_eq!(keys(&[b'b'; 600], b"", false), ["c"]);
}

#[test]
fn many_keys_are_answered_as_each_alone_whatever_their_order_and_gaps() {
    let (_dir, environment) = environment(Options::default());
    let tables = environment.open_tables(&["t".into()]).unwrap();
    let table = tables[0].unwrap();
    let mut write = environment.begin_write().unwrap();
    let there: Vec<u64> = [0..20, 22..30, 255..258, 1000..1001].into_iter().flatten().collect();
    for n in &there {
        write.write(&put(&n.to_be_bytes(), &n.to_le_bytes()), &tables).unwrap();
    }
    write.write(&put(b"between", b"text"), &tables).unwrap();
    let keys = |numbers: &[u64]| -> Vec<Vec<u8>> { numbers.iter().map(|n| n.to_be_bytes().to_vec()).collect() };
    let up: Vec<u64> = (0..40).chain(250..260).collect();
    let down: Vec<u64> = up.iter().rev().copied().collect();
    let mut mixed = keys(&[5, 6, 7, 7, 8, 3, u64::MAX, 0, 1, 19, 20, 21, 22, 23, 999, 1000, 1001]);
    mixed.extend([b"between".to_vec(), b"betweeo".to_vec(), vec![], vec![1; 600], 5u64.to_be_bytes().to_vec()]);
    let check = |transaction: &dyn tracker_host::store::Transaction| {
        for asked in [keys(&up), keys(&down), mixed.clone()] {
            for enough in [1, 3, asked.len()] {
                let mut answers = Vec::new();
                let mut visit = |value: Option<&[u8]>| {
                    answers.push(value.map(<[u8]>::to_vec));
                    if answers.len() == enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                transaction.get_many(table, &mut asked.iter().map(Vec::as_slice), &mut visit).unwrap();
                let single = |key: &Vec<u8>| transaction.get(table, key).unwrap().map(|value| value.to_vec());
                assert_eq!(answers, asked.iter().take(enough).map(single).collect::<Vec<_>>());
            }
        }
    };
    check(&*write);
    write.commit().unwrap();
    check(&*environment.begin_read().unwrap());
}

#[test]
fn the_smallest_map_grows_under_a_large_batch_without_the_caller_noticing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut tracker = Tracker::options(&store).map_size(64 << 10).open().unwrap();
    let mut batch = tracker.batch().unwrap();
    for n in 0..20_000u64 {
        batch.upsert_file(&format!("/some/longer/path/file{n}.rs"), 1.0, 1, "hash", 0, 1, n, &[]).unwrap();
    }
    batch.commit().unwrap();
    assert_eq!(tracker.file_count().unwrap(), 20_000);
    assert!(tracker.environment_stats().unwrap().map_size > 4 << 20);
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn at_the_maximum_the_store_says_so_and_works_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut tracker = Tracker::options(&store).max_map_size(2 << 20).open().unwrap();
    tracker.set_metadata("before", "1").unwrap();
    let mut batch = tracker.batch().unwrap();
    let failed = (0..100_000u64)
        .find_map(|n| batch.upsert_file(&format!("/path/{n}"), 1.0, 1, "hash", 0, 1, n, &[]).err())
        .expect("the map is full at some point");
    assert!(matches!(failed, Error::MapFull), "{failed:?}");
    assert!(matches!(batch.set_metadata("a", "1"), Err(Error::BatchAborted)));
    assert!(matches!(batch.commit(), Err(Error::BatchAborted)));
    assert_eq!(tracker.file_count().unwrap(), 0);
    assert_eq!(tracker.get_metadata("before").unwrap().as_deref(), Some("1"));
    tracker.set_metadata("after", "1").unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn what_is_not_a_store_is_refused_in_plain_words_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str, create| Tracker::options(dir.path().join(name)).create(create).open().map(drop);
    std::fs::write(dir.path().join("file"), "x").unwrap();
    assert!(matches!(open("file", true), Err(Error::Open(OpenError::NotADirectory(_)))));
    assert!(matches!(open("missing", false), Err(Error::Open(OpenError::Missing(_)))));
    assert!(!dir.path().join("missing").exists());
    std::fs::create_dir(dir.path().join("full")).unwrap();
    std::fs::write(dir.path().join("full/notes.txt"), "x").unwrap();
    assert!(matches!(open("full", true), Err(Error::Open(OpenError::NotAStore(_)))));
    std::fs::create_dir(dir.path().join("garbage")).unwrap();
    std::fs::write(dir.path().join("garbage/data.mdb"), [0x5a; 16384]).unwrap();
    assert!(matches!(open("garbage", true), Err(Error::Open(OpenError::Invalid { .. }))));
    assert_eq!(std::fs::read(dir.path().join("garbage/data.mdb")).unwrap(), [0x5a; 16384]);
}

#[test]
fn an_environment_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    {
        let other = Environment::open(&store, Options::default()).unwrap();
        other.open_tables(&["somebody else's".into()]).unwrap();
    }
    let before = std::fs::read(store.join("data.mdb")).unwrap();
    assert!(matches!(Tracker::open(&store), Err(Error::Foreign)));
    assert_eq!(std::fs::read(store.join("data.mdb")).unwrap(), before);
}

#[test]
fn reading_only_changes_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    Tracker::open(&store).unwrap().set_metadata("a", "1").unwrap();
    std::fs::remove_file(store.join("lock.mdb")).unwrap();
    let before = std::fs::read(store.join("data.mdb")).unwrap();
    let mut tracker = Tracker::options(&store).read_only(true).open().unwrap();
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
    assert!(matches!(tracker.set_metadata("a", "2"), Err(Error::ReadOnly)));
    assert!(matches!(tracker.begin_batch(), Err(Error::ReadOnly)));
    assert_eq!(tracker.verify().unwrap().errors, 0);
    drop(tracker);
    assert_eq!(std::fs::read(store.join("data.mdb")).unwrap(), before);
    assert!(!store.join("lock.mdb").exists());
}

#[cfg(unix)]
#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let fresh = fresh();
    for file in ["data.mdb", "lock.mdb"] {
        let mode = std::fs::metadata(fresh.tracker.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn one_path_is_one_environment_and_options_must_agree() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut first = Tracker::open(&store).unwrap();
    first.set_metadata("a", "1").unwrap();
    let mut second = Tracker::open(store.join("../store")).unwrap();
    assert_eq!(second.get_metadata("a").unwrap().as_deref(), Some("1"));
    let other = Tracker::options(&store).read_only(true).open();
    assert!(matches!(other, Err(Error::Open(OpenError::OtherOptions(_)))));
}

#[test]
fn a_write_transaction_stays_on_its_thread() {
    let (_dir, environment) = environment(Options::default());
    let tables = Arc::new(environment.open_tables(&["t".into()]).unwrap());
    let mut write = environment.begin_write().unwrap();
    write.write(&put(b"a", b"1"), &tables).unwrap();
    let given = tables.clone();
    let (mut write, refused) = std::thread::spawn(move || {
        let refused = write.write(&put(b"b", b"1"), &given);
        (write, refused)
    })
    .join()
    .unwrap();
    assert!(matches!(refused, Err(StoreError::Closed(_))));
    write.write(&put(b"c", b"1"), &tables).unwrap();
    write.commit().unwrap();
    assert_eq!(environment.begin_read().unwrap().count(tables[0].unwrap()).unwrap(), 2);
}

#[test]
fn a_tracker_can_be_sent_and_shared_by_sessions() {
    fn sendable<T: Send>() {}
    sendable::<Tracker>();
    let fresh = fresh();
    let mut writer = fresh.tracker;
    writer.set_metadata("n", "0").unwrap();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut reader = writer.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut last = 0;
                while last < 50 {
                    let now: u32 = reader.get_metadata("n").unwrap().unwrap().parse().unwrap();
                    assert!(now >= last);
                    last = now;
                }
            })
        })
        .collect();
    for n in 1..=50 {
        writer.set_metadata("n", &n.to_string()).unwrap();
    }
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn a_call_that_runs_too_long_or_takes_too_much_ends_and_the_next_one_works() {
    let fixture = crate::support::small();
    let (_dir, store) = fixture.copy();
    let mut limits = tracker_host::Limits::default();
    limits.memory = 4 << 20;
    let mut tracker = Tracker::options(&store).limits(limits).open().unwrap();
    let big = "x".repeat(3 << 20);
    let failed = tracker.set_metadata("big", &big);
    assert!(matches!(failed, Err(Error::OutOfMemory(_))), "{failed:?}");
    assert_eq!(tracker.file_count().unwrap(), 189);
    tracker.set_metadata("small", "1").unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}
