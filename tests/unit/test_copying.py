"""Planning a copy: parts cover an object exactly, batches keep order and limits, whatever the sizes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain.copying import (
    BATCH_BYTES,
    BATCH_OBJECTS,
    MIB,
    CopyLimits,
    batches,
    carried_algorithm,
    is_copied,
    parts,
)
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


SMALL = CopyLimits(single_copy=100)


def of(size, algorithm, value="pinned"):
    return pinned(1, size).model_copy(update={"checksum": Checksum(algorithm=algorithm, value=value)})


@pytest.mark.parametrize(
    ("size", "pinned_by", "carried"),
    [(100, "SHA256", "SHA256"), (101, "SHA256", "CRC64NVME"), (101, "CRC32C", "CRC32C"), (101, "MD5", "CRC64NVME")],
)
def test_a_copy_carries_the_pinned_checksum_unless_parts_cannot_have_it(size, pinned_by, carried):
    assert carried_algorithm(of(size, pinned_by), SMALL) == carried


@pytest.mark.parametrize(
    ("size", "algorithm", "value", "copied"),
    [
        (50, "SHA256", "pinned", True),
        (51, "SHA256", "pinned", False),
        (50, "SHA256", "other", False),
        (50, "CRC32", "pinned", False),
    ],
)
def test_only_an_object_of_the_pinned_size_and_checksum_spares_a_copy(size, algorithm, value, copied):
    there = Checksum(algorithm=algorithm, value=value)
    assert is_copied(of(50, "SHA256"), size, there, SMALL) is copied


def test_an_object_without_a_checksum_is_copied_again():
    assert not is_copied(of(50, "SHA256"), 50, None, SMALL)


def test_a_copy_in_parts_is_kept_for_verification_to_judge_where_checksums_cannot_be_compared():
    assert is_copied(of(200, "SHA256"), 200, Checksum(algorithm="CRC64NVME", value="any"), SMALL)
