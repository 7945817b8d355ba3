//! Sample streams of a CRS board.
//!
//! | file | content |
//! |---|---|
//! | `sender` | task of the board, which sends packets when their samples are due |
//! | `readout`, `pfb` | the two streams: from rows of samples to packets |
//! | `lane` | one stream of a module, and faults that drop, double, delay or corrupt its packets |

mod lane;
mod pfb;
mod readout;
mod sender;

pub(super) use readout::source;
pub(super) use sender::send;
