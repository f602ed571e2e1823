"""The unit in a real systemd: does it start, answer, reload, come back and stop in the cage that it describes?

A small Debian is booted in systemd-nspawn, over a file system of which nothing is kept, in a network that has nothing but
its own loopback. The vendor is a server in this process that refuses every request and remembers how it was signed: a
signature with the key of the credentials is the proof that the unit was given them.
"""

import contextlib
import fcntl
import http.server
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import exporter
from checks import check

UNIT = "cloud-backup-exporter.service"
SOURCES = exporter.REPOSITORY / "deploy" / "systemd"
# Where the files go, as deploy/systemd/README.md says.
FOLDER = "/etc/cloud-backup-exporter"

KEY_ID, KEY_SECRET = "LTAI-of-this-boot", "secret-of-this-boot"

# On top of what is shipped: a system call that is not allowed kills, instead of being refused, so that none goes unseen;
# and a restart is not waited for.
DROP_IN = "[Service]\nSystemCallErrorNumber=kill\nRestartSec=100ms\n"

# An instance that is named beside those that are found, to be seen in a scrape after the reload.
ADDED = "    instances:\n      - {id: rm-added-by-reload, region: cn-hangzhou}\n"

# Besides the init system: `kill` for the reload.
PACKAGES = "dbus,procps,systemd,systemd-sysv"


def debian(target):
    """A Debian with systemd below the build's target folder, made once."""
    root = target / "deploy" / "debian"
    if not root.is_dir():
        unfinished = root.with_suffix(".unfinished")
        subprocess.run(["rm", "--recursive", "--force", "--one-file-system", unfinished], check=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        # The release binary is linked with the C library of this machine, so it wants the same there.
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", codename(), unfinished]
        subprocess.run(command, check=True, timeout=300)
        unfinished.rename(root)
    return root


def codename():
    release = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)$", release, re.MULTILINE)
    return found[1] if found and "\nID=debian\n" in f"\n{release}" else "bookworm"


def prepare(target):
    """What takes a network; then this program goes on without one, as the caller of `boot`."""
    if os.geteuid() != 0:
        sys.exit("systemd-nspawn needs root")
    root, binary = debian(target), exporter.build()
    os.execvp("unshare", ["unshare", "--net", sys.executable, sys.argv[0], "--boot", "--cut-off", root, binary])


def boot(root, binary):
    exporter.end_after(180)
    loopback_up()
    with tempfile.TemporaryDirectory() as directory, vendor() as (address, requests):
        # Whoever runs the unit has to reach what is mounted from here.
        os.chmod(directory, 0o755)
        with machine(pathlib.Path(directory), root, binary, address) as systemd:
            check_unit(systemd, pathlib.Path(directory, "etc"), requests)


def loopback_up():
    """In a new network even the loopback is down."""
    get_flags, set_flags, up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, get_flags, request))[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))


@contextlib.contextmanager
def vendor():
    """Refuses everything; yields its address and the signatures that it was shown."""
    signatures = []

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            signatures.append(self.headers.get("Authorization", ""))
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", signatures
    finally:
        server.shutdown()


