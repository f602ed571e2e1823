//! Why something is wrong, in plain words: the same sentences on the status page, in JSON and in the table of `once`.

use std::fmt::{self, Display};

use super::words::{count, exactly, span};
use crate::posture::{Posture, Trouble};

/// A sentence for each thing that is wrong, the most important first.
pub fn reasons(posture: &Posture) -> impl Iterator<Item = Sentence<'_>> {
    posture.troubles.iter().map(Sentence)
}

/// One thing that is wrong, as a sentence without a full stop.
#[derive(Debug)]
pub struct Sentence<'a>(&'a Trouble);

impl Display for Sentence<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Trouble::Gone(None) => write!(
                formatter,
                "The provider says that this instance does not exist"
            ),
            Trouble::Gone(Some(age)) => write!(
                formatter,
                "The provider stopped listing this instance {} ago",
                span(*age)
            ),
            Trouble::NotAsked(_, true) => write!(formatter, "Nothing has been asked about it yet"),
            Trouble::NotAsked(listings, false) => {
                let labels: Vec<_> = listings.iter().map(|listing| listing.label()).collect();
                write!(formatter, "Not asked for yet: {}", labels.join(", "))
            }
            Trouble::CopyingUnsupported => {
                write!(
                    formatter,
                    "The provider cannot copy this instance to another region"
                )
            }
            Trouble::CopyingOff => write!(formatter, "Copying to another region is switched off"),
            Trouble::NoRegionExpected => write!(
                formatter,
                "No copy in another region: neither the configuration nor the provider's policy names one"
            ),
            Trouble::RecoveryPoint {
                region,
                age: Some(age),
                promise,
            } => write!(
                formatter,
                "No recent copy in {region}: its newest recovery point is {} old, promised {}",
                span(*age),
                exactly(*promise)
            ),
            Trouble::RecoveryPoint {
                region,
                age: None,
                promise,
            } => write!(
                formatter,
                "No usable copy in {region}, promised one younger than {}",
                exactly(*promise)
            ),
            Trouble::LocalUnsupported => {
                write!(
                    formatter,
                    "The provider keeps no backups of this instance in its own region"
                )
            }
            Trouble::BackupAge {
                age: Some(age),
                promise,
            } => write!(
                formatter,
                "No recent local backup: the newest usable one is {} old, promised {}",
                span(*age),
                exactly(*promise)
            ),
            Trouble::BackupAge { age: None, promise } => write!(
                formatter,
                "No usable local backup, promised one younger than {}",
                exactly(*promise)
            ),
            Trouble::CopyDelay {
                region,
                sets,
                age,
                promise,
            } => {
                let (have, oldest) = if *sets == 1 {
                    ("has", "it ended")
                } else {
                    ("have", "the oldest ended")
                };
                write!(
                    formatter,
                    "{} {have} no copy in {region} yet: {oldest} {} ago, promised within {}",
                    count(*sets, "local full set"),
                    span(*age),
                    exactly(*promise)
                )
            }
            Trouble::Retention {
                region,
                age: Some(age),
                promise,
            } => write!(
                formatter,
                "The copies in {region} reach back {} only, promised {}",
                span(*age),
                exactly(*promise)
            ),
            Trouble::Retention {
                region,
                age: None,
                promise,
            } => write!(
                formatter,
                "No usable copy in {region} to go back to, promised {}",
                exactly(*promise)
            ),
            Trouble::LogGaps { region, gaps, age } => {
                write!(
                    formatter,
                    "Logs are missing in {region} ({})",
                    count(*gaps, "gap")
                )?;
                match age {
                    Some(age) => {
                        write!(formatter, ": a restore from there ends {} ago", span(*age))
                    }
                    None => Ok(()),
                }
            }
            Trouble::FailedBackups {
                place,
                backup_type,
                failures,
            } => {
                let region = if place.backup_region.is_empty() {
                    "another region"
                } else {
                    &place.backup_region
                };
                write!(
                    formatter,
                    "The newest {} backup in {region} failed",
                    backup_type.label()
                )?;
                if *failures > 1 {
                    write!(formatter, ", {failures} in a row")?;
                }
                Ok(())
            }
            Trouble::Unread {
                listing,
                failure,
                age,
            } => {
                let (listing, why) = (listing.label(), &failure.message);
                match age {
                    Some(age) => write!(
                        formatter,
                        "Listing {listing} was last read {} ago, and cannot be read now: {why}",
                        span(*age)
                    ),
                    None => write!(formatter, "Listing {listing} was never read: {why}"),
                }
            }
            Trouble::Incomplete(listing) => {
                write!(
                    formatter,
                    "Listing {} was read in part only",
                    listing.label()
                )
            }
        }
    }
}
