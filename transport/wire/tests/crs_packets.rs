//! Tests of the packets in which CRS boards send samples: comparison with packets of another
//! implementation, and round trips.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use twotone_wire::crs::{
    PacketError, PacketLength, PfbHeader, PfbMode, PfbPacket, ReadoutHeader, ReadoutPacket, Stamp,
    StampSource, group_delay_s, sample_rate_hz,
};

const LONG: &[u8] = include_bytes!("golden/mock/readout_long.bin");
const SHORT: &[u8] = include_bytes!("golden/rfmux/readout_short.bin");
const PFB: &[u8] = include_bytes!("golden/rfmux/pfb_two_slots.bin");

/// The time stamp in the packets that were recorded from `rfmux`, control software for CRS boards.
fn end_of_leap_year() -> Stamp {
    Stamp {
        year: 26,
        day: 366,
        hour: 23,
        minute: 59,
        second: 58,
        part: Stamp::PARTS_PER_SECOND - 1,
        control: 0xc002_a5a5,
        second_of_day: 86_398,
    }
}

#[test]
fn a_long_readout_packet() {
    let packet = ReadoutPacket::new(LONG).unwrap();
    let header = ReadoutHeader {
        length: PacketLength::Long,
        serial: 1,
        modules: 1,
        stage: 6,
        module: 0,
        sequence: 5250,
        stamp: Stamp {
            year: 26,
            day: 326,
            hour: 11,
            minute: 9,
            second: 45,
            part: 77_493_750,
            control: 0xa000_0000,
            second_of_day: 40_185,
        },
        ..ReadoutHeader::default()
    };
    assert_eq!(ReadoutHeader::parse(&packet), header);
    assert_eq!(
        (header.stamp.source(), header.stamp.is_recent()),
        (StampSource::Test, true)
    );
    let samples: Vec<_> = packet.samples().collect();
    assert_eq!(samples.len(), 1024);
    assert_eq!(samples[..3], [(656_179, -9294), (1626, 182), (-472, 1271)]);
    assert_eq!(samples[1022..], [(3531, -1222), (-706, -477)]);

    let mut bytes = vec![0xaa; header.buffer_len()];
    header.emit(&samples, &mut bytes).unwrap();
    assert!(bytes == LONG);
}

#[test]
fn a_short_readout_packet() {
    let packet = ReadoutPacket::new(SHORT).unwrap();
    let header = ReadoutHeader {
        length: PacketLength::Short,
        serial: 4242,
        modules: 4,
        overrange: true,
        overvoltage: true,
        stage: 2,
        module: 3,
        sequence: 0xffff_fffe,
        stamp: end_of_leap_year(),
    };
    assert_eq!(ReadoutHeader::parse(&packet), header);
    let stamp = header.stamp;
    assert_eq!(
        (stamp.source(), stamp.is_recent()),
        (StampSource::Sma, true)
    );
    assert_eq!(stamp.control_bits(), 0x2_a5a5);
    let expected = (-64..64).map(|n| (2 * n * 65_537, (2 * n + 1) * 65_537));
    assert!(packet.samples().eq(expected.clone()));
    let mut bytes = vec![0; header.buffer_len()];
    header
        .emit(&expected.collect::<Vec<_>>(), &mut bytes)
        .unwrap();
    assert!(bytes == SHORT);
}

#[test]
fn a_pfb_packet() {
    let packet = PfbPacket::new(PFB).unwrap();
    let header = PfbHeader {
        mode: PfbMode::Two,
        serial: 42,
        slots: [7, 1023, 0, 0],
        module: 1,
        sequence: 77,
        stamp: end_of_leap_year(),
    };
    assert_eq!(PfbHeader::parse(&packet), header);
    let first = [(1, -1), (2, -2), (i32::MAX, i32::MIN)];
    let second = [(100, -100), (200, -200), (300, -300)];
    assert!(packet.slot_samples(0).eq(first));
    assert!(packet.slot_samples(1).eq(second));
    assert_eq!(packet.slot_samples(2).len(), 0);
    let samples: Vec<_> = packet.samples().collect();
    let mut bytes = vec![0xaa; header.buffer_len(samples.len())];
    header.emit(&samples, &mut bytes).unwrap();
    assert!(bytes == PFB);
}

#[test]
fn bytes_that_are_no_packet_are_told_apart() {
    let changed = |golden: &[u8], at: usize, byte: u8| {
        let mut bytes = golden.to_vec();
        bytes[at] = byte;
        bytes
    };
    let readout = |bytes: &[u8]| ReadoutPacket::new(bytes).err();
    assert_eq!(
        readout(&changed(LONG, 0, 0)),
        Some(PacketError::Magic(0x5344_4900))
    );
    assert_eq!(readout(&changed(LONG, 4, 7)), Some(PacketError::Version(7)));
    let length = |expected, found| Some(PacketError::Length { expected, found });
    assert_eq!(readout(&changed(LONG, 4, 6)), length(1072, 8240));
    assert_eq!(readout(&SHORT[..1071]), length(1072, 1071));
    assert_eq!(readout(&[SHORT, &[0]].concat()), length(1072, 1073));
    assert_eq!(readout(&SHORT[..15]), length(16, 15));
    assert_eq!(readout(PFB), Some(PacketError::Magic(0x736e_6962)));

    let pfb = |bytes: &[u8]| PfbPacket::new(bytes).err();
    assert_eq!(pfb(&changed(PFB, 4, 2)), Some(PacketError::Version(2)));
    assert_eq!(
        pfb(&changed(PFB, 5, 3)),
        Some(PacketError::Field {
            field: "mode",
            value: 3
        })
    );
    assert_eq!(pfb(&changed(PFB, 16, 7)), length(112, 104));
    let too_many = changed(&changed(PFB, 16, 0xe9), 17, 3);
    let refused = PacketError::Field {
        field: "number of pairs",
        value: 1001,
    };
    assert_eq!(pfb(&too_many), Some(refused));
    assert_eq!(pfb(&PFB[..55]), length(56, 55));
    assert_eq!(
        PfbHeader::default().emit(&[(0, 0); 1001], &mut [0; 9000]),
        Err(refused)
    );
    let short = PfbHeader::default().emit(&[(0, 0); 2], &mut [0; 71]);
    assert_eq!(
        short,
        Err(PacketError::Length {
            expected: 72,
            found: 71
        })
    );
}

