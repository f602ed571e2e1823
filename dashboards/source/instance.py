"""One instance: what could be restored, from where, and what stands in the way."""

from grafana import (
    COLORED_TEXT, DATASOURCE_VARIABLE, GREEN, GREY, LIMIT_LINE, NEUTRAL, NONE_IS_GOOD, ORANGE, RED,
    RUNBOOKS_VARIABLE, SHARE_USED, Column, chosen, dashboard, dashboard_link, days, hours, minutes, query, runbook, stat,
    table, timeseries, words,
)

UID = "cloud-backup-instance"

CHOSEN = (
    'job=~"$job", provider="$provider", account="$account", source_region="$source_region", instance_id="$instance_id"'
)
REMOTE = f'{CHOSEN}, scope="cross_region"'
LOCAL = f'{CHOSEN}, scope="local"'
COPY = "scope, backup_region, backup_type"

# As in the fleet's dashboard: one series however many replicas of the exporter are scraped, and where they disagree the
# newest facts and the better verdict, but a switch that is off and a gap as soon as one has seen them; and of the copies
# only those in an expected region, where there is one.
REMOTE_AGE = f"min by (instance_id, backup_region) (cloud_backup_recovery_point_age_seconds{{{REMOTE}}})"
EXPECTED_AGE = f"""
    (
        {REMOTE_AGE} and on (instance_id, backup_region) cloud_backup_uncopied_sets{{{CHOSEN}}}
        or on (instance_id) {REMOTE_AGE}
    )
"""
# The newest local set of any type, as the objective counts it.
LOCAL_AGE = f"min(cloud_backup_last_success_age_seconds{{{LOCAL}}})"
UNCOPIED = f"min by (backup_region) (cloud_backup_uncopied_sets{{{CHOSEN}}})"
# Nothing waits where no set is uncopied; where no region is expected, there is no answer.
WAITING = f"""
    (time() - max by (backup_region) (cloud_backup_oldest_uncopied_timestamp_seconds{{{CHOSEN}}}) or {UNCOPIED} * 0)
"""

ON_OFF = {0: ("off", RED), 1: ("on", GREEN)}
YES_NO = {0: ("no", RED), 1: ("yes", GREEN)}


def objective(kind):
    return f'max(cloud_backup_objective_seconds{{{CHOSEN}, objective="{kind}"}})'


def by_copy(metric, extra="", aggregate="max"):
    return f"{aggregate} by ({COPY}) ({metric}{{{CHOSEN}{extra}}})"


def by_place(metric):
    return f"max by (scope, backup_region) ({metric}{{{CHOSEN}}})"


def by_listing(metric):
    return f"max by (listing) ({metric}{{{CHOSEN}}})"


OF_A_COPY = "{{scope}} {{backup_region}} {{backup_type}}"

