"""Exporter and API budget: is what the other dashboards show up to date, and what does it cost?"""

from grafana import (
    COLORED_TEXT, DATASOURCE_VARIABLE, GREEN, NONE_IS_BEST, NONE_IS_GOOD, ORANGE, RED, RUNBOOKS_VARIABLE, Column,
    annotation, chosen, dashboard, dashboard_link, query, runbook, stat, sum_over_shards, table, timeseries,
    words,
)

UID = "cloud-backup-exporter"

REPLICA = 'job=~"$job", instance=~"$instance"'
CHOSEN = f'{REPLICA}, provider=~"$provider", account=~"$account"'
ACCOUNT = "provider, account"
LISTING = "provider, account, source_region, instance_id, listing"

# Every replica asks the same listings, and here the worse answer counts: one that fails beside one that does not endangers
# nothing yet, and is what this dashboard is for. Requests are summed instead: each replica really sends its own, and all
# of them come off the same limit of the vendor.
# Of what is gone nothing can be read, which is no failure, as on the status page.
GONE = f"(min by (provider, account, source_region, instance_id) (cloud_backup_instance_gone{{{CHOSEN}}}) == 1)"
NOT_GONE = f"unless on (provider, account, source_region, instance_id) {GONE}"
POLL_SUCCESS = f"(min by ({LISTING}) (cloud_backup_poll_success{{{CHOSEN}}}) {NOT_GONE})"
# Policies and restore windows have an interval of their own.
SELDOM = "policy|restore_window"


def configured(interval):
    return f"max by ({ACCOUNT}) (cloud_backup_{interval}_interval_seconds{{{CHOSEN}}})"


def age_as_share(matcher, unread):
    return f"""
        (time() - min by ({LISTING}) (
            cloud_backup_last_poll_success_timestamp_seconds{{{CHOSEN}, listing{matcher}"{SELDOM}"}}
        ) {NOT_GONE}) / on ({ACCOUNT}) group_left () ({unread})
    """


# As the alerts have it: a listing counts as unread once it was due three times since it was read.
AGE_AS_SHARE = f"""
    ({age_as_share("!~", f"{configured('poll_max')} + 2 * {configured('poll')}")})
    or ({age_as_share("=~", f"3 * {configured('policy')}")})
"""

UP = stat(
    "Exporters up",
    """Scrape targets of the chosen jobs that answer, of those that Prometheus knows.""",
    [query(f"sum(up{{{REPLICA}}})", "up"), query(f"count(up{{{REPLICA}}})", "targets")],
    filled=False,
    text="value_and_name",
    links=[runbook("CloudBackupExporterDown"), runbook("CloudBackupExporterReplicaDown")],
)
FAILING = stat(
    "Listings failing",
    """Listings whose last attempt failed, in any replica, without those of instances that are gone. The table below names
    them.""",
    [query(f"count({POLL_SUCCESS} == 0) or vector(0)")],
    steps=NONE_IS_BEST,
)
OVERDUE = stat(
    "Listings overdue",
    """Listings that were due three times since they were read: what is known of the backups is that old. When they are
    due comes from the configuration.""",
    [query(f"count(({AGE_AS_SHARE}) > 1) or vector(0)")],
    steps=NONE_IS_GOOD,
    links=[runbook("CloudBackupListingUnread")],
)
SEARCHES = stat(
    "Searches failing",
    """Regions whose last search for instances failed, or in which none has succeeded for three intervals: what is new there
    is not seen.""",
    [query(f"""count(
            min by ({ACCOUNT}, source_region) (cloud_backup_discovery_success{{{CHOSEN}}}) == 0
            or time() - min by ({ACCOUNT}, source_region) (cloud_backup_last_discovery_success_timestamp_seconds{{{CHOSEN}}})
                > on ({ACCOUNT}) group_left () 3 * {configured("discovery")}
        ) or vector(0)""")],
    steps=NONE_IS_BEST,
    links=[runbook("CloudBackupDiscoveryFailing")],
)
CONFIGURATION = stat(
    "Configuration",
    """Whether the last attempt to load the configuration succeeded, in every replica. After a failed one the exporter goes
    on with the configuration before.""",
    [query(f"min(cloud_backup_exporter_config_last_reload_successful{{{REPLICA}}})")],
    mappings=words({0: ("refused", RED), 1: ("loaded", GREEN)}),
    links=[runbook("CloudBackupConfigReloadFailed")],
)
CREDENTIALS = stat(
    "Credentials end in",
    """The time that is left to the temporary keys which end first. Keys that do not end by themselves have no such
    time. The exporter replaces temporary keys before they end, so that it falls and jumps up again.""",
    [query(f"min(cloud_backup_credentials_expiry_timestamp_seconds{{{CHOSEN}}}) - time()")],
    unit="s",
    steps=[(None, RED), (0, GREEN)],
    nothing=("never", GREEN),
    links=[runbook("CloudBackupCredentialsExpiring")],
)
REQUESTS_NOW = stat(
    "API requests in an hour",
    """Requests sent to the vendors in the last hour, by all chosen replicas, retries included. `check` of the exporter
    prints what the configuration should take.""",
    [query(f"sum(increase(cloud_backup_api_requests_total{{{CHOSEN}}}[1h]))")],
    filled=False,
    decimals=0,
)

