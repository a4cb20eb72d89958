//! A database and a store side by side, for a roll-out in steps.
//!
//! Every row of the database is read as the migration reads it and looked up in
//! the store; where the store has more rows, each of them is looked up in the
//! database. Both sides are read in one snapshot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use serde::Serialize;

use super::chunks::chunks;
use super::read::row_kind;
use super::source::{Source, TABLES, TableSpec, Tolerance};
use super::{MigrateError, Result};
use crate::Tracker;
use crate::export;
use crate::tracker::each_answered;
use crate::types::{Row, RowKind};

/// Rows a page of the store.
const PAGE: u32 = 2_000;

/// How to compare.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Comparison {
    database: PathBuf,
    tolerance: Tolerance,
    listed: usize,
}

/// How many rows of a table agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TableComparison {
    /// The table in SQLite.
    pub table: &'static str,
    /// Rows of the database.
    pub database_rows: u64,
    /// Rows of the store.
    pub store_rows: u64,
    /// Rows that only the database has.
    pub missing: u64,
    /// Rows that only the store has.
    pub extra: u64,
    /// Rows that differ.
    pub different: u64,
    /// Rows of the database that the typed schema cannot hold; a migration rejects them.
    pub rejected: u64,
}

/// In which way a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Only the database has it.
    Missing,
    /// Only the store has it.
    Extra,
    /// Both have it, with other values.
    Different,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Difference {
    /// The table in SQLite, or `sqlite_sequence`.
    pub table: &'static str,
    /// In which way.
    pub kind: Kind,
    /// The row's key: field by field as in `wit/types.wit`.
    pub key: serde_json::Value,
    /// For rows that both have: what the database and the store say.
    pub fields: BTreeMap<String, (serde_json::Value, serde_json::Value)>,
}

/// What a comparison has found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Report {
    /// The tables.
    pub tables: Vec<TableComparison>,
    /// Sequences, from which ids are given out, that differ.
    pub sequences: u64,
    /// Differences, of each table at most as many as were asked for.
    pub differences: Vec<Difference>,
}

impl Report {
    /// How many differences there are, also those that are not listed.
    pub fn total(&self) -> u64 {
        let of_table = |table: &TableComparison| table.missing + table.extra + table.different;
        self.tables.iter().map(of_table).sum::<u64>() + self.sequences
    }
}

impl Comparison {
    /// A comparison with a database, which is opened for reading only.
    pub fn new(database: impl AsRef<Path>) -> Self {
        let database = database.as_ref().to_owned();
        Comparison { database, tolerance: Tolerance::default(), listed: 20 }
    }

    /// Take missing tables as empty instead of refusing the database.
    #[must_use]
    pub fn allow_missing(mut self, allow: bool) -> Self {
        self.tolerance.allow_missing = allow;
        self
    }

    /// Pass over tables and columns that are not FileTracker's, instead of refusing the database.
    #[must_use]
    pub fn ignore_extra(mut self, ignore: bool) -> Self {
        self.tolerance.ignore_extra = ignore;
        self
    }

    /// How many differences of each table to list. Default 20. All are counted.
    #[must_use]
    pub fn listed(mut self, differences: usize) -> Self {
        self.listed = differences;
        self
    }

    /// Compares. What FileTracker has no columns for (conventions, who owns or
    /// shares a record, access counts) is not looked at.
    ///
    /// # Errors
    ///
    /// If either side cannot be read. Differences are no error.
    pub fn run(&self, tracker: &Tracker) -> Result<Report> {
        let mut source = Source::open(&self.database, self.tolerance)?;
        let mut store = tracker.snapshot()?;
        let mut report = Report { tables: Vec::new(), sequences: 0, differences: Vec::new() };
        for table in 0..TABLES.len() {
            let listed = List { left: self.listed, differences: &mut report.differences };
            let compared = Compare { source: &mut source, store: &mut store, table, listed }.run()?;
            report.tables.push(compared);
        }
        report.sequences = sequences(&source, &mut store, &mut report.differences)?;
        Ok(report)
    }
}

/// The differences of a table, as many as are listed.
struct List<'r> {
    left: usize,
    differences: &'r mut Vec<Difference>,
}

impl List<'_> {
    fn add(&mut self, difference: impl FnOnce() -> Difference) {
        if self.left > 0 {
            self.left -= 1;
            self.differences.push(difference());
        }
    }
}

struct Compare<'r> {
    source: &'r mut Source,
    store: &'r mut Tracker,
    table: usize,
    listed: List<'r>,
}

impl Compare<'_> {
    fn run(mut self) -> Result<TableComparison> {
        let name = TABLES[self.table].name;
        let mut result = TableComparison {
            table: name,
            database_rows: self.source.count(self.table)?,
            store_rows: self.store.count_rows(row_kind(self.table))?,
            missing: 0,
            extra: 0,
            different: 0,
            rejected: 0,
        };
        self.look_up_in_store(&mut result)?;
        let found = result.database_rows - result.rejected - result.missing;
        if result.store_rows > found {
            self.look_up_in_database(&mut result)?;
        }
        Ok(result)
    }

    fn look_up_in_store(&mut self, result: &mut TableComparison) -> Result<()> {
        let Compare { source, store, table, listed } = self;
        chunks(source, *table, None, |chunks| {
            for chunk in chunks {
                let chunk = chunk?;
                result.rejected += chunk.rejected.len() as u64;
                let found = each_answered(chunk.rows.len(), store.find_rows(&chunk.rows)?)?;
                for (given, found) in chunk.rows.iter().zip(found) {
                    compare(given, found, result, row_kind(*table), listed);
                }
            }
            Ok(())
        })
    }

    fn look_up_in_database(&mut self, result: &mut TableComparison) -> Result<()> {
        let (table, kind) = (result.table, row_kind(self.table));
        let wheres: Vec<String> = key_fields(kind).iter().map(|f| format!("{} = ?", f.replace('-', "_"))).collect();
        let sql = format!("SELECT count(*) FROM {table} WHERE {}", wheres.join(" AND "));
        let mut statement = match self.source.columns(self.table) {
            Some(_) => Some(self.source.connection.prepare(&sql).map_err(|e| self.source.error(e))?),
            None => None,
        };
        for row in self.store.rows(kind, PAGE) {
            let row = row?;
            let found: i64 = match (&mut statement, key_values(&row)) {
                (Some(statement), Some(values)) => {
                    let found = statement.query_row(rusqlite::params_from_iter(values), |row| row.get(0));
                    found.map_err(|e| self.source.error(e))?
                }
                _ => 0,
            };
            if found == 0 {
                result.extra += 1;
                self.listed.add(|| Difference {
                    table,
                    kind: Kind::Extra,
                    key: key(kind, &row),
                    fields: BTreeMap::new(),
                });
            }
        }
        Ok(())
    }
}

