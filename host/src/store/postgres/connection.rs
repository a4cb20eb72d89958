//! A connection: statements sent together and answers waited for.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join, join3};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, RowStream, Statement as Prepared};

use super::error::{Failure, may_recover};
use super::settings::Settings;
use super::statements::{ROLLBACK, SLOTS, Statement};
use super::wait::{self, count_round_trip};

pub(super) type Params<'a> = [&'a (dyn ToSql + Sync)];

/// An answer that has not come yet.
type Pending<'a> = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + 'a>>;

/// What was prepared of a statement.
enum Plan {
    /// A statement that is used once is not worth it.
    Used(u8),
    Ready(Prepared),
}

/// After so many uses a statement is prepared.
const PREPARE_AFTER: u8 = 1;

/// A connection to the server.
pub(super) struct Connection {
    client: Box<Client>,
    plans: RefCell<Vec<Plan>>,
    patience: Duration,
    /// Set when an answer is outstanding or the connection is gone.
    broken: Cell<bool>,
    /// It has answered somebody since it was made.
    proven: Cell<bool>,
}

/// Statements that some servers do not know, which do well without.
const HINTS: [&str; 3] = [
    // A sequential scan of a small table is cheap, but a serializable
    // transaction has then read all of it, and fails for any write.
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_sort = off",
];

/// A connection that could not be made, and whether trying again may help.
pub(super) struct Unreachable {
    pub(super) failure: Failure,
    pub(super) may_recover: bool,
}

impl Connection {
    /// Connects.
    pub(super) fn open(settings: &Settings) -> Result<Self, Unreachable> {
        let lost = |reason: String| Unreachable { failure: Failure::Lost(reason), may_recover: true };
        let (config, tls) = (settings.config.clone(), settings.tls.connect());
        let connecting = wait::spawn(async move {
            let (client, connection) = config.connect(tls).await?;
            // Who waits for an answer is told of its end.
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        });
        let connecting = connecting.map_err(|error| lost(error.to_string()))?;
        // Each host has its time, and each of a few steps; this is only a net.
        let hosts = settings.config.get_hosts().len().max(1) as u32;
        let patience = settings.config.get_connect_timeout().copied().unwrap_or_default() * 2 * hosts;
        let abort = connecting.abort_handle();
        count_round_trip();
        let client = match wait::wait(connecting, patience) {
            Ok(Ok(Ok(client))) => client,
            Ok(Ok(Err(error))) => {
                let may_recover = may_recover(&error);
                let text = crate::store::chain(&error);
                let failure = Failure::from(error);
                let failure = if matches!(failure, Failure::Client(_)) { Failure::Lost(text) } else { failure };
                return Err(Unreachable { failure, may_recover });
            }
            Ok(Err(join)) => return Err(lost(join.to_string())),
            Err(wait::TimedOut) => {
                abort.abort();
                return Err(Unreachable { failure: Failure::Silent(patience), may_recover: true });
            }
        };
        let connection = Connection {
            client: Box::new(client),
            plans: RefCell::new((0..SLOTS).map(|_| Plan::Used(0)).collect()),
            patience: settings.patience(),
            broken: Cell::new(false),
            proven: Cell::new(false),
        };
        let timeout = format!("SET statement_timeout = {}", settings.statement_timeout.as_millis());
        let hints = HINTS.map(|hint| connection.client.batch_execute(hint));
        let set = connection.wait(async {
            let timeout = connection.client.batch_execute(&timeout);
            let [a, b, c] = hints;
            let (set, _, _) = join3(timeout, a, join(b, c)).await;
            Ok(set?)
        });
        set.map_err(|failure| Unreachable { failure, may_recover: true })?;
        connection.proven.set(false);
        Ok(connection)
    }

