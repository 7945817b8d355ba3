//! The connection of a link: opened anew when the one before has ended.
//!
//! Some servers, and proxies before them, close each connection behind its first answer: they say
//! so (`Connection: close`, HTTP/1.0), or they just do it. On such a line every exchange has a
//! connection of its own. That is found out by the first one that ends so, and kept with the
//! [`Connector`], so that it is found out once a board: from then on no request is written into a
//! connection that is being closed. It is forgotten when a connection stays open after all.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{Error, ErrorKind, Result};

use super::Before;
use crate::ConnectOptions;
use crate::deadline;
use crate::http::{Answer, Connection, Failure, Post};
use crate::stream::Connector;

/// A server that closes behind its answers does it within this time.
const BEHIND_AN_ANSWER: Duration = Duration::from_secs(1);

/// The operating system's number for it, `EMFILE`, the same on all that have it.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// The way to one board, with at most one connection in use.
pub(crate) struct Line {
    connector: Connector,
    options: ConnectOptions,
    runtime: Handle,
    connection: Option<Connection>,
    /// A connection that is no more used, to see if the server closes it.
    left: Option<Connection>,
}

impl Line {
    pub(super) fn new(connector: Connector, options: ConnectOptions, runtime: Handle) -> Self {
        Self {
            connector,
            options,
            runtime,
            connection: None,
            left: None,
        }
    }

    /// Authority (host and port) of the other end.
    pub(super) fn authority(&self) -> &str {
        self.connector.authority()
    }

    /// True if there is a connection that another request may be written into.
    pub(super) fn is_open(&self) -> bool {
        let used_up = |one: &Connection| one.answers() > 0 && self.is_one_exchange();
        let connection = self.connection.as_ref();
        connection.is_some_and(|one| !one.is_closed() && !used_up(one))
    }

    /// True if there is a connection, even one that is of no more use.
    pub(super) fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    /// True if the server is one that closes each connection behind its first answer.
    pub(super) fn is_one_exchange(&self) -> bool {
        self.connector.one_exchange.get()
    }

    /// Gives up a connection with nothing under way on it, and returns the way in which it ended.
    pub(super) fn leave(&mut self) -> Option<Before> {
        let connection = self.connection.take()?;
        if connection.is_closed() {
            self.learn(&connection);
        } else {
            // One is enough to see if the server keeps its connections after all.
            self.left.take_if(|one| one.is_closed());
            self.left.get_or_insert(connection);
        }
        Some(if self.is_one_exchange() {
            Before::Idle
        } else {
            Before::Lost
        })
    }

    /// Closes the connection from here. True if the other end had kept it open.
    pub(super) fn close(&mut self) -> bool {
        let Some(connection) = self.connection.take() else {
            return false;
        };
        if connection.is_closed() {
            return false;
        }
        if connection.rested() >= BEHIND_AN_ANSWER {
            self.connector.one_exchange.set(false);
        }
        true
    }

    /// Opens a connection in the place of the one before.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] if there is none within the time for connecting.
    pub(super) async fn open(&mut self, deadline: Instant) -> Result<()> {
        if let Some(left) = self
            .left
            .take_if(|one| one.is_closed() || one.rested() >= BEHIND_AN_ANSWER)
            && !left.is_closed()
        {
            self.connector.one_exchange.set(false);
        }
        self.connection = None;
        self.connection = Some(self.connect(deadline).await?);
        Ok(())
    }

    /// Posts on the open connection and awaits the answer. After a failure the connection is gone.
    pub(super) async fn exchange(
        &mut self,
        post: &Post,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut connection = self.connection.take().ok_or_else(|| Failure::Lost {
            source: "no connection".into(),
            unanswered: true,
        })?;
        match connection.exchange(post, deadline).await {
            Ok(answer) => {
                if connection.closes() {
                    self.connector.one_exchange.set(true);
                }
                self.connection = Some(connection);
                Ok(answer)
            }
            Err(failure) => {
                if let Failure::NotSent(_)
                | Failure::Lost {
                    unanswered: true, ..
                } = failure
                {
                    self.learn(&connection);
                }
                Err(failure)
            }
        }
    }

    /// Posts a question that may be asked at any time, on the connection at hand or on a new one,
    /// and once more if the connection was lost.
    ///
    /// # Errors
    /// As [`Failure::told_of_reading`].
    pub(crate) async fn ask(&mut self, post: &Post, deadline: Instant) -> Result<Answer> {
        let mut repeats = 0;
        loop {
            let failure = match self.once(post, deadline).await? {
                Ok(answer) => return Ok(Answer { repeats, ..answer }),
                Err(failure) => failure,
            };
            let lost = matches!(failure, Failure::NotSent(_) | Failure::Lost { .. });
            if repeats > 0 || !lost {
                return Err(failure.told_of_reading(self.authority()));
            }
            repeats += 1;
        }
    }

    /// Posts a change that follows from the last question: on the same connection, or on the next
    /// one of a server that closes each behind its first answer. It is not sent twice.
    ///
    /// # Errors
    /// As [`Line::ask`]; whether the post was executed is then unknown.
    pub(crate) async fn tell(&mut self, post: &Post, deadline: Instant) -> Result<Answer> {
        let told = if self.is_one_exchange() {
            self.once(post, deadline).await?
        } else {
            self.exchange(post, deadline).await
        };
        told.map_err(|failure| failure.told(self.authority()))
    }

    async fn once(&mut self, post: &Post, deadline: Instant) -> Result<Result<Answer, Failure>> {
        if !self.is_open() {
            self.leave();
            self.open(deadline).await?;
        }
        Ok(self.exchange(post, deadline).await)
    }

    /// Takes note that the server has ended a connection, with nothing of an answer under way on
    /// it. If that was soon after the first answer, the server is taken to close each connection
    /// so.
    fn learn(&self, ended: &Connection) {
        let soon = ended.answers() == 1 && ended.rested() < BEHIND_AN_ANSWER;
        if soon && !self.is_one_exchange() {
            let host = self.authority();
            tracing::info!(host, "the server closes the connection behind each answer");
            self.connector.one_exchange.set(true);
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection> {
        let authority = self.connector.authority();
        let unreachable = |why: String| Error::new(ErrorKind::Unreachable, why);
        let patience = deadline.min(deadline::within(self.options.connect_timeout));
        let began = Instant::now();
        let opening = async {
            let stream = self.connector.open().await.map_err(|error| {
                let why = match error.raw_os_error() {
                    Some(TOO_MANY_OPEN_FILES) => format!(
                        "no connection to {authority}: the process may open no more files \
                         (raise RLIMIT_NOFILE with `ulimit -n`)"
                    ),
                    _ => format!("no connection to {authority}"),
                };
                unreachable(why).caused_by(error)
            })?;
            let (accept, limit) = (self.options.accept(), self.options.answer_limit);
            let host = self.connector.header();
            Connection::over(stream, &self.runtime, host, accept, limit)
                .await
                .map_err(|error| unreachable(format!("no HTTP with {authority}")).caused_by(error))
        };
        deadline::until(patience, opening)
            .await
            .unwrap_or_else(|_| {
                let waited = began.elapsed().as_secs_f64();
                Err(unreachable(format!(
                    "no connection to {authority} within {waited:.1} s"
                )))
            })
    }
}
