//! Which connection makes room when there are as many as may be, and how one that does not end by itself is let go of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

/// How long the kernel keeps what an evicted client does not take.
const LAST_BYTES_TIME: Duration = Duration::from_secs(1);

/// The place of one connection among those that the limit allows.
#[derive(Debug, Clone)]
pub(super) struct Seat(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    standing: Standing,
    since: Instant,
    end: End,
}

/// What a connection is doing, those first that can be ended at the least cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It rests between two requests. Its client is prepared to find it closed, and opens another.
    Resting,
    /// A handshake or the head of a request is awaited, or what follows the last answer is thrown away.
    Asking,
    /// A response is made or sent.
    Answered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Orderly,
    Evicted,
    Cut,
}

impl Seat {
    /// A new connection is asking.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            standing: Standing::Asking,
            since: Instant::now(),
            end: End::Orderly,
        })))
    }

    /// The connection does something else from now on, or goes on with the same.
    pub(super) fn becomes(&self, standing: Standing) {
        let mut state = self.state();
        if state.standing != standing {
            state.standing = standing;
            state.since = Instant::now();
        }
    }

    /// Its place in the order in which connections are evicted, the least first. Who is being answered has none.
    pub(super) fn rank(&self) -> Option<(Standing, Instant)> {
        let state = self.state();
        (state.standing != Standing::Answered).then_some((state.standing, state.since))
    }

    /// Takes the seat away, unless a response has begun meanwhile. The caller ends the connection.
    pub(super) fn evict(&self) -> bool {
        let mut state = self.state();
        let may_go = state.standing != Standing::Answered;
        if may_go {
            state.end = End::Evicted;
        }
        may_go
    }

    /// What the client has not read is not worth keeping.
    pub(super) fn cut(&self) {
        self.state().end = End::Cut;
    }

    /// Prepares a socket for being closed. What the client has not read would stay in the kernel for minutes.
    pub(super) fn let_go(&self, socket: Option<&TcpStream>) {
        let Some(socket) = socket else { return };
        let end = self.state().end;
        let prepared = match end {
            End::Orderly => Ok(()),
            End::Cut => socket.set_zero_linger(),
            // Its last answer may be on the way to an honest client.
            End::Evicted => give_up_after(&SockRef::from(socket), LAST_BYTES_TIME),
        };
        if let Err(error) = prepared {
            debug!(%error, "cannot prepare a connection for its end");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the kernel reset a connection of which the client takes nothing for this long, also once it is closed.
#[cfg(target_os = "linux")]
pub(crate) fn give_up_after(socket: &SockRef<'_>, time: Duration) -> std::io::Result<()> {
    socket.set_tcp_user_timeout(Some(time))
}

/// Elsewhere the system's own, longer time holds.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "on Linux it can fail")]
pub(crate) fn give_up_after(_socket: &SockRef<'_>, _time: Duration) -> std::io::Result<()> {
    Ok(())
}
