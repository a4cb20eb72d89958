//! What single calls do beyond what the recorded reads show.

use crate::support::{Fresh, fresh};

#[test]
fn an_upsert_keeps_the_vector_and_replaces_the_contexts() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.upsert_file("/a", 1.0, 1, "h", 0, 1, 1, &["context:x".into(), "context:x".into()]).unwrap();
    tracker.update_file_vector(1, 10, 20).unwrap();
    assert_eq!(tracker.get_context_stats().unwrap(), [("context:x".to_owned(), 2)]);
    tracker.upsert_file("/a", 2.0, 1, "h", 0, 1, 1, &[]).unwrap();
    let file = tracker.get_file("/a").unwrap().unwrap();
    assert_eq!((file.vector_offset, file.vector_length), (Some(10), Some(20)));
    assert!(file.detected_contexts.is_empty());
    assert!(tracker.get_context_stats().unwrap().is_empty());
    assert_eq!(tracker.embedded_file_count().unwrap(), 1);
}

#[test]
fn replacing_symbols_keeps_ids_and_vectors_of_those_that_stay() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let symbol = |name: &str, line_start, key_hash| tracker_host::types::SymbolUpsert {
        name: name.into(),
        kind: "function".into(),
        line_start,
        line_end: None,
        blob_offset: 0,
        blob_length: 0,
        key_hash,
    };
    let ids = tracker.replace_symbols("/a", &[symbol("x", 1, 1), symbol("y", 2, 2)]).unwrap();
    tracker.update_symbol_vector(1, 5, 6).unwrap();
    let new = [symbol("z", 3, 3), symbol("x", 1, 4), symbol("x", 1, 5)];
    let again = tracker.replace_symbols("/a", &new).unwrap();
    assert_eq!(again[1], ids[0]);
    assert_eq!(again[2], ids[0], "the later of two with one identity updates the earlier");
    assert!(again[0] > ids[1]);
    let symbols = tracker.get_symbols("/a").unwrap();
    assert_eq!(symbols.iter().map(|s| (s.id, s.key_hash)).collect::<Vec<_>>(), [(ids[0], 5), (again[0], 3)]);
    assert_eq!(symbols[0].vector_offset, Some(5));
    assert!(tracker.get_symbol_by_key(2).unwrap().is_none());
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn patterns_go_with_their_links_and_links_with_their_patterns() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.cache_pattern(1, "a", "grep", &["/y".into(), "/x".into()], 0, 0).unwrap();
    tracker.cache_pattern(2, "b", "grep", &["/x".into()], 0, 0).unwrap();
    tracker.update_pattern_vector(2, 3, 4).unwrap();
    assert_eq!(tracker.get_pattern_cache(1).unwrap().unwrap().matched_files, ["/x", "/y"]);
    tracker.cache_pattern(1, "a", "grep", &["/y".into()], 0, 0).unwrap();
    assert_eq!(tracker.get_patterns_for_file("/x").unwrap(), [2]);
    assert_eq!(tracker.evict_patterns_for_file("/x").unwrap(), 1);
    assert_eq!(tracker.evict_patterns_for_file("/x").unwrap(), 0);
    assert_eq!(tracker.live_vector_stats().unwrap().count, 0);
    assert_eq!(tracker.evict_patterns_by_ttl(1e9).unwrap(), 0);
    assert_eq!(tracker.evict_patterns_by_ttl(-1e9).unwrap(), 1);
    assert!(tracker.get_patterns_for_file("/y").unwrap().is_empty());
    tracker.cache_pattern(3, "c", "grep", &["/z".into()], 0, 0).unwrap();
    assert_eq!(tracker.clear_pattern_caches().unwrap(), 1);
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn threads_are_ranked_touched_and_deactivated() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let ids: Vec<u64> =
        ["s1", "s1", "s2"].into_iter().map(|s| tracker.create_thread(s, "t", None, None).unwrap().id).collect();
    tracker.touch_thread(ids[0]).unwrap();
    tracker.touch_thread(999).unwrap();
    tracker.deactivate_thread(ids[1]).unwrap();
    let recent: Vec<u64> = tracker.get_recent_threads(9, true).unwrap().iter().map(|t| t.id).collect();
    assert_eq!(recent, [ids[0], ids[2]]);
    assert_eq!(tracker.get_recent_threads(9, false).unwrap().len(), 3);
    assert_eq!((tracker.thread_count(true).unwrap(), tracker.thread_count(false).unwrap()), (2, 3));
    let stats = tracker.get_thread_stats().unwrap();
    assert_eq!((stats.active_threads, stats.inactive_threads, stats.session_count), (2, 1, 2));
    assert_eq!(stats.top_session, Some(("s1".into(), 2)));
    for operation in ["read", "edit", "read", "write"] {
        tracker.add_thread_file(ids[0], "/a", operation).unwrap();
    }
    let files = tracker.get_thread_files(ids[0]).unwrap();
    assert_eq!((files[0].operation.as_str(), files[0].access_count), ("write", 4));
    for tool in ["grep", "edit", "edit"] {
        tracker.record_thread_tool(ids[0], tool).unwrap();
    }
    let tools = tracker.get_thread_tools(ids[0]).unwrap();
    assert_eq!(
        tools.iter().map(|t| (t.tool_name.as_str(), t.tool_count)).collect::<Vec<_>>(),
        [("edit", 2), ("grep", 1)]
    );
}

