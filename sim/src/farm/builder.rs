//! Builder of a [`Farm`], a group of simulated boards in one process.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twotone_physics::{Band, Geometry, Profile, ProfileParams};

use super::{Farm, OwnRuntime, SimBoard, limits, mdns, script, threads};
use crate::board::stream::{Outbox, Pace, Streaming, watch as watch_joins};
use crate::board::{
    self, Board, BootWindow, Destination, Kind, Origin, Parts, Port, Sending, Simulated, Slot,
    TimeMode, address,
};
use crate::error::StartError;
use crate::fault::{FaultScript, Scheduled};

/// Number of detectors of a module above which another module is used by default.
const SPREAD_ABOVE: usize = 256;

/// Largest number of boards of a farm: each has a serial number of 16 bits.
const MAX_BOARDS: usize = u16::MAX as usize;

/// Builder of a farm. See [`Farm::builder`].
#[derive(Debug, Clone)]
pub struct FarmBuilder {
    kind: String,
    boards: usize,
    detectors: usize,
    modules: Option<usize>,
    seed: u64,
    params: ProfileParams,
    band: Band,
    port: u16,
    time: TimeMode,
    streaming: Streaming,
    stream_group: Option<Ipv4Addr>,
    stream_port: Option<u16>,
    first_sequence: u32,
    faults: Vec<(usize, Scheduled)>,
    script: FaultScript,
    boot_window: Option<BootWindow>,
    crate_size: Option<u8>,
    mdns: Option<u16>,
}

impl Default for FarmBuilder {
    fn default() -> Self {
        Self {
            kind: String::from(board::DEFAULT_KIND.name),
            boards: 1,
            detectors: 256,
            modules: None,
            seed: 1,
            params: Profile::Clean.params(),
            band: Band::new(1.0e9, 1.5e9),
            port: 0,
            time: TimeMode::Accelerated,
            streaming: Streaming::WhenJoined,
            stream_group: None,
            stream_port: None,
            first_sequence: 0,
            faults: Vec::new(),
            script: FaultScript::default(),
            boot_window: None,
            crate_size: None,
            mdns: None,
        }
    }
}

