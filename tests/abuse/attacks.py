"""Attacks of one connection: what is wrong is in the bytes that are sent.

Each function is one attack. The statuses beside a case are those that RFC 9112 and RFC 9110 leave a server to choose
from; that there is exactly one answer is what tells a refusal from request smuggling.
"""

import re
import gzip
import urllib.parse

import wire
from wire import request

# Stands in every part of requests that a careless server would repeat, in answers or in the log.
MARK = "abuse7f3a"
BAD = {400}
TOO_LARGE = {400, 413, 414, 431}
PAGES = ("/", "/metrics", "/api/v1/instances", "/-/healthy", "/-/ready")
HELLO = ["Content-Length: 5"]
# Of the calls to the clouds.
CALLS = "cloud_backup_api_requests_total"


class Site:
    """The server under test, and what all attacks on it share."""

    def __init__(self, target, verdict, quiet=wire.QUIET):
        self.target, self.verdict, self.quiet = target, verdict, quiet
        self.check = verdict.check
        # Every answer that was read: what was asked, and the answer.
        self.answers = []

    def ask(self, what, data, bodiless=False, finish=False):
        got = wire.exchange(self.target, data, self.quiet, finish, bodiless)
        self.answers += [(what, answer) for answer in got.answers]
        return got

    def counter(self, name):
        """The sum of a counter over its labels; None if it cannot be read."""
        got = self.ask("the counters", request("/metrics"))
        lines = got.answers[0].body.decode("latin-1").splitlines() if got.status == 200 and not got.problem else []
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)]
        return sum(values) if values else None

    def expect(self, what, data, statuses, then="end", bodiless=False):
        """Checks that there is one answer, with one of these statuses, and that the connection ends after it."""
        got = self.ask(what, data, bodiless)
        fits = got.status in statuses and got.ended == then and not got.problem
        self.check(f"{what}: {' or '.join(map(str, sorted(statuses)))}", fits, got)
        return got


def request_bodies(site):
    """A GET has no body; one that comes must neither be waited for nor be taken for the next request."""
    hidden = request(path=f"/-/ready?{MARK}", close=False)
    for method in ("GET", "HEAD"):
        head = method == "HEAD"
        for what, headers, body in (
            ("a body", HELLO, "hello"),
            ("a body that is a request", [f"Content-Length: {len(hidden)}"], hidden),
            ("a chunked body", ["Transfer-Encoding: chunked"], "5\r\nhello\r\n0\r\n\r\n"),
            ("an empty chunked body", ["Transfer-Encoding: chunked"], "0\r\n\r\n"),
            ("a body that never comes", HELLO, ""),
            ("the announcement of 8 EiB", ["Content-Length: 9223372036854775807"], "x" * 1000),
            ("a body that waits for 100 Continue", ["Expect: 100-continue", *HELLO], ""),
            ("200 kB that come uninvited", ["Content-Length: 200000"], "x" * 200_000),
        ):
            data = request(method=method, headers=headers, body=body, close=False)
            site.expect(f"{method} with {what}", data, {400, 413, 417}, bodiless=head)
    for what, length in (
        ("2^64 - 1", "18446744073709551615"), ("more than 64 bits", "9" * 40), ("negative", "-1"), ("with a plus", "+5"),
        ("hexadecimal", "0x5"), ("empty", ""), ("a word", MARK), ("a list of two", "5, 6"), ("with a space inside", "1 0"),
    ):
        site.expect(f"Content-Length {what}", request(headers=[f"Content-Length: {length}"], body="hello"), BAD | {413, 431})


