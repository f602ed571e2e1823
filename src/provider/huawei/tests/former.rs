//! A destination that was changed or switched off: it is asked until what it kept has run out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::*;

const SOUTH: &str = "cn-south-1";
const PROJECTS_OF_ALL: &[(&str, &str)] = &[
    (HOME, HOME_PROJECT),
    (AWAY, AWAY_PROJECT),
    (SOUTH, "0000000000000000000000000000south"),
];

fn found() -> Answer {
    answer(200, page(&[row(&json!({}))], 1))
}

fn empty() -> Answer {
    answer(200, EMPTY)
}

fn copied_to(region: &str, days: u64) -> Value {
    json!({"backup_type": "auto", "keep_days": days, "destination_region": region})
}

/// A client whose time is moved by hand, and a script of what it is told.
struct Story {
    client: Huawei,
    clock: Clock,
    target: Target,
}

/// What one reading came to: the regions that were asked, those of its sets, and whether it was whole.
type Read = (Vec<String>, Vec<String>, bool);

impl Story {
    fn new(regions: &[&str]) -> Self {
        let clock = Clock::set_by_hand(now());
        Self {
            client: client(&account_with(PROJECTS_OF_ALL), &clock),
            clock,
            target: target_in(regions),
        }
    }

    /// An instance whose copies went to one region, where one was seen, and go to another since then.
    async fn moved() -> Self {
        let story = Self::new(&[]);
        story.told(&json!([copied_to(AWAY, 7)])).await;
        assert_eq!(story.read([found()]).await, read(&[AWAY], &[AWAY], true));
        story.told(&json!([copied_to(SOUTH, 7)])).await;
        story
    }

    /// The policy is read anew.
    async fn told(&self, parts: &Value) {
        pass(3600).await;
        let script = Script::of([policy(parts)]);
        let told = self.client.list(Policy, &self.target, &script).await;
        told.unwrap();
        script.calls();
    }

    async fn read(&self, answers: impl IntoIterator<Item = Answer>) -> Read {
        self.try_read(answers).await.unwrap()
    }

    async fn try_read(&self, answers: impl IntoIterator<Item = Answer>) -> Result<Read, ListError> {
        let script = Script::of(answers);
        let listed = self.client.list(CrossRegion, &self.target, &script).await;
        let calls = script.calls();
        let asked = calls.iter().map(|call| call.region.to_string()).collect();
        let listed = sets(listed?);
        let kept_in = listed.sets.iter();
        let kept_in = kept_in.map(|set| set.backup_region.to_string()).collect();
        Ok((asked, kept_in, listed.complete))
    }

    /// So many days go by.
    fn days(&self, days: u64) {
        self.clock.advance(Duration::from_secs(days * 24 * 3600));
    }
}

fn read(asked: &[&str], sets: &[&str], complete: bool) -> Read {
    (names(asked), names(sets), complete)
}

#[tokio::test(start_paused = true)]
async fn a_former_destination_is_listed_until_two_whole_readings_find_nothing_there() {
    let story = Story::moved().await;
    let both = &[SOUTH, AWAY];
    let whole = |sets: &[&str]| read(both, sets, true);
    assert_eq!(story.read([empty(), found()]).await, whole(&[AWAY]));
    assert_eq!(story.read([found(), empty()]).await, whole(&[SOUTH]));
    // Another copy was still on its way.
    let running = answer(
        200,
        page(&[row(&json!({"status": "BUILDING", "end_time": null}))], 1),
    );
    assert_eq!(story.read([found(), running]).await, whole(both));
    assert_eq!(story.read([found(), empty()]).await, whole(&[SOUTH]));
    // A part of a list shows nothing about what is missing from it.
    let part = answer(200, page(&[], 3));
    assert_eq!(
        story.read([found(), part]).await,
        read(both, &[SOUTH], false)
    );
    let failed = answer(200, page(&[row(&json!({"status": "FAILED"}))], 1));
    assert_eq!(story.read([found(), failed]).await, whole(both));
    assert_eq!(story.read([found()]).await, read(&[SOUTH], &[SOUTH], true));
}

