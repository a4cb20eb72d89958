//! What the people who run a store do with it: backups, restores, compaction,
//! exports, figures, comparisons.

mod backups;
mod comparison;
mod exclusive;
mod exports;
mod figures;
mod rollback;
mod tools;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use tracker_host::Tracker;
use tracker_host::types::{ROW_KINDS, Row};

/// Runs the command with these arguments.
fn host<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_host")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The standard output of a command that ends with this code.
fn text(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line that a failed command prints.
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// Every row of a store, in order.
fn rows(store: &Path) -> Vec<Row> {
    // A backup is looked at without a trace; another store may be open in this process.
    let untouched = !store.join("lock.mdb").exists();
    let mut tracker = Tracker::options(store).read_only(untouched).open().unwrap();
    ROW_KINDS.iter().flat_map(|kind| tracker.rows(*kind, 500).map(Result::unwrap).collect::<Vec<_>>()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Another process that has a store open.
pub struct Session {
    child: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Session {
    pub fn new(store: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
            .arg("call")
            .arg(store)
            .args(["-", "--create"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut session = Session { child, input, answers };
        session.call("get-metadata(\"is it open?\")");
        session
    }

    pub fn call(&mut self, call: &str) -> String {
        writeln!(self.input, "{call}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