OBJECTIVES = stat(
    "Objectives",
    """Whether each promise of the configuration holds right now. One that is switched off, or that depends on a listing
    which was never read, is left out.""",
    [query(f"max by (objective) (cloud_backup_objective_met{{{CHOSEN}}})", "{{objective}}")],
    mappings=words({0: ("broken", RED), 1: ("met", GREEN)}),
    text="value_and_name",
    nothing=("no verdict", GREY),
    links=[runbook(alert) for alert in (
        "CloudBackupRecoveryPointTooOld", "CloudBackupLocalBackupTooOld", "CloudBackupCopyTooLate",
        "CloudBackupRetentionTooShort",
    )],
)
RECOVERY_POINT_USED = stat(
    "Recovery point used",
    """The age of the recovery point in the worst of the expected regions, as a share of what was promised.""",
    [query(f"max({EXPECTED_AGE}) / {objective('recovery_point')}")],
    unit="percentunit",
    steps=SHARE_USED,
    decimals=0,
    nothing=("no copy", RED),
)
PROTECTED = stat(
    "Copying",
    """The provider's own switch: whether it copies the backups of this instance to another region.""",
    [query(f"min(cloud_backup_instance_protected{{{CHOSEN}}})")],
    mappings=words(ON_OFF),
    nothing=("unknown", ORANGE),
    links=[runbook("CloudBackupInstanceUnprotected"), runbook("CloudBackupPolicySwitchedOff")],
)
DELAY_USED = stat(
    "Copy delay used",
    """How long the oldest local full set without its copy has waited for it, in the worst of the expected regions, as a
    share of what was promised.""",
    [query(f"max({WAITING}) / {objective('copy_delay')}")],
    unit="percentunit",
    steps=SHARE_USED,
    decimals=0,
    nothing=("none expected", GREY),
    links=[runbook("CloudBackupCopyTooLate")],
)
FAILURES_NOW = stat(
    "Failures in a row",
    """The longest run of failed backup sets that are newer than the newest usable one, over all places and types.""",
    [query(f"max(cloud_backup_consecutive_failures{{{CHOSEN}}})")],
    steps=[(None, GREEN), (1, ORANGE), (2, RED)],
    links=[runbook("CloudBackupFailing")],
)
GAPS_NOW = stat(
    "Log gaps",
    """Holes in the copied log files after the newest usable set: a restore ends at the first. Empty where no logs are
    copied.""",
    [query(f"max(cloud_backup_log_gaps{{{REMOTE}}})")],
    steps=NONE_IS_GOOD,
    nothing=("no logs", GREY),
    links=[runbook("CloudBackupLogChainBroken")],
)
IDENTITY = table(
    "Instance",
    """What the provider says about the instance itself.""",
    [
        Column("Name", label="name"),
        Column("Id", label="instance_id"),
        Column("Product", label="product"),
        Column("Engine", label="engine"),
        Column("Version", label="engine_version"),
        Column("Created", unit="dateTimeAsIso",
               expression=f"max by (instance_id) (cloud_backup_instance_created_timestamp_seconds{{{CHOSEN}}}) * 1000"),
        Column("Protected since", unit="dateTimeAsIso", expression=f"""
            max by (instance_id) (cloud_backup_instance_protected_since_timestamp_seconds{{{CHOSEN}}}) * 1000"""),
    ],
    labels_from=f"""
        topk by (instance_id) (1, max by (instance_id, name, product, engine, engine_version)
        (cloud_backup_instance_info{{{CHOSEN}}}))
    """,
)

AGE_OVER_TIME = timeseries(
    "Recovery point age, against the objective",
    """The data that a restore from each other region would lose, against what was promised, and for comparison that from
    the instance's own region. A sawtooth is healthy; a line that only climbs is not.""",
    [
        query(f"{REMOTE_AGE} / 3600", "copy in {{backup_region}}"),
        query(
            f"min by (backup_region) (cloud_backup_recovery_point_age_seconds{{{LOCAL}}}) / 3600",
            "own region, {{backup_region}}",
        ),
        query(f"{objective('recovery_point')} / 3600", "objective"),
    ],
    unit="suffix:h",
    overrides=[("objective", LIMIT_LINE)],
)
USED_OVER_TIME = timeseries(
    "Objectives, as shares used",
    """How much of each promise is used up: broken above 100 %. copy_delay counts the local full set that has waited
    longest for its copy. retention works the other way round, and is not here.""",
    [
        query(f"max({EXPECTED_AGE}) / {objective('recovery_point')}", "recovery_point"),
        query(f"{LOCAL_AGE} / {objective('backup_age')}", "backup_age"),
        query(f"max({WAITING}) / {objective('copy_delay')}", "copy_delay"),
    ],
    unit="percentunit",
    steps=[(None, "transparent"), (0.8, ORANGE), (1, RED)],
    limit=True,
    most=1.05,
)
SUCCESS_OVER_TIME = timeseries(
    "Age of the newest usable set, against the objective",
    """From the end of the newest usable set of each place and type to now; the objective is that of the local ones.""",
    [
        query(f'{by_copy("cloud_backup_last_success_age_seconds", aggregate="min")} / 3600', OF_A_COPY),
        query(f"{objective('backup_age')} / 3600", "objective backup_age"),
    ],
    unit="suffix:h",
    overrides=[("objective backup_age", LIMIT_LINE)],
)
WAITING_OVER_TIME = timeseries(
    "Longest wait for a copy, against the objective",
    """How long the oldest local full set without a copy in each expected region has waited for it. 0 while every set has
    its copy.""",
    [
        query(f"{WAITING} / 3600", "for {{backup_region}}"),
        query(f"{objective('copy_delay')} / 3600", "objective copy_delay"),
    ],
    unit="suffix:h",
    overrides=[("objective copy_delay", LIMIT_LINE)],
)
UNCOPIED_OVER_TIME = timeseries(
    "Uncopied sets, log gaps and failures in a row",
    """What waits for its copy in each expected region, the holes in the copied logs, and the failed sets since the newest
    usable one.""",
    [
        query(UNCOPIED, "uncopied in {{backup_region}}"),
        query(f"max by (backup_region) (cloud_backup_log_gaps{{{REMOTE}}})", "log gaps in {{backup_region}}"),
        query(f"max by (scope) (cloud_backup_consecutive_failures{{{CHOSEN}}})", "failures in a row, {{scope}}"),
    ],
    unit="short",
    step=True,
    most=1,
    decimals=0,
)
SIZES = timeseries(
    "Size of the newest usable set",
    """A set that is suddenly much smaller than those before it may be missing data.""",
    [query(by_copy("cloud_backup_last_success_size_bytes"), OF_A_COPY)],
    unit="bytes",
    step=True,
)
DURATIONS = timeseries(
    "Duration of the newest usable set",
    """From its start to its end, as the provider tells them.""",
    [query(f'{by_copy("cloud_backup_last_success_duration_seconds")} / 60', OF_A_COPY)],
    unit="suffix:min",
    step=True,
)
SETS = timeseries(
    "Sets by status",
    """Backup sets in the look-back, over all places and types. completed counts expired ones as well.""",
    [query(
        f"sum by (scope, status) (max by ({COPY}, status) (cloud_backup_sets{{{CHOSEN}}}))",
        "{{scope}} {{status}}",
    )],
    unit="short",
    step=True,
    decimals=0,
)
STORED = timeseries(
    "Stored",
    """The sum of the sizes of the usable sets of the look-back.""",
    [query(by_copy("cloud_backup_stored_bytes"), OF_A_COPY)],
    unit="bytes",
    step=True,
)

