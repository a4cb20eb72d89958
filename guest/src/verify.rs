//! Checking derived tables against the records, and rebuilding them.
//!
//! Derived tables are a function of the records: the facts that all records
//! state are what the derived tables must say, no more and no less. `verify`
//! remembers a 64-bit hash of every stated fact, reads every fact out of the
//! derived tables, and compares the two sets; only if something is missing are
//! the records read again, to name it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::checkpoints::Checkpoint;
use crate::conventions::Convention;
use crate::error::Result;
use crate::files::File;
use crate::index::{self, Fact, Facts, Tally, group};
use crate::key::{self, Key};
use crate::memories::Memory;
use crate::metadata::Metadata;
use crate::patterns::{Link, Pattern};
use crate::record::{self, Record};
use crate::rows::each_record;
use crate::scan::{Entry, LogicalKey, Scan, key_of};
use crate::session::{read, write};
use crate::symbols::Symbol;
use crate::table::{Role, Table};
use crate::threads::Thread;
use crate::threads::files::ThreadFile;
use crate::threads::queries::ThreadQuery;
use crate::threads::tools::ThreadTool;
use crate::transcripts::Transcript;
use crate::types::{Finding, Severity, VerifyReport};
use crate::view::View;
use crate::write::{read_counter, read_tally};

/// How many findings of each severity are listed.
const LISTED: u64 = 1000;

struct Report(VerifyReport);

impl Report {
    fn add(&mut self, severity: Severity, table: Table, key: &[u8], message: String) {
        let count = match severity {
            Severity::Error => &mut self.0.errors,
            Severity::Warning => &mut self.0.warnings,
        };
        *count += 1;
        if *count <= LISTED {
            let table = table.name().to_owned();
            self.0.findings.push(Finding { severity, table, key: key::printable(key), message });
        }
    }

    fn error(&mut self, table: Table, key: &[u8], message: impl Into<String>) {
        self.add(Severity::Error, table, key, message.into());
    }
}

/// What the records state.
#[derive(Default)]
struct Stated {
    facts: HashSet<u64>,
    tallies: BTreeMap<Key, i64>,
    highest: BTreeMap<&'static str, u64>,
    patterns: HashSet<u64>,
    matched: HashSet<u64>,
    links: HashSet<u64>,
}

fn hash(fact: &Fact) -> u64 {
    let mut hasher = DefaultHasher::new();
    match fact {
        Fact::Entry { table, key, value } => (table, key.bytes(), value).hash(&mut hasher),
        Fact::Owner { table, key_hash, owner } => (table, key_hash, owner).hash(&mut hasher),
        Fact::Member { table, key, member } => (table, key.bytes(), member).hash(&mut hasher),
    }
    hasher.finish()
}

fn link_hash(pattern: u64, path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (pattern, path).hash(&mut hasher);
    hasher.finish()
}

/// The table, logical key and text of a fact, for people.
fn describe(fact: &Fact) -> (Table, Vec<u8>, String) {
    match fact {
        Fact::Entry { table, key, .. } => (*table, key.bytes().to_vec(), "the entry".into()),
        Fact::Owner { table, key_hash, owner } => {
            (*table, key_hash.to_be_bytes().to_vec(), format!("the owner {}", key::printable(owner)))
        }
        Fact::Member { table, key, member } => {
            (*table, key.bytes().to_vec(), format!("the member {}", key::printable(member)))
        }
    }
}

/// Calls `f` for every entry of a table, also where a logical key cannot be read.
fn each_entry(view: &View, table: Table, rule: LogicalKey, mut f: impl FnMut(&Entry) -> Result<()>) -> Result<u64> {
    let mut scan = Scan::prefix(view, table, b"").keyed(rule).lenient().wanted(1024);
    let mut entries = 0;
    while let Some(entry) = scan.next()? {
        entries += 1;
        f(&entry)?;
    }
    Ok(entries)
}

