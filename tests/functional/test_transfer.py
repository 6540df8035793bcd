"""Large models, many objects and shared ones: what is planned, what moves, and what a failover lays out."""

import datetime as dt
from functools import partial

import pytest

from mldr import wiring
from mldr.domain.manifests import ShardLimits
from mldr.domain.transfers import CopyLimits
from mldr.errors import ArtifactChanged, VaultRefused
from tests.fakes.objects import checksum_of
from tests.fakes.world import FakeWorld
from tests.functional.story import (
    CHURN,
    GOLDEN,
    WEIGHTS,
    capture,
    clients_follow,
    document,
    entries,
    fail_over,
    manifest,
    point,
    promoted,
    protect,
    run,
    stock,
)

OWNER = f"model/{CHURN}"


def prefix_of(where):
    """A model whose data is a prefix."""
    source = {"S3DataSource": {"S3Uri": f"s3://lake/{where}", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    return {"ModelDataSource": source, "ModelDataUrl": None}


def shards_of(world, where, count, **how):
    """Upload the files of a model."""
    for number in range(count):
        world.buckets.put("lake", f"{where}shard-{number:05d}.bin", f"{number}".encode() * (number % 7), **how)


def llama(world, where="llama/v1/", count=150, **how):
    """Promote a model of many files."""
    stock(world)
    shards_of(world, where, count, **how)
    described = document(**prefix_of(where))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    return world.registry.promote("churn", described)


def newest(world):
    return max(world.catalog.records(CHURN), key=lambda record: (record.started_at, record.recovery_point))


@pytest.fixture
def small(monkeypatch):
    """Shards of about four objects."""
    monkeypatch.setattr("mldr.domain.manifests.ShardLimits", partial(ShardLimits, least=2, mean=4, most=8))


def hurried(context, shards):
    """A function that has time for so many shards in each call."""
    seen = []

    def remaining():
        seen.append(1)
        return 59_999 if len(seen) % shards == 0 else 900_000

    context.get_remaining_time_in_millis = remaining


# planning


def test_a_model_of_many_files_is_cut_into_shards_that_hold_each_file_once(world, context, small):
    assert protect(world, context, llama(world)).status == "SUCCEEDED"
    sealed, held = manifest(world), entries(world)
    assert len(sealed.shards) > 15
    assert [entry.name for entry in held] == sorted(entry.name for entry in held)
    assert (len(held), sealed.objects, point(world).objects) == (151, 151, 151)
    assert [(one.first, one.last) for one in sealed.shards] == sorted((one.first, one.last) for one in sealed.shards)
    for entry in held:
        assert world.vault.read(entry.key, entry.version_id) == world.buckets.get("lake", entry.source_key).body
        assert entry.key == f"{sealed.layout}/{entry.name}"


def test_an_inventory_that_runs_out_of_time_goes_on_where_it_stopped(world, context, small):
    hurried(context, shards=3)
    ended = protect(world, context, llama(world))
    assert ended.status == "SUCCEEDED"
    assert ended.path.count("TakeInventory") > 5
    assert (len(entries(world)), len(world.copier.copied)) == (151, 151)


def test_an_inventory_cut_short_makes_the_same_shards_as_one_that_was_not(context, monkeypatch, small):
    spans = []
    for shards in (1000, 1, 4):
        made = FakeWorld()
        monkeypatch.setattr(wiring, "world", lambda made=made: made)
        hurried(context, shards)
        protect(made, context, llama(made))
        spans.append([(one.first, one.last, one.objects, one.bytes) for one in manifest(made).shards])
    assert spans[0] == spans[1] == spans[2]
    assert len(spans[0]) > 15


def test_an_inventory_that_dies_begins_again_at_its_last_stop(world, context, small, monkeypatch):
    execution = capture(world, context, llama(world))
    hurried(context, shards=5)
    listed, listing = [], world.sources.list

    def dies_once(bucket, prefix, **how):
        listed.append(how.get("after", ""))
        if len(listed) == 3:
            raise KeyboardInterrupt
        return listing(bucket, prefix, **how)

    monkeypatch.setattr(world.sources, "list", dies_once)
    with pytest.raises(KeyboardInterrupt):
        run(world, context, execution)
    assert run(world, context, execution).status == "SUCCEEDED"
    assert listed[:2] == ["", listed[1]]
    assert listed[2] == listed[3] > listed[1], "what was planned before the last stop is not listed again"
    assert len(world.copier.copied) == 151


def test_references_of_every_kind_stand_in_one_manifest(world, context, small):
    """Two containers, one with a prefix, one with a file; a file of the environment; golden inferences; empty files."""
    stock(world)
    shards_of(world, "two/", 9)
    world.buckets.put("lake", "two/", b"")
    world.buckets.put("lake", "vocab.txt", b"")
    described = document(Environment={"VOCAB": "s3://lake/vocab.txt"})
    second = {**described["InferenceSpecification"]["Containers"][0], **prefix_of("two/")}
    del second["ModelDataUrl"]
    described["InferenceSpecification"]["Containers"].append(second)
    assert protect(world, context, world.registry.promote("churn", described)).status == "SUCCEEDED"
    held = {entry.name: entry for entry in entries(world)}
    stem = "InferenceSpecification.Containers"
    prefix = f"{stem}.1.ModelDataSource.S3DataSource.S3Uri/"
    assert {name for name in held if not name.startswith(prefix)} == {
        f"{stem}.0.Environment.VOCAB/vocab.txt",
        f"{stem}.0.ModelDataUrl/model.tar.gz",
        f"{stem}.1.Environment.VOCAB/vocab.txt",
        "golden/golden.jsonl",
    }
    assert {name.removeprefix(prefix) for name in held if name.startswith(prefix)} == {
        "", *(f"shard-{number:05d}.bin" for number in range(9))
    }  # fmt: skip
    assert world.vault.read(held[f"{stem}.0.Environment.VOCAB/vocab.txt"].key) == b""
    assert manifest(world).golden.version_id == held["golden/golden.jsonl"].version_id


# large objects


def test_a_large_object_is_copied_in_parts_by_functions_of_their_own(world, context):
    world.copier.limits = CopyLimits(single_copy=35, part=2)
    weights = bytes(range(40))
    stock(world)
    world.buckets.put("lake", "churn/model.tar.gz", weights, checksum="CRC64NVME")
    ended = protect(world, context, world.registry.promote("churn", document()))
    assert ended.status == "SUCCEEDED"
    assert "CopyParts" in ended.path
    [model] = [entry for entry in entries(world) if entry.name.endswith("model.tar.gz")]
    assert world.vault.read(model.key, model.version_id) == weights
    items = world.catalog.items(world.catalog.transfer(OWNER, point(world).recovery_point))
    assert [item.item for item in items if item.done_at] == [
        "parts/000001", "parts/000002", "shards/000001",
    ]  # fmt: skip
    assert sum(item.bytes for item in items) == 40 + len(GOLDEN)


def test_parts_that_an_attempt_finished_are_not_copied_by_the_next(world, context, monkeypatch):
    world.copier.limits = CopyLimits(single_copy=35, part=1)
    stock(world)
    world.buckets.put("lake", "churn/model.tar.gz", bytes(40), checksum="CRC64NVME")
    arn, copied, copy_parts = world.registry.promote("churn", document()), [], world.copier.copy_parts

    def refuses_the_third(entry, upload, parts):
        copied.append(parts[0].number)
        if len(copied) == 3:
            raise VaultRefused("not now")
        copy_parts(entry, upload, parts)

    monkeypatch.setattr(world.copier, "copy_parts", refuses_the_third)
    assert protect(world, context, arn).status == "FAILED"
    assert "VaultRefused: not now" in point(world).reason
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert copied == [1, 17, 33, 33]


# repeated work


def test_a_shard_that_is_done_twice_is_one_shard(world, context, monkeypatch):
    """Its function dies after the lines were sealed and before they were noted; two that run at once do no harm."""
    done = world.catalog.item_done
    deaths = []

    def dies_once(transfer, item):
        if not deaths:
            deaths.append(item)
            raise KeyboardInterrupt
        done(transfer, item)

    execution = capture(world, context, promoted(world))
    monkeypatch.setattr(world.catalog, "item_done", dies_once)
    with pytest.raises(KeyboardInterrupt):
        run(world, context, execution)
    assert run(world, context, execution).status == "SUCCEEDED"
    [ref] = manifest(world).shards
    assert ref == deaths[0].ref
    assert world.vault.versions(ref.key) == [ref.version_id]
    assert len(world.copier.copied) == 2


def test_a_source_that_changed_makes_the_plan_stale_and_what_was_sealed_is_used_by_the_next(
    world, context, small, monkeypatch
):
    """Of a bucket without versions, nothing but the copy can tell that the object is another one now."""
    arn = llama(world)
    copy, broken = world.copier.copy, []

    def changed(items, retention, **how):
        if any(entry.name.endswith("shard-00100.bin") for entry in items) and not broken:
            broken.append(world.catalog.transfer(OWNER, point(world).recovery_point).plan)
            raise ArtifactChanged("shard-00100.bin is no longer what was pinned")
        return copy(items, retention, **how)

    monkeypatch.setattr(world.copier, "copy", changed)
    assert protect(world, context, arn).status == "FAILED"
    assert "ArtifactChanged" in point(world).reason
    before = len(world.copier.copied)
    assert 60 < before < 110
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert world.catalog.transfer(OWNER, point(world).recovery_point).plan != broken[0]
    assert len(world.copier.copied) == 151
    assert manifest(world).shared == before


def test_a_plan_that_is_too_old_for_its_locks_is_made_anew(world, context, monkeypatch):
    arn = promoted(world)
    with monkeypatch.context() as dying:
        dying.setattr(world.vault, "seal", lambda key, content, retention: (_ for _ in ()).throw(VaultRefused("no")))
        assert protect(world, context, arn).status == "FAILED"
    plan = world.catalog.transfer(OWNER, point(world).recovery_point).plan
    world.clock.move(hours=30)
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert world.catalog.transfer(OWNER, point(world).recovery_point).plan != plan
    period = manifest(world).policy.retention.period
    for entry in entries(world):
        held = world.buckets.get("vault", entry.key, entry.version_id).retention
        assert held.until >= point(world).sealed_at + period


# sharing


def test_of_a_version_that_shares_149_of_150_files_one_is_copied(world, context, small):
    protect(world, context, llama(world))
    first = point(world)
    assert len(world.copier.copied) == 151
    world.clock.move(hours=1)
    world.buckets.put("lake", "llama/v1/shard-00070.bin", b"fine-tuned")
    again = document(**prefix_of("llama/v1/"))
    again["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", again))
    second = newest(world)
    assert second.recovery_point != first.recovery_point
    assert [key.rpartition("/")[2] for key in world.copier.copied[151:]] == ["shard-00070.bin"]
    assert (manifest(world, second).objects, manifest(world, second).shared) == (151, 150)
    locks = {world.buckets.get("vault", one.key, one.version_id).retention for one in entries(world, second)}
    assert locks == {manifest(world, second).retention}, "what is shared is locked for as long as the newer point"


def test_files_uploaded_again_elsewhere_are_shared_if_their_sha256_says_so(world, context, small):
    protect(world, context, llama(world))
    world.clock.move(hours=1)
    protect(world, context, llama(world, "llama/v2/"))
    assert len(world.copier.copied) == 151
    assert manifest(world, newest(world)).shared == 151


def test_a_crc_never_proves_that_files_are_the_same(world, context, small):
    protect(world, context, llama(world, checksum="CRC64NVME"))
    world.clock.move(hours=1)
    protect(world, context, llama(world, "llama/v2/", checksum="CRC64NVME"))
    assert len([key for key in world.copier.copied if key.endswith(".bin")]) == 300


def test_the_null_version_of_a_bucket_without_versions_never_proves_it_either(world, context, small):
    world.buckets.make("lake", versioned=False)
    protect(world, context, llama(world, checksum=False))
    world.clock.move(hours=1)
    shards_of(world, "llama/v1/", 150, checksum=False)
    described = document(Environment={"EDITED": "1"}, **prefix_of("llama/v1/"))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", described))
    assert len([key for key in world.copier.copied if key.endswith(".bin")]) == 300


def test_a_policy_that_asks_for_sha256_gets_one_of_every_object_and_shares_none_without(world, context, small):
    protect(world, context, llama(world, checksum="CRC64NVME"))
    world.clock.move(hours=1)
    world.policies.put(
        world.policies.text.replace("match: sagemaker/churn", "match: sagemaker/churn\n    digest: sha256")
    )
    described = document(Environment={"EDITED": "1"}, **prefix_of("llama/v1/"))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", described))
    held = entries(world, newest(world))
    assert {entry.name: entry.digests.get("SHA256") for entry in held} == {
        entry.name: checksum_of(world.buckets.get("lake", entry.source_key).body, "SHA256").value for entry in held
    }
    assert len([key for key in world.copier.copied if key.endswith(".bin")]) == 300


def test_what_an_expired_point_held_is_copied_again(world, context, small):
    """Its locks may end before the new ones are set."""
    protect(world, context, llama(world))
    world.clock.move(days=36)
    described = document(Environment={"EDITED": "1"}, **prefix_of("llama/v1/"))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", described))
    assert manifest(world, newest(world)).shared == 0


# serving what is shared


@pytest.fixture
def shared(world, context, small):
    """Two points of a model of many files, the newer one with all but one file of the older."""
    protect(world, context, llama(world))
    world.clock.move(hours=1)
    world.buckets.put("lake", "llama/v1/shard-00070.bin", b"fine-tuned")
    described = document(**prefix_of("llama/v1/"))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", described))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def served(world):
    """The files under the prefix that the endpoint loads, by relative name."""
    [plan] = [one.plan for one in world.serving.endpoints.values()]
    uri = plan.models[0].containers[0]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    prefix = uri.removeprefix("s3://vault/")
    return {key.removeprefix(prefix): world.vault.read(key) for key in world.buckets.keys("vault", prefix)}


def test_a_failover_lays_out_what_the_point_shares_with_older_ones(shared, context):
    world = shared
    assert fail_over(world, context).status == "SUCCEEDED"
    wanted = {key: world.buckets.get("lake", key).body for key in world.buckets.keys("lake", "llama/v1/")}
    assert served(world) == {key.removeprefix("llama/v1/"): body for key, body in wanted.items()}
    assert served(world)["shard-00070.bin"] == b"fine-tuned"


def test_a_layout_that_takes_longer_than_a_function_may_is_carried_on(shared, context, monkeypatch):
    monkeypatch.setattr("mldr.steps.materialise_serving.WINDOW", ShardLimits(least=10, mean=10, most=10))
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: 100_000)
    ended = fail_over(shared, context)
    assert ended.status == "SUCCEEDED"
    assert ended.path.count("MaterialiseServing") == 16
    assert len(served(shared)) == 150


