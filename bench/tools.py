"""Where the peers' programs are: in the environment that make sets up for them, else on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ENVIRONMENT = Path(__file__).parent.parent / ".venv-bench"
FOLDER = ENVIRONMENT / "bin"


class NotInstalled(Exception):
    """A peer is not on this machine; the message names it."""


def find(name: str) -> Path:
    """Return the path of a peer's program. Raises NotInstalled."""
    # The package's script is Python that starts the program: the program itself is the faster, so the fairer, one.
    within = sorted(ENVIRONMENT.glob(f"lib/python3*/site-packages/{name}/bin/{name}"))
    found = shutil.which(name, path=f"{FOLDER}{os.pathsep}{os.environ['PATH']}")
    if not within and not found:
        raise NotInstalled(name)
    return within[0] if within else Path(str(found))


def install_restic() -> None:
    """Install Debian's restic where that is possible; elsewhere the bench goes on without it."""
    if shutil.which("restic") or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "restic"]):
        subprocess.run(["apt-get", "--quiet", *command], env=environment, capture_output=True, check=False)
