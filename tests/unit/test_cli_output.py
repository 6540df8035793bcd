"""Tables are as wide as their terminal; where there is none, nothing is folded."""

import os
import subprocess
import sys

SHOW = """
from cli.output import print_table, table
made = table(*[f"a-long-header-{n}" for n in range(8)])
made.add_row(*["v" * 18] * 8)
print_table(made)
"""


def shown(**more: str) -> list[str]:
    """What a process prints into a pipe."""
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | more
    return subprocess.run(
        [sys.executable, "-c", SHOW], env=env, check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_what_goes_into_a_pipe_is_not_folded():
    assert len(shown()) == 2


def test_columns_that_are_named_are_kept_to():
    lines = shown(COLUMNS="60")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60
