"""What no event told of is found by a bucket's S3 Inventory, and only where that differs is the bucket listed."""

from __future__ import annotations

import datetime as dt

import pytest

from mldr.domain import manifests
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import How
from mldr.errors import NotAllowed
from tests.fakes.inventories import PLACE, SCHEMA, rows_of, write_inventory
from tests.functional.dataset_story import POLICY, ask, held, manifest, remove, run, snapshot, upload

NAMES = [f"{number:03d} +é.jpg" for number in range(200)]
RULE = f"    uri: s3://photos/images/\n    inventory: s3://reports/{PLACE}\n"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Ten objects in a shard, more or less, instead of thousands."""
    small = manifests.ShardLimits(least=4, mean=10, most=20)
    monkeypatch.setattr(manifests, "ShardLimits", lambda: small)


class Counted:
    """Sources that remember what of the dataset they were asked."""

    def __init__(self, inner):
        self._inner, self.found, self.listed = inner, [], 0

    def find(self, bucket, key, version_id=None):
        self.found += [key.removeprefix("images/")] if bucket == "photos" else []
        return self._inner.find(bucket, key, version_id)

    def list(self, bucket, prefix, **more):
        for one in self._inner.list(bucket, prefix, **more):
            self.listed += bucket == "photos"
            yield one

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.fixture
def lake(world, context):
    """A dataset with a first snapshot of eight days ago, so that the policy's reconcile is due."""
    world.policies.put(POLICY.replace("    uri: s3://photos/images/\n", RULE, 1))
    world.buckets.make("photos")
    upload(world, NAMES)
    world.buckets.put("photos", "images/", b"a folder")
    world.buckets.put("photos", "elsewhere/x", b"another dataset")
    world.clock.move(minutes=30)
    world.first = snapshot(world, context)
    assert len(manifest(world, world.first).shards) > 10
    world.clock.move(days=8)
    return world


def inventory(world, rows=None, *, ago=dt.timedelta(hours=2), **more):
    return write_inventory(
        world.buckets, world.clock.now() - ago, rows_of(world.buckets, "photos") if rows is None else rows, **more
    )


def counted(world):
    world.sources = Counted(world.sources)
    return world.sources


def test_an_inventory_that_agrees_with_the_snapshot_spares_the_listing(lake, context):
    key = inventory(lake)
    sources = counted(lake)
    second = snapshot(lake, context)
    assert (second.how, second.difference.total) == (How.INVENTORY, 0), second.why
    assert "differed in 0 of" in second.why
    assert (sources.found, sources.listed) == ([], 0)
    assert f"{second.listed_at:%Y-%m-%dT%H-%MZ}" in key
    assert manifest(lake, second).shards == manifest(lake, lake.first).shards


def test_changes_that_no_event_told_of_are_found_by_listing_only_their_ranges(lake, context):
    upload(lake, {NAMES[40]: b"changed"})
    upload(lake, {f"{NAMES[150]}.new": b"added"})
    remove(lake, NAMES[90])
    lake.clock.move(hours=3)
    inventory(lake)
    sources = counted(lake)
    second = snapshot(lake, context)
    assert second.how is How.INVENTORY, second.why
    expected = {name: name.encode() for name in NAMES} | {NAMES[40]: b"changed", f"{NAMES[150]}.new": b"added"}
    assert held(lake, second) == {name: body for name, body in expected.items() if name != NAMES[90]}
    found = second.difference
    assert (found.changed, found.added, found.removed, found.missed) == (1, 1, 1, 3)
    assert sorted(set(sources.found)) == sorted([NAMES[40], NAMES[90], f"{NAMES[150]}.new"])
    assert 0 < sources.listed < 100


def test_names_before_the_first_and_behind_the_last_line_are_found_too(lake, context):
    upload(lake, {"!first": b"1", "zz last": b"2"})
    lake.clock.move(hours=3)
    inventory(lake)
    second = snapshot(lake, context)
    assert (second.how, second.difference.added, second.difference.missed) == (How.INVENTORY, 2, 2), second.why
    assert held(lake, second)["!first"] == b"1"


