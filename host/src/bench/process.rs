//! Figures of whole processes: the command's start, and a migration.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::measure::median;
use super::report::Line;
use super::subject::{BenchError, Result, io};
use super::watch::Watch;

/// Runs a command and returns what it printed and how long it took, in nanoseconds.
fn run(command: &mut Command, wanted: &[i32]) -> Result<(String, f64)> {
    let start = Instant::now();
    let output = command.output().map_err(io(Path::new(command.get_program())))?;
    let elapsed = start.elapsed().as_nanos() as f64;
    if !output.status.code().is_some_and(|code| wanted.contains(&code)) {
        return Err(BenchError::Command {
            command: format!("{command:?}"),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok((String::from_utf8_lossy(&output.stdout).into_owned(), elapsed))
}

/// The greatest start time of a call on a warm cache, in milliseconds.
const START_MS: f64 = 15.0;

/// `host call STORE 'file-count()'`, with the compiled component in the cache and without.
pub fn start(host: &Path, store: &Path, runs: usize, watch: &Watch<'_>) -> Result<Vec<Line>> {
    let call = |cold: bool| {
        watch.check()?;
        let mut command = Command::new(host);
        command.arg("call").arg(store).arg("file-count()");
        if cold {
            command.arg("--no-cache");
        }
        run(&mut command, &[0]).map(|(_, ns)| ns)
    };
    call(false)?;
    let warm = (0..runs).map(|_| call(false)).collect::<Result<Vec<_>>>()?;
    let cold = call(true)?;
    let warm = median(warm).unwrap_or(f64::NAN);
    let target = (format!("≤ {START_MS} ms"), warm <= START_MS * 1e6);
    Ok(vec![
        Line::alone("host call, whole process", "call", warm, Some(target)),
        Line::alone("host call, compiling the component", "call", cold, None),
    ])
}

/// The least rows a second of a migration, with reading everything back.
const ROWS_PER_SECOND: f64 = 100_000.0;
/// What a migration may have in memory at most, in bytes.
const MEMORY: f64 = 150e6;

/// `host migrate` of a database to a store that goes again, so often or until
/// it has taken long enough.
pub fn migrate(
    host: &Path,
    database: &Path,
    store: &Path,
    runs: usize,
    enough: Duration,
    watch: &Watch<'_>,
) -> Result<Vec<Line>> {
    let (mut times, mut memory, mut rows) = (Vec::new(), 0.0, 0.0);
    let began = Instant::now();
    while times.is_empty() || times.len() < runs && began.elapsed() < enough {
        watch.check()?;
        let mut command = Command::new(host);
        command.arg("migrate").arg(database).arg(store).args(["--no-backup", "--json"]);
        // 3: rows were rejected.
        let (printed, ns) = run(&mut command, &[0, 3])?;
        let summary: serde_json::Value = serde_json::from_str(&printed)?;
        let tables = summary["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
        rows = tables.iter().filter_map(|table| table["migrated"].as_f64()).sum();
        memory = f64::max(memory, summary["peak-memory"].as_f64().unwrap_or(0.0));
        times.push(ns);
        std::fs::remove_dir_all(store).map_err(io(store))?;
    }
    let ns = median(times).unwrap_or(f64::NAN);
    let each = ns / rows;
    let fast = (format!("≥ {ROWS_PER_SECOND} rows/s"), 1e9 / each >= ROWS_PER_SECOND);
    let mut lines = vec![Line::alone("host migrate, with reading back", "row", each, Some(fast))];
    if memory > 0.0 {
        let mut line = Line::alone("peak memory of host migrate", "MB", f64::NAN, None);
        line.per_second = memory / 1e6;
        (line.target, line.met) = (Some(format!("< {} MB", MEMORY / 1e6)), Some(memory < MEMORY));
        lines.push(line);
    }
    Ok(lines)
}
