//! The rejects file: what was left behind, a JSON document a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use super::MigrateError;

/// The rejects file, created when the first row is rejected.
pub struct Rejects {
    path: PathBuf,
    file: Option<io::BufWriter<File>>,
    length: u64,
}

impl Rejects {
    /// Begins after `length` bytes, cutting off what follows: rows that an
    /// interrupted run had rejected, but whose batch was not committed.
    pub fn resume(path: &Path, length: u64) -> Result<Self, MigrateError> {
        let mut rejects = Rejects { path: path.to_owned(), file: None, length };
        if length > 0 {
            let opened = rejects.open().map(drop);
            opened.map_err(|source| rejects.error(source))?;
        } else if path.exists() {
            std::fs::remove_file(path).map_err(|source| rejects.error(source))?;
        }
        Ok(rejects)
    }

    fn error(&self, source: io::Error) -> MigrateError {
        MigrateError::Rejects { path: self.path.clone(), source }
    }

    fn open(&mut self) -> io::Result<&mut io::BufWriter<File>> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt;
                options.mode(0o600);
            }
            let mut file = options.open(&self.path)?;
            file.set_len(self.length)?;
            file.seek(io::SeekFrom::End(0))?;
            self.file = Some(io::BufWriter::new(file));
        }
        match &mut self.file {
            Some(file) => Ok(file),
            None => unreachable!("it was just set"),
        }
    }

    /// Adds a row.
    pub fn add(&mut self, table: &str, rowid: i64, reason: &str) -> Result<(), MigrateError> {
        let mut line = serde_json::json!({ "table": table, "rowid": rowid, "reason": reason }).to_string();
        line.push('\n');
        let written = self.open().and_then(|file| file.write_all(line.as_bytes()));
        written.map_err(|source| self.error(source))?;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Puts everything on the disk; the length of the file.
    pub fn flush(&mut self) -> Result<u64, MigrateError> {
        let flushed = match &mut self.file {
            Some(file) => file.flush().and_then(|()| file.get_ref().sync_data()),
            None => Ok(()),
        };
        flushed.map_err(|source| self.error(source))?;
        Ok(self.length)
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        (self.length > 0).then_some(&self.path)
    }
}
