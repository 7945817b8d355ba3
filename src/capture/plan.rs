//! Which boards, modules and channels are captured, and what their samples mean.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use tworoutine::tworoutine;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::{ChannelOutcome, ChannelStatus};
use twotone_hal::{BoardHandle, ChannelId, Error, ErrorKind, ModuleId, Result};
use twotone_transport::readout::Source;

use super::CaptureParams;
use super::standing::{Standing, TuneState};
use crate::Array;
use crate::map::{BoardEntry, BoardKind, HardwareMap};
use crate::record::{ModuleTune, TuneRecord};

/// Modules of an analog bank.
const BANK: u8 = 4;

/// A board whose stream is captured.
#[derive(Debug)]
pub struct BoardPlan {
    /// Its name in the map.
    pub name: String,
    /// Where its packets come from, and the serial number that they bear; or why that is not
    /// known.
    pub source: Result<Source>,
    /// Its modules.
    pub modules: Vec<ModulePlan>,
}

/// A module whose samples are captured.
#[derive(Debug, Clone)]
pub struct ModulePlan {
    /// The module, numbered as in the map.
    pub module: ModuleId,
    /// The module as packets number it, from 1 within the analog bank in use.
    pub in_packets: ModuleId,
    /// Whether it fails the capture that nothing comes from it: somebody has named it.
    pub is_expected: bool,
    /// The channels to write, in order; `None` for all that a packet holds.
    pub channels: Option<Vec<ChannelId>>,
    /// Calibrations, by channel.
    pub calibrated: Vec<(ChannelId, Calibration)>,
    /// Whether the tune holds, where there is one.
    pub standing: Option<Standing>,
    board: Option<BoardHandle>,
    tune: Option<ModuleTune>,
}

impl ModulePlan {
    /// Asks the board once more whether the tune holds: after a capture, that it did all along.
    pub async fn ask_again(&self) -> Option<Standing> {
        match (&self.board, &self.tune) {
            (Some(board), Some(tune)) => Some(Standing::of(board, tune).await),
            _ => None,
        }
    }
}

/// The boards of `map`, each with the modules to capture. Boards of `array` are asked for their
/// modules, and whether `tune` still holds; they are only read from. A board that did not answer
/// is captured all the same, without a calibration.
#[tworoutine(Send)]
pub async fn plan(
    map: &HardwareMap,
    array: &Array,
    tune: Option<&TuneRecord>,
    params: &CaptureParams,
) -> Vec<BoardPlan> {
    let mut boards = Vec::with_capacity(map.boards().len());
    for entry in map.boards() {
        let mut modules = Vec::new();
        for (module, is_expected) in modules_of(entry, array, params) {
            modules.push(plan_module(entry, array, module, is_expected, tune, params).await);
        }
        boards.push(BoardPlan {
            name: entry.name.clone(),
            source: source(entry).await.map_err(|error| error.on(&entry.name)),
            modules,
        });
    }
    boards
}

/// The modules of a board, and whether somebody has named them.
fn modules_of(entry: &BoardEntry, array: &Array, params: &CaptureParams) -> Vec<(ModuleId, bool)> {
    let described = array.boards().iter().find(|one| one.name() == entry.name);
    let listed: Vec<(ModuleId, bool)> = if !entry.modules.is_empty() {
        let listed = entry.modules.iter();
        listed.map(|module| (module.module, true)).collect()
    } else if let Some(board) = described {
        let modules = board.description().modules.iter();
        modules.map(|module| (module.module, false)).collect()
    } else {
        let modules = (1..=BANK).filter_map(|number| ModuleId::new(number).ok());
        modules.map(|module| (module, false)).collect()
    };
    match &params.modules {
        None => listed,
        Some(wanted) => listed
            .into_iter()
            .filter(|(module, _)| wanted.contains(module))
            .map(|(module, _)| (module, true))
            .collect(),
    }
}

async fn plan_module(
    entry: &BoardEntry,
    array: &Array,
    module: ModuleId,
    is_expected: bool,
    tune: Option<&TuneRecord>,
    params: &CaptureParams,
) -> ModulePlan {
    let tune = tune.and_then(|tune| tune.module(&entry.name, module));
    let board = array.board_targets(&entry.name);
    let board = board.first().map(|target| target.board.clone());
    let standing = match (tune, &board) {
        (None, _) => None,
        (Some(tune), Some(board)) => Some(Standing::of(board, tune).await),
        (Some(_), None) => {
            let why = "the board does not answer".to_owned();
            Some(Standing::not(TuneState::Unknown, why))
        }
    };
    let channels = match (params.channels, tune) {
        (Some(count), _) => Some(
            (1..=count)
                .filter_map(|number| ChannelId::new(number).ok())
                .collect(),
        ),
        (None, Some(tune)) => Some(toned(tune)).filter(|channels| !channels.is_empty()),
        (None, None) => None,
    };
    let calibrated = match (tune, &standing) {
        (Some(tune), Some(standing)) if standing.state == TuneState::Holds => {
            let usable = tune.channel.iter().filter(|one| {
                one.status == ChannelStatus::Tuned && !standing.changed.contains(&one.channel)
            });
            usable.filter_map(calibration).collect()
        }
        _ => Vec::new(),
    };
    ModulePlan {
        module,
        in_packets: ModuleId::new((module.number() - 1) % BANK + 1).unwrap_or(module),
        is_expected,
        channels,
        calibrated,
        standing,
        board,
        tune: tune.cloned(),
    }
}

fn calibration(one: &ChannelOutcome) -> Option<(ChannelId, Calibration)> {
    Some((one.channel, one.calibration?))
}

/// The channels that carry a tone, in order.
fn toned(tune: &ModuleTune) -> Vec<ChannelId> {
    let on = tune.channel.iter().filter(|one| one.amplitude != 0.0);
    let on = on.map(|one| one.channel);
    let mut channels: Vec<_> = on
        .chain(tune.reference.iter().map(|one| one.channel))
        .collect();
    channels.sort_unstable();
    channels.dedup();
    channels
}

/// Where a board's packets come from, and what serial number they bear.
async fn source(entry: &BoardEntry) -> Result<Source> {
    if entry.kind != BoardKind::CRS {
        let why = format!("boards of kind {} have no sample stream", entry.kind);
        return Err(Error::new(ErrorKind::Unsupported, why));
    }
    let Some(serial) = &entry.serial else {
        let why = "the map has no serial number of it, which its packets are known by";
        return Err(Error::new(ErrorKind::InvalidArgument, why));
    };
    let serial = serial.parse().map_err(|_| {
        let why = format!("packets bear serial numbers up to 65535, and its is {serial}");
        Error::new(ErrorKind::InvalidArgument, why)
    })?;
    Ok(Source::new(address(entry).await?, serial))
}

async fn address(entry: &BoardEntry) -> Result<Ipv4Addr> {
    let address = entry.address();
    if let Some(IpAddr::V4(ip)) = address.ip() {
        return Ok(ip);
    }
    let (host, port) = (address.name().to_owned(), address.port());
    let found = tworoutine::offload(move || (host, port).to_socket_addrs().map(Vec::from_iter));
    let found = found.await.map_err(|error| {
        Error::new(ErrorKind::Unreachable, format!("{address} is not found")).caused_by(error)
    })?;
    let ip = found.into_iter().find_map(|found| match found.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    ip.ok_or_else(|| {
        let why = format!("{address} has no IPv4 address, and streams have no other");
        Error::new(ErrorKind::Unreachable, why)
    })
}
