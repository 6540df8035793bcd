"""Snapshots of a dataset, told as stories: the doors and the state machine over a world in memory."""

import datetime as dt

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from mldr.domain import manifests
from mldr.domain.recovery_point import DatasetSnapshot, Manifest, Phase, manifest_key
from mldr.domain.snapshots import How
from mldr.domain.snapshots import manifest_key as manifest_key_of
from mldr.errors import RegionUnreachable
from mldr.ports.stack import Status
from tests.fakes.world import ACTIVE, STANDBY
from tests.functional import story
from tests.functional.dataset_story import (
    POLICY,
    ask,
    entries,
    hear,
    held,
    manifest,
    remove,
    request_event,
    run,
    scheduled,
    snapshot,
    storage_event,
    upload,
)
from tests.functional.story import deliver

NAMES = [f"{number:03d}.jpg" for number in range(200)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Ten objects in a shard, more or less, instead of thousands."""
    small = manifests.ShardLimits(least=4, mean=10, most=20)
    monkeypatch.setattr(manifests, "ShardLimits", lambda: small)


@pytest.fixture
def lake(world):
    """The world, with a dataset of two hundred pictures."""
    world.policies.put(POLICY)
    world.buckets.make("photos")
    upload(world, NAMES)
    world.clock.move(minutes=30)
    return world


class Counted:
    """Sources that remember what they were asked."""

    def __init__(self, inner):
        self.inner, self.found, self.listed = inner, [], []

    def find(self, bucket, key, version_id=None):
        self.found.append(key)
        return self.inner.find(bucket, key, version_id)

    def list(self, bucket, prefix, **more):
        self.listed.append(prefix)
        return self.inner.list(bucket, prefix, **more)


def counted(world):
    world.sources = Counted(world.sources)
    return world.sources


# the first, and what follows it


def test_the_first_snapshot_lists_the_bucket_and_holds_every_object(lake, context):
    first = snapshot(lake, context)
    assert (first.phase, first.how, first.why) == (Phase.SEALED, How.LISTING, "it is the first snapshot")
    assert held(lake, first) == {name: name.encode() for name in NAMES}
    sealed = manifest(lake, first)
    assert (sealed.objects, sealed.bytes, len(sealed.shards) > 5) == (200, 7 * 200, True)
    assert (sealed.source, sealed.source_region, sealed.standby_region) == ("s3://photos/images/", ACTIVE, STANDBY)
    assert sealed.as_of == first.as_of
    assert first.kept_until > first.sealed_at + dt.timedelta(days=30)
    [told] = lake.bus.named("Dataset Snapshot Sealed")
    assert (told["dataset"], told["objects"], told["difference"]["added"]) == ("images", 200, 200)


def test_what_events_named_is_asked_once_each_and_nothing_else_is(lake, context):
    first = snapshot(lake, context)
    upload(lake, {"017.jpg": b"new", "150x.jpg": b"more"}, told=context)
    remove(lake, "120.jpg", told=context)
    lake.clock.move(hours=1)
    asked, copies = counted(lake), len(lake.copier.copied)
    second = snapshot(lake, context)
    assert second.how is How.EVENTS
    assert sorted(asked.found) == ["images/017.jpg", "images/120.jpg", "images/150x.jpg"]
    assert asked.listed == ["images/120.jpg"]
    assert len(lake.copier.copied) - copies == 2
    now = {name: name.encode() for name in NAMES} | {"017.jpg": b"new", "150x.jpg": b"more"}
    del now["120.jpg"]
    assert held(lake, second) == now
    assert second.difference.model_dump() == {"added": 1, "removed": 1, "changed": 1, "missed": 0, "counted": True}
    assert len(held(lake, first)) == 200


def test_shards_without_a_change_are_shared_and_not_even_read(lake, context):
    first = manifest(lake, snapshot(lake, context))
    upload(lake, ["100.jpg"], told=context)
    lake.clock.move(hours=1)
    read = []
    plain = lake.vault.read
    lake.vault.read = lambda key, version=None: (read.append(key), plain(key, version))[1]
    record = snapshot(lake, context)
    lake.vault.read = plain
    second = manifest(lake, record)
    shared = {ref.digest for ref in first.shards} & {ref.digest for ref in second.shards}
    assert len(shared) == len(first.shards) - 1
    assert {(ref.key, ref.version_id) for ref in first.shards if ref.digest in shared} == {
        (ref.key, ref.version_id) for ref in second.shards if ref.digest in shared
    }
    assert not {ref.key for ref in first.shards if ref.digest in shared} & set(read)


def test_nothing_changed_means_the_same_shards_and_no_request_to_the_source(lake, context):
    first = snapshot(lake, context)
    asked = counted(lake)
    second = snapshot(lake, context)
    assert manifest(lake, second).shards == manifest(lake, first).shards
    assert (asked.found, asked.listed, second.copied, second.difference.total) == ([], [], 0, 0)
    assert second.snapshot != first.snapshot


def test_an_event_that_came_twice_late_or_out_of_order_changes_nothing(lake, context):
    snapshot(lake, context)
    created = storage_event(lake, "new.jpg", version="1")
    upload(lake, {"new.jpg": b"new"})
    remove(lake, "new.jpg")
    late = storage_event(lake, "005.jpg", time=(lake.clock.now() - dt.timedelta(days=3)).isoformat())
    hear(context, storage_event(lake, "new.jpg", kind="Object Deleted", version="2"), created, created, late)
    lake.clock.move(minutes=30)
    asked = counted(lake)
    second = snapshot(lake, context)
    assert held(lake, second) == {name: name.encode() for name in NAMES}
    assert sorted(asked.found) == ["images/005.jpg", "images/new.jpg"]
    assert (second.copied, second.difference.total) == (0, 0)


@pytest.mark.parametrize("skew", [-5, 5])
def test_a_clock_of_the_source_that_is_wrong_by_minutes_loses_no_change(lake, context, skew):
    snapshot(lake, context)
    lake.buckets.now = lambda: lake.clock.now() + dt.timedelta(minutes=skew)
    for number in range(6):
        upload(lake, {f"{number:03d}.jpg": b"skewed"}, told=context)
        if number == 3:
            snapshot(lake, context)
        lake.clock.move(minutes=1)
    lake.clock.move(minutes=10)
    last = snapshot(lake, context)
    assert last.how is How.EVENTS
    assert [held(lake, last)[f"{number:03d}.jpg"] for number in range(6)] == [b"skewed"] * 6


def test_what_is_written_after_the_instant_is_not_in_the_snapshot_but_in_the_next(lake, context):
    snapshot(lake, context)
    upload(lake, {"001.jpg": b"before"}, told=context)
    lake.clock.move(minutes=1)
    [execution] = ask(lake, context)
    lake.clock.move(seconds=5)
    upload(lake, {"001.jpg": b"after", "zzz.jpg": b"after"}, told=context)
    remove(lake, "002.jpg", told=context)
    assert run(lake, context, execution).status == "SUCCEEDED"
    second = lake.datasets.newest("images")
    assert (held(lake, second)["001.jpg"], held(lake, second)["002.jpg"]) == (b"before", b"002.jpg")
    assert "zzz.jpg" not in held(lake, second)
    lake.clock.move(hours=1)
    third = held(lake, snapshot(lake, context))
    assert (third["001.jpg"], third["zzz.jpg"], "002.jpg" in third) == (b"after", b"after", False)


def test_a_listing_is_of_its_instant_too(lake, context):
    [execution] = ask(lake, context)
    lake.clock.move(seconds=5)
    upload(lake, {"001.jpg": b"after", "zzz.jpg": b"after"})
    remove(lake, "002.jpg")
    assert run(lake, context, execution).status == "SUCCEEDED"
    assert held(lake, lake.datasets.newest("images")) == {name: name.encode() for name in NAMES}


# events that never came


def test_what_no_event_told_of_is_found_by_the_reconciling_listing_which_says_how_much(lake, context):
    snapshot(lake, context)
    upload(lake, {"001.jpg": b"silent", "new.jpg": b"silent"})
    remove(lake, "002.jpg")
    upload(lake, {"003.jpg": b"told"}, told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert (second.how, second.difference.total) == (How.EVENTS, 1)
    lake.clock.move(days=7)
    third = snapshot(lake, context)
    assert (third.how, third.why) == (How.LISTING, "the policy's reconcile is due")
    assert third.difference.model_dump() == {"added": 1, "removed": 1, "changed": 1, "missed": 3, "counted": True}
    assert held(lake, third)["001.jpg"] == b"silent"
    assert len(lake.copier.copied) == 200 + 1 + 2
    fourth = snapshot(lake, context)
    assert (fourth.how, fourth.why) == (How.LISTING, "3 changes that no event told of were found before")
    assert snapshot(lake, context).how is How.EVENTS


def test_a_listing_that_finds_what_events_told_of_has_missed_nothing(lake, context):
    snapshot(lake, context)
    upload(lake, {"001.jpg": b"told"}, told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context, listing=True)
    assert (second.how, second.why) == (How.LISTING, "it was asked for")
    assert (second.difference.changed, second.difference.missed) == (1, 0)
    assert len(lake.copier.copied) == 201


def test_a_listing_shares_what_has_not_changed(lake, context):
    first = manifest(lake, snapshot(lake, context))
    upload(lake, ["100.jpg"])
    lake.clock.move(hours=1)
    second = manifest(lake, snapshot(lake, context, listing=True))
    shared = {ref.digest for ref in first.shards} & {ref.digest for ref in second.shards}
    assert len(shared) == len(first.shards) - 1


def test_more_changes_than_are_worth_asking_for_are_listed(lake, context, monkeypatch):
    monkeypatch.setattr("mldr.domain.snapshots.FEW_CHANGES", 5)
    snapshot(lake, context)
    upload(lake, dict.fromkeys(NAMES[:50], b"new"), told=context)
    lake.clock.move(hours=1)
    asked = counted(lake)
    second = snapshot(lake, context)
    assert (second.how, second.why) == (How.LISTING, "50 of 200 objects have changed")
    assert (asked.found, second.difference.changed, second.difference.missed) == ([], 50, 0)
    assert second.listed_at == second.as_of


def test_no_more_names_are_held_than_fit_and_the_rest_of_the_log_is_not_read(lake, context, monkeypatch):
    for module in ("mldr.domain.snapshots", "mldr.steps.take_snapshot_inventory"):
        monkeypatch.setattr(f"{module}.MOST_CHANGES", 20)
    monkeypatch.setattr("mldr.steps.take_short_snapshot.MOST_SHARDS", 0)  # the plan is a call of its own
    snapshot(lake, context)
    upload(lake, dict.fromkeys(NAMES[:60], b"new"), told=context)
    lake.clock.move(hours=1)
    read, plain = [], lake.datasets.changes
    [execution] = ask(lake, context)

    def changes(dataset, since):
        for change in plain(dataset, since):
            read.append(change.name)
            yield change

    lake.datasets.changes = changes
    state = {}
    run(lake, context, execution, before=lambda name, attempt: state.setdefault(name, len(read)))
    record = lake.datasets.newest("images")
    assert (record.how, record.why) == (How.LISTING, "21 of 200 objects have changed")
    assert state["Planned?" if "Planned?" in state else "Copy"] == 21
    assert record.difference.changed == 60


def test_another_uri_in_the_policy_is_listed_anew(lake, context):
    snapshot(lake, context)
    lake.buckets.put("photos", "logs/a", b"log")
    lake.policies.put(
        POLICY.replace("s3://photos/logs/", "s3://other/").replace("s3://photos/images/", "s3://photos/logs/")
    )
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert (second.why, held(lake, second)) == ("the dataset was s3://photos/images/ before", {"a": b"log"})


def test_a_snapshot_older_than_the_events_is_followed_by_a_listing(lake, context):
    lake.policies.put(POLICY.replace("period: 30d", "period: 300d").replace("reconcile: 7d", "reconcile: 200d"))
    first = snapshot(lake, context)
    lake.clock.move(days=36)
    assert snapshot(lake, context).why == f"{first.snapshot}, the one before, is older than the events"


# sources that cannot be pinned


def test_a_bucket_without_versions_is_refused_with_what_to_do(world, context):
    world.policies.put(POLICY)
    world.buckets.make("photos", versioned=False)
    upload(world, ["a.jpg"])
    [execution] = ask(world, context)
    assert run(world, context, execution).error == "SnapshotFailed"
    [record] = world.datasets.records("images")
    assert record.phase is Phase.FAILED
    assert record.reason.startswith("SourceNotVersioned: ")
    assert world.bus.named("Dataset Snapshot Failed")[0]["reason"] == record.reason


def test_a_bucket_that_stops_keeping_versions_is_refused_by_the_next_snapshot_by_events(lake, context):
    snapshot(lake, context)
    lake.buckets.make("photos", versioned=False)
    upload(lake, {"a.jpg": b"x"}, told=context)
    lake.clock.move(hours=1)
    [execution] = ask(lake, context)
    assert run(lake, context, execution).error == "SnapshotFailed"
    assert next(iter(lake.datasets.records("images"))).reason.startswith("SourceNotVersioned: ")


def test_an_empty_dataset_is_refused_first_and_true_later(world, context):
    world.policies.put(POLICY)
    world.buckets.make("photos")
    [execution] = ask(world, context)
    assert run(world, context, execution).error == "SnapshotFailed"
    assert "nothing is stored under s3://photos/images/" in next(iter(world.datasets.records("images"))).reason
    world.clock.move(hours=1)
    upload(world, ["a.jpg"])
    world.clock.move(hours=1)
    snapshot(world, context)
    remove(world, "a.jpg", told=context)
    world.clock.move(hours=1)
    last = snapshot(world, context)
    assert (last.objects, held(world, last), manifest(world, last).shards) == (0, {}, ())


def test_a_pinned_version_that_vanishes_fails_the_snapshot_and_the_next_one_heals(lake, context):
    [execution] = ask(lake, context)
    [version] = lake.buckets.all("photos", "images/050.jpg")

    def erase(state, attempt):
        if state == "Copy":
            lake.buckets.erase("photos", "images/050.jpg", version.version_id)

    assert run(lake, context, execution, before=erase).error == "SnapshotFailed"
    [record] = lake.datasets.records("images")
    assert "MissingArtifact" in record.reason
    assert "images/050.jpg" in record.reason
    lake.clock.move(hours=1)
    copies = len(lake.copier.copied)
    second = snapshot(lake, context)
    assert "050.jpg" not in held(lake, second)
    assert len(lake.copier.copied) == 199
    assert copies == 50


def test_an_attempt_that_goes_on_with_a_plan_whose_version_is_gone_says_so(lake, context):
    [execution] = ask(lake, context)
    [version] = lake.buckets.all("photos", "images/050.jpg")

    class Died(Exception):
        pass

    def erase_and_die(state, attempt):
        if state == "Copy":
            lake.buckets.erase("photos", "images/050.jpg", version.version_id)
        if state == "RecordFailure":
            raise Died

    with pytest.raises(Died):
        run(lake, context, execution, before=erase_and_die)
    lake.workflows.ended[execution] = Status.LOST
    lake.clock.move(minutes=15)
    [again] = ask(lake, context)
    assert run(lake, context, again).error == "SnapshotFailed"
    [record] = lake.datasets.records("images")
    assert "what images held at 2026-03-01 12:30:00 cannot be had any more: `mldr snapshot images`" in record.reason


# names


@pytest.mark.parametrize(
    "name",
    ["ünï cödé/モデル.bin", "folder/", "a//b", "/lead", "100% +plus&amp;=?.bin", " ", "A.JPG", "é" * 500, "\u0001"],
)
def test_every_name_is_kept_and_heard_of(lake, context, name):
    upload(lake, {name: b"first"})
    lake.clock.move(hours=1)
    assert held(lake, snapshot(lake, context))[name] == b"first"
    upload(lake, {name: b"second"}, told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert (second.how, held(lake, second)[name], second.objects) == (How.EVENTS, b"second", 201)


def test_objects_beside_the_dataset_are_not_in_it(lake, context):
    for key in ("images", "images2/a", "imagesx", "other/images/a"):
        lake.buckets.put("photos", key, b"x")
    lake.clock.move(hours=1)
    assert snapshot(lake, context).objects == 200


def test_changes_everywhere_make_the_same_snapshot_by_events_as_by_listing(lake, context):
    snapshot(lake, context)
    upload(lake, dict.fromkeys(NAMES[::17], b"changed"), told=context)
    upload(lake, {f"{name}.new": b"new" for name in ["", "000.jpg", "099.jpg", "199.jpg", "zzz"]}, told=context)
    for name in [*NAMES[:12], "100.jpg", "199.jpg"]:
        remove(lake, name, told=context)
    lake.clock.move(hours=1)
    by_events = snapshot(lake, context)
    by_listing = snapshot(lake, context, listing=True)
    assert (by_events.how, by_listing.how) == (How.EVENTS, How.LISTING)
    assert held(lake, by_events) == held(lake, by_listing)
    assert by_listing.difference.total == 0
    names = [entry.name for entry in entries(lake, manifest(lake, by_events).shards)]
    assert names == sorted(set(names))


# content


def test_with_sha256_equal_content_is_kept_once_whatever_its_name(lake, context):
    lake.policies.put(POLICY.replace("retention: {period: 30d}", "retention: {period: 30d}\n    digest: sha256"))
    body = b"the same picture"
    for name in ("x.jpg", "y.jpg"):
        lake.buckets.put("photos", f"images/{name}", body, checksum="SHA256")
    lake.clock.move(hours=1)
    first = snapshot(lake, context)
    same = {entry.key for entry in entries(lake, manifest(lake, first).shards) if entry.name in ("x.jpg", "y.jpg")}
    assert len(same) == 1
    assert all(entry.digests["SHA256"] for entry in entries(lake, manifest(lake, first).shards))
    copies = len(lake.copier.copied)
    version = lake.buckets.put("photos", "images/z.jpg", body, checksum="SHA256")
    hear(context, storage_event(lake, "z.jpg", version=version.version_id))
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert held(lake, second)["z.jpg"] == body
    assert len(lake.copier.copied) == copies


# locks


def locked_until(world, key, version):
    return world.buckets.get("vault", key, version).retention.until


def test_everything_a_snapshot_names_is_locked_for_as_long_as_it_can_be_restored(lake, context):
    lake.policies.put(POLICY.replace("reconcile: 7d", "reconcile: 300d"))
    for number in range(8):
        upload(lake, {NAMES[7 * number]: f"round {number}".encode()}, told=context)
        lake.clock.move(days=9)
        record = snapshot(lake, context)
        sealed = manifest(lake, record)
        until = sealed.kept_until
        assert locked_until(lake, manifest_key_of("images", record.snapshot), record.manifest_version) >= until
        for ref in sealed.shards:
            assert min(ref.locked_until, locked_until(lake, ref.key, ref.version_id)) >= until
            for entry in entries(lake, (ref,)):
                assert locked_until(lake, entry.key, entry.version_id) >= max(until, ref.locked_until), entry.name


def test_a_manifest_is_not_sealed_over_locks_that_end_too_soon(lake, context, monkeypatch):
    lake.policies.put(POLICY.replace("reconcile: 7d", "reconcile: 300d"))
    snapshot(lake, context)
    lake.clock.move(days=29)
    snapshot(lake, context)
    monkeypatch.setattr("mldr.steps.take_snapshot_inventory.reused_until", lambda rule, before, at: at)
    lake.clock.move(days=29)
    [execution] = ask(lake, context)
    assert run(lake, context, execution).error == "SnapshotFailed"
    assert next(iter(lake.datasets.records("images"))).reason.startswith("VaultRefused: snapshots/images/shards/")


def test_locks_are_renewed_once_a_period_and_not_with_every_snapshot(lake, context):
    extended = []
    plain = lake.copier.copy

    def copy(moving, retention, **more):
        moving = list(moving)
        extended.append(sum(entry.copied for entry in moving))
        return plain(moving, retention, **more)

    lake.copier.copy = copy
    for _ in range(8):
        snapshot(lake, context)
        lake.clock.move(days=9)
    assert sum(extended) <= 2 * 200


def test_the_mode_of_the_policy_is_the_mode_of_the_locks(lake, context):
    lake.policies.put(POLICY.replace("{period: 30d}", "{period: 30d, mode: compliance}"))
    [entry, *_] = entries(lake, manifest(lake, snapshot(lake, context)).shards)
    assert lake.buckets.get("vault", entry.key, entry.version_id).retention.mode == "COMPLIANCE"


def test_a_mode_that_becomes_stricter_holds_for_everything_at_once(lake, context):
    snapshot(lake, context)
    lake.policies.put(POLICY.replace("{period: 30d}", "{period: 30d, mode: compliance}"))
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert second.how is How.EVENTS
    for entry in entries(lake, manifest(lake, second).shards):
        assert lake.buckets.get("vault", entry.key, entry.version_id).retention.mode == "COMPLIANCE"


def test_another_digest_in_the_policy_reaches_every_object(lake, context):
    snapshot(lake, context)
    lake.policies.put(POLICY.replace("retention: {period: 30d}", "retention: {period: 30d}\n    digest: sha256"))
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert second.why == "the digest was crc64nvme before"
    assert all(entry.digests["SHA256"] for entry in entries(lake, manifest(lake, second).shards))


# two at once, twice, and never


def test_a_request_delivered_twice_is_one_snapshot(lake, context):
    event = request_event(lake)
    [execution] = ask(lake, context, event)
    assert ask(lake, context, event) == []
    run(lake, context, execution)
    assert ask(lake, context, event) == []
    assert len(list(lake.datasets.records("images"))) == 1


def test_a_second_request_joins_the_running_snapshot_and_gets_one_of_its_own_afterwards(lake, context):
    [execution] = ask(lake, context)
    lake.clock.move(minutes=1)
    upload(lake, ["late.jpg"], told=context)
    assert ask(lake, context, reason="promotion of churn") == []
    run(lake, context, execution)
    [again] = lake.bus.named("Dataset Snapshot Requested")
    assert again == {"dataset": "images", "reason": "promotion of churn"}
    lake.clock.move(minutes=1)
    assert "late.jpg" in held(lake, snapshot(lake, context, **again))


def test_a_schedule_does_not_queue_behind_a_running_snapshot(lake, context):
    [execution] = ask(lake, context)
    assert ask(lake, context, if_due=True) == []
    run(lake, context, execution)
    assert lake.bus.named("Dataset Snapshot Requested") == []


def test_datasets_do_not_wait_for_each_other(lake, context):
    lake.buckets.put("photos", "logs/a", b"log")
    assert len(ask(lake, context)) == len(ask(lake, context, dataset="logs")) == 1


@pytest.mark.parametrize("state", ["TakeInventory", "Copy", "CopyShard", "Seal", "Conclude"])
def test_a_snapshot_whose_execution_died_is_taken_up_where_it_stopped(lake, context, state):
    [execution] = ask(lake, context)

    class Died(Exception):
        pass

    def die(name, attempt):
        if name == state:
            raise Died

    with pytest.raises(Died):
        run(lake, context, execution, before=die)
    lake.workflows.ended[execution] = Status.LOST
    lake.clock.move(minutes=15)
    upload(lake, {"001.jpg": b"after"})
    if state == "Conclude":
        assert lake.datasets.newest("images").phase is Phase.SEALED
        return
    [again] = ask(lake, context)
    assert run(lake, context, again).status == "SUCCEEDED"
    record = lake.datasets.newest("images")
    assert (record.attempt, held(lake, record)["001.jpg"]) == (2, b"001.jpg")
    assert len(lake.copier.copied) == 200


def test_a_snapshot_that_was_begun_but_never_started_is_started(lake, context):
    event, plain = request_event(lake), lake.workflows.start

    def fail(name, payload):
        raise RegionUnreachable("not now")

    lake.workflows.start = fail
    with pytest.raises(BatchProcessingError):
        deliver("start_snapshot", context, event)
    lake.workflows.start = plain
    [execution] = ask(lake, context, event)
    assert execution.endswith("-1")
    assert run(lake, context, execution).status == "SUCCEEDED"


def test_an_attempt_that_was_superseded_changes_nothing(lake, context):
    [execution] = ask(lake, context)
    lake.workflows.ended[execution] = Status.LOST
    lake.workflows.active.discard(execution)
    lake.clock.move(minutes=1)
    [again] = ask(lake, context)
    assert run(lake, context, execution).last == "Superseded"
    assert run(lake, context, again).status == "SUCCEEDED"


def test_a_listing_asks_nothing_of_an_object_whose_version_is_the_same(lake, context):
    for name in NAMES:
        lake.buckets.put("photos", f"images/{name}", name.encode(), checksum="SHA256")
    lake.clock.move(minutes=30)
    first = snapshot(lake, context)
    assert all("SHA256" in entry.digests for entry in entries(lake, manifest(lake, first).shards))
    sources = counted(lake)
    second = snapshot(lake, context, listing=True)
    assert (second.how, second.difference.total, sources.found) == (How.LISTING, 0, [])


def test_a_plan_that_takes_longer_than_a_function_is_carried_on(lake, context):
    lake.sources = counted(lake)
    context.get_remaining_time_in_millis = lambda: 1
    first = snapshot(lake, context)
    assert len(held(lake, first)) == 200
    upload(lake, dict.fromkeys(NAMES[::20], b"new"), told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert [name for name, body in held(lake, second).items() if body == b"new"] == NAMES[::20]


# the schedule, training jobs, and wishes that mean nobody


def test_the_schedule_asks_for_what_is_due_and_only_here(lake, context):
    lake.buckets.put("photos", "logs/a", b"log")
    started = scheduled(lake, context)
    assert [name.split("-")[0] for name in started] == ["images", "logs"]
    for execution in started:
        run(lake, context, execution)
    assert scheduled(lake, context) == []
    lake.clock.move(hours=23)
    assert scheduled(lake, context) == []
    lake.clock.move(hours=1)
    assert len(scheduled(lake, context)) == 2


def test_a_reconciling_listing_is_due_by_itself(lake, context):
    lake.policies.put(POLICY.replace("every: 24h", "every: 30d"))
    snapshot(lake, context)
    lake.clock.move(days=7)
    [execution] = [name for name in scheduled(lake, context) if name.startswith("images")]
    run(lake, context, execution)
    assert lake.datasets.newest("images").how is How.LISTING


def test_a_scheduled_request_that_comes_twice_is_not_due_any_more(lake, context):
    snapshot(lake, context)
    assert ask(lake, context, if_due=True) == []


def training(world, status="Completed", uri="s3://photos/images/", **more):
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": uri, "S3DataType": "S3Prefix"}}}
    detail = {"TrainingJobName": "fit-1", "TrainingJobStatus": status, "InputDataConfig": [channel]}
    return request_event(world, **more) | {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Training Job State Change",
        "region": ACTIVE,
        "detail": detail,
    }


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("s3://photos/images/", ["images"]),
        ("s3://photos/images", ["images"]),
        ("s3://photos/images/train/", ["images"]),
        ("s3://photos/images/a.jpg", ["images"]),
        ("s3://photos", ["images", "logs"]),
        ("s3://photos/", ["images", "logs"]),
        ("s3://photos/images2/", []),
        ("s3://photos2/", []),
        ("s3://elsewhere/", []),
    ],
)
def test_a_training_job_that_ended_asks_for_the_datasets_that_it_read(lake, context, uri, meant):
    started = ask(lake, context, training(lake, uri=uri))
    assert sorted(name.split("-")[0] for name in started) == meant


def test_a_training_job_that_failed_or_read_nothing_asks_for_nothing(lake, context):
    assert ask(lake, context, training(lake, status="Failed")) == []
    quiet = training(lake)
    del quiet["detail"]["InputDataConfig"]
    assert ask(lake, context, quiet) == []


@pytest.mark.parametrize(
    "detail",
    [
        {"dataset": "imags", "reason": "x"},
        {"dataset": "home", "reason": "x"},
        {"dataset": "Images", "reason": "x"},
        {"dataset": "images"},
        {"reason": "x"},
        {"dataset": "images", "reason": ""},
    ],
)
def test_a_wish_that_cannot_be_granted_fails_alone(lake, context, detail):
    bad = request_event(lake) | {"detail": detail}
    assert deliver("start_snapshot", context, bad, request_event(lake, "good")) == ["0"]
    assert len(lake.workflows.started) == 1


def test_events_that_are_not_of_a_dataset_or_not_of_s3_are_told_apart(lake, context):
    foreign = storage_event(lake, "a", bucket="other")
    here = storage_event(lake, "a", region=STANDBY)
    hear(context, foreign, here)
    assert lake.datasets.logged == {}
    tagged = storage_event(lake, "a", kind="Object Tags Added")
    assert deliver("log_changes", context, tagged, storage_event(lake, "a"), "no json") == ["0", "2"]
    assert len(lake.datasets.logged) == 1


# models and their datasets


def with_churn(world):
    world.policies.put(POLICY.replace("datasets: [images]", "datasets: [images, logs, home]"))
    return story.promoted(world)


def test_a_promotion_asks_for_snapshots_of_the_models_datasets_in_its_region_once(lake, context):
    arn = with_churn(lake)
    execution = story.capture(lake, context, arn)
    story.capture(lake, context, arn)
    asked = lake.bus.named("Dataset Snapshot Requested")
    assert [one["dataset"] for one in asked] == ["images", "logs"]
    assert {one["reason"] for one in asked} == {f"{story.point(lake).recovery_point} of sagemaker/churn was promoted"}
    assert execution


def test_a_recovery_point_names_the_newest_snapshots_that_can_be_restored(lake, context):
    first = snapshot(lake, context)
    upload(lake, ["new.jpg"], told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert first.snapshot != second.snapshot
    arn = with_churn(lake)
    story.protect(lake, context, arn)
    point = story.point(lake)
    content = lake.vault.read(manifest_key(story.CHURN, point.recovery_point), point.manifest_version)
    assert Manifest.model_validate_json(content).datasets == (DatasetSnapshot(name="images", snapshot=second.snapshot),)


def test_a_recovery_point_does_not_name_a_snapshot_past_its_retention(lake, context):
    snapshot(lake, context)
    lake.clock.move(days=40)
    story.protect(lake, context, with_churn(lake))
    point = story.point(lake)
    content = lake.vault.read(manifest_key(story.CHURN, point.recovery_point), point.manifest_version)
    assert Manifest.model_validate_json(content).datasets == ()
