//! What to capture, and for how long.

use std::time::Duration;

use twotone_transport::readout::StreamOptions;

use super::Stop;

/// What to capture, and for how long.
#[derive(Debug, Clone)]
pub struct CaptureParams {
    /// Seconds from the first packet on. 10.
    pub seconds: f64,
    /// Only the first so many channels; those with tones in the tune, or all, where there is none.
    pub channels: Option<u16>,
    /// Largest difference between the boards' clocks and this computer's that is no doubt. Without it, 10 s
    /// if they are within two days, and half a year if they are not. Boards that make their time up may then
    /// show any time.
    pub clock_within: Option<Duration>,
    /// How to listen.
    pub stream: StreamOptions,
    /// How long to wait for the first packet. 5 s.
    pub patience: Duration,
    /// How long to wait for boards to say whether the tune holds. 10 s.
    pub ask_within: Duration,
    /// How much may wait to be written, in bytes; what does not fit is lost. 512 MiB.
    pub queue_bytes: usize,
    /// Ends the capture early when cancelled.
    pub stop: Stop,
    /// When cancelled, what waits to be written is given up, and counted as unwritten.
    pub abandon: Stop,
}

impl Default for CaptureParams {
    fn default() -> Self {
        Self {
            seconds: 10.0,
            channels: None,
            clock_within: None,
            stream: StreamOptions::default(),
            patience: Duration::from_secs(5),
            ask_within: Duration::from_secs(10),
            queue_bytes: 512 << 20,
            stop: Stop::new(),
            abandon: Stop::new(),
        }
    }
}