def test_what_events_told_of_needs_no_listing_whatever_the_inventory_says(lake, context):
    rows = rows_of(lake.buckets, "photos")
    upload(lake, {NAMES[10]: b"told"}, told=context)
    remove(lake, NAMES[20], told=context)
    lake.clock.move(minutes=10)
    inventory(lake, rows, ago=dt.timedelta(minutes=5))  # it shows none of these
    sources = counted(lake)
    second = snapshot(lake, context)
    assert (second.how, second.difference.total, second.difference.missed) == (How.INVENTORY, 2, 0)
    assert (sources.listed, set(sources.found)) == (0, {NAMES[10], NAMES[20]})


def test_what_was_told_since_the_inventory_is_asked_again_where_a_snapshot_is_younger(lake, context):
    inventory(lake, ago=dt.timedelta(hours=20))
    lake.clock.move(hours=-1)
    upload(lake, {NAMES[10]: b"told"}, told=context)
    lake.clock.move(hours=1)
    lake.policies.put(lake.policies.text.replace("reconcile: 7d", "reconcile: 30d"))
    between = snapshot(lake, context)
    assert (between.how, between.difference.changed) == (How.EVENTS, 1)
    lake.policies.put(lake.policies.text.replace("reconcile: 30d", "reconcile: 7d"))
    sources = counted(lake)
    third = snapshot(lake, context)
    assert (third.how, third.difference.total) == (How.INVENTORY, 0), third.why
    assert (sources.listed, sources.found) == (0, [NAMES[10]])


def test_what_was_written_after_the_inventory_without_an_event_waits_for_the_next_one(lake, context):
    inventory(lake)
    upload(lake, {NAMES[10]: b"silent"})
    lake.clock.move(minutes=1)
    second = snapshot(lake, context)
    assert (second.how, second.difference.total) == (How.INVENTORY, 0)
    assert second.listed_at < second.as_of
    lake.clock.move(days=8)
    inventory(lake)
    third = snapshot(lake, context)
    assert (third.how, third.difference.changed, third.difference.missed) == (How.INVENTORY, 1, 1)
    assert held(lake, third)[NAMES[10]] == b"silent"


def test_a_wrong_line_costs_a_listing_of_its_range_and_changes_nothing(lake, context):
    rows = rows_of(lake.buckets, "photos")
    rows.append(["photos", "images/100+never.jpg", "v9", "true", "false", "1", "2026-01-01T00:00:00.000Z", "e", ""])
    inventory(lake, rows)
    sources = counted(lake)
    second = snapshot(lake, context)
    assert (second.how, second.difference.total) == (How.INVENTORY, 0)
    assert (sources.found, 0 < sources.listed < 40) == ([], True)


