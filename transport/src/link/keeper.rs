//! Interface between a link (a queue of requests to a board) and the checks of the board. An
//! exchange is a request with its answer.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{Result, Safety};

use super::Line;
use crate::http::Post;

/// The way in which the previous connection to the board ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// The connection was closed with no request under way: by this client because it was idle, or
    /// by a server that closes each connection after its first answer.
    Idle,
    /// The connection was lost, the server closed it in another way, or there was no previous
    /// connection.
    Lost,
}

/// Checks for a link that the board has kept its settings and is at rest: no lost request can reach
/// it any more.
#[async_trait]
pub(crate) trait Keeper: Send + Sync + 'static {
    /// Checks that `post`, a request, was written for the present [epoch](twotone_hal::Epoch) of
    /// the board. This method is called before each [`Keeper::verify`] for the post. An error
    /// becomes the answer to the post.
    fn admit(&mut self, post: &Post) -> Result<()>;

    /// True if the connection must be verified again although it is still open.
    fn is_in_doubt(&self) -> bool;

    /// Time from which no lost request can reach the board any more. `None` if no request was lost,
    /// or if the board was read back since.
    fn at_rest_from(&self) -> Option<Instant>;

    /// Verifies the connection: a new one before its first request, or any connection if
    /// [`Keeper::is_in_doubt`]. The keeper reads over that connection, and over others if the
    /// server closes each connection after its first answer. After an error that repetitions do not
    /// remove, the present exchange is not sent unless it only switches tones off, and the next
    /// exchange verifies again.
    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()>;

    /// Records that a post that only switches tones off is sent on a connection that is not
    /// verified. The post may set the marker, a setting that shows restarts, on a board that has
    /// lost it: see [`ReadBack`](crate::continuity::ReadBack).
    fn note_unverified(&mut self) {}

    /// Records that an exchange was answered after the time `took`.
    fn note_answered(&mut self, post: &Post, took: Duration);

    /// Records that the answer of an exchange was lost. The board may still execute the request.
    fn note_lost(&mut self, post: &Post, safety: Safety);
}

/// Keeper that checks nothing: for requests that depend on no setting, and for servers that are not
/// boards.
pub(crate) struct Unwatched;

#[async_trait]
impl Keeper for Unwatched {
    fn admit(&mut self, _: &Post) -> Result<()> {
        Ok(())
    }
    fn is_in_doubt(&self) -> bool {
        false
    }
    fn at_rest_from(&self) -> Option<Instant> {
        None
    }
    async fn verify(&mut self, _: &mut Line, _: Before, _: Instant) -> Result<()> {
        Ok(())
    }
    fn note_answered(&mut self, _: &Post, _: Duration) {}
    fn note_lost(&mut self, _: &Post, _: Safety) {}
}