POLLS = timeseries(
    "Listings read successfully",
    """For each listing the share of the instances whose last attempt at it succeeded.""",
    [query(f"avg by (listing) ({POLL_SUCCESS})", "{{listing}}")],
    unit="percentunit",
    most=1,
    legend="table",
    decimals=0,
)
READ_AGE = timeseries(
    "Time since the last good read, as a share of what is too long",
    """For each account and listing the instance that was read longest ago. At 100 % the listing was due three times since,
    and counts as unread.""",
    [query(f"max by (account, listing) ({AGE_AS_SHARE})", "{{account}} {{listing}}")],
    unit="percentunit",
    steps=[(None, "transparent"), (1, RED)],
    limit=True,
    legend="table",
    decimals=1,
)
FAILURES = timeseries(
    "Failed attempts at a listing, by reason",
    """Attempts an hour that failed for good. credentials and permission are for the owner of the account, throttled is a
    budget that is too small, the others are the vendor's or the network's.""",
    [query(
        f"sum by (reason) (rate(cloud_backup_poll_failures_total{{{CHOSEN}}}[$__rate_interval])) * 3600",
        "{{reason}}",
    )],
    unit="suffix:/h",
    legend="table",
    decimals=0,
)
FAILING_TABLE = table(
    "Listings that fail or are not complete",
    """What could not be read, of which instance; and where not all rows were read, because the page cap was reached or the
    vendor's total disagrees with them.""",
    [
        Column("Account", label="account", width=110),
        Column("Region", label="source_region", width=140),
        Column("Instance id", label="instance_id"),
        Column("Listing", label="listing", width=140),
        Column("Problem", width=120, mappings=words({0: ("fails", RED), 1: ("not complete", ORANGE)}), cell=COLORED_TEXT,
               expression=f"""
                   {POLL_SUCCESS} == 0
                   or (min by ({LISTING}) (cloud_backup_listing_complete{{{CHOSEN}}}) == 0) + 1"""),
    ],
    hidden=["provider"],
    nothing="Every listing is read, and complete.",
    links=[runbook("CloudBackupListingUnread"), runbook("CloudBackupListingIncomplete")],
)
ANOMALIES = timeseries(
    "Rows not fully understood",
    """Rows of a listing with an unknown status, a time that cannot be, or the like, an hour; counted again at each poll
    that meets them.""",
    [query(
        f"""sum by (kind) (rate(
            cloud_backup_anomalies_total{{{REPLICA}, provider=~"$provider"}}[$__rate_interval])) * 3600""",
        "{{kind}}",
    )],
    unit="suffix:/h",
    legend="table",
    decimals=0,
    links=[runbook("CloudBackupRowsNotUnderstood")],
)

