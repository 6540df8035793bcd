"""Where an inventory and a snapshot do not agree, whatever the order of their lines."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.inventories import Ranges, current_lines
from mldr.domain.manifests import ShardRef
from mldr.errors import InventoryUnusable
from tests.fakes.world import START

COLUMNS = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size"]


def refs(*spans):
    return [
        ShardRef(digest="d", key="k", version_id="v", first=first, last=last, objects=1, bytes=1, locked_until=START)
        for first, last in spans
    ]


SHARDS = refs(("c", "f"), ("g", "k"), ("m", "p"))
LINES = st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=3), st.sampled_from("xyz"))


@given(lines=LINES, seed=st.integers())
def test_equal_lines_agree_in_whatever_order_they_come(lines, seed):
    shuffled = list(lines.items())
    random.Random(seed).shuffle(shuffled)
    ranges = Ranges(SHARDS)
    for name, version in lines.items():
        ranges.have(name, version)
    for name, version in shuffled:
        ranges.found(name, version)
    assert ranges.differing() == []


@given(before=LINES, after=LINES)
def test_every_range_with_a_name_that_differs_is_told_and_no_other_one(before, after):
    ranges = Ranges(SHARDS)
    for name, version in before.items():
        ranges.have(name, version)
    for name, version in after.items():
        ranges.found(name, version)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert ranges.differing() == sorted({0 if name < "g" else 1 if name < "m" else 2 for name in changed})


def test_the_current_version_of_each_key_is_taken_and_no_delete_marker():
    rows = [
        ["b", "a+b%2Bc/%C3%A9", "v2", "true", "false", "1"],
        ["b", "a+b%2Bc/%C3%A9", "v1", "false", "false", "1"],
        ["b", "gone", "v3", "TRUE", "True", ""],
        ["b", "old", "", "True", "False", "1"],
    ]
    assert list(current_lines(rows, COLUMNS)) == [("b", "a b+c/é", "v2"), ("b", "old", "null")]


def test_a_line_with_too_few_fields_is_refused():
    with pytest.raises(InventoryUnusable, match="3 fields instead of 6"):
        list(current_lines([["b", "k", "v"]], COLUMNS))
