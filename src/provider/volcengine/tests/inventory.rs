//! Which instances a region has, and what that saves.

use super::*;
use crate::backup::{Description, FoundInstance, Inventory};

pub(in crate::provider::volcengine) const INSTANCES: &str =
    include_str!("../../../../tests/fixtures/volcengine/instances.json");

fn discover_on(
    client: &Volcengine,
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Inventory, ListError>, Vec<Call>) {
    let script = Script::of(answers);
    let found = client
        .discover(&HOME.into(), &script)
        .now_or_never()
        .expect("the script never waits");
    (found, script.calls())
}

fn discover(
    answers: impl IntoIterator<Item = Answer>,
) -> (Result<Inventory, ListError>, Vec<Call>) {
    discover_on(&client(), answers)
}

fn page(rows: &[Value], total: Option<u64>) -> Answer {
    let total = json!(total);
    answer(
        200,
        result(&json!({"Instances": rows, "TotalInstancesNum": total})),
    )
}

/// So many instances.
fn instances(numbers: Range<usize>) -> Vec<Value> {
    let row = |number| json!({"InstanceId": format!("redis-{number}"), "Status": "Running"});
    numbers.map(row).collect()
}

fn none() -> Answer {
    page(&[], Some(0))
}

fn refusal(status: u16, code: &str) -> Answer {
    answer(status, error(code))
}

fn found_ids(inventory: &Inventory) -> Vec<&str> {
    let ids = inventory.instances.iter().map(|found| found.id.as_str());
    ids.collect()
}

#[test]
fn the_sample_says_what_a_reader_of_the_page_would_name() {
    let found = |number: u32, name: Option<&str>, version: &str| FoundInstance {
        id: format!("redis-example{number}"),
        description: Description {
            name: name.map(str::to_owned),
            engine: Some("redis".to_owned()),
            engine_version: Some(version.to_owned()),
            created: None,
        },
        has_backups: true,
        at_work: true,
    };
    let (inventory, _) = discover([answer(200, INSTANCES), none()]);
    let expected = Inventory {
        instances: vec![
            found(1, Some("example"), "5.0").made_at("2025-01-06T08:26:25Z"),
            // A single node cannot be backed up.
            FoundInstance {
                has_backups: false,
                ..found(2, Some("缓存"), "6.0")
            },
            FoundInstance {
                at_work: false,
                ..found(3, None, "7.0")
            },
        ],
        outlived: Vec::new(),
        complete: true,
        tells_absence: true,
    };
    assert_eq!(inventory.unwrap(), expected);
}

#[test]
fn instances_of_both_editions_are_asked_for_in_the_region_and_page_by_page() {
    let (inventory, calls) = discover([
        page(&instances(0..100), Some(101)),
        page(&instances(100..101), Some(101)),
        page(&instances(200..202), Some(2)),
    ]);
    assert_eq!(inventory.unwrap().instances.len(), 103);
    let expected = [("Basic", 1), ("Basic", 2), ("Enterprise", 1)].map(|(edition, number)| Call {
        operation: "DescribeDBInstances",
        instance: "all instances".into(),
        region: HOME.into(),
        project: None,
        parameters: vec![
            ("RegionId", Parameter::text(HOME)),
            ("ServiceType", Parameter::text(edition)),
            ("PageNumber", Parameter::Number(number)),
            ("PageSize", Parameter::Number(100)),
        ],
    });
    assert_eq!(calls, expected);
}