PLACES = table(
    "Backup sets, by place and type",
    """What is kept where. Newest usable, with its size and how long it took. Failed in a row: since then. Switched and Kept
    for are the provider's own policy, and empty where it does not tell.""",
    [
        Column("Scope", label="scope", width=110),
        Column("Kept in", label="backup_region", width=130),
        Column("Type", label="backup_type", width=100),
        Column("Newest usable", **hours(by_copy("cloud_backup_last_success_age_seconds", aggregate="min"))),
        Column("Last try", mappings=words({0: ("failed", RED), 1: ("ok", GREEN)}), cell=COLORED_TEXT,
               expression=by_copy("cloud_backup_last_attempt_success")),
        Column("Failed in a row", steps=[(None, NEUTRAL), (1, ORANGE), (2, RED)], cell=COLORED_TEXT,
               expression=by_copy("cloud_backup_consecutive_failures")),
        Column("Completed", expression=by_copy("cloud_backup_sets", ', status="completed"')),
        Column("Failed", steps=[(None, NEUTRAL), (1, ORANGE)], cell=COLORED_TEXT,
               expression=by_copy("cloud_backup_sets", ', status="failed"')),
        Column("Oldest usable", **days(f"(time() - {by_copy('cloud_backup_oldest_timestamp_seconds')})")),
        Column("Size", unit="bytes", decimals=1, expression=by_copy("cloud_backup_last_success_size_bytes")),
        Column("Took", **minutes(by_copy("cloud_backup_last_success_duration_seconds"))),
        Column("Usable, total", unit="bytes", decimals=1, expression=by_copy("cloud_backup_stored_bytes")),
        Column("Switched", mappings=words(ON_OFF), cell=COLORED_TEXT,
               expression=by_copy("cloud_backup_policy_enabled", aggregate="min")),
        Column("Kept for", **days(by_copy("cloud_backup_policy_retention_seconds"), decimals=None)),
    ],
    sort=[("Scope", False)],
)
RESTORE = table(
    "To when it can be restored",
    """Recovery point: computed from what is listed. Window: the provider's own word for the stretch to which it can
    restore; of several, the newest, and Window gaps counts the others, between which nothing can be restored.""",
    [
        Column("From", label="scope", width=110),
        Column("Kept in", label="backup_region", width=130),
        Column("Recovery point", unit="dateTimeAsIso", width=175,
               expression=f"{by_place('cloud_backup_recovery_point_timestamp_seconds')} * 1000"),
        Column("Restore window from", unit="dateTimeAsIso", width=175,
               expression=f"{by_place('cloud_backup_restore_window_start_timestamp_seconds')} * 1000"),
        Column("To", unit="dateTimeAsIso", width=175,
               expression=f"{by_place('cloud_backup_restore_window_end_timestamp_seconds')} * 1000"),
        Column("Window gaps", width=110, steps=[(None, NEUTRAL), (1, ORANGE)], cell=COLORED_TEXT,
               expression=by_place("cloud_backup_restore_window_gaps")),
        Column("Gaps in the logs", steps=[(None, NEUTRAL), (1, RED)], cell=COLORED_TEXT,
               expression=by_place("cloud_backup_log_gaps")),
    ],
    sort=[("From", False)],
    nothing="No usable backup set, and no restore window.",
)
LISTINGS = table(
    "Listings",
    """Whether what is shown here is up to date. A listing that fails leaves the last known facts, which grow older;
    whole means that all rows were read.""",
    [
        Column("Listing", label="listing"),
        Column("Read", mappings=words(YES_NO), cell=COLORED_TEXT, expression=by_listing("cloud_backup_poll_success")),
        Column("Last success", **minutes(f"(time() - {by_listing('cloud_backup_last_poll_success_timestamp_seconds')})")),
        Column("Whole", mappings=words(YES_NO), cell=COLORED_TEXT,
               expression=by_listing("cloud_backup_listing_complete")),
    ],
    sort=[("Listing", False)],
)

