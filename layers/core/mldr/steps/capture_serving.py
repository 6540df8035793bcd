"""Capture how the active region serves a model, once everything it names has a counterpart in the standby region."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.images import parse_image
from mldr.domain.leadership import Role, role
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Phase, Record, Retention, newest_restorable
from mldr.domain.serving_references import (
    Grounds,
    Held,
    Problem,
    Reference,
    carry,
    find_references,
    find_secrets,
    mapped,
)
from mldr.domain.serving_state import IN_SERVICE, Carried, Kind, Observed, Refusal, ServingState
from mldr.domain.warming import drifted
from mldr.errors import BadEvent, BadReference, LostRace, Permanent, RegionUnreachable
from mldr.events.detail_types import TIERS_DUE
from mldr.events.serving import ServingWish
from mldr.ports.catalog import Catalog
from mldr.ports.registry import Images
from mldr.ports.serving import ServingCaptures, ServingSource
from mldr.ports.stack import Bus, Clock, PolicyStore
from mldr.ports.vault import Vault
from mldr.steps.carry_inference_service import carry_inference_service
from mldr.steps.know_leader import home_known
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standby_images import standby_image

LOOKS = 3  # at an endpoint that changes while it is described
_BEING_MADE = (Phase.CAPTURING, Phase.COPYING, Phase.VERIFYING)


class Outcome(Frozen):
    """What became of a look at one model's serving state, and the sentence that says why."""

    model: str
    action: str  # captured | unchanged | skipped | refused
    reason: str


class Ground(Frozen):
    """Where one capture stands: which model, between which regions, by which rules."""

    model: ModelKey
    region: str
    peer_region: str
    default_role: str
    policy: ModelPolicy


def capture_serving(
    wish: ServingWish,
    *,
    region: str,
    peer_region: str,
    default_role: str,
    catalog: Catalog,
    vault: Vault,
    policies: PolicyStore,
    images: Images,
    source: ServingSource,
    captures: ServingCaptures,
    bus: Bus,
    clock: Clock,
) -> list[Outcome]:
    """Return what became of each model that the message means. It is described as it is now, whatever the event said.

    What stands by is of the shape that was captured, so another state is told: it need not wait for the schedule.

    Raises BadReference and its like, once per message, when a state names what has no counterpart.
    """
    if wish.endpoint and wish.region != peer_region:
        raise BadEvent(f"region: the endpoint is in {wish.region}, but this region stands by for {peer_region}")
    policy, _ = policies.load()
    outcomes = []
    for model in [wish.model] if wish.model else catalog.models():
        rules = policy.for_model(model.registry, model.name, {})
        if wish.endpoint and rules.serving.endpoint != wish.endpoint:
            continue
        ground = Ground(
            model=model, region=region, peer_region=peer_region, default_role=default_role, policy=rules
        )  # fmt: skip
        try:
            outcome = _one(ground, wish.reason, catalog, vault, images, source, captures, clock)
        except RegionUnreachable as error:
            # An event came from a region that is there. Of one that is not, reconciliation asks again and again.
            if wish.endpoint:
                raise
            outcome = _skipped(model, f"{error}; what was captured stays")
        # Unchanged, too: the first delivery of this message may have died between keeping the state and telling of it.
        if outcome.action == "captured" or (outcome.action == "unchanged" and (wish.endpoint or wish.model)):
            bus.put(TIERS_DUE, {"model": str(model)})
        outcomes.append(outcome)
    return outcomes


