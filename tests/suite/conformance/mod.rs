//! The recorded calls of the reference, replayed on the migrated stores.
//!
//! Every call of the manifests is made through the component and its complete
//! result compared with the recorded one, long lists by their digest. Where the
//! tracker differs on purpose, `differences` says what is expected instead.

mod calls;
mod differences;
mod oracle;
mod replay;
mod script;

use tracker_host::Tracker;

use crate::support::{self, ENGINES, Fixture, data};
use differences::DIFFERENCES;

fn replay_all(fixture: &Fixture, tracker: &mut Tracker, used: &mut [u32]) -> Vec<String> {
    let mut wrong = Vec::new();
    for recorded in fixture.manifest["api"].as_array().unwrap() {
        let call = replay::Call::from_manifest(recorded);
        let answer = call.answer(tracker);
        if call.matches(&answer) {
            continue;
        }
        let explained = DIFFERENCES
            .iter()
            .position(|difference| difference.method == call.method && (difference.expected)(fixture, &call) == answer);
        match explained {
            Some(position) => used[position] += 1,
            None => wrong.push(format!("{}: {}", fixture.name, call.describe(&answer))),
        }
    }
    wrong
}

#[test]
fn every_recorded_call_is_answered_as_the_reference_did_or_differs_as_intended() {
    let mut used = vec![0; DIFFERENCES.len()];
    let fixtures = data::all();
    let wrong: Vec<String> =
        fixtures.iter().flat_map(|fixture| replay_all(fixture, &mut fixture.tracker(), &mut used)).collect();
    assert!(wrong.is_empty(), "{} calls differ:\n{}", wrong.len(), wrong.join("\n"));
    for (difference, used) in DIFFERENCES.iter().zip(used) {
        eprintln!("{used:3} calls of {}: {}", difference.method, difference.what);
        // The large database needs some that the small one does not.
        if fixtures.len() == 2 {
            assert!(used > 0, "no call needs the difference {} of {}", difference.what, difference.method);
        }
    }
}

#[test]
fn every_engine_answers_the_recorded_calls_alike() {
    let fixtures = if support::long() { data::all() } else { vec![support::small()] };
    for engine in ENGINES.iter().skip(1) {
        for fixture in &fixtures {
            let Some(mut opened) = engine.filled(fixture) else { continue };
            let wrong = replay_all(fixture, &mut opened.tracker, &mut vec![0; DIFFERENCES.len()]);
            assert!(wrong.is_empty(), "{}: {} calls differ:\n{}", engine.name, wrong.len(), wrong.join("\n"));
            let calls = fixture.manifest["api"].as_array().unwrap().len();
            support::figure(&format!("calls of {} replayed over {}", fixture.name, engine.name), calls);
        }
    }
}

#[test]
fn as_many_calls_are_replayed_as_were_recorded() {
    for fixture in data::all() {
        let expected = if fixture.name == "small" { 468 } else { 117 };
        assert_eq!(fixture.manifest["api"].as_array().unwrap().len(), expected);
    }
}
