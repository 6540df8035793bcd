"""Checking the vault's bytes: through the doors, in the order of the state machine, on a world in memory."""

import datetime as dt
import json
import tracemalloc

import pytest

from functions.scrub_shard import app as scrub_shard_door
from mldr.domain.datasets import DatasetRule
from mldr.domain.digests import Digest
from mldr.domain.manifests import Entry, ShardRef, digest_of, encode
from mldr.domain.recovery_point import Phase, Retention
from mldr.domain.repairs import PREFIX
from mldr.domain.scrub import Checked, Problem, ScrubItem, report_key
from mldr.domain.snapshots import How, SnapshotManifest, SnapshotRecord
from mldr.domain.snapshots import manifest_key as snapshot_manifest_key
from mldr.errors import RegionUnreachable, Throttled
from mldr.events.scrub import ScrubTask
from mldr.steps import scrub_shard
from mldr.steps.manifest_lines import lines
from mldr.steps.scrub_shard import load_checked
from mldr.steps.seal_recovery_point import read_manifest
from tests.fakes.objects import checksum_of, etag_of
from tests.functional.state_machine import Machine
from tests.functional.story import CHURN, WEIGHTS, deliver, document, entries, manifest, point, promoted, protect, run

OWNER = "model/sagemaker/churn"


def requested(run_id="check-1", **detail):
    """`Verification Requested` as EventBridge delivers it."""
    return {
        "id": run_id,
        "source": "mldr",
        "detail-type": "Verification Requested",
        "detail": {"requested_by": "operator", **detail},
    }


def check(world, context, run_id="check-1", **detail):
    """Ask for a check and run what this started."""
    assert deliver("start_scrub", context, requested(run_id, **detail)) == []
    return run(world, context, run_id, "scrub")


def report(world, run_id="check-1"):
    """The sealed report of a run."""
    return json.loads(world.vault.read(report_key(run_id)))


def weights(world):
    """The line of the model's weights in its newest manifest."""
    return next(one for one in entries(world) if one.source_key.endswith("model.tar.gz"))


def weights_of(world, record):
    """The same, in the manifest of one recovery point."""
    refs = read_manifest(world.vault, record).shards
    return next(one for one in lines(world.vault, refs) if one.source_key.endswith("model.tar.gz"))


def corrupt(world, entry, body=None):
    """Flip bits of a vault object behind everybody's back: S3's description of it stays as it was."""
    version = world.buckets.get("vault", entry.key, entry.version_id)
    version.body = bytes(byte ^ 1 for byte in version.body) if body is None else body


def gone(world, entry):
    """Delete the pinned source for good."""
    world.buckets.erase(entry.bucket, entry.source_key, entry.source_version)


def second_version(world, context, body=b"weights of version two"):
    """Promote and protect a second version, with weights of its own."""
    world.clock.move(seconds=60)
    world.buckets.put("lake", "churn/model.tar.gz", body)
    return protect(world, context, world.registry.promote("churn", document(ModelDataETag=etag_of(body))))


@pytest.fixture
def sealed(world, context):
    """A world with one sealed recovery point."""
    protect(world, context, promoted(world))
    return world


def test_an_undamaged_vault_is_found_sound_and_every_byte_was_read(sealed, context):
    ended = check(sealed, context)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Conclude")
    told = report(sealed)
    assert (told["outcome"], told["findings"], told["damaged"]) == ("sound", [], [])
    [tally] = told["tallies"]
    assert (tally["objects"], tally["bytes"]) == (2, sum(one.size for one in entries(sealed)))
    assert sealed.vault_bytes.read == {one.key: one.size for one in entries(sealed)}
    assert sealed.scrubs.last(OWNER).sound
    assert sealed.pager.pages == []
    [completed] = sealed.bus.named("Verification Completed")
    assert (completed["run"], completed["outcome"]) == ("check-1", "sound")


def test_an_empty_vault_is_sound(world, context):
    assert check(world, context).status == "SUCCEEDED"
    assert report(world)["outcome"] == "sound"