def _one(
    ground: Ground,
    reason: str,
    catalog: Catalog,
    vault: Vault,
    images: Images,
    source: ServingSource,
    captures: ServingCaptures,
    clock: Clock,
) -> Outcome:
    model = ground.model
    here = _role(ground, catalog, clock)
    if here.serving:
        return Outcome(
            model=str(model), action="refused", reason=f"{here.reason}: what the peer has is of an older epoch"
        )
    records = catalog.records(model)
    if newest_restorable(records) is None:
        return _skipped(model, "there is no sealed recovery point yet; it is captured when one is sealed")
    begun = clock.now()
    try:
        observed = _observed(ground.policy.serving.endpoint, source)
        if observed.status != IN_SERVICE:
            stays = (
                f"endpoint {observed.endpoint} of {ground.peer_region} is {observed.status}; what was captured stays"
            )
            return _skipped(model, stays)
        state = _state(ground, observed, records, reason, begun, catalog, vault, images)
    except Permanent as error:
        captures.refuse(model, Refusal(reason=f"{type(error).__name__}: {error}", at=begun))
        raise
    if state is None:
        return _skipped(model, "a version that it serves is being protected; it is captured when that is sealed")
    return _keep(state, captures)


def _observed(endpoint: str, source: ServingSource) -> Observed:
    """Look again at once when it changed meanwhile: a queue would do so only after minutes."""
    for _ in range(LOOKS - 1):
        try:
            return source.observe(endpoint)
        except LostRace:
            continue
    return source.observe(endpoint)


def _role(ground: Ground, catalog: Catalog, clock: Clock) -> Role:
    """Return what this region is to the model: while it serves, its peer has nothing to tell (law 7)."""
    knowledge = catalog.leadership(ground.model)
    home = home_known(ground.region, ground.model, knowledge, catalog) or ground.peer_region
    return role(ground.region, home, knowledge, now=clock.now(), drain=ground.policy.failover.drain)


def _skipped(model: ModelKey, reason: str) -> Outcome:
    return Outcome(model=str(model), action="skipped", reason=reason)


def _keep(state: ServingState, captures: ServingCaptures) -> Outcome:
    """Keep what is new; what is not is kept again only when half of its lock is over."""
    known = captures.refusal(state.model)
    if known and known.reason:
        captures.refuse(state.model, Refusal(reason="", at=state.captured_at))
    held = captures.newest(state.model)
    if held and held.captured_at > state.captured_at:
        return Outcome(model=str(state.model), action="unchanged", reason="a later look was captured already")
    period = state.retention.until - state.captured_at
    if held and state.latency is None:
        state = state.model_copy(update={"latency": held.latency})  # a quiet hour tells nothing new
    same = held is not None and held.digest == state.digest and not drifted(held.latency, state.latency)
    if held and same and held.retention.until - state.captured_at > period / 2:
        return Outcome(
            model=str(state.model), action="unchanged", reason=f"as captured at {held.captured_at:%Y-%m-%d %H:%M:%S}"
        )
    captures.put(state)
    return Outcome(model=str(state.model), action="captured", reason=state.reason)


def _state(
    ground: Ground,
    observed: Observed,
    records: list[Record],
    reason: str,
    begun: dt.datetime,
    catalog: Catalog,
    vault: Vault,
    images: Images,
) -> ServingState | None:
    """Return the state, or None while a point is being made that may hold what is missing. Raises BadReference."""
    carried, left_out, serious = _counterparts(ground, observed, records, vault, images)
    missing = [one for one in serious if one.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE)]
    if missing and any(record.phase in _BEING_MADE for record in records):
        return None
    if serious:
        raise BadReference(_told(observed.endpoint, serious))
    epoch = catalog.epoch(ground.model)
    kept = ground.policy.retention
    return ServingState(
        model=ground.model,
        endpoint=observed.endpoint,
        region=ground.peer_region,
        standby_region=ground.region,
        captured_at=begun,
        reason=reason,
        epoch=epoch.number if epoch else 0,
        retention=Retention.model_validate({"mode": kept.mode.upper(), "until": begun + kept.period}),
        document=observed.document,
        live=observed.live,
        carried=carried,
        left_out=left_out,
        latency=observed.latency,
    )


