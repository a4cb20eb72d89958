//! Components that answer nonsense.

use tracker_host::migrate::compare::Comparison;
use tracker_host::track::track;
use tracker_host::wasmtime::component::Val;
use tracker_host::{Error, Limits};

use super::guest::{ANSWER, DATA, Guest, data};
use super::scene::{Scene, over_every_engine, read, said};
use crate::support::small;

over_every_engine!(
    answers_that_are_not_of_their_type_are_traps,
    answers_that_are_lifted_by_hand_are_traps_as_well,
    numbers_that_are_none_are_passed_on,
    lists_that_go_round_in_circles_end,
    who_asks_about_many_gets_as_many_answers_or_an_error,
    paths_that_a_component_makes_up_touch_no_file,
    an_error_s_text_is_passed_on_whatever_is_in_it,
);

/// What a function answers: these bytes, wherever texts and lists in it point to.
fn answer(name: &'static str, bytes: &[u8]) -> Guest {
    Guest::new().with(data(ANSWER, bytes)).function(name, format!("(i32.const {ANSWER})"))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `get-metadata` answers ok, some text at this place.
fn text(address: u32, length: u32) -> Vec<u8> {
    words(&[0, 0, 1, address, length])
}

/// `get-file` answers ok, some record, with some of its bytes changed.
fn record(changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 136];
    bytes[8] = 1;
    for (at, change) in changes {
        bytes[*at..at + change.len()].copy_from_slice(change);
    }
    bytes
}

fn answers_that_are_not_of_their_type_are_traps(mut scene: Scene) {
    let not_text = data(DATA, b"\xff\xfe");
    for bytes in [
        text(DATA, 2),                               // not UTF-8
        text(0xffff_fff0, 100),                      // outside of the memory
        text(0, u32::MAX),                           // larger than the memory
        words(&[7]),                                 // neither ok nor error
        words(&[0, 0, 2]),                           // neither some nor none
        words(&[1, 0, 99]),                          // an error that there is not
        words(&[1, 0, 4, 0, 77]),                    // nor in the store
        words(&[1, 0, 0, 0, DATA, 2]),               // an error whose text is not UTF-8
        words(&[1, 0, 4, 0, 10, 0, 0xffff_0000, 9]), // or outside
    ] {
        let guest = answer("get-metadata", &bytes).with(&not_text);
        scene.traps(&guest, read);
        scene.traps(&guest, |session| session.call_dynamic("get-metadata", &[Val::String("a".into())]).map(drop));
    }
    // Where the answer is.
    for place in [-8, 3, i32::MAX] {
        scene.traps(&Guest::new().reads(format!("(i32.const {place})")), read);
    }
}

fn answers_that_are_lifted_by_hand_are_traps_as_well(mut scene: Scene) {
    let pair = |address: u32, length: u32| words(&[address, length]);
    for bytes in [
        record(&[(8, &[2])]),                     // neither some nor none
        record(&[(16, &pair(DATA, 2))]),          // the path is not UTF-8
        record(&[(16, &pair(0xffff_fff0, 100))]), // the path is outside of the memory
        record(&[(80, &[3])]),                    // a vector neither there nor not
        record(&[(112, &pair(1025, 1))]),         // contexts that are not aligned
        record(&[(112, &pair(1024, u32::MAX))]),  // too many contexts
        record(&[(112, &pair(DATA + 8, 1))]),     // a context outside of the memory
        words(&[1, 0, 99]),
    ] {
        let more = data(DATA, &[&b"\xff\xfe\0\0\0\0\0\0"[..], &pair(0xffff_fff0, 100)].concat());
        let guest = answer("get-file", &bytes).with(more);
        scene.traps(&guest, |session| session.get_file("/a").map(drop));
        scene.traps(&guest, |session| session.call_dynamic("get-file", &[Val::String("/a".into())]).map(drop));
    }
    // An enum in a list that is lifted as wasmtime does it.
    let guest = answer("freshness", &words(&[0, 0, DATA, 1, 0, 0])).with(data(DATA, &[77]));
    scene.traps(&guest, |session| session.freshness(&[], None).map(drop));
}

