//! Packets of the two streams of a board, each with its samples of some channels.

use twotone_hal::{ChannelId, StreamBlock, StreamForm};
use twotone_wire::crs::{
    MODULES_IN_BANK, PFB_PORT, PFB_SAMPLE_RATE_HZ, PacketLength, PfbPacket, READOUT_PORT,
    ReadoutPacket, Stamp,
};

use super::assembly::Head;
use super::{Spacing, sample_rate_hz};

/// The two streams of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// The readout stream: all channels, decimated.
    Readout,
    /// The PFB stream: a few channels before the decimation.
    Pfb,
}

impl StreamKind {
    /// Port that boards send the stream to.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Readout => READOUT_PORT,
            Self::Pfb => PFB_PORT,
        }
    }

    /// Reader of the fields of a packet that identify it.
    pub(super) fn read_head(self) -> fn(&[u8]) -> Option<Head> {
        match self {
            Self::Readout => readout_head,
            Self::Pfb => pfb_head,
        }
    }
}

pub(super) fn readout_head(bytes: &[u8]) -> Option<Head> {
    let packet = ReadoutPacket::new(bytes).ok()?;
    Some(Head {
        serial: packet.serial(),
        module: packet.module(),
        sequence: packet.sequence(),
    })
}

/// Reads the head of a packet of the PFB stream. A packet is refused if its samples cannot be
/// assigned to channels: if it has none, or not the same number of each channel, or if a channel
/// does not exist or occurs twice.
fn pfb_head(bytes: &[u8]) -> Option<Head> {
    let packet = PfbPacket::new(bytes).ok()?;
    let (slots, pairs) = (packet.mode().slots(), packet.samples().len());
    let named = packet.slots();
    let named = &named[..slots];
    let is_whole = pairs > 0 && pairs.is_multiple_of(slots);
    let exists = |channel: &u16| usize::from(*channel) < PacketLength::Long.channels();
    let is_once = |(at, channel): (usize, &u16)| !named[..at].contains(channel);
    let is_sound = is_whole
        && named.iter().all(exists)
        && named.iter().enumerate().all(is_once)
        && packet.module() < MODULES_IN_BANK;
    is_sound.then(|| Head {
        serial: packet.serial(),
        module: packet.module(),
        sequence: packet.sequence(),
    })
}

/// A packet of either stream, whose head was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum AnyPacket<'a> {
    Readout(ReadoutPacket<'a>),
    Pfb(PfbPacket<'a>),
}

impl<'a> AnyPacket<'a> {
    pub(super) fn new(kind: StreamKind, bytes: &'a [u8]) -> Option<Self> {
        match kind {
            StreamKind::Readout => ReadoutPacket::new(bytes).ok().map(Self::Readout),
            StreamKind::Pfb => PfbPacket::new(bytes).ok().map(Self::Pfb),
        }
    }

    pub(super) fn sequence(&self) -> u32 {
        match self {
            Self::Readout(packet) => packet.sequence(),
            Self::Pfb(packet) => packet.sequence(),
        }
    }

    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::Readout(packet) => packet.stamp(),
            Self::Pfb(packet) => packet.stamp(),
        }
    }

    /// True if a converter was over its range, and if an input was over its voltage. Packets of the
    /// PFB stream do not say so.
    pub(super) fn flags(&self) -> (bool, bool) {
        match self {
            Self::Readout(packet) => (packet.overrange(), packet.overvoltage()),
            Self::Pfb(_) => (false, false),
        }
    }

    pub(super) fn spacing(&self) -> Spacing {
        match self {
            Self::Readout(packet) => Spacing::Stage(packet.stage()),
            Self::Pfb(packet) => {
                let samples = packet.samples().len() / packet.mode().slots();
                Spacing::Samples(samples as u16)
            }
        }
    }

    pub(super) fn form(&self) -> StreamForm {
        match self {
            Self::Readout(packet) => StreamForm {
                channels: packet.length().channels(),
                stage: packet.stage(),
                rate_hz: sample_rate_hz(packet.stage()),
                ..StreamForm::default()
            },
            Self::Pfb(packet) => {
                let slots = packet.mode().slots();
                let mut chosen = packet.slots().map(usize::from).map(ChannelId::from_index);
                chosen[slots..].fill(None);
                StreamForm {
                    channels: slots,
                    stage: 0,
                    rate_hz: PFB_SAMPLE_RATE_HZ,
                    chosen,
                    packet_samples: self.spacing().samples(),
                }
            }
        }
    }

    /// Channels in the packet, in ascending order.
    pub(super) fn channels(&self) -> Vec<ChannelId> {
        match self {
            Self::Readout(packet) => {
                let count = packet.length().channels();
                ChannelId::FIRST.range(count).collect()
            }
            Self::Pfb(_) => {
                let chosen = self.form().chosen;
                let mut channels: Vec<_> = chosen.into_iter().flatten().collect();
                channels.sort_unstable();
                channels
            }
        }
    }

    /// True if the packet has all of these channels, which are in ascending order.
    pub(super) fn has(&self, channels: &[ChannelId]) -> bool {
        match self {
            Self::Readout(packet) => {
                let count = packet.length().channels();
                channels.last().is_none_or(|last| last.index() < count)
            }
            Self::Pfb(_) => {
                let chosen = self.form().chosen;
                channels.iter().all(|one| chosen.contains(&Some(*one)))
            }
        }
    }

    /// Adds the first `count` samples of `channels`, which the packet has and which are in
    /// ascending order, to a block.
    pub(super) fn push(&self, block: &mut StreamBlock, channels: &[ChannelId], count: u32) {
        match self {
            Self::Readout(packet) => push_row(block, packet.samples(), channels),
            Self::Pfb(packet) => push_chosen(block, packet, channels, count as usize),
        }
    }
}

