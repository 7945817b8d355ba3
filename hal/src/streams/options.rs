//! Options of a receiver.

use std::time::Duration;

use super::StreamBlock;

/// Options of a receiver. A family (the boards of one implementation of
/// [`Streams`](super::Streams)) ignores the options that have no meaning for it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReceiveOptions {
    /// Address of the multicast group that packets are sent to. `None` means the default group of
    /// the family.
    pub group: Option<String>,
    /// Port that packets are sent to. `None` means the default port of the family.
    pub port: Option<u16>,
    /// Address of this computer's network interface to listen on. `None` means the interface that
    /// the routes of this computer select.
    pub interface: Option<String>,
    /// Number of positions after which a missing packet counts as lost. A position is the place of
    /// a packet in the sequence of all packets of its module. The missing packet counts as lost
    /// when a packet arrives whose position is this much later. The default is 32. The smallest
    /// value is 1, for which packets are not put in order.
    pub window: u32,
    /// Time after which a missing packet counts as lost, from the arrival of a later packet on.
    /// The default is 50 ms.
    pub hold: Duration,
    /// Size in bytes of each receive buffer that the kernel is asked for. The default is 32 MiB.
    pub buffer_bytes: usize,
    /// Largest number of boards whose packets share a socket and its buffer. The default is 10,
    /// the largest number of senders that a socket may receive from in Linux, unless the
    /// kernel is configured otherwise. If a kernel allows fewer, there are more sockets.
    pub boards_per_socket: usize,
    /// Largest size in bytes of a block. A block has at least one sample. The default is
    /// 4 MiB.
    pub block_bytes: usize,
    /// Time that the samples of a full block cover, unless [`block_bytes`](Self::block_bytes)
    /// limits their number. The default is 1 s.
    pub block_time: Duration,
    /// Time of this computer when the receiver is opened, in nanoseconds since the start of 1970.
    /// If it is `None`, the dates of time stamps are not checked, and the offset of the board's
    /// clock stays unknown.
    pub opened_ns: Option<i64>,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            group: None,
            port: None,
            interface: None,
            window: 32,
            hold: Duration::from_millis(50),
            buffer_bytes: 32 << 20,
            boards_per_socket: 10,
            block_bytes: 4 << 20,
            block_time: Duration::from_secs(1),
            opened_ns: None,
        }
    }
}

impl ReceiveOptions {
    /// The default options. The methods below change them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`ReceiveOptions::group`].
    #[must_use]
    pub fn group(self, address: impl ToString) -> Self {
        let group = Some(address.to_string());
        Self { group, ..self }
    }

    /// Sets [`ReceiveOptions::port`].
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        let port = Some(port);
        Self { port, ..self }
    }

    /// Sets [`ReceiveOptions::interface`].
    #[must_use]
    pub fn interface(self, address: impl ToString) -> Self {
        let interface = Some(address.to_string());
        Self { interface, ..self }
    }

    /// Sets [`ReceiveOptions::window`] and [`ReceiveOptions::hold`], the limits within which late
    /// packets are put in order.
    #[must_use]
    pub fn reordering(self, window: u32, hold: Duration) -> Self {
        Self {
            window,
            hold,
            ..self
        }
    }

    /// Sets [`ReceiveOptions::buffer_bytes`].
    #[must_use]
    pub fn buffer_bytes(self, buffer_bytes: usize) -> Self {
        Self {
            buffer_bytes,
            ..self
        }
    }

    /// Sets [`ReceiveOptions::boards_per_socket`].
    #[must_use]
    pub fn boards_per_socket(self, boards_per_socket: usize) -> Self {
        Self {
            boards_per_socket,
            ..self
        }
    }

    /// Sets [`ReceiveOptions::block_bytes`].
    #[must_use]
    pub fn block_bytes(self, block_bytes: usize) -> Self {
        Self {
            block_bytes,
            ..self
        }
    }

    /// Sets [`ReceiveOptions::block_time`].
    #[must_use]
    pub fn block_time(self, block_time: Duration) -> Self {
        Self { block_time, ..self }
    }

    /// Sets [`ReceiveOptions::opened_ns`].
    #[must_use]
    pub fn opened_ns(self, opened_ns: i64) -> Self {
        let opened_ns = Some(opened_ns);
        Self { opened_ns, ..self }
    }

    /// Number of samples in a full block, at least 1, for samples of `channels` channels at
    /// `rate_hz`. These samples cover [`block_time`](Self::block_time), or less if
    /// [`block_bytes`](Self::block_bytes) limits their number. A sample takes 8 bytes for each
    /// channel, and [`StreamBlock::ROW_BYTES`].
    pub fn block_samples(&self, channels: usize, rate_hz: f64) -> usize {
        let most = self.block_bytes / (StreamBlock::ROW_BYTES + 8 * channels);
        let of_time = rate_hz * self.block_time.as_secs_f64();
        (of_time as usize).clamp(1, most.max(1))
    }
}
