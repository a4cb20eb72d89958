//! A benchmark that is interrupted: its stores, of up to gigabytes, go with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Starts a benchmark that takes minutes and waits until it takes note of signals.
fn benchmark(directory: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    command.args(["bench", "--rows", "1000", "--directory"]).arg(directory).env("RUST_LOG", "info");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut heading = String::new();
    printed.read_line(&mut heading).unwrap();
    assert!(heading.starts_with("work "), "{heading}");
    (child, printed)
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn a_benchmark_that_is_stopped_removes_its_stores() {
    for (signal, after) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 800), (Signal::SIGTERM, 4000)] {
        let directory = tempfile::tempdir().unwrap();
        let (child, _printed) = benchmark(directory.path());
        thread::sleep(Duration::from_millis(after));
        assert!(!is_empty(directory.path()));
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.ends_with("error: the benchmark was stopped\n"), "{said}");
        assert!(is_empty(directory.path()), "{signal} after {after} ms");
    }
}

#[test]
fn a_benchmark_ends_when_nobody_reads_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let (child, printed) = benchmark(directory.path());
    drop(printed);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    // The first row is of the migration; the last step is the one after all others.
    assert!(said.contains("migrating in processes") && !said.contains("starting processes"), "{said}");
    assert!(is_empty(directory.path()));
}
