"""Cloud backups: are we safe? All instances at once, the worst first."""

from grafana import (
    ALL_IS_GOOD, COLORED_CELL, COLORED_TEXT, DATASOURCE_VARIABLE, GREEN, GREY, NEUTRAL, NONE_IS_BEST, NONE_IS_GOOD,
    ORANGE, RED, RUNBOOKS_VARIABLE, SHARE_USED, Column, chosen, dashboard, dashboard_link, hours, link, query, runbook,
    stat, sum_over_shards, table, timeseries, words,
)

UID = "cloud-backup-fleet"

# What the variables choose.
JOB = 'job=~"$job"'
CHOSEN = f'{JOB}, provider=~"$provider", account=~"$account", source_region=~"$source_region"'
# Alerts about the exporter itself have no such labels, and are always shown.
CHOSEN_ALERTS = (
    'alertname=~"CloudBackup.*", provider=~"$provider|", account=~"$account|", source_region=~"$source_region|"'
)
ALERT = "alertname, severity, provider, account, source_region, instance_id"

INSTANCE = "provider, account, source_region, instance_id"

# Each is one series for each instance, however many replicas of the exporter are scraped. Where they disagree, the newest
# facts and the better verdict count, since the others are about to learn of them; but a switch that one of them has seen
# off is off, and a gap that one of them has seen is there. The alerting rules judge in the same way.
# Of what is gone nothing is asked, promised or missed any more, as on the status page; all replicas have to say so.
GONE = f"(min by ({INSTANCE}) (cloud_backup_instance_gone{{{CHOSEN}}}) == 1)"
INFO = f"max by ({INSTANCE}) (cloud_backup_instance_info{{{CHOSEN}}})"
PROTECTED = f"(min by ({INSTANCE}) (cloud_backup_instance_protected{{{CHOSEN}}}) unless on ({INSTANCE}) {GONE})"
OBJECTIVE_MET = f"max by ({INSTANCE}, objective) (cloud_backup_objective_met{{{CHOSEN}}})"
EVERY_OBJECTIVE_MET = f"min by ({INSTANCE}) ({OBJECTIVE_MET})"
RECOVERY_POINT_OBJECTIVE = f'max by ({INSTANCE}) (cloud_backup_objective_seconds{{{CHOSEN}, objective="recovery_point"}})'
# Copies in a region that is no longer expected only grow older, and break no promise; the regions that are expected have
# a count of uncopied sets. Where no region is expected, such as for want of a local listing, all of them count.
REMOTE_AGE = f"""
    min by ({INSTANCE}, backup_region) (cloud_backup_recovery_point_age_seconds{{{CHOSEN}, scope="cross_region"}})
"""
RECOVERY_POINT_AGE = f"""
    max by ({INSTANCE}) (
        {REMOTE_AGE} and on ({INSTANCE}, backup_region) cloud_backup_uncopied_sets{{{CHOSEN}}}
        or on ({INSTANCE}) {REMOTE_AGE}
    )
"""
OBJECTIVE_USED = f"({RECOVERY_POINT_AGE} / {RECOVERY_POINT_OBJECTIVE})"
# Only of an instance whose listing was read at least once: before, nothing is known.
WITHOUT_COPY = f"""
    (
        max by ({INSTANCE}) (cloud_backup_last_poll_success_timestamp_seconds{{{CHOSEN}, listing="cross_region"}})
        unless on ({INSTANCE}) {REMOTE_AGE}
        unless on ({INSTANCE}) {GONE}
    )
"""
LISTINGS_FAILING = f"""
    (
        max by ({INSTANCE}, listing) (cloud_backup_poll_success{{{CHOSEN}}}) == 0
        unless on ({INSTANCE}) {GONE}
    )
"""

# The name for people: the id where there is no other. Of two names at once, which two replicas can tell while one of them
# starts, one is taken, since a join with both would be an error.
NAME = f"""
    label_replace(label_replace(
        topk by ({INSTANCE}) (1, max by ({INSTANCE}, name) (cloud_backup_instance_info{{{CHOSEN}}})),
        "name_or_id", "$1", "instance_id", "(.+)"), "name_or_id", "$1", "name", "(.+)")
"""

