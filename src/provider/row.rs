//! From a vendor's rows to the vocabulary of `backup`: what all vendors' rows have in common. Pure.

use chrono::{DateTime, Duration, Utc};

use super::page::{PageRead, Paging};
use super::scalar::{Row, Scalar, Unreadable};
use crate::backup::{
    Anomaly, BackupSet, BackupType, CLOCK_TOLERANCE, Listing, ListingKind, Scope, Status,
};
use crate::target::Target;

/// How much later than its end the data of a set may be said to be consistent: not all times of a row come from the same
/// clock.
const CONSISTENCY_TOLERANCE: Duration = Duration::minutes(10);

/// What the rows are about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The instance that was asked about.
    pub instance_id: &'a str,
    /// The region in which it runs.
    pub source_region: &'a str,
    /// Its engine in our spelling, as far as a row has named it.
    pub engine: Option<&'a str>,
    /// Where the sets that were asked for are kept, as seen from it.
    pub scope: Scope,
    /// The region that keeps a set whose row does not say so.
    pub backup_region: &'a str,
    /// The present, against which future times are seen.
    pub now: DateTime<Utc>,
}

impl<'a> Subject<'a> {
    /// What a listing of this instance is about. A copy whose row names no region is in the one in which copies are
    /// expected, if there is only one.
    pub fn of(listing: ListingKind, target: &'a Target, now: DateTime<Utc>) -> Self {
        let (scope, backup_region) = match (listing, target.backup_regions.as_slice()) {
            (ListingKind::Local, _) => (Scope::Local, &*target.key.source_region),
            (_, [only]) => (Scope::CrossRegion, only.as_str()),
            _ => (Scope::CrossRegion, ""),
        };
        Self {
            instance_id: &target.key.instance_id,
            source_region: &target.key.source_region,
            engine: None,
            scope,
            backup_region,
            now,
        }
    }

    /// Whether a set of this region is in another place than was asked for: what is lost together with the instance is no
    /// copy.
    pub fn is_misplaced_in(&self, region: &str) -> bool {
        self.scope == Scope::CrossRegion && region == self.source_region
    }
}

/// A row of some vendor's listing.
pub trait VendorRow {
    /// What tells this row from the others, where it has anything of the kind.
    fn identity(&self) -> Option<String>;

    /// What the row says of its instance.
    fn origin(&self) -> Origin;

    /// What the row comes to.
    fn normalise(self, subject: &Subject<'_>) -> Normalised;
}

/// What a row says of its instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The engine in our spelling.
    pub engine: Option<String>,
    /// The engine's version in the vendor's.
    pub engine_version: Option<String>,
    /// The instance's name.
    pub name: Option<String>,
}

/// What a row came to: a set, or only oddities.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Normalised {
    /// The set.
    pub set: Option<BackupSet>,
    /// What is odd about it.
    pub anomalies: Vec<Anomaly>,
}

/// What a row says of a set, by which its status is doubted.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// What it holds, where that is understood.
    pub backup_type: Option<BackupType>,
    /// When it began.
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
    /// Its size.
    pub size_bytes: Option<u64>,
}

/// Collects what is odd about one row; each kind is counted once a row.
#[derive(Debug)]
pub struct Oddities {
    now: DateTime<Utc>,
    found: Vec<Anomaly>,
}

