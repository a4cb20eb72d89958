//! Commands that are interrupted: with Ctrl-C, by SIGTERM, by SIGKILL.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rusqlite::Connection;
use tempfile::TempDir;
use tracker_host::types::{ROW_KINDS, Row};
use tracker_host::{Durability, Tracker};

use crate::support::{figure, scale, small};

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];

fn host(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn done(arguments: &[&str], codes: &[i32]) {
    let output = host(arguments).output().unwrap();
    assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{arguments:?}: {output:?}");
}

/// Runs a command, sends it the signal after a while, and says how it ended and what it said.
fn interrupt(arguments: &[&str], signal: Signal, after: Duration) -> (ExitStatus, String) {
    let child = host(arguments).spawn().unwrap();
    thread::sleep(after);
    // It may have ended; it is not waited for yet, so the number is still its.
    let _ = kill(Pid::from_raw(child.id() as i32), signal);
    let output = child.wait_with_output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

/// Every row but for its times, which depend on when it was written.
fn rows(store: &Path) -> Vec<Row> {
    let options = Tracker::options(store).durability(Durability::NoSync).create(false).check_pages(true);
    let mut tracker = options.open().unwrap_or_else(|error| panic!("{error:?}"));
    let report = tracker.verify().unwrap();
    assert_eq!(report.errors, 0, "{:?}", report.findings);
    let mut rows = Vec::new();
    for kind in ROW_KINDS {
        rows.extend(tracker.rows(kind, 500).map(std::result::Result::unwrap));
    }
    for row in &mut rows {
        if let Row::File(row) = row {
            row.indexed_at = 0.0;
        }
    }
    rows
}

/// How far the interruptions went.
#[derive(Default)]
struct Tally {
    finished: usize,
    stopped: usize,
}

/// Interrupts a command again and again; `check` looks at what it left and completes it.
fn many(what: &str, arguments: impl Fn(&Path) -> Vec<String>, mut check: impl FnMut(&Path, &str)) {
    let dir = tempfile::tempdir().unwrap();
    let run = |store: &Path, signal, after| {
        let arguments = arguments(store);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        interrupt(&arguments, signal, after)
    };
    let begun = Instant::now();
    let (status, text) = run(&dir.path().join("first"), Signal::SIGCONT, Duration::ZERO);
    let takes = begun.elapsed();
    assert!(matches!(status.code(), Some(0 | 3)), "{text}");
    let mut random = fastrand::Rng::with_seed(3);
    let mut tally = Tally::default();
    for round in 0..scale(6, 60) {
        let (store, signal) = (dir.path().join(format!("store {round}")), SIGNALS[round % SIGNALS.len()]);
        let after = takes.mul_f64(random.f64() * 0.9);
        let (status, text) = run(&store, signal, after);
        match status.code() {
            Some(0 | 3) => tally.finished += 1,
            // By the signal itself, before its handler was there or if it cannot have one.
            None => {
                tally.stopped += 1;
                assert_eq!(text, "", "{signal}");
            }
            code => {
                tally.stopped += 1;
                assert_eq!(code, Some(1), "{signal}: {text}");
                assert!(text.contains("interrupted") && signal != Signal::SIGKILL, "{signal}: {text}");
            }
        }
        check(&store, &text);
    }
    figure(&format!("interrupted with SIGINT, SIGTERM or SIGKILL: {what}"), tally.stopped + tally.finished);
    assert!(tally.stopped > 0, "it was always done before");
}

/// A database that takes a while.
fn database() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source.db");
    std::fs::copy(&small().database, &path).unwrap();
    let more = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
        INSERT INTO files (path, mtime, size, content_hash, blob_offset, blob_length, key_hash, indexed_at)
        SELECT '/more/' || n, n, n, 'hash', 0, 1, 1000000 + n, n FROM n;";
    Connection::open(&path).unwrap().execute_batch(more).unwrap();
    (dir, path)
}

#[test]
fn an_interrupted_migration_leaves_a_sound_store_and_is_resumed_to_the_same_end() {
    let (_dir, database) = database();
    let database = database.to_str().unwrap();
    let whole = tempfile::tempdir().unwrap();
    done(&["migrate", database, whole.path().join("s").to_str().unwrap(), "--no-backup"], &[3]);
    let expected = rows(&whole.path().join("s"));
    many(
        "migrate",
        |store| ["migrate", database, store.to_str().unwrap(), "--no-backup"].map(String::from).to_vec(),
        |store, _| {
            let path = store.to_str().unwrap();
            let mut tracker = Tracker::open(store).unwrap();
            let unfinished = tracker.get_import_state().unwrap().is_some();
            let empty = tracker.file_count().unwrap() == 0;
            drop(tracker);
            if unfinished {
                // Nobody takes it for whole.
                done(&["migrate", database, path, "--no-backup"], &[1]);
                done(&["migrate", database, path, "--no-backup", "--resume"], &[3]);
            } else if empty {
                done(&["migrate", database, path, "--no-backup"], &[3]);
            }
            assert_eq!(rows(store), expected);
        },
    );
}

#[test]
fn an_interrupted_import_leaves_a_sound_store_and_is_repeated_to_the_same_end() {
    let (dir, database) = database();
    let (store, lines) = (dir.path().join("s"), dir.path().join("lines.jsonl"));
    done(&["migrate", database.to_str().unwrap(), store.to_str().unwrap(), "--no-backup"], &[3]);
    done(&["export", store.to_str().unwrap(), "-o", lines.to_str().unwrap()], &[0]);
    let (expected, lines) = (rows(&store), lines.to_str().unwrap());
    many(
        "import",
        |store| ["import", store.to_str().unwrap(), lines].map(String::from).to_vec(),
        |store, text| {
            let all = store.exists() && rows_or_none(store).as_ref() == Some(&expected);
            if !all {
                // It says how many lines it has, if it could say anything.
                let skip =
                    text.split("--skip ").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect());
                let skip: String = skip.unwrap_or_default();
                let path = store.to_str().unwrap();
                if skip.is_empty() {
                    std::fs::remove_dir_all(store).ok();
                    done(&["import", path, lines], &[0]);
                } else {
                    done(&["import", path, lines, "--skip", &skip], &[0]);
                }
            }
            assert_eq!(rows(store), expected);
        },
    );
}

