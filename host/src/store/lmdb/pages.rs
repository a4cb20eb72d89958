//! The structure of a data file, checked page by page before LMDB follows it.
//!
//! LMDB trusts its pages: a page number or an offset that a disk has changed
//! leads it out of the map, and the process is killed. Here every page that can
//! be reached is read with plain reads, and what LMDB takes for granted is looked at: each page
//! is of one tree, or of a list of free pages, and of one only; nodes lie within
//! their pages and keys are in order; values have their pages; and each tree
//! has the depth, the pages and the entries that its record says.
//!
//! LMDB has no checksums, so a changed byte within a key or a value is not seen
//! here, unless it breaks the order. That is what `verify` of the component is for.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;

use super::MAX_KEY_SIZE;
use super::file::{BIG, BRANCH, LEAF, MAX_DEPTH, NO_PAGE, PAGE_HEADER, read_at, u16_at, u32_at, u64_at};

const OVERFLOW: u16 = 0x04;
/// A node's value is the record of a table.
const TABLE: u16 = 0x02;
const NODE_HEADER: usize = 8;
const TREE_RECORD: usize = 48;
/// The first pages are the meta pages.
const METAS: u64 = 2;
/// Keys of the list of free pages are numbers.
const INTEGER_KEYS: u16 = 0x08;
/// A file alone, without a directory: a flag that does not change the pages.
const NO_SUBDIRECTORY: u16 = 0x4000;
/// More than any address space.
const MAX_MAP_SIZE: u64 = 1 << 47;

/// What is in a data file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PageReport {
    /// Pages of the trees, and the two meta pages.
    pub used: u64,
    /// Pages that are listed as free.
    pub free: u64,
    /// Pages that are neither: they are lost until the store is compacted, and do no harm.
    pub lost: u64,
}

/// What is wrong with a data file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("page {page} of {tree} {what}")]
pub(super) struct Damage {
    page: u64,
    tree: String,
    what: &'static str,
}

/// How the check of a snapshot ended.
pub(super) enum Checked {
    Sound(PageReport),
    Damaged(Damage),
    /// The meta page of that transaction is no longer there: others have committed.
    Gone,
}

enum Stop {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

type Result<T> = std::result::Result<T, Stop>;

/// Checks everything that a transaction sees. The caller has a read transaction
/// of that id open, so that none of its pages is used again meanwhile.
pub(super) fn check(path: &Path, txn: u64) -> io::Result<Checked> {
    let mut file = File::open(path)?;
    let Some((number, meta)) = meta_of(&mut file, txn)? else { return Ok(Checked::Gone) };
    let page_size = u32_at(&meta, 24) as usize;
    let length = file.metadata()?.len();
    let in_file = length / page_size as u64;
    let mut check = Check {
        file: &mut file,
        page_size,
        last: u64_at(&meta, 120),
        in_file,
        seen: vec![0; (in_file / 64 + 1) as usize],
        beyond: HashSet::new(),
        report: PageReport { used: METAS, ..PageReport::default() },
    };
    match check.all(number, &meta, txn) {
        Ok(()) => {
            let mut report = check.report;
            report.lost = (check.last + 1).saturating_sub(report.used + report.free);
            Ok(Checked::Sound(report))
        }
        Err(Stop::Damage(damage)) => Ok(Checked::Damaged(damage)),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// The bytes of a transaction's meta page after its header, and which it is.
fn meta_of(file: &mut File, txn: u64) -> io::Result<Option<(u64, [u8; 136])>> {
    let mut first = [0; 136];
    if !read_at(file, PAGE_HEADER as u64, &mut first)? {
        return Ok(None);
    }
    // Which of them it has to be is looked at with the rest.
    if u64_at(&first, 128) == txn {
        return Ok(Some((0, first)));
    }
    let mut second = [0; 136];
    let offset = u64::from(u32_at(&first, 24)) + PAGE_HEADER as u64;
    let found = read_at(file, offset, &mut second)? && u64_at(&second, 128) == txn;
    Ok(found.then_some((1, second)))
}

/// What LMDB notes of a tree.
struct Tree {
    flags: u16,
    depth: u16,
    tally: Tally,
    root: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    branches: u64,
    leaves: u64,
    overflow: u64,
    entries: u64,
}

impl Tree {
    fn parse(record: &[u8]) -> Self {
        Tree {
            flags: u16_at(record, 4),
            depth: u16_at(record, 6),
            tally: Tally {
                branches: u64_at(record, 8),
                leaves: u64_at(record, 16),
                overflow: u64_at(record, 24),
                entries: u64_at(record, 32),
            },
            root: u64_at(record, 40),
        }
    }
}

/// What the values of a tree are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    FreeLists { txn: u64 },
    Tables,
    Data,
}

/// The keys that a page may have.
#[derive(Clone, Copy)]
struct Bounds<'k> {
    from: Option<&'k [u8]>,
    below: Option<&'k [u8]>,
}

struct Node<'p> {
    offset: usize,
    flags: u16,
    key: &'p [u8],
    /// Of a leaf's node: the length of the value, and what is in the page of it.
    length: u64,
    value: &'p [u8],
    /// Of a branch's node.
    child: u64,
}

