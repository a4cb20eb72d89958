//! Cursors of lists: opaque to callers, so a hostile one may hold any bytes.

use std::cell::RefCell;

use tracker_host::export::Import;
use tracker_host::types::{Cursor, ROW_KINDS};
use tracker_host::{Result, Tracker};

use super::Input;

type Page = (Vec<String>, Option<Cursor>);
type List = Box<dyn Fn(&mut Tracker, Option<&Cursor>, u32) -> Result<Page>>;

/// A store with some rows of every kind.
struct Listed {
    tracker: Tracker,
    lists: Vec<(List, Vec<String>)>,
}

thread_local! {
    static LISTED: RefCell<Option<Listed>> = const { RefCell::new(None) };
}

/// One row of every kind.
pub const EVERY_KIND: &str = include_str!("../../../fuzz/corpus/import/every-kind.jsonl");

/// A store with some rows of every kind.
pub fn populated() -> Tracker {
    let mut tracker = Tracker::in_memory().expect("it needs nothing");
    Import::new(&mut tracker).run(&mut EVERY_KIND.as_bytes()).expect("it is an export");
    let long = "long".repeat(130);
    for n in 0..12u64 {
        let path = if n % 3 == 0 { format!("{long}{n}") } else { format!("/src/{n}") };
        let contexts = ["c".to_owned(), long.clone()];
        tracker.upsert_file(&path, n as f64, 1, "h", 0, 1, n % 4, &contexts).expect("a file");
        for name in ["same", "a\0b", long.as_str()] {
            let kind = if n % 2 == 0 { "insight:todo" } else { "function" };
            tracker.upsert_symbol(&path, name, kind, n as i64 % 3, None, 0, 1, n).expect("a symbol");
        }
        tracker.update_file_vector(n % 4, n as i64, 4).expect("a vector");
        let id = format!("{long}{}", n % 5);
        let list = ["x".to_owned()];
        tracker
            .upsert_memory(&id, Some("t"), &list, &list, &[1], "text", &list, 0, 0, 100 + n % 5, None, false)
            .expect("a memory");
        tracker.set_metadata(&path, "value").expect("metadata");
        tracker.cache_pattern(n, "p", "grep", std::slice::from_ref(&path), 0, 0).expect("a pattern");
        tracker.update_pattern_vector(n, n as i64, 1).expect("its vector");
        tracker
            .upsert_convention(&path, "n", "", "style", &list, "required", &[], &[], None, &[], None, 0, 0, n % 4)
            .expect("a convention");
    }
    tracker
}

macro_rules! lists {
    ($($name:ident($($argument:expr),*);)+) => {
        vec![$(list(|tracker, after, limit| {
            let page = tracker.$name($($argument,)* after, limit)?;
            Ok((shown(&page.items), page.next))
        }),)+]
    };
}

fn list(list: impl Fn(&mut Tracker, Option<&Cursor>, u32) -> Result<Page> + 'static) -> List {
    Box::new(list)
}

fn shown<T: std::fmt::Debug>(items: &[T]) -> Vec<String> {
    items.iter().map(|item| format!("{item:?}")).collect()
}

impl Listed {
    fn new() -> Self {
        let mut tracker = populated();
        let mut lists: Vec<List> = lists! {
            list_files();
            list_paths("");
            list_paths("/src");
            list_files_by_context("c");
            list_files_by_context(&"long".repeat(130));
            list_all_symbols(None);
            list_all_symbols(Some("A"));
            list_insights_by_type("insight:todo");
            list_live_vectors();
            list_memories();
            list_patterns();
            list_conventions();
            list_conventions_by_scope("x");
            list_conventions_by_category("style");
        };
        lists.extend(ROW_KINDS.map(|kind| {
            list(move |tracker, after, limit| {
                let page = tracker.export_rows(kind, after, limit)?;
                Ok((shown(&page.items), page.next))
            })
        }));
        let whole = |list: List| {
            let (items, next) = list(&mut tracker, None, u32::MAX).expect("a list");
            assert!(next.is_none() && !items.is_empty());
            (list, items)
        };
        let lists = lists.into_iter().map(whole).collect();
        Listed { tracker, lists }
    }
}

/// Cursors that lists have given, each behind the list's number and a limit.
pub fn real() -> Vec<Vec<u8>> {
    let mut listed = Listed::new();
    let mut cursors = Vec::new();
    for (number, (list, _)) in listed.lists.iter().enumerate() {
        for limit in [1, 3] {
            if let (_, Some(cursor)) = list(&mut listed.tracker, None, limit).expect("a list") {
                cursors.push([&[number as u8, 2][..], &cursor].concat());
            }
        }
    }
    cursors
}

/// Input: the list, the limit, the cursor.
pub fn run(data: &[u8]) {
    LISTED.with_borrow_mut(|listed| {
        let Listed { tracker, lists } = listed.get_or_insert_with(Listed::new);
        let mut input = Input(data);
        let (list, whole) = &lists[usize::from(input.byte()) % lists.len()];
        let limit = [1, 2, 3, 7, 100, u32::MAX, 0][usize::from(input.byte() % 7)];
        let mut after = Some(input.0.to_vec());
        let mut items = Vec::new();
        while after.is_some() {
            let (mut page, next) = list(tracker, after.as_ref(), limit).expect("no cursor is an error");
            if limit == 0 {
                assert!(page.is_empty() && next == after, "{next:x?} after {after:x?}");
                return;
            }
            assert!(page.len() as u64 <= u64::from(limit));
            assert!(next.is_none() || page.len() as u64 == u64::from(limit), "a page is full, or the last");
            items.append(&mut page);
            assert!(items.len() <= whole.len(), "the list goes round");
            after = next;
        }
        assert!(whole.ends_with(&items), "{items:#?} is no end of {whole:#?}");
    });
}
