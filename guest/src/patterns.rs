//! Cached search patterns and their links to files.

use crate::error::{Error, Result};
use crate::files::TIME;
use crate::index::{Sink, VectorKind};
use crate::key::{self, Key};
use crate::list;
use crate::record::{Record, msgpack_record, record};
use crate::scan::Scan;
use crate::session::{self, now, read, write};
use crate::table::Table;
use crate::types::{self, PatternPage, PatternRecord};
use crate::view::View;
use crate::write::Writer;

record! {
    /// A pattern.
    Pattern as PatternRecord {
        key_hash: u64,
        pattern: &'a str,
        tool_type: &'a str,
        #[serde(borrow)]
        matched_files: Vec<&'a str>,
        created_at: f64,
        blob_offset: i64,
        blob_length: i64,
        vector_offset: Option<i64>,
        vector_length: Option<i64>,
    }
}

impl<'a> Record<'a> for Pattern<'a> {
    msgpack_record!(PatternRecord, Patterns);

    fn key(&self) -> Key {
        Key::of_u64(self.key_hash)
    }

    fn index(&self, sink: &mut dyn Sink) {
        let by_time = Key::new().newest(self.created_at).u64(self.key_hash);
        if self.vector_offset.is_some() {
            sink.entry(Table::PatternsEmbedded, by_time.clone());
        }
        sink.entry(Table::PatternsByCreated, by_time);
        sink.vector(VectorKind::Pattern, self.vector_offset, self.vector_length, &self.key_hash.to_be_bytes());
    }
}

/// A link between a pattern and a file: an entry without a value. The files
/// of a pattern are also in its record; a link without a pattern can only come
/// from a database in which patterns were evicted and their links left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Link<'a> {
    /// The pattern.
    pub pattern: u64,
    /// The file.
    pub path: &'a str,
}

impl<'a> Record<'a> for Link<'a> {
    type Row = types::PatternLink;
    const TABLE: Table = Table::PatternFiles;
    const KEY_IN_VALUE: bool = false;

    fn key(&self) -> Key {
        Key::of_u64(self.pattern).tail(self.path)
    }
    fn encode(&self, _out: &mut Vec<u8>) {}
    fn decode(key: &'a [u8], _value: &'a [u8]) -> Option<Self> {
        let (pattern, path) = key.split_first_chunk::<8>()?;
        Some(Link { pattern: u64::from_be_bytes(*pattern), path: str::from_utf8(path).ok()? })
    }
    fn index(&self, sink: &mut dyn Sink) {
        sink.entry(Table::PatternsByFile, Key::new().segment(self.path).u64(self.pattern));
    }
    fn from_row(row: &'a Self::Row) -> Self {
        Link { pattern: row.pattern_key_hash, path: &row.file_path }
    }
    fn into_row(self) -> Self::Row {
        types::PatternLink { pattern_key_hash: self.pattern, file_path: self.path.to_owned() }
    }
}

// Writes

/// Sorts matched files and refuses duplicates.
pub fn sorted<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Vec<&'a str>> {
    let mut files: Vec<&str> = files.into_iter().collect();
    files.sort_unstable();
    match files.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::InvalidArgument(format!("matched-files names {:?} twice", pair[0]))),
        None => Ok(files),
    }
}

/// Puts a pattern and makes its links those of its files.
pub fn put(writer: &mut Writer, new: &Pattern) -> Result<()> {
    let stored = writer.find(Table::Patterns, &new.key())?;
    let old = stored.as_ref().map(|stored| stored.decode::<Pattern>()).transpose()?;
    let linked: Vec<String> = match &old {
        Some(old) => old.matched_files.iter().map(|path| (*path).to_owned()).collect(),
        None => links(writer.view_for(Table::PatternFiles)?, new.key_hash)?,
    };
    writer.change(old.as_ref(), Some(new));
    for path in linked.iter().filter(|path| !new.matched_files.contains(&path.as_str())) {
        writer.remove(&Link { pattern: new.key_hash, path });
    }
    for path in &new.matched_files {
        if linked.binary_search_by(|linked| linked.as_str().cmp(path)).is_err() {
            writer.insert(&Link { pattern: new.key_hash, path });
        }
    }
    Ok(())
}

/// Puts a link, also into the record of its pattern if there is one.
pub fn put_link(writer: &mut Writer, link: &Link) -> Result<()> {
    if let Some(stored) = writer.find(Table::Patterns, &Key::of_u64(link.pattern))? {
        let mut pattern = stored.decode::<Pattern>()?;
        if let Err(position) = pattern.matched_files.binary_search(&link.path) {
            pattern.matched_files.insert(position, link.path);
            put(writer, &pattern)?;
        }
    } else if writer.find(Table::PatternFiles, &link.key())?.is_none() {
        writer.insert(link);
    }
    Ok(())
}

/// The files that links name for a pattern, in order.
fn links(view: &View, key_hash: u64) -> Result<Vec<String>> {
    let mut scan = Scan::prefix(view, Table::PatternFiles, &key_hash.to_be_bytes());
    let mut paths = Vec::new();
    while let Some(entry) = scan.next()? {
        paths.push(list::text_after(Table::PatternFiles, entry.key, 8)?.to_owned());
    }
    Ok(paths)
}

