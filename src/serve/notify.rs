//! Messages to systemd, as `sd_notify(3)` describes them: datagrams to the socket that the
//! environment variable `NOTIFY_SOCKET` names. Nothing is sent if the variable is not set.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Connection to the service manager, systemd.
#[derive(Debug)]
pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Returns the connection to the service manager that the environment variables name.
    pub(crate) fn of_environment() -> Self {
        let variable = |name| env::var(name).ok();
        let to = variable("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&path),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        let for_us = variable("WATCHDOG_PID")
            .is_none_or(|process| process == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").filter(|_| for_us);
        let watchdog = watchdog.and_then(|text| text.parse().ok());
        Self {
            to,
            watchdog: watchdog.filter(|time| *time > 0).map(Duration::from_micros),
        }
    }

    /// Longest interval between signs of life that the service manager accepts. `None` if it does
    /// not expect any.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.to.is_some())
    }

    /// Reports that the service is ready.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// Reports that the service is about to end.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Reports that the service is alive, if the service manager expects signs of life.
    pub(crate) fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// Reports one line about the service, which `systemctl status` shows.
    pub(crate) fn status(&self, text: &str) {
        self.send(&format!("STATUS={text}"));
    }

    fn send(&self, message: &str) {
        let Some((socket, address)) = &self.to else {
            return;
        };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, message, "systemd was not told");
        }
    }
}