#[test]
fn rates_and_delays() {
    // A board at its default stage: 596.05 samples a second, stamped 4.99 ms late.
    assert!((sample_rate_hz(6) - 596.046).abs() < 1e-3);
    assert!((group_delay_s(6) - 4.993e-3).abs() < 1e-6);
    assert!((group_delay_s(0) - 38.7e-6).abs() < 1e-7);
}

#[test]
fn a_stamp_keeps_its_control_bits() {
    let stamp = end_of_leap_year().with_source(StampSource::Ground, false);
    assert_eq!(
        (stamp.source(), stamp.is_recent()),
        (StampSource::Ground, false)
    );
    assert_eq!(stamp.control_bits(), end_of_leap_year().control_bits());
}

fn stamps() -> impl Strategy<Value = Stamp> {
    any::<[u32; 8]>().prop_map(
        |[
            year,
            day,
            hour,
            minute,
            second,
            part,
            control,
            second_of_day,
        ]| Stamp {
            year,
            day,
            hour,
            minute,
            second,
            part,
            control,
            second_of_day,
        },
    )
}

fn readout_headers() -> impl Strategy<Value = ReadoutHeader> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (
        flags,
        any::<u16>(),
        any::<u8>(),
        0..8_u8,
        any::<u8>(),
        any::<u32>(),
        stamps(),
    )
        .prop_map(
            |((long, overrange, overvoltage), serial, modules, stage, module, sequence, stamp)| {
                let length = if long {
                    PacketLength::Long
                } else {
                    PacketLength::Short
                };
                ReadoutHeader {
                    length,
                    serial,
                    modules,
                    overrange,
                    overvoltage,
                    stage,
                    module,
                    sequence,
                    stamp,
                }
            },
        )
}

fn pfb_headers() -> impl Strategy<Value = PfbHeader> {
    let mode = prop::sample::select(vec![PfbMode::One, PfbMode::Two, PfbMode::Four]);
    (
        mode,
        any::<u16>(),
        any::<[u16; 4]>(),
        any::<u8>(),
        any::<u32>(),
        stamps(),
    )
        .prop_map(|(mode, serial, slots, module, sequence, stamp)| PfbHeader {
            mode,
            serial,
            slots,
            module,
            sequence,
            stamp,
        })
}

proptest! {
    // A failing case prints its input and its seed. The seed is stored beside this file and runs
    // first.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn readout_packets_go_round(
        header in readout_headers(),
        samples in prop::collection::vec(any::<(i32, i32)>(), 0..1100),
    ) {
        let mut bytes = vec![0xaa; header.buffer_len() + 3];
        header.emit(&samples, &mut bytes).unwrap();
        prop_assert_eq!(&bytes[header.buffer_len()..], [0xaa; 3]);
        let packet = ReadoutPacket::new(&bytes[..header.buffer_len()]).unwrap();
        prop_assert_eq!(ReadoutHeader::parse(&packet), header);
        let channels = header.length.channels();
        let padded = samples.iter().copied().chain(std::iter::repeat((0, 0))).take(channels);
        prop_assert!(packet.samples().eq(padded));
    }

    #[test]
    fn pfb_packets_go_round(
        header in pfb_headers(),
        samples in prop::collection::vec(any::<(i32, i32)>(), 0..=1000),
    ) {
        let mut bytes = vec![0xaa; header.buffer_len(samples.len())];
        header.emit(&samples, &mut bytes).unwrap();
        let packet = PfbPacket::new(&bytes).unwrap();
        prop_assert_eq!(PfbHeader::parse(&packet), header);
        prop_assert!(packet.samples().eq(samples.iter().copied()));
        let slots = header.mode.slots();
        for slot in 0..slots {
            prop_assert!(packet.slot_samples(slot).eq(samples.iter().copied().skip(slot).step_by(slots)));
        }
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..9000),
        which in 0..3_usize,
        length in any::<prop::sample::Index>(),
    ) {
        let golden = [LONG, SHORT, PFB][which];
        let kept = golden.len().min(bytes.len()).min(24);
        bytes[..kept].copy_from_slice(&golden[..kept]);
        bytes.truncate([golden.len(), length.index(9000)][which % 2]);
        if let Ok(packet) = ReadoutPacket::new(&bytes) {
            prop_assert_eq!(packet.samples().count(), packet.length().channels());
        }
        if let Ok(packet) = PfbPacket::new(&bytes) {
            prop_assert!(packet.slot_samples(usize::MAX).count() == 0);
        }
    }
}