pub fn verify() -> Result<VerifyReport> {
    read(|view| {
        let mut report =
            Report(VerifyReport { records: 0, index_entries: 0, findings: Vec::new(), errors: 0, warnings: 0 });
        let mut stated = Stated::default();
        macro_rules! take {
            ($case:ident, $record:ident, $key:expr) => {
                report.0.records += each_entry(view, <$record as Record>::TABLE, $key, |entry| {
                    state::<$record>(
                        record::decode(entry.physical, entry.stored()).ok(),
                        entry.physical,
                        &mut stated,
                        &mut report,
                    );
                    Ok(())
                })?;
            };
        }
        each_record!(take);
        check_links(view, &mut stated, &mut report)?;
        check_counters(view, &stated, &mut report)?;
        check_tallies(view, &mut stated, &mut report)?;
        check_facts(view, &mut stated, &mut report)?;
        if !stated.facts.is_empty() {
            name_missing(view, &stated, &mut report)?;
        }
        Ok(report.0)
    })
}

/// Takes what a record states; reports one that cannot be read.
fn state<'a, R: Record<'a>>(record: Option<R>, physical: &[u8], stated: &mut Stated, report: &mut Report) {
    let Some(record) = record else {
        report.error(R::TABLE, physical, "the record cannot be decoded");
        return;
    };
    if !key::with_physical(record.key().bytes(), |key| key == physical) {
        report.error(R::TABLE, physical, "the record's fields belong under another key");
    }
    record.warnings(&mut |message| report.add(Severity::Warning, R::TABLE, physical, message.to_owned()));
    let facts = Facts::of(Some(&record));
    stated.facts.extend(facts.facts.iter().map(hash));
    for (key, by) in facts.tallies {
        let sum = stated.tallies.entry(key).or_default();
        *sum = sum.wrapping_add(by);
    }
    if let (Some(counter), Some(number)) = (R::COUNTER, record.number()) {
        let highest = stated.highest.entry(counter.name()).or_default();
        *highest = number.max(*highest);
    }
}

/// A pattern's matched files and its links say the same.
fn check_links(view: &View, stated: &mut Stated, report: &mut Report) -> Result<()> {
    each_entry(view, Table::PatternFiles, crate::scan::key_in_front, |entry| {
        if let Ok(link) = record::decode::<Link>(entry.physical, entry.stored()) {
            stated.links.insert(link_hash(link.pattern, link.path));
        }
        Ok(())
    })?;
    each_entry(view, Table::Patterns, crate::scan::key_in_front, |entry| {
        if let Ok(pattern) = record::decode::<Pattern>(entry.physical, entry.stored()) {
            stated.patterns.insert(pattern.key_hash);
            for path in &pattern.matched_files {
                let hash = link_hash(pattern.key_hash, path);
                stated.matched.insert(hash);
                if !stated.links.contains(&hash) {
                    report.error(Table::PatternFiles, entry.key, format!("the link to {path:?} is missing"));
                }
            }
        }
        Ok(())
    })?;
    each_entry(view, Table::PatternFiles, crate::scan::key_in_front, |entry| {
        if let Ok(link) = record::decode::<Link>(entry.physical, entry.stored())
            && stated.patterns.contains(&link.pattern)
            && !stated.matched.contains(&link_hash(link.pattern, link.path))
        {
            report.error(Table::PatternFiles, entry.key, "the pattern does not list this file");
        }
        Ok(())
    })?;
    Ok(())
}

fn check_counters(view: &View, stated: &Stated, report: &mut Report) -> Result<()> {
    each_entry(view, Table::Counters, crate::scan::key_in_front, |entry| {
        if read_counter(entry.stored()).is_none() {
            report.error(Table::Counters, entry.physical, "the counter cannot be decoded; run reindex");
        }
        Ok(())
    })?;
    for (name, highest) in &stated.highest {
        let key = Key::of_text(name);
        let value = match view.get(Table::Counters, &key)?.as_deref().map(read_counter) {
            // Told above.
            Some(None) => continue,
            Some(Some(value)) => value,
            None => 0,
        };
        if value < *highest {
            let message = format!("the counter is {value}, but id {highest} is in use");
            report.error(Table::Counters, key.bytes(), message);
        }
    }
    Ok(())
}

