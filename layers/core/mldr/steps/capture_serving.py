"""Capture how the active region serves a model, once everything it names has a counterpart in the standby region."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from mldr.domain.components import answering, models_of, only
from mldr.domain.endpoint_status import IN_SERVICE, stuck
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.images import parse_image
from mldr.domain.late_answers import PARAMETER, unread
from mldr.domain.leadership import Leadership, Role, role
from mldr.domain.model_plan import name_in
from mldr.domain.model_rules import ServingRule, Tier
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Phase, Points, Record, Retention, newest_restorable
from mldr.domain.region_words import mapped
from mldr.domain.serving import named_for
from mldr.domain.serving_references import (
    Grounds,
    Held,
    Problem,
    Reference,
    carry,
    find_references,
    find_secrets,
)
from mldr.domain.serving_share import without_share
from mldr.domain.serving_state import Carried, Kind, Observed, Refusal, ServingState
from mldr.domain.undescribed import find_undescribed
from mldr.domain.warming import drifted
from mldr.errors import BadEvent, BadReference, LostRace, NotCapturable, Permanent, RegionUnreachable
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
_ANSWERS = tuple(f"Config.AsyncInferenceConfig.OutputConfig.{one}" for one in ("S3OutputPath", "S3FailurePath"))
_BEING_MADE = (Phase.CAPTURING, Phase.COPYING, Phase.VERIFYING)


class Outcome(Frozen):
    """What became of a look at one model's serving state, and the sentence that says why."""

    model: str
    action: str  # captured | unchanged | skipped | refused
    reason: str


