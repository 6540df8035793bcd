"""Lay a recovery point out by name before it serves: SageMaker reads by key, and shared copies stand elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mldr.domain.identity import Frozen
from mldr.domain.manifests import GIB, Entry, ShardLimits, cut
from mldr.domain.recovery_point import Manifest
from mldr.domain.transfers import parts
from mldr.events.failover import MaterialiseTask
from mldr.ports.catalog import Catalog
from mldr.ports.serving import ServingCaptures
from mldr.ports.vault import Copier, Vault
from mldr.steps.manifest_lines import lines
from mldr.steps.restore_serving import claimed_manifest, claimed_state, held_epoch, other_manifests

WINDOW = ShardLimits(least=512, mean=512, most=512, bytes=64 * GIB)  # copied between two looks at the time left
RESERVE = 180_000  # milliseconds that a function must have left to copy as much again


class LaidOut(Frozen):
    """How far the layout is."""

    more: bool
    cursor: str  # the last name that stands where it is served from
    copied: int  # by this call


def materialise_serving(
    task: MaterialiseTask,
    *,
    bucket: str,
    catalog: Catalog,
    vault: Vault,
    copier: Copier,
    captures: ServingCaptures,
    remaining: Callable[[], int],
) -> LaidOut:
    """Return how far the layout is. A point that shares nothing costs nothing; copies stay inside the vault."""
    held_epoch(task, catalog)
    claimed = claimed_manifest(task, catalog, vault)
    others = other_manifests(task, claimed_state(task, captures), catalog, vault)
    return lay_out(
        [claimed, *(others[point] for point in sorted(others))],
        bucket=bucket,
        cursor=task.cursor,
        vault=vault,
        copier=copier,
        remaining=remaining,
    )


def lay_out(
    manifests: Sequence[Manifest],
    *,
    bucket: str,
    cursor: str,
    vault: Vault,
    copier: Copier,
    remaining: Callable[[], int],
) -> LaidOut:
    """Return how far the layout of these points is, having copied on from the cursor while there was time."""
    copied = 0
    # The cursor begins with the point that it stands in: variants of other versions are laid out one after another.
    for manifest in manifests:
        point, _, after = cursor.rpartition(":")
        if not manifest.shared or (point and point != manifest.recovery_point):
            continue
        for window in cut(_elsewhere(manifest, bucket, after, vault), WINDOW):
            copied += _copy(window, copier)
            cursor = f"{manifest.recovery_point}:{window[-1].name}"
            if remaining() < RESERVE:
                return LaidOut(more=True, cursor=cursor, copied=copied)
        cursor = ""
    return LaidOut(more=False, cursor=cursor, copied=copied)


def _elsewhere(manifest: Manifest, bucket: str, after: str, vault: Vault) -> Iterator[Entry]:
    """Yield what has to be copied within the vault: from the locked version to the key that its name has here."""
    for entry in lines(vault, manifest.shards, after=after):
        key = f"{manifest.layout}/{entry.name}"
        if entry.key != key:
            yield entry._replace(
                bucket=bucket, source_key=entry.key, source_version=entry.version_id, etag="", key=key, version_id=""
            )


def _copy(entries: list[Entry], copier: Copier) -> int:
    for entry in entries:
        if entry.size > copier.limits.single_copy:
            copier.copy_parts(entry, copier.open_upload(entry, None), parts(entry.size, copier.limits))
    return len(list(copier.copy(entries, None)))
