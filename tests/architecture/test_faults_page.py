"""docs/faults.md names tests that exist, at least one for each fault and for each of the twelve laws."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/faults.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+\.py[^`]*)`", PAGE)))
LAW = re.compile(r"^\| (\d+) \|")


def rows(heading: str) -> list[str]:
    """The rows of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


@cache
def named_in(file: str) -> frozenset[str]:
    """The tests of a file, those of a class as `Class::test`."""
    body = ast.parse((ROOT / file).read_text()).body
    functions = {one.name for one in body if isinstance(one, ast.FunctionDef)}
    classes = [one for one in body if isinstance(one, ast.ClassDef)]
    inside = {f"{one.name}::{test.name}" for one in classes for test in one.body if isinstance(test, ast.FunctionDef)}
    return frozenset(functions | inside)


def exists(named: str) -> bool:
    """Whether there is such a test."""
    file, _, test = named.partition("::")
    return (ROOT / file).is_file() and (test in named_in(file) if test else file == OWN)


OWN = "tests/architecture/test_faults_page.py"


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_the_page_names_is_there(named):
    assert exists(named), f"{named} does not exist: name the test that shows it now, or write it"


def test_every_fault_and_every_law_has_a_test():
    faults, laws = rows("Faults"), rows("Laws")
    assert len(faults) > 20
    assert [int(found[1]) for row in laws if (found := LAW.match(row))] == list(range(1, 13))
    assert [row for row in (*faults, *laws) if "`tests/" not in row] == []


@pytest.mark.parametrize(
    "named", ["tests/functional/test_nowhere.py::test_x", f"{OWN}::test_x", "tests/unit/test_health.py"]
)
def test_a_test_that_is_not_there_is_seen(named):
    assert not exists(named)


def test_the_page_is_found_from_where_people_begin():
    for page in ("README.md", "docs/architecture.md", "docs/decisions/0023-chaos.md"):
        assert "faults.md" in (ROOT / page).read_text(), page
