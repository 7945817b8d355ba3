//! The program as a child process, and a farm (simulated boards) in another process.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// Folder for the locks of all programs that tests start, in place of the folder of the host.
pub(crate) fn locks() -> PathBuf {
    let locks = Path::new(env!("CARGO_TARGET_TMPDIR")).join("locks");
    std::fs::create_dir_all(&locks).expect("a folder");
    locks
}

/// Command that runs the program with arguments, ready to be started.
pub(crate) fn twotone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twotone"));
    command.args(args).stdin(Stdio::null());
    command.env("TWOTONE_LOCKS", locks());
    let flashes = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flashes");
    command.env("TWOTONE_FLASHES", flashes);
    command
}

/// Runs the program to its end. Returns its exit status, standard output and standard error.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let output: Output = twotone(args).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap_or(-1);
    (status, text(&output.stdout), text(&output.stderr))
}

/// Runs the program with `--json`. Returns its exit status and the one JSON object that it printed.
pub(crate) fn run_json(args: &[&str]) -> (i32, Value) {
    let (status, out, err) = run(&[args, &["--json"]].concat());
    assert_eq!(out.lines().count(), 1, "stdout: {out}\nstderr: {err}");
    (status, serde_json::from_str(&out).expect("one JSON object"))
}

/// Returns the error of a report, of a board or of a module as text, with all its parts; empty if
/// there is none.
pub(crate) fn error_of(one: &Value) -> String {
    failure(&one["error"])
}

/// Returns an error as text, with all its parts; empty if it is null.
pub(crate) fn failure(failure: &Value) -> String {
    if failure.is_null() {
        return String::new();
    }
    let known = ["kind", "certainty", "operation", "message", "advice"];
    let parts = failure.as_object();
    let parts = parts.unwrap_or_else(|| panic!("not in its parts: {failure}"));
    assert!(parts.keys().all(|key| known.contains(&key.as_str())));
    assert!(known[..4].iter().all(|key| parts.contains_key(*key)));
    assert!(failure["message"].is_string(), "{failure}");
    failure.to_string()
}

/// `twotone sim` in a process of its own, with its map and its true detectors in a folder.
pub(crate) struct SimProcess {
    child: Child,
    _out: BufReader<ChildStdout>,
    pub(crate) folder: tempfile::TempDir,
}

impl SimProcess {
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (map, truth) = (
            folder.path().join("map.toml"),
            folder.path().join("truth.json"),
        );
        let mut child = twotone(&["sim", "--with-parent"])
            .args(args)
            .arg("--write-map")
            .arg(&map)
            .arg("--truth")
            .arg(&truth)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        assert!(line.starts_with("ready"), "{line:?}");
        Self {
            child,
            _out: out,
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn map(&self) -> String {
        self.text_path("map.toml")
    }

    pub(crate) fn text_path(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        signal_to(&self.child, signal);
    }

    /// Process number of the simulator.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Number of descriptors that the simulator has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.id());
        std::fs::read_dir(folder).expect("it is running").count()
    }

    pub(crate) fn wait(&mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for SimProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn signal_to(child: &Child, signal: rustix::process::Signal) {
    let id = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.expect("a process id"), signal).expect("it is running");
}

/// Reads the rest of a child's output as text.
pub(crate) fn rest(stream: Option<impl Read>) -> String {
    let mut text = String::new();
    stream
        .expect("a pipe")
        .read_to_string(&mut text)
        .expect("text");
    text
}

/// Writes a file into a folder. Returns its path.
pub(crate) fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a writable folder");
    path.display().to_string()
}
