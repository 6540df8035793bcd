"""Where and with what a measurement was made."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PROGRAMS: dict[str, Sequence[str]] = {
    "s5cmd": ("s5cmd", "version"),
    "rclone": ("rclone", "version"),
    "aws": ("aws", "--version"),
    "dvc": ("dvc", "--version"),
    "restic": ("restic", "version"),
    "radosgw": ("radosgw", "--version"),
}


def describe() -> dict[str, object]:
    """Return the machine: CPU, cores, memory in GiB, kernel, Python, and the load before the run."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3, 1),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(tools: Path) -> dict[str, str]:
    """Return the version of every peer, looked for in `tools` first; a missing one is named as such."""
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    found = {name: _version(command, path) for name, command in PROGRAMS.items()}
    return found | {name: metadata.version(name) for name in ("boto3", "botocore", "pydantic")}


def now() -> str:
    """Return the time in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _version(command: Sequence[str], path: str) -> str:
    try:
        done = subprocess.run(
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return "not installed"
    found = re.search(r"\d+\.\d+[\w.+-]*", done.stdout + done.stderr)
    return found.group() if found else "unknown"


def _field(path: str, name: str) -> str | None:
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), None)
