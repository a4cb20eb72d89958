//! Lists stay complete while the store is written to.

use std::collections::BTreeSet;

use crate::support::{Fresh, fresh};

#[test]
fn a_record_that_is_there_throughout_is_listed_exactly_once_under_writes() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut writer = tracker.try_clone().unwrap();
    let path = |n: u32| format!("/f/{n:04}");
    let upsert = |tracker: &mut tracker_host::Tracker, n: u32| {
        tracker.upsert_file(&path(n), 1.0, 1, "h", 0, 1, u64::from(n), &["context:x".into()]).unwrap();
    };
    for n in (0..300).step_by(2) {
        upsert(&mut writer, n);
    }
    for limit in [1, 7, 100] {
        let mut after = None;
        let mut seen = Vec::new();
        let mut step = 0;
        loop {
            let page = tracker.list_files_by_context("context:x", after.as_ref(), limit).unwrap();
            seen.extend(page.items.into_iter().map(|file| file.path));
            after = page.next;
            if after.is_none() {
                break;
            }
            // Odd files come and go, also right at the cursor, and even ones are rewritten.
            upsert(&mut writer, ((step * 37 + 1) % 299) | 1);
            writer.delete_file(&path(((step * 53 + 5) % 299) | 1)).unwrap();
            upsert(&mut writer, step * 2 % 300);
            step += 1;
        }
        let unique: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "seen twice at limit {limit}");
        assert!((0..300).step_by(2).all(|n| unique.contains(&path(n))), "skipped at limit {limit}");
        assert!(seen.is_sorted());
    }
}

#[test]
fn a_cursor_outlives_the_record_it_points_after() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for name in ["a", "b", "c"] {
        tracker.upsert_symbol("/f", name, "function", 1, None, 0, 0, 0).unwrap();
    }
    let first = tracker.list_all_symbols(None, None, 2).unwrap();
    tracker.delete_symbols("/f").unwrap();
    tracker.upsert_symbol("/f", "d", "function", 1, None, 0, 0, 0).unwrap();
    let rest = tracker.list_all_symbols(None, first.next.as_ref(), 10).unwrap();
    assert_eq!(rest.items.iter().map(|symbol| symbol.name.as_str()).collect::<Vec<_>>(), ["d"]);
    assert!(rest.next.is_none());
}

#[test]
fn symbols_of_a_crowded_name_are_merged_in_file_order_whatever_the_page() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let mut batch = tracker.batch().unwrap();
    for n in 0..1500u32 {
        let kind = ["function", "method", "const"][(n % 3) as usize];
        batch.upsert_symbol(&format!("/{:03}", n * 7 % 500), "new", kind, i64::from(n), None, 0, 0, 0).unwrap();
        if n % 100 == 0 {
            batch.upsert_symbol("/x", &format!("other{n}"), kind, 1, None, 0, 0, 0).unwrap();
        }
    }
    batch.commit().unwrap();
    let all: Vec<_> = tracker.all_symbols(None, 100_000).map(Result::unwrap).collect();
    assert_eq!(all.len(), 1515);
    let order = |symbol: &tracker_host::types::SymbolRecord| (symbol.name.clone(), symbol.file_path.clone(), symbol.id);
    assert!(all.is_sorted_by_key(order));
    for size in [1, 10, 300, 999] {
        let paged: Vec<_> = tracker.all_symbols(None, size).map(Result::unwrap).collect();
        assert_eq!(paged, all, "pages of {size}");
    }
    let filtered: Vec<_> = tracker.all_symbols(Some("OTHER"), 4).map(Result::unwrap).collect();
    assert_eq!(filtered.len(), 15);
}

#[test]
fn a_limit_of_zero_returns_nothing() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    tracker.upsert_file("/a", 1.0, 1, "h", 0, 1, 1, &[]).unwrap();
    assert!(tracker.list_files(None, 0).unwrap().items.is_empty());
    assert!(tracker.list_paths("", None, 0).unwrap().items.is_empty());
    assert!(tracker.list_all_symbols(None, None, 0).unwrap().items.is_empty());
    assert!(tracker.get_recent_files(0).unwrap().is_empty());
    assert!(tracker.query_memories(None, &[], &[], &[], 0, 0).unwrap().is_empty());
}

#[test]
fn no_limit_and_an_offset_pass_over_the_first() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    for number in 0..5u8 {
        let id = number.to_string();
        tracker
            .upsert_memory(&id, None, &[], &[], &[], "", &["tag".into()], 0, 0, u64::from(number), None, false)
            .unwrap();
    }
    for (tags, offset, left) in [(&[][..], 3, 2), (&[][..], u32::MAX, 0), (&["tag".to_owned()][..], 1, 4)] {
        let found = tracker.query_memories(None, &[], &[], tags, u32::MAX, offset).unwrap();
        assert_eq!(found.len(), left, "{tags:?}, {offset}");
    }
    assert!(tracker.query_conventions(None, &[], None, None, u32::MAX, u32::MAX).unwrap().is_empty());
}
