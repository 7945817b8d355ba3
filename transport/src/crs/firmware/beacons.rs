//! Socket that receives the beacons of all boards.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;
use twotone_hal::{Certainty, Error, ErrorKind, Result, same_serial};
use twotone_wire::crs::boot::{BEACON_PORT, Beacon, MOST_DATAGRAM};

/// Usual address that receives beacons: their port, on all interfaces.
pub(in crate::crs) const USUAL: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), BEACON_PORT);

/// Largest number of boards whose beacons are kept. Beacons of further boards are dropped, so that
/// a sender of random serial numbers does not fill the memory.
const MOST_BOARDS: usize = 4096;

/// A beacon and its arrival.
#[derive(Debug, Clone)]
struct Heard {
    beacon: Beacon,
    from: SocketAddr,
    at: Instant,
}

/// Beacons that arrived. One of the waiting tasks at a time reads the socket, for all of them.
#[derive(Debug)]
pub(super) struct Beacons {
    bind: SocketAddr,
    socket: OnceCell<UdpSocket>,
    turn: tokio::sync::Mutex<()>,
    heard: Mutex<HashMap<String, Heard>>,
    changed: Notify,
}

/// Error of a socket that cannot receive beacons at `bind`.
pub(in crate::crs) fn failed(bind: SocketAddr, error: io::Error) -> Error {
    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
    let why = format!("the beacons of boards cannot be received on {bind}");
    let failed = Error::new(ErrorKind::Unreachable, why)
        .caused_by(error)
        .certainty_is(Certainty::NotExecuted);
    match is_taken {
        true => failed.advise("wait for the other program that flashes or finds boards to end"),
        false => failed.advise("name an address of this computer"),
    }
}

impl Beacons {
    pub(super) fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            socket: OnceCell::new(),
            turn: tokio::sync::Mutex::default(),
            heard: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Binds the port, unless it is bound already.
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub(super) async fn listen(&self) -> Result<&UdpSocket> {
        let bind = || UdpSocket::bind(self.bind);
        let socket = self.socket.get_or_try_init(bind).await;
        socket.map_err(|error| failed(self.bind, error))
    }

    /// Waits for the next beacon of the board with this serial number, and returns the beacon with
    /// its sender.
    ///
    /// # Errors
    /// If the port cannot be bound or read.
    pub(super) async fn wait_for(&self, serial: &str) -> Result<(Beacon, SocketAddr)> {
        let socket = self.listen().await?;
        // Beacons that came while no task was waiting are discarded: their boards may have left the
        // boot window.
        if let Ok(_turn) = self.turn.try_lock() {
            let mut datagram = [0; MOST_DATAGRAM];
            while socket.try_recv_from(&mut datagram).is_ok() {}
        }
        let since = Instant::now();
        loop {
            let changed = self.changed.notified();
            if let Some(heard) = self.heard_since(since, serial) {
                return Ok(heard);
            }
            tokio::select! {
                () = changed => {}
                received = self.receive(socket) => received.map_err(|error| failed(self.bind, error))?,
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard_since(&self, since: Instant, serial: &str) -> Option<(Beacon, SocketAddr)> {
        let table = self.table();
        let heard = table.get(&same_serial(serial))?;
        if heard.at < since {
            return None;
        }
        Some((heard.beacon.clone(), heard.from))
    }

    /// Receives one datagram, once no other task reads the socket.
    async fn receive(&self, socket: &UdpSocket) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let mut datagram = [0; MOST_DATAGRAM];
        let (size, from) = socket.recv_from(&mut datagram).await?;
        let beacon = match Beacon::parse(&datagram[..size]) {
            Ok(beacon) => beacon,
            Err(error) => {
                tracing::debug!(%from, %error, "a datagram is no beacon");
                return Ok(());
            }
        };
        let mut table = self.table();
        let serial = same_serial(&beacon.serial);
        if table.len() < MOST_BOARDS || table.contains_key(&serial) {
            let at = Instant::now();
            table.insert(serial, Heard { beacon, from, at });
        }
        drop(table);
        self.changed.notify_waiters();
        Ok(())
    }
}
