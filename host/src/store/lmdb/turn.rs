//! The writers of all processes, one at a time.
//!
//! LMDB has a mutex for that, in its lock file, which the system gives on when
//! its holder is killed. There is a gap: the holder gives it back and wakes the
//! first of those that wait, takes it again at once, and now the first one is
//! killed. Nobody knows of the second one then, and it sleeps for ever, also
//! when the mutex is free. So writers wait for a lock of the system's first,
//! on the data file, and are alone when they come to LMDB's. It is taken by
//! this library only; other programs wait for LMDB's mutex as they always did.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::gate::WriterPass;

/// Where writers wait. None where there is nothing to wait for.
pub(super) struct Turns(Option<Arc<File>>);

impl Turns {
    /// Of an environment that is open for writing.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        // Elsewhere such a lock keeps LMDB itself from writing.
        if cfg!(unix) { Ok(Turns(Some(Arc::new(File::open(data)?)))) } else { Ok(Turns(None)) }
    }

    /// Of one that nobody writes.
    pub(super) fn none() -> Self {
        Turns(None)
    }

    /// Waits for the writers before this one.
    pub(super) fn wait(&self, pass: WriterPass) -> Writer {
        let turn = self.0.clone().filter(|file| {
            loop {
                match file.lock() {
                    Ok(()) => break true,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        // A file system without locks. LMDB's mutex is there still.
                        tracing::debug!(%error, "writers cannot wait for a lock of the data file");
                        break false;
                    }
                }
            }
        });
        Writer { turn, _pass: pass }
    }
}

/// The right to write, over all processes.
pub(super) struct Writer {
    turn: Option<Arc<File>>,
    _pass: WriterPass,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.turn.take().map(|file| file.unlock()) {
            tracing::warn!(%error, "the lock of the data file was not given back; writers wait until this process ends");
        }
    }
}
