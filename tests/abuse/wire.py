"""Bytes to a server and back, without a library that would mend them on the way.

Answers are read strictly, because what is asked for here is whether the server keeps to the letter of HTTP.
"""

import dataclasses
import re
import socket
import ssl
import time

# Longer than any answer takes, also on a busy machine: only a server that keeps silent lets it pass.
QUIET = 4.0

STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


@dataclasses.dataclass(frozen=True)
class Target:
    """The server under test."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, address, tls=None):
        host, _, port = address.rpartition(":")
        return cls(host.strip("[]"), int(port), tls)

    def connect(self, seconds=5.0):
        stream = socket.create_connection((self.host, self.port), timeout=seconds)
        return self.tls.wrap_socket(stream, server_hostname=self.host) if self.tls else stream


@dataclasses.dataclass
class Answer:
    """One response as it was sent."""

    status: int
    headers: list
    body: bytes

    def header(self, name):
        """The values of all headers of a name, which is in lower case."""
        return [value for key, value in self.headers if key == name]


@dataclasses.dataclass
class Exchange:
    """What came back on one connection."""

    received: bytes
    # How it went on: "end", "reset", or "open" when the server neither sent anything more nor closed.
    ended: str
    seconds: float
    answers: list
    # What is wrong with the form of the answers; empty if nothing is.
    problem: str

    @property
    def status(self):
        """The status of the only answer; None if there is none, or more than one."""
        return self.answers[0].status if len(self.answers) == 1 else None

    def __str__(self):
        statuses = [answer.status for answer in self.answers]
        problem = f", {self.problem}" if self.problem else ""
        return f"answers {statuses}, then {self.ended}, {self.seconds:.2f} s{problem}: {self.received[:120]!r}"


def request(path="/-/healthy", method="GET", headers=(), body=b"", version="HTTP/1.1", host="localhost", close=True):
    """A request, made of text or bytes exactly as given; `host` or `close` can be left out."""
    lines = [b" ".join(raw(part) for part in (method, path, version))]
    lines += [b"Host: " + raw(host)] if host is not None else []
    lines += [raw(header) for header in headers]
    lines += [b"Connection: close"] if close else []
    return b"\r\n".join(lines) + b"\r\n\r\n" + raw(body)


def raw(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def exchange(target, data, quiet=QUIET, finish=False, bodiless=False):
    """Sends everything, then reads until the end, or until nothing came for `quiet` seconds.

    With `finish` the client's half of the connection is closed after that. Answers to HEAD are `bodiless`.
    """
    began = time.monotonic()
    received, ended = bytearray(), "open"
    with target.connect() as stream:
        stream.settimeout(quiet)
        try:
            stream.sendall(data)
            if finish:
                stream.shutdown(socket.SHUT_WR)
        except OSError:
            # The server may answer, and close, before it has taken everything; its answer is read all the same.
            pass
        try:
            while part := stream.recv(1 << 18):
                received += part
            ended = "end"
        except TimeoutError:
            ended = "open"
        except OSError:
            ended = "reset"
    answers, problem = parse(bytes(received), bodiless)
    return Exchange(bytes(received), ended, time.monotonic() - began, answers, problem)


def parse(data, bodiless=False):
    """The answers in these bytes, and what is wrong with the rest of them."""
    answers = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            return answers, f"an incomplete head: {data[:60]!r}"
        first, *lines = head.split(b"\r\n")
        status = STATUS_LINE.fullmatch(first)
        headers = [HEADER.fullmatch(line) for line in lines]
        if not status or not all(headers):
            return answers, f"no head of HTTP: {head[:200]!r}"
        headers = [(match[1].decode().lower(), match[2].decode("latin-1")) for match in headers]
        answer = Answer(int(status[1]), headers, b"")
        answers.append(answer)
        if bodiless or answer.status in (204, 304) or answer.status < 200:
            data = rest
            continue
        lengths = answer.header("content-length")
        if len(lengths) != 1 or not lengths[0].isdigit():
            return answers, f"not one Content-Length: {lengths}"
        length = int(lengths[0])
        answer.body, data = rest[:length], rest[length:]
        if len(answer.body) < length:
            return answers, f"{len(answer.body)} of {length} bytes of a body"
    return answers, ""
