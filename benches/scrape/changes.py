"""What it costs when something changes, seen from outside: one instance, or the whole page.

Beside the fleet, of which nobody is polled, there is one instance whose policy is read every few seconds. Each time its
facts are new, at least the time of the reading, and the page has to show them.
"""

import dataclasses
import datetime
import os
import pathlib
import re
import signal
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import fleet  # noqa: E402  (found by the line above)

GZIP = {"Accept-Encoding": "gzip"}


def polls(log):
    """When the lone instance's policy was read, in Unix seconds: the line is written when the answer has come."""
    for event in fleet.events(log, "asked the provider"):
        if event.get("account") == "lone" and event.get("operation") == "DescribeCrossRegionBackupDBInstance":
            yield datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00")).timestamp()


@dataclasses.dataclass
class Seen:
    """What one changed instance costs."""

    processor: float
    quiet: float
    delays: list
    changes: int

    def __str__(self):
        shown = "never seen on a page"
        if self.delays:
            usual, longest = statistics.median(self.delays), max(self.delays)
            shown = f"on a page that was asked for {usual:.0f} ms later (at most {longest:.0f})"
        return (
            f"{self.processor:.1f} ms of processor time, the call itself included, beyond the {self.quiet:.1f} ms of a "
            f"second with one gzip scrape and no change (median of {self.changes}); {shown}"
        )


@dataclasses.dataclass
class Rebuilt:
    """What a new page costs."""

    processor: float
    reload: float
    scrape: float

    def __str__(self):
        return (
            f"{self.processor:.0f} ms of processor time more than the {self.reload:.0f} ms of a reload that changes "
            f"nothing; the slowest scrape meanwhile took {self.scrape:.0f} ms"
        )


def seen(usage, address, log, seconds):
    """The processor time of seconds in which the instance changed beside others, with one scrape in each; then how long a
    change takes until a page has it."""
    cells, begin = [], time.time()
    before = usage.threads()
    for _ in range(seconds):
        to_the_next_second(0.05)
        fleet.scrape(address, GZIP)
        now = usage.threads()
        cells.append((time.time(), usage.between(before, now) * 1000))
        before = now
    # A change falls into one second, and may be shown, at some cost, in the next.
    concerned, costs = set(), []
    for at in polls(log):
        if at <= begin:
            continue
        places = [place for place, (end, _) in enumerate(cells) if at <= end][:2]
        concerned.update(places)
        if len(places) == 2:
            costs.append(places)
    quiet = [cost for place, (_, cost) in enumerate(cells) if place not in concerned]
    if not quiet or not costs:
        sys.exit(f"{len(costs)} changes and {len(quiet)} quiet seconds in {seconds} s: one cannot be told from the other")
    usual = statistics.median(quiet)
    processor = statistics.median(sum(cells[place][1] for place in places) - 2 * usual for places in costs)
    return Seen(processor, usual, delays(address, log, seconds / 2), len(costs))


def delays(address, log, seconds):
    """Milliseconds from each answer of the cloud to the moment at which the first page with it was asked for."""
    line = re.compile(
        rb"^cloud_backup_last_poll_success_timestamp_seconds\{"
        rb'[^}]*instance_id="%s"[^}]*listing="policy"\} (\S+)$' % fleet.Lone.ID.encode(),
        re.MULTILINE,
    )
    with Reader(address) as reader:
        whole = reader.page()
        near = max(0, line.search(whole).start() - 100_000)
        shown, found = None, []
        begin = time.time()
        while time.time() < begin + seconds:
            asked = time.time()
            page = reader.page()
            # The page is long, and the line stays about where it was.
            match = line.search(page, near, near + 300_000) or line.search(page)
            if shown not in (None, match[1]):
                found.append((asked, float(match[1])))
            shown = match[1]
    answered = [at for at in polls(log) if at > begin]
    # A page tells whole seconds, which tell the polls apart.
    return [max(0.0, (asked - at) * 1000) for asked, second in found for at in answered if abs(second - at) < 1.5]


class Reader:
    """A client that keeps its connection and its buffer."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = f"GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
        self.buffer = bytearray(1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def page(self):
        """The body of one answer, as a view that holds until the next."""
        self.socket.sendall(self.request)
        filled, length = 0, None
        while length is None or filled < length:
            if filled == len(self.buffer):
                self.buffer.extend(bytes(len(self.buffer)))
            received = self.socket.recv_into(memoryview(self.buffer)[filled:])
            if not received:
                sys.exit("the exporter has hung up")
            filled += received
            if length is None and (end := self.buffer.find(b"\r\n\r\n", 0, filled)) >= 0:
                head = bytes(self.buffer[: end]).lower()
                size = int(re.search(rb"content-length: (\d+)", head)[1])
                length = end + 4 + size
                if len(self.buffer) < length:
                    # With some room, since it cannot grow while somebody looks at a page.
                    self.buffer.extend(bytes(length + (1 << 20) - len(self.buffer)))
        return memoryview(self.buffer)[end + 4 : length]


def rebuilt(usage, address, file, configuration, times):
    """Reloads that change nothing, and others that change what is promised of every instance."""
    costs, slowest = {False: [], True: []}, 0.0
    for turn in range(2 * times):
        changes = turn % 2 == 0
        # Every other reload takes up what is there already.
        file.write_text(configuration(f"recovery_point: {30 + turn // 2}h"))
        processor, scrape = reload(usage, address)
        costs[changes].append(processor)
        if changes:
            slowest = max(slowest, scrape)
    file.write_text(configuration(""))
    reload(usage, address)
    reloading = statistics.median(costs[False])
    return Rebuilt(statistics.median(costs[True]) - reloading, reloading, slowest)


def reload(usage, address, seconds=4):
    """Milliseconds of processor time in so many seconds after SIGHUP, and of the slowest of a few scrapes meanwhile."""
    to_the_next_second(0.0)
    before = usage.ticks()
    os.kill(usage.number, signal.SIGHUP)
    begin, slowest = time.monotonic(), 0.0
    while time.monotonic() < begin + seconds:
        asked = time.monotonic()
        fleet.scrape(address, GZIP)
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.25)
    return (usage.ticks() - before) * 1000, slowest * 1000


def to_the_next_second(more):
    time.sleep(1 - time.time() % 1 + more)
