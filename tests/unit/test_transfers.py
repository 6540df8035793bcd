"""Planning a transfer: parts cover an object exactly, only the same content is shared, progress tells the truth."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldr.domain import transfers
from mldr.domain.manifests import Entry, ShardRef, decode, digest_of, encode
from mldr.domain.model_rules import Digest
from mldr.domain.transfers import (
    MIB,
    PARTS_PER_ITEM,
    CopyLimits,
    Transfer,
    WorkItem,
    lock_ends_before,
    matched,
    may_be_same,
    parts,
    progress,
    ranges,
    reused,
    same_content,
    same_shard,
    sealed_shards,
    shard_key,
    shard_work,
    work_key,
)
from mldr.errors import ChecksumMismatch

GIB, TIB = 1024 * MIB, 1024 * 1024 * MIB
S3_LARGEST = 10_000 * 5 * 1024 * MIB  # 50 TB
LIMITS = st.builds(
    CopyLimits, single_copy=st.just(0), part=st.integers(5 * MIB, 5 * 1024 * MIB), parts=st.integers(1, 10_000)
)
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def entry(name="a", **changes):
    fresh = Entry(name, "lake", name, "v1", "etag", 0, 5, f"layout/{name}", "", {})
    return fresh._replace(**changes)


def copied(name="a", **changes):
    return entry(name, version_id="w1", key=f"older/{name}", digests={"CRC64NVME": "c"})._replace(**changes)


def ref(*entries, until=NOW + HOUR):
    content = encode(entries)
    return ShardRef(
        digest=digest_of(content),
        key="k",
        version_id="s1",
        first=entries[0].name,
        last=entries[-1].name,
        objects=len(entries),
        bytes=sum(one.size for one in entries),
        locked_until=until,
    )


# parts


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


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (1, 1),
        (512 * MIB, 1),
        (512 * MIB + 1, 2),
        (5 * TIB, 10_000),
        (5 * GIB - 1, 10),
        (5 * GIB, 10),
        (5 * GIB + 1, 11),
    ],
)
def test_parts_by_example(size, count):
    assert len(parts(size, CopyLimits())) == count


def test_an_empty_object_has_no_parts():
    assert parts(0, CopyLimits()) == []


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, S3_LARGEST))
def test_ranges_are_the_parts_in_groups(size):
    groups = list(ranges(size, CopyLimits()))
    assert [part for group in groups for part in group] == parts(size, CopyLimits())
    assert all(len(group) == PARTS_PER_ITEM for group in groups[:-1])


@pytest.mark.parametrize(("size", "moving"), [(5 * 1000**3 - 1, 1), (5 * 1000**3, 1), (5 * 1000**3 + 1, 0)])
def test_what_one_call_can_copy_moves_with_its_shard(size, moving):
    """CopyObject takes 5 GB; what is larger moves in parts, whose items count its bytes."""
    assert shard_work("shards/000001", [entry(size=size)], CopyLimits()).bytes == size * moving


def test_what_is_reused_moves_nothing():
    work = shard_work("shards/000001", [copied("a"), entry("b", size=7)], CopyLimits())
    assert (work.objects, work.bytes, work.first, work.last) == (2, 7, "a", "b")


# the same content


@given(st.lists(st.text("abc", max_size=3), unique=True), st.lists(st.text("abc", max_size=3), unique=True))
def test_entries_meet_by_name_whatever_else_there_is(found, old):
    pairs = list(matched([entry(name) for name in sorted(found)], [copied(name) for name in sorted(old)]))
    assert [one.name for one, _ in pairs] == sorted(found)
    assert {one.name for one, other in pairs if other} == set(found) & set(old)
    assert all(other is None or other.name == one.name for one, other in pairs)


@pytest.mark.parametrize(
    ("found", "old", "same"),
    [
        ({}, {}, True),
        ({"source_version": "v2"}, {}, False),
        ({"bucket": "pond"}, {}, False),
        ({"source_key": "b"}, {}, False),
        ({"source_version": "null"}, {"source_version": "null"}, False),
        ({"source_version": "v2", "digests": {"SHA256": "s"}}, {"digests": {"SHA256": "s"}}, True),
        ({"source_version": "v2", "digests": {"SHA256": "s"}}, {"digests": {"SHA256": "t"}}, False),
        ({"source_version": "v2", "digests": {"SHA256": ""}}, {"digests": {"SHA256": ""}}, False),
        ({"source_version": "v2", "digests": {"SHA256": "s"}, "size": 6}, {"digests": {"SHA256": "s"}}, False),
        ({"source_version": "v2", "digests": {"CRC64NVME": "c"}}, {"digests": {"CRC64NVME": "c"}}, False),
    ],
)
def test_only_the_pinned_version_or_a_sha256_proves_the_same_content(found, old, same):
    assert same_content(entry(**found), copied(**old)) is same


@pytest.mark.parametrize(
    ("found", "old", "asked"),
    [
        ({"SHA256": ""}, {"SHA256": "s"}, True),
        ({"SHA256": "s"}, {"SHA256": "s"}, False),
        ({"CRC64NVME": ""}, {"SHA256": "s"}, False),
        ({"SHA256": ""}, {"CRC64NVME": "c"}, False),
    ],
)
def test_a_source_is_asked_only_if_its_answer_can_spare_a_copy(found, old, asked):
    assert may_be_same(entry(digests=found), copied(digests=old)) is asked
    assert not may_be_same(entry(digests=found, size=6), copied(digests=old))


def test_what_is_reused_has_the_copy_of_the_older_and_the_source_of_the_newer():
    found = entry(source_version="v2", digests={"SHA256": "s"})
    got = reused(found, copied(digests={"SHA256": "s", "CRC64NVME": "c"}), Digest.CRC64NVME)
    assert (got.key, got.version_id, got.source_version) == ("older/a", "w1", "v2")
    assert got.digests == {"SHA256": "s", "CRC64NVME": "c"}


def test_what_lacks_the_digest_that_is_asked_for_is_not_reused():
    assert not reused(entry(), copied(), Digest.SHA256).copied
    assert reused(entry(), copied(digests={"SHA256": "s"}), Digest.SHA256).copied
    assert not reused(entry(), None, Digest.CRC64NVME).copied


# shards that are shared


def test_a_shard_is_carried_when_it_says_exactly_the_same():
    shard = [copied("a"), copied("b")]
    assert same_shard(shard, [ref(copied("x")), ref(*shard)]) == ref(*shard)
    assert same_shard([copied("a"), copied("b", version_id="w2")], [ref(*shard)]) is None
    assert same_shard([copied("a"), entry("b")], [ref(*shard)]) is None


def test_a_shard_of_lines_as_they_were_sealed_is_not_written_again(monkeypatch):
    shard = [copied("a"), copied("b")]
    read = list(decode(encode(shard)))
    kept = [reused(entry(one.name, key="new"), one, Digest.CRC64NVME) for one in read]
    sealed = ref(*shard)
    monkeypatch.setattr(transfers, "encode", lambda _: pytest.fail("written again"))
    assert same_shard(kept, [ref_before(sealed), sealed]) == sealed


def test_lines_that_were_changed_or_may_be_of_several_shards_are_compared_by_their_bytes():
    read = list(decode(encode([copied("a"), copied("b")])))
    sealed = ref(*read)
    assert same_shard([read[0], read[1]._replace(version_id="w2")], [sealed]) is None
    other = ref(copied("a", version_id="w9"), copied("b"))
    assert same_shard(read, [other, sealed]) == sealed
    assert same_shard(read, [other, ref(copied("b", version_id="w9"))]) is None


def ref_before(sealed):
    return sealed.model_copy(update={"first": "A", "last": "B", "key": "k0"})


@pytest.mark.parametrize(
    ("shard", "until", "short"),
    [
        ([copied("b")], NOW + HOUR, True),
        ([copied("b")], NOW + 3 * HOUR, False),
        ([entry("b")], NOW + HOUR, False),
        ([copied("x")], NOW + HOUR, False),
    ],
)
def test_a_lock_is_made_longer_only_where_it_is_too_short(shard, until, short):
    base = [ref(copied("a"), copied("c"), until=until)]
    assert lock_ends_before(NOW + 2 * HOUR, shard, base) is short


# what is finished, and how far the rest is

TRANSFER = Transfer(
    owner="model/sagemaker/churn", id="v1-0", plan="p", started_at=NOW, items=3, objects=3, bytes=15, moving=15
)


def work(number, entries, done=True):
    item = shard_work(f"shards/{number:06d}", entries, CopyLimits())
    return item.model_copy(update={"done_at": NOW + HOUR, "ref": ref(*entries)}) if done else item


ALL = [work(1, [entry("a")]), work(2, [entry("b")]), work(3, [entry("c")])]


def test_a_finished_transfer_gives_its_shards_in_order():
    assert [one.first for one in sealed_shards(TRANSFER, reversed(ALL))] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (ALL[:2], "2 of 3 objects"),
        ([*ALL[:2], work(3, [entry("c")], done=False)], "shards/000003 is missing"),
        ([*ALL[:2], work(3, [entry("c", size=6)])], "16 of 15 bytes"),
        ([*ALL[:2], work(3, [entry("c"), entry("d", size=0)])], "4 of 3 objects"),
        ([], "0 of 3 objects"),
    ],
)
def test_an_unfinished_transfer_gives_none(items, says):
    with pytest.raises(ChecksumMismatch, match=says):
        sealed_shards(TRANSFER, items)


def test_progress_counts_what_moves_and_expects_the_end_at_the_rate_so_far():
    half = progress(
        TRANSFER, [*ALL[:1], *(work(n, [entry(name)], done=False) for n, name in ((2, "b"), (3, "c")))], NOW + HOUR
    )
    assert (half.objects, half.objects_done, half.bytes, half.bytes_done) == (3, 1, 15, 5)
    assert [one.item for one in half.missing] == ["shards/000002", "shards/000003"]
    assert not half.complete
    assert half.expected_at == NOW + 3 * HOUR
    done = progress(TRANSFER, ALL, NOW + HOUR)
    assert (done.complete, done.objects_done, done.expected_at) == (True, 3, None)


def test_progress_without_a_byte_moved_expects_nothing():
    none = progress(TRANSFER, [work(1, [entry("a")], done=False)], NOW)
    assert (none.rate, none.expected_at) == (None, None)


# where it is kept


def test_a_models_shards_stand_with_their_point_and_a_datasets_with_all_its_snapshots():
    assert shard_key(TRANSFER, "d") == "recovery-points/sagemaker/churn/v1-0/shards/d.avro"
    dataset = TRANSFER.model_copy(update={"owner": "dataset/images", "id": "s1"})
    assert shard_key(dataset, "d") == "snapshots/images/shards/d.avro"
    assert work_key(TRANSFER.owner, TRANSFER.id, "plan.json") == "in-progress/model/sagemaker/churn/v1-0/plan.json"


def test_work_without_a_time_is_not_done():
    assert WorkItem(item="shards/000001", objects=1, bytes=1).done_at is None
