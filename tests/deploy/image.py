"""The images, built from the Dockerfile and run as a cluster would run them.

No registry is asked. What stands for the compiler's image is a Debian with the toolchain of this machine, under the same
name, so this shows that the Dockerfile builds, and not that the name can be pulled.
"""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import exporter
from checks import check, skip

# As the image of the compiler: Debian's C compiler and certificates beside the toolchain.
PACKAGES = "ca-certificates,gcc,libc6-dev"

# What a strict cluster allows: nobody's user, nothing written, no capability. The limits are what an engine without
# privileges of its own may set.
CAGE = [
    "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host",
    "--ulimit=nofile=4096:4096", "--ulimit=nproc=1024:1024", "--pull=never",
]

CONFIG = """accounts:
  - name: nobody
    provider: alibaba
    endpoint: http://localhost:9
    credentials: {access_key_id: nobody, access_key_secret: nobody}
    instances: [{id: rm-1, region: cn-hangzhou}]
"""


class Engine:
    """buildah and podman over a storage of their own."""

    def __init__(self, folder):
        self.storage = ["--storage-driver=overlay", f"--root={folder / 'storage'}", f"--runroot={folder / 'run'}"]
        self.podman_options = [*self.storage, "--cgroup-manager=cgroupfs", "--runtime=/usr/sbin/runc"]

    def buildah(self, *words):
        subprocess.run(["buildah", *self.storage, *words], check=True, cwd=exporter.REPOSITORY)

    def podman(self, *words, **options):
        options = {"capture_output": True, "text": True, "timeout": 120} | options
        return subprocess.run([*self.command(), *words], **options)

    def command(self):
        return ["podman", *self.podman_options]


def check_images(target):
    engine = Engine(target / "deploy")
    make_compiler_image(engine, target / "deploy" / "compiler")
    revision = output("git", "rev-parse", "--short=12", "HEAD")
    # So that the same commit makes the same image.
    epoch = output("git", "log", "-1", "--format=%ct")
    for stage in ("exporter", "demo"):
        engine.buildah(
            "build", "--isolation=chroot", "--network=host", "--pull-never", "--format=docker", "--layers",
            f"--timestamp={epoch}", f"--target={stage}", f"--build-arg=BUILD_REVISION={revision}",
            "--file=deploy/docker/Dockerfile", f"--tag={name(stage)}", ".",
        )
    for stage in ("exporter", "demo"):
        check_contents(engine, stage, revision)
    exporter.end_after(300)
    check_exporter(engine, revision)
    check_demo(engine)


def name(stage):
    return f"localhost/cloud-backup-exporter:{stage}"


def container_of(stage):
    return f"cloud-backup-exporter-{stage}"


def output(*command):
    return subprocess.check_output(command, text=True, cwd=exporter.REPOSITORY).strip()


def make_compiler_image(engine, root):
    text = pathlib.Path(exporter.REPOSITORY, "deploy", "docker", "Dockerfile").read_text()
    image = re.search(r"^ARG RUST_IMAGE=(\S+)$", text, re.MULTILINE)[1]
    if engine.podman("image", "exists", image).returncode == 0:
        return
    wanted = re.search(r":(\d+\.\d+\.\d+)-slim-(\w+)$", image)
    toolchain = pathlib.Path(output("rustc", "--print", "sysroot"))
    if f"rustc {wanted[1]} " not in output(toolchain / "bin" / "rustc", "--version"):
        sys.exit(f"the toolchain of this machine is not {wanted[1]}")
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", root], check=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", wanted[2], root]
    subprocess.run(command, check=True)
    # Whatever this machine trusts when it asks for crates.
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    for folder in ("bin", "lib", "libexec"):
        if (toolchain / folder).is_dir():
            shutil.copytree(toolchain / folder, root / "usr/local/cargo" / folder, symlinks=True)
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as archive:
        path = "PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        changes = [f"--change=ENV {path}", "--change=ENV CARGO_HOME=/usr/local/cargo"]
        engine.podman("import", *changes, "-", image, stdin=archive.stdout, check=True, timeout=300)
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", root], check=True)


def check_contents(engine, stage, revision):
    """What is in an image, and what it says about itself."""
    inspected = json.loads(engine.podman("image", "inspect", name(stage)).stdout)[0]
    config = inspected["Config"]
    check(f"{stage}: its user is a number", config["User"] == "65532:65532", config["User"])
    check(f"{stage}: its label has the revision", config["Labels"]["org.opencontainers.image.revision"] == revision, config)
    expected = ["CMD", "/cloud-backup-exporter", "health", "--web.listen-address=127.0.0.1:19110"]
    check(f"{stage}: it says how to ask for its health", inspected["Healthcheck"]["Test"] == expected, inspected["Healthcheck"])
    with tempfile.TemporaryDirectory() as directory:
        archive = pathlib.Path(directory, "contents.tar")
        container = engine.podman("create", name(stage), check=True).stdout.strip()
        try:
            engine.podman("export", f"--output={archive}", container, check=True)
        finally:
            engine.podman("rm", container)
        listed = set(subprocess.check_output(["tar", "--list", f"--file={archive}"], text=True).splitlines())
        # The engine adds places for what it mounts.
        files = {path for path in listed if not path.endswith("/") and not re.match("(dev|proc|sys|run)/|etc/(host|resolv|mtab)", path)}
        expected = {"LICENSE", "cloud-backup-exporter", "etc/ssl/certs/ca-certificates.crt"}
        check(f"{stage}: it holds the binary, its licence, certificates, and nothing else", files == expected, files)
        subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={directory}", "cloud-backup-exporter"], check=True)
        header = subprocess.check_output(["readelf", "--program-headers", f"{directory}/cloud-backup-exporter"], text=True)
        check(f"{stage}: the binary needs no loader", "INTERP" not in header, header)
    print(f"        {stage}: {inspected['Size'] / 1e6:.1f} MB")


