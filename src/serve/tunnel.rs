//! Tunnel to the daemon of a control host: `ssh` forwards a socket on this computer to the socket
//! of the daemon on the host.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::timeout;
use tworoutine::runtime;

use super::client::{Failure, Host};
use super::site::{SiteHost, Ssh, Way};

/// Line that the command on the host prints when the connection is made.
const READY: &str = "twotone-connected";

/// Name of the forwarded socket in its temporary folder on this computer.
const SOCKET_HERE: &str = "s";

/// Number of bytes of the error output of `ssh` that are kept: the last ones.
const KEPT_BYTES: usize = 4 << 10;

/// Longest time to wait for the rest of the error output, if `ssh` has failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connection to the daemon of a host. The process of ssh ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) host: SiteHost,
    ssh: Arc<Ssh>,
    tunnel: Option<Tunnel>,
}

impl Link {
    pub(crate) fn new(host: SiteHost, ssh: Arc<Ssh>) -> Self {
        Self {
            host,
            ssh,
            tunnel: None,
        }
    }

    /// True if the daemon is reached over ssh.
    pub(crate) fn is_by_ssh(&self) -> bool {
        matches!(self.host.way, Way::Ssh { .. })
    }

    /// Settings of the ssh connections.
    pub(crate) fn ssh(&self) -> &Ssh {
        &self.ssh
    }

    /// Makes a new connection, and requests the health of the daemon. An earlier connection is
    /// closed first. Returns the address of the daemon and its health. The health is `None` if the
    /// daemon refuses the request, or if its answer cannot be read.
    ///
    /// # Errors
    /// See [`Failure`]. The only request that the daemon may have received is the one for its
    /// health.
    pub(crate) async fn reach<T: DeserializeOwned>(
        &mut self,
    ) -> Result<(Host, Option<T>), Failure> {
        self.tunnel = None;
        let (address, user, socket) = match &self.host.way {
            Way::Direct(host) => return Ok((host.clone(), self.health(host).await?)),
            Way::Ssh {
                user,
                address,
                socket,
            } => (address, user.as_deref(), socket),
        };
        let mut tunnel = Tunnel::open(&self.ssh, address, user, socket).await?;
        let host = Host::Unix(tunnel.socket());
        let health = match self.health(&host).await {
            Ok(health) => health,
            Err(Failure::Closed(why)) => {
                // A connection to the local end of the tunnel succeeds in any case. The daemon's
                // socket on the host may nevertheless have refused the connection, which the error
                // output of ssh shows.
                let Some(refused) = tunnel.refused().await else {
                    return Err(Failure::Closed(why));
                };
                return Err(Failure::Unreachable(format!(
                    "nothing answers at {socket} of {address} ({refused}): see there if the daemon \
                     runs, if this is its socket, and if this user may use it"
                )));
            }
            Err(failure) => return Err(failure),
        };
        self.tunnel = Some(tunnel);
        Ok((host, health))
    }

