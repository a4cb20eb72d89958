//! The tracker, through its component.

use std::path::Path;

use super::subject::{Change, Peer, Result, Subject};
use crate::types::{FileRecord, FileUpsert, MemoryRecord, SymbolRecord};
use crate::{Clock, Durability, Options, Tracker};

/// Entries a page of the lists.
const PAGE: u32 = 1000;

/// The tracker.
pub struct TrackerSubject {
    /// None until it is opened, or opened again.
    tracker: Option<Tracker>,
    options: Options,
    durability: Durability,
}

impl TrackerSubject {
    /// Opens the store at a path.
    pub fn open(path: &Path, clock: &Clock) -> Result<Self> {
        let options = Tracker::options(path).clock(clock.clone());
        let mut subject = TrackerSubject { tracker: None, options, durability: Durability::Sync };
        subject.tracker()?;
        Ok(subject)
    }

    fn tracker(&mut self) -> Result<&mut Tracker> {
        match self.tracker {
            Some(ref mut tracker) => Ok(tracker),
            None => Ok(self.tracker.insert(self.options.clone().durability(self.durability).open()?)),
        }
    }
}

impl Subject for TrackerSubject {
    fn peer(&self) -> Peer {
        Peer::Tracker
    }

    fn set_durable(&mut self, durable: bool) -> Result<()> {
        self.durability = if durable { Durability::Sync } else { Durability::NoSync };
        // The environment is opened once in a process, so the old one goes first.
        self.tracker = None;
        self.tracker()?;
        Ok(())
    }

    fn get_file(&mut self, path: &str) -> Result<Option<FileRecord>> {
        Ok(self.tracker()?.get_file(path)?)
    }

    fn get_files(&mut self, paths: &[String]) -> Result<Vec<Option<FileRecord>>> {
        Ok(self.tracker()?.get_files(paths)?)
    }

    fn get_file_by_key(&mut self, key_hash: u64) -> Result<Option<FileRecord>> {
        Ok(self.tracker()?.get_file_by_key(key_hash)?)
    }

    fn get_symbols(&mut self, path: &str) -> Result<Vec<SymbolRecord>> {
        Ok(self.tracker()?.get_symbols(path)?)
    }

    fn find_symbols(&mut self, filter: &str) -> Result<Vec<SymbolRecord>> {
        let found: crate::Result<Vec<_>> = self.tracker()?.all_symbols(Some(filter), PAGE).collect();
        Ok(found?)
    }

    fn list_files(&mut self) -> Result<Vec<FileRecord>> {
        let listed: crate::Result<Vec<_>> = self.tracker()?.files(PAGE).collect();
        Ok(listed?)
    }

    fn recent_files(&mut self) -> Result<Vec<FileRecord>> {
        Ok(self.tracker()?.get_recent_files(10)?)
    }

    fn memories_by_tag(&mut self, tag: &str) -> Result<Vec<MemoryRecord>> {
        Ok(self.tracker()?.query_memories(None, &[], &[], &[tag.to_owned()], 50, 0)?)
    }

    fn files_by_context(&mut self, context: &str) -> Result<Vec<FileRecord>> {
        let listed: crate::Result<Vec<_>> = self.tracker()?.files_by_context(context, PAGE).collect();
        Ok(listed?)
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        let mut batch = self.tracker()?.batch()?;
        batch.upsert_files(&change.files)?;
        for (file, symbols) in change.files.iter().zip(&change.symbols) {
            batch.replace_symbols(&file.path, symbols)?;
        }
        Ok(batch.commit()?)
    }

    fn upsert_file(&mut self, file: &FileUpsert) -> Result<()> {
        let FileUpsert { path, mtime, size, content_hash, blob_offset, blob_length, key_hash, contexts } = file;
        let tracker = self.tracker()?;
        Ok(tracker.upsert_file(path, *mtime, *size, content_hash, *blob_offset, *blob_length, *key_hash, contexts)?)
    }
}
