//! Exports from anywhere, imported into a store through the component.

use std::cell::RefCell;

use tracker_host::export::{Import, ImportError, write_jsonl};
use tracker_host::{Error, Tracker};

/// Imports into a store before a new one is taken.
const IMPORTS: u32 = 64;

thread_local! {
    static STORE: RefCell<Option<(Tracker, u32)>> = const { RefCell::new(None) };
}

/// Input: the lines.
pub fn run(data: &[u8]) {
    STORE.with_borrow_mut(|store| {
        let (tracker, imports) = store.get_or_insert_with(|| (Tracker::in_memory().expect("it needs nothing"), 0));
        *imports += 1;
        let before = export(tracker);
        match Import::new(tracker).run(&mut &*data) {
            Ok(imported) => assert!(imported.rows.total() <= imported.lines),
            // One batch holds so short an input: all of it, or nothing.
            Err(error) => {
                assert!(refused(&error), "{error:?}");
                assert_eq!(export(tracker), before);
            }
        }
        let report = tracker.verify().expect("it can be verified");
        assert_eq!(report.errors, 0, "{:?}", report.findings);
        if *imports == IMPORTS {
            come_back(tracker);
            *store = None;
        }
    });
}

/// The input's fault, and told so.
fn refused(error: &ImportError) -> bool {
    match error {
        ImportError::Malformed { line, committed, .. } => *committed == 0 && *line > 0,
        ImportError::Refused { source, .. } => matches!(source, Error::KeyConflict(_) | Error::InvalidArgument(_)),
        _ => false,
    }
}

fn export(tracker: &Tracker) -> Vec<u8> {
    let mut lines = Vec::new();
    write_jsonl(tracker, &mut lines, &|| false).expect("it can be exported");
    lines
}

/// An export is imported whole, and is the same export again.
fn come_back(tracker: &Tracker) {
    let lines = export(tracker);
    let mut other = Tracker::in_memory().expect("it needs nothing");
    Import::new(&mut other).run(&mut &lines[..]).expect("an export can be imported");
    assert_eq!(export(&other), lines);
}
