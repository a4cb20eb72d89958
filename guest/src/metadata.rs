//! Metadata: plain texts by key. The value is the text itself, not a map.

use crate::error::Result;
use crate::index::Sink;
use crate::key::{self, Key};
use crate::record::Record;
use crate::session::{self, write};
use crate::table::Table;
use crate::types::MetadataRow;

/// A metadata entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata<'a> {
    /// The key as the table has it.
    logical: &'a [u8],
    /// The value.
    value: &'a str,
    /// The key, for rows that are written.
    text: Option<&'a str>,
}

impl<'a> Record<'a> for Metadata<'a> {
    type Row = MetadataRow;
    const TABLE: Table = Table::Metadata;
    const KEY_IN_VALUE: bool = false;

    fn key(&self) -> Key {
        match self.text {
            Some(text) => Key::of_text(text),
            None => Key::from_bytes(self.logical.to_vec()),
        }
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.value.as_bytes());
    }
    fn decode(logical: &'a [u8], value: &'a [u8]) -> Option<Self> {
        key::read_text(logical)?;
        Some(Metadata { logical, value: str::from_utf8(value).ok()?, text: None })
    }
    fn index(&self, _sink: &mut dyn Sink) {}
    fn from_row(row: &'a MetadataRow) -> Self {
        Metadata { logical: &[], value: &row.value, text: Some(&row.key) }
    }
    fn into_row(self) -> MetadataRow {
        MetadataRow { key: key::read_text(self.key().bytes()).unwrap_or_default(), value: self.value.to_owned() }
    }
}

pub fn get(key: &str) -> Result<Option<String>> {
    session::find(Table::Metadata, &Key::of_text(key), |stored| Ok(stored.decode::<Metadata>()?.value.to_owned()))
}

pub fn set(key: &str, value: &str) -> Result<()> {
    write(|writer| {
        let new = Metadata { logical: &[], value, text: Some(key) };
        let stored = writer.find(Table::Metadata, &new.key())?;
        let old = stored.as_ref().map(|stored| stored.decode::<Metadata>()).transpose()?;
        writer.change(old.as_ref(), Some(&new));
        Ok(())
    })
}
