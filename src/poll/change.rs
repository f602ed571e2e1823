//! What the log says when listings begin to fail and when they can be read again: once each, and no more than a few
//! lines for one cause, since what hits an account hits hundreds of listings at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::errand::ListingKey;
use crate::backup::{ListingKind, Reading};
use crate::facts::Failure;
use crate::provider::error::{ListError, Reason, VendorWord};
use crate::tally::AccountKey;

/// Lines of one kind within [`A_WHILE`]; the rest shows on the pages and in the metrics.
const MOST_LINES: u32 = 10;

const A_WHILE: Duration = Duration::from_secs(60);

/// What happened to a listing; `None` stands for "it can be read again".
type Kind = Option<Reason>;

/// How much was said lately about one account.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<BTreeMap<Kind, Said>>);

#[derive(Debug, Clone, Copy)]
struct Said {
    since: Instant,
    lines: u32,
}

/// How a change is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Aloud,
    /// With the remark that there may be more of it.
    ForNow,
    NotAtAll,
}

impl Changes {
    /// A failure is told when it begins, when its reason changes, and when it ends; not once a poll.
    pub(super) fn tell(
        &self,
        account: &AccountKey,
        listing: &ListingKey,
        failed_before: Option<&Failure>,
        outcome: &Result<Reading, ListError>,
    ) {
        let reason_before = failed_before.map(|failure| failure.reason);
        match outcome {
            // A fact, not an outage.
            Err(error) if error.reason == Reason::Unsupported => {}
            // Said once, of the listings that are asked most, is enough.
            Err(error) if error.missing_instance && is_told_elsewhere(listing.1) => {}
            Err(error) if reason_before != Some(error.reason) => {
                self.few(account, Some(error.reason), || {
                    tell_failure(account, listing, error);
                });
            }
            Ok(_) if failed_before.is_some() => {
                self.few(account, None, || tell_recovery(account, listing));
            }
            _ => {}
        }
    }

    /// Says it, unless enough of the kind was said.
    fn few(&self, account: &AccountKey, kind: Kind, say: impl FnOnce()) {
        let telling = self.telling(kind);
        if telling != Telling::NotAtAll {
            say();
        }
        if telling == Telling::ForNow {
            tell_of_silence(account);
        }
    }

    fn telling(&self, kind: Kind) -> Telling {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Said {
            since: now,
            lines: 0,
        };
        let said = said.entry(kind).or_insert(fresh);
        if now - said.since >= A_WHILE {
            *said = fresh;
        }
        said.lines = said.lines.saturating_add(1);
        match said.lines {
            ..MOST_LINES => Telling::Aloud,
            MOST_LINES => Telling::ForNow,
            _ => Telling::NotAtAll,
        }
    }
}

fn is_told_elsewhere(kind: ListingKind) -> bool {
    kind.is_slow() || kind == ListingKind::CrossRegionLog
}

fn tell_failure(account: &AccountKey, listing: &ListingKey, error: &ListError) {
    let (instance, kind) = listing;
    tracing::warn!(
        provider = account.provider,
        account = %account.account,
        region = %instance.source_region,
        instance = %instance.instance_id,
        listing = kind.label(),
        reason = error.reason.label(),
        request_id = error.request_id.as_ref().map(VendorWord::as_str),
        error = %error,
        "a listing cannot be read; its last facts stay"
    );
}

fn tell_recovery(account: &AccountKey, listing: &ListingKey) {
    let (instance, kind) = listing;
    tracing::info!(
        provider = account.provider,
        account = %account.account,
        region = %instance.source_region,
        instance = %instance.instance_id,
        listing = kind.label(),
        "a listing can be read again"
    );
}

/// The last of the lines that are said of one cause.
fn tell_of_silence(account: &AccountKey) {
    tracing::warn!(
        provider = account.provider,
        account = %account.account,
        "the same of more listings of this account within a minute is not logged; the pages and the metrics have it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_cause_takes_a_few_lines_however_many_listings_it_hits() {
        let changes = Changes::default();
        let mut told = Vec::new();
        for _ in 0..300 {
            told.push(changes.telling(Some(Reason::Credentials)));
        }
        assert_eq!(told[..9], [Telling::Aloud; 9]);
        assert_eq!(told[9], Telling::ForNow);
        assert!(
            told[10..]
                .iter()
                .all(|telling| *telling == Telling::NotAtAll)
        );
        // Another cause, and the same one later, are news.
        assert_eq!(changes.telling(Some(Reason::Timeout)), Telling::Aloud);
        assert_eq!(changes.telling(None), Telling::Aloud);
        tokio::time::advance(A_WHILE).await;
        assert_eq!(changes.telling(Some(Reason::Credentials)), Telling::Aloud);
    }
}
