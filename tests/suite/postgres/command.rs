//! The command over a server: every command does its work, or says that it has none there.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tracker_host::Tracker;
use tracker_host::copy::{Copy, CopyError};
use tracker_host::export::write_jsonl;

use crate::support::postgres::Namespace;
use crate::support::small;

fn host(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn done(arguments: &[&str], code: i32) -> String {
    let output = host(arguments);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
    let password = arguments.iter().find_map(|url| url.strip_prefix("postgres://")?.split_once('@')?.0.split_once(':'));
    if let Some((_, password)) = password {
        assert!(!out.contains(password) && !err.contains(password), "{arguments:?}: {out}{err}");
    }
    out + &err
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lines(tracker: &Tracker) -> Vec<u8> {
    let mut lines = Vec::new();
    write_jsonl(tracker, &mut lines, &|| false).unwrap();
    lines
}

#[test]
fn every_command_takes_a_url_or_says_why_not() {
    let Some(namespace) = Namespace::new() else { return };
    let url = namespace.url.as_str();
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("small.db");
    std::fs::copy(&small().database, &database).unwrap();
    let missing = done(&["call", url, "file-count()"], 1);
    assert!(missing.contains("there is no store at postgres://"), "{missing}");
    let migrated = done(&["migrate", text(&database), url, "--no-backup"], 3);
    assert!(migrated.contains("2925 rows migrated and compared, 1 rejected"), "{migrated}");
    assert!(dir.path().join("small.db.rejects.jsonl").is_file());
    let again = done(&["migrate", text(&database), url, "--no-backup"], 1);
    assert!(again.contains("holds records already"), "{again}");
    done(&["migrate", text(&database), url, "--no-backup", "--force"], 3);
    assert!(done(&["verify", url], 0).contains("2925 records and 8402 index entries checked: 0 errors"));
    let explained = done(&["call", url, "get-recent-files(3)", "--explain"], 0);
    assert!(explained.contains("round trips"), "{explained}");
    let stats = done(&["stats", url], 0);
    assert!(stats.contains("symbols") && stats.contains("2185"), "{stats}");
    assert!(done(&["compare", text(&database), url], 0).contains("they agree"));
    let exported = dir.path().join("out.jsonl");
    done(&["export", url, "-o", text(&exported)], 0);
    assert_eq!(std::fs::read(&exported).unwrap(), lines(&small().tracker()));
    done(&["export", "--sqlite", url, text(&dir.path().join("out.db"))], 0);
    done(&["import", url, text(&exported)], 0);
    done(&["reindex", url], 0);
    std::fs::create_dir(dir.path().join("src")).unwrap();
    std::fs::write(dir.path().join("src/a.rs"), "fn a() {}").unwrap();
    assert!(done(&["track", url, text(&dir.path().join("src"))], 0).contains("1 added"));
    let store = dir.path().join("store");
    done(&["copy", url, text(&store)], 0);
    assert!(done(&["verify", text(&store)], 0).contains("0 errors"));
    let backup = dir.path().join("backup");
    for refused in [vec!["backup", url, text(&backup)], vec!["restore", text(&store), url], vec!["compact", url]] {
        let said = done(&refused, 1);
        assert!(said.contains("is for stores in a directory") && said.contains("host export"), "{said}");
    }
    assert!(!backup.exists());
}

fn copied(from: &Tracker, to: &mut Tracker) -> u64 {
    Copy::new(from, to).run().unwrap().rows.total()
}

#[test]
fn a_copy_to_a_server_and_back_has_the_same_rows() {
    let Some(namespace) = Namespace::new() else { return };
    let source = small().tracker();
    let mut server = Tracker::open(&namespace.url).unwrap();
    let rows = copied(&source, &mut server);
    assert_eq!(lines(&server), lines(&source));
    assert_eq!(server.verify().unwrap().errors, 0);
    let mut back = Tracker::in_memory().unwrap();
    assert_eq!(copied(&server, &mut back), rows);
    assert_eq!(lines(&back), lines(&source));
    let refused = Copy::new(&source, &mut back).run();
    assert!(matches!(refused, Err(CopyError::NotEmpty(_))), "{refused:?}");
}

#[test]
fn a_copy_that_was_interrupted_is_refused_until_it_is_resumed() {
    let source = small().tracker();
    let mut target = Tracker::in_memory().unwrap();
    for stop in [1, 3, 9] {
        let seen = std::cell::Cell::new(0);
        let stopped = Copy::new(&source, &mut target)
            .resume(stop > 1)
            .interrupted(|| {
                seen.set(seen.get() + 1);
                seen.get() == stop
            })
            .run();
        assert!(matches!(stopped, Err(CopyError::Interrupted)), "{stopped:?}");
        let refused = Copy::new(&source, &mut target).run();
        assert!(matches!(refused, Err(CopyError::Incomplete { .. })), "{refused:?}");
        assert!(write_jsonl(&target, &mut Vec::new(), &|| false).is_err(), "nobody takes it for the whole");
    }
    Copy::new(&source, &mut target).resume(true).run().unwrap();
    assert_eq!(lines(&target), lines(&source));
    let refused = Copy::new(&source, &mut target).resume(true).run();
    assert!(matches!(refused, Err(CopyError::NothingToResume(_))), "{refused:?}");
}

#[test]
fn a_copy_that_differs_is_not_called_whole() {
    let source = small().tracker();
    let mut target = Tracker::in_memory().unwrap();
    let stopped = Copy::new(&source, &mut target).interrupted(|| true).run();
    assert!(matches!(stopped, Err(CopyError::Interrupted)));
    // Somebody writes into the target.
    target.upsert_file("/not/in/the/source", 1.0, 1, "hash", 0, 1, 1, &[]).unwrap();
    let differs = Copy::new(&source, &mut target).resume(true).run();
    assert!(matches!(differs, Err(CopyError::Differs(_))), "{differs:?}");
    assert!(target.get_import_state().unwrap().is_some());
}
