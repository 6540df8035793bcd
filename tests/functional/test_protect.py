"""Protecting a promoted model: through the doors, in the order of the state machine, on a world in memory."""

import pytest

from functions.seal_recovery_point import app as seal_recovery_point
from mldr.domain.manifests import decode, encode
from mldr.domain.recovery_point import Phase, manifest_key, newest_restorable
from mldr.errors import LostRace, Throttled, VaultRefused
from tests.fakes.objects import checksum_of
from tests.fakes.world import ACTIVE, POLICY, STANDBY
from tests.functional.story import (
    CHURN,
    DIGEST,
    IMAGE,
    WEIGHTS,
    capture,
    deliver,
    document,
    entries,
    manifest,
    package_event,
    point,
    promoted,
    protect,
    run,
    stock,
)

SCIKIT = f"121021644041.dkr.ecr.{ACTIVE}.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def failed(world, ended, *, error, says):
    """The execution failed by `error`, the record says why, and the bus heard it."""
    assert (ended.status, ended.last, ended.data["error"]["Error"]) == ("FAILED", "Failed", error)
    record = point(world)
    assert record.phase is Phase.FAILED
    assert says in record.reason
    assert not record.restorable
    [told] = world.bus.named("Recovery Point Failed")
    assert (told["phase"], told["reason"]) == ("FAILED", record.reason)
    assert world.vault.versions(manifest_key(CHURN, record.recovery_point)) == []
    return record


def test_an_approved_version_becomes_a_sealed_recovery_point(world, context):
    arn = promoted(world)
    ended = protect(world, context, arn)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Conclude")
    record, sealed = point(world), manifest(world)
    assert (record.phase, record.objects, record.restorable) == (Phase.SEALED, 2, True)
    held = entries(world)
    assert record.bytes == sealed.bytes == sum(item.size for item in held)
    assert {item.source_key for item in held} == {"churn/model.tar.gz", "churn/golden.jsonl"}
    for item in held:
        body = world.vault.read(item.key, item.version_id)
        assert item.digests
        for algorithm, value in item.digests.items():
            assert checksum_of(body, algorithm).value == value
        assert world.buckets.get("vault", item.key, item.version_id).retention == sealed.retention
    assert [world.buckets.get("vault", one.key, one.version_id).retention for one in sealed.shards] == [
        sealed.retention
    ]
    assert (sealed.retention.mode, sealed.shared) == ("GOVERNANCE", 0)
    assert sealed.golden.key.endswith("golden.jsonl")
    [told] = world.bus.named("Recovery Point Sealed")
    assert (told["recovery_point"], told["target_arn"]) == (record.recovery_point, record.target_arn)


