//! The bodies that the door sends.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The other side went away before the body was whole: the connection's stream is reset, so that nobody takes a part for the
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("broken off")]
pub struct BrokenOff;

/// A body in the direction of the consumer or of the provider.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it is there.
    Whole {
        /// The data, until it is sent.
        data: Option<Bytes>,
        /// The trailers, until they are sent.
        trailers: Option<HeaderMap>,
    },
    /// It comes piece by piece; nothing more than the channel holds is kept.
    Pieces(mpsc::Receiver<Result<Frame<Bytes>, BrokenOff>>),
}

impl AnswerBody {
    /// Nothing.
    pub const fn empty() -> Self {
        Self::Whole {
            data: None,
            trailers: None,
        }
    }

    /// These bytes.
    pub const fn of(data: Bytes) -> Self {
        Self::Whole {
            data: Some(data),
            trailers: None,
        }
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole { data, trailers } => {
                let next = match data.take().filter(|data| !data.is_empty()) {
                    Some(data) => Some(Ok(Frame::data(data))),
                    None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
                };
                Poll::Ready(next)
            }
            Self::Pieces(pieces) => pieces.poll_recv(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole { data, trailers } => data.as_ref().is_none_or(Bytes::is_empty) && trailers.is_none(),
            Self::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            // With trailers the length of the data is not that of the body for everybody: gRPC-Web writes them behind it.
            Self::Whole { trailers: Some(_), .. } => SizeHint::default(),
            Self::Whole { data, trailers: None } => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
