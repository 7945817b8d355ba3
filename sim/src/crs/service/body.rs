//! Body of an HTTP answer, which a simulated fault may change.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::fault::OnAnswer;

/// Static buffer of spaces. White space before an answer is sent in pieces of this buffer, so that
/// it needs no other memory.
const PIECE: &[u8] = &[b' '; 16 * 1024];

/// Body of an answer, which a fault may change.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// The complete answer; `None` after it was sent.
    Whole(Option<Bytes>),
    /// The first part of the answer, and then an error, which closes the connection. `declared` is
    /// the length in the headers.
    Cut { part: Option<Bytes>, declared: u64 },
    /// White space, and then the complete answer.
    Padded { left: u64, tail: Option<Bytes> },
}

impl AnswerBody {
    pub(crate) fn new(answer: Bytes, fate: OnAnswer) -> Self {
        match fate {
            OnAnswer::Send => Self::Whole(Some(answer)),
            OnAnswer::CutAfter(after) => {
                let declared = answer.len() as u64;
                let keep = after.min(declared.saturating_sub(1)) as usize;
                Self::Cut {
                    part: Some(answer.slice(..keep)),
                    declared,
                }
            }
            OnAnswer::PadWith(left) => Self::Padded {
                left,
                tail: Some(answer),
            },
            OnAnswer::Replace(other) => Self::Whole(Some(other)),
        }
    }
}

impl From<&'static str> for AnswerBody {
    fn from(text: &'static str) -> Self {
        Self::Whole(Some(Bytes::from_static(text.as_bytes())))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match self.get_mut() {
            Self::Whole(answer) => answer.take().map(Ok),
            Self::Cut { part, .. } => {
                Some(part.take().filter(|part| !part.is_empty()).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a simulated fault")
                }))
            }
            Self::Padded { left: 0, tail } => tail.take().map(Ok),
            Self::Padded { left, .. } => {
                let piece = (*left).min(PIECE.len() as u64);
                *left -= piece;
                Some(Ok(Bytes::from_static(&PIECE[..piece as usize])))
            }
        };
        Poll::Ready(next.map(|part| part.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(answer) => {
                SizeHint::with_exact(answer.as_ref().map_or(0, |answer| answer.len() as u64))
            }
            Self::Cut { declared, .. } => SizeHint::with_exact(*declared),
            Self::Padded { left, tail } => {
                SizeHint::with_exact(left + tail.as_ref().map_or(0, |tail| tail.len() as u64))
            }
        }
    }
}
