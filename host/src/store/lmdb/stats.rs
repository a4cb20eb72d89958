//! Figures of an environment.

use heed::CommitOrAbort;
use heed::types::{Bytes, DecodeIgnore};

use super::Environment;
use super::environment::{engine, reading};
use super::readers::Reader;
use crate::store::engine::StoreError;

/// Figures of a table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TableStats {
    /// The table.
    pub name: String,
    /// Entries.
    pub entries: u64,
    /// Pages in its tree.
    pub pages: u64,
    /// Bytes of these pages.
    pub bytes: u64,
}

/// Figures of an environment.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct EnvironmentStats {
    /// The size of the map, in bytes.
    pub map_size: u64,
    /// What it may grow to.
    pub max_map_size: u64,
    /// The number of the last page in use.
    pub last_pgno: u64,
    /// The id of the last committed transaction.
    pub last_txnid: u64,
    /// Bytes a page.
    pub page_size: u64,
    /// Tables.
    pub entries: u64,
    /// The length of the file.
    pub file_size: u64,
    /// What the file takes on the disk.
    pub disk_usage: u64,
    /// Bytes of pages that hold data.
    pub estimated_used: u64,
    /// Bytes of pages that are free; compacting gives them back.
    pub estimated_waste: u64,
    /// Slots for read transactions, over all processes.
    pub max_readers: u64,
    /// Slots that were ever used.
    pub readers: u64,
    /// Read transactions that are open now, in all processes, the oldest first.
    /// None if that cannot be told.
    pub active_readers: Option<Vec<Reader>>,
    /// Pages in the list of free pages, for later writes. None if the list cannot be read.
    pub free_pages: Option<u64>,
    /// Of these, pages that must wait for a read transaction to end.
    pub free_pages_kept: Option<u64>,
    /// The length that the file would have after compacting, about: a write
    /// that runs meanwhile is not known.
    pub compacted_size: u64,
    /// Bytes of the map that are in this process's memory. None where the
    /// system does not tell.
    pub resident: Option<u64>,
    /// The tables.
    pub tables: Vec<TableStats>,
}

impl Environment {
    /// Figures of the environment and its tables.
    ///
    /// # Errors
    ///
    /// If the environment cannot be read.
    pub fn stats(&self) -> Result<EnvironmentStats, StoreError> {
        let shared = &self.shared;
        // Before this one begins, which is not meant.
        let active_readers = super::readers::active(self);
        let (txn, _pass) = shared.begin_with(|| shared.env.read_txn())?;
        let info = shared.env.info();
        let root = shared.env.unnamed_database_stat();
        let page_size = u64::from(root.page_size);
        let sum = |stat: [usize; 3]| stat.into_iter().fold(0, usize::saturating_add);
        let mut used = sum([root.branch_pages, root.leaf_pages, root.overflow_pages]).saturating_add(2);
        let mut tables = Vec::new();
        // The tables are opened only to look at them: not committed, not kept.
        // While the transaction is open the pages of the list are not used again.
        let free = free_pages(&shared.path);
        let looked = shared.env.open_databases_and_commit(txn, |opener, txn| {
            if let Some(names) = opener.open_database::<Bytes, DecodeIgnore>(txn, None)? {
                for entry in names.iter(txn)? {
                    let (name, ()) = entry?;
                    let Ok(name) = str::from_utf8(name) else { continue };
                    if name.contains('\0') {
                        continue;
                    }
                    let Ok(Some(table)) = opener.open_database::<Bytes, Bytes>(txn, Some(name)) else { continue };
                    let stat = table.stat(txn)?;
                    let pages = sum([stat.branch_pages, stat.leaf_pages, stat.overflow_pages]);
                    used = used.saturating_add(pages);
                    let (entries, pages) = (stat.entries as u64, pages as u64);
                    let bytes = pages.saturating_mul(page_size);
                    tables.push(TableStats { name: name.into(), entries, pages, bytes });
                }
            }
            Ok::<_, heed::Error>(CommitOrAbort::<(), ()>::Abort(()))
        });
        looked.map_err(reading)?;
        let file =
            std::fs::metadata(shared.path.join("data.mdb")).map_err(|e| engine("read the size of data.mdb", e))?;
        let in_file = (info.last_page_number as u64).saturating_add(1).saturating_mul(page_size);
        // The counts are the file's, which may be damaged.
        let estimated_used = (used as u64).saturating_mul(page_size);
        let oldest = active_readers.iter().flatten().map(|reader| reader.txnid).min();
        let kept = |txn: &u64| oldest.is_some_and(|oldest| oldest < info.last_txn_id as u64 && *txn >= oldest);
        let listed = |keep: &dyn Fn(&u64) -> bool| {
            free.as_ref().map(|free| free.iter().filter(|(txn, _)| keep(txn)).map(|(_, pages)| pages).sum())
        };
        Ok(EnvironmentStats {
            map_size: info.map_size as u64,
            max_map_size: shared.options.max_map_size,
            last_pgno: info.last_page_number as u64,
            last_txnid: info.last_txn_id as u64,
            page_size,
            entries: tables.len() as u64,
            file_size: file.len(),
            disk_usage: disk_usage(&file),
            estimated_used,
            estimated_waste: in_file.saturating_sub(estimated_used),
            max_readers: u64::from(info.maximum_number_of_readers),
            readers: u64::from(info.number_of_readers),
            free_pages: listed(&|_| true),
            free_pages_kept: listed(&kept),
            active_readers,
            compacted_size: estimated_used,
            resident: super::readers::resident(&shared.path.join("data.mdb")),
            tables,
        })
    }
}

#[cfg(unix)]
fn disk_usage(file: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    file.blocks() * 512
}

#[cfg(not(unix))]
fn disk_usage(file: &std::fs::Metadata) -> u64 {
    file.len()
}

/// How many pages each transaction has freed that are not in use again.
#[cfg(target_pointer_width = "64")]
fn free_pages(path: &std::path::Path) -> Option<Vec<(u64, u64)>> {
    super::file::free_pages(&path.join("data.mdb")).ok().flatten()
}

#[cfg(not(target_pointer_width = "64"))]
fn free_pages(_path: &std::path::Path) -> Option<Vec<(u64, u64)>> {
    None
}
