"""The dashboards as TypeScript, held against the types that Grafana publishes. Needs npm and a connection to its registry."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import exporter

HERE = pathlib.Path(__file__).resolve().parent

# Grafana's enums are written by their values in JSON. Options and custom settings may leave out what has a default, and
# the links of a panel what only those of a dashboard have. What only Prometheus reads of an annotation is not in the type.
PREAMBLE = """\
import type { AnnotationQuery, Dashboard, DashboardLink, Panel, RowPanel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TableCustom, Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as TimeseriesCustom, Options as TimeseriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

type Written<T> = T extends string ? `${T}` : T extends number ? T : T extends readonly (infer E)[] ? Written<E>[]
  : T extends object ? { [K in keyof T]: Written<T[K]> } : T;
type Shown = Written<Omit<Panel, 'links'> & { links?: Partial<DashboardLink>[] }>;
type Asked = Written<AnnotationQuery & { expr?: string; useValueForTime?: boolean; titleFormat?: string }>;
type Whole = Written<Omit<Dashboard, 'panels' | 'annotations'>> & { annotations: { list: Asked[] } };
"""


def constants(name, dashboard):
    """One constant for each thing that has a type of its own, with its type."""
    yield name, "Whole", {key: value for key, value in dashboard.items() if key != "panels"}
    for panel in dashboard["panels"]:
        yield from panel_constants(f"{name}_{panel['id']}", panel)


def panel_constants(name, panel):
    if panel["type"] == "row":
        yield name, "Written<RowPanel>", panel
        return
    kind = panel["type"].capitalize()
    yield name, "Shown", panel
    yield f"{name}_options", f"Written<Partial<{kind}Options>>", panel["options"]
    if custom := panel["fieldConfig"]["defaults"].get("custom"):
        yield f"{name}_custom", f"Written<Partial<{kind}Custom>>", custom


def errors(constants_by_file):
    """Compiles these files of constants, and returns what the compiler says of each constant."""
    directory = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", exporter.REPOSITORY / "target")) / "dashboards"
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, directory / name)
    subprocess.run(
        ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory, check=True, timeout=300
    )
    lines = {}
    for file, written in constants_by_file.items():
        text = PREAMBLE
        for name, kind, value in written:
            lines[file, text.count("\n") + 1] = name
            text += f"export const {name}: {kind} = {json.dumps(value)};\n"
        (directory / file).write_text(text)
    command = ["node_modules/.bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--pretty", "false",
               "--module", "esnext", "--moduleResolution", "bundler", *constants_by_file]
    told = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    found = []
    for file, line, what in re.findall(r"^(\S+?)\((\d+),\d+\): (.*)$", told.stdout, re.MULTILINE):
        found.append((file, lines.get((file, int(line)), f"line {line}"), what))
    if told.returncode and not found:
        raise RuntimeError(f"the compiler failed: {told.stdout}{told.stderr}")
    return found
