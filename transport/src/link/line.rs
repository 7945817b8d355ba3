//! The connection of a link (a queue of requests to a board). A new one is opened when the previous
//! one has ended.
//!
//! Some servers, and proxies in front of them, close each connection after its first answer. They
//! announce the end (`Connection: close`, HTTP/1.0) or close without notice. With such a server
//! every exchange needs a new connection. The first connection that ends in this way shows that the
//! server does this. The [`Connector`] stores the finding for all connections to the board, so that
//! no later request is written into a connection that is being closed. The finding is withdrawn
//! when a connection stays open.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{Error, ErrorKind, Result};

use super::Before;
use crate::ConnectOptions;
use crate::deadline;
use crate::http::{Answer, Connection, Failure, Post};
use crate::stream::Connector;

/// Time after an answer within which a server that closes its connections does so.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);

/// Value of `EMFILE`, which is the same on all systems that have this error.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// Connections to one board. At most one of these connections is in use.
pub(crate) struct Line {
    connector: Connector,
    options: ConnectOptions,
    runtime: Handle,
    connection: Option<Connection>,
    /// A connection that is not used any more. It is kept to see if the server closes it.
    abandoned: Option<Connection>,
}

impl Line {
    pub(super) fn new(connector: Connector, options: ConnectOptions, runtime: Handle) -> Self {
        Self {
            connector,
            options,
            runtime,
            connection: None,
            abandoned: None,
        }
    }

    /// Authority (host and port) of the server.
    pub(super) fn authority(&self) -> &str {
        self.connector.authority()
    }

    /// True if there is a connection on which another request may be sent.
    pub(super) fn is_open(&self) -> bool {
        let used_up = |one: &Connection| one.answers() > 0 && self.is_one_exchange();
        let connection = self.connection.as_ref();
        connection.is_some_and(|one| !one.is_closed() && !used_up(one))
    }

    /// True if there is a connection, even one on which no other request may be sent.
    pub(super) fn has_connection(&self) -> bool {
        self.connection.is_some()
    }

    /// True if the server closes each connection after its first answer.
    pub(super) fn is_one_exchange(&self) -> bool {
        self.connector.one_exchange.get()
    }

    /// Stops using the connection, and returns the way in which the connection ended. No request
    /// may be under way on it. `None` if there is no connection.
    pub(super) fn abandon(&mut self) -> Option<Before> {
        let connection = self.connection.take()?;
        if connection.is_closed() {
            self.note_ended(&connection);
        } else {
            // One connection is enough to see if the server keeps connections open after all.
            self.abandoned.take_if(|one| one.is_closed());
            self.abandoned.get_or_insert(connection);
        }
        Some(if self.is_one_exchange() {
            Before::Idle
        } else {
            Before::Lost
        })
    }

    /// Closes the connection. Returns true if the other end had kept it open.
    pub(super) fn close(&mut self) -> bool {
        let Some(connection) = self.connection.take() else {
            return false;
        };
        if connection.is_closed() {
            return false;
        }
        if connection.rested() >= CLOSES_WITHIN {
            self.connector.one_exchange.set(false);
        }
        true
    }

    /// Opens a new connection in place of the previous one.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] if no connection is open within the time for connecting.
    pub(super) async fn open(&mut self, deadline: Instant) -> Result<()> {
        if let Some(abandoned) = self
            .abandoned
            .take_if(|one| one.is_closed() || one.rested() >= CLOSES_WITHIN)
            && !abandoned.is_closed()
        {
            self.connector.one_exchange.set(false);
        }
        self.connection = None;
        self.connection = Some(self.connect(deadline).await?);
        Ok(())
    }

    /// Sends a post (a request) on the open connection and awaits the answer. After a failure there
    /// is no connection any more.
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
                    self.note_ended(&connection);
                }
                Err(failure)
            }
        }
    }

    /// Sends a post that only reads, on the present connection or on a new one, and once more if
    /// the connection was lost.
    ///
    /// # Errors
    /// As [`Failure::into_reading_error`].
    pub(crate) async fn read(&mut self, post: &Post, deadline: Instant) -> Result<Answer> {
        let mut repeats = 0;
        loop {
            let failure = match self.exchange_once(post, deadline).await? {
                Ok(answer) => return Ok(Answer { repeats, ..answer }),
                Err(failure) => failure,
            };
            let lost = matches!(failure, Failure::NotSent(_) | Failure::Lost { .. });
            if repeats > 0 || !lost {
                return Err(failure.into_reading_error(self.authority()));
            }
            repeats += 1;
        }
    }

    /// Sends a post that changes settings after a reading: on the same connection, or on the next
    /// one if the server closes each connection after its first answer. The post is not sent twice.
    ///
    /// # Errors
    /// If the post cannot be sent or answered. The certainty of the error refers to the post
    /// itself.
    pub(crate) async fn write(&mut self, post: &Post, deadline: Instant) -> Result<Answer> {
        let answered = if self.is_one_exchange() {
            self.exchange_once(post, deadline).await?
        } else {
            self.exchange(post, deadline).await
        };
        answered.map_err(|failure| failure.into_error(self.authority()))
    }

    async fn exchange_once(
        &mut self,
        post: &Post,
        deadline: Instant,
    ) -> Result<Result<Answer, Failure>> {
        if !self.is_open() {
            self.abandon();
            self.open(deadline).await?;
        }
        Ok(self.exchange(post, deadline).await)
    }

    /// Records that the server has ended a connection with no answer under way. If it ended soon
    /// after the first answer, the server is assumed to close every connection after its first
    /// answer.
    fn note_ended(&self, ended: &Connection) {
        let soon = ended.answers() == 1 && ended.rested() < CLOSES_WITHIN;
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
