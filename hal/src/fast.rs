//! The fast stream of a module: the few channels that it sends at a high rate. Its samples come
//! from [`Streams::fast`](crate::Streams::fast).

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, BoardHandle, ChannelId, ModuleId, Op, Replies, Result, Ticket};

/// Type of the operation that sets the channels of a fast stream.
#[derive(Debug)]
pub enum SetFastStream {}
/// Type of the operation that reads the channels of a fast stream.
#[derive(Debug)]
pub enum ReadFastStream {}

impl Operation for SetFastStream {
    type Reply<'a> = ();

    fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<()> {
        matches!(entry, Entry::Done).then_some(())
    }
}

impl Operation for ReadFastStream {
    type Reply<'a> = &'a [ChannelId];

    fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<&'a [ChannelId]> {
        match entry {
            Entry::FastStream(channels) => Some(channels),
            _ => None,
        }
    }
}

impl Batch {
    /// Adds an operation that sets the channels of the fast stream of `module`, in the order in
    /// which the board sends them. Without channels the stream is off. Boards differ in the numbers
    /// of channels that they can send, and refuse other numbers.
    pub fn set_fast_stream(
        &mut self,
        module: ModuleId,
        channels: impl IntoIterator<Item = ChannelId>,
    ) -> Ticket<SetFastStream> {
        let channels = channels.into_iter().collect();
        self.push(Op::SetFastStream { module, channels })
    }

    /// Adds an operation that reads the channels of the fast stream of `module`. There are none if
    /// the stream is off.
    pub fn read_fast_stream(&mut self, module: ModuleId) -> Ticket<ReadFastStream> {
        self.push(Op::ReadFastStream { module })
    }
}

/// The fast streams of a board. Each call runs a batch of one operation.
#[derive(Debug)]
pub struct FastStreams<'a>(&'a BoardHandle);

impl<'a> FastStreams<'a> {
    pub(crate) fn new(board: &'a BoardHandle) -> Self {
        Self(board)
    }

    /// Sets the channels of the fast stream of `module`. Without channels the stream is off.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn set(&self, module: ModuleId, channels: &[ChannelId]) -> Result<()> {
        let mut batch = Batch::new();
        batch.set_fast_stream(module, channels.iter().copied());
        self.0.run(&batch).await.map(drop)
    }

    /// Reads the channels of the fast stream of `module`. There are none if the stream is off.
    ///
    /// # Errors
    /// As [`crate::Board::run`].
    pub async fn read(&self, module: ModuleId) -> Result<Vec<ChannelId>> {
        let mut batch = Batch::new();
        let ticket = batch.read_fast_stream(module);
        Ok(self.0.run(&batch).await?.get(ticket).to_vec())
    }
}