/// A tree that is walked.
struct Walked<'t> {
    name: &'t str,
    kind: Kind,
    tally: Tally,
    /// The records of tables that were found.
    tables: Vec<(String, u64, Tree)>,
}

impl Walked<'_> {
    fn damage(&self, page: u64, what: &'static str) -> Stop {
        Stop::Damage(Damage { page, tree: self.name.to_owned(), what })
    }

    fn require(&self, sound: bool, page: u64, what: &'static str) -> Result<()> {
        if sound { Ok(()) } else { Err(self.damage(page, what)) }
    }
}

struct Check<'f> {
    file: &'f mut File,
    page_size: usize,
    last: u64,
    in_file: u64,
    /// A bit for each page of the file that was come by.
    seen: Vec<u64>,
    /// Free pages that are not in the file: it may be shorter than its last page.
    beyond: HashSet<u64>,
    report: PageReport,
}

impl Check<'_> {
    fn all(&mut self, number: u64, meta: &[u8; 136], txn: u64) -> Result<()> {
        let (free, main) = (Tree::parse(&meta[24..72]), Tree::parse(&meta[72..120]));
        let damage = |what| Stop::Damage(Damage { page: number, tree: "the header".into(), what });
        if txn != 0 && txn % METAS != number {
            return Err(damage("has the number of another transaction"));
        }
        if u64_at(meta, 16) > MAX_MAP_SIZE {
            return Err(damage("has a map that is too large"));
        }
        if free.flags & !NO_SUBDIRECTORY != INTEGER_KEYS || main.flags != 0 {
            return Err(damage("has flags that are not a store's"));
        }
        self.tree("the free pages", Kind::FreeLists { txn }, number, &free)?;
        for (name, page, table) in self.tree("the tables", Kind::Tables, number, &main)? {
            self.tree(&format!("table {name}"), Kind::Data, page, &table)?;
        }
        Ok(())
    }

    /// Walks a tree whose record is on a page, and returns the tables in it.
    fn tree(&mut self, name: &str, kind: Kind, noted_on: u64, tree: &Tree) -> Result<Vec<(String, u64, Tree)>> {
        let mut walked = Walked { name, kind, tally: Tally::default(), tables: Vec::new() };
        if kind == Kind::Data {
            walked.require(tree.flags == 0, noted_on, "has flags that are not a store's")?;
        }
        if tree.root == NO_PAGE {
            walked.require(tree.depth == 0, noted_on, "says that there are pages, and not where")?;
        } else {
            let deep = (1..=MAX_DEPTH as u16).contains(&tree.depth);
            walked.require(deep, noted_on, "says that the tree has an impossible depth")?;
            self.walk(&mut walked, tree.root, tree.depth, Bounds { from: None, below: None })?;
        }
        walked.require(walked.tally == tree.tally, noted_on, "counts other pages or entries than there are")?;
        Ok(walked.tables)
    }

    /// Takes a page for its one use.
    fn claim(&mut self, walked: &Walked<'_>, page: u64) -> Result<()> {
        walked.require((METAS..=self.last).contains(&page), page, "is referred to and is not a page of the store")?;
        let first = if page < self.in_file {
            let (word, bit) = (&mut self.seen[(page / 64) as usize], 1 << (page % 64));
            let first = *word & bit == 0;
            *word |= bit;
            first
        } else {
            self.beyond.insert(page)
        };
        walked.require(first, page, "is in use twice")
    }

    fn walk(&mut self, walked: &mut Walked<'_>, page: u64, depth: u16, bounds: Bounds<'_>) -> Result<()> {
        self.claim(walked, page)?;
        self.report.used += 1;
        let mut bytes = vec![0; self.page_size];
        let there = page < self.in_file && read_at(self.file, page * self.page_size as u64, &mut bytes)?;
        walked.require(there, page, "is missing at the end of the file")?;
        walked.require(u64_at(&bytes, 0) == page, page, "has the number of another page")?;
        let is_leaf = depth == 1;
        let flags = if is_leaf { LEAF } else { BRANCH };
        walked.require(u16_at(&bytes, 10) == flags, page, "is of another kind than its tree has there")?;
        let nodes = self.nodes(walked, page, &bytes, is_leaf)?;
        check_keys(walked, page, &nodes, is_leaf, bounds)?;
        if is_leaf {
            walked.tally.leaves += 1;
            walked.tally.entries += nodes.len() as u64;
            return nodes.iter().try_for_each(|node| self.value(walked, page, node));
        }
        walked.tally.branches += 1;
        for (n, node) in nodes.iter().enumerate() {
            let from = if n == 0 { bounds.from } else { Some(node.key) };
            let below = nodes.get(n + 1).map_or(bounds.below, |next| Some(next.key));
            self.walk(walked, node.child, depth - 1, Bounds { from, below })?;
        }
        Ok(())
    }

    /// The nodes of a page, each within it and clear of the others.
    fn nodes<'p>(&self, walked: &Walked<'_>, page: u64, bytes: &'p [u8], is_leaf: bool) -> Result<Vec<Node<'p>>> {
        let (lower, upper) = (usize::from(u16_at(bytes, 12)), usize::from(u16_at(bytes, 14)));
        let sound = (PAGE_HEADER..=upper).contains(&lower) && lower.is_multiple_of(2) && upper <= self.page_size;
        walked.require(sound, page, "has impossible bounds")?;
        // LMDB removes a branch with one child, but for the free pages not at once.
        let least = if is_leaf || walked.kind != Kind::Data { 1 } else { 2 };
        let number = (lower - PAGE_HEADER) / 2;
        walked.require(number >= least, page, "has too few entries")?;
        let mut nodes = Vec::with_capacity(number);
        let mut extents = Vec::with_capacity(number);
        for n in 0..number {
            let offset = usize::from(u16_at(bytes, PAGE_HEADER + 2 * n));
            let inside = offset >= upper && offset + NODE_HEADER <= self.page_size && offset.is_multiple_of(2);
            walked.require(inside, page, "has an entry outside its bounds")?;
            let low = u64::from(u16_at(bytes, offset)) | u64::from(u16_at(bytes, offset + 2)) << 16;
            let flags = u16_at(bytes, offset + 4);
            let value = offset + NODE_HEADER + usize::from(u16_at(bytes, offset + 6));
            let end = match (is_leaf, flags & BIG != 0) {
                (false, _) => value,
                (true, true) => value + size_of::<u64>(),
                (true, false) => value.saturating_add(low as usize),
            };
            walked.require(end <= self.page_size, page, "has an entry that ends outside it")?;
            extents.push((offset, end));
            nodes.push(Node {
                offset,
                flags: if is_leaf { flags } else { 0 },
                key: &bytes[offset + NODE_HEADER..value],
                length: low,
                value: &bytes[value..end],
                child: low | u64::from(flags) << 32,
            });
        }
        extents.sort_unstable();
        let clear = extents.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        walked.require(clear, page, "has entries that overlap")?;
        Ok(nodes)
    }

    /// The value of a leaf's node: its pages, the table or the free pages that it is.
    fn value(&mut self, walked: &mut Walked<'_>, page: u64, node: &Node<'_>) -> Result<()> {
        let known = match walked.kind {
            Kind::Tables => node.flags == TABLE && node.length == TREE_RECORD as u64,
            Kind::FreeLists { .. } | Kind::Data => node.flags & !BIG == 0,
        };
        walked.require(known, page, "has an entry of a kind that is not a store's")?;
        if walked.kind == Kind::Tables {
            let name = String::from_utf8_lossy(node.key).into_owned();
            walked.tables.push((name, page, Tree::parse(node.value)));
            return Ok(());
        }
        let big = node.flags & BIG != 0;
        let first = u64_at(node.value, 0);
        if big {
            self.overflow(walked, first, node.length)?;
        }
        let Kind::FreeLists { txn } = walked.kind else { return Ok(()) };
        let key = u64_at(node.key, 0);
        walked.require((1..=txn).contains(&key), page, "has free pages of a transaction that never was")?;
        if big {
            let mut list = vec![0; node.length as usize];
            let offset = first * self.page_size as u64 + PAGE_HEADER as u64;
            let there = read_at(self.file, offset, &mut list)?;
            walked.require(there, first, "is missing at the end of the file")?;
            self.free_list(walked, page, &list)
        } else {
            self.free_list(walked, page, node.value)
        }
    }

    /// The pages of a value that does not fit into a leaf.
    fn overflow(&mut self, walked: &mut Walked<'_>, first: u64, length: u64) -> Result<()> {
        let mut header = [0; PAGE_HEADER];
        let there = first < self.in_file && read_at(self.file, first * self.page_size as u64, &mut header)?;
        walked.require(there, first, "is referred to and is not a page of the store")?;
        let pages = u64::from(u32_at(&header, 12));
        let needed = (PAGE_HEADER as u64 - 1 + length) / self.page_size as u64 + 1;
        let sound = u64_at(&header, 0) == first && u16_at(&header, 10) == OVERFLOW && pages >= needed;
        walked.require(sound, first, "is not the value that it should be")?;
        let end = first.saturating_add(pages);
        walked.require(end <= self.in_file, first, "is a value that ends beyond the file")?;
        walked.tally.overflow += pages;
        self.report.used += pages;
        (first..end).try_for_each(|page| self.claim(walked, page))
    }

    /// A list of free pages: their number, and they, the highest first.
    fn free_list(&mut self, walked: &Walked<'_>, page: u64, list: &[u8]) -> Result<()> {
        let count = u64_at(list, 0);
        let numbers = list.get(8..).unwrap_or_default();
        let whole = list.len() >= 8 && count <= (numbers.len() / 8) as u64;
        walked.require(whole, page, "has a list of free pages that is too short")?;
        let mut above = NO_PAGE;
        for number in numbers.chunks_exact(8).take(count as usize).map(|number| u64_at(number, 0)) {
            walked.require(number < above, page, "has free pages out of order")?;
            above = number;
            self.claim(walked, number)?;
        }
        self.report.free += count;
        Ok(())
    }
}

