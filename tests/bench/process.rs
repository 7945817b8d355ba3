//! The program as a process, and the processor time and memory that the process uses.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A process that is killed when this value is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts `twotone` with its output in a pipe.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twotone"));
        let started = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        Ok(Self(started))
    }

    /// Starts a farm, which is a process that simulates boards. Returns when the boards listen.
    pub(crate) fn farm(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut farm = Self::start(&[&["sim", "--with-parent"], arguments].concat())?;
        let mut ready = String::new();
        BufReader::new(farm.0.stdout.take().ok_or("no pipe")?).read_line(&mut ready)?;
        match ready.starts_with("ready") {
            true => Ok(farm),
            false => Err(format!("the farm says {ready:?}").into()),
        }
    }

    /// Reads the processor time and the peak memory of the process so far.
    pub(crate) fn cost(&self) -> Result<Cost, Box<dyn Error>> {
        Cost::of(&self.0.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Processor time and memory of a process.
pub(crate) struct Cost {
    pub(crate) processor_s: f64,
    /// Largest memory so far; `None` if the process has ended.
    pub(crate) peak_mb: Option<f64>,
}

impl Cost {
    /// Reads the accounting of the kernel about a process, from the folder `/proc/{id}`.
    pub(crate) fn of(id: &str) -> Result<Self, Box<dyn Error>> {
        /// Number of clock ticks in a second in this accounting, the same on every current Linux.
        const TICKS: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // Skips the name of the program, which is in brackets and may contain spaces.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kb = peak.and_then(|peak| peak.split_whitespace().next());
        Ok(Self {
            processor_s: ticks / TICKS,
            peak_mb: peak_kb
                .and_then(|kb| kb.parse::<f64>().ok())
                .map(|kb| kb / 1024.0),
        })
    }
}