def smuggling(site):
    """Two readings of where a request ends: what one server takes for a body is the next one's request."""
    hidden = request(path=f"/-/ready?{MARK}", close=False)
    last = b"0\r\n\r\n" + hidden
    chunked = "Transfer-Encoding: chunked"
    for what, headers, body in (
        ("Transfer-Encoding, then Content-Length", [chunked, "Content-Length: 4"], last),
        ("Content-Length, then Transfer-Encoding", ["Content-Length: 4", chunked], last),
        ("two lengths that differ", ["Content-Length: 0", "Content-Length: 5"], hidden),
        ("two lengths that are the same", [*HELLO, *HELLO], hidden),
        ("a list of lengths that differ", ["Content-Length: 0, 5"], hidden),
        ("two Transfer-Encodings", [chunked, chunked], last),
        ("chunked, then something else", ["Transfer-Encoding: chunked, identity"], last),
        ("something else, then chunked", [f"Transfer-Encoding: {MARK}, chunked"], last),
        ("an unknown coding", ["Transfer-Encoding: xchunked"], last),
        ("identity", ["Transfer-Encoding: identity"], last),
        ("a vertical tab before chunked", ["Transfer-Encoding: \x0bchunked"], last),
        ("a space before the colon of Transfer-Encoding", ["Transfer-Encoding : chunked"], last),
        ("a space before the colon of Content-Length", ["Content-Length : 5"], hidden),
        ("a folded Transfer-Encoding", ["Transfer-Encoding:", " chunked"], last),
        ("a bare CR before Transfer-Encoding", [f"X: {MARK}\rTransfer-Encoding: chunked"], last),
        ("a NUL in Transfer-Encoding", ["Transfer-Encoding: chunked\0"], last),
        ("an underscore in Content-Length", ["Content_Length: 5", *HELLO], hidden),
    ):
        site.expect(f"GET with {what}", request(headers=headers, body=body, close=False), {400, 413, 501})
    data = request(headers=[chunked], version="HTTP/1.0", body=last, close=False)
    site.expect("HTTP/1.0 with Transfer-Encoding", data, BAD | {501})
    # Whatever a POST is answered, what follows its body is not a request of its own.
    for what, headers, body in (
        ("both lengths", [chunked, "Content-Length: 4"], last),
        ("a chunk size of letters", [chunked], b"zz\r\n" + last),
        ("a negative chunk size", [chunked], b"-1\r\n" + last),
        ("a chunk size of 68 bits", [chunked], b"fffffffffffffffff\r\n" + last),
        ("a chunk size that ends in a bare LF", [chunked], b"5\nhello\r\n" + last),
        ("a chunk longer than its size", [chunked], b"1\r\nhello\r\n" + last),
        ("a chunk extension of 20 kB", [chunked], b"1;" + b"x" * 20_000 + b"\r\nh\r\n" + last),
        ("20 kB of trailers", [chunked], b"0\r\n" + b"X: y\r\n" * 3500 + b"\r\n" + hidden),
        ("a body of 10 GB", ["Content-Length: 10000000000"], hidden),
    ):
        data = request(path="/metrics", method="POST", headers=headers, body=body, close=False)
        site.expect(f"POST with {what}", data, {400, 405, 413, 431, 501})


