//! The readout stream: every channel of a module, decimated.

use twotone_wire::crs::{self, MODULES_IN_BANK, PacketLength, ReadoutHeader, StampSource};

use super::fate::{Lane, Moment};
use super::outbox::Outbox;
use super::pace::Pace;
use super::tally::{Count, Kind};
use crate::board::Board;
use crate::crs::Stamp;
use crate::module::Rows;
use crate::settings::{SHORT_CHANNELS, Settings};

/// Modules of an analog bank: packets count them from 0 in either.
pub(super) const BANK: usize = MODULES_IN_BANK as usize;

/// Makes the packets of the samples that are due, at most those of one turn.
/// Returns true if more are due.
pub(super) fn send_due(
    board: &Board,
    pace: &Pace,
    settings: &Settings,
    lane: &mut Lane,
    rows: &mut Rows,
    outbox: &mut Outbox,
) -> bool {
    let index = lane.module();
    let had = {
        let Some(mut module) = board.module_behind(index) else {
            return false;
        };
        let now_s = board.clock().now_s();
        module.stream(settings.channels(), now_s, pace.room(), rows)
    };
    if had.skipped > 0 {
        let tally = board.streamed().of(index, Kind::Readout);
        tally.add(Count::Skipped, had.skipped);
        pace.leaves_out();
    }
    let source = source(settings);
    let mut at = 0;
    for head in &rows.heads {
        let samples = &rows.samples[at..at + head.channels];
        at += head.channels;
        let header = ReadoutHeader {
            length: if head.channels == SHORT_CHANNELS {
                PacketLength::Short
            } else {
                PacketLength::Long
            },
            serial: 0,
            modules: settings.streamed.len() as u8,
            overrange: head.overrange,
            // The simulated supplies never fail.
            overvoltage: false,
            stage: head.stage,
            module: (index % BANK) as u8,
            sequence: head.sequence,
            stamp: crs::Stamp::default(),
        };
        let moment = Moment {
            parts: Stamp::parts_of_tick(head.tick),
            source,
        };
        let length = header.buffer_len();
        lane.put(board, outbox, length, moment, |bytes, labels| {
            let header = ReadoutHeader {
                serial: labels.serial,
                stamp: labels.stamp,
                ..header
            };
            // The buffer is of the length that the header says.
            let _ = header.emit(samples, bytes);
        });
    }
    had.is_behind
}

/// Source of the time code, in the form of stamps.
pub(super) fn source(settings: &Settings) -> StampSource {
    match settings.timestamp_port {
        "BACKPLANE" => StampSource::Backplane,
        "SMA" => StampSource::Sma,
        _ => StampSource::Test,
    }
}
