"""The exporter's release build, running its demo: for the scripts that look at it from outside.

It listens on a port that the system chooses and tells which in its log, so that no run depends on a port being free.
"""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def build():
    """Builds the release binary and returns its path; or returns the one that EXPORTER_BINARY names."""
    if binary := os.environ.get("EXPORTER_BINARY"):
        return pathlib.Path(binary)
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=REPOSITORY, check=True)
    metadata = subprocess.check_output(
        ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"], cwd=REPOSITORY
    )
    return pathlib.Path(json.loads(metadata)["target_directory"], "release", "cloud-backup-exporter")


def end_after(seconds):
    """Bounds the whole script, and makes every end of it pass through the clean-up of its `with` blocks."""

    def end(number, _frame):
        sys.exit(f"ended by {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)


def wait_for(question, what, seconds=15, pause=0.01):
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return answer


@contextlib.contextmanager
def running(command, log):
    """A process that is gone when the block ends, however it ends."""
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def demo(binary):
    """The demo, ready: yields its process, its address, and when it was started."""
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        started = time.monotonic()
        command = [binary, "demo", "--web.listen-address=127.0.0.1:0", "--log.format=json"]
        with running(command, log) as process:
            try:
                address = wait_for(lambda: listening_address(log), "the exporter listens")
                wait_for(lambda: get(address, "/-/ready")[0] == 200, "the exporter is ready")
                yield process, address, started
            except BaseException:
                sys.stderr.write(pathlib.Path(log).read_text())
                raise


def listening_address(log):
    """What the exporter says in its log that it listens on; nothing while it has not."""
    for line in pathlib.Path(log).read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if event["message"] == "listening":
                return event["address"]
    return None


def get(address, path, headers=None):
    """Status, headers and body as they were sent."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()
