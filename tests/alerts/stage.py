"""Prometheus and Alertmanager with the files of deploy/, faster than they are shipped, and a webhook in place of the pager and
the ticket system. Needs the commands `prometheus`, `prometheus-alertmanager` and `promtool`.

Nobody can wait for `for: 15m` in a test, so the shipped rules are used with every `for` and `keep_firing_for` divided by 900,
with facts that last for five seconds instead of ten minutes, and the shipped Alertmanager waits a second where it says minutes. Nothing else of these files is changed, and that is
checked. That the rules wait for as long as they say is what promtool tests (deploy/prometheus/rules_test.yml).
"""

import contextlib
import http.server
import json
import pathlib
import re
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "end_to_end"))
import exporter

DEPLOY = exporter.REPOSITORY / "deploy"

# A quarter of an hour is a second.
FASTER = 900

# How long a notification may take. A poll of the demo takes its turn every 5 s, a policy every 15 s.
PATIENCE = 90

# For how long a fact lasts, and what was known of a promise without a verdict: a scrape or more, in either case.
WINDOWS = {"[10m]": "[5s]", "[30m]": "[15s]"}

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

passed, failed = 0, 0


def check(name, holds, found=""):
    """Counts and prints one check; what was found is shown when it does not hold."""
    global passed, failed
    passed, failed = (passed + 1, failed) if holds else (passed, failed + 1)
    print(f"ok      {name}" if holds else f"FAILED  {name}: {found}", flush=True)


def end():
    print(f"\n{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


# Where notifications arrive.


class Webhook:
    """Listens in place of the pager (`/page`) and of the ticket system (`/tickets`)."""

    def __init__(self):
        # (receiver, status, labels, annotations) of each alert of each notification.
        self.notes = []
        self.changed = threading.Condition()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def handler(webhook):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver = self.path.strip("/")
                with webhook.changed:
                    for alert in body["alerts"]:
                        webhook.notes.append((receiver, alert["status"], alert["labels"], alert["annotations"]))
                    webhook.changed.notify_all()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                """The notes are the log."""

        return Handler

    def await_note(self, what, status, begin, patience=PATIENCE, **labels):
        """Waits for an alert with these labels, and says how long it took; what came in earlier episodes does not count."""

        def note():
            # The newest state of an alert is what counts.
            states = {}
            for receiver, state, found, _ in self.notes:
                if labels.items() <= found.items():
                    states[tuple(sorted(found.items()))] = (receiver, state, found)
            return [(receiver, found) for receiver, state, found in states.values() if state == status]

        def is_over():
            found = note()
            # All instances of an account may be concerned; it is over when it is for each of them.
            others = "resolved" if status == "firing" else "firing"
            return bool(found) and (status == "firing" or not any_with(self.notes, others, labels))

        with self.changed:
            arrived = self.changed.wait_for(is_over, timeout=patience)
            found = note()
            came = [labels for _, _, labels, _ in self.notes]
        took = time.monotonic() - begin
        name = f"{what}: {labels['alertname']} is {status} after {took:.1f} s"
        check(name, arrived, f"of {len(came)}: {sorted({labels['alertname'] for labels in came})}")
        if arrived:
            receiver, labels = found[0]
            print(f"        to {receiver}: {json.dumps(labels, sort_keys=True)}")


def any_with(notes, status, labels):
    """Whether the newest state of any alert with these labels is this one."""
    states = {}
    for _, state, found, _ in notes:
        if labels.items() <= found.items():
            states[tuple(sorted(found.items()))] = state
    return status in states.values()


# The programs, with the shipped files.


@contextlib.contextmanager
def running_alertmanager(directory, webhook):
    shipped = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    text = re.sub(r"\b(group_wait|group_interval): \w+", r"\1: 1s", shipped)
    for receiver in ("page", "tickets"):
        # The address below the receiver's name.
        text, replaced = re.subn(
            rf"(- name: {receiver}\n\s+webhook_configs:\n\s+- url: )\S+", rf"\g<1>http://{webhook.address}/{receiver}", text
        )
        check(f"the shipped Alertmanager has the receiver {receiver}", replaced == 1, replaced)
    config, log = directory / "alertmanager.yml", directory / "alertmanager.log"
    config.write_text(text)
    command = [
        "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={directory / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    with exporter.running(command, log):
        yield exporter.wait_for(lambda: listening(log), "Alertmanager listens")


@contextlib.contextmanager
def running_prometheus(directory, addresses, alertmanager, name=None):
    """A server that scrapes these exporters. One of several has a name, which it takes off its alerts, as docs/alerting.md says."""
    directory = directory / (name or "prometheus")
    directory.mkdir()
    (directory / "rules.yml").write_text(faster((DEPLOY / "prometheus" / "rules.yml").read_text()))
    shipped = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    text = re.sub(r"\b(scrape_interval|evaluation_interval): \w+", r"\1: 1s", shipped)
    targets = '", "'.join(addresses)
    for ours, theirs in (("localhost:19110", targets), ("localhost:9093", alertmanager)):
        check(f"the shipped Prometheus knows {ours}", text.count(ours) == 1, text.count(ours))
        text = text.replace(ours, theirs)
    if name:
        relabeling = "  alert_relabel_configs:\n    - {regex: prometheus_replica, action: labeldrop}\n"
        text = text.replace("global:\n", f"global:\n  external_labels: {{prometheus_replica: {name}}}\n")
        text = text.replace("alerting:\n", f"alerting:\n{relabeling}")
        check("alerts of a pair have the same labels", "labeldrop" in text and "external_labels" in text)
    config, log = directory / "prometheus.yml", directory / "prometheus.log"
    config.write_text(text)
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with exporter.running(command, log):
        exporter.wait_for(lambda: listening(log), "Prometheus listens")
        yield


def faster(rules):
    """The rules with shorter waits and windows."""

    def shorten(match):
        seconds = int(match[2]) * UNITS[match[3]] / FASTER
        return f"{match[1]}: {max(1, round(seconds))}s"

    wait = re.compile(r"^( +(?:for|keep_firing_for)): (\d+)([smhd])$", re.MULTILINE)
    shortened, count = wait.subn(shorten, rules)
    for window, shorter in WINDOWS.items():
        shortened = shortened.replace(window, shorter)
    changed = [
        before
        for before, after in zip(rules.splitlines(), shortened.splitlines(), strict=True)
        if before != after
    ]
    others = [line for line in changed if not wait.match(line) and not any(window in line for window in WINDOWS)]
    check(f"of the rules only the {count} waits and the windows of facts are shortened", count > 20 and not others, others)
    return shortened


def listening(log):
    """What a Go program of the Prometheus family says in its log that it listens on."""
    text = log.read_text()
    found = re.search(r'msg="Listening on" .*address=(\S+)', text) or re.search(r"msg=Listening address=(\S+)", text)
    return found and found[1]