impl FarmBuilder {
    /// Sets the kind of the boards, by its name in hardware maps (lists of the boards of an array).
    /// The default is `crs`.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.kind);
        self
    }

    /// Sets the number of boards. The default is 1.
    #[must_use]
    pub fn boards(mut self, boards: usize) -> Self {
        self.boards = boards;
        self
    }

    /// Sets the number of detectors of each board, including dead ones. The default is 256.
    ///
    /// The detectors are spread evenly over the modules. By default there is one module for each
    /// 256 detectors, and there are at most four modules; [`FarmBuilder::modules`] sets another
    /// number. A module has at most 1024 detectors.
    #[must_use]
    pub fn detectors(mut self, detectors: usize) -> Self {
        self.detectors = detectors;
        self
    }

    /// Sets the number of modules of each board that have detectors, 1 to 4.
    #[must_use]
    pub fn modules(mut self, modules: usize) -> Self {
        self.modules = Some(modules);
        self
    }

    /// Sets the seed of all random numbers. The default is 1. Two farms with the same settings and
    /// seed have the same detectors. With [`TimeMode::Accelerated`], the same requests also give
    /// the same samples.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the quality of the simulated arrays and their readout. The default is
    /// [`Profile::Clean`].
    #[must_use]
    pub fn profile(self, profile: Profile) -> Self {
        self.profile_params(profile.params())
    }

    /// Sets the parameters of the simulated arrays, in place of a profile.
    #[must_use]
    pub fn profile_params(mut self, params: ProfileParams) -> Self {
        self.params = params;
        self
    }

    /// Sets the connection of the detectors to their line, of the profile that was set before. The
    /// default is [`Geometry::Notch`].
    #[must_use]
    pub fn geometry(mut self, geometry: Geometry) -> Self {
        self.params = self.params.geometry(geometry);
        self
    }

    /// Connects the output of each module to its input by a loopback cable, in the place of a
    /// cryostat: the boards have no detectors. This is how boards are tested after their
    /// production.
    #[must_use]
    pub fn loopback(self) -> Self {
        self.detectors(0).profile_params(ProfileParams::loopback())
    }

    /// Sets the band of the feedline of each module, Hz. The default is 1.0 to 1.5 GHz.
    ///
    /// The design frequencies of the detectors fill the band except for a margin at each end, so
    /// that scatter does not move detectors out of the band. The hardware map of the farm allows
    /// tones only between the margins. As in a laboratory, this range is narrower than that of the
    /// board, and some detectors are at its ends or, by scatter, in the margins.
    #[must_use]
    pub fn band(mut self, f_min_hz: f64, f_max_hz: f64) -> Self {
        self.band = Band::new(f_min_hz, f_max_hz);
        self
    }

    /// Sets the TCP port of every board. The default is 0: the system chooses a port.
    ///
    /// Each board has its own address. If a port is set, the boards have the first free addresses
    /// from 127.0.0.2 on (after those of earlier farms in this process), so that a hardware map
    /// stays valid from run to run. Otherwise the addresses are any free ones in 127.0.0.0/16.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the time mode of the boards. The default is [`TimeMode::Accelerated`].
    #[must_use]
    pub fn time(mut self, time: TimeMode) -> Self {
        self.time = time;
        self
    }

    /// Sets the times at which the boards send their sample streams. The default is
    /// [`Streaming::WhenJoined`].
    ///
    /// Each board sends from its own address ([`SimBoard::ip`]) to one multicast group on the
    /// loopback interface, so that packets do not leave this machine. A receiver joins the group on
    /// 127.0.0.1 for that source, and gets only the packets of this board. No other simulated board
    /// on the machine has the address, in any process.
    #[must_use]
    pub fn streaming(mut self, streaming: Streaming) -> Self {
        self.streaming = streaming;
        self
    }

    /// Sets the multicast group of the streams. The default is 239.192.0.2, the group of real
    /// boards. A receiver that joins a group for any source gets the packets of every farm on the
    /// machine that sends to this group. A farm for such a receiver should have a separate group.
    #[must_use]
    pub fn stream_group(mut self, group: Ipv4Addr) -> Self {
        self.stream_group = Some(group);
        self
    }

    /// Sets the UDP port of the first sample stream of the boards. A second stream has the next
    /// port. The default is 9876, the port of real boards.
    #[must_use]
    pub fn stream_port(mut self, port: u16) -> Self {
        self.stream_port = Some(port);
        self
    }

    /// Sets the number with which the sequence numbers begin, in the first stream of each module.
    /// The sample at the start of the farm and the first sample after a reboot have this number. A
    /// stream that begins later begins with a higher number. The default is 0.
    #[must_use]
    pub fn first_sequence(mut self, number: u32) -> Self {
        self.first_sequence = number;
        self
    }

    /// Adds a fault to the board with this index, from 0. Each call adds one more fault.
    #[must_use]
    pub fn fault(mut self, board: usize, fault: impl Into<Scheduled>) -> Self {
        self.faults.push((board, fault.into()));
        self
    }

    /// Sets a script of faults, which are added to the faults of [`FarmBuilder::fault`].
    #[must_use]
    pub fn script(mut self, script: FaultScript) -> Self {
        self.script = script;
        self
    }

    /// Sets a boot window: the time after each start in which a board sends beacons to `beacons_to`
    /// and can be flashed, before its firmware runs and its port opens. By default there is no such
    /// window, and the firmware of a board runs at once.
    #[must_use]
    pub fn boot_window(mut self, lasting: Duration, beacons_to: SocketAddr) -> Self {
        self.boot_window = Some(BootWindow {
            lasting,
            beacons_to,
        });
        self
    }

    /// Puts the boards into crates, `boards` into each, at least one. The hardware map and the
    /// beacons of the boards name the crate. By default the boards are in no crate.
    #[must_use]
    pub fn crate_size(mut self, boards: u8) -> Self {
        self.crate_size = Some(boards.max(1));
        self
    }

    /// Lets the boards answer questions of multicast DNS on the loopback interface, at this UDP
    /// port (5353 is that of real boards): for their names, such as `rfmux0001.local`, and for
    /// a service `_http._tcp` at their ports. By default they do not answer, because every
    /// program on this machine would reach a simulated board by the name of a real one.
    #[must_use]
    pub fn mdns(mut self, port: u16) -> Self {
        self.mdns = Some(port);
        self
    }

    /// Starts the boards on the runtime of the caller. When this method returns, all ports are
    /// open, except ports that a fault keeps closed and ports of boards in a boot window.
    ///
    /// # Errors
    /// [`StartError`] if the farm cannot be started. No part of it is left running.
    pub async fn start(self) -> Result<Farm, StartError> {
        self.start_on(&Handle::current(), None)
    }

    /// Starts the boards on their own threads, for programs and tests without a runtime. There is
    /// one thread for each processor, or fewer if the system does not grant as many.
    ///
    /// # Errors
    /// As [`FarmBuilder::start`], and [`StartError::Runtime`] if the system grants fewer than two
    /// threads or no descriptors.
    pub fn start_blocking(self) -> Result<Farm, StartError> {
        let runtime = threads::runtime().map_err(StartError::Runtime)?;
        let handle = runtime.handle().clone();
        self.start_on(&handle, Some(runtime))
    }

    fn start_on(self, handle: &Handle, runtime: Option<Runtime>) -> Result<Farm, StartError> {
        let runtime = OwnRuntime(runtime);
        let kind = board::kind(&self.kind).ok_or_else(|| StartError::UnknownKind {
            kind: self.kind.clone(),
            known: board::kind_names().join(", "),
        })?;
        let modules = self.populated(kind)?;
        if self.boards > MAX_BOARDS {
            return Err(StartError::TooManyBoards(self.boards));
        }
        let last = self.boards.saturating_sub(1);
        if let Some((index, _)) = self.faults.iter().find(|(index, _)| *index >= self.boards) {
            return Err(StartError::NoSuchBoard {
                index: *index,
                last,
            });
        }
        limits::raise_for(self.boards)?;
        let _entered = handle.enter();
        let stop = CancellationToken::new();
        // If this function returns an error, the guard ends the boards that were started before.
        let guard = stop.clone().drop_guard();
        let tasks = TaskTracker::new();
        let params = Arc::new(self.params.clone());
        let pace = Arc::new(Pace::new(handle.metrics().num_workers()));
        let to = self.destination(kind);
        let mut boards = Vec::with_capacity(self.boards);
        let mut listeners = Vec::new();
        for index in 0..self.boards {
            let origins = self.origins(index, kind, modules, &params);
            let (board, port, outbox) = self.board(index, kind, origins, &stop, &tasks)?;
            tasks.spawn(board::listen(Arc::clone(&board), port));
            if let Some(window) = self.boot_window {
                let booting = Arc::clone(&board).boot(window);
                let stopped = stop.clone();
                tasks.spawn(async move { stopped.run_until_cancelled(booting).await });
            }
            let (switch, wanted) = watch::channel(self.streaming == Streaming::Always);
            tasks.spawn(Arc::clone(&board).send(Sending {
                pace: Arc::clone(&pace),
                outbox,
                to,
                wanted,
            }));
            let board = SimBoard::new(board, handle.clone());
            listeners.push((board.ip(), switch));
            boards.push(board);
        }
        let joins = watch_joins(self.streaming, to.group, listeners);
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(joins).await });
        if let Some(port) = self.mdns {
            let socket = mdns::open(port).map_err(StartError::Mdns)?;
            let simulated = boards.iter().map(|board| Arc::clone(board.simulated()));
            let announced = simulated.filter_map(|board| {
                let announced = (kind.announced)(board.board())?;
                Some((board, announced))
            });
            let answering = mdns::answer(socket, port, announced.collect());
            let stopped = stop.clone();
            tasks.spawn(async move { stopped.run_until_cancelled(answering).await });
        }
        script::run(&self.script, &boards, &stop, &tasks)?;
        guard.disarm();
        Ok(Farm {
            seed: self.seed,
            range: design_band(self.band, &self.params),
            params,
            boards,
            stop,
            tasks,
            _runtime: runtime,
        })
    }

    /// Number of modules that have detectors.
    fn populated(&self, kind: &Kind) -> Result<usize, StartError> {
        let modules = match self.modules {
            Some(modules) => modules,
            None => self
                .detectors
                .div_ceil(SPREAD_ABOVE)
                .clamp(1, kind.populated),
        };
        if !(1..=kind.populated).contains(&modules) {
            return Err(StartError::Modules {
                modules,
                most: kind.populated,
            });
        }
        if self.detectors > modules * kind.channels {
            return Err(StartError::TooManyDetectors {
                detectors: self.detectors,
                modules,
                capacity: kind.channels,
            });
        }
        Ok(modules)
    }

    /// Destination of the sample streams.
    fn destination(&self, kind: &Kind) -> Destination {
        let default = kind.destination;
        Destination {
            group: self.stream_group.unwrap_or(default.group),
            port: self.stream_port.unwrap_or(default.port),
        }
    }

    /// [`Origin`] of each module of a board. The first `populated` modules have detectors.
    fn origins(
        &self,
        index: usize,
        kind: &Kind,
        populated: usize,
        params: &Arc<ProfileParams>,
    ) -> Vec<Origin> {
        let detectors = |module: usize| {
            if module < populated {
                self.detectors / populated + usize::from(module < self.detectors % populated)
            } else {
                0
            }
        };
        let origin = |module: usize| Origin {
            seed: self.seed,
            board: index as u32,
            module: module as u32 + 1,
            detectors: detectors(module),
            band: design_band(self.band, params),
            params: Arc::clone(params),
            first_sequence: self.first_sequence,
        };
        (0..kind.modules).map(origin).collect()
    }

    /// Creates a board. Its port is open unless a fault keeps it closed.
    fn board(
        &self,
        index: usize,
        kind: &'static Kind,
        origins: Vec<Origin>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<(Arc<dyn Simulated>, Port, Outbox), StartError> {
        let serial = index as u16 + 1;
        let failed = |address, source| StartError::Listen {
            board: kind.board_name(serial),
            address,
            source,
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let choice = if self.port == 0 {
            address::Choice::Fresh
        } else {
            address::Choice::First
        };
        let claimed =
            address::claim(choice).and_then(|(ip, socket)| Ok((ip, Outbox::new(socket)?)));
        let (ip, outbox) = claimed.map_err(|source| failed(any, source))?;
        let wanted = SocketAddr::from((ip, self.port));
        let (port, bound) = Port::bind(wanted).map_err(|source| failed(wanted, source))?;
        // Module 1 is in the hardware map even if it has no detectors.
        let is_populated = |origin: &&Origin| origin.detectors > 0 || origin.module == 1;
        let populated = origins.iter().filter(is_populated);
        let faults = self.faults.iter().filter(|(board, _)| *board == index);
        let board = Board::new(Parts {
            kind,
            serial,
            slot: self.crate_size.map(|size| Slot {
                crate_serial: format!("{:03}", index / usize::from(size) + 1),
                number: index % usize::from(size) + 1,
            }),
            address: bound,
            time: self.time,
            populated: populated.map(|origin| origin.module as u8).collect(),
            faults: faults.map(|(_, fault)| fault.clone()).collect(),
            has_boot_window: self.boot_window.is_some(),
            shut_down: stop.clone(),
            tasks: tasks.clone(),
        });
        // The port is opened here and not in the task of the board, so that it is open as soon as
        // the farm has started.
        let port = port
            .follow_faults(&board)
            .map_err(|source| failed(bound, source))?;
        Ok(((kind.create)(board, origins), port, outbox))
    }
}

/// Part of a band that the design frequencies of the detectors fill. The margin at each end is four
/// standard deviations of the scatter, and at most 5 % of the band.
fn design_band(band: Band, params: &ProfileParams) -> Band {
    let margin = (4.0 * params.scatter * band.f_max_hz).min(0.05 * band.span_hz());
    Band::new(band.f_min_hz + margin, band.f_max_hz - margin)
}
