//! Settings of a board as a whole.

use std::collections::BTreeMap;

use twotone_physics::units;
use twotone_wire::crs::{PacketLength, PfbHeader, PfbPacket};

use super::tuber::names;
use super::{BANK, MODULES};

/// Number of channels of a module with long packets.
pub(crate) const LONG_CHANNELS: usize = PacketLength::Long.channels();

/// Number of channels of a module with short packets.
pub(crate) const SHORT_CHANNELS: usize = PacketLength::Short.channels();

/// Lowest decimation stage with long packets. At lower stages the network is too slow for long
/// packets.
pub(crate) const MIN_LONG_STAGE: u8 = 3;

/// Settings that do not belong to one module. The default is the state after power-up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// True if modules 5-8 are connected, false if 1-4 are.
    pub(crate) high_bank: bool,
    /// Decimation stage, 0-6.
    pub(crate) stage: u8,
    /// True if modules have 128 channels (short packets), false if they have 1024.
    pub(crate) short: bool,
    /// Numbers (from 1) of the modules that stream.
    pub(crate) streamed: Vec<u8>,
    pub(crate) timestamp_port: &'static str,
    pub(crate) clock_source: &'static str,
    pub(crate) clock_priority: Vec<&'static str>,
    /// For each module: true if tones may be more than 250 MHz from the NCO.
    pub(crate) extended_bandwidth: [bool; MODULES],
    /// For each module: channels (from 1) of the PFB stream.
    pub(crate) pfb_channels: [Vec<u16>; MODULES],
    /// For each module: number of channels of the stream on the 100 Gbit/s port, and the choice of
    /// their bits. The stream itself is not simulated.
    pub(crate) channel_streams: [(u16, &'static str); MODULES],
    /// For each module: largest amplitude that the feedback sets. There is no simulated feedback.
    pub(crate) amplitude_limits: [f64; MODULES],
    /// Use of the auxiliary connector; `None` if it has none.
    pub(crate) aux_sma_mode: Option<&'static str>,
    /// Registers of the clock distributor that were written, with their values.
    pub(crate) registers: BTreeMap<u16, u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            high_bank: false,
            stage: units::MAX_STAGE,
            short: false,
            streamed: (1..=BANK as u8).collect(),
            timestamp_port: names::TEST,
            clock_source: names::VCXO,
            clock_priority: Vec::new(),
            extended_bandwidth: [false; MODULES],
            pfb_channels: Default::default(),
            channel_streams: [(0, names::HIGH); MODULES],
            amplitude_limits: [1.0; MODULES],
            aux_sma_mode: None,
            registers: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Number of channels of each module.
    pub(crate) fn channels(&self) -> usize {
        if self.short {
            SHORT_CHANNELS
        } else {
            LONG_CHANNELS
        }
    }

    /// True if the module with this number (from 1) is on the analog bank in use.
    pub(crate) fn reaches(&self, module: usize) -> bool {
        (1..=MODULES).contains(&module) && (module > BANK) == self.high_bank
    }

    /// Data rate of the streams, bit/s, without network headers.
    pub(crate) fn stream_bps(&self) -> f64 {
        let length = if self.short {
            PacketLength::Short
        } else {
            PacketLength::Long
        };
        let readout =
            self.streamed.len() as f64 * units::sample_rate_hz(self.stage) * length.bytes() as f64;
        let pfb_channels = self
            .pfb_channels
            .iter()
            .zip(1..)
            .filter(|(_, module)| self.reaches(*module))
            .map(|(channels, _)| channels.len())
            .sum::<usize>();
        let pairs = PfbPacket::MAX_PAIRS;
        let pfb_packets = pfb_channels as f64 * units::PFB_RATE_HZ / pairs as f64;
        let pfb = pfb_packets * PfbHeader::default().buffer_len(pairs) as f64;
        8.0 * (readout + pfb)
    }
}