/// Adds one sample of each of `channels`, which are in ascending order, from the samples of all
/// channels in a packet.
fn push_row(
    block: &mut StreamBlock,
    mut samples: impl Iterator<Item = (i32, i32)>,
    channels: &[ChannelId],
) {
    let from = block.i.len();
    block.i.resize(from + channels.len(), 0);
    block.q.resize(from + channels.len(), 0);
    let places = block.i[from..].iter_mut().zip(&mut block.q[from..]);
    let (Some(first), Some(last)) = (channels.first(), channels.last()) else {
        return;
    };
    let mut passed = first.index();
    if passed > 0 {
        samples.nth(passed - 1);
    }
    if last.index() + 1 - first.index() == channels.len() {
        // Contiguous channels, the usual case without a tune. This loop takes most of the time of a
        // capture, so it does not search for channels.
        for ((i, q), sample) in places.zip(samples) {
            (*i, *q) = sample;
        }
        return;
    }
    for ((i, q), channel) in places.zip(channels) {
        (*i, *q) = samples.nth(channel.index() - passed).unwrap_or_default();
        passed = channel.index() + 1;
    }
}

/// Adds the first `count` samples of each of `channels` from a packet of the PFB stream.
fn push_chosen(
    block: &mut StreamBlock,
    packet: &PfbPacket<'_>,
    channels: &[ChannelId],
    count: usize,
) {
    let from = block.i.len();
    block.i.resize(from + count * channels.len(), 0);
    block.q.resize(from + count * channels.len(), 0);
    let slots = packet.slots();
    for (column, channel) in channels.iter().enumerate() {
        let slot = slots
            .iter()
            .position(|slot| usize::from(*slot) == channel.index());
        let samples = packet.slot_samples(slot.unwrap_or(usize::MAX));
        let i = block.i[from..]
            .iter_mut()
            .skip(column)
            .step_by(channels.len());
        let q = block.q[from..]
            .iter_mut()
            .skip(column)
            .step_by(channels.len());
        for ((i, q), sample) in i.zip(q).zip(samples) {
            (*i, *q) = sample;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use twotone_wire::crs::{PfbHeader, PfbMode};

    use super::*;

    /// A packet of the PFB stream with these channels, from 0, and this number of samples of each.
    fn packet(slots: [u16; 4], mode: PfbMode, samples: usize) -> Vec<u8> {
        let header = PfbHeader {
            mode,
            slots,
            ..PfbHeader::default()
        };
        let pairs: Vec<_> = (0..samples * mode.slots())
            .map(|at| (at as i32, -(at as i32)))
            .collect();
        let mut bytes = vec![0; header.buffer_len(pairs.len())];
        header.emit(&pairs, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        /// Whatever a header says, a packet is refused or has whole samples of channels that exist,
        /// each once. Each requested channel gets its samples from its own slot.
        #[test]
        fn no_header_makes_data_of_nothing(
            slots in proptest::array::uniform4(prop_oneof![0..6_u16, Just(1023), any::<u16>()]),
            mode in prop_oneof![Just(PfbMode::One), Just(PfbMode::Two), Just(PfbMode::Four)],
            samples in 0..250_usize,
            changes in proptest::collection::vec((0..24_usize, any::<u8>()), 0..3),
            length in proptest::option::of(0..2200_usize),
        ) {
            let mut bytes = packet(slots, mode, samples);
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Some(length) = length {
                bytes.resize(length, 0);
            }
            let Some(head) = pfb_head(&bytes) else {
                return Ok(());
            };
            prop_assert!(head.module < MODULES_IN_BANK);
            let packet = AnyPacket::new(StreamKind::Pfb, &bytes).unwrap();
            let (form, channels) = (packet.form(), packet.channels());
            prop_assert_eq!(channels.len(), form.channels);
            prop_assert!(channels.is_sorted_by(|one, next| one < next));
            prop_assert!(packet.has(&channels));
            let samples = form.packet_samples as usize;
            prop_assert!(samples > 0);
            prop_assert_eq!(24 + 8 * samples * channels.len() + 32, bytes.len());
            let mut block = StreamBlock::new(0);
            packet.push(&mut block, &channels, form.packet_samples);
            prop_assert_eq!(block.i.len(), samples * channels.len());
            for (column, channel) in channels.iter().enumerate() {
                let mut chosen = form.chosen.iter();
                let slot = chosen.position(|one| *one == Some(*channel)).unwrap();
                for sample in 0..samples {
                    let at = 24 + 8 * (sample * channels.len() + slot);
                    let sent = i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
                    prop_assert_eq!(block.i[sample * channels.len() + column], sent);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_packet(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(pfb_head(&bytes).is_none());
            prop_assert!(readout_head(&bytes).is_none());
        }
    }
}