INFO = 'cloud_backup_instance_info{job=~"$job", provider="$provider", account="$account", source_region="$source_region"}'

DASHBOARD = dashboard(
    UID,
    "Cloud backups: one instance",
    """What could be restored of one database, from where, how that changed, and what stands in the way.""",
    variables=[
        DATASOURCE_VARIABLE,
        chosen("job", "Job", "label_values(cloud_backup_exporter_build_info, job)"),
        chosen("provider", "Provider", 'label_values(cloud_backup_instance_info{job=~"$job"}, provider)', many=False),
        chosen("account", "Account",
               'label_values(cloud_backup_instance_info{job=~"$job", provider="$provider"}, account)', many=False),
        chosen("source_region", "Region", """label_values(cloud_backup_instance_info{job=~"$job", provider="$provider",
            account="$account"}, source_region)""", many=False),
        # Shown with its name, chosen by its id. Of an instance without a name only the id is shown.
        chosen("instance_id", "Instance", f"""query_result(label_replace(
            label_join(max by (instance_id, name) ({INFO}), "title", " · ", "name", "instance_id"),
            "title", "$1", "title", " · (.+)"))""",
               many=False, regex='/instance_id="(?<value>[^"]+)".*title="(?<text>[^"]+)"/'),
        RUNBOOKS_VARIABLE,
    ],
    links=[
        dashboard_link("All instances", "cloud-backup-fleet", ["datasource", "job", "runbooks"],
                       "Every instance, the worst first"),
        dashboard_link("Exporter and API budget", "cloud-backup-exporter",
                       ["datasource", "job", "provider", "account", "runbooks"],
                       "Whether what is shown here is up to date"),
    ],
    rows=[
        (4, (9, OBJECTIVES), (4, RECOVERY_POINT_USED), (3, PROTECTED), (3, DELAY_USED), (3, FAILURES_NOW),
         (2, GAPS_NOW)),
        (9, (12, AGE_OVER_TIME), (12, USED_OVER_TIME)),
        (8, (15, RESTORE), (9, LISTINGS)),
        (8, (24, PLACES)),
        "Over time",
        (8, (12, SUCCESS_OVER_TIME), (12, WAITING_OVER_TIME)),
        (8, (12, UNCOPIED_OVER_TIME), (12, SETS)),
        (8, (8, SIZES), (8, DURATIONS), (8, STORED)),
        (4, (24, IDENTITY)),
    ],
    since="now-7d",
)
