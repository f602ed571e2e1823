"""What an attack costs: the figures of the process, and what honest clients get meanwhile."""

import contextlib
import dataclasses
import http.client
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import threading
import time

# What Prometheus asks for; OpenMetrics says at its end that it is complete.
OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


@dataclasses.dataclass
class Figures:
    """Of the process: megabytes of 1,000,000 bytes resident, open descriptors, threads."""

    resident: float
    descriptors: int
    threads: int

    def __str__(self):
        return f"{self.resident:.1f} MB resident, {self.descriptors} descriptors, {self.threads} threads"


class Process:
    """Reads /proc about one process, and remembers the highest figures in between."""

    def __init__(self, pid, port):
        self.pid, self.port = pid, port
        self.folder = pathlib.Path("/proc", str(pid))
        self.highest = Figures(0, 0, 0)
        self.highest_queue = 0
        threading.Thread(target=self.sample, daemon=True).start()

    def now(self):
        fields = self.fields()
        return Figures(megabytes(fields["VmRSS"]), len(os.listdir(self.folder / "fd")), int(fields["Threads"]))

    def fields(self):
        lines = (self.folder / "status").read_text().splitlines()
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def forget_peaks(self):
        self.highest, self.highest_queue = self.now(), 0
        # Resets VmHWM, see proc(5).
        (self.folder / "clear_refs").write_text("5")

    def peaks(self):
        """The highest of each figure since they were forgotten, and the most bytes that waited for one client.

        The kernel watches the memory, and misses nothing; the others are looked at now and then.
        """
        self.look()
        return dataclasses.replace(self.highest, resident=megabytes(self.fields()["VmHWM"])), self.highest_queue

    def sample(self):
        # The process may end between two looks, and with it what there is to see.
        with contextlib.suppress(OSError, KeyError):
            while True:
                self.look()
                time.sleep(0.2)

    def look(self):
        seen = self.now()
        self.highest.descriptors = max(self.highest.descriptors, seen.descriptors)
        self.highest.threads = max(self.highest.threads, seen.threads)
        self.highest_queue = max(self.highest_queue, max(self.unsent(), default=0))

    def unsent(self):
        """Of each connection of the server, the bytes that wait in the kernel for its client."""
        port = f":{self.port:04X}"
        # Local address, remote address, state, tx_queue:rx_queue; see proc(5).
        rows = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
        return [int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(port) and row[3] != "0A"]

    def is_alive(self):
        try:
            return self.fields()["State"][0] not in "ZX"
        except OSError:
            return False


def megabytes(kernel_kilobytes):
    return int(kernel_kilobytes.split()[0]) * 1024 / 1e6


# What http.client says when a kept connection was closed before the request.
CLOSED = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")


class Honest:
    """Two well-behaved clients in a process of their own: one keeps its connection, one opens a new one each time.

    Both ask for /metrics and /-/healthy many times a second, and write down what they got.
    """

    def __init__(self, address, folder):
        self.book = pathlib.Path(folder, "honest")
        self.book.touch()
        self.process = multiprocessing.get_context("fork").Process(target=visit, args=(address, self.book), daemon=True)
        self.process.start()

    def since(self, moment, kept=None):
        """What was asked and ended after a moment, of both clients or of the one that keeps its connection or not."""
        visits = [json.loads(line) for line in self.book.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [visit for visit in visits if visit["ended"] > moment and kept in (None, visit["kept"])]

    def stop(self):
        self.process.kill()
        self.process.join()


def visit(address, book):
    # The parent's clean-up is not this process's business.
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    kept = http.client.HTTPConnection(address, timeout=10)
    with open(book, "a", buffering=1, encoding="utf-8") as lines:
        while True:
            for keeps in (True, False):
                fresh = http.client.HTTPConnection(address, timeout=10)
                for path in ("/metrics", "/-/healthy"):
                    began = time.monotonic()
                    connection = kept if keeps else fresh
                    was_open = connection.sock is not None
                    problem = ask(connection, path)
                    # A server may close a connection that rests. Every client, Prometheus's too, then asks once more.
                    if was_open and problem.startswith(CLOSED):
                        problem = ask(connection, path)
                    ended = time.monotonic()
                    record = {"kept": keeps, "path": path, "began": began, "ended": ended, "problem": problem}
                    lines.write(json.dumps(record) + "\n")
                    if not keeps:
                        fresh.close()
            time.sleep(0.05)


def ask(connection, path):
    """What is wrong with the answer; empty if it is good and complete."""
    try:
        connection.request("GET", path, headers=OPEN_METRICS)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error)
    ends = {"/metrics": b"# EOF\n", "/-/healthy": b"healthy\n"}[path]
    if answer.status != 200:
        return f"status {answer.status}: {body[:60]!r}"
    return "" if body.endswith(ends) else f"{len(body)} bytes that do not end in {ends!r}"


def free_source_address(number):
    """Loopback addresses to connect from: each has source ports of its own."""
    return f"127.0.0.{2 + number % 200}"


def is_loopback(host):
    return socket.gethostbyname(host).startswith("127.")
