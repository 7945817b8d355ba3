//! The readout stream: every channel of a module, decimated.

use twotone_wire::crs::{MODULES_IN_BANK, PacketLength, ReadoutHeader, StampSource};

use super::fate::Lane;
use super::outbox::Outbox;
use super::tally::{Count, Kind};
use crate::board::Board;
use crate::crs::Stamp;
use crate::module::Rows;
use crate::settings::{SHORT_CHANNELS, Settings};

/// Modules of an analog bank: packets count them from 0 in either.
pub(super) const BANK: usize = MODULES_IN_BANK as usize;

/// Makes the packets of a module's samples up to now.
pub(super) fn send_due(
    board: &Board,
    settings: &Settings,
    lane: &mut Lane,
    rows: &mut Rows,
    outbox: &mut Outbox,
) {
    let index = lane.module();
    {
        let Some(mut module) = board.module(index) else {
            return;
        };
        module.stream(settings.channels());
        let skipped = module.take_rows(rows);
        let tally = board.streamed().of(index, Kind::Readout);
        tally.add(Count::Skipped, skipped);
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
            // The simulated supplies hold.
            overvoltage: false,
            stage: head.stage,
            module: (index % BANK) as u8,
            sequence: head.sequence,
            stamp: Stamp::at_tick(head.tick).on_the_wire(source, true),
        };
        lane.put(board, outbox, header.buffer_len(), |bytes, labels| {
            let header = ReadoutHeader {
                serial: labels.serial,
                stamp: header.stamp.with_source(source, labels.is_recent),
                ..header
            };
            // The buffer is of the length that the header says.
            let _ = header.emit(samples, bytes);
        });
    }
}

/// Where the time code comes from, as stamps say it.
pub(super) fn source(settings: &Settings) -> StampSource {
    match settings.timestamp_port {
        "BACKPLANE" => StampSource::Backplane,
        "SMA" => StampSource::Sma,
        _ => StampSource::Test,
    }
}
