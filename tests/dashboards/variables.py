"""The variables of a dashboard, as Grafana has them: their values, and how they are put into a query."""

import dataclasses
import re

import prometheus

# What Grafana itself puts in.
OF_GRAFANA = {*prometheus.INTERVALS, "__url_time_range", "__data", "__field", "__value", "__all"}
# $name, ${name}, ${name.field} and ${name:format}, but not the $1 of a regular expression.
REFERENCE = re.compile(r"\$(?:\{(\w+)[^}]*\}|([A-Za-z_]\w*))")

ALL = object()


@dataclasses.dataclass
class Case:
    """One choice of values for all variables: what is put in for each, by name."""

    name: str
    texts: dict


def references(text):
    """The names of the variables in a text."""
    return {braced or plain for braced, plain in REFERENCE.findall(text)}


def substituted(text, texts):
    return REFERENCE.sub(lambda found: texts.get(found[1] or found[2], found[0]), text)


def literal(value):
    """As it stands between the quotes of a matcher with `=`."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def pattern(values):
    """As it stands between the quotes of a matcher with `=~`: each value for itself, whatever characters it has."""
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", value).replace('"', '\\"') for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def chosen_from(dashboard):
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]


def values(variable, texts, answers):
    """The values that a variable has beside these others, and what was wrong."""
    question = substituted(variable["query"]["query"], prometheus.INTERVALS | texts)
    if found := re.fullmatch(r"label_values\((.+), (\w+)\)", question):
        named, error = answers.label_values(*found.groups())
    elif found := re.fullmatch(r"query_result\((.+)\)", question):
        series, error = answers.series(found[1], True)
        named = [
            "{%s} %g" % (",".join(f'{label}="{value}"' for label, value in labels.items()), one[0]) for labels, one in series
        ]
    else:
        return [], f"not a question that is known here: {question}"
    if expression := variable["regex"].strip("/").replace("(?<", "(?P<"):
        matches = [re.search(expression, name) for name in named]
        named = [match["value"] for match in matches if match and match["text"]]
    return sorted(named), error


def cases(dashboard, answers):
    """The choices with which a dashboard is tried, and what was wrong with the values of its variables.

    Where many values may be chosen: All, every value by its name, and only the first. Where one has to be: every one that
    there is, each in its turn.
    """
    wrong = []

    def each(remaining, texts, style):
        if not remaining:
            yield dict(texts)
            return
        variable, *rest = remaining
        found, error = values(variable, texts, answers)
        if error or not found:
            wrong.append(f"the variable {variable['name']} has no value: {error or variable['query']['query']}")
            return
        if not variable["multi"]:
            choices = [literal(value) for value in (found[:1] if style == "first" else found)]
        elif style == "all":
            choices = [variable["allValue"]]
        elif style == "each":
            choices = [pattern(found)]
        else:
            choices = [pattern(found[:1])]
        for choice in choices:
            yield from each(rest, texts | {variable["name"]: choice}, style)

    tried = []
    for style in ("all", "each", "first"):
        for texts in each(chosen_from(dashboard), {}, style):
            tried.append(Case(style, prometheus.INTERVALS | texts))
    return tried, sorted(set(wrong))
