//! The body of a response: a list of byte buffers with a known total length.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// A list of pieces, sent one after the other without being copied together.
///
/// Pieces are shared: what is the same in every response is in memory once, and one body serves many clients.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// None is empty: an empty piece would end a chunked body, and hide the end of this one from hyper.
    pieces: Option<Arc<[Bytes]>>,
    /// The piece that comes next.
    next: usize,
    left: u64,
}

impl Body {
    /// No body at all.
    pub const fn empty() -> Self {
        Self {
            pieces: None,
            next: 0,
            left: 0,
        }
    }

    /// How many bytes are still to be sent.
    pub const fn len(&self) -> u64 {
        self.left
    }

    /// Whether nothing is to be sent any more.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl FromIterator<Bytes> for Body {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let pieces: Arc<[Bytes]> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self {
            pieces: Some(pieces),
            next: 0,
            left,
        }
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self::from_iter([whole])
    }
}

impl From<Vec<u8>> for Body {
    fn from(whole: Vec<u8>) -> Self {
        Bytes::from(whole).into()
    }
}

impl From<String> for Body {
    fn from(whole: String) -> Self {
        Bytes::from(whole).into()
    }
}

impl From<&'static str> for Body {
    fn from(whole: &'static str) -> Self {
        Bytes::from_static(whole.as_bytes()).into()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let pieces = self.pieces.as_deref().unwrap_or_default();
        let piece = pieces.get(self.next).cloned();
        if let Some(piece) = &piece {
            self.next += 1;
            self.left -= piece.len() as u64;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
