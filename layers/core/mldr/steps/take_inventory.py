"""Find everything that belongs to a version, pin it, and plan its copy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mldr.domain import golden as golden_inferences
from mldr.domain.manifests import Entry, ShardRef
from mldr.domain.model_plan import GOLDEN, ModelPlan, Place, layout_of, places, plan_id
from mldr.domain.recovery_point import Phase, Record, Retention, Rewrite, SourceVersion
from mldr.domain.references import Ground, Kind, Reference, find_references
from mldr.domain.registry import Capture
from mldr.domain.transfers import PlanState, Transfer, owner_of
from mldr.errors import ArtifactChanged, BadReference, MissingArtifact
from mldr.events.protection import ProtectTask
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Images
from mldr.ports.sources import FoundObject, Sources
from mldr.ports.stack import Clock
from mldr.ports.vault import Copier, Vault
from mldr.steps.list_work import Inventory, put_in_force
from mldr.steps.plan_transfer import entry_of, plan_transfer
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standby_images import standby_image
from mldr.steps.working_files import (
    current_record,
    forget_trouble,
    keep_plan,
    load_capture,
    load_plan,
    stale,
    trouble_kept,
)

PLAN_LASTS = dt.timedelta(days=1)  # then its uploads and its locks are too near their end: it is made anew
# Copies are locked before they are sealed: by as much as a plan may be old when its last attempt begins, and runs.
SLACK = PLAN_LASTS + dt.timedelta(days=1)
RESERVE = 60_000  # milliseconds that a function must have left to plan one more shard


def take_inventory(
    task: ProtectTask,
    *,
    region: str,
    key_arn: str,
    catalog: Catalog,
    sources: Sources,
    images: Images,
    vault: Vault,
    copier: Copier,
    clock: Clock,
    remaining: Callable[[], int],
) -> Inventory:
    """Return the inventory of one attempt. An earlier attempt's plan is kept while its pins are believed to exist."""
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if record.phase is Phase.SEALED:
        return Inventory(sealed=True)
    capture = load_capture(vault, task.model, task.recovery_point)
    if capture.withheld:
        raise BadReference("the version is not protected: " + "; ".join(capture.withheld))
    plan = load_plan(vault, task.model, task.recovery_point)
    if plan is None or _is_over(plan, vault, clock):
        plan = _begin(
            capture, record, plan, region=region, key_arn=key_arn, sources=sources, images=images, catalog=catalog,
            vault=vault, clock=clock,
        )  # fmt: skip
    if not plan.state.complete:
        state = _carry_on(plan, capture, record, sources=sources, vault=vault, copier=copier, remaining=remaining)
        plan = plan.model_copy(update={"state": state})
        keep_plan(vault, task.model, task.recovery_point, plan)
    if not plan.state.complete:
        return Inventory(more=True, cursor=plan.state.cursor)
    return _put_in_force(plan.state, record, catalog, vault)


def _is_over(plan: ModelPlan, vault: Vault, clock: Clock) -> bool:
    transfer = plan.state.transfer
    return clock.now() - transfer.started_at > PLAN_LASTS or stale(vault, transfer) is not None


def _put_in_force(state: PlanState, record: Record, catalog: Catalog, vault: Vault) -> Inventory:
    transfer = state.transfer
    forget_trouble(vault, transfer)
    inventory = put_in_force(state, catalog, vault)
    catalog.advance(
        record.model_copy(update={"phase": Phase.COPYING, "objects": transfer.objects, "bytes": transfer.bytes})
    )
    return inventory


def _begin(
    capture: Capture,
    record: Record,
    before: ModelPlan | None,
    *,
    region: str,
    key_arn: str,
    sources: Sources,
    images: Images,
    catalog: Catalog,
    vault: Vault,
    clock: Clock,
) -> ModelPlan:
    """Decide what is known before anything is listed. Raises when a reference cannot be carried."""
    now = clock.now()
    plan = plan_id(record.recovery_point, record.attempt, now)
    references = _references(capture, record)
    wanted = _places(capture, references, record, plan)
    single = [_pinned(place, sources) for place in wanted if place.reference.kind is Kind.S3_OBJECT]
    golden = _golden(wanted, single, sources)
    _check_approved_bytes(capture, wanted, single)
    named = partial(_rewritten, source_region=record.origin.region, region=region, key_arn=key_arn, images=images)
    rewrites = _rewrites(references, wanted, vault, named)
    kept = capture.policy.retention
    owner = owner_of("model", str(record.model))
    transfer = Transfer(owner=owner, id=record.recovery_point, plan=plan, started_at=now, digest=capture.policy.digest)
    retention = Retention.model_validate({"mode": kept.mode.upper(), "until": now + kept.period + SLACK})
    return ModelPlan(
        rewrites=rewrites,
        golden=golden,
        single=tuple(single),
        bases=_bases(record, before, catalog, vault, now + SLACK),
        state=PlanState(transfer=transfer, retention=retention),
    )


def _references(capture: Capture, record: Record) -> list[Reference]:
    ground = Ground(region=record.origin.region, named=capture.policy.serving.references)
    return find_references(capture.entry.document, ground)


def _places(capture: Capture, references: list[Reference], record: Record, plan: str) -> list[Place]:
    named = capture.policy.golden
    golden = [Reference(path=GOLDEN, kind=Kind.S3_OBJECT, value=named.uri)] if named else []
    return places([*references, *golden], layout_of(record, plan))


