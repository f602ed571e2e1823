//! How facts are written in the file: plain records, apart from the vocabulary, so that a change of that is no change of
//! the file unless somebody means it.
//!
//! The form is `postcard`'s: small, and without names, so that the version of the file has to say what is in it. Words -
//! regions, labels, names - stand once in each record and are pointed to. Whatever is read was written by an earlier
//! version or damaged since, so nothing is taken for granted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::backup::{
    Anomaly, BackupSet, BackupType, Description, FoundInstance, Listing, ListingKind, Lookback,
    Policy, PolicySwitch, RestoreWindow, RestoreWindows, Scope, Status, is_conceivable,
};
use crate::facts::ledger::{CopyKey, Events, Identity, Ledger, Standing};
use crate::facts::{
    Attempt, Failure, Found, Listed, ListingFacts, Missing, Presence, RegionFacts, RegionKey, Sets,
};
use crate::log_chain::{Coverage, Stretch};
use crate::provider::error::Reason;
use crate::service::Service;
use crate::target::InstanceKey;

/// The version of these records. Whoever changes one raises it; a file of an earlier version is set aside.
pub(super) const VERSION: u64 = 2;

/// The vendor says that the set can be restored.
const AVAILABLE: u8 = 1;
/// The vendor copies no sets of this kind.
const NOT_COPIED: u8 = 2;

/// A record that does not mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record cannot be read")]
pub(super) struct Unreadable;

/// The bytes of a record.
pub(super) fn write(record: &impl Serialize) -> Vec<u8> {
    // Into memory, of plain fields: there is nothing that could fail.
    let written = postcard::to_stdvec(record);
    debug_assert!(written.is_ok());
    written.unwrap_or_default()
}

/// The record of these bytes, all of them.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Ok(record),
        Ok(_) | Err(_) => Err(Unreadable),
    }
}

/// Seconds and nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Moment(i64, u32);

impl From<DateTime<Utc>> for Moment {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp(), time.timestamp_subsec_nanos())
    }
}

impl TryFrom<Moment> for DateTime<Utc> {
    type Error = Unreadable;

    fn try_from(Moment(seconds, nanos): Moment) -> Result<Self, Unreadable> {
        DateTime::from_timestamp(seconds, nanos)
            .filter(|time| is_conceivable(*time))
            .ok_or(Unreadable)
    }
}

fn moment(time: Option<DateTime<Utc>>) -> Option<Moment> {
    time.map(Moment::from)
}

fn time(moment: Option<Moment>) -> Result<Option<DateTime<Utc>>, Unreadable> {
    moment.map(DateTime::try_from).transpose()
}

/// The place of a word among the words of a record.
type Word = u32;

/// The words of a record that is being written.
#[derive(Default)]
struct Words<'a> {
    words: Vec<&'a str>,
    places: HashMap<&'a str, Word>,
}

impl<'a> Words<'a> {
    fn place(&mut self, word: &'a str) -> Word {
        let words = &mut self.words;
        *self.places.entry(word).or_insert_with(|| {
            words.push(word);
            Word::try_from(words.len() - 1).unwrap_or(Word::MAX)
        })
    }

    fn places<T: AsRef<str>>(&mut self, words: &'a [T]) -> Vec<Word> {
        let words = words.iter();
        words.map(|word| self.place(word.as_ref())).collect()
    }
}

/// The words of a record that was read.
struct Lexicon<'a>(&'a [&'a str]);

impl<'a> Lexicon<'a> {
    fn word(&self, place: Word) -> Result<&'a str, Unreadable> {
        let place = usize::try_from(place).map_err(|_| Unreadable)?;
        self.0.get(place).copied().ok_or(Unreadable)
    }

    fn text(&self, place: Word) -> Result<String, Unreadable> {
        self.word(place).map(str::to_owned)
    }

    fn texts(&self, places: &[Word]) -> Result<Vec<String>, Unreadable> {
        places.iter().map(|place| self.text(*place)).collect()
    }

    /// The one of these values that has this label.
    fn label<T: Copy>(
        &self,
        place: Word,
        all: &[T],
        label: impl Fn(T) -> &'static str,
    ) -> Result<T, Unreadable> {
        let word = self.word(place)?;
        let mut all = all.iter().copied();
        all.find(|value| label(*value) == word).ok_or(Unreadable)
    }

    fn scope(&self, place: Word) -> Result<Scope, Unreadable> {
        self.label(place, &[Scope::Local, Scope::CrossRegion], Scope::label)
    }

    fn backup_type(&self, place: Word) -> Result<BackupType, Unreadable> {
        self.label(place, &BackupType::ALL, BackupType::label)
    }
}