def malformed_heads(site):
    """What is no header, and no request line. A bare LF may be taken for a line's end (RFC 9112, section 2.2)."""
    for what, header in (
        ("a folded header", f"X-A: {MARK}\r\n b"), ("a bare CR", f"X-A: {MARK}\rb"), ("a NUL", f"X-A: {MARK}\0b"),
        ("an ESC", f"X-A: {MARK}\x1b[31m"), ("a DEL", f"X-A: {MARK}\x7f"), ("a NUL in a name", f"X\0{MARK}: b"),
        ("a space in a name", f"X {MARK}: b"), ("an empty name", f": {MARK}"), ("no colon", MARK),
        ("a name that is not ASCII", f"X\xff{MARK}: b"), ("a space before the name", f" X: {MARK}"),
    ):
        site.expect(f"a header with {what}", request(headers=[header]), BAD)
    bare = request(headers=[f"X: {MARK}"]).replace(b"\r\n", b"\n")
    site.expect("lines that end in a bare LF", bare, {200, 400})
    site.expect("a header with bytes above ASCII", request(headers=[f"X: {MARK}\xff\xfe"]), {200, 400})
    for what, line in (
        ("tabs for spaces", f"GET\t/-/healthy?{MARK}\tHTTP/1.1"), ("two spaces", f"GET  /-/healthy?{MARK} HTTP/1.1"),
        ("a space in the path", f"GET /{MARK} /x HTTP/1.1"), ("no path", "GET HTTP/1.1"), ("no method", f" /{MARK} HTTP/1.1"),
        ("a NUL in the path", f"GET /{MARK}\0 HTTP/1.1"), ("an ESC in the path", f"GET /{MARK}\x1b[31m HTTP/1.1"),
        ("a CR in the path", f"GET /{MARK}\rX: HTTP/1.1"), ("bytes that are not UTF-8", f"GET /{MARK}\xff HTTP/1.1"),
        ("a method with a bracket", f"G(T /{MARK} HTTP/1.1"), ("no version", f"GET /{MARK}"),
        ("version HTTP/0.9", "GET /-/healthy HTTP/0.9"), ("version HTTP/1.2", "GET /-/healthy HTTP/1.2"),
        ("version HTTP/2.0", "GET /-/healthy HTTP/2.0"), ("version HTTP/1.10", "GET /-/healthy HTTP/1.10"),
        ("version http/1.1", "GET /-/healthy http/1.1"), ("a version of 20 digits", "GET / HTTP/" + "1" * 20),
        ("the beginning of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 40),
        ("noise", bytes(range(128, 256)).decode("latin-1")),
    ):
        # Version 1.2 may be answered as if it were 1.1 (RFC 9110, section 2.5).
        fine = {200} if line.endswith("HTTP/1.2") else set()
        site.expect(f"a request line with {what}", wire.raw(f"{line}\r\nHost: localhost\r\n\r\n"), BAD | {404, 505} | fine)


def oversized_heads(site):
    """Each is bounded, and told so before it has arrived in full."""
    for what, data in (
        ("a path of 17 kB", request(path="/" + "a" * 17_000)), ("a path of 64 KiB", request(path="/" + "a" * 65_536)),
        ("a query of 64 KiB", request(path=f"/metrics?{MARK}=" + "a" * 65_536)), ("a line without end", b"A" * 65_536),
        ("a header of 20 kB", request(headers=["X-A: " + "a" * 20_000])), ("a header of 1 MB", request(headers=["X: " + "a" * 1_000_000])),
        ("a header's name of 20 kB", request(headers=["a" * 20_000 + ": b"])), ("a host of 60 kB", request(host=MARK * 7000)),
        ("a cookie of 20 kB", request(headers=["Cookie: " + "a=b;" * 5000])), ("200 headers", request(headers=["X: y"] * 200)),
        ("10,000 headers", request(headers=["X: y"] * 10_000)), ("a method of 20 kB", request(method="A" * 20_000)),
    ):
        got = site.expect(what, data, TOO_LARGE)
        site.check(f"{what}: within a second", got.seconds < 1, got)
    site.expect("50 headers and a query of 8 kB are served", request(f"/-/healthy?{'a' * 8000}", headers=["X: y"] * 50), {200})


def versions_and_upgrades(site):
    """Other protocols on the same port."""
    site.expect("HTTP/0.9", b"GET /metrics\r\n\r\n", BAD | {505})
    for host in ("localhost", None):
        what = f"HTTP/1.0 with{'' if host else 'out'} a host"
        site.expect(what, request(version="HTTP/1.0", host=host), {200})
    got = site.ask("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    # Whoever speaks HTTP/2 begins with a frame of settings.
    speaks = len(got.received) > 8 and got.received[3] == 4
    refuses = got.ended != "open" and (not got.received or got.status in BAD | {505})
    site.check("HTTP/2 with prior knowledge is spoken or refused", speaks or refuses, got)
    settings = ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings, close"]
    site.expect("Upgrade: h2c stays with HTTP/1.1", request(headers=settings, close=False), {200, 400})
    socket_key = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    data = request(headers=[*socket_key, "Connection: Upgrade, close"], close=False)
    site.expect("Upgrade: websocket stays with HTTP/1.1", data, {200, 400})


def methods(site):
    """A known path says which methods it takes, an unknown one is not found whatever the method is."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW", "A" * 4000):
        for path in PAGES:
            refused(site, method, path, {"GET", "HEAD"})
        refused(site, method, f"/{MARK}", None)
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "post"):
        refused(site, method, "/-/reload", {"POST", "PUT"})
    refusals = {400, 404, 405, 421, 501}
    # The method is not to be tried on what it asks for: none of these may succeed.
    site.expect("CONNECT to another host", request(f"{MARK}.example:443", "CONNECT"), refusals)
    site.expect("GET of an authority", request(f"{MARK}.example:80"), refusals)
    site.expect("GET of an asterisk", request("*"), refusals)
    site.expect("OPTIONS of an asterisk", request("*", "OPTIONS"), refusals | {200, 204})
    for path in (f"http://{MARK}.example/-/healthy", f"https://user:{MARK}@evil.example:99/-/healthy", f"http://{MARK}.example"):
        site.expect(f"GET of {path}", request(path, host=f"{MARK}.example"), {200, 400, 404, 421})


def refused(site, method, path, allowed):
    # A bodiless answer to HEAD; and what follows an answer to CONNECT would be the tunnel, if there were one.
    name = method if len(method) < 20 else f"a method of {len(method)} bytes"
    got = site.ask(f"{name} {path}", request(path, method), bodiless=method == "HEAD")
    statuses = {404, 501} if allowed is None else {400, 405, 501} if method == "CONNECT" else {405, 501}
    allow = [set(part.strip() for part in value.split(",")) for answer in got.answers for value in answer.header("allow")]
    fits = got.status in statuses and got.ended == "end" and (got.status != 405 or allow == [allowed])
    site.check(f"{name} {path}: {' or '.join(map(str, sorted(statuses)))}", fits, got)


def paths(site):
    """Another spelling of a page is another page, which does not exist; nothing is decoded, joined or redirected."""
    for path in (
        "//metrics", "///", "/metrics/", "/Metrics", "/metrics/../-/reload", "/metrics/..", "/..", "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%252e%252e/etc/passwd", "/%6detrics", "/%2fmetrics",
        "/-%2fhealthy", "/-/./healthy", "/-//healthy", "/-/healthy/", "/-/healthy;x", "/metrics;x", "/-/healthy%00",
        "/-/healthy%00.html", "/%c0%ae%c0%ae/etc/passwd", "/%c0%af", "/%ff", "/-/healthy%", "/-/healthy%zz", "/\\metrics",
        "/..\\..\\etc\\passwd", "\\metrics", "metrics", "../metrics", "?x", "/.git/config", "/.env", "/proc/self/environ",
        "/exporter.yml", "/debug/pprof/", "/favicon.ico", "/-", "/-/", "/api", "/api/v1/instances/", "/{}|^`", "/metrics\xc3\xa4",
        f"/{MARK}", "/" + "a/" * 7000, "/" + "%41" * 5000, "/" + "../" * 5000,
    ):
        name = path if len(path) < 60 else f"{path[:20]}… of {len(path)} bytes"
        site.expect(f"GET {name}", request(path), {400, 404, 414})
    for path in ("/-/healthy?x", "/-/healthy?", "/-/healthy??#?", f"/-/healthy?{MARK}=/../%00%ff", "/-/healthy#x"):
        # A fragment does not belong into a request; whoever drops it does no harm.
        got = site.expect(f"GET {path}", request(path), {200, 400} if "#" in path else {200})
        site.check(f"GET {path}: the page itself", got.status != 200 or got.answers[0].body == b"healthy\n", got)


def hosts(site):
    """RFC 9112, section 3.2: a request of HTTP/1.1 has one valid Host, and is refused otherwise."""
    site.expect("no Host", request(host=None), BAD)
    twice = {second: site.ask("two Hosts", request(headers=[f"Host: {second}"])) for second in (f"{MARK}.example", "localhost")}
    served = {second: str(got) for second, got in twice.items() if got.status != 400}
    site.check("two Hosts: 400", not served, served)
    invalid = ("a b", f"<script>{MARK}</script>", "evil/path", "user@evil", "a:b", "[::1", "a?b", "a#b", "%zz", "\xff")
    got = {host: site.ask("an invalid Host", request(host=host)) for host in invalid}
    served = {host: str(answer) for host, answer in got.items() if answer.status != 400}
    site.check("a Host that is none: 400", not served, served)
    for host in (f"{MARK}.example", "[::1]:19110", "127.0.0.1", "LOCALHOST:1", "a,b", "a:99999", "", f"{MARK}." * 1000):
        name = host if len(host) < 60 else f"of {len(host)} bytes"
        site.expect(f"Host {name!r}: served, not repeated", request("/", host=host), {200, 400, 421})
    more = [f"X-Forwarded-Host: {MARK}.example", f"X-Original-URL: /{MARK}", f"Forwarded: host={MARK}", "X-HTTP-Method-Override: POST"]
    site.expect("headers that name another host or path", request("/", headers=more), {200})


def accepts(site):
    """Accept headers that are long, contradictory or nonsense cost nothing, and the answer is what its headers say."""
    # As much as a head may hold.
    room = 12_000
    for what, headers in (
        ("thousands of ranges", ["Accept: " + "a/b," * (room // 4)]), ("thousands of commas", ["Accept: " + "," * room]),
        ("ninety lines", ["Accept: text/plain;q=0.5, */*;q=0.1"] * 90), ("an open quote", ['Accept: text/plain;version="' + ",;" * (room // 2)]),
        ("thousands of parameters", ["Accept: text/plain" + ";a=b" * (room // 4)]), ("backslashes", ['Accept: "' + "\\" * room]),
        ("q=NaN", ["Accept: text/plain;q=NaN, application/openmetrics-text;q=inf"]), ("q=-1", ["Accept: text/plain;q=-1"]),
        ("q=1e9", ["Accept: text/plain;q=1e9"]), ("q of thousands of digits", ["Accept: */*;q=0." + "9" * room]),
        ("everything refused", ["Accept: */*;q=0"]), ("nothing", ["Accept:"]), ("bytes above ASCII", ["Accept: \xff\xfe/\xff"]),
        ("an image only", ["Accept: image/png"]), ("codings refused", ["Accept-Encoding: *;q=0"]),
        ("identity refused", ["Accept-Encoding: identity;q=0, *;q=0"]), ("unknown codings", [f"Accept-Encoding: {MARK}, br;q=1, zstd"]),
        ("thousands of codings", ["Accept-Encoding: " + "gzip;q=0.5," * (room // 11)]), ("gzip;q=NaN", ["Accept-Encoding: gzip;q=NaN"]),
        ("gzip, gzip, gzip", ["Accept-Encoding: gzip, gzip, gzip"]), ("both, twice", ["Accept-Encoding: gzip;q=0", "Accept-Encoding: gzip"]),
    ):
        got = site.expect(f"accepted is {what}", request("/metrics", headers=headers), {200, 406})
        site.check(f"accepted is {what}: answered within 2 seconds", got.seconds < 2, f"{got.seconds:.2f} s")
        if got.status == 200:
            answer = got.answers[0]
            coded = answer.header("content-encoding")
            body = gzip.decompress(answer.body) if coded == ["gzip"] else answer.body
            whole = coded in ([], ["gzip"]) and body.startswith(b"# HELP ") and body.endswith(b"\n")
            site.check(f"accepted is {what}: complete", whole, (answer.headers, body[-60:]))


def heads_and_gets(site):
    """HEAD tells what GET would, without the body (RFC 9110, section 9.3.2)."""
    for path in (*PAGES, f"/{MARK}", "/-/reload"):
        for headers in ([], ["Accept-Encoding: gzip"]):
            what = f"HEAD {path}{' with gzip' if headers else ''}"
            head = site.ask(what, request(path, "HEAD", headers), bodiless=True)
            get = site.ask(what.replace("HEAD", "GET"), request(path, "GET", headers))
            alike = not head.problem and len(head.answers) == len(get.answers) == 1
            alike = alike and told(head.answers[0], path) == told(get.answers[0], path)
            site.check(f"{what}: as GET, without its body", alike, (head, get))


def told(answer, path):
    """Status and headers, without what may differ from one moment to the next."""
    varies = ("date",) if path in ("/-/healthy", f"/{MARK}", "/-/reload") else ("date", "content-length")
    return answer.status, sorted(pair for pair in answer.headers if pair[0] not in varies), bool(answer.header("content-length"))


def status_page_queries(site):
    """Whatever is asked of the status page, and of the pages beside it, none of it becomes markup."""
    payloads = (
        f"<script>{MARK}()</script>", f'"><img src={MARK} onerror={MARK}>', f'" onfocus={MARK} autofocus="', f"' onfocus={MARK} autofocus='",
        f"javascript:{MARK}()", f"</title><svg/onload={MARK}>", f"\r\nX-Injected: {MARK}", f"\0{MARK}", "-1", "0", "9" * 30, "1e999", "NaN",
        "__proto__", "%", "(a+)+$" + "a" * 2000, "\\", "a" * 3000, "\u202e\ufeff\U0001f4a3", "../" * 100,
    )
    raw_bytes = ("q=%ff%fe", "q=%c0%bc%00", "q=%", "q=%u003cscript%u003e", "&&&===&", "q", "q=1&" * 2000, "q[]=1&q[a]=2", "page=1;page=2")
    for name in ("q", "state", "sort", "page", "instance", "provider", MARK):
        problems = []
        for payload in payloads:
            query = urllib.parse.urlencode({name: payload})
            problems += injected(site, f"/?{query}")
        site.check(f"/?{name}=…: nothing becomes markup or a header", not problems, problems)
    problems = [problem for query in raw_bytes for problem in injected(site, f"/?{query}")]
    site.check("/?…: a query that is none does no harm", not problems, problems)


def injected(site, path):
    got = site.ask(f"GET {path[:80]}", request(path))
    if got.status not in {200, 400, 404, 414} or got.ended != "end" or got.problem:
        return [f"{path[:80]}: {got}"]
    answer = got.answers[0]
    text = answer.body.decode("utf-8", "replace")
    # What is escaped has none of these: each begins with a character that only markup needs.
    markup = (f"<script>{MARK}", f"<img src={MARK}", f'" onfocus={MARK}', f"' onfocus={MARK}", f"<svg/onload={MARK}")
    # Anywhere else than behind these it is a text like others.
    links = re.findall(rf"\b(?:action|formaction|href|src)\s*=\s*[\"']?\s*javascript:{MARK}", text)
    found = [part for part in markup if part in text] + links
    found += [pair for pair in answer.headers if MARK in str(pair) or pair[0] == "x-injected"]
    found += ["slow"] if got.seconds > 2 else []
    return [f"{path[:80]}: {found}"] if found else []


def pipelined_requests(site):
    """Sent without waiting: answered one by one, in order, and none twice."""
    count = 400
    ask = [(path, method) for path in ("/-/healthy", f"/{MARK}", "/-/reload", "/-/ready") for method in ("GET",)]
    order = [ask[number % len(ask)] for number in range(count)]
    data = b"".join(request(path, method, close=False) for path, method in order[:-1]) + request(*order[-1])
    got = site.ask("pipelined", data)
    statuses = {"/-/healthy": 200, f"/{MARK}": 404, "/-/reload": 405, "/-/ready": 200}
    expected = [statuses[path] for path, _ in order]
    answered = [answer.status for answer in got.answers]
    site.check(f"{count} requests at once are answered in order", answered == expected and not got.problem, got)
    site.check(f"{count} requests at once take less than 5 seconds", got.seconds < 5, f"{got.seconds:.2f} s")
    # The pages that take time to make, on one connection.
    got = site.ask("pipelined", request("/metrics", close=False) * 49 + request("/metrics"))
    fits = [answer.status for answer in got.answers] == [200] * 50 and got.ended == "end"
    site.check("50 scrapes at once are answered completely", fits, f"{len(got.answers)} answers, {got.problem}")
    site.check("50 scrapes at once take less than 30 seconds", got.seconds < 30, f"{got.seconds:.2f} s")
    # After a refusal there is no telling where the next request begins.
    got = site.ask("after a refusal", request(headers=[f"X: {MARK}\0"], close=False) + request() * 5)
    site.check("nothing that follows a malformed request is answered", got.status == 400 and got.ended == "end", got)


def half_closed_connections(site):
    """A client that has said all it wants may say so (`nc -N` does), and one that says nothing is let go at once."""
    if site.target.tls:
        return site.verdict.say("        not over TLS, which Python can only end as a whole")
    got = site.ask("half closed", request("/metrics", close=False), finish=True)
    site.check("a scrape by a client that then closes its half", got.status == 200 and not got.problem, got)
    for what, data in (("nothing", b""), ("half a head", b"GET / HTTP/1.1\r\nHost: "), ("half a body", request(headers=HELLO, body="he"))):
        got = site.ask("half closed", data, finish=True)
        site.check(f"a client that closes its half after {what} is let go", got.ended != "open" and got.seconds < 2, got)


def credentials(site):
    """Nobody is asked who they are, so what they say of it goes nowhere."""
    for header in (f"Authorization: Basic {MARK}", f"Authorization: Bearer {MARK}", f"Cookie: session={MARK}", f"Proxy-Authorization: Basic {MARK}"):
        for path in ("/", "/metrics", f"/{MARK}?password={MARK}"):
            what = f"{header.split(':', 1)[0]} on {path}"
            got = site.expect(what, request(path, headers=[header]), {200, 401, 404})
            site.check(f"{what}: not repeated", MARK.encode() not in got.received, got)


def foreign_forms(site):
    """A page of another site can make a browser send a POST; the browser then says so in Sec-Fetch-Site."""
    form = ["Origin: https://evil.example", "Content-Type: application/x-www-form-urlencoded", *HELLO]
    fetched = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty"]
    data = request("/-/reload", "POST", [*form, *fetched], "a=b&c")
    site.expect("a form of another site reloads nothing", data, {403})
    site.expect("an unadorned POST reloads", request("/-/reload", "POST"), {200})
    preflight = ["Origin: https://evil.example", "Access-Control-Request-Method: PUT"]
    got = site.ask("preflight", request("/-/reload", "OPTIONS", preflight))
    allowed = [name for answer in got.answers for name, _ in answer.headers if name.startswith("access-control-")]
    site.check("no other site is allowed in by CORS", not allowed and got.status not in (200, 204), got)
    got = site.ask("cross-origin read", request("/api/v1/instances", headers=["Origin: null"]))
    allowed = [name for answer in got.answers for name, _ in answer.headers if name.startswith("access-control-")]
    site.check("no other site may read the instances", not allowed and got.status == 200, got.answers and got.answers[0].headers)


def form_of_answers(site):
    """What holds for every answer so far, whatever was asked."""
    site.check("there were answers to look at", len(site.answers) > 100, len(site.answers))

    def none(what, found):
        found = list(found)
        site.check(what, not found, f"{len(found)} times: {found[:4]}")

    # Escaped text on the status page is what filters are for; attacks on it are looked at where they are made.
    pages = [(what, answer) for what, answer in site.answers if not what.startswith("GET /?")]
    marked = (what for what, answer in pages if MARK.encode() in answer.body or MARK in str(answer.headers))
    none("no answer repeats anything of its request", marked)
    none("no answer leads elsewhere", (what for what, a in site.answers if 300 <= a.status < 400 or a.header("location")))
    none("no answer has a cookie", (what for what, a in site.answers if a.header("set-cookie")))
    none("no answer names its software", (what for what, a in site.answers if a.header("server") or a.header("x-powered-by")))
    none("no answer is an error of the server", (what for what, a in site.answers if a.status in (500, 502, 504)))
    sniffed = (what for what, a in site.answers if a.body and a.header("x-content-type-options") != ["nosniff"])
    none("every body is protected from sniffing", sniffed)
    untyped = (what for what, a in site.answers if a.body and len(a.header("content-type")) != 1)
    none("every body has a type", untyped)
    refusals = [(what, a) for what, a in site.answers if a.status >= 400 and not what.startswith("HEAD")]
    none("every refusal says why", (f"{what}: {a.status}" for what, a in refusals if not a.body.strip()))
    none("every refusal is short", (f"{what}: {len(a.body)} bytes" for what, a in refusals if len(a.body) > 500))


def reload_flood(site, log):
    """Reloading is for everybody who reaches the port, so it must cost neither calls to the clouds nor disk."""
    count, lines = 300, log.count()
    calls = site.counter(CALLS)
    got = site.ask("reload flood", request("/-/reload", "POST", close=False) * (count - 1) + request("/-/reload", "POST"))
    statuses = {answer.status for answer in got.answers}
    answered = len(got.answers) == count and statuses <= {200, 429, 503}
    site.check(f"{count} reloads at once are answered", answered and got.ended == "end", (len(got.answers), statuses, got.ended))
    site.check(f"{count} reloads at once take less than 10 seconds", got.seconds < 10, f"{got.seconds:.2f} s")
    more = site.counter(CALLS)
    # One poll of everything is about as many calls as the demo makes at its start; the polls that are due go on.
    site.check(f"{count} reloads do not make the exporter poll", calls and more and more - calls < calls, (calls, more))
    site.check(f"{count} reloads write less than 30 lines into the log", log.count() - lines < 30, f"{log.count() - lines} lines")


ATTACKS = (
    request_bodies, smuggling, malformed_heads, oversized_heads, versions_and_upgrades, methods, paths, hosts, accepts,
    heads_and_gets, status_page_queries, pipelined_requests, half_closed_connections, credentials, foreign_forms, form_of_answers,
)