fn numbers_that_are_none_are_passed_on(scene: Scene) {
    let guest = answer("get-file", &record(&[(24, &f64::NAN.to_le_bytes()), (72, &f64::INFINITY.to_le_bytes())]));
    let file = scene.session(&guest, Limits::default()).get_file("/a").unwrap().unwrap();
    assert!(file.mtime.is_nan() && file.indexed_at == f64::INFINITY);
    assert!(file.path.is_empty() && file.detected_contexts.is_empty());
}

fn lists_that_go_round_in_circles_end(mut scene: Scene) {
    // An empty page, or one of a path, and a cursor: always the same, or another each time.
    let page = |items: u32, length: u32| words(&[0, 0, DATA, items, 1, DATA + 8, length]);
    let step = format!(
        "(i32.store (i32.const {0}) (i32.add (i32.load (i32.const {0})) (i32.const 1))) (i32.const {ANSWER})",
        DATA + 8
    );
    let same = format!("(i32.const {ANSWER})");
    for (items, body, expected) in [(0, &same, 0), (1, &same, 1), (0, &step, 0)] {
        let guest = answer("list-paths", &page(items, 4)).function("list-paths", body.as_str());
        let mut session = scene.session(&guest, Limits::default());
        let mut pages = session.paths("", 10);
        let found = pages.by_ref().take_while(Result::is_ok).count();
        assert_eq!(found, expected);
        assert!(pages.next().is_none(), "it goes on after the error");
        drop(pages);
        assert!(matches!(session.paths("", 10).find_map(Result::err), Some(Error::Nonsense(_))));
        scene.unharmed(session);
    }
}

fn who_asks_about_many_gets_as_many_answers_or_an_error(mut scene: Scene) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    // No verdict for two files; two verdicts, "unknown", but no record for either.
    let few = answer("freshness", &words(&[0, 0, 0, 0, 0, 0]));
    let unknown = answer("freshness", &words(&[0, 0, DATA, 2, 0, 0])).with(data(DATA, &[3, 3]));
    for guest in [few, unknown] {
        let error = scene.fails(&guest, Limits::default(), |session| track(session, dir.path(), |_| {}, || false));
        assert!(matches!(&error, Error::Nonsense(why) if why == "0 answers to 2 questions"), "{error:?}");
    }
    let session = scene.session(&Guest::new(), Limits::default());
    let compared = Comparison::new(&small().database).run(&session).map(drop).unwrap_err();
    assert!(format!("{compared:?}").contains("answers to"), "{compared:?}");
    scene.unharmed(session);
}

fn paths_that_a_component_makes_up_touch_no_file(mut scene: Scene) {
    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(&outside, "kept").unwrap();
    let path = outside.to_str().unwrap().as_bytes();
    // "Vanished" files: the host has the component forget them, and does nothing itself.
    let guest = answer("list-paths", &words(&[0, 0, DATA, 1, 0]))
        .with(data(DATA, &words(&[DATA + 8, path.len() as u32])))
        .with(data(DATA + 8, path));
    let mut session = scene.session(&guest, Limits::default());
    track(&mut session, &inside, |_| {}, || false).unwrap();
    assert_eq!(std::fs::read(&outside).unwrap(), b"kept");
    scene.unharmed(session);
}

fn an_error_s_text_is_passed_on_whatever_is_in_it(mut scene: Scene) {
    let hostile = b"\x1b[2J\nerror: \0";
    let guest = answer("get-metadata", &words(&[1, 0, 0, 0, DATA, hostile.len() as u32])).with(data(DATA, hostile));
    let error = scene.fails(&guest, Limits::default(), read);
    assert!(said(&error).as_bytes().ends_with(hostile), "{error:?}");
}
