//! Files.

use crate::abi::layout::{Answer, Records, Texts, flat_record};
use crate::error::{Error, Result};
use crate::index::{Sink, Tally, VectorKind};
use crate::json;
use crate::key::{self, Key};
use crate::list;
use crate::record::{Record, msgpack_record, record};
use crate::scan::{Scan, key_of};
use crate::session::{self, now, read, write};
use crate::symbols;
use crate::table::Table;
use crate::types::{FileUpsert, PathPage};
use crate::view::{Stored, View};
use crate::write::Writer;

record! {
    /// A file.
    File as FileRow {
        path: &'a str,
        mtime: f64,
        size: i64,
        content_hash: &'a str,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        indexed_at: f64,
        vector_offset: Option<i64>,
        vector_length: Option<i64>,
        #[serde(borrow)]
        detected_contexts: Option<&'a str>,
    }
    later {
        #[serde(deserialize_with = "crate::field::flag")]
        is_team: bool,
    }
}

impl<'a> Record<'a> for File<'a> {
    msgpack_record!(FileRow, Files);

    fn key(&self) -> Key {
        Key::of_text(self.path)
    }

    fn index(&self, sink: &mut dyn Sink) {
        sink.owner(Table::FilesByKey, self.key_hash, self.path.as_bytes());
        sink.entry(Table::FilesByMtime, Key::new().time(self.mtime).tail(self.path));
        sink.entry(Table::FilesByIndexed, Key::new().newest(self.indexed_at).tail(self.path));
        for context in json::texts(self.detected_contexts) {
            sink.entry(Table::FilesByContext, Key::new().segment(&context).tail(self.path));
            sink.tally(Tally::FileContext, &context, 1);
        }
        sink.vector(VectorKind::File, self.vector_offset, self.vector_length, self.path.as_bytes());
    }

    fn warnings(&self, report: &mut dyn FnMut(&str)) {
        if json::malformed_texts(self.detected_contexts) {
            report("detected_contexts is not a JSON list of strings; it is shown as empty");
        }
    }
}

// The record that callers get.
flat_record! {
    File {
        path: &str = |file| file.path,
        mtime: f64 = |file| file.mtime,
        size: i64 = |file| file.size,
        content_hash: &str = |file| file.content_hash,
        blob_offset: i64 = |file| file.blob_offset,
        blob_length: i64 = |file| file.blob_length,
        key_hash: u64 = |file| file.key_hash,
        indexed_at: f64 = |file| file.indexed_at,
        vector_offset: Option<i64> = |file| file.vector_offset,
        vector_length: Option<i64> = |file| file.vector_length,
        detected_contexts: Texts = |file| Texts(file.detected_contexts),
        is_team: bool = |file| file.is_team,
    }
}

/// The key of a file.
pub fn key(path: &str) -> Key {
    Key::of_text(path)
}

// Look-ups

pub fn get(path: &str) -> Result<Answer> {
    let found = session::find(Table::Files, &key(path), |stored| answer_if(stored, |_| true))?;
    Ok(found.flatten().unwrap_or_else(Answer::none))
}

/// The file that an entry holds, if it is the one that is meant.
fn answer_if(stored: Stored, meant: impl Fn(&File) -> bool) -> Result<Option<Answer>> {
    let file = stored.decode::<File>()?;
    if !meant(&file) {
        return Ok(None);
    }
    let answer = Answer::record(&file);
    Ok(Some(answer.keeping(stored.value)))
}

/// The files that an index names, in its order.
fn fetch(view: &View, keys: Vec<Key>) -> Result<Records> {
    let files = view.get_many(Table::Files, keys)?;
    let records = files.records::<File>()?;
    Ok(records.keeping(files.into_buffers()))
}

/// Passes the file with this path to `f`.
fn find<T>(path: &str, f: impl FnOnce(&File) -> T) -> Result<Option<T>> {
    session::find(Table::Files, &key(path), |stored| Ok(f(&stored.decode::<File>()?)))
}

pub fn get_many(paths: &[String]) -> Result<Answer> {
    read(|view| {
        let files = view.get_many(Table::Files, paths.iter().map(|path| key(path)))?;
        let mut records = Records::with_capacity::<File>(files.len());
        for position in 0..files.len() {
            records.push_option(files.decode::<File>(position)?.as_ref());
        }
        Ok(records.keeping(files.into_buffers()).list())
    })
}

