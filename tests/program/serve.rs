//! Tests of the daemon `twotone serve`: commands that it receives at its Unix socket, questions
//! that it answers at its TCP port, and its end. A *job* is a command that the daemon runs. A map
//! is a file that lists boards.

mod ends;
mod http;
pub(crate) mod jobs;
mod same;
mod slow;
mod strangers;
mod systemd;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::process::{run, signal_to, twotone};

/// The daemon in a process of its own, with its Unix socket and its state in a folder.
pub(crate) struct Daemon {
    child: Child,
    _out: BufReader<ChildStdout>,
    folder: PathBuf,
    listen: SocketAddr,
}

impl Daemon {
    /// Starts a daemon for a map, and waits until it is ready. `folder` may contain the state of an
    /// earlier daemon.
    pub(crate) fn start(folder: &Path, map: &str) -> Self {
        Self::start_with(folder, map, |command| command)
    }

    /// Does the same as [`Self::start`], after `change` has changed the command that starts the
    /// daemon.
    pub(crate) fn start_with(
        folder: &Path,
        map: &str,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = twotone(&["serve", "--map", map, "--listen", "127.0.0.1:0", "--json"]);
        command
            .arg("--socket")
            .arg(folder.join("control.sock"))
            .arg("--state")
            .arg(folder.join("state"))
            .env("TWOTONE_LOG", "warn")
            .stdout(Stdio::piped());
        let mut child = change(&mut command).spawn().expect("the daemon starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("it says that it is ready");
        assert_eq!(ready["ready"], true, "{line}");
        let listen = ready["listen"].as_str().expect("an address");
        let listen = listen.trim_start_matches("http://").parse();
        Self {
            child,
            _out: out,
            folder: folder.to_owned(),
            listen: listen.expect("an address"),
        }
    }

    /// Returns the address of the daemon for the option `--host`.
    pub(crate) fn host(&self) -> String {
        format!("unix:{}", self.folder.join("control.sock").display())
    }

    /// Returns the command of a client with arguments, ready to be started.
    pub(crate) fn client(&self, args: &[&str]) -> Command {
        let mut command = twotone(&["--host", &self.host()]);
        command.args(args);
        command
    }

    /// Runs a client to its end. Returns its exit status, standard output and standard error.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        run(&[&["--host", &self.host()], args].concat())
    }

    /// Gives the daemon a command and does not wait for the end of the job. Returns the number of
    /// the job.
    pub(crate) fn detach(&self, args: &[&str]) -> u64 {
        let (status, out, err) = self.run(&[args, &["--detach", "--json"]].concat());
        assert_eq!(status, 0, "{err}");
        let job: Value = serde_json::from_str(&out).expect("a job");
        job["id"].as_u64().expect("a number")
    }

    /// Returns the path of the run directory (the folder of results) that a client has named by the
    /// relative path `name`.
    pub(crate) fn run_directory(&self, name: &str) -> PathBuf {
        self.folder.join("state/runs").join(name)
    }

    /// Sends a question to the port. Returns the HTTP status and the body of the answer.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let stream = TcpStream::connect(self.listen).expect("it listens");
        exchange(stream, head.as_bytes())
    }

    /// Sends a question to the port. Returns the answer, which must be JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Returns the description of a job from the daemon.
    pub(crate) fn job(&self, id: u64) -> Value {
        self.json(&format!("/jobs/{id}"))
    }

    /// Waits until a job has the state `state`. Returns the description of the job.
    pub(crate) fn wait_for(&self, id: u64, state: &str) -> Value {
        loop {
            let job = self.job(id);
            if job["state"] == state {
                return job;
            }
            let is_over = ["ended", "interrupted"]
                .iter()
                .any(|over| job["state"] == *over);
            assert!(!is_over, "it is to be {state}: {job}");
        }
    }

    /// Sends a request to the port. Returns the HTTP status and the body of the answer.
    pub(crate) fn send_by_port(&self, request: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.listen).expect("it listens");
        exchange(stream, request.as_bytes())
    }

    /// Sends a request to the Unix socket. Returns the HTTP status and the body of the answer.
    pub(crate) fn send_by_socket(&self, request: &str) -> (u16, String) {
        let stream = UnixStream::connect(self.folder.join("control.sock")).expect("it listens");
        exchange(stream, request.as_bytes())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(&self.child, signal);
    }

    /// Waits for the end of the daemon. Returns its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a request, and reads the answer until the connection ends. Returns the HTTP status and the
/// body; status 0 if there is no answer.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> (u16, String) {
    // A daemon that refuses the request may have closed the connection already.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}
