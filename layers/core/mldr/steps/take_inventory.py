"""Find everything that belongs to a version, pin it, and plan its copy."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mldr.domain import golden as golden_inferences
from mldr.domain.copying import batches
from mldr.domain.identity import Frozen
from mldr.domain.images import parse_image, twin
from mldr.domain.recovery_point import Phase, PinnedObject, Plan, Record, Retention, Rewrite, pins_digest, prefix
from mldr.domain.references import Kind, Reference, find_references, parse_s3
from mldr.domain.registry import Capture
from mldr.errors import ArtifactChanged, BadReference, ChecksumUnavailable, ImageNotReplicated, MissingArtifact
from mldr.events import ProtectTask
from mldr.ports import Catalog, Clock, FoundObject, Images, Sources, Vault
from mldr.steps.working_files import current_record, keep_plan, load_capture, load_plan

READABLE = 32 * 1024**3  # bytes that one function can read to compute a digest, at 625 Mbps within its time
KEY_LIMIT = 1024  # bytes of an S3 key
THREADS = 16
GOLDEN = "golden"
SLACK = dt.timedelta(days=1)  # objects are locked a little before the seal


class Inventory(Frozen):
    """What the state machine needs to copy: where the batches are, how many, and until when they are locked."""

    sealed: bool
    batches_key: str = ""
    batches: int = 0
    retention: Retention | None = None


class Found(Frozen):
    """A reference and the objects it names; `parent` is what precedes their relative names."""

    reference: Reference
    parent: str
    objects: tuple[FoundObject, ...]


def take_inventory(
    task: ProtectTask,
    *,
    region: str,
    key_arn: str,
    catalog: Catalog,
    sources: Sources,
    images: Images,
    vault: Vault,
    clock: Clock,
) -> Inventory:
    """Return the inventory of one attempt. The pins of an earlier attempt are kept while they still exist."""
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if record.phase is Phase.SEALED:
        return Inventory(sealed=True)
    capture = load_capture(vault, task.model, task.recovery_point)
    plan = load_plan(vault, task.model, task.recovery_point)
    if plan is None or not _still_there(plan, sources):
        plan = make_plan(capture, record, region=region, key_arn=key_arn, sources=sources, images=images, vault=vault)
    items = [{"batch": n, "objects": [_json(item) for item in group]} for n, group in enumerate(batches(plan.objects))]
    key = keep_plan(vault, task.model, task.recovery_point, plan, items)
    catalog.advance(
        record.model_copy(update={"phase": Phase.COPYING, "objects": len(plan.objects), "bytes": plan.bytes})
    )
    kept = capture.policy.retention
    retention = Retention.model_validate({"mode": kept.mode.upper(), "until": clock.now() + kept.period + SLACK})
    return Inventory(sealed=False, batches_key=key, batches=len(items), retention=retention)


def _json(item: PinnedObject) -> dict[str, Any]:
    return item.model_dump(mode="json")


def _still_there(plan: Plan, sources: Sources) -> bool:
    def same(item: PinnedObject) -> bool:
        try:
            found = sources.find(item.source.bucket, item.source.key, item.source.version_id)
        except MissingArtifact:
            return False
        return found.etag == item.etag

    with ThreadPoolExecutor(THREADS) as pool:
        return all(pool.map(same, plan.objects))


def make_plan(
    capture: Capture, record: Record, *, region: str, key_arn: str, sources: Sources, images: Images, vault: Vault
) -> Plan:
    """Pin every object, and rewrite every reference for the standby region. Raises when one cannot be carried."""
    references = find_references(capture.entry.document, record.origin.region)
    found = [
        _find(reference, sources) for reference in references if reference.kind in (Kind.S3_OBJECT, Kind.S3_PREFIX)
    ]
    named = _golden(capture, sources)
    everything = [*found, named] if named else found
    _check_approved_bytes(capture, found)
    pins = [(item.source, item.etag) for one in everything for item in one.objects]
    base = f"{prefix(record.model, record.recovery_point)}/objects/{pins_digest(pins)}"
    rewrites = [Rewrite(**_identity(one.reference), target=vault.uri(_target(base, one))) for one in found]
    rewrites += [
        Rewrite(**_identity(reference), target=_rewritten(reference, record.origin.region, region, key_arn, images))
        for reference in references
        if reference.kind not in (Kind.S3_OBJECT, Kind.S3_PREFIX)
    ]
    objects = {key: item for one in everything for key, item in _placed(base, one)}
    pinned = _pin_all(objects, sources)
    return Plan(
        rewrites=tuple(rewrites),
        objects=pinned,
        golden_key=next((k for k, _ in _placed(base, named)), None) if named else None,
    )


def _identity(reference: Reference) -> dict[str, Any]:
    return {"path": reference.path, "kind": reference.kind.value, "source": reference.value}


def _find(reference: Reference, sources: Sources) -> Found:
    bucket, key = reference.s3()
    parent = key[: key.rfind("/") + 1]
    if reference.kind is Kind.S3_OBJECT:
        return Found(reference=reference, parent=parent, objects=(sources.find(bucket, key),))
    with ThreadPoolExecutor(THREADS) as pool:
        objects = tuple(pool.map(lambda name: sources.find(bucket, name), sources.list(bucket, key)))
    if not objects:
        raise MissingArtifact(
            f"{reference.path}: nothing is stored under {reference.value}; "
            "upload the model, then approve the version again"
        )
    return Found(reference=reference, parent=parent, objects=objects)


def _golden(capture: Capture, sources: Sources) -> Found | None:
    named = capture.policy.golden
    if named is None:
        return None
    bucket, key = parse_s3(named.uri, "policy golden.uri")
    found = sources.find(bucket, key)
    golden_inferences.parse_golden(sources.read(found.source, golden_inferences.MAX_BYTES))
    reference = Reference(path=GOLDEN, kind=Kind.S3_OBJECT, value=named.uri)
    return Found(reference=reference, parent=key[: key.rfind("/") + 1], objects=(found,))


def _check_approved_bytes(capture: Capture, found: list[Found]) -> None:
    """SageMaker records the ETag of a model's data when it is registered: what was approved, not what is there now."""
    containers = capture.entry.document.get("InferenceSpecification", {}).get("Containers", [])
    approved = {
        one["ModelDataUrl"]: one["ModelDataETag"].strip('"')
        for one in containers
        if one.get("ModelDataETag") and one.get("ModelDataUrl")
    }
    for one in found:
        etag = approved.get(one.reference.value)
        if etag and one.objects[0].etag != etag:
            raise ArtifactChanged(
                f"{one.reference.path}: {one.reference.value} has ETag {one.objects[0].etag}, "
                f"but {etag} was registered; "
                "restore the object, or register and approve a version of what is there now"
            )


