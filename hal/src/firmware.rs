//! Replacement of the firmware of boards over the network.
//!
//! A family whose boards can be flashed over the network implements [`Firmware`]. A replacement has
//! these steps, of which the first two do not change the flash: [`identify`](Firmware::identify),
//! [`stage`](Firmware::stage), [`commit`](Firmware::commit), [`verify`](Firmware::verify),
//! [`boot`](Firmware::boot). A later program can take up a replacement that was cut off
//! ([`identify_again`](Firmware::identify_again)). Every answer and every error has a
//! [`PowerLoss`], which shows whether the board would survive a loss of power at this moment.

mod release;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::release::FirmwareRelease;
use crate::{Error, Result};

/// Effect of a loss of power on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerLoss {
    /// The board starts again with complete firmware.
    Harmless,
    /// The board does not start again, and must be repaired by hand.
    Fatal,
    /// The effect is not known, because the board did not answer after it got a command that
    /// changes its flash.
    Unknown,
}

impl PowerLoss {
    /// Name of the value in JSON: `harmless`, `fatal` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Fatal => "fatal",
            Self::Unknown => "unknown",
        }
    }
}

/// Answer to a step, with the effect of a loss of power at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareAnswer<T> {
    /// The answer.
    pub value: T,
    /// Effect of a loss of power after this step.
    pub power_loss: PowerLoss,
}

impl<T> FirmwareAnswer<T> {
    /// An answer after which a loss of power has this effect.
    pub fn new(value: T, power_loss: PowerLoss) -> Self {
        Self { value, power_loss }
    }
}

/// Error of a step, with the effect of a loss of power at this moment.
#[derive(Debug)]
#[non_exhaustive]
pub struct FirmwareError {
    /// The error. It names the board and the step.
    pub error: Error,
    /// Effect of a loss of power after this error.
    pub power_loss: PowerLoss,
}

impl FirmwareError {
    /// An error after which a loss of power has this effect.
    pub fn new(error: Error, power_loss: PowerLoss) -> Self {
        Self { error, power_loss }
    }
}

impl From<Error> for FirmwareError {
    /// An error of a step that has not changed the flash.
    fn from(error: Error) -> Self {
        Self::new(error, PowerLoss::Harmless)
    }
}

impl fmt::Display for FirmwareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match self.power_loss {
            PowerLoss::Harmless => Ok(()),
            PowerLoss::Fatal => f.write_str("; KEEP THE POWER ON: the flash is not complete"),
            PowerLoss::Unknown => f.write_str("; KEEP THE POWER ON: the flash may be incomplete"),
        }
    }
}

impl StdError for FirmwareError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// Result of a step.
pub type FirmwareResult<T> = std::result::Result<FirmwareAnswer<T>, FirmwareError>;

/// Image of the firmware of a board.
#[derive(Clone, PartialEq, Eq)]
pub struct FirmwareImage {
    /// Kind of the boards that can run the image, as in hardware maps.
    pub kind: String,
    /// Release, as boards report it.
    pub release: String,
    /// Bytes of the image.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for FirmwareImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            release,
            bytes,
        } = self;
        write!(f, "FirmwareImage({kind} {release}, {} bytes)", bytes.len())
    }
}

/// Identity of a board that is ready to be flashed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareIdentity {
    /// Kind of the board, as in hardware maps.
    pub kind: String,
    /// Serial number of the board, in the form that the board reports.
    pub serial: Option<String>,
    /// Serial number of the crate of the board.
    pub crate_serial: Option<String>,
    /// The release that runs; `None` if no firmware runs yet, as in a boot loader.
    pub running: Option<String>,
    /// Number of images that the flash can hold. If it is 1, a commit overwrites the firmware that
    /// the board starts from.
    pub slots: u8,
    /// Text with which a later program can take control of the board
    /// ([`Firmware::identify_again`]), as long as the board does not restart. `None` if boards of
    /// the kind cannot be taken over in this way.
    pub control: Option<String>,
}

