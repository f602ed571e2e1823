//! Watches how long a connection and its streams take, and how many of them are given up.
//!
//! [`super::super::guard`] does the same for HTTP/1, where there is one request at a time and every byte that arrives
//! belongs to one. Here many may wait, and bytes arrive that belong to none.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::super::seat::{Seat, Standing};
use super::super::{Connection, Limits};

/// How long a client may take to agree that the connection ends.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How many answers a client may ask for and not wait for. Prometheus gives one up when a scrape takes too long.
const ABANDONED: u32 = 100;

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// No request has come for long.
    Idle,
    /// No request has come at all.
    Silent,
    /// An answer took too long.
    Response,
    /// The client does not agree that it ends.
    Stopping,
    /// The client begins more than it takes.
    Flood,
}

/// The state of one connection, shared by its stream, its service and its watchdog.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    seat: Seat,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When each request that has no complete answer has begun.
    open: BTreeMap<u64, Instant>,
    begun: u64,
    /// When the oldest request has begun whose answer is complete, but may not have gone to the kernel.
    unflushed: Option<Instant>,
    /// Since when there is nothing to do.
    resting: Instant,
    stopped: Option<Instant>,
    abandoned: u32,
    /// The answers that are ready, and not taken completely.
    ready: BTreeSet<u64>,
    /// When one became ready, or a byte went to the kernel, for the last time.
    progress: Instant,
}

impl Watch {
    pub(super) fn new(limits: Limits, seat: Seat) -> Self {
        let state = State {
            open: BTreeMap::new(),
            begun: 0,
            unflushed: None,
            resting: Instant::now(),
            stopped: None,
            abandoned: 0,
            ready: BTreeSet::new(),
            progress: Instant::now(),
        };
        Self(Arc::new(Shared {
            limits,
            seat,
            state: Mutex::new(state),
        }))
    }

    /// The head of a request is complete.
    pub(super) fn request_begins(&self) -> Ticket {
        let begun = Instant::now();
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        state.open.insert(number, begun);
        self.0.seat.becomes(Standing::Answered);
        Ticket {
            watch: self.clone(),
            number,
            answered: AtomicBool::new(false),
        }
    }

    /// The client has been told that the connection ends.
    pub(super) fn stop(&self) {
        self.state().stopped = Some(Instant::now());
    }

    /// What the client has not read is not worth keeping.
    pub(super) fn cut(&self) {
        self.0.seat.cut();
    }

    /// Resolves when the connection has to end.
    pub(super) async fn ended(&self) -> End {
        let mut sleep = pin!(tokio::time::sleep_until(self.deadline().0));
        // Every event that brings the deadline nearer happens in the connection's own task, so this is polled after it.
        std::future::poll_fn(|context| {
            if self.state().abandoned > ABANDONED {
                return Poll::Ready(End::Flood);
            }
            loop {
                let (deadline, end) = self.deadline();
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                ready!(sleep.as_mut().poll(context));
                // Streams have tasks of their own, which may have moved it just now.
                if self.deadline() == (deadline, end) {
                    return Poll::Ready(end);
                }
            }
        })
        .await
    }

    fn deadline(&self) -> (Instant, End) {
        let limits = &self.0.limits;
        let state = self.state();
        let oldest = state.open.values().next().copied();
        let oldest = oldest.into_iter().chain(state.unflushed).min();
        match (oldest, state.stopped) {
            (Some(begun), _) => {
                let is_sending = state.unflushed.is_some() || !state.ready.is_empty();
                let stalled = is_sending.then(|| state.progress + limits.stall_time);
                let latest = begun + limits.response_time;
                (
                    stalled.map_or(latest, |stalled| stalled.min(latest)),
                    End::Response,
                )
            }
            (None, Some(stopped)) => (stopped.max(state.resting) + LINGER_TIME, End::Stopping),
            (None, None) if state.begun == 0 => (state.resting + limits.head_time, End::Silent),
            (None, None) => (state.resting + limits.idle_time, End::Idle),
        }
    }

    fn everything_is_flushed(&self) {
        let mut state = self.state();
        if state.unflushed.take().is_some() && state.open.is_empty() {
            state.resting = Instant::now();
            self.0.seat.becomes(Standing::Resting);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request, until its answer is complete or the client has given it up.
#[derive(Debug)]
pub(super) struct Ticket {
    watch: Watch,
    number: u64,
    answered: AtomicBool,
}

impl Ticket {
    /// The answer is made, and the client can take it.
    pub(super) fn is_ready(&self) {
        let mut state = self.watch.state();
        state.ready.insert(self.number);
        state.progress = Instant::now();
    }

    /// The client has room for all that is left of the answer.
    pub(super) fn is_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        let begun = state.open.remove(&self.number);
        state.ready.remove(&self.number);
        if *self.answered.get_mut() {
            state.unflushed = state.unflushed.into_iter().chain(begun).min();
        } else {
            state.abandoned += 1;
            if state.open.is_empty() {
                state.resting = Instant::now();
                if state.unflushed.is_none() {
                    self.watch.0.seat.becomes(Standing::Resting);
                }
            }
        }
    }
}

/// A stream that reports to a [`Watch`].
#[derive(Debug)]
pub(super) struct Watched<S: Connection> {
    stream: S,
    watch: Watch,
}

impl<S: Connection> Watched<S> {
    pub(super) const fn new(stream: S, watch: Watch) -> Self {
        Self { stream, watch }
    }
}

impl<S: Connection> Drop for Watched<S> {
    fn drop(&mut self) {
        self.watch.0.seat.let_go(self.stream.socket());
    }
}

impl<S: Connection> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Connection> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, buffer));
        self.watch.state().progress = Instant::now();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = ready!(stream.poll_write_vectored(context, buffers));
        self.watch.state().progress = Instant::now();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Done once all is written that the client has room for.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.watch.everything_is_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
