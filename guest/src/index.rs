//! Index maintenance, the one mechanism for all records.
//!
//! A record states its *facts*: every index entry, key ownership, group
//! membership and tally that follows from it ([`Record::index`]). Inserting a
//! record asserts its facts, deleting it retracts them, and an update compares
//! the old facts with the new ones and touches only what differs. Derived
//! tables are therefore a function of the primaries alone, which is what
//! [`crate::verify`] checks and `reindex` rebuilds.
//!
//! | fact | table | effect |
//! |---|---|---|
//! | entry | `Entries` | the key is there, with the value |
//! | owner | `Owners`, `MoreOwners` | of all records with a key hash the first in byte order is named by `Owners`, the others by `MoreOwners` |
//! | member | `Groups` | the group's value lists the member, in byte order |
//! | tally | `Tallies` | the tally is the sum over all records; absent when zero |

use crate::key::Key;
use crate::record::Record;
use crate::table::Table;

/// What is tallied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tally {
    /// Contexts in files, by context.
    FileContext = 1,
    /// Symbols whose kind begins with `insight:`, by kind.
    Insight = 2,
    /// Vectors, by [`VectorKind`].
    Vectors = 3,
    /// Bytes of vectors, by [`VectorKind`]; two's complement.
    VectorBytes = 4,
    /// Active threads.
    ActiveThreads = 5,
    /// Threads, by session.
    SessionThreads = 6,
    /// Conventions, by category.
    ConventionCategory = 7,
    /// Memories, by task.
    MemoryTask = 8,
    /// Memories, by context.
    MemoryContext = 9,
    /// Memories, by insight.
    MemoryInsight = 10,
    /// Memories, by tag.
    MemoryTag = 11,
}

impl Tally {
    /// The key of a tally: the kind and what is counted.
    pub fn key(self, what: &str) -> Key {
        Key::new().byte(self as u8).tail(what)
    }
}

/// The tables whose records can have a vector, in the order the reference lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum VectorKind {
    /// Files.
    File = 1,
    /// Symbols.
    Symbol = 2,
    /// Memories.
    Memory = 3,
    /// Patterns.
    Pattern = 4,
}

impl VectorKind {
    /// All kinds, in order.
    pub const ALL: [VectorKind; 4] = [VectorKind::File, VectorKind::Symbol, VectorKind::Memory, VectorKind::Pattern];

    /// What its tallies are filed under.
    pub const fn name(self) -> &'static str {
        match self {
            VectorKind::File => "file",
            VectorKind::Symbol => "symbol",
            VectorKind::Memory => "memory",
            VectorKind::Pattern => "pattern",
        }
    }
}

/// Something that follows from a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// An entry of an index.
    Entry {
        /// The index.
        table: Table,
        /// The logical key.
        key: Key,
        /// The value.
        value: Vec<u8>,
    },
    /// A record has this key hash.
    Owner {
        /// The owner table; its more-owners table is the next one.
        table: Table,
        /// The key hash.
        key_hash: u64,
        /// The record's key as the owner table holds it.
        owner: Vec<u8>,
    },
    /// A record belongs to a group.
    Member {
        /// The group table.
        table: Table,
        /// The group's logical key.
        key: Key,
        /// The member.
        member: Vec<u8>,
    },
}

/// Takes the facts of a record.
pub trait Sink {
    /// A fact that holds or not.
    fn fact(&mut self, fact: Fact);
    /// A tally that the record adds to.
    fn tally(&mut self, tally: Tally, what: &str, by: i64);

    /// An entry of an index.
    fn entry(&mut self, table: Table, key: Key) {
        self.fact(Fact::Entry { table, key, value: Vec::new() });
    }

    /// An entry of an index with a value.
    fn entry_with(&mut self, table: Table, key: Key, value: &[u8]) {
        self.fact(Fact::Entry { table, key, value: value.to_vec() });
    }

    /// Ownership of a key hash.
    fn owner(&mut self, table: Table, key_hash: u64, owner: &[u8]) {
        self.fact(Fact::Owner { table, key_hash, owner: owner.to_vec() });
    }

    /// Membership of a group.
    fn member(&mut self, table: Table, key: Key, member: &[u8]) {
        self.fact(Fact::Member { table, key, member: member.to_vec() });
    }