def test_flipped_bits_are_found_and_copied_again_while_the_pinned_source_is_there(sealed, context):
    bad = weights(sealed)
    corrupt(sealed, bad)
    check(sealed, context)
    told = report(sealed)
    assert (told["outcome"], [one["problem"] for one in told["findings"]]) == ("repaired", ["repaired"])
    now = weights(sealed)
    assert now.version_id != bad.version_id
    assert sealed.vault.read(now.key, now.version_id) == WEIGHTS
    assert sealed.vault.read(now.key) == WEIGHTS, "what serves by key reads the good bytes"
    assert sealed.buckets.get("vault", now.key, now.version_id).retention == manifest(sealed).retention
    assert point(sealed).restorable
    assert sealed.pager.pages == []


def test_a_repair_is_locked_and_says_what_was_done(sealed, context):
    bad = weights(sealed)
    corrupt(sealed, bad)
    check(sealed, context)
    [key] = sealed.vault.keys(PREFIX)
    assert sealed.buckets.get("vault", key).retention == manifest(sealed).retention
    told = json.loads(sealed.vault.read(key))
    assert (told["key"], told["bad_version"], told["run"]) == (bad.key, bad.version_id, "check-1")
    assert told["good_version"] == weights(sealed).version_id


def test_the_next_check_reads_the_repaired_version_and_is_sound(sealed, context):
    corrupt(sealed, weights(sealed))
    check(sealed, context)
    check(sealed, context, "check-2")
    assert report(sealed, "check-2")["outcome"] == "sound"


def test_a_repair_that_goes_bad_is_repaired_again(sealed, context):
    for run_id in ("check-1", "check-2"):
        corrupt(sealed, weights(sealed))
        check(sealed, context, run_id)
    assert sealed.vault.read(weights(sealed).key, weights(sealed).version_id) == WEIGHTS
    assert len(sealed.vault.keys(PREFIX)) == 2


@pytest.mark.parametrize("body", [b"", b"short", WEIGHTS + b"more"], ids=["emptied", "cut", "grown"])
def test_a_wrong_size_is_found(sealed, context, body):
    corrupt(sealed, weights(sealed), body)
    check(sealed, context)
    [finding] = report(sealed)["findings"]
    assert f"{len(body)} bytes in the vault" in finding["reason"]


def test_a_version_that_is_gone_from_the_vault_is_found(sealed, context):
    bad = weights(sealed)
    sealed.buckets.erase("vault", bad.key, bad.version_id)
    check(sealed, context)
    assert report(sealed)["outcome"] == "repaired"
    assert sealed.vault.read(weights(sealed).key, weights(sealed).version_id) == WEIGHTS


def test_without_its_source_a_bad_object_takes_its_point_out_of_recovery_and_the_last_good_point_is_paged(
    sealed, context
):
    good = point(sealed).recovery_point
    second_version(sealed, context)
    newest = max(sealed.catalog.records(CHURN), key=lambda one: one.origin.promoted_at)
    bad = next(
        one for one in lines(sealed.vault, read_manifest(sealed.vault, newest).shards) if one.name.endswith("tar.gz")
    )
    corrupt(sealed, bad)
    gone(sealed, bad)
    check(sealed, context)
    assert report(sealed)["outcome"] == "damaged"
    found = sealed.catalog.record(CHURN, newest.recovery_point)
    assert not found.restorable
    assert "MissingArtifact" in found.damaged
    assert sealed.catalog.record(CHURN, good).restorable
    [(subject, text)] = sealed.pager.pages
    assert subject == f"mldr: {OWNER} damaged in the vault"
    assert f"The last good recovery point is {good}" in text
    assert sealed.scrubs.last(OWNER).damaged == (newest.recovery_point,)


def test_without_any_good_point_the_page_says_so(sealed, context):
    bad = weights(sealed)
    corrupt(sealed, bad)
    gone(sealed, bad)
    check(sealed, context)
    [(_, text)] = sealed.pager.pages
    assert "No recovery point of this model can be restored now" in text


def test_telling_of_a_damaged_version_again_does_not_bring_it_back(sealed, context):
    bad = weights(sealed)
    corrupt(sealed, bad)
    gone(sealed, bad)
    check(sealed, context)
    told = {"id": "again", "source": "mldr", "detail-type": "Model Promoted", "region": "ap-southeast-3"}
    event = {**told, "time": sealed.clock.now().isoformat(), "detail": {"model": str(CHURN)}}
    deliver("capture_recovery_point", context, event)
    assert not point(sealed).restorable