pub fn get_by_key(key_hash: u64) -> Result<Answer> {
    let found = session::find_by_key(Table::FilesByKey, key_hash, Table::Files, path_key, |stored| {
        answer_if(stored, |file| file.key_hash == key_hash)
    })?;
    Ok(found.unwrap_or_else(Answer::none))
}

/// The key of the file whose path an index holds.
fn path_key(path: &[u8]) -> Result<Key> {
    match str::from_utf8(path) {
        Ok(path) => Ok(key(path)),
        Err(_) => Err(Error::Corrupt(format!("table files_by_key: {} is not a path", key::printable(path)))),
    }
}

pub fn needs_index(path: &str, mtime: f64, size: i64) -> Result<bool> {
    let known = find(path, |file| mtime > file.mtime || size != file.size)?;
    Ok(known.unwrap_or(true))
}

pub fn needs_embed(path: &str) -> Result<bool> {
    let known = find(path, |file| file.vector_offset.is_none())?;
    Ok(known.unwrap_or(false))
}

pub fn contexts(path: &str) -> Result<Vec<String>> {
    let known = find(path, |file| json::texts(file.detected_contexts))?;
    Ok(known.unwrap_or_default())
}

// Writes

pub fn upsert(file: FileUpsert) -> Result<()> {
    upsert_many(std::slice::from_ref(&file))
}

pub fn upsert_many(files: &[FileUpsert]) -> Result<()> {
    for file in files {
        if file.mtime.is_nan() {
            return Err(Error::InvalidArgument(format!("mtime of {:?} is not a number", file.path)));
        }
    }
    write(|writer| {
        if files.len() > 1 {
            writer.find_ahead(Table::Files, files.iter().map(|file| key(&file.path)))?;
        }
        for file in files {
            let stored = writer.find(Table::Files, &key(&file.path))?;
            let old = stored.as_ref().map(|stored| stored.decode::<File>()).transpose()?;
            let contexts = (!file.contexts.is_empty()).then(|| json::dump_texts(&file.contexts));
            let new = File {
                path: &file.path,
                mtime: file.mtime,
                size: file.size,
                content_hash: &file.content_hash,
                blob_offset: file.blob_offset,
                blob_length: file.blob_length,
                key_hash: file.key_hash,
                indexed_at: now(),
                vector_offset: old.as_ref().and_then(|old| old.vector_offset),
                vector_length: old.as_ref().and_then(|old| old.vector_length),
                detected_contexts: contexts.as_deref(),
                is_team: false,
            };
            writer.upsert(old.as_ref().zip(stored.as_ref().map(|stored| &stored.value[..])), &new);
        }
        Ok(())
    })
}

pub fn delete(path: &str) -> Result<bool> {
    write(|writer| delete_in(writer, path))
}

pub fn delete_many(paths: &[String]) -> Result<u64> {
    write(|writer| {
        let mut deleted = 0;
        for path in paths {
            deleted += u64::from(delete_in(writer, path)?);
        }
        Ok(deleted)
    })
}

fn delete_in(writer: &mut Writer, path: &str) -> Result<bool> {
    symbols::delete_in(writer, path)?;
    match writer.find(Table::Files, &key(path))? {
        None => Ok(false),
        Some(stored) => {
            writer.remove(&stored.decode::<File>()?);
            Ok(true)
        }
    }
}

pub fn update_vector(key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    write(|writer| set_vector(writer, key_hash, offset, length))
}

/// Sets the vector of every file with this key hash.
pub fn set_vector(writer: &mut Writer, key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    let owners = writer.all_owners(Table::FilesByKey, key_hash)?;
    for path in &owners {
        let key = path_key(path)?;
        let Some(stored) = writer.find(Table::Files, &key)? else { continue };
        let old = stored.decode::<File>()?;
        let new = File { vector_offset: Some(offset), vector_length: Some(length), ..old.clone() };
        writer.change(Some(&old), Some(&new));
    }
    Ok(!owners.is_empty())
}

pub fn import_team(
    path: &str,
    size: Option<i64>,
    indexed_at: Option<f64>,
    contexts: &[String],
    key_hash: u64,
) -> Result<u64> {
    write(|writer| {
        let stored = writer.find(Table::Files, &key(path))?;
        let old = stored.as_ref().map(|stored| stored.decode::<File>()).transpose()?;
        if let Some(own) = old.as_ref().filter(|old| !old.is_team) {
            return Ok(own.key_hash);
        }
        let contexts = (!contexts.is_empty()).then(|| json::dump_texts(contexts));
        let new = File {
            path,
            size: size.unwrap_or(0),
            key_hash,
            indexed_at: indexed_at.unwrap_or_else(now),
            detected_contexts: contexts.as_deref(),
            is_team: true,
            ..File::default()
        };
        writer.change(old.as_ref(), Some(&new));
        Ok(key_hash)
    })
}