# A promise that waits for a listing to be read. A delay has no verdict either where no region is expected, and waits for
# nothing.
UNDECIDED = f"""
    max by ({INSTANCE}, objective) (cloud_backup_objective_seconds{{{CHOSEN}, objective!="copy_delay"}})
    unless on ({INSTANCE}, objective) {OBJECTIVE_MET}
"""
COPY_SWITCH = f"""
    min by ({INSTANCE}, backup_region) (
        cloud_backup_policy_enabled{{{CHOSEN}, scope="cross_region", backup_type=~"full|continuous"}}
    )
"""
WARNING = f"""
    (
        max by ({INSTANCE}) (cloud_backup_instance_missing{{{CHOSEN}}}) == 1
        or max by ({INSTANCE}) ({COPY_SWITCH} == 0) and on ({INSTANCE}) max by ({INSTANCE}) ({COPY_SWITCH}) == 1
        or max by ({INSTANCE}) (cloud_backup_log_gaps{{{CHOSEN}}}) > 0
        or max by ({INSTANCE}) (cloud_backup_consecutive_failures{{{CHOSEN}}}) > 0
        or min by ({INSTANCE}) (max by ({INSTANCE}, listing) (cloud_backup_listing_complete{{{CHOSEN}}})) == 0
    )
"""

# The words of the status page. Numbered from the best to the worst, so that a table can be sorted by it; of several that
# hold, the one that explains most is asked for first, as there.
STATES = {
    0: ("ok", GREEN),
    1: ("waiting", GREY),
    2: ("warning", ORANGE),
    3: ("gone", GREY),
    4: ("unprotected", ORANGE),
    5: ("failing", RED),
    6: ("broken", RED),
}
STATE = f"""
    {GONE} * 0 + 3
    or ({EVERY_OBJECTIVE_MET} == 0) + 6
    or max by ({INSTANCE}) ({LISTINGS_FAILING}) + 5
    or ({PROTECTED} == 0) + 4
    or {WARNING} * 0 + 2
    or count by ({INSTANCE}) ({UNDECIDED}) * 0 + 1
    or {INFO} * 0
"""

OF_THE_ROW = (
    "/d/cloud-backup-instance?${datasource:queryparam}&${job:queryparam}&${runbooks:queryparam}"
    "&var-provider=${__data.fields.Provider}&var-account=${__data.fields.Account}"
    "&var-source_region=${__data.fields.Region}&var-instance_id=${__data.fields.Id}&${__url_time_range}"
)
OF_THE_SERIES = (
    "/d/cloud-backup-instance?${datasource:queryparam}&${job:queryparam}&${runbooks:queryparam}"
    "&var-provider=${__field.labels.provider}&var-account=${__field.labels.account}"
    "&var-source_region=${__field.labels.source_region}&var-instance_id=${__field.labels.instance_id}"
    "&${__url_time_range}"
)


def copies(metric, more="", newest="max"):
    return f'{newest} by ({INSTANCE}, backup_region, backup_type) ({metric}{{{CHOSEN}, scope="cross_region"{more}}})'


EVERY_OBJECTIVE = stat(
    "Every objective met",
    """The share of the instances whose every objective holds right now. Below 100 % the table
    below names those that need work, the worst first.""",
    [query(f"avg({EVERY_OBJECTIVE_MET})")],
    unit="percentunit",
    steps=ALL_IS_GOOD,
    decimals=0,
)
WORST_RECOVERY_POINT = stat(
    "Worst recovery point",
    """The oldest recovery point in another region, as a share of what was promised for its instance: above 100 % a
    restore there would lose more than the promise allows. Each instance is held against its own objective.""",
    [query(f"max({OBJECTIVE_USED})")],
    unit="percentunit",
    steps=SHARE_USED,
    decimals=0,
    links=[runbook("CloudBackupRecoveryPointTooOld")],
)
NO_COPY_AT_ALL = stat(
    "Without any copy",
    """Instances whose cross-region listing was read, and that have no usable backup set in any other region. If their
    region is lost, so are they.""",
    [query(f"count({WITHOUT_COPY}) or vector(0)")],
    steps=NONE_IS_GOOD,
    links=[runbook("CloudBackupNoUsableCopy"), runbook("CloudBackupInstanceUnprotected")],
)
COPYING_OFF = stat(
    "Unprotected",
    """Instances for which the provider's own switch says that nothing is copied to another region: nobody enabled it,
    somebody disabled it, or the instance cannot have it.""",
    [query(f"count({PROTECTED} == 0) or vector(0)")],
    steps=NONE_IS_GOOD,
    links=[runbook("CloudBackupInstanceUnprotected"), runbook("CloudBackupPolicySwitchedOff")],
)
LISTINGS = stat(
    "Listings failing",
    """Listings whose last attempt failed, in every replica, without those of instances that are gone. The facts behind
    them are the last known ones and grow older; the exporter's dashboard says why.""",
    [query(f"count({LISTINGS_FAILING}) or vector(0)")],
    steps=NONE_IS_BEST,
    links=[runbook("CloudBackupListingUnread")],
)
ALERTS_FIRING = stat(
    "Alerts firing",
    """Alerts of the rules of this project that fire now, for what is chosen above and for the exporter itself. It is 0 as
    well where these rules are not loaded.""",
    [query(f'count(max by ({ALERT}) (ALERTS{{{CHOSEN_ALERTS}, alertstate="firing"}})) or vector(0)')],
    steps=NONE_IS_BEST,
)