    async fn health<T: DeserializeOwned>(&self, host: &Host) -> Result<Option<T>, Failure> {
        match host.health(self.ssh.silence()).await {
            Ok(health) => Ok(Some(health)),
            // These failures come from a daemon of another version, which can still be used.
            Err(Failure::Refused(_) | Failure::Lost(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// A process of `ssh` that forwards a socket.
#[derive(Debug)]
struct Tunnel {
    child: Child,
    folder: TempDir,
    /// Last part of the error output of the process. The sender of this channel is dropped when
    /// the output has ended.
    words: watch::Receiver<String>,
}

impl Tunnel {
    /// Connects to a host, and forwards a local socket to the host's `socket`.
    async fn open(
        ssh: &Ssh,
        address: &str,
        user: Option<&str>,
        socket: &str,
    ) -> Result<Self, Failure> {
        let unreachable = |why: String| Failure::Unreachable(format!("no way to {address}: {why}"));
        let started = Self::start(ssh, address, user, socket);
        let (mut tunnel, out) = started.map_err(|error| unreachable(format!("ssh: {error}")))?;
        let ready = async {
            let mut lines = BufReader::new(out).lines();
            // The start-up files of a shell may print other lines before this line.
            while let Ok(Some(line)) = lines.next_line().await {
                if line.trim_end() == READY {
                    return true;
                }
            }
            false
        };
        // This is longer than the limit of ssh itself, because a name may have to be looked up, and
        // the user may be asked for a confirmation.
        let limit = ssh.connect_within() * 3;
        match timeout(limit, ready).await {
            Ok(true) => Ok(tunnel),
            Ok(false) => {
                // If the error output does not end in time, the part that has been received is
                // used.
                let _ = timeout(LAST_WORDS, tunnel.words.wait_for(|_| false)).await;
                Err(unreachable(advised(&tunnel.words.borrow(), address)))
            }
            Err(_) => Err(unreachable(format!("no connection within {limit:?}"))),
        }
    }

    fn start(
        ssh: &Ssh,
        address: &str,
        user: Option<&str>,
        socket: &str,
    ) -> io::Result<(Self, pipe::Receiver)> {
        // Only this user can open the folder, and therefore the socket in it.
        let folder = tempfile::Builder::new()
            .prefix("tt-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let mut command = command(ssh, user);
        let here = folder.path().join(SOCKET_HERE).display().to_string();
        command.args(["-T", "-L", &format!("{here}:{socket}"), "--", address]);
        // The command on the host runs until `cat` reads the end of its input. This happens when
        // this process ends.
        command.arg(format!("echo {READY}; exec cat >/dev/null"));
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // `ssh` gets a process group of its own, so that Ctrl-C at the terminal interrupts only
        // this program.
        let mut child = command.process_group(0).spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (sender, words) = watch::channel(String::new());
        let tunnel = Self {
            child,
            folder,
            words,
        };
        let pipe = |fd: Option<OwnedFd>| {
            pipe::Receiver::from_owned_fd(fd.ok_or(io::ErrorKind::BrokenPipe)?)
        };
        runtime().spawn(collect(pipe(err.map(OwnedFd::from))?, sender));
        Ok((tunnel, pipe(out.map(OwnedFd::from))?))
    }

    /// Path of the socket on this computer.
    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET_HERE)
    }

    /// Waits for the message of `ssh` that it could not connect to the socket on the host. Returns
    /// `None` if there is no such message.
    async fn refused(&mut self) -> Option<String> {
        let told = self.words.wait_for(|words| words.contains("open failed"));
        let told = timeout(LAST_WORDS, told).await.ok()?.ok()?;
        last_line(&told)
    }
}

/// Collects the last part of the output of a program, until the output has ended.
async fn collect(mut said: pipe::Receiver, words: watch::Sender<String>) {
    let mut part = [0; 512];
    while let Ok(count @ 1..) = said.read(&mut part).await {
        let text = String::from_utf8_lossy(&part[..count]);
        words.send_modify(|words| {
            words.push_str(&text);
            let too_many = words.len().saturating_sub(KEPT_BYTES);
            let end = words.ceil_char_boundary(too_many);
            words.drain(..end);
        });
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // The whole process group is killed, because ssh may have started other programs for its
        // connection, such as a proxy.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Returns the command `ssh` with the options that the tunnel needs. They take precedence over the
/// configuration of the user.
fn command(ssh: &Ssh, user: Option<&str>) -> Command {
    let mut command = Command::new("ssh");
    if let Some(config) = &ssh.config {
        // `ssh` looks for a relative path in the folder of the user's configuration.
        let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
        command.arg("-F").arg(config);
    }
    let interval = (ssh.silence().as_secs() / 3).max(1);
    for option in [
        "BatchMode=yes".to_owned(),
        format!("ConnectTimeout={}", ssh.connect_within().as_secs()),
        format!("ServerAliveInterval={interval}"),
        "ServerAliveCountMax=3".to_owned(),
        "ExitOnForwardFailure=yes".to_owned(),
        "StreamLocalBindMask=0177".to_owned(),
        // The next two options make a new connection that no other `ssh` shares, so that it ends
        // with this process.
        "ControlMaster=no".to_owned(),
        "ControlPath=none".to_owned(),
        "RemoteCommand=none".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    command
}

/// Returns the last non-empty line of a text.
fn last_line(words: &str) -> Option<String> {
    let mut lines = words.lines().map(str::trim);
    lines.rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// Returns the last line of the error output of `ssh`, with the remedy if one is known.
fn advised(words: &str, address: &str) -> String {
    let last = last_line(words).unwrap_or_else(|| "ssh has ended".to_owned());
    if words.contains("Host key verification failed") {
        format!("{last} Connect by hand once, to see if it is the right host: ssh {address}")
    } else if words.contains("Permission denied") {
        format!("{last} Try `ssh {address}`: it must not ask for a password")
    } else {
        last
    }
}
