//! Iterators over the paged lists.

use super::{Error, Result, Tracker};
use crate::types::{
    ConventionRecord, Cursor, FileRecord, LiveVector, MemoryRecord, PatternRecord, Row, RowKind, SymbolRecord,
};

type Page<T> = (Vec<T>, Option<Cursor>);
type Fetch<'t, T> = Box<dyn FnMut(&mut Tracker, Option<&Cursor>, u32) -> Result<Page<T>> + 't>;

/// Iterates over a list, a page a call. Every page is a snapshot of its own; a
/// record that is there throughout comes exactly once. After an error it ends.
pub struct Pages<'t, T> {
    tracker: &'t mut Tracker,
    fetch: Fetch<'t, T>,
    size: u32,
    page: std::vec::IntoIter<T>,
    next: Option<Cursor>,
    /// Pages without a record in a row.
    empty: u32,
    ended: bool,
}

/// More pages in a row without a record are not a list but a component that goes
/// round in circles. Where index entries have lost their records a page can be empty.
const MAX_EMPTY: u32 = 1000;

impl<'t, T> Pages<'t, T> {
    fn new(
        tracker: &'t mut Tracker,
        size: u32,
        fetch: impl FnMut(&mut Tracker, Option<&Cursor>, u32) -> Result<Page<T>> + 't,
    ) -> Self {
        let page = Vec::new().into_iter();
        Pages { tracker, fetch: Box::new(fetch), size: size.max(1), page, next: None, empty: 0, ended: false }
    }
}

impl<T> Iterator for Pages<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            if self.ended {
                return None;
            }
            match (self.fetch)(self.tracker, self.next.as_ref(), self.size) {
                Ok((items, next)) => {
                    self.empty = if items.is_empty() { self.empty + 1 } else { 0 };
                    if self.empty > MAX_EMPTY || (next.is_some() && next == self.next) {
                        self.ended = true;
                        return Some(Err(Error::Nonsense("a list goes on for ever without getting anywhere".into())));
                    }
                    self.page = items.into_iter();
                    self.ended = next.is_none();
                    self.next = next;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $item:ty = $list:ident;)+) => {
        impl Tracker {
            $(
                $(#[$doc])*
                ///
                /// `page_size` is how many a call fetches; a thousand is a good number.
                pub fn $name<'t>(&'t mut self, $($arg: $type,)* page_size: u32) -> Pages<'t, $item> {
                    Pages::new(self, page_size, move |tracker, after, size| {
                        let page = tracker.$list($($arg,)* after, size)?;
                        Ok((page.items, page.next))
                    })
                }
            )+
        }
    };
}

pages! {
    /// All files by path.
    files() -> FileRecord = list_files;
    /// The paths of the files that are `root` or lie under it.
    paths(root: &'t str) -> String = list_paths;
    /// The files with a context, by path.
    files_by_context(context: &'t str) -> FileRecord = list_files_by_context;
    /// All symbols by name, file and id; with a filter those whose name contains it.
    all_symbols(name_filter: Option<&'t str>) -> SymbolRecord = list_all_symbols;
    /// The symbols of a kind, by file and line.
    insights_by_type(insight_type: &'t str) -> SymbolRecord = list_insights_by_type;
    /// All vectors that records point to.
    live_vectors() -> LiveVector = list_live_vectors;
    /// All memories, newest first.
    memories() -> MemoryRecord = list_memories;
    /// The patterns that have a vector, newest first.
    patterns() -> PatternRecord = list_patterns;
    /// All conventions by id.
    conventions() -> ConventionRecord = list_conventions;
    /// The conventions of a context, by id.
    conventions_by_scope(context: &'t str) -> ConventionRecord = list_conventions_by_scope;
    /// The conventions of a category, by id.
    conventions_by_category(category: &'t str) -> ConventionRecord = list_conventions_by_category;
    /// The rows of a kind, as they are kept, in key order.
    rows(kind: RowKind) -> Row = export_rows;
}
