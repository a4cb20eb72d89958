//! Budgets of an untrusted guest.

use std::time::Duration;

/// What a guest may use. Exceeding a limit ends that guest's call with an
/// error or a trap; the store and other sessions are not affected.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memory of an instance, in bytes. Default 512 MiB: a page of
    /// 10,000 large records or a verify of ten million symbols fits, a leak
    /// is stopped long before it hurts the host.
    pub memory: usize,
    /// Bytes that the host may allocate for what one crossing copies out of the
    /// instance: an argument of an import, or a call's result. Default 1 GiB: as
    /// long as `memory` is smaller only a guest that hands out the same bytes
    /// again and again meets it.
    pub copied: usize,
    /// How long a call may run. Default 30 s: the longest ordinary call (a
    /// substring search over millions of names) takes a few.
    pub call_deadline: Duration,
    /// How long `verify` and `reindex` may run, which read everything, and the
    /// import and deletion of many rows. Default 30 minutes.
    pub bulk_deadline: Duration,
    /// Open transactions of an instance. Default 8: the tracker has one or two.
    pub transactions: u32,
    /// Entries of one scan page. Default 65,536.
    pub scan_entries: u32,
    /// Bytes of one scan page and of one `get-many` answer. Default 4 MiB: larger pages are no faster.
    pub scan_bytes: u32,
    /// Length of a value in bytes. Default 64 MiB.
    pub value_size: u64,
    /// Bytes of the operations of one write transaction. Default 1 GiB. The
    /// host keeps them in memory, to write them again if the map has to grow.
    pub transaction_bytes: u64,
    /// Tables of a guest. Default 96; the environment has room for 128.
    pub tables: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: 512 << 20,
            copied: 1 << 30,
            call_deadline: Duration::from_secs(30),
            bulk_deadline: Duration::from_secs(30 * 60),
            transactions: 8,
            scan_entries: 65_536,
            scan_bytes: 4 << 20,
            value_size: 64 << 20,
            transaction_bytes: 1 << 30,
            tables: 96,
        }
    }
}
