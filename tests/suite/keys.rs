//! Keys that LMDB cannot hold as they are: empty, too long, shared.

use tracker_host::Tracker;
use tracker_host::types::SymbolUpsert;

use crate::support::{Fresh, fresh};

/// Texts of every length that matters, with neighbours that share their beginning.
fn texts() -> Vec<String> {
    let mut texts = vec![String::new(), "\0".into(), "\0a".into(), "\u{1}".into(), "a".into(), "ü\0\u{1}é".into()];
    for length in [493, 494, 495, 511, 512, 600, 5000] {
        texts.push("x".repeat(length));
        texts.push(format!("{}y", "x".repeat(length - 1)));
        texts.push(format!("{}\0", "x".repeat(length - 1)));
    }
    texts.sort();
    texts
}

fn clean(tracker: &mut Tracker) {
    let report = tracker.verify().unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn paths_of_any_length_are_stored_listed_in_order_and_deleted() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let texts = texts();
    for (n, path) in texts.iter().enumerate().rev() {
        tracker.upsert_file(path, 1.5, 1, "h", 0, 1, n as u64 % 5, &["c".into(), path.clone()]).unwrap();
        tracker.upsert_symbol(path, path, path, 1, None, 0, 0, 9).unwrap();
    }
    clean(&mut tracker);
    for (n, path) in texts.iter().enumerate() {
        assert_eq!(&tracker.get_file(path).unwrap().unwrap().path, path);
        let alone: Vec<_> = tracker.files_by_context(path, 3).map(|file| file.unwrap().path).collect();
        assert_eq!(alone, std::slice::from_ref(path), "context of text {n}");
        assert_eq!(tracker.get_symbols(path).unwrap().len(), 1);
        assert_eq!(tracker.list_insights_by_type(path, None, 10).unwrap().items.len(), 1);
    }
    for size in [1, 2, 1000] {
        let listed: Vec<_> = tracker.files(size).map(|file| file.unwrap().path).collect();
        assert_eq!(listed, texts, "files in pages of {size}");
        let listed: Vec<_> = tracker.paths("", size).map(Result::unwrap).collect();
        assert_eq!(listed, texts, "paths in pages of {size}");
        let listed: Vec<_> = tracker.files_by_context("c", size).map(|file| file.unwrap().path).collect();
        assert_eq!(listed, texts, "by context in pages of {size}");
        let listed: Vec<_> = tracker.all_symbols(None, size).map(|symbol| symbol.unwrap().name).collect();
        assert_eq!(listed, texts, "symbols in pages of {size}");
    }
    for path in &texts {
        assert!(tracker.delete_file(path).unwrap());
    }
    assert_eq!((tracker.file_count().unwrap(), tracker.symbol_count().unwrap()), (0, 0));
    let stats = tracker.environment_stats().unwrap();
    let left = stats.tables.iter().filter(|table| table.entries > 0).map(|table| table.name.as_str());
    assert_eq!(left.collect::<Vec<_>>(), ["counters", "meta"]);
}

#[test]
fn every_text_key_can_be_of_any_length() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for (n, text) in texts().iter().enumerate() {
        let (key, length) = (n as u64, text.len() as i64);
        tracker.set_metadata(text, text).unwrap();
        tracker.set_transcript_position(text, length).unwrap();
        let list = [text.clone()];
        tracker.upsert_memory(text, Some(text), &list, &list, &[], text, &list, 0, 0, key, None, false).unwrap();
        tracker.cache_pattern(key, text, "grep", &list, 0, 0).unwrap();
        tracker.create_thread(text, text, None, None).unwrap();
        tracker.add_thread_file(key, text, "read").unwrap();
        tracker.add_thread_query(key, text, None, None).unwrap();
        tracker.record_thread_tool(key, text).unwrap();
        tracker
            .upsert_convention(text, text, "", text, &list, "optional", &[], &[], None, &[], Some(text), 0, 0, key)
            .unwrap();
    }
    clean(&mut tracker);
    for (n, text) in texts().iter().enumerate() {
        let (key, length) = (n as u64, text.len() as i64);
        assert_eq!(tracker.get_metadata(text).unwrap().as_ref(), Some(text));
        assert_eq!(tracker.get_transcript_position(text).unwrap(), length);
        assert_eq!(&tracker.get_memory(text).unwrap().unwrap().id, text);
        assert_eq!(&tracker.get_memory_by_key(key).unwrap().unwrap().id, text);
        let list = [text.clone()];
        assert_eq!(tracker.query_memories(None, &list, &list, &list, 9, 0).unwrap().len(), 1);
        assert_eq!(tracker.get_patterns_for_file(text).unwrap(), [key]);
        assert_eq!(tracker.get_threads_for_file(text).unwrap(), [key]);
        assert_eq!(tracker.get_threads_for_session(text).unwrap().len(), 1);
        assert_eq!(&tracker.get_thread_tools(key).unwrap()[0].tool_name, text);
        assert_eq!(tracker.list_conventions_by_scope(text, None, 9).unwrap().items.len(), 1);
        assert_eq!(tracker.list_conventions_by_category(text, None, 9).unwrap().items.len(), 1);
        if !text.is_empty() {
            assert_eq!(tracker.query_conventions(Some(text), &[], None, Some(text), 9, 0).unwrap().len(), 1);
        }
        assert!(tracker.delete_memory(text).unwrap());
        assert!(tracker.delete_convention(text).unwrap());
    }
    let positions: Vec<String> =
        tracker.get_all_transcript_positions().unwrap().into_iter().map(|(path, _)| path).collect();
    assert_eq!(positions, texts());
    clean(&mut tracker);
}

