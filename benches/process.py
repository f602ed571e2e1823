"""What a process takes, as Linux counts it, and on what machine."""

import pathlib
import platform
import shutil
import subprocess


class Usage:
    """Processor time and memory of one process and its children, by number."""

    def __init__(self, number):
        self.number = number

    def family(self):
        """The process and its children, as they are now: nginx works in processes of its own."""
        path = pathlib.Path(f"/proc/{self.number}/task/{self.number}/children")
        return [self.number, *(int(child) for child in path.read_text().split())]

    def processor(self):
        """Seconds of processor time so far. The scheduler counts to the nanosecond, but forgets threads that have ended;
        the ticks remember those, and count in hundredths."""
        return max(self.between({}, self.threads()), self.ticks())

    def threads(self):
        """Nanoseconds of processor time so far, by thread."""
        times = {}
        for number in self.family():
            for thread in pathlib.Path(f"/proc/{number}/task").iterdir():
                try:
                    times[thread.name] = int((thread / "schedstat").read_text().split()[0])
                except FileNotFoundError:
                    # It has ended since the folder was listed.
                    continue
        return times

    @staticmethod
    def between(before, after):
        """Seconds between two answers of `threads`. One that has ended meanwhile counts nothing: threads end after a rest."""
        return sum(time - before.get(thread, 0) for thread, time in after.items()) / 1e9

    def ticks(self):
        """Seconds of processor time so far, in hundredths: for stretches in which threads may end."""
        return sum(_ticks(number) for number in self.family())

    def memory(self, field):
        """`VmRSS` or `VmHWM` in megabytes of 1,000,000 bytes; the kernel's kB are 1024 bytes."""
        return sum(_memory(number, field) for number in self.family())

    def forget_peak(self):
        """From now on `VmHWM` is the highest from now on."""
        for number in self.family():
            pathlib.Path(f"/proc/{number}/clear_refs").write_text("5")


def _ticks(number):
    fields = pathlib.Path(f"/proc/{number}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory(number, field):
    for line in pathlib.Path(f"/proc/{number}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"process {number} has no {field}: it has ended")


def machine():
    """One line on what this was measured on."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        processors = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    with open("/proc/meminfo", encoding="utf-8") as lines:
        memory = int(next(lines).split()[1]) / 1024 / 1024
    with open("/proc/loadavg", encoding="utf-8") as line:
        load = line.read().split()[0]
    model = processors[0] if processors else platform.machine()
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {len(processors)} cores, {memory:.0f} GiB, {system}, load {load} at the start"


def versions(tools):
    """The versions of these programs, each given as its name and the argument that makes it tell."""
    told = []
    for name, argument in tools:
        if shutil.which(name):
            run = subprocess.run([name, argument], capture_output=True, text=True, check=False)
            lines = (run.stdout or run.stderr).splitlines()
            told.append(lines[0].strip() if lines else name)
    return told


def require(packages):
    """Ends with the names of the Debian packages that are missing; takes the program of each."""
    is_there = lambda program: shutil.which(program) or pathlib.Path(program).exists()  # noqa: E731
    missing = [package for package, program in packages.items() if not is_there(program)]
    if missing:
        raise SystemExit(f"missing: apt-get install {' '.join(missing)}")
