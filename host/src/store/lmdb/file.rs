//! A look at `data.mdb` before LMDB maps it.
//!
//! LMDB creates its lock file before it reads the data file, and trusts what
//! that says: reading past the end of a file that was cut off kills the process
//! with SIGBUS. So the meta pages are read here first, without LMDB. A sound
//! file may be shorter than its last page: pages that were allocated and freed
//! in one transaction are never written. The missing ones are then in the list
//! of free pages, which is read only if any are missing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The meta pages are not LMDB's, or of another version or platform.
    #[error("its header is not that of an LMDB file of version 1")]
    NotLmdb,
    /// Pages in use are missing at the end.
    #[error("it was cut off: it has {length} bytes, and pages in use lie beyond")]
    Truncated {
        /// Its length in bytes.
        length: u64,
    },
}

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
pub(super) const PAGE_HEADER: usize = 16;
const META: usize = PAGE_HEADER + 136;
pub(super) const BRANCH: u16 = 0x01;
pub(super) const LEAF: u16 = 0x02;
/// A node's value is on overflow pages.
pub(super) const BIG: u16 = 0x01;
pub(super) const NO_PAGE: u64 = u64::MAX;
/// LMDB's cursors are no deeper.
pub(super) const MAX_DEPTH: u32 = 32;

/// Looks at an environment's data file. An empty one is new.
///
/// Other processes may commit meanwhile, so a fault is believed only if the
/// file stands still.
pub(super) fn check(path: &Path) -> io::Result<Result<(), Fault>> {
    let mut file = File::open(path)?;
    loop {
        if file.metadata()?.len() == 0 {
            return Ok(Ok(()));
        }
        let Some(meta) = newest(&mut file)? else { return Ok(Err(Fault::NotLmdb)) };
        // After the meta page: what it refers to was written before it.
        let length = file.metadata()?.len();
        let pages = length / meta.page_size;
        if pages > meta.last_page || missing_are_free(&mut file, &meta, pages)? {
            return Ok(Ok(()));
        }
        if newest(&mut file)?.is_some_and(|now| now.txn == meta.txn) {
            return Ok(Err(Fault::Truncated { length }));
        }
    }
}

/// How many pages each transaction has freed that are not in use again. None if
/// the list cannot be read. The caller has a read transaction open.
pub(super) fn free_pages(path: &Path) -> io::Result<Option<Vec<(u64, u64)>>> {
    let mut file = File::open(path)?;
    // A commit while it is read moves the root; the pages themselves stay.
    for _ in 0..3 {
        let Some(meta) = newest(&mut file)? else { return Ok(None) };
        let pages = file.metadata()?.len() / meta.page_size;
        let mut walk = Walk::new(&mut file, &meta, pages);
        if meta.free_root == NO_PAGE || walk.tree(meta.free_root, MAX_DEPTH)? {
            return Ok(Some(walk.lists));
        }
    }
    Ok(None)
}

struct Meta {
    page_size: u64,
    free_root: u64,
    main_root: u64,
    last_page: u64,
    txn: u64,
}

fn newest(file: &mut File) -> io::Result<Option<Meta>> {
    let Some(first) = meta(file, 0)? else { return Ok(None) };
    let Some(second) = meta(file, first.page_size)? else { return Ok(None) };
    Ok(Some(if second.txn > first.txn { second } else { first }))
}

fn meta(file: &mut File, offset: u64) -> io::Result<Option<Meta>> {
    let mut page = [0; META];
    if !read_at(file, offset, &mut page)? {
        return Ok(None);
    }
    let page_size = u64::from(u32_at(&page, 40));
    let sound = u32_at(&page, 16) == MAGIC
        && u32_at(&page, 20) == VERSION
        && page_size.is_power_of_two()
        && (256..=65_536).contains(&page_size);
    Ok(sound.then(|| Meta {
        page_size,
        free_root: u64_at(&page, 80),
        main_root: u64_at(&page, 128),
        last_page: u64_at(&page, 136),
        txn: u64_at(&page, 144),
    }))
}

/// Whether all pages from `pages` on are in the list of free pages.
fn missing_are_free(file: &mut File, meta: &Meta, pages: u64) -> io::Result<bool> {
    if meta.main_root != NO_PAGE && meta.main_root >= pages {
        return Ok(false);
    }
    let missing = (meta.last_page - pages).saturating_add(1);
    let mut walk = Walk::new(file, meta, pages);
    let whole = meta.free_root == NO_PAGE || walk.tree(meta.free_root, MAX_DEPTH)?;
    Ok(whole && walk.free == missing)
}

/// A walk through the tree of free pages.
struct Walk<'f> {
    file: &'f mut File,
    page_size: u64,
    pages: u64,
    last: u64,
    /// Free pages that are missing in the file.
    free: u64,
    /// How many pages may still be visited: a damaged tree may have a cycle.
    visits: u64,
    /// The transactions that have lists, and the lengths of these.
    lists: Vec<(u64, u64)>,
}

impl<'f> Walk<'f> {
    fn new(file: &'f mut File, meta: &Meta, pages: u64) -> Self {
        let (page_size, last) = (meta.page_size, meta.last_page);
        Walk { file, page_size, pages, last, free: 0, visits: pages, lists: Vec::new() }
    }

