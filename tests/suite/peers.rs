//! The benchmark's peers do equal work: they give the same answers, and what
//! the hand-written one on LMDB writes is a sound store of the tracker.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracker_host::bench::{Change, Peer, Peers, Source, Subject, Watch, prepare};
use tracker_host::types::{FileUpsert, SymbolUpsert};
use tracker_host::{Clock, Tracker};

/// Asks all peers the same and compares the answers with the tracker's.
fn agree<T: PartialEq + std::fmt::Debug>(
    peers: &mut [Box<dyn Subject>],
    what: &str,
    mut ask: impl FnMut(&mut dyn Subject) -> T,
) -> T {
    let expected = ask(&mut *peers[0]);
    for peer in &mut peers[1..] {
        assert_eq!(ask(&mut **peer), expected, "{what}, {}", peer.peer().name());
    }
    expected
}

fn change(series: &str, line_end: i64) -> Change {
    let file = |n: u64| FileUpsert {
        path: format!("/{series}/{n}.py"),
        mtime: 5.5 + n as f64,
        size: 7,
        content_hash: "ab".repeat(32),
        blob_offset: 1,
        blob_length: 2,
        key_hash: n * 1_000_003 + series.len() as u64,
        contexts: vec![format!("context:{}", n % 3), "context:all".into()],
    };
    let symbol = |n: u64, i: u64| SymbolUpsert {
        // The same names in many files.
        name: format!("name_{i}"),
        kind: if i.is_multiple_of(2) { "function".into() } else { "class".into() },
        line_start: i as i64 * 3,
        line_end: Some(line_end),
        blob_offset: 1,
        blob_length: 1,
        key_hash: n * 1_000_003 + i * 31 + series.len() as u64,
    };
    Change {
        files: (0..20).map(file).collect(),
        symbols: (0..20).map(|n| (0..10).map(|i| symbol(n, i)).collect()).collect(),
    }
}

#[test]
fn all_peers_answer_alike_and_write_alike() {
    let directory = tempfile::tempdir().unwrap();
    let time = Arc::new(AtomicU64::new(0));
    let ticking = time.clone();
    let clock = Clock::new(move || Duration::from_secs(1_700_000_000 + ticking.fetch_add(1, Ordering::Relaxed)));
    let mut random = fastrand::Rng::with_seed(7);
    let source = Source::Generated(300);
    let prepared = prepare(directory.path(), &source, &Peer::OTHERS, 20, &clock, &mut random, &mut Watch::default());
    let Peers { subjects: mut peers, lmdb, .. } = prepared.unwrap();
    let peers = &mut peers[..];

    let files = agree(peers, "list_files", |peer| peer.list_files().unwrap());
    assert_eq!(files.len(), 300);
    let mut paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    paths.insert(5, "/not/there".into());
    agree(peers, "get_files", |peer| peer.get_files(&paths).unwrap());
    agree(peers, "recent_files", |peer| peer.recent_files().unwrap());
    for file in &files {
        agree(peers, "get_file", |peer| peer.get_file(&file.path).unwrap());
        agree(peers, "get_file_by_key", |peer| peer.get_file_by_key(file.key_hash).unwrap());
        let symbols = agree(peers, "get_symbols", |peer| peer.get_symbols(&file.path).unwrap());
        assert_eq!(symbols.len(), 10);
    }
    assert_eq!(agree(peers, "get_file", |peer| peer.get_file("/not/there").unwrap()), None);
    assert_eq!(agree(peers, "get_file_by_key", |peer| peer.get_file_by_key(1).unwrap()), None);
    for filter in ["ACCOUNT_17", "merge", "nowhere"] {
        agree(peers, "find_symbols", |peer| peer.find_symbols(filter).unwrap());
    }
    let contexts: std::collections::BTreeSet<_> = files.iter().flat_map(|file| &file.detected_contexts).collect();
    for context in contexts {
        let found = agree(peers, "files_by_context", |peer| peer.files_by_context(context).unwrap());
        assert!(!found.is_empty());
    }
    for tag in ["tag-0", "tag-7", "all", "none"] {
        agree(peers, "memories_by_tag", |peer| peer.memories_by_tag(tag).unwrap());
    }

    // New, unchanged, and changed, each at a time that is the same for all.
    for (durable, series, line_end) in [(true, "new", 1), (true, "new", 1), (false, "new", 2), (false, "other", 1)] {
        let started = time.load(Ordering::Relaxed);
        for peer in peers.iter_mut() {
            peer.set_durable(durable).unwrap();
            time.store(started, Ordering::Relaxed);
            peer.apply(&change(series, line_end)).unwrap();
        }
        // The tracker asks for the time with each file, the others once.
        let timeless = |mut files: Vec<tracker_host::types::FileRecord>| {
            files.iter_mut().for_each(|file| file.indexed_at = 0.0);
            files
        };
        agree(peers, "list_files after a change", |peer| timeless(peer.list_files().unwrap()));
        agree(peers, "find_symbols after a change", |peer| peer.find_symbols("name").unwrap());
        agree(peers, "files_by_context after a change", |peer| timeless(peer.files_by_context("context:all").unwrap()));
    }
    time.fetch_add(1000, Ordering::Relaxed);
    let started = time.load(Ordering::Relaxed);
    for peer in peers.iter_mut() {
        time.store(started, Ordering::Relaxed);
        peer.upsert_file(&FileUpsert { size: 8, ..change("new", 1).files[3].clone() }).unwrap();
    }
    let newest = agree(peers, "recent_files after a change", |peer| peer.recent_files().unwrap().swap_remove(0));
    assert_eq!((newest.path.as_str(), newest.size), ("/new/3.py", 8));

    // What the hand-written peer keeps is what the tracker would keep.
    peers[2].set_durable(true).unwrap();
    let copied = directory.path().join("copied");
    std::fs::create_dir(&copied).unwrap();
    std::fs::copy(lmdb.join("data.mdb"), copied.join("data.mdb")).unwrap();
    let report = Tracker::open(&copied).unwrap().verify().unwrap();
    assert_eq!((report.errors, report.warnings), (0, 0), "{:?}", report.findings.first());
    assert!(report.records > 340 * 11);
}