/// Tallies are sums, so they are compared by value. The sessions' ranking follows from them.
fn check_tallies(view: &View, stated: &mut Stated, report: &mut Report) -> Result<()> {
    stated.tallies.retain(|_, sum| *sum != 0);
    for (key, size) in &stated.tallies {
        if let [kind, session @ ..] = key.bytes()
            && *kind == Tally::SessionThreads as u8
        {
            let key = Key::new().u64(!size.cast_unsigned()).raw(session);
            stated.facts.insert(hash(&Fact::Entry { table: Table::SessionsBySize, key, value: Vec::new() }));
        }
    }
    let mut left = stated.tallies.clone();
    report.0.index_entries += each_entry(view, Table::Tallies, crate::scan::key_in_front, |entry| {
        let sum = left.remove(&Key::from_bytes(entry.key.to_vec())).unwrap_or(0);
        match read_tally(entry.physical, entry.stored()) {
            Ok(found) if found == sum => {}
            Ok(found) => {
                report.error(Table::Tallies, entry.key, format!("the tally is {found}, the records give {sum}"))
            }
            Err(_) => report.error(Table::Tallies, entry.key, "the tally cannot be decoded; run reindex"),
        }
        Ok(())
    })?;
    for (key, sum) in left {
        report.error(Table::Tallies, key.bytes(), format!("the tally is missing, the records give {sum}"));
    }
    Ok(())
}

/// Reads every fact out of the derived tables and takes it from the stated
/// ones; what is left then is missing.
fn check_facts(view: &View, stated: &mut Stated, report: &mut Report) -> Result<()> {
    for table in Table::ALL.iter().copied().filter(|table| table.is_derived() && table.role() != Role::Tallies) {
        let mut firsts: Vec<(Key, Vec<u8>)> = Vec::new();
        report.0.index_entries += each_entry(view, table, crate::scan::key_in_front, |entry| {
            let Some(facts) = facts_in(table, entry) else {
                report.error(table, entry.key, "the entry cannot be decoded; run reindex");
                return Ok(());
            };
            for fact in facts {
                if !stated.facts.remove(&hash(&fact)) {
                    let (_, _, what) = describe(&fact);
                    report.error(table, entry.key, format!("{what} belongs to no record; run reindex"));
                }
            }
            if table.role() == Role::MoreOwners
                && let Some((key_hash, owner)) = entry.key.split_at_checked(8)
            {
                firsts.push((Key::from_bytes(key_hash.to_vec()), owner.to_vec()));
            }
            Ok(())
        })?;
        check_first(view, table, firsts, report)?;
    }
    Ok(())
}

/// The owner that the owner table names is before all others.
fn check_first(view: &View, more: Table, others: Vec<(Key, Vec<u8>)>, report: &mut Report) -> Result<()> {
    let Some(owners) = Table::ALL.iter().copied().find(|table| {
        table.role() == Role::Owners && index::more_owners(*table) == more && more.role() == Role::MoreOwners
    }) else {
        return Ok(());
    };
    for chunk in others.chunks(1024) {
        let firsts = view.get_many(owners, chunk.iter().map(|(key, _)| key.clone()))?;
        for (position, (key, other)) in chunk.iter().enumerate() {
            if firsts.value(position).is_none_or(|first| first >= other.as_slice()) {
                let message = format!("the first owner is not before {}; run reindex", key::printable(other));
                report.error(owners, key.bytes(), message);
            }
        }
    }
    Ok(())
}

/// The facts that an entry of a derived table says.
fn facts_in(table: Table, entry: &Entry) -> Option<Vec<Fact>> {
    let key = Key::from_bytes(entry.key.to_vec());
    Some(match table.role() {
        Role::Owners => {
            vec![Fact::Owner { table, key_hash: key::read_u64(entry.key)?, owner: entry.value().to_vec() }]
        }
        Role::MoreOwners => {
            let (key_hash, owner) = entry.key.split_first_chunk::<8>().filter(|_| entry.value().is_empty())?;
            let owners = Table::ALL
                .iter()
                .copied()
                .find(|owners| owners.role() == Role::Owners && index::more_owners(*owners) == table)?;
            vec![Fact::Owner { table: owners, key_hash: u64::from_be_bytes(*key_hash), owner: owner.to_vec() }]
        }
        // A group without members is not kept.
        Role::Groups => group::read(table, entry.value())
            .filter(|members| !members.is_empty())?
            .into_iter()
            .map(|member| Fact::Member { table, key: key.clone(), member })
            .collect(),
        _ => vec![Fact::Entry { table, key, value: entry.value().to_vec() }],
    })
}

