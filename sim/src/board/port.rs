//! Listening socket of a simulated board. It is closed for some time by a fault, by a reboot, or in
//! a boot window (the time for flashing after a start).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::{Board, Simulated, ignore};
use crate::fault::OnConnect;

/// Number of connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// Pause after a failed `accept`, which mostly means that the process has no descriptors left.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// TCP port of a board. A closed port stays bound, so that the kernel refuses connections and does
/// not give the port to another program.
#[derive(Debug)]
pub(crate) enum Port {
    Open(TcpListener),
    Closed(TcpSocket),
}

impl Port {
    /// Binds `address` and returns the bound address. The system chooses the port if it is 0. The
    /// port is closed at first.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        Ok((Self::Closed(socket), address))
    }

    fn open(self) -> io::Result<Self> {
        match self {
            Self::Open(listener) => Ok(Self::Open(listener)),
            Self::Closed(socket) => socket.listen(BACKLOG).map(Self::Open),
        }
    }

    /// Opens the port, or closes it during a fault that refuses connections, during the downtime of
    /// a reboot, and in a boot window.
    pub(crate) fn follow_faults(self, board: &Board) -> io::Result<Self> {
        if board.is_up() && board.on_connect() != OnConnect::Refuse {
            self.open()
        } else {
            self.close(board.address())
        }
    }

    fn close(self, address: SocketAddr) -> io::Result<Self> {
        match self {
            Self::Open(listener) => {
                drop(listener);
                bind(address).map(Self::Closed)
            }
            closed @ Self::Closed(_) => Ok(closed),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections of an earlier listener on the port may still be in the state TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until the farm (the group of simulated boards) is shut down. If the port
/// cannot be opened or closed when it must be, an error is logged, and this function returns.
pub(crate) async fn listen(simulated: Arc<dyn Simulated>, mut port: Port) {
    let board = simulated.board();
    let address = board.address();
    loop {
        port = match port.follow_faults(board) {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(board = board.name(), %address, %error, "the port is lost");
                return;
            }
        };
        let changed = board.changed();
        tokio::select! {
            () = board.shut_down().cancelled() => return,
            () = changed => {}
            () = until(board.down_until()) => board.end_downtime(),
            () = accept(&simulated, &port) => {}
        }
    }
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Accepts one connection and starts a task that serves it, or that leaves it without an answer
/// during a fault. Never returns if the port is closed.
async fn accept(simulated: &Arc<dyn Simulated>, port: &Port) {
    let Port::Open(listener) = port else {
        return std::future::pending().await;
    };
    let board = simulated.board();
    match listener.accept().await {
        // This connection was made before the port was closed.
        Ok((stream, _)) if !board.is_up() => drop(stream),
        Ok((stream, _)) if board.on_connect() == OnConnect::Serve => {
            // Nagle's algorithm would delay the last segment of every answer.
            let _ = stream.set_nodelay(true);
            let served = Arc::clone(simulated).serve(Box::new(stream));
            board.tasks().spawn(served);
        }
        Ok((stream, _)) => {
            let ignored = Arc::clone(simulated);
            let hold = async move { ignore(ignored.board(), Box::new(stream)).await };
            board.tasks().spawn(hold);
        }
        Err(error) => {
            tracing::warn!(board = board.name(), %error, "a connection was not taken");
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}
