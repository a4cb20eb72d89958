//! Scans in logical key order.
//!
//! The store scans physical keys. Those agree with the logical ones in order
//! except among keys of [`KEPT`] bytes or more that share their first [`KEPT`]
//! bytes, some of which are cut. A scan that meets such a key reads all that
//! share the prefix, sorts them, and goes on behind them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::key::{self, KEPT};
use crate::packed;
use crate::record;
use crate::store::{self, Direction};
use crate::table::Table;
use crate::view::View;

/// How many bytes of entries to ask for at a time. Larger pages are no faster.
const PAGE_BYTES: u32 = 64 * 1024;
/// How many entries to ask for when the number wanted is not known.
pub const UNKNOWN: u32 = 256;

/// Finds the logical key of an entry whose physical key is cut.
pub type LogicalKey = fn(&[u8]) -> Option<Vec<u8>>;

/// The rule for entries that are not records: the key is in front of the value.
pub fn key_in_front(value: &[u8]) -> Option<Vec<u8>> {
    key::split_value(value).map(|(logical, _)| logical.to_vec())
}

/// The rule for records that have their key's parts in the value.
macro_rules! key_of {
    ($record:ident) => {
        |value| <$record as $crate::record::Record>::decode(&[], value).map(|record| record.key().into_bytes())
    };
}
pub(crate) use key_of;

/// An entry of a scan.
pub struct Entry<'s> {
    /// The logical key.
    pub key: &'s [u8],
    /// The physical key.
    pub physical: &'s [u8],
    /// The value as stored.
    stored: &'s [u8],
}

impl<'s> Entry<'s> {
    /// The value of an entry that is not a record.
    pub fn value(&self) -> &'s [u8] {
        if key::is_cut(self.physical) {
            key::split_value(self.stored).map(|(_, value)| value).unwrap_or_default()
        } else {
            self.stored
        }
    }

    /// The value as it is stored, for records.
    pub fn stored(&self) -> &'s [u8] {
        self.stored
    }
}

struct Long {
    logical: Vec<u8>,
    physical: Vec<u8>,
    value: Vec<u8>,
}

/// A scan over the logical keys from `start` to before `end`.
pub struct Scan<'v, 't> {
    view: &'v View<'t>,
    table: Table,
    logical_key: LogicalKey,
    lenient: bool,
    start: Vec<u8>,
    end: Vec<u8>,
    /// Where the store is to go on, and where it ends, in physical keys.
    from: Vec<u8>,
    to: Vec<u8>,
    wanted: u32,
    page: Vec<u8>,
    at: usize,
    done: bool,
    long: VecDeque<Long>,
    current: Option<Long>,
    /// What was read, if that is to outlive the scan.
    kept: Option<Vec<Vec<u8>>>,
}

impl<'v, 't> Scan<'v, 't> {
    /// All entries whose logical key begins with `prefix`.
    pub fn prefix(view: &'v View<'t>, table: Table, prefix: &[u8]) -> Self {
        Self::range(view, table, prefix.to_vec(), key::prefix_end(prefix))
    }

    /// All entries with `start` <= logical key < `end`; an empty `end` is no end.
    pub fn range(view: &'v View<'t>, table: Table, start: Vec<u8>, end: Vec<u8>) -> Self {
        let from = start[..start.len().min(KEPT)].to_vec();
        let to = if end.len() > KEPT {
            // Everything that shares the prefix is looked at and sorted here.
            key::prefix_end(&end[..KEPT])
        } else {
            end.clone()
        };
        Scan {
            view,
            table,
            logical_key: key_in_front,
            lenient: false,
            start,
            end,
            from,
            to,
            wanted: UNKNOWN,
            page: Vec::new(),
            at: 0,
            done: false,
            long: VecDeque::new(),
            current: None,
            kept: None,
        }
    }

    /// Keeps all bytes that entries were in, for [`Scan::into_kept`].
    pub fn keeping(mut self) -> Self {
        self.kept = Some(Vec::new());
        self
    }

    /// All bytes that entries were in, if they were to be kept. They are where they were.
    pub fn into_kept(self) -> Vec<Vec<u8>> {
        let mut kept = self.kept.unwrap_or_default();
        kept.push(self.page);
        kept.extend(self.current.into_iter().flat_map(|long| [long.physical, long.value]));
        kept
    }