@contextlib.contextmanager
def machine(directory, root, binary, vendor_address):
    """A booted machine with the shipped files in their places; yields what runs a command in it."""
    files = directory / "etc"
    keys = files / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for name, secret in (("alibaba-key-id", KEY_ID), ("alibaba-key-secret", KEY_SECRET)):
        (keys / name).write_text(secret + "\n")
        (keys / name).chmod(0o600)
    (files / "exporter.yml").write_text((SOURCES / "exporter.yml").read_text())
    endpoint = f"CLOUD_BACKUP_EXPORTER__ACCOUNTS__0__ENDPOINT=http://{vendor_address}\n"
    default = directory / "default"
    default.write_text((SOURCES / "cloud-backup-exporter.default").read_text() + endpoint)
    drop_ins = directory / "drop-ins"
    drop_ins.mkdir()
    for path in (SOURCES / f"{UNIT}.d").glob("*.conf"):
        (drop_ins / path.name).write_text(path.read_text())
    (drop_ins / "zz-boot.conf").write_text(DROP_IN)

    command = [
        "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--volatile=overlay",
        f"--directory={root}",
        f"--bind-ro={binary}:/usr/local/bin/cloud-backup-exporter",
        f"--bind-ro={SOURCES / UNIT}:/etc/systemd/system/{UNIT}",
        f"--bind-ro={drop_ins}:/etc/systemd/system/{UNIT}.d",
        f"--bind-ro={default}:/etc/default/cloud-backup-exporter",
        f"--bind-ro={files}:{FOLDER}",
    ]
    log = directory / "console"
    with exporter.running(command, log) as nspawn:
        try:
            init = exporter.wait_for(lambda: init_below(nspawn), "the machine has an init process", 30)

            def inside(*words):
                entered = ["nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", *words]
                return subprocess.run(entered, capture_output=True, text=True, timeout=60)

            booted = lambda: inside("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
            exporter.wait_for(booted, "the machine has booted", 60, 0.1)
            yield inside
            inside("systemctl", "poweroff", "--no-block")
            check("the machine is shut down in order", nspawn.wait(timeout=30) == 0, nspawn.returncode)
        except BaseException:
            sys.stderr.write(log.read_text(errors="replace"))
            raise


def init_below(nspawn):
    """The process id, seen from here, of the process 1 of the machine."""
    if nspawn.poll() is not None:
        sys.exit(f"systemd-nspawn ended with {nspawn.returncode}")
    below = [nspawn.pid]
    while below:
        process = below.pop()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = pathlib.Path(f"/proc/{process}/status").read_text()
            if re.search(r"^NSpid:\s.*\s1$", status, re.MULTILINE):
                # It is this program's copy until it has become the init of the machine.
                return process if "Name:\tsystemd\n" in status else None
            below += map(int, pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split())
    return None


def check_unit(systemd, files, requests):
    config = files / "exporter.yml"
    good = config.read_text()

    def state(*names):
        shown = systemd("systemctl", "show", UNIT, *(f"--property={name}" for name in names)).stdout
        found = dict(line.split("=", 1) for line in shown.splitlines())
        return [found[name] for name in names]

    def journal():
        return systemd("journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}").stdout

    started = time.time()
    enabled = systemd("systemctl", "enable", "--now", UNIT)
    check("it is enabled and started", enabled.returncode == 0, enabled.stderr + journal())
    check("it is active", state("ActiveState", "SubState") == ["active", "running"], state("ActiveState", "SubState"))
    address = "127.0.0.1:19110"
    exporter.wait_for(lambda: answers(address), "the exporter answers", 15)
    metrics = scrape(address)
    check("it answers at the address of the shipped options", "cloud_backup_exporter_build_info" in metrics)
    begun = value(metrics, "process_start_time_seconds")
    check("it knows when it was started", begun is not None and abs(begun - started) < 30, (begun, started))
    # Compressing is done by threads of their own, which the limits and the filter of system calls have to allow.
    status, headers, _ = exporter.get(address, "/metrics", {"Accept-Encoding": "gzip"})
    check("it compresses", (status, headers["Content-Encoding"]) == (200, "gzip"), (status, headers.as_string()))

    exporter.wait_for(lambda: requests, "the vendor is asked", 15)
    check("requests are signed with the key of the credentials", all(f"Credential={KEY_ID}," in one for one in requests), requests[0])
    check("the secret is nowhere in the journal", KEY_SECRET not in journal() and "listening" in journal(), journal())

    process = int(state("MainPID")[0])
    status = systemd("cat", f"/proc/{process}/status").stdout
    user = int(re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.MULTILINE)[1])
    check("its user exists while it runs", 61184 <= user <= 65519, f"user {user}")
    for name, expected in (("CapBnd", "0" * 16), ("CapPrm", "0" * 16), ("NoNewPrivs", "1"), ("Seccomp", "2")):
        found = re.search(rf"^{name}:\t(\S+)$", status, re.MULTILINE)[1]
        check(f"{name} is {expected}", found == expected, found)
    check_command_inside(systemd, "its root is read-only", process, "test", "!", "-w", "/etc")

    config.write_text(good + ADDED)
    reloaded = systemd("systemctl", "reload", UNIT)
    check("a reload ends well", reloaded.returncode == 0, reloaded.stderr)
    seen = lambda: 'instance_id="rm-added-by-reload"' in scrape(address)
    check("it has read the configuration again", exporter.wait_for(seen, "the added instance is served"))
    check("in the same process", state("MainPID") == [str(process)], state("MainPID"))
    config.write_text("accounts: nonsense\n")
    systemd("systemctl", "reload", UNIT)
    refused = lambda: value(scrape(address), "cloud_backup_exporter_config_last_reload_successful") == 0
    check("a bad configuration is refused", exporter.wait_for(refused, "the reload is said to have failed"))
    check("and the exporter goes on", seen() and state("MainPID") == [str(process)], state("MainPID"))

    config.write_text(good)
    systemd("kill", "--signal", "KILL", str(process))
    back = lambda: state("NRestarts", "ActiveState") == ["1", "active"] and state("MainPID") != [str(process)]
    check("killed, it is started again", exporter.wait_for(back, "the unit is active again", 20, 0.1))
    exporter.wait_for(lambda: answers(address), "the exporter answers again", 15)

    begin = time.monotonic()
    stopped = systemd("systemctl", "stop", UNIT)
    took = time.monotonic() - begin
    ended = state("Result", "ExecMainCode", "ExecMainStatus")
    check("it stops with exit code 0", stopped.returncode == 0 and ended == ["success", "1", "0"], ended)
    check("within 5 seconds", took < 5, f"{took:.1f} s")

    config.write_text("accounts: nonsense\n")
    systemd("systemctl", "reset-failed", UNIT)
    systemd("systemctl", "start", UNIT)
    failed = lambda: state("ActiveState") == ["failed"]
    exporter.wait_for(failed, "the unit has failed", 15, 0.1)
    ended = state("ExecMainStatus", "NRestarts")
    check("with an unusable configuration it fails, and is not tried again", ended == ["2", "0"], ended)


def check_command_inside(systemd, name, process, *command):
    """A command that sees the files as the unit's process does, and is as little as it."""
    ran = systemd("nsenter", f"--target={process}", "--mount", *command)
    check(name, ran.returncode == 0, ran)


def answers(address):
    try:
        return exporter.get(address, "/-/healthy")[0] == 200
    except OSError:
        return False


def scrape(address):
    return exporter.get(address, "/metrics")[2].decode()


def value(metrics, name):
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else None

