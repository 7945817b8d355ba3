//! Targets that read packets of the sample streams. A packet that is accepted can be read to its
//! end, and has the same header and samples after it is written and read again.

use twotone_transport::readout::SampleTime;
use twotone_wire::crs::{
    PacketError, PfbHeader, PfbPacket, ReadoutHeader, ReadoutPacket, group_delay_s, sample_rate_hz,
};

use super::check::twice;

/// Reads a packet of the readout stream.
pub(super) fn readout(bytes: &[u8]) -> String {
    let packet = match twice(|| ReadoutPacket::new(bytes)) {
        Ok(packet) => packet,
        Err(error) => return refused(&error, bytes),
    };
    let header = ReadoutHeader::parse(&packet);
    let samples: Vec<_> = packet.samples().collect();
    assert_eq!(samples.len(), packet.length().channels());
    let mut written = vec![0xa5; header.buffer_len() + 3];
    header.emit(&samples, &mut written).expect("it fits");
    let (written, beyond) = written.split_at(bytes.len());
    assert_eq!(beyond, [0xa5; 3], "more was written than the packet");
    let again = ReadoutPacket::new(written).expect("a written packet is one");
    assert_eq!(ReadoutHeader::parse(&again), header);
    assert!(again.samples().eq(samples.iter().copied()));
    assert_eq!(written[16..], bytes[16..], "what is behind the header");
    let short = header.emit(&samples, &mut vec![0; bytes.len() - 1]);
    assert!(matches!(short, Err(PacketError::Length { .. })));
    assert!(sample_rate_hz(packet.stage()) > 0.0 && group_delay_s(packet.stage()) > 0.0);
    let time = SampleTime::of_readout(&packet.stamp(), packet.stage());
    format!("readout {:?} {:?}", packet.length(), time.map(|_| ()))
}

/// Reads a packet of the PFB stream.
pub(super) fn pfb(bytes: &[u8]) -> String {
    let packet = match twice(|| PfbPacket::new(bytes)) {
        Ok(packet) => packet,
        Err(error) => return refused(&error, bytes),
    };
    let header = PfbHeader::parse(&packet);
    let samples: Vec<_> = packet.samples().collect();
    assert!(samples.len() <= PfbPacket::MAX_PAIRS);
    let mut of_slots = 0;
    for slot in [0, 1, 2, 3, 4, usize::MAX] {
        let count = packet.slot_samples(slot).count();
        assert!(
            slot < packet.mode().slots() || count == 0,
            "samples of no slot"
        );
        of_slots += count;
    }
    assert_eq!(of_slots, samples.len(), "every sample is of one slot");
    let mut written = vec![0; header.buffer_len(samples.len())];
    header.emit(&samples, &mut written).expect("it fits");
    let again = PfbPacket::new(&written).expect("a written packet is one");
    assert_eq!(PfbHeader::parse(&again), header);
    assert!(again.samples().eq(samples.iter().copied()));
    let time = SampleTime::of_stamp(&packet.stamp());
    format!("pfb {:?} {:?}", packet.mode(), time.map(|_| ()))
}

fn refused(error: &PacketError, bytes: &[u8]) -> String {
    if let PacketError::Length { expected, found } = error {
        assert_eq!(*found, bytes.len());
        assert_ne!(expected, found);
    }
    match error {
        PacketError::Magic(_) => "magic".to_owned(),
        other => other.to_string(),
    }
}
