//! The sockets on which the daemon listens, and the limits for clients that connect. Clients submit
//! commands over the control socket, and can only ask questions over a TCP port.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tworoutine::runtime;

use super::admission::Endpoint;
use super::routes::Routes;
use super::stall_timeout::StallTimeout;

/// Largest number of connections of a listener at the same time. Further connections wait until one
/// ends.
const MOST_CONNECTIONS: usize = 512;

/// Longest time for receiving the head of a request. It is also the longest time that a connection
/// stays open without a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Largest number of bytes of the head of a request.
const HEAD_BYTES: usize = 32 << 10;

/// Largest number of header lines of a request.
const HEAD_LINES: usize = 64;

/// Pause after a failed attempt to accept a connection, for instance because too many files are
/// open.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket for clients that may submit commands. Its file is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl ControlSocket {
    /// Creates the socket at `path`, which only its owner and its group can open. An existing
    /// socket is replaced if no program listens on it. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// The reason, and the remedy.
    pub(crate) fn bind(path: &Path, group: Option<u32>) -> Result<Self, String> {
        let shown = path.display();
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(format!(
                "another daemon takes commands at {shown}: use it (`twotone --host unix:{shown} \
                 ...`), or end it"
            ));
        }
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(format!("{shown} is there and no socket: name another path"));
        }
        // The socket is created under a temporary name, and is renamed after its permissions are
        // set. So it has its final name only once they are set.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(hidden);
        let made = || {
            // An earlier process with the same process number may have left a file with the
            // temporary name.
            let _ = fs::remove_file(&hidden);
            let listener = UnixListener::bind(&hidden)?;
            if let Some(group) = group {
                chown(&hidden, None, Some(group))?;
            }
            fs::set_permissions(&hidden, Permissions::from_mode(0o660))?;
            fs::rename(&hidden, path)?;
            Ok(listener)
        };
        let listener = made().map_err(|error: io::Error| {
            let _ = fs::remove_file(&hidden);
            format!(
                "the socket {shown} cannot be made: {error}; make its folder, or name another path \
                 (--socket)"
            )
        })?;
        Ok(Self {
            path: path.to_owned(),
            listener: Some(listener),
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // An error is ignored, because the next daemon replaces a file that was left here.
        let _ = fs::remove_file(&self.path);
    }
}

/// Server of all connections, on all sockets of the daemon.
pub(crate) struct Server {
    routes: Arc<Routes>,
    /// Token that, when it is cancelled, closes the listening sockets and the connections that
    /// have no request.
    closing: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    pub(crate) fn new(routes: Routes) -> Self {
        Self {
            routes: Arc::new(routes),
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    /// Serves the connections to the control socket, over which clients may submit commands.
    pub(crate) fn control(&self, socket: &mut ControlSocket) {
        if let Some(listener) = socket.listener.take() {
            self.serve(listener);
        }
    }

    /// Serves the connections to a port of this host, over which clients may only send read-only
    /// requests. Returns the address of the port.
    ///
    /// # Errors
    /// If the daemon cannot listen on the port.
    pub(crate) async fn ask(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        self.serve(listener);
        Ok(address)
    }

    fn serve(&self, listener: impl Listener) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let (routes, closing) = (Arc::clone(&self.routes), self.closing.clone());
        let connections = self.connections.clone();
        runtime().spawn(async move {
            // The loop ends only by `break`, because this semaphore is never closed.
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let stream = tokio::select! {
                    () = closing.cancelled() => break,
                    stream = listener.accept() => stream,
                };
                match stream {
                    Ok((stream, endpoint)) => {
                        let served = answer(stream, endpoint, Arc::clone(&routes), closing.clone());
                        connections.spawn_on(
                            async move {
                                served.await;
                                drop(place);
                            },
                            runtime(),
                        );
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        sleep(PAUSE).await;
                    }
                }
            }
        });
    }

    /// Closes the listening sockets, and waits until all requests that were received have been
    /// answered.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

/// Answers the requests of one connection.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    endpoint: Endpoint,
    routes: Arc<Routes>,
    closing: CancellationToken,
) {
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.answer(endpoint, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(StallTimeout::new(stream)), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A listening socket.
trait Listener: Send + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts a connection. Returns its byte stream, and the endpoint: the kind of the socket,
    /// which decides which requests are allowed.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Endpoint)>> + Send;
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Endpoint)> {
        let (stream, _) = Self::accept(self).await?;
        let user = stream.peer_cred().ok().map(|peer| peer.uid());
        Ok((stream, Endpoint::Control(user)))
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Endpoint)> {
        Ok((Self::accept(self).await?.0, Endpoint::Ask))
    }
}