#[test]
fn several_owners_of_a_key_hash_are_all_reachable_in_turn() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for path in ["/c", "/a", "/d", "/b"] {
        tracker.upsert_file(path, 1.0, 1, "h", 0, 1, 7, &[]).unwrap();
    }
    assert!(tracker.update_file_vector(7, 100, 10).unwrap());
    for path in ["/a", "/b", "/c", "/d"] {
        assert_eq!(tracker.get_file_by_key(7).unwrap().unwrap().path, path);
        assert_eq!(tracker.get_file(path).unwrap().unwrap().vector_offset, Some(100));
        clean(&mut tracker);
        tracker.delete_file(path).unwrap();
    }
    assert!(tracker.get_file_by_key(7).unwrap().is_none());
    assert!(!tracker.update_file_vector(7, 1, 1).unwrap());
}

#[test]
fn deleting_owners_in_one_call_keeps_the_rest_in_order() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for n in 0..40 {
        tracker.upsert_file(&format!("/{n:02}"), 1.0, 1, "h", 0, 1, n % 2, &[]).unwrap();
    }
    let gone: Vec<String> = (0..37).map(|n| format!("/{n:02}")).collect();
    assert_eq!(tracker.delete_files(&gone).unwrap(), 37);
    assert_eq!(tracker.get_file_by_key(0).unwrap().unwrap().path, "/38");
    assert_eq!(tracker.get_file_by_key(1).unwrap().unwrap().path, "/37");
    clean(&mut tracker);
}

#[test]
fn key_hashes_cover_all_of_u64() {
    let fixture = crate::support::small();
    let mut tracker = fixture.tracker();
    for key in fixture.manifest["edge_keys"].as_array().unwrap() {
        let key = key.as_u64().unwrap();
        assert_eq!(tracker.get_symbol_by_key(key).unwrap().unwrap().key_hash, key);
    }
}

/// A thousand key hashes have two owners or three. The first lose some of them:
/// neighbours, and some with hundreds of others between.
#[test]
fn the_next_owner_of_many_shared_key_hashes_is_found() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let symbols = |keep: &dyn Fn(u64) -> bool| -> Vec<SymbolUpsert> {
        let all = (0..1000).filter(|key_hash| keep(*key_hash));
        let symbol = |key_hash: u64| SymbolUpsert {
            name: format!("s{key_hash}"),
            kind: "function".into(),
            line_start: 1,
            line_end: None,
            blob_offset: 0,
            blob_length: 1,
            key_hash,
        };
        all.map(symbol).collect()
    };
    for path in ["/a", "/b", "/c"] {
        tracker.upsert_file(path, 1.0, 1, "h", 0, 1, 1, &[]).unwrap();
    }
    tracker.replace_symbols("/a", &symbols(&|_| true)).unwrap();
    tracker.replace_symbols("/b", &symbols(&|_| true)).unwrap();
    tracker.replace_symbols("/c", &symbols(&|key_hash| key_hash % 3 == 0)).unwrap();
    let lost = |key_hash: u64| matches!(key_hash, 0 | 1 | 2 | 66 | 67 | 300 | 999);
    tracker.replace_symbols("/a", &symbols(&|key_hash| !lost(key_hash))).unwrap();
    clean(&mut tracker);
    for key_hash in 0..1000 {
        let owner = tracker.get_symbol_by_key(key_hash).unwrap().unwrap().file_path;
        assert_eq!(owner, if lost(key_hash) { "/b" } else { "/a" }, "{key_hash}");
    }
    // All at once, where some have one owner more and some have none.
    tracker.delete_file("/a").unwrap();
    tracker.delete_file("/b").unwrap();
    clean(&mut tracker);
    for key_hash in 0..1000 {
        let owner = tracker.get_symbol_by_key(key_hash).unwrap().map(|symbol| symbol.file_path);
        assert_eq!(owner.as_deref(), (key_hash % 3 == 0).then_some("/c"), "{key_hash}");
    }
}
