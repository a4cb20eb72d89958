//! Connections that are not in use, and making new ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::{Failure, OpenError};
use super::settings::Settings;
use super::wait;
use crate::store::engine::StoreError;

/// More are closed when they are given back: a server has room for a hundred.
const MAX_IDLE: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    pub(super) settings: Settings,
    idle: Mutex<Vec<Connection>>,
    /// Set by the first connection: from then on the server is waited for.
    reached: AtomicBool,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Self {
        Pool { settings, idle: Mutex::default(), reached: AtomicBool::new(false) }
    }

    /// A connection: one that was given back, or a new one.
    pub(super) fn take(&self) -> Result<Connection, StoreError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(connection) if connection.is_usable() => return Ok(connection),
                Some(_) => {}
                None => return self.connect(),
            }
        }
    }

    /// A connection that was given back, if there is one.
    pub(super) fn idle(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().filter(Connection::is_usable)
    }

    /// Takes a connection back that has no transaction.
    pub(super) fn give(&self, connection: Connection) {
        if !connection.is_usable() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Connects. A server that was there before may be restarting, or another
    /// one may be taking its place: it is tried again for a while.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let unreachable = match Connection::open(&self.settings) {
                Ok(connection) => {
                    self.reached.store(true, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(unreachable) => unreachable,
            };
            let wait = unreachable.may_recover && self.reached.load(Ordering::Relaxed);
            if !wait || began.elapsed() + pause > self.settings.reconnect_timeout {
                return Err(self.refuse(unreachable.failure));
            }
            tracing::debug!(failure = ?unreachable.failure, "the server cannot be reached; trying again");
            wait::pause(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn refuse(&self, failure: Failure) -> StoreError {
        let name = &self.settings.name;
        match failure {
            Failure::Lost(reason) => StoreError::Other(format!("cannot connect to {name}: {reason}")),
            Failure::Silent(patience) => {
                StoreError::Other(format!("cannot connect to {name}: no answer within {patience:?}"))
            }
            failure => failure.into_plain("connect to the server"),
        }
    }

    /// The same as an error of opening.
    pub(super) fn cannot_open(&self, source: StoreError) -> OpenError {
        OpenError::Server { name: self.settings.name.clone(), source }
    }
}
