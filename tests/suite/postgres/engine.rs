//! What a transaction sees and leaves.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tracker_host::store::postgres::{Options, Postgres};
use tracker_host::store::{Engine, Handle, Range, StoreError, Transaction};
use tracker_host::{Error, Tracker};

use super::{delete, put, table, transact, value};
use crate::support::postgres::Namespace;
use crate::support::scale;

fn all(transaction: &dyn Transaction, table: Handle, range: Range<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    transaction
        .scan(table, range, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    entries
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const EVERYTHING: Range<'static> = Range { start: b"", end: b"", descending: false };

#[test]
fn a_random_history_is_that_of_a_map_and_every_snapshot_stays() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let tables = table(&engine);
    let t = tables[0].unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut model = Model::new();
    let mut old: Option<(Box<dyn Transaction>, Model)> = None;
    let any_key = |random: &mut fastrand::Rng| {
        // Bytes that text would trip over, the longest key, and its neighbours.
        let byte = [0, 1, b'\'', b'\\', b'a', 0x7f, 0x80, 0xff][random.usize(..8)];
        vec![byte; [1, 2, 3, 2047, 2048][random.usize(..5)]]
    };
    for round in 0..scale(60, 600) {
        let mut write = engine.begin_write().unwrap();
        let mut mine = model.clone();
        for _ in 0..random.usize(1..6) {
            let (key, value) = (any_key(&mut random), vec![random.u8(..); random.usize(..300)]);
            if random.u8(..3) == 0 {
                write.write(&delete(&key), &tables).unwrap();
                mine.remove(&key);
            } else {
                write.write(&put(&key, &value), &tables).unwrap();
                mine.insert(key, value);
            }
            let (start, end) = (key_or_none(&mut random, any_key), key_or_none(&mut random, any_key));
            let descending = random.bool();
            let mut expected: Vec<_> = mine
                .iter()
                .filter(|(key, _)| **key >= start && (end.is_empty() || **key < end))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            if descending {
                expected.reverse();
            }
            assert_eq!(all(&*write, t, Range { start: &start, end: &end, descending }), expected);
            assert_eq!(write.count(t).unwrap(), mine.len() as u64);
        }
        let asked: Vec<Vec<u8>> = (0..20).map(|_| any_key(&mut random)).collect();
        let mut answers = Vec::new();
        let mut keys = asked.iter().map(Vec::as_slice);
        write
            .get_many(t, &mut keys, &mut |value| {
                answers.push(value.map(<[u8]>::to_vec));
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(answers, asked.iter().map(|key| mine.get(key).cloned()).collect::<Vec<_>>());
        if random.u8(..4) > 0 {
            write.commit().unwrap();
            model = mine;
        }
        if let Some((snapshot, then)) = &old {
            assert_eq!(all(&**snapshot, t, EVERYTHING), then.clone().into_iter().collect::<Vec<_>>());
        }
        if round % 10 == 0 {
            let snapshot = engine.begin_read().unwrap();
            // It is of its first look.
            assert_eq!(snapshot.count(t).unwrap(), model.len() as u64);
            old = Some((snapshot, model.clone()));
        }
    }
    let again = namespace.engine();
    let read = again.begin_read().unwrap();
    assert_eq!(all(&*read, table(&again)[0].unwrap(), EVERYTHING), model.into_iter().collect::<Vec<_>>());
}

fn key_or_none(random: &mut fastrand::Rng, key: impl Fn(&mut fastrand::Rng) -> Vec<u8>) -> Vec<u8> {
    if random.bool() { key(random) } else { Vec::new() }
}

#[test]
fn pages_and_groups_of_any_size_come_whole() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let tables = table(&engine);
    let t = tables[0].unwrap();
    // Several groups of a flush, several pages of a scan.
    let entries: BTreeMap<Vec<u8>, Vec<u8>> =
        (0..20_000u32).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; n as usize % 50])).collect();
    let large = vec![7; 6 << 20];
    transact(&engine, |transaction| {
        for (key, value) in &entries {
            transaction.write(&put(key, value), &tables)?;
        }
        (0..4u8).try_for_each(|n| transaction.write(&put(&[255, n], &large), &tables))
    })
    .unwrap();
    let read = engine.begin_read().unwrap();
    assert_eq!(read.count(t).unwrap(), 20_004);
    for descending in [false, true] {
        let mut found = all(&*read, t, Range { end: &[255], descending, ..EVERYTHING });
        if descending {
            found.reverse();
        }
        assert!(found.into_iter().eq(entries.clone()));
    }
    // More than is kept of one statement.
    let keys: Vec<Vec<u8>> = [255, 0].into_iter().flat_map(|first| (0..4u8).map(move |n| vec![first, n])).collect();
    let mut sizes = Vec::new();
    let mut asked = keys.iter().map(Vec::as_slice);
    read.get_many(t, &mut asked, &mut |value| {
        sizes.push(value.map(<[u8]>::len));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(sizes, [Some(6 << 20); 4].into_iter().chain([None; 4]).collect::<Vec<_>>());
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_taken() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let tables = table(&engine);
    let t = tables[0].unwrap();
    let write = |text: &[u8]| transact(&engine, |transaction| transaction.write(&put(b"a", text), &tables)).unwrap();
    write(b"1");
    let snapshot = engine.snapshot().unwrap();
    write(b"2");
    for _ in 0..2 {
        let read = snapshot.begin_read().unwrap();
        assert_eq!(read.get(t, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert!(matches!(snapshot.begin_read(), Err(StoreError::Closed(_))), "one at a time");
    }
    assert!(matches!(snapshot.begin_write(), Err(StoreError::ReadOnly)));
    assert_eq!(value(&engine, t, b"a").as_deref(), Some(&b"2"[..]));
}

#[test]
fn what_two_transactions_may_not_both_do_one_of_them_does_again() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let tables = table(&engine);
    let t = tables[0].unwrap();
    // Lost update: both read what both write.
    let (mut one, mut two) = (engine.begin_write().unwrap(), engine.begin_write().unwrap());
    for transaction in [&mut one, &mut two] {
        assert_eq!(transaction.get(t, b"n").unwrap(), None);
        transaction.write(&put(b"n", b"1"), &tables).unwrap();
    }
    one.commit().unwrap();
    assert!(matches!(two.commit(), Err(StoreError::Conflict)));
    // Write skew: each reads what the other writes.
    let (mut one, mut two) = (engine.begin_write().unwrap(), engine.begin_write().unwrap());
    for (transaction, reads, writes) in [(&mut one, b"x", b"y"), (&mut two, b"y", b"x")] {
        assert_eq!(transaction.get(t, reads).unwrap(), None);
        transaction.write(&put(writes, b"1"), &tables).unwrap();
    }
    one.commit().unwrap();
    assert!(matches!(two.commit(), Err(StoreError::Conflict)));
    assert_eq!((value(&engine, t, b"y"), value(&engine, t, b"x")), (Some(b"1".to_vec()), None));
    // Phantom: each looks for what the other adds.
    let (mut one, mut two) = (engine.begin_write().unwrap(), engine.begin_write().unwrap());
    for (transaction, key) in [(&mut one, b"p1"), (&mut two, b"p2")] {
        let range = Range { start: b"p", end: b"q", descending: false };
        assert_eq!(all(&**transaction, t, range), []);
        transaction.write(&put(key, b"1"), &tables).unwrap();
    }
    one.commit().unwrap();
    assert!(matches!(two.commit(), Err(StoreError::Conflict)));
}

#[test]
fn two_processes_may_create_a_store_at_the_same_time() {
    let Some(namespace) = Namespace::new() else { return };
    let names: Vec<String> = (0..20).map(|n| format!("table {n}")).collect();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || namespace.engine().open_tables(&names).unwrap();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(opened.iter().all(|tables| *tables == opened[0] && tables.iter().all(Option::is_some)), "{opened:?}");
}

#[test]
fn a_namespace_of_another_program_is_left_alone_and_a_missing_one_is_not_made() {
    let Some(namespace) = Namespace::new() else { return };
    let missing = Postgres::open(&namespace.url, Options { create: false, ..Options::default() });
    assert!(missing.unwrap_err().to_string().starts_with("there is no store at postgres://"));
    namespace.engine().open_tables(&["somebody else's".into()]).unwrap();
    assert!(matches!(Tracker::open(&namespace.url), Err(Error::Foreign)));
    let engine = Postgres::open(&namespace.url, Options { read_only: true, ..Options::default() }).unwrap();
    assert!(matches!(engine.begin_write(), Err(StoreError::ReadOnly)));
    let sizes = engine.table_sizes().unwrap();
    assert_eq!(sizes.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["somebody else's"]);
}

#[test]
fn no_form_and_no_error_tells_a_password() {
    let Some(namespace) = Namespace::new() else { return };
    let engine = namespace.engine();
    let secret = "s3cr3t";
    let address = namespace.address();
    let wrong = [
        format!("postgres://tracker:{secret}@{address}/no_such_database?sslmode=disable"),
        format!("postgres://nobody:{secret}@{address}/postgres?sslmode=disable"),
        format!("postgres://tracker:{secret}@127.0.0.1:1/postgres"),
        format!("postgres://tracker:{secret}@{address}/postgres?sslmode=verify-full&sslrootcert=/none"),
    ];
    for url in wrong {
        let Err(error) = Tracker::open(&url) else { panic!("{url} opened") };
        let mut text = format!("{error:?}");
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            text.push_str(&error.to_string());
            next = error.source();
        }
        assert!(!text.contains(secret), "{text}");
    }
    let password = namespace.url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':');
    if let Some((_, password)) = password {
        let text = format!("{engine:?} {}", engine.name());
        assert!(!text.contains(password) && text.contains("namespace="), "{text}");
    }
}
