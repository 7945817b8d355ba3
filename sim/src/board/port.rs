//! A board's listening socket, which a fault can close for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::{Board, Simulated, ignore};
use crate::fault::OnConnect;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// Time to wait after a failed accept (mostly because no descriptors are left)
/// before the next attempt.
const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// A board's port: open, or bound without listening, so that the kernel
/// refuses connections and gives the port to no other program.
#[derive(Debug)]
pub(crate) enum Port {
    Open(TcpListener),
    Closed(TcpSocket),
}

impl Port {
    /// Binds `address`, with port 0 for one that the system chooses, and
    /// returns the bound address. Does not listen yet.
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

    /// Opens the port, or closes it if a fault or a restart of the board keeps it closed.
    pub(crate) fn follow_faults(self, board: &Board) -> io::Result<Self> {
        if board.down_until().is_none() && board.on_connect() != OnConnect::Refuse {
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
    // The connections of an earlier listener on the port may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections until the farm is shut down. A port that cannot be
/// opened again after a fault closed it is reported and stays closed.
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

/// Accepts one connection and starts to serve it.
async fn accept(simulated: &Arc<dyn Simulated>, port: &Port) {
    let Port::Open(listener) = port else {
        return std::future::pending().await;
    };
    let board = simulated.board();
    match listener.accept().await {
        // The connection came before the port could be closed.
        Ok((stream, _)) if board.down_until().is_some() => drop(stream),
        Ok((stream, _)) if board.on_connect() == OnConnect::Serve => {
            // Nagle's delay would hold back the last segment of every answer.
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
