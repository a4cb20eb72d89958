//! The `host` command, run as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::small;

fn host(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn session(store: &Path, input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["call", store.to_str().unwrap(), "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line that a failed command prints.
fn error(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn answers_are_those_of_the_manifest() {
    let fixture = small();
    let store = fixture.store.to_str().unwrap();
    let output = host(&["call", store, "get-file-by-key(9223372036854775808)", "get-recent-files(1)", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["path"], "/home/dev/project/src/back\\slash.py");
    assert_eq!(lines[0]["key-hash"], 9223372036854775808u64);
    assert_eq!(lines[0]["vector-offset"], Value::Null);
    assert_eq!(lines[1].as_array().unwrap().len(), 1);
}

#[test]
fn a_session_has_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("s");
    let input = "begin-batch()\nset-metadata(\"a\",\"1\")\nget-metadata(\"a\")\nabort-batch()\nget-metadata(\"a\")\n";
    let output = session(&store, input, &["--create"]);
    assert_eq!(stdout(&output), "ok\nok\nsome(\"1\")\nok\nnone\n");
    let output = session(&store, input, &["--json"]);
    assert_eq!(stdout(&output), "null\nnull\n\"1\"\nnull\nnull\n");
    let output = session(&store, "begin-batch()\nset-metadata(\"a\",\"1\")\n", &[]);
    assert!(error(&output, 1).contains("aborted"));
    let output = session(&store, "nonsense\nfile-count()\n", &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).starts_with("{\"error\":") && stdout(&output).ends_with("\n0\n"), "{output:?}");
}

#[test]
fn wrong_calls_name_the_signature() {
    let store = small().store.to_str().unwrap();
    let call = |expression: &str| error(&host(&["call", store, expression]), 1);
    assert!(call("get-fil(\"a\")").contains("there is no function \"get-fil\"; did you mean"));
    for wrong in ["get-metadata()", "get-metadata(\"a\", \"b\")", "get-metadata(1)", "get-metadata(\"a"] {
        let message = call(wrong);
        assert!(message.contains("get-metadata: func(key: string) -> result<option<string>, error>"), "{message}");
    }
}

#[test]
fn explain_shows_tables_and_rows() {
    let store = small().store.to_str().unwrap();
    let text = stdout(&host(&["call", store, "get-recent-files(3)", "--explain"]));
    assert!(text.contains("files_by_indexed"), "{text}");
    assert!(text.contains("rows scanned 3, rows returned 3"), "{text}");
    let json = stdout(&host(&["call", store, "get-recent-files(3)", "--explain", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rows-returned"], 3);
    assert_eq!(json["explain"]["tables"]["files_by_indexed"]["rows-scanned"], 3);
}

#[test]
fn migrate_reports_rejects_and_refuses_to_overwrite() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store) = (dir.path().join("small.db"), dir.path().join("a store é"));
    std::fs::copy(&small().database, &database).unwrap();
    let arguments = ["migrate", database.to_str().unwrap(), store.to_str().unwrap()];
    let output = host(&arguments);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stderr.is_empty(), "no progress bars in a pipe");
    assert!(stdout(&output).contains("1 rejected: thread_id is negative, not an id"));
    assert!(dir.path().join("small.db.bak").exists());
    assert!(dir.path().join("a store é.rejects.jsonl").exists());
    assert!(error(&host(&arguments), 1).contains("small.db.bak is there already"));
    let again = [&arguments[..], &["--no-backup"]].concat();
    assert!(error(&host(&again), 1).contains("--force"));
    let forced = [&again[..], &["--force", "--json"]].concat();
    let summary: Value = serde_json::from_str(&stdout(&host(&forced))).unwrap();
    assert_eq!(summary["tables"][0]["migrated"], 189);
    let verified = host(&["verify", store.to_str().unwrap(), "--json"]);
    assert_eq!(verified.status.code(), Some(0));
    assert_eq!(serde_json::from_str::<Value>(&stdout(&verified)).unwrap()["errors"], 0);
}

#[test]
fn bad_stores_are_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("file"), "x").unwrap();
    assert!(error(&host(&["stats", &path("missing")]), 1).contains("there is no store at"));
    assert!(error(&host(&["verify", &path("file")]), 1).contains("is a file"));
    assert!(error(&host(&["call", &path("missing"), "file-count()", "--read-only"]), 1).contains("there is no store"));
    assert!(error(&host(&["migrate", &path("missing"), &path("s")]), 1).contains("cannot read"));
    assert!(error(&host(&["migrate", &path("file"), &path("s")]), 1).contains("not an SQLite database"));
    assert!(error(&host(&["track", &path("s"), &path("missing")]), 1).contains("is not a directory"));
    assert!(!dir.path().join("s").exists());
    assert_eq!(host(&["call"]).status.code(), Some(2));
    assert_eq!(host(&["frobnicate"]).status.code(), Some(2));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let store = small().store.to_str().unwrap();
    let calls = vec!["list-files(none, 1000)"; 200];
    let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["call", store])
        .args(&calls)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn stats_help_completions_and_man_page_are_there() {
    let store = small().store.to_str().unwrap();
    let stats: Value = serde_json::from_str(&stdout(&host(&["stats", store, "--json"]))).unwrap();
    let tables = stats["environment"]["tables"].as_array().unwrap();
    assert!(tables.iter().any(|table| table["name"] == "symbols" && table["entries"] == 2185));
    let data = ["migrate", "compare", "track", "export", "import"];
    let upkeep = ["call", "stats", "verify", "reindex", "backup", "restore", "compact", "completions"];
    for command in data.into_iter().chain(upkeep) {
        let help = stdout(&host(&[command, "--help"]));
        assert!(help.contains("Examples:") && help.contains("--json"), "{command}");
    }
    assert!(stdout(&host(&["completions", "bash"])).contains("complete -F"));
    assert!(stdout(&host(&["man"])).starts_with(".ie"));
}
