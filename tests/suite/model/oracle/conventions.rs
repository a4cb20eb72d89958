//! Conventions.

use tracker_host::types::*;

use super::{Answer, Function, Listing, Model, given, json as column, pages, place, put, read, remove, sorted, tally};
use super::{vectors::set_vectors, write};
use crate::model::wire::Wire;

fn record(convention: &ConventionRow) -> ConventionRecord {
    let texts = |text: &String| column::texts(Some(text));
    ConventionRecord {
        id: convention.id.clone(),
        name: convention.name.clone(),
        description: convention.description.clone(),
        category: convention.category.clone(),
        scope: texts(&convention.scope),
        priority: convention.priority.clone(),
        good_examples: texts(&convention.good_examples),
        bad_examples: texts(&convention.bad_examples),
        pattern: convention.pattern.clone(),
        tags: texts(&convention.tags),
        org_id: convention.org_id.clone(),
        blob_offset: convention.blob_offset,
        blob_length: convention.blob_length,
        key_hash: convention.key_hash,
        created_at: convention.created_at,
        updated_at: convention.updated_at,
        vector_offset: convention.vector_offset,
        vector_length: convention.vector_length,
        times_applied: convention.times_applied,
        last_applied: convention.last_applied,
    }
}

fn rank(priority: &str) -> u64 {
    ["required", "recommended", "optional"].iter().position(|known| *known == priority).unwrap_or(3) as u64
}

impl Model {
    fn convention(&self, id: &str) -> Option<&ConventionRow> {
        self.conventions.iter().find(|convention| convention.id == id)
    }

    pub(super) fn put_convention(&mut self, convention: ConventionRow) {
        put(&mut self.conventions, convention, |a, b| a.id == b.id);
    }
}

type Upsert = (
    String,
    String,
    String,
    String,
    Vec<String>,
    String,
    Vec<String>,
    Vec<String>,
    Option<String>,
    Vec<String>,
    Option<String>,
    i64,
    i64,
    u64,
);

fn upsert(model: &mut Model, convention: Upsert) -> Answer<()> {
    let (id, name, description, category, scope, priority, good, bad, pattern, tags, org_id, offset, length, key_hash) =
        convention;
    let old = model.convention(&id);
    model.put_convention(ConventionRow {
        created_at: old.map_or(model.now, |old| old.created_at),
        updated_at: old.map(|_| model.now),
        vector_offset: None,
        vector_length: None,
        times_applied: old.map_or(0, |old| old.times_applied),
        last_applied: old.and_then(|old| old.last_applied),
        scope: column::of_texts(&scope),
        good_examples: column::of_texts(&good),
        bad_examples: column::of_texts(&bad),
        tags: column::of_texts(&tags),
        blob_offset: offset,
        blob_length: length,
        id,
        name,
        description,
        category,
        priority,
        pattern,
        org_id,
        key_hash,
    });
    Ok(())
}

type Query = (Option<String>, Vec<String>, Option<String>, Option<String>, u32, u32);

fn query(model: &Model, (category, scopes, priority, org_id, limit, offset): Query) -> Vec<ConventionRecord> {
    let (category, priority, org_id) = (given(category), given(priority), given(org_id));
    let wanted = |convention: &ConventionRow| {
        let scope = column::texts(Some(&convention.scope));
        category.as_ref().is_none_or(|category| convention.category == *category)
            && priority.as_ref().is_none_or(|priority| convention.priority == *priority)
            && (org_id.is_none() || convention.org_id == org_id)
            && (scopes.is_empty() || scope.is_empty() || scope.iter().any(|context| scopes.contains(context)))
    };
    let place = |convention: &ConventionRow| place![rank(&convention.priority), &convention.name, &convention.id];
    let found = sorted(&model.conventions, wanted, place);
    found.iter().skip(offset as usize).take(limit as usize).map(record).collect()
}

fn listed(model: &Model, wanted: impl Fn(&ConventionRow) -> bool) -> Listing {
    let found = model.conventions.iter().filter(|convention| wanted(convention));
    found.map(|convention| (place![&convention.id], record(convention).write())).collect()
}

pub fn functions() -> Vec<Function> {
    vec![
        write("upsert-convention", upsert),
        read("get-convention", |m, (id,): (String,)| m.convention(&id).map(record)),
        read("get-convention-by-key", |m, (key,): (u64,)| {
            let owners = m.conventions.iter().filter(|convention| convention.key_hash == key);
            owners.min_by(|a, b| a.id.cmp(&b.id)).map(record)
        }),
        read("query-conventions", query),
        pages("list-conventions", |m, (): ()| listed(m, |_| true)),
        pages("list-conventions-by-scope", |m, (context,): (String,)| {
            listed(m, |convention| column::texts(Some(&convention.scope)).contains(&context))
        }),
        pages("list-conventions-by-category", |m, (category,): (String,)| {
            listed(m, |convention| convention.category == category)
        }),
        write("delete-convention", |m, (id,): (String,)| {
            Ok(remove(&mut m.conventions, |convention| convention.id == id) > 0)
        }),
        write("record-convention-applied", |m, (id,): (String,)| {
            let now = m.now;
            let convention = m.conventions.iter_mut().find(|convention| convention.id == id);
            Ok(convention.is_some_and(|convention| {
                convention.times_applied = convention.times_applied.saturating_add(1);
                convention.last_applied = Some(now);
                true
            }))
        }),
        write("update-convention-vector", |m, (key, offset, length): (u64, i64, i64)| {
            Ok(set_vectors!(m.conventions, key, offset, length))
        }),
        read("convention-count", |m, (): ()| m.conventions.len() as u64),
        read("get-convention-stats", |m, (): ()| {
            tally(m.conventions.iter().map(|convention| convention.category.clone()))
        }),
    ]
}