#[test]
fn vectors_move_with_all_owners_of_a_key_hash() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for path in ["/a", "/b"] {
        tracker.upsert_file(path, 1.0, 1, "h", 0, 1, 7, &[]).unwrap();
    }
    tracker.update_file_vector(7, 100, 10).unwrap();
    let moved = [tracker_host::types::VectorMove { old_offset: 100, new_offset: 0, length: 12 }];
    assert_eq!(tracker.update_vector_offsets(&moved).unwrap(), 2);
    assert_eq!(tracker.update_vector_offsets(&moved).unwrap(), 0);
    let stats = tracker.live_vector_stats().unwrap();
    assert_eq!((stats.bytes, stats.count), (24, 2));
    assert!(tracker.update_vector_offsets(&[moved[0], moved[0]]).is_err());
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn a_memory_counts_accesses_until_it_is_stored_again() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut upsert = |text: &str| {
        tracker.upsert_memory("m", None, &[], &[], &[1, u64::MAX], text, &[], 0, 0, 1, Some("me"), true).unwrap();
        tracker.record_memory_access("m").unwrap();
        tracker.record_memory_access("m").unwrap();
        assert!(!tracker.record_memory_access("other").unwrap());
        tracker.get_memory("m").unwrap().unwrap()
    };
    let first = upsert("one");
    assert_eq!((first.access_count, first.symbol_keys.as_slice()), (2, &[1, u64::MAX][..]));
    assert_eq!((first.owner_id.as_deref(), first.is_team, first.updated_at), (Some("me"), true, None));
    let second = upsert("two");
    assert_eq!((second.access_count, second.created_at), (2, first.created_at));
    assert!(second.updated_at.unwrap() > first.created_at);
}

