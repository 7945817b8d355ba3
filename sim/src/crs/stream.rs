//! Sample streams of a CRS board.
//!
//! | file | content |
//! |---|---|
//! | `sender` | the board's task: packets when their samples are due |
//! | `readout`, `pfb` | the two streams: rows of samples to packets |
//! | `lane` | one stream of a module, and faults that lose, double, delay or corrupt its packets |

mod lane;
mod pfb;
mod readout;
mod sender;

pub(super) use sender::send;
