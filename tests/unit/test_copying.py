"""Planning a copy: parts cover an object exactly, batches keep order and limits, whatever the sizes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.copying import BATCH_BYTES, BATCH_OBJECTS, MIB, CopyLimits, batches, parts
from mldr.domain.recovery_point import Checksum, PinnedObject, SourceVersion

TIB = 1024 * 1024 * MIB
S3_LARGEST = 10_000 * 5 * 1024 * MIB  # 50 TB
LIMITS = st.builds(
    CopyLimits, single_copy=st.just(0), part=st.integers(5 * MIB, 5 * 1024 * MIB), parts=st.integers(1, 10_000)
)


def pinned(number, size):
    return PinnedObject(
        source=SourceVersion(bucket="lake", key=str(number), version_id="v"),
        key=str(number),
        size=size,
        etag="e",
        checksum=Checksum(algorithm="SHA256", value="x"),
    )


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, S3_LARGEST), limits=LIMITS)
def test_parts_cover_the_object_exactly_in_order(size, limits):
    planned = parts(size, limits)
    assert planned[0].first == 0
    assert planned[-1].last == size - 1
    assert [part.number for part in planned] == list(range(1, len(planned) + 1))
    assert all(one.last + 1 == other.first for one, other in itertools.pairwise(planned))
    assert all(part.first <= part.last for part in planned)
    assert len(planned) <= limits.parts


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, S3_LARGEST))
def test_parts_keep_to_the_limits_of_s3(size):
    """10,000 parts at the most; 5 MiB to 5 GiB each, but for the last."""
    planned = parts(size, CopyLimits())
    lengths = [part.last - part.first + 1 for part in planned]
    assert len(planned) <= 10_000
    assert all(5 * MIB <= length <= 5 * 1024 * MIB for length in lengths[:-1])
    assert lengths[-1] <= 5 * 1024 * MIB


@pytest.mark.parametrize(("size", "count"), [(1, 1), (512 * MIB, 1), (512 * MIB + 1, 2), (5 * TIB, 10_000)])
def test_parts_by_example(size, count):
    assert len(parts(size, CopyLimits())) == count


def test_an_empty_object_has_no_parts():
    assert parts(0, CopyLimits()) == []


@given(st.lists(st.one_of(st.integers(0, 1024), st.integers(0, 2 * BATCH_BYTES)), max_size=150))
def test_batches_keep_order_and_limits_and_lose_nothing(sizes):
    objects = [pinned(number, size) for number, size in enumerate(sizes)]
    groups = list(batches(objects))
    assert [item for group in groups for item in group] == objects
    for group in groups:
        assert 1 <= len(group) <= BATCH_OBJECTS
        assert len(group) == 1 or sum(item.size for item in group) <= BATCH_BYTES


@given(st.lists(st.integers(0, 2 * BATCH_BYTES), min_size=2, max_size=100))
def test_no_two_neighbouring_batches_would_fit_in_one(sizes):
    groups = list(batches(pinned(number, size) for number, size in enumerate(sizes)))
    for one, other in itertools.pairwise(groups):
        full = len(one) == BATCH_OBJECTS
        assert full or sum(item.size for item in one) + other[0].size > BATCH_BYTES


def test_nothing_makes_no_batch():
    assert list(batches([])) == []
