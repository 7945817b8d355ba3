//! Continuity of a board from one connection to the next: the checks that the board has kept its
//! settings, and that no lost request can still reach it.
//!
//! A [`ModuleKeeper`] belongs to the [`Link`](crate::link::Link) of one module, which sends the
//! requests for the module. The keeper records the settings that this client makes, and reads them
//! back after each new connection. The request that needs the connection waits for this reading. A
//! board family implements [`ReadBack`] for the keeper: the reading of settings, the writing of the
//! marker, and the epochs of the board. The marker is a setting of an unused channel that this
//! client makes only to find out later if the board has restarted. An [`Epoch`] is a period in
//! which the board keeps its settings.

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

/// Access of a [`ModuleKeeper`] to one module of a board.
#[async_trait]
pub(crate) trait ReadBack: Send + Sync + 'static {
    /// The module.
    fn module(&self) -> ModuleId;

    /// Epochs of the board.
    fn epochs(&self) -> &Epochs;

    /// Largest rounding errors of the values that are read back from the board.
    fn rounding(&self) -> Rounding;

    /// The last channel of the module. Its offset, the frequency relative to the NCO, is the marker
    /// while no caller uses the channel.
    fn last_channel(&self) -> ChannelId;

    /// Offset that serves as the marker. A board that has lost its settings does not have this
    /// value by chance.
    fn marker(&self) -> Hertz;

    /// Reserves the last channel for the marker and returns true. Returns false if a caller has set
    /// the offset of that channel or switched the channel on, or if `epoch` is over.
    fn take_last_channel(&self, epoch: Epoch) -> bool;

    /// Reads settings over `line`, in units of [`twotone_hal::Setting`] and in the order of `keys`.
    /// `None` is a setting that was never made on the board.
    ///
    /// # Errors
    /// All errors have [`twotone_hal::Certainty::NotExecuted`]: the request that waits for this
    /// reading has not been sent.
    async fn read(
        &self,
        line: &mut Line,
        deadline: Instant,
        keys: &[SettingKey],
    ) -> Result<Vec<Option<f64>>>;

    /// Sets the offset of the last channel to the marker.
    ///
    /// # Errors
    /// The [`twotone_hal::Certainty`] of the error refers to the request that writes the marker,
    /// not to the request that waits for it.
    async fn write_marker(&self, line: &mut Line, deadline: Instant) -> Result<()>;
}
