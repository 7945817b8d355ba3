//! `twotone find`: searches for the boards of the local network.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::find::{FindOptions, Found, FoundBoard, Interface, WayReport, find};
use twotone::hal::legible;

use super::Exit;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::table::Table;
use super::tune::parse_seconds_up_to;

/// Longest search, in seconds.
const LONGEST_S: f64 = 3600.0;

/// The arguments of `twotone find`.
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// Search for this many seconds.
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Search on this interface only, by its name or address. The default is all of them.
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Address and port to which boards in their boot window send beacons.
    #[arg(long, value_name = "ADDRESS:PORT")]
    beacons: Option<SocketAddr>,
    /// Print a hardware map of the boards instead of a table.
    #[arg(long)]
    map: bool,
    /// Also connect to each board, and ask it for its firmware release, as `twotone info` does.
    /// Without this, nothing is sent but questions of multicast DNS.
    #[arg(long)]
    ask: bool,
    /// Do not listen to the sample streams. The network sends the streams of all boards to a
    /// computer that does, for 1 s: leave them out while this network carries a capture.
    #[arg(long)]
    no_streams: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    parse_seconds_up_to(LONGEST_S, text)
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    #[serde(flatten)]
    found: Found,
    map: Option<String>,
}

impl Find {
    pub(crate) fn run(self, json: bool) -> Exit {
        let mut options = FindOptions::default();
        options.within = Duration::from_secs_f64(self.seconds);
        options.streams = !self.no_streams;
        options.beacons = self.beacons;
        if let Some(interface) = &self.interface {
            options.interface = match Interface::named(interface) {
                Ok(interface) => Some(interface),
                Err(error) => return Exit::usage(&error.chain().to_string()),
            };
        }
        let interrupt = Interrupt::watch("");
        let found = interrupt.unless(async {
            let mut found = find(&options).await;
            if self.ask {
                found.ask().await;
            }
            found
        });
        let Some(found) = found else {
            return Exit::Interrupted;
        };
        let map = self.map.then(|| found.map_toml());
        let (ok, is_empty) = (found.is_sound(), found.boards.is_empty());
        let report = Report { ok, found, map };
        if json {
            say_json(&report);
        } else {
            match &report.map {
                Some(map) => say(map.trim_end()),
                None => say(report
                    .found
                    .boards
                    .iter()
                    .fold(table(), row)
                    .to_string()
                    .trim_end()),
            }
            report.found.ways.iter().for_each(complain_of);
        }
        match ok {
            _ if is_empty => Exit::NothingReachable,
            true => Exit::Well,
            false => Exit::SomeFailed,
        }
    }
}

fn table() -> Table {
    Table::new([
        "serial", "address", "name", "crate", "slot", "firmware", "found by",
    ])
}

fn row(mut table: Table, board: &FoundBoard) -> Table {
    let ways: Vec<_> = board.found_by.iter().map(ToString::to_string).collect();
    let address = board.address.as_ref().map(ToString::to_string);
    table.row([
        board.serial.clone().unwrap_or_default(),
        address.unwrap_or_default(),
        board.hosts.join(" "),
        board.crate_serial.clone().unwrap_or_default(),
        board.slot.map(|slot| slot.to_string()).unwrap_or_default(),
        board.firmware.clone().unwrap_or_default(),
        ways.join(" "),
    ]);
    for conflict in &board.conflicts {
        table.note(format!("CONFLICT: {conflict}"));
    }
    if let Some(error) = &board.error {
        table.note(error.cause());
    }
    table
}

/// Prints on standard error if a way of the search was not complete, or if datagrams were refused.
fn complain_of(way: &WayReport) {
    let WayReport {
        kind,
        way,
        refused,
        left_out,
        error,
    } = way;
    if let Some(error) = error {
        complain(&format!(
            "{kind} boards by {way}: {}",
            legible(&error.to_string())
        ));
    }
    if *left_out > 0 {
        complain(&format!(
            "{kind} boards by {way}: {left_out} signs were left out, which are too many or have an \
             address that no board can have"
        ));
    }
    if *refused > 0 {
        complain(&format!(
            "{kind} boards by {way}: {refused} datagrams were refused, which are not those of boards"
        ));
    }
}
