//! Who watches over a link.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::Result;

use super::Line;
use crate::http::Post;

/// What an exchange changes on the board, and so when it may be sent a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads: at any time.
    Freely,
    /// It sets absolute values: once the board is seen to be at rest, before anything later.
    InPlace,
    /// It may do something twice.
    Never,
}

/// How the connection before a new one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It was closed with nothing under way: from here, idle, or by a server that closes each
    /// connection behind its first answer.
    Idle,
    /// It was lost, or closed from there in another way; or there was none.
    Lost,
}

/// Watches over a link: is it still the same board, is it at rest?
#[async_trait]
pub(crate) trait Keeper: Send + Sync + 'static {
    /// Whether `post` still means what it did when it was written. Asked before anything is done
    /// for it, and again right before it goes out; an error is its answer.
    fn admit(&mut self, post: &Post) -> Result<()>;

    /// Whether the connection must be verified anew, though it is still up.
    fn is_in_doubt(&self) -> bool;

    /// Time from which no request that was lost can reach the board any more; none if there is no
    /// such request, or if the board was read back since.
    fn at_rest(&self) -> Option<Instant>;

    /// A new connection is up, and nothing else has gone out on it, or the keeper is in doubt. The
    /// questions of the keeper go out on that connection, and on others if the server closes each
    /// behind its first answer. An error keeps the exchange at hand from being sent; the next
    /// exchange asks again.
    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()>;

    /// What only switches tones off goes out on a connection that is not verified: it may set a
    /// marker on a board that has lost its own.
    fn goes_out_unverified(&mut self) {}

    /// An exchange was answered within `took`.
    fn answered(&mut self, post: &Post, took: Duration);

    /// The answer of an exchange was lost; the board may still be at it.
    fn lost(&mut self, post: &Post, repeat: Repeat);
}

/// Watches nothing: for servers that are no boards.
pub(crate) struct Unwatched;

#[async_trait]
impl Keeper for Unwatched {
    fn admit(&mut self, _: &Post) -> Result<()> {
        Ok(())
    }
    fn is_in_doubt(&self) -> bool {
        false
    }
    fn at_rest(&self) -> Option<Instant> {
        None
    }
    async fn verify(&mut self, _: &mut Line, _: Before, _: Instant) -> Result<()> {
        Ok(())
    }
    fn answered(&mut self, _: &Post, _: Duration) {}
    fn lost(&mut self, _: &Post, _: Repeat) {}
}
