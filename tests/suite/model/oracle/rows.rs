//! Rows, and what is said of the whole store.

use serde_json::json;
use tracker_host::types::*;

use super::{Answer, Function, INVALID, Model, Place, json as column, pages, place, read, write};
use crate::model::wire::Wire;

/// The counters by name.
const COUNTERS: [&str; 5] = ["symbols", "checkpoints", "session_threads", "thread_queries", "thread_tools"];

fn counter(name: &str) -> Option<&'static str> {
    COUNTERS.into_iter().find(|counter| *counter == name)
}

impl Model {
    /// All rows of a kind with their keys.
    pub fn rows(&self, kind: &str) -> Vec<(Place, Row)> {
        macro_rules! all {
            ($records:expr, $case:ident, |$r:ident| $key:expr) => {
                $records.iter().map(|$r| ($key, Row::$case($r.clone()))).collect()
            };
        }
        match kind {
            "file" => all!(self.files, File, |r| place![&r.path]),
            "symbol" => all!(self.symbols, Symbol, |r| place![r.id]),
            "checkpoint" => all!(self.checkpoints, Checkpoint, |r| place![r.id]),
            "metadata" => {
                let row = |key: &String, value: &String| MetadataRow { key: key.clone(), value: value.clone() };
                self.metadata.iter().map(|(key, value)| (place![key], Row::Metadata(row(key, value)))).collect()
            }
            "memory" => all!(self.memories, Memory, |r| place![&r.id]),
            "transcript-position" => all!(self.transcripts, TranscriptPosition, |r| place![&r.path]),
            "pattern" => self.patterns.iter().map(|r| (place![r.key_hash], Row::Pattern(self.whole(r)))).collect(),
            "pattern-link" => {
                let link = |key: u64, path: &String| PatternLink { pattern_key_hash: key, file_path: path.clone() };
                self.links.iter().map(|(key, path)| (place![*key, path], Row::PatternLink(link(*key, path)))).collect()
            }
            "thread" => all!(self.threads, Thread, |r| place![r.id]),
            "thread-file" => all!(self.thread_files, ThreadFile, |r| place![r.thread_id, &r.file_path]),
            "thread-query" => all!(self.queries, ThreadQuery, |r| place![r.id]),
            "thread-tool" => all!(self.tools, ThreadTool, |r| place![r.thread_id, &r.tool_name]),
            "convention" => all!(self.conventions, Convention, |r| place![&r.id]),
            "counter" => {
                let row = |name: &str, value: u64| CounterRow { name: name.to_owned(), value };
                let counters = self.counters.iter();
                counters.map(|(name, value)| (place![&(*name).to_owned()], Row::Counter(row(name, *value)))).collect()
            }
            other => panic!("there is no kind {other}"),
        }
    }

    /// Records of all kinds; counters are none.
    fn records(&self) -> u64 {
        let kinds = KINDS.iter().filter(|kind| **kind != "counter");
        kinds.map(|kind| self.rows(kind).len() as u64).sum()
    }

    /// Columns that hold something else than they should.
    fn malformed(&self) -> u64 {
        let files = column::malformed(self.files.iter().map(|file| file.detected_contexts.as_ref()));
        let memories: u64 = self
            .memories
            .iter()
            .map(|r| {
                column::malformed([r.insights.as_ref(), r.context.as_ref(), r.tags.as_ref()])
                    + u64::from(column::malformed_numbers(r.symbol_keys.as_ref()))
            })
            .sum();
        let conventions: u64 = self
            .conventions
            .iter()
            .map(|r| column::malformed([&r.scope, &r.good_examples, &r.bad_examples, &r.tags].map(Some)))
            .sum();
        files + memories + conventions
    }

