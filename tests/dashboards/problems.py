"""What can be wrong with a set of dashboards, and with what they ask of a server that watches the demo."""

import collections
import itertools
import math
import re
import time

import exporter
import prometheus
import variables
from prometheus import SCRAPE

# What is asked for each dashboard, in the order in which it is told.
CHECKS = {
    "identity": "its uid, its panels' ids and titles are its own",
    "panels": "every panel has a description, a unit, the chosen data source and a query",
    "layout": "no panel overlaps another",
    "variables": "every variable is defined, used, and has values",
    "matchers": "what may be several values is compared with =~",
    "rates": "every rate is over $__rate_interval",
    "metrics": "every metric is documented",
    "queries": "every query is answered, with data",
    "each": "choosing every value by itself gives what All gives",
    "legends": "every label of a legend is one that the series have",
    "fields": "every field that is renamed, sorted by, overridden or linked exists",
    "links": "every link leads to a dashboard, and carries variables that are there",
    "runbooks": "every runbook is that of an alert",
    "replicas": "a second replica of the exporter changes nothing",
}

# The metrics that the demo rightly does not have.
EMPTY_ON_THE_DEMO = {
    "cloud_backup_credentials_expiry_timestamp_seconds": "only temporary keys end, and the demo has others",
    "cloud_backup_listing_complete": "every listing of a database that exists is read to its end in the demo",
}

# The dashboards about backups. What the exporter's own dashboard shows of two replicas is rightly that of both.
ABOUT_BACKUPS = {"cloud-backup-fleet", "cloud-backup-instance"}


def find(dashboards, answers):
    """Everything that is wrong, as (dashboard, check, what)."""
    return [
        (name, check, what)
        for name, dashboard in dashboards.items()
        for check, what in Look(name, dashboard, dashboards, answers).problems()
    ]


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def may_be_empty(expression):
    """Why a query may have no data, if it may."""
    for metric in re.findall(r"\bcloud_backup_\w+", expression):
        if metric in EMPTY_ON_THE_DEMO:
            return EMPTY_ON_THE_DEMO[metric]
    if "ALERTS" in expression and not prometheus.RULES.exists():
        return "there are no rules"
    return None