#[test]
fn peers_that_are_left_out_are_not_filled() {
    let prepared = |peers: &[Peer]| {
        let directory = tempfile::tempdir().unwrap();
        let (source, mut random) = (Source::Generated(200), fastrand::Rng::with_seed(7));
        let prepared =
            prepare(directory.path(), &source, peers, 20, &Clock::system(), &mut random, &mut Watch::default());
        let mut subjects = prepared.unwrap().subjects;
        assert_eq!(agree(&mut subjects, "list_files", |peer| peer.list_files().unwrap()).len(), 200);
        let mut names: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with("sqlite.db-"))
            .collect();
        names.sort();
        (subjects.iter().map(|subject| subject.peer()).collect::<Vec<_>>(), names)
    };
    let all = (vec![Peer::Tracker, Peer::Rusqlite, Peer::Heed, Peer::Redb], vec!["lmdb", "redb", "sqlite.db", "store"]);
    assert_eq!(prepared(&Peer::OTHERS), (all.0, all.1.into_iter().map(str::to_owned).collect()));
    assert_eq!(prepared(&[]), (vec![Peer::Tracker], vec!["store".to_owned()]));
    for (peer, name) in [(Peer::Rusqlite, "sqlite.db"), (Peer::Heed, "lmdb"), (Peer::Redb, "redb")] {
        let mut names = vec![name.to_owned(), "store".to_owned()];
        names.sort();
        assert_eq!(prepared(&[peer]), (vec![Peer::Tracker, peer], names));
    }
}

#[test]
fn a_target_is_judged_by_the_peers_that_were_measured() {
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
        command.args(["bench", "--quick", "--rows", "200", "--only", "get-file", "--json"]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let heed = bench(&["--peers", "heed"]);
    // get-file has a target for each peer, get-file-by-key for rusqlite only.
    for (row, target) in [("get-file", Some("≤ 1.5× heed")), ("get-file-by-key", None)] {
        let line = heed.iter().find(|line| line["name"] == row).unwrap();
        assert!(line["ratio_heed"].is_f64() && line["ratio_sqlite"].is_null() && line["redb_ns"].is_null(), "{line}");
        assert_eq!(line["target"].as_str(), target);
        let met = target.map(|_| line["ratio_heed"].as_f64().unwrap() <= 1.5);
        assert_eq!(line["met"].as_bool(), met, "{line}");
    }
    let alone = bench(&["--peers", "none"]);
    assert_eq!(alone.len(), heed.len());
    assert!(alone.iter().all(|line| line["tracker_ns"].is_f64() && line["met"].is_null()), "{alone:?}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    let output = command.args(["bench", "--rows", "200", "--peers", "none,redb"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("--peers none measures the tracker alone"), "{text}");
}

#[test]
fn a_store_of_the_users_choice_may_be_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let bench = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
        command.args(["bench", "--quick", "--rows", "200", "--json", "--store"]).arg(&store).output().unwrap()
    };
    let output = bench();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["import, 1000 rows a transaction", "get-symbols, ten", "upsert-file, again, 16 clients"] {
        let line = lines.iter().find(|line| line["name"] == name).unwrap();
        assert!(line["store"].as_f64().unwrap() > 0.0 && line["lmdb"].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(Tracker::open(&store).unwrap().verify().unwrap().errors, 0);

    // What is in a store already is nobody's to measure with.
    let output = bench();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("has files, and the benchmark would write to it; name an empty store"), "{text}");
}
