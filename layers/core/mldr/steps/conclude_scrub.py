"""End a check of the vault: mark what is damaged, page with what can still be recovered, note and seal the report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Retention, newest_restorable
from mldr.domain.scrub import (
    FULL,
    Checked,
    Damage,
    Finding,
    Outcome,
    Problem,
    Report,
    ScrubPlan,
    Tally,
    outcome,
    report_key,
    spanning,
    tally,
)
from mldr.errors import ChecksumMismatch, LostRace, MissingArtifact
from mldr.events import detail_types
from mldr.events.scrub import ScrubConclusion, VerificationDetail
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Bus, Clock, Pager
from mldr.ports.vault import Scrubs, Vault
from mldr.steps.choose_shards import load_plan
from mldr.steps.manifest_lines import entry_named
from mldr.steps.scrub_shard import load_checked

KEPT = dt.timedelta(days=365 * 7)  # as long as other evidence
TOLD = 20  # findings that a page spells out


def conclude_scrub(
    task: ScrubConclusion, *, catalog: Catalog, scrubs: Scrubs, vault: Vault, bus: Bus, pager: Pager, clock: Clock
) -> Report:
    """Return the report. A point that names bad bytes is not restorable from now on. Harmless when repeated."""
    plan, now = load_plan(vault, task.run), clock.now()
    results = {item.item: load_checked(vault, task.run, item.item) for item in plan.items} if plan else {}
    damage = list(_damage(plan, results, vault)) if plan else []
    tallies = _tallies(plan, results, damage, now) if plan else []
    report = Report(
        run=task.run,
        owner=task.owner,
        sample=task.sample,
        ended_at=now,
        outcome=Outcome.FAILED if task.error else outcome(tallies),
        reading=plan.choice.reason if plan and plan.choice else "",
        tallies=tuple(tallies),
        findings=tuple(finding for result in results.values() for finding in result.findings),
        damaged=tuple(damage),
    )
    for one in tallies:
        _mark(one, damage, catalog)
    _page(report, damage, catalog, pager)
    for one in tallies:
        scrubs.note(one)
    _seal(report, vault)
    reason = task.error.sentence if task.error else ""
    bus.put(detail_types.VERIFICATION_COMPLETED, VerificationDetail.of(report, reason).model_dump(mode="json"))
    return report


def _damage(plan: ScrubPlan, results: Mapping[str, Checked], vault: Vault) -> Iterable[Damage]:
    """Yield each manifest that names something bad, once."""
    found: dict[tuple[str, str], str] = {(one.owner, one.id): one.reason for one in plan.unreadable}
    for item in plan.items:
        for finding in results[item.item].findings:
            if finding.problem is Problem.BAD:
                held = item.holders if not finding.name else _holders(plan, item.owner, finding, vault)
                for holder in held:
                    found.setdefault((item.owner, holder), f"{finding.name or finding.key}: {finding.reason}")
    return [Damage(owner=owner, id=holder, reason=reason) for (owner, holder), reason in found.items()]


def _holders(plan: ScrubPlan, owner: str, finding: Finding, vault: Vault) -> Iterable[str]:
    """Yield the manifests that name a bad version: the one where it was found, and older ones that share it."""
    for item in spanning(plan.items, owner, finding.name):
        try:
            named = entry_named(vault, [item.shard], finding.name)
        except (MissingArtifact, ChecksumMismatch):
            continue  # that shard is a finding of its own
        if named and (named.key, named.version_id) == (finding.key, finding.version_id):
            yield from item.holders


def _tallies(plan: ScrubPlan, results: Mapping[str, Checked], damage: list[Damage], now: dt.datetime) -> list[Tally]:
    owners = dict.fromkeys([*(item.owner for item in plan.items), *(one.owner for one in plan.unreadable)])
    return [
        tally(owner, plan, results, [one.id for one in damage if one.owner == owner], now) for owner in sorted(owners)
    ]


def _mark(told: Tally, damage: list[Damage], catalog: Catalog) -> None:
    """Mark a model's damaged points; take the mark from those that a check of everything found sound."""
    kind, _, name = told.owner.partition("/")
    if kind != "model":
        return
    model = ModelKey.parse(name)
    reasons = {one.id: f"damaged: {one.reason}" for one in damage if one.owner == told.owner}
    whole = told.sample >= FULL and told.sound
    for record in catalog.records(model):
        if record.recovery_point in reasons:
            catalog.annotate(model, record.recovery_point, damaged=reasons[record.recovery_point])
        elif whole and record.damaged:
            catalog.annotate(model, record.recovery_point, damaged=None)


def _page(report: Report, damage: list[Damage], catalog: Catalog, pager: Pager) -> None:
    for told in report.tallies:
        mine = [one for one in damage if one.owner == told.owner]
        if mine:
            lines = [f"{one.id}: {one.reason}" for one in mine[:TOLD]]
            more = f"\n… and {len(mine) - TOLD} more" if len(mine) > TOLD else ""
            good = _last_good(told.owner, [one.id for one in mine], catalog)
            text = "\n".join(lines) + f"{more}\n\n{good}\nThe report is {report_key(report.run)} in the vault."
            pager.page(f"mldr: {told.owner} damaged in the vault", text)


def _last_good(owner: str, damaged: list[str], catalog: Catalog) -> str:
    kind, _, name = owner.partition("/")
    if kind != "model":
        return "Restore a snapshot that is not named here: see `mldr snapshots`."
    records = catalog.records(ModelKey.parse(name))
    good = newest_restorable([record for record in records if record.recovery_point not in damaged])
    if good is None:
        return "No recovery point of this model can be restored now. Approve a version anew to make one."
    return f"The last good recovery point is {good.recovery_point}, promoted at {good.origin.promoted_at.isoformat()}."


def _seal(report: Report, vault: Vault) -> None:
    retention = Retention(mode="GOVERNANCE", until=report.ended_at + KEPT)
    try:
        vault.seal(report_key(report.run), report.model_dump_json(indent=1).encode(), retention)
    except LostRace:
        return  # a conclusion that was repeated; the first report stays