fn rows_or_none(store: &Path) -> Option<Vec<Row>> {
    store.join("data.mdb").exists().then(|| {
        drop(Tracker::open(store).unwrap());
        rows(store)
    })
}

#[test]
fn an_interrupted_track_leaves_a_sound_store_and_is_repeated_to_the_same_end() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    for n in 0..3000 {
        let folder = files.join(format!("{:02}", n % 50));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{n}.txt")), format!("{n}")).unwrap();
    }
    let files = files.to_str().unwrap();
    let whole = dir.path().join("whole");
    done(&["track", whole.to_str().unwrap(), files], &[0]);
    let expected = rows(&whole);
    many(
        "track",
        |store| ["track", store.to_str().unwrap(), files].map(String::from).to_vec(),
        |store, _| {
            if let Some(found) = rows_or_none(store) {
                let known = |row: &Row| !matches!(row, Row::File(_)) || expected.contains(row);
                assert!(found.len() <= expected.len() && found.iter().rev().take(50).all(known));
            }
            done(&["track", store.to_str().unwrap(), files], &[0]);
            assert_eq!(rows(store), expected);
        },
    );
}

#[test]
fn a_backup_or_an_export_that_is_interrupted_leaves_nothing_half() {
    let (_dir, store) = small().copy();
    let store = store.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..scale(4, 40) {
        for command in ["backup", "jsonl", "sqlite"] {
            let to = path(&format!("{command}{round}"));
            let arguments: &[&str] = match command {
                "backup" => &["backup", store, &to],
                "jsonl" => &["export", store, "-o", &to],
                _ => &["export", "--sqlite", store, &to],
            };
            let signal = SIGNALS[round % 2];
            let (status, text) = interrupt(arguments, signal, Duration::from_millis(random.u64(0..120)));
            let there = Path::new(&to).exists();
            let finished = matches!(status.code(), Some(0 | 3));
            assert!(there || !finished, "{arguments:?}, {signal}: {status}: {text}");
            // What has its name is whole, also if the signal came just then.
            match command {
                _ if !there => {}
                "backup" => done(&["verify", &to], &[0]),
                "jsonl" => done(&["import", &path(&format!("imported{round}")), &to], &[0]),
                _ => done(&["compare", &to, store], &[0]),
            }
            // It can be had under the same name.
            if !there {
                done(arguments, &[0, 3]);
            }
        }
    }
}
