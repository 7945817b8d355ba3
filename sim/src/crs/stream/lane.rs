//! One packet stream of a simulated module. It adds packets to the outbox, and lets faults change
//! them.

use twotone_wire::crs;

use crate::board::Board;
use crate::board::stream::{Count, LaneId, Outbox};
use crate::crs::stamp::Stamp;
use crate::fault::{OnClock, OnPacket, Packet};

/// Fields of a packet that a fault may change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    pub(super) serial: u16,
    pub(super) stamp: crs::Stamp,
}

/// Time of a packet and source of its time code, for its time stamp.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Parts of a second ([`crs::Stamp::PARTS_PER_SECOND`]) after the start of the farm (the group
    /// of simulated boards).
    pub(super) parts: i64,
    pub(super) source: crs::StampSource,
}

/// One stream of a module.
#[derive(Debug)]
pub(super) struct Lane {
    id: LaneId,
    late: Vec<LatePacket>,
    /// Time, in parts of a second after the start of the farm, at which a fault has stopped the
    /// clock; `None` if the clock runs.
    stopped: Option<i64>,
}

/// A packet that a fault holds back.
#[derive(Debug)]
struct LatePacket {
    /// Number of the packet after which the late packet is sent.
    after: u64,
    bytes: Vec<u8>,
}

impl Lane {
    pub(super) fn new(id: LaneId) -> Self {
        Self {
            id,
            late: Vec::new(),
            stopped: None,
        }
    }

    pub(super) fn module(&self) -> usize {
        self.id.module
    }

    /// Adds a packet of `length` bytes to the outbox. The closure `write` fills these bytes. Faults
    /// may change, delay or drop the packet.
    pub(super) fn put(
        &mut self,
        board: &Board,
        outbox: &mut Outbox,
        length: usize,
        moment: Moment,
        write: impl FnOnce(&mut [u8], Labels),
    ) {
        let tally = board.streamed().of(self.id.module, self.id.stream);
        let nth = tally.get(Count::Made);
        tally.add(Count::Made, 1);
        let packet = Packet {
            serial: board.serial(),
            module: self.id.module as u8 + 1,
            nth,
        };
        let fate = board.on_packet(&packet);
        let mut labels = Labels {
            serial: packet.serial,
            stamp: self.stamp(moment, fate),
        };
        let count = match fate {
            OnPacket::Send => None,
            OnPacket::Lose => Some(Count::Lost),
            OnPacket::Twice => Some(Count::Doubled),
            OnPacket::Late(_) => Some(Count::Late),
            OnPacket::Flip(_) | OnPacket::Cut(_) => Some(Count::Spoilt),
            OnPacket::NotRecent => {
                labels.stamp = labels.stamp.with_source(moment.source, false);
                Some(Count::Stale)
            }
            OnPacket::Clock(_) => Some(Count::Misdated),
            OnPacket::Serial(serial) => {
                labels.serial = serial;
                Some(Count::Foreign)
            }
        };
        if let Some(count) = count {
            tally.add(count, 1);
        }
        if fate != OnPacket::Lose {
            outbox.add(self.id, length, |bytes| write(bytes, labels));
        }
        match fate {
            OnPacket::Twice => outbox.double_last(),
            OnPacket::Late(by) => self.late.push(LatePacket {
                after: nth + u64::from(by),
                bytes: outbox.take_last(),
            }),
            OnPacket::Flip(at) => {
                if let Some(byte) = outbox.last().get_mut(at as usize) {
                    *byte ^= 0xff;
                }
            }
            OnPacket::Cut(to) => outbox.cut_last((to as usize).min(length.saturating_sub(1))),
            _ => {}
        }
        if !self.late.is_empty() {
            self.release(outbox, nth);
        }
    }

    /// Time stamp of a packet: the time of the board's clock, with the error that a fault gives it.
    fn stamp(&mut self, moment: Moment, fate: OnPacket) -> crs::Stamp {
        let OnPacket::Clock(wrong) = fate else {
            self.stopped = None;
            return on_the_wire(moment.parts, moment.source);
        };
        let second = i64::from(crs::Stamp::PARTS_PER_SECOND);
        let parts_of = |seconds: f64| (seconds * second as f64) as i64;
        let parts = match wrong {
            OnClock::Ahead(seconds) => moment.parts.saturating_add(parts_of(seconds)),
            OnClock::Stopped => *self.stopped.get_or_insert(moment.parts),
            OnClock::LateSecond(late) if moment.parts.rem_euclid(second) < parts_of(late) => {
                moment.parts - second
            }
            OnClock::LateSecond(_) | OnClock::Date { .. } => moment.parts,
        };
        let stamp = on_the_wire(parts, moment.source);
        match wrong {
            OnClock::Date { year, day } => crs::Stamp {
                year: year.unwrap_or(stamp.year),
                day: day.unwrap_or(stamp.day),
                ..stamp
            },
            _ => stamp,
        }
    }

    /// Adds the packets that faults still hold back to the outbox.
    pub(super) fn end(&mut self, outbox: &mut Outbox) {
        self.release(outbox, u64::MAX);
    }

    fn release(&mut self, outbox: &mut Outbox, nth: u64) {
        let id = self.id;
        self.late.retain(|late| {
            let due = late.after <= nth;
            if due {
                outbox.add(id, late.bytes.len(), |bytes| {
                    bytes.copy_from_slice(&late.bytes)
                });
            }
            !due
        });
    }
}

fn on_the_wire(parts: i64, source: crs::StampSource) -> crs::Stamp {
    Stamp::after_parts(parts).on_the_wire(source, true)
}