OBJECTIVES_BROKEN = stat(
    "Objectives broken, by kind",
    """How many instances break each promise. recovery_point: copies or their logs are too old; backup_age: the local
    backups are; copy_delay: a local set waits too long for its copy; retention: the copies do not reach back far
    enough.""",
    [query(
        f"sum by (objective) (1 - {OBJECTIVE_MET})",
        "{{objective}}",
    )],
    steps=NONE_IS_GOOD,
    filled=False,
    text="value_and_name",
    links=[runbook(alert) for alert in (
        "CloudBackupRecoveryPointTooOld", "CloudBackupLocalBackupTooOld", "CloudBackupCopyTooLate",
        "CloudBackupRetentionTooShort",
    )],
)
INSTANCES = stat(
    "Instances",
    """By state. monitored: polled; unmonitored: found, and left out by a filter or without backups of its own, such as a
    read-only replica; missing: monitored too, but not in the last list; gone: its own listing says that it does not exist.""",
    [query(
        sum_over_shards(
            "sum by (state)", "provider, account, source_region, state", f"cloud_backup_instances{{{CHOSEN}}}", JOB
        ),
        "{{state}}",
    ), query(f"sum({PROTECTED})", "protected")],
    filled=False,
    text="value_and_name",
)
LOG_CHAINS = stat(
    "Log chains broken",
    """Copies whose log files have a hole after the newest usable set: a restore ends at the first.""",
    [query(f"""count(max by ({INSTANCE}, backup_region) (cloud_backup_log_gaps{{{CHOSEN}, scope="cross_region"}}) > 0)
        or vector(0)""")],
    steps=NONE_IS_GOOD,
    filled=False,
    links=[runbook("CloudBackupLogChainBroken")],
)

INSTANCE_TABLE = table(
    "Instances, the worst first",
    """One row for each instance. Used: the age of its recovery point in another region as a share of its objective; of
    several expected regions, the worst. Newest copy and newest local are the ages of the newest usable full sets.
    Uncopied: local full sets that wait for a copy; Broken: objectives that do not hold. A click on the
    name opens the instance.""",
    [
        Column("Instance", label="name_or_id", width=130, links=[link("Open ${__value.raw}", OF_THE_ROW)]),
        Column("State", expression=STATE, width=100, mappings=words(STATES), cell=COLORED_CELL),
        Column("Recovery point", width=130, **hours(RECOVERY_POINT_AGE)),
        Column("Promised", width=90, **hours(RECOVERY_POINT_OBJECTIVE, decimals=None)),
        Column("Used", expression=OBJECTIVE_USED, unit="percentunit", decimals=0, steps=SHARE_USED,
               cell=COLORED_TEXT, width=75),
        Column("Newest copy", width=120, **hours(f"""
            min by ({INSTANCE}) ({copies("cloud_backup_last_success_age_seconds", ', backup_type="full"')})""")),
        Column("Newest local", width=115, **hours(f"""
            min by ({INSTANCE}) (cloud_backup_last_success_age_seconds{{{CHOSEN}, scope="local", backup_type="full"}})""")),
        Column("Uncopied", width=85, expression=f"""
            sum by ({INSTANCE}) (min by ({INSTANCE}, backup_region) (cloud_backup_uncopied_sets{{{CHOSEN}}}))"""),
        Column("Broken", steps=[(None, NEUTRAL), (1, RED)], cell=COLORED_TEXT, width=70,
               expression=f"sum by ({INSTANCE}) (1 - {OBJECTIVE_MET})"),
        Column("Provider", label="provider", width=100),
        Column("Account", label="account", width=100),
        Column("Region", label="source_region", width=130),
        Column("Id", label="instance_id"),
    ],
    labels_from=NAME,
    hidden=["name"],
    sort=[("State", True), ("Used", True)],
)

ALERT_AGE = f"""
    max by ({ALERT}) (
        time() - ALERTS_FOR_STATE{{{CHOSEN_ALERTS}}}
        and ignoring (alertstate) ALERTS{{{CHOSEN_ALERTS}, alertstate="firing"}}
    )
"""
ALERT_TABLE = table(
    "Alerts that fire, and their runbooks",
    """Alerts of the rules of this project that fire now, for what is chosen above and for the exporter itself, with how
    long they have been true. A click on an alert opens its runbook.""",
    [
        Column("Alert", label="alertname", width=270,
               links=[link("Runbook", "${runbooks:raw}/${__data.fields.Alert}", new_tab=True)]),
        Column("Severity", label="severity", width=90, cell=COLORED_TEXT,
               mappings=words({"critical": ("critical", RED), "warning": ("warning", ORANGE)})),
        Column("True for", width=95,
               **hours(f"({ALERT_AGE} * on ({INSTANCE}) group_left (name_or_id) {NAME} or {ALERT_AGE})")),
        Column("Account", label="account", width=100),
        Column("Instance", label="name_or_id"),
    ],
    hidden=["provider", "source_region", "instance_id"],
    sort=[("Severity", False), ("True for", True)],
    nothing="No alert fires.",
)

