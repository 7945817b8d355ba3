//! Firmware of the boards of a map: the releases that run, and the roll-out of a new one.
//!
//! An [`Image`] is a firmware file with a description in TOML, which gives the kind of boards, the
//! release, the size and the digest of the file. [`list`](list()) returns the releases that boards
//! report. A [`Rollout`] flashes an image: one board first, then a tenth of the others, then the
//! rest. A group begins only when all boards of the group before are back, report the new release
//! and acquire samples. After the first failure no further group begins. [`Done`] keeps the boards
//! that are done in a file, so that a second call continues with the others. [`Flashes`] keeps the
//! boards whose flash was begun and not finished, for example because this computer lost its power:
//! a second call begins with these boards, and takes control of them without a restart if it can.
//!
//! A board is done when it reports the release of the image, and its flash, read back, has the
//! digest of the image. The name of the image's file is not considered.

mod begun;
mod board;
mod crates;
mod done;
#[cfg(feature = "sim")]
mod example;
mod image;
mod list;
mod refusals;
mod report;
mod rollout;

pub use begun::{Flashes, Unfinished};
pub use done::{Done, DoneError};
#[cfg(feature = "sim")]
pub use example::write_example;
pub use image::{Image, ImageFileError};
pub use list::{BoardRelease, list};
pub use report::{BoardReport, BoardStatus, Event, Observe, ObserveEnd, Task};
pub use rollout::{Rollout, RolloutReport};
pub use twotone_hal::FirmwareRelease as Release;
