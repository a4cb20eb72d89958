//! What the lists of all entities share: pages of index keys, and tallies.

use crate::error::Result;
use crate::index::Tally;
use crate::key::{self, Key};
use crate::record;
use crate::scan::Scan;
use crate::table::Table;
use crate::types::Cursor;
use crate::view::View;
use crate::write::read_tally;

/// The next `limit` logical keys of a scan after a cursor, and the cursor for
/// what follows, none at the end. Cursors are logical keys.
pub fn keys(scan: Scan, after: Option<&[u8]>, limit: u32) -> Result<(Vec<Vec<u8>>, Option<Cursor>)> {
    entries(scan, after, limit, |key, _| key.to_vec())
}

/// The same, with whatever `take` makes of each key and value.
pub fn entries<T>(
    scan: Scan,
    after: Option<&[u8]>,
    limit: u32,
    mut take: impl FnMut(&[u8], &[u8]) -> T,
) -> Result<(Vec<T>, Option<Cursor>)> {
    let mut scan = scan.wanted(limit);
    if let Some(after) = after {
        scan = scan.after(after);
    }
    if limit == 0 {
        return Ok((Vec::new(), after.map(<[u8]>::to_vec)));
    }
    let mut items = Vec::with_capacity(limit.min(4096) as usize);
    loop {
        let Some(entry) = scan.next()? else { return Ok((items, None)) };
        items.push(take(entry.key, entry.value()));
        if items.len() == limit as usize {
            let last = entry.key.to_vec();
            return Ok((items, (!scan.at_end()).then_some(last)));
        }
    }
}

/// All tallies of a kind, by what is counted.
pub fn tallies(view: &View, kind: Tally) -> Result<Vec<(String, u64)>> {
    let mut scan = Scan::prefix(view, Table::Tallies, kind.key("").bytes());
    let mut tallies = Vec::new();
    while let Some(entry) = scan.next()? {
        let what =
            String::from_utf8(entry.key[1..].to_vec()).map_err(|_| record::corrupt(Table::Tallies, entry.physical))?;
        tallies.push((what, read_tally(entry.physical, entry.stored())?.cast_unsigned()));
    }
    Ok(tallies)
}

/// One tally; 0 if nothing was counted.
pub fn tally(view: &View, kind: Tally, what: &str) -> Result<i64> {
    match view.find(Table::Tallies, &kind.key(what))? {
        None => Ok(0),
        Some(stored) => read_tally(&stored.physical, &stored.value),
    }
}

/// The text behind the first `skip` bytes of an index key.
pub fn text_after(table: Table, key: &[u8], skip: usize) -> Result<&str> {
    key.get(skip..).and_then(|bytes| str::from_utf8(bytes).ok()).ok_or_else(|| record::corrupt(table, key))
}

/// The number behind the first `skip` bytes of an index key.
pub fn number_after(table: Table, key: &[u8], skip: usize) -> Result<u64> {
    key.get(skip..).and_then(key::read_u64).ok_or_else(|| record::corrupt(table, key))
}

/// The keys of numbered records that index keys name behind their first `skip` bytes.
pub fn numbered(table: Table, keys: &[Vec<u8>], skip: usize) -> Result<Vec<Key>> {
    keys.iter().map(|key| Ok(Key::of_u64(number_after(table, key, skip)?))).collect()
}

/// The keys of text-named records that index keys name behind their first `skip` bytes.
pub fn named(table: Table, keys: &[Vec<u8>], skip: usize) -> Result<Vec<Key>> {
    keys.iter().map(|key| Ok(Key::of_text(text_after(table, key, skip)?))).collect()
}
