//! Boot window of CRS boards: the time after power-on in which the firmware of a board can be
//! flashed over the network. This module has both halves of the exchange: that of the host and that
//! of the board. Neither half does any I/O.
//!
//! While it starts, a board broadcasts a [`Beacon`] to UDP port [`BEACON_PORT`]. A host that
//! answers with a [`Redirect`] gets the console of the boot loader (U-Boot) over UDP, between the
//! two ports that this answer names. On the console, the host sends an image into the memory of
//! the board by XMODEM ([`XmodemSender`]). Commands of the host ([`Command`]) then make the board
//! compute the digest of the image, and erase and write the flash.
//!
//! The flash holds only one image. If the board loses its power after the start of the erasure and
//! before the end of the write, it does not start again. The flash must then be written by a
//! programmer on the bench.
//!
//! | file | content |
//! |---|---|
//! | `beacon` | announcement of a board in its boot window, and the answer of a host |
//! | `console` | commands of the console and their answers: the half of the host |
//! | `image` | form of a `boot.bin` |
//! | `xmodem` | transfer of a file in blocks of 1 KiB |
//! | `flash`, `uboot` | the half of the board (feature `server`) |

mod beacon;
mod console;
#[cfg(feature = "server")]
mod flash;
mod image;
#[cfg(feature = "server")]
mod uboot;
mod xmodem;

pub use beacon::{Beacon, BeaconError, Redirect};
pub use console::{Command, ConsoleError, Transcript};
#[cfg(feature = "server")]
pub use flash::{Flash, FlashStep};
pub use image::{ImageError, check_image, is_for_simulated_boards};
#[cfg(feature = "server")]
pub use image::{example_image, release_in};
#[cfg(feature = "server")]
pub use uboot::Uboot;
#[cfg(feature = "server")]
pub use xmodem::XmodemReceiver;
pub use xmodem::{XmodemError, XmodemSender, XmodemStep};

/// UDP port to which boards broadcast their beacons.
pub const BEACON_PORT: u16 = 9875;

/// Bytes of the largest beacon, and of the largest packet of a console.
pub const MOST_DATAGRAM: usize = 2048;

/// Prompt of the boot loader.
pub const PROMPT: &str = "ZynqMP>";

/// Size of an erase block of the flash, in bytes.
pub const ERASE_BLOCK: usize = 0x2_0000;

/// Size of the flash, and the largest size of an image, in bytes.
pub const FLASH_SIZE: usize = 0x400_0000;
