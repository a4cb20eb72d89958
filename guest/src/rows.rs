//! Rows: import, export and look-up of every kind of record as it is kept.

use crate::checkpoints::Checkpoint;
use crate::conventions::Convention;
use crate::error::{Error, Result};
use crate::files::File;
use crate::key::Key;
use crate::memories::{self, Memory};
use crate::metadata::Metadata;
use crate::patterns::{self, Link, Pattern};
use crate::record::{self, Record};
use crate::scan::{Scan, key_of};
use crate::session::{read, write};
use crate::symbols::Symbol;
use crate::table::{Counter, Table};
use crate::threads::Thread;
use crate::threads::files::ThreadFile;
use crate::threads::queries::ThreadQuery;
use crate::threads::tools::ThreadTool;
use crate::transcripts::Transcript;
use crate::types::{CounterRow, Row, RowKind, RowPage};
use crate::view::{Stored, View};
use crate::write::{Writer, read_counter};

const IMPORT_STATE: &str = "import";

/// Calls `$do!(Case, Record, key rule)` for every kind of row that is a record.
macro_rules! each_record {
    ($do:ident) => {
        $do!(File, File, key_of!(File));
        $do!(Symbol, Symbol, crate::scan::key_in_front);
        $do!(Checkpoint, Checkpoint, crate::scan::key_in_front);
        $do!(Metadata, Metadata, crate::scan::key_in_front);
        $do!(Memory, Memory, key_of!(Memory));
        $do!(TranscriptPosition, Transcript, key_of!(Transcript));
        $do!(Pattern, Pattern, crate::scan::key_in_front);
        $do!(PatternLink, Link, crate::scan::key_in_front);
        $do!(Thread, Thread, crate::scan::key_in_front);
        $do!(ThreadFile, ThreadFile, key_of!(ThreadFile));
        $do!(ThreadQuery, ThreadQuery, crate::scan::key_in_front);
        $do!(ThreadTool, ThreadTool, key_of!(ThreadTool));
        $do!(Convention, Convention, key_of!(Convention));
    };
}
pub(crate) use each_record;

/// The table that holds rows of a kind.
fn table_of(kind: RowKind) -> Table {
    macro_rules! arm {
        ($case:ident, $record:ident, $key:expr) => {
            if kind == RowKind::$case {
                return <$record as Record>::TABLE;
            }
        };
    }
    each_record!(arm);
    Table::Counters
}

// Import

pub fn import(rows: &[Row]) -> Result<()> {
    for row in rows {
        check(row)?;
    }
    write(|writer| {
        read_ahead(writer, rows)?;
        // Memories first: of what was checked only they can still be refused, and
        // then nothing may have reached the store, as it does where links of
        // patterns are looked for. Rows of other kinds do not touch them.
        let memory = |row: &&Row| matches!(row, Row::Memory(_));
        let others = rows.iter().filter(|row| !memory(row));
        rows.iter().filter(memory).chain(others).try_for_each(|row| import_one(writer, row))
    })
}