def test_a_layout_that_is_made_again_copies_nothing_again(shared, context):
    fail_over(shared, context)
    before = len(shared.copier.copied)
    assert run(shared, context, "failover-1", "failover").status == "SUCCEEDED"
    assert len(shared.copier.copied) == before


def test_a_layout_reads_the_vault_alone(shared, context, monkeypatch):
    for key in shared.buckets.keys("lake"):
        shared.buckets.erase("lake", key, shared.buckets.get("lake", key).version_id)
    assert fail_over(shared, context).status == "SUCCEEDED"
    assert len(served(shared)) == 150


def test_a_model_of_one_file_that_two_points_share_is_served_from_its_own_layout(world, context):
    protect(world, context, promoted(world))
    world.clock.move(hours=1)
    protect(world, context, world.registry.promote("churn", document(Environment={"THRESHOLD": "0.7"})))
    assert manifest(world, newest(world)).shared >= 1
    clients_follow(world)
    assert fail_over(world, context).status == "SUCCEEDED"
    [plan] = [one.plan for one in world.serving.endpoints.values()]
    key = plan.models[0].containers[0]["ModelDataUrl"].removeprefix("s3://vault/")
    assert f"/{newest(world).recovery_point}/" in key
    assert world.vault.read(key) == WEIGHTS


