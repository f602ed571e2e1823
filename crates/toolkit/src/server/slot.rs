//! Picks the connection to evict at the limit, and prepares a socket whose client may not read for its close.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

/// How long the kernel keeps what an evicted client does not take.
const LAST_BYTES_TIME: Duration = Duration::from_secs(1);

/// One of the connections that the limit allows.
#[derive(Debug, Clone)]
pub(super) struct ConnectionSlot(Arc<Mutex<Slot>>);

#[derive(Debug)]
struct Slot {
    state: ConnectionState,
    since: Instant,
    end: End,
}

/// What a connection is doing, in the order of eviction: the cheapest to lose first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ConnectionState {
    /// Between two requests. Clients expect that such a connection may be closed, and open another.
    Idle,
    /// In a handshake or in the head of a request, or being closed.
    Waiting,
    /// A response is made or sent.
    Responding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Orderly,
    Evicted,
    Cut,
}

impl ConnectionSlot {
    /// The slot of a new connection, which is waiting.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Slot {
            state: ConnectionState::Waiting,
            since: Instant::now(),
            end: End::Orderly,
        })))
    }

    /// Changes the state; the same state again keeps its age.
    pub(super) fn set_state(&self, state: ConnectionState) {
        let mut slot = self.lock();
        if slot.state != state {
            slot.state = state;
            slot.since = Instant::now();
        }
    }

    /// The place in the order of eviction, the lowest first. `None` while a response is made or sent.
    pub(super) fn eviction_rank(&self) -> Option<(ConnectionState, Instant)> {
        let slot = self.lock();
        (slot.state != ConnectionState::Responding).then_some((slot.state, slot.since))
    }

    /// Marks the connection as evicted, unless a response has begun meanwhile. The caller ends the connection.
    pub(super) fn evict(&self) -> bool {
        let mut slot = self.lock();
        let is_evicted = slot.state != ConnectionState::Responding;
        if is_evicted {
            slot.end = End::Evicted;
        }
        is_evicted
    }

    /// What the client has not read is discarded when the connection closes.
    pub(super) fn cut(&self) {
        self.lock().end = End::Cut;
    }

    /// Prepares a socket for its close. What the client has not read would stay in the kernel for minutes.
    pub(super) fn prepare_close(&self, socket: Option<&TcpStream>) {
        let Some(socket) = socket else { return };
        let end = self.lock().end;
        let prepared = match end {
            End::Orderly => Ok(()),
            End::Cut => socket.set_zero_linger(),
            // The last response may be on the way to an honest client.
            End::Evicted => give_up_after(&SockRef::from(socket), LAST_BYTES_TIME),
        };
        if let Err(error) = prepared {
            debug!(%error, "cannot prepare a connection for its end");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_has_begun_to_be_answered_is_not_evicted() {
        let slot = ConnectionSlot::new();
        assert!(slot.eviction_rank().is_some());
        let rank = slot.eviction_rank();
        slot.set_state(ConnectionState::Waiting);
        assert_eq!(slot.eviction_rank(), rank, "going on is not beginning anew");
        slot.set_state(ConnectionState::Responding);
        assert_eq!(slot.eviction_rank(), None);
        assert!(!slot.evict());
        slot.set_state(ConnectionState::Idle);
        assert!(
            slot.eviction_rank() < rank,
            "whoever rests goes before whoever asks"
        );
        assert!(slot.evict());
    }
}
