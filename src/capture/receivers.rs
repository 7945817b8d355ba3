//! Receivers of a capture: one for each family (kind) of boards, used like a single receiver. Each
//! module of a capture has one stream.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use twotone_hal::{
    ChannelId, Coverage, ModuleRequest, ReceiveOptions, ReceiverTotals, Result, StreamBlock,
    StreamReceiver, StreamRequest, StreamStatus,
};

use super::plan::{BoardPlan, LocatedStreams};

/// Receivers of all boards of a capture. The streams are numbered like the modules of the capture:
/// first the modules of the first board with streams, then those of the second board, and so on.
pub(super) struct Receivers {
    families: Vec<Family>,
    /// For each module of the capture, the index of its family, and the number of its stream in
    /// that family's receiver.
    places: Vec<(usize, usize)>,
}

struct Family {
    receiver: Box<dyn StreamReceiver>,
    /// Number of the module in the capture, for each stream of this family.
    modules: Vec<usize>,
}

type Receiving<'a> = Pin<Box<dyn Future<Output = Result<Vec<StreamBlock>>> + Send + 'a>>;

impl Receivers {
    /// Opens the streams of all boards that have streams.
    ///
    /// # Errors
    /// As [`twotone_hal::Streams::open`].
    pub(super) async fn open(boards: &[BoardPlan], options: &ReceiveOptions) -> Result<Self> {
        let mut wanted: Vec<Wanted<'_>> = Vec::new();
        let mut places = Vec::new();
        for board in boards {
            let Ok(found) = &board.streams else { continue };
            let family = found.source.family;
            let known = wanted.iter().position(|one| one.family() == family);
            let at = known.unwrap_or_else(|| {
                wanted.push(Wanted::new(found));
                wanted.len() - 1
            });
            for _ in &board.modules {
                let family = &mut wanted[at];
                places.push((at, family.modules.len()));
                family.modules.push(places.len() - 1);
            }
            wanted[at].requests.push(request(found, board));
        }
        let mut families = Vec::with_capacity(wanted.len());
        for family in wanted {
            let opening = family.found.streams.open(&family.requests, options);
            families.push(Family {
                receiver: opening.await?,
                modules: family.modules,
            });
        }
        Ok(Self { families, places })
    }

    /// As [`StreamReceiver::receive`]. Returns when samples of any family have come.
    pub(super) async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        if let [family] = &mut self.families[..] {
            let blocks = family.receiver.receive(within).await?;
            return Ok(family.numbered(blocks));
        }
        let families = self.families.iter_mut();
        let mut receiving: Vec<(Receiving<'_>, &[usize])> = families
            .map(|family| (family.receiver.receive(within), &family.modules[..]))
            .collect();
        poll_fn(|context| {
            let (mut came, mut is_any) = (Vec::new(), false);
            // All futures are polled, so that every ready one is used before the others are
            // dropped. By the contract of `receive`, a future that is dropped before it is ready
            // loses no samples.
            for (receiving, modules) in &mut receiving {
                match receiving.as_mut().poll(context) {
                    Poll::Ready(Ok(blocks)) => {
                        is_any = true;
                        came.extend(numbered(blocks, modules));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            match is_any {
                true => Poll::Ready(Ok(came)),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// As [`StreamReceiver::take_rest`].
    pub(super) fn take_rest(&mut self) -> Vec<StreamBlock> {
        let families = self.families.iter_mut();
        let rest = families.flat_map(|family| {
            let blocks = family.receiver.take_rest();
            family.numbered(blocks)
        });
        rest.collect()
    }

    /// As [`StreamReceiver::end_at`], for a module of the capture.
    pub(super) fn end_at(&mut self, module: usize, seconds: f64) {
        let (family, stream) = self.places[module];
        self.families[family].receiver.end_at(stream, seconds);
    }

    /// As [`StreamReceiver::channels`], for a module of the capture.
    pub(super) fn channels(&self, module: usize) -> Option<&[ChannelId]> {
        let (family, stream) = self.places[module];
        self.families[family].receiver.channels(stream)
    }

    /// As [`StreamReceiver::coverage`], for a module of the capture.
    pub(super) fn coverage(&self, module: usize) -> Coverage {
        let (family, stream) = self.places[module];
        self.families[family].receiver.coverage(stream)
    }

    /// As [`StreamReceiver::status`], for a module of the capture.
    pub(super) fn status(&self, module: usize) -> StreamStatus {
        let (family, stream) = self.places[module];
        self.families[family].receiver.status(stream)
    }

    /// As [`StreamReceiver::totals`], for all families together.
    pub(super) fn totals(&self) -> ReceiverTotals {
        let families = self.families.iter().map(|family| family.receiver.totals());
        families.fold(ReceiverTotals::default(), |all, one| ReceiverTotals {
            kernel_drops: all.kernel_drops + one.kernel_drops,
            buffer_shortfall: all.buffer_shortfall.or(one.buffer_shortfall),
        })
    }

    /// True if [`StreamReceiver::is_behind`] is true for at least one family.
    pub(super) fn is_behind(&self) -> bool {
        self.families
            .iter()
            .any(|family| family.receiver.is_behind())
    }

    /// Leaves the streams of all families, even if one of them fails.
    ///
    /// # Errors
    /// The first error of a family.
    pub(super) async fn close(self) -> Result<()> {
        let mut closed = Ok(());
        for family in self.families {
            closed = closed.and(family.receiver.close().await);
        }
        closed
    }
}

impl Family {
    /// Returns the blocks with the capture's module numbers as their stream numbers.
    fn numbered(&self, blocks: Vec<StreamBlock>) -> Vec<StreamBlock> {
        numbered(blocks, &self.modules).collect()
    }
}

fn numbered(
    blocks: Vec<StreamBlock>,
    modules: &[usize],
) -> impl Iterator<Item = StreamBlock> + use<'_> {
    blocks.into_iter().map(|block| StreamBlock {
        stream: modules[block.stream],
        ..block
    })
}

/// Requests for the boards of a family.
struct Wanted<'a> {
    /// Streams of the first board, which open the streams of all boards of the family.
    found: &'a LocatedStreams,
    requests: Vec<StreamRequest>,
    modules: Vec<usize>,
}

impl<'a> Wanted<'a> {
    fn new(found: &'a LocatedStreams) -> Self {
        Self {
            found,
            requests: Vec::new(),
            modules: Vec::new(),
        }
    }

    fn family(&self) -> &'static str {
        self.found.source.family
    }
}

fn request(found: &LocatedStreams, board: &BoardPlan) -> StreamRequest {
    let modules = board.modules.iter().map(|plan| ModuleRequest {
        module: plan.module,
        channels: plan.channels.clone(),
    });
    StreamRequest {
        streams: found.streams.clone(),
        modules: modules.collect(),
    }
}
