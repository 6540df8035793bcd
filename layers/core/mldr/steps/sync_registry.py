"""Register a sealed version in the standby region's registry, its references rewritten."""

from __future__ import annotations

from mldr.domain.references import rewrite_document
from mldr.errors import NotRestorable
from mldr.events import ProtectTask
from mldr.ports import Catalog, Registry, Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.working_files import load_capture


def sync_registry(task: ProtectTask, *, catalog: Catalog, vault: Vault, registry: Registry) -> str:
    """Return the ARN in the standby region, and remember it: ids differ between regions, so the catalog maps them."""
    record = catalog.record(task.model, task.recovery_point)
    if record is None or record.sealed_at is None:
        raise NotRestorable(f"{task.recovery_point} is not sealed; only a sealed version is registered")
    if record.target_arn:
        return record.target_arn
    manifest = read_manifest(vault, record)
    entry = load_capture(vault, task.model, task.recovery_point).entry
    document = rewrite_document(manifest.registry_document, manifest.rewrites)
    status = "Rejected" if record.withdrawn else entry.status
    arn = registry.register(entry.model_copy(update={"document": document, "status": status}), task.recovery_point)
    catalog.annotate(task.model, task.recovery_point, target_arn=arn)
    return arn