/// Counts and lists how a row of the database differs from what the store has.
fn compare(given: &Row, found: Option<Row>, result: &mut TableComparison, kind: RowKind, listed: &mut List<'_>) {
    let table = result.table;
    match found.map(without_what_sqlite_lacks) {
        None => {
            result.missing += 1;
            listed.add(|| Difference { table, kind: Kind::Missing, key: key(kind, given), fields: BTreeMap::new() });
        }
        Some(found) if found != *given => {
            result.different += 1;
            listed.add(|| Difference {
                table,
                kind: Kind::Different,
                key: key(kind, given),
                fields: fields_that_differ(given, &found),
            });
        }
        Some(_) => {}
    }
}

/// The row as FileTracker could have written it.
fn without_what_sqlite_lacks(mut row: Row) -> Row {
    match &mut row {
        Row::File(row) => row.is_team = false,
        Row::Memory(row) => {
            (row.access_count, row.last_accessed, row.owner_id, row.is_team) = (0, None, None, false);
        }
        _ => {}
    }
    row
}

/// The fields by which the store finds a row.
fn key_fields(kind: RowKind) -> &'static [&'static str] {
    match kind {
        RowKind::File | RowKind::TranscriptPosition => &["path"],
        RowKind::Metadata => &["key"],
        RowKind::Pattern => &["key-hash"],
        RowKind::PatternLink => &["pattern-key-hash", "file-path"],
        RowKind::ThreadFile => &["thread-id", "file-path"],
        RowKind::ThreadTool => &["thread-id", "tool-name"],
        RowKind::Counter => &["name"],
        _ => &["id"],
    }
}

/// Their values as SQLite has them; none if it cannot.
fn key_values(row: &Row) -> Option<Vec<Value>> {
    let text = |text: &str| Value::Text(text.to_owned());
    let id = |id: u64| id.try_into().ok().map(Value::Integer);
    let hash = |hash: u64| Value::Integer(hash.cast_signed());
    Some(match row {
        Row::File(row) => vec![text(&row.path)],
        Row::Symbol(row) => vec![id(row.id)?],
        Row::Checkpoint(row) => vec![id(row.id)?],
        Row::Metadata(row) => vec![text(&row.key)],
        Row::Memory(row) => vec![text(&row.id)],
        Row::TranscriptPosition(row) => vec![text(&row.path)],
        Row::Pattern(row) => vec![hash(row.key_hash)],
        Row::PatternLink(row) => vec![hash(row.pattern_key_hash), text(&row.file_path)],
        Row::Thread(row) => vec![id(row.id)?],
        Row::ThreadFile(row) => vec![id(row.thread_id)?, text(&row.file_path)],
        Row::ThreadQuery(row) => vec![id(row.id)?],
        Row::ThreadTool(row) => vec![id(row.thread_id)?, text(&row.tool_name)],
        Row::Convention(row) => vec![text(&row.id)],
        Row::Counter(row) => vec![text(&row.name)],
    })
}

fn key(kind: RowKind, row: &Row) -> serde_json::Value {
    let fields = export::fields(row);
    key_fields(kind).iter().map(|name| ((*name).to_owned(), fields[*name].clone())).collect()
}

fn fields_that_differ(given: &Row, found: &Row) -> BTreeMap<String, (serde_json::Value, serde_json::Value)> {
    let (given, found) = (export::fields(given), export::fields(found));
    let names = given.as_object().into_iter().flat_map(|fields| fields.keys());
    let differ = names.filter(|name| given[*name] != found[*name]);
    differ.map(|name| (name.clone(), (given[name].clone(), found[name].clone()))).collect()
}

fn sequences(source: &Source, store: &mut Tracker, differences: &mut Vec<Difference>) -> Result<u64> {
    // One that was never used is not there.
    let mut both: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (name, value) in source.sequences()? {
        if TableSpec::position(&name).is_some() {
            both.entry(name).or_default().0 = value;
        }
    }
    for row in store.rows(RowKind::Counter, PAGE) {
        if let Row::Counter(row) = row.map_err(MigrateError::from)? {
            both.entry(row.name).or_default().1 = row.value;
        }
    }
    let differ = both.into_iter().filter(|(_, (database, store))| database != store);
    let before = differences.len();
    differences.extend(differ.map(|(name, (database, store))| Difference {
        table: "sqlite_sequence",
        kind: Kind::Different,
        key: serde_json::json!({ "name": name }),
        fields: BTreeMap::from([("seq".to_owned(), (database.into(), store.into()))]),
    }));
    Ok((differences.len() - before) as u64)
}
