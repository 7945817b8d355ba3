//! Keepers, which watch over links.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{Result, Safety};

use super::Line;
use crate::http::Post;

/// End of the connection before a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// It was closed with nothing under way: from here, idle, or by a server that closes each
    /// connection behind its first answer.
    Idle,
    /// It was lost, or the server closed it in another way, or there was none.
    Lost,
}

/// Watches over a link: checks that the board has kept its settings and is at rest.
#[async_trait]
pub(crate) trait Keeper: Send + Sync + 'static {
    /// Checks that `post` is still valid, as it was when it was written. It is called before
    /// anything is done for the post, and again right before it goes out. An error becomes the
    /// post's answer.
    fn admit(&mut self, post: &Post) -> Result<()>;

    /// True if the connection must be verified anew, though it is still up.
    fn is_in_doubt(&self) -> bool;

    /// Time from which no request that was lost can reach the board any more; none if there is no
    /// such request, or if the board was read back since.
    fn at_rest(&self) -> Option<Instant>;

    /// Verifies the connection: a new one on which nothing else has gone out, or any if the keeper
    /// is in doubt. The questions of the keeper go out on that connection, and on others if the
    /// server closes each behind its first answer. After an error the exchange at hand is not sent,
    /// and the next exchange verifies again.
    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()>;

    /// Takes note that a post that only switches tones off goes out on a connection that is not
    /// verified. It may set a marker on a board that has lost its own.
    fn goes_out_unverified(&mut self) {}

    /// Takes note that an exchange was answered within `took`.
    fn answered(&mut self, post: &Post, took: Duration);

    /// Takes note that the answer of an exchange was lost. The board may still execute the
    /// exchange.
    fn lost(&mut self, post: &Post, safety: Safety);
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
    fn lost(&mut self, _: &Post, _: Safety) {}
}
