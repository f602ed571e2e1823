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


def conclude(client, operations):
    """The closing line of one client; ends the program."""
    print(f"{client}: {', '.join(operations)}")
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(failed > 0)


@contextlib.contextmanager
def simulator(binary, scenario, vendor):
    """The URL of a vendor's simulated cloud."""
    process = subprocess.Popen([binary, "--scenario", scenario], stdout=subprocess.PIPE, text=True)
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


def the_exporter_signs_as_the_client_does(exporter, vendor, judge, secret, instance, operations):
    """Lets the exporter ask a gateway that computes each signature again, with and without a token."""
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
            )
            once = [exporter, "once", "--output=json", f"--config.file={config}"]
            report = json.loads(subprocess.run(once, stdout=subprocess.PIPE, check=False).stdout)
        listings = report["instances"][0]["listings"]
        for listing in listings:
            name = f"{listing['listing']} with{'' if token else 'out'} a token"
            check(f"{name}: read", listing["success"] is True, listing)
    for operation in operations:
        for token in (False, True):
            good = [same for seen, had, same in gateway.seen if (seen, had) == (operation, token)]
            what = f"{operation} with{'' if token else 'out'} a token"
            check(f"{what}: the vendor's signer agrees", good and all(good), good)
    gateway.shutdown()
