"""The table of gaps names checks that exist, and every test that needs a feature names one of them."""

import ast
from pathlib import Path

import pytest

from localcloud.real.install import SERVERS
from tests.real.gaps import GAPS

TESTS = Path(__file__).parents[1]


def marked(name, *folders):
    """The arguments of every `feature(...)` or `needs(...)` in these folders."""
    for path in sorted(path for folder in folders for path in (TESTS / folder).glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if getattr(call.func, "attr", getattr(call.func, "id", "")) == name:
                yield from (one.value for one in call.args if isinstance(one, ast.Constant))


FEATURES = list(marked("feature", "real"))


def test_every_feature_has_one_check():
    assert len(FEATURES) == len(set(FEATURES)) > 50


@pytest.mark.parametrize(("server", "feature"), GAPS)
def test_a_gap_names_a_server_and_a_feature_that_is_checked(server, feature):
    assert server in ("moto", *SERVERS)
    assert feature in FEATURES
    assert GAPS[server, feature]


def test_what_a_test_needs_is_a_feature():
    assert set(marked("needs", "contract", "real")) <= set(FEATURES)
