//! The calls that the hosts of all languages replay: `tests/conformance/calls.jsonl`.
//!
//! The file is written by this module, from the script and the recorded calls
//! of the reference, when TRACKER_RECORD is set; otherwise it has to be what
//! would be written, and every answer in it what this host answers.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tracker_host::wasmtime::component::Val;
use tracker_host::{Error, Tracker, json as encoding};

use super::differences::DIFFERENCES;
use super::{replay, script};
use crate::support::data::repository;
use crate::support::{Fresh, calls, fresh, small};

/// Records of a page: enough to see an order, few enough to keep the file small.
const PAGE: u64 = 20;

/// Makes calls and writes them down.
pub struct Recorder {
    fresh: Fresh,
    lines: Vec<Value>,
}

/// Makes a call in the encoding of the file.
fn make(tracker: &mut Tracker, name: &str, arguments: &[Value]) -> (Value, Result<Option<Val>, Error>) {
    let signature = tracker.functions().into_iter().find(|function| function.name == name);
    let signature = signature.unwrap_or_else(|| panic!("there is no function {name}"));
    assert_eq!(arguments.len(), signature.params.len(), "{signature}");
    let values = arguments.iter().zip(&signature.params).map(|(argument, param)| {
        encoding::to_val(argument, &param.ty).unwrap_or_else(|error| panic!("{name}: {}: {error}", param.name))
    });
    let answer = tracker.call_dynamic(name, &values.collect::<Vec<_>>());
    let encoded = match &answer {
        Ok(value) => {
            let typed = value.as_ref().zip(signature.result.as_ref());
            json!({ "answer": typed.map(|(value, ty)| encoding::from_val(value, ty)) })
        }
        Err(error) => json!({ "error": { "case": error.case(), "text": error.text() } }),
    };
    (encoded, answer)
}

/// The answer of a call that succeeds, in the encoding of the file.
pub fn answer(tracker: &mut Tracker, name: &str, arguments: &[Value]) -> Value {
    make(tracker, name, arguments).0["answer"].take()
}

impl Recorder {
    fn record(&mut self, name: &str, arguments: &[Value]) -> (Value, Result<Option<Val>, Error>) {
        let (encoded, answer) = make(&mut self.fresh.tracker, name, arguments);
        let mut line = Map::new();
        line.insert("call".into(), json!(name));
        line.insert("args".into(), json!(arguments));
        line.extend(encoded.as_object().unwrap().clone());
        self.lines.push(Value::Object(line));
        (encoded, answer)
    }

    /// Calls a function that succeeds; the answer as the file has it.
    pub fn ok(&mut self, name: &str, arguments: &[Value]) -> Value {
        let (mut encoded, answer) = self.record(name, arguments);
        answer.unwrap_or_else(|error| panic!("{name}({arguments:?}): {error}"));
        encoded["answer"].take()
    }

    /// Calls a function that fails with this case.
    pub fn fails(&mut self, name: &str, arguments: &[Value], case: &str) {
        let (_, answer) = self.record(name, arguments);
        assert_eq!(answer.err().map(|error| error.case()), Some(case), "{name}({arguments:?})");
    }

    /// All pages of a list, of so many records each.
    pub fn all(&mut self, name: &str, before: &[Value], limit: u64) -> Vec<Value> {
        let mut items = Vec::new();
        let mut after = Value::Null;
        loop {
            let mut page = self.ok(name, &[before, &[after, json!(limit)]].concat());
            items.append(page["items"].as_array_mut().unwrap());
            after = page["next"].take();
            if after.is_null() {
                return items;
            }
        }
    }
}

impl replay::Caller for Recorder {
    fn call(&mut self, name: &str, arguments: &[Value]) -> Value {
        let (_, answer) = self.record(&name.replace('_', "-"), arguments);
        answer.unwrap().map_or(Value::Null, |answer| calls::from_val(&answer))
    }

