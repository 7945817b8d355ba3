//! `twotone-fuzz`: runs each target (a function that reads any bytes) on mutated inputs for a given
//! time, and stores an input that fails.
//!
//! `cargo xtask fuzz` runs this program.

#![allow(
    clippy::disallowed_methods,
    reason = "the search has a budget of seconds, and its rate is reported"
)]

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use twotone_fuzz::{Corpus, Found, Search, TARGETS, Target, attempt, attempts};

/// Time between two checks for a new attempt (the run of a target on one input). If no new attempt
/// has begun since the last check, the target counts as hanging.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the readers of twotone on mutated inputs, and stores an input that fails.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run only this target; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = TARGETS.map(|target| target.name))]
    target: Vec<String>,
    /// Seed of the random changes. The inputs depend on the seed and on the corpus (the stored
    /// inputs).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the file with the current input. The file remains if the process crashes or is
    /// killed.
    #[arg(long, value_name = "FOLDER", default_value = "target/fuzz")]
    scratch: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let chosen =
        |target: &&Target| args.target.is_empty() || args.target.iter().any(|it| it == target.name);
    let mut all_well = true;
    for target in TARGETS.iter().filter(chosen) {
        match run(target, &args) {
            Ok(well) => all_well &= well,
            Err(error) => {
                eprintln!("{}: {error}", target.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Tries the inputs of the corpus, and then mutated ones until the time is over or an input fails.
/// Returns false if an input failed.
fn run(target: &Target, args: &Args) -> std::io::Result<bool> {
    let corpus = Corpus::read(target)?;
    let mut current = Current::new(&args.scratch, target)?;
    let mut search = Search::new(target, &corpus, args.seed);
    let start = Instant::now();
    let budget = Duration::from_secs(args.seconds);
    let mut tried = 0_u64;
    for input in &corpus.inputs {
        current.write(&input.bytes)?;
        if let Err(failure) = attempt(target, &input.bytes) {
            println!(
                "{}: FAILED on {}: {failure}",
                target.name,
                input.path.display()
            );
            return Ok(false);
        }
        search.try_input(input.bytes.clone());
    }
    while start.elapsed() < budget {
        let input = search.next_input();
        current.write(&input)?;
        tried += 1;
        if let Some(Found { input, failure }) = search.try_input(input) {
            let kept = Corpus::keep(target, &input)?;
            println!(
                "{}: FAILED at input {tried} of seed {}: {failure}",
                target.name, args.seed
            );
            println!(
                "{}: the input of {} bytes is stored in {}",
                target.name,
                input.len(),
                kept.display()
            );
            println!(
                "{}: the test `corpus` of twotone-fuzz fails until this is corrected",
                target.name
            );
            return Ok(false);
        }
    }
    let rate = tried as f64 / start.elapsed().as_secs_f64();
    println!(
        "{:16} {tried:9} inputs, {rate:7.0} a second, {:5} outlines, none failed",
        target.name,
        search.outlines()
    );
    Ok(true)
}

/// File with the current input. A separate thread ends the process if an input takes too long.
struct Current {
    file: File,
    /// Sender that sends nothing. When it is dropped, after the last input of the target, the
    /// thread ends.
    _done: mpsc::Sender<()>,
}

impl Current {
    fn new(folder: &Path, target: &Target) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(target.name);
        let file = File::create(&path)?;
        let (done, ended) = mpsc::channel::<()>();
        let name = target.name;
        thread::spawn(move || {
            let mut last = attempts();
            while ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let now = attempts();
                if now == last {
                    println!(
                        "{name}: FAILED: an input takes longer than {PATIENCE:?}: it is in {}",
                        path.display()
                    );
                    std::process::exit(1);
                }
                last = now;
            }
        });
        Ok(Self { file, _done: done })
    }

    /// Writes the next input into the file.
    fn write(&mut self, input: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(input)?;
        self.file.set_len(input.len() as u64)
    }
}
