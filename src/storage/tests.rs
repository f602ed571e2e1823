//! The store, on files of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::record::{AttemptRecord, FindingRecord, InstanceRecord, RegionRecord, VERSION};
use super::*;
use crate::backup::{
    Anomaly, Description, FoundInstance, Inventory, Listing, ListingKind, Reading, RestoreWindow,
    RestoreWindows, Scope,
};
use crate::config::Scratch;
use crate::example::{
    LOOKBACK, ago, any_instance, copy_in, failure, listing, local, now, policy_to, target,
};
use crate::facts::{Found, InstanceFacts, ListingFacts, RegionKey};
use crate::provider::error::Reason;
use crate::target::InstanceKey;

const ACCOUNT: (&str, &str) = ("alibaba", "prod");
const REGION: &str = "cn-shanghai";

fn key(id: &str) -> InstanceKey {
    target(id).key
}

fn region() -> RegionKey {
    RegionKey {
        provider: "alibaba",
        account: "prod".into(),
        region: "cn-hangzhou".into(),
        service: crate::service::Service::AlibabaRds,
    }
}

/// Facts about these instances, of which nothing is known.
fn watching(ids: &[&str]) -> Arc<Facts> {
    let facts = Facts::with_ledgers();
    adopt(&facts, ids);
    Arc::new(facts)
}

fn adopt(facts: &Facts, ids: &[&str]) {
    facts.adopt_regions(ACCOUNT, &[region()]);
    let targets = ids.iter().map(|id| {
        let mut target = target(id);
        target.listings = ListingKind::ALL.to_vec();
        Arc::new(target).into()
    });
    facts.adopt(ACCOUNT, now(), targets);
}

fn read(
    facts: &Facts,
    id: &str,
    at: DateTime<Utc>,
    kind: ListingKind,
    reading: impl Into<Reading>,
) {
    facts.record(&key(id), kind, at, LOOKBACK, Ok(reading.into()));
}

/// Something of everything about `rm-1`.
fn eventful() -> Arc<Facts> {
    let facts = watching(&["rm-1", "rm-2"]);
    read(
        &facts,
        "rm-1",
        ago("3h"),
        ListingKind::Policy,
        policy_to(REGION),
    );
    let copies = Listing {
        anomalies: vec![Anomaly::BadSize],
        engine: Some("mysql".to_owned()),
        destinations: vec![REGION.to_owned()],
        ..listing(vec![copy_in(REGION, "2d"), copy_in(REGION, "1d")])
    };
    read(&facts, "rm-1", ago("2h"), ListingKind::CrossRegion, copies);
    read(
        &facts,
        "rm-1",
        ago("2h"),
        ListingKind::Local,
        listing(vec![local("1d")]),
    );
    let windows = RestoreWindows {
        windows: vec![RestoreWindow {
            scope: Scope::Local,
            backup_region: "cn-hangzhou".to_owned(),
            start: ago("7d"),
            end: ago("5m"),
        }],
        anomalies: Vec::new(),
    };
    read(
        &facts,
        "rm-1",
        ago("1h"),
        ListingKind::RestoreWindow,
        windows,
    );
    let outcome = Err(failure(Reason::Permission));
    facts.record(
        &key("rm-1"),
        ListingKind::Local,
        ago("1m"),
        LOOKBACK,
        outcome,
    );
    let inventory = Inventory {
        instances: vec![FoundInstance {
            id: "rm-1".to_owned(),
            description: Description {
                name: Some("orders".to_owned()),
                created: Some(ago("30d")),
                ..Description::default()
            },
            has_backups: true,
            at_work: true,
        }],
        outlived: vec!["rm-0".to_owned()],
        complete: true,
        tells_absence: true,
    };
    facts.record_inventory(
        &region(),
        ago("1h"),
        Duration::from_secs(3600),
        Ok(inventory),
    );
    facts
}

