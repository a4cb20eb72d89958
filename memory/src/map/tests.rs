#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::mpsc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Model = [BTreeMap<Vec<u8>, Vec<u8>>; 2];

#[derive(Debug, Clone)]
enum Step {
    Put(u8, Vec<u8>, Vec<u8>),
    Delete(u8, Vec<u8>),
    Clear(u8),
    Commit,
    Abort,
    /// Keeps a snapshot, to be compared at the end.
    Snapshot,
    Scan(u8, Vec<u8>, Vec<u8>),
}

/// Few and short keys, so that they meet, and enough of them for several levels.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => vec(0..4u8, 1..6), 1 => vec(any::<u8>(), 1..3)]
}

fn step() -> impl Strategy<Value = Step> {
    let table = 0..2u8;
    prop_oneof![
        20 => (table.clone(), key(), vec(any::<u8>(), 0..4)).prop_map(|(table, key, value)| Step::Put(table, key, value)),
        6 => (table.clone(), key()).prop_map(|(table, key)| Step::Delete(table, key)),
        1 => table.clone().prop_map(Step::Clear),
        2 => Just(Step::Commit),
        1 => Just(Step::Abort),
        1 => Just(Step::Snapshot),
        4 => (table, vec(0..4u8, 0..4), vec(0..4u8, 0..4)).prop_map(|(table, start, end)| Step::Scan(table, start, end)),
    ]
}

fn tables() -> (Memory, [Table; 2]) {
    let memory = Memory::new();
    let tables = memory.open(&["a".into(), "b".into()]).unwrap();
    (memory, tables.try_into().unwrap())
}

fn check(read: &Read, tables: [Table; 2], model: &Model) {
    for (table, model) in tables.into_iter().zip(model) {
        let entries: Vec<_> = read.scan(table, b"", b"").map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        assert!(entries.iter().map(|(key, value)| (key, value)).eq(model), "{entries:?} is not {model:?}");
        assert_eq!(read.count(table), model.len() as u64);
        assert!(model.iter().all(|(key, value)| read.get(table, key) == Some(value)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_what_ordered_maps_do_and_snapshots_stay_as_they_are(steps in vec(step(), 1..400)) {
        let (memory, tables) = tables();
        let mut committed = Model::default();
        let mut working = Model::default();
        let mut write = memory.write().unwrap();
        let mut kept = Vec::new();
        for step in steps {
            match step {
                Step::Put(table, key, value) => {
                    write.put(tables[usize::from(table)], &key, &value);
                    working[usize::from(table)].insert(key, value);
                }
                Step::Delete(table, key) => {
                    write.delete(tables[usize::from(table)], &key);
                    working[usize::from(table)].remove(&key);
                }
                Step::Clear(table) => {
                    write.clear(tables[usize::from(table)]);
                    working[usize::from(table)].clear();
                }
                Step::Commit => {
                    write.commit();
                    committed = working.clone();
                    write = memory.write().unwrap();
                }
                Step::Abort => {
                    drop(write);
                    working = committed.clone();
                    write = memory.write().unwrap();
                }
                Step::Snapshot => kept.push((memory.read(), committed.clone())),
                Step::Scan(table, start, end) => {
                    let model = &working[usize::from(table)];
                    let inside = |key: &&Vec<u8>| **key >= start && (end.is_empty() || **key < end);
                    let expected: Vec<_> = model.keys().filter(inside).map(Vec::as_slice).collect();
                    let found = || write.scan(tables[usize::from(table)], &start, &end).map(|(key, _)| key);
                    prop_assert_eq!(&found().collect::<Vec<_>>(), &expected);
                    prop_assert!(found().rev().eq(expected.into_iter().rev()));
                }
            }
        }
        check(&write, tables, &working);
        check(&memory.read(), tables, &committed);
        for (read, model) in kept {
            check(&read, tables, &model);
        }
    }
}

#[test]
fn a_second_writer_waits_until_the_first_has_ended_and_sees_what_it_wrote() {
    let (memory, [table, _]) = tables();
    let mut first = memory.write().unwrap();
    let (asked, asking) = mpsc::channel();
    let (began, beginning) = mpsc::channel();
    let other = memory.clone();
    let second = std::thread::spawn(move || {
        asked.send(()).unwrap();
        let write = other.write().unwrap();
        began.send(()).unwrap();
        write.get(table, b"k").map(<[u8]>::to_vec)
    });
    asking.recv().unwrap();
    first.put(table, b"k", b"v");
    // It cannot have begun, however long it has been asking.
    assert_eq!(beginning.try_recv(), Err(mpsc::TryRecvError::Empty));
    first.commit();
    assert_eq!(second.join().unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_thread_that_would_wait_for_itself_is_told() {
    let (memory, _) = tables();
    let first = memory.write().unwrap();
    assert_eq!(memory.write().err(), Some(Busy));
    // The other thread may end it: it is bound to none.
    std::thread::spawn(move || drop(first)).join().unwrap();
    assert!(memory.write().is_ok());
}

#[test]
fn tables_have_one_owner_and_can_be_added() {
    let (memory, [table, _]) = tables();
    let mut running = memory.write().unwrap();
    assert_eq!(memory.open(&["c".into(), "a".into()]), Err(Foreign));
    let more = memory.open(&["a".into(), "c".into()]).unwrap();
    assert_eq!(more[0], table);
    running.put(table, b"k", b"v");
    running.put(more[1], b"k", b"v");
    running.commit();
    assert_eq!(memory.read().get(more[1], b"k"), Some(&b"v"[..]));
    assert_eq!(memory.open(&["a".into(), "b".into(), "c".into()]).unwrap()[2], more[1]);
}