    /// Says how to find the logical key of an entry with a cut one.
    pub fn keyed(mut self, logical_key: LogicalKey) -> Self {
        self.logical_key = logical_key;
        self
    }

    /// Takes the physical key for the logical one where that cannot be found,
    /// instead of failing: for checking damaged stores.
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Says how many entries will probably be read, so that no more are fetched.
    pub fn wanted(mut self, entries: u32) -> Self {
        self.wanted = entries.clamp(1, 4096);
        self
    }

    /// Goes on after a logical key.
    pub fn after(mut self, key: &[u8]) -> Self {
        let mut start = key.to_vec();
        start.push(0);
        if start > self.start {
            self.from = start[..start.len().min(KEPT)].to_vec();
            self.start = start;
        }
        self
    }

    /// The next entry.
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        loop {
            if let Some(long) = self.long.pop_front() {
                if let (Some(kept), Some(last)) = (&mut self.kept, self.current.take()) {
                    kept.extend([last.physical, last.value]);
                }
                let long = self.current.insert(long);
                return Ok(Some(Entry { key: &long.logical, physical: &long.physical, stored: &long.value }));
            }
            let Some((physical, value)) = self.advance()? else { return Ok(None) };
            if physical.len() >= KEPT {
                self.read_long(self.page[physical].to_vec(), self.page[value].to_vec())?;
                continue;
            }
            let physical = &self.page[physical];
            // `from` was cut at KEPT bytes, so only long keys can be before `start`.
            return Ok(Some(Entry { key: physical, physical, stored: &self.page[value] }));
        }
    }

    /// True if there is nothing more, as far as can be told without asking the store.
    pub fn at_end(&self) -> bool {
        self.done && self.at >= self.page.len() && self.long.is_empty()
    }

    /// Reads on to the last key that shares the prefix of `physical` and sorts them.
    fn read_long(&mut self, physical: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let prefix = physical[..KEPT].to_vec();
        let mut bucket = vec![self.long(physical, value)?];
        while let Some((physical, value)) = self.advance()? {
            if !self.page[physical.clone()].starts_with(&prefix) {
                self.at = physical.start - 8;
                break;
            }
            bucket.push(self.long(self.page[physical].to_vec(), self.page[value].to_vec())?);
        }
        bucket.retain(|long| long.logical >= self.start && (self.end.is_empty() || long.logical < self.end));
        bucket.sort_by(|a, b| a.logical.cmp(&b.logical));
        self.long = bucket.into();
        Ok(())
    }

    fn long(&self, physical: Vec<u8>, value: Vec<u8>) -> Result<Long> {
        let logical = if key::is_cut(&physical) {
            // A value that names another key is damaged: taken for this one it
            // would be out of order, and lack the prefix that a list relies on.
            match (self.logical_key)(&value).filter(|logical| key::is_cut_of(&physical, logical)) {
                Some(logical) => logical,
                None if self.lenient => physical.clone(),
                None => return Err(record::corrupt(self.table, &physical)),
            }
        } else {
            physical.clone()
        };
        Ok(Long { logical, physical, value })
    }

    /// Steps to the next physical entry: the ranges of its key and value in the page.
    fn advance(&mut self) -> Result<Option<(Range<usize>, Range<usize>)>> {
        if self.at >= self.page.len() {
            if self.done {
                return Ok(None);
            }
            let page = self.view.txn().scan(
                self.table.number(),
                &self.from,
                &self.to,
                Direction::Ascending,
                self.wanted,
                PAGE_BYTES,
            )?;
            let last = std::mem::replace(&mut self.page, page.entries);
            if let Some(kept) = &mut self.kept {
                kept.push(last);
            }
            (self.at, self.done) = (0, page.done);
            if self.page.is_empty() {
                self.done = true;
                return Ok(None);
            }
        }
        let Some((key, value)) = packed::entry(&self.page, self.at) else {
            return Err(Error::Store(store::Error::Other("scan answered a page that is cut off".into())));
        };
        self.at = value.end;
        if self.at == self.page.len() {
            self.from.clear();
            self.from.extend_from_slice(&self.page[key.clone()]);
            self.from.push(0);
        }
        Ok(Some((key, value)))
    }
}
