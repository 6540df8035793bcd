"""Take note of a promotion and start, resume or skip its recovery point."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from mldr.domain.identity import Frozen, ModelKey, recovery_point_id
from mldr.domain.leadership import home_of, role
from mldr.domain.model_rules import GoldenRule
from mldr.domain.policy import CRITICALITY_TAG, TIER_TAG, ModelPolicy, effective
from mldr.domain.recovery_point import Origin, Phase, Record
from mldr.domain.registry import PENDING, Capture, RegistryEntry
from mldr.errors import BadEvent, MissingArtifact
from mldr.events import detail_types
from mldr.events.protection import Promotion
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Registry
from mldr.ports.stack import Bus, Clock, PolicyStore, Status, Workflows
from mldr.ports.vault import Vault
from mldr.steps.executions import start_unless
from mldr.steps.working_files import keep_capture

NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


class Outcome(Frozen):
    """What became of a promotion, and the sentence that says why."""

    model: str
    recovery_point: str | None
    action: str  # started | resumed | skipped | withdrawn
    reason: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protecting:
    """Where one region begins recovery points of what its peer's registry promotes."""

    region: str
    peer_region: str
    registry: Registry
    catalog: Catalog
    vault: Vault
    policies: PolicyStore
    workflows: Workflows
    bus: Bus
    clock: Clock

    def begin(self, promotion: Promotion) -> Outcome:
        """Describe the version as it is now, whatever the event said, and act on that. Telling it again is harmless."""
        entry = self._described(promotion)
        if not wanted_here(entry, self.region, self.catalog):
            copy = f"{entry.arn} is mldr's own copy of {entry.copied_from}"
            return Outcome(model=str(entry.model), recovery_point=None, action="skipped", reason=copy)
        if not entry.approved and not _served_by_peer(entry, self.catalog):
            return _withdraw(entry, self.catalog, self.registry)
        policy, version = self.policies.load()
        rules = _with_golden(policy.for_model(entry.model.registry, entry.model.name, entry.tags), entry)
        record = self._noted(entry, promotion.told_at, rules)
        if record.attempt == 0:
            here = [name for name in rules.datasets if policy.datasets[name].region == self.peer_region]
            _ask_for_snapshots(here, record, self.bus)
        return self._continue(record, Capture.of(entry, rules, version))

    def _described(self, promotion: Promotion) -> RegistryEntry:
        arn = promotion.arn or _newest(promotion.model, self.registry)
        source = arn.split(":")[3]
        if source != self.peer_region:
            raise BadEvent(
                f"detail.ModelPackageArn: {arn} is in {source}, but this region stands by for {self.peer_region}"
            )
        return self.registry.describe(arn)

    def _noted(self, entry: RegistryEntry, told_at: dt.datetime, rules: ModelPolicy) -> Record:
        """Return the record of the version's recovery point, having begun what is not there yet."""
        point = recovery_point_id(entry.version, entry.arn, entry.document)
        tags = effective(entry.tags)
        known = self.catalog.record(entry.model, point)
        if known is None:
            known = self.catalog.begin(
                Record(
                    model=entry.model,
                    recovery_point=point,
                    phase=Phase.CAPTURING,
                    attempt=0,
                    origin=Origin(region=self.peer_region, version=entry.version, arn=entry.arn, promoted_at=told_at),
                    started_at=self.clock.now(),
                    warnings=rules.warnings,
                    tier_tag=tags.get(TIER_TAG),
                    criticality_tag=tags.get(CRITICALITY_TAG),
                )
            )
        return _tagged(known, tags, self.catalog)

    def _continue(self, record: Record, capture: Capture) -> Outcome:
        if record.withdrawn:
            # The mark goes last: while it stands, a message delivered again sets the status again.
            if record.target_arn:
                self.registry.set_status(record.target_arn, "Approved")
            self.catalog.annotate(record.model, record.recovery_point, withdrawn=None)
        if record.phase is Phase.SEALED:
            return _finish(record, capture, self.vault, self.workflows)
        tried = record.attempt and record.phase is not Phase.FAILED
        if tried and self.workflows.status(execution_name(record)) is Status.RUNNING:
            return _outcome(record, "skipped", f"attempt {record.attempt} is {record.phase}")
        keep_capture(self.vault, record.recovery_point, capture)
        current = self.catalog.resume(record, record.attempt)
        self.workflows.start(execution_name(current), task(current))
        if current.attempt == 1:
            return _outcome(current, "started", "a new version was promoted")
        before = record.reason or "an attempt that stopped without a word"
        return _outcome(current, "resumed", f"attempt {current.attempt}, after {before}")