/// What is known, without who is watched and whether it was this process that asked.
fn known(facts: &Facts) -> Vec<Known> {
    let all = facts.all().into_iter();
    all.map(|facts| known_of(&facts)).collect()
}

type Known = (
    InstanceKey,
    Description,
    BTreeMap<ListingKind, ListingFacts>,
);

fn known_of(facts: &InstanceFacts) -> Known {
    let mut listings = facts.listings.clone();
    for listing in listings.values_mut() {
        listing.last_attempt.is_restored = true;
    }
    (
        facts.target.key.clone(),
        facts.description.clone(),
        listings,
    )
}

fn ground(facts: &Arc<Facts>) -> Ground {
    Ground {
        facts: Arc::clone(facts),
        tally: Arc::default(),
        clock: Clock::set_by_hand(now()),
        shard: Shard::WHOLE,
    }
}

/// Opens a folder, as another process would.
fn open(folder: &Path, facts: &Arc<Facts>) -> (Keeper, Ground) {
    let ground = ground(facts);
    let storage = Storage::open(folder, ground.clone()).unwrap();
    (storage.keeper, ground)
}

/// Stores all of these facts in a new file.
fn stored(folder: &Path, facts: &Arc<Facts>) -> PathBuf {
    let (mut keeper, _) = open(folder, &watching(&[]));
    keeper.ground.facts = Arc::clone(facts);
    assert!(keeper.store(Changes::default(), true));
    keeper.path
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_comes_back_as_it_was_and_is_served_before_anything_is_asked() {
    let scratch = Scratch::new("storage-back");
    let facts = eventful();
    stored(&scratch.path(""), &facts);
    let back = Arc::new(Facts::with_ledgers());
    let (_keeper, ground) = open(&scratch.path(""), &back);
    adopt(&back, &["rm-1", "rm-2"]);
    assert_eq!(known(&back), known(&facts));
    let (before, after) = (
        facts.region(&region()).unwrap(),
        back.region(&region()).unwrap(),
    );
    assert_eq!(after.instances, before.instances);
    assert_eq!(
        (&after.outlived, after.last_success),
        (&before.outlived, before.last_success)
    );
    assert!(ground.tally.counts().storage.unwrap().is_healthy);
    // It was another process that asked.
    assert!(!after.is_attempted() && before.is_attempted());
    let restored = back.of(&key("rm-1")).unwrap();
    assert!(
        restored
            .listings
            .values()
            .all(|listing| listing.last_attempt.is_restored)
    );
    assert!(!restored.is_attempted());
}

#[test]
fn what_is_not_watched_any_more_is_forgotten_in_the_file_too() {
    let scratch = Scratch::new("storage-forgotten");
    stored(&scratch.path(""), &eventful());
    let back = Arc::new(Facts::with_ledgers());
    let (mut keeper, _) = open(&scratch.path(""), &back);
    adopt(&back, &["rm-2"]);
    assert!(keeper.store(Changes::default(), true));
    drop(keeper);
    let again = Arc::new(Facts::with_ledgers());
    open(&scratch.path(""), &again);
    let keys: Vec<_> = again
        .all()
        .iter()
        .map(|facts| facts.target.key.clone())
        .collect();
    assert_eq!(keys, [key("rm-2")]);
}

#[test]
fn a_reading_that_found_the_same_costs_one_small_record() {
    let scratch = Scratch::new("storage-same");
    let facts = eventful();
    let (mut file, _) = FactsFile::open(&scratch.path(FILE)).unwrap();
    let feed = facts.feed();
    assert!(file.write(&feed.take(), &facts).unwrap() > 5);
    assert_eq!(file.write(&feed.take(), &facts).unwrap(), 0);
    let sets = vec![copy_in(REGION, "2d"), copy_in(REGION, "1d")];
    read(
        &facts,
        "rm-2",
        ago("50m"),
        ListingKind::CrossRegion,
        listing(sets.clone()),
    );
    assert_eq!(file.write(&feed.take(), &facts).unwrap(), 2);
    read(
        &facts,
        "rm-2",
        ago("40m"),
        ListingKind::CrossRegion,
        listing(sets.clone()),
    );
    assert_eq!(file.write(&feed.take(), &facts).unwrap(), 1);
    read(
        &facts,
        "rm-2",
        ago("30m"),
        ListingKind::CrossRegion,
        listing(sets[1..].to_vec()),
    );
    assert_eq!(file.write(&feed.take(), &facts).unwrap(), 2);
}

#[test]
fn what_vanished_while_nobody_looked_is_counted_and_nothing_is_counted_twice() {
    let scratch = Scratch::new("storage-vanished");
    stored(&scratch.path(""), &eventful());
    let counted = |facts: &Facts| {
        let facts = facts.of(&key("rm-1")).unwrap();
        let events = facts.events().unwrap().into_iter();
        let mut copies = events.filter(|(copy, _)| copy.scope == Scope::CrossRegion);
        let (_, events) = copies.next().unwrap();
        (events.completed, events.failed, events.vanished)
    };
    for (restart, when) in ["30m", "20m", "10m"].into_iter().enumerate() {
        let back = Arc::new(Facts::with_ledgers());
        let (mut keeper, _) = open(&scratch.path(""), &back);
        adopt(&back, &["rm-1"]);
        // It is asked for twice, also when the exporter is restarted in between.
        assert_eq!(counted(&back), (2, 0, u64::from(restart > 1)));
        let left = Listing {
            destinations: vec![REGION.to_owned()],
            ..listing(vec![copy_in(REGION, "1d")])
        };
        read(&back, "rm-1", ago(when), ListingKind::CrossRegion, left);
        assert_eq!(counted(&back), (2, 0, u64::from(restart > 0)));
        assert!(keeper.store(Changes::default(), true));
    }
}

#[test]
fn a_second_process_is_turned_away_and_harms_nothing() {
    let scratch = Scratch::new("storage-in-use");
    let (_keeper, _) = open(&scratch.path(""), &eventful());
    let second = Storage::open(&scratch.path(""), ground(&watching(&[])));
    let told = second.unwrap_err().to_string();
    assert!(told.contains("is in use by another process"), "{told}");
    assert_eq!(files(&scratch.path("")), [FILE]);
}

#[test]
fn a_file_that_nobody_can_read_is_set_aside_and_the_newest_of_these_are_kept() {
    let scratch = Scratch::new("storage-damaged");
    for damage in 0..5 {
        scratch.write(FILE, [b'x'; 5000]);
        let facts = watching(&["rm-1"]);
        let (mut keeper, ground) = open(&scratch.path(""), &facts);
        keeper.ground.clock = Clock::set_by_hand(now() + chrono::Duration::seconds(damage));
        let counts = ground.tally.counts().storage.unwrap();
        assert_eq!(counts.set_aside, BTreeMap::from([("damaged", 1)]));
        assert!(counts.is_healthy);
        assert!(keeper.store(Changes::default(), true));
        fs::remove_file(scratch.path(FILE)).unwrap();
    }
    let kept = files(&scratch.path(""));
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert!(
        kept.iter()
            .all(|name| name.starts_with("facts.redb.damaged-2026"))
    );
    assert_eq!(fs::read(scratch.path(&kept[0])).unwrap(), [b'x'; 5000]);
}

#[test]
fn a_file_of_a_newer_version_is_set_aside_whole() {
    let scratch = Scratch::new("storage-newer");
    let path = stored(&scratch.path(""), &eventful());
    set_version(&path, VERSION + 1);
    let facts = watching(&[]);
    let (_keeper, ground) = open(&scratch.path(""), &facts);
    let counts = ground.tally.counts().storage.unwrap();
    assert_eq!(counts.set_aside, BTreeMap::from([("newer_version", 1)]));
    assert!(facts.all().is_empty());
    let names = files(&scratch.path(""));
    let newer = names
        .iter()
        .find(|name| name.starts_with("facts.redb.newer-"));
    // Whoever goes forward again renames it back.
    let newer = scratch.path(newer.unwrap());
    set_version(&newer, VERSION);
    let (_file, stored) = FactsFile::open(&newer).unwrap();
    assert_eq!(stored.instances.len(), 2);
}

#[test]
fn a_file_of_an_older_version_is_set_aside_and_said_to_be_one() {
    let scratch = Scratch::new("storage-older");
    let path = stored(&scratch.path(""), &eventful());
    set_version(&path, VERSION - 1);
    let facts = watching(&[]);
    let (_keeper, ground) = open(&scratch.path(""), &facts);
    let counts = ground.tally.counts().storage.unwrap();
    assert_eq!(counts.set_aside, BTreeMap::from([("older_version", 1)]));
    let names = files(&scratch.path(""));
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("facts.redb.older-")),
        "{names:?}"
    );
}

