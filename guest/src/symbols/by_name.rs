//! All symbols by name, file and id.
//!
//! The index is ordered by name, kind, file and id, but has a hash in place of
//! the file's path: with the path it would be two thirds of what a commit
//! writes. A page is therefore put in order here. It takes names whole, and
//! keeps of their symbols those that come first.

use super::fetch;
use crate::bytes;
use crate::error::Result;
use crate::key::{self, Key};
use crate::record::{self, Record};
use crate::scan::Scan;
use crate::session::read;
use crate::table::Table;
use crate::types::{SymbolPage, SymbolRecord};
use crate::view::View;

const INDEX: Table = Table::SymbolsByName;
/// Symbols fetched at a time.
const FETCHED: usize = 2048;
/// What follows name and kind in an index key: the file's hash and the id.
const PLACE: usize = 16;

/// The key of everything of this name, kind and file, and of files whose hash is the same.
pub fn prefix(name: &str, kind: &str, path: &str) -> Key {
    Key::new().segment(name).segment(kind).u64(fnv(path.as_bytes()))
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

/// Where a symbol stands in the list.
fn place(symbol: &SymbolRecord) -> (&[u8], &[u8], u64) {
    (symbol.name.as_bytes(), symbol.file_path.as_bytes(), symbol.id)
}

/// A cursor: the name and path as segments, and the id.
fn cursor(symbol: &SymbolRecord) -> Vec<u8> {
    Key::new().segment(&symbol.name).segment(&symbol.file_path).u64(symbol.id).into_bytes()
}

fn read_cursor(cursor: &[u8]) -> Option<(String, String, u64)> {
    let (name, rest) = key::read_segment(cursor)?;
    let (path, rest) = key::read_segment(rest)?;
    Some((name, path, key::read_u64(rest)?))
}

/// The end of the name at the front of an index key, and whether it stands
/// there as it is. In others a NUL or a 1 is escaped.
fn name_end(key: &[u8]) -> Option<(usize, bool)> {
    let first = bytes::position_of_0_or_1(key)?;
    match key[first] {
        0 => Some((first + 1, true)),
        _ => Some((key.iter().position(|b| *b == 0)? + 1, false)),
    }
}

/// Tells whether a name, as it stands in the index, passes the filter.
fn passes(name: &[u8], plain: bool, filter: &str) -> bool {
    match name {
        [text @ .., 0] if plain => bytes::contains_ignoring_ascii_case(text, filter.as_bytes()),
        _ => key::read_segment(name)
            .is_some_and(|(name, _)| bytes::contains_ignoring_ascii_case(name.as_bytes(), filter.as_bytes())),
    }
}

pub fn list_all(name_filter: Option<&str>, after: Option<&[u8]>, limit: u32) -> Result<SymbolPage> {
    if limit == 0 {
        return Ok(SymbolPage { items: Vec::new(), next: after.map(<[u8]>::to_vec) });
    }
    let filter = name_filter.filter(|filter| !filter.is_empty());
    // More than an answer can hold, and room for what is added to it below.
    let limit = (limit as usize).min(1 << 30);
    let after = after.and_then(read_cursor);
    let mut start = after.as_ref().map(|(name, ..)| Key::new().segment(name).into_bytes()).unwrap_or_default();
    let mut items: Vec<SymbolRecord> = Vec::new();
    read(|view| {
        loop {
            let (ids, rest) = collect(view, start, filter, limit - items.len())?;
            for ids in ids.chunks(FETCHED) {
                items.extend(fetch(view, ids.to_vec(), |symbol| symbol.into_row())?.into_iter().filter(|symbol| {
                    after
                        .as_ref()
                        .is_none_or(|(name, path, id)| place(symbol) > (name.as_bytes(), path.as_bytes(), *id))
                }));
                if items.len() > limit + FETCHED {
                    keep_first(&mut items, limit + 1);
                }
            }
            keep_first(&mut items, limit + 1);
            let more = items.len() > limit;
            items.truncate(limit);
            match rest {
                Some(next) if items.len() < limit => start = next,
                rest => {
                    let next = items.last().filter(|_| more || rest.is_some()).map(cursor);
                    return Ok(SymbolPage { items, next });
                }
            }
        }
    })
}

fn keep_first(items: &mut Vec<SymbolRecord>, count: usize) {
    items.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    items.truncate(count);
}

/// The ids of the symbols of names from `start` on, until they are `wanted`,
/// and the name after them.
#[allow(clippy::type_complexity)]
fn collect(
    view: &View,
    start: Vec<u8>,
    filter: Option<&str>,
    wanted: usize,
) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>)> {
    let at_once = if filter.is_some() { FETCHED } else { wanted.saturating_add(1).min(FETCHED) };
    let mut scan = Scan::range(view, INDEX, start, Vec::new()).wanted(at_once as u32);
    // The last name that passed.
    let mut name: Vec<u8> = Vec::new();
    let mut ids = Vec::new();
    while let Some(entry) = scan.next()? {
        let known = entry.key.split_at_checked(name.len()).is_some_and(|(start, _)| bytes::same(start, &name));
        if !known || name.is_empty() {
            let (end, plain) = name_end(entry.key).ok_or_else(|| record::corrupt(INDEX, entry.physical))?;
            if filter.is_some_and(|filter| !passes(&entry.key[..end], plain, filter)) {
                continue;
            }
            if ids.len() >= wanted {
                return Ok((ids, Some(entry.key[..end].to_vec())));
            }
            name.clear();
            name.extend_from_slice(&entry.key[..end]);
        }
        let id = entry.key.len().checked_sub(8).filter(|id| *id + 8 >= name.len() + PLACE);
        let id = id.ok_or_else(|| record::corrupt(INDEX, entry.physical))?;
        ids.push(entry.key[id..].to_vec());
    }
    Ok((ids, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_plain_text_without_ascii_case() {
        let contains = |text: &str, part: &str| bytes::contains_ignoring_ascii_case(text.as_bytes(), part.as_bytes());
        assert!(contains("FooBar", "oob"));
        assert!(contains("a%b", "%"));
        assert!(!contains("ab", "%"));
        assert!(contains("STRASSE", "strasse"));
        assert!(!contains("É", "é"));
    }

    #[test]
    fn names_are_filtered_as_they_stand_in_the_index() {
        for name in ["", "plain", "a\0b", "\u{1}", "\u{1}\0x"] {
            for filter in ["a", "A\0b", "\u{1}", "\0", "x"] {
                let key = Key::new().segment(name).into_bytes();
                let (end, plain) = name_end(&key).unwrap();
                assert_eq!(end, key.len());
                let naive = name.to_ascii_lowercase().contains(&filter.to_ascii_lowercase());
                assert_eq!(passes(&key, plain, filter), naive, "{name:?} {filter:?}");
            }
        }
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // From the reference's test vectors.
        assert_eq!(fnv(b""), 0xcbf29ce484222325);
        assert_eq!(fnv(b"foobar"), 0x85944171f73967e8);
    }
}
