"""A fleet of simulated database instances, and one exporter that watches it: what the benchmarks have in common.

The clouds are a process of their own (`sim`), so that what they take is not the exporter's. Every instance has its own
size, hour and length of backups, and an id as long as the vendors'.
"""

import contextlib
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "end_to_end"))
import exporter  # noqa: E402  (found by the line above)

DAYS = 31
SECRET = "SimulatedFleetSecret0000000000001"
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# Key, engine, regions with those of their copies, and what ids begin with.
VENDORS = {
    "alibaba": ("LTAI5tSimulatedFleet", "mysql", {"cn-hangzhou": "cn-shanghai", "cn-beijing": "cn-zhangjiakou"}, "rm-"),
    "huawei": ("HWSIMULATEDFLEET", "mysql", {"cn-north-4": "cn-east-3", "cn-south-1": "cn-southwest-2"}, ""),
    "volcengine": ("AKLTSimulatedFleet", "redis", {"cn-beijing": "cn-shanghai", "cn-guangzhou": "cn-shanghai"}, "redis-"),
}


class Fleet:
    """So many instances, spread evenly over the accounts and regions of some vendors.

    `watched` is what the configuration says of each account beside its name, keys and regions.
    """

    def __init__(self, instances, vendors=("alibaba",), accounts=4, listings=None, days=DAYS, every="1d", logs=True):
        self.instances, self.listings, self.days = instances, listings, days
        self.every, self.logs = every, logs
        self.accounts = [(vendor, f"{vendor}-{number}") for number in range(accounts) for vendor in vendors]

    def scenario(self, faults=""):
        """What there is, in the words of the simulator."""
        dice = random.Random(20261122)
        text = [f'name = "fleet"\ndescription = "{self.instances} instances with backups every {self.every}"\n']
        for vendor, account in self.accounts:
            text.append(
                f'[[account]]\nname = "{account}"\nvendor = "{vendor}"\naccess_key_id = "{key_of(vendor, account)}"\n'
                f'access_key_secret = "{SECRET}"\nrequests_per_minute = 10000000\n'
            )
        for number in range(self.instances):
            vendor, account = self.accounts[number % len(self.accounts)]
            _, engine, regions, prefix = VENDORS[vendor]
            region = list(regions)[number // len(self.accounts) % len(regions)]
            letters = LETTERS if prefix else "0123456789abcdef"
            name = prefix + "".join(dice.choices(letters, k=17 if prefix else 32)) + ("" if prefix else "in01")
            schedule = (
                f'every = "{self.every}", offset = "{dice.randrange(1200)}m", duration = "{dice.randrange(5, 50)}m", '
                f"size_bytes = {dice.randrange(5 << 20, 800 << 30)}"
            )
            text.append(
                f'[[instance]]\nid = "{name}"\naccount = "{account}"\nregion = "{region}"\nengine = "{engine}"\n'
                f'engine_version = "8.0"\nname = "database-{number}"\n'
                f'destinations = [{{ region = "{regions[region]}", lag = "20m" }}]\nschedule = {{ {schedule} }}\n'
            )
            if not self.logs:
                text.append('logs = { every = "0s" }\n')
        return "".join(text) + faults

    def configuration(self, urls, poll="", objectives="", rate_limit="4000/s"):
        """What is watched, in the words of the exporter: whatever is found in the regions of each account."""
        listings = f", listings: [{', '.join(self.listings)}]" if self.listings else ""
        text = f"poll: {{lookback: {self.days}d{', ' if poll else ''}{poll}}}\n"
        if objectives:
            text += f"objectives: {{{objectives}}}\n"
        text += "accounts:\n"
        for vendor, account in self.accounts:
            regions = VENDORS[vendor][2]
            text += (
                f"- name: {account}\n  provider: {vendor}\n  endpoint: {urls[vendor]}\n  iam_endpoint: {urls[vendor]}\n"
                f"  rate_limit: {rate_limit}\n"
                f"  credentials: {{access_key_id: {key_of(vendor, account)}, access_key_secret: {SECRET}}}\n"
                f"  discover: {{regions: [{', '.join(regions)}]{listings}}}\n"
            )
        return text


def key_of(vendor, account):
    return VENDORS[vendor][0] + account.rsplit("-", 1)[1].rjust(4, "0")


class Lone:
    """An instance in an account of its own, which alone has its policy read, as often as `poll.policy_interval` says: so
    it can change as often while the fleet rests."""

    KEY, ID, REGION = "LTAI5tSimulatedLone00001", "rm-0000000000000lone", "cn-shenzhen"

    @staticmethod
    def scenario():
        return (
            f'[[account]]\nname = "lone"\nvendor = "alibaba"\naccess_key_id = "{Lone.KEY}"\n'
            f'access_key_secret = "{SECRET}"\nrequests_per_minute = 100000\n'
            f'[[instance]]\nid = "{Lone.ID}"\naccount = "lone"\nregion = "{Lone.REGION}"\nengine = "mysql"\n'
            'destinations = [{ region = "cn-shanghai", lag = "20m" }]\n'
            'schedule = { every = "1d", duration = "20m", size_bytes = 1000000000 }\n'
        )

    @staticmethod
    def configuration(urls):
        return (
            f"- name: lone\n  provider: alibaba\n  endpoint: {urls['alibaba']}\n  rate_limit: 100/s\n"
            f"  credentials: {{access_key_id: {Lone.KEY}, access_key_secret: {SECRET}}}\n"
            f"  instances: [{{id: {Lone.ID}, region: {Lone.REGION}, listings: [cross_region, local, policy]}}]\n"
        )


def build_sim(binary):
    """The simulator, beside the exporter unless SIM_BINARY names another."""
    if built := os.environ.get("SIM_BINARY"):
        return pathlib.Path(built)
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "sim"]
    subprocess.run(command, cwd=exporter.REPOSITORY, check=True)
    return pathlib.Path(binary).with_name("sim")


