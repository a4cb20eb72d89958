//! Reading: what both a snapshot and a write transaction can be asked.

use crate::abi::layout::{FlatRecord, Records};
use crate::error::{Error, Result};
use crate::key::{self, Key};
use crate::packed;
use crate::record::{self, Record};
use crate::store::{self, Transaction};
use crate::table::Table;

/// A transaction to read from.
pub struct View<'t> {
    txn: &'t Transaction,
}

/// A stored entry: its physical key and its value.
pub struct Stored {
    pub(crate) physical: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Stored {
    /// The record that it holds.
    pub fn decode<'a, R: Record<'a>>(&'a self) -> Result<R> {
        record::decode(&self.physical, &self.value)
    }
}

/// The answers of a `get_many`, in the order of the keys.
#[derive(Default)]
pub struct Many {
    physical: Vec<Vec<u8>>,
    buffers: Vec<Vec<u8>>,
    /// For each key the buffer and the range of the value in it.
    values: Vec<Option<(usize, usize, usize)>>,
}

impl Many {
    /// No answers yet to these physical keys.
    pub(crate) fn to(physical: Vec<Vec<u8>>) -> Self {
        Many { values: Vec::with_capacity(physical.len()), physical, buffers: Vec::new() }
    }

    /// Takes an answer to the keys that have none yet.
    pub(crate) fn take(&mut self, answer: Vec<u8>) -> Result<()> {
        let wrong = |what: &str| Error::Store(store::Error::Other(format!("get-many answered {what}")));
        let before = self.values.len();
        let mut at = 0;
        while at < answer.len() {
            let (value, end) = packed::value(&answer, at).ok_or_else(|| wrong("a value that is cut off"))?;
            self.values.push(value.map(|value| (self.buffers.len(), value.start, value.end)));
            at = end;
        }
        self.buffers.push(answer);
        if self.values.len() == before || self.values.len() > self.physical.len() {
            return Err(wrong("a wrong number of values"));
        }
        Ok(())
    }

    /// How many keys were asked for.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The value of the key at this position.
    pub fn value(&self, position: usize) -> Option<&[u8]> {
        let (buffer, start, end) = (*self.values.get(position)?)?;
        self.buffers.get(buffer)?.get(start..end)
    }

    /// The record at this position.
    pub fn decode<'a, R: Record<'a>>(&'a self, position: usize) -> Result<Option<R>> {
        self.value(position).map(|value| record::decode(&self.physical[position], value)).transpose()
    }

    /// The record at this position, which an index says is there.
    pub fn require<'a, R: Record<'a>>(&'a self, position: usize) -> Result<R> {
        self.decode(position)?.ok_or_else(|| dangling(R::TABLE, &self.physical[position]))
    }

    /// All records, which an index says are there, for an answer that then
    /// keeps [the buffers](Many::into_buffers).
    pub fn records<'a, R: Record<'a> + FlatRecord>(&'a self) -> Result<Records> {
        let mut records = Records::with_capacity::<R>(self.len());
        for position in 0..self.len() {
            records.push(&self.require::<R>(position)?);
        }
        Ok(records)
    }

    /// What the records are decoded from.
    pub fn into_buffers(self) -> Vec<Vec<u8>> {
        self.buffers
    }
}

/// The error for an index entry whose record is missing.
pub fn dangling(table: Table, physical: &[u8]) -> Error {
    Error::Corrupt(format!(
        "table {}, key {}: an index names this record, but it is missing; run reindex",
        table.name(),
        key::printable(physical)
    ))
}

impl<'t> View<'t> {
    /// Reads from this transaction.
    pub fn new(txn: &'t Transaction) -> Self {
        View { txn }
    }

    /// The transaction.
    pub fn txn(&self) -> &'t Transaction {
        self.txn
    }

    /// The value under a physical key.
    pub fn get_physical(&self, table: Table, physical: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.txn.get(table.number(), physical) {
            Ok(value) => Ok(Some(value)),
            Err(store::Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The value of an entry that is not a record.
    pub fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>> {
        key::with_physical(key.bytes(), |physical| {
            let Some(value) = self.get_physical(table, physical)? else { return Ok(None) };
            if !key::is_cut(physical) {
                return Ok(Some(value));
            }
            let (_, rest) = key::split_value(&value).ok_or_else(|| record::corrupt(table, physical))?;
            Ok(Some(rest.to_vec()))
        })
    }

    /// The record with this key.
    pub fn find(&self, table: Table, key: &Key) -> Result<Option<Stored>> {
        key::with_physical(key.bytes(), |physical| {
            let value = self.get_physical(table, physical)?;
            Ok(value.map(|value| Stored { physical: physical.to_vec(), value }))
        })
    }

    /// The record with this key, which an index says is there.
    pub fn require(&self, table: Table, key: &Key) -> Result<Stored> {
        self.find(table, key)?.ok_or_else(|| key::with_physical(key.bytes(), |physical| dangling(table, physical)))
    }

    /// The records with these keys, in one crossing or a few.
    pub fn get_many(&self, table: Table, keys: impl IntoIterator<Item = Key>) -> Result<Many> {
        let physical = keys
            .into_iter()
            .map(|key| if key::needs_cut(key.bytes()) { key::cut(key.bytes()).to_vec() } else { key.into_bytes() })
            .collect();
        self.get_many_physical(table, physical)
    }

    /// The values under these physical keys.
    pub fn get_many_physical(&self, table: Table, physical: Vec<Vec<u8>>) -> Result<Many> {
        let mut many = Many::to(physical);
        while many.values.len() < many.physical.len() {
            let left = &many.physical[many.values.len()..];
            let mut request = Vec::with_capacity(left.iter().map(|key| key.len() + 4).sum());
            for key in left {
                request.extend_from_slice(&(key.len() as u32).to_le_bytes());
                request.extend_from_slice(key);
            }
            let answer = self.txn.get_many(table.number(), &request)?;
            many.take(answer)?;
        }
        Ok(many)
    }

    /// How many entries a table has.
    pub fn count(&self, table: Table) -> Result<u64> {
        Ok(self.txn.count(table.number())?)
    }
}
