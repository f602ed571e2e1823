//! Log files in other regions.

use super::*;

fn log(region: &str, began: &str, ended: Option<&str>) -> BackupSet {
    BackupSet {
        scope: Scope::CrossRegion,
        backup_region: region.into(),
        backup_type: BackupType::Log,
        status: Status::Completed,
        started: Some(utc(began)),
        ended: ended.map(utc),
        size_bytes: None,
        recovery_point: ended.map(utc),
        expires: None,
        available: true,
        is_copied: true,
        restore_regions: Arc::default(),
        covers_until: ended.map(utc),
    }
}

#[test]
fn each_sample_says_what_a_reader_of_the_page_would_name() {
    let check = |body: &'static str, sets: Vec<BackupSet>, anomalies: &[Anomaly], complete| {
        let listing = read(CrossRegionLog, body).unwrap();
        let expected = Listing {
            sets,
            anomalies: anomalies.to_vec(),
            complete,
            ..Listing::default()
        };
        assert_eq!(listing, expected);
        let shown = format!("{listing:?}");
        for secret in ["http", "Signature", "NOT-A-KEY"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    };
    let (first, second) = ("2026-06-12T11:05:09Z", "2026-06-12T11:10:10Z");
    // Neither ids nor names, and the second file has no end: nobody says that it is whole.
    check(
        LOGS_2019,
        vec![
            BackupSet {
                size_bytes: Some(10_500),
                ..log("cn-shanghai", "2026-06-12T11:00:08Z", Some(first))
            },
            BackupSet {
                status: Status::Unknown,
                size_bytes: Some(0),
                ..log("cn-shanghai", first, None)
            },
        ],
        &[Anomaly::UnknownStatus],
        true,
    );
    // The vendor's total of 100 stands beside its few rows.
    check(
        LOGS_2024,
        vec![
            BackupSet {
                size_bytes: Some(2000),
                ..log("cn-shanghai", first, Some(second))
            },
            BackupSet {
                size_bytes: Some(1000),
                ..log("cn-shanghai", "2026-06-12T11:00:00Z", Some(first))
            },
        ],
        &[],
        false,
    );
}

#[test]
fn a_log_file_is_whole_once_its_last_transaction_is_known() {
    use Anomaly::{BadSize, BadTime, FutureTime, UnknownStatus};
    let (begin, end) = ("2026-06-12T11:00:00Z", "2026-06-12T11:10:00Z");
    let later = "2026-06-12T12:05:01Z";
    for (changes, status, ended, covers_until, anomalies) in [
        (json!({}), Status::Completed, Some(end), Some(end), vec![]),
        (
            json!({"LogEndTime": "2026-06-12T11:10Z"}),
            Status::Completed,
            Some(end),
            Some(end),
            vec![],
        ),
        (
            json!({"LogBeginTime": null}),
            Status::Completed,
            Some(end),
            Some(end),
            vec![],
        ),
        (
            json!({"LogEndTime": null}),
            Status::Unknown,
            None,
            None,
            vec![UnknownStatus],
        ),
        (
            json!({"LogEndTime": "soon"}),
            Status::Unknown,
            None,
            None,
            vec![BadTime, UnknownStatus],
        ),
        (
            json!({"LogEndTime": null, "LogBeginTime": ""}),
            Status::Unknown,
            None,
            None,
            vec![BadTime, UnknownStatus],
        ),
        (
            json!({"LogBeginTime": end, "LogEndTime": begin}),
            Status::Completed,
            Some(begin),
            Some(begin),
            vec![BadTime],
        ),
        // No data is from the future.
        (
            json!({"LogEndTime": later}),
            Status::Unknown,
            Some(later),
            None,
            vec![FutureTime],
        ),
        (
            json!({"CrossLogBackupSize": -1}),
            Status::Completed,
            Some(end),
            Some(end),
            vec![BadSize],
        ),
    ] {
        let (set, found) = read_row(CrossRegionLog, &row(CrossRegionLog, &changes));
        assert_eq!(
            (set.status, set.ended, set.covers_until, found),
            (status, ended.map(utc), covers_until.map(utc), anomalies),
            "{changes}"
        );
        assert_eq!(set.recovery_point, set.covers_until, "{changes}");
    }
}

#[test]
fn a_log_file_is_known_by_its_id_else_by_its_name_else_by_its_times() {
    let file = |changes: &Value| {
        let nameless = json!({"CrossLogBackupId": null, "LogFileName": null});
        changed(row(CrossRegionLog, &nameless), changes)
    };
    let later = "2026-06-12T11:09:00Z";
    for (one, other, sets) in [
        (
            json!({"CrossLogBackupId": 7, "LogFileName": "a"}),
            json!({"CrossLogBackupId": "7", "LogFileName": "b"}),
            1,
        ),
        (
            json!({"CrossLogBackupId": 7, "LogFileName": "a"}),
            json!({"CrossLogBackupId": 8, "LogFileName": "a"}),
            2,
        ),
        (
            json!({"CrossLogBackupId": 0, "LogFileName": "a"}),
            json!({"CrossLogBackupId": "0", "LogFileName": "a"}),
            1,
        ),
        (
            json!({"CrossLogBackupId": 0, "LogFileName": "a"}),
            json!({"CrossLogBackupId": 0, "LogFileName": "b"}),
            2,
        ),
        (
            json!({"LogFileName": "a"}),
            json!({"LogFileName": "a", "LogEndTime": later}),
            1,
        ),
        // Both hosts of an instance count their files from 1, and a file may have two destinations.
        (
            json!({"LogFileName": "a"}),
            json!({"LogFileName": "a", "InstanceId": 4_200_002}),
            2,
        ),
        (
            json!({"LogFileName": "a"}),
            json!({"LogFileName": "a", "CrossBackupRegion": "cn-beijing"}),
            2,
        ),
        (json!({}), json!({}), 1),
        (json!({}), json!({"LogEndTime": later}), 2),
        (json!({}), json!({"CrossBackupRegion": "cn-beijing"}), 2),
        // What has nothing at all that could tell it apart is never taken for another.
        (json!({"LogEndTime": null}), json!({"LogEndTime": null}), 2),
    ] {
        let body = page(CrossRegionLog, &[file(&one), file(&other)], 2);
        let listing = read(CrossRegionLog, body).unwrap();
        assert_eq!(listing.sets.len(), sets, "{one} {other}");
    }
}

#[test]
fn log_files_are_paged_like_sets() {
    let l = CrossRegionLog;
    let answers = [
        full_page(l, 1, Some(230)),
        full_page(l, 101, Some(230)),
        part(l, 201..231, Some(230)),
    ];
    let (listing, calls) = play(l, &target(), answers);
    let listing = listing.unwrap();
    assert_eq!((listing.sets.len(), listing.complete), (230, true));
    assert_eq!(calls.len(), 3);
    let (listing, _) = play(l, &target(), [full_page(l, 1, None), past_the_end()]);
    assert!(listing.unwrap().complete);
}
