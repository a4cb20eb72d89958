//! Files and their freshness.

use serde_json::{Value, json};
use tracker_host::types::*;

use super::{Answer, Function, INVALID, Listing, Model, first, json as column, names, newest, pages, place, put, read};
use super::{remove, sorted, tally, write};
use crate::model::wire::Wire;

/// How long after its modification a file must have been recorded, in seconds,
/// for an equal time to prove that it is the same.
const SAFELY_LATER: f64 = 2.0;

fn record(file: &FileRow) -> FileRecord {
    FileRecord {
        path: file.path.clone(),
        mtime: file.mtime,
        size: file.size,
        content_hash: file.content_hash.clone(),
        blob_offset: file.blob_offset,
        blob_length: file.blob_length,
        key_hash: file.key_hash,
        indexed_at: file.indexed_at,
        vector_offset: file.vector_offset,
        vector_length: file.vector_length,
        detected_contexts: contexts(file),
        is_team: file.is_team,
    }
}

fn contexts(file: &FileRow) -> Vec<String> {
    column::texts(file.detected_contexts.as_ref())
}

/// Contexts as the column holds them: no list is no text.
fn dump(contexts: &[String]) -> Option<String> {
    (!contexts.is_empty()).then(|| column::of_texts(contexts))
}

impl Model {
    fn file(&self, path: &str) -> Option<&FileRow> {
        self.files.iter().find(|file| file.path == path)
    }

    fn upsert_file(&mut self, file: FileUpsert) {
        let old = self.file(&file.path);
        let new = FileRow {
            vector_offset: old.and_then(|old| old.vector_offset),
            vector_length: old.and_then(|old| old.vector_length),
            detected_contexts: dump(&file.contexts),
            path: file.path,
            mtime: file.mtime,
            size: file.size,
            content_hash: file.content_hash,
            blob_offset: file.blob_offset,
            blob_length: file.blob_length,
            key_hash: file.key_hash,
            indexed_at: self.now,
            is_team: false,
        };
        self.put_file(new);
    }

    pub(super) fn put_file(&mut self, file: FileRow) {
        put(&mut self.files, file, |a, b| a.path == b.path);
    }

    fn delete_file(&mut self, path: &str) -> bool {
        remove(&mut self.symbols, |symbol| symbol.file_path == path);
        remove(&mut self.files, |file| file.path == path) > 0
    }

    /// The paths under a root, in order.
    fn under(&self, root: &str) -> Vec<String> {
        let plain = root.strip_suffix('/').unwrap_or(root);
        let below = format!("{plain}/");
        let mut paths: Vec<String> = self.files.iter().map(|file| file.path.clone()).collect();
        paths.retain(|path| root.is_empty() || (!plain.is_empty() && path == plain) || path.starts_with(&below));
        paths.sort();
        paths
    }
}

fn upsert(model: &mut Model, files: Vec<FileUpsert>) -> Answer<()> {
    if files.iter().any(|file| file.mtime.is_nan()) {
        return Err(INVALID);
    }
    files.into_iter().for_each(|file| model.upsert_file(file));
    Ok(())
}

type Upsert = (String, f64, i64, String, i64, i64, u64, Vec<String>);

fn upsert_one(model: &mut Model, file: Upsert) -> Answer<()> {
    let (path, mtime, size, content_hash, blob_offset, blob_length, key_hash, contexts) = file;
    upsert(model, vec![FileUpsert { path, mtime, size, content_hash, blob_offset, blob_length, key_hash, contexts }])
}

fn import_team(
    model: &mut Model,
    (path, size, indexed_at, contexts, key_hash): (String, Option<i64>, Option<f64>, Vec<String>, u64),
) -> Answer<u64> {
    if let Some(own) = model.file(&path).filter(|file| !file.is_team) {
        return Ok(own.key_hash);
    }
    model.put_file(FileRow {
        path,
        mtime: 0.0,
        size: size.unwrap_or(0),
        content_hash: String::new(),
        blob_offset: 0,
        blob_length: 0,
        key_hash,
        indexed_at: indexed_at.unwrap_or(model.now),
        vector_offset: None,
        vector_length: None,
        detected_contexts: dump(&contexts),
        is_team: true,
    });
    Ok(key_hash)
}

fn freshness(model: &Model, (stats, root): (Vec<FileStat>, Option<String>)) -> Value {
    let verdict = |stat: &FileStat| match model.file(&stat.path) {
        None => "unknown",
        Some(file) if stat.mtime != file.mtime || stat.size != file.size => "stale",
        Some(file) if file.indexed_at - file.mtime >= SAFELY_LATER => "fresh",
        Some(_) => "racy",
    };
    let mut vanished = root.map(|root| model.under(&root)).unwrap_or_default();
    vanished.retain(|path| !stats.iter().any(|stat| stat.path == *path));
    json!({ "verdicts": stats.iter().map(verdict).collect::<Vec<_>>(), "vanished": vanished })
}

fn listed<'m>(files: impl Iterator<Item = &'m FileRow>) -> Listing {
    files.map(|file| (place![&file.path], record(file).write())).collect()
}

pub fn functions() -> Vec<Function> {
    vec![
        read("needs-index", |m, (path, mtime, size): (String, f64, i64)| {
            m.file(&path).is_none_or(|file| mtime > file.mtime || size != file.size)
        }),
        read("freshness", freshness),
        read("needs-embed", |m, (path,): (String,)| m.file(&path).is_some_and(|file| file.vector_offset.is_none())),
        read("get-file", |m, (path,): (String,)| m.file(&path).map(record)),
        read("get-files", |m, (paths,): (Vec<String>,)| {
            paths.iter().map(|path| m.file(path).map(record)).collect::<Vec<_>>()
        }),
        read("get-file-by-key", |m, (key,): (u64,)| {
            m.files.iter().filter(|file| file.key_hash == key).min_by(|a, b| a.path.cmp(&b.path)).map(record)
        }),
        write("upsert-file", upsert_one),
        write("upsert-files", |m, (files,): (Vec<FileUpsert>,)| upsert(m, files)),
        write("delete-file", |m, (path,): (String,)| Ok(m.delete_file(&path))),
        write("delete-files", |m, (paths,): (Vec<String>,)| {
            Ok(paths.iter().filter(|path| m.delete_file(path)).count() as u64)
        }),
        write("update-file-vector", |m, (key, offset, length): (u64, i64, i64)| Ok(m.move_files(key, offset, length))),
        pages("list-files", |m, (): ()| listed(m.files.iter())),
        pages("list-paths", |m, (root,): (String,)| {
            m.under(&root).iter().map(|path| (place![path], json!(path))).collect()
        }),
        pages("list-files-by-context", |m, (context,): (String,)| {
            listed(m.files.iter().filter(|file| contexts(file).contains(&context)))
        }),
        read("file-count", |m, (): ()| m.files.len() as u64),
        read("embedded-file-count", |m, (): ()| {
            m.files.iter().filter(|file| file.vector_offset.is_some()).count() as u64
        }),
        read("get-recent-files", |m, (limit,): (u32,)| {
            let files = sorted(&m.files, |_| true, |file| vec![newest(file.indexed_at), (&file.path).into()]);
            first(files, limit).iter().map(record).collect::<Vec<_>>()
        }),
        read("get-context-stats", |m, (): ()| tally(m.files.iter().flat_map(contexts))),
        read("list-available-contexts", |m, (): ()| names(tally(m.files.iter().flat_map(contexts)))),
        read("get-contexts-for-file", |m, (path,): (String,)| m.file(&path).map(contexts).unwrap_or_default()),
        write("import-team-file", import_team),
    ]
}
