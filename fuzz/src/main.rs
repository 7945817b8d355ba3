//! `twotone-fuzz`: changes the inputs of a target for a time, and keeps one that fails.
//!
//! `cargo xtask fuzz` runs it.

#![allow(
    clippy::disallowed_methods,
    reason = "a budget of seconds, and how many inputs were tried in a second"
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

/// Longest time of an input; one that takes longer counts as hanging.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives changed inputs to the readers of twotone and keeps those that fail.
#[derive(Debug, Parser)]
struct Args {
    /// For how many seconds, for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// This target alone; may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = TARGETS.map(|target| target.name))]
    target: Vec<String>,
    /// The inputs follow from this number, and from the corpus.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for the input that is being tried: it is there still if the process is ended.
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

/// Tries inputs until the time is over, or one fails; false if one did.
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
                "{}: {} bytes are kept in {}",
                target.name,
                input.len(),
                kept.display()
            );
            println!(
                "{}: the test `corpus` of twotone-fuzz fails until this is mended",
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

/// File with the input that is being tried, and the thread that watches its time.
struct Current {
    file: File,
    /// Sender that is dropped at the end of the target, which ends the watching thread.
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
                        "{name}: FAILED: an input takes longer than {PATIENCE:?}: see {}",
                        path.display()
                    );
                    std::process::exit(1);
                }
                last = now;
            }
        });
        Ok(Self { file, _done: done })
    }

    /// Writes the input that is tried next into the file.
    fn write(&mut self, input: &[u8]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(input)?;
        self.file.set_len(input.len() as u64)
    }
}
