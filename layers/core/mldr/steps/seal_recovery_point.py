"""Seal a recovery point: write its manifest once, locked, after everything it names was verified."""

from __future__ import annotations

from mldr.domain.recovery_point import UNANNOUNCED, Golden, Manifest, Phase, Plan, Record, SealedObject, manifest_key
from mldr.errors import ChecksumMismatch, LostRace, MissingArtifact
from mldr.events import SealTask
from mldr.ports import Catalog, Clock, Vault
from mldr.steps.working_files import current_record, load_capture, load_plan, load_verified


def seal_recovery_point(task: SealTask, *, region: str, catalog: Catalog, vault: Vault, clock: Clock) -> Record:
    """Return the sealed record. Sealing twice gives the first seal: a manifest is never written over."""
    record = current_record(catalog, task.model, task.recovery_point, task.attempt)
    if record.phase is Phase.SEALED:
        return record
    version = _existing(task, vault) or _write(task, record, region=region, vault=vault, clock=clock)
    manifest = read_manifest(vault, record.model_copy(update={"manifest_version": version}))
    sealed = record.model_copy(
        update={
            "phase": Phase.SEALED,
            "sealed_at": manifest.sealed_at,
            "manifest_version": version,
            "objects": len(manifest.objects),
            "bytes": sum(item.size for item in manifest.objects),
            "reason": UNANNOUNCED,
        }
    )
    catalog.advance(sealed)
    return sealed


def _existing(task: SealTask, vault: Vault) -> str | None:
    """Return the first version of the manifest. A delete marker hides it from a plain read and If-None-Match."""
    return next(iter(vault.versions(manifest_key(task.model, task.recovery_point))), None)


def _write(task: SealTask, record: Record, *, region: str, vault: Vault, clock: Clock) -> str:
    manifest = _manifest(task, record, region, vault, clock)
    try:
        return vault.seal(
            manifest_key(task.model, task.recovery_point), manifest.model_dump_json(indent=1).encode(), task.retention
        )
    except LostRace:
        winner = _existing(task, vault)
        if winner is None:
            raise
        return winner


def _manifest(task: SealTask, record: Record, region: str, vault: Vault, clock: Clock) -> Manifest:
    capture = load_capture(vault, task.model, task.recovery_point)
    plan = load_plan(vault, task.model, task.recovery_point)
    verified = load_verified(vault, task.model, task.recovery_point, task.batches)
    if plan is None:
        raise MissingArtifact(f"the plan of {task.recovery_point} is gone; protect the model again")
    _complete(plan, verified)
    return Manifest(
        recovery_point=task.recovery_point,
        model=task.model,
        origin=record.origin,
        standby_region=region,
        sealed_at=clock.now(),
        retention=task.retention,
        policy=capture.policy,
        policy_version=capture.policy_version,
        registry_document=capture.entry.document,
        rewrites=plan.rewrites,
        golden=_golden(plan, verified),
        objects=tuple(verified),
    )


def _complete(plan: Plan, verified: list[SealedObject]) -> None:
    missing = {(item.key, item.source) for item in plan.objects} ^ {(item.key, item.source) for item in verified}
    if missing:
        key, _ = min(missing, key=lambda pair: pair[0])
        raise ChecksumMismatch(
            f"{len(missing)} objects of the plan were not verified, {key} among them; protect the model again"
        )


def _golden(plan: Plan, verified: list[SealedObject]) -> Golden | None:
    return next(
        (Golden(key=item.key, version_id=item.version_id) for item in verified if item.key == plan.golden_key), None
    )


def read_manifest(vault: Vault, record: Record) -> Manifest:
    """Return the manifest of a sealed record, by its exact version. Raises MissingArtifact."""
    key = manifest_key(record.model, record.recovery_point)
    content = vault.read(key, record.manifest_version)
    if content is None:
        raise MissingArtifact(f"the manifest {vault.uri(key)} (version {record.manifest_version}) cannot be read")
    return Manifest.model_validate_json(content)
