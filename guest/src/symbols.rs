//! Symbols, among them insights.

mod by_name;

pub use by_name::list_all;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::abi::layout::{Answer, flat_record};
use crate::bytes;
use crate::error::Result;
use crate::files::TIME;
use crate::index::{LINE_MEMBER, Sink, Tally, VectorKind, group};
use crate::key::{self, Key};
use crate::list;
use crate::record::{self, Record, msgpack_record, numbered, record};
use crate::scan::Scan;
use crate::session::{self, read, write};
use crate::table::{Counter, Table};
use crate::types::{RecentSymbol, SymbolPage, SymbolUpsert};
use crate::view::{Many, View};
use crate::write::Writer;

record! {
    /// A symbol.
    Symbol as SymbolRecord {
        id: u64,
        file_path: &'a str,
        name: &'a str,
        kind: &'a str,
        line_start: i64,
        line_end: Option<i64>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        vector_offset: Option<i64>,
        vector_length: Option<i64>,
    }
}

// The record that callers get.
flat_record! {
    Symbol {
        id: u64 = |symbol| symbol.id,
        file_path: &str = |symbol| symbol.file_path,
        name: &str = |symbol| symbol.name,
        kind: &str = |symbol| symbol.kind,
        line_start: i64 = |symbol| symbol.line_start,
        line_end: Option<i64> = |symbol| symbol.line_end,
        blob_offset: i64 = |symbol| symbol.blob_offset,
        blob_length: i64 = |symbol| symbol.blob_length,
        key_hash: u64 = |symbol| symbol.key_hash,
        vector_offset: Option<i64> = |symbol| symbol.vector_offset,
        vector_length: Option<i64> = |symbol| symbol.vector_length,
    }
}

impl<'a> Record<'a> for Symbol<'a> {
    msgpack_record!(SymbolRecord, Symbols);
    numbered!(Symbols);

    fn key(&self) -> Key {
        Key::of_u64(self.id)
    }

    fn index(&self, sink: &mut dyn Sink) {
        let id = self.id.to_be_bytes();
        sink.member(Table::SymbolsByFile, Key::of_text(self.file_path), &id);
        sink.owner(Table::SymbolsByKey, self.key_hash, &id);
        sink.entry_with(Table::SymbolsByName, by_name::prefix(self.name, self.kind, self.file_path).u64(self.id), &id);
        let member = Key::new().i64(self.line_start).u64(self.id);
        sink.member(Table::SymbolsByKind, Key::new().segment(self.kind).tail(self.file_path), member.bytes());
        if is_insight(self.kind) {
            sink.tally(Tally::Insight, self.kind, 1);
        }
        sink.vector(VectorKind::Symbol, self.vector_offset, self.vector_length, &id);
    }
}

/// True for the kinds that the reference finds with `LIKE 'insight:%'`.
fn is_insight(kind: &str) -> bool {
    kind.as_bytes().get(..8).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"insight:"))
}

// Look-ups

/// The ids of a file's symbols, ascending.
fn ids_of(view: &View, path: &str) -> Result<Vec<Vec<u8>>> {
    let key = Key::of_text(path);
    match view.get(Table::SymbolsByFile, &key)? {
        None => Ok(Vec::new()),
        Some(value) => {
            group::read(Table::SymbolsByFile, &value).ok_or_else(|| record::corrupt(Table::SymbolsByFile, key.bytes()))
        }
    }
}

/// The symbols with these ids, in their order.
fn fetch<T>(view: &View, ids: Vec<Vec<u8>>, mut take: impl FnMut(Symbol) -> T) -> Result<Vec<T>> {
    let symbols = view.get_many_physical(Table::Symbols, ids)?;
    (0..symbols.len()).map(|i| Ok(take(symbols.require::<Symbol>(i)?))).collect()
}

pub fn of_file(path: &str) -> Result<Answer> {
    read(|view| {
        let symbols = view.get_many_physical(Table::Symbols, ids_of(view, path)?)?;
        let records = symbols.records::<Symbol>()?;
        Ok(records.keeping(symbols.into_buffers()).list())
    })
}

pub fn keys_of_file(path: &str) -> Result<Vec<u64>> {
    read(|view| fetch(view, ids_of(view, path)?, |symbol| symbol.key_hash))
}

pub fn get_by_key(key_hash: u64) -> Result<Answer> {
    let found = session::find_by_key(
        Table::SymbolsByKey,
        key_hash,
        Table::Symbols,
        |id| Ok(Key::from_bytes(id.to_vec())),
        |stored| {
            let symbol = stored.decode::<Symbol>()?;
            if symbol.key_hash != key_hash {
                return Ok(None);
            }
            let answer = Answer::record(&symbol);
            Ok(Some(answer.keeping(stored.value)))
        },
    )?;
    Ok(found.unwrap_or_else(Answer::none))
}

// Writes

