"""A Prometheus server that watches the demo, and its answers."""

import contextlib
import http.client
import json
import pathlib
import re
import sys
import time
import urllib.parse

import exporter

RULES = exporter.REPOSITORY / "deploy" / "prometheus" / "rules.yml"

# The same exporter under two jobs: once alone, and once as two replicas, which must not be counted twice.
ALONE, REPLICATED = "alone", "replicated"
TARGETS = 3

# Of the range queries. As Grafana has it, the interval of a rate spans a step and a scrape, and at least four scrapes.
SPAN, STEP, SCRAPE = 60, 5, 1
INTERVALS = {
    "__interval": f"{STEP}s",
    "__rate_interval": f"{max(STEP + SCRAPE, 4 * SCRAPE)}s",
    "__range": f"{SPAN}s",
}


@contextlib.contextmanager
def watching(address, directory):
    """A server with an empty database that scrapes this exporter every second, and judges by the rules at once."""
    config, log = directory / "prometheus.yml", directory / "log"
    jobs = [
        {"job_name": ALONE, "static_configs": [{"targets": [address]}]},
        {
            "job_name": REPLICATED,
            "static_configs": [
                {"targets": [address], "labels": {"instance": replica}} for replica in ("replica-0:19110", "replica-1:19110")
            ],
        },
    ]
    settings = {"global": {"scrape_interval": f"{SCRAPE}s", "evaluation_interval": "1s"}, "scrape_configs": jobs}
    if RULES.exists():
        # Nobody waits for an alert here: what is true fires.
        rules = re.sub(r"^\s*(keep_firing_for|for): .*\n", "", RULES.read_text(), flags=re.MULTILINE)
        (directory / "rules.yml").write_text(rules)
        settings["rule_files"] = ["rules.yml"]
    config.write_text(json.dumps(settings))  # JSON is YAML.
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]

    def listening_address():
        found = re.search(r'msg="Listening on" .*address=(\S+)', log.read_text())
        return found and found[1]

    with exporter.running(command, log):
        try:
            server = Server(exporter.wait_for(listening_address, "Prometheus listens"))
            exporter.wait_for(lambda: exporter.get(server.address, "/-/ready")[0] == 200, "Prometheus is ready")
            exporter.wait_for(
                lambda: server.get("query", query="count(cloud_backup_exporter_build_info)")[0].get("result", [])
                and server.get("query", query="count(cloud_backup_exporter_build_info)")[0]["result"][0]["value"][1]
                == str(TARGETS),
                "every target is scraped",
            )
            yield server
        except BaseException:
            sys.stderr.write(pathlib.Path(log).read_text())
            raise


class Server:
    """The HTTP API of a Prometheus server, over one connection."""

    def __init__(self, address):
        self.address = address
        self.connection = http.client.HTTPConnection(address, timeout=30)

    def get(self, path, **parameters):
        """The data, and what was wrong."""
        self.connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
        answer = json.loads(self.connection.getresponse().read())
        return answer.get("data", {}), answer.get("error")


class Answers:
    """What the server says at one moment; each question is asked once."""

    def __init__(self, server):
        self.server = server
        self.time = time.time()
        self.known = {}
        # Pairs of questions that had the same answer, if not at this moment then soon after it.
        self.alike = set()

    def series(self, expression, instant):
        """The labels and values of each series, and what was wrong."""
        key = expression, instant
        if key not in self.known:
            if instant:
                data, error = self.server.get("query", query=expression, time=self.time)
            else:
                data, error = self.server.get(
                    "query_range", query=expression, start=self.time - SPAN, end=self.time, step=STEP
                )
            if data.get("resultType") == "scalar":
                data = {"result": [{"metric": {}, "value": data["result"]}]}
            found = [
                (one["metric"], [float(value) for _, value in one.get("values") or [one["value"]]])
                for one in data.get("result", [])
            ]
            self.known[key] = found, error
        return self.known[key]

    def label_values(self, selector, label):
        key = selector, label
        if key not in self.known:
            data, error = self.server.get(f"label/{label}/values", **{"match[]": selector})
            self.known[key] = data or [], error
        return self.known[key]
