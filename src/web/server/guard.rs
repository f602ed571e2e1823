//! Watches how long a connection stays in each part of its life.
//!
//! hyper knows one time, from when it begins to wait for a request until the request's head is complete. That makes a
//! kept-alive connection that rests between two scrapes look like a client that sends its request a byte a minute, and it
//! knows no time at all for a client that does not read its answer. So the times are kept here: the stream and the
//! service report what happens, and [`Guard::expired`] runs beside the connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Body, Limits};

/// How long a connection that is closed with something unread waits for the client to see why.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How much is thrown away meanwhile. A client that sends more than this is not about to listen.
const LINGER_BYTES: usize = 256 * 1024;

/// The part of its life that a connection is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of a request is awaited: from the connection's start, and from the first byte of each later request.
    Head,
    /// A response is made and sent.
    Response,
    /// Between two requests.
    Idle,
    /// The last byte is sent; what the client still sends is thrown away.
    Closing,
}

/// The state of one connection, shared by its stream, its service and its watchdog.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    deadline: Instant,
    /// Whether hyper has taken all of the response, so that the next complete flush ends it.
    response_taken: bool,
    /// Whether the client may be sending something that nobody will read.
    unread: bool,
}

impl Guard {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            phase: Phase::Head,
            deadline: Instant::now() + limits.head_time,
            response_taken: false,
            unread: false,
        };
        Self(Arc::new(Shared {
            limits,
            state: Mutex::new(state),
        }))
    }

    /// The head of a request is complete.
    pub(super) fn response_begins(&self) {
        let mut state = self.state();
        // hyper begins with a request only when the answer to the one before is flushed, so requests sent ahead do not buy
        // a client that does not read any time.
        state.enter(Phase::Response, self.0.limits.response_time);
        state.response_taken = false;
    }

    /// The request brings something that will not be read.
    pub(super) fn leaves_unread(&self) {
        self.state().unread = true;
    }

    /// Resolves when the connection has stayed in a phase for too long, with that phase.
    pub(super) async fn expired(&self) -> Phase {
        let mut sleep = pin!(tokio::time::sleep_until(self.state().deadline));
        // Every event that moves the deadline happens in the connection's own task, so this is polled after it.
        std::future::poll_fn(|context| {
            let State {
                phase, deadline, ..
            } = *self.state();
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            sleep.as_mut().poll(context).map(|()| phase)
        })
        .await
    }

    fn bytes_arrive(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            state.enter(Phase::Head, self.0.limits.head_time);
        }
    }

    fn response_is_taken(&self) {
        self.state().response_taken = true;
    }

    fn everything_is_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Response && state.response_taken {
            state.enter(Phase::Idle, self.0.limits.idle_time);
        }
    }

    fn sending_ends(&self) -> Farewell {
        let mut state = self.state();
        // In the middle of a head it was hyper that answered, to one it could not or would not read on.
        let unread = state.unread || state.phase == Phase::Head;
        state.enter(Phase::Closing, LINGER_TIME);
        if unread {
            Farewell::Discard(LINGER_BYTES)
        } else {
            Farewell::Done
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase, at_most: Duration) {
        self.phase = phase;
        self.deadline = Instant::now() + at_most;
    }
}

/// A stream that reports to a [`Guard`].
#[derive(Debug)]
pub(super) struct Guarded<S> {
    pub(super) stream: S,
    guard: Guard,
    farewell: Farewell,
}

/// How the end of a connection goes.
#[derive(Debug, Clone, Copy)]
enum Farewell {
    /// It has not come yet.
    NotYet,
    /// Closing a socket with something unread makes the kernel reset the connection, and the client may lose the very
    /// answer that says why. So this much more is read and thrown away first.
    Discard(usize),
    Done,
}

impl<S> Guarded<S> {
    pub(super) const fn new(stream: S, guard: Guard) -> Self {
        Self {
            stream,
            guard,
            farewell: Farewell::NotYet,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.guard.bytes_arrive();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only once it has written all that it holds.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.guard.everything_is_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match this.farewell {
                Farewell::NotYet => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                    this.farewell = this.guard.sending_ends();
                }
                Farewell::Discard(left) => {
                    let mut scratch = [0; 4096];
                    let mut scratch = ReadBuf::new(&mut scratch);
                    let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut scratch));
                    let count = scratch.filled().len();
                    this.farewell = if read.is_err() || count == 0 || count >= left {
                        Farewell::Done
                    } else {
                        Farewell::Discard(left - count)
                    };
                }
                Farewell::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// A body that tells the guard when hyper has taken the last of it, which is when hyper drops it.
#[derive(Debug)]
pub(super) struct GuardedBody {
    body: Body,
    guard: Guard,
}

impl GuardedBody {
    pub(super) const fn new(body: Body, guard: Guard) -> Self {
        Self { body, guard }
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        self.guard.response_is_taken();
    }
}

impl hyper::body::Body for GuardedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
