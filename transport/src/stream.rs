//! Byte streams to boards: TCP, or streams that the caller provides.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::lookup::ForgetUnlessReached;
use crate::{Host, look_up};

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// Opens byte streams to one board, one for each connection.
#[derive(Clone)]
pub struct Connector {
    authority: Arc<str>,
    header: Arc<str>,
    /// Address that the first connection reached. It stays unknown for streams that the caller
    /// opens: these may lead anywhere.
    reached: Arc<OnceLock<String>>,
    open: Arc<dyn Fn() -> Opening + Send + Sync>,
    pub(crate) one_exchange: Known,
}

/// A finding about the server, shared by all connections to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<AtomicBool>);

impl Known {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, is_so: bool) {
        self.0.store(is_so, Ordering::Relaxed);
    }
}

impl Connector {
    /// Returns a connector of TCP connections to `host`. Each connection looks the name up again.
    pub fn tcp(host: Host) -> Self {
        let (authority, header) = (host.to_string(), host.header().into());
        let reached = Arc::new(OnceLock::new());
        let first_reached = Arc::clone(&reached);
        let connector = Self::new(authority, move || {
            let (name, port) = (host.name().to_owned(), host.port());
            let reached = Arc::clone(&first_reached);
            async move {
                let addresses = look_up(&name, port).await?;
                let addresses_of_name = ForgetUnlessReached::new(name);
                let stream = TcpStream::connect(&addresses[..]).await?;
                addresses_of_name.reached();
                // Each request is one write, and its answer is awaited: Nagle's algorithm would
                // only add delay.
                stream.set_nodelay(true)?;
                // Only the first address counts: programs reserve the modules of a board under this
                // address, so it must not change with a later connection.
                let peer = stream.peer_addr()?;
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                reached.get_or_init(|| peer.to_string());
                Ok(stream)
            }
        });
        Self {
            header,
            reached,
            ..connector
        }
    }

    /// Returns a connector of streams from `open`, for tests in memory and for tunnels. `authority`
    /// is used in the `Host` header and in error messages. A [`CrsBoard`](crate::CrsBoard) also
    /// looks it up to find the sender of its sample stream.
    pub fn new<F, S>(
        authority: impl Into<String>,
        open: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream + 'static,
    {
        let authority: Arc<str> = authority.into().into();
        Self {
            header: authority.clone(),
            reached: Arc::default(),
            authority,
            open: Arc::new(move || {
                let opening = open();
                Box::pin(async move { Ok(Box::new(opening.await?) as Box<dyn ByteStream>) })
            }),
            one_exchange: Known::default(),
        }
    }

    /// Authority (host and port) that the streams lead to.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// IP address and port that the first TCP connection reached: the same for all names of a
    /// board. `None` before that, and for streams that the caller opens: these may lead anywhere.
    pub(crate) fn address(&self) -> Option<&str> {
        self.reached.get().map(String::as_str)
    }

    /// Value of the `Host` header: the authority without the parts that only this computer
    /// understands.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    pub(crate) fn open(&self) -> Opening {
        (self.open)()
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connector({})", self.authority)
    }
}
