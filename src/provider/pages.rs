//! Reads a listing from its first page to its last; the same for every vendor.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::ListError;
use super::http::Answer;
use super::page::Paging;
use super::{Call, Courier};
use crate::clock::Clock;

/// How far back is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// This far back from the present.
    pub lookback: Duration,
    /// And back to this instant, should it lie before.
    pub back_to: Option<DateTime<Utc>>,
}

impl From<Duration> for Span {
    fn from(lookback: Duration) -> Self {
        Self {
            lookback,
            back_to: None,
        }
    }
}

/// The part of time that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The present.
    pub now: DateTime<Utc>,
    /// How far back.
    pub span: Span,
}

impl Window {
    /// The beginning of the window.
    pub fn from(self) -> DateTime<Utc> {
        let edge = chrono::Duration::from_std(self.span.lookback)
            .ok()
            .and_then(|lookback| self.now.checked_sub_signed(lookback))
            .unwrap_or(DateTime::UNIX_EPOCH);
        self.span.back_to.map_or(edge, |back_to| back_to.min(edge))
    }
}

/// Where in a listing a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The number of the page, from 1.
    pub page: u32,
    /// The rows that came before it.
    pub rows: u64,
}

/// Asks for page after page: `ask` words the question, `read` makes sense of the answer, `take` takes what was read and
/// tells the paging of it.
///
/// All pages are pages of the same listing, so they share the window of the moment at which the first of them left.
///
/// # Errors
/// Those of the first page that cannot be read.
pub async fn read_pages<T: Send>(
    (clock, span): (&Clock, impl Into<Span>),
    courier: &impl Courier,
    paging: &mut Paging,
    ask: impl Fn(Window, Position) -> Call + Send + Sync,
    read: impl Fn(Position, &Call, &Answer) -> Result<T, ListError> + Send + Sync,
    mut take: impl FnMut(&mut Paging, T),
) -> Result<(), ListError> {
    let span = span.into();
    let ending_now = || Window {
        now: clock.now(),
        span,
    };
    let window = Mutex::new(ending_now());
    while let Some(page) = paging.next_page() {
        let position = Position {
            page,
            rows: paging.rows_read(),
        };
        let call = || {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            if page == 1 {
                *window = ending_now();
            }
            ask(*window, position)
        };
        let read = |call: &Call, answer: &Answer| read(position, call, answer);
        take(paging, courier.send(call, read).await?);
    }
    Ok(())
}
