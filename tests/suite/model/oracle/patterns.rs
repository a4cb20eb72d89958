//! Pattern caches and their links to files.

use std::collections::BTreeSet;

use tracker_host::types::PatternRecord;

use super::{Answer, Function, INVALID, Model, Place, first, newest, pages, put, read, remove, sorted, write};
use crate::model::wire::Wire;

fn place(pattern: &PatternRecord) -> Place {
    vec![newest(pattern.created_at), pattern.key_hash.into()]
}

impl Model {
    /// A pattern with its matched files.
    pub(super) fn whole(&self, pattern: &PatternRecord) -> PatternRecord {
        let links = self.links.iter().filter(|(key, _)| *key == pattern.key_hash);
        PatternRecord { matched_files: links.map(|(_, path)| path.clone()).collect(), ..pattern.clone() }
    }

    pub(super) fn pattern(&self, key: u64) -> Option<&PatternRecord> {
        self.patterns.iter().find(|pattern| pattern.key_hash == key)
    }

    /// Puts a pattern and makes its links those of its files.
    pub(super) fn put_pattern(&mut self, pattern: PatternRecord) -> Answer<()> {
        let files: BTreeSet<&String> = pattern.matched_files.iter().collect();
        if files.len() < pattern.matched_files.len() {
            return Err(INVALID);
        }
        self.links.retain(|(key, _)| *key != pattern.key_hash);
        self.links.extend(pattern.matched_files.iter().map(|path| (pattern.key_hash, path.clone())));
        let bare = PatternRecord { matched_files: Vec::new(), ..pattern };
        put(&mut self.patterns, bare, |a, b| a.key_hash == b.key_hash);
        Ok(())
    }

    fn linked(&self, path: &str) -> Vec<u64> {
        self.links.iter().filter(|(_, linked)| linked == path).map(|(key, _)| *key).collect()
    }

    /// Deletes patterns with all their links.
    fn evict(&mut self, keys: &[u64]) {
        remove(&mut self.patterns, |pattern| keys.contains(&pattern.key_hash));
        self.links.retain(|(key, _)| !keys.contains(key));
    }
}

type Cache = (u64, String, String, Vec<String>, i64, i64);

fn cache(model: &mut Model, pattern: Cache) -> Answer<()> {
    let (key_hash, pattern, tool_type, matched_files, blob_offset, blob_length) = pattern;
    let old = model.pattern(key_hash);
    let new = PatternRecord {
        vector_offset: old.and_then(|old| old.vector_offset),
        vector_length: old.and_then(|old| old.vector_length),
        created_at: model.now,
        key_hash,
        pattern,
        tool_type,
        matched_files,
        blob_offset,
        blob_length,
    };
    model.put_pattern(new)
}

fn evict_by_ttl(model: &mut Model, (age,): (f64,)) -> Answer<u64> {
    if age.is_nan() {
        return Err(INVALID);
    }
    let oldest = model.now - age;
    let old: Vec<u64> =
        model.patterns.iter().filter(|pattern| pattern.created_at < oldest).map(|pattern| pattern.key_hash).collect();
    model.evict(&old);
    Ok(old.len() as u64)
}

fn clear(model: &mut Model, (): ()) -> Answer<u64> {
    model.links.clear();
    Ok(std::mem::take(&mut model.patterns).len() as u64)
}

pub fn functions() -> Vec<Function> {
    vec![
        write("cache-pattern", cache),
        read("get-pattern-cache", |m, (key,): (u64,)| m.pattern(key).map(|pattern| m.whole(pattern))),
        read("get-patterns-for-file", |m, (path,): (String,)| m.linked(&path)),
        write("evict-patterns-for-file", |m, (path,): (String,)| {
            let keys = m.linked(&path);
            m.evict(&keys);
            Ok(keys.len() as u64)
        }),
        write("evict-patterns-by-ttl", evict_by_ttl),
        write("update-pattern-vector", |m, (key, offset, length): (u64, i64, i64)| {
            Ok(m.move_patterns(key, offset, length))
        }),
        read("count-pattern-caches", |m, (): ()| m.patterns.len() as u64),
        write("clear-pattern-caches", clear).rare(),
        read("get-recent-patterns", |m, (limit,): (u32,)| {
            let patterns = first(sorted(&m.patterns, |_| true, place), limit);
            patterns.iter().map(|pattern| m.whole(pattern)).collect::<Vec<_>>()
        }),
        pages("list-patterns", |m, (): ()| {
            let embedded = m.patterns.iter().filter(|pattern| pattern.vector_offset.is_some());
            embedded.map(|pattern| (place(pattern), m.whole(pattern).write())).collect()
        }),
    ]
}