    fn import(&mut self, row: Row) -> Answer<()> {
        match row {
            Row::File(row) => self.put_file(row),
            Row::Symbol(row) => {
                self.skip_id("symbols", row.id);
                self.put_symbol(row);
            }
            Row::Checkpoint(row) => {
                self.skip_id("checkpoints", row.id);
                self.put_checkpoint(row);
            }
            Row::Metadata(row) => {
                self.metadata.insert(row.key, row.value);
            }
            Row::Memory(row) => self.put_memory(row)?,
            Row::TranscriptPosition(row) => self.put_transcript(row),
            Row::Pattern(row) => self.put_pattern(row)?,
            Row::PatternLink(row) => {
                self.links.insert((row.pattern_key_hash, row.file_path));
            }
            Row::Thread(row) => {
                self.skip_id("session_threads", row.id);
                self.put_thread(row);
            }
            Row::ThreadFile(row) => self.put_thread_file(row),
            Row::ThreadQuery(row) => {
                self.skip_id("thread_queries", row.id);
                self.put_query(row);
            }
            Row::ThreadTool(row) => {
                self.skip_id("thread_tools", row.id);
                self.put_tool(row);
            }
            Row::Convention(row) => self.put_convention(row),
            Row::Counter(row) => self.skip_id(counter(&row.name).ok_or(INVALID)?, row.value),
        }
        Ok(())
    }

    /// The row with the key of this one.
    fn find(&self, row: &Row) -> Option<Row> {
        if let Row::Counter(CounterRow { name, .. }) = row {
            let value = *self.counters.get(name.as_str())?;
            return Some(Row::Counter(CounterRow { name: name.clone(), value }));
        }
        // Its place is where a store of this row alone has it.
        let mut alone = Model::default();
        match row.clone() {
            // The key is the hash alone: the files may be given twice.
            Row::Pattern(pattern) => alone.put_pattern(PatternRecord { matched_files: Vec::new(), ..pattern }).ok()?,
            row => alone.import(row).ok()?,
        }
        let kind = kind(row);
        let (key, _) = alone.rows(kind).pop()?;
        self.rows(kind).into_iter().find(|(place, _)| *place == key).map(|(_, row)| row)
    }
}

/// Refuses a row that no store takes.
fn check(row: &Row) -> Answer<()> {
    match row {
        Row::Pattern(_) => Model::default().import(row.clone()),
        Row::Counter(row) => counter(&row.name).map(drop).ok_or(INVALID),
        _ => Ok(()),
    }
}

/// The kinds of rows, as the encoding names them.
pub const KINDS: [&str; 14] = [
    "file",
    "symbol",
    "checkpoint",
    "metadata",
    "memory",
    "transcript-position",
    "pattern",
    "pattern-link",
    "thread",
    "thread-file",
    "thread-query",
    "thread-tool",
    "convention",
    "counter",
];

fn kind(row: &Row) -> &'static str {
    let value = row.write();
    KINDS.into_iter().find(|kind| value.get(kind).is_some()).unwrap()
}

pub fn functions() -> Vec<Function> {
    vec![
        write("import-rows", |m, (rows,): (Vec<Row>,)| {
            // What can be seen from the rows alone comes first.
            rows.iter().try_for_each(check)?;
            rows.into_iter().try_for_each(|row| m.import(row))
        }),
        pages("export-rows", |m, (kind,): (String,)| {
            m.rows(&kind).into_iter().map(|(place, row)| (place, row.write())).collect()
        }),
        read("find-rows", |m, (rows,): (Vec<Row>,)| rows.iter().map(|row| m.find(row)).collect::<Vec<_>>()),
        read("count-rows", |m, (kind,): (String,)| m.rows(&kind).len() as u64),
        write("set-import-state", |m, (state,): (Option<String>,)| {
            m.import_state = state;
            Ok(())
        })
        .rare(),
        read("get-import-state", |m, (): ()| m.import_state.clone()),
        read("verify", |m, (): ()| json!({ "records": m.records(), "errors": 0, "warnings": m.malformed() })),
        write("reindex", |m, (): ()| Ok(m.records())).rare(),
    ]
}
