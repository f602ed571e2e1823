"""What a real Prometheus needs to scrape some servers, by its own `scrape_duration_seconds`: from its request until every
sample is appended. Each pass begins with an empty database, as the first scrape of every series costs more."""

import json
import pathlib
import random
import shutil
import sys
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "end_to_end"))
import exporter  # noqa: E402  (found by the line above)
import rivals  # noqa: E402

# Seconds from one scrape to the next: enough for a first scrape of 240,000 series.
EVERY = 8

CONFIGURATION = """
global: {{scrape_interval: {every}s, scrape_timeout: {every}s}}
scrape_configs:
  - job_name: page
    static_configs: [{{targets: ['{address}']}}]
"""


def compared(folder, servers, passes, scrapes):
    """For each server the median first duration, and all later ones, in seconds; the servers take turns."""
    firsts, later = {server: [] for server in servers}, {server: [] for server in servers}
    for _ in range(passes):
        for server in random.sample(list(servers), len(servers)):
            durations = scraped(folder, servers[server], scrapes)
            firsts[server].append(durations[0])
            later[server] += durations[1:]
    return {server: (sorted(firsts[server])[len(firsts[server]) // 2], later[server]) for server in servers}


def scraped(folder, address, scrapes):
    """The durations of so many scrapes of one server."""
    file, data, port = folder / "prometheus.yml", folder / "prometheus", rivals.free_port()
    shutil.rmtree(data, ignore_errors=True)
    file.write_text(CONFIGURATION.format(every=EVERY, address=address))
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with exporter.running(command, folder / "prometheus.log"):
        found = []

        def enough():
            found[:] = values(port, "scrape_duration_seconds")
            return len(found) >= scrapes

        exporter.wait_for(enough, f"Prometheus has scraped {address} {scrapes} times", scrapes * EVERY * 3 + 30, 0.5)
        if min(values(port, "up")) != 1:
            sys.exit(f"Prometheus could not read {address}")
    shutil.rmtree(data, ignore_errors=True)
    return found[:scrapes]


def values(port, series):
    """All samples of the only series of this name."""
    asked = urllib.parse.urlencode({"query": f"{series}[1h]"})
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{asked}", timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
    except OSError:
        # It is not listening yet.
        return []
    return [float(value) for _, value in found[0]["values"]] if found else []
