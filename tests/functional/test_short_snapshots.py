"""Snapshots of which little moves are taken by one call; and snapshots whose predecessor the vault has lost."""

import pytest

from mldr.domain import manifests
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import FEW_SHARDS, How, manifest_key
from mldr.ports.stack import Status
from tests.functional.dataset_story import (
    POLICY,
    ask,
    entries,
    held,
    manifest,
    remove,
    run,
    snapshot,
    upload,
)

NAMES = [f"{number:03d}.jpg" for number in range(40)]
ALL = {name: name.encode() for name in NAMES}
LONG = ["Settle", "TakeInventory", "Planned?", "Copy", "Digests?", "Seal", "Conclude"]
SHORT = ["Settle", "TakeInventory", "Planned?", "Conclude"]


class Died(BaseException):
    """A function was killed: nothing of it runs on."""


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Ten objects in a shard, more or less, instead of thousands."""
    small = manifests.ShardLimits(least=8, mean=12, most=14)
    monkeypatch.setattr(manifests, "ShardLimits", lambda: small)


@pytest.fixture
def lake(world):
    """The world, with a dataset of forty pictures."""
    world.policies.put(POLICY)
    world.buckets.make("photos")
    upload(world, NAMES)
    world.clock.move(minutes=30)
    return world


def states(ended):
    return [state for state in ended.path if state not in ("CopyShard", "CopyRange")]


def working_files(world, record):
    return [key for key in world.buckets.keys("vault", "in-progress/") if record.snapshot in key]


class Watched:
    """A port of which every call is counted, and the nth of some calls kills the function, before or after it."""

    def __init__(self, inner, calls, names, fatal=None):
        self._inner, self._calls, self._names, self._fatal = inner, calls, names, fatal

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*args, **more):
            number = len(self._calls)
            self._calls.append((name, args[0]))
            if self._fatal == (number, "before"):
                raise Died
            result = found(*args, **more)
            result = list(result) if name == "copy" else result
            if self._fatal == (number, "after"):
                raise Died
            return iter(result) if name == "copy" else result

        return call


# one call


def test_a_small_dataset_is_copied_and_sealed_by_one_call_without_a_working_file(lake, context):
    [execution] = ask(lake, context)
    assert states(run(lake, context, execution)) == SHORT
    record = lake.datasets.newest("images")
    assert (record.phase, record.objects, record.copied) == (Phase.SEALED, 40, 240 + 40)
    assert held(lake, record) == ALL
    assert working_files(lake, record) == []
    assert record.shards == manifest(lake, record).shards


def test_when_nothing_changed_one_write_to_the_vault_is_all(lake, context):
    first = snapshot(lake, context)
    calls, plain = [], lake.vault
    every = {"seal", "read", "versions", "keys", "keep", "lock"}
    [execution] = ask(lake, context)
    lake.vault = Watched(plain, calls, every)
    ended = run(lake, context, execution)
    lake.vault = plain
    second = lake.datasets.newest("images")
    assert (ended.status, states(ended)) == ("SUCCEEDED", SHORT)
    assert calls == [("seal", manifest_key("images", second.snapshot))]
    assert manifest(lake, second).shards == manifest(lake, first).shards


def test_a_change_reads_the_shard_in_which_it_falls_once(lake, context):
    snapshot(lake, context)
    upload(lake, {"010.jpg": b"new"}, told=context)
    lake.clock.move(hours=1)
    calls, plain = [], lake.vault
    [execution] = ask(lake, context)
    lake.vault = Watched(plain, calls, {"seal", "read", "versions", "keys", "keep", "lock"})
    run(lake, context, execution, before=lambda state, attempt: state == "Conclude" and calls.append(("end", "")))
    lake.vault = plain
    taken = [name for name, _ in calls[: calls.index(("end", ""))]]
    assert sorted(taken) == ["keys", "read", "seal", "seal"]
    assert held(lake, lake.datasets.newest("images")) == ALL | {"010.jpg": b"new"}


@pytest.mark.parametrize("limit", ["MOST_COPIES", "MOST_BYTES", "MOST_SHARDS"])
def test_what_is_more_than_one_call_should_do_is_done_by_the_maps(lake, context, monkeypatch, limit):
    monkeypatch.setattr(f"mldr.steps.take_short_snapshot.{limit}", 1)
    [execution] = ask(lake, context)
    assert states(run(lake, context, execution)) == LONG
    assert held(lake, lake.datasets.newest("images")) == ALL


def test_a_function_that_has_little_time_left_leaves_the_copies_to_the_maps(lake, context):
    context.get_remaining_time_in_millis = lambda: 300_000
    [execution] = ask(lake, context)
    assert states(run(lake, context, execution)) == LONG
    assert held(lake, lake.datasets.newest("images")) == ALL


def test_a_new_sha256_is_left_to_the_function_that_can_wait_for_it(lake, context):
    lake.policies.put(POLICY.replace("retention: {period: 30d}", "retention: {period: 30d}\n    digest: sha256"))
    [execution] = ask(lake, context)
    assert "Copy" in states(run(lake, context, execution))
    lake.clock.move(hours=1)
    [execution] = ask(lake, context)
    assert states(run(lake, context, execution)) == SHORT


def test_a_pinned_version_that_vanishes_fails_a_short_snapshot_too(lake, context):
    snapshot(lake, context)
    upload(lake, {"010.jpg": b"new"}, told=context)
    lake.clock.move(hours=1)
    [execution] = ask(lake, context)
    newest = lake.buckets.all("photos", "images/010.jpg")[-1]
    plain = lake.copier

    class Late:
        limits = plain.limits

        def copy(self, moving, retention, **more):
            lake.buckets.erase("photos", "images/010.jpg", newest.version_id)
            return plain.copy(moving, retention, **more)

    lake.copier = Late()
    assert run(lake, context, execution).error == "SnapshotFailed"
    assert "images/010.jpg" in next(iter(lake.datasets.records("images"))).reason


# killed at any moment


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(8))
def test_killed_at_any_write_the_next_attempt_seals_the_same_snapshot_once(lake, context, number, moment):
    snapshot(lake, context)
    upload(lake, {"010.jpg": b"new", "030.jpg": b"newer"}, told=context)
    lake.clock.move(hours=1)
    [execution] = ask(lake, context)
    plain, calls = (lake.vault, lake.copier, lake.datasets), []
    fatal = (number, moment)
    lake.vault = Watched(plain[0], calls, {"seal", "keep", "read"}, fatal)
    lake.copier = Watched(plain[1], calls, {"copy"}, fatal)
    lake.datasets = Watched(plain[2], calls, {"advance"}, fatal)
    try:
        run(lake, context, execution)
    except Died:
        lake.workflows.ended[execution] = Status.LOST
    lake.vault, lake.copier, lake.datasets = plain
    lake.clock.move(minutes=15)
    upload(lake, {"020.jpg": b"after the instant"})
    for again in ask(lake, context) if lake.datasets.running("images") else ():
        assert run(lake, context, again).status == "SUCCEEDED"
    second = lake.datasets.newest("images")
    assert held(lake, second) == ALL | {"010.jpg": b"new", "030.jpg": b"newer"}
    assert len(lake.vault.versions(manifest_key("images", second.snapshot))) == 1
    assert all(len(lake.vault.versions(entry.key)) == 1 for entry in entries(lake, manifest(lake, second).shards))


def test_of_two_calls_of_one_attempt_the_first_seal_counts(lake, context):
    [execution] = ask(lake, context)
    plain = lake.vault

    class Rival:
        def __getattr__(self, name):
            return getattr(plain, name)

        def seal(self, key, content, retention):
            if key.endswith("manifest.json"):
                plain.seal(key, content.replace(b'"sealed_at": "2026', b'"sealed_at": "2025'), retention)
            return plain.seal(key, content, retention)

    lake.vault = Rival()
    run(lake, context, execution)
    lake.vault = plain
    record = lake.datasets.newest("images")
    assert (record.sealed_at.year, manifest(lake, record).sealed_at.year) == (2025, 2025)
    assert len(plain.versions(manifest_key("images", record.snapshot))) == 1


def test_a_manifest_that_a_delete_marker_hides_is_found_by_the_next_attempt_and_not_written_twice(lake, context):
    [execution] = ask(lake, context)
    plain, calls = lake.vault, []
    lake.vault = Watched(plain, calls, {"seal"})
    run(lake, context, execution)
    last = len(calls) - 1
    lake.clock.move(hours=1)
    upload(lake, dict.fromkeys(NAMES, b"anew"))
    lake.clock.move(hours=1)
    [execution] = ask(lake, context, listing=True)
    lake.vault = Watched(plain, [], {"seal"}, (last, "after"))
    with pytest.raises(Died):
        run(lake, context, execution)
    lake.vault = plain
    lake.workflows.ended[execution] = Status.LOST
    running = lake.datasets.running("images")
    lake.buckets.put("vault", manifest_key("images", running.snapshot), None)
    lake.clock.move(minutes=15)
    [again] = ask(lake, context)
    assert run(lake, context, again).status == "SUCCEEDED"
    record = lake.datasets.newest("images")
    assert record.snapshot == running.snapshot
    assert lake.vault.versions(manifest_key("images", running.snapshot)) == [record.manifest_version]


# the snapshot before is lost


def lose(world, ref):
    world.buckets.erase("vault", ref.key, ref.version_id)


def spoil(world, ref):
    world.buckets.get("vault", ref.key, ref.version_id).body = b"not what was sealed"


@pytest.mark.parametrize("harm", [lose, spoil])
@pytest.mark.parametrize("listing", [True, False])
def test_a_lost_shard_of_the_snapshot_before_turns_to_one_that_does_not_name_it(lake, context, caplog, harm, listing):
    first = snapshot(lake, context)
    upload(lake, {"010.jpg": b"new"}, told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    [lost] = set(manifest(lake, second).shards) - set(manifest(lake, first).shards)
    harm(lake, lost)
    upload(lake, {"011.jpg": b"newer"}, told=context)
    lake.clock.move(hours=1)
    copies = len(lake.copier.copied)
    third = snapshot(lake, context, listing=listing)
    assert (third.how, third.previous) == (How.LISTING, first.snapshot)
    assert lost.key in third.why
    assert third.why.endswith(f"; it is compared with {first.snapshot}")
    assert held(lake, third) == ALL | {"010.jpg": b"new", "011.jpg": b"newer"}
    assert len(lake.copier.copied) - copies <= 2
    assert snapshot(lake, context).how is How.EVENTS


@pytest.mark.parametrize("harm", [lose, spoil])
def test_a_lost_shard_that_every_snapshot_names_is_sealed_anew_from_what_the_pool_holds(lake, context, harm):
    first = snapshot(lake, context)
    second = snapshot(lake, context)
    lost = manifest(lake, second).shards[1]
    for _ in range(3):
        snapshot(lake, context)
    harm(lake, lost)
    listed, plain = [], lake.sources.list
    lake.sources.list = lambda bucket, prefix, **more: (listed.append(prefix), plain(bucket, prefix, **more))[1]
    third = snapshot(lake, context, listing=True)
    assert (third.previous, len(listed)) == ("", 2)
    assert third.why.endswith("; it is compared with no other one")
    assert held(lake, third) == ALL
    anew = [ref for ref in manifest(lake, third).shards if ref.digest == lost.digest]
    assert [(ref.key, ref.version_id) == (lost.key, lost.version_id) for ref in anew] == [False]
    assert all(len(lake.vault.versions(entry.key)) == 1 for entry in entries(lake, manifest(lake, third).shards))
    assert first.snapshot < third.snapshot
    assert held(lake, snapshot(lake, context, listing=True)) == ALL


def test_a_lost_manifest_of_many_shards_does_not_stop_the_next_snapshot(lake, context):
    upload(lake, [f"more/{number:04d}.jpg" for number in range(150)])
    lake.clock.move(hours=1)
    first = snapshot(lake, context)
    assert (first.shards, len(manifest(lake, first).shards) > FEW_SHARDS) == (None, True)
    key = manifest_key("images", first.snapshot)
    lake.buckets.erase("vault", key, first.manifest_version)
    remove(lake, "010.jpg", told=context)
    lake.clock.move(hours=1)
    second = snapshot(lake, context)
    assert (second.objects, second.previous, key in second.why) == (189, "", True)


def test_the_function_says_what_is_lost(lake, context, monkeypatch):
    snapshot(lake, context)
    lose(lake, manifest(lake, lake.datasets.newest("images")).shards[0])
    from functions.take_snapshot_inventory import app

    told = []
    monkeypatch.setattr(app.logger, "error", lambda message, **more: told.append((message, more)))
    snapshot(lake, context, listing=True)
    [(message, more)] = told
    assert message == "the snapshot before is lost in part"
    assert "cannot be read" in more["unreadable"]
