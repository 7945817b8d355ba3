//! The PFB stream: a few channels at the rate of the polyphase filter bank, before the decimation.
//!
//! A *tick* is the sample period after the first decimation filter. A *turn* is one call of
//! `send_due`, after which other streams are served.

use twotone_physics::Complex64;
use twotone_physics::units::{PFB_SAMPLES_PER_TICK, TICK_RATE_HZ};
use twotone_wire::crs::{PfbHeader, PfbMode, PfbPacket};

use super::lane::{Lane, Moment};
use super::readout::source;
use crate::board::stream::{Count, Outbox, Pace};
use crate::crs::module::on_the_wire;
use crate::crs::settings::Settings;
use crate::crs::stamp::Stamp;
use crate::crs::{BANK, Crs, PFB};

/// Largest number of ticks that a stream may be behind: 0.1 s. A stream that is further behind
/// skips all samples that are due. The limit is shorter than for the readout stream, because one
/// channel has as much data as 1024 channels of the readout stream (the decimated samples) at
/// decimation stage 4.
const MAX_BEHIND: u64 = (TICK_RATE_HZ / 10.0) as u64;

/// Largest number of ticks for which a stream with one channel sends in a turn: half a megabyte.
/// Several channels share this number.
const IN_TURN: u64 = 1024;

/// PFB stream of one module.
#[derive(Debug, Default)]
pub(super) struct PfbStream {
    /// Channels that the settings select for the stream, counted from 1.
    channels: Vec<u16>,
    /// First tick whose samples have not been made yet.
    tick: u64,
    sequence: u32,
    /// Samples that do not fill a packet yet, as `[sample][channel]`. `first` is the number of the
    /// first sample.
    pairs: Vec<(i32, i32)>,
    first: u64,
}

impl PfbStream {
    /// Makes packets of the samples that are due, at most as many as one turn allows. Returns true
    /// if more samples are due.
    pub(super) fn send_due(
        &mut self,
        crs: &Crs,
        pace: &Pace,
        settings: &Settings,
        lane: &mut Lane,
        work: &mut Vec<Complex64>,
        outbox: &mut Outbox,
    ) -> bool {
        let index = lane.module();
        let channels = &settings.pfb_channels[index];
        if channels.is_empty() {
            self.end();
            return false;
        }
        // The stream must not get ahead of the time of the module, because the next setting takes
        // effect at this time.
        let Some(now) = crs.module_behind(index).map(|module| module.tick()) else {
            return false;
        };
        if self.channels != *channels {
            self.channels.clone_from(channels);
            self.begin(now);
        }
        let slots = channels.len();
        let in_packet = PfbPacket::MAX_PAIRS / slots;
        let behind = now.saturating_sub(self.tick);
        if behind > MAX_BEHIND {
            let packets = behind * PFB_SAMPLES_PER_TICK / in_packet as u64;
            let tally = crs.board.streamed().of(index, PFB);
            tally.add(Count::Skipped, packets);
            pace.log_skipped();
            self.sequence = self.sequence.wrapping_add(packets as u32);
            self.begin(now);
        }
        let end = now.min(self.tick + IN_TURN / slots as u64);
        self.sample(crs, index, end, work);
        let header = PfbHeader {
            mode: match slots {
                1 => PfbMode::One,
                2 => PfbMode::Two,
                _ => PfbMode::Four,
            },
            slots: std::array::from_fn(|slot| channels.get(slot).map_or(0, |channel| channel - 1)),
            module: (index % BANK) as u8,
            ..PfbHeader::default()
        };
        let source = source(settings);
        let mut sent = 0;
        for pairs in self.pairs.chunks_exact(in_packet * slots) {
            let moment = Moment {
                parts: Stamp::parts_of_pfb_sample(self.first),
                source,
            };
            let sequence = self.sequence;
            lane.put(
                &crs.board,
                outbox,
                header.buffer_len(pairs.len()),
                moment,
                |bytes, labels| {
                    let header = PfbHeader {
                        serial: labels.serial,
                        sequence,
                        stamp: labels.stamp,
                        ..header
                    };
                    // The write of the packet cannot fail, because the buffer has the length that
                    // the header requires.
                    let _ = header.emit(pairs, bytes);
                },
            );
            self.sequence = self.sequence.wrapping_add(1);
            self.first += in_packet as u64;
            sent += pairs.len();
        }
        self.pairs.drain(..sent);
        self.tick < now
    }

    /// Ends the stream, and frees its memory.
    pub(super) fn end(&mut self) {
        self.channels = Vec::new();
        self.pairs = Vec::new();
    }

    /// Starts the stream again, with the samples from `tick` on.
    fn begin(&mut self, tick: u64) {
        self.tick = tick;
        self.first = tick * PFB_SAMPLES_PER_TICK;
        self.pairs.clear();
    }

    /// Makes the samples of all channels up to the tick `end`.
    fn sample(&mut self, crs: &Crs, index: usize, end: u64, work: &mut Vec<Complex64>) {
        let n = (end.saturating_sub(self.tick) * PFB_SAMPLES_PER_TICK) as usize;
        let (base, slots) = (self.pairs.len(), self.channels.len());
        self.pairs.resize(base + n * slots, Default::default());
        for (slot, channel) in self.channels.iter().enumerate() {
            let channel = usize::from(*channel).saturating_sub(1);
            if let Some(mut module) = crs.module_behind(index) {
                module.acquire_pfb(self.tick, n, channel, work);
            }
            let to = self.pairs[base..].iter_mut().skip(slot).step_by(slots);
            for (to, sample) in to.zip(work.iter()) {
                *to = on_the_wire(*sample);
            }
        }
        self.tick = self.tick.max(end);
    }
}