@dataclass(frozen=True)
class Capturing:
    """Where one region looks at how its peer serves, and what it keeps of it."""

    region: str
    peer_region: str
    roles: ExecutionRoles
    answer_places: str
    catalog: Catalog
    vault: Vault
    policies: PolicyStore
    images: Images
    source: ServingSource
    captures: ServingCaptures
    bus: Bus
    clock: Clock

    def capture(self, wish: ServingWish) -> list[Outcome]:
        """Return what became of each model that the message means. It is described as it is now, whatever the event.

        Raises BadReference and its like, once per message, when a state names what has no counterpart.
        """
        if wish.endpoint and wish.region != self.peer_region:
            raise BadEvent(
                f"region: the endpoint is in {wish.region}, but this region stands by for {self.peer_region}"
            )
        return [self._look(meant, wish) for meant in self._meant(wish)]

    def _meant(self, wish: ServingWish) -> Iterator[Look]:
        """Yield a look at each model that is served by the endpoint of an event, or that is asked for otherwise."""
        policy, _ = self.policies.load()
        for model in [wish.model] if wish.model else self.catalog.models():
            rules = policy.for_model(model.registry, model.name, {})
            if wish.endpoint and wish.endpoint != rules.serving.endpoint and not named_for(model, wish.endpoint):
                continue  # nobody asks the catalog about each model for each endpoint of a region
            knowledge = self.catalog.leadership(model)
            look = Look(model=model, policy=rules, in_force=policy, knowledge=knowledge, begun=self.clock.now())
            look = look.as_held_by(self.peer_region)
            if wish.endpoint in ("", look.endpoint):
                yield look

    def _look(self, look: Look, wish: ServingWish) -> Outcome:
        """What stands by is of the shape that was captured: another state is told, and need not wait for the schedule.

        Also one that is unchanged: the first delivery of this message may have died between keeping it and telling.
        """
        try:
            outcome = self._one(look, wish.reason)
        except RegionUnreachable as error:
            # An event came from a region that is there. Of one that is not, reconciliation asks again and again.
            if wish.endpoint:
                raise
            outcome = _skipped(look.model, f"{error}; what was captured stays")
        if outcome.action == "captured" or (outcome.action == "unchanged" and (wish.endpoint or wish.model)):
            self.bus.put(TIERS_DUE, {"model": str(look.model)})
        return outcome

    def _one(self, look: Look, reason: str) -> Outcome:
        here = self._role(look)
        if here.serving:
            older = f"{here.reason}: what the peer has is of an older epoch"
            return Outcome(model=str(look.model), action="refused", reason=older)
        records = self.catalog.records(look.model)
        if newest_restorable(records) is None:
            return _skipped(look.model, "there is no sealed recovery point yet; it is captured when one is sealed")
        try:
            self._check_role(look.policy.serving)
            observed = _observed(look.endpoint, self.source)
            where = f"endpoint {observed.endpoint} of {self.peer_region} is {observed.status}"
            if why := stuck(observed.status):
                raise NotCapturable(f"{where}: {why}; what was captured stays")
            if observed.status != IN_SERVICE:
                return _skipped(look.model, f"{where}; what was captured stays")
            state = self._state(look, look.homes(observed), records, reason)
        except Permanent as error:
            self.captures.refuse(look.model, Refusal(reason=f"{type(error).__name__}: {error}", at=look.begun))
            raise
        if state is None:
            return _skipped(
                look.model, "a version that it serves is being protected; it is captured when that is sealed"
            )
        return _keep(state, self.captures)

    def _role(self, look: Look) -> Role:
        """Return what this region is to the model: while it serves, its peer has nothing to tell (law 7)."""
        home = home_known(self.region, look.model, look.knowledge, self.catalog) or self.peer_region
        return role(self.region, home, look.knowledge, now=self.clock.now(), drain=look.policy.failover.drain)

    def _check_role(self, rules: ServingRule) -> None:
        """The policy's role serves also where no endpoint was captured: whether it may is told before it has to."""
        if rules.role and not rules.kserve and not self.roles.may_pass(rules.role):
            raise BadReference(f"serving.role: {self.roles.refused(rules.role, self.region)}")

    def _state(self, look: Look, observed: Observed, records: list[Record], reason: str) -> ServingState | None:
        """Return the state, or None while a point is being made that may hold what is missing. Raises BadReference."""
        rules = look.policy.serving
        component = "" if rules.kserve else answering(observed.document, rules.component)
        observed = observed.model_copy(update={"document": only(observed.document, component)})
        found = self._counterparts(look, observed, records)
        missing = [one for one in found.serious if one.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE)]
        if missing and any(record.phase in _BEING_MADE for record in records):
            return None
        serious = (*found.serious, *self._unprovable(look, observed, records, found.carried))
        if serious:
            raise BadReference(_told(observed.endpoint, serious))
        epoch = self.catalog.epoch(look.model)
        kept = look.policy.retention
        return ServingState(
            model=look.model,
            endpoint=observed.endpoint,
            region=self.peer_region,
            standby_region=self.region,
            captured_at=look.begun,
            reason=reason,
            epoch=epoch.number if epoch else 0,
            retention=Retention.model_validate({"mode": kept.mode.upper(), "until": look.begun + kept.period}),
            document=observed.document,
            live=observed.live,
            carried=found.carried,
            left_out=found.left_out,
            component=component,
            latency=observed.latency,
        )

    def _unprovable(
        self, look: Look, observed: Observed, records: list[Record], carried: Iterable[Carried]
    ) -> list[Problem]:
        """An asynchronous endpoint is proven by what it writes into a bucket: what hinders that is told by day.

        Source: docs.aws.amazon.com/sagemaker/latest/dg/async-inference-invoke-endpoint.html.
        """
        if not observed.document.get("Config", {}).get("AsyncInferenceConfig"):
            return []
        point = newest_restorable(records)
        sealed = read_manifest(self.vault, point).golden if point else None
        if not (look.policy.golden or sealed):
            return []
        without = "or take `golden` out of the policy; a sealed point keeps its own: approve a version anew"
        if owed(look.in_force, look.model, Points.of(records).ruling).tier is Tier.ACTIVE_ACTIVE:
            text = f"no gateway asks an asynchronous endpoint, so none answers beside: choose another tier, {without}"
            return [Problem(path="Config.AsyncInferenceConfig", text=text)]
        written = {one.path: str(one.target) for one in carried if one.path in _ANSWERS}
        if not observed.document["Config"]["AsyncInferenceConfig"].get("OutputConfig", {}).get("S3OutputPath"):
            return [Problem(path=_ANSWERS[0], text=f"its golden answers are written nowhere: set it, {without}")]
        hidden = unread(written.values(), self.answer_places)
        told = (
            f"its golden answers could not be read from {{}}: name the place in {PARAMETER} of {self.region}'s stack, "
            f"{without}"
        )
        return [Problem(path=path, text=told.format(uri)) for path, uri in written.items() if uri in hidden]

    def _counterparts(self, look: Look, observed: Observed, records: list[Record]) -> Counterparts:
        rules = look.policy.serving
        if rules.kserve:
            carried, problems = carry_inference_service(
                observed,
                rules=rules,
                region=self.peer_region,
                standby=self.region,
                records=records,
                vault=self.vault,
                images=self.images,
            )
            return Counterparts(carried=carried, serious=problems)
        secrets = find_secrets(observed.document, rules.not_secret)
        secret = {one.path for one in secrets}  # nothing else is said of these: it would say what stands there
        references = [one for one in find_references(observed.document, self.peer_region) if one.path not in secret]
        grounds = self._grounds(look, observed, references, records)
        carried, problems = carry(references, grounds)
        left_out, serious = _shadows(observed.document, (*problems, *find_undescribed(observed.document)))
        return Counterparts(carried=carried, left_out=left_out, serious=(*secrets, *serious))

    def _grounds(self, look: Look, observed: Observed, references: list[Reference], records: list[Record]) -> Grounds:
        rules = look.policy.serving
        open_ones = [
            one for one in references if isinstance(one.value, str) and mapped(one.value, rules.references) is None
        ]
        return Grounds(
            rules=rules,
            roles=self.roles,
            standby=self.region,
            images=self._twins(open_ones, observed),
            held=_held(open_ones, look, records, self.vault),
        )

    def _twins(self, references: list[Reference], observed: Observed) -> dict[str, str]:
        """Return the twin of each image: of the digest that runs, where SageMaker says which."""
        found = {}
        for one in references:
            if one.kind is Kind.IMAGE and isinstance(one.value, str):
                runs = observed.images.get(one.value, one.value)
                exact = one.value if parse_image(one.value).owned_by_aws else runs
                found[one.value] = standby_image(one.path, exact, self.peer_region, self.region, self.images)
        return found