def test_a_point_is_good_again_once_a_whole_check_repaired_it(sealed, context):
    bad = weights(sealed)
    corrupt(sealed, bad)
    held = sealed.buckets._versions[bad.bucket][bad.source_key]
    kept = list(held)
    held.clear()
    check(sealed, context)
    assert not point(sealed).restorable
    held.extend(kept)
    check(sealed, context, "check-2")
    assert report(sealed, "check-2")["outcome"] == "repaired"
    assert point(sealed).restorable


def test_a_new_point_does_not_reuse_what_is_damaged(sealed, context):
    """The same content came back under another version: only its SHA-256 says that the vault had it."""
    bad = weights(sealed)
    corrupt(sealed, bad)
    gone(sealed, bad)
    check(sealed, context)
    second_version(sealed, context, WEIGHTS)
    newest = max(sealed.catalog.records(CHURN), key=lambda one: one.origin.promoted_at)
    [line] = [
        one for one in lines(sealed.vault, read_manifest(sealed.vault, newest).shards) if one.name.endswith("tar.gz")
    ]
    assert sealed.vault.read(line.key, line.version_id) == WEIGHTS
    check(sealed, context, "check-2")
    assert sealed.catalog.record(CHURN, newest.recovery_point).restorable


def test_a_sampled_check_takes_no_mark_away(sealed, context):
    sealed.catalog.annotate(CHURN, point(sealed).recovery_point, damaged="damaged: the weights")
    check(sealed, context, sample=99.9)
    assert point(sealed).damaged
    check(sealed, context, "check-2")
    assert point(sealed).damaged is None


def test_a_source_that_was_overwritten_without_versions_does_not_repair(sealed, context):
    """The pinned ETag is what protects here: other bytes never stand for the sealed ones."""
    bad = weights(sealed)
    corrupt(sealed, bad)
    sealed.buckets.get(bad.bucket, bad.source_key, bad.source_version).body = b"weights of somebody else"
    check(sealed, context)
    assert report(sealed)["outcome"] == "damaged"
    assert sealed.vault.keys(PREFIX) == []


def test_a_copy_whose_checksums_are_not_the_sealed_ones_never_stands_for_a_bad_object(sealed, context, monkeypatch):
    """Whatever the copier believes."""
    corrupt(sealed, weights(sealed))
    copy = sealed.copier.copy

    def other(*given, **named):
        return (one._replace(digests=dict.fromkeys(one.digests, "AAAA")) for one in copy(*given, **named))

    monkeypatch.setattr(sealed.copier, "copy", other)
    check(sealed, context)
    assert (report(sealed)["outcome"], sealed.vault.keys(PREFIX)) == ("damaged", [])


def test_while_the_source_region_is_down_a_bad_object_is_damage_and_not_a_retry(sealed, context, monkeypatch):
    corrupt(sealed, weights(sealed))

    def down(*_args, **_named):
        raise RegionUnreachable("the peer region does not answer")

    monkeypatch.setattr(sealed.copier, "copy", down)
    check(sealed, context)
    assert (report(sealed)["outcome"], len(sealed.pager.pages)) == ("damaged", 1)


def test_a_manifest_shard_that_is_not_what_was_sealed_is_damage(sealed, context):
    [ref] = manifest(sealed).shards
    sealed.buckets.get("vault", ref.key, ref.version_id).body = b"not Avro"
    check(sealed, context)
    assert "is not what was sealed" in point(sealed).damaged


def test_a_manifest_that_cannot_be_read_is_damage(sealed, context):
    record = point(sealed)
    key = f"recovery-points/sagemaker/churn/{record.recovery_point}/manifest.json"
    sealed.buckets.get("vault", key, record.manifest_version).body = b"{}"
    check(sealed, context)
    assert "its manifest cannot be read" in point(sealed).damaged


def test_what_two_points_share_is_read_once_and_damages_both(sealed, context):
    """The golden inferences did not change between two versions: the second point names the first one's copy."""
    world = sealed
    second_version(world, context)
    first, second = sorted(world.catalog.records(CHURN), key=lambda one: one.origin.promoted_at)
    shared = next(one for one in lines(world.vault, read_manifest(world.vault, second).shards) if "golden" in one.name)
    assert first.recovery_point in shared.key
    world.vault_bytes.read.clear()
    corrupt(world, shared)
    gone(world, shared)
    check(world, context)
    assert world.vault_bytes.read[shared.key] == shared.size
    assert [one.restorable for one in world.catalog.records(CHURN)] == [False, False]


