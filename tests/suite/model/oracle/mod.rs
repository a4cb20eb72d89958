//! What every call has to answer: plain lists and filters.
//!
//! Written from the reference's description and the WIT's documentation, with
//! nothing of the guest: no index, no key encoding, no transaction.

mod checkpoints;
mod conventions;
mod files;
mod json;
mod memories;
mod metadata;
mod patterns;
mod rows;
mod symbols;
mod threads;
mod transcripts;
mod vectors;

pub use rows::KINDS;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tracker_host::types::*;

use super::wire::{Arguments, Wire};

/// All records, and the time of the call.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: f64,
    files: Vec<FileRow>,
    symbols: Vec<SymbolRecord>,
    checkpoints: Vec<Checkpoint>,
    metadata: BTreeMap<String, String>,
    transcripts: Vec<TranscriptRow>,
    memories: Vec<MemoryRow>,
    /// Without their matched files, which are the links.
    patterns: Vec<PatternRecord>,
    links: BTreeSet<(u64, String)>,
    threads: Vec<ThreadRecord>,
    thread_files: Vec<ThreadFileRecord>,
    queries: Vec<ThreadQueryRecord>,
    tools: Vec<ThreadToolRecord>,
    conventions: Vec<ConventionRow>,
    counters: BTreeMap<&'static str, u64>,
    import_state: Option<String>,
}

/// The case of the error that a call has to answer.
pub type Refusal = &'static str;
pub type Answer<T> = Result<T, Refusal>;
pub const INVALID: Refusal = "invalid-argument";
pub const CONFLICT: Refusal = "key-conflict";

/// Where a record stands in a list.
pub type Place = Vec<Part>;

#[derive(Clone, Debug)]
pub enum Part {
    Text(String),
    Number(u64),
    Signed(i64),
    Newest(f64),
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Part::Text(a), Part::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Part::Number(a), Part::Number(b)) => a.cmp(b),
            (Part::Signed(a), Part::Signed(b)) => a.cmp(b),
            (Part::Newest(a), Part::Newest(b)) => b.total_cmp(a),
            _ => panic!("{self:?} and {other:?} are of different lists"),
        }
    }
}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part {}

impl From<&String> for Part {
    fn from(text: &String) -> Self {
        Part::Text(text.clone())
    }
}

impl From<u64> for Part {
    fn from(number: u64) -> Self {
        Part::Number(number)
    }
}

impl From<i64> for Part {
    fn from(number: i64) -> Self {
        Part::Signed(number)
    }
}

/// The place of a record: its parts, the weightiest first.
macro_rules! place {
    ($($part:expr),+) => {
        vec![$($crate::model::oracle::Part::from($part)),+]
    };
}
use place;

/// A time, newest first.
fn newest(time: f64) -> Part {
    Part::Newest(time)
}

/// The records of a paged list with their places.
pub type Listing = Vec<(Place, Value)>;

type Read = dyn Fn(&Model, &[Value]) -> Value;
type Write = dyn Fn(&mut Model, &[Value]) -> Answer<Value>;
type Pages = dyn Fn(&Model, &[Value]) -> Listing;

/// What a call does.
pub enum Meaning {
    Read(Box<Read>),
    Write(Box<Write>),
    /// All records of a paged list, given the parameters before `after`.
    Pages(Box<Pages>),
}

/// A function of the interface.
pub struct Function {
    pub name: &'static str,
    pub meaning: Meaning,
    /// How often it is called, in relation to others.
    pub weight: u32,
}

fn read<A: Arguments, R: Wire>(name: &'static str, answer: impl Fn(&Model, A) -> R + 'static) -> Function {
    let meaning = Meaning::Read(Box::new(move |model, arguments| answer(model, A::read(arguments)).write()));
    Function { name, meaning, weight: 2 }
}

/// A write that may be refused; what it has done until then is undone.
fn write<A: Arguments, R: Wire>(name: &'static str, answer: impl Fn(&mut Model, A) -> Answer<R> + 'static) -> Function {
    let meaning = Meaning::Write(Box::new(move |model, arguments| {
        let before = model.clone();
        let answer = answer(model, A::read(arguments)).map(|answer| answer.write());
        if answer.is_err() {
            *model = before;
        }
        answer
    }));
    Function { name, meaning, weight: 5 }
}

fn pages<A: Arguments>(name: &'static str, all: impl Fn(&Model, A) -> Listing + 'static) -> Function {
    let meaning = Meaning::Pages(Box::new(move |model, arguments| {
        let mut all = all(model, A::read(arguments));
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }));
    Function { name, meaning, weight: 3 }
}

impl Function {
    /// Called rarely: it deletes everything, or costs much.
    fn rare(self) -> Self {
        Function { weight: 1, ..self }
    }
}

/// Functions that belong together.
pub struct Entity {
    pub name: &'static str,
    pub functions: Vec<Function>,
}

/// What everything in the interface means, but for batches, which are the runner's.
pub fn entities() -> Vec<Entity> {
    let entity = |name, functions| Entity { name, functions };
    vec![
        entity("files", files::functions()),
        entity("symbols", symbols::functions()),
        entity("vectors", vectors::functions()),
        entity("checkpoints", checkpoints::functions()),
        entity("metadata", metadata::functions()),
        entity("transcripts", transcripts::functions()),
        entity("memories", memories::functions()),
        entity("patterns", patterns::functions()),
        entity("threads", threads::functions()),
        entity("conventions", conventions::functions()),
        entity("rows", rows::functions()),
    ]
}

impl Model {
    /// The next number of a counter, which is never given out again; refused when there is none left.
    fn next_id(&mut self, counter: &'static str) -> Answer<u64> {
        let last = self.counters.entry(counter).or_default();
        *last = last.checked_add(1).ok_or(INVALID)?;
        Ok(*last)
    }

    /// Makes sure that a number is never given out.
    fn skip_id(&mut self, counter: &'static str, used: u64) {
        if used > 0 {
            let last = self.counters.entry(counter).or_default();
            *last = used.max(*last);
        }
    }
}

/// Puts a record in the place of the one with the same key, or at the end.
fn put<T>(records: &mut Vec<T>, new: T, same: impl Fn(&T, &T) -> bool) {
    match records.iter_mut().find(|record| same(record, &new)) {
        Some(old) => *old = new,
        None => records.push(new),
    }
}

/// Deletes records and says how many.
fn remove<T>(records: &mut Vec<T>, which: impl Fn(&T) -> bool) -> u64 {
    let before = records.len();
    records.retain(|record| !which(record));
    (before - records.len()) as u64
}

/// The records that are wanted, in the order of their places.
fn sorted<T: Clone>(records: &[T], wanted: impl Fn(&T) -> bool, place: impl Fn(&T) -> Place) -> Vec<T> {
    let mut wanted: Vec<T> = records.iter().filter(|record| wanted(record)).cloned().collect();
    wanted.sort_by_cached_key(place);
    wanted
}

/// The first so many.
fn first<T>(records: Vec<T>, limit: u32) -> Vec<T> {
    records.into_iter().take(limit as usize).collect()
}

/// How often each text occurs, in order.
fn tally(texts: impl IntoIterator<Item = String>) -> Vec<(String, u64)> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn names(counts: Vec<(String, u64)>) -> Vec<String> {
    counts.into_iter().map(|(name, _)| name).collect()
}

/// Plain text in a text, ASCII letters without case.
fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

/// A filter that is given.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
