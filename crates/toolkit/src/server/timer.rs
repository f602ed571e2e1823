//! The time limits of one connection, for both versions of HTTP.
//!
//! hyper has one timeout, from when it begins to wait for a request until the request's head is complete. With it a
//! kept-alive connection between two scrapes looks like a client that sends its request a byte a minute, and there is none
//! for a client that does not read its response. So the limits are kept here: the stream and the requests report what
//! happens, and [`ConnectionTimer::expired`] runs beside the connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

use super::slot::{ConnectionSlot, ConnectionState};
use super::{Connection, Limits};

/// How long a client may take to see that its connection ends, and why.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How much is discarded meanwhile. A client that sends more than this does not read.
const LINGER_BYTES: usize = 256 * 1024;

/// How many responses a client may request and not wait for. Prometheus abandons one when a scrape times out.
const ABANDONED: u32 = 100;

/// Which limit a connection has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// The handshake or the head of a request took too long.
    Head,
    /// A response took too long, or the client took nothing of it for too long.
    Response,
    /// There was no request for too long.
    Idle,
    /// The client did not close its side in time.
    Closing,
    /// The client has abandoned too many requests.
    Flood,
}

/// The timer of one connection, shared by its stream, its requests and the task that serves it.
#[derive(Debug, Clone)]
pub(super) struct ConnectionTimer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    slot: ConnectionSlot,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Since when a handshake or the head of a request is awaited.
    head: Option<Instant>,
    /// The requests without a complete response, the oldest first. HTTP/1 has one at a time.
    open: Vec<OpenRequest>,
    /// How many requests there were.
    begun: u64,
    /// When the oldest request began whose response is complete, but may not have gone to the kernel.
    unflushed: Option<Instant>,
    /// When a response became ready or the kernel took a part of one, the last time.
    progress: Instant,
    /// Since when there is no request.
    idle: Instant,
    /// Since when the connection is closing.
    closing: Option<Instant>,
    abandoned: u32,
}

#[derive(Debug)]
struct OpenRequest {
    number: u64,
    begun: Instant,
    /// The response is made, and the client can take it.
    is_ready: bool,
}

impl State {
    fn is_responding(&self) -> bool {
        !self.open.is_empty() || self.unflushed.is_some()
    }

    fn connection_state(&self) -> ConnectionState {
        if self.is_responding() {
            ConnectionState::Responding
        } else if self.head.is_some() || self.closing.is_some() {
            ConnectionState::Waiting
        } else {
            ConnectionState::Idle
        }
    }

    fn deadline(&self, limits: &Limits) -> (Instant, Expired) {
        let oldest = self.open.first().map(|request| request.begun);
        if let Some(begun) = oldest.into_iter().chain(self.unflushed).min() {
            let is_sending =
                self.unflushed.is_some() || self.open.iter().any(|request| request.is_ready);
            let stalled = is_sending.then(|| self.progress + limits.stall_time);
            let latest = begun + limits.response_time;
            let deadline = stalled.map_or(latest, |stalled| stalled.min(latest));
            (deadline, Expired::Response)
        } else if let Some(closing) = self.closing {
            (closing.max(self.idle) + LINGER_TIME, Expired::Closing)
        } else if let Some(head) = self.head {
            (head + limits.head_time, Expired::Head)
        } else {
            (self.idle + limits.idle_time, Expired::Idle)
        }
    }
}

impl ConnectionTimer {
    /// Begins with the time for the handshake or, without one, for the head of the first request.
    pub(super) fn new(limits: Limits, slot: ConnectionSlot) -> Self {
        let now = Instant::now();
        let state = State {
            head: Some(now),
            open: Vec::new(),
            begun: 0,
            unflushed: None,
            progress: now,
            idle: now,
            closing: None,
            abandoned: 0,
        };
        Self(Arc::new(Shared {
            limits,
            slot,
            state: Mutex::new(state),
        }))
    }

    /// The handshake is complete: the time for the first request begins.
    pub(super) fn handshake_ends(&self) {
        self.change(|state| state.head = Some(Instant::now()));
    }

    /// A byte has arrived, and whatever arrives belongs to a request.
    pub(super) fn bytes_arrive(&self) {
        self.change(|state| {
            if !state.is_responding() && state.closing.is_none() {
                state.head.get_or_insert_with(Instant::now);
            }
        });
    }

    /// The head of a request is complete.
    pub(super) fn request_begins(&self) -> RequestTimer {
        let number = self.change(|state| {
            state.head = None;
            state.begun += 1;
            state.open.push(OpenRequest {
                number: state.begun,
                begun: Instant::now(),
                is_ready: false,
            });
            state.begun
        });
        RequestTimer {
            timer: self.clone(),
            number,
            is_taken: false,
        }
    }

