//! Damaged data files: an error or the right answer, and never the end of the process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use tracker_host::types::{ROW_KINDS, Row};
use tracker_host::{Durability, OpenError, Options, Result, Tracker};

use super::{another_process, load, smallest};
use crate::support::{figure, long, scale};

const VARIABLE: &str = "CRASH_DAMAGED";
/// Set by hand, to see that the check is what keeps the process alive.
const UNCHECKED: &str = "TRACKER_UNCHECKED";
const PAGE: usize = 4096;

/// A store with trees of two levels, values of several pages and free pages.
fn store(dir: &Path) -> Vec<u8> {
    let store = dir.join("store");
    let mut tracker = smallest(&store, Durability::NoSync).open().unwrap();
    for n in 1..=60 {
        load::commit(&mut tracker, 0, n).unwrap();
    }
    let report = tracker.verify().unwrap();
    assert_eq!((report.errors, report.warnings), (0, 0));
    drop(tracker);
    std::fs::read(store.join("data.mdb")).unwrap()
}

fn rows(tracker: &mut Tracker) -> Result<Vec<Row>> {
    ROW_KINDS.iter().try_fold(Vec::new(), |mut rows, kind| {
        for row in tracker.rows(*kind, 100) {
            rows.push(row?);
        }
        Ok(rows)
    })
}

/// Everything that reads all, and some that writes: each an answer or an error.
fn use_it(options: Options, sound: &[Row]) -> &'static str {
    let mut tracker = match options.open() {
        Ok(tracker) => tracker,
        Err(tracker_host::Error::Open(OpenError::Invalid { .. })) => return "refused",
        // It lost its tables' names, or the record that says whose it is.
        Err(_) => return "refused by the component",
    };
    let clean = tracker.verify().is_ok_and(|report| report.errors == 0);
    let found = rows(&mut tracker);
    let state = load::State::read(&mut tracker, 0);
    let outcome = match (&found, clean) {
        (Ok(found), true) if found == sound => "harmless",
        (Ok(_), true) => "another value",
        _ => "found by verify",
    };
    drop(state);
    for n in 61..64 {
        if load::commit(&mut tracker, 0, n).is_err() {
            break;
        }
    }
    let _ = tracker.reindex();
    let _ = tracker.verify();
    let _ = tracker.environment_stats();
    outcome
}

/// A damage: where, and what is flipped there; or where the file ends.
type Damage = (usize, Option<u8>);

fn damages(sound: &[u8]) -> Vec<Damage> {
    let mut random = fastrand::Rng::with_seed(11);
    let pages = sound.len() / PAGE;
    let mut damages: Vec<Damage> = Vec::new();
    let flips = if long() { &[0x01, 0x80, 0xff][..] } else { &[0xff][..] };
    for flip in flips {
        // Both meta pages, all that is used of them.
        damages.extend(
            (0..2)
                .flat_map(|meta| (0..160).step_by(if long() { 1 } else { 2 }).map(move |at| meta * PAGE + at))
                .map(|at| (at, Some(*flip))),
        );
        // Every page's header and pointers, or some of them.
        for page in 2..pages {
            let many = scale(1, 8);
            damages.extend((0..many).map(|_| (page * PAGE + random.usize(0..32), Some(*flip))));
        }
    }
    // Anywhere: heads of nodes, keys, values, lists of free pages.
    damages.extend((0..scale(150, 4000)).map(|_| (random.usize(0..sound.len()), Some(1 << random.u32(0..8)))));
    damages.extend((0..pages).step_by(scale(pages / 12, 1)).map(|page| (page * PAGE, None)));
    damages.extend((0..scale(5, 50)).map(|_| (random.usize(1..sound.len()), None)));
    damages
}

fn apply(sound: &[u8], (at, flip): Damage) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    match flip {
        Some(flip) => bytes[at] ^= flip,
        None => bytes.truncate(at),
    }
    bytes
}