/// One instance: who it is, and what is known beside its listings.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InstanceRecord<'a> {
    /// [`crate::service::ServiceSpec::stored_as`].
    service: &'a str,
    account: &'a str,
    source_region: &'a str,
    instance_id: &'a str,
    #[serde(borrow)]
    description: DescriptionRecord<'a>,
    presence: PresenceRecord,
    is_found: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct PresenceRecord {
    was_listed: bool,
    missing: Option<MissingRecord>,
    denials: u32,
    bare: u32,
    gone_since: Option<Moment>,
}

/// Since when an instance is missing, and from how many plausible lists.
type MissingRecord = (Moment, u32);

fn missing_record(missing: Option<Missing>) -> Option<MissingRecord> {
    missing.map(|Missing { since, searches }| (since.into(), searches))
}

fn missing(record: Option<MissingRecord>) -> Result<Option<Missing>, Unreadable> {
    let read = |(since, searches): MissingRecord| {
        Ok(Missing {
            since: since.try_into()?,
            searches,
        })
    };
    record.map(read).transpose()
}

impl From<&Presence> for PresenceRecord {
    fn from(presence: &Presence) -> Self {
        Self {
            was_listed: presence.was_listed,
            missing: missing_record(presence.missing),
            denials: presence.denials,
            bare: presence.bare,
            gone_since: moment(presence.gone_since),
        }
    }
}

impl PresenceRecord {
    fn read(&self) -> Result<Presence, Unreadable> {
        Ok(Presence {
            was_listed: self.was_listed,
            missing: missing(self.missing)?,
            denials: self.denials,
            bare: self.bare,
            gone_since: time(self.gone_since)?,
        })
    }
}

/// What is known of an instance beside its listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InstanceMatter {
    pub(super) key: InstanceKey,
    pub(super) description: Description,
    pub(super) presence: Presence,
    pub(super) is_found: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct DescriptionRecord<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    engine: Option<&'a str>,
    #[serde(borrow)]
    engine_version: Option<&'a str>,
    created: Option<Moment>,
}

impl<'a> From<&'a Description> for DescriptionRecord<'a> {
    fn from(description: &'a Description) -> Self {
        Self {
            name: description.name.as_deref(),
            engine: description.engine.as_deref(),
            engine_version: description.engine_version.as_deref(),
            created: moment(description.created),
        }
    }
}

impl DescriptionRecord<'_> {
    fn read(&self) -> Result<Description, Unreadable> {
        Ok(Description {
            name: self.name.map(str::to_owned),
            engine: self.engine.map(str::to_owned),
            engine_version: self.engine_version.map(str::to_owned),
            created: time(self.created)?,
        })
    }
}

/// The service of this name. That of a founding one is its vendor's, as it was before there were others.
fn service(name: &str) -> Result<Service, Unreadable> {
    Service::from_stored(name).ok_or(Unreadable)
}

impl<'a> InstanceRecord<'a> {
    pub(super) fn new(
        key: &'a InstanceKey,
        description: &'a Description,
        presence: &Presence,
        is_found: bool,
    ) -> Self {
        Self {
            service: key.service.spec().stored_as,
            account: &key.account,
            source_region: &key.source_region,
            instance_id: &key.instance_id,
            description: description.into(),
            presence: presence.into(),
            is_found,
        }
    }

