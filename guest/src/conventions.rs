//! Coding conventions.

use crate::error::Result;
use crate::index::{Sink, Tally};
use crate::json;
use crate::key::Key;
use crate::list;
use crate::record::{self, Record, msgpack_record, record};
use crate::scan::{Scan, key_of};
use crate::session::{self, now, read, write};
use crate::table::Table;
use crate::types::{ConventionPage, ConventionRecord};
use crate::view::View;
use crate::write::Writer;

record! {
    /// A convention.
    Convention as ConventionRow {
        id: &'a str,
        name: &'a str,
        description: &'a str,
        category: &'a str,
        scope: &'a str,
        priority: &'a str,
        good_examples: &'a str,
        bad_examples: &'a str,
        #[serde(borrow)]
        pattern: Option<&'a str>,
        tags: &'a str,
        #[serde(borrow)]
        org_id: Option<&'a str>,
        blob_offset: i64,
        blob_length: i64,
        key_hash: u64,
        created_at: f64,
        updated_at: Option<f64>,
        vector_offset: Option<i64>,
        vector_length: Option<i64>,
        times_applied: u64,
        last_applied: Option<f64>,
    }
}

/// The parts of `conventions_ranked`: everything, by category, by organisation.
enum Part<'a> {
    All,
    Category(&'a str),
    Organisation(&'a str),
}

impl Part<'_> {
    fn key(&self) -> Key {
        match self {
            Part::All => Key::new().byte(0),
            Part::Category(category) => Key::new().byte(1).segment(category),
            Part::Organisation(id) => Key::new().byte(2).segment(id),
        }
    }
}

/// The rank of a priority in the order of `query-conventions`.
fn rank(priority: &str) -> u8 {
    match priority {
        "required" => 0,
        "recommended" => 1,
        "optional" => 2,
        _ => 3,
    }
}

impl<'a> Record<'a> for Convention<'a> {
    msgpack_record!(ConventionRow, Conventions);

    fn key(&self) -> Key {
        Key::of_text(self.id)
    }

    fn index(&self, sink: &mut dyn Sink) {
        sink.owner(Table::ConventionsByKey, self.key_hash, self.id.as_bytes());
        for context in json::texts(Some(self.scope)) {
            sink.entry(Table::ConventionsByScope, Key::new().segment(&context).tail(self.id));
        }
        sink.entry(Table::ConventionsByCategory, Key::new().segment(self.category).tail(self.id));
        sink.tally(Tally::ConventionCategory, self.category, 1);
        let parts = [Some(Part::All), Some(Part::Category(self.category)), self.org_id.map(Part::Organisation)];
        for part in parts.into_iter().flatten() {
            sink.entry(Table::ConventionsRanked, part.key().byte(rank(self.priority)).segment(self.name).tail(self.id));
        }
    }

    fn warnings(&self, report: &mut dyn FnMut(&str)) {
        let columns = [
            ("scope", self.scope),
            ("good_examples", self.good_examples),
            ("bad_examples", self.bad_examples),
            ("tags", self.tags),
        ];
        for (column, json) in columns {
            if json::malformed_texts(Some(json)) {
                report(&format!("{column} is not a JSON list of strings; it is shown as empty"));
            }
        }
    }
}

impl Convention<'_> {
    /// The record that callers get.
    fn to_record(&self) -> ConventionRecord {
        ConventionRecord {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            category: self.category.to_owned(),
            scope: json::texts(Some(self.scope)),
            priority: self.priority.to_owned(),
            good_examples: json::texts(Some(self.good_examples)),
            bad_examples: json::texts(Some(self.bad_examples)),
            pattern: self.pattern.map(str::to_owned),
            tags: json::texts(Some(self.tags)),
            org_id: self.org_id.map(str::to_owned),
            blob_offset: self.blob_offset,
            blob_length: self.blob_length,
            key_hash: self.key_hash,
            created_at: self.created_at,
            updated_at: self.updated_at,
            vector_offset: self.vector_offset,
            vector_length: self.vector_length,
            times_applied: self.times_applied,
            last_applied: self.last_applied,
        }
    }
}

