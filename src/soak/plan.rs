//! The configuration that the soak writes for the exporter, and knows itself.

use std::fmt::Write as _;

use sim::Vendor;

use crate::backup::ListingKind;

/// The promises, in the order in which the configuration names them.
pub(super) const OBJECTIVES: [&str; 4] =
    ["recovery_point", "backup_age", "copy_delay", "retention"];

/// All of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) accounts: Vec<Account>,
    pub(super) interval_minutes: u64,
    /// A listing is read no less often than this, and oftener where something is due; without it, at the interval.
    pub(super) longest_minutes: Option<u64>,
    pub(super) lookback_days: u64,
    pub(super) log_lookback_hours: u64,
    /// In hours; none is switched off.
    pub(super) objectives: [Option<u64>; 4],
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) vendor: Vendor,
    pub(super) key: (String, String),
    /// In which instances are looked for.
    pub(super) regions: Vec<&'static str>,
    pub(super) listings: Vec<ListingKind>,
    pub(super) named: Vec<Named>,
}

/// An instance that the configuration names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub(super) id: String,
    pub(super) region: &'static str,
    pub(super) name: Option<String>,
    pub(super) backup_regions: Vec<&'static str>,
    pub(super) recovery_point_hours: Option<u64>,
}

/// The listings that a vendor has.
pub(super) fn listings(vendor: Vendor) -> Vec<ListingKind> {
    let all = ListingKind::ALL.into_iter();
    all.filter(|kind| vendor != Vendor::Volcengine || *kind != ListingKind::CrossRegionLog)
        .collect()
}

impl Plan {
    pub(super) fn discovery_minutes(&self) -> u64 {
        self.interval_minutes * 2
    }

    /// Between two attempts at what changes often.
    pub(super) fn at_most_minutes(&self) -> u64 {
        self.longest_minutes.unwrap_or(self.interval_minutes)
    }

    pub(super) fn policy_minutes(&self) -> u64 {
        self.interval_minutes * 6
    }

    /// As a file.
    pub(super) fn yaml(&self) -> String {
        let mode = self.longest_minutes.map_or_else(
            || "mode: fixed".to_owned(),
            |minutes| format!("mode: adaptive, max_interval: {minutes}m"),
        );
        let mut yaml = format!(
            "poll: {{{mode}, interval: {}m, policy_interval: {}m, discovery_interval: {}m, timeout: 30s, lookback: {}d, log_lookback: {}h}}\n",
            self.interval_minutes,
            self.policy_minutes(),
            self.discovery_minutes(),
            self.lookback_days,
            self.log_lookback_hours
        );
        yaml.push_str("objectives:\n");
        for (name, hours) in OBJECTIVES.iter().zip(self.objectives) {
            let promise = hours.map_or_else(|| "off".to_owned(), |hours| format!("{hours}h"));
            writeln!(yaml, "  {name}: {promise}").unwrap();
        }
        yaml.push_str("accounts:\n");
        for account in &self.accounts {
            account.write(&mut yaml);
        }
        yaml
    }
}

impl Account {
    fn write(&self, yaml: &mut String) {
        let (id, secret) = &self.key;
        let listings: Vec<_> = self.listings.iter().map(|kind| kind.label()).collect();
        let listings = listings.join(", ");
        let regions = self.regions.join(", ");
        let vendor = self.vendor.name();
        write!(
            yaml,
            "- name: {}\n  provider: {vendor}\n  endpoint: http://{vendor}.simulated.test\n  rate_limit: 20/s\n  \
             credentials: {{access_key_id: {id}, access_key_secret: {secret}}}\n  \
             discover: {{regions: [{regions}], listings: [{listings}]}}\n",
            self.name
        )
        .unwrap();
        if self.vendor == Vendor::Huawei {
            let projects: Vec<_> = ["cn-north-4", "cn-south-1", "cn-east-3"]
                .map(|region| {
                    let id = sim::huawei::project_id(&self.name, region);
                    format!("{region}: \"{id}\"")
                })
                .into();
            writeln!(yaml, "  projects: {{{}}}", projects.join(", ")).unwrap();
        }
        if !self.named.is_empty() {
            yaml.push_str("  instances:\n");
        }
        for named in &self.named {
            write!(
                yaml,
                "  - {{id: {}, region: {}, listings: [{listings}]",
                named.id, named.region
            )
            .unwrap();
            if let Some(name) = &named.name {
                write!(yaml, ", name: {name}").unwrap();
            }
            if !named.backup_regions.is_empty() {
                write!(
                    yaml,
                    ", backup_regions: [{}]",
                    named.backup_regions.join(", ")
                )
                .unwrap();
            }
            if let Some(hours) = named.recovery_point_hours {
                write!(yaml, ", objectives: {{recovery_point: {hours}h}}").unwrap();
            }
            yaml.push_str("}\n");
        }
    }
}