    pub(super) fn read(&self) -> Result<InstanceMatter, Unreadable> {
        let service = service(self.service)?;
        Ok(InstanceMatter {
            key: InstanceKey {
                provider: service.vendor().label(),
                account: self.account.into(),
                source_region: self.source_region.into(),
                instance_id: self.instance_id.into(),
                service,
            },
            description: self.description.read()?,
            presence: self.presence.read()?,
            is_found: self.is_found,
        })
    }
}

/// When something was asked for, and what came of it. Apart from what was found, which is mostly the same.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AttemptRecord<'a> {
    last_attempt: Option<Moment>,
    #[serde(borrow)]
    failure: Option<FailureRecord<'a>>,
    last_success: Option<Moment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FailureRecord<'a> {
    reason: &'a str,
    message: &'a str,
    missing_instance: bool,
}

impl<'a> AttemptRecord<'a> {
    fn new(attempt: Option<&'a Attempt>, last_success: Option<DateTime<Utc>>) -> Self {
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        Self {
            last_attempt: attempt.map(|attempt| attempt.at.into()),
            failure: failure.map(|failure| FailureRecord {
                reason: failure.reason.label(),
                message: &failure.message,
                missing_instance: failure.missing_instance,
            }),
            last_success: moment(last_success),
        }
    }

    pub(super) fn of_listing(facts: &'a ListingFacts) -> Self {
        Self::new(Some(&facts.last_attempt), facts.last_success)
    }

    pub(super) fn of_region(facts: &'a RegionFacts) -> Self {
        Self::new(facts.last_attempt.as_ref(), facts.last_success)
    }

    fn read(&self) -> Result<(Option<Attempt>, Option<DateTime<Utc>>), Unreadable> {
        let failure = self.failure.as_ref().map(FailureRecord::read).transpose()?;
        let at = time(self.last_attempt)?;
        let attempt = at.map(|at| Attempt {
            at,
            failure,
            is_restored: true,
        });
        Ok((attempt, time(self.last_success)?))
    }
}

impl FailureRecord<'_> {
    fn read(&self) -> Result<Failure, Unreadable> {
        let mut reasons = Reason::ALL.into_iter();
        let reason = reasons.find(|reason| reason.label() == self.reason);
        Ok(Failure {
            reason: reason.ok_or(Unreadable)?,
            message: self.message.to_owned(),
            missing_instance: self.missing_instance,
        })
    }
}

/// What was found by reading a listing, and what became of its sets.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FindingRecord<'a> {
    #[serde(borrow)]
    words: Vec<&'a str>,
    #[serde(borrow)]
    found: FoundRecord<'a>,
    is_doubted: bool,
    ledger: Option<LedgerRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
enum FoundRecord<'a> {
    Nothing,
    Unsupported,
    Sets(SetsRecord),
    #[serde(borrow)]
    Policy(PolicyRecord<'a>),
    Windows(WindowsRecord),
}

#[derive(Debug, Serialize, Deserialize)]
struct SetsRecord {
    sets: Vec<SetRecord>,
    anomalies: Vec<Word>,
    complete: bool,
    engine: Option<Word>,
    engine_version: Option<Word>,
    instance_name: Option<Word>,
    destinations: Vec<Word>,
    protected: Option<bool>,
    remembered: Vec<SetRecord>,
    logs: CoverageRecord,
}

