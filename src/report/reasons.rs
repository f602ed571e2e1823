//! Why something is wrong, in plain words: the same sentences on the status page, in JSON and in the table of `once`.

use std::fmt::{self, Display, Formatter};

use chrono::Duration;

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
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Trouble::Gone(age) => {
                formatter.write_str("The provider no longer has this instance")?;
                match age {
                    Some(age) => write!(formatter, ", as is known for {}", span(*age)),
                    None => Ok(()),
                }
            }
            Trouble::Missing(age) => write!(
                formatter,
                "Missing from the provider's list of instances for {}; watched and promised as before",
                span(*age)
            ),
            Trouble::NotAsked(_, true) => formatter.write_str("Nothing has been asked about it yet"),
            Trouble::NotAsked(listings, false) => {
                let labels: Vec<_> = listings.iter().map(|listing| listing.label()).collect();
                write!(formatter, "Not asked for yet: {}", labels.join(", "))
            }
            Trouble::CopyingUnsupported => {
                formatter.write_str("The provider cannot copy this instance to another region")
            }
            Trouble::CopyingOff => formatter.write_str("Copying to another region is switched off"),
            Trouble::CopyingOffTo(region) => write!(formatter, "Copying to {region} is switched off"),
            Trouble::NoRegionExpected => formatter.write_str(
                "No copy in another region: neither the configuration nor the provider's policy names one",
            ),
            Trouble::LocalUnsupported => {
                formatter.write_str("The provider keeps no backups of this instance in its own region")
            }
            Trouble::RecoveryPoint { region, age, promise } => {
                let what = format!("copy in {region}");
                too_old(formatter, &what, "its newest recovery point", *age, *promise)
            }
            Trouble::BackupAge { age, promise } => {
                too_old(formatter, "local backup", "the newest usable one", *age, *promise)
            }
            Trouble::CopyDelay { region, sets, age, promise } => {
                let (have, oldest) = if *sets == 1 { ("has", "it") } else { ("have", "the oldest") };
                let (sets, age, promise) = (count(*sets, "local full set"), span(*age), exactly(*promise));
                write!(
                    formatter,
                    "{sets} {have} no copy in {region} yet: {oldest} ended {age} ago, promised within {promise}"
                )
            }
            Trouble::Retention { region, age, promise } => {
                match age {
                    Some(age) => write!(formatter, "The copies in {region} reach back {} only", span(*age))?,
                    None => write!(formatter, "No usable copy in {region} to go back to")?,
                }
                write!(formatter, ", promised {}", exactly(*promise))
            }
            Trouble::LogGaps { region, gaps, age } => {
                write!(formatter, "Logs are missing in {region} ({})", count(*gaps, "gap"))?;
                age.map_or(Ok(()), |age| write!(formatter, ": a restore from there ends {} ago", span(age)))
            }
            Trouble::FailedBackups { place, backup_type, failures } => {
                let region = Some(place.backup_region.as_str()).filter(|region| !region.is_empty());
                let (kind, region) = (backup_type.label(), region.unwrap_or("another region"));
                let row = if *failures > 1 { format!(", {failures} in a row") } else { String::new() };
                write!(formatter, "The newest {kind} backup in {region} failed{row}")
            }
            Trouble::Unread { listing, failure, age } => {
                write!(formatter, "Listing {} was ", listing.label())?;
                match age {
                    Some(age) => write!(formatter, "last read {} ago, and cannot be read now", span(*age))?,
                    None => formatter.write_str("never read")?,
                }
                write!(formatter, ": {}", failure.message)
            }
            Trouble::Incomplete(listing) => write!(formatter, "Listing {} was read in part only", listing.label()),
        }
    }
}

/// What is missing, or how old the newest of it is, beside what was promised.
fn too_old(
    formatter: &mut Formatter<'_>,
    what: &str,
    newest: &str,
    age: Option<Duration>,
    promise: std::time::Duration,
) -> fmt::Result {
    let promise = exactly(promise);
    match age {
        Some(age) => write!(
            formatter,
            "No recent {what}: {newest} is {} old, promised {promise}",
            span(age)
        ),
        None => write!(
            formatter,
            "No usable {what}, promised one younger than {promise}"
        ),
    }
}