AGE_OVER_TIME = timeseries(
    "Recovery points, as a share of their objectives",
    """The fifteen instances that have used up most of what was promised for their recovery point. Above 100 % the promise
    is broken; a line that only climbs has stopped being copied.""",
    [query(
        f"topk(15, {OBJECTIVE_USED} * on ({INSTANCE}) group_left (name_or_id) {NAME})",
        "{{account}} {{name_or_id}}",
    )],
    unit="percentunit",
    steps=[(None, "transparent"), (0.8, ORANGE), (1, RED)],
    limit=True,
    legend="table",
    field_links=[link("Open ${__field.labels.name_or_id}", OF_THE_SERIES)],
)
OBJECTIVES_OVER_TIME = timeseries(
    "Objectives met",
    """The share of the instances that meet each objective, over time. The recovery point objective below 100 % is time in
    which a promised restore was not possible.""",
    [query(
        f"avg by (objective) ({OBJECTIVE_MET})",
        "{{objective}}",
    )],
    unit="percentunit",
    most=1,
    legend="table",
    decimals=0,
)
PLACES = table(
    "Where the copies are",
    """What each other region keeps: how many instances have usable copies there, in how many completed sets, how large,
    and the oldest recovery point among them.""",
    [
        Column("Provider", label="provider"),
        Column("Kept in", label="backup_region"),
        Column("Instances", unit="none", expression=f"""
            count by (provider, backup_region) ({REMOTE_AGE})"""),
        Column("Sets", unit="none", expression=f"""
            sum by (provider, backup_region) ({copies("cloud_backup_sets", ', status="completed", backup_region!=""')})"""),
        Column("Stored", unit="bytes", decimals=1, expression=f"""
            sum by (provider, backup_region) ({copies("cloud_backup_stored_bytes", ', backup_region!=""')})"""),
        Column("Oldest recovery point", **hours(f"max by (provider, backup_region) ({REMOTE_AGE})")),
    ],
    sort=[("Stored", True)],
)
STORED = timeseries(
    "Stored in other regions",
    """The sizes of the usable sets of the look-back in each other region. A step down is an expiry or a deletion; a slope
    is what next month's bill will show.""",
    [query(
        f"""sum by (provider, backup_region) ({copies("cloud_backup_stored_bytes", ', backup_region!=""')})""",
        "{{provider}} {{backup_region}}",
    )],
    unit="bytes",
    stacked=True,
    legend="table",
)

DASHBOARD = dashboard(
    UID,
    "Cloud backups: are we safe?",
    """For each database in the cloud: is there a usable backup in another region, how old is it, and would we notice if
    that stopped being true?""",
    variables=[
        DATASOURCE_VARIABLE,
        chosen("job", "Job", "label_values(cloud_backup_exporter_build_info, job)"),
        chosen("provider", "Provider", 'label_values(cloud_backup_instance_info{job=~"$job"}, provider)'),
        chosen("account", "Account",
               'label_values(cloud_backup_instance_info{job=~"$job", provider=~"$provider"}, account)'),
        chosen("source_region", "Region", """label_values(cloud_backup_instance_info{job=~"$job", provider=~"$provider",
            account=~"$account"}, source_region)"""),
        RUNBOOKS_VARIABLE,
    ],
    links=[
        dashboard_link("One instance", "cloud-backup-instance", ["datasource", "job", "runbooks"],
                       "All that is known of one instance"),
        dashboard_link("Exporter and API budget", "cloud-backup-exporter",
                       ["datasource", "job", "provider", "account", "runbooks"],
                       "Whether what is shown here is up to date"),
    ],
    rows=[
        (4, (4, EVERY_OBJECTIVE), (4, WORST_RECOVERY_POINT), (4, NO_COPY_AT_ALL), (4, COPYING_OFF), (4, LISTINGS),
         (4, ALERTS_FIRING)),
        (4, (11, OBJECTIVES_BROKEN), (10, INSTANCES), (3, LOG_CHAINS)),
        (13, (24, INSTANCE_TABLE)),
        (10, (12, AGE_OVER_TIME), (12, ALERT_TABLE)),
        (9, (12, STORED), (12, OBJECTIVES_OVER_TIME)),
        (11, (24, PLACES)),
    ],
    since="now-24h",
)