#[tokio::test(start_paused = true)]
async fn a_former_destination_is_listed_until_its_newest_set_has_left_its_retention() {
    let refused = || answer(403, REFUSED_POLICY);
    for (days_kept, lasts) in [(2, 3), (7, 8), (1825, 32)] {
        let story = Story::new(&[]);
        story.told(&json!([copied_to(AWAY, days_kept)])).await;
        story.read([found()]).await;
        story.told(&json!([copied_to(SOUTH, 7)])).await;
        // Nobody may look there any more; the newest set ended some hours ago.
        story.days(lasts - 1);
        assert_eq!(
            story.read([empty(), refused()]).await,
            read(&[SOUTH, AWAY], &[], false),
            "kept for {days_kept} days"
        );
        story.days(1);
        assert_eq!(
            story.read([empty()]).await,
            read(&[SOUTH], &[], true),
            "kept for {days_kept} days"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_former_destination_that_refuses_hides_nothing_and_one_that_fails_does() {
    let missing = || answer(404, REFUSED_MISSING);
    let refused = || answer(403, REFUSED_POLICY);
    let story = Story::moved().await;
    assert_eq!(
        story.read([found(), refused()]).await,
        read(&[SOUTH, AWAY], &[SOUTH], false)
    );
    // It may pass, and what is known of it must not get lost over it.
    let failed = story.try_read([found(), answer(500, "")]).await;
    assert_eq!(failed.unwrap_err().reason, Reason::Server);
    // The present destination has to be readable.
    let failed = story.try_read([refused()]).await;
    assert_eq!(failed.unwrap_err().reason, Reason::Permission);
    // The windows are those of the readable.
    let windows = || answer(200, RESTORE_TIMES);
    let script = Script::of([windows(), windows(), refused()]);
    let listed = story.client.list(RestoreWindow, &story.target, &script);
    assert!(matches!(listed.await, Ok(Reading::Windows(_))));
    script.calls();
    // That the instance is unknown there is as good as an empty list.
    for _ in 0..2 {
        assert_eq!(
            story.read([found(), missing()]).await,
            read(&[SOUTH, AWAY], &[SOUTH], false)
        );
    }
    assert_eq!(story.read([found()]).await, read(&[SOUTH], &[SOUTH], true));
}

#[tokio::test(start_paused = true)]
async fn where_the_configuration_names_another_region_the_former_one_is_listed_if_it_kept_any() {
    let mut story = Story::new(&[AWAY]);
    assert_eq!(story.read([found()]).await, read(&[AWAY], &[AWAY], true));
    story.target = target_in(&[SOUTH]);
    assert_eq!(
        story.read([empty(), found()]).await,
        read(&[SOUTH, AWAY], &[AWAY], true)
    );
    // Where none was ever seen there is nothing to look after.
    let mut story = Story::new(&[AWAY]);
    story.read([empty()]).await;
    story.target = target_in(&[SOUTH]);
    assert_eq!(story.read([empty()]).await, read(&[SOUTH], &[], true));
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_saw_is_listed_unless_it_has_run_out() {
    let ended = |time: DateTime<Utc>| Some(time);
    for (case, newest, is_asked) in [
        (
            "yesterday's",
            ended(now() - chrono::Duration::days(1)),
            true,
        ),
        (
            "from before the look-back",
            ended(now() - chrono::Duration::days(40)),
            false,
        ),
        ("nothing usable", None, true),
    ] {
        let story = Story::new(&[]);
        let known = BTreeMap::from([(Arc::from(AWAY), newest)]);
        let id = &story.target.key.instance_id;
        story.client.recall_copies(id, &known);
        story.told(&json!([copied_to(SOUTH, 7)])).await;
        let (answers, asked) = if is_asked {
            (vec![empty(), empty()], &[SOUTH, AWAY][..])
        } else {
            (vec![empty()], &[SOUTH][..])
        };
        assert_eq!(story.read(answers).await, read(asked, &[], true), "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_the_policy_names_and_does_not_copy_to_is_expected_and_asked() {
    let story = Story::new(&[]);
    story
        .told(&json!([copied_to(SOUTH, 7), copied_to(AWAY, 0)]))
        .await;
    // However often nothing is there: it is promised.
    for _ in 0..4 {
        let script = Script::of([found(), empty()]);
        let listed = story.client.list(CrossRegion, &story.target, &script).await;
        script.calls();
        let listed = sets(listed.unwrap());
        assert_eq!(listed.destinations, [SOUTH, AWAY]);
        assert_eq!((listed.protected, listed.sets.len()), (Some(true), 1));
    }
    // The policy alone copies no logs anywhere.
    let script = Script::of([]);
    let logs = story.client.list(CrossRegionLog, &story.target, &script);
    assert_eq!(sets(logs.await.unwrap()).sets.len(), 0);
}