    fn pages(&mut self, name: &str, before: &[Value], limit: u64) -> Vec<Value> {
        let name = name.replace('_', "-");
        let mut after = Value::Null;
        for _ in 0..2 {
            after = self.ok(&name, &[before, &[after, json!(limit.min(PAGE))]].concat())["next"].take();
            if after.is_null() {
                break;
            }
        }
        Vec::new()
    }
}

fn file(name: &str) -> PathBuf {
    repository().join("tests/conformance").join(name)
}

/// What a file has to be; writes it instead if that is wanted.
fn hold(name: &str, lines: &[Value]) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var_os("TRACKER_RECORD").is_some() {
        std::fs::write(file(name), &text).unwrap();
    }
    let found = std::fs::read_to_string(file(name)).unwrap();
    let differs = found.lines().zip(text.lines()).position(|(found, line)| found != line);
    assert!(
        found == text,
        "{name} is not what would be recorded now, from line {}; if the change is meant, record it: see \
         tests/conformance/README.md",
        differs.map_or("the end".to_owned(), |line| (line + 1).to_string())
    );
}

fn recorded() -> Vec<Value> {
    let text = std::fs::read_to_string(file("calls.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_recorded_calls_are_what_would_be_recorded_now() {
    let mut recorder = Recorder { fresh: fresh(), lines: Vec::new() };
    script::run(&mut recorder);
    script::import(&mut recorder, &mut small().tracker());
    for recorded in small().manifest["api"].as_array().unwrap() {
        replay::Call::from_manifest(recorded).make(&mut recorder);
    }
    script::finish(&mut recorder);
    hold("calls.jsonl", &recorder.lines);
}

#[test]
fn every_recorded_call_is_answered_the_same_again() {
    let Fresh { mut tracker, dir: _dir } = fresh();
    let wrong: Vec<String> = recorded()
        .iter()
        .enumerate()
        .filter_map(|(position, line)| {
            let name = line["call"].as_str().unwrap();
            let (encoded, _) = make(&mut tracker, name, line["args"].as_array().unwrap());
            let same = encoded.get("answer") == line.get("answer") && encoded.get("error") == line.get("error");
            (!same).then(|| format!("line {}: {name}{}: {encoded}", position + 1, line["args"]))
        })
        .collect();
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_function_is_among_the_recorded_calls_and_every_kind_of_row() {
    let lines = recorded();
    let functions = fresh().tracker.functions();
    assert!(functions.len() > 100);
    let called: BTreeSet<&str> = lines.iter().map(|line| line["call"].as_str().unwrap()).collect();
    let missing: Vec<&String> =
        functions.iter().map(|function| &function.name).filter(|name| !called.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let rows = lines.iter().filter(|line| line["call"] == "import-rows");
    let kinds: BTreeSet<&String> = rows
        .flat_map(|line| line["args"][0].as_array().unwrap())
        .map(|row| row.as_object().unwrap().keys().next().unwrap())
        .collect();
    assert_eq!(kinds.len(), tracker_host::types::ROW_KINDS.len(), "{kinds:?}");
}

/// What the hosts' classes have to answer in place of what the reference did.
#[test]
fn the_intended_differences_are_those_that_are_written_down() {
    let fixture = small();
    let mut tracker = fixture.tracker();
    let calls = fixture.manifest["api"].as_array().unwrap().iter().enumerate();
    let lines: Vec<Value> = calls
        .filter_map(|(position, recorded)| {
            let call = replay::Call::from_manifest(recorded);
            if call.matches(&call.answer(&mut tracker)) {
                return None;
            }
            let difference = DIFFERENCES.iter().find(|difference| difference.method == call.method).unwrap();
            let expected = (difference.expected)(fixture, &call);
            // Of long lists the ids, as the manifest has them.
            let (field, expected) = match expected.as_array() {
                Some(items) if items.len() > 10 => ("ids", items.iter().map(replay::id).collect()),
                _ => ("answer", expected),
            };
            Some(json!({ "position": position, "method": call.method, "what": difference.what, field: expected }))
        })
        .collect();
    hold("differences.jsonl", &lines);
}
