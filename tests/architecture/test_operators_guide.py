"""docs/operators-guide.md has a row for whatever can wake somebody: each page, alarm, message and error."""

import ast
import re
from pathlib import Path

import pytest

from mldr import errors
from mldr.events import detail_types

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/operators-guide.md").read_text()
ALARMS = re.findall(r"AlarmName: !Sub mldr-\$\{EnvironmentName\}-([a-z-]+)\n", (ROOT / "template.yaml").read_text())
TOLD = [value for name, value in vars(detail_types).items() if name.isupper() and name != "SOURCE"]
ROOTS = {errors.MldrError, errors.Retryable, errors.Permanent}
# Caught where a snapshot is planned: another base is taken, or the dataset is listed.
MENDED = {errors.BaseUnreadable, errors.InventoryUnusable}


def part(heading: str) -> str:
    """What stands under a heading, as far as the next one of any depth."""
    return re.split(r"^#+ ", GUIDE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def leaves() -> list[str]:
    """The errors that a person may read."""
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.MldrError)]
    return [one.__name__ for one in found if one not in ROOTS | MENDED]


def titles() -> list[str]:
    """What stands in the titles of pages, between the names that are put into them."""
    calls = (
        node
        for path in (ROOT / "layers/core/mldr/steps").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "page"
    )
    said = (piece for call in calls if isinstance(call.args[0], ast.JoinedStr) for piece in call.args[0].values)
    return sorted({str(one.value).strip() for one in said if isinstance(one, ast.Constant) and len(one.value) > 3})


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_has_a_row(alarm):
    assert f"`mldr-<env>-{alarm}`" in part("Alarms")


@pytest.mark.parametrize("title", titles())
def test_a_page_has_a_row(title):
    assert title in part("Pages")


@pytest.mark.parametrize("told", TOLD)
def test_a_message_has_a_row(told):
    assert f"`{told}`" in part("Messages")


@pytest.mark.parametrize("error", leaves())
def test_an_error_has_a_row(error):
    assert f"\n| `{error}` |" in part("Every reason")


def test_all_of_them_are_found():
    assert min(len(ALARMS), len(leaves())) > 25
    assert min(len(TOLD), len(titles())) > 10
