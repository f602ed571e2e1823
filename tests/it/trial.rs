//! One trial for every vendor and every fault: a healthy listing is spoilt, looked at, and mended.

use std::time::Duration;

use sim::{Cloud, Fault, FaultKind, Vendor};

use super::harness::{Configuration, Exporter, Scrape, clouds, daily_at, key_of};

/// The instance of the trial.
const ID: &str = "i1in01";

/// Which listing is spoilt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) vendor: Vendor,
    /// The operation behind the listing.
    pub(crate) operation: &'static str,
    pub(crate) listing: &'static str,
    /// The other listing of the instance.
    pub(crate) other: &'static str,
    /// Where the sets of the listing are kept.
    pub(crate) scope: &'static str,
    /// Further keys of the instance.
    pub(crate) instance_keys: &'static str,
    /// How long the account is left in peace after a throttled answer.
    pub(crate) longest_pause: Duration,
}

impl Trial {
    /// Spoils the listing and expects it to fail for this reason.
    pub(crate) async fn of(self, fault: FaultKind, reason: &str) {
        let what = format!("{:?}: {fault:?}", self.vendor);
        let (cloud, exporter) = self.start(reason).await;
        let before = exporter.ready().await;
        assert_eq!(before.poll_success(ID, self.listing), Some(1.0), "{what}");
        assert!(self.sets(&before) >= 30.0, "{what}");

        cloud.inject(Fault::new(fault).operation(self.operation));
        let during = exporter
            .until(&what, |scrape| {
                scrape.poll_success(ID, self.listing) == Some(0.0)
                    && scrape.poll_failures(self.listing, reason) >= 1.0
                    && self.age(scrape) > self.age(&before)
            })
            .await;
        self.look_at(&what, &before, &during, reason);

        cloud.clear_faults();
        // Nobody waits in a test for as long as a real quota takes to fill up again.
        let passes_soon = reason != "throttled" || self.longest_pause < Duration::from_secs(10);
        if passes_soon {
            exporter
                .until("it passes", |scrape| {
                    scrape.poll_success(ID, self.listing) == Some(1.0)
                })
                .await;
        }
        let log = exporter.stop().await;
        let is_told = log.contains("a listing can be read again");
        assert!(is_told || !passes_soon, "{what}: {log}");
        for secret in [key_of(self.vendor).1, "canonicalRequest", "signed-headers"] {
            assert!(!log.contains(secret), "{what}: {log}");
        }
    }

    async fn start(self, reason: &str) -> (Cloud, Exporter) {
        let cloud = clouds().await;
        cloud.add_instance(daily_at(self.vendor, ID));
        let mut configuration = Configuration::at(self.vendor, &cloud, &[ID]);
        configuration.instances[0].2 = self.instance_keys.to_owned();
        if reason == "timeout" {
            configuration.poll = "interval: 1s, timeout: 5s".to_owned();
        }
        let exporter = Exporter::start(&configuration).await;
        (cloud, exporter)
    }

    /// The facts stay, and what failed is counted under its reason and no other.
    fn look_at(self, what: &str, before: &Scrape, during: &Scrape, reason: &str) {
        assert_eq!(self.newest(during), self.newest(before), "{what}");
        assert_eq!(self.sets(during), self.sets(before), "{what}");
        let of_listing = [("listing", self.listing)];
        let all = during.sum("cloud_backup_poll_failures_total", &of_listing);
        assert_eq!(all, during.poll_failures(self.listing, reason), "{what}");
        let labels = [("operation", self.operation), ("reason", reason)];
        let requests = during.sum("cloud_backup_api_request_failures_total", &labels);
        assert!(requests >= 1.0, "{what}");
        // A quota may be that of the whole account, so that what is throttled throttles the other listing too.
        let shares = reason == "throttled" && self.longest_pause > Duration::ZERO;
        let other = during.poll_success(ID, self.other);
        assert!(shares || other == Some(1.0), "{what}: {other:?}");
    }

    fn full(self) -> [(&'static str, &'static str); 2] {
        [("scope", self.scope), ("backup_type", "full")]
    }

    fn newest(self, scrape: &Scrape) -> Option<f64> {
        scrape.value("cloud_backup_last_success_timestamp_seconds", &self.full())
    }

    fn age(self, scrape: &Scrape) -> Option<f64> {
        scrape.value("cloud_backup_last_success_age_seconds", &self.full())
    }

    fn sets(self, scrape: &Scrape) -> f64 {
        let [scope, backup_type] = self.full();
        let completed = [scope, backup_type, ("status", "completed")];
        scrape.sum("cloud_backup_sets", &completed)
    }
}