@pytest.mark.parametrize(
    ("spoil", "because"),
    [
        (lambda world: None, "bucket reports does not exist"),
        (lambda world: world.buckets.make("reports"), "has no inventory that was begun after"),
        (lambda world: inventory(world, ago=dt.timedelta(days=7, hours=1)), "has no inventory that was begun after"),
        (lambda world: inventory(world, fileFormat="ORC"), "names ORC files; configure an inventory as CSV"),
        (lambda world: inventory(world, fileFormat="Parquet"), "names Parquet files"),
        (
            lambda world: inventory(world, fileSchema=SCHEMA.replace("VersionId, IsLatest, ", "")),
            "has no VersionId, IsLatest; configure an inventory of all versions",
        ),
        (lambda world: inventory(world, sourceBucket="other"), "name the inventory of photos"),
        (lambda world: inventory(world, files=0), "it differs in"),
        (lambda world: inventory(world, fileSchema=f"{SCHEMA}, StorageClass"), "9 fields instead of 10"),
        (lambda world: overwrite(world, "manifest.json", b"{}"), "is not what its manifest.checksum says"),
        (lambda world: overwrite(world, ".csv.gz", b"no gzip"), "cannot be read: Not a gzipped file"),
        (lambda world: overwrite(world, ".csv.gz", lambda old: old[: len(old) // 2]), "cannot be read"),
        (lambda world: overwrite(world, ".csv.gz", lambda old: old + old), "is not what its manifest says"),
        (lambda world: overwrite(world, ".csv.gz", None), "does not exist"),
    ],
)
def test_an_inventory_that_cannot_be_used_gives_way_to_a_listing_that_says_why(lake, context, spoil, because):
    upload(lake, {NAMES[40]: b"silent"})
    lake.clock.move(hours=3)
    spoil(lake)
    second = snapshot(lake, context)
    assert (second.how, second.listed_at, second.difference.missed) == (How.LISTING, second.as_of, 1)
    assert because in second.why, second.why
    assert held(lake, second)[NAMES[40]] == b"silent"


def overwrite(world, ending, content):
    """Write an inventory, then something else where one of its files is."""
    inventory(world)
    key = next(name for name in world.buckets.names("reports", PLACE) if name.endswith(ending))
    old = world.buckets.get("reports", key).body
    world.buckets.put("reports", key, content(old) if callable(content) else content)


def test_an_inventory_that_may_not_be_read_gives_way_to_a_listing_too(lake, context):
    inventory(lake)

    class Closed(Counted):
        def list(self, bucket, prefix, **more):
            if bucket == "reports":
                raise NotAllowed("s3:ListBucketVersions on reports")
            return super().list(bucket, prefix, **more)

    lake.sources = Closed(lake.sources)
    second = snapshot(lake, context)
    assert (second.how, second.phase) == (How.LISTING, Phase.SEALED)
    assert "s3:ListBucketVersions on reports" in second.why


def test_more_changes_without_an_event_than_can_be_chance_are_listed(lake, context):
    for name in NAMES[::5]:
        upload(lake, {name: b"silent"})
    lake.clock.move(hours=3)
    inventory(lake)
    second = snapshot(lake, context)
    assert (second.how, second.difference.missed) == (How.LISTING, 40)
    assert "it differs in" in second.why


def test_after_an_inventory_showed_lost_events_the_next_snapshot_lists(lake, context):
    upload(lake, {NAMES[40]: b"silent"})
    lake.clock.move(hours=3)
    inventory(lake)
    assert snapshot(lake, context).difference.missed == 1
    third = snapshot(lake, context)
    assert third.how is How.LISTING
    assert "1 changes that no event told of were found before" in third.why


def test_a_listing_that_somebody_asked_for_is_one(lake, context):
    inventory(lake)
    assert snapshot(lake, context, listing=True).how is How.LISTING


def test_a_lost_shard_of_the_snapshot_before_turns_an_inventory_to_a_listing(lake, context):
    inventory(lake)
    ref = manifest(lake, lake.first).shards[3]
    lake.buckets.erase("vault", ref.key, ref.version_id)
    second = snapshot(lake, context)
    assert (second.how, second.phase) == (How.LISTING, Phase.SEALED)
    assert ref.key in second.why


def test_what_an_inventory_found_outlives_the_call_that_found_it(lake, context):
    upload(lake, {NAMES[150]: b"silent"})
    upload(lake, NAMES[:3], told=context)
    lake.clock.move(hours=3)
    inventory(lake)
    [execution] = ask(lake, context)
    sources = counted(lake)
    times = iter([900_000] * 5)
    context.get_remaining_time_in_millis = lambda: next(times, 0)
    ended = run(lake, context, execution)
    assert ended.status == "SUCCEEDED", ended
    second = lake.datasets.newest("images")
    assert second.how is How.INVENTORY, second
    assert held(lake, second)[NAMES[150]] == b"silent"
    assert (sources.listed < 60, NAMES[150] in sources.found, next(times, None)) == (True, True, None)
