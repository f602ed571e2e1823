"""The parts of a Grafana dashboard (classic schema, Grafana 10 or newer), with what holds for every one of ours.

Nothing here knows a metric. What each dashboard asks is in the file that is named like it.
"""

import re

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TAG = "cloud-backup"

# Neutral is for letters, and grey for a background.
GREEN, ORANGE, RED, NEUTRAL, GREY = "green", "orange", "red", "text", "#5a6169"

# A share of an objective: used up at 1, and soon to be at 0.8. The objective itself is always a metric.
SHARE_USED = [(None, GREEN), (0.8, ORANGE), (1, RED)]
NONE_IS_GOOD = [(None, GREEN), (1, RED)]
NONE_IS_BEST = [(None, GREEN), (1, ORANGE)]
ALL_IS_GOOD = [(None, RED), (1, GREEN)]
NO_JUDGEMENT = [(None, NEUTRAL)]


def thresholds(steps):
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in steps]}


def words(meanings):
    """A mapping of whole numbers, or of words, to words with a colour."""
    options = {
        str(value): {"color": color, "index": index, "text": text}
        for index, (value, (text, color)) in enumerate(meanings.items())
    }
    return [{"type": "value", "options": options}]


def link(title, url, new_tab=False):
    return {"title": title, "url": url, "targetBlank": new_tab}


def runbook(alert):
    """The page of an alert. The variable is written as it is: encoded, its slashes would no longer be slashes."""
    return link(f"Runbook: {alert}", "${runbooks:raw}/" + alert, new_tab=True)


def query(expression, legend=None):
    """One line or value for each series."""
    return {"expr": tidy(expression), "legendFormat": legend or "__auto", "range": True, "instant": False}


def sum_over_shards(aggregation, labels, series, targets):
    """What exporters count, once for each shard: of the replicas of a shard the larger count, of the shards the sum."""
    shard = f'count_values by (job, instance) ("shard", cloud_backup_exporter_shard_index{{{targets}}})'
    return f"{aggregation} (max by ({labels}, shard) ({series} * on (job, instance) group_left (shard) {shard}))"


def tidy(expression):
    """On one line, however it is written in the source."""
    return re.sub(r"\s+", " ", expression).replace("( ", "(").replace(" )", ")").strip()


def panel(kind, title, description, queries, unit, steps, defaults=None, overrides=(), options=None, links=(), extra=None):
    targets = [
        {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "editorMode": "code"} | asked
        for index, asked in enumerate(queries)
    ]
    return {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": thresholds(steps)} | (defaults or {}),
            "overrides": [override(name, properties) for name, properties in overrides],
        },
        "options": options or {},
        "links": list(links),
    } | (extra or {})


def override(name, properties):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def stat(title, description, queries, unit="short", steps=NO_JUDGEMENT, filled=True, mappings=None, decimals=None,
         text="auto", nothing=("–", NEUTRAL), links=()):
    """The newest value of one or more series, in large type."""
    # Without series the value is null, which would otherwise have the colour of the lowest threshold: often green.
    without = {"type": "special", "options": {"match": "null", "result": dict(zip(("text", "color"), nothing), index=9)}}
    defaults = {"noValue": nothing[0], "color": {"mode": "thresholds"}, "mappings": [*(mappings or []), without]}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background" if filled else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "vertical" if len(queries) == 1 and text == "name" else "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": text,
        "wideLayout": True,
    }
    return panel("stat", title, description, queries, unit, steps, defaults, options=options, links=links)