// Look-ups

pub fn get(id: &str) -> Result<Option<ConventionRecord>> {
    session::find(Table::Conventions, &Key::of_text(id), |stored| Ok(stored.decode::<Convention>()?.to_record()))
}

pub fn get_by_key(key_hash: u64) -> Result<Option<ConventionRecord>> {
    session::find_by_key(
        Table::ConventionsByKey,
        key_hash,
        Table::Conventions,
        |id| Ok(Key::of_text(list::text_after(Table::ConventionsByKey, id, 0)?)),
        |stored| {
            let convention = stored.decode::<Convention>()?;
            Ok((convention.key_hash == key_hash).then(|| convention.to_record()))
        },
    )
}

// Writes

/// Inserts or updates; the fields that the tracker keeps are taken from the old record.
pub fn upsert(new: &ConventionRecord) -> Result<()> {
    write(|writer| {
        let stored = writer.find(Table::Conventions, &Key::of_text(&new.id))?;
        let old = stored.as_ref().map(|stored| stored.decode::<Convention>()).transpose()?;
        let now = now();
        let (scope, tags) = (json::dump_texts(&new.scope), json::dump_texts(&new.tags));
        let (good, bad) = (json::dump_texts(&new.good_examples), json::dump_texts(&new.bad_examples));
        let convention = Convention {
            id: &new.id,
            name: &new.name,
            description: &new.description,
            category: &new.category,
            scope: &scope,
            priority: &new.priority,
            good_examples: &good,
            bad_examples: &bad,
            pattern: new.pattern.as_deref(),
            tags: &tags,
            org_id: new.org_id.as_deref(),
            blob_offset: new.blob_offset,
            blob_length: new.blob_length,
            key_hash: new.key_hash,
            created_at: old.as_ref().map_or(now, |old| old.created_at),
            updated_at: old.as_ref().map(|_| now),
            vector_offset: None,
            vector_length: None,
            times_applied: old.as_ref().map_or(0, |old| old.times_applied),
            last_applied: old.as_ref().and_then(|old| old.last_applied),
        };
        writer.change(old.as_ref(), Some(&convention));
        Ok(())
    })
}

pub fn delete(id: &str) -> Result<bool> {
    write(|writer| match writer.find(Table::Conventions, &Key::of_text(id))? {
        None => Ok(false),
        Some(stored) => {
            writer.remove(&stored.decode::<Convention>()?);
            Ok(true)
        }
    })
}

/// Changes the convention with this id. False if there is none.
fn modify(writer: &mut Writer, id: &str, change: impl FnOnce(&mut Convention)) -> Result<bool> {
    let Some(stored) = writer.find(Table::Conventions, &Key::of_text(id))? else { return Ok(false) };
    let old = stored.decode::<Convention>()?;
    let mut new = old.clone();
    change(&mut new);
    writer.change(Some(&old), Some(&new));
    Ok(true)
}

pub fn record_applied(id: &str) -> Result<bool> {
    write(|writer| {
        modify(writer, id, |convention| {
            convention.times_applied = convention.times_applied.saturating_add(1);
            convention.last_applied = Some(now());
        })
    })
}

pub fn update_vector(key_hash: u64, offset: i64, length: i64) -> Result<bool> {
    write(|writer| {
        let owners = writer.all_owners(Table::ConventionsByKey, key_hash)?;
        for id in &owners {
            let id = list::text_after(Table::ConventionsByKey, id, 0)?;
            modify(writer, id, |convention| {
                (convention.vector_offset, convention.vector_length) = (Some(offset), Some(length));
            })?;
        }
        Ok(!owners.is_empty())
    })
}

// Queries

