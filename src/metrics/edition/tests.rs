//! Editions held against what is written from the beginning, and against decoders.

use std::io::Read as _;

use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;
use crate::backup::{Description, FoundInstance, Inventory, ListingKind, Reading};
use crate::example::{LOOKBACK, any_instance, failure, now, target};
use crate::facts::{Found, Watched};
use crate::metrics::{Scrape, render};
use crate::provider::error::Reason;
use crate::tally::Tally;

const ACCOUNT: (&str, &str) = ("alibaba", "prod");
const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

/// Facts, and an editor that follows them.
struct Desk {
    facts: Facts,
    feed: crate::facts::Feed,
    editor: Editor,
    tally: Tally,
    process: ProcessMetrics,
    watched: BTreeSet<usize>,
}

const RELOAD: ReloadState = ReloadState {
    successful: true,
    last_success: DateTime::UNIX_EPOCH,
};

impl Desk {
    fn new() -> Self {
        let facts = Facts::default();
        Self {
            feed: facts.feed(),
            facts,
            editor: Editor::with_blocks_of(3),
            tally: Tally::default(),
            process: ProcessMetrics::default(),
            watched: BTreeSet::new(),
        }
    }

    fn adopt(&self) {
        let watched = self.watched.iter().map(|number| {
            let mut target = target(&format!("rm-{number:02}"));
            target.listings = ListingKind::ALL.to_vec();
            Watched::from(Arc::new(target))
        });
        self.facts.adopt(ACCOUNT, now(), watched);
    }

    fn revise(&mut self, at: DateTime<Utc>) -> Arc<Edition> {
        self.revise_with(LOOKBACK, at)
    }

    fn revise_with(&mut self, lookback: Lookback, at: DateTime<Utc>) -> Arc<Edition> {
        let changes = self.feed.take();
        self.editor.revise(&self.facts, changes, lookback, at)
    }

    fn written_from_the_beginning(
        &self,
        format: Format,
        lookback: Lookback,
        at: DateTime<Utc>,
    ) -> String {
        let instances: Vec<_> = self
            .facts
            .all()
            .into_iter()
            .map(|facts| Assessed {
                posture: posture::assess(&facts, lookback, at),
                facts,
            })
            .collect();
        let scrape = Scrape {
            now: at,
            instances: &instances,
            regions: &self.facts.regions(),
            counts: &self.tally.counts(),
            reload: RELOAD,
            shard: Shard::WHOLE,
        };
        without_process(&render(&scrape, &self.process, format))
    }

    fn shown(&self, edition: &Edition, format: Format, at: DateTime<Utc>) -> String {
        let supplement = Supplement {
            counts: &self.tally.counts(),
            reload: RELOAD,
            shard: Shard::WHOLE,
            process: &self.process,
        };
        let text = edition.text(format, &supplement, at).concat();
        let gzip = edition.gzip(format, &supplement, at).concat();
        let mut decoder = GzDecoder::new(&gzip[..]);
        let mut unpacked = Vec::new();
        decoder.read_to_end(&mut unpacked).unwrap();
        assert!(decoder.into_inner().is_empty(), "nothing follows");
        let text = without_process(&text);
        assert_eq!(text, without_process(&unpacked));
        text
    }

    fn check(&mut self, lookback: Lookback, at: DateTime<Utc>) {
        let edition = self.revise_with(lookback, at);
        for format in FORMATS {
            let expected = self.written_from_the_beginning(format, lookback, at);
            assert_eq!(self.shown(&edition, format, at), expected);
        }
    }
}

/// What the process says of itself is different each time.
fn without_process(text: &[u8]) -> String {
    let text = std::str::from_utf8(text).unwrap();
    let lines = text.split_inclusive('\n');
    let others = lines.filter(|line| !line.contains("process_"));
    others.collect()
}

/// Something that happens between two editions.
#[derive(Debug, Clone)]
enum Event {
    Comes(usize),
    Goes(usize),
    Read(usize, ListingKind, Box<Found>),
    Fails(usize, ListingKind, bool),
    Inventory(Vec<usize>),
    Waits(i64),
    Publishes,
    Forgets,
}