def check_exporter(engine, revision):
    told = engine.podman("run", "--rm", *CAGE, name("exporter"), "--version")
    check("exporter: it tells its revision", f"revision {revision}," in told.stdout, told)
    told = engine.podman("run", "--rm", *CAGE, name("exporter"), "demo")
    check("exporter: it has no demo", told.returncode == 2 and "unrecognized subcommand" in told.stderr, told)
    with tempfile.TemporaryDirectory() as directory:
        config = pathlib.Path(directory, "exporter.yml")
        config.write_text(CONFIG)
        config.chmod(0o644)
        mount = f"--volume={config}:/etc/cloud-backup-exporter/exporter.yml:ro"
        told = engine.podman("run", "--rm", *CAGE, mount, name("exporter"), "check")
        check("exporter: `check` finds the configuration that is mounted", told.returncode == 0, told)
        with running(engine, "exporter", [mount], ["--web.listen-address=127.0.0.1:0", "--log.format=json"]) as (address, log, stop):
            metrics = lambda: exporter.get(address, "/metrics")[2].decode()
            # A name that cannot be looked up would be told apart from a port that nobody listens on.
            asked = re.compile(r'^cloud_backup_poll_failures_total\{.*reason="network"\} [1-9]', re.MULTILINE)
            exporter.wait_for(lambda: asked.search(metrics()), "the endpoint is asked")
            check("exporter: it looks up names", "refused" in log() and "lookup" not in log(), log())
            check("exporter: it has certificates to trust", "no certificates" not in log(), log())
            check_process(engine, "exporter")
            check("exporter: SIGTERM ends it with exit code 0", stop() == 0, log())


def check_process(engine, stage):
    """That the cage is one, seen from outside."""
    process = engine.podman("inspect", "--format={{.State.Pid}}", container_of(stage)).stdout.strip()
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    for field, expected in (("Uid", "65532\t" * 3 + "65532"), ("CapBnd", "0" * 16), ("NoNewPrivs", "1")):
        found = re.search(rf"^{field}:\t(.+)$", status, re.MULTILINE)[1]
        check(f"{stage}: {field} is {expected.split()[0]}", found == expected, found)
    options = pathlib.Path(f"/proc/{process}/mounts").read_text().split(" / ", 1)[1].split()[1]
    check(f"{stage}: its root is read-only", options.split(",")[0] == "ro", options)


def check_demo(engine):
    with running(engine, "demo", [], ["demo", "--web.listen-address=127.0.0.1:0", "--log.format=json"]) as (address, log, stop):
        exporter.wait_for(lambda: exporter.get(address, "/-/ready")[0] == 200, "the demo is ready")
        body = exporter.get(address, "/metrics")[2].decode()
        check("demo: it serves its databases", body.count("\ncloud_backup_instance_protected{") >= 20, body[:300])
        check_health(engine, address)
        check("demo: SIGTERM ends it with exit code 0", stop() == 0, log())


def check_health(engine, address):
    told = engine.podman("run", "--rm", *CAGE, name("demo"), "health", "--help")
    if told.returncode != 0:
        skip("demo: its health is asked for by itself", "this version has no sub-command for it")
        return
    healthy = engine.podman("run", "--rm", *CAGE, name("demo"), "health", f"--web.listen-address={address}")
    check("demo: it is found healthy", healthy.returncode == 0, healthy)
    absent = engine.podman("run", "--rm", *CAGE, name("demo"), "health", "--web.listen-address=127.0.0.1:9")
    check("demo: and is not, where nobody listens", absent.returncode == 1, absent)


@contextlib.contextmanager
def running(engine, stage, options, words):
    """A container: yields where it listens, what it has logged, and what stops it and tells the exit code."""
    with tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory, "log")
        container = container_of(stage)
        engine.podman("rm", "--force", container)
        command = [*engine.command(), "run", f"--name={container}", *CAGE, *options, name(stage), *words]
        with exporter.running(command, log) as process:
            try:
                address = exporter.wait_for(lambda: exporter.listening_address(log), f"{stage} listens", 30)

                def stop():
                    engine.podman("kill", "--signal=TERM", container)
                    return process.wait(timeout=30)

                yield address, log.read_text, stop
            except BaseException:
                sys.stderr.write(log.read_text())
                raise
            finally:
                engine.podman("rm", "--force", container)
