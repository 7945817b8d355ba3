//! Parameters of a capture.

use std::time::Duration;

use twotone_hal::ReceiveOptions;

use super::Stop;

/// Parameters of a capture.
#[derive(Debug, Clone)]
pub struct CaptureParams {
    /// Length of the capture in seconds, from the first packet on. 10 s.
    pub seconds: f64,
    /// Number of channels that are captured, from the first one on. `None`: the channels with
    /// tones in the tune, or all channels if there is no tune.
    pub channels: Option<u16>,
    /// Largest difference between the boards' clocks and this computer's that counts as sound.
    /// `None`: 10 s if they are within two days, and half a year if they are not; boards that make
    /// their time up may then show any time.
    pub clock_within: Option<Duration>,
    /// Options of the receivers. The size of blocks and the time of opening are set by the
    /// capture.
    pub stream: ReceiveOptions,
    /// Longest wait for the first packet. 5 s.
    pub patience: Duration,
    /// Longest wait for the boards' answers to the check of the tune. 10 s.
    pub ask_within: Duration,
    /// Size of the queue of rows to be written, in bytes; rows that do not fit are lost. 512 MiB.
    pub queue_bytes: usize,
    /// Token that ends the capture early.
    pub stop: Stop,
    /// Token that gives up the rows in the queue; they are counted as unwritten.
    pub abandon: Stop,
}

impl Default for CaptureParams {
    fn default() -> Self {
        Self {
            seconds: 10.0,
            channels: None,
            clock_within: None,
            stream: ReceiveOptions::default(),
            patience: Duration::from_secs(5),
            ask_within: Duration::from_secs(10),
            queue_bytes: 512 << 20,
            stop: Stop::new(),
            abandon: Stop::new(),
        }
    }
}