#[test]
fn conventions_are_ranked_by_priority_and_scope() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let conventions: [(&str, &str, &[&str]); 4] = [
        ("a", "optional", &["rust"]),
        ("b", "required", &["python"]),
        ("c", "whatever", &[]),
        ("d", "recommended", &[]),
    ];
    for (n, (id, priority, scope)) in conventions.into_iter().enumerate() {
        let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
        tracker
            .upsert_convention(id, "n", "", "style", &scope, priority, &[], &[], None, &[], None, 0, 0, n as u64)
            .unwrap();
    }
    let ids = |found: Vec<tracker_host::types::ConventionRecord>| found.into_iter().map(|c| c.id).collect::<Vec<_>>();
    assert_eq!(ids(tracker.query_conventions(None, &[], None, None, 100, 0).unwrap()), ["b", "d", "a", "c"]);
    assert_eq!(ids(tracker.query_conventions(None, &["rust".into()], None, None, 2, 1).unwrap()), ["a", "c"]);
    assert_eq!(ids(tracker.query_conventions(Some("style"), &[], Some("required"), None, 9, 0).unwrap()), ["b"]);
    assert_eq!(tracker.list_conventions_by_scope("rust", None, 9).unwrap().items.len(), 1);
    assert!(tracker.record_convention_applied("a").unwrap());
    assert_eq!(tracker.get_convention("a").unwrap().unwrap().times_applied, 1);
    assert_eq!(tracker.get_convention_stats().unwrap(), [("style".to_owned(), 4)]);
    assert!(tracker.delete_convention("a").unwrap());
    assert!(tracker.verify().unwrap().findings.is_empty());
}

#[test]
fn a_team_file_does_not_replace_ones_own() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    assert_eq!(tracker.import_team_file("/t", None, Some(5.0), &["c".into()], 9).unwrap(), 9);
    let shared = tracker.get_file("/t").unwrap().unwrap();
    assert_eq!((shared.is_team, shared.size, shared.indexed_at), (true, 0, 5.0));
    tracker.upsert_file("/t", 1.0, 3, "h", 0, 1, 4, &[]).unwrap();
    assert_eq!(tracker.import_team_file("/t", Some(8), None, &[], 9).unwrap(), 4);
    let own = tracker.get_file("/t").unwrap().unwrap();
    assert_eq!((own.is_team, own.size), (false, 3));
}

#[test]
fn freshness_finds_what_needs_index_misses() {
    use tracker_host::types::{FileStat, Verdict};
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.upsert_file("/r/a", 1000.0, 5, "h", 0, 1, 1, &[]).unwrap();
    tracker.upsert_file("/r/sub/b", 1000.0, 5, "h", 0, 1, 2, &[]).unwrap();
    tracker.upsert_file("/rest", 2_000_000_010.0, 5, "h", 0, 1, 3, &[]).unwrap();
    let stat = |path: &str, mtime, size| FileStat { path: path.into(), mtime, size };
    let stats = [
        stat("/r/a", 1000.0, 5),
        stat("/r/a", 999.0, 5),
        stat("/r/a", 1000.0, 6),
        stat("/rest", 2_000_000_010.0, 5),
        stat("/n", 1.0, 1),
    ];
    let report = tracker.freshness(&stats, Some("/r")).unwrap();
    assert_eq!(report.verdicts, [Verdict::Fresh, Verdict::Stale, Verdict::Stale, Verdict::Racy, Verdict::Unknown]);
    assert_eq!(report.vanished, ["/r/sub/b"]);
    assert!(!tracker.needs_index("/r/a", 999.0, 5).unwrap());
}

#[test]
fn rows_of_one_import_that_touch_the_same_things_agree() {
    use tracker_host::types::{PatternLink, PatternRecord, Row};
    let Fresh { mut tracker, dir: _dir } = fresh();
    let link = |path: &str| Row::PatternLink(PatternLink { pattern_key_hash: 1, file_path: path.into() });
    let pattern = |files: &[&str]| {
        Row::Pattern(PatternRecord {
            key_hash: 1,
            pattern: "p".into(),
            tool_type: "grep".into(),
            matched_files: files.iter().map(|file| (*file).to_owned()).collect(),
            created_at: 1.0,
            blob_offset: 0,
            blob_length: 0,
            vector_offset: None,
            vector_length: None,
        })
    };
    tracker.import_rows(&[link("/a"), pattern(&["/b"]), link("/c"), pattern(&["/d", "/c"]), link("/e")]).unwrap();
    assert_eq!(tracker.get_pattern_cache(1).unwrap().unwrap().matched_files, ["/c", "/d", "/e"]);
    assert!(tracker.get_patterns_for_file("/a").unwrap().is_empty());
    assert!(tracker.verify().unwrap().findings.is_empty());
}
