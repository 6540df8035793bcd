"""The lines of a manifest: kept exactly, cut by content, and named by what they are."""

import io
import itertools
import subprocess
import sys

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.manifests import GIB, Entry, ShardLimits, cut, decode, digest_of, encode, pooled_key

TEXTS = st.text(max_size=40)
ENTRIES = st.builds(
    Entry,
    name=TEXTS,
    bucket=TEXTS,
    source_key=TEXTS,
    source_version=TEXTS,
    etag=TEXTS,
    modified=st.integers(0, 2**53),
    size=st.integers(0, 2**53),
    key=TEXTS,
    version_id=TEXTS,
    digests=st.dictionaries(st.sampled_from(["SHA256", "CRC64NVME", "CRC32"]), TEXTS),
)


def named(numbers, size=1):
    return [Entry(f"file-{number:08d}", "b", "k", "v", "e", 0, size, "", "", {}) for number in numbers]


@settings(max_examples=50, deadline=None)
@given(st.lists(ENTRIES, max_size=20))
def test_a_shard_gives_back_what_was_put_into_it(entries):
    assert list(decode(encode(entries))) == entries


@settings(max_examples=30, deadline=None)
@given(st.lists(ENTRIES, min_size=1, max_size=5))
def test_equal_entries_make_an_equal_file_whatever_the_order_of_their_digests(entries):
    turned = [one._replace(digests=dict(reversed(one.digests.items()))) for one in entries]
    assert digest_of(encode(entries)) == digest_of(encode(turned))


def test_the_file_is_the_same_in_another_process():
    """A random marker between blocks, or another order of a set, would make another digest each time."""
    code = (
        "from mldr.domain.manifests import *; e=Entry('n','b','k','v','e',1,2,'y','w',{'SHA256':'s','CRC64NVME':'c'});"
    )
    script = f"{code} print(digest_of(encode([e]*100)))"
    seen = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout for _ in "12"
    }
    assert len(seen) == 1


def test_any_reader_of_avro_understands_a_shard():
    [row] = fastavro.reader(io.BytesIO(encode(named([7]))))
    assert row["name"] == "file-00000007"


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 50_000])
def test_shards_hold_every_entry_once_in_order_within_their_limits(count):
    entries, limits = named(range(count)), ShardLimits()
    shards = list(cut(entries))
    assert [one for shard in shards for one in shard] == entries
    assert all(limits.least <= len(shard) <= limits.most for shard in shards[:-1])
    if count > 10_000:
        mean = count / len(shards)
        assert limits.mean / 2 < mean < limits.mean * 2


def test_a_shard_of_large_objects_ends_by_their_bytes():
    shards = list(cut(named(range(100), size=10 * GIB)))
    assert all(sum(one.size for one in shard) <= 64 * GIB for shard in shards)
    assert len(shards) == 17
    assert [len(shard) for shard in cut(named(range(2), size=100 * GIB))] == [1, 1]


@pytest.mark.parametrize("change", ["added", "removed"])
def test_one_file_more_or_less_leaves_nearly_all_other_shards_as_they_were(change):
    before, at = list(range(0, 200_000, 2)), 100_001
    after = sorted([*before, at]) if change == "added" else [number for number in before if number != at - 1]
    spans = [
        {(shard[0].name, shard[-1].name, len(shard)) for shard in cut(named(numbers))} for numbers in (before, after)
    ]
    assert len(spans[0] & spans[1]) >= len(spans[0]) - 2


def test_cutting_holds_one_shard_at_a_time():
    taken = itertools.count()
    entries = (one for one in named(range(40_000)) if next(taken) >= 0)
    first = next(cut(entries))
    assert next(taken) == len(first) + 1


def test_a_pooled_object_is_named_by_its_sha256_or_else_by_its_pinned_version():
    assert pooled_key("b", "k", "v", "ab12") == pooled_key("x", "y", "z", "ab12") == "objects/sha256/ab/ab12"
    names = {pooled_key(*pin) for pin in (("b", "k", "v"), ("b", "k", "w"), ("b", "l", "v"), ("c", "k", "v"))}
    assert len(names) == 4
    assert all(name.startswith("objects/version/") for name in names)
