//! One account at work: which of its instances are watched, and a task for everything that is polled about them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::account::{Account, account_key};
use super::cadence::Bounds;
use super::errand::{Errand, errands, searches};
use super::schedule::Schedule;
use super::timetable::Timetable;
use super::{Ground, absent, run_for_ever, tell_of_gone};
use crate::backup::{BackupSet, ListingKind};
use crate::config::{AccountConfig, PollMode};
use crate::facts::{Facts, Watched};
use crate::service::Service;
use crate::target::InstanceKey;

/// The tasks of one account.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) ground: Ground,
    pub(super) account: Arc<Account>,
    work: Mutex<Work>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Work {
    config: AccountConfig,
    is_over: bool,
    tasks: HashMap<Errand, Task>,
}

/// An errand that is being run again and again.
#[derive(Debug)]
struct Task {
    handle: AbortHandle,
    /// Something was read of the sets whose copies it lists.
    news: Arc<Notify>,
}

impl Crew {
    /// Nothing is polled before [`Crew::muster`].
    pub(super) fn new(
        ground: Ground,
        account: Arc<Account>,
        config: AccountConfig,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            ground,
            account,
            work: Mutex::new(Work {
                config,
                is_over: false,
                tasks: HashMap::new(),
            }),
            tasks,
            stop,
        }
    }

    /// The configuration has changed in nothing but what is watched.
    pub(super) fn set_config(&self, config: AccountConfig) {
        self.lock().config = config;
    }

    /// Decides anew what is watched, and polls that and nothing else. What stays goes on undisturbed.
    pub(super) fn muster(self: &Arc<Self>) {
        let mut work = self.lock();
        // A list of instances may come in while the account is being taken off.
        if work.is_over {
            return;
        }
        let facts = &self.ground.facts;
        let mut before_facts = facts.all();
        before_facts.retain(|known| {
            let key = &known.target.key;
            (key.provider, &*key.account) == (self.account.key.provider, &*self.account.key.account)
        });
        let absent = absent(facts, before_facts.iter().map(|known| &known.target.key));
        let errands = assign(&self.ground, &self.account, &work.config, work.tasks.keys());
        if work.tasks.is_empty() {
            self.recall_copies();
        }
        let interval = |errand: &Errand| errand.interval(&self.account.poll);
        let mut of_interval: HashMap<Duration, usize> = HashMap::new();
        for errand in &errands {
            *of_interval.entry(interval(errand)).or_default() += 1;
        }
        let mut before = std::mem::take(&mut work.tasks);
        let mut places: HashMap<Duration, usize> = HashMap::new();
        let start = Instant::now();
        for errand in errands {
            let interval = interval(&errand);
            let place = places.entry(interval).or_default();
            let task = before.remove(&errand).unwrap_or_else(|| {
                let count = of_interval[&interval];
                let schedule = Schedule::spread(start, *place, count, interval);
                let timetable = self.timetable(&errand, interval, schedule);
                self.start(errand.clone(), timetable)
            });
            *place += 1;
            work.tasks.insert(errand, task);
        }
        for left in before.into_values() {
            left.handle.abort();
        }
        drop(work);
        tell_of_gone(facts, &before_facts);
        self.tell_of_return(&absent);
    }

    /// Has those errands think again when they are due which ask about one of these instances that is back.
    pub(super) fn tell_of_return(&self, absent_before: &HashSet<InstanceKey>) {
        let absent_now = absent(&self.ground.facts, absent_before);
        let back: HashSet<_> = absent_before.difference(&absent_now).collect();
        if back.is_empty() {
            return;
        }
        for (errand, task) in &self.lock().tasks {
            let mut instances = errand.instances().iter();
            if instances.any(|instance| back.contains(instance)) {
                task.news.notify_one();
            }
        }
    }

    /// Tells the provider what is known from before it was made: from an earlier process, or an earlier configuration.
    fn recall_copies(&self) {
        let account = &self.account.key;
        let now = self.ground.clock.now();
        for facts in self.ground.facts.all() {
            let key = &facts.target.key;
            if (key.provider, &key.account) != (account.provider, &account.account) {
                continue;
            }
            let copies = facts.listings.get(&ListingKind::CrossRegion);
            let sets = copies.and_then(|copies| copies.found.sets()).into_iter();
            let sets = sets.flat_map(|sets| sets.listing.sets.iter().chain(&sets.remembered));
            let mut newest: BTreeMap<_, Option<DateTime<Utc>>> = BTreeMap::new();
            for set in sets.filter(|set| !set.backup_region.is_empty()) {
                let usable = Some(set).filter(|set| set.is_sound(now));
                let newest = newest.entry(Arc::clone(&set.backup_region)).or_default();
                *newest = usable.and_then(BackupSet::finished).max(*newest);
            }
            self.account.provider.recall_copies(key, &newest);
        }
    }

    /// Stops all polling of the account at once, for good.
    pub(super) fn dismiss(&self) {
        let mut work = self.lock();
        work.is_over = true;
        for (_, task) in work.tasks.drain() {
            task.handle.abort();
        }
    }

    /// Has those errands think again when they are due which list the copies of what this one has just read.
    pub(super) fn tell_of_originals(&self, errand: &Errand) {
        let work = self.lock();
        match errand {
            Errand::One((instance, ListingKind::Local)) => {
                let copies = Errand::One((instance.clone(), ListingKind::CrossRegion));
                if let Some(task) = work.tasks.get(&copies) {
                    task.news.notify_one();
                }
            }
            Errand::Together {
                kind: ListingKind::Local,
                ..
            } => {
                let tasks = work.tasks.iter();
                for (_, task) in tasks.filter(|(other, _)| other.lists_copies_of(errand)) {
                    task.news.notify_one();
                }
            }
            Errand::Discover(_) | Errand::One(_) | Errand::Together { .. } => {}
        }
    }

    fn start(self: &Arc<Self>, errand: Errand, timetable: Timetable) -> Task {
        let news = Arc::new(Notify::new());
        let run = run_for_ever(
            Arc::clone(self),
            errand,
            timetable,
            Arc::clone(&news),
            self.stop.clone(),
        );
        Task {
            handle: self.tasks.spawn(run).abort_handle(),
            news,
        }
    }

    /// As its listings tell, if they do and are to be heard; else at fixed intervals.
    fn timetable(&self, errand: &Errand, interval: Duration, schedule: Schedule) -> Timetable {
        let poll = &self.account.poll;
        let listings = errand.listings_that_tell();
        let bounds = Bounds {
            interval: poll.interval,
            ceiling: poll.max_interval,
        };
        if poll.mode == PollMode::Adaptive && !listings.is_empty() {
            Timetable::adaptive(bounds, schedule, listings.into_iter())
        } else {
            Timetable::fixed(bounds, interval, schedule)
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes on the instances that are to be watched, and tells everything that has to be asked.
///
/// `before` is what was asked before.
pub(super) fn assign<'a>(
    ground: &Ground,
    account: &Account,
    config: &AccountConfig,
    before: impl Iterator<Item = &'a Errand>,
) -> Vec<Errand> {
    let key = account_key(config);
    let searches = searches(config);
    let key = (key.provider, &*key.account);
    ground.facts.adopt_regions(key, &searches);
    let mut watched = watched(&ground.facts, config);
    watched.retain(|watched| {
        let instance = &watched.target.key;
        ground
            .shard
            .owns(instance.provider, &instance.account, &instance.instance_id)
    });
    let targets: Vec<_> = watched
        .iter()
        .map(|watched| Arc::clone(&watched.target))
        .collect();
    ground.facts.adopt(key, ground.clock.now(), watched);
    account.set_targets(&targets, &searches);
    let searches = searches.into_iter().map(Errand::Discover);
    let errands = errands(&targets, before);
    searches.chain(errands).collect()
}

/// What tells an instance from the others of its account, in labels.
fn place_of(key: &InstanceKey) -> (Arc<str>, Arc<str>) {
    (Arc::clone(&key.source_region), Arc::clone(&key.instance_id))
}

/// The instances that are watched: those of the configuration, and those that were found and are selected.
fn watched(facts: &Facts, config: &AccountConfig) -> Vec<Watched> {
    let mut watched: Vec<Watched> = config
        .targets
        .iter()
        .map(|target| Watched::from(Arc::clone(target)))
        .collect();
    let places = config.targets.iter().enumerate();
    let configured: HashMap<&InstanceKey, usize> =
        places.map(|(place, target)| (&target.key, place)).collect();
    let Some(discover) = &config.discover else {
        return watched;
    };
    // Labels are unique in an account: an id that two services list is the instance of the first.
    let mut taken: HashMap<(Arc<str>, Arc<str>), Service> = configured
        .keys()
        .map(|key| (place_of(key), key.service))
        .collect();
    let label = config.provider.label();
    let regions = facts
        .regions()
        .into_iter()
        .filter(|(key, _)| key.provider == label && key.account == config.name);
    for (region, found) in regions {
        for (id, listed) in &found.instances {
            let description = listed.instance.description.clone();
            let key = region.instance(id);
            if let Some(place) = configured.get(&key) {
                watched[*place].description = description;
                watched[*place].listed = Some(listed.missing);
                continue;
            }
            let service = *taken.entry(place_of(&key)).or_insert(key.service);
            if service != key.service {
                continue;
            }
            let known = facts.of(&key);
            // What is being created has nothing to list yet; what was watched before has not lost its backups.
            let is_selected = listed.instance.has_backups
                && (listed.instance.at_work || known.is_some())
                && discover.selects(id, description.name.as_deref());
            if !is_selected {
                continue;
            }
            let target = Arc::new(discover.target(key));
            let same = known.filter(|known| known.target == target);
            watched.push(Watched {
                target: same.map_or(target, |known| Arc::clone(&known.target)),
                description,
                listed: Some(listed.missing),
                is_found: true,
            });
        }
    }
    watched
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::backup::{Description, FoundInstance, Inventory};
    use crate::config::Config;
    use crate::example::ago;
    use crate::facts::RegionKey;

    const HOUR: Duration = Duration::from_secs(3600);

    fn config(rest: &str) -> AccountConfig {
        let yaml = format!("accounts: [{{name: prod, provider: alibaba, {rest}}}]");
        Config::parse(&yaml, []).unwrap().accounts.remove(0)
    }

    fn found(id: &str) -> FoundInstance {
        FoundInstance {
            id: id.to_owned(),
            description: Description {
                name: Some(format!("the {id}")),
                ..Description::default()
            },
            has_backups: true,
            at_work: true,
        }
    }

    /// What is found in Hangzhou at this time.
    fn find(
        facts: &Facts,
        config: &AccountConfig,
        at: DateTime<Utc>,
        instances: Vec<FoundInstance>,
    ) {
        let searches = searches(config);
        facts.adopt_regions(("alibaba", "prod"), &searches);
        let inventory = Inventory {
            tells_absence: !instances.is_empty(),
            instances,
            outlived: Vec::new(),
            complete: true,
        };
        facts.record_inventory(&searches[0], at, HOUR, Ok(inventory));
        facts.adopt(("alibaba", "prod"), at, watched(facts, config));
    }

    /// Who is watched: the id, the name that the provider gives it, and how it is there.
    fn who(facts: &Facts) -> Vec<(String, Option<String>, &'static str)> {
        let all = facts.all().into_iter();
        all.map(|facts| {
            let id = facts.target.key.instance_id.to_string();
            let existence = match (facts.is_gone(), facts.is_missing()) {
                (true, _) => "gone",
                (_, true) => "missing",
                _ => "there",
            };
            (id, facts.description.name.clone(), existence)
        })
        .collect()
    }

    fn named(id: &str, existence: &'static str) -> (String, Option<String>, &'static str) {
        (id.to_owned(), Some(format!("the {id}")), existence)
    }

    #[test]
    fn what_is_found_is_watched_unless_it_is_filtered_out_or_has_no_backups() {
        let config = config("discover: {regions: [cn-hangzhou], exclude: [test]}");
        let facts = Facts::default();
        let replica = FoundInstance {
            has_backups: false,
            ..found("rr-1")
        };
        let at = ago("1m");
        find(
            &facts,
            &config,
            at,
            vec![found("rm-1"), found("rm-test"), replica],
        );
        assert_eq!(who(&facts), [named("rm-1", "there")]);
    }

    /// Two services of one account, as if the vendor had both.
    const BOTH: [Service; 2] = [Service::AlibabaRds, Service::VolcengineRedis];

    /// What a search for the instances of one of both services finds.
    fn find_of(facts: &Facts, config: &AccountConfig, when: &str, service: Service, ids: &[&str]) {
        let searches = searches(config);
        facts.adopt_regions(("alibaba", "prod"), &searches);
        let mut of_service = searches.iter().filter(|key| key.service == service);
        let inventory = Inventory {
            tells_absence: !ids.is_empty(),
            instances: ids.iter().copied().map(found).collect(),
            outlived: Vec::new(),
            complete: true,
        };
        let at = ago(when);
        let key = of_service.next().unwrap();
        facts.record_inventory(key, at, HOUR, Ok(inventory));
        facts.adopt(("alibaba", "prod"), at, watched(facts, config));
    }

    fn with_both(watched: &str) -> AccountConfig {
        let mut config = config(watched);
        config.services = BOTH.to_vec();
        config.discover.as_mut().unwrap().services = BOTH.to_vec();
        config
    }

    #[test]
    fn a_whole_list_of_one_service_says_nothing_of_anothers_instances() {
        let config = with_both("discover: {regions: [cn-hangzhou]}");
        let facts = Facts::default();
        let all = ["db-1", "db-2", "db-3", "db-4", "db-5"];
        find_of(&facts, &config, "9h", BOTH[0], &all);
        find_of(&facts, &config, "9h", BOTH[1], &["kv-1"]);
        let states = |facts: &Facts| {
            let all = who(facts).into_iter();
            all.map(|(id, _, existence)| (id, existence))
                .collect::<Vec<_>>()
        };
        let expected = |last| {
            let there = all[..4].iter().map(|id| ((*id).to_owned(), "there"));
            let changed = [("db-5".to_owned(), last), ("kv-1".to_owned(), "there")];
            there.chain(changed).collect::<Vec<_>>()
        };
        assert_eq!(states(&facts), expected("there"));
        for hours in (3..9).rev() {
            let when = format!("{hours}h");
            let last = if hours == 3 { "gone" } else { "missing" };
            find_of(&facts, &config, &when, BOTH[0], &all[..4]);
            assert_eq!(states(&facts), expected(last), "{when}");
        }
        // Nor does one that has nothing at all.
        find_of(&facts, &config, "2h", BOTH[0], &[]);
        assert_eq!(states(&facts).pop(), Some(("kv-1".to_owned(), "there")));
        assert_eq!(
            facts.all().last().unwrap().target.key.service,
            BOTH[1],
            "it is watched as its own service's"
        );
    }

    #[test]
    fn no_two_instances_of_an_account_have_the_same_labels() {
        let config = with_both(
            "discover: {regions: [cn-hangzhou]}, instances: [{id: db-1, region: cn-hangzhou}]",
        );
        let facts = Facts::default();
        find_of(&facts, &config, "2h", BOTH[1], &["db-1", "db-2"]);
        find_of(&facts, &config, "1h", BOTH[0], &["db-1", "db-2"]);
        let all = facts.all().into_iter();
        let all: Vec<_> = all
            .map(|facts| {
                let key = &facts.target.key;
                (key.instance_id.to_string(), key.service)
            })
            .collect();
        let expected = ["db-1", "db-2"].map(|id| (id.to_owned(), BOTH[0]));
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_being_made_is_watched_once_it_is_at_work_and_from_then_on() {
        let config = config("discover: {regions: [cn-hangzhou]}");
        let facts = Facts::default();
        let idle = || FoundInstance {
            at_work: false,
            ..found("rm-1")
        };
        find(&facts, &config, ago("3m"), vec![idle()]);
        assert_eq!(who(&facts), []);
        find(&facts, &config, ago("2m"), vec![found("rm-1")]);
        assert_eq!(who(&facts), [named("rm-1", "there")]);
        // A restart takes nothing away.
        find(&facts, &config, ago("1m"), vec![idle()]);
        assert_eq!(who(&facts), [named("rm-1", "there")]);
    }

    #[test]
    fn what_is_found_no_longer_is_missing_then_gone_and_then_forgotten_but_not_what_is_named() {
        let config = config(
            "discover: {regions: [cn-hangzhou]}, instances: [{id: rm-1, region: cn-hangzhou}]",
        );
        let facts = Facts::default();
        let minutes = |minutes: u32| ago(&format!("{minutes}m"));
        let all = || ["rm-1", "rm-2", "rm-3"].map(found).to_vec();
        find(&facts, &config, minutes(300), all());
        // One at a time is what happens in life.
        for search in 1..=5 {
            find(
                &facts,
                &config,
                minutes(300 - search * 10),
                all()[..2].to_vec(),
            );
            assert_eq!(who(&facts)[2], named("rm-3", "missing"), "{search}");
        }
        find(&facts, &config, minutes(240), all()[..2].to_vec());
        assert_eq!(who(&facts)[2], named("rm-3", "gone"));
        find(&facts, &config, minutes(190), all()[1..2].to_vec());
        assert_eq!(who(&facts)[0], named("rm-1", "missing"));
        find(&facts, &config, minutes(180), all()[1..2].to_vec());
        assert_eq!(
            who(&facts),
            [named("rm-1", "missing"), named("rm-2", "there")],
            "an hour after it was gone it is forgotten"
        );
        for search in 0..100 {
            find(&facts, &config, minutes(100 - search), all()[1..2].to_vec());
        }
        assert_eq!(
            who(&facts),
            [named("rm-1", "gone"), named("rm-2", "there")],
            "somebody named it"
        );
    }

    #[test]
    fn a_list_that_cannot_be_believed_takes_nothing_away() {
        let config = config("discover: {regions: [cn-hangzhou]}");
        let ids: Vec<String> = (0..10).map(|number| format!("rm-{number}")).collect();
        let all = || ids.iter().map(|id| found(id)).collect::<Vec<_>>();
        for (case, left) in [("empty", 0), ("a filter of rights", 7)] {
            let facts = Facts::default();
            find(&facts, &config, ago("9h"), all());
            for search in 0..100 {
                let at = ago(&format!("{}m", 500 - search));
                find(&facts, &config, at, all()[..left].to_vec());
            }
            let missing = who(&facts).into_iter().filter(|who| who.2 == "missing");
            assert_eq!(missing.count(), 10 - left, "{case}");
            assert_eq!(who(&facts).len(), 10, "{case}");
            // Nothing was lost.
            find(&facts, &config, ago("1m"), all());
            let there = who(&facts).into_iter().filter(|who| who.2 == "there");
            assert_eq!(there.count(), 10, "{case}");
        }
        // A fifth may be missing at once.
        let facts = Facts::default();
        find(&facts, &config, ago("9h"), all());
        for search in 0..6 {
            let at = ago(&format!("{}m", 400 - search));
            find(&facts, &config, at, all()[..8].to_vec());
        }
        let gone = who(&facts).into_iter().filter(|who| who.2 == "gone");
        assert_eq!(gone.count(), 2);
    }

    #[test]
    fn a_list_that_says_less_of_an_instance_is_asked_for_again() {
        let config = config("discover: {regions: [cn-hangzhou], include: ['^the ']}");
        let nameless = || FoundInstance {
            description: Description::default(),
            ..found("rm-1")
        };
        let replica = || FoundInstance {
            has_backups: false,
            ..found("rm-1")
        };
        for less in [&nameless as &dyn Fn() -> FoundInstance, &replica] {
            let facts = Facts::default();
            find(&facts, &config, ago("3m"), vec![found("rm-1")]);
            find(&facts, &config, ago("2m"), vec![less()]);
            assert_eq!(who(&facts), [named("rm-1", "there")]);
            assert!(facts.regions()[0].1.is_doubted());
            find(&facts, &config, ago("1m"), vec![less()]);
            assert_eq!(who(&facts), []);
            assert!(!facts.regions()[0].1.is_doubted());
        }
    }

    #[test]
    fn regions_that_are_no_longer_looked_into_are_forgotten_with_what_was_found_there() {
        let both = config("discover: {regions: [cn-hangzhou, cn-beijing]}");
        let facts = Facts::default();
        find(&facts, &both, ago("1m"), vec![found("rm-1")]);
        let other = config("discover: {regions: [cn-beijing]}");
        facts.adopt_regions(("alibaba", "prod"), &searches(&other));
        facts.adopt(("alibaba", "prod"), ago("0s"), watched(&facts, &other));
        assert_eq!(who(&facts), []);
        let regions: Vec<RegionKey> = facts.regions().into_iter().map(|(key, _)| key).collect();
        assert_eq!(regions, searches(&other));
    }
}
