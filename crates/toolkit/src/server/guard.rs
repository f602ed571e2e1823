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
use hyper::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::seat::{Seat, Standing};
use super::{Body, Connection, Limits};

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
    seat: Seat,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    deadline: Instant,
    /// Since when there is something to send and no room for it.
    stalled: Option<Instant>,
    /// Whether hyper has taken all of the response, so that the next complete flush ends it.
    response_taken: bool,
    /// Whether the client may be sending something that nobody will read.
    unread: bool,
}

impl Guard {
    pub(super) fn new(limits: Limits, seat: Seat) -> Self {
        let state = State {
            phase: Phase::Head,
            deadline: Instant::now() + limits.head_time,
            stalled: None,
            response_taken: false,
            unread: false,
        };
        Self(Arc::new(Shared {
            limits,
            seat,
            state: Mutex::new(state),
        }))
    }

    /// The head of a request is complete.
    pub(super) fn response_begins(&self) {
        let mut state = self.state();
        // hyper begins with a request only when the answer to the one before is flushed, so requests sent ahead do not buy
        // a client that does not read any time.
        self.enter(&mut state, Phase::Response, self.0.limits.response_time);
        state.response_taken = false;
    }

    /// What the client has not read is not worth keeping.
    pub(super) fn cut(&self) {
        self.0.seat.cut();
    }

    /// The request brings something that will not be read.
    pub(super) fn leaves_unread(&self) {
        self.state().unread = true;
    }

    /// Resolves when the connection has stayed in a phase for too long, with that phase.
    pub(super) async fn expired(&self) -> Phase {
        let mut sleep = pin!(tokio::time::sleep_until(self.deadline().0));
        // Every event that moves the deadline happens in the connection's own task, so this is polled after it.
        std::future::poll_fn(|context| {
            let (deadline, phase) = self.deadline();
            if sleep.deadline() != deadline {
                sleep.as_mut().reset(deadline);
            }
            sleep.as_mut().poll(context).map(|()| phase)
        })
        .await
    }

    fn deadline(&self) -> (Instant, Phase) {
        let state = self.state();
        let stalled = state.stalled.filter(|_| state.phase == Phase::Response);
        let stalled = stalled.map(|since| since + self.0.limits.stall_time);
        let deadline = stalled.map_or(state.deadline, |stalled| stalled.min(state.deadline));
        (deadline, state.phase)
    }

    fn enter(&self, state: &mut State, phase: Phase, at_most: Duration) {
        state.phase = phase;
        state.deadline = Instant::now() + at_most;
        state.stalled = None;
        self.0.seat.becomes(match phase {
            Phase::Head | Phase::Closing => Standing::Asking,
            Phase::Response => Standing::Answered,
            Phase::Idle => Standing::Resting,
        });
    }

    fn bytes_arrive(&self) {
        let mut state = self.state();
        if state.phase == Phase::Idle {
            self.enter(&mut state, Phase::Head, self.0.limits.head_time);
        }
    }

    fn has_room(&self, has_room: bool) {
        let mut state = self.state();
        state.stalled = match state.stalled {
            _ if has_room => None,
            None => Some(Instant::now()),
            since => since,
        };
    }

    /// Whether what is written is an answer of hyper's own, to a head that it could not or would not read on.
    fn is_hypers_own_answer(&self) -> bool {
        matches!(self.state().phase, Phase::Head | Phase::Idle)
    }

    fn response_is_taken(&self) {
        self.state().response_taken = true;
    }

    fn everything_is_flushed(&self) {
        let mut state = self.state();
        if state.phase == Phase::Response && state.response_taken {
            self.enter(&mut state, Phase::Idle, self.0.limits.idle_time);
        }
    }

    fn sending_ends(&self) -> Farewell {
        let mut state = self.state();
        // In the middle of a head it was hyper that answered.
        let unread = state.unread || state.phase == Phase::Head;
        self.enter(&mut state, Phase::Closing, LINGER_TIME);
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

/// A stream that reports to a [`Guard`].
#[derive(Debug)]
pub(super) struct Guarded<S: Connection> {
    pub(super) stream: S,
    guard: Guard,
    farewell: Farewell,
    /// What is said in place of hyper's own answer, and not written yet.
    refusal: Bytes,
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

impl<S: Connection> Guarded<S> {
    pub(super) const fn new(stream: S, guard: Guard) -> Self {
        Self {
            stream,
            guard,
            farewell: Farewell::NotYet,
            refusal: Bytes::new(),
        }
    }

    /// hyper answers what it cannot read with a status and nothing else. Says why in its place.
    fn replaces(&mut self, written: &[u8]) -> bool {
        let status = written
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| rest.get(..3));
        let status = status.and_then(|status| StatusCode::from_bytes(status).ok());
        let Some((status, why)) = status.and_then(|status| Some((status, reason(status)?))) else {
            return false;
        };
        if !self.guard.is_hypers_own_answer() {
            return false;
        }
        let length = why.len();
        self.refusal = Bytes::from(format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{why}"
        ));
        true
    }

    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let stream = Pin::new(&mut self.stream);
            let count = ready!(stream.poll_write(context, &self.refusal))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let _written = self.refusal.split_to(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// Why hyper does not read a request, as far as its status says it.
fn reason(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::BAD_REQUEST => "this is no valid request\n",
        StatusCode::URI_TOO_LONG => "the target of the request is too long\n",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the head of the request is too large\n",
        _ => return None,
    })
}

impl<S: Connection> Drop for Guarded<S> {
    fn drop(&mut self) {
        self.guard.0.seat.let_go(self.stream.socket());
    }
}

impl<S: Connection> AsyncRead for Guarded<S> {
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

impl<S: Connection> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replaces(buffer) {
            return Poll::Ready(Ok(buffer.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.guard.has_room(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if buffers.iter().any(|buffer| self.replaces(buffer)) {
            return Poll::Ready(Ok(buffers.iter().map(|buffer| buffer.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.guard.has_room(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only once it has written all that it holds.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.guard.has_room(flushed.is_ready());
        ready!(flushed)?;
        self.guard.everything_is_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.poll_refusal(context))?;
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
