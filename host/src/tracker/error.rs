//! What a tracker call answers instead of a result.

use std::path::PathBuf;
use std::time::Duration;

use crate::bindings::exports::galaxybrain::tracker::tracker as wit;
use crate::bindings::galaxybrain::tracker::store as wit_store;
use crate::component::ComponentError;
use crate::place::PlaceError;
use crate::store::StoreError;
use crate::store::lmdb::OpenError;

/// Why a tracker could not be opened or a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is not acceptable.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The key hash belongs to another memory.
    #[error("key conflict: {0}")]
    KeyConflict(String),
    /// A record cannot be decoded.
    #[error("corrupt record: {0}")]
    Corrupt(String),
    /// The store was written by another version, or is not a tracker's.
    #[error("incompatible store: {0}")]
    Incompatible(String),
    /// The store has reached its maximum size; everything committed is kept.
    #[error("the store has reached its maximum size; open it with a larger one (--max-map-size)")]
    MapFull,
    /// The store is open for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// Other writers were faster each time, or the connection to the server was lost.
    #[error("other writers were faster, or the connection was lost, {0} times; nothing was kept, try again")]
    Conflict(u32),
    /// The environment belongs to another program.
    #[error("the environment holds tables of another program and was left alone")]
    Foreign,
    /// The transaction of the batch is gone; nothing of the batch was kept.
    #[error("the batch was aborted by an earlier error; nothing of it was kept")]
    BatchAborted,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// The call ran longer than it may. Nothing of it was kept.
    #[error("the call was ended after {0:?}; allow more time (--deadline) or ask for less")]
    Deadline(Duration),
    /// The component asked for more memory than it may have. Nothing of the call was kept.
    #[error("the call needed more than {0} bytes of memory; allow more (--memory) or ask for less")]
    OutOfMemory(usize),
    /// The component failed. Nothing of the call was kept.
    #[error("the component failed")]
    Trap(#[source] wasmtime::Error),
    /// The component answered what no tracker does.
    #[error("the component answers nonsense: {0}")]
    Nonsense(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store on a server cannot be opened.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Server(#[from] crate::store::postgres::OpenError),
    /// A store on a server has no such thing.
    #[error("{0} is for stores in a directory; what is on a server is copied with `host export` or `host copy`")]
    NotOnServer(&'static str),
    /// The component cannot be loaded.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The engine answered with an error outside a call.
    #[error(transparent)]
    Engine(#[from] StoreError),
    /// There is no such function.
    #[error("there is no function {0:?}")]
    NoSuchFunction(String),
    /// A backup or an export cannot be put in its place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The store is to be kept.
    #[error("{0} holds a store already, which was left alone; pass --replace to put the backup in its place")]
    StoreExists(PathBuf),
    /// A backup does not verify. The store was left alone.
    #[error("{path} is not sound and was not restored: {errors} errors, the first: {first}")]
    Unsound {
        /// The backup.
        path: PathBuf,
        /// Errors that `verify` found.
        errors: u64,
        /// The first of them.
        first: String,
    },
    /// A migration into the store has not been finished.
    #[error("{path} is incomplete: a migration has not finished ({state}); resume it first")]
    Incomplete {
        /// The store.
        path: PathBuf,
        /// Where it stopped.
        state: String,
    },
    /// A copy has other records than what was copied. Nothing was replaced.
    #[error("the copy of {0} differs from it, so the store was left as it is; check it with `host verify`")]
    CopyDiffers(PathBuf),
    /// A file of the caller's cannot be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// The case by name, for programs in other languages: for errors of the
    /// component the case of `tracker.error` or of `store.error` in `wit/`.
    pub fn case(&self) -> &'static str {
        match self {
            Error::InvalidArgument(_) => "invalid-argument",
            Error::KeyConflict(_) => "key-conflict",
            Error::Corrupt(_) => "corrupt",
            Error::Incompatible(_) => "incompatible",
            Error::MapFull => "map-full",
            Error::ReadOnly => "read-only",
            Error::Conflict(_) => "conflict",
            Error::Foreign => "foreign",
            Error::BatchAborted => "batch-aborted",
            Error::Store(_) => "store",
            Error::Deadline(_) => "deadline",
            Error::OutOfMemory(_) => "out-of-memory",
            Error::Trap(_) => "trap",
            Error::Nonsense(_) => "nonsense",
            Error::NoSuchFunction(_) => "no-such-function",
            Error::Open(_) | Error::Component(_) | Error::Engine(_) => "open",
            #[cfg(feature = "postgres")]
            Error::Server(_) => "open",
            Error::Place(_)
            | Error::StoreExists(_)
            | Error::Unsound { .. }
            | Error::Incomplete { .. }
            | Error::CopyDiffers(_)
            | Error::NotOnServer(_)
            | Error::Io { .. } => "other",
        }
    }

    /// What the component says about the case, if it says anything.
    pub fn text(&self) -> Option<&str> {
        match self {
            Error::InvalidArgument(text)
            | Error::KeyConflict(text)
            | Error::Corrupt(text)
            | Error::Incompatible(text)
            | Error::Nonsense(text)
            | Error::Store(text) => Some(text),
            _ => None,
        }
    }
}

/// Checks that a call which was asked about many has answered for each.
pub(crate) fn each_answered<T>(asked: usize, answers: Vec<T>) -> Result<Vec<T>, Error> {
    match answers.len() {
        answered if answered == asked => Ok(answers),
        answered => Err(Error::Nonsense(format!("{answered} answers to {asked} questions"))),
    }
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidArgument(what) => Error::InvalidArgument(what),
            wit::Error::KeyConflict(what) => Error::KeyConflict(what),
            wit::Error::Corrupt(what) => Error::Corrupt(what),
            wit::Error::Incompatible(what) => Error::Incompatible(what),
            wit::Error::Store(error) => error.into(),
        }
    }
}

impl From<wit_store::Error> for Error {
    fn from(error: wit_store::Error) -> Self {
        use wit_store::Error as E;
        match error {
            E::MapFull => Error::MapFull,
            E::ReadOnly => Error::ReadOnly,
            E::Conflict => Error::Conflict(1),
            E::Foreign => Error::Foreign,
            E::NotFound => Error::Store("a key was not found".into()),
            E::KeySize(max) => Error::Store(format!("a key is empty or longer than {max} bytes")),
            E::ValueTooLarge(max) => Error::InvalidArgument(format!("a record is larger than {max} bytes")),
            E::TooManyTransactions(max) => Error::Store(format!("the component holds {max} transactions, the limit")),
            E::Closed => Error::Store(
                "the transaction is over, belongs to another thread, or this thread has one already".into(),
            ),
            E::Corrupted(what) => Error::Store(what),
            E::Other(what) => Error::Store(what),
        }
    }
}