def documented_metrics():
    text = (exporter.REPOSITORY / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def alerts():
    """The names of the alerts, and the address under which their runbooks are."""
    text = prometheus.RULES.read_text()
    bases = set(re.findall(r"runbook_url: \"?(\S+)/\w+\"?$", text, re.MULTILINE))
    return set(re.findall(r"^\s*- alert: (\w+)$", text, re.MULTILINE)), bases


class Look:
    """A look at one dashboard, with what it finds wrong."""

    def __init__(self, name, dashboard, dashboards, answers):
        self.name, self.dashboard, self.dashboards, self.answers = name, dashboard, dashboards, answers
        self.panels = panels_of(dashboard)
        self.variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
        self.documented = documented_metrics()
        self.cases, self.wrong_values = variables.cases(dashboard, answers)
        # What the queries brought, over all choices of the variables: for each target, and the labels of its series.
        self.labels = collections.defaultdict(set)
        self.asked = self.with_data = self.empty_with_reason = 0

    def problems(self):
        for check in CHECKS:
            if check == "replicas" and self.dashboard["uid"] not in ABOUT_BACKUPS:
                continue
            for what in self.problems_of(check):
                yield check, what

    def problems_of(self, check):
        return getattr(self, f"check_{check}")()

    # The dashboard as it is written.

    def check_identity(self):
        uids = [other["uid"] for other in self.dashboards.values()]
        if uids.count(self.dashboard["uid"]) > 1:
            yield f"another dashboard has the uid {self.dashboard['uid']}"
        for key in ("id", "title"):
            counted = collections.Counter(panel[key] for panel in self.dashboard["panels"])
            yield from (f"{count} panels have the {key} {value}" for value, count in counted.items() if count > 1)
        for key in ("title", "description", "tags"):
            if not self.dashboard.get(key):
                yield f"the dashboard has no {key}"

    def check_panels(self):
        for panel in self.panels:
            title = panel["title"]
            if not panel.get("description"):
                yield f"{title}: no description"
            if not panel["fieldConfig"]["defaults"].get("unit"):
                yield f"{title}: no unit"
            if not panel.get("targets"):
                yield f"{title}: no query"
            for one in [panel, *panel.get("targets", [])]:
                if one.get("datasource") != {"type": "prometheus", "uid": "${datasource}"}:
                    yield f"{title}: not the chosen data source, but {one.get('datasource')}"

    def check_layout(self):
        places = [(panel["title"], panel["gridPos"]) for panel in self.dashboard["panels"]]
        for title, place in places:
            if place["x"] + place["w"] > 24:
                yield f"{title} is wider than the page"
        for (title, a), (other, b) in itertools.combinations(places, 2):
            if (
                a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"]
                and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]
            ):
                yield f"{title} overlaps {other}"

    def expressions(self):
        """Every query of a panel or an annotation, with a name for it."""
        for panel in self.panels:
            for target in panel.get("targets", []):
                yield f"{panel['title']}, {target['refId']}", target["expr"]
        for annotation in self.dashboard["annotations"]["list"]:
            if "expr" in annotation:
                yield f"annotation {annotation['name']}", annotation["expr"]

    def check_variables(self):
        yield from self.wrong_values
        used = set()
        for text in texts_of({key: value for key, value in self.dashboard.items() if key != "templating"}):
            used |= variables.references(text)
        for variable in self.dashboard["templating"]["list"]:
            used |= variables.references(" ".join(texts_of(variable)))
        yield from (f"${name} is not defined" for name in sorted(used - set(self.variables) - variables.OF_GRAFANA))
        yield from (f"${name} is not used" for name in self.variables if name not in used)

    def check_matchers(self):
        several = {name for name, variable in self.variables.items() if variable.get("multi") or variable.get("includeAll")}
        questions = [(variable["name"], variable["query"]["query"]) for variable in variables.chosen_from(self.dashboard)]
        for name, expression in [*self.expressions(), *questions]:
            for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', expression):
                for variable in variables.references(value) & several:
                    if operator in ("=", "!="):
                        yield f"{name}: {label}{operator}${variable}, which may be several values"

    def check_rates(self):
        for name, expression in self.expressions():
            for window in re.findall(r"\brate\([^()\[\]]*\[([^\]]*)\]", expression):
                if window != "$__rate_interval":
                    yield f"{name}: a rate over {window}"

    def check_metrics(self):
        known = self.documented
        for name, expression in self.expressions():
            for metric in set(re.findall(r"\bcloud_backup_\w+", expression)):
                if metric not in known and re.sub(r"_(bucket|sum|count)$", "", metric) not in known:
                    yield f"{name}: {metric} is not documented"

    # What a server says.

    def check_queries(self):
        self.asked = self.with_data = self.empty_with_reason = 0
        for panel in self.panels:
            for target in panel.get("targets", []):
                found = yield from self.ask(f"{panel['title']}, {target['refId']}", target["expr"], target.get("instant"))
                for labels, _ in found:
                    self.labels[panel["id"], target["refId"]] |= set(labels)
        for annotation in self.dashboard["annotations"]["list"]:
            if "expr" in annotation:
                yield from self.ask(f"annotation {annotation['name']}", annotation["expr"], True)

    def ask(self, name, expression, instant):
        """Asks with every choice of the variables; one of them has to bring data, and none an error."""
        self.asked += 1
        found = []
        for case in self.cases:
            series, error = self.answers.series(variables.substituted(expression, case.texts), instant)
            if error:
                yield f"{name}: {error}"
                return []
            found += series
        why = may_be_empty(expression)
        if found and all(math.isnan(value) for _, values in found for value in values):
            yield f"{name}: nothing but NaN"
        elif not found and not why:
            yield f"{name}: no data for {expression}"
        self.with_data += bool(found)
        self.empty_with_reason += not found
        return found

    def check_each(self):
        by_name = {case.name: case for case in self.cases}
        if not {"all", "each"} <= set(by_name):
            return
        for name, expression in self.expressions():
            counts = [
                len(self.answers.series(variables.substituted(expression, by_name[case].texts), True)[0])
                for case in ("all", "each")
            ]
            if counts[0] != counts[1]:
                yield f"{name}: {counts[0]} series with All, {counts[1]} with every value"

    def check_legends(self):
        for panel in self.panels:
            for target in panel.get("targets", []):
                labels = self.labels[panel["id"], target["refId"]]
                named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))
                if labels:
                    yield from (f"{panel['title']}: no series has the label {one}" for one in sorted(named - labels))

    def check_fields(self):
        for panel in self.panels:
            title, targets = panel["title"], panel.get("targets", [])
            if targets and all(may_be_empty(target["expr"]) for target in targets):
                continue
            labels = set().union(*(self.labels[panel["id"], target["refId"]] for target in targets))
            if panel["type"] == "table":
                several = len(targets) > 1
                fields = {"Time"} | labels | {f"Value #{one['refId']}" if several else "Value" for one in targets}
                for transformation in panel.get("transformations", []):
                    if transformation["id"] != "organize":
                        continue
                    options = transformation["options"]
                    for key in ("excludeByName", "indexByName", "renameByName"):
                        yield from (f"{title}: {key} names {field}" for field in sorted(set(options[key]) - fields))
                    kept = fields - set(options["excludeByName"])
                    yield from (f"{title}: {field} has no heading" for field in sorted(kept - set(options["renameByName"])))
                    fields = {options["renameByName"].get(field, field) for field in kept}
                for column in panel["options"].get("sortBy", []):
                    if column["displayName"] not in fields:
                        yield f"{title}: sorted by {column['displayName']}"
            else:
                fields = {name for target in targets for name in self.series_names(panel, target)}
            for override in panel["fieldConfig"]["overrides"]:
                if override["matcher"]["options"] not in fields:
                    yield f"{title}: an override for {override['matcher']['options']}"
            for text in texts_of(panel["fieldConfig"]):
                for field in re.findall(r"\$\{__data\.fields\.(\w+)", text):
                    if field not in fields:
                        yield f"{title}: a link with the field {field}"
                for label in re.findall(r"\$\{__field\.labels\.(\w+)", text):
                    if label not in labels:
                        yield f"{title}: a link with the label {label}"

    def series_names(self, panel, target):
        for case in self.cases:
            series, _ = self.answers.series(variables.substituted(target["expr"], case.texts), target.get("instant"))
            for labels, _ in series:
                yield re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"])

    def check_links(self):
        by_uid = {other["uid"]: other for other in self.dashboards.values()}
        for text in texts_of(self.dashboard):
            if not text.startswith("/d/"):
                continue
            path, _, carried = text.partition("?")
            uid = path.removeprefix("/d/")
            if uid not in by_uid:
                yield f"{uid} is no dashboard: {text}"
                continue
            there = {variable["name"] for variable in by_uid[uid]["templating"]["list"]}
            named = re.findall(r"(?:^|&)var-(\w+)=", carried) + re.findall(r"\$\{(\w+):queryparam\}", carried)
            yield from (f"{uid} has no variable {name}: {text}" for name in named if name not in there)

    def check_runbooks(self):
        if not prometheus.RULES.exists():
            return
        names, bases = alerts()
        default = self.variables["runbooks"]["query"]
        if bases != {default}:
            yield f"the runbooks of the rules are at {sorted(bases)}, not at {default}"
        for text in texts_of(self.dashboard):
            for alert in re.findall(r"^\$\{runbooks:raw\}/(\w+)$", text):
                if alert not in names:
                    yield f"{alert} is no alert"

    def check_replicas(self):
        """The same question about one exporter and about two that know the same has the same answer."""
        jobs = [{"job": job} for job in (prometheus.ALONE, prometheus.REPLICATED)]
        for panel in self.panels:
            for target in panel.get("targets", []):
                if "$job" not in target["expr"]:
                    continue
                for case in self.cases:
                    asked = [variables.substituted(target["expr"], case.texts | job) for job in jobs]
                    if difference := self.difference(asked):
                        yield f"{panel['title']}, {target['refId']}: {difference}"
                        break

    def difference(self, asked):
        """How the two answers differ. What changed between two scrapes differs for a moment only."""
        for attempt in range(4):
            answers = self.answers if attempt == 0 else prometheus.Answers(self.answers.server)
            one, two = (
                {tuple(sorted(labels.items())): values[-1] for labels, values in answers.series(expression, True)[0]}
                for expression in asked
            )
            ages = re.search(r"time\(\)|_age_seconds|_timestamp_seconds", asked[0])
            same = one.keys() == two.keys() and all(
                math.isclose(one[key], two[key], rel_tol=0.01 if ages else 1e-9, abs_tol=3 if ages else 0)
                for key in one
            )
            if same or tuple(asked) in self.answers.alike:
                self.answers.alike.add(tuple(asked))
                return None
            time.sleep(1.5 * SCRAPE)
        return f"{len(one)} series with one exporter, {len(two)} with two; sums {sum(one.values())}, {sum(two.values())}"


def texts_of(value):
    """Every text in a part of a dashboard, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_of(one)
