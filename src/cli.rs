//! The command line: one Rust module for each command, and modules that several commands use.
//!
//! The *daemon* is the process `twotone serve`, which keeps boards connected and carries out
//! commands. Each command that it carries out is a *job*.

mod access;
mod ask;
mod bias;
mod campaign;
mod capture;
mod check;
mod completions;
mod demo;
mod descriptors;
mod dry_run;
mod exit;
mod export;
mod find;
mod firmware;
mod fit;
mod import;
mod import_dirfile;
mod info;
mod interrupt;
mod job;
mod limits;
mod log;
mod off;
mod outlet;
mod output;
mod parent;
mod progress;
mod remote;
mod screen;
mod selection;
mod serve;
mod setup;
mod sim;
mod site;
mod sweep;
mod table;
mod tune;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use twotone::map::HardwareMap;
use twotone::run::ENDINGS;

use crate::serve::{Host, STATE_FORMAT};
pub(crate) use exit::Exit;

/// Control software for large arrays of FPGA readout boards.
#[derive(Debug, Parser)]
#[command(name = "twotone", version = twotone::release::described(), propagate_version = true)]
#[command(long_version = LONG_VERSION.as_str())]
#[command(after_help = "\
Exit status: 0 all well; 2 usage, a file that is wrong, or too low a limit of the system; 3 some \
boards or channels failed; 4 nothing reachable; 130 interrupted and the hardware restored.

Logs go to standard error; TWOTONE_LOG sets how much (error, warn, info, debug). Programs keep each \
other off the boards by locks in /run/lock or /tmp/twotone-locks, or where TWOTONE_LOCKS says.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object on standard output instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Log more: once for info, twice for debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Give the command to the daemon at this address: unix:PATH, or http://ADDRESS:PORT for
    /// commands that only ask. An interrupt ends the job; if this program ends otherwise, the job
    /// goes on.
    #[arg(long, global = true, value_name = "WHERE", help_heading = "Daemon")]
    host: Option<Host>,
    /// Give the command to the daemons of all control hosts in this site file, side by side: tune,
    /// sweep, capture, off, info, status, jobs, follow and cancel. docs/deployment.md has the
    /// file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Daemon")]
    site: Option<PathBuf>,
    /// With --site, only this host; may be given again.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Daemon")]
    only: Vec<String>,
    /// With --host or --site, print the numbers of the jobs and do not wait for their ends.
    #[arg(long, global = true, help_heading = "Daemon")]
    detach: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a farm of simulated boards, tune every detector, and score it against the truth.
    Demo(demo::Demo),
    /// Run a farm of simulated boards until interrupted.
    Sim(sim::Sim),
    /// Tune every module of a hardware map, and leave the tones on.
    #[command(after_help = ENDINGS)]
    Tune(tune::Tune),
    /// List the boards of the local network, with their addresses, or print a hardware map of them.
    Find(find::Find),
    /// Ask every board of a hardware map for its versions, its clock and its housekeeping.
    Info(info::Info),
    /// Sweep every module of a hardware map over its range, and leave no tone of the sweep on.
    #[command(after_help = ENDINGS)]
    Sweep(sweep::Sweep),
    /// Set the clocks, scales, attenuators and other properties that a hardware map has for its
    /// boards and modules, and read them back.
    Setup(setup::Setup),
    /// Write the sample streams of an array to disk, and count the losses.
    Capture(capture::Capture),
    /// Fit resonances to sweeps that were measured earlier.
    Fit(fit::FitSweeps),
    /// Verify a hardware map, and a parameter file, without touching a board.
    Check(check::Check),
    /// Switch all tones of a hardware map's modules off, and read back that they are.
    Off(off::Off),
    /// Print the firmware releases of boards, and replace them over the network.
    Firmware(firmware::Firmware),
    /// Write a capture or a tune in the format of another program.
    Export(export::Export),
    /// Convert a Python hardware map of CRS boards (YAML), and print the result, or read a dirfile
    /// as a capture, or a bias dictionary as a tune.
    Import(import::Import),
    /// Keep the boards of a hardware map connected, and carry out commands for others (--host).
    Serve(serve::Serve),
    /// Print the version, boards, jobs, tones and free disk space of a daemon, or of all of a site.
    Status,
    /// List the jobs of a daemon.
    Jobs,
    /// Follow a job of a daemon to its end, and print what it prints. Returns its exit status.
    Follow(ask::Follow),
    /// End a job of a daemon early: its modules are brought to their declared states.
    Cancel(ask::Cancel),
    /// Ask a daemon if it works, and how many boards it has connected.
    Health(ask::Health),
    /// Print the completions of a shell.
    Completions(completions::Completions),
}

/// Commands that no daemon executes. Their help does not show the options about daemons, which are
/// refused.
const WITHOUT_DAEMON: [&str; 9] = [
    "demo",
    "sim",
    "fit",
    "check",
    "firmware",
    "export",
    "import",
    "serve",
    "completions",
];

