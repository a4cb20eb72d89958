//! A store into another one, on whatever engine each of them is.
//!
//! Rows go through the component, as an export's do: the copy has its own
//! indexes, in the layout that its component writes. Until all rows were read
//! back and compared the target is marked as incomplete, as by a migration, so
//! that nobody takes half of it for the whole.

use std::path::PathBuf;

use serde::Serialize;

use crate::export::{Rows, kind_name};
use crate::tracker::pause;
use crate::types::{ROW_KINDS, Row, RowKind};
use crate::{Error, Tracker};

/// Rows a transaction.
const ROWS: u32 = 4_000;
/// Rows a call.
const ROWS_PER_CALL: usize = 1_000;
/// How often a transaction is repeated.
const ATTEMPTS: u32 = 10;
/// What the target's import state begins with.
const STATE: &str = "copying ";

/// Why a copy stopped. The source is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source cannot be read.
    #[error("cannot copy from {name}")]
    Source {
        /// The store.
        name: PathBuf,
        /// What it says.
        #[source]
        source: Error,
    },
    /// The target cannot be written.
    #[error("cannot copy into {name}; what is there is marked as incomplete, and --resume goes on with it")]
    Target {
        /// The store.
        name: PathBuf,
        /// What it says.
        #[source]
        source: Error,
    },
    /// The target cannot be looked at. It was not changed.
    #[error("cannot open {name}")]
    Open {
        /// The store.
        name: PathBuf,
        /// What it says.
        #[source]
        source: Error,
    },
    /// The target has records.
    #[error("{0} is not empty; copy into a new store")]
    NotEmpty(PathBuf),
    /// The target holds half of something.
    #[error("{name} is incomplete: {state}; --resume goes on with a copy, `host migrate --resume` with a migration")]
    Incomplete {
        /// The store.
        name: PathBuf,
        /// What it says.
        state: String,
    },
    /// There is no copy to go on with.
    #[error("{0} holds no copy that was interrupted; copy without --resume")]
    NothingToResume(PathBuf),
    /// The caller asked to stop.
    #[error("interrupted; the copy is marked as incomplete, and --resume goes on with it")]
    Interrupted,
    /// The copy has other rows than the source.
    #[error(
        "the copy differs from its source: {0}; it stays marked as incomplete. If the source was written to since an \
         interrupted copy began, copy into a new store"
    )]
    Differs(String),
}

type Result<T> = std::result::Result<T, CopyError>;

/// A copy of one store into another.
pub struct Copy<'a> {
    from: &'a Tracker,
    to: &'a mut Tracker,
    resume: bool,
    progress: Box<dyn FnMut(RowKind, u64) + 'a>,
    interrupted: Box<dyn Fn() -> bool + 'a>,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Copied {
    /// Rows that were copied and compared, by kind.
    pub rows: Rows,
}

impl<'a> Copy<'a> {
    /// A copy of what `from` holds now into `to`, which is empty.
    pub fn new(from: &'a Tracker, to: &'a mut Tracker) -> Self {
        Copy { from, to, resume: false, progress: Box::new(|_, _| {}), interrupted: Box::new(|| false) }
    }

