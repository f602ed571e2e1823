"""Dashboards that are broken on purpose, each in one way: a check that finds nothing in them checks nothing."""


def panel(dashboards, name, title):
    return next(panel for panel in dashboards[name]["panels"] if panel["title"] == title)


def target(dashboards, name, title):
    return panel(dashboards, name, title)["targets"][0]


def options(dashboards, name, title):
    transformations = panel(dashboards, name, title)["transformations"]
    return next(one["options"] for one in transformations if one["id"] == "organize")


def variable(dashboards, name, variable_name):
    return next(one for one in dashboards[name]["templating"]["list"] if one["name"] == variable_name)


def replace(holder, key, old, new):
    assert old in holder[key], f"the fault no longer fits: {old} is not in {holder[key]}"
    holder[key] = holder[key].replace(old, new)


STAT, LINES, TABLE = "Worst recovery point", "Recovery points, as a share of their objectives", "Instances, the worst first"

# What is broken, which check has to say so, and how it is broken.
FAULTS = [
    ("two dashboards with one uid", "identity", lambda all: all["fleet"].update(uid="cloud-backup-instance")),
    ("two panels with one id", "identity", lambda all: all["fleet"]["panels"][0].update(id=2)),
    ("a panel without a description", "panels", lambda all: panel(all, "fleet", STAT).pop("description")),
    ("a panel without a unit", "panels", lambda all: panel(all, "fleet", STAT)["fieldConfig"]["defaults"].pop("unit")),
    ("a panel without a query", "panels", lambda all: panel(all, "fleet", STAT).pop("targets")),
    ("a panel with a data source of its own", "panels",
     lambda all: panel(all, "fleet", STAT).update(datasource={"type": "prometheus", "uid": "mine"})),
    ("a query without a data source", "panels", lambda all: target(all, "fleet", STAT).pop("datasource")),
    ("panels that overlap", "layout", lambda all: panel(all, "fleet", STAT)["gridPos"].update(x=0)),
    ("a panel that is too wide", "layout", lambda all: panel(all, "fleet", STAT)["gridPos"].update(w=24)),
    ("a variable that is not defined", "variables", lambda all: replace(target(all, "fleet", STAT), "expr", "$job", "$jobs")),
    ("a variable that is not used", "variables",
     lambda all: all["fleet"]["templating"]["list"].append(
         variable(all, "fleet", "account") | {"name": "unused", "label": "Unused"})),
    ("a variable without values", "variables",
     lambda all: replace(variable(all, "fleet", "account")["query"], "query", "cloud_backup_instance_info", "no_such_metric")),
    ("a variable whose question is wrong", "variables",
     lambda all: replace(variable(all, "instance", "instance_id")["query"], "query", "max by", "max buy")),
    ("several values compared with =", "matchers",
     lambda all: replace(target(all, "fleet", STAT), "expr", 'provider=~"$provider"', 'provider="$provider"')),
    ("several values compared with = in a variable", "matchers",
     lambda all: replace(variable(all, "fleet", "account")["query"], "query", 'job=~"$job"', 'job="$job"')),
    ("a rate over a fixed time", "rates",
     lambda all: replace(target(all, "exporter", "CPU"), "expr", "[$__rate_interval]", "[5m]")),
    ("a metric that is not documented", "metrics",
     lambda all: replace(target(all, "exporter", "Memory"), "expr", "process_resident_memory_bytes", "cloud_backup_memory")),
    ("a query that is no PromQL", "queries", lambda all: target(all, "fleet", STAT).update(expr="max((up)")),
    ("a query that joins many to many", "queries",
     lambda all: target(all, "fleet", STAT).update(
         expr='cloud_backup_poll_success{job=~"$job"} / on (provider) cloud_backup_sets{job=~"$job"}')),
    ("a query without data", "queries",
     lambda all: replace(target(all, "exporter", "Memory"), "expr", "$job", "no such job")),
    ("a query whose data is NaN", "queries", lambda all: replace(target(all, "fleet", STAT), "expr", "max(", "0 / 0 * max(")),
    ("an annotation without data", "queries",
     lambda all: replace(all["exporter"]["annotations"]["list"][1], "expr", "process_start_time", "process_end_time")),
    ("an All that leaves something out", "each", lambda all: variable(all, "fleet", "provider").update(allValue="a.*")),
    ("a legend with a label that no series has", "legends",
     lambda all: target(all, "fleet", LINES).update(legendFormat="{{instance}}")),
    ("a column that does not exist", "fields",
     lambda all: options(all, "fleet", TABLE)["renameByName"].update({"no_such_label": "Nothing"})),
    ("a hidden column that does not exist", "fields",
     lambda all: options(all, "fleet", TABLE)["excludeByName"].update({"no_such_label": True})),
    ("a column without a heading", "fields", lambda all: options(all, "fleet", TABLE)["renameByName"].pop("provider")),
    ("a sort by no column", "fields",
     lambda all: panel(all, "fleet", TABLE)["options"]["sortBy"].append({"displayName": "Nothing", "desc": True})),
    ("an override of no column", "fields",
     lambda all: panel(all, "fleet", TABLE)["fieldConfig"]["overrides"][0]["matcher"].update(options="Nothing")),
    ("an override of no series", "fields",
     lambda all: panel(all, "instance", "Recovery point age, against the objective")["fieldConfig"]["overrides"][0][
         "matcher"].update(options="the objective")),
    ("a link with a field that does not exist", "fields",
     lambda all: options(all, "fleet", TABLE)["renameByName"].update(instance_id="Name")),
    ("a link with a label that does not exist", "fields",
     lambda all: replace(panel(all, "fleet", LINES)["fieldConfig"]["defaults"]["links"][0], "url",
                         "labels.account", "labels.owner")),
    ("a link to no dashboard", "links",
     lambda all: replace(all["fleet"]["links"][0], "url", "cloud-backup-instance", "cloud-backup-instances")),
    ("a link with a variable that is not there", "links",
     lambda all: replace(panel(all, "fleet", LINES)["fieldConfig"]["defaults"]["links"][0], "url",
                         "var-instance_id", "var-instance")),
    ("a runbook of no alert", "runbooks",
     lambda all: panel(all, "fleet", STAT)["links"][0].update(url="${runbooks:raw}/CloudBackupNothing")),
    ("runbooks somewhere else", "runbooks",
     lambda all: variable(all, "fleet", "runbooks").update(query="https://example.org")),
    ("a count of every replica", "replicas",
     lambda all: target(all, "fleet", STAT).update(expr='count(cloud_backup_instance_info{job=~"$job"})')),
    ("a line for every replica", "replicas",
     lambda all: target(all, "instance", "Copying").update(
         expr='cloud_backup_instance_protected{job=~"$job", instance_id="$instance_id"}')),
]

# The same for Grafana's types: where, and what is written there instead.
ILL_TYPED = [
    ("a mode of thresholds that does not exist", ("fieldConfig", "defaults", "thresholds", "mode"), "absolut"),
    ("a width that is a text", ("gridPos", "w"), "6"),
    ("a key that no panel has", ("titel",), "Worst recovery point"),
    ("a graph that no stat has", ("options", "graphMode"), "nothing"),
]
