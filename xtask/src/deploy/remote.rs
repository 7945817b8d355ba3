//! A control host, which is reached with the `ssh` of this computer. It can run scripts and receive
//! files. A site is a group of control hosts, which a site file lists.
//!
//! The exit status of `ssh` does not distinguish a failed script from a cut connection: 255 can
//! mean either, or that the script was killed. Therefore each script prints a mark when it begins
//! and another one when it ends. After the second mark it prints its exit status. If the second
//! mark is missing, the answer is [`Failure::Cut`], because it is unknown how far the script ran.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, empty};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::site::{Become, Host, Ssh, is_plain};
use crate::{Result, child};

/// Longest duration of a script. It is never reached, because no script waits for long.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Longest duration of an upload over one connection. The next connection continues the upload.
const UPLOAD_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// Pause before the second attempt at a command whose connection was cut. Each further pause is
/// twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Interval at which the program checks if a connection has been made.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Reason why a host did not do what was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection was made.
    Unreachable(String),
    /// The connection was cut. The request may or may not have been executed.
    Cut(String),
    /// The host received the request, and failed.
    Refused(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Cut(text) | Self::Refused(text) => text,
        }
    }
}

/// Answer of a host, or the reason why there is none.
pub(crate) type Answered<T> = std::result::Result<T, Failure>;

/// Folder for the sockets of `ssh`. Its path is short, because the path of a socket has at most 108
/// bytes.
pub(crate) struct Sockets(PathBuf);

impl Sockets {
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tt-{}", unique()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns a name from the number of this process and the present time, so that each call returns
/// another name.
pub(crate) fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_nanos());
    format!("{now:x}-{:x}", std::process::id())
}