/// The conventions with these keys, in their order, as far as `keep` wants them.
fn fetch(view: &View, keys: Vec<Key>, keep: impl Fn(&ConventionRecord) -> bool) -> Result<Vec<ConventionRecord>> {
    let conventions = view.get_many(Table::Conventions, keys)?;
    let mut kept = Vec::with_capacity(conventions.len());
    for position in 0..conventions.len() {
        let convention = conventions.require::<Convention>(position)?.to_record();
        if keep(&convention) {
            kept.push(convention);
        }
    }
    Ok(kept)
}

pub fn query(
    category: Option<&str>,
    scopes: &[String],
    priority: Option<&str>,
    org_id: Option<&str>,
    limit: u32,
    offset: u32,
) -> Result<Vec<ConventionRecord>> {
    fn given(text: Option<&str>) -> Option<&str> {
        text.filter(|text| !text.is_empty())
    }
    let (category, priority, org_id) = (given(category), given(priority), given(org_id));
    let part = match (category, org_id) {
        (Some(category), _) => Part::Category(category),
        (None, Some(org_id)) => Part::Organisation(org_id),
        (None, None) => Part::All,
    };
    let mut prefix = part.key();
    let part_len = prefix.bytes().len();
    if let Some(priority) = priority {
        prefix = prefix.byte(rank(priority));
    }
    let keep = |convention: &ConventionRecord| {
        category.is_none_or(|category| convention.category == category)
            && priority.is_none_or(|priority| convention.priority == priority)
            && org_id.is_none_or(|org_id| convention.org_id.as_deref() == Some(org_id))
            && (scopes.is_empty()
                || convention.scope.is_empty()
                || convention.scope.iter().any(|scope| scopes.contains(scope)))
    };
    let wanted = (limit as usize).saturating_add(offset as usize);
    read(|view| {
        let index = Table::ConventionsRanked;
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        while found.len() < wanted {
            let page = (wanted - found.len()).min(256) as u32;
            let (keys, next) = list::keys(Scan::prefix(view, index, prefix.bytes()), after.as_deref(), page)?;
            let ids = keys.iter().map(|key| {
                // Part, rank, name 00, id.
                let name = part_len + 1;
                let end = key.get(name..).and_then(|rest| rest.iter().position(|&b| b == 0));
                let skip = name + end.ok_or_else(|| record::corrupt(index, key))? + 1;
                Ok(Key::of_text(list::text_after(index, key, skip)?))
            });
            found.append(&mut fetch(view, ids.collect::<Result<_>>()?, keep)?);
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(found.into_iter().skip(offset as usize).take(limit as usize).collect())
    })
}

pub fn list(after: Option<&[u8]>, limit: u32) -> Result<ConventionPage> {
    read(|view| {
        let scan = Scan::prefix(view, Table::Conventions, b"").keyed(key_of!(Convention));
        let (keys, next) = list::keys(scan, after, limit)?;
        let keys = keys.into_iter().map(Key::from_bytes).collect();
        Ok(ConventionPage { items: fetch(view, keys, |_| true)?, next })
    })
}

fn list_in(index: Table, prefix: Key, after: Option<&[u8]>, limit: u32) -> Result<ConventionPage> {
    read(|view| {
        let (keys, next) = list::keys(Scan::prefix(view, index, prefix.bytes()), after, limit)?;
        let keys = list::named(index, &keys, prefix.bytes().len())?;
        Ok(ConventionPage { items: fetch(view, keys, |_| true)?, next })
    })
}

pub fn list_by_scope(context: &str, after: Option<&[u8]>, limit: u32) -> Result<ConventionPage> {
    list_in(Table::ConventionsByScope, Key::new().segment(context), after, limit)
}

pub fn list_by_category(category: &str, after: Option<&[u8]>, limit: u32) -> Result<ConventionPage> {
    list_in(Table::ConventionsByCategory, Key::new().segment(category), after, limit)
}

pub fn count() -> Result<u64> {
    read(|view| view.count(Table::Conventions))
}

pub fn stats() -> Result<Vec<(String, u64)>> {
    read(|view| list::tallies(view, Tally::ConventionCategory))
}
