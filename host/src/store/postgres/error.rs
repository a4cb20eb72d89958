//! What a server or the way to it answers, and what follows from it.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::store::engine::StoreError;

/// Why a store on a server cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be read.
    #[error("the URL of the store cannot be used: {0}; it is postgres://USER@HOST:PORT/DATABASE?namespace=NAME")]
    Url(String),
    /// A file that the URL names cannot be used.
    #[error("cannot use {path}, which {parameter} names")]
    File {
        /// The parameter.
        parameter: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There are no certificates to check the server's with.
    #[error("this system has no root certificates; name a file of them with sslrootcert, or use another sslmode")]
    NoRoots,
    /// There is nothing there.
    #[error(
        "there is no store at {0}; check the URL and its namespace, or create one with `host migrate` or `host copy`"
    )]
    Missing(String),
    /// The server cannot be reached, or refuses.
    #[error("cannot open {name}")]
    Server {
        /// The store, without its password.
        name: String,
        /// What it says.
        #[source]
        source: StoreError,
    },
}

/// An error that the server reports.
#[derive(Debug, thiserror::Error)]
#[error("the server says: {message}{detail} (SQLSTATE {code})")]
pub struct ServerError {
    /// The code.
    pub code: String,
    message: String,
    detail: String,
}

/// How a statement failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is gone; what it had not committed is, too.
    Lost(String),
    /// The server did not answer for so long; the connection is given up.
    Silent(Duration),
    /// The transaction has to be run again.
    Conflict,
    /// The server says no.
    Refused(ServerError),
    /// The client cannot make sense of it.
    Client(tokio_postgres::Error),
}

impl Failure {
    /// True if whether a statement took effect is not known.
    pub(super) fn is_ambiguous(&self) -> bool {
        matches!(self, Failure::Lost(_) | Failure::Silent(_))
    }

    /// True if the server says so.
    pub(super) fn has_code(&self, codes: &[SqlState]) -> bool {
        matches!(self, Failure::Refused(error) if codes.iter().any(|code| code.code() == error.code))
    }

    /// What a call of the store is told. Whoever lost the connection in the
    /// middle of a transaction runs it again on another one.
    pub(super) fn into_store(self, context: &'static str) -> StoreError {
        match self {
            Failure::Conflict => StoreError::Conflict,
            Failure::Lost(reason) => {
                tracing::debug!(reason, "the connection to the server was lost");
                StoreError::Conflict
            }
            failure => failure.into_plain(context),
        }
    }

    /// The same where nothing is run again.
    pub(super) fn into_plain(self, context: &'static str) -> StoreError {
        match self {
            Failure::Conflict => StoreError::Conflict,
            Failure::Lost(reason) => StoreError::Other(format!("{context}: the connection was lost: {reason}")),
            Failure::Silent(patience) => StoreError::Other(format!(
                "{context}: the server did not answer within {patience:?}; look after it and the network, or allow more \
                 time with statement_timeout"
            )),
            Failure::Refused(error) if error.code == SqlState::QUERY_CANCELED.code() => StoreError::Other(format!(
                "{context}: the server ended the statement: {}; allow more time with statement_timeout",
                error.message
            )),
            Failure::Refused(error) if error.code == SqlState::DISK_FULL.code() => {
                StoreError::DiskFull(std::io::Error::other(error))
            }
            Failure::Refused(error) if error.code == SqlState::READ_ONLY_SQL_TRANSACTION.code() => {
                StoreError::Other(format!(
                    "{context}: the server takes no writes, as a standby does; name the primary, or all of them with \
                     target_session_attrs=read-write"
                ))
            }
            Failure::Refused(source) => StoreError::Engine { context, source: source.into() },
            Failure::Client(source) => StoreError::Engine { context, source: source.into() },
        }
    }
}

/// Codes after which the transaction is run again.
const CONFLICTS: [SqlState; 3] = [
    SqlState::T_R_SERIALIZATION_FAILURE,
    SqlState::T_R_DEADLOCK_DETECTED,
    // It failed where the rest of an answer was not looked at.
    SqlState::IN_FAILED_SQL_TRANSACTION,
];

/// Codes after which the server has ended the connection or is about to.
const ENDED: [SqlState; 4] =
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW, SqlState::DATABASE_DROPPED];

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let io = std::error::Error::source(&error).is_some_and(|source| source.is::<std::io::Error>());
            if error.is_closed() || io {
                return Failure::Lost(crate::store::chain(&error));
            }
            return Failure::Client(error);
        };
        let code = said.code();
        if CONFLICTS.contains(code) {
            return Failure::Conflict;
        }
        // Class 08 is about connections; 40003 says that nothing is known.
        let unknown = *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN;
        if ENDED.contains(code) || code.code().starts_with("08") || unknown {
            return Failure::Lost(said.message().to_owned());
        }
        let detail = said.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        Failure::Refused(ServerError { code: code.code().to_owned(), message: said.message().to_owned(), detail })
    }
}

/// Whether trying to connect again may help: not where the server knows the
/// client and does not want it.
pub(super) fn may_recover(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => {
            !matches!(std::error::Error::source(error), Some(source) if source.is::<tokio_postgres::error::DbError>())
        }
        Some(code) => {
            *code == SqlState::CANNOT_CONNECT_NOW
                || *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN
                || code.code().starts_with("53")
                || code.code().starts_with("08")
        }
    }
}