pub fn cache(
    key_hash: u64,
    pattern: &str,
    tool_type: &str,
    matched_files: &[String],
    blob_offset: i64,
    blob_length: i64,
) -> Result<()> {
    let matched_files = sorted(matched_files.iter().map(String::as_str))?;
    write(|writer| {
        let stored = writer.find(Table::Patterns, &Key::of_u64(key_hash))?;
        let old = stored.as_ref().map(|stored| stored.decode::<Pattern>()).transpose()?;
        let new = Pattern {
            key_hash,
            pattern,
            tool_type,
            matched_files,
            created_at: now(),
            blob_offset,
            blob_length,
            vector_offset: old.as_ref().and_then(|old| old.vector_offset),
            vector_length: old.as_ref().and_then(|old| old.vector_length),
        };
        put(writer, &new)
    })
}

fn remove(writer: &mut Writer, key_hash: u64) -> Result<()> {
    let paths = match writer.find(Table::Patterns, &Key::of_u64(key_hash))? {
        Some(stored) => {
            let old = stored.decode::<Pattern>()?;
            writer.remove(&old);
            old.matched_files.iter().map(|path| (*path).to_owned()).collect()
        }
        None => links(writer.view_for(Table::PatternFiles)?, key_hash)?,
    };
    for path in &paths {
        writer.remove(&Link { pattern: key_hash, path });
    }
    Ok(())
}

pub fn evict_for_file(path: &str) -> Result<u64> {
    write(|writer| {
        let keys = linked(writer.view(), path)?;
        for key_hash in &keys {
            remove(writer, *key_hash)?;
        }
        Ok(keys.len() as u64)
    })
}

pub fn evict_by_ttl(max_age_seconds: f64) -> Result<u64> {
    if max_age_seconds.is_nan() {
        return Err(Error::InvalidArgument("max-age-seconds is not a number".into()));
    }
    write(|writer| {
        // Newest first, so the older ones follow the key of the oldest that stays.
        let oldest = Key::new().newest(now() - max_age_seconds).into_bytes();
        let start = key::prefix_end(&oldest);
        if start.is_empty() {
            return Ok(0);
        }
        let mut old = Vec::new();
        let mut scan = Scan::range(writer.view(), Table::PatternsByCreated, start, Vec::new());
        while let Some(entry) = scan.next()? {
            old.push(list::number_after(Table::PatternsByCreated, entry.key, TIME)?);
        }
        for key_hash in &old {
            remove(writer, *key_hash)?;
        }
        Ok(old.len() as u64)
    })
}

pub fn clear() -> Result<u64> {
    write(|writer| {
        let count = writer.view().count(Table::Patterns)?;
        let mut keys = Vec::new();
        let mut scan = Scan::prefix(writer.view(), Table::Patterns, b"");
        while let Some(entry) = scan.next()? {
            keys.push(list::number_after(Table::Patterns, entry.key, 0)?);
        }
        // One by one for the vectors; links without a pattern go too.
        for key_hash in keys {
            if let Some(stored) = writer.find(Table::Patterns, &Key::of_u64(key_hash))? {
                writer.remove(&stored.decode::<Pattern>()?);
            }
        }
        for table in [Table::PatternFiles, Table::PatternsByFile] {
            writer.clear(table);
        }
        Ok(count)
    })
}

pub fn update_vector(key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    write(|writer| set_vector(writer, key_hash, offset, length))
}

/// Sets the vector of the pattern with this key hash.
pub fn set_vector(writer: &mut Writer, key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    let Some(stored) = writer.find(Table::Patterns, &Key::of_u64(key_hash))? else { return Ok(false) };
    let old = stored.decode::<Pattern>()?;
    let new = Pattern { vector_offset: Some(offset), vector_length: Some(length), ..old.clone() };
    writer.change(Some(&old), Some(&new));
    Ok(true)
}

// Queries

pub fn get(key_hash: u64) -> Result<Option<PatternRecord>> {
    session::find(Table::Patterns, &Key::of_u64(key_hash), |stored| Ok(stored.decode::<Pattern>()?.into_row()))
}

/// The patterns linked to a file, ascending.
fn linked(view: &View, path: &str) -> Result<Vec<u64>> {
    let prefix = Key::new().segment(path).into_bytes();
    let (keys, _) = list::keys(Scan::prefix(view, Table::PatternsByFile, &prefix), None, u32::MAX)?;
    keys.iter().map(|key| list::number_after(Table::PatternsByFile, key, prefix.len())).collect()
}

pub fn for_file(path: &str) -> Result<Vec<u64>> {
    read(|view| linked(view, path))
}

pub fn count() -> Result<u64> {
    read(|view| view.count(Table::Patterns))
}

/// A page of the patterns in one of the two orders by time.
fn page(view: &View, index: Table, after: Option<&[u8]>, limit: u32) -> Result<PatternPage> {
    let (keys, next) = list::keys(Scan::prefix(view, index, b""), after, limit)?;
    let patterns = view.get_many(Table::Patterns, list::numbered(index, &keys, TIME)?)?;
    let items = (0..patterns.len()).map(|i| Ok(patterns.require::<Pattern>(i)?.into_row())).collect::<Result<_>>()?;
    Ok(PatternPage { items, next })
}

pub fn recent(limit: u32) -> Result<Vec<PatternRecord>> {
    read(|view| Ok(page(view, Table::PatternsByCreated, None, limit)?.items))
}

pub fn list_embedded(after: Option<&[u8]>, limit: u32) -> Result<PatternPage> {
    read(|view| page(view, Table::PatternsEmbedded, after, limit))
}
