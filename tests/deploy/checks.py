"""One line a check, and the closing line."""

import subprocess
import sys

passed, failed, skipped = 0, 0, 0


def check(name, holds, found=""):
    """Counts and prints one check; what was found is shown when it does not hold."""
    global passed, failed
    passed, failed = (passed + 1, failed) if holds else (passed, failed + 1)
    print(f"ok      {name}" if holds else f"FAILED  {name}: {found}", flush=True)


def skip(name, reason):
    """A check that cannot be made here is never silently left out."""
    global skipped
    skipped += 1
    print(f"skipped {name}: {reason}", flush=True)


def check_command(name, command, **options):
    """A command that has to end well, whatever it prints."""
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    check(name, run.returncode == 0, f"exit code {run.returncode}\n{run.stdout}{run.stderr}")
    return run


def conclude():
    """The closing line of a test runner, so that whoever reads logs by machine finds it."""
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed else 0)