class Look(Frozen):
    """One look at one model, by the rules in force, and by what was known of who serves it, when it began."""

    model: ModelKey
    policy: ModelPolicy  # without what the tags of a point say
    in_force: Policy
    knowledge: Leadership
    begun: dt.datetime

    @property
    def endpoint(self) -> str:
        """Return the endpoint that answers in the peer."""
        return self.policy.serving.endpoint

    def as_held_by(self, peer: str) -> Self:
        """Return the look at what serves: the policy names the model's own endpoint, a takeover another one.

        An InferenceService keeps its name. What an older release announced names nothing.
        """
        standing, rules = self.knowledge.standing, self.policy.serving
        if standing is None or standing.holder != peer or rules.kserve or standing.endpoint in ("", rules.endpoint):
            return self
        answers = rules.model_copy(update={"endpoint": standing.endpoint, "component": standing.component})
        return self.model_copy(update={"policy": self.policy.model_copy(update={"serving": answers})})

    def homes(self, observed: Observed) -> Observed:
        """Return what of it is the home's, where what took over answered beside the home and carries both loads now."""
        standing = self.knowledge.standing
        if standing is None or standing.share is None or observed.endpoint != standing.endpoint:
            return observed
        return without_share(observed, standing.share)


class Counterparts(Frozen):
    """What is carried of a state, the shadow variants to leave out, and what keeps it from being captured."""

    carried: tuple[Carried, ...]
    left_out: dict[str, str] = {}
    serious: tuple[Problem, ...] = ()


def _observed(endpoint: str, source: ServingSource) -> Observed:
    """Look again at once when it changed meanwhile: a queue would do so only after minutes."""
    for _ in range(LOOKS - 1):
        try:
            return source.observe(endpoint)
        except LostRace:
            continue
    return source.observe(endpoint)


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


def _told(endpoint: str, problems: tuple[Problem, ...]) -> str:
    count = len(problems)
    head = f"the serving state of endpoint {endpoint} is not captured, {count} of its values cannot be"
    return head + ": " + "; ".join(str(one) for one in problems)


def _held(references: list[Reference], look: Look, records: list[Record], vault: Vault) -> dict[str, Held]:
    """Return the vault's copy of each source that a reference names; of several, that of the newest point.

    A home that was restored serves from its own vault, which nobody copies back: it is the copy of a point here.
    """
    wanted = {str(one.value) for one in references if one.kind in (Kind.MODEL_DATA, Kind.MODEL_PACKAGE)}
    holder = look.knowledge.standing
    copies = {name_in(uri, look.model, holder.recovery_point): uri for uri in wanted} if holder else {}
    held: dict[str, Held] = {}
    for record in _newest_first(records):
        if wanted <= set(held):
            break
        point = record.recovery_point
        held.setdefault(record.origin.arn, Held(target=point, point=point))
        for one in read_manifest(vault, record).rewrites:
            if one.kind not in ("s3-object", "s3-prefix"):
                continue
            held.setdefault(one.source, Held(target=one.target, point=point))
            name = name_in(one.target, look.model, point)
            if holder and record.origin.arn == holder.version and name and name in copies:
                held.setdefault(copies[name], Held(target=one.target, point=point))
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
    serving |= {model for one in document.get("Components", []) for model in models_of(one)}
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