    /// A vector that the record points to.
    fn vector(&mut self, kind: VectorKind, offset: Option<i64>, length: Option<i64>, record: &[u8]) {
        if let Some(offset) = offset {
            self.entry(Table::Vectors, Key::new().byte(kind as u8).i64(offset).raw(record));
            self.tally(Tally::Vectors, kind.name(), 1);
            self.tally(Tally::VectorBytes, kind.name(), length.unwrap_or(0));
        }
    }
}

/// The facts of one record.
#[derive(Default)]
pub struct Facts {
    /// Facts that hold or not; sorted and without duplicates after [`Facts::of`].
    pub facts: Vec<Fact>,
    /// What the record adds to tallies, by tally key.
    pub tallies: Vec<(Key, i64)>,
}

impl Facts {
    /// The facts of a record, none for no record.
    pub fn of<'a, R: Record<'a>>(record: Option<&R>) -> Self {
        let mut facts = Facts::default();
        if let Some(record) = record {
            record.index(&mut facts);
            facts.facts.sort_unstable();
            facts.facts.dedup();
        }
        facts
    }
}

impl Sink for Facts {
    fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
    }
    fn tally(&mut self, tally: Tally, what: &str, by: i64) {
        self.tallies.push((tally.key(what), by));
    }
}

/// Passes facts that only `old` has to `retract`, those that only `new` has to `assert`.
pub fn diff(old: Facts, new: Facts, mut retract: impl FnMut(Fact), mut assert: impl FnMut(Fact)) {
    let mut old = old.facts.into_iter().peekable();
    let mut asserted = Vec::new();
    for fact in new.facts {
        while let Some(gone) = old.next_if(|old| *old < fact) {
            retract(gone);
        }
        if old.next_if_eq(&fact).is_none() {
            asserted.push(fact);
        }
    }
    old.for_each(&mut retract);
    asserted.into_iter().for_each(&mut assert);
}

/// How a group's value lists its members.
pub mod group {
    use crate::field;
    use crate::table::Table;

    /// The members in a group's value, in order.
    pub fn read(table: Table, value: &[u8]) -> Option<Vec<Vec<u8>>> {
        match table {
            Table::SymbolsByFile => {
                Some(field::read_u64_list(value)?.into_iter().map(|id| id.to_be_bytes().to_vec()).collect())
            }
            _ => {
                let members = value.chunks_exact(super::LINE_MEMBER);
                members.remainder().is_empty().then(|| members.map(<[u8]>::to_vec).collect())
            }
        }
    }

    /// The value for these members, which are in order.
    pub fn write(table: Table, members: &[Vec<u8>]) -> Vec<u8> {
        match table {
            Table::SymbolsByFile => {
                let ids: Vec<u64> = members.iter().filter_map(|id| crate::key::read_u64(id)).collect();
                let mut value = Vec::with_capacity(ids.len() * 5 + 3);
                field::write_u64_list(&ids, &mut value);
                value
            }
            _ => members.concat(),
        }
    }
}

/// The length of a member of `SymbolsByKind`: line and id.
pub const LINE_MEMBER: usize = 16;

/// The table that names the owners of a key hash that are not the first.
pub fn more_owners(owners: Table) -> Table {
    match owners {
        Table::FilesByKey => Table::FilesByKeyMore,
        Table::SymbolsByKey => Table::SymbolsByKeyMore,
        _ => Table::ConventionsByKeyMore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Fact {
        Fact::Entry { table: Table::FilesByMtime, key: Key::of_u64(n), value: Vec::new() }
    }

    fn facts(numbers: &[u64]) -> Facts {
        Facts { facts: numbers.iter().map(|n| entry(*n)).collect(), tallies: Vec::new() }
    }

    #[test]
    fn only_differences_are_touched() {
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        diff(facts(&[1, 2, 4, 6]), facts(&[2, 3, 4, 5]), |fact| gone.push(fact), |fact| come.push(fact));
        assert_eq!(gone, [entry(1), entry(6)]);
        assert_eq!(come, [entry(3), entry(5)]);
    }

    #[test]
    fn groups_come_back() {
        for table in [Table::SymbolsByFile, Table::SymbolsByKind] {
            let size = if table == Table::SymbolsByFile { 8 } else { LINE_MEMBER };
            let members: Vec<Vec<u8>> =
                (0..300u16).map(|n| [vec![0; size - 2], n.to_be_bytes().to_vec()].concat()).collect();
            assert_eq!(group::read(table, &group::write(table, &members)), Some(members));
        }
        assert_eq!(group::read(Table::SymbolsByKind, &[0; 17]), None);
    }
}