def timeseries(title, description, queries, unit, steps=NO_JUDGEMENT, limit=False, stacked=False, least=0, most=None,
               overrides=(), legend="list", links=(), step=False, field_links=(), decimals=None):
    """Lines over time. With `limit` the thresholds are drawn as well."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "lineInterpolation": "stepAfter" if step else "linear",
        "fillOpacity": 25 if stacked else 0,
        "showPoints": "never",
        # A scrape that was missed is no hole; an exporter that was away for longer is.
        "spanNulls": 300000,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limit else "off"},
    }
    defaults = {"custom": custom, "color": {"mode": "palette-classic"}}
    if least is not None:
        defaults["min"] = least
    if most is not None:
        defaults["custom"]["axisSoftMax"] = most
    if decimals is not None:
        defaults["decimals"] = decimals
    if field_links:
        defaults["links"] = list(field_links)
    placed = {
        "list": {"displayMode": "list", "placement": "bottom", "calcs": [], "showLegend": True},
        "table": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull"], "showLegend": True,
                  "sortBy": "Last *", "sortDesc": True},
    }
    options = {"legend": placed[legend], "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, queries, unit, steps, defaults, overrides, options, links)


# A limit beside the line that it is for.
LIMIT_LINE = {
    "color": {"mode": "fixed", "fixedColor": RED},
    "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
}


class Column:
    """A column of a table: a label of the series, or, with an expression, a value."""

    def __init__(self, header, label=None, expression=None, width=None, **properties):
        assert (label is None) != (expression is None)
        self.header, self.label, self.expression = header, label, expression
        # A label is text also where it looks like a number, such as a version: 5.7 is not 5.70.
        self.properties = properties | ({"unit": "string"} if label else {})
        if width:
            self.properties["custom.width"] = width


def hours(expression, decimals=1):
    """A column of seconds in the unit of promises such as `26h`, so that the two can be compared, as on the status page."""
    return span(expression, 3600, "h", decimals)


def days(expression, decimals=1):
    return span(expression, 86400, "days", decimals)


def minutes(expression, decimals=1):
    return span(expression, 60, "min", decimals)


def span(expression, seconds, unit, decimals):
    shown = {"expression": f"{expression} / {seconds}", "unit": f"suffix:{unit}"}
    return shown if decimals is None else shown | {"decimals": decimals}


def table(title, description, columns, labels_from=None, hidden=(), sort=(), nothing=None, links=()):
    """One row for each set of labels. The values of all expressions that have the same labels share a row.

    The labels of `labels_from` join the row as well, but not its value, which is always 1.
    """
    expressions = [column.expression for column in columns if column.expression] + [labels_from] * bool(labels_from)
    queries = [{"expr": tidy(one), "format": "table", "instant": True, "range": False} for one in expressions]
    values = ["Value"] if len(queries) == 1 else [f"Value #{chr(ord('A') + index)}" for index in range(len(queries))]
    if labels_from:
        hidden = [*hidden, values[-1]]
    in_order = iter(values)
    fields = [next(in_order) if column.expression else column.label for column in columns]
    organize = {
        "excludeByName": dict.fromkeys(["Time", *hidden], True),
        "indexByName": {field: index for index, field in enumerate(fields)},
        "renameByName": {field: column.header for field, column in zip(fields, columns)},
    }
    transformations = [{"id": "organize", "options": organize}]
    if len(queries) > 1:
        transformations.insert(0, {"id": "merge", "options": {}})
    overrides = []
    for column in columns:
        properties = {}
        for key, value in column.properties.items():
            if key == "steps":
                properties["thresholds"] = thresholds(value)
                properties["color"] = {"mode": "thresholds"}
            elif key == "cell":
                properties["custom.cellOptions"] = value
            else:
                properties[key] = value
        if properties:
            overrides.append((column.header, properties))
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": False, "inspect": False, "minWidth": 60},
    }
    if nothing:
        defaults["noValue"] = nothing
    options = {
        "cellHeight": "sm",
        "showHeader": True,
        "sortBy": [{"displayName": header, "desc": descending} for header, descending in sort],
    }
    return panel("table", title, description, queries, "short", NO_JUDGEMENT, defaults, overrides, options, links,
                 {"transformations": transformations})


COLORED_TEXT = {"type": "color-text"}
COLORED_CELL = {"type": "color-background", "mode": "basic"}


def arranged(rows):
    """The panels of a dashboard: a row is a height and its panels with their widths, of 24; a string begins a section."""
    panels, y = [], 0
    for row in rows:
        if isinstance(row, str):
            placed = {"type": "row", "title": row, "collapsed": False, "panels": []}
            panels.append(placed | {"gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
            y += 1
            continue
        height, *placed = row
        assert sum(width for width, _ in placed) == 24, [one["title"] for _, one in placed]
        x = 0
        for width, one in placed:
            panels.append(one | {"gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += height
    return [{"id": number} | one for number, one in enumerate(panels, 1)]


DATASOURCE_VARIABLE = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "regex": "",
    "multi": False,
    "includeAll": False,
    "hide": 0,
    "refresh": 1,
}

RUNBOOKS_VARIABLE = {
    "type": "textbox",
    "name": "runbooks",
    "label": "Runbooks",
    "description": "Where the runbooks are; the name of an alert is appended.",
    "query": "https://runbooks.example.com/cloud-backup-exporter",
    "current": {
        "text": "https://runbooks.example.com/cloud-backup-exporter",
        "value": "https://runbooks.example.com/cloud-backup-exporter",
    },
    "hide": 2,
}


def chosen(name, label, question, many=True, regex=""):
    """A variable whose values Prometheus knows. Of one with many, all are chosen at first."""
    variable = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": tidy(question), "refId": "StandardVariableQuery"},
        "regex": regex,
        # Whenever the time range changes: instances come and go.
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": many,
        "includeAll": many,
    }
    everything = {"allValue": ".+", "current": {"text": ["All"], "value": ["$__all"]}}
    return variable | everything if many else variable


def annotation(name, expression, color):
    """A mark at the time that the value of each series is, in Unix seconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": f"{tidy(expression)} * 1000",
        "useValueForTime": True,
        "titleFormat": name,
    }


BUILT_IN_ANNOTATIONS = {
    "name": "Annotations & Alerts",
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "type": "dashboard",
    "builtIn": 1,
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
}


def dashboard_link(title, uid, variables, tooltip):
    """A link that takes the time range and these variables along."""
    carried = "&".join(f"${{{name}:queryparam}}" for name in variables)
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}?{carried}",
        "tooltip": tooltip,
        "icon": "dashboard",
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
        "asDropdown": False,
        "tags": [],
    }


def dashboard(uid, title, description, variables, links, rows, since, annotations=()):
    return {
        "uid": uid,
        "title": title,
        "description": " ".join(description.split()),
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "links": links,
        "annotations": {"list": [BUILT_IN_ANNOTATIONS, *annotations]},
        "templating": {"list": variables},
        "panels": arranged(rows),
    }