impl Cli {
    /// The arguments of the program.
    fn program() -> clap::Command {
        let program = Self::command();
        let about_daemons = program
            .get_arguments()
            .filter(|option| option.get_help_heading() == Some("Daemon"))
            .map(|option| option.clone().hide(true));
        let about_daemons: Vec<_> = about_daemons.collect();
        // A command that has an option of its own does not get the global one of the same name.
        let hide = |command: clap::Command| command.args(&about_daemons);
        let commands = WITHOUT_DAEMON.into_iter();
        commands.fold(program, |program, name| program.mut_subcommand(name, hide))
    }

    /// Parses a command line, whose first word is the name of the program.
    fn parse_words<W>(words: impl IntoIterator<Item = W>) -> Result<Self, clap::Error>
    where
        W: Into<OsString> + Clone,
    {
        let mut program = Self::program();
        let mut matches = program.try_get_matches_from_mut(words)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut program))
    }
}

/// Reads a hardware map. If this fails, prints the reason on standard error.
fn load_map(path: Option<&Path>) -> Result<HardwareMap, Exit> {
    read_map(path).map_err(|why| {
        output::complain(&why);
        Exit::Usage
    })
}

/// Reads a hardware map. Within a job of the daemon, returns the map of the job, which has been
/// read already.
fn read_map(path: Option<&Path>) -> Result<HardwareMap, String> {
    if let Some(here) = job::current() {
        return Ok(here.map.clone());
    }
    let path = path.ok_or("name the hardware map: `twotone COMMAND MAP`")?;
    HardwareMap::load(path).map_err(|error| error.to_string())
}

/// Runs a command in this process, or at a daemon or the daemons of a site.
fn run(cli: Cli) -> Exit {
    let Cli { json, detach, .. } = cli;
    match cli.site {
        Some(_) if cli.host.is_some() => {
            output::complain("--site names the hosts: leave --host out");
            return Exit::Usage;
        }
        Some(file) => return site::run(&file, &cli.only, cli.command, json, detach),
        None if !cli.only.is_empty() => {
            output::complain("--only is of use with --site alone");
            return Exit::Usage;
        }
        None => {}
    }
    match (cli.host, cli.command) {
        (host, Command::Status) => site::of_one(ask::or_of_this_host(host), json),
        (host, Command::Jobs) => ask::jobs(host, json),
        (host, Command::Follow(follow)) => follow.run(host, json),
        (host, Command::Cancel(cancel)) => cancel.run(host),
        (host, Command::Health(health)) => health.run(host, json),
        (None, _) if detach => {
            output::complain("--detach is of use with --host and --site alone");
            Exit::Usage
        }
        (Some(host), command) => remote::run(&host, &command, json, detach),
        (None, command) => run_here(command, json),
    }
}

/// Runs a command in this process.
fn run_here(command: Command, json: bool) -> Exit {
    match command {
        Command::Demo(demo) => demo.run(json),
        Command::Sim(sim) => sim.run(json),
        Command::Tune(tune) => tune.run(json),
        Command::Setup(setup) => setup.run(json),
        Command::Capture(capture) => capture.run(json),
        Command::Fit(fit) => fit.run(json),
        Command::Check(check) => check.run(json),
        Command::Off(off) => off.run(json),
        Command::Find(find) => find.run(json),
        Command::Info(info) => info.run(json),
        Command::Sweep(sweep) => sweep.run(json),
        Command::Firmware(firmware) => firmware.run(json),
        Command::Export(export) => export.run(json),
        Command::Import(import) => import.run(json),
        Command::Completions(completions) => completions.run(),
        Command::Serve(serve) => serve.run(json),
        // Only a daemon can answer these commands, so [`run`] has sent them to one.
        Command::Status
        | Command::Jobs
        | Command::Follow(_)
        | Command::Cancel(_)
        | Command::Health(_) => Exit::Usage,
    }
}

/// Version of the program, and the number of the format in which the daemon stores its state.
/// `cargo xtask dist` reads both.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = twotone::release::described();
    format!("{version}\nstate format {STATE_FORMAT}")
});

/// Runs the program on the arguments of the process, and returns its exit status.
///
/// A program with board kinds of its own calls [`BoardKind::register`] before this. Then every
/// command works on maps that name these kinds.
///
/// [`BoardKind::register`]: crate::map::BoardKind::register
pub fn main() -> ExitCode {
    // If the usage is wrong, the program ends here, with status 2. After help or version it ends
    // with status 0, or with status 3 if they could not be written.
    let cli = match Cli::parse_words(std::env::args_os()) {
        Ok(cli) => cli,
        Err(said) => {
            let written = said.print().and_then(|()| io::stdout().flush());
            let status = said.exit_code();
            return if status == 0 && written.is_err() {
                Exit::SomeFailed.into()
            } else {
                ExitCode::from(u8::try_from(status).unwrap_or(2))
            };
        }
    };
    log::begin(cli.verbose, matches!(cli.command, Command::Serve(_)));
    std::panic::set_hook(Box::new(|panic| {
        output::complain(&format!("internal error, please report it: {panic}"));
    }));
    if let Err(exit) = limits::prepare(&cli.command) {
        output::finish();
        return exit.into();
    }
    let exit = run(cli);
    match (exit, output::finish()) {
        // The exit status tells a program that reads the result if a part of it is missing.
        (Exit::Well, false) => Exit::SomeFailed.into(),
        (exit, _) => exit.into(),
    }
}