impl FirmwareIdentity {
    /// A board of this kind whose flash can hold one image. The other properties are unknown.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            serial: None,
            crate_serial: None,
            running: None,
            slots: 1,
            control: None,
        }
    }
}

/// Receiver of the progress of a transfer. Its arguments are the number of bytes that have arrived
/// and the number of all bytes.
pub type FirmwareProgress<'a> = &'a (dyn Fn(usize, usize) + Send + Sync);

/// Access to the firmware of one board. The methods from [`identify`](Firmware::identify) to
/// [`boot`](Firmware::boot) are the steps of a replacement.
///
/// # Contract
/// * Only [`commit`](Firmware::commit) changes the flash of the board. Only the methods of this
///   trait begin a step; connecting to a board never does.
/// * **On cancel** a transfer ends, and the board keeps its firmware. A commit that has begun is
///   still driven to its end.
/// * Errors name the board and the step.
#[async_trait]
pub trait Firmware: fmt::Debug + Send + Sync {
    /// The board's name in the hardware map.
    fn name(&self) -> &str;

    /// Checks the form of an image for boards of this family, without a board.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the image is for another kind, is
    /// not complete, or is known to make boards unusable.
    fn check(&self, image: &FirmwareImage) -> Result<()>;

    /// Begins to listen for the board, so that it is known if that is impossible before a person is
    /// asked to restart the board. The default does nothing, for kinds that need no listener.
    ///
    /// # Errors
    /// If this computer cannot listen, for instance because another program does.
    async fn listen(&self) -> Result<()> {
        Ok(())
    }

    /// Waits until the board can be flashed, takes control of it, and returns its identity.
    ///
    /// # Errors
    /// [`Timeout`](crate::ErrorKind::Timeout) if the board was not ready in time.
    async fn identify(&self) -> FirmwareResult<FirmwareIdentity>;

    /// As [`identify`](Self::identify), for a board whose flash another program began to change
    /// and did not finish: it crashed, or the power of its computer failed. `control` is the
    /// [`FirmwareIdentity::control`] of that program. If the board has not restarted since, this
    /// method takes control of it without a restart. If the board has restarted, its flash is
    /// complete.
    ///
    /// The default is for kinds without this ability.
    ///
    /// # Errors
    /// As [`identify`](Self::identify). Until the board is under control, the effect of a loss of
    /// power is [`PowerLoss::Unknown`].
    async fn identify_again(&self, control: &str) -> FirmwareResult<FirmwareIdentity> {
        let _ = control;
        let identified = self.identify().await;
        identified.map_err(|failed| FirmwareError::new(failed.error, PowerLoss::Unknown))
    }

    /// Checks the image, transfers it to memory that the board does not start from, and has the
    /// board compute the digest of the image there.
    ///
    /// # Errors
    /// If the image is refused, the transfer fails, or the board computes another digest.
    async fn stage(
        &self,
        image: &FirmwareImage,
        progress: FirmwareProgress<'_>,
    ) -> FirmwareResult<()>;

    /// Makes the board start from the image that was staged last. If the flash can hold only one
    /// image and the power fails during this step, the board does not start again.
    ///
    /// # Errors
    /// If nothing is staged, or the board does not confirm the step.
    async fn commit(&self) -> FirmwareResult<()>;

    /// Reads back the image that the board starts from, and compares its digest with that of
    /// `image`.
    ///
    /// # Errors
    /// If the digests differ, or the board cannot be read.
    async fn verify(&self, image: &FirmwareImage) -> FirmwareResult<()>;

    /// Restarts the board. The board then runs the image in its flash, and the control that
    /// [`identify`](Firmware::identify) took ends.
    ///
    /// # Errors
    /// If the flash is not known to be complete, or the board does not confirm the restart.
    async fn boot(&self) -> FirmwareResult<()>;
}

// Fails to compile if `Firmware` is not object safe.
const _: fn(&dyn Firmware) = |_| ();
