//! What a call did in the store, counted where the imports run.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was done in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TableUse {
    /// Keys looked up.
    pub gets: u64,
    /// Of those, keys that were there.
    pub hits: u64,
    /// Scan pages asked for.
    pub scans: u64,
    /// Entries that scans returned.
    pub rows_scanned: u64,
    /// Entries put.
    pub puts: u64,
    /// Deletions.
    pub deletes: u64,
}

/// What a call did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Explain {
    /// By table, in name order.
    pub tables: BTreeMap<String, TableUse>,
    /// Calls from the guest into the store.
    pub crossings: u64,
    /// Transactions begun.
    pub transactions: u64,
    /// Bytes of keys and operations that went into the store.
    pub bytes_in: u64,
    /// Bytes of values and pages that came out.
    pub bytes_out: u64,
    /// Answers of a server that were waited for.
    #[serde(skip_serializing_if = "is_zero")]
    pub round_trips: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Explain {
    /// Entries read in all tables: found by look-ups or returned by scans.
    pub fn rows_read(&self) -> u64 {
        self.tables.values().map(|table| table.hits + table.rows_scanned).sum()
    }

    /// Entries returned by scans of all tables.
    pub fn rows_scanned(&self) -> u64 {
        self.tables.values().map(|table| table.rows_scanned).sum()
    }
}
