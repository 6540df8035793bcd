"""What a program takes: wall time, CPU time of it and its children, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Usage:
    """Seconds on the clock, CPU seconds (user and system), peak memory of the largest process in MiB, its output."""

    seconds: float
    cpu: float
    peak_mib: float
    output: str = ""


class ProgramFailed(Exception):
    """A program left with an exit code other than 0; the message holds the end of what it wrote."""


def run(argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None) -> Usage:
    """Run a program to its end. Raises ProgramFailed."""
    words = [str(word) for word in argv]
    read, write = os.pipe()
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(write), *words],
                env={**os.environ, **env},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(write,),
                check=True,
            )
        finally:
            os.close(write)
        with os.fdopen(read) as report:
            taken = json.loads(report.read())
        output.seek(0)
        text = output.read().decode(errors="replace")
    if taken["exit_code"] != 0:
        raise ProgramFailed(f"{Path(words[0]).name}: exit code {taken['exit_code']}: {text[-1000:]}")
    return Usage(taken["seconds"], taken["cpu"], taken["peak_kib"] / 1024, text)
