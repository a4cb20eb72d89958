//! What fuzz targets reach of the decoders, in plain types. Natively only: the
//! component has nothing of it, and it may change at any time.

use crate::bytes;
use crate::checkpoints::Checkpoint;
use crate::conventions::Convention;
use crate::error::Error;
use crate::files::File;
use crate::index::Facts;
use crate::json;
use crate::memories::Memory;
use crate::metadata::Metadata;
use crate::packed;
use crate::patterns::{Link, Pattern};
use crate::record::{self, Record};
use crate::rows::each_record;
use crate::symbols::Symbol;
use crate::table::Table;
use crate::threads::Thread;
use crate::threads::files::ThreadFile;
use crate::threads::queries::ThreadQuery;
use crate::threads::tools::ThreadTool;
use crate::transcripts::Transcript;
use crate::view::Many;

/// A record that was decoded.
#[derive(Debug, PartialEq)]
pub struct Reading {
    /// Its logical key, from its fields.
    pub key: Vec<u8>,
    /// Its value, encoded again.
    pub value: Vec<u8>,
    /// The same after a round through the row that import and export use.
    pub through_row: Vec<u8>,
    /// How many facts it states.
    pub facts: usize,
}

/// The tables of all records, by name.
pub fn tables() -> Vec<&'static str> {
    let mut tables = Vec::new();
    macro_rules! name {
        ($case:ident, $record:ident, $key:expr) => {
            tables.push(<$record as Record>::TABLE.name());
        };
    }
    each_record!(name);
    tables
}

/// Decodes an entry of a table, as every call does; or what the call answers.
pub fn decode(table: &str, physical: &[u8], value: &[u8]) -> Result<Reading, String> {
    macro_rules! arm {
        ($case:ident, $record:ident, $key:expr) => {
            if table == <$record as Record>::TABLE.name() {
                return reading(record::decode::<$record>(physical, value).map_err(told)?, |row| {
                    encoded(&<$record as Record>::from_row(row))
                });
            }
        };
    }
    each_record!(arm);
    Err(format!("{table} holds no records"))
}

fn encoded<'a, R: Record<'a>>(record: &R) -> Vec<u8> {
    let mut value = Vec::new();
    record.encode(&mut value);
    value
}

fn reading<'a, R: Record<'a>>(record: R, from_row: impl Fn(&R::Row) -> Vec<u8>) -> Result<Reading, String> {
    record.warnings(&mut |_| {});
    let (key, value) = (record.key().into_bytes(), encoded(&record));
    let facts = Facts::of(Some(&record)).facts.len();
    Ok(Reading { key, value, through_row: from_row(&record.into_row()), facts })
}

fn told(error: Error) -> String {
    match error {
        Error::Corrupt(message) => message,
        other => format!("not corrupt: {other:?}"),
    }
}

/// The two readers of a record's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The one that expects the fields in their order.
    InOrder,
    /// The one that takes them in any.
    AnyOrder,
}

/// What one reader alone makes of a value, encoded again; none if it refuses
/// it, or the table's values are no maps.
pub fn read(reader: Reader, table: &str, value: &[u8]) -> Option<Vec<u8>> {
    macro_rules! arms {
        ($($record:ident),+) => {
            $(if table == <$record as Record>::TABLE.name() {
                let record = match reader {
                    Reader::InOrder => $record::read_in_order(value),
                    Reader::AnyOrder => $record::read_in_any_order(value),
                };
                return record.as_ref().map(encoded);
            })+
        };
    }
    arms!(
        File,
        Symbol,
        Checkpoint,
        Memory,
        Transcript,
        Pattern,
        Thread,
        ThreadFile,
        ThreadQuery,
        ThreadTool,
        Convention
    );
    None
}

/// The entries of a page that `scan` answered; none if it is cut off.
pub fn page(page: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let (mut entries, mut at) = (Vec::new(), 0);
    while at < page.len() {
        let (key, value) = packed::entry(page, at)?;
        at = value.end;
        entries.push((&page[key], &page[value]));
    }
    Some(entries)
}

/// The values in an answer of `get-many` to so many keys; none if it is refused.
pub fn answers(answer: Vec<u8>, asked: usize) -> Option<Vec<Option<Vec<u8>>>> {
    let mut many = Many::to(vec![Vec::new(); asked]);
    many.take(answer).ok()?;
    Some((0..many.len()).map(|position| many.value(position).map(<[u8]>::to_vec)).collect())
}

/// The operations of a call, by the numbers of the tables.
#[derive(Default)]
pub struct Pending(crate::pending::Pending);

impl Pending {
    /// How many tables there are, and whether what is written to one can be read again.
    pub fn tables() -> Vec<bool> {
        Table::ALL.iter().map(|table| table.role() != crate::table::Role::Entries).collect()
    }
    /// Puts an entry.
    pub fn put(&mut self, table: usize, key: &[u8], value: &[u8]) {
        self.0.put(Table::ALL[table], key, value);
    }
    /// Deletes an entry.
    pub fn delete(&mut self, table: usize, key: &[u8]) {
        self.0.delete(Table::ALL[table], key);
    }
    /// Deletes all entries of a table.
    pub fn clear(&mut self, table: usize) {
        self.0.clear(Table::ALL[table]);
    }
    /// What a key is known to have.
    pub fn get(&self, table: usize, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0.get(Table::ALL[table], key)
    }
    /// The packed operations.
    pub fn ops(&self) -> &[u8] {
        self.0.ops()
    }
}

/// `bytes::same` and `bytes::compare`.
pub fn compare(a: &[u8], b: &[u8]) -> (bool, std::cmp::Ordering) {
    (bytes::same(a, b), bytes::compare(a, b))
}

/// `bytes::position_of_0_or_1`.
pub fn position_of_0_or_1(text: &[u8]) -> Option<usize> {
    bytes::position_of_0_or_1(text)
}

/// `bytes::contains_ignoring_ascii_case`.
pub fn contains_ignoring_ascii_case(text: &[u8], part: &[u8]) -> bool {
    bytes::contains_ignoring_ascii_case(text, part)
}

/// The texts of a JSON column, and the same by the reader of lists without escapes.
pub fn texts(column: &str) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let mut plain = Vec::new();
    let is_plain = json::each_plain(column, |text| plain.push(text.to_owned()));
    (json::parse_texts(column), is_plain.then_some(plain))
}

/// A JSON column for texts.
pub fn column(texts: &[String]) -> String {
    json::dump_texts(texts)
}
