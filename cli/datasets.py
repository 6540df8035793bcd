"""What the commands about datasets share: which region keeps a dataset, and a snapshot as JSON and as a line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.markup import escape

from cli.outcomes import Ended, Exit, bad_input, unreachable
from cli.output import phase, size
from cli.regions import Place, look, silence
from mldr.domain.datasets import DATASET_NAME, need_rule
from mldr.domain.manifests import Entry, ShardRef, decode, digest_of
from mldr.domain.snapshots import SnapshotManifest, SnapshotRecord, manifest_key
from mldr.errors import BadEvent, ChecksumMismatch, MissingArtifact


def check_name(dataset: str) -> None:
    """End the command when this cannot be the name of a dataset."""
    if not DATASET_NAME.fullmatch(dataset):
        raise bad_input(f"{dataset!r} is not the name of a dataset", "give small letters, digits and hyphens")


def keeper(dataset: str, where: Sequence[Place], region: str | None, bus: str) -> Place:
    """Return the region that keeps a dataset's snapshots, by the policy. Ends the command when none does."""
    check_name(dataset)
    looked = look(where, lambda place: _keeping(dataset, place))
    answers = {answer for answer in looked.answers.values() if isinstance(answer, str)}
    if region is None and len(answers) > 1:
        raise bad_input(f"the policies of {' and '.join(looked.answers)} differ", "upload one policy to both regions")
    wanted = region or next(iter(answers), None)
    if wanted is None:
        raise next(answer for answer in looked.answers.values() if isinstance(answer, BadEvent))
    if answers and wanted not in answers:
        raise bad_input(f"{wanted} does not keep {dataset}, {answers.pop()} does", "leave --region out")
    place = next((place for place in where if place.region == wanted), None)
    if place is None or wanted in looked.silent:
        raise unreachable(f"{wanted} keeps {dataset} and does not answer; {silence(looked)}")
    return replace(place, bus_name=bus)


def _keeping(dataset: str, place: Place) -> str | BadEvent:
    """Return the region that a policy has keep a dataset, or what is wrong with the name."""
    policy, _ = place.policies.load()
    try:
        rule = need_rule(policy.datasets, dataset)
    except BadEvent as error:
        return error
    return next(region for region in policy.regions if region != rule.region)


def find(snapshot: str, where: Sequence[Place]) -> tuple[Place, SnapshotRecord]:
    """Return the region and the record of a snapshot, whichever dataset it is of. Ends the command without one."""
    looked = look(where, lambda place: _named(snapshot, place))
    found = {place.region: place for place in where if looked.answers.get(place.region)}
    if found:
        region, place = next(iter(found.items()))
        return place, looked.answers[region]
    if looked.silent:
        raise unreachable(f"no region that answers knows {snapshot}; {silence(looked)}")
    raise Ended(Exit.DOES_NOT_HOLD, f"there is no snapshot {snapshot}", "`mldr snapshots DATASET` lists them")


def _named(snapshot: str, place: Place) -> SnapshotRecord | None:
    records = (place.datasets.record(dataset, snapshot) for dataset in place.datasets.names())
    return next((record for record in records if record), None)


def manifest(place: Place, record: SnapshotRecord) -> SnapshotManifest:
    """Return the sealed manifest of a snapshot. Ends the command when it is not sealed, or cannot be read."""
    if record.manifest_version is None:
        raise Ended(Exit.DOES_NOT_HOLD, f"{record.snapshot} is {record.phase}: {record.reason}")
    content = place.sealed.read(manifest_key(record.dataset, record.snapshot), record.manifest_version)
    if content is None:
        raise MissingArtifact(f"the manifest of {record.snapshot} cannot be read; its retention may be over")
    return SnapshotManifest.model_validate_json(content)


def lines(place: Place, ref: ShardRef) -> Iterator[Entry]:
    """Yield the lines of one shard, which must be what was sealed."""
    content = place.sealed.read(ref.key, ref.version_id)
    if content is None:
        raise MissingArtifact(f"{ref.key} (version {ref.version_id}) cannot be read; its retention may be over")
    if digest_of(content) != ref.digest:
        raise ChecksumMismatch(f"{ref.key} (version {ref.version_id}) is not what was sealed")
    yield from decode(content)


def described(record: SnapshotRecord, region: str) -> dict[str, Any]:
    """Return a snapshot as JSON shows it."""
    shown = record.model_dump(mode="json", exclude={"rule", "shards"})
    now = dt.datetime.now(dt.UTC)
    return {**shown, "source": record.rule.uri, "region": region, "restorable": record.restorable(now)}


def line(record: SnapshotRecord) -> str:
    """Return a snapshot as one line."""
    held = f", {record.objects} objects, {size(record.bytes)}" if record.objects else ""
    moved = f", {size(record.copied)} to copy" if record.objects and not record.over else ""
    why = f": {escape(record.reason)}" if record.reason else ""
    return f"{phase(record.phase)} {record.snapshot}, by {record.how}{held}{moved}{why}"
