//! A control host, reached over the `ssh` of this computer: scripts, and bytes of files.
//!
//! The status of `ssh` cannot tell a failed script from a cut connection: 255 is both, and that of
//! a script that was killed. So each script prints its status between marks at its end. Without the
//! mark the answer is [`Failure::Cut`]: it is unknown how far the script came.

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

/// Longest time of a script. None of them waits for long.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Longest time of an upload by one connection. The next one goes on where it ended.
const UPLOAD_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// Time before a step is tried a second time. It doubles from time to time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Interval at which a connection that is being made is asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Reason that a host did not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection was made.
    Unreachable(String),
    /// The connection was cut: it may be done or not.
    Cut(String),
    /// The host was asked, and failed.
    Refused(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Unreachable(text) | Self::Cut(text) | Self::Refused(text) => text,
        }
    }
}

/// Answer of a host, or the reason that there is none.
pub(crate) type Answered<T> = std::result::Result<T, Failure>;

/// Folder for the sockets of `ssh`, short enough for its limit of 108 bytes.
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

/// Name that nothing else has.
pub(crate) fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_nanos());
    format!("{now:x}-{:x}", std::process::id())
}

/// A host, with a connection that its commands share.
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

    /// Number of bytes of files that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Makes the connection.
    pub(crate) fn connect(&mut self) -> Answered<()> {
        self.disconnect();
        let mut command = self.command("-M");
        // It lasts for as long as `cat` has an input, which is as long as we run.
        command.args([
            "-o",
            "ControlPersist=no",
            "-T",
            "--",
            self.host.address(),
            "cat",
        ]);
        let mut master = child::Background::start(&mut command).map_err(Failure::Refused)?;
        // Beyond what ssh itself allows for the connection: a name may be looked up, a user asked.
        let deadline = Instant::now() + Duration::from_secs(self.ssh.connect_seconds * 3);
        loop {
            if let Some(words) = master.last_words() {
                // It was made, and then cut. What comes next has one of its own, and is tried
                // again.
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

    /// Ends the connection: what comes next has one of its own.
    pub(crate) fn disconnect(&mut self) {
        self.master = None;
    }

    /// Runs a script, again if its connection is cut. It must be one that may run twice.
    pub(crate) fn script(&self, script: &str, arguments: &[&str]) -> Answered<String> {
        self.again(|| self.script_once(script, arguments))
    }

    /// Does something until its connection is not cut, as often as the site file allows.
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

    /// Runs a script of `sh` as root. Returns what it prints.
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
        // It is read whole before it runs, and its programs read nothing of it.
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

    /// The failure of a command that has told no end.
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

    /// Sends a file from an offset on, to the same offset of a file of the host.
    pub(crate) fn send(&self, file: &Path, offset: u64, to: &str) -> Answered<()> {
        let unreadable = |error| Failure::Refused(format!("{}: {error}", file.display()));
        let mut opened = File::open(file).map_err(unreadable)?;
        opened.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        self.send_bytes(opened, offset, to)
    }

    /// Sends bytes to an offset of a file of the host.
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
        // At its place, not at the end: a cut connection may still deliver what it has.
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

    /// Returns a command of `ssh` to the host, without what the host shall do.
    fn to_host(&self) -> Command {
        let mut command = self.command("-T");
        command.args(["--", self.host.address()]);
        command
    }

    /// Returns `ssh` with our options on top of those of the user.
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

    /// User, name and port of the host by the configuration of `ssh`.
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

/// Reader that counts what is read.
struct Counted<'a, R>(R, &'a AtomicU64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Finds what stands between the marks of a script, and its status. What start-up files of a shell
/// print comes before.
fn between_marks<'t>(told: &'t str, mark: &str) -> Option<(i32, &'t str)> {
    let (_, rest) = told.split_once(&format!("{mark} begin\n"))?;
    let (text, status) = rest.split_once(&format!("{mark} end "))?;
    // A status without the end of its line may lack a digit.
    let (status, _) = status.split_once('\n')?;
    Some((status.parse().ok()?, text))
}

/// The last line of what `ssh` says, with the remedy if one is known.
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
