//! All symbols by name, file and id.
//!
//! The index is ordered by name, kind, file and id, so the symbols of one name
//! are put in order here. Names with few symbols are read whole and sorted.
//! Where a name has many, its kinds are found by skipping from one to the next
//! and their entries, each in order by file, are merged.

use super::fetch;
use crate::error::Result;
use crate::key::{self, Key};
use crate::record::{self, Record};
use crate::scan::Scan;
use crate::session::read;
use crate::table::Table;
use crate::types::SymbolPage;
use crate::view::View;

const INDEX: Table = Table::SymbolsByName;
/// Up to how many symbols of one name are sorted rather than merged.
const SORTED: usize = 256;

/// The key of everything of this name, kind and file.
pub fn prefix(name: &str, kind: &str, path: &str) -> Key {
    Key::new().segment(name).segment(kind).segment(path)
}

/// What is left of an index key without name and kind: the file and the id.
/// It is what symbols of one name are ordered by.
struct Place {
    bytes: Vec<u8>,
}

impl Place {
    fn id(&self) -> Vec<u8> {
        self.bytes[self.bytes.len().saturating_sub(8)..].to_vec()
    }
}

/// The lengths of the name and of the kind in an index key, with their ends.
fn split(key: &[u8]) -> Option<(usize, usize)> {
    let name = key.iter().position(|&b| b == 0)? + 1;
    let kind = name + key[name..].iter().position(|&b| b == 0)? + 1;
    (key.len() >= kind + 9).then_some((name, kind))
}

/// The page being filled.
struct Page<'f> {
    filter: Option<&'f str>,
    /// The name and place after which to go on.
    after: Option<(Vec<u8>, Vec<u8>)>,
    limit: usize,
    ids: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Page<'_> {
    fn is_full(&self) -> bool {
        self.ids.len() >= self.limit
    }

    /// Tells whether a name, as it stands in the index, passes the filter.
    fn wants(&self, name: &[u8]) -> bool {
        let Some(filter) = self.filter else { return true };
        match name {
            // As it is, but for a NUL and a 1, which are escaped.
            [plain @ .., 0] if !plain.contains(&1) => contains(plain, filter.as_bytes()),
            _ => key::read_segment(name).is_some_and(|(name, _)| contains_ignoring_ascii_case(&name, filter)),
        }
    }

    /// Where to start in a name's symbols: after this place.
    fn start_in(&self, name: &[u8]) -> &[u8] {
        match &self.after {
            Some((last_name, place)) if last_name == name => place,
            _ => &[],
        }
    }

    fn push(&mut self, name: &[u8], place: &Place) {
        if !self.is_full() {
            self.ids.push(place.id());
            self.last = [name, &place.bytes].concat();
        }
    }

    /// Takes a name's symbols, unsorted.
    fn take(&mut self, name: &[u8], mut places: Vec<Place>) {
        let start = self.start_in(name).to_vec();
        places.retain(|place| place.bytes > start);
        places.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        places.iter().for_each(|place| self.push(name, place));
    }
}

/// True if `text` contains `part`, ASCII letters compared without case.
pub fn contains_ignoring_ascii_case(text: &str, part: &str) -> bool {
    contains(text.as_bytes(), part.as_bytes())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    let Some(starts) = text.len().checked_sub(rest.len()) else { return false };
    let mut starts = text[..starts].iter().enumerate().filter(|(_, b)| **b == lower || **b == upper);
    starts.any(|(start, _)| text[start + 1..start + part.len()].eq_ignore_ascii_case(rest))
}

pub fn list_all(name_filter: Option<&str>, after: Option<&[u8]>, limit: u32) -> Result<SymbolPage> {
    let filter = name_filter.filter(|filter| !filter.is_empty());
    let after = after.and_then(|after| {
        let name = after.iter().position(|&b| b == 0)? + 1;
        Some((after[..name].to_vec(), after[name..].to_vec()))
    });
    let start = after.as_ref().map(|(name, _)| name.clone()).unwrap_or_default();
    let mut page = Page { filter, after, limit: limit as usize, ids: Vec::new(), last: Vec::new() };
    read(|view| {
        let more = limit > 0 && fill(view, &mut page, start)?;
        let next = more.then(|| page.last.clone());
        Ok(SymbolPage { items: fetch(view, std::mem::take(&mut page.ids), |symbol| symbol.into_row())?, next })
    })
}