def test_a_check_that_is_asked_for_twice_runs_once(sealed, context):
    assert deliver("start_scrub", context, requested(), requested()) == []
    assert list(sealed.workflows.started)[-1] == "check-1"
    assert [name for name in sealed.workflows.started if name.startswith("check")] == ["check-1"]


def test_a_check_of_one_owner_leaves_the_others_alone(sealed, context):
    check(sealed, context, owner="model/sagemaker/other")
    assert sealed.vault_bytes.read == {}


@pytest.mark.parametrize("detail", [{"sample": 0}, {"sample": 101}, {"owner": "churn"}, {"run": "a b"}])
def test_a_request_that_makes_no_sense_is_refused_by_name(sealed, context, detail):
    assert deliver("start_scrub", context, requested("good"), requested(**detail)) == ["1"]


def test_a_shard_whose_worker_gives_up_does_not_keep_the_rest_from_being_told(sealed, context, monkeypatch):
    def storm(*_args):
        raise Throttled("slow down")

    monkeypatch.setattr(sealed.vault_bytes, "piece", storm)
    ended = check(sealed, context)
    assert ended.status == "SUCCEEDED"
    assert report(sealed)["outcome"] == "incomplete"
    assert sealed.scrubs.last(OWNER).unchecked == 1


def test_a_check_that_cannot_choose_fails_and_says_why(sealed, context, monkeypatch):
    def forbidden(*_args):
        raise RegionUnreachable("the table does not answer")

    monkeypatch.setattr(sealed.catalog, "models", forbidden)
    deliver("start_scrub", context, requested())
    ended = Machine("scrub", sealed, context).run(sealed.workflows.started["check-1"])
    assert (ended.status, ended.error) == ("FAILED", "ScrubFailed")
    [told] = sealed.bus.named("Verification Completed")
    assert (told["outcome"], told["reason"]) == ("failed", "RegionUnreachable: the table does not answer")


def test_concluding_twice_keeps_the_first_report(sealed, context):
    check(sealed, context)
    before = sealed.vault.versions(report_key("check-1"))
    Machine("scrub", sealed, context).run(sealed.workflows.started["check-1"])
    assert sealed.vault.versions(report_key("check-1")) == before


# snapshots of datasets


def snapshot(world, name, entries):
    """A sealed snapshot with these lines."""
    ref, now = shard_of(world, entries, name).item.shard, world.clock.now()
    until = now + dt.timedelta(days=30)
    rule = DatasetRule(uri="s3://lake/images/")
    manifest = SnapshotManifest(
        dataset="images", snapshot=name, source=rule.uri, source_region="ap-southeast-1", as_of=now, how=How.LISTING,
        previous="", standby_region="ap-southeast-3", sealed_at=now, kept_until=until,
        retention=Retention(mode="GOVERNANCE", until=until), rule=rule, objects=len(entries), bytes=1, shards=(ref,),
    )  # fmt: skip
    version = world.buckets.put("vault", snapshot_manifest_key("images", name), manifest.model_dump_json().encode())
    record = SnapshotRecord(
        dataset="images", snapshot=name, phase=Phase.CAPTURING, attempt=1, as_of=now, rule=rule, how=How.LISTING,
        started_at=now,
    )  # fmt: skip
    world.datasets.begin(record)
    sealed_ = {"phase": Phase.SEALED, "sealed_at": now, "kept_until": until, "manifest_version": version.version_id}
    world.datasets.advance(record.model_copy(update=sealed_))


def test_snapshots_are_checked_and_what_they_share_is_read_once(world, context):
    shared, first = stored(world, "a", b"shared"), stored(world, "b", b"first")
    snapshot(world, "s1", [shared, first])
    world.clock.move(seconds=3600)
    snapshot(world, "s2", [shared, stored(world, "c", b"second")])
    check(world, context, owner="dataset/images")
    assert report(world)["outcome"] == "sound"
    assert world.vault_bytes.read == {"objects/a": 6, "objects/b": 5, "objects/c": 6}
    assert world.scrubs.last("dataset/images").manifests == 2


