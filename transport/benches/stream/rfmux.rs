//! The receiver of rfmux (control software for CRS boards), in a process of its own. The benchmark
//! compares it with the receiver of this crate.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Cost, PORT, options, sources};

/// Environment variable with the path of a Python interpreter that has rfmux.
const PYTHON: &str = "TWOTONE_PYTHON";

/// The process of the receiver. It ends when the pipe from the benchmark's process closes.
pub(crate) struct Peer {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the process. `None` if [`PYTHON`] is not set.
    pub(crate) fn start() -> Option<Self> {
        let python = std::env::var(PYTHON).ok()?;
        let options = options();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/stream/rfmux_receiver.py"
        );
        let mut process = Command::new(python)
            .arg(script)
            .args([super::group().to_string(), PORT.to_string()])
            .arg(options.buffer_bytes.to_string())
            .args(sources().iter().map(|source| source.address.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a Python that runs");
        Some(Self {
            orders: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().expect("a pipe")),
            process,
        })
    }

    fn order(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("a pipe");
        writeln!(orders, "{order}").expect("a receiver that runs");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        answer.trim().to_owned()
    }

    pub(crate) fn open(&mut self) {
        assert_eq!(self.order("open"), "ready");
    }

    /// Has the receiver take all packets that are in the kernel's buffer, and returns the time that
    /// it needed.
    pub(crate) fn drain(&mut self, packets: usize) -> Cost {
        let answer = self.order(&format!("drain {packets}"));
        let seconds = answer.parse().expect("a time, unless packets were lost");
        Cost {
            packets,
            wall: Duration::from_secs_f64(seconds),
            cpu: Duration::ZERO,
        }
    }

    pub(crate) fn close(&mut self) {
        assert_eq!(self.order("close"), "0", "nothing may be lost");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ended = self.process.wait();
    }
}
