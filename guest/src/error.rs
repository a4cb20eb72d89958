//! Errors: those of the WIT interface, used as they are.

use crate::store;
pub use crate::tracker::Error;

/// What every call and every step of one returns.
pub type Result<T> = std::result::Result<T, Error>;

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}

/// True if the transaction is over after this error.
pub fn ends_transaction(error: &Error) -> bool {
    !matches!(
        error,
        Error::InvalidArgument(_)
            | Error::KeyConflict(_)
            | Error::Corrupt(_)
            | Error::Incompatible(_)
            | Error::Store(store::Error::KeySize(_) | store::Error::ValueTooLarge(_))
    )
}
