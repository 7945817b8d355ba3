//! The readout stream: every channel of a module, decimated.

use twotone_wire::crs::{self as wire, PacketLength, ReadoutHeader, StampSource};

use super::lane::{Lane, Moment};
use crate::board::stream::{Count, Outbox, Pace};
use crate::crs::module::Rows;
use crate::crs::settings::{SHORT_CHANNELS, Settings};
use crate::crs::stamp::Stamp;
use crate::crs::tuber::names;
use crate::crs::{BANK, Crs, READOUT};

/// Makes packets of the samples that are due, at most as many as one turn allows. Returns true if
/// more samples are due.
pub(super) fn send_due(
    crs: &Crs,
    pace: &Pace,
    settings: &Settings,
    lane: &mut Lane,
    rows: &mut Rows,
    outbox: &mut Outbox,
) -> bool {
    let index = lane.module();
    let had = {
        let Some(mut module) = crs.module_behind(index) else {
            return false;
        };
        let now_s = crs.board.clock().now_s();
        module.stream(settings.channels(), now_s, pace.room(), rows)
    };
    if had.skipped > 0 {
        let tally = crs.board.streamed().of(index, READOUT);
        tally.add(Count::Skipped, had.skipped);
        pace.log_skipped();
    }
    let source = source(settings);
    let mut at = 0;
    for head in &rows.headers {
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
            // Inputs of simulated boards never exceed their voltage limit.
            overvoltage: false,
            stage: head.stage,
            module: (index % BANK) as u8,
            sequence: head.sequence,
            stamp: wire::Stamp::default(),
        };
        let moment = Moment {
            parts: Stamp::parts_of_tick(head.tick),
            source,
        };
        let length = header.buffer_len();
        lane.put(&crs.board, outbox, length, moment, |bytes, labels| {
            let header = ReadoutHeader {
                serial: labels.serial,
                stamp: labels.stamp,
                ..header
            };
            // This cannot fail, because the buffer has the length that the header requires.
            let _ = header.emit(samples, bytes);
        });
    }
    had.is_behind
}

/// Source of the time code, as in stamps. They have one value for both connectors.
pub(in crate::crs) fn source(settings: &Settings) -> StampSource {
    match settings.timestamp_port {
        names::BACKPLANE => StampSource::Backplane,
        names::SMA | names::AUX_SMA => StampSource::Sma,
        _ => StampSource::Test,
    }
}