def _bases(
    record: Record, before: ModelPlan | None, catalog: Catalog, vault: Vault, locked_until: dt.datetime
) -> tuple[tuple[ShardRef, ...], ...]:
    """Return what may hold copies to reuse: what the plan before this one finished, and the newest sealed point."""
    items = catalog.items(before.state.transfer) if before else []
    finished = [item.ref for item in items if item.ref]
    # A damaged point is no base: what is bad in it must not be shared by a newer one.
    others = [
        one for one in catalog.records(record.model) if one.phase is Phase.SEALED and one.sealed_at and not one.damaged
    ]
    newest = max(others, key=lambda one: (one.sealed_at, one.recovery_point), default=None)
    sealed = read_manifest(vault, newest).shards if newest else ()
    bases = [tuple(ref for ref in refs if ref.locked_until > locked_until) for refs in (finished, sealed)]
    return tuple(base for base in bases if base)


def _carry_on(
    plan: ModelPlan,
    capture: Capture,
    record: Record,
    *,
    sources: Sources,
    vault: Vault,
    copier: Copier,
    remaining: Callable[[], int],
) -> PlanState:
    transfer = plan.state.transfer
    references = _references(capture, record)
    wanted = _places(capture, references, record, transfer.plan)
    with trouble_kept(vault, transfer, "plan"):
        return plan_transfer(
            plan.state,
            _found(wanted, plan, sources),
            plan.bases,
            keep_until=plan.state.retention.until,
            sources=sources,
            vault=vault,
            copier=copier,
            out_of_time=lambda: remaining() < RESERVE,
        )


def _found(wanted: list[Place], plan: ModelPlan, sources: Sources) -> Iterator[Entry]:
    """Yield what is there now, in the order of names, after what is planned already."""
    single = {entry.name: entry for entry in plan.single}
    cursor = plan.state.cursor
    for place in wanted:
        after = place.after(cursor)
        if after is None:
            continue
        if place.reference.kind is Kind.S3_PREFIX:
            yield from _listed(place, after, sources)
        elif not after:
            _, key = place.reference.s3()
            yield single[place.name_of(key)]


def _listed(place: Place, after: str, sources: Sources) -> Iterator[Entry]:
    bucket, prefix = place.reference.s3()
    empty = not after
    for listed in sources.list(bucket, prefix, after=after):
        empty = False
        name = place.name_of(listed.key)
        yield entry_of(listed, bucket, name=name, key=place.key_of(name))
    if empty:
        raise MissingArtifact(
            f"{place.reference.path}: nothing is stored under {place.reference.value}; "
            "upload the model, then approve the version again"
        )


def _pinned(place: Place, sources: Sources) -> Entry:
    bucket, key = place.reference.s3()
    found = sources.find(bucket, key)
    name = place.name_of(key)
    return Entry(
        name=name,
        bucket=bucket,
        source_key=key,
        source_version=found.source.version_id,
        etag=found.etag,
        modified=found.modified,
        size=found.size,
        key=place.key_of(name),
        version_id="",
        digests=_digests(found),
    )


def _digests(found: FoundObject) -> dict[str, str]:
    return {found.checksum.algorithm: found.checksum.value} if found.checksum else {}


def _identity(reference: Reference) -> dict[str, Any]:
    return {"path": reference.path, "kind": reference.kind.value, "source": reference.value}


def _golden(wanted: list[Place], single: list[Entry], sources: Sources) -> str | None:
    """Return the name of the golden inferences. Raises BadGolden when they cannot be read."""
    place = next((one for one in wanted if one.reference.path == GOLDEN), None)
    if place is None:
        return None
    entry = next(one for one in single if one.name.startswith(place.stem))
    pinned = SourceVersion(bucket=entry.bucket, key=entry.source_key, version_id=entry.source_version)
    golden_inferences.parse_golden(sources.read(pinned, golden_inferences.MAX_BYTES))
    return entry.name


def _check_approved_bytes(capture: Capture, wanted: list[Place], single: list[Entry]) -> None:
    """SageMaker records the ETag of a model's data when it is registered: what was approved, not what is there now."""
    containers = capture.entry.document.get("InferenceSpecification", {}).get("Containers", [])
    approved = {
        one["ModelDataUrl"]: one["ModelDataETag"].strip('"')
        for one in containers
        if one.get("ModelDataETag") and one.get("ModelDataUrl")
    }
    pinned = {entry.name: entry for entry in single}
    for place in wanted:
        etag = approved.get(place.reference.value)
        entry = pinned.get(place.name_of(place.reference.s3()[1]))
        if etag and entry and entry.etag != etag:
            raise ArtifactChanged(
                f"{place.reference.path}: {place.reference.value} has ETag {entry.etag}, "
                f"but {etag} was registered; "
                "restore the object, or register and approve a version of what is there now"
            )


def _rewrites(
    references: list[Reference], wanted: list[Place], vault: Vault, named: Callable[[Reference], str]
) -> tuple[Rewrite, ...]:
    """Return what stands for each reference: the vault's place of what is copied, and what is only named anew."""
    copied = [(one.reference, vault.uri(one.target)) for one in wanted if one.reference.path != GOLDEN]
    others = [one for one in references if one.kind not in (Kind.S3_OBJECT, Kind.S3_PREFIX)]
    found = [*copied, *((one, named(one)) for one in others)]
    return tuple(Rewrite(**_identity(reference), target=target) for reference, target in found)


def _rewritten(reference: Reference, source_region: str, region: str, key_arn: str, images: Images) -> str:
    match reference.kind:
        case Kind.IMAGE:
            return standby_image(reference.path, reference.value, source_region, region, images)
        case Kind.KMS_KEY:
            return key_arn
        case Kind.REGION:
            return region
    return reference.target or reference.value