def _tagged(record: Record, tags: dict[str, str], catalog: Catalog) -> Record:
    """A tag is edited without any event: whoever describes the version again takes note of it."""
    if record.tags == tags:
        return record
    noted = {"tier_tag": tags.get(TIER_TAG), "criticality_tag": tags.get(CRITICALITY_TAG)}
    catalog.annotate(record.model, record.recovery_point, **noted)
    return record.model_copy(update=noted)


def wanted_here(entry: RegistryEntry, region: str, catalog: Catalog) -> bool:
    """Return whether a version is to be protected in this region: mldr's own copies only while the peer serves them.

    Then they are what has to be restored here, should the peer be lost or the model come home.
    """
    if not entry.copied_from:
        return True
    knowledge = catalog.leadership(entry.model)
    home = home_of(region, knowledge, catalog.route(entry.model))
    now = role(region, home, knowledge, now=NEVER, drain=dt.timedelta(0))
    return not now.serving


def _served_by_peer(entry: RegistryEntry, catalog: Catalog) -> bool:
    """Return whether the peer serves a copy whose approval is still open: it must be able to come home all the same."""
    standing = catalog.standing(entry.model)
    return bool(standing and standing.version == entry.arn and entry.status == PENDING)


def _with_golden(policy: ModelPolicy, entry: RegistryEntry) -> ModelPolicy:
    """A copy's golden inferences lie beside it: those that the policy names are in the region that made them."""
    if not (entry.copied_from and entry.golden):
        return policy
    return policy.model_copy(update={"golden": GoldenRule(uri=entry.golden)})


def _ask_for_snapshots(names: list[str], record: Record, bus: Bus) -> None:
    """Ask before the attempt begins: what dies in between asks twice, the other order would never ask."""
    for name in names:
        reason = f"{record.recovery_point} of {record.model} was promoted"
        bus.put(detail_types.SNAPSHOT_REQUESTED, {"dataset": name, "reason": reason})


def _newest(model: ModelKey, registry: Registry) -> str:
    arn = registry.newest_approved(model)
    if arn is None:
        raise MissingArtifact(f"{model} has no approved version in the active region; approve one to protect it")
    return arn


def _finish(record: Record, capture: Capture, vault: Vault, workflows: Workflows) -> Outcome:
    """A sealed point needs nothing, unless what follows the seal (registry, route, event) was not finished."""
    if not record.reason:
        return _outcome(record, "skipped", f"sealed at {record.sealed_at}; {record.damaged or 'it is in order'}")
    if workflows.status(execution_name(record)) is Status.RUNNING:
        return _outcome(record, "skipped", f"attempt {record.attempt} is running")
    keep_capture(vault, record.recovery_point, capture)
    started = start_unless(workflows, f"{execution_name(record)}-after-seal", task(record), final=())
    return _outcome(record, "resumed" if started else "skipped", f"sealed, but {record.reason}")


def _withdraw(entry: RegistryEntry, catalog: Catalog, registry: Registry) -> Outcome:
    """An approval that was taken back keeps its sealed point, but recovery does not choose it by itself."""
    reason = f"the registry says {entry.status}"
    points = [record for record in catalog.records(entry.model) if record.origin.arn == entry.arn]
    fresh = [record for record in points if not record.withdrawn]
    for record in points:
        if record in fresh:
            catalog.annotate(record.model, record.recovery_point, withdrawn=reason)
        # Also for a point that is marked already: the last message may have died between the two.
        if record.target_arn:
            registry.set_status(record.target_arn, entry.status)
    return Outcome(
        model=str(entry.model),
        recovery_point=fresh[0].recovery_point if fresh else None,
        action="withdrawn" if fresh else "skipped",
        reason=reason,
    )


def execution_name(record: Record) -> str:
    """Return the name of an attempt's execution: unique, and the same for every message that means this attempt."""
    return f"{record.model.name[:40]}-{record.recovery_point}-{record.attempt}"


def task(record: Record) -> dict[str, object]:
    """Return the input of an attempt's execution."""
    return {"model": str(record.model), "recovery_point": record.recovery_point, "attempt": record.attempt}


def _outcome(record: Record, action: str, reason: str) -> Outcome:
    return Outcome(
        model=str(record.model),
        recovery_point=record.recovery_point,
        action=action,
        reason=reason,
        warnings=record.warnings,
    )