/// Uses one damaged store after another, from the one with this number on.
fn use_all(task: &str) {
    let (first, dir) = task.split_once(' ').unwrap();
    let dir = Path::new(dir);
    let sound = std::fs::read(dir.join("sound")).unwrap();
    let rows = {
        let place = dir.join("sound store");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::copy(dir.join("sound"), place.join("data.mdb")).unwrap();
        rows(&mut Tracker::options(&place).read_only(true).open().unwrap()).unwrap()
    };
    for (number, damage) in damages(&sound).into_iter().enumerate().skip(first.parse().unwrap()) {
        let place = dir.join(number.to_string());
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("data.mdb"), apply(&sound, damage)).unwrap();
        eprintln!("using {number}");
        let options = Tracker::options(&place).durability(Durability::NoSync);
        let options = options.check_pages(std::env::var_os(UNCHECKED).is_none());
        eprintln!("used {number} {}", use_it(options, &rows));
        std::fs::remove_dir_all(&place).unwrap();
    }
}

#[test]
fn a_flipped_byte_or_a_cut_anywhere_is_an_error_or_harmless_and_never_kills_the_process() {
    const TEST: &str = "damage::a_flipped_byte_or_a_cut_anywhere_is_an_error_or_harmless_and_never_kills_the_process";
    if let Ok(task) = std::env::var(VARIABLE) {
        return use_all(&task);
    }
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let sound = store(dir.path());
    std::fs::write(dir.path().join("sound"), &sound).unwrap();
    let damages = damages(&sound);
    let (mut outcomes, mut killed, mut first) = (BTreeMap::<String, usize>::new(), Vec::new(), 0);
    while first < damages.len() {
        let task = format!("{first} {}", dir.path().display());
        let mut child = another_process(TEST, VARIABLE, task).stderr(Stdio::piped()).spawn().unwrap();
        let mut last = None;
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map(std::result::Result::unwrap) {
            if let Some(number) = line.strip_prefix("using ") {
                last = Some(number.parse::<usize>().unwrap());
            } else if let Some((number, outcome)) = line.strip_prefix("used ").and_then(|used| used.split_once(' ')) {
                assert_eq!(Some(number.parse().unwrap()), last);
                *outcomes.entry(outcome.to_owned()).or_default() += 1;
                first = last.unwrap() + 1;
            }
        }
        let status = child.wait().unwrap();
        if first < damages.len() {
            let last = last.unwrap_or_else(|| panic!("{status}: it did not come to the first"));
            killed.push(format!("{status}: damage {last}, {:?}", damages[last]));
            first = last + 1;
        }
    }
    figure("damaged data files", damages.len());
    for (outcome, number) in &outcomes {
        figure(&format!("  {outcome}"), number);
    }
    figure("  killed the process", killed.len());
    assert!(killed.is_empty(), "{killed:#?}");
    assert!(outcomes["refused"] > damages.len() / 10, "{outcomes:?}");
    // Bytes within values: LMDB has no checksums.
    let unnoticed = outcomes.get("another value").copied().unwrap_or(0);
    assert!(unnoticed < damages.len() / 4, "{outcomes:?}");
}

#[test]
fn the_command_names_the_damaged_page_and_exits_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path());
    let store = dir.path().join("store");
    // The first page of the tree of tables: where the newer header says.
    let number = |at: usize| u64::from_ne_bytes(sound[at..at + 8].try_into().unwrap());
    let newer = if number(144) > number(PAGE + 144) { 0 } else { PAGE };
    let page = number(newer + 128) as usize;
    std::fs::write(store.join("data.mdb"), apply(&sound, (page * PAGE, Some(0x40)))).unwrap();
    let store = store.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["verify", store],
        &["call", store, "file-count()", "--check-pages"],
        &["restore", store, "elsewhere"],
        &["compact", store],
    ];
    for arguments in commands {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_host"));
        let output = command.args(arguments).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let told =
            text.contains("damaged; restore it from a backup") && text.contains(&format!("page {page} of the tables"));
        assert!(told, "{text}");
    }
    assert!(!dir.path().join("elsewhere").exists());
}