REQUESTS_BY_OPERATION = timeseries(
    "API requests, by operation",
    """Requests a second, retries included. Alibaba limits each operation by itself.""",
    [query(
        f"sum by (provider, operation) (rate(cloud_backup_api_requests_total{{{CHOSEN}}}[$__rate_interval]))",
        "{{provider}} {{operation}}",
    )],
    unit="reqps",
    legend="table",
)
REQUESTS_BY_ACCOUNT = timeseries(
    "API requests an hour, by account",
    """All chosen replicas together, retries included: compare it with what `check` of the exporter prints for the
    configuration, and with the limits of the vendor.""",
    [query(
        f"sum by (account) (rate(cloud_backup_api_requests_total{{{CHOSEN}}}[$__rate_interval])) * 3600",
        "{{account}}",
    )],
    unit="suffix:/h",
    legend="table",
    decimals=0,
)
REQUEST_FAILURES = timeseries(
    "API requests that failed, by reason",
    """As a share of all requests, those that a retry mended included: throttling shows here before any
    listing fails.""",
    [query(
        f"""sum by (reason) (rate(cloud_backup_api_request_failures_total{{{CHOSEN}}}[$__rate_interval]))
            / on () group_left () sum(rate(cloud_backup_api_requests_total{{{CHOSEN}}}[$__rate_interval]))""",
        "{{reason}}",
    )],
    unit="percentunit",
    legend="table",
    links=[runbook("CloudBackupApiCallsRefused")],
)
DURATIONS = timeseries(
    "API request duration",
    """From sending a request to the end of its answer: the median, and what 95 and 99 of 100 stay below.""",
    [
        query(
            f"""histogram_quantile({quantile}, sum by (le, provider) (rate(
                cloud_backup_api_request_duration_seconds_bucket{{{REPLICA}, provider=~"$provider"}}[$__rate_interval])))""",
            f"{{{{provider}}}} p{round(quantile * 100)}",
        )
        for quantile in (0.5, 0.95, 0.99)
    ],
    unit="s",
    legend="table",
)
SWEEPS = timeseries(
    "Sweep duration, as a share of the longest interval",
    """How long the last full round over the instances of an account took. Polls are spread, so it comes close to 100 %; well above, the account has more instances than its request rate can read in time.""",
    [query(
        f"""max by (account) (
            cloud_backup_sweep_duration_seconds{{{CHOSEN}}}
            / on (job, instance, {ACCOUNT}) cloud_backup_poll_max_interval_seconds{{{CHOSEN}}}
        )""",
        "{{account}}",
    )],
    unit="percentunit",
    steps=[(None, "transparent"), (1.2, ORANGE)],
    limit=True,
    most=1.25,
    legend="table",
    links=[runbook("CloudBackupSweepTooSlow")],
)
DISCOVERY = timeseries(
    "Search intervals since the last good search",
    """For each region in which instances are looked for, the time since they were last listed, in intervals of the
    configuration: above 1 a search was missed.""",
    [query(
        f"""(time() - min by ({ACCOUNT}, source_region) (
                cloud_backup_last_discovery_success_timestamp_seconds{{{CHOSEN}}}
            )) / on ({ACCOUNT}) group_left () max by ({ACCOUNT}) (cloud_backup_discovery_interval_seconds{{{CHOSEN}}})""",
        "{{account}} {{source_region}}",
    )],
    unit="none",
    steps=[(None, "transparent"), (3, RED)],
    limit=True,
    legend="table",
    decimals=1,
    links=[runbook("CloudBackupDiscoveryFailing")],
)
FOUND = timeseries(
    "Instances, by state",
    """monitored: polled; unmonitored: found, and left out by a filter or without backups of its own; gone: watched, and
    no longer known to the provider.""",
    [query(
        sum_over_shards(
            "sum by (state)", f"{ACCOUNT}, source_region, state", f"cloud_backup_instances{{{CHOSEN}}}", REPLICA
        ),
        "{{state}}",
    )],
    unit="short",
    step=True,
    legend="table",
    decimals=0,
)