/// Fills the page with names from `start` on. False if there is nothing more.
fn fill(view: &View, page: &mut Page, mut start: Vec<u8>) -> Result<bool> {
    'scan: loop {
        let wanted = if page.filter.is_some() { 2048 } else { (page.limit + 1).min(2048) as u32 };
        let mut scan = Scan::range(view, INDEX, start.clone(), Vec::new()).wanted(wanted);
        let mut name: Vec<u8> = Vec::new();
        let mut wanted_name = false;
        let mut places: Vec<Place> = Vec::new();
        while let Some(entry) = scan.next()? {
            let (name_end, kind_end) = split(entry.key).ok_or_else(|| record::corrupt(INDEX, entry.physical))?;
            if entry.key[..name_end] != name {
                if !places.is_empty() {
                    page.take(&name, std::mem::take(&mut places));
                    if page.is_full() {
                        return Ok(true);
                    }
                }
                name.clear();
                name.extend_from_slice(&entry.key[..name_end]);
                wanted_name = page.wants(&name);
            }
            if wanted_name {
                places.push(Place { bytes: entry.key[kind_end..].to_vec() });
                if places.len() > SORTED {
                    merge(view, page, &name)?;
                    if page.is_full() {
                        return Ok(true);
                    }
                    start = key::prefix_end(&name);
                    continue 'scan;
                }
            }
        }
        page.take(&name, places);
        return Ok(page.is_full());
    }
}

/// Takes the symbols of a name that has many, until the page is full.
fn merge(view: &View, page: &mut Page, name: &[u8]) -> Result<()> {
    let place = page.start_in(name).to_vec();
    let mut kinds = Vec::new();
    let mut from = name.to_vec();
    let end = key::prefix_end(name);
    loop {
        let mut scan = Scan::range(view, INDEX, from.clone(), end.clone()).wanted(1);
        let Some(entry) = scan.next()? else { break };
        let (_, kind_end) = split(entry.key).ok_or_else(|| record::corrupt(INDEX, entry.physical))?;
        let kind = entry.key[..kind_end].to_vec();
        from = key::prefix_end(&kind);
        kinds.push(kind);
    }
    let wanted = (page.limit - page.ids.len()).div_ceil(kinds.len().max(1)).clamp(8, 1024) as u32;
    let mut streams = Vec::with_capacity(kinds.len());
    for kind in &kinds {
        let mut scan = Scan::prefix(view, INDEX, kind).wanted(wanted);
        if !place.is_empty() {
            scan = scan.after(&[kind, &place[..]].concat());
        }
        let first = step(&mut scan, kind.len())?;
        streams.push((first, scan, kind.len()));
    }
    while !page.is_full() {
        let least = streams
            .iter_mut()
            .filter(|(head, ..)| head.is_some())
            .min_by(|(a, ..), (b, ..)| a.as_ref().map(|p| &p.bytes).cmp(&b.as_ref().map(|p| &p.bytes)));
        let Some((head, scan, skip)) = least else { break };
        if let Some(place) = std::mem::replace(head, step(scan, *skip)?) {
            page.push(name, &place);
        }
    }
    Ok(())
}

fn step(scan: &mut Scan, skip: usize) -> Result<Option<Place>> {
    Ok(scan.next()?.map(|entry| Place { bytes: entry.key[skip..].to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::contains_ignoring_ascii_case as contains;

    #[test]
    fn filters_are_plain_text_without_ascii_case() {
        assert!(contains("FooBar", "oob"));
        assert!(contains("a%b", "%"));
        assert!(!contains("ab", "%"));
        assert!(contains("STRASSE", "strasse"));
        assert!(!contains("É", "é"));
        assert!(contains("", ""));
        assert!(!contains("", "a"));
    }
}
