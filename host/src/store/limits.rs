//! Budgets of an untrusted guest.

use std::time::Duration;

/// What a guest may use. Exceeding a limit ends that guest's call with an
/// error or a trap; the store and other sessions are not affected.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a component's file. Default 64 MiB: the tracker has 1.7, one
    /// with a whole Python interpreter in it 18. Compiling is work of the host's
    /// that has no deadline, so that this is what bounds it.
    pub component_size: u64,
    /// Linear memory of a component, all its memories together, in bytes.
    /// Default 512 MiB: a page of 10,000 large records or a verify of ten
    /// million symbols fits, a leak is stopped long before it hurts the host.
    pub memory: usize,
    /// Core instances that a component is made of, its function tables, and its
    /// memories: so many of each. Default 64: the tracker has three instances,
    /// two tables and one memory, and each memory takes 4 GiB of addresses.
    pub instances: usize,
    /// Entries of all function tables of a component, 8 bytes each. Default
    /// 200,000: the tracker has a few hundred.
    pub table_entries: usize,
    /// Bytes that the host may allocate for what one crossing copies out of the
    /// instance: an argument of an import, or a call's result. Default 1 GiB: as
    /// long as `memory` is smaller only a guest that hands out the same bytes
    /// again and again meets it.
    pub copied: usize,
    /// How long a call may run, and making an instance of the component.
    /// Default 30 s: the longest ordinary call (a substring search over millions
    /// of names) takes a few. The time that it waits for other writers is not
    /// counted, for a server within `server_waits`; that of being run again
    /// after a conflict is.
    pub call_deadline: Duration,
    /// How long `verify` and `reindex` may run, which read everything, and the
    /// import and deletion of many rows. Default 30 minutes.
    pub bulk_deadline: Duration,
    /// How many times its deadline a call may wait for a server besides.
    /// Default 10: a call that works on what it gets waits as long as it works
    /// where the server is near, and some times as long where it is far; one
    /// that does nothing but ask would hold its session for hours.
    pub server_waits: u32,
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
    /// Tables of a guest. Default 64, for which the environment has room: every
    /// transaction of LMDB has to clear a slot for each.
    pub tables: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            component_size: 64 << 20,
            memory: 512 << 20,
            instances: 64,
            table_entries: 200_000,
            copied: 1 << 30,
            call_deadline: Duration::from_secs(30),
            bulk_deadline: Duration::from_secs(30 * 60),
            server_waits: 10,
            transactions: 8,
            scan_entries: 65_536,
            scan_bytes: 4 << 20,
            value_size: 64 << 20,
            transaction_bytes: 1 << 30,
            tables: 64,
        }
    }
}