/// A host, with one connection that all its commands share.
pub(crate) struct Remote<'a> {
    pub(crate) host: &'a Host,
    ssh: &'a Ssh,
    socket: PathBuf,
    master: Option<child::Background>,
    sent: AtomicU64,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(host: &'a Host, ssh: &'a Ssh, sockets: &Sockets) -> Self {
        Self {
            host,
            ssh,
            socket: sockets.0.join("%C"),
            master: None,
            sent: AtomicU64::new(0),
        }
    }

    /// Number of bytes of files that have been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Makes the shared connection.
    pub(crate) fn connect(&mut self) -> Answered<()> {
        self.disconnect();
        let mut command = self.command("-M");
        // The connection lasts until `cat` on the host reads the end of its input. That is when
        // this process ends.
        command.args([
            "-o",
            "ControlPersist=no",
            "-T",
            "--",
            self.host.address(),
            "cat",
        ]);
        let mut master = child::Background::start(&mut command).map_err(Failure::Refused)?;
        // This limit is longer than that of `ssh` itself, because a name may have to be looked up,
        // and the user may be asked for a confirmation.
        let deadline = Instant::now() + Duration::from_secs(self.ssh.connect_seconds * 3);
        loop {
            if let Some(words) = master.last_words() {
                // The connection was made and then cut. Each further command makes its own
                // connection, and is repeated if that connection is cut.
                let cut = ["closed by remote host", "Broken pipe", "reset by peer"];
                if cut.iter().any(|it| words.contains(it)) {
                    return Ok(());
                }
                return Err(Failure::Unreachable(advised(&words, self.host.address())));
            }
            let mut check = self.command("-Ocheck");
            check.args(["--", self.host.address()]);
            let checked = child::exchange(&mut check, empty(), SCRIPT_LIMIT);
            if checked.is_ok_and(|output| output.status.success()) {
                self.master = Some(master);
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = "no connection within the time that it may take".to_owned();
                return Err(Failure::Unreachable(text));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Ends the shared connection. Each further command makes its own connection.
    pub(crate) fn disconnect(&mut self) {
        self.master = None;
    }

    /// Runs a script as root, and runs it again if the connection is cut. So the script must be one
    /// that may run twice.
    pub(crate) fn script(&self, script: &str, arguments: &[&str]) -> Answered<String> {
        self.again(|| self.script_once(script, arguments))
    }

    /// Calls `attempt` again if its connection was cut or could not be made, at most as often as
    /// the site file allows.
    pub(crate) fn again<T>(&self, mut attempt: impl FnMut() -> Answered<T>) -> Answered<T> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..self.ssh.attempts {
            match attempt() {
                Err(Failure::Cut(why) | Failure::Unreachable(why)) => {
                    eprintln!("deploy: {}: {why}; once more", self.host.name);
                }
                answered => return answered,
            }
            thread::sleep(pause);
            pause *= 2;
        }
        attempt()
    }

    /// Runs a script of `sh` as root. Returns its output.
    pub(crate) fn script_once(&self, script: &str, arguments: &[&str]) -> Answered<String> {
        if let Some(other) = arguments.iter().find(|it| !is_plain(it, "._~+/:@=,-")) {
            return Err(Failure::Refused(format!("`{other}` cannot be an argument")));
        }
        let mark = format!("twotone-{}", unique());
        let mut command = self.to_host();
        if self.host.becomes == Become::Sudo {
            command.args(["sudo", "-n"]);
        }
        command.args(["sh", "-s", "--"]).args(arguments);
        // The shell reads the whole text before it runs any of it. The programs in the script have
        // no input.
        let text = format!(
            "main() (\nset -eu\numask 022\nexport LC_ALL=C PATH=\"$PATH:/usr/sbin:/sbin\"\n{script}\n)\necho '{mark} begin'\n\
             main \"$@\" </dev/null\necho \"{mark} end $?\"\n"
        );
        let output = child::exchange(&mut command, text.as_bytes(), SCRIPT_LIMIT);
        let output = output.map_err(Failure::Cut)?;
        let told = String::from_utf8_lossy(&output.stdout);
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match between_marks(&told, &mark) {
            Some((0, text)) => Ok(text.to_owned()),
            Some((_, text)) if words.is_empty() => Err(Failure::Refused(text.trim().to_owned())),
            Some(_) => Err(Failure::Refused(words)),
            None => Err(self.unanswered(&output, &words)),
        }
    }

    /// Returns the failure that the output of a command shows if its second mark is missing.
    fn unanswered(&self, output: &Output, words: &str) -> Failure {
        let ending = child::ending(output.status);
        match output.status.code() {
            Some(255) if words.is_empty() => Failure::Cut("the connection was cut".to_owned()),
            Some(255) => Failure::Cut(advised(words, self.host.address())),
            _ if words.is_empty() => Failure::Cut(format!("ssh ended with {ending}")),
            _ if words.contains("sudo") => Failure::Refused(format!(
                "{words}; the guide has the line of sudoers that it takes"
            )),
            _ => Failure::Refused(words.to_owned()),
        }
    }

    /// Sends a file from `offset` on, to the same offset of the file `to` on the host.
    pub(crate) fn send(&self, file: &Path, offset: u64, to: &str) -> Answered<()> {
        let unreadable = |error| Failure::Refused(format!("{}: {error}", file.display()));
        let mut opened = File::open(file).map_err(unreadable)?;
        opened.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        self.send_bytes(opened, offset, to)
    }

    /// Sends bytes to `offset` of the file `to` on the host.
    pub(crate) fn send_bytes(
        &self,
        bytes: impl Read + Send,
        offset: u64,
        to: &str,
    ) -> Answered<()> {
        let mut command = self.to_host();
        if self.host.becomes == Become::Sudo {
            command.args(["sudo", "-n"]);
        }
        // The bytes are written at their offset and not appended. A connection that was cut may
        // still deliver bytes later, which would be appended at the wrong place.
        command.args([
            "dd",
            "bs=65536",
            "oflag=seek_bytes",
            "conv=notrunc",
            "status=none",
        ]);
        command
            .arg(format!("seek={offset}"))
            .arg(format!("of={to}"));
        let counted = Counted(bytes, &self.sent);
        let output = child::exchange(&mut command, counted, UPLOAD_LIMIT);
        let output = output.map_err(Failure::Cut)?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(()),
            _ => Err(self.unanswered(&output, &words)),
        }
    }

    /// Returns a command of `ssh` to the host. The caller adds the command for the host.
    fn to_host(&self) -> Command {
        let mut command = self.command("-T");
        command.args(["--", self.host.address()]);
        command
    }

    /// Returns the command `ssh` with the options of this program, which take precedence over those
    /// of the user.
    fn command(&self, first: &str) -> Command {
        let mut command = Command::new("ssh");
        if let Some(config) = &self.ssh.config {
            command.arg("-F").arg(config);
        }
        let interval = (self.ssh.silence_seconds / 3).max(1);
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={}", self.ssh.connect_seconds),
            format!("ServerAliveInterval={interval}"),
            "ServerAliveCountMax=3".to_owned(),
            format!("ControlPath={}", self.socket.display()),
        ] {
            command.arg("-o").arg(option);
        }
        if first != "-M" {
            command.args(["-o", "ControlMaster=no"]);
        }
        if let Some(user) = &self.host.user {
            command.args(["-l", user]);
        }
        command.arg(first);
        command
    }

    /// Returns user, name and port of the host according to the configuration of `ssh`.
    pub(crate) fn resolved(&self) -> String {
        let mut command = self.command("-G");
        command.args(["--", self.host.address()]);
        let output = child::exchange(&mut command, empty(), SCRIPT_LIMIT);
        let told = output.map(|output| output.stdout).unwrap_or_default();
        let told = String::from_utf8_lossy(&told);
        let of = |key: &str| {
            let mut lines = told.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(name, _)| *name == key).map_or("?", |it| it.1)
        };
        format!("{}@{} port {}", of("user"), of("hostname"), of("port"))
    }
}

/// Reader that counts the bytes that are read.
struct Counted<'a, R>(R, &'a AtomicU64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Returns the exit status of a script, and the output between its two marks, or `None` if a mark
/// is missing. The start-up files of a shell may print text before the first mark.
fn between_marks<'t>(told: &'t str, mark: &str) -> Option<(i32, &'t str)> {
    let (_, rest) = told.split_once(&format!("{mark} begin\n"))?;
    let (text, status) = rest.split_once(&format!("{mark} end "))?;
    // The text of the status is only complete if its line has ended.
    let (status, _) = status.split_once('\n')?;
    Some((status.parse().ok()?, text))
}

/// Returns the last line of the error output of `ssh`, followed by advice if the cause is known.
fn advised(words: &str, address: &str) -> String {
    let mut lines = words.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("ssh ended");
    if words.contains("Host key verification failed") {
        format!("{last} Connect by hand once, to see if it is the right host: ssh {address}")
    } else if words.contains("Permission denied") {
        format!("{last} Try `ssh {address}`: it must not ask for a password")
    } else {
        last.to_owned()
    }
}

#[cfg(test)]
mod tests;