    /// Nothing more is sent, or the client has been told to send nothing more.
    pub(super) fn closes(&self) {
        self.change(|state| state.closing = Some(Instant::now()));
    }

    /// What the client has not read is discarded when the connection closes.
    pub(super) fn cut(&self) {
        self.0.slot.cut();
    }

    /// Whether the head of a request is awaited.
    pub(super) fn awaits_head(&self) -> bool {
        let state = self.lock();
        state.head.is_some()
    }

    /// Whether there is a request whose response is not sent completely.
    pub(super) fn is_responding(&self) -> bool {
        self.lock().is_responding()
    }

    /// Resolves when the connection has exceeded a limit.
    pub(super) async fn expired(&self) -> Expired {
        let mut sleep = pin!(tokio::time::sleep_until(self.deadline().0));
        // Every event that brings the deadline nearer happens in the connection's own task, so this is polled after it.
        std::future::poll_fn(|context| {
            if self.lock().abandoned > ABANDONED {
                return Poll::Ready(Expired::Flood);
            }
            loop {
                let (deadline, reason) = self.deadline();
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                ready!(sleep.as_mut().poll(context));
                // The streams of HTTP/2 have tasks of their own, which may have moved it just now.
                if self.deadline() == (deadline, reason) {
                    return Poll::Ready(reason);
                }
            }
        })
        .await
    }

    fn deadline(&self) -> (Instant, Expired) {
        self.lock().deadline(&self.0.limits)
    }

    /// The client has taken a part of a response, or there is an error that ends it.
    fn progresses(&self) {
        self.lock().progress = Instant::now();
    }