def test_a_snapshot_that_names_what_cannot_be_repaired_is_paged_by_name(world, context):
    bad, fine = stored(world, "a", b"bad"), stored(world, "b", b"fine")
    snapshot(world, "s1", [bad, fine])
    world.clock.move(seconds=3600)
    snapshot(world, "s2", [fine])
    corrupt(world, bad)
    gone(world, bad)
    check(world, context)
    [(subject, text)] = world.pager.pages
    assert subject == "mldr: dataset/images damaged in the vault"
    assert "s1: a: " in text
    assert "s2" not in text
    assert world.scrubs.last("dataset/images").damaged == ("s1",)


def test_a_snapshot_whose_retention_is_over_is_not_looked_at(world, context):
    snapshot(world, "s1", [stored(world, "a", b"x")])
    world.clock.move(seconds=31 * 86400)
    check(world, context)
    assert world.vault_bytes.read == {}


def test_a_snapshot_without_its_manifest_is_told(world, context):
    snapshot(world, "s1", [stored(world, "a", b"x")])
    key = snapshot_manifest_key("images", "s1")
    world.buckets.erase("vault", key, world.vault.versions(key)[0])
    check(world, context)
    assert "is gone" in world.scrubs.last("dataset/images").reason


# one shard


class Clock:
    """Milliseconds left; each look costs some."""

    def __init__(self, left, cost=0):
        self.left, self.cost = left, cost

    def __call__(self):
        self.left -= self.cost
        return self.left


def stored(world, name, body, digests=None, **more):
    """An object of the vault and the line that names it."""
    source = world.buckets.put("lake", name, body)
    copy = world.buckets.put("vault", f"objects/{name}", body)
    known = digests if digests is not None else {"CRC64NVME": checksum_of(body, "CRC64NVME").value}
    return Entry(
        name, "lake", name, source.version_id, etag_of(body), 0, len(body), f"objects/{name}", copy.version_id, known
    )._replace(**more)


def shard_of(world, entries, name="one"):
    """A sealed shard with these lines, as a task."""
    content = encode(entries)
    key = f"snapshots/images/shards/{name}.avro"
    version = world.buckets.put("vault", key, content)
    retention = Retention(mode="GOVERNANCE", until=world.clock.now())
    ref = ShardRef(
        digest=digest_of(content), key=key, version_id=version.version_id, first=entries[0].name,
        last=entries[-1].name, objects=len(entries), bytes=sum(one.size for one in entries),
        locked_until=world.clock.now(),
    )  # fmt: skip
    item = ScrubItem(item="shards/000000", owner="dataset/images", shard=ref, retention=retention, holders=("s1",))
    return ScrubTask(run="r1", sample=100, item=item)


def work(world, task, remaining=lambda: 900_000) -> Checked:
    """Let a worker work."""
    return scrub_shard.scrub_shard(
        task, vault=world.vault, reader=world.vault_bytes, copier=world.copier, clock=world.clock, remaining=remaining
    )


NAMES = [" ", "a b+c%2F//d", "Ä/雪/😀", "CASE", "case", "ends/", "x" * 1000]


def test_keys_of_all_kinds_and_empty_objects_are_checked(world):
    task = shard_of(world, [stored(world, name, b"x" * size) for size, name in enumerate(sorted(NAMES))])
    done = work(world, task)
    assert (done.done, done.objects, done.findings) == (True, len(NAMES), ())


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1", "MD5"])
def test_a_flipped_bit_is_found_by_every_algorithm(world, algorithm):
    body = bytes(range(256)) * 100
    known = {algorithm: checksum_of(body, algorithm).value} if algorithm != "MD5" else {"MD5": _md5(body)}
    entry = stored(world, "one", body, known)
    assert work(world, shard_of(world, [entry])).findings == ()
    world.buckets.get("vault", entry.key).body = body[:-1] + b"\0"
    [finding] = work(world, shard_of(world, [entry]).model_copy(update={"run": "r2"})).findings
    assert finding.reason.startswith(f"{algorithm} is ")


def _md5(body):
    digest = Digest("MD5")
    digest.update(body)
    return digest.value


def test_an_object_without_a_checksum_that_can_be_computed_is_told_as_unread(world):
    [finding] = work(world, shard_of(world, [stored(world, "one", b"x", {"SHA3": "AAAA"})])).findings
    assert (finding.problem, "SHA3" in finding.reason) == (Problem.UNREAD, True)