MEMORY = timeseries(
    "Memory",
    """Resident memory of each replica.""",
    [query(f"process_resident_memory_bytes{{{REPLICA}}}", "{{instance}}")],
    unit="bytes",
)
CPU = timeseries(
    "CPU",
    """Share of one core that each replica uses.""",
    [query(f"rate(process_cpu_seconds_total{{{REPLICA}}}[$__rate_interval])", "{{instance}}")],
    unit="percentunit",
)
FILES = timeseries(
    "File descriptors",
    """Those that each replica has open, as a share of those that it may open.""",
    [query(f"process_open_fds{{{REPLICA}}} / process_max_fds{{{REPLICA}}}", "{{instance}}")],
    unit="percentunit",
)
SCRAPES = timeseries(
    "Scrape duration",
    """How long Prometheus took for each scrape. A scrape never calls a cloud.""",
    [query(f"scrape_duration_seconds{{{REPLICA}}}", "{{instance}}")],
    unit="s",
)
BUILDS = table(
    "What runs",
    """Each replica or shard with its version, how long it has been running, when its configuration was loaded, which part of
    the instances it has (0 of 1 is all), and how many series a scrape of it brings.""",
    [
        Column("Job", label="job"),
        Column("Replica", label="instance"),
        Column("Version", label="version"),
        Column("Revision", label="revision"),
        Column("Rust", label="rustversion"),
        Column("Running for", unit="s", decimals=1,
               expression=f"max by (job, instance) (time() - process_start_time_seconds{{{REPLICA}}})"),
        Column("Configuration loaded", unit="dateTimeAsIso", expression=f"""
            max by (job, instance) (
                cloud_backup_exporter_config_last_reload_success_timestamp_seconds{{{REPLICA}}}
            ) * 1000"""),
        Column("Shard", decimals=0, unit="none",
               expression=f"max by (job, instance) (cloud_backup_exporter_shard_index{{{REPLICA}}})"),
        Column("Of", decimals=0, unit="none",
               expression=f"max by (job, instance) (cloud_backup_exporter_shards{{{REPLICA}}})"),
        Column("Series", decimals=0, unit="none",
               expression=f"max by (job, instance) (scrape_samples_post_metric_relabeling{{{REPLICA}}})"),
    ],
    labels_from=f"""
        max by (job, instance, version, revision, rustversion) (cloud_backup_exporter_build_info{{{REPLICA}}})
    """,
    sort=[("Replica", False)],
)

DASHBOARD = dashboard(
    UID,
    "Cloud backups: exporter and API budget",
    """Whether the exporter reads what it should, what that costs at the vendors' APIs, and how the process is.""",
    variables=[
        DATASOURCE_VARIABLE,
        chosen("job", "Job", "label_values(cloud_backup_exporter_build_info, job)"),
        chosen("instance", "Replica", 'label_values(cloud_backup_exporter_build_info{job=~"$job"}, instance)'),
        chosen("provider", "Provider",
               'label_values(cloud_backup_poll_interval_seconds{job=~"$job", instance=~"$instance"}, provider)'),
        chosen("account", "Account", """label_values(cloud_backup_poll_interval_seconds{job=~"$job",
            instance=~"$instance", provider=~"$provider"}, account)"""),
        RUNBOOKS_VARIABLE,
    ],
    links=[
        dashboard_link("All instances", "cloud-backup-fleet", ["datasource", "job", "provider", "account", "runbooks"],
                       "Every instance, the worst first"),
        dashboard_link("One instance", "cloud-backup-instance", ["datasource", "job", "runbooks"],
                       "All that is known of one instance"),
    ],
    annotations=[
        annotation("Exporter started", f"process_start_time_seconds{{{REPLICA}}}", "blue"),
        annotation("Configuration loaded",
                   f"cloud_backup_exporter_config_last_reload_success_timestamp_seconds{{{REPLICA}}}", "purple"),
    ],
    rows=[
        (4, (4, UP), (3, FAILING), (3, OVERDUE), (3, SEARCHES), (3, CONFIGURATION), (4, CREDENTIALS), (4, REQUESTS_NOW)),
        (8, (12, FAILING_TABLE), (12, FAILURES)),
        (9, (12, POLLS), (12, READ_AGE)),
        "API budget",
        (9, (12, REQUESTS_BY_ACCOUNT), (12, SWEEPS)),
        (10, (12, REQUESTS_BY_OPERATION), (12, DURATIONS)),
        (9, (12, REQUEST_FAILURES), (12, ANOMALIES)),
        "Finding instances",
        (8, (12, DISCOVERY), (12, FOUND)),
        "Process",
        (7, (6, MEMORY), (6, CPU), (6, FILES), (6, SCRAPES)),
        (5, (24, BUILDS)),
    ],
    since="now-6h",
)
