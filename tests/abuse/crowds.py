"""Attacks of many connections: what is wrong is how long they take, or how many they are.

Each function is one attack; it is given the site, the process behind it and the limits that the server promises.
"""

import contextlib
import dataclasses
import http.client
import resource
import signal
import socket
import struct
import subprocess
import time

import wire
from crowd import READS_A_BYTE, READS_NOTHING, Crowd
from wire import request

SCRAPE = request("/metrics", close=False)
HEALTH = request("/-/healthy", close=False)
# The demo's own connections to its clouds come and go: between 29 and 37 descriptors were open in quiet moments.
SPARE_DESCRIPTORS = 15


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server promises (crates/toolkit/src/server/mod.rs), in seconds and connections."""

    head: float = 10
    idle: float = 300
    response: float = 60
    connections: int = 512
    # Those beyond the limit that are told so at the same time.
    refusals: int = 32
    # How late a cut may come. The machine may be busy, and a closed connection waits a second for its client.
    margin: float = 5


def check_cut(site, what, crowd, limit, margin, sooner=True):
    """Checks that each connection of a crowd was cut by a limit, and, unless `sooner` is forbidden, not before."""
    crowd.wait(lambda: not crowd.members, 0.1)
    lasted = sorted(member.lasted for member in crowd.ended)
    found = f"{len(crowd.ended)} of {crowd.opened} ended, after {lasted[:1]} to {lasted[-1:]} s, {len(crowd.members)} still there"
    cut = not crowd.members and len(crowd.ended) == crowd.size
    site.check(f"{what}: all are cut", cut, found)
    site.check(f"{what}: within {limit + margin:g} s", lasted and lasted[-1] <= limit + margin, found)
    if not sooner:
        site.check(f"{what}: none before {0.9 * limit:g} s", lasted and lasted[0] >= 0.9 * limit, found)


class UnreadAnswers:
    """Begun first and judged last, because the time of an answer is the longest of the limits that are awaited."""

    def __init__(self, target, scale):
        small = {"window": 2048}
        self.crowds = {
            "who asks for /metrics and never reads": Crowd(target, scale(80), SCRAPE, reads=READS_NOTHING, **small),
            "who reads a byte a second": Crowd(target, scale(20), SCRAPE, reads=READS_A_BYTE, **small),
            "who asks 50 times at once and never reads": Crowd(target, scale(10), SCRAPE * 50, reads=READS_NOTHING),
        }

    def judge(self, site, limits, began):
        # The kernel takes some answers of those who ask for many; the time counts from the first that it does not.
        margin = 2 * limits.margin
        rest = max(0.0, began + limits.response + margin - time.monotonic())
        everybody = list(self.crowds.values())
        everybody[0].wait(lambda: not any(crowd.members for crowd in everybody), rest)
        for what, crowd in self.crowds.items():
            check_cut(site, what, crowd, limits.response, margin)

    def close(self):
        for crowd in self.crowds.values():
            crowd.close()


def slow_heads(site, process, limits, scale):
    """Slow-loris: heads that never become complete, each byte of them just in time."""
    target, lines = site.target, [b"X-A: b\r\n"]
    with contextlib.ExitStack() as open_crowds:

        def crowd(size, *arguments):
            return open_crowds.enter_context(Crowd(target, scale(size), *arguments))

        crowds = {
            "who never sends anything": crowd(100),
            "who sends a byte a second": crowd(100, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a"),
            "who sends a header a second": crowd(50, b"GET / HTTP/1.1\r\n", lines),
            "who stops within the second request": crowd(50, HEALTH + b"GET / HT", b"a"),
        }
        growing = crowd(20, b"GET / HTTP/1.1\r\n", [b"X: " + b"a" * 4000 + b"\r\n"])
        last = list(crowds.values())[-1]
        last.wait(lambda: not any(each.members for each in crowds.values()), limits.head + limits.margin)
        for what, each in crowds.items():
            check_cut(site, what, each, limits.head, limits.margin, sooner=False)
        grown = [(member.told, member.how) for member in growing.ended]
        told = len(grown) == growing.size and all(status == 431 for status, _ in grown)
        site.check("who grows to the limit of a head by 4 kB a second: told 431", told, grown[:3])
        served = [member.told for member in last.ended]
        site.check("the first request of the last ones was answered", set(served) == {200}, set(served))


def crashing_clients(site, process, limits, scale):
    """Clients that reset their connection in the middle of an answer, or of a request."""
    before = process.now()
    abort = struct.pack("ii", 1, 0)
    for number in range(scale(300)):
        with contextlib.suppress(OSError), site.target.connect() as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
            stream.sendall(SCRAPE if number % 3 else b"GET / HTTP/1.1\r\nHost:")
            if number % 3 == 1:
                stream.recv(1000)
    site.check("their descriptors are let go of", back(lambda: process.now().descriptors <= before.descriptors + SPARE_DESCRIPTORS), process.now())


def ten_thousand_connections(site, process, limits, scale):
    """More than the server admits, and more than the kernel lets wait: those beyond the limit cost nothing."""
    # The crowd's own descriptors; some are in use already.
    possible = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000
    size = min(scale(10_000), possible)
    if size < scale(10_000):
        site.verdict.say(f"        the limit of open files allows {size} connections")
    before = process.now()
    process.highest.descriptors = 0
    with Crowd(site.target, size) as crowd:
        opened = crowd.wait(crowd.is_open, 20)
        site.check(f"{size} connections are opened", opened and not crowd.failed_to_open, (crowd.opened, crowd.failed_to_open))
        # The descriptors are looked at five times a second.
        time.sleep(0.5)
        most = process.highest.descriptors
        room = limits.connections + limits.refusals
        # Some accepted connections are open for a moment before they are closed, and honest clients come and go.
        site.check(f"not more than {room} of them are held", most <= before.descriptors + room + 20, f"{before.descriptors}, then {most} descriptors")
        rest = crowd.wait(lambda: len(crowd.ended) >= size - limits.connections, limits.margin)
        told = [member.told for member in crowd.ended]
        site.check("those beyond the limit are let go at once", rest, f"{len(crowd.ended)} of {size} ended")
        counts = {status: told.count(status) for status in set(told)}
        # Each newcomer takes the place of another that has asked for nothing, so nobody has to be refused.
        site.check("none is told anything but 503", set(counts) <= {503, None}, counts)
        site.verdict.say(f"        {counts.get(503, 0)} were told 503, {counts.get(None, 0)} were closed without a word")
    fits = back(lambda: process.now().descriptors <= before.descriptors + SPARE_DESCRIPTORS, limits.margin)
    site.check("the descriptors are back", fits, f"{before}, then {process.now()}")


def every_slot_taken(site, process, limits, scale):
    """All connections that the server admits are held by abusers who come back at once when they are thrown out.

    A good server makes room: who rests, or has been at its head for longest, goes first. Then a client that asks at once
    is served, whatever the others do.
    """
    for what, hello in (("silent clients", b""), ("clients that rest after a request", HEALTH)):
        with Crowd(site.target, limits.connections + scale(200), hello, again=True) as crowd:
            full = crowd.wait(lambda: process.now().descriptors > limits.connections + 10, 10)
            site.check(f"{limits.connections} {what} hold every connection", full, process.now())
            slowest, problem = 0.0, None
            # Several, because one may have had luck.
            for _ in range(5):
                took, problem = until_served(site.target, 2)
                slowest = max(slowest, took)
                if problem:
                    break
            found = f"one was not in {slowest:.1f} s: {problem}"
            site.check(f"new clients are served within 2 s beside {limits.connections} {what}", not problem, found)
    back(lambda: process.now().descriptors < limits.connections // 2, limits.margin)
    _, problem = until_served(site.target, limits.margin)
    site.check("once they are gone, a new client is served", not problem, problem)


def until_served(target, seconds):
    """A client that tries again and again: how long it took, and what was wrong at last, if it was in vain."""
    began = time.monotonic()
    while (got := newcomer(target)) != 200 and time.monotonic() < began + seconds:
        time.sleep(0.02)
    return time.monotonic() - began, None if got == 200 else got


def newcomer(target):
    """What a client that asks at once is told: a status, or why there is none."""
    try:
        got = wire.exchange(target, request("/metrics"))
    except OSError as error:
        return repr(error)
    return got.problem or got.status or got.ended


def slow_but_honest(site, process, limits, scale):
    """The limits are for abusers: a scrape over a slow line arrives in full."""
    with site.target.connect() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        stream.sendall(request("/metrics"))
        received, began = bytearray(), time.monotonic()
        stream.settimeout(site.quiet)
        # An answer that stops short is told by its own length.
        with contextlib.suppress(OSError):
            while part := stream.recv(16_384):
                received += part
                # A second and more for an answer of some hundred kilobytes.
                time.sleep(0.01)
    answers, problem = wire.parse(bytes(received))
    fits = [answer.status for answer in answers] == [200] and not problem
    site.check(f"{len(received)} bytes read in {time.monotonic() - began:.1f} s", fits, problem)


def open_resting(target):
    """A connection that was used once and now rests, as Prometheus's does between two scrapes."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=5)
    connection.request("GET", "/-/healthy")
    connection.getresponse().read()
    connection.auto_open = False
    return connection, time.monotonic()


