"""What the exporter is held against: nginx with the very same bytes as a file, and a collector of Go's client_golang with
the very same series. Both as Debian packages them."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "end_to_end"))
import exporter  # noqa: E402  (found by the line above)

GOCODE = "/usr/share/gocode"

NGINX = """
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/nginx; proxy_temp_path {folder}/nginx; fastcgi_temp_path {folder}/nginx;
  uwsgi_temp_path {folder}/nginx; scgi_temp_path {folder}/nginx;
  server {{
    listen 127.0.0.1:{port};
    location = /metrics {{
      gzip_static on; alias {folder}/metrics.txt; types {{ }}
      default_type "text/plain; version=0.0.4; charset=utf-8";
    }}
  }}
}}
"""


def build_collector(folder):
    """Compiles the collector with the libraries of Debian, which know no modules."""
    binary = folder / "collector"
    modules = {"GO111MODULE": "off", "GOPATH": GOCODE, "GOFLAGS": "", "GOCACHE": str(folder / "gocache")}
    command = ["go", "build", "-o", binary, HERE / "collector.go"]
    subprocess.run(command, env=os.environ | modules, check=True)
    return binary


def lay_out(folder, page):
    """Puts a page where nginx finds it, as it is and as `gzip -6` makes it."""
    file = folder / "metrics.txt"
    file.write_bytes(page)
    subprocess.run(["gzip", "-6", "--keep", "--force", "--no-name", file], check=True)
    return file


@contextlib.contextmanager
def nginx(folder):
    """Serves what was laid out: yields the process and its address."""
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port))
    (folder / "nginx").mkdir(exist_ok=True)
    command = ["nginx", "-c", file, "-e", folder / "nginx.err", "-g", "daemon off;"]
    with exporter.running(command, folder / "nginx.log") as process:
        yield process, awaited(port)


@contextlib.contextmanager
def collector(folder, binary, page):
    """Serves the series of a page: yields the process and its address."""
    port = free_port()
    with exporter.running([binary, page, f"127.0.0.1:{port}"], folder / "collector.log") as process:
        yield process, awaited(port)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def awaited(port):
    """The address, once somebody listens there."""

    def listens():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    exporter.wait_for(listens, f"somebody listens on port {port}", 60, 0.05)
    return f"127.0.0.1:{port}"
