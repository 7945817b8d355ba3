//! The command line: one file for each command, and their common parts.

mod access;
mod campaign;
mod capture;
mod check;
mod completions;
mod demo;
mod descriptors;
mod dry_run;
mod exit;
mod import;
mod info;
mod interrupt;
mod limits;
mod off;
mod outlet;
mod output;
mod parent;
mod progress;
mod screen;
mod selection;
mod sim;
mod sweep;
mod table;
mod tune;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use twotone::map::HardwareMap;
use twotone::run::ENDINGS;

pub(crate) use exit::Exit;

/// Control software for large arrays of FPGA readout boards.
#[derive(Debug, Parser)]
#[command(name = "twotone", version, propagate_version = true)]
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
    /// Ask every board of a hardware map for its versions, its clock and its housekeeping.
    Info(info::Info),
    /// Sweep every module of a hardware map over its range, and leave no tone of the sweep on.
    #[command(after_help = ENDINGS)]
    Sweep(sweep::Sweep),
    /// Write the sample streams of an array to disk, and count the losses.
    Capture(capture::Capture),
    /// Verify a hardware map, and a parameter file, without touching a board.
    Check(check::Check),
    /// Switch all tones of a hardware map's modules off, and read back that they are.
    Off(off::Off),
    /// Convert a Python hardware map of CRS boards (YAML), and print the result.
    Import(import::Import),
    /// Print the completions of a shell.
    Completions(completions::Completions),
}

/// Reads a hardware map, or complains of its faults.
fn load_map(path: &Path) -> Result<HardwareMap, Exit> {
    HardwareMap::load(path).map_err(|error| {
        output::complain(&error.to_string());
        Exit::Usage
    })
}

/// Runs the program on the arguments of the process, and returns its exit status.
///
/// A program with board kinds of its own calls [`BoardKind::register`] before this. Then every
/// command works on maps that name these kinds.
///
/// [`BoardKind::register`]: crate::map::BoardKind::register
pub fn main() -> ExitCode {
    // Wrong usage ends here, with status 2; help and version with 0, if they could be written.
    let cli = match Cli::try_parse() {
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
    let level = match cli.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("TWOTONE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // Without colours, every control character in a line comes from a board or a file, and is
    // escaped.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output::Log)
        .with_ansi(false)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        output::complain(&format!("internal error, please report it: {panic}"));
    }));
    if let Err(exit) = limits::prepare(&cli.command) {
        output::finish();
        return exit.into();
    }
    let exit = match cli.command {
        Command::Demo(demo) => demo.run(cli.json),
        Command::Sim(sim) => sim.run(cli.json),
        Command::Tune(tune) => tune.run(cli.json),
        Command::Capture(capture) => capture.run(cli.json),
        Command::Check(check) => check.run(cli.json),
        Command::Off(off) => off.run(cli.json),
        Command::Info(info) => info.run(cli.json),
        Command::Sweep(sweep) => sweep.run(cli.json),
        Command::Import(import) => import.run(),
        Command::Completions(completions) => completions.run(),
    };
    match (exit, output::finish()) {
        // The exit status tells a program that reads the result if a part of it is missing.
        (Exit::Well, false) => Exit::SomeFailed.into(),
        (exit, _) => exit.into(),
    }
}