def use_resting(site, limits, connection, since):
    # Longer than a head may take: a connection that rests is none that is slow.
    time.sleep(max(0.0, since + 1.2 * limits.head - time.monotonic()))
    rested = time.monotonic() - since
    try:
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        status = repr(error)
    site.check("a connection that has rested for longer than a head may take still serves", status == 200, (status, rested))


def resting_connections(site, process, limits, scale):
    """Resting is bounded as well, but by more time than a gate has."""
    with Crowd(site.target, scale(200), HEALTH) as crowd:
        crowd.wait(lambda: not crowd.members and crowd.ended, limits.idle + limits.margin)
        check_cut(site, "who rests after a request", crowd, limits.idle, limits.margin, sooner=False)


def stop_under_attack(site, process, limits, scale, child):
    """SIGTERM, while abusers of every kind are connected."""
    kinds = ((b"", {}), (HEALTH, {}), (b"GET / HTTP", {"drip": b"a"}), (SCRAPE, {"reads": READS_NOTHING, "window": 2048}))
    with contextlib.ExitStack() as open_crowds:
        crowds = [open_crowds.enter_context(Crowd(site.target, scale(40), hello, **more)) for hello, more in kinds]
        for crowd in crowds:
            crowd.wait(crowd.is_open, 5)
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        try:
            code = child.wait(timeout=limits.head + limits.margin)
        except subprocess.TimeoutExpired as error:
            code = repr(error)
        took = time.monotonic() - began
    # Answers in flight are given ten seconds; those that nobody reads use them up.
    site.check("SIGTERM ends it with exit code 0", code == 0, code)
    site.check("within 12 seconds, answers that nobody reads included", took < 12, f"{took:.1f} s")


def back(condition, seconds=3.0):
    """Waits a little until something is as it was before."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds
