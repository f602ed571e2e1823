//! The memory of a chain, played with sources that answer from a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{advance, sleep};

use super::loopback::shown;
use super::*;
use crate::example::now;

fn inline(secret: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(secret.to_owned()))
}

fn credential(secret: &str, token: Option<&str>) -> Credential {
    Credential {
        access_key_id: Secret::new("LTAI".to_owned()),
        access_key_secret: Secret::new(secret.to_owned()),
        security_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

#[test]
fn keys_are_told_apart_and_never_shown() {
    let one = credential("hush", None);
    for (other, same) in [
        (credential("hush", None), true),
        (credential("hush!", None), false),
        (credential("hush", Some("token")), false),
    ] {
        assert_eq!(one.fingerprint() == other.fingerprint(), same);
        let shown = format!("{other:?} {:?}", other.fingerprint());
        for secret in ["hush", "LTAI", "\"token\""] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_go_on_serving() {
    let folder = std::env::temp_dir().join(format!("credentials-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("secret");
    let source = CredentialSource::configured(
        inline("LTAI"),
        SecretSource::File(file.clone()),
        Some(inline("CAIS")),
    );
    assert_eq!(source.describe(), "files named in the configuration");
    // Nothing was read yet, so there is nothing that could go on serving.
    let problem = source.current().await.unwrap_err();
    assert!(problem.contains("does not exist"), "{problem}");
    for (content, expected) in [("first\n", "first"), ("second", "second"), ("", "second")] {
        std::fs::write(&file, content).unwrap();
        let expected = credential(expected, Some("CAIS"));
        assert_eq!(source.current().await, Ok(expected));
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let expected = credential("second", Some("CAIS"));
    assert_eq!(source.current().await, Ok(expected));
}

#[tokio::test]
async fn configured_keys_are_not_shown() {
    let source = CredentialSource::configured(inline("LTAI"), inline("hush"), None);
    assert_eq!(source.describe(), "the configuration");
    assert_eq!(source.current().await, Ok(credential("hush", None)));
    source
        .rejected(credential("hush", None).fingerprint())
        .await;
    let shown = format!("{source:?}");
    assert!(
        !shown.contains("hush") && !shown.contains("LTAI"),
        "{shown}"
    );
}

/// A source that gives what its script says, a second after it is asked; then it fails.
#[derive(Debug, Clone, Default)]
struct Script {
    name: &'static str,
    outlook: Option<Result<Outlook, Lack>>,
    answers: Arc<Mutex<VecDeque<Result<Keys, String>>>>,
    fetched: Arc<AtomicUsize>,
}

impl Script {
    fn named(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    fn expecting(self, outlook: Result<Outlook, Lack>) -> Self {
        let outlook = Some(outlook);
        Self { outlook, ..self }
    }

    fn gives(&self, secret: &str, lifetime: Lifetime) -> &Self {
        let keys = Keys {
            credential: credential(secret, None),
            lifetime,
            from: self.name.to_owned(),
        };
        self.answers.lock().unwrap().push_back(Ok(keys));
        self
    }

    fn fails(&self, why: &str) -> &Self {
        self.answers.lock().unwrap().push_back(Err(why.to_owned()));
        self
    }

    fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

impl Source for Script {
    fn name(&self) -> &'static str {
        self.name
    }

    fn outlook(&self) -> Result<Outlook, Lack> {
        let sure = || Ok(Outlook::Sure(self.name.to_owned()));
        self.outlook.clone().unwrap_or_else(sure)
    }

    fn fetch(&self) -> Fetching<'_> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            sleep(Duration::from_secs(1)).await;
            let answer = self.answers.lock().unwrap().pop_front();
            answer.unwrap_or_else(|| Err("the script is over".to_owned()))
        })
    }
}

/// A chain of these sources, with its clock.
fn chain(sources: &[&Script]) -> (Chain, Clock) {
    let clock = Clock::set_by_hand(now());
    let sources = sources
        .iter()
        .map(|source| Box::new((*source).clone()) as Box<dyn Source>)
        .collect();
    (Chain::new("prod".into(), clock.clone(), sources), clock)
}

fn until(clock: &Clock, minutes: i64) -> Lifetime {
    Lifetime::Until {
        expires: clock.now() + chrono::Duration::minutes(minutes),
        margin: minutes_long(15),
    }
}

const fn minutes_long(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// Time goes by for everybody.
async fn pass(clock: &Clock, time: Duration) {
    clock.advance(time);
    advance(time).await;
}

/// Lets an attempt that nobody waits for come to its end.
async fn settle() {
    sleep(Duration::from_secs(2)).await;
}

async fn secret(chain: &Chain) -> Result<String, String> {
    let [_, secret, _] = shown(chain.current().await?);
    Ok(secret)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is compared with what may fail"
)]
fn good(secret: &str) -> Result<String, String> {
    Ok(secret.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_first_source_that_has_keys_is_remembered() {
    let [first, second, third] = ["first", "second", "third"].map(Script::named);
    let (chain, clock) = chain(&[&first, &second, &third]);
    first.fails("FIRST_KEY is not set");
    second
        .gives("one", until(&clock, 60))
        .gives("two", until(&clock, 120));
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, minutes_long(61)).await;
    assert_eq!(secret(&chain).await, good("two"));
    assert_eq!(
        (first.fetched(), second.fetched(), third.fetched()),
        (1, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn when_no_source_has_keys_each_says_why_and_memory_answers_for_a_while() {
    let [first, second] = ["first", "second"].map(Script::named);
    let (chain, clock) = chain(&[&first, &second]);
    first.fails("FIRST_KEY is not set").fails("again");
    second.fails("HTTP 404").gives("late", Lifetime::Process);
    let expected = Err("no keys: first: FIRST_KEY is not set; second: HTTP 404".to_owned());
    assert_eq!(secret(&chain).await, expected);
    for _ in 0..5 {
        pass(&clock, Duration::from_millis(1_900)).await;
        assert_eq!(secret(&chain).await, expected);
    }
    assert_eq!((first.fetched(), second.fetched()), (1, 1));
    pass(&clock, Duration::from_secs(1)).await;
    assert_eq!(secret(&chain).await, good("late"));
    pass(&clock, minutes_long(100_000)).await;
    assert_eq!(secret(&chain).await, good("late"));
    assert_eq!(second.fetched(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_asked_less_and_less_often() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    let mut asked = Vec::new();
    for second in 0..900_u64 {
        let before = source.fetched();
        chain.current().await.unwrap_err();
        if source.fetched() > before {
            asked.push(second);
        }
        pass(&clock, Duration::from_secs(1)).await;
    }
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses.iter().all(|pause| (9..=121).contains(pause)),
        "{pauses:?}"
    );
    let later = &pauses[4..];
    assert!(later.iter().all(|pause| *pause >= 55), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn temporary_keys_are_renewed_in_the_background_before_they_expire() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source
        .gives("one", until(&clock, 60))
        .gives("two", until(&clock, 105));
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, minutes_long(44)).await;
    assert_eq!(secret(&chain).await, good("one"));
    settle().await;
    assert_eq!(source.fetched(), 1);
    pass(&clock, minutes_long(1)).await;
    // Nobody waits for the renewal.
    assert_eq!(secret(&chain).await, good("one"));
    settle().await;
    assert_eq!(secret(&chain).await, good("two"));
    assert_eq!(source.fetched(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_live_shortly_are_renewed_when_a_third_of_their_life_is_left() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source
        .gives("one", until(&clock, 9))
        .gives("two", until(&clock, 20));
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, minutes_long(5)).await;
    assert_eq!(secret(&chain).await, good("one"));
    settle().await;
    assert_eq!(source.fetched(), 1);
    pass(&clock, minutes_long(1)).await;
    assert_eq!(secret(&chain).await, good("one"));
    settle().await;
    assert_eq!(secret(&chain).await, good("two"));
}

#[tokio::test(start_paused = true)]
async fn valid_keys_go_on_serving_while_they_cannot_be_renewed_and_expired_ones_never_do() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source.gives("one", until(&clock, 60));
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, minutes_long(46)).await;
    for _ in 0..13 {
        assert_eq!(secret(&chain).await, good("one"));
        settle().await;
        pass(&clock, minutes_long(1)).await;
    }
    let asked = source.fetched();
    assert!((6..=14).contains(&asked), "{asked}");
    pass(&clock, minutes_long(5)).await;
    let expected = Err("no new keys: source: the script is over".to_owned());
    assert_eq!(secret(&chain).await, expected);
    pass(&clock, minutes_long(5)).await;
    source.gives("two", until(&clock, 60));
    assert_eq!(secret(&chain).await, good("two"));
}

#[tokio::test(start_paused = true)]
async fn keys_that_have_expired_on_arrival_are_no_keys() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source.gives("one", until(&clock, 0));
    let expected = Err("no keys: source: the keys that it gave have expired".to_owned());
    assert_eq!(secret(&chain).await, expected);
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_attempt_even_when_the_first_of_them_gives_up() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    let chain = Arc::new(chain);
    source.gives("one", until(&clock, 60));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let chain = Arc::clone(&chain);
            tokio::spawn(async move { secret(&chain).await })
        })
        .collect();
    tokio::task::yield_now().await;
    callers[0].abort();
    for caller in callers.into_iter().skip(1) {
        assert_eq!(caller.await.unwrap(), good("one"));
    }
    assert_eq!(source.fetched(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_keys_is_read_again_and_may_be_gone_for_a_while() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source
        .gives("one", Lifetime::File)
        .gives("two", Lifetime::File);
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, Duration::from_secs(1)).await;
    assert_eq!(secret(&chain).await, good("one"));
    pass(&clock, Duration::from_secs(3)).await;
    assert_eq!(secret(&chain).await, good("two"));
    pass(&clock, minutes_long(60)).await;
    assert_eq!(secret(&chain).await, good("two"));
    assert_eq!(source.fetched(), 3);
    pass(&clock, Duration::from_secs(15)).await;
    source.gives("three", Lifetime::File);
    assert_eq!(secret(&chain).await, good("three"));
}

#[tokio::test(start_paused = true)]
async fn rejected_keys_are_renewed_once_a_minute_at_most() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    for name in ["one", "two", "three"] {
        source.gives(name, until(&clock, 600));
    }
    let used = |secret: &str| credential(secret, None).fingerprint();
    // There are none that could be rejected.
    chain.rejected(used("one")).await;
    assert_eq!(source.fetched(), 0);
    assert_eq!(secret(&chain).await, good("one"));
    chain.rejected(used("another")).await;
    assert_eq!(source.fetched(), 1);
    let both = [chain.rejected(used("one")), chain.rejected(used("one"))];
    futures_util::future::join_all(both).await;
    assert_eq!((secret(&chain).await, source.fetched()), (good("two"), 2));
    chain.rejected(used("one")).await;
    chain.rejected(used("two")).await;
    assert_eq!((secret(&chain).await, source.fetched()), (good("two"), 2));
    pass(&clock, minutes_long(1)).await;
    chain.rejected(used("two")).await;
    assert_eq!((secret(&chain).await, source.fetched()), (good("three"), 3));
    // Others cannot be had, so these go on.
    pass(&clock, minutes_long(1)).await;
    chain.rejected(used("three")).await;
    assert_eq!((secret(&chain).await, source.fetched()), (good("three"), 4));
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_environment_have_no_successors() {
    let source = Script::named("source");
    let (chain, _) = chain(&[&source]);
    source.gives("one", Lifetime::Process);
    assert_eq!(secret(&chain).await, good("one"));
    chain.rejected(credential("one", None).fingerprint()).await;
    assert_eq!(source.fetched(), 1);
}

#[test]
fn a_chain_says_which_source_it_would_use() {
    let absent = || Err(Lack::absent("KEY is not set"));
    let unusable = || Err(Lack::unusable("SECRET is not set"));
    let perhaps = || Ok(Outlook::Perhaps("the machine, if it has a role".to_owned()));
    let sure = || Ok(Outlook::Sure("the environment".to_owned()));
    let check = |outlooks: &[Result<Outlook, Lack>], expected: &str| {
        let scripts: Vec<_> = outlooks
            .iter()
            .map(|outlook| Script::named("one").expecting(outlook.clone()))
            .collect();
        let (chain, _) = chain(&scripts.iter().collect::<Vec<_>>());
        assert_eq!(chain.describe(), expected);
        assert!(scripts.iter().all(|script| script.fetched() == 0));
    };
    check(&[absent(), sure(), perhaps()], "the environment");
    check(&[absent(), perhaps()], "the machine, if it has a role");
    check(
        &[perhaps(), sure()],
        "the machine, if it has a role, else the environment",
    );
    check(
        &[unusable(), perhaps()],
        "the machine, if it has a role; passed over: one: SECRET is not set",
    );
    check(
        &[absent(), absent()],
        "nowhere: no source of keys is set up",
    );
}

#[tokio::test(start_paused = true)]
async fn a_chain_does_not_show_its_keys() {
    let source = Script::named("source");
    let (chain, clock) = chain(&[&source]);
    source.gives("hush", until(&clock, 60));
    assert_eq!(secret(&chain).await, good("hush"));
    let source = CredentialSource::Standard(chain);
    let shown = format!("{source:?}");
    assert!(
        !shown.contains("hush") && !shown.contains("LTAI"),
        "{shown}"
    );
}