def test_a_point_that_shares_nothing_is_served_without_a_copy(world, context):
    protect(world, context, promoted(world))
    clients_follow(world)
    before = len(world.copier.copied)
    assert fail_over(world, context).status == "SUCCEEDED"
    assert len(world.copier.copied) == before


def test_a_shard_that_is_sealed_for_longer_already_stays_so(world, context, monkeypatch):
    """A policy whose retention became shorter must not fail for what an older one locked."""
    execution = capture(world, context, promoted(world))
    item_done = world.catalog.item_done
    monkeypatch.setattr(world.catalog, "item_done", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(world, context, execution)
    monkeypatch.setattr(world.catalog, "item_done", item_done)
    [key] = [key for key in world.buckets.keys("vault", "recovery-points/") if key.endswith(".avro")]
    held = world.buckets.get("vault", key)
    held.retention = held.retention.model_copy(update={"until": held.retention.until + dt.timedelta(days=365)})
    before = held.retention
    assert run(world, context, execution).status == "SUCCEEDED"
    assert world.buckets.get("vault", key).retention == before


def test_a_point_that_was_found_damaged_is_not_reused(world, context, small):
    protect(world, context, llama(world))
    world.catalog.annotate(CHURN, point(world).recovery_point, damaged="shard-00003.bin is not what was sealed")
    world.clock.move(hours=1)
    described = document(Environment={"EDITED": "1"}, **prefix_of("llama/v1/"))
    described["InferenceSpecification"]["Containers"][0].pop("ModelDataUrl")
    protect(world, context, world.registry.promote("churn", described))
    assert manifest(world, newest(world)).shared == 0