impl Oddities {
    /// Nothing is odd yet.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            now,
            found: Vec::new(),
        }
    }

    /// This is.
    pub fn note(&mut self, anomaly: Anomaly) {
        if !self.found.contains(&anomaly) {
            self.found.push(anomaly);
        }
    }

    /// A time, or none where it cannot be read.
    pub fn time(
        &mut self,
        time: Result<Option<DateTime<Utc>>, Unreadable>,
    ) -> Option<DateTime<Utc>> {
        time.unwrap_or_else(|Unreadable| {
            self.note(Anomaly::BadTime);
            None
        })
    }

    /// A size, or none where it cannot be read.
    pub fn size(&mut self, size: &Scalar) -> Option<u64> {
        size.count().unwrap_or_else(|Unreadable| {
            self.note(Anomaly::BadSize);
            None
        })
    }

    /// The status that we believe. A set of an unknown kind or from the future is never taken for a success, and neither is
    /// data without any bytes. One that ends before it starts keeps what the vendor says of it; only its duration is not
    /// known.
    pub fn status(&mut self, claimed: Status, claim: &Claim) -> Status {
        let Claim {
            backup_type,
            started,
            ended,
            size_bytes,
        } = *claim;
        if started.is_none() && ended.is_none() {
            self.note(Anomaly::BadTime);
        }
        if let (Some(started), Some(ended)) = (started, ended)
            && ended < started
        {
            self.note(Anomaly::BadTime);
        }
        let is_understood = claimed != Status::Unknown && backup_type.is_some();
        if !is_understood {
            self.note(Anomaly::UnknownStatus);
        }
        let mut times = [started, ended].into_iter().flatten();
        let is_future = times.any(|time| self.is_future(time));
        if is_future {
            self.note(Anomaly::FutureTime);
        }
        let is_empty = claimed == Status::Completed
            && size_bytes == Some(0)
            && backup_type != Some(BackupType::Log);
        if is_empty {
            self.note(Anomaly::BadSize);
        }
        if is_understood && !is_future && !is_empty {
            claimed
        } else {
            Status::Unknown
        }
    }

    /// The consistent time, else the start, which is the cautious choice: the data is at least that new. Nothing holds what
    /// was written after its end.
    pub fn recovery_point(
        &mut self,
        consistent: Result<Option<DateTime<Utc>>, Unreadable>,
        started: Option<DateTime<Utc>>,
        ended: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let is_after_the_end = |time: DateTime<Utc>| {
            ended.is_some_and(|ended| time.signed_duration_since(ended) > CONSISTENCY_TOLERANCE)
        };
        let Some(time) = self.time(consistent) else {
            return started;
        };
        let doubts = [
            (self.is_future(time), Anomaly::FutureTime),
            (is_after_the_end(time), Anomaly::BadTime),
        ];
        for (_, doubt) in doubts.iter().filter(|(is_doubted, _)| *is_doubted) {
            self.note(*doubt);
        }
        let is_believed = doubts.iter().all(|(is_doubted, _)| !is_doubted);
        if is_believed { Some(time) } else { started }
    }

    fn is_future(&self, time: DateTime<Utc>) -> bool {
        time > self.now + CLOCK_TOLERANCE
    }

    /// The row came to this set.
    pub fn with(self, set: BackupSet) -> Normalised {
        Normalised {
            set: Some(set),
            anomalies: self.found,
        }
    }

    /// The row came to nothing.
    pub fn alone(self) -> Normalised {
        Normalised {
            set: None,
            anomalies: self.found,
        }
    }
}

/// A page of rows, of which some may not be readable.
#[derive(Debug)]
pub struct Page<R> {
    /// The rows.
    pub rows: Vec<Row<R>>,
    /// The vendor's count of the rows of all pages, where it gave one that can be read.
    pub total: Option<u64>,
}

impl<R> Page<R> {
    /// There is no such page.
    pub fn none() -> Self {
        Self {
            rows: Vec::new(),
            total: None,
        }
    }
}

/// Takes a page into a listing, without the rows that an earlier page had.
pub fn gather<R: VendorRow>(
    listing: &mut Listing,
    paging: &mut Paging,
    page: Page<R>,
    subject: &Subject<'_>,
) {
    let rows = page.rows.len();
    let mut new_rows = 0;
    for Row(row) in page.rows {
        let identity = row.as_ref().and_then(VendorRow::identity);
        if !paging.is_new(identity) {
            listing.anomalies.push(Anomaly::Duplicate);
            continue;
        }
        new_rows += 1;
        if let Some(row) = row {
            take(listing, row, subject);
        } else {
            listing.anomalies.push(Anomaly::BadRow);
            paging.miss_a_row();
        }
    }
    paging.read(PageRead {
        rows,
        new_rows,
        total: page.total,
    });
}

/// Takes one row into a listing.
pub fn take(listing: &mut Listing, row: impl VendorRow, subject: &Subject<'_>) {
    let origin = row.origin();
    let engine = origin.engine.as_deref().or(listing.engine.as_deref());
    let Normalised { set, anomalies } = row.normalise(&Subject { engine, ..*subject });
    // A listing begins with the newest set, if with any in particular, and that names the version that runs now.
    if set.is_some() {
        if listing.engine.is_none() && origin.engine.is_some() {
            listing.engine = origin.engine;
            listing.engine_version = origin.engine_version;
        }
        listing.instance_name = listing.instance_name.take().or(origin.name);
    }
    listing.sets.extend(set);
    listing.anomalies.extend(anomalies);
}
