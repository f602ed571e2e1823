"""Many connections at a time, kept going by one thread: each does one thing wrong and goes on doing it."""

import contextlib
import dataclasses
import errno
import select
import socket
import threading
import time

import watch

# As many as the kernel lets wait until they are accepted, less some for honest clients.
OPENING_AT_ONCE = 400

READS, READS_A_BYTE, READS_NOTHING = "reads", "reads a byte a second", "reads nothing"


@dataclasses.dataclass(eq=False)
class Member:
    """One connection and what became of it."""

    stream: socket.socket
    opened: float
    connected: bool = False
    received: bytes = b""
    ended: float | None = None
    how: str = ""
    sent: int = 0

    @property
    def lasted(self):
        return (self.ended or time.monotonic()) - self.opened

    @property
    def told(self):
        """The status of its first answer; None if there was none."""
        words = self.received[:20].split(b" ")
        return int(words[1]) if len(words) > 1 and words[1][:3].isdigit() else None


class Crowd:
    """`size` connections that each send `hello`, then a part of `drip` every second for ever.

    With `again`, who is thrown out comes back at once. A small `window` leaves the server's answers unsent.
    """

    def __init__(self, target, size, hello=b"", drip=b"", reads=READS, again=False, window=None):
        self.target, self.size, self.hello, self.drip = target, size, hello, drip
        self.reads, self.again, self.window = reads, again, window
        self.members, self.by_number, self.ended = set(), {}, []
        self.opened = self.failed_to_open = 0
        self.opening = set()
        self.epoll, self.stopping = select.epoll(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stopping.set()
        self.thread.join()
        for member in self.members:
            member.stream.close()
        self.epoll.close()

    def wait(self, condition, seconds):
        """Whether the condition came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def is_open(self):
        """Whether every connection was opened, once at least."""
        return self.opened >= self.size and not self.opening

    def run(self):
        last = time.monotonic()
        while not self.stopping.is_set():
            wanted = self.size - (len(self.members) if self.again else self.opened)
            for _ in range(min(wanted, OPENING_AT_ONCE - len(self.opening))):
                self.open()
            for number, events in self.epoll.poll(0.02, maxevents=1000):
                if member := self.by_number.get(number):
                    self.serve(member, events)
            if time.monotonic() - last >= 1:
                last = time.monotonic()
                for member in list(self.members - self.opening):
                    self.trickle(member)

    def open(self):
        stream = socket.socket()
        stream.setblocking(False)
        if self.window:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.window)
            # Else the segments of loopback are so large that the kernel's first buffer holds the whole answer.
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        member = Member(stream, time.monotonic())
        try:
            if watch.is_loopback(self.target.host):
                # Each source address has ports of its own, and the port is chosen only when it is connected.
                stream.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
                stream.bind((watch.free_source_address(self.opened), 0))
            started = stream.connect_ex((self.target.host, self.target.port))
        except OSError as error:
            started = error.errno
        if started not in (0, errno.EINPROGRESS):
            stream.close()
            self.failed_to_open += 1
            return
        self.opened += 1
        self.members.add(member)
        self.opening.add(member)
        self.by_number[stream.fileno()] = member
        self.epoll.register(stream, select.EPOLLOUT)

    def serve(self, member, events):
        if not member.connected and events & select.EPOLLOUT and not events & (select.EPOLLERR | select.EPOLLHUP):
            member.connected = True
            self.opening.discard(member)
            # The time of a connection counts from here; the server may have accepted it some moments ago.
            member.opened = time.monotonic()
            # The end is announced also to those that read nothing.
            interest = select.EPOLLIN if self.reads == READS else 0
            self.epoll.modify(member.stream, interest | select.EPOLLRDHUP)
            with contextlib.suppress(OSError):
                member.stream.send(self.hello)
            return
        if events & select.EPOLLIN and self.reads == READS:
            try:
                part = member.stream.recv(1 << 16)
            except OSError:
                return self.end(member, "reset")
            member.received = (member.received + part)[:200]
            if not part:
                return self.end(member, "end")
        elif events & (select.EPOLLERR | select.EPOLLHUP):
            self.end(member, "reset")
        elif events & select.EPOLLRDHUP:
            with contextlib.suppress(OSError):
                member.received = member.stream.recv(200, socket.MSG_PEEK)
            self.end(member, "end")

    def trickle(self, member):
        with contextlib.suppress(OSError):
            if self.drip:
                # One byte at a time of a text, or one whole line of it.
                part = self.drip[member.sent % len(self.drip)]
                member.stream.send(part if isinstance(part, bytes) else bytes([part]))
                member.sent += 1
            if self.reads == READS_A_BYTE:
                member.received += member.stream.recv(1)

    def end(self, member, how):
        member.ended, member.how = time.monotonic(), how
        self.epoll.unregister(member.stream)
        del self.by_number[member.stream.fileno()]
        self.members.discard(member)
        self.opening.discard(member)
        self.ended.append(member)
        member.stream.close()