/// A symbol as the caller gives it, with the id and vector of the one it updates.
fn updated<'a>(path: &'a str, new: &'a SymbolUpsert, id: u64, old: Option<&Symbol>) -> Symbol<'a> {
    Symbol {
        id,
        file_path: path,
        name: &new.name,
        kind: &new.kind,
        line_start: new.line_start,
        line_end: new.line_end,
        blob_offset: new.blob_offset,
        blob_length: new.blob_length,
        key_hash: new.key_hash,
        vector_offset: old.and_then(|old| old.vector_offset),
        vector_length: old.and_then(|old| old.vector_length),
    }
}

pub fn upsert(path: &str, new: &SymbolUpsert) -> Result<u64> {
    write(|writer| {
        let prefix = by_name::prefix(&new.name, &new.kind, path);
        let mut ids = Vec::new();
        let mut scan = Scan::prefix(writer.view(), Table::SymbolsByName, prefix.bytes()).wanted(4);
        while let Some(entry) = scan.next()? {
            ids.push(entry.value().to_vec());
        }
        for id in ids {
            let Some(stored) = writer.find(Table::Symbols, &Key::from_bytes(id))? else { continue };
            let old = stored.decode::<Symbol>()?;
            // Another file can have the same hash.
            if old.line_start == new.line_start && old.file_path == path {
                writer.upsert(Some((&old, &stored.value)), &updated(path, new, old.id, Some(&old)));
                return Ok(old.id);
            }
        }
        let id = writer.next_id(Counter::Symbols)?;
        writer.insert(&updated(path, new, id, None));
        Ok(id)
    })
}

pub fn replace(path: &str, symbols: &[SymbolUpsert]) -> Result<Vec<u64>> {
    write(|writer| {
        let ids = writer.members(Table::SymbolsByFile, &Key::of_text(path))?;
        let stored = writer.get_many(Table::Symbols, ids.into_iter().map(Key::from_bytes))?;
        let old = (0..stored.len()).map(|i| stored.require::<Symbol>(i)).collect::<Result<Vec<_>>>()?;
        if let Some(ids) = replace_in_order(writer, path, symbols, &stored, &old)? {
            return Ok(ids);
        }
        // Of several old ones with the same name, kind and line the lowest id is updated.
        let mut known: Identities<(&Symbol, &[u8])> = Identities::with_capacity_and_hasher(old.len(), FxBuildHasher);
        for (position, symbol) in old.iter().enumerate().rev() {
            let bytes = stored.value(position).unwrap_or_default();
            known.insert((symbol.name, symbol.kind, symbol.line_start), (symbol, bytes));
        }
        // Of several new ones the last counts.
        let mut last: Identities<(u64, usize)> = Identities::with_capacity_and_hasher(symbols.len(), FxBuildHasher);
        let mut ids = Vec::with_capacity(symbols.len());
        for (position, new) in symbols.iter().enumerate() {
            let identity = (&*new.name, &*new.kind, new.line_start);
            let id = match (last.get(&identity), known.get(&identity)) {
                (Some((id, _)), _) => *id,
                (None, Some((old, _))) => old.id,
                (None, None) => writer.next_id(Counter::Symbols)?,
            };
            last.insert(identity, (id, position));
            ids.push(id);
        }
        for (position, new) in symbols.iter().enumerate() {
            let identity = (&*new.name, &*new.kind, new.line_start);
            if let Some((id, winner)) = last.get(&identity)
                && *winner == position
            {
                let old = known.get(&identity).copied();
                writer.upsert(old, &updated(path, new, *id, old.map(|(old, _)| old)));
            }
        }
        for symbol in &old {
            let identity = (symbol.name, symbol.kind, symbol.line_start);
            let kept = last.contains_key(&identity) && known.get(&identity).is_some_and(|(old, _)| old.id == symbol.id);
            if !kept {
                writer.remove(symbol);
            }
        }
        Ok(ids)
    })
}

/// Symbols by name, kind and line.
type Identities<'s, T> = HashMap<(&'s str, &'s str, i64), T, FxBuildHasher>;

/// The frequent cases of [`replace`], which need no look-up: the symbols come
/// in the order of their lines, no two of them in one, and the file has none
/// yet or exactly these. None if it is another case; nothing is done then.
fn replace_in_order(
    writer: &mut Writer,
    path: &str,
    symbols: &[SymbolUpsert],
    stored: &Many,
    old: &[Symbol],
) -> Result<Option<Vec<u64>>> {
    let same = |(old, new): (&Symbol, &SymbolUpsert)| {
        old.line_start == new.line_start
            && bytes::same(old.name.as_bytes(), new.name.as_bytes())
            && bytes::same(old.kind.as_bytes(), new.kind.as_bytes())
    };
    if !symbols.is_sorted_by(|a, b| a.line_start < b.line_start) {
        return Ok(None);
    }
    if old.is_empty() {
        let mut ids = Vec::with_capacity(symbols.len());
        for new in symbols {
            let id = writer.next_id(Counter::Symbols)?;
            writer.insert(&updated(path, new, id, None));
            ids.push(id);
        }
        return Ok(Some(ids));
    }
    if old.len() != symbols.len() || !old.iter().zip(symbols).all(same) {
        return Ok(None);
    }
    for (position, (old, new)) in old.iter().zip(symbols).enumerate() {
        let before = stored.value(position).unwrap_or_default();
        writer.upsert(Some((old, before)), &updated(path, new, old.id, Some(old)));
    }
    Ok(Some(old.iter().map(|old| old.id).collect()))
}

