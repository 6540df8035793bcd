"""Bringing a snapshot back, told as stories: the doors and the state machine over a world in memory."""

import pytest

from mldr.domain import manifests
from mldr.domain.recovery_point import Phase
from mldr.ports.stack import Status
from tests.functional.dataset_story import POLICY, restore, restore_event, run, snapshot, upload
from tests.functional.story import deliver

NAMES = [f"{folder}/{number:02d}.jpg" for folder in ("cats", "dogs") for number in range(50)]


@pytest.fixture
def kept(world, context, monkeypatch):
    """A world with one snapshot of a hundred pictures in many shards, and an empty bucket to restore to."""
    small = manifests.ShardLimits(least=4, mean=10, most=20)
    monkeypatch.setattr(manifests, "ShardLimits", lambda: small)
    world.policies.put(POLICY)
    for bucket in ("photos", "back"):
        world.buckets.make(bucket)
    upload(world, NAMES)
    world.clock.move(hours=1)
    snapshot(world, context)
    return world


def newest(world):
    return world.datasets.newest("images")


def back(world, prefix="again/"):
    return {
        name.removeprefix(prefix): world.buckets.get("back", name).body for name in world.buckets.keys("back", prefix)
    }


def told(world):
    return world.bus.named("Dataset Restored")[-1]


def test_a_whole_snapshot_comes_back(kept, context):
    assert restore(kept, context, newest(kept)).status == "SUCCEEDED"
    assert back(kept) == {name: name.encode() for name in NAMES}
    assert (told(kept)["outcome"], told(kept)["objects"]) == ("completed", 100)
    record = kept.datasets.restore("images", "restore-1")
    assert (record.phase, record.objects, record.bytes) == ("COMPLETED", 100, sum(map(len, NAMES)))


@pytest.mark.parametrize(
    ("prefix", "count"), [("cats/", 50), ("dogs/1", 10), ("cats/07.jpg", 1), ("birds/", 0), ("zebras", 0)]
)
def test_a_part_of_it_comes_back_and_only_the_shards_of_that_are_read(kept, context, prefix, count):
    read, plain = [], kept.vault.read
    kept.vault.read = lambda key, version=None: (read.append(key), plain(key, version))[1]
    assert restore(kept, context, newest(kept), prefix=prefix).status == "SUCCEEDED"
    assert back(kept) == {name: name.encode() for name in NAMES if name.startswith(prefix)}
    assert told(kept)["objects"] == count
    assert sum("shards/" in key and key.endswith(".avro") for key in read) <= count // 4 + 2


def test_an_older_snapshot_comes_back_as_it_was(kept, context):
    old = newest(kept)
    upload(kept, {NAMES[0]: b"spoilt", "new.jpg": b"new"}, told=context)
    kept.clock.move(hours=1)
    snapshot(kept, context)
    restore(kept, context, old)
    assert back(kept) == {name: name.encode() for name in NAMES}


def test_what_the_source_lost_meanwhile_comes_back(kept, context):
    for name in NAMES:
        for version in kept.buckets.all("photos", f"images/{name}"):
            kept.buckets.erase("photos", f"images/{name}", version.version_id)
    restore(kept, context, newest(kept))
    assert len(back(kept)) == 100


def test_restoring_twice_copies_once(kept, context):
    restore(kept, context, newest(kept))
    assert restore(kept, context, newest(kept), event_id="restore-2").status == "SUCCEEDED"
    assert len(kept.restorer.copied) == 100


def test_something_else_in_the_bucket_stops_it_by_name_and_stays(kept, context):
    kept.buckets.put("back", "again/dogs/07.jpg", b"mine")
    ended = restore(kept, context, newest(kept))
    assert ended.error == "RestoreFailed"
    assert told(kept)["outcome"] == "failed"
    assert told(kept)["reason"].startswith("TargetDiffers: s3://back/again/dogs/07.jpg holds something else")
    assert kept.buckets.get("back", "again/dogs/07.jpg").body == b"mine"


def test_a_request_delivered_twice_is_one_restore(kept, context):
    restore(kept, context, newest(kept))
    assert deliver("start_restore", context, restore_event(newest(kept))) == []
    assert [name for name in kept.workflows.started if name.startswith("restore")] == ["restore-1"]


@pytest.mark.parametrize("state", ["PlanRestore", "Restore", "RestoreShard", "Conclude"])
def test_a_restore_that_died_goes_on(kept, context, state):
    class Died(Exception):
        pass

    seen = []

    def die(name, attempt):
        seen.append(name)
        if name == state and (state != "RestoreShard" or seen.count(name) == 4):
            raise Died

    event = restore_event(newest(kept))
    assert deliver("start_restore", context, event) == []
    with pytest.raises(Died):
        run(kept, context, "restore-1", "restore_dataset", before=die)
    kept.workflows.ended["restore-1"] = Status.LOST
    copied = len(kept.restorer.copied)
    assert deliver("start_restore", context, event) == []
    calls = []
    assert run(kept, context, "restore-1-2", "restore_dataset", calls=calls).status == "SUCCEEDED"
    assert len(back(kept)) == len(kept.restorer.copied) == 100
    assert copied > 0 or state in ("PlanRestore", "Restore")
    assert state != "Conclude" or "restore_objects" not in calls


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": "s3://secret/x"},
        {"to": "s3://bac/x"},
        {"to": "back/x"},
        {"snapshot": "20200101T000000Z-00000000"},
        {"dataset": "logs"},
        {"snapshot": "../x"},
    ],
)
def test_what_cannot_be_restored_is_refused_before_anything_is_touched(kept, context, wrong):
    good, bad = restore_event(newest(kept)), restore_event(newest(kept), event_id="bad")
    bad["detail"] |= wrong
    assert deliver("start_restore", context, bad, good) == ["0"]
    assert kept.datasets.restore("images", "bad") is None


def test_without_restore_buckets_nothing_is_restored(kept, context):
    kept.env = kept.env.model_copy(update={"restore_buckets": "-"})
    other = {**restore_event(newest(kept)), "id": "good"}
    with pytest.raises(Exception, match="RestoreBuckets"):
        deliver("start_restore", context, other)


def test_a_snapshot_past_its_retention_is_not_promised(kept, context):
    event = restore_event(newest(kept))
    assert deliver("start_restore", context, event) == []
    kept.clock.move(days=40)
    assert run(kept, context, "restore-1", "restore_dataset").error == "RestoreFailed"
    assert told(kept)["reason"].startswith("NotRestorable")


def test_a_failed_snapshot_cannot_be_restored(kept, context):
    failed = newest(kept).model_copy(update={"snapshot": "x", "phase": Phase.CAPTURING, "sealed_at": None})
    kept.datasets.begin(failed)
    kept.datasets.advance(failed.model_copy(update={"phase": Phase.FAILED}))
    with pytest.raises(Exception, match="x of images is failed"):
        deliver("start_restore", context, restore_event(failed))
