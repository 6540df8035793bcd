"""Datasets and snapshots: what belongs to one, when the next is due, which shards a change touches, what differs."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.datasets import DatasetRule, read_by
from mldr.domain.manifests import Entry, ShardLimits, ShardRef, cut
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import (
    Difference,
    How,
    SnapshotRecord,
    compare,
    is_wanted,
    kept_until,
    lock_of,
    needs_listing,
    snapshot_id,
    spans,
    too_many,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
RULE = DatasetRule(uri="s3://photos/images/", region="ap-southeast-1")
RECORD = SnapshotRecord(
    dataset="images",
    snapshot="one",
    phase=Phase.SEALED,
    attempt=1,
    as_of=NOW,
    rule=RULE,
    how=How.LISTING,
    listed_at=NOW,
    started_at=NOW,
    sealed_at=NOW,
    kept_until=NOW + dt.timedelta(days=36),
)


def ref(first, last, digest="d"):
    until = NOW + dt.timedelta(days=70)
    return ShardRef(
        digest=digest, key="k", version_id="v", first=first, last=last, objects=1, bytes=1, locked_until=until
    )


def entry(name, version="1", sha256="", copy="v"):
    digests = {"SHA256": sha256} if sha256 else {"CRC64NVME": "x"}
    return Entry(name, "photos", f"images/{name}", version, "e", 0, 1, f"objects/{name}/{version}", copy, digests)


@pytest.mark.parametrize(
    ("bucket", "key", "name"),
    [
        ("photos", "images/a.jpg", "a.jpg"),
        ("photos", "images//a", "/a"),
        ("photos", "images/a/", "a/"),
        ("photos", "images/", None),
        ("photos", "images", None),
        ("photos", "Images/a", None),
        ("photos2", "images/a", None),
    ],
)
def test_an_object_is_called_by_what_follows_the_datasets_prefix(bucket, key, name):
    assert RULE.name_of(bucket, key) == name


def test_a_whole_bucket_may_be_a_dataset():
    assert DatasetRule(uri="s3://photos/").name_of("photos", "a/b") == "a/b"


@pytest.mark.parametrize("uri", ["s3://photos", "s3://photos/images", "photos/images/", "s3:///x/", "s3://PHOTOS/x/"])
def test_a_uri_that_does_not_end_in_a_folder_is_refused(uri):
    with pytest.raises(ValueError, match="uri"):
        DatasetRule(uri=uri)


def test_a_job_reads_what_its_uris_overlap_and_only_of_its_region():
    rules = {"a": RULE, "b": DatasetRule(uri="s3://photos/images/cats/", region="ap-southeast-1")}
    assert read_by(["s3://photos/images/dogs/"], "ap-southeast-1", rules) == ["a"]
    assert read_by(["s3://photos/images/cats/1.jpg"], "ap-southeast-1", rules) == ["a", "b"]
    assert read_by(["s3://photos/images/"], "ap-southeast-3", rules) == []
    assert read_by(["file:///photos/images/", ""], "ap-southeast-1", rules) == []


def test_the_ids_of_snapshots_are_in_the_order_of_time_and_the_same_for_one_request():
    later = NOW + dt.timedelta(seconds=1)
    assert snapshot_id(NOW, "z") < snapshot_id(later, "a")
    assert snapshot_id(NOW, "z") == snapshot_id(NOW.astimezone(dt.timezone(dt.timedelta(hours=8))), "z")
    assert snapshot_id(NOW, "z") != snapshot_id(NOW, "y")


def test_a_snapshot_is_wanted_when_the_policy_says_so_to_the_second():
    day, second = dt.timedelta(days=1), dt.timedelta(seconds=1)
    assert is_wanted(RULE, None, NOW)
    assert not is_wanted(RULE, RECORD, NOW + day - second)
    assert is_wanted(RULE, RECORD, NOW + day)
    rare = RULE.model_copy(update={"every": 30 * day})
    assert not is_wanted(rare, RECORD, NOW + 7 * day - second)
    assert is_wanted(rare, RECORD, NOW + 7 * day)


@pytest.mark.parametrize(
    ("changes", "days", "why"),
    [
        ({}, 1, ""),
        ({}, 7, "the policy's reconcile is due"),
        ({"listed_at": None}, 1, "the policy's reconcile is due"),
        ({"rule": RULE.model_copy(update={"uri": "s3://other/"})}, 1, "the dataset was s3://other/ before"),
        ({"kept_until": NOW + dt.timedelta(days=2)}, 1, "the retention of one, the one before, is over"),
        ({"difference": Difference(missed=3)}, 1, "3 changes that no event told of were found before"),
        ({"difference": Difference(missed=3), "how": How.EVENTS}, 1, ""),
        ({"difference": Difference(added=3)}, 1, ""),
        ({"as_of": NOW - dt.timedelta(days=34)}, 1, "one, the one before, is older than the events"),
    ],
)
def test_events_are_enough_unless_there_is_a_reason(changes, days, why):
    record = RECORD.model_copy(update=changes)
    assert needs_listing(RULE, record, NOW + dt.timedelta(days=days)) == why
    assert needs_listing(RULE, None, NOW) == "it is the first snapshot"


def test_many_changes_are_cheaper_to_list():
    assert not too_many(1000, 10)
    assert too_many(1001, 10)
    assert not too_many(80_000, 8_000_000)
    assert too_many(100_001, 80_000_000)
    assert not too_many(1001, 100_000)


def test_new_bytes_are_locked_for_a_period_longer_than_their_snapshot_needs():
    period = RULE.retention.period
    assert lock_of(RULE, NOW).until - kept_until(RULE, NOW) == period
    assert kept_until(RULE, NOW) > NOW + period


def test_a_restorable_snapshot_is_sealed_and_not_too_old():
    assert RECORD.restorable(NOW)
    assert not RECORD.restorable(NOW + dt.timedelta(days=36))
    assert not RECORD.model_copy(update={"phase": Phase.FAILED}).restorable(NOW)


def grouped(names, shards):
    return [([shard.first for shard in some], inside) for some, inside in spans(names, shards)]


def test_a_shard_without_a_change_comes_alone_and_neighbours_with_changes_together():
    shards = [ref("a", "b"), ref("d", "e"), ref("g", "h"), ref("m", "n")]
    assert grouped([], shards) == [(["a"], []), (["d"], []), (["g"], []), (["m"], [])]
    assert grouped(["e"], shards) == [(["a"], []), (["d"], ["e"]), (["g"], []), (["m"], [])]
    assert grouped(["e", "gg"], shards) == [(["a"], []), (["d", "g"], ["e", "gg"]), (["m"], [])]


def test_a_name_beside_all_shards_belongs_to_the_nearest_before_it_or_the_first():
    shards = [ref("d", "e"), ref("g", "h")]
    assert grouped(["a"], shards) == [(["d"], ["a"]), (["g"], [])]
    assert grouped(["f"], shards) == [(["d"], ["f"]), (["g"], [])]
    assert grouped(["z"], shards) == [(["d"], []), (["g"], ["z"])]
    assert grouped(["a", "z"], []) == [([], ["a", "z"])]
    assert grouped([], []) == []


NAMES = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True).map(sorted)


@given(NAMES, NAMES)
def test_every_shard_and_every_name_comes_once_and_in_order(held, changed):
    shards = [
        ref(lines[0].name, lines[-1].name) for lines in cut(map(entry, held), ShardLimits(least=1, mean=2, most=3))
    ]
    found = list(spans(changed, shards))
    assert [shard for some, _ in found for shard in some] == shards
    assert [name for _, inside in found for name in inside] == changed
    for (some, _), (following, _) in itertools.pairwise(found):
        assert some[-1].last < following[0].first
    for (_, inside), (following, _) in itertools.pairwise(found):
        assert all(name < following[0].first for name in inside)


def stored(*groups):
    """Shards as a manifest has them, and how to read them; equal lines are one shard."""
    content = {repr(lines): list(lines) for lines in groups if lines}
    refs = [ref(lines[0].name, lines[-1].name, digest) for digest, lines in content.items()]
    return refs, content


def test_two_manifests_differ_in_what_is_added_removed_and_changed():
    old, old_lines = stored((entry("a"), entry("b")), (entry("c"), entry("d")))
    new, new_lines = stored((entry("a"), entry("b", "2")), (entry("d"), entry("e")))
    read = []

    def lines(shard):
        read.append(shard.digest)
        return (old_lines | new_lines)[shard.digest]

    found = [(changed.name, changed.kind) for changed in compare(old, new, lines)]
    assert found == [("b", "changed"), ("c", "removed"), ("e", "added")]
    assert len(read) == 4
    assert list(compare(old, old, lines)) == []
    assert len(read) == 4


def test_the_same_content_under_another_version_is_no_change():
    old, one = stored((entry("a", "1", "same"),))
    new, other = stored((entry("a", "2", "same"),))
    assert list(compare(old, new, lambda shard: (one | other)[shard.digest])) == []


@given(NAMES, NAMES, st.integers(1, 4))
def test_what_differs_is_what_sets_say_however_it_is_cut(before, after, step):
    old, one = stored(*cut(map(entry, before), ShardLimits(least=1, mean=2, most=2)))
    new, other = stored(
        *cut((entry(name, str(len(name) % step)) for name in after), ShardLimits(least=1, mean=3, most=9))
    )
    found = {changed.name: changed.kind for changed in compare(old, new, lambda shard: (one | other)[shard.digest])}
    wanted = dict.fromkeys(set(after) - set(before), "added") | dict.fromkeys(set(before) - set(after), "removed")
    wanted |= {name: "changed" for name in set(before) & set(after) if len(name) % step != 1}
    assert found == wanted
