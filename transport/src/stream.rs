//! Byte streams to boards: TCP, or streams of the caller's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::{Host, look_up};

/// A byte stream in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send>>;

/// Opens byte streams to one board: called for each connection anew.
#[derive(Clone)]
pub struct Connector {
    authority: Arc<str>,
    header: Arc<str>,
    /// True if the authority is where the streams lead to, and not a name alone.
    is_tcp: bool,
    open: Arc<dyn Fn() -> Opening + Send + Sync>,
    pub(crate) one_exchange: Known,
}

/// A fact that was found out about the other end, shared by all who connect to it.
#[derive(Clone, Default)]
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
    /// TCP to `host`, each name looked up anew for each connection.
    pub fn tcp(host: Host) -> Self {
        let (authority, header) = (host.to_string(), host.header().into());
        let connector = Self::new(authority, move || {
            let (name, port) = (host.name().to_owned(), host.port());
            async move {
                let addresses = look_up(&name, port).await?;
                let stream = TcpStream::connect(&addresses[..]).await?;
                // A request is one write and its answer is waited for: nothing is to be gathered.
                stream.set_nodelay(true)?;
                Ok(stream)
            }
        });
        Self {
            header,
            is_tcp: true,
            ..connector
        }
    }

    /// Streams from `open`, for tests in memory and for tunnels. `authority` stands in the `Host`
    /// header and in errors.
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
            is_tcp: false,
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

    /// Host and port that the streams lead to, as it was given; `None` for streams that the caller
    /// opens: these may lead anywhere.
    pub(crate) fn address(&self) -> Option<&str> {
        self.is_tcp.then_some(&*self.authority)
    }

    /// Value of the `Host` header: the part of the authority that means something to the other end.
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
