//! A board's listening socket, which a fault can close for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::board::Board;
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
        let socket = hold(address)?;
        let address = socket.local_addr()?;
        Ok((Self::Closed(socket), address))
    }

    fn open(self) -> io::Result<Self> {
        match self {
            Self::Open(listener) => Ok(Self::Open(listener)),
            Self::Closed(socket) => socket.listen(BACKLOG).map(Self::Open),
        }
    }

    fn turn(self, board: &Board) -> io::Result<Self> {
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
                hold(address).map(Self::Closed)
            }
            closed @ Self::Closed(_) => Ok(closed),
        }
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // The connections of an earlier listener on the port may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Opens a new board's port, unless a fault keeps it closed.
pub(crate) fn first(board: &Board, port: Port) -> io::Result<Port> {
    port.turn(board)
}

/// Accepts connections until the farm is shut down. A port that cannot be
/// opened again after a fault closed it is reported and stays closed.
pub(crate) async fn listen(board: Arc<Board>, mut port: Port) {
    let address = board.address();
    loop {
        port = match port.turn(&board) {
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
            () = until(board.down_until()) => board.come_up(),
            () = accept(&board, &port) => {}
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
async fn accept(board: &Arc<Board>, port: &Port) {
    let Port::Open(listener) = port else {
        return std::future::pending().await;
    };
    match listener.accept().await {
        // The connection came before the port could be closed.
        Ok((stream, _)) if board.down_until().is_some() => drop(stream),
        Ok((stream, _)) if board.on_connect() == OnConnect::Serve => {
            // Nagle's delay would hold back the last segment of every answer.
            let _ = stream.set_nodelay(true);
            board.tasks().spawn(super::serve(Arc::clone(board), stream));
        }
        Ok((stream, _)) => {
            board
                .tasks()
                .spawn(super::ignore(Arc::clone(board), stream));
        }
        Err(error) => {
            tracing::warn!(board = board.name(), %error, "a connection was not taken");
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}
