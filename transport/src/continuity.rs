//! Continuity of a board over connections: the check that it has kept its settings, and that no
//! lost request can still reach it.
//!
//! A [`ModuleKeeper`] watches over the link of one module. It follows the settings that this client
//! makes, and reads them back after each new connection. A board family gives it a [`ReadBack`]:
//! the reading of a setting, the writing of the marker, and the epochs of the board.

mod difference;
mod epochs;
mod keeper;
mod sample;

use async_trait::async_trait;
use tokio::time::Instant;
use twotone_hal::{ChannelId, Epoch, Hertz, ModuleId, Result, Rounding, SettingKey};

pub(crate) use epochs::Epochs;
pub(crate) use keeper::ModuleKeeper;

use crate::link::Line;

/// Access of a keeper to one module of a board.
#[async_trait]
pub(crate) trait ReadBack: Send + Sync + 'static {
    /// The module.
    fn module(&self) -> ModuleId;

    /// Epochs of the board.
    fn epochs(&self) -> &Epochs;

    /// Rounding of the values that the board reads back.
    fn rounding(&self) -> Rounding;

    /// The last channel of the module. Its offset is the marker while nobody uses the channel.
    fn last_channel(&self) -> ChannelId;

    /// Offset that serves as the marker: one that a board which has lost its settings does not have
    /// by chance.
    fn marker(&self) -> Hertz;

    /// Takes the last channel for the marker, and returns true, if no caller has written anything
    /// for that channel in `epoch`.
    fn take_last_channel(&self, epoch: Epoch) -> bool;

    /// Reads settings over `line`, in units of [`twotone_hal::Setting`] and in the order of `keys`;
    /// `None` for one that was never set on the board.
    ///
    /// # Errors
    /// With [`twotone_hal::Certainty::NotExecuted`]: nothing of the exchange that waits for the
    /// reading has been sent.
    async fn read(
        &self,
        line: &mut Line,
        deadline: Instant,
        keys: &[SettingKey],
    ) -> Result<Vec<Option<f64>>>;

    /// Sets the offset of the last channel to the marker.
    ///
    /// # Errors
    /// [`twotone_hal::Certainty`] of the error is about this request.
    async fn write_marker(&self, line: &mut Line, deadline: Instant) -> Result<()>;
}