def test_the_standby_registry_gets_the_version_with_its_references_rewritten(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    twin = world.registry.standby[point(world).target_arn]
    container = twin.document["InferenceSpecification"]["Containers"][0]
    assert container["Image"] == f"123456789012.dkr.ecr.{STANDBY}.amazonaws.com/churn@{DIGEST}"
    assert container["ModelDataUrl"].startswith(
        f"s3://vault/recovery-points/sagemaker/churn/{point(world).recovery_point}/"
    )
    assert world.vault.read(container["ModelDataUrl"].removeprefix("s3://vault/")) == WEIGHTS
    assert (twin.status, twin.copied_from) == ("Approved", arn)


def test_the_model_is_onboarded_with_records_and_checks(world, context):
    protect(world, context, promoted(world))
    names = {name for name, _ in world.dns.records}
    assert names == {"churn.models.example", "_health.churn.models.example", "_switch.churn.models.example"}
    assert world.catalog.route(CHURN).standby.target == f"target.{STANDBY}.example"


def test_a_model_is_not_named_before_its_switch_is_seen_to_be_off(world, context):
    """A new inverted check starts unhealthy: the record would send clients to a standby that has nothing."""
    execution = capture(world, context, promoted(world))
    world.outside.texts["_switch"] = "on"
    tries = []

    def before(state, attempt):
        if state == "OnboardModel":
            tries.append(attempt)
            assert ("churn.models.example", "primary") not in world.dns.records
            world.outside.texts["_switch"] = "off" if attempt == 5 else None

    assert run(world, context, execution, before=before).status == "SUCCEEDED"
    assert tries == [0, 1, 2, 3, 4, 5]
    assert ("churn.models.example", "primary") in world.dns.records


def test_a_sealed_point_stays_sealed_when_its_onboarding_fails_and_the_next_event_finishes_it(world, context):
    arn = promoted(world)
    world.fronts.missing.add(ACTIVE)
    ended = protect(world, context, arn)
    assert (ended.status, point(world).phase) == ("FAILED", Phase.SEALED)
    assert "deploy mldr's stack" in point(world).reason
    assert point(world).restorable
    world.fronts.missing.clear()
    again = capture(world, context, arn)
    assert run(world, context, again).path[:3] == ("TakeInventory", "Planned?", "SyncRegistry")
    assert (point(world).reason, world.catalog.route(CHURN) is not None) == ("", True)


def test_the_same_event_twice_makes_one_recovery_point_and_one_execution(world, context):
    arn = promoted(world)
    event = package_event(world, arn)
    assert deliver("capture_recovery_point", context, event, event) == []
    assert deliver("capture_recovery_point", context, event) == []
    assert len(world.workflows.started) == 1
    [execution] = world.workflows.started
    run(world, context, execution)
    assert deliver("capture_recovery_point", context, event) == []
    assert len(world.workflows.started) == 1
    assert point(world).attempt == 1


def test_a_metadata_edit_that_fires_the_event_again_is_the_same_recovery_point(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    world.registry.edit(arn, tags={"owner": "somebody else"})
    assert capture(world, context, arn) is None
    assert point(world).attempt == 1


def test_an_edit_of_what_is_served_is_another_recovery_point(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    world.registry.edit(arn, document=document(Environment={"THRESHOLD": "0.7"}))
    protect(world, context, arn)
    assert [record.phase for record in world.catalog.records(CHURN)] == [Phase.SEALED, Phase.SEALED]


def test_events_out_of_order_act_on_what_the_registry_says_now(world, context):
    """An old `Rejected` that arrives after the approval changes nothing, because the package is described anew."""
    arn = promoted(world)
    stale = package_event(world, arn)
    stale["detail"]["ModelApprovalStatus"] = "Rejected"
    assert deliver("capture_recovery_point", context, stale) == []
    assert len(world.workflows.started) == 1


def test_an_older_version_sealed_later_does_not_win_over_the_newer(world, context):
    first = promoted(world)
    slow = capture(world, context, first)
    world.clock.move(minutes=1)
    second = world.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/two.tar.gz"))
    world.buckets.put("lake", "churn/two.tar.gz", b"weights of version two")
    protect(world, context, second)
    world.clock.move(minutes=1)
    run(world, context, slow)
    assert newest_restorable(world.catalog.records(CHURN)).origin.arn == second


def test_approved_then_rejected_is_withdrawn_but_kept(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    world.registry.edit(arn, status="Rejected")
    assert capture(world, context, arn) is None
    record = point(world)
    assert (record.phase, record.withdrawn, record.restorable) == (Phase.SEALED, "the registry says Rejected", False)
    assert world.registry.standby[record.target_arn].status == "Rejected"


def test_approved_again_is_restorable_again(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    for status in ("Rejected", "Approved"):
        world.registry.edit(arn, status=status)
        capture(world, context, arn)
    record = point(world)
    assert (record.withdrawn, record.restorable) == (None, True)
    assert world.registry.standby[record.target_arn].status == "Approved"


def test_rejected_while_it_is_copied_is_sealed_but_withdrawn(world, context):
    arn = promoted(world)
    execution = capture(world, context, arn)

    def before(state, attempt):
        if state == "Seal":
            world.registry.edit(arn, status="Rejected")
            capture(world, context, arn)

    assert run(world, context, execution, before=before).status == "SUCCEEDED"
    assert (point(world).phase, point(world).restorable) == (Phase.SEALED, False)
    assert world.registry.standby[point(world).target_arn].status == "Rejected"


def test_rejected_and_approved_again_before_the_seal_is_restorable(world, context):
    arn = promoted(world)
    execution = capture(world, context, arn)
    world.workflows.active.clear()
    for status in ("Rejected", "Approved"):
        world.registry.edit(arn, status=status)
        execution = capture(world, context, arn) or execution
    run(world, context, execution)
    assert (point(world).withdrawn, point(world).restorable) == (None, True)


def test_a_rejection_of_something_unknown_is_skipped(world, context):
    arn = world.registry.promote("churn", document(), status="Rejected")
    assert capture(world, context, arn) is None
    assert world.catalog.models() == []


def test_mldrs_own_copy_is_not_protected_again(world, context):
    """The standby's stack forwards its own registry's events too: without this, two regions copy each other forever."""
    arn = world.registry.promote("churn", document(), copied_from="arn:of:the:original")
    assert capture(world, context, arn) is None
    assert world.catalog.records(CHURN) == []


def test_a_promotion_by_hand_means_the_newest_approved_version(world, context):
    promoted(world)
    second = world.registry.promote("churn", document())
    by_hand = {
        **package_event(world, second),
        "source": "mldr",
        "detail-type": "Model Promoted",
        "detail": {"model": "sagemaker/churn"},
    }
    assert deliver("capture_recovery_point", context, by_hand) == []
    assert point(world).origin.arn == second


def test_an_attempt_that_still_runs_is_not_started_again(world, context):
    arn = promoted(world)
    capture(world, context, arn)
    assert capture(world, context, arn) is None


def test_an_attempt_that_stopped_without_a_word_is_resumed(world, context):
    arn = promoted(world)
    first = capture(world, context, arn)
    world.workflows.active.clear()
    second = capture(world, context, arn)
    assert second != first
    assert run(world, context, second).status == "SUCCEEDED"
    assert (point(world).phase, point(world).attempt) == (Phase.SEALED, 2)


def test_work_of_a_superseded_attempt_is_refused(world, context):
    arn = promoted(world)
    old = capture(world, context, arn)
    world.workflows.active.clear()
    capture(world, context, arn)
    ended = run(world, context, old)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Superseded")
    assert point(world).phase is Phase.CAPTURING


def test_superseded_in_the_middle_of_a_copy_changes_nothing(world, context):
    arn = promoted(world)
    old = capture(world, context, arn)

    def before(state, attempt):
        if state == "CopyShard":
            world.workflows.active.clear()
            capture(world, context, arn)

    ended = run(world, context, old, before=before)
    assert ended.last == "Superseded"
    assert (point(world).attempt, point(world).phase, point(world).reason) == (2, Phase.CAPTURING, "")


def test_a_throttled_copy_is_tried_again_by_the_state_machine(world, context, monkeypatch):
    execution = capture(world, context, promoted(world))
    copy, refusals = world.copier.copy, [Throttled("slow down"), Throttled("slow down")]

    def throttled(items, retention, **how):
        if refusals:
            raise refusals.pop()
        return copy(items, retention, **how)

    monkeypatch.setattr(world.copier, "copy", throttled)
    assert run(world, context, execution).status == "SUCCEEDED"
    assert (point(world).phase, point(world).reason) == (Phase.SEALED, "")


# What must fail, and say why


def test_a_missing_artifact_fails_the_capture_by_name(world, context):
    arn = world.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/nothing.tar.gz"))
    stock(world)
    failed(world, protect(world, context, arn), error="MissingArtifact", says="s3://lake/churn/nothing.tar.gz")


def test_a_missing_bucket_fails_the_capture_by_name(world, context):
    stock(world)
    source = {"S3DataSource": {"S3Uri": "s3://gone/churn/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    arn = world.registry.promote("churn", document(ModelDataSource=source))
    failed(world, protect(world, context, arn), error="MissingArtifact", says="gone")


def test_an_empty_prefix_fails_the_capture_by_field(world, context):
    stock(world)
    source = {"S3DataSource": {"S3Uri": "s3://lake/empty/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    arn = world.registry.promote("churn", document(ModelDataSource=source))
    failed(
        world,
        protect(world, context, arn),
        error="MissingArtifact",
        says="InferenceSpecification.Containers[0].ModelDataSource.S3DataSource.S3Uri",
    )


def test_every_object_of_a_prefix_is_sealed_under_its_relative_name(world, context):
    for name in ("a/weights.bin", "a/deep/tokens.json", "a/ünïcode.txt"):
        world.buckets.put("lake", name, name.encode())
    source = {"S3DataSource": {"S3Uri": "s3://lake/a/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
    arn = promoted(world, ModelDataSource=source)
    protect(world, context, arn)
    twin = world.registry.standby[point(world).target_arn]
    prefix = twin.document["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    base = prefix.removeprefix("s3://vault/")
    assert base.endswith("/")
    assert {key.removeprefix(base) for key in world.buckets.keys("vault", base)} == {
        "weights.bin",
        "deep/tokens.json",
        "ünïcode.txt",
    }


def test_overwritten_between_event_and_copy_the_pinned_version_is_copied(world, context):
    execution = capture(world, context, promoted(world))

    def before(state, attempt):
        if state == "CopyShard":
            world.buckets.put("lake", "churn/model.tar.gz", b"an evil twin")

    assert run(world, context, execution, before=before).status == "SUCCEEDED"
    assert WEIGHTS in {world.vault.read(item.key, item.version_id) for item in entries(world)}


def test_overwritten_before_it_was_pinned_the_approved_bytes_are_missed_by_name(world, context):
    arn = promoted(world)
    world.buckets.put("lake", "churn/model.tar.gz", b"an evil twin")
    record = failed(world, protect(world, context, arn), error="ArtifactChanged", says="s3://lake/churn/model.tar.gz")
    assert "was registered" in record.reason


def test_deleted_between_event_and_copy_the_failure_names_the_version(world, context):
    execution = capture(world, context, promoted(world))
    version = world.buckets.get("lake", "churn/model.tar.gz").version_id

    def before(state, attempt):
        if state == "CopyShard":
            world.buckets.erase("lake", "churn/model.tar.gz", version)

    ended = run(world, context, execution, before=before)
    failed(
        world,
        ended,
        error="States.ExceedToleratedFailureThreshold",
        says=f"MissingArtifact: the pinned s3://lake/churn/model.tar.gz (version {version})",
    )


def test_a_failed_point_is_resumed_by_the_next_event_once_the_cause_is_mended(world, context):
    arn = world.registry.promote("churn", document())
    assert protect(world, context, arn).status == "FAILED"
    stock(world)
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert (point(world).phase, point(world).attempt) == (Phase.SEALED, 2)


def test_a_resumed_copy_keeps_its_pins_while_they_exist(world, context, monkeypatch):
    """Its vault keys stay the same, so what was copied is not copied again."""
    arn = promoted(world)
    copy = world.copier.copy

    def dies_after_the_first(items, retention, **how):
        yield next(copy(items, retention, **how))
        raise VaultRefused("not now")

    with monkeypatch.context() as dying:
        dying.setattr(world.copier, "copy", dies_after_the_first)
        assert protect(world, context, arn).status == "FAILED"
    assert len(world.copier.copied) == 1
    world.buckets.put("lake", "churn/golden.jsonl", b"not golden at all")
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert [len(world.vault.versions(item.key)) for item in entries(world)] == [1, 1]
    assert len(world.copier.copied) == 2


def test_a_resumed_copy_pins_anew_when_a_pin_is_gone(world, context):
    arn = promoted(world)
    world.registry.edit(arn, document=document(ModelDataETag=None))
    execution = capture(world, context, arn)
    version = world.buckets.get("lake", "churn/model.tar.gz").version_id

    def before(state, attempt):
        if state == "CopyShard":
            world.buckets.erase("lake", "churn/model.tar.gz", version)
            world.buckets.put("lake", "churn/model.tar.gz", b"uploaded again")

    assert run(world, context, execution, before=before).status == "FAILED"
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert b"uploaded again" in {world.vault.read(item.key) for item in entries(world)}


def corrupt(world, monkeypatch, body):
    """The copy stores something else than the source holds."""
    put = world.buckets.put

    def corrupted(bucket, key, content, **how):
        damaged = bucket == "vault" and key.endswith("model.tar.gz")
        return put(bucket, key, body if damaged else content, **how)

    monkeypatch.setattr(world.buckets, "put", corrupted)


@pytest.mark.parametrize("body", [b"w" * len(WEIGHTS), b"short", b""])
def test_a_checksum_or_size_that_differs_is_never_sealed(world, context, monkeypatch, body):
    arn = promoted(world)
    corrupt(world, monkeypatch, body)
    ended = protect(world, context, arn)
    record = failed(world, ended, error="States.ExceedToleratedFailureThreshold", says="ChecksumMismatch")
    assert "model.tar.gz" in record.reason
    assert world.catalog.route(CHURN) is None


def test_an_object_whose_source_has_no_checksum_is_verified_all_the_same(world, context):
    arn = world.registry.promote("churn", document())
    stock(world)
    world.buckets.put("lake", "churn/model.tar.gz", WEIGHTS, checksum=False)
    assert protect(world, context, arn).status == "SUCCEEDED"
    [model] = [item for item in entries(world) if item.key.endswith("model.tar.gz")]
    assert model.digests["CRC64NVME"] == checksum_of(WEIGHTS).value


def test_a_vault_that_refuses_a_write_fails_by_name(world, context, monkeypatch):
    def refuse(items, retention, **how):
        raise VaultRefused(f"the vault refused {items[0].key}; look at its bucket policy")

    monkeypatch.setattr(world.copier, "copy", refuse)
    ended = protect(world, context, promoted(world))
    failed(world, ended, error="States.ExceedToleratedFailureThreshold", says="VaultRefused: the vault refused")


def test_a_vault_that_refuses_a_shard_never_seals(world, context, monkeypatch):
    seal = world.vault.seal

    def refuse(key, content, retention):
        if key.endswith(".avro"):
            raise VaultRefused(f"the vault refused {key}")
        return seal(key, content, retention)

    monkeypatch.setattr(world.vault, "seal", refuse)
    ended = protect(world, context, promoted(world))
    failed(world, ended, error="States.ExceedToleratedFailureThreshold", says="VaultRefused: the vault refused")


def test_a_vault_that_refuses_the_manifest_fails(world, context, monkeypatch):
    seal = world.vault.seal

    def refuse(key, content, retention):
        if key.endswith("manifest.json"):
            raise VaultRefused(f"the vault refused {key}")
        return seal(key, content, retention)

    monkeypatch.setattr(world.vault, "seal", refuse)
    failed(world, protect(world, context, promoted(world)), error="VaultRefused", says="manifest.json")


def test_a_transfer_with_an_unfinished_piece_is_never_sealed(world, context, monkeypatch):
    monkeypatch.setattr(world.catalog, "item_done", lambda transfer, item: None)
    ended = protect(world, context, promoted(world))
    failed(world, ended, error="ChecksumMismatch", says="0 of 2 objects (0 of 54 bytes) are verified, shards/000001")


def test_a_shard_that_lost_a_line_is_never_sealed(world, context):
    execution = capture(world, context, promoted(world))

    def before(state, attempt):
        if state == "CopyShard":
            [key] = [key for key in world.buckets.keys("vault", "in-progress/") if key.endswith(".avro")]
            world.vault.keep(key, encode(list(decode(world.vault.read(key)))[:-1]))

    ended = run(world, context, execution, before=before)
    failed(world, ended, error="ChecksumMismatch", says="1 of 2 objects")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("docker.io/library/churn:1", "is not an ECR reference"),
        ("121021644041.dkr.ecr.ap-southeast-1.amazonaws.com/nowhere-else:1", "does not exist"),
    ],
)
def test_an_image_that_cannot_be_rewritten_fails_the_capture(world, context, image, says):
    arn = promoted(world, Image=image)
    ended = protect(world, context, arn)
    assert ended.path[-2:] == ("RecordFailure", "Failed")
    assert "Copy" not in ended.path
    assert says in point(world).reason


def test_an_image_that_is_not_replicated_fails_the_capture_by_name(world, context):
    arn = promoted(world)
    world.images.pushed.pop((STANDBY, "churn"))
    failed(
        world,
        protect(world, context, arn),
        error="ImageNotReplicated",
        says=f"replicate the repository churn to {STANDBY}",
    )


def test_an_image_of_another_digest_in_the_standby_is_not_the_approved_one(world, context):
    arn = promoted(world)
    world.images.push(STANDBY, "churn", "1", f"sha256:{'b' * 64}")
    failed(world, protect(world, context, arn), error="ImageNotReplicated", says=DIGEST)


def test_an_image_that_is_nowhere_is_missing(world, context):
    arn = promoted(world, Image=IMAGE.replace("churn:1", "churn:404"))
    failed(world, protect(world, context, arn), error="MissingArtifact", says="churn:404")


def test_a_reference_in_an_unknown_field_fails_the_capture(world, context):
    arn = promoted(world, Unheard="arn:aws:iam:ap-southeast-1:123456789012:role/x")
    failed(world, protect(world, context, arn), error="BadReference", says="Containers[0].Unheard")


@pytest.mark.parametrize("hidden", [True, False])
def test_a_crash_after_the_manifest_was_written_finds_it_and_seals_by_it(world, context, monkeypatch, hidden):
    """The first manifest counts: written once, it is never written over, whatever the next attempt would say."""
    arn = promoted(world)
    execution = capture(world, context, arn)
    advance = world.catalog.advance

    def dies(record):
        if record.phase is Phase.SEALED:
            raise KeyboardInterrupt
        advance(record)

    with monkeypatch.context() as dying:
        dying.setattr(world.catalog, "advance", dies)
        with pytest.raises(KeyboardInterrupt):
            run(world, context, execution)
    assert not point(world).restorable
    if hidden:  # a delete marker hides it from a plain read, and from a conditional write
        world.buckets.put("vault", manifest_key(CHURN, point(world).recovery_point), None)
    world.clock.move(hours=1)
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert len(world.vault.versions(manifest_key(CHURN, point(world).recovery_point))) == 1
    assert point(world).sealed_at == manifest(world).sealed_at < world.clock.now()


@pytest.mark.parametrize("hidden", [True, False])
def test_a_manifest_that_another_writes_first_is_the_seal(world, context, monkeypatch, hidden):
    execution = capture(world, context, promoted(world))
    seal, won = world.vault.seal, []

    def beaten(key, content, retention):
        if key.endswith(".avro"):
            return seal(key, content, retention)
        won.append(seal(key, content.replace(b'"schema_version": 2', b'"schema_version":  2'), retention))
        if hidden:
            world.buckets.put("vault", key, None)
        raise LostRace(f"{key} is sealed already")

    monkeypatch.setattr(world.vault, "seal", beaten)
    assert run(world, context, execution).status == "SUCCEEDED"
    assert point(world).manifest_version == won[0]


def test_sealing_twice_gives_the_first_seal(world, context):
    protect(world, context, promoted(world))
    sealed = point(world)
    again = {"model": str(CHURN), "recovery_point": sealed.recovery_point, "attempt": 1}
    again["transfer"] = world.catalog.transfer(f"model/{CHURN}", sealed.recovery_point).model_dump(mode="json")
    retention = {"mode": "GOVERNANCE", "until": "2030-01-01T00:00:00Z"}
    world.clock.move(hours=1)
    assert seal_recovery_point.handler({**again, "retention": retention}, context)["sealed_at"]
    assert point(world) == sealed


@pytest.mark.parametrize(
    ("name", "at", "error"),
    [
        ("capture.json", "Seal", "MissingArtifact"),
        ("plan.json", "Seal", "MissingArtifact"),
        ("shards/000001.avro", "CopyShard", "States.ExceedToleratedFailureThreshold"),
    ],
)
def test_a_working_file_that_is_gone_fails_the_attempt_and_the_next_one_makes_it_anew(world, context, name, at, error):
    arn = promoted(world)
    execution = capture(world, context, arn)

    def before(state, attempt):
        if state == at:
            [key] = [key for key in world.buckets.keys("vault", "in-progress/") if key.endswith(name)]
            world.buckets.put("vault", key, None)

    ended = run(world, context, execution, before=before)
    failed(world, ended, error=error, says="protect the model again")
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert point(world).restorable


def test_a_sealed_point_whose_working_files_have_expired_is_finished(world, context):
    arn = promoted(world)
    world.fronts.missing.add(ACTIVE)
    protect(world, context, arn)
    world.registry.standby.clear()
    world.catalog.annotate(CHURN, point(world).recovery_point, target_arn=None)
    for key in world.buckets.keys("vault", "in-progress/"):
        world.buckets.put("vault", key, None)
    world.fronts.missing.clear()
    assert protect(world, context, arn).status == "SUCCEEDED"
    assert world.catalog.route(CHURN) is not None


def test_a_vault_key_that_s3_would_not_take_is_refused_with_the_objects_name(world, context):
    key = "long/" + "ü" * 500
    world.buckets.put("lake", key, b"x")
    arn = promoted(world, ModelDataSource={"S3DataSource": {"S3Uri": f"s3://lake/{key}", "S3DataType": "S3Object"}})
    failed(world, protect(world, context, arn), error="BadReference", says="S3 allows 1024; shorten the key")


def test_what_is_too_large_to_read_needs_a_checksum_of_its_own(world, context):
    arn = world.registry.promote("churn", document())
    stock(world)
    world.buckets.put("lake", "churn/model.tar.gz", WEIGHTS, checksum=False)
    world.copier.readable = len(WEIGHTS) - 1
    ended = protect(world, context, arn)
    failed(world, ended, error="States.ExceedToleratedFailureThreshold", says="ChecksumUnavailable: s3://lake/churn")


def test_keys_regions_and_images_of_aws_are_rewritten_for_the_standby(world, context):
    arn = promoted(world, Image=SCIKIT, Environment={"AWS_DEFAULT_REGION": ACTIVE, "THRESHOLD": "0.5"})
    entry = world.registry.describe(arn)
    more = {
        "SecurityConfig": {"KmsKeyId": f"arn:aws:kms:{ACTIVE}:123456789012:key/theirs"},
        "MetadataProperties": {"GeneratedBy": f"arn:aws:sagemaker:{ACTIVE}:123456789012:pipeline/train"},
    }
    world.registry.edit(arn, document={**entry.document, **more})
    assert protect(world, context, arn).status == "SUCCEEDED"
    twin = world.registry.standby[point(world).target_arn].document
    container = twin["InferenceSpecification"]["Containers"][0]
    assert container["Image"] == SCIKIT.replace("121021644041", "951798379941").replace(ACTIVE, STANDBY)
    assert container["Environment"] == {"AWS_DEFAULT_REGION": STANDBY, "THRESHOLD": "0.5"}
    assert twin["SecurityConfig"]["KmsKeyId"] == world.env.vault_key_arn
    assert twin["MetadataProperties"] == more["MetadataProperties"]


def test_an_image_that_aws_does_not_publish_in_the_standby_fails_the_capture(world, context):
    arn = promoted(world, Image=f"520713654638.dkr.ecr.{ACTIVE}.amazonaws.com/sagemaker-mxnet:1")
    says = f"AWS does not publish sagemaker-mxnet in {STANDBY}"
    failed(world, protect(world, context, arn), error="BadReference", says=says)


def test_a_promotion_by_hand_of_a_model_without_an_approved_version_is_refused(world, context):
    by_hand = {
        **package_event(world, "arn:aws:sagemaker:x:1:model-package/churn/1"),
        "source": "mldr",
        "detail-type": "Model Promoted",
        "detail": {"model": "sagemaker/churn"},
    }
    with pytest.raises(Exception, match="has no approved version in the active region"):
        deliver("capture_recovery_point", context, by_hand)


def test_a_copy_of_an_unsealed_point_is_never_registered(world, context, monkeypatch):
    ended = protect(world, context, world.registry.promote("churn", document()))
    assert ended.status == "FAILED"
    assert world.registry.standby == {}


def test_work_of_a_plan_that_another_took_the_place_of_is_refused(world, context):
    """What an older plan's function finished does not count, and the older execution seals nothing."""
    execution = capture(world, context, promoted(world))

    def before(state, attempt):
        if state == "CopyShard":
            held = world.catalog.transfer(f"model/{CHURN}", point(world).recovery_point)
            world.catalog.open_transfer(held.model_copy(update={"plan": "another"}), [])

    assert run(world, context, execution, before=before).status == "FAILED"
    assert world.copier.copied == []
    assert point(world).phase is Phase.FAILED


def test_golden_inferences_that_cannot_be_read_fail_the_capture_not_the_failover(world, context):
    arn = promoted(world)
    world.buckets.put("lake", "churn/golden.jsonl", b'{"request": 1}\n')
    failed(world, protect(world, context, arn), error="BadGolden", says="line 1: answer")


def test_a_policy_with_mistakes_fails_the_message_with_every_mistake(world, context, caplog):
    arn = promoted(world)
    world.policies.put("version: 2\nregions: [ap-southeast-1]\n")
    other = package_event(world, arn)
    with pytest.raises(Exception, match="BadPolicy") as caught:
        deliver("capture_recovery_point", context, other)
    assert "version" in str(caught.value)
    assert "regions" in str(caught.value)
    assert world.workflows.started == {}


def test_a_policy_that_was_mended_lets_the_redelivered_message_through(world, context):
    arn = promoted(world)
    good, world.policies.text = world.policies.text, None
    with pytest.raises(Exception, match="BadPolicy"):
        deliver("capture_recovery_point", context, package_event(world, arn))
    world.policies.put(good)
    assert protect(world, context, arn).status == "SUCCEEDED"


def test_a_model_that_no_entry_matches_is_protected_with_a_warning(world, context):
    world.buckets.put("lake", "other/model.tar.gz", b"other")
    arn = world.registry.promote("other", document(ModelDataUrl="s3://lake/other/model.tar.gz"))
    stock(world)
    execution = capture(world, context, arn)
    assert run(world, context, execution).status == "SUCCEEDED"
    [model] = world.catalog.models()
    [record] = world.catalog.records(model)
    assert "no entry of the policy matches sagemaker/other" in record.warnings[0]


def test_a_policy_edited_midway_does_not_change_a_point_that_was_begun(world, context):
    execution = capture(world, context, promoted(world))
    world.policies.put("version: 1\nregions: [ap-southeast-1, ap-southeast-3]\n")
    run(world, context, execution)
    assert manifest(world).golden is not None
    assert manifest(world).policy_version == "1"


def test_a_host_is_refused_until_the_policy_says_what_stands_for_it_and_then_sealed_as_that(world, context):
    host = f"db.{ACTIVE}.rds.amazonaws.com"
    arn = promoted(world, Environment={"DATABASE": f"postgres://churn@{host}:5432/x"})
    ended = protect(world, context, arn)
    record = failed(world, ended, error="BadReference", says=f"Environment.DATABASE: {host} belongs to {ACTIVE} alone")
    assert "serving.references" in record.reason
    rules = "  - match: sagemaker/churn\n"
    world.policies.put(POLICY.replace(rules, f"{rules}    serving: {{references: {{{host}: db.there}}}}\n"))
    assert run(world, context, capture(world, context, arn)).status == "SUCCEEDED"
    [named] = [one for one in manifest(world).rewrites if one.kind == "named"]
    assert named.target == "postgres://churn@db.there:5432/x"
    [copy] = world.registry.standby.values()
    assert copy.document["InferenceSpecification"]["Containers"][0]["Environment"] == {"DATABASE": named.target}