#[test]
fn a_row_is_read_as_far_as_it_can_be() {
    let good =
        || json!({"InstanceId": "a", "InstanceClass": "PrimarySecondary", "Status": "Running"});
    for (changes, expected) in [
        (json!({}), Some((true, true))),
        (json!({"InstanceClass": "Standalone"}), Some((false, true))),
        (json!({"InstanceClass": "Odd"}), Some((true, true))),
        (json!({"InstanceClass": null}), Some((true, true))),
        (json!({"Status": "Creating"}), Some((true, false))),
        (json!({"Status": "running"}), Some((true, false))),
        (json!({"Status": 3}), Some((true, false))),
        // One that leaves out how it does is watched.
        (json!({"Status": null}), Some((true, true))),
        (json!({"Status": ["Running"]}), Some((true, true))),
        (json!({"RegionId": HOME}), Some((true, true))),
        (json!({"RegionId": ""}), Some((true, true))),
        // Somebody forgot the region, and answers for all.
        (json!({"RegionId": "cn-shanghai"}), None),
        (json!({"InstanceId": null}), None),
        (json!({"InstanceId": ""}), None),
        (json!({"InstanceId": []}), None),
    ] {
        let row = changed(good(), &changes);
        let (inventory, _) = discover([page(std::slice::from_ref(&row), Some(1)), none()]);
        let inventory = inventory.unwrap();
        let found = inventory.instances.first();
        let found = found.map(|found| (found.has_backups, found.at_work));
        // One without an id may be anybody's.
        let is_named = changes.get("InstanceId").is_none();
        assert_eq!(
            (found, inventory.complete),
            (expected, is_named),
            "{changes}"
        );
    }
    let odd = [json!(null), json!(7), json!("row"), json!([good()]), good()];
    let (inventory, _) = discover([page(&odd, Some(5)), none()]);
    let inventory = inventory.unwrap();
    assert_eq!(found_ids(&inventory), ["a"]);
    assert!(!inventory.complete);
}

#[test]
fn an_instance_in_both_lists_counts_once() {
    // Whoever does not know of editions lists the same for each.
    let all = || page(&instances(0..3), Some(3));
    let (inventory, calls) = discover([all(), all()]);
    let inventory = inventory.unwrap();
    assert_eq!(found_ids(&inventory), ["redis-0", "redis-1", "redis-2"]);
    assert_eq!((inventory.complete, calls.len()), (true, 2));
    let (inventory, _) = discover([all(), page(&instances(2..5), Some(3))]);
    assert_eq!(inventory.unwrap().instances.len(), 5);
}

#[test]
fn a_list_is_read_to_its_end_and_says_whether_it_is_whole() {
    let part = |numbers, total| page(&instances(numbers), Some(total));
    for (case, pages, found, complete) in [
        ("none", vec![none()], 0, true),
        ("no list", vec![answer(200, result(&Value::Null))], 0, true),
        ("full", vec![part(0..100, 100)], 100, true),
        (
            "no total",
            vec![page(&instances(0..100), None), page(&[], None)],
            100,
            true,
        ),
        // A short page is not the last while there are more.
        (
            "smaller pages than asked for",
            vec![part(0..50, 120), part(50..100, 120), part(100..120, 120)],
            120,
            true,
        ),
        (
            "smaller pages, and all of them within the first by its number",
            vec![part(0..50, 80), part(50..80, 80)],
            80,
            true,
        ),
        (
            "a total that is too large",
            vec![part(0..3, 5), part(0..0, 5)],
            3,
            false,
        ),
        (
            "a total that is too large, and no page past the end",
            vec![part(0..3, 5), refusal(400, "OffsetOutOfRange")],
            3,
            false,
        ),
        (
            "a total that lies low",
            vec![part(0..100, 1), part(100..110, 1)],
            110,
            false,
        ),
        (
            "a row that moved to the next page while we read",
            vec![part(0..100, 150), part(99..149, 150)],
            149,
            true,
        ),
        (
            "the same page again",
            vec![part(0..100, 300), part(0..100, 300)],
            100,
            false,
        ),
        (
            "more than is ever read",
            (0..100)
                .map(|page| part(page * 100..page * 100 + 100, 1_000_000))
                .collect(),
            10_000,
            false,
        ),
    ] {
        // In either list.
        let first: Vec<_> = pages.iter().cloned().chain([none()]).collect();
        let second: Vec<_> = [none()].into_iter().chain(pages).collect();
        for answers in [first, second] {
            let asked = answers.len();
            let (inventory, calls) = discover(answers);
            let inventory = inventory.unwrap();
            assert_eq!(calls.len(), asked, "{case}");
            assert_eq!(
                (inventory.instances.len(), inventory.complete),
                (found, complete),
                "{case}"
            );
        }
    }
}