def _target(base: str, one: Found) -> str:
    _, key = one.reference.s3()
    return f"{base}/{_slug(one.reference.path)}/{key[len(one.parent) :]}"


def _placed(base: str, one: Found) -> list[tuple[str, FoundObject]]:
    placed = [
        (f"{base}/{_slug(one.reference.path)}/{item.source.key[len(one.parent) :]}", item) for item in one.objects
    ]
    for key, item in placed:
        if len(key.encode()) > KEY_LIMIT:
            raise BadReference(
                f"{item.source}: its key in the vault would have {len(key.encode())} bytes, "
                f"S3 allows {KEY_LIMIT}; shorten the key"
            )
    return placed


def _slug(path: str) -> str:
    return path.replace("[", ".").replace("]", "")


def _pin_all(objects: dict[str, FoundObject], sources: Sources) -> tuple[PinnedObject, ...]:
    with ThreadPoolExecutor(THREADS) as pool:
        return tuple(pool.map(lambda placed: _pin(placed[0], placed[1], sources), sorted(objects.items())))


def _pin(key: str, found: FoundObject, sources: Sources) -> PinnedObject:
    checksum = found.checksum
    if checksum is None:
        if found.size > READABLE:
            raise ChecksumUnavailable(
                f"{found.source} has {found.size} bytes and no full-object checksum; "
                "upload it with --checksum-algorithm CRC64NVME, then approve the version again"
            )
        checksum = sources.digest(found.source, found.etag)
    return PinnedObject(
        source=found.source,
        key=key,
        size=found.size,
        etag=found.etag,
        checksum=checksum,
        content_type=found.content_type,
        metadata=found.metadata,
    )


def _rewritten(reference: Reference, source_region: str, region: str, key_arn: str, images: Images) -> str:
    match reference.kind:
        case Kind.IMAGE:
            return _image(reference, source_region, region, images)
        case Kind.KMS_KEY:
            return key_arn
        case Kind.REGION:
            return region
    return reference.value


def _image(reference: Reference, source_region: str, region: str, images: Images) -> str:
    """Return the image's twin; one of our own must be there already, by the digest that was approved."""
    image = parse_image(reference.value)
    target = twin(image, region)
    if image.owned_by_aws:
        return str(target)
    digest = image.digest or images.digest(image)
    if digest is None:
        raise MissingArtifact(
            f"{reference.path}: {image} does not exist in {source_region}; push it and approve the version again"
        )
    target = target.model_copy(update={"digest": digest})
    if images.digest(target) is None:
        raise ImageNotReplicated(
            f"{reference.path}: {target} does not exist; replicate the repository {image.repository} to {region} "
            "(ECR replication carries only images pushed afterwards: push again or start a backfill), "
            "then protect the model again"
        )
    return str(target)