    /// False if the tree is damaged.
    fn tree(&mut self, page: u64, depth: u32) -> io::Result<bool> {
        if depth == 0 || self.visits == 0 || page >= self.pages {
            return Ok(false);
        }
        self.visits -= 1;
        let mut bytes = vec![0; self.page_size as usize];
        if !read_at(self.file, page * self.page_size, &mut bytes)? {
            return Ok(false);
        }
        let flags = u16_at(&bytes, 10);
        let nodes = usize::from(u16_at(&bytes, 12)).saturating_sub(PAGE_HEADER) / 2;
        for index in 0..nodes {
            let node = usize::from(u16_at(&bytes, PAGE_HEADER + 2 * index));
            let low = u64::from(u16_at(&bytes, node)) | u64::from(u16_at(&bytes, node + 2)) << 16;
            let node_flags = u16_at(&bytes, node + 4);
            let txn = u64_at(&bytes, node + 8);
            let value = node + 8 + usize::from(u16_at(&bytes, node + 6));
            let sound = if flags & BRANCH != 0 {
                self.tree(low | u64::from(node_flags) << 32, depth - 1)?
            } else if flags & LEAF == 0 {
                false
            } else if node_flags & BIG != 0 {
                let start = u64_at(&bytes, value);
                let mut list = vec![0; low as usize];
                start < self.pages
                    && read_at(self.file, start * self.page_size + PAGE_HEADER as u64, &mut list)?
                    && self.list(txn, &list)
            } else {
                bytes.get(value..value + low as usize).is_some_and(|list| self.list(txn, list))
            };
            if !sound {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A list of pages: their number, and they.
    fn list(&mut self, txn: u64, list: &[u8]) -> bool {
        let count = u64_at(list, 0);
        let numbers = list.get(8..).unwrap_or_default();
        if count > (numbers.len() / 8) as u64 {
            return false;
        }
        self.lists.push((txn, count));
        let numbers = numbers.chunks_exact(8).take(count as usize).map(|number| u64_at(number, 0));
        self.free += numbers.filter(|page| (self.pages..=self.last).contains(page)).count() as u64;
        true
    }
}

/// False if the file ends before.
pub(super) fn read_at(file: &mut File, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(offset))?;
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

// Numbers are in the byte order of the machine. Beyond the end they are 0,
// which is no page that a tree refers to.

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u16::from_ne_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u32::from_ne_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
#[cfg(target_pointer_width = "64")]
mod tests {
    use super::super::{Environment, Options};
    use super::*;
    use crate::store::packed::{Op, push_op};
    use crate::store::{Engine, Handle};

    fn apply(environment: &Environment, tables: &[Option<Handle>], ops: &[Op<'_>]) {
        let mut packed = Vec::new();
        ops.iter().for_each(|op| push_op(*op, &mut packed));
        let mut txn = environment.begin_write().unwrap();
        txn.write(&packed, tables).unwrap();
        txn.commit().unwrap();
    }

    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::open(dir.path(), Options::default()).unwrap();
        let tables = environment.open_tables(&["a".into()]).unwrap();
        for key in 0..300u32 {
            apply(&environment, &tables, &[Op::Put { table: 0, key: &key.to_be_bytes(), value: &[7; 3000] }]);
        }
        dir
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused_and_left_alone() {
        let dir = filled();
        let path = dir.path().join("data.mdb");
        let length = std::fs::metadata(&path).unwrap().len();
        std::fs::remove_file(dir.path().join("lock.mdb")).unwrap();
        for cut in [1, 4096, length / 2, length - 8192] {
            File::options().write(true).open(&path).unwrap().set_len(length - cut).unwrap();
            assert_eq!(check(&path).unwrap(), Err(Fault::Truncated { length: length - cut }));
            assert!(Environment::open(dir.path(), Options::default()).is_err());
            assert!(!dir.path().join("lock.mdb").exists());
        }
    }

    #[test]
    fn missing_free_pages_are_no_fault() {
        let dir = filled();
        let environment = Environment::open(dir.path(), Options::default()).unwrap();
        let tables = environment.open_tables(&["a".into()]).unwrap();
        apply(&environment, &tables, &[Op::Clear { table: 0 }]);
        apply(&environment, &tables, &[Op::Put { table: 0, key: b"k", value: b"v" }]);
        let big = vec![1; 4 << 20];
        let (put, delete) = (Op::Put { table: 0, key: b"x", value: &big }, Op::Delete { table: 0, key: b"x" });
        apply(&environment, &tables, &[Op::Put { table: 0, key: b"k", value: b"w" }, put, delete]);
        let stats = environment.stats().unwrap();
        assert!(stats.file_size < (stats.last_pgno + 1) * stats.page_size, "the case did not arise");
        assert_eq!(check(&dir.path().join("data.mdb")).unwrap(), Ok(()));
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.mdb");
        for bytes in [vec![0x5a; 100_000], b"short".to_vec(), vec![0; 8192]] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(check(&path).unwrap(), Err(Fault::NotLmdb));
        }
        std::fs::write(&path, b"").unwrap();
        assert_eq!(check(&path).unwrap(), Ok(()));
    }
}
