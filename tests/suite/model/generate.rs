//! Sequences of calls. Arguments are drawn by the parameter's name and type
//! from small pools, so that calls meet the same records again and again.

use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tracker_host::Signature;
use tracker_host::wasmtime::component::Type;

use super::oracle::{Entity, Meaning};

/// One step of a sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the clock says.
    pub now: Duration,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    /// A call. `after` of a paged list is none for the first page or [`GO_ON`].
    Call { session: Session, name: String, arguments: Vec<Value> },
    /// Closes the store and opens it again.
    Reopen,
    /// Takes a snapshot for the calls of [`Session::Snapshot`].
    Snapshot,
    /// A call that has to fail.
    Fail(Fault),
}

/// In place of a cursor: that of the last page of this list, with the arguments of its first one.
pub const GO_ON: &str = "go on";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Session {
    /// The session that writes and has batches.
    Main,
    /// Another one, which sees what is committed.
    Other,
    /// One that sees what was committed when it was opened.
    Snapshot,
}

/// How a call is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It needs more memory than it may have: the instance traps.
    Trap,
    /// It writes more than a transaction may: the store ends the transaction.
    Store,
    /// A record is larger than a value may be: the call has no effect.
    Value,
}

impl Step {
    /// As a line of a file that can be replayed.
    pub fn to_line(&self) -> String {
        let now = self.now.as_secs_f64();
        let line = match &self.action {
            Action::Call { session, name, arguments } => {
                json!({ "now": now, "session": format!("{session:?}"), "call": name, "args": arguments })
            }
            Action::Reopen => json!({ "now": now, "do": "reopen" }),
            Action::Snapshot => json!({ "now": now, "do": "snapshot" }),
            Action::Fail(fault) => json!({ "now": now, "fail": format!("{fault:?}") }),
        };
        line.to_string()
    }

    /// From a line that [`Step::to_line`] wrote.
    pub fn from_line(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str();
        let action = match (text("call"), text("do"), text("fail")) {
            (Some(name), ..) => {
                let sessions = [Session::Main, Session::Other, Session::Snapshot];
                let session = sessions.into_iter().find(|session| Some(&*format!("{session:?}")) == text("session"));
                let arguments = line["args"].as_array().unwrap().clone();
                Action::Call { session: session.unwrap_or(Session::Main), name: name.to_owned(), arguments }
            }
            (_, Some("reopen"), _) => Action::Reopen,
            (_, Some("snapshot"), _) => Action::Snapshot,
            (.., Some("Trap")) => Action::Fail(Fault::Trap),
            (.., Some("Store")) => Action::Fail(Fault::Store),
            (.., Some("Value")) => Action::Fail(Fault::Value),
            _ => panic!("{line} is no step"),
        };
        Step { now: Duration::from_secs_f64(line["now"].as_f64().unwrap()), action }
    }
}

/// Sequences of calls of these entities, besides batches, other sessions and faults.
pub fn sequences(
    signatures: &[Signature],
    entities: &[Entity],
    named: &[&str],
    length: RangeInclusive<usize>,
) -> BoxedStrategy<Vec<Step>> {
    let functions = entities.iter().filter(|entity| named.is_empty() || named.contains(&entity.name));
    let mut calls: Vec<(u32, BoxedStrategy<Action>)> = functions
        .flat_map(|entity| &entity.functions)
        .map(|function| {
            let signature = signatures.iter().find(|signature| signature.name == function.name);
            let signature = signature.unwrap_or_else(|| panic!("the interface has no {}", function.name));
            let by = match function.meaning {
                Meaning::Write(_) => prop_oneof![9 => Just(Session::Main), 1 => Just(Session::Other)].boxed(),
                _ => prop_oneof![
                    6 => Just(Session::Main),
                    1 => Just(Session::Other),
                    1 => Just(Session::Snapshot)
                ]
                .boxed(),
            };
            (function.weight, call(signature, by))
        })
        .collect();
    // Of each of these as many as there are in a sequence of 60 calls.
    let all: u32 = calls.iter().map(|(weight, _)| weight).sum();
    let about = |times: u32| (all * times / 60).max(1);
    for (name, times) in [("begin-batch", 3), ("end-batch", 2), ("abort-batch", 1)] {
        let signature = signatures.iter().find(|signature| signature.name == name).unwrap();
        calls.push((about(times), call(signature, Just(Session::Main).boxed())));
    }
    calls.push((about(1), Just(Action::Reopen).boxed()));
    calls.push((about(1), Just(Action::Snapshot).boxed()));
    let faults = vec![Fault::Trap, Fault::Store, Fault::Value];
    calls.push((about(1), prop::sample::select(faults).prop_map(Action::Fail).boxed()));
    let action = prop::strategy::Union::new_weighted(calls);
    // Few times, not in order: records often have the same, and clocks are set back.
    let now = prop::sample::select(vec![1000, 1001, 1002, 1002, 1003, 1004, 700_000, 2_000_000]);
    let step = (now, action).prop_map(|(now, action)| Step { now: Duration::from_secs(now), action });
    prop::collection::vec(step, length).boxed()
}