fn check(row: &Row) -> Result<()> {
    match row {
        Row::Pattern(row) => patterns::sorted(row.matched_files.iter().map(String::as_str)).map(drop),
        Row::Counter(row) if !Counter::ALL.iter().any(|counter| counter.name() == row.name) => {
            let names: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
            Err(Error::InvalidArgument(format!("no counter is called {:?}; there are {}", row.name, names.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Reads in one crossing a table what the rows will replace.
fn read_ahead(writer: &mut Writer, rows: &[Row]) -> Result<()> {
    macro_rules! ahead {
        ($case:ident, $record:ident, $key:expr) => {{
            let keys: Vec<Key> = rows
                .iter()
                .filter_map(|row| match row {
                    Row::$case(row) => Some(<$record as Record>::from_row(row).key()),
                    _ => None,
                })
                .collect();
            if keys.len() > 1 {
                writer.find_ahead(<$record as Record>::TABLE, keys)?;
            }
        }};
    }
    each_record!(ahead);
    let hashes: Vec<Key> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Memory(row) => Some(Key::of_u64(row.key_hash)),
            _ => None,
        })
        .collect();
    if hashes.len() > 1 {
        writer.find_ahead(Table::MemoriesByKey, hashes)?;
    }
    Ok(())
}

fn import_one(writer: &mut Writer, row: &Row) -> Result<()> {
    macro_rules! replace {
        ($record:ident, $row:expr, |$writer:ident, $old:ident, $new:ident| $put:expr) => {{
            let $new = <$record as Record>::from_row($row);
            let stored = writer.find(<$record as Record>::TABLE, &$new.key())?;
            let $old = stored.as_ref().map(|stored| stored.decode::<$record>()).transpose()?;
            if let (Some(counter), Some(number)) = (<$record as Record>::COUNTER, $new.number()) {
                writer.skip_id(counter, number)?;
            }
            let $writer = writer;
            $put;
            Ok(())
        }};
        ($record:ident, $row:expr) => {
            replace!($record, $row, |writer, old, new| writer.change(old.as_ref(), Some(&new)))
        };
    }
    match row {
        Row::File(row) => replace!(File, row),
        Row::Symbol(row) => replace!(Symbol, row),
        Row::Checkpoint(row) => replace!(Checkpoint, row),
        Row::Metadata(row) => replace!(Metadata, row),
        Row::Memory(row) => {
            replace!(Memory, row, |writer, old, new| memories::put(writer, old.as_ref(), &new)?)
        }
        Row::TranscriptPosition(row) => replace!(Transcript, row),
        Row::Pattern(row) => {
            let mut new = Pattern::from_row(row);
            new.matched_files.sort_unstable();
            patterns::put(writer, &new)
        }
        Row::PatternLink(row) => patterns::put_link(writer, &Link::from_row(row)),
        Row::Thread(row) => replace!(Thread, row),
        Row::ThreadFile(row) => replace!(ThreadFile, row),
        Row::ThreadQuery(row) => replace!(ThreadQuery, row),
        Row::ThreadTool(row) => replace!(ThreadTool, row),
        Row::Convention(row) => replace!(Convention, row),
        Row::Counter(row) => {
            for counter in Counter::ALL.into_iter().filter(|counter| counter.name() == row.name) {
                writer.skip_id(counter, row.value)?;
            }
            Ok(())
        }
    }
}

// Export

pub fn export(kind: RowKind, after: Option<&[u8]>, limit: u32) -> Result<RowPage> {
    macro_rules! page {
        ($case:ident, $record:ident, $key:expr) => {
            if kind == RowKind::$case {
                return read(|view| {
                    let scan = Scan::prefix(view, <$record as Record>::TABLE, b"").keyed($key);
                    export_page(scan, after, limit, |physical, value| {
                        Ok(Row::$case(record::decode::<$record>(physical, value)?.into_row()))
                    })
                });
            }
        };
    }
    each_record!(page);
    read(|view| {
        export_page(Scan::prefix(view, Table::Counters, b""), after, limit, |name, value| {
            Ok(Row::Counter(counter_row(name, value)?))
        })
    })
}

fn export_page(
    scan: Scan,
    after: Option<&[u8]>,
    limit: u32,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<Row>,
) -> Result<RowPage> {
    let mut scan = scan.wanted(limit);
    if let Some(after) = after {
        scan = scan.after(after);
    }
    let mut items = Vec::with_capacity(limit.min(4096) as usize);
    let mut last = after.map(<[u8]>::to_vec);
    while items.len() < limit as usize {
        let Some(entry) = scan.next()? else { return Ok(RowPage { items, next: None }) };
        items.push(row(entry.physical, entry.stored())?);
        if items.len() == limit as usize {
            last = Some(entry.key.to_vec());
        }
    }
    Ok(RowPage { next: if scan.at_end() { None } else { last }, items })
}

fn counter_row(name: &[u8], value: &[u8]) -> Result<CounterRow> {
    let text = str::from_utf8(name).ok();
    match (text, read_counter(value)) {
        (Some(name), Some(value)) => Ok(CounterRow { name: name.to_owned(), value }),
        _ => Err(record::corrupt(Table::Counters, name)),
    }
}

pub fn count(kind: RowKind) -> Result<u64> {
    read(|view| view.count(table_of(kind)))
}

// Look-up

pub fn find(rows: &[Row]) -> Result<Vec<Option<Row>>> {
    read(|view| {
        let mut found: Vec<Option<Row>> = rows.iter().map(|_| None).collect();
        macro_rules! look_up {
            ($case:ident, $record:ident, $key:expr) => {{
                let (positions, keys): (Vec<usize>, Vec<Key>) = rows
                    .iter()
                    .enumerate()
                    .filter_map(|(position, row)| match row {
                        Row::$case(row) => Some((position, <$record as Record>::from_row(row).key())),
                        _ => None,
                    })
                    .unzip();
                if !keys.is_empty() {
                    let many = view.get_many(<$record as Record>::TABLE, keys)?;
                    for (nth, position) in positions.into_iter().enumerate() {
                        found[position] = many.decode::<$record>(nth)?.map(|record| Row::$case(record.into_row()));
                    }
                }
            }};
        }
        each_record!(look_up);
        for (position, row) in rows.iter().enumerate() {
            if let Row::Counter(row) = row {
                found[position] = find_counter(view, &row.name)?.map(Row::Counter);
            }
        }
        Ok(found)
    })
}

fn find_counter(view: &View, name: &str) -> Result<Option<CounterRow>> {
    let stored = view.find(Table::Counters, &Key::of_text(name))?;
    stored.map(|Stored { physical, value }| counter_row(&physical, &value)).transpose()
}

// The note of an unfinished import

pub fn set_import_state(state: Option<&str>) -> Result<()> {
    write(|writer| {
        let key = Key::of_text(IMPORT_STATE);
        match state {
            Some(state) => writer.put(Table::Meta, &key, state.as_bytes()),
            None => writer.delete(Table::Meta, &key),
        }
        Ok(())
    })
}

pub fn import_state() -> Result<Option<String>> {
    read(|view| {
        let state = view.get(Table::Meta, &Key::of_text(IMPORT_STATE))?;
        state.map(|state| String::from_utf8(state).map_err(|_| record::corrupt(Table::Meta, b"import"))).transpose()
    })
}
