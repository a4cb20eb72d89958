//! Symbols, among them insights.

use tracker_host::types::*;

use super::{Answer, Function, Model, contains, first, given, names, newest, pages, place, put, read, remove, sorted};
use super::{tally, write};
use crate::model::wire::Wire;

const COUNTER: &str = "symbols";

impl Model {
    fn symbols_of(&self, path: &str) -> Vec<SymbolRecord> {
        sorted(&self.symbols, |symbol| symbol.file_path == path, |symbol| place![symbol.id])
    }

    /// Updates the first symbol of the same file, name, kind and line, or inserts one.
    fn upsert_symbol(&mut self, path: &str, new: SymbolUpsert) -> Answer<u64> {
        let old = self
            .symbols_of(path)
            .into_iter()
            .find(|old| (&old.name, &old.kind, old.line_start) == (&new.name, &new.kind, new.line_start));
        let id = match &old {
            Some(old) => old.id,
            None => self.next_id(COUNTER)?,
        };
        self.put_symbol(SymbolRecord {
            id,
            file_path: path.to_owned(),
            name: new.name,
            kind: new.kind,
            line_start: new.line_start,
            line_end: new.line_end,
            blob_offset: new.blob_offset,
            blob_length: new.blob_length,
            key_hash: new.key_hash,
            vector_offset: old.as_ref().and_then(|old| old.vector_offset),
            vector_length: old.as_ref().and_then(|old| old.vector_length),
        });
        Ok(id)
    }

    pub(super) fn put_symbol(&mut self, symbol: SymbolRecord) {
        put(&mut self.symbols, symbol, |a, b| a.id == b.id);
    }

    fn insights(&self) -> Vec<(String, u64)> {
        let insight = |kind: &String| kind.to_ascii_lowercase().starts_with("insight:");
        tally(self.symbols.iter().map(|symbol| symbol.kind.clone()).filter(insight))
    }
}

type Upsert = (String, String, String, i64, Option<i64>, i64, i64, u64);

fn upsert(model: &mut Model, symbol: Upsert) -> Answer<u64> {
    let (path, name, kind, line_start, line_end, blob_offset, blob_length, key_hash) = symbol;
    model.upsert_symbol(&path, SymbolUpsert { name, kind, line_start, line_end, blob_offset, blob_length, key_hash })
}

fn replace(model: &mut Model, (path, symbols): (String, Vec<SymbolUpsert>)) -> Answer<Vec<u64>> {
    let ids = symbols.into_iter().map(|symbol| model.upsert_symbol(&path, symbol)).collect::<Answer<Vec<u64>>>()?;
    remove(&mut model.symbols, |symbol| symbol.file_path == path && !ids.contains(&symbol.id));
    Ok(ids)
}

fn recent(model: &Model, (limit,): (u32,)) -> Vec<RecentSymbol> {
    let mut recent: Vec<RecentSymbol> = Vec::new();
    for symbol in &model.symbols {
        if let Some(file) = model.files.iter().find(|file| file.path == symbol.file_path) {
            recent.push(RecentSymbol { symbol: symbol.clone(), indexed_at: file.indexed_at });
        }
    }
    let recent =
        sorted(&recent, |_| true, |recent| vec![newest(recent.indexed_at), (u64::MAX - recent.symbol.id).into()]);
    first(recent, limit)
}

pub fn functions() -> Vec<Function> {
    vec![
        read("get-symbols", |m, (path,): (String,)| m.symbols_of(&path)),
        read("get-symbol-keys", |m, (path,): (String,)| {
            m.symbols_of(&path).iter().map(|symbol| symbol.key_hash).collect::<Vec<_>>()
        }),
        read("get-symbol-by-key", |m, (key,): (u64,)| {
            m.symbols.iter().filter(|symbol| symbol.key_hash == key).min_by_key(|symbol| symbol.id).cloned()
        }),
        write("upsert-symbol", upsert),
        write("replace-symbols", replace),
        write("delete-symbols", |m, (path,): (String,)| Ok(remove(&mut m.symbols, |symbol| symbol.file_path == path))),
        write("delete-symbol-by-key", |m, (key,): (u64,)| {
            Ok(remove(&mut m.symbols, |symbol| symbol.key_hash == key) > 0)
        }),
        write("update-symbol-vector", |m, (key, offset, length): (u64, i64, i64)| {
            Ok(m.move_symbols(key, offset, length))
        }),
        read("symbol-count", |m, (): ()| m.symbols.len() as u64),
        read("embedded-symbol-count", |m, (): ()| {
            m.symbols.iter().filter(|symbol| symbol.vector_offset.is_some()).count() as u64
        }),
        pages("list-all-symbols", |m, (filter,): (Option<String>,)| {
            let filter = given(filter).unwrap_or_default();
            let found = m.symbols.iter().filter(|symbol| contains(&symbol.name, &filter));
            found.map(|symbol| (place![&symbol.name, &symbol.file_path, symbol.id], symbol.write())).collect()
        }),
        read("get-recent-symbols", recent),
        read("get-insight-stats", |m, (): ()| m.insights()),
        read("list-available-insights", |m, (): ()| names(m.insights())),
        pages("list-insights-by-type", |m, (kind,): (String,)| {
            let found = m.symbols.iter().filter(|symbol| symbol.kind == kind);
            found.map(|symbol| (place![&symbol.file_path, symbol.line_start, symbol.id], symbol.write())).collect()
        }),
    ]
}
