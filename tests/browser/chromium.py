"""Scripts that drive a Chromium: their packages are installed below the build's target folder, and never into the tree."""

import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def folder():
    """Where the scripts run, with the packages that package-lock.json names."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parents[1] / "target", "browser")
    target.mkdir(parents=True, exist_ok=True)
    for file in [*HERE.glob("*.mjs"), *HERE.glob("*.json")]:
        shutil.copy(file, target)
    lock = (HERE / "package-lock.json").read_bytes()
    installed = target / "installed-package-lock.json"
    if not installed.exists() or installed.read_bytes() != lock:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=target, check=True)
        installed.write_bytes(lock)
    return target


def run(script, *arguments, **options):
    """Runs a script of this folder with node."""
    return subprocess.run(["node", script, *map(str, arguments)], cwd=folder(), check=False, **options)
