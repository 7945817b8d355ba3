//! A sender of readout packets: a board with its own loopback address, which sends to a multicast
//! group.

use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Socket, Type};
use twotone_hal::{ModuleId, ReceiveOptions};
use twotone_transport::readout::{SampleTime, Source};
use twotone_wire::crs::{PacketLength, ReadoutHeader, Stamp, StampSource, group_delay_s};

pub(crate) fn source(address: u8, serial: u16) -> Source {
    Source::new(Ipv4Addr::new(127, 0, 0, address), serial)
}

pub(crate) fn module(number: u8) -> ModuleId {
    ModuleId::new(number).unwrap()
}

/// I and Q that a board sends on a channel (from 0). They differ for every board, module, sample
/// and channel.
pub(crate) fn steps(source: Source, module: ModuleId, sequence: u32, channel: usize) -> [i32; 2] {
    let of_module = 8 * i32::from(source.serial) + i32::from(module.number());
    let of_sample = (sequence % 1000) as i32 * 1024 + channel as i32;
    [of_module * 1000 - of_sample, -of_module - 7 * of_sample]
}

/// Time stamp of a packet. It advances by a sample period of decimation stage 6 with each packet,
/// and its date passes the end of a year.
fn stamp(sequence: u32) -> Stamp {
    const PERIOD: u64 = 4096 << 6;
    let parts = u64::from(Stamp::PARTS_PER_SECOND) - 20 * PERIOD + PERIOD * u64::from(sequence);
    let part = (parts % u64::from(Stamp::PARTS_PER_SECOND)) as u32;
    let stamp = if parts < u64::from(Stamp::PARTS_PER_SECOND) {
        Stamp {
            year: 26,
            day: 365,
            hour: 23,
            minute: 59,
            second: 59,
            part,
            ..Stamp::default()
        }
    } else {
        Stamp {
            year: 27,
            day: 1,
            part,
            ..Stamp::default()
        }
    };
    stamp.with_source(StampSource::Test, true)
}

pub(crate) fn stamped_at(sequence: u32) -> SampleTime {
    SampleTime::of_stamp(&stamp(sequence)).unwrap()
}

pub(crate) fn taken_at(sequence: u32) -> SampleTime {
    let taken = SampleTime::of_readout(&stamp(sequence), 6).unwrap();
    let delay = stamped_at(sequence).since(taken).as_secs_f64();
    assert!((delay - group_delay_s(6)).abs() < 1e-8);
    taken
}

pub(crate) struct Sender {
    socket: Socket,
    group: SocketAddrV4,
    source: Source,
    pub(crate) serial: u16,
    pub(crate) length: PacketLength,
    pub(crate) stage: u8,
    pub(crate) overrange: bool,
    pub(crate) overvoltage: bool,
    pub(crate) recent: bool,
    /// Sequence number from which the time stamp is computed, if the clock of the board is wrong.
    pub(crate) stamped: Option<u32>,
    /// Number of zero bytes after the end of each packet, which make it invalid.
    pub(crate) tail: usize,
}

/// Multicast group of the options of a test.
fn group_of(options: &ReceiveOptions) -> Ipv4Addr {
    options.group.as_ref().unwrap().parse().unwrap()
}

impl Sender {
    pub(crate) fn new(source: Source, options: &ReceiveOptions) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.set_multicast_ttl_v4(0).unwrap();
        let own = SocketAddrV4::new(source.address, 0);
        socket.bind(&own.into()).unwrap();
        Self {
            socket,
            group: SocketAddrV4::new(group_of(options), options.port.unwrap()),
            source,
            serial: source.serial,
            length: PacketLength::Short,
            stage: 6,
            overrange: false,
            overvoltage: false,
            recent: true,
            stamped: None,
            tail: 0,
        }
    }

    /// Sends a packet of the module at `index`, counted from 0.
    pub(crate) fn readout(&mut self, index: u8, sequence: u32) {
        let header = ReadoutHeader {
            length: self.length,
            serial: self.serial,
            modules: 4,
            overrange: self.overrange,
            overvoltage: self.overvoltage,
            stage: self.stage,
            module: index,
            sequence,
            stamp: stamp(self.stamped.unwrap_or(sequence) % 1000)
                .with_source(StampSource::Test, self.recent),
        };
        let steps = |channel| steps(self.source, module(index + 1), sequence, channel);
        let channels = 0..self.length.channels();
        let samples: Vec<_> = channels.map(|channel| steps(channel).into()).collect();
        let mut packet = vec![0; header.buffer_len() + self.tail];
        header.emit(&samples, &mut packet).unwrap();
        self.raw(&packet);
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let sent = self.socket.send_to(bytes, &self.group.into()).unwrap();
        assert_eq!(sent, bytes.len());
    }
}