def _counterparts(
    ground: Ground, observed: Observed, records: list[Record], vault: Vault, images: Images
) -> tuple[tuple[Carried, ...], dict[str, str], list[Problem]]:
    """Return what is carried, the variants to leave out, and what keeps the state from being captured."""
    rules = ground.policy.serving
    if rules.kserve:
        carried, problems = carry_inference_service(
            observed,
            rules=rules,
            region=ground.peer_region,
            standby=ground.region,
            records=records,
            vault=vault,
            images=images,
        )
        return carried, {}, list(problems)
    references = find_references(observed.document, ground.peer_region)
    open_ones = [
        one for one in references if isinstance(one.value, str) and mapped(one.value, rules.references) is None
    ]
    grounds = Grounds(
        rules=rules,
        role=ground.default_role,
        standby=ground.region,
        images=_images(open_ones, observed, ground, images),
        held=_held(open_ones, records, vault),
    )
    carried, problems = carry(references, grounds)
    left_out, serious = _shadows(observed.document, problems)
    return carried, left_out, [*find_secrets(observed.document, rules.not_secret), *serious]


def _told(endpoint: str, problems: list[Problem]) -> str:
    count = len(problems)
    head = f"the serving state of endpoint {endpoint} is not captured, {count} of its values cannot be"
    return head + ": " + "; ".join(str(one) for one in problems)


def _images(references: list[Reference], observed: Observed, ground: Ground, images: Images) -> dict[str, str]:
    """Return the twin of each image: of the digest that runs, where SageMaker says which."""
    found = {}
    for one in references:
        if one.kind is Kind.IMAGE and isinstance(one.value, str):
            runs = observed.images.get(one.value, one.value)
            exact = one.value if parse_image(one.value).owned_by_aws else runs
            found[one.value] = standby_image(one.path, exact, ground.peer_region, ground.region, images)
    return found


def _held(references: list[Reference], records: list[Record], vault: Vault) -> dict[str, Held]:
    """Return the vault's copy of each source that a reference names; of several, that of the newest point."""
    wanted = {str(one.value) for one in references if one.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE)}
    held: dict[str, Held] = {}
    for record in _newest_first(records):
        if wanted <= set(held):
            break
        point = record.recovery_point
        held.setdefault(record.origin.arn, Held(target=point, point=point))
        for one in read_manifest(vault, record).rewrites:
            if one.kind in ("s3-object", "s3-prefix"):
                held.setdefault(one.source, Held(target=one.target, point=point))
    return held


def _newest_first(records: list[Record]) -> Iterable[Record]:
    """Yield the points that can be restored, as recovery would choose them."""
    rest = list(records)
    while (newest := newest_restorable(rest)) is not None:
        yield newest
        rest.remove(newest)


def _shadows(document: dict[str, Any], problems: tuple[Problem, ...]) -> tuple[dict[str, str], list[Problem]]:
    """Return the shadow variants to leave out, and what remains serious: a shadow answers nobody."""
    config = document["Config"]
    serving = {one.get("ModelName") for one in config.get("ProductionVariants", [])}
    serving |= {one.get("Specification", {}).get("ModelName") for one in document.get("Components", [])}
    left_out: dict[str, str] = {}
    serious = []
    for problem in problems:
        shadows = [
            shadow["VariantName"]
            for index, shadow in enumerate(config.get("ShadowProductionVariants", []))
            if problem.path.startswith(f"Config.ShadowProductionVariants[{index}].")
            or (shadow.get("ModelName") not in serving and _is_of_model(document, problem, shadow.get("ModelName")))
        ]
        left_out |= {name: str(problem) for name in shadows if name not in left_out}
        serious += [] if shadows else [problem]
    return left_out, serious


def _is_of_model(document: dict[str, Any], problem: Problem, name: str | None) -> bool:
    index = next((i for i, one in enumerate(document["Models"]) if one["ModelName"] == name), None)
    return index is not None and problem.path.startswith(f"Models[{index}].")