/// A call of a function by somebody.
fn call(signature: &Signature, session: BoxedStrategy<Session>) -> BoxedStrategy<Action> {
    let name = signature.name.clone();
    let arguments: Vec<BoxedStrategy<Value>> = signature
        .params
        .iter()
        .map(|param| match (&*param.name, &param.ty) {
            ("after", _) => prop_oneof![Just(Value::Null), Just(json!(GO_ON))].boxed(),
            (name, ty) => value(name, ty),
        })
        .collect();
    (session, arguments)
        .prop_map(move |(session, arguments)| Action::Call { session, name: name.clone(), arguments })
        .boxed()
}

/// One of these, the earlier the simpler.
fn one_of<T: Clone + Into<Value>>(values: &[T]) -> BoxedStrategy<Value> {
    let values: Vec<Value> = values.iter().cloned().map(Into::into).collect();
    prop::sample::select(values).boxed()
}

/// Mostly one of the usual values, at times one of the odd ones.
fn mostly<T: Clone + Into<Value>>(usual: &[T], odd: &[T]) -> BoxedStrategy<Value> {
    prop_oneof![5 => one_of(usual), 1 => one_of(odd)].boxed()
}

/// Texts so long that their keys do not fit into the store, alike at the front.
fn long(ends: &[&str]) -> Vec<Value> {
    let texts = ends.iter().map(|end| format!("/{}{end}", "long-".repeat(100)));
    texts.map(Value::from).collect()
}

fn texts(usual: &[&str], odd: &[&str]) -> BoxedStrategy<Value> {
    let odd = [odd.iter().map(|text| json!(text)).collect(), long(&["", "1", "2", "2/x"])].concat();
    mostly(&usual.iter().map(|text| json!(text)).collect::<Vec<_>>(), &odd)
}

/// A value for a parameter or field of this name.
fn value(name: &str, ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::from).boxed(),
        Type::U32 => match name {
            "offset" => one_of(&[0, 0, 1, 2, 7]),
            _ => one_of(&[2, 1, 0, 3, 5, 100, u32::MAX]),
        },
        Type::U64 => match name {
            "key-hash" | "pattern-key-hash" | "symbol-keys" => {
                mostly(&[1, 2, 3], &[0, 1 << 63, (1 << 63) - 1, u64::MAX])
            }
            // Of ids that are imported: the last one leaves none.
            "id" | "value" => prop_oneof![30 => one_of(&[1, 2, 3, 4, 9]), 1 => one_of(&[0, 1 << 40, u64::MAX])].boxed(),
            _ => mostly(&[1, 2, 3, 4], &[0, u64::MAX]),
        },
        Type::S64 => match name {
            "vector-offset" | "old-offset" | "new-offset" => mostly(&[0, 512, 1024, 1536], &[-512, i64::MAX, i64::MIN]),
            "line-start" => mostly(&[1, 2, 3, 10], &[0, -1, i64::MAX, i64::MIN]),
            "size" => mostly(&[1, 2], &[0, -1, i64::MAX]),
            _ => mostly(&[1, 2, 512], &[0, -1, i64::MAX, i64::MIN]),
        },
        Type::Float64 => match name {
            "max-age-seconds" => {
                let odd = [json!("nan"), json!("inf"), json!("-inf"), json!(-5.0)];
                mostly(&[json!(1.0), json!(2.0), json!(0.0), json!(604_800.0)], &odd)
            }
            _ => {
                let odd =
                    [json!("nan"), json!("inf"), json!("-inf"), json!(-1.5), json!(0.0), json!(-0.0), json!(1e300)];
                mostly(&[json!(1000.0), json!(1001.0), json!(1002.0), json!(1002.5)], &odd)
            }
        },
        Type::String => text(name),
        Type::Option(option) => {
            let some = value(name, &option.ty());
            prop_oneof![1 => Just(Value::Null), 2 => some].boxed()
        }
        Type::List(list) => {
            let items = value(name, &list.ty());
            prop::collection::vec(items, 0..4).prop_map(Value::from).boxed()
        }
        Type::Enum(cases) => one_of(&cases.names().collect::<Vec<_>>()),
        Type::Record(record) => {
            let fields: Vec<BoxedStrategy<Value>> =
                record.fields().map(|field| field_of(name, field.name, &field.ty)).collect();
            let names: Vec<String> = record.fields().map(|field| field.name.to_owned()).collect();
            let object =
                move |values: Vec<Value>| Value::from(names.iter().cloned().zip(values).collect::<Map<_, _>>());
            fields.prop_map(object).boxed()
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| {
                let name = case.name.to_owned();
                value(case.name, &case.ty.unwrap()).prop_map(move |payload| json!({ name.clone(): payload })).boxed()
            });
            prop::strategy::Union::new(cases.collect::<Vec<_>>()).boxed()
        }
        other => panic!("no values for {name}: {other:?}"),
    }
}

