"""Every `mldr …` that a page tells somebody to type is one that the command line takes."""

import shlex
from pathlib import Path

import pytest

from tests.command_lines import commands, taken

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def every() -> list[tuple[str, str]]:
    return [(str(page.relative_to(ROOT)), one) for page in PAGES for one in commands(page.read_text())]


@pytest.mark.parametrize(("page", "command"), sorted(set(every())))
def test_the_command_line_takes_it(page, command):
    assert taken(shlex.split(command)) == "", f"{page}: mldr {command}"


def test_what_it_does_not_take_is_found():
    assert "No such option" in taken(["failover", "churn", "--now"])
    assert taken(["fail-over", "churn"])
    assert "Missing" in taken(["move", "churn"]), "what is typed without what it needs"