@contextlib.contextmanager
def clouds(sim, folder, scenario, control=False):
    """The simulated clouds: yields the process and the address of each vendor, and that of `control` if it is wanted."""
    file = folder / "scenario.toml"
    file.write_text(scenario)
    command = [sim, "--file", file, *(["--control=127.0.0.1:0"] if control else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    awaited = set(VENDORS) | ({"control"} if control else set())
    try:
        urls = {}
        while set(urls) != awaited:
            words = (process.stdout.readline() or sys.exit("the simulator has ended")).split()
            if len(words) == 2 and words[0] in awaited:
                urls[words[0]] = words[1]
        yield process, urls
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def watcher(binary, folder, configuration, seconds=600, options=(), pause=0.05):
    """The exporter, ready: yields its process, its address, its log, and for how many seconds it was getting ready.

    `pause` is how often it is asked whether it is: the answer costs something where there are thousands of instances.
    """
    file, log = folder / "exporter.yml", folder / "exporter.log"
    file.write_text(configuration)
    command = [binary, f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--log.format=json", *options]
    started = time.monotonic()
    with exporter.running(command, log) as process:
        try:
            address = exporter.wait_for(lambda: exporter.listening_address(log), "the exporter listens")
            exporter.wait_for(lambda: is_ready(process, address), "the exporter is ready", seconds, pause)
            yield process, address, log, time.monotonic() - started
        except BaseException:
            sys.stderr.write(log.read_text()[-3000:])
            raise


def is_ready(process, address):
    if process.poll() is not None:
        sys.exit(f"the exporter has ended with {process.returncode}")
    return exporter.get(address, "/-/ready")[0] == 200


def scrape(address, headers=None, path="/metrics"):
    """One answer: its headers and its body as it was sent."""
    connection = http.client.HTTPConnection(address, timeout=120)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            sys.exit(f"{path} was answered with {response.status}")
        return response.headers, body
    finally:
        connection.close()


def series(body):
    """How many samples a page has."""
    return sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))


def events(log, message):
    """The lines of the exporter's log with this message."""
    for line in log.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if event.get("message") == message:
                yield event