/// A value for a field of a record of this name.
fn field_of(record: &str, field: &str, ty: &Type) -> BoxedStrategy<Value> {
    let counters = ["symbols", "checkpoints", "session_threads", "thread_queries", "thread_tools"];
    match (record, field, ty) {
        ("counter", "name", _) => mostly(&counters, &["", "no such counter"]),
        // Counts of calls.
        (_, "access-count" | "times-applied" | "touches" | "tool-count", Type::U64 | Type::S64) => {
            mostly(&[json!(1), json!(7)], &[json!(0), json!(i64::MAX)])
        }
        // JSON text; elsewhere the same names are of lists.
        (_, "symbol-keys", Type::Option(_)) => one_of(&[
            json!("[]"),
            json!("[1, 2]"),
            json!("[18446744073709551615]"),
            Value::Null,
            json!("[-1]"),
            json!(""),
        ]),
        ("file" | "memory", "detected-contexts" | "insights" | "context" | "tags", Type::Option(_)) => {
            prop_oneof![1 => Just(Value::Null), 5 => column()].boxed()
        }
        ("convention", "scope" | "good-examples" | "bad-examples" | "tags", Type::String) => column(),
        _ => value(field, ty),
    }
}

/// What a column may hold that should hold a list of texts.
fn column() -> BoxedStrategy<Value> {
    mostly(
        &[r#"["c1"]"#, "[]", r#"["c1", "c2", "c1"]"#, r#"["c2"]"#],
        &[
            r#"["\u00fc"]"#,
            r#"["ü"]"#,
            r#"[ "c1","C1" ]"#,
            r#"["\udcff"]"#,
            "not json",
            "{}",
            "[1]",
            r#"["c1", 1]"#,
            "",
        ],
    )
}

fn text(name: &str) -> BoxedStrategy<Value> {
    match name {
        "path" | "file-path" | "paths" | "matched-files" | "last-path" => texts(
            &["/a", "/a/b", "/a/c.rs", "/b"],
            &["", "/", "/a-b", "/a/", "/A/b", "/a/ü", "😀/x", "a\0b", "a\0", "\0", "\u{1}", "/a/\u{1}x", "\u{7f}"],
        ),
        "root" => texts(&["", "/a", "/a/"], &["/", "//", "/b", "\0", "/a/b", "a"]),
        "name" => texts(&["main", "Main", "new"], &["", "über", "ÜBER", "ma%in", "main\0x", "m\u{1}", "_"]),
        "name-filter" | "search-text" => {
            texts(&["main", "", "MA"], &["%", "_", "ü", "Ü", "\0", "\u{1}", "parser", "x\0"])
        }
        "query-text" => texts(&["main parser", "The Main"], &["", "100% _x", "ü", "x\0y"]),
        "kind" | "insight-type" => {
            texts(&["function", "method", "insight:todo"], &["", "INSIGHT:Todo", "insight:", "insight", "insight:\0"])
        }
        "contexts" | "detected-contexts" | "context" | "context-filter" | "insights" | "insight-filter" | "tags"
        | "scope" | "scope-filter" | "good-examples" | "bad-examples" => {
            texts(&["c1", "c2", "C1"], &["", "ü", "a\"b", "\\", "a\", \"b", "x\0", "\u{1}", "\n\u{7f}", "😀"])
        }
        "id" | "memory-id" => texts(&["1", "2", "3"], &["", "ü", "\0", "1\0", "a\u{1}"]),
        "session-id" => texts(&["s1", "s2"], &["", "s1\0", "ü"]),
        "tool-name" => texts(&["grep", "Read"], &["", "ü", "\0"]),
        "operation" => one_of(&["read", "write", "edit", "look", ""]),
        "priority" => one_of(&["required", "recommended", "optional", "", "other", "Required"]),
        "task" | "category" | "org-id" | "owner-id" => texts(&["t1", "t2"], &["", "ü", "t1\0"]),
        "key" => texts(&["k1", "k2"], &["", "\0", "\0\u{1}", "ü"]),
        _ => texts(&["x", "y"], &["", "😀", "\0"]),
    }
}