    fn everything_is_flushed(&self) {
        self.change(|state| {
            if state.unflushed.take().is_some() && state.open.is_empty() {
                state.idle = Instant::now();
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        self.0.slot.set_state(state.connection_state());
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, from its complete head until the response is taken or abandoned, which is when this is dropped.
#[derive(Debug)]
pub(super) struct RequestTimer {
    timer: ConnectionTimer,
    number: u64,
    is_taken: bool,
}

impl RequestTimer {
    /// The response is made, and the client can take it.
    pub(super) fn response_is_ready(&self) {
        let mut state = self.timer.lock();
        let number = self.number;
        if let Some(request) = state.open.iter_mut().find(|open| open.number == number) {
            request.is_ready = true;
        }
        state.progress = Instant::now();
    }

    /// hyper has all of the response, and the client has room for the rest of it.
    pub(super) const fn response_is_taken(&mut self) {
        self.is_taken = true;
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        let (number, is_taken) = (self.number, self.is_taken);
        self.timer.change(|state| {
            let position = state.open.iter().position(|open| open.number == number);
            let begun = position.map(|position| state.open.remove(position).begun);
            if is_taken {
                state.unflushed = state.unflushed.into_iter().chain(begun).min();
            } else {
                state.abandoned += 1;
                if state.open.is_empty() {
                    state.idle = Instant::now();
                }
            }
        });
    }
}

/// A stream that reports to a [`ConnectionTimer`].
#[derive(Debug)]
pub(super) struct TimedStream<S: Connection> {
    stream: S,
    timer: ConnectionTimer,
}

impl<S: Connection> TimedStream<S> {
    pub(super) const fn new(stream: S, timer: ConnectionTimer) -> Self {
        Self { stream, timer }
    }

    pub(super) const fn stream(&self) -> &S {
        &self.stream
    }

    pub(super) const fn timer(&self) -> &ConnectionTimer {
        &self.timer
    }

    /// Ends sending, and waits until the client has seen it if it may be sending something that nobody reads.
    ///
    /// Closing a socket with something unread makes the kernel reset the connection, and the client may lose the very
    /// response that says why. So a part of it is read and discarded first.
    pub(super) async fn close(&mut self, has_unread: bool) -> io::Result<()> {
        self.shutdown().await?;
        self.timer.closes();
        let mut left = if has_unread { LINGER_BYTES } else { 0 };
        std::future::poll_fn(|context| {
            // Not in the future, whose memory every connection would have.
            let mut scratch = [0; 4096];
            while left > 0 {
                let mut buffer = ReadBuf::new(&mut scratch);
                let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
                let count = buffer.filled().len();
                if read.is_err() || count == 0 {
                    break;
                }
                left = left.saturating_sub(count);
            }
            Poll::Ready(())
        })
        .await;
        Ok(())
    }
}

impl<S: Connection> Drop for TimedStream<S> {
    fn drop(&mut self) {
        self.timer.0.slot.prepare_close(self.stream.socket());
    }
}

impl<S: Connection> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Connection> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, buffer));
        self.timer.progresses();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = ready!(stream.poll_write_vectored(context, buffers));
        self.timer.progresses();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes only once it has written all that it holds and the client has room for.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.timer.everything_is_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection, and its requests that have no complete response.
    struct Case {
        timer: ConnectionTimer,
        requests: Vec<RequestTimer>,
    }

    type Event = fn(&mut Case);

    const HANDSHAKE: Event = |case| case.timer.handshake_ends();
    const BYTES: Event = |case| case.timer.bytes_arrive();
    const REQUEST: Event = |case| {
        let request = case.timer.request_begins();
        case.requests.push(request);
    };
    const READY: Event = |case| case.requests[0].response_is_ready();
    const PROGRESS: Event = |case| case.timer.progresses();
    const TAKEN: Event = |case| case.requests.remove(0).response_is_taken();
    const ABANDONED: Event = |case| drop(case.requests.remove(0));
    const FLUSH: Event = |case| case.timer.everything_is_flushed();
    const CLOSE: Event = |case| case.timer.closes();

    #[tokio::test(start_paused = true)]
    async fn each_part_of_a_connection_has_its_own_limit() {
        use ConnectionState::{Idle, Responding, Waiting};
        let limits = Limits {
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(300),
            response_time: Duration::from_secs(12),
            stall_time: Duration::from_secs(7),
            ..Limits::default()
        };
        // What happens, a second before each event; the state; the seconds left; the limit.
        let cases: &[(&[Event], ConnectionState, u64, Expired)] = &[
            (&[], Waiting, 10, Expired::Head),
            (&[HANDSHAKE], Waiting, 10, Expired::Head),
            (&[BYTES, BYTES], Waiting, 8, Expired::Head),
            (&[FLUSH], Waiting, 9, Expired::Head),
            (&[REQUEST], Responding, 12, Expired::Response),
            (&[REQUEST, BYTES, FLUSH], Responding, 10, Expired::Response),
            (&[REQUEST, READY], Responding, 7, Expired::Response),
            (&[REQUEST, READY, FLUSH], Responding, 6, Expired::Response),
            (
                &[REQUEST, READY, FLUSH, PROGRESS],
                Responding,
                7,
                Expired::Response,
            ),
            (
                &[
                    REQUEST, READY, PROGRESS, PROGRESS, PROGRESS, PROGRESS, PROGRESS,
                ],
                Responding,
                6,
                Expired::Response,
            ),
            (&[REQUEST, READY, TAKEN], Responding, 6, Expired::Response),
            (&[REQUEST, READY, TAKEN, FLUSH], Idle, 300, Expired::Idle),
            (
                &[REQUEST, READY, TAKEN, FLUSH, FLUSH],
                Idle,
                299,
                Expired::Idle,
            ),
            (
                &[REQUEST, READY, TAKEN, FLUSH, BYTES, BYTES],
                Waiting,
                9,
                Expired::Head,
            ),
            // The oldest of several requests counts.
            (&[REQUEST, REQUEST], Responding, 11, Expired::Response),
            (
                &[REQUEST, REQUEST, TAKEN, FLUSH],
                Responding,
                10,
                Expired::Response,
            ),
            (&[REQUEST, ABANDONED], Idle, 300, Expired::Idle),
            (&[CLOSE], Waiting, 1, Expired::Closing),
            (&[CLOSE, BYTES], Waiting, 0, Expired::Closing),
            (&[REQUEST, READY, CLOSE], Responding, 6, Expired::Response),
            (
                &[REQUEST, CLOSE, READY, TAKEN, FLUSH],
                Waiting,
                1,
                Expired::Closing,
            ),
        ];
        for (number, (events, state, left, reason)) in cases.iter().enumerate() {
            let slot = ConnectionSlot::new();
            let mut case = Case {
                timer: ConnectionTimer::new(limits, slot.clone()),
                requests: Vec::new(),
            };
            for event in *events {
                tokio::time::advance(Duration::from_secs(1)).await;
                event(&mut case);
            }
            assert_eq!(case.timer.lock().connection_state(), *state, "{number}");
            let rank = slot.eviction_rank();
            let expected = Some(*state).filter(|state| *state != Responding);
            assert_eq!(rank.map(|(state, _)| state), expected, "{number}");
            let begin = Instant::now();
            let expired = case.timer.expired().await;
            // A sleep ends at the next whole millisecond.
            let passed = begin.elapsed().as_secs();
            assert_eq!((passed, expired), (*left, *reason), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_abandon_so_many_requests_and_no_more() {
        let timer = ConnectionTimer::new(Limits::default(), ConnectionSlot::new());
        for _ in 0..super::ABANDONED {
            drop(timer.request_begins());
        }
        assert_eq!(timer.expired().await, Expired::Idle);
        drop(timer.request_begins());
        assert_eq!(timer.expired().await, Expired::Flood);
    }
}