/// Reads the records again to name the facts that no derived table says.
fn name_missing(view: &View, stated: &Stated, report: &mut Report) -> Result<()> {
    let missing = |facts: Facts, report: &mut Report| {
        for fact in facts.facts.iter().filter(|fact| stated.facts.contains(&hash(fact))) {
            let (table, key, what) = describe(fact);
            report.error(table, &key, format!("{what} is missing; run reindex"));
        }
    };
    macro_rules! name {
        ($case:ident, $record:ident, $key:expr) => {
            each_entry(view, <$record as Record>::TABLE, $key, |entry| {
                if let Ok(record) = record::decode::<$record>(entry.physical, entry.stored()) {
                    missing(Facts::of(Some(&record)), report);
                }
                Ok(())
            })?;
        };
    }
    each_record!(name);
    let sessions = stated.tallies.iter().filter_map(|(key, size)| match key.bytes() {
        [kind, session @ ..] if *kind == Tally::SessionThreads as u8 => Some(Fact::Entry {
            table: Table::SessionsBySize,
            key: Key::new().u64(!size.cast_unsigned()).raw(session),
            value: Vec::new(),
        }),
        _ => None,
    });
    missing(Facts { facts: sessions.collect(), tallies: Vec::new() }, report);
    Ok(())
}

pub fn reindex() -> Result<u64> {
    write(|writer| {
        for table in Table::ALL.iter().copied().filter(|table| table.is_derived()) {
            writer.clear(table);
        }
        drop_unreadable_counters(writer)?;
        writer.flush()?;
        let mut records = 0;
        macro_rules! rebuild {
            ($case:ident, $record:ident, $key:expr) => {{
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let mut chunk: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
                    let mut scan =
                        Scan::prefix(writer.view(), <$record as Record>::TABLE, b"").keyed($key).lenient().wanted(1024);
                    if let Some(after) = &after {
                        scan = scan.after(after);
                    }
                    while chunk.len() < 1024
                        && let Some(entry) = scan.next()?
                    {
                        chunk.push((entry.physical.to_vec(), entry.stored().to_vec()));
                        if chunk.len() == 1024 {
                            after = Some(entry.key.to_vec());
                        }
                    }
                    for (physical, value) in &chunk {
                        if let Ok(record) = record::decode::<$record>(physical, value) {
                            writer.assert_facts(&record);
                            if let (Some(counter), Some(number)) = (<$record as Record>::COUNTER, record.number()) {
                                writer.skip_id(counter, number)?;
                            }
                            records += 1;
                        }
                    }
                    writer.flush_if_large()?;
                    if chunk.len() < 1024 {
                        break;
                    }
                }
            }};
        }
        each_record!(rebuild);
        // Links of patterns are records of their own; those that a pattern
        // lists and that are missing come back.
        restore_links(writer)?;
        Ok(records)
    })
}

/// Counters are no index, but one that cannot be decoded says nothing, and ids
/// beyond those in use are lost with it.
fn drop_unreadable_counters(writer: &mut crate::write::Writer) -> Result<()> {
    let mut unreadable = Vec::new();
    each_entry(writer.view(), Table::Counters, crate::scan::key_in_front, |entry| {
        if read_counter(entry.stored()).is_none() {
            unreadable.push(Key::from_bytes(entry.key.to_vec()));
        }
        Ok(())
    })?;
    for key in &unreadable {
        writer.delete(Table::Counters, key);
    }
    Ok(())
}

fn restore_links(writer: &mut crate::write::Writer) -> Result<()> {
    let mut missing: BTreeSet<(u64, String)> = BTreeSet::new();
    each_entry(writer.view(), Table::Patterns, crate::scan::key_in_front, |entry| {
        if let Ok(pattern) = record::decode::<Pattern>(entry.physical, entry.stored()) {
            missing.extend(pattern.matched_files.iter().map(|path| (pattern.key_hash, (*path).to_owned())));
        }
        Ok(())
    })?;
    each_entry(writer.view(), Table::PatternFiles, crate::scan::key_in_front, |entry| {
        if let Ok(link) = record::decode::<Link>(entry.physical, entry.stored()) {
            missing.remove(&(link.pattern, link.path.to_owned()));
        }
        Ok(())
    })?;
    for (pattern, path) in &missing {
        writer.insert(&Link { pattern: *pattern, path });
    }
    Ok(())
}