fn any_event() -> impl Strategy<Value = Event> {
    let number = || 0..24_usize;
    let kind = || proptest::sample::select(ListingKind::ALL.to_vec());
    prop_oneof![
        6 => number().prop_map(Event::Comes),
        2 => number().prop_map(Event::Goes),
        6 => (number(), any_instance()).prop_map(|(number, instance)| {
            let (kind, listing) = instance.0.listings.into_iter().next().map_or(
                (ListingKind::Local, Found::Nothing),
                |(kind, listing)| (kind, listing.found),
            );
            Event::Read(number, kind, Box::new(listing))
        }),
        2 => (number(), kind(), any::<bool>()).prop_map(|(number, kind, missing)| Event::Fails(number, kind, missing)),
        1 => proptest::collection::vec(number(), 0..8).prop_map(Event::Inventory),
        3 => (-100_000..4_000_000_i64).prop_map(Event::Waits),
        4 => Just(Event::Publishes),
        1 => Just(Event::Forgets),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn an_edition_says_what_is_written_written_from_the_beginning(events in proptest::collection::vec(any_event(), 0..60)) {
        let mut desk = Desk::new();
        let mut at = now();
        let region = RegionKey { provider: "alibaba", account: "prod".into(), region: "cn-hangzhou".into(), service: crate::service::Service::AlibabaRds };
        desk.facts.adopt_regions(ACCOUNT, std::slice::from_ref(&region));
        for event in events {
            match event {
                Event::Comes(number) => { desk.watched.insert(number); desk.adopt(); }
                Event::Goes(number) => { desk.watched.remove(&number); desk.adopt(); }
                Event::Read(number, kind, found) => {
                    let key = target(&format!("rm-{number:02}")).key;
                    let outcome = match *found {
                        Found::Sets(sets) => Ok(Reading::Sets(sets.listing.clone())),
                        Found::Policy(policy) => Ok(Reading::Policy(policy.as_ref().clone())),
                        Found::Windows(windows) => Ok(Reading::Windows(windows.as_ref().clone())),
                        Found::Nothing | Found::Unsupported => Err(failure(Reason::Unsupported)),
                    };
                    desk.facts.record(&key, kind, at, LOOKBACK, outcome);
                }
                Event::Fails(number, kind, missing) => {
                    let key = target(&format!("rm-{number:02}")).key;
                    let mut error = failure(Reason::NotFound);
                    error.missing_instance = missing;
                    desk.facts.record(&key, kind, at, LOOKBACK, Err(error));
                }
                Event::Inventory(numbers) => {
                    let instances = numbers.iter().map(|number| FoundInstance {
                        id: format!("rm-{number:02}"),
                        description: Description::default(),
                        has_backups: true,
                        at_work: true,
                    });
                    let inventory = Inventory { instances: instances.collect(), outlived: vec!["rm-01".to_owned()], complete: true, tells_absence: !numbers.is_empty() };
                    desk.facts.record_inventory(&region, at, std::time::Duration::from_secs(3600), Ok(inventory));
                }
                Event::Waits(seconds) => at += Duration::seconds(seconds),
                Event::Publishes => desk.check(LOOKBACK, at),
                Event::Forgets => desk.check(Lookback { sets: LOOKBACK.sets / 2, ..LOOKBACK }, at),
            }
        }
        desk.check(LOOKBACK, at);
    }
}

#[test]
fn an_edition_is_the_same_as_long_as_nothing_changes() {
    let mut desk = Desk::new();
    desk.watched.extend(0..10);
    desk.adopt();
    let first = desk.revise(now());
    assert!(Arc::ptr_eq(&first, &desk.revise(now())));
    let key = target("rm-03").key;
    let outcome = Ok(Reading::Sets(crate::backup::Listing::default()));
    desk.facts
        .record(&key, ListingKind::Local, now(), LOOKBACK, outcome);
    let second = desk.revise(now());
    assert!(second.number() > first.number());
    // What was not touched is not written again.
    let same = second.section("cloud_backup_instance_info").unwrap();
    assert!(Arc::ptr_eq(
        same,
        first.section("cloud_backup_instance_info").unwrap()
    ));
    assert!(second.section("cloud_backup_poll_success").is_some());
}

#[test]
fn ages_grow_by_the_second_in_one_and_the_same_edition() {
    let mut desk = Desk::new();
    desk.watched.insert(1);
    desk.adopt();
    let key = target("rm-01").key;
    let listing = crate::example::listing(vec![crate::example::local("1h")]);
    desk.facts.record(
        &key,
        ListingKind::Local,
        now(),
        LOOKBACK,
        Ok(Reading::Sets(listing)),
    );
    let edition = desk.revise(now());
    let age = |desk: &Desk, seconds: i64| -> i64 {
        let shown = desk.shown(&edition, Format::Text, now() + Duration::seconds(seconds));
        let line = shown
            .lines()
            .find(|line| line.starts_with("cloud_backup_last_success_age_seconds{"));
        line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    for seconds in [0, 1, 2, 100, 1, 1_000_000] {
        assert_eq!(age(&desk, seconds), 3600 + seconds);
    }
}
