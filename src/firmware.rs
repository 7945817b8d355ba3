//! Firmware of the boards of a map: which release runs, and a new one for all of them.
//!
//! An [`Image`] is a file that is described by another one, in TOML: its kind of boards, its
//! release, its size and its digest. [`list`] returns the releases that boards report. A
//! [`Rollout`] flashes an image: one board first, then a tenth of them, then the rest. A group
//! begins only when all boards of the group before are back, report the new release and acquire
//! samples. The first failure ends the roll-out. [`Done`] is kept in a file, so that a second call
//! goes on with the boards that are not done.
//!
//! A board is done when it reports the release of the image, and its flash was read back and has
//! the digest of the image. The name of a file never counts.

mod board;
mod done;
#[cfg(feature = "sim")]
mod example;
mod image;
mod list;
mod release;
mod rollout;

pub use board::{BoardReport, BoardStatus, Event, Observe, Task};
pub use done::{Done, DoneError};
#[cfg(feature = "sim")]
pub use example::write_example;
pub use image::{Image, ImageFileError};
pub use list::{BoardRelease, list};
pub use release::Release;
pub use rollout::{Rollout, RolloutReport};