    /// Waits for an answer.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        count_round_trip();
        self.wait_more(answer)
    }

    /// Waits for more of an answer.
    fn wait_more<T>(&self, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let answered = wait::wait(answer, self.patience).unwrap_or(Err(Failure::Silent(self.patience)));
        match &answered {
            Err(failure) if failure.is_ambiguous() => self.broken.set(true),
            _ => self.proven.set(true),
        }
        answered
    }

    /// True if nothing was ever answered through it.
    pub(super) fn is_new(&self) -> bool {
        !self.proven.get()
    }

    /// True if another transaction can be begun.
    pub(super) fn is_usable(&self) -> bool {
        !self.broken.get() && !self.client.is_closed()
    }

    /// What is to be done about preparing a statement now.
    fn plan(&self, statement: &Statement) -> (Option<Prepared>, bool) {
        match self.plans.borrow_mut().get_mut(statement.slot) {
            Some(Plan::Ready(prepared)) => (Some(prepared.clone()), false),
            Some(Plan::Used(uses)) => {
                *uses = uses.saturating_add(1);
                (None, *uses == PREPARE_AFTER + 1)
            }
            None => (None, false),
        }
    }

    fn keep(&self, statement: &Statement, prepared: Prepared) {
        if let Some(plan) = self.plans.borrow_mut().get_mut(statement.slot) {
            *plan = Plan::Ready(prepared);
        }
    }

    /// Sends a statement, behind a `BEGIN` if one is given, and waits for the
    /// answer to begin: one round trip.
    pub(super) fn query(
        &self,
        begin: Option<&str>,
        statement: &Statement,
        params: &Params<'_>,
    ) -> Result<Rows<'_>, Failure> {
        let stream = self.wait(async {
            let begun = async {
                match begin {
                    Some(begin) => self.client.batch_execute(begin).await,
                    None => Ok(()),
                }
            };
            let (plan, prepare) = self.plan(statement);
            let prepared = self.prepare(prepare, statement);
            let typed = statement.types.iter();
            let asked = async {
                match &plan {
                    Some(plan) => self.client.query_raw(plan, params.iter().copied()).await,
                    None => {
                        let typed = params.iter().copied().zip(typed.cloned());
                        self.client.query_typed_raw(&statement.sql, typed).await
                    }
                }
            };
            // They are sent in this order, when each is first polled.
            let (begun, prepared, stream) = join3(begun, prepared, asked).await;
            begun?;
            let stream = stream?;
            if let Some(prepared) = prepared {
                self.keep(statement, prepared);
            }
            Ok(stream)
        })?;
        Ok(Rows { stream: Box::pin(stream), done: false, connection: self })
    }

    /// Sends statements without parameters that nobody waits for.
    pub(super) fn send(&self, sql: &str) {
        wait::start(self.client.batch_execute(sql));
    }

    /// Ends a transaction that is not to be committed, without waiting.
    pub(super) fn roll_back(&self) {
        self.send(ROLLBACK);
    }

    /// Runs statements without parameters, but does not wait long for the answer.
    pub(super) fn batch_within(&self, sql: &str, patience: Duration) {
        if wait::wait(self.client.batch_execute(sql), patience).is_err() {
            self.broken.set(true);
        }
    }

    /// Runs statements without parameters: one round trip.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.wait(async { Ok(self.client.batch_execute(sql).await?) })
    }

    async fn execute(&self, statement: &Statement, params: &Params<'_>) -> Result<(), tokio_postgres::Error> {
        let (plan, prepare) = self.plan(statement);
        if let Some(plan) = &plan {
            return self.client.execute(plan, params).await.map(drop);
        }
        let typed = params.iter().copied().zip(statement.types.iter().cloned());
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = typed.collect();
        let executed = self.client.execute_typed(&statement.sql, &typed);
        let (prepared, executed) = join(self.prepare(prepare, statement), executed).await;
        if let Some(prepared) = prepared {
            self.keep(statement, prepared);
        }
        executed.map(drop)
    }

    /// Prepares a statement, if that is to be done. What cannot be prepared is
    /// asked as it is, and says why.
    async fn prepare(&self, prepare: bool, statement: &Statement) -> Option<Prepared> {
        if prepare { self.client.prepare_typed(&statement.sql, statement.types).await.ok() } else { None }
    }

    /// Runs statements together: one round trip. Which failed first says why
    /// the transaction failed: the others only say that it has.
    pub(super) fn execute_all(&self, commands: &[Command<'_>]) -> Result<(), Failure> {
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for command in commands {
            pending.push(match command {
                Command::Plain(sql) => Box::pin(self.client.batch_execute(sql)),
                Command::With(statement, params) => Box::pin(self.execute(statement, params)),
            });
        }
        self.wait(async {
            let mut answers: Vec<Option<Result<(), tokio_postgres::Error>>> = Vec::new();
            // All are sent, in their order, before the first is waited for.
            for command in &mut pending {
                let look = |context: &mut Context<'_>| Poll::Ready(command.as_mut().poll(context));
                answers.push(match poll_fn(look).await {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => None,
                });
            }
            let mut first = Ok(());
            for (command, answer) in pending.iter_mut().zip(answers) {
                let answer = match answer {
                    Some(answer) => answer,
                    None => command.as_mut().await,
                };
                if first.is_ok() {
                    first = answer;
                }
            }
            Ok(first?)
        })
    }
}

/// A statement to run with others.
pub(super) enum Command<'a> {
    Plain(&'a str),
    With(&'a Statement, Vec<&'a (dyn ToSql + Sync)>),
}

/// The rows of an answer, as they come.
pub(super) struct Rows<'c> {
    stream: Pin<Box<RowStream>>,
    /// A stream that has ended says that the connection is closed.
    done: bool,
    connection: &'c Connection,
}

impl Rows<'_> {
    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Failure> {
        if self.done {
            return Ok(None);
        }
        let mut stream = self.stream.as_mut();
        let row = self.connection.wait_more(async { Ok(stream.next().await.transpose()?) });
        self.done = !matches!(row, Ok(Some(_)));
        row
    }
}