def test_a_sample_reads_its_share_and_another_run_reads_others(world):
    task = shard_of(world, [stored(world, f"{number:04d}", b"x") for number in range(2000)])
    read = []
    for name in ("r1", "r2"):
        world.vault_bytes.read.clear()
        work(world, task.model_copy(update={"sample": 10, "run": name}))
        read.append(set(world.vault_bytes.read))
    assert all(140 < len(one) < 260 for one in read)
    assert len(read[0] & read[1]) < 60


def test_a_worker_that_runs_out_of_time_says_so_and_the_next_goes_on_behind_it(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "WINDOW", 10)
    task = shard_of(world, [stored(world, f"{number:04d}", b"x") for number in range(35)])
    first = work(world, task, lambda: 0)
    assert (first.done, first.after, first.objects) == (False, "0009", 10)
    rest = work(world, task)
    assert (rest.done, rest.objects) == (True, 35)
    assert set(world.vault_bytes.read.values()) == {1}, "nothing was read twice"


def test_a_killed_worker_goes_on_from_its_last_note(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "WINDOW", 10)
    task = shard_of(world, [stored(world, f"{number:04d}", b"x") for number in range(35)])
    read = world.vault_bytes.piece

    def killed(key, *rest):
        if key.endswith("0025"):
            raise SystemExit
        return read(key, *rest)

    monkeypatch.setattr(world.vault_bytes, "piece", killed)
    with pytest.raises(SystemExit):
        work(world, task)
    assert load_checked(world.vault, "r1", "shards/000000").after == "0019"
    monkeypatch.setattr(world.vault_bytes, "piece", read)
    assert work(world, task).objects == 35
    assert world.vault_bytes.read["objects/0005"] == 1


def test_a_large_object_goes_on_in_its_middle(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "PIECE", 10)
    body = bytes(range(100))
    task = shard_of(world, [stored(world, "large", body)])
    rounds = 0
    while not work(world, task, Clock(60_030, 10)).done:
        rounds += 1
        assert rounds < 20
    assert rounds == 2
    done = load_checked(world.vault, "r1", "shards/000000")
    assert (done.objects, done.bytes, done.findings) == (1, 100, ())
    assert world.vault_bytes.read["objects/large"] == 100


def test_a_bad_byte_in_the_first_part_of_a_large_object_is_not_forgotten(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "PIECE", 10)
    entry = stored(world, "large", bytes(range(100)))
    world.buckets.get("vault", entry.key).body = b"!" + bytes(range(1, 100))
    task = shard_of(world, [entry])
    while not (done := work(world, task, Clock(60_030, 10))).done:
        pass
    assert [one.problem for one in done.findings] == [Problem.REPAIRED]


def test_a_hash_that_cannot_be_resumed_is_left_to_s3_after_a_whole_worker(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "PIECE", 10)
    body = bytes(100)
    known = {"SHA256": checksum_of(body, "SHA256").value}
    task = shard_of(world, [stored(world, "a-long", body, known), stored(world, "b-short", b"x")])
    first = work(world, task, lambda: 0)
    assert (first.done, first.findings, first.deferred) == (False, (), {"SHA256": 1})
    rest = work(world, task)
    assert (rest.done, rest.complete, rest.objects, rest.deferred) == (True, False, 1, {"SHA256": 1})


def test_a_duplicate_worker_finds_the_shard_done(world):
    task = shard_of(world, [stored(world, "one", b"x")])
    work(world, task)
    assert work(world, task).objects == 1
    assert world.vault_bytes.read["objects/one"] == 1


def test_ten_thousand_lines_are_checked_in_little_memory(world):
    """What grows with the shard is its own file and lines, never the bytes of its objects."""
    task = shard_of(world, [stored(world, f"{number:06d}", bytes(1000)) for number in range(10_000)])
    tracemalloc.start()
    done = work(world, task)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (done.objects, done.bytes) == (10_000, 10_000_000)
    assert peak < 48 * 1024**2


def test_a_piece_is_never_larger_than_its_bound(world, monkeypatch):
    monkeypatch.setattr(scrub_shard, "PIECE", 1000)
    work(world, shard_of(world, [stored(world, "one", bytes(5500))]))
    assert world.vault_bytes.largest == 1000


def test_the_door_says_whether_there_is_more(world, context):
    task = shard_of(world, [stored(world, "one", b"x")])
    assert scrub_shard_door.handler(task.model_dump(mode="json"), context) == {"item": "shards/000000", "more": False}
