//! Watching a benchmark, and stopping it: its stores can take gigabytes, which
//! whoever made the directory wants to remove.

use super::data;
use super::subject::{BenchError, Result};
use crate::Options;

/// Who watches a benchmark: is told what it does, and can stop it.
pub struct Watch<'a> {
    /// Told what is being done.
    pub progress: Box<dyn FnMut(&str) + 'a>,
    /// Asked again and again whether to stop.
    pub interrupted: Box<dyn Fn() -> bool + 'a>,
}

/// Nobody.
impl Default for Watch<'_> {
    fn default() -> Self {
        Watch { progress: Box::new(|_| {}), interrupted: Box::new(|| false) }
    }
}

impl Watch<'_> {
    /// An error if the benchmark is to stop.
    pub(super) fn check(&self) -> Result<()> {
        if (self.interrupted)() { Err(BenchError::Interrupted) } else { Ok(()) }
    }

    /// Tells what comes next, if the benchmark is to go on.
    pub(super) fn step(&mut self, doing: &str) -> Result<()> {
        self.check()?;
        (self.progress)(doing);
        Ok(())
    }

    /// Fills a store with generated data.
    pub(super) fn fill(&mut self, what: &str, options: Options, files: usize) -> Result<()> {
        data::fill(options, files, &mut |done| self.step(&format!("filling {what}: {done} of {files} files")))
    }

    /// What ended the benchmark: to stop can look like the failure of a part.
    pub(super) fn ended<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| if (self.interrupted)() { BenchError::Interrupted } else { error })
    }
}
