//! The readout stream and the PFB stream of a CRS board, as [`twotone_hal::Streams`].

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use twotone_hal::{
    Error, ErrorKind, ModuleId, ReceiveOptions, Result, StreamReceiver, StreamRequest,
    StreamSource, Streams,
};
use twotone_wire::crs::{MODULES_IN_BANK, PFB_SAMPLE_RATE_HZ, STEPS_PER_COUNT};

use super::readout::{BlockReceiver, Source, StreamKind, Wanted, in_packets, listen_for_serials};
use crate::{Host, look_up_ipv4};

/// Name of the family of CRS boards.
const FAMILY: &str = "crs";

/// The readout stream of a CRS board: a decimated sample of every channel of a module in each
/// packet. [`Streams::fast`] returns the PFB stream of the board: 1, 2 or 4 chosen channels of a
/// module before the decimation, at 2.44 MS/s. The board sends it if its streamer is switched on.
///
/// A packet is identified by the address of its sender and by the serial number in it. Packets
/// number modules from 1 within the analog bank in use, which is one of two groups of four modules.
#[derive(Debug)]
pub struct CrsStreams {
    kind: StreamKind,
    sender: Arc<Sender>,
}

/// Sender of the streams of a board.
#[derive(Debug)]
struct Sender {
    name: String,
    authority: String,
    serial: Option<u16>,
    address: OnceCell<Ipv4Addr>,
}

impl CrsStreams {
    /// The stream of the board at `host`, whose packets have this serial number. Without a serial
    /// number the stream cannot be opened, and only [`listen`](Streams::listen) works.
    pub fn new(name: &str, host: &Host, serial: Option<u16>) -> Self {
        Self::at(name, &host.to_string(), serial)
    }

    /// As [`CrsStreams::new`], for an authority: a host with a port.
    pub(super) fn at(name: &str, authority: &str, serial: Option<u16>) -> Self {
        let sender = Sender {
            name: name.to_owned(),
            authority: authority.to_owned(),
            serial,
            address: OnceCell::new(),
        };
        Self {
            kind: StreamKind::Readout,
            sender: Arc::new(sender),
        }
    }

    /// Address and serial number of the packets of the board.
    pub(super) async fn source(&self) -> Result<Source> {
        self.sender.source().await
    }
}

impl Sender {
    async fn source(&self) -> Result<Source> {
        let serial = self.serial.ok_or_else(|| {
            let why = "its packets are known by its serial number, which is not given";
            Error::new(ErrorKind::InvalidArgument, why)
        })?;
        Ok(Source::new(self.address().await?, serial))
    }

    /// The IPv4 address from which the packets come.
    async fn address(&self) -> Result<Ipv4Addr> {
        let found = self.address.get_or_try_init(|| self.look_up());
        found.await.copied()
    }

    async fn look_up(&self) -> Result<Ipv4Addr> {
        let authority = &self.authority;
        let not_found = || {
            let why = format!("{authority} is not found");
            Error::new(ErrorKind::Unreachable, why)
        };
        // If the caller connects over byte streams of its own, the authority can be any text.
        let host = Host::parse(authority, 0).map_err(|why| not_found().caused_by(why))?;
        if host.port() == 0 {
            return Err(not_found().caused_by("invalid socket address"));
        }
        look_up_ipv4(&host).await
    }
}

#[async_trait]
impl Streams for CrsStreams {
    fn name(&self) -> &str {
        &self.sender.name
    }

    fn fast(&self) -> Option<Arc<dyn Streams>> {
        let fast = Self {
            kind: StreamKind::Pfb,
            sender: Arc::clone(&self.sender),
        };
        (self.kind == StreamKind::Readout).then(|| Arc::new(fast) as Arc<dyn Streams>)
    }

    fn modules(&self) -> Vec<ModuleId> {
        let numbers = 1..=MODULES_IN_BANK;
        numbers
            .filter_map(|number| ModuleId::new(number).ok())
            .collect()
    }

    fn check(&self, modules: &[ModuleId]) -> Result<()> {
        for (at, one) in modules.iter().enumerate() {
            let mut others = modules[at + 1..].iter();
            let same = others.find(|other| in_packets(**other) == in_packets(*one));
            if let Some(other) = same {
                let why = format!(
                    "modules {one} and {other} have the same packets, each on its analog bank: \
                     name those of the bank in use"
                );
                return Err(Error::new(ErrorKind::InvalidArgument, why));
            }
        }
        Ok(())
    }

    async fn locate(&self) -> Result<StreamSource> {
        let source = self.source().await?;
        let found = StreamSource::new(FAMILY, STEPS_PER_COUNT).serial(source.serial.into());
        Ok(match self.kind {
            StreamKind::Readout => found,
            StreamKind::Pfb => found.rate_hz(PFB_SAMPLE_RATE_HZ),
        })
    }

    async fn listen(&self, options: &ReceiveOptions, within: Duration) -> Result<Vec<u32>> {
        let address = self.sender.address().await?;
        let serials = listen_for_serials(address, self.sender.serial, options, within).await?;
        Ok(serials.into_iter().map(u32::from).collect())
    }

    async fn open(
        &self,
        requests: &[StreamRequest],
        options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>> {
        let mut wanted = Vec::new();
        let mut sources = Vec::with_capacity(requests.len());
        for request in requests {
            let streams: &Self = request.streams_as("CRS")?;
            let name = request.streams.name();
            if streams.kind != self.kind {
                let why = "the two streams of CRS boards cannot share a receiver";
                return Err(Error::new(ErrorKind::InvalidArgument, why).on(name));
            }
            let modules: Vec<_> = request.modules.iter().map(|one| one.module).collect();
            streams.check(&modules).map_err(|error| error.on(name))?;
            let source = streams.source().await.map_err(|error| error.on(name))?;
            sources.push(source);
            wanted.extend(request.modules.iter().map(|one| Wanted {
                source,
                module: in_packets(one.module),
                channels: one.channels.clone(),
            }));
        }
        let receiver = BlockReceiver::open(self.kind, &sources, &wanted, options)?;
        Ok(Box::new(receiver))
    }
}
