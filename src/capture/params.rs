//! Parameters of a capture.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use twotone_hal::{ChannelId, ModuleId, ReceiveOptions};

use super::Stop;

/// Parameters of a capture.
#[derive(Debug, Clone)]
pub struct CaptureParams {
    /// Length of the capture in seconds, from the first packet on. The default is 10 s.
    pub seconds: f64,
    /// Fast streams, which are captured in place of the usual streams. `None` selects the usual
    /// streams.
    pub fast: Option<FastParams>,
    /// Number of channels that are captured, from the first one on. `None` selects the channels
    /// with tones in the tune, or all channels if there is no tune.
    pub channels: Option<u16>,
    /// Largest difference between a board's clock and this computer's clock that is not reported
    /// in [`ModuleOutcome::doubts`](super::ModuleOutcome::doubts). If it is `None`, a
    /// difference of 10 s to two days is reported, and so is a difference of more than half a
    /// year. But a clock that shows an arbitrary time for tests, as some boards generate it,
    /// is then not reported at all.
    pub clock_within: Option<Duration>,
    /// Options of the receivers. The capture ignores the size of blocks and the time of opening in
    /// them, and sets its own.
    pub stream: ReceiveOptions,
    /// Longest wait for the first packet. The default is 5 s.
    pub patience: Duration,
    /// Longest wait for the boards' answers to the check of the tune. The default is 10 s.
    pub ask_within: Duration,
    /// Size of the queue of rows to be written, in bytes. Rows that do not fit into the queue are
    /// not written, and are counted as unwritten. The default is 512 MiB.
    pub queue_bytes: usize,
    /// Token that ends the capture early.
    pub stop: Stop,
    /// Token that, when it is cancelled, discards all rows that are not written yet, and ends the
    /// wait for late samples. The rows are counted as unwritten.
    pub abandon: Stop,
}

/// Parameters of a capture of fast streams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FastParams {
    /// Channels of each module to capture, in ascending order. If the map is empty, all modules
    /// and channels that are sent are captured.
    pub channels: BTreeMap<ModuleId, Vec<ChannelId>>,
    /// Number of samples of each channel to capture, lost ones included, in place of
    /// [`CaptureParams::seconds`]. Boards that do not tell the rate of their fast samples ignore
    /// this number.
    pub samples: Option<u64>,
    /// True to switch the streams of these channels on for the capture, and to restore the former
    /// state afterwards. If `channels` is empty, the channels are those that the tune has tuned.
    pub is_set: bool,
}

impl Default for CaptureParams {
    fn default() -> Self {
        Self {
            seconds: 10.0,
            fast: None,
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
