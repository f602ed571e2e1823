"""What the checks of all vendors' clients have in common."""

import contextlib
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading

passed, failed = 0, 0


def check(what, holds, seen=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print("ok    " if holds else "FAILED", what, "" if holds else seen, flush=True)


def conclude(client, stated=()):
    """The closing lines of one client; ends the program. What pages have `stated` is no misfit."""
    for operation, seen in answers.items():
        misfits = sorted(seen.difference(stated))
        check(f"{operation}: answered as the client declares it", not misfits, misfits)
    print(f"{client}: {', '.join(answers)}")
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(failed > 0)


# Of each operation that was answered, what in its answers is not as the client declares it.
answers = {}
# Of each operation, how it was last asked with success: the client, its method, and the request.
asked = {}


class Watched:
    """A vendor's client that holds each answer against what it declares.

    `build(key_id, secret)` makes the client, `read(client, answer)` tells the JSON that an answer was made of, the
    name of its model, and the fields of models. The clients themselves turn a number into a text without a word.
    """

    def __init__(self, build, read, key_id, secret):
        self.build, self.read, self.key_id, self.secret = build, read, key_id, secret
        self.client = build(key_id, secret)

    def __getattr__(self, method):
        def ask(request):
            answer = getattr(self.client, method)(request)
            operation = type(request).__name__.removesuffix("Request")
            asked[operation] = (self, method, request)
            json_of_it, model, fields = self.read(self.client, answer)
            answers.setdefault(operation, set()).update(misfits(json_of_it, model, fields))
            return answer

        return ask


def misfits(value, kind, fields, where=""):
    """What in an answer is not of its kind, which is `str`, `list[int]`, or a model.

    `fields(model)` tells the kinds of its parts.
    """
    if kind.startswith("list["):
        if not isinstance(value, list):
            return {f"{where} is no list"}
        found = (misfits(entry, kind[5:-1], fields, where) for entry in value)
        return set().union(*found)
    if kind in ("str", "int", "bool", "float"):
        fits = type(value).__name__ == kind or (kind, type(value)) == ("float", int)
        return set() if fits else {f"{where} is {type(value).__name__}, not {kind}"}
    known = fields(kind)
    found = (
        misfits(entry, known[name], fields, f"{where}.{name}")
        if name in known else {f"{where}.{name} is unknown"}
        for name, entry in value.items()
    )
    return set().union(*found)


def refused(what, expected, ask, request, exception, code_of):
    try:
        ask(request)
        seen = "an answer"
    except exception as error:
        seen = code_of(error)
    check(f"{what} is refused with {expected}", seen == expected, seen)


def every_operation_is_refused_with_wrong_keys(refused, unknown_id, of_a_secret, of_a_key):
    """Asks a simulator again for whatever it answered."""
    for operation, (watched, method, request) in asked.items():
        for what, expected, key_id, secret in (
            ("a wrong secret", of_a_secret, watched.key_id, "wrong"),
            ("an unknown key", of_a_key, unknown_id, watched.secret),
        ):
            # Several wrong secrets in a row would lock the key.
            getattr(watched.client, method)(request)
            wrong = watched.build(key_id, secret)
            refused(f"{operation} with {what}", expected, getattr(wrong, method), request)
    asked.clear()


@contextlib.contextmanager
def simulator(binary, scenario, vendor):
    """The URL of a vendor's simulated cloud; the scenario is a built-in one, or a file beside this one."""
    file = pathlib.Path(__file__).with_name(f"{scenario}.toml")
    which = ["--file", file] if file.exists() else ["--scenario", scenario]
    process = subprocess.Popen([binary, *which], stdout=subprocess.PIPE, text=True)
    try:
        # Each vendor's name and URL stand on a line of their own.
        lines = (line.split() for line in process.stdout)
        yield next(words[1] for words in lines if len(words) == 2 and words[0] == vendor)
    finally:
        process.terminate()
        process.wait(timeout=10)


class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers like the vendor, and hands each request to `judge`, which signs it once more with the vendor's code.

    `judge(request, body)` tells the operation, whether it came with a token, whether the signature is the same, and
    the answer.
    """

    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        operation, had_token, same, answer = self.server.judge(self, body)
        self.server.seen.append((operation, had_token, same))
        answer = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = serve

    def log_message(self, *_):
        pass


def the_exporter_signs_as_the_client_does(
    exporter, vendor, judge, secret, instance, region, operations
):
    """Lets the exporter ask a gateway that computes each signature again, with and without a token.

    Whatever it asks for is checked, and it asks for `operations` at least.
    """
    gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    gateway.judge, gateway.seen = judge, []
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    url = f"http://localhost:{gateway.server_port}"
    for token in ("", ', security_token: "conformance/token==~*"'):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "exporter.yml")
            config.write_text(
                f"accounts:\n- name: conformance\n  provider: {vendor}\n  rate_limit: 100/s\n"
                f"  endpoint: {url}\n  iam_endpoint: {url}\n"
                f"  credentials: {{access_key_id: conformance, access_key_secret: {secret}{token}}}\n"
                f"  instances: [{instance}]\n"
                f"  discover: {{regions: [{region}]}}\n"
            )
            once = [exporter, "once", "--output=json", f"--config.file={config}"]
            report = json.loads(subprocess.run(once, stdout=subprocess.PIPE, check=False).stdout)
        listings = report["instances"][0]["listings"]
        for listing in listings:
            name = f"{listing['listing']} with{'' if token else 'out'} a token"
            check(f"{name}: read", listing["success"] is True, listing)
    expected = {(operation, token) for operation in operations for token in (False, True)}
    for operation, token in sorted(expected.union(seen[:2] for seen in gateway.seen)):
        good = [same for *seen, same in gateway.seen if seen == [operation, token]]
        what = f"{operation} with{'' if token else 'out'} a token"
        check(f"{what}: the vendor's signer agrees", good and all(good), good)
    gateway.shutdown()
