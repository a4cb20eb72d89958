//! JSON Lines into a store.

use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use serde::Serialize;

use super::jsonl;
use crate::tracker::pause;
use crate::types::Row;
use crate::{Batch, Error, Tracker};

/// Rows a call, and about how many bytes of lines.
const ROWS_PER_CALL: usize = 2_000;
const BYTES_PER_CALL: usize = 8 << 20;
/// Calls a transaction.
const CALLS_PER_BATCH: u64 = 5;
/// How often a batch is repeated.
const ATTEMPTS: u32 = 10;
/// The longest line. A value has at most 64 MiB, and JSON writes a control
/// character with six bytes.
const LONGEST_LINE: u64 = 512 << 20;

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A line is no row.
    #[error("line {line} is not a row: {reason}; {}", so_far(*.committed))]
    Malformed {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
        /// The last line whose rows are in the store.
        committed: u64,
    },
    /// The store does not take a row.
    #[error("line {line} was refused; {}", so_far(*.committed))]
    Refused {
        /// The line, from 1.
        line: u64,
        /// The last line whose rows are in the store.
        committed: u64,
        /// What the store says.
        #[source]
        source: Error,
    },
    /// The stream cannot be read.
    #[error("cannot read line {line}; {}", so_far(*.committed))]
    Read {
        /// The line, from 1.
        line: u64,
        /// The last line whose rows are in the store.
        committed: u64,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The store failed.
    #[error("the import stopped; {}", so_far(*.committed))]
    Store {
        /// The last line whose rows are in the store.
        committed: u64,
        /// What the store says.
        #[source]
        source: Error,
    },
    /// The caller asked to stop.
    #[error("interrupted; {}", so_far(*.committed))]
    Interrupted {
        /// The last line whose rows are in the store.
        committed: u64,
    },
}

fn so_far(committed: u64) -> String {
    match committed {
        0 => "nothing was imported; import again when that is put right".to_owned(),
        committed => format!(
            "lines 1 to {committed} are in the store and nothing else: put that right and import again, \
             with --skip {committed} to go on from there"
        ),
    }
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Imported {
    /// Lines read, those that were skipped included.
    pub lines: u64,
    /// Rows imported, by kind.
    pub rows: super::Rows,
}

/// An import of JSON Lines, as [`super::write_jsonl`] writes them. Empty lines
/// are passed over. A row whose key is in the store replaces that one, so an
/// import can be repeated. Rows are committed in batches of ten thousand.
pub struct Import<'a> {
    tracker: &'a mut Tracker,
    skip: u64,
    interrupted: Box<dyn Fn() -> bool + 'a>,
    line: u64,
    committed: u64,
    rows: super::Rows,
}

/// Rows with their lines.
type Waiting = (Vec<Row>, Vec<u64>);

impl<'a> Import<'a> {
    /// An import into a store.
    pub fn new(tracker: &'a mut Tracker) -> Self {
        let rows = super::Rows::default();
        Import { tracker, skip: 0, interrupted: Box::new(|| false), line: 0, committed: 0, rows }
    }

    /// Passes over so many lines, which an import that stopped has committed.
    #[must_use]
    pub fn skip(mut self, lines: u64) -> Self {
        self.skip = lines;
        self
    }

    /// Asked between calls whether to stop.
    #[must_use]
    pub fn interrupted(mut self, interrupted: impl Fn() -> bool + 'a) -> Self {
        self.interrupted = Box::new(interrupted);
        self
    }

    /// Imports all lines.
    ///
    /// # Errors
    ///
    /// See [`ImportError`]: it says which lines are in the store.
    pub fn run(mut self, input: &mut dyn BufRead) -> Result<Imported, ImportError> {
        let mut line = Vec::new();
        while self.line < self.skip && self.next_line(input, &mut line)? {}
        self.committed = self.line;
        while self.batch(input, &mut line)?.is_continue() {}
        Ok(Imported { lines: self.line, rows: self.rows })
    }

    /// Imports a batch; breaks at the end.
    fn batch(&mut self, input: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<ControlFlow<()>, ImportError> {
        let mut flow = ControlFlow::Continue(());
        // Read before the batch begins: nobody else can write while it is open,
        // and the input may be slow.
        let mut calls = Vec::new();
        while calls.len() < CALLS_PER_BATCH as usize && flow.is_continue() {
            let (waiting, end) = self.read(input, line)?;
            calls.push(waiting);
            flow = end;
        }
        if (self.interrupted)() {
            return Err(ImportError::Interrupted { committed: self.committed });
        }
        let mut attempt = 1;
        loop {
            match self.commit(&calls) {
                // On a server another writer can be in the way.
                Err(ImportError::Store { source: Error::Conflict(_), .. }) if attempt < ATTEMPTS => {
                    std::thread::sleep(pause(attempt));
                }
                committed => break committed?,
            }
            attempt += 1;
        }
        self.committed = self.line;
        calls.iter().flat_map(|(rows, _)| rows).for_each(|row| self.rows.count(super::kind_of(row)));
        Ok(flow)
    }

    /// Imports a batch's rows in one transaction.
    fn commit(&mut self, calls: &[Waiting]) -> Result<(), ImportError> {
        let committed = self.committed;
        let stopped = |source| ImportError::Store { committed, source };
        let mut batch = self.tracker.batch().map_err(stopped)?;
        for (rows, lines) in calls {
            import(&mut batch, rows, lines, committed)?;
        }
        batch.commit().map_err(stopped)
    }

    /// The rows of the next call; breaks at the end.
    fn read(&mut self, input: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<(Waiting, ControlFlow<()>), ImportError> {
        let (mut rows, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
        while rows.len() < ROWS_PER_CALL && bytes < BYTES_PER_CALL {
            if !self.next_line(input, line)? {
                return Ok(((rows, lines), ControlFlow::Break(())));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            rows.push(jsonl::read(line).map_err(|reason| self.malformed(reason))?);
            lines.push(self.line);
            bytes += line.len();
        }
        Ok(((rows, lines), ControlFlow::Continue(())))
    }

    /// Reads a line; false at the end.
    fn next_line(&mut self, input: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<bool, ImportError> {
        line.clear();
        self.line += 1;
        let (number, committed) = (self.line, self.committed);
        let read = input.take(LONGEST_LINE).read_until(b'\n', line);
        let read = read.map_err(|source| ImportError::Read { line: number, committed, source })?;
        if read as u64 == LONGEST_LINE {
            return Err(self.malformed(format!("it has more than {LONGEST_LINE} bytes")));
        }
        if read == 0 {
            self.line -= 1;
        }
        Ok(read > 0)
    }

    fn malformed(&self, reason: String) -> ImportError {
        ImportError::Malformed { line: self.line, reason, committed: self.committed }
    }
}

/// Imports the rows of a call; on an error finds the one that is refused.
fn import(batch: &mut Batch<'_>, rows: &[Row], lines: &[u64], committed: u64) -> Result<(), ImportError> {
    let Err(error) = batch.import_rows(rows) else { return Ok(()) };
    if !matches!(error, Error::KeyConflict(_) | Error::InvalidArgument(_)) {
        return Err(ImportError::Store { committed, source: error });
    }
    // The call had no effect, and the batch, which will be aborted, takes others.
    for (row, line) in rows.iter().zip(lines) {
        if let Err(source) = batch.import_rows(std::slice::from_ref(row)) {
            return Err(ImportError::Refused { line: *line, committed, source });
        }
    }
    Err(ImportError::Store { committed, source: error })
}