    /// Goes on with a copy that was interrupted: kinds that are whole are not copied again.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// What to tell while it runs: rows of a kind that were written or compared since.
    #[must_use]
    pub fn progress(mut self, progress: impl FnMut(RowKind, u64) + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Asked between transactions whether to stop.
    #[must_use]
    pub fn interrupted(mut self, interrupted: impl Fn() -> bool + 'a) -> Self {
        self.interrupted = Box::new(interrupted);
        self
    }

    /// Copies. The source is one snapshot; the target must be left alone meanwhile.
    ///
    /// # Errors
    ///
    /// See [`CopyError`].
    pub fn run(mut self) -> Result<Copied> {
        let name = self.from.path().to_owned();
        let unread = move |source| CopyError::Source { name: name.clone(), source };
        let mut snapshot = self.from.snapshot().map_err(&unread)?;
        snapshot.require_complete().map_err(&unread)?;
        let first = self.begin()?;
        for (position, kind) in ROW_KINDS.into_iter().enumerate().skip(first) {
            self.mark(Some(kind))?;
            let mut rows = snapshot.rows(kind, ROWS);
            while let Some(chunk) = chunk(&mut rows).map_err(&unread)? {
                self.write(&chunk)?;
                (self.progress)(kind, chunk.len() as u64);
                self.check_interrupted()?;
            }
            tracing::debug!(kind = kind_name(kind), position, "copied");
        }
        let mut copied = Rows::default();
        for kind in ROW_KINDS {
            let mut rows = snapshot.rows(kind, ROWS);
            let mut number = 0;
            while let Some(chunk) = chunk(&mut rows).map_err(&unread)? {
                self.compare(&chunk)?;
                number += chunk.len() as u64;
                (self.progress)(kind, chunk.len() as u64);
                self.check_interrupted()?;
            }
            let there = self.to.count_rows(kind).map_err(|source| self.unwritten(source))?;
            if there != number {
                let kind = kind_name(kind);
                return Err(CopyError::Differs(format!("it has {there} rows of kind {kind} instead of {number}")));
            }
            if number > 0 {
                copied.0.insert(kind_name(kind), number);
            }
        }
        self.mark(None)?;
        Ok(Copied { rows: copied })
    }

    fn unwritten(&self, source: Error) -> CopyError {
        CopyError::Target { name: self.to.path().to_owned(), source }
    }

    fn check_interrupted(&self) -> Result<()> {
        if (self.interrupted)() { Err(CopyError::Interrupted) } else { Ok(()) }
    }

    /// Looks at the target, and where to begin.
    fn begin(&mut self) -> Result<usize> {
        let name = self.to.path().to_owned();
        let unopened = |source| CopyError::Open { name: name.clone(), source };
        let state = self.to.get_import_state().map_err(unopened)?;
        match state {
            None if self.resume => Err(CopyError::NothingToResume(name)),
            None => {
                for kind in ROW_KINDS.into_iter().filter(|kind| *kind != RowKind::Counter) {
                    if self.to.count_rows(kind).map_err(unopened)? > 0 {
                        return Err(CopyError::NotEmpty(name));
                    }
                }
                Ok(0)
            }
            Some(state) => {
                let kind = state.strip_prefix(STATE).filter(|_| self.resume);
                let position = kind.and_then(|kind| ROW_KINDS.iter().position(|known| kind_name(*known) == kind));
                position.ok_or(CopyError::Incomplete { name, state })
            }
        }
    }

    /// Notes in the target what is being copied.
    fn mark(&mut self, kind: Option<RowKind>) -> Result<()> {
        let state = kind.map(|kind| format!("{STATE}{}", kind_name(kind)));
        self.to.set_import_state(state.as_deref()).map_err(|source| self.unwritten(source))
    }

    /// Writes rows in one transaction. A server may ask for that again.
    fn write(&mut self, rows: &[Row]) -> Result<()> {
        let mut attempt = 1;
        loop {
            let written = self.try_write(rows);
            match written {
                Err(Error::Conflict(_)) if attempt < ATTEMPTS => std::thread::sleep(pause(attempt)),
                written => return written.map_err(|source| self.unwritten(source)),
            }
            attempt += 1;
        }
    }

    fn try_write(&mut self, rows: &[Row]) -> std::result::Result<(), Error> {
        let mut batch = self.to.batch()?;
        for rows in rows.chunks(ROWS_PER_CALL) {
            batch.import_rows(rows)?;
        }
        batch.commit()
    }

    fn compare(&mut self, rows: &[Row]) -> Result<()> {
        let found = self.to.find_rows(rows).map_err(|source| self.unwritten(source))?;
        match rows.iter().zip(&found).find(|(row, found)| Some(*row) != found.as_ref()) {
            None => Ok(()),
            Some((row, found)) => Err(CopyError::Differs(format!("{row:?} came back as {found:?}"))),
        }
    }
}

/// The next rows; none at the end.
fn chunk(rows: &mut dyn Iterator<Item = crate::Result<Row>>) -> crate::Result<Option<Vec<Row>>> {
    let chunk = rows.take(ROWS as usize).collect::<crate::Result<Vec<Row>>>()?;
    Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
}
