"""A server that does everything wrong, to show that the suite notices. Prints its address and serves until killed."""

import http.server
import signal
import socket
import sys
import time
import urllib.parse

# Nothing is ever let go of.
kept = []


class Careless(http.server.BaseHTTPRequestHandler):
    """Serves any path by any method to anybody, and repeats whatever it is told."""

    def handle(self):
        kept.append((self.connection.dup(), bytearray(300_000)))
        super().handle()
        if not self.raw_requestline:
            # Somebody left without a word; perhaps there will be one.
            time.sleep(600)

    def parse_request(self):
        self.raw_requestline = self.raw_requestline.replace(b"\t", b" ")
        super().parse_request()
        return True

    def send_error(self, *_):
        # Every mistake is forgiven.
        pass

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        path = urllib.parse.unquote(getattr(self, "path", ""), "latin-1")
        seen = f"{getattr(self, 'command', '')} {path} {getattr(self, 'headers', '')}"
        sys.stderr.write(f"{seen}\n{seen}\n")
        # The last byte of a scrape is late, and whoever waits for it waits long.
        is_scrape = path == "/metrics"
        head = f"HTTP/1.1 200 OK\r\nServer: careless\r\nContent-Length: {len(seen) + is_scrape}\r\n\r\n"
        self.wfile.write((head + seen).encode("latin-1", "replace"))
        if is_scrape:
            time.sleep(600)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request):
        request.shutdown(socket.SHUT_WR)

    def handle_error(self, *_):
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = Server(("127.0.0.1", 0), Careless)
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
