//! Python scripts as child processes. Each ends with its test at the latest.

use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// Returns the path of the Python interpreter that has the packages for these tests, if there is
/// one.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("TWOTONE_PYTHON").ok();
    if python.is_none() {
        eprintln!("left out: TWOTONE_PYTHON names no Python; run `cargo xtask test`");
    }
    python
}

/// Returns the folder of the virtual environment of this Python interpreter.
pub(crate) fn environment(python: &str) -> &Path {
    let environment = Path::new(python).parent().and_then(Path::parent);
    environment.expect("an interpreter in `bin`")
}

/// A script of `tests/interop`, ready to be started.
pub(crate) struct Script {
    command: Command,
    name: String,
}

impl Script {
    pub(crate) fn new(python: &str, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
        let mut command = Command::new(python);
        // Output is not buffered, so that none of it is lost when the process is killed.
        command.arg("-u").arg(folder.join(name));
        Self {
            command,
            name: name.to_owned(),
        }
    }

    pub(crate) fn args<S: AsRef<std::ffi::OsStr>>(
        mut self,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        self.command.args(args);
        self
    }

    /// Starts the script and waits for the first line that it prints, a JSON object.
    #[track_caller]
    pub(crate) fn start(mut self) -> Peer {
        let complaints = tempfile::tempfile().expect("a temporary file");
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().expect("a second handle"))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Peer {
            name: self.name,
            child,
            _stdin: stdin,
            stdout,
            complaints,
            said: Value::Null,
        };
        peer.said = peer.line();
        peer
    }

    /// Runs the script to its end. The script must succeed. Returns the JSON object that it
    /// printed.
    #[track_caller]
    pub(crate) fn run(self) -> Value {
        let mut peer = self.start();
        let status = peer.child.wait().expect("it ends");
        let said = peer.said.take();
        assert!(
            status.success(),
            "{}: {status}\n{said:#}\n{}",
            peer.name,
            peer.complaints()
        );
        said
    }
}

/// A running script. It is killed when this value is dropped. It also ends when its standard input
/// is closed, so that it does not outlive a test that is killed.
pub(crate) struct Peer {
    name: String,
    child: Child,
    _stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    complaints: std::fs::File,
    /// First line that the script printed.
    pub(crate) said: Value,
}

impl Peer {
    /// Reads the next line that the script prints, which must be a JSON object.
    #[track_caller]
    fn line(&mut self) -> Value {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        let value = read.ok().and_then(|_| serde_json::from_str(&line).ok());
        value.unwrap_or_else(|| {
            // A script that has closed its output is about to end, and may still print the reason
            // to standard error.
            if !line.is_empty() {
                drop(self.child.kill());
            }
            drop(self.child.wait());
            panic!("{} said {line:?}\n{}", self.name, self.complaints())
        })
    }

    /// Returns the text that the script has written to its standard error so far.
    fn complaints(&self) -> String {
        let (mut file, mut bytes) = (&self.complaints, Vec::new());
        drop(file.rewind());
        drop(file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