pub fn delete(path: &str) -> Result<u64> {
    write(|writer| delete_in(writer, path))
}

/// Deletes the symbols of a file.
pub fn delete_in(writer: &mut Writer, path: &str) -> Result<u64> {
    let ids = writer.members(Table::SymbolsByFile, &Key::of_text(path))?;
    remove(writer, ids)
}

fn remove(writer: &mut Writer, ids: Vec<Vec<u8>>) -> Result<u64> {
    if ids.len() > 1 {
        writer.find_ahead(Table::Symbols, ids.iter().cloned().map(Key::from_bytes))?;
    }
    let mut removed = 0;
    for id in ids {
        if let Some(stored) = writer.find(Table::Symbols, &Key::from_bytes(id))? {
            writer.remove(&stored.decode::<Symbol>()?);
            removed += 1;
        }
    }
    Ok(removed)
}

pub fn delete_by_key(key_hash: u64) -> Result<bool> {
    write(|writer| {
        let ids = writer.all_owners(Table::SymbolsByKey, key_hash)?;
        Ok(remove(writer, ids)? > 0)
    })
}

pub fn update_vector(key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    write(|writer| set_vector(writer, key_hash, offset, length))
}

/// Sets the vector of every symbol with this key hash.
pub fn set_vector(writer: &mut Writer, key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    let ids = writer.all_owners(Table::SymbolsByKey, key_hash)?;
    for id in &ids {
        let Some(stored) = writer.find(Table::Symbols, &Key::from_bytes(id.clone()))? else { continue };
        let old = stored.decode::<Symbol>()?;
        let new = Symbol { vector_offset: Some(offset), vector_length: Some(length), ..old.clone() };
        writer.change(Some(&old), Some(&new));
    }
    Ok(!ids.is_empty())
}

// Lists

pub fn recent(limit: u32) -> Result<Vec<RecentSymbol>> {
    let limit = limit as usize;
    read(|view| {
        let mut recent: Vec<RecentSymbol> = Vec::new();
        let mut scan = Scan::prefix(view, Table::FilesByIndexed, b"").wanted(limit as u32);
        let mut next = scan.next()?.map(|entry| entry.key.to_vec());
        while recent.len() < limit
            && let Some(key) = next
        {
            // The symbols of all files that were indexed at the same time, highest id first.
            let mut ids = ids_of(view, list::text_after(Table::FilesByIndexed, &key, TIME)?)?;
            let time = key[..TIME].to_vec();
            next = scan.next()?.map(|entry| entry.key.to_vec());
            while let Some(key) = next.take_if(|key| key.starts_with(&time)) {
                ids.append(&mut ids_of(view, list::text_after(Table::FilesByIndexed, &key, TIME)?)?);
                next = scan.next()?.map(|entry| entry.key.to_vec());
            }
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.truncate(limit - recent.len());
            let indexed_at = key::read_newest(&time).unwrap_or_default();
            recent.extend(fetch(view, ids, |symbol| RecentSymbol { symbol: symbol.into_row(), indexed_at })?);
        }
        Ok(recent)
    })
}

pub fn list_by_kind(kind: &str, after: Option<&[u8]>, limit: u32) -> Result<SymbolPage> {
    if limit == 0 {
        return Ok(SymbolPage { items: Vec::new(), next: after.map(<[u8]>::to_vec) });
    }
    let limit = limit as usize;
    read(|view| {
        let prefix = Key::new().segment(kind).into_bytes();
        // A cursor is the last member and the key of its group. One of another
        // kind does not lead there.
        let cursor = after.and_then(|after| after.split_at_checked(LINE_MEMBER));
        let (seen, start) = match cursor.filter(|(_, group)| *group >= prefix.as_slice()) {
            Some((member, group)) => (member, group.to_vec()),
            None => (&[][..], prefix.clone()),
        };
        let first = start.clone();
        let mut scan =
            Scan::range(view, Table::SymbolsByKind, start, key::prefix_end(&prefix)).wanted(limit.min(64) as u32);
        let mut ids = Vec::new();
        let mut next = None;
        while next.is_none()
            && ids.len() < limit
            && let Some(entry) = scan.next()?
        {
            let members = group::read(Table::SymbolsByKind, entry.value())
                .ok_or_else(|| record::corrupt(Table::SymbolsByKind, entry.physical))?;
            let new = members.iter().filter(|member| entry.key != first || member.as_slice() > seen);
            for member in new {
                if ids.len() == limit {
                    break;
                }
                ids.push(member[8..].to_vec());
                if ids.len() == limit {
                    next = Some([member, entry.key].concat());
                }
            }
        }
        Ok(SymbolPage { items: fetch(view, ids, |symbol| symbol.into_row())?, next })
    })
}

// Counts

pub fn count() -> Result<u64> {
    read(|view| view.count(Table::Symbols))
}

pub fn insight_stats() -> Result<Vec<(String, u64)>> {
    read(|view| list::tallies(view, Tally::Insight))
}