fn set_version(path: &Path, version: u64) {
    let about: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("about");
    let database = redb::Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(about)
        .unwrap()
        .insert("version", version)
        .unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_told_and_waited_for() {
    let scratch = Scratch::new("storage-no-folder");
    let folder = scratch.write("folder", "a file");
    let facts = eventful();
    let (mut keeper, ground) = open(&folder, &facts);
    let counts = || ground.tally.counts().storage.unwrap();
    assert!(!counts().is_healthy);
    assert_eq!(counts().failures["other"], 1);
    for _ in 0..8 {
        assert!(!keeper.store(Changes::default(), true));
    }
    assert_eq!(counts().failures["other"], 9);
    assert_eq!(keeper.failing.unwrap().pause, LONGEST_PAUSE);
    fs::remove_file(&folder).unwrap();
    assert!(keeper.store(Changes::default(), true));
    assert!(counts().is_healthy && counts().last_write == Some(now()));
    assert!(keeper.failing.is_none());
}

/// What is left of the first file on a full disk is in tests/disk.
#[test]
fn an_empty_file_is_a_new_one_and_not_a_damaged_one() {
    let scratch = Scratch::new("storage-empty");
    scratch.write(FILE, "");
    let (_keeper, ground) = open(&scratch.path(""), &eventful());
    let counts = ground.tally.counts().storage.unwrap();
    assert!(counts.is_healthy && counts.set_aside.is_empty());
    assert_eq!(files(&scratch.path("")), [FILE]);
}

#[test]
fn what_cannot_be_written_can_still_be_read() {
    let scratch = Scratch::new("storage-read-only");
    let path = stored(&scratch.path(""), &eventful());
    let (_file, open) = FactsFile::open(&path).unwrap();
    let copy = scratch.path("copy");
    fs::copy(&path, &copy).unwrap();
    // As it is after a kill, while it was open.
    let read = FactsFile::read_only(&copy).unwrap();
    assert_eq!(read.instances, open.instances);
    assert!(FactsFile::read_only(&scratch.write("x", "x")).is_err());
}

#[tokio::test]
async fn what_changes_is_stored_in_the_background_and_the_rest_at_the_end() {
    let scratch = Scratch::new("storage-background");
    let facts = watching(&["rm-1"]);
    let storage = Storage::open(&scratch.path(""), ground(&facts))
        .unwrap()
        .start();
    read(
        &facts,
        "rm-1",
        ago("1m"),
        ListingKind::Local,
        listing(vec![local("1h")]),
    );
    storage.stop(Duration::from_secs(30)).await;
    let back = Arc::new(Facts::with_ledgers());
    open(&scratch.path(""), &back);
    assert_eq!(known(&back), known(&facts));
}

fn round_trip(facts: &ListingFacts) -> ListingFacts {
    let finding = record::write(&FindingRecord::new(facts));
    let attempt = record::write(&AttemptRecord::of_listing(facts));
    let finding: FindingRecord<'_> = record::read(&finding).unwrap();
    finding.read(&record::read(&attempt).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn any_listing_comes_back_as_it_was(
        before in any_instance(),
        after in any_instance(),
        complete in any::<bool>(),
        message in "\\PC{0,20}",
        name in proptest::option::of("\\PC{0,20}"),
    ) {
        let facts = watching(&["rm-1"]);
        read(&facts, "rm-1", ago("5h"), ListingKind::Policy, policy_to(REGION));
        let parts = [(before, "2h", true), (after, "1h", complete)];
        for (instance, when, complete) in parts {
            for (kind, listing) in instance.0.listings {
                let Found::Sets(sets) = listing.found else { continue };
                let listing = Listing {
                    complete,
                    instance_name: name.clone(),
                    ..sets.listing.clone()
                };
                read(&facts, "rm-1", ago(when), kind, listing);
            }
        }
        let mut known = known_of(&facts.of(&key("rm-1")).unwrap()).2;
        if let Some(listing) = known.get_mut(&ListingKind::Local) {
            listing.last_attempt.failure = Some(crate::facts::Failure {
                reason: Reason::Timeout,
                message,
                missing_instance: complete,
            });
        }
        for listing in known.values() {
            prop_assert_eq!(&round_trip(listing), listing);
        }
    }

    #[test]
    fn any_bytes_make_a_record_or_none(
        one in proptest::collection::vec(any::<u8>(), 0..300),
        other in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let attempt = record::read::<AttemptRecord<'_>>(&other);
        let _instance = record::read::<InstanceRecord<'_>>(&one).and_then(|record| record.read());
        if let Ok(attempt) = attempt {
            let _listing = record::read::<FindingRecord<'_>>(&one)
                .and_then(|record| record.read(&attempt));
            let _region = record::read::<RegionRecord<'_>>(&one)
                .and_then(|record| record.read(&attempt));
        }
    }

    /// Records with a few wrong bytes come further than random ones.
    #[test]
    fn a_damaged_record_is_no_reason_to_panic(
        instance in any_instance(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for listing in instance.0.listings.values() {
            let mut finding = record::write(&FindingRecord::new(listing));
            let attempt = record::write(&AttemptRecord::of_listing(listing));
            for (place, byte) in &damage {
                let place = place.index(finding.len());
                finding[place] = *byte;
            }
            let attempt = record::read::<AttemptRecord<'_>>(&attempt).unwrap();
            let _maybe = record::read::<FindingRecord<'_>>(&finding)
                .and_then(|record| record.read(&attempt));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens to the file, what is taken back was stored once, or nothing is taken back. Never anything else.
    #[test]
    fn a_damaged_file_gives_facts_that_were_stored_or_none(
        bits in proptest::collection::vec((any::<prop::sample::Index>(), 0_u32..8), 0..4),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        near in any::<bool>(),
    ) {
        let scratch = Scratch::new("storage-flipped");
        let path = scratch.path(FILE);
        let facts = eventful();
        let mut states = vec![Vec::new()];
        let image = {
            let (mut file, _) = FactsFile::open(&path).unwrap();
            for round in 0..3 {
                let at = now() + chrono::Duration::minutes(round);
                read(&facts, "rm-2", at, ListingKind::Local, listing(vec![local("1d")]));
                file.write(&file.everything(&facts), &facts).unwrap();
                states.push(known(&facts));
            }
            // As it is on the disk when the process is killed.
            fs::read(&path).unwrap()
        };
        let mut damaged = image;
        let used = damaged.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        for (place, bit) in bits {
            // Most of a new file is empty; the header is where it hurts.
            let place = place.index(if near { 4096 } else { used });
            damaged[place] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        fs::write(&path, &damaged).unwrap();
        let open = contained(|| FactsFile::open(&path));
        let mut found: Vec<Known> = match open {
            Ok((_, stored)) => stored.instances.iter().map(known_of).collect(),
            Err(fault) => {
                prop_assert!(matches!(fault, Fault::Damaged(_)), "{fault:?}");
                Vec::new()
            }
        };
        // The file has them in the order in which they came.
        found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        prop_assert!(states.contains(&found));
    }
}

/// Ten thousand instances with two listings of 31 sets each, polled once in five minutes. Prints what it costs:
/// `cargo test --release --lib costs -- --ignored --nocapture`.
#[test]
#[ignore = "it measures, and takes a while"]
#[expect(clippy::cast_precision_loss, reason = "figures with one decimal")]
fn what_storing_ten_thousand_instances_costs() {
    const INSTANCES: usize = 10_000;
    const COMMITS: usize = 300;
    /// Bytes written, processor seconds, resident bytes.
    fn used() -> (u64, f64, u64) {
        let field = |file: &str, name: &str| -> u64 {
            let text = fs::read_to_string(file).unwrap();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let ticks = stat.rsplit(')').next().unwrap().split_whitespace();
        let ticks: f64 = ticks
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum();
        let resident = field("/proc/self/status", "VmRSS:") * 1024;
        (field("/proc/self/io", "wchar:"), ticks / 100.0, resident)
    }
    let scratch = Scratch::new("storage-costs");
    let path = scratch.path(FILE);
    let ids: Vec<_> = (0..INSTANCES)
        .map(|number| format!("rm-{number:018}"))
        .collect();
    let facts = watching(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let sets = |here: fn(&str) -> crate::backup::BackupSet| -> Vec<_> {
        (1..=31)
            .map(|day| here(&format!("{}h", day * 23)))
            .collect()
    };
    let (copies, locals) = (sets(|ended| copy_in(REGION, ended)), sets(local));
    let poll = |id: &str, at| {
        read(
            &facts,
            id,
            at,
            ListingKind::CrossRegion,
            listing(copies.clone()),
        );
        read(&facts, id, at, ListingKind::Local, listing(locals.clone()));
    };
    for id in &ids {
        poll(id, ago("1h"));
    }
    let feed = facts.feed();
    let before = used();
    let (mut file, _) = FactsFile::open(&path).unwrap();
    let began = std::time::Instant::now();
    file.write(&feed.take(), &facts).unwrap();
    let after = used();
    println!(
        "the first commit: {:.1} MB written, {:.1} s, {:.1} s of CPU, {:.1} MB of memory more, file {:.1} MB",
        (after.0 - before.0) as f64 / 1e6,
        began.elapsed().as_secs_f64(),
        after.1 - before.1,
        (after.2.saturating_sub(before.2)) as f64 / 1e6,
        fs::metadata(&path).unwrap().len() as f64 / 1e6,
    );
    let mut polling = 0.0;
    let before = used();
    for (number, ids) in ids.chunks(INSTANCES.div_ceil(COMMITS)).enumerate() {
        let began = used().1;
        for id in ids {
            poll(
                id,
                now() + chrono::Duration::seconds(i64::try_from(number).unwrap()),
            );
        }
        polling += used().1 - began;
        file.write(&feed.take(), &facts).unwrap();
    }
    let after = used();
    println!(
        "a round in which nothing changed, in {COMMITS} commits: {:.1} MB written, {:.1} s of CPU",
        (after.0 - before.0) as f64 / 1e6,
        after.1 - before.1 - polling,
    );
    drop(file);
    let (before, began) = (used(), std::time::Instant::now());
    let (_file, stored) = FactsFile::open(&path).unwrap();
    let after = used();
    println!(
        "taken back: {} instances in {:.2} s, {:.2} s of CPU, {:.1} MB of memory more",
        stored.instances.len(),
        began.elapsed().as_secs_f64(),
        after.1 - before.1,
        (after.2.saturating_sub(before.2)) as f64 / 1e6,
    );
}