#[derive(Debug, Serialize, Deserialize)]
struct CoverageRecord {
    stretches: Vec<(Word, Moment, Moment, Option<Moment>, bool)>,
    read_from: Option<Moment>,
    read_until: Option<Moment>,
    cut_at: Option<Moment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SetRecord {
    copy: (Word, Word, Word),
    status: Word,
    started: Option<Moment>,
    ended: Option<Moment>,
    size_bytes: Option<u64>,
    recovery_point: Option<Moment>,
    expires: Option<Moment>,
    /// [`AVAILABLE`] and [`NOT_COPIED`]. The first version had a truth value here, which is written in the same way.
    flags: u8,
    restore_regions: Vec<Word>,
    covers_until: Option<Moment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PolicyRecord<'a> {
    protected: Option<bool>,
    since: Option<Moment>,
    switches: Vec<SwitchRecord>,
    #[serde(borrow)]
    description: DescriptionRecord<'a>,
    anomalies: Vec<Word>,
    complete: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct SwitchRecord {
    copy: (Word, Word, Word),
    enabled: bool,
    retention: Option<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WindowsRecord {
    windows: Vec<(Word, Word, Moment, Moment)>,
    anomalies: Vec<Word>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LedgerRecord {
    events: Vec<((Word, Word, Word), [u64; 3])>,
    lookback: Option<(Duration, Duration)>,
    apart: Vec<IdentityRecord>,
    usable: Option<Vec<(IdentityRecord, Option<Moment>)>>,
    suspects: Vec<IdentityRecord>,
}

type IdentityRecord = ((Word, Word, Word), Moment);

impl<'a> FindingRecord<'a> {
    pub(super) fn new(facts: &'a ListingFacts) -> Self {
        let mut words = Words::default();
        let found = match &facts.found {
            Found::Nothing => FoundRecord::Nothing,
            Found::Unsupported => FoundRecord::Unsupported,
            Found::Sets(sets) => FoundRecord::Sets(words.sets(sets)),
            Found::Policy(policy) => FoundRecord::Policy(words.policy(policy)),
            Found::Windows(windows) => FoundRecord::Windows(words.windows(windows)),
        };
        let ledger = facts.ledger.as_ref().map(|ledger| words.ledger(ledger));
        Self {
            words: words.words,
            found,
            is_doubted: facts.is_doubted,
            ledger,
        }
    }

    /// The facts of a listing, from both of its records.
    pub(super) fn read(&self, attempt: &AttemptRecord<'_>) -> Result<ListingFacts, Unreadable> {
        let lexicon = Lexicon(&self.words);
        let (last_attempt, last_success) = attempt.read()?;
        let ledger = self.ledger.as_ref().map(|ledger| lexicon.ledger(ledger));
        Ok(ListingFacts {
            last_attempt: last_attempt.ok_or(Unreadable)?,
            last_success,
            found: match &self.found {
                FoundRecord::Nothing => Found::Nothing,
                FoundRecord::Unsupported => Found::Unsupported,
                FoundRecord::Sets(sets) => Found::Sets(Arc::new(lexicon.sets(sets)?)),
                FoundRecord::Policy(policy) => Found::Policy(Arc::new(lexicon.policy(policy)?)),
                FoundRecord::Windows(windows) => {
                    Found::Windows(Arc::new(lexicon.windows(windows)?))
                }
            },
            is_doubted: self.is_doubted,
            ledger: ledger.transpose()?.map(Arc::new),
        })
    }
}

impl<'a> Words<'a> {
    fn copy(&mut self, scope: Scope, region: &'a str, of: BackupType) -> (Word, Word, Word) {
        (
            self.place(scope.label()),
            self.place(region),
            self.place(of.label()),
        )
    }

    fn anomalies(&mut self, anomalies: &[Anomaly]) -> Vec<Word> {
        let anomalies = anomalies.iter();
        anomalies
            .map(|anomaly| self.place(anomaly.label()))
            .collect()
    }

    fn optional(&mut self, word: Option<&'a str>) -> Option<Word> {
        word.map(|word| self.place(word))
    }

    fn sets(&mut self, sets: &'a Sets) -> SetsRecord {
        let listing = &sets.listing;
        SetsRecord {
            sets: listing.sets.iter().map(|set| self.set(set)).collect(),
            anomalies: self.anomalies(&listing.anomalies),
            complete: listing.complete,
            engine: self.optional(listing.engine.as_deref()),
            engine_version: self.optional(listing.engine_version.as_deref()),
            instance_name: self.optional(listing.instance_name.as_deref()),
            destinations: self.places(&listing.destinations),
            protected: listing.protected,
            remembered: sets.remembered.iter().map(|set| self.set(set)).collect(),
            logs: self.coverage(&sets.logs),
        }
    }

    fn coverage(&mut self, coverage: &'a Coverage) -> CoverageRecord {
        let stretches = coverage.stretches.iter().map(|stretch| {
            (
                self.place(&stretch.backup_region),
                stretch.from.into(),
                stretch.until.into(),
                moment(stretch.newest),
                stretch.is_doubted,
            )
        });
        CoverageRecord {
            stretches: stretches.collect(),
            read_from: moment(coverage.read_from),
            read_until: moment(coverage.read_until),
            cut_at: moment(coverage.cut_at),
        }
    }

    fn set(&mut self, set: &'a BackupSet) -> SetRecord {
        SetRecord {
            copy: self.copy(set.scope, &set.backup_region, set.backup_type),
            status: self.place(set.status.label()),
            started: moment(set.started),
            ended: moment(set.ended),
            size_bytes: set.size_bytes,
            recovery_point: moment(set.recovery_point),
            expires: moment(set.expires),
            flags: u8::from(set.available) * AVAILABLE + u8::from(!set.is_copied) * NOT_COPIED,
            restore_regions: self.places(&set.restore_regions),
            covers_until: moment(set.covers_until),
        }
    }

    fn policy(&mut self, policy: &'a Policy) -> PolicyRecord<'a> {
        let switches = policy.switches.iter();
        PolicyRecord {
            protected: policy.protected,
            since: moment(policy.since),
            switches: switches
                .map(|switch| SwitchRecord {
                    copy: self.copy(switch.scope, &switch.backup_region, switch.backup_type),
                    enabled: switch.enabled,
                    retention: switch.retention,
                })
                .collect(),
            description: (&policy.description).into(),
            anomalies: self.anomalies(&policy.anomalies),
            complete: policy.complete,
        }
    }

    fn windows(&mut self, windows: &'a RestoreWindows) -> WindowsRecord {
        let window = |window: &'a RestoreWindow| {
            (
                self.place(window.scope.label()),
                self.place(&window.backup_region),
                window.start.into(),
                window.end.into(),
            )
        };
        WindowsRecord {
            windows: windows.windows.iter().map(window).collect(),
            anomalies: self.anomalies(&windows.anomalies),
        }
    }

    fn ledger(&mut self, ledger: &'a Ledger) -> LedgerRecord {
        let lookback = ledger.lookback;
        LedgerRecord {
            events: ledger
                .events
                .iter()
                .map(|(copy, events)| {
                    let counts = [events.completed, events.failed, events.vanished];
                    (self.copy_key(copy), counts)
                })
                .collect(),
            lookback: lookback.map(|lookback| (lookback.sets, lookback.logs)),
            apart: ledger.apart.iter().map(|set| self.identity(set)).collect(),
            usable: ledger.usable.as_ref().map(|usable| {
                let usable = usable.iter();
                usable
                    .map(|set| (self.identity(&set.identity), moment(set.expires)))
                    .collect()
            }),
            suspects: ledger
                .suspects
                .iter()
                .map(|set| self.identity(set))
                .collect(),
        }
    }

    fn copy_key(&mut self, copy: &'a CopyKey) -> (Word, Word, Word) {
        self.copy(copy.scope, &copy.backup_region, copy.backup_type)
    }

    fn identity(&mut self, identity: &'a Identity) -> IdentityRecord {
        (self.copy_key(&identity.copy), identity.dated.into())
    }
}

impl Lexicon<'_> {
    fn anomalies(&self, places: &[Word]) -> Result<Vec<Anomaly>, Unreadable> {
        let places = places.iter();
        places
            .map(|place| self.label(*place, &Anomaly::ALL, Anomaly::label))
            .collect()
    }

    fn optional(&self, place: Option<Word>) -> Result<Option<String>, Unreadable> {
        place.map(|place| self.text(place)).transpose()
    }

    fn sets(&self, record: &SetsRecord) -> Result<Sets, Unreadable> {
        let sets = |records: &[SetRecord]| -> Result<Vec<_>, _> {
            records.iter().map(|record| self.set(record)).collect()
        };
        Ok(Sets {
            listing: Listing {
                sets: sets(&record.sets)?,
                anomalies: self.anomalies(&record.anomalies)?,
                complete: record.complete,
                engine: self.optional(record.engine)?,
                engine_version: self.optional(record.engine_version)?,
                instance_name: self.optional(record.instance_name)?,
                destinations: self.texts(&record.destinations)?,
                protected: record.protected,
                back_to: None,
            }
            .made_lean(),
            remembered: sets(&record.remembered)?,
            logs: self.coverage(&record.logs)?,
        })
    }

    fn coverage(&self, record: &CoverageRecord) -> Result<Coverage, Unreadable> {
        let stretches = record.stretches.iter();
        let stretches = stretches.map(|(region, from, until, newest, is_doubted)| {
            Ok(Stretch {
                backup_region: self.text(*region)?,
                from: (*from).try_into()?,
                until: (*until).try_into()?,
                newest: time(*newest)?,
                is_doubted: *is_doubted,
            })
        });
        Ok(Coverage {
            stretches: stretches.collect::<Result<_, Unreadable>>()?,
            read_from: time(record.read_from)?,
            read_until: time(record.read_until)?,
            cut_at: time(record.cut_at)?,
        })
    }

    fn set(&self, record: &SetRecord) -> Result<BackupSet, Unreadable> {
        let CopyKey {
            scope,
            backup_region,
            backup_type,
        } = self.copy(record.copy)?;
        if record.flags > AVAILABLE | NOT_COPIED {
            return Err(Unreadable);
        }
        Ok(BackupSet {
            scope,
            backup_region: backup_region.into(),
            backup_type,
            status: self.label(record.status, &Status::ALL, Status::label)?,
            started: time(record.started)?,
            ended: time(record.ended)?,
            size_bytes: record.size_bytes,
            recovery_point: time(record.recovery_point)?,
            expires: time(record.expires)?,
            available: record.flags & AVAILABLE != 0,
            is_copied: record.flags & NOT_COPIED == 0,
            restore_regions: self.texts(&record.restore_regions)?.into(),
            covers_until: time(record.covers_until)?,
        })
    }

    fn policy(&self, record: &PolicyRecord<'_>) -> Result<Policy, Unreadable> {
        let switches = record.switches.iter();
        Ok(Policy {
            protected: record.protected,
            since: time(record.since)?,
            switches: switches
                .map(|switch| {
                    let copy = self.copy(switch.copy)?;
                    Ok(PolicySwitch {
                        scope: copy.scope,
                        backup_region: copy.backup_region,
                        backup_type: copy.backup_type,
                        enabled: switch.enabled,
                        retention: switch.retention,
                    })
                })
                .collect::<Result<_, Unreadable>>()?,
            description: record.description.read()?,
            anomalies: self.anomalies(&record.anomalies)?,
            complete: record.complete,
        })
    }

    fn windows(&self, record: &WindowsRecord) -> Result<RestoreWindows, Unreadable> {
        let windows = record.windows.iter();
        Ok(RestoreWindows {
            windows: windows
                .map(|(scope, region, start, end)| {
                    Ok(RestoreWindow {
                        scope: self.scope(*scope)?,
                        backup_region: self.text(*region)?,
                        start: (*start).try_into()?,
                        end: (*end).try_into()?,
                    })
                })
                .collect::<Result<_, Unreadable>>()?,
            anomalies: self.anomalies(&record.anomalies)?,
        })
    }

    fn identities(&self, records: &[IdentityRecord]) -> Result<Vec<Identity>, Unreadable> {
        records
            .iter()
            .map(|record| self.identity(*record))
            .collect()
    }

    fn ledger(&self, record: &LedgerRecord) -> Result<Ledger, Unreadable> {
        let mut events = BTreeMap::new();
        for (copy, [completed, failed, vanished]) in &record.events {
            let counts = Events {
                completed: *completed,
                failed: *failed,
                vanished: *vanished,
            };
            events.insert(self.copy(*copy)?, counts);
        }
        let standing = |(identity, expires): &(IdentityRecord, Option<Moment>)| {
            Ok(Standing {
                identity: self.identity(*identity)?,
                expires: time(*expires)?,
            })
        };
        let usable = record.usable.as_ref().map(|usable| {
            let usable = usable.iter().map(standing);
            usable.collect::<Result<_, Unreadable>>()
        });
        Ok(Ledger {
            events,
            lookback: record.lookback.map(|(sets, logs)| Lookback { sets, logs }),
            apart: self.identities(&record.apart)?,
            usable: usable.transpose()?,
            suspects: self.identities(&record.suspects)?,
        })
    }

    fn copy(&self, (scope, region, of): (Word, Word, Word)) -> Result<CopyKey, Unreadable> {
        Ok(CopyKey {
            scope: self.scope(scope)?,
            backup_region: self.text(region)?,
            backup_type: self.backup_type(of)?,
        })
    }

    fn identity(&self, (copy, dated): IdentityRecord) -> Result<Identity, Unreadable> {
        Ok(Identity {
            copy: self.copy(copy)?,
            dated: dated.try_into()?,
        })
    }
}

/// The instances that were found in a region.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RegionRecord<'a> {
    service: &'a str,
    account: &'a str,
    region: &'a str,
    #[serde(borrow)]
    instances: Vec<ListedRecord<'a>>,
    #[serde(borrow)]
    outlived: Vec<&'a str>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ListedRecord<'a> {
    id: &'a str,
    #[serde(borrow)]
    description: DescriptionRecord<'a>,
    has_backups: bool,
    at_work: bool,
    missing: Option<MissingRecord>,
    is_doubted: bool,
}

impl<'a> RegionRecord<'a> {
    pub(super) fn new(key: &'a RegionKey, facts: &'a RegionFacts) -> Self {
        let listed = facts.instances.values();
        Self {
            service: key.service.spec().stored_as,
            account: &key.account,
            region: &key.region,
            instances: listed
                .map(
                    |Listed {
                         instance,
                         missing,
                         is_doubted,
                     }| ListedRecord {
                        id: &instance.id,
                        description: (&instance.description).into(),
                        has_backups: instance.has_backups,
                        at_work: instance.at_work,
                        missing: missing_record(*missing),
                        is_doubted: *is_doubted,
                    },
                )
                .collect(),
            outlived: facts.outlived.iter().map(String::as_str).collect(),
        }
    }

    /// The facts of a region, from both of its records.
    pub(super) fn read(
        &self,
        attempt: &AttemptRecord<'_>,
    ) -> Result<(RegionKey, RegionFacts), Unreadable> {
        let (last_attempt, last_success) = attempt.read()?;
        let mut instances = BTreeMap::new();
        for listed in &self.instances {
            let instance = FoundInstance {
                id: listed.id.to_owned(),
                description: listed.description.read()?,
                has_backups: listed.has_backups,
                at_work: listed.at_work,
            };
            let listed = Listed {
                instance,
                missing: missing(listed.missing)?,
                is_doubted: listed.is_doubted,
            };
            instances.insert(listed.instance.id.clone(), listed);
        }
        let service = service(self.service)?;
        let key = RegionKey {
            provider: service.vendor().label(),
            account: self.account.into(),
            region: self.region.into(),
            service,
        };
        let facts = RegionFacts {
            last_attempt,
            last_success,
            instances,
            outlived: self.outlived.iter().map(|id| (*id).to_owned()).collect(),
        };
        Ok((key, facts))
    }
}

/// The number of a listing in the file, for ever.
pub(super) const fn kind_number(kind: ListingKind) -> u8 {
    match kind {
        ListingKind::CrossRegion => 0,
        ListingKind::Local => 1,
        ListingKind::CrossRegionLog => 2,
        ListingKind::Policy => 3,
        ListingKind::RestoreWindow => 4,
    }
}

/// The listing of this number.
pub(super) fn kind_of(number: u8) -> Result<ListingKind, Unreadable> {
    let mut all = ListingKind::ALL.into_iter();
    all.find(|kind| kind_number(*kind) == number)
        .ok_or(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{copy_in, local};
    use crate::vendor::Vendor;

    /// A set as the first version wrote it.
    #[derive(Serialize)]
    struct FirstSet {
        copy: (Word, Word, Word),
        status: Word,
        started: Option<Moment>,
        ended: Option<Moment>,
        size_bytes: Option<u64>,
        recovery_point: Option<Moment>,
        expires: Option<Moment>,
        available: bool,
        restore_regions: Vec<Word>,
        covers_until: Option<Moment>,
    }

    #[test]
    fn a_set_of_the_first_version_reads_as_one_that_is_copied() {
        for set in [local("1h"), copy_in("cn-shanghai", "2h")] {
            for available in [true, false] {
                let set = BackupSet {
                    available,
                    ..set.clone()
                };
                let mut words = Words::default();
                let record = words.set(&set);
                let first = FirstSet {
                    copy: record.copy,
                    status: record.status,
                    started: record.started,
                    ended: record.ended,
                    size_bytes: record.size_bytes,
                    recovery_point: record.recovery_point,
                    expires: record.expires,
                    available,
                    restore_regions: record.restore_regions.clone(),
                    covers_until: record.covers_until,
                };
                let bytes = write(&first);
                assert_eq!(write(&record), bytes);
                let record: SetRecord = read(&bytes).unwrap();
                assert_eq!(Lexicon(&words.words).set(&record), Ok(set));
            }
        }
    }

    /// An instance as it was written before a vendor had several services.
    #[derive(Serialize)]
    struct FormerInstance<'a> {
        provider: &'a str,
        account: &'a str,
        source_region: &'a str,
        instance_id: &'a str,
        description: DescriptionRecord<'a>,
        presence: PresenceRecord,
        is_found: bool,
    }

    #[derive(Serialize)]
    struct FormerRegion<'a> {
        provider: &'a str,
        account: &'a str,
        region: &'a str,
        instances: Vec<ListedRecord<'a>>,
        outlived: Vec<&'a str>,
    }

    #[test]
    fn what_was_stored_before_there_were_products_is_of_the_founding_one() {
        let description = Description::default();
        let presence = Presence::default();
        for vendor in Vendor::ALL {
            let former = FormerInstance {
                provider: vendor.label(),
                account: "prod",
                source_region: "cn-a",
                instance_id: "db-1",
                description: (&description).into(),
                presence: (&presence).into(),
                is_found: true,
            };
            let bytes = write(&former);
            let InstanceMatter { key, .. } =
                read::<InstanceRecord<'_>>(&bytes).unwrap().read().unwrap();
            assert_eq!(key.service, vendor.founding());
            assert_eq!((key.provider, &*key.instance_id), (vendor.label(), "db-1"));
            let now = InstanceRecord::new(&key, &description, &presence, true);
            assert_eq!(write(&now), bytes);

            let former = FormerRegion {
                provider: vendor.label(),
                account: "prod",
                region: "cn-a",
                instances: Vec::new(),
                outlived: vec!["db-2"],
            };
            let bytes = write(&former);
            let facts = RegionFacts::default();
            let record: RegionRecord<'_> = read(&bytes).unwrap();
            let attempt = AttemptRecord::of_region(&facts);
            let (key, facts) = record.read(&attempt).unwrap();
            let expected = (vendor.founding(), vendor.label(), "cn-a");
            assert_eq!((key.service, key.provider, &*key.region), expected);
            assert_eq!(write(&RegionRecord::new(&key, &facts)), bytes);
        }
    }

    #[test]
    fn flags_that_nobody_knows_are_not_guessed_at() {
        let set = local("1h");
        let mut words = Words::default();
        let record = SetRecord {
            flags: 4,
            ..words.set(&set)
        };
        assert_eq!(Lexicon(&words.words).set(&record), Err(Unreadable));
    }
}