/// Keys of possible lengths, in order, within what the pages above say.
fn check_keys(walked: &Walked<'_>, page: u64, nodes: &[Node<'_>], is_leaf: bool, bounds: Bounds<'_>) -> Result<()> {
    let number = |key: &[u8]| u64_at(key, 0);
    let is_number = matches!(walked.kind, Kind::FreeLists { .. });
    let before = |a: &[u8], b: &[u8]| if is_number { number(a) < number(b) } else { a < b };
    // The first key of a branch is not looked at by anybody.
    let used = if is_leaf { nodes } else { nodes.get(1..).unwrap_or_default() };
    for node in used {
        let length =
            if is_number { node.key.len() == 8 } else { (1..=MAX_KEY_SIZE as usize).contains(&node.key.len()) };
        walked.require(length && node.offset >= PAGE_HEADER, page, "has a key of an impossible length")?;
    }
    let ascending = used.windows(2).all(|pair| before(pair[0].key, pair[1].key));
    let within = used.first().is_none_or(|node| bounds.from.is_none_or(|from| !before(node.key, from)))
        && used.last().is_none_or(|node| bounds.below.is_none_or(|below| before(node.key, below)));
    walked.require(ascending && within, page, "has keys out of order")
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Options};
    use super::*;
    use crate::store::Engine;
    use crate::store::packed::{Op, push_op};

    #[test]
    fn every_page_of_a_store_with_large_values_and_free_pages_is_accounted_for() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::open(dir.path(), Options::default()).unwrap();
        assert_eq!(environment.check_pages().unwrap(), PageReport { used: 2, ..PageReport::default() });
        let tables = environment.open_tables(&["a".into(), "b".into()]).unwrap();
        for round in 0..30u32 {
            let mut ops = Vec::new();
            for key in 0..200u32 {
                let key = key.wrapping_mul(round * 2 + 1) % 700;
                let value = vec![round as u8; (key * 37 % 9000) as usize];
                let (table, key) = ((round % 2) as u16, key.to_be_bytes());
                if round % 5 == 4 {
                    push_op(Op::Delete { table, key: &key }, &mut ops);
                } else {
                    push_op(Op::Put { table, key: &key, value: &value }, &mut ops);
                }
            }
            let mut txn = environment.begin_write().unwrap();
            txn.write(&ops, &tables).unwrap();
            txn.commit().unwrap();
            let (report, stats) = (environment.check_pages().unwrap(), environment.stats().unwrap());
            assert_eq!(report.used + report.free, stats.last_pgno + 1, "round {round}");
            assert_eq!((report.lost, Some(report.free)), (0, stats.free_pages));
        }
        assert!(environment.check_pages().unwrap().free > 0, "the case did not arise");
    }

    #[test]
    fn a_snapshot_is_checked_while_others_commit() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment::open(dir.path(), Options::default()).unwrap();
        let tables = environment.open_tables(&["a".into()]).unwrap();
        let writer = environment.clone();
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                for key in 0..300u32 {
                    let mut ops = Vec::new();
                    push_op(Op::Put { table: 0, key: &(key % 90).to_be_bytes(), value: &[1; 3000] }, &mut ops);
                    let mut txn = writer.begin_write().unwrap();
                    txn.write(&ops, &tables).unwrap();
                    txn.commit().unwrap();
                }
            });
            while !writing.is_finished() {
                environment.check_pages().unwrap();
            }
        });
    }
}
