//! Copies of an environment, made while it is in use.

use std::fs::File;
use std::io::Seek;

use heed::CompactionOption;

use super::Environment;
use super::environment::engine;
use crate::store::engine::StoreError;

impl Environment {
    /// Writes what is committed now into an empty file, without free pages, and
    /// syncs it. Returns its length. Writers go on meanwhile; the pages of the
    /// snapshot are kept alive until it is done.
    ///
    /// # Errors
    ///
    /// If the environment cannot be read, or the file not be written.
    pub fn copy_to(&self, file: &mut File) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let ((), _pass) = shared.begin("copy the store", || {
            // It may be the second attempt.
            file.set_len(0)?;
            file.rewind()?;
            shared.env.copy_to_file(file, CompactionOption::Enabled)
        })?;
        let synced = file.sync_all().and_then(|()| file.metadata());
        synced.map(|metadata| metadata.len()).map_err(|error| engine("write the copy to the disk", error))
    }
}