#[test]
fn a_region_without_the_enterprise_edition_has_none_of_it() {
    let community = || page(&instances(0..1), Some(1));
    for (status, code) in [
        (400, "ParamError"),
        (400, "OperationNotSupported"),
        (404, "InvalidActionOrVersion"),
        (400, "MissingParameter"),
        (400, "ServiceTypeOdd"),
    ] {
        let (inventory, _) = discover([community(), refusal(status, code)]);
        let inventory = inventory.unwrap();
        let found = (inventory.instances.len(), inventory.complete);
        assert_eq!(found, (1, true), "{code}");
    }
}

#[test]
fn a_list_that_cannot_be_read_fails_the_discovery() {
    let community = || page(&instances(0..1), Some(1));
    let failures = [
        (403, error("AccessDenied"), Reason::Permission),
        (401, error("InvalidAccessKey"), Reason::Credentials),
        (429, error("FlowLimitExceeded"), Reason::Throttled),
        (400, error("InternalError"), Reason::Server),
        (400, error("InternalServiceTimeout"), Reason::Timeout),
        (200, text("{}"), Reason::Malformed),
        (200, result(&json!([])), Reason::Malformed),
        (
            200,
            result(&json!({"Instances": {"a": 1}})),
            Reason::Malformed,
        ),
        // A gateway knows nothing of editions.
        (400, text("<html></html>"), Reason::BadRequest),
        (404, text(""), Reason::NotFound),
    ];
    for (status, body, reason) in failures {
        let refusal = || answer(status, body.clone());
        let (found, calls) = discover([refusal()]);
        assert_eq!((found.unwrap_err().reason, calls.len()), (reason, 1));
        let (found, _) = discover([community(), refusal()]);
        let error = found.unwrap_err();
        assert_eq!(error.reason, reason, "{body}");
        let begins = "DescribeDBInstances of all instances in cn-beijing: ";
        assert!(error.to_string().starts_with(begins), "{error}");
    }
    // What is good enough for one edition is an outage for the other, and so is half a list.
    let bad = || refusal(400, "ParamError");
    let (found, _) = discover([bad()]);
    assert_eq!(found.unwrap_err().reason, Reason::BadRequest);
    let (found, _) = discover([refusal(400, "OffsetOutOfRange")]);
    assert_eq!(found.unwrap_err().reason, Reason::BadRequest);
    let half = page(&instances(0..100), Some(101));
    let (found, _) = discover([community(), half, bad()]);
    assert_eq!(found.unwrap_err().reason, Reason::BadRequest);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_found_need_not_be_asked_by_itself_for_an_hour() {
    let client = client();
    let targets = targets_of(&["a", "b", "c"]);
    let asked_alone = || {
        let only_a = [part_of(&["a"], 0..1, Some(1))];
        let (together, _) = together_on(&client, AtHome, &targets, only_a);
        let alone = ids(&together.one_by_one).len();
        assert_eq!(together.read.len() + alone, 3);
        alone
    };
    let find = |rows: &[Value]| {
        let (found, _) = discover_on(&client, [page(rows, Some(2)), none()]);
        assert_eq!(found.unwrap().instances.len(), 2);
    };
    assert_eq!(asked_alone(), 2);
    // Neither has a row among the backups; one was found.
    find(&[json!({"InstanceId": "a"}), json!({"InstanceId": "b"})]);
    assert_eq!(asked_alone(), 1);
    tokio::time::advance(Duration::from_secs(3599)).await;
    assert_eq!(asked_alone(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(asked_alone(), 2);
    find(&[json!({"InstanceId": "b"}), json!({"InstanceId": "c"})]);
    assert_eq!(asked_alone(), 0);
}

#[test]
fn an_instance_that_was_found_in_one_region_is_not_known_in_another() {
    let client = client();
    let (found, _) = discover_on(
        &client,
        [page(&[json!({"InstanceId": ID})], Some(1)), none()],
    );
    assert_eq!(found_ids(&found.unwrap()), [ID]);
    let misplaced = Target {
        key: InstanceKey {
            source_region: "cn-guangzhou".into(),
            ..target().key
        },
        ..target()
    };
    for (target, alone) in [(target(), vec![]), (misplaced, vec![ID])] {
        let targets = [Arc::new(target)];
        let (together, _) = together_on(&client, Away, &targets, [part(0..0, Some(0))]);
        assert_eq!(ids(&together.one_by_one), alone);
    }
}