// Lists

/// A scan over files by path.
pub fn scan<'v, 't>(view: &'v View<'t>, start: Vec<u8>, end: Vec<u8>) -> Scan<'v, 't> {
    Scan::range(view, Table::Files, start, end).keyed(key_of!(File))
}

pub fn list(after: Option<&[u8]>, limit: u32) -> Result<Answer> {
    read(|view| {
        let mut scan = scan(view, Vec::new(), Vec::new()).wanted(limit).keeping();
        if let Some(after) = after {
            scan = scan.after(after);
        }
        let mut records = Records::with_capacity::<File>(limit.min(4096) as usize);
        let mut last = None;
        while records.len() < limit as usize {
            let Some(entry) = scan.next()? else { break };
            records.push(&crate::record::decode::<File>(entry.physical, entry.stored())?);
            if records.len() == limit as usize {
                last = Some(entry.key.to_vec());
            }
        }
        let last = if limit == 0 { after.map(<[u8]>::to_vec) } else { last };
        let next = last.filter(|_| !scan.at_end());
        Ok(records.keeping(scan.into_kept()).page(next))
    })
}

/// The logical keys of the files that are `root` or lie under it: the root
/// itself and a range.
pub fn under(root: &str) -> (Option<Key>, Vec<u8>, Vec<u8>) {
    if root.is_empty() {
        return (None, Vec::new(), Vec::new());
    }
    let root = root.strip_suffix('/').unwrap_or(root);
    let prefix = Key::of_text(&format!("{root}/")).into_bytes();
    let end = key::prefix_end(&prefix);
    ((!root.is_empty()).then(|| key(root)), prefix, end)
}

/// Calls `f` with the key and path of each file under `root`, in order, until it returns false.
pub fn each_under(
    view: &View,
    root: &str,
    after: Option<&[u8]>,
    wanted: u32,
    mut f: impl FnMut(&[u8], &str) -> bool,
) -> Result<bool> {
    let (own, start, end) = under(root);
    if let Some(own) = own
        && after.is_none_or(|after| own.bytes() > after)
        && let Some(stored) = view.find(Table::Files, &own)?
        && !f(own.bytes(), stored.decode::<File>()?.path)
    {
        return Ok(false);
    }
    let mut scan = scan(view, start, end).wanted(wanted);
    if let Some(after) = after {
        scan = scan.after(after);
    }
    while let Some(entry) = scan.next()? {
        let file: File = crate::record::decode(entry.physical, entry.stored())?;
        if !f(entry.key, file.path) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub fn list_paths(root: &str, after: Option<&[u8]>, limit: u32) -> Result<PathPage> {
    if limit == 0 {
        return Ok(PathPage { items: Vec::new(), next: after.map(<[u8]>::to_vec) });
    }
    read(|view| {
        let mut items: Vec<String> = Vec::new();
        let mut last = Vec::new();
        let complete = each_under(view, root, after, limit.saturating_add(1), |key, path| {
            if items.len() == limit as usize {
                return false;
            }
            items.push(path.to_owned());
            last = key.to_vec();
            true
        })?;
        Ok(PathPage { items, next: (!complete).then_some(last) })
    })
}

pub fn list_by_context(context: &str, after: Option<&[u8]>, limit: u32) -> Result<Answer> {
    read(|view| {
        let prefix = Key::new().segment(context).into_bytes();
        let (keys, next) = list::keys(Scan::prefix(view, Table::FilesByContext, &prefix), after, limit)?;
        let paths = list::named(Table::FilesByContext, &keys, prefix.len())?;
        Ok(fetch(view, paths)?.page(next))
    })
}

/// How long a time is at the front of a key.
pub const TIME: usize = 8;

pub fn recent(limit: u32) -> Result<Answer> {
    read(|view| {
        let (keys, _) = list::keys(Scan::prefix(view, Table::FilesByIndexed, b""), None, limit)?;
        let paths = list::named(Table::FilesByIndexed, &keys, TIME)?;
        Ok(fetch(view, paths)?.list())
    })
}

// Counts

pub fn count() -> Result<u64> {
    read(|view| view.count(Table::Files))
}

pub fn context_stats() -> Result<Vec<(String, u64)>> {
    read(|view| list::tallies(view, Tally::FileContext))
}
