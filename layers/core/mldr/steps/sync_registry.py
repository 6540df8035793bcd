"""Register a sealed version in the standby region's registry, its references rewritten."""

from __future__ import annotations

from mldr.domain.leadership import overruled
from mldr.domain.recovery_point import Manifest, Record
from mldr.domain.references import rewrite_document
from mldr.domain.registry import PENDING, RegistryEntry
from mldr.errors import NotRestorable
from mldr.events.protection import ProtectTask
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Registry
from mldr.ports.stack import Pager
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.working_files import load_capture


def sync_registry(
    task: ProtectTask, *, region: str, catalog: Catalog, vault: Vault, registry: Registry, pager: Pager
) -> str:
    """Return the ARN in the standby region, and remember it: ids differ between regions, so the catalog maps them.

    A version of an older epoch, promoted where the model is not served any more, waits for a person's approval.
    """
    record = catalog.record(task.model, task.recovery_point)
    if record is None or record.sealed_at is None:
        raise NotRestorable(f"{task.recovery_point} is not sealed; only a sealed version is registered")
    if record.target_arn:
        return record.target_arn
    entry = load_capture(vault, task.model, task.recovery_point).entry
    arn = _original(entry, region) or _register(task, record, entry, region, catalog, vault, registry, pager)
    catalog.annotate(task.model, task.recovery_point, target_arn=arn)
    return arn


def _original(entry: RegistryEntry, region: str) -> str | None:
    """Return the version of this region that a copy was made from: it is registered here already."""
    original = entry.copied_from
    return original if original and original.split(":")[3] == region else None


def _register(
    task: ProtectTask,
    record: Record,
    entry: RegistryEntry,
    region: str,
    catalog: Catalog,
    vault: Vault,
    registry: Registry,
    pager: Pager,
) -> str:
    manifest = read_manifest(vault, record)
    document = rewrite_document(manifest.registry_document, manifest.rewrites)
    stale = _stale(task, entry, region, catalog)
    status = "Rejected" if record.withdrawn else PENDING if stale else entry.status
    changes = {"document": document, "status": status, "golden": _golden(manifest, vault)}
    arn = registry.register(entry.model_copy(update=changes), task.recovery_point)
    if stale:
        pager.page(
            f"mldr: {task.model}, a version of an older epoch",
            f"{entry.arn} is sealed as {task.recovery_point}, but {stale}. It is registered as {PENDING}: {arn}\n\n"
            f"Approve that in {region} if it is to be in production, or reject {entry.arn}.",
        )
    return arn


def _stale(task: ProtectTask, entry: RegistryEntry, region: str, catalog: Catalog) -> str:
    """Return why a version may not be in production by itself, '' when it may: the region that serves decides."""
    knowledge = catalog.leadership(task.model)
    if knowledge.takeover is None or overruled(knowledge, region) or not entry.approved:
        return ""
    return f"{region} serves the model by epoch {knowledge.takeover.epoch} and the version was promoted elsewhere"


def _golden(manifest: Manifest, vault: Vault) -> str | None:
    """Return where a copy's golden inferences are: whoever protects the copy takes them from there."""
    return vault.uri(manifest.golden.key) if manifest.golden else None
