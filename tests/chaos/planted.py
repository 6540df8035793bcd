"""Faults planted in the product on purpose: what the laws are worth is what they find."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from mldr.domain import failover, health, leadership
from mldr.domain.health import Sight
from mldr.domain.leadership import Standing
from mldr.domain.model_rules import FailoverMode
from mldr.steps import (
    answer_beside,
    claim_epoch,
    conclude_failover,
    converge_serving,
    know_leader,
    onboard_model,
    prove_answers,
    restore_serving,
    resume_failovers,
    serve_gateway,
    start_failover,
    switch_traffic,
    warm_serving,
    watch_beside,
    watch_peer,
    watching,
)
from tests.chaos.execution import DEFINITION
from tests.chaos.region import Known

Patch = pytest.MonkeyPatch
PLANTED: dict[str, Callable[[Patch], None]] = {}


def planted(what: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Name a fault; the function below plants it."""

    def keep(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        PLANTED[what] = plant
        return plant

    return keep


def _claimed(task: Any, _catalog: Any) -> Any:
    return SimpleNamespace(number=task.claim.epoch, failover_id=task.failover_id)


# claims and switches


@planted("a takeover is flipped without its condition")
def _(patch: Patch) -> None:
    def flip(self: Known, model: Any, takeover: Any, _epoch: Any) -> None:
        self._switches[str(model)] = takeover
        self._former.pop(str(model), None)

    patch.setattr(Known, "flip", flip)


@planted("a takeover is flipped without its condition, and the claim is not asked for before")
def _(patch: Patch) -> None:
    PLANTED["a takeover is flipped without its condition"](patch)
    patch.setattr(switch_traffic, "held_epoch", _claimed)


@planted("a takeover is flipped whoever holds the claim")
def _(patch: Patch) -> None:
    def flip(self: Known, model: Any, takeover: Any, epoch: Any) -> None:
        held, self._epochs = self._epochs, {str(model): epoch}
        try:
            super(Known, self).flip(model, takeover, epoch)
        finally:
            self._epochs = held

    patch.setattr(Known, "flip", flip)


@planted("a takeover is flipped for a claim that was concluded")
def _(patch: Patch) -> None:
    def flip(self: Known, model: Any, takeover: Any, epoch: Any) -> None:
        before = self._epochs
        self._epochs = {name: one.model_copy(update={"concluded": False}) for name, one in before.items()}
        try:
            super(Known, self).flip(model, takeover, epoch)
        finally:
            self._epochs = before

    patch.setattr(Known, "flip", flip)


@planted("a takeover is flipped for a claim that holds, whatever the peer announced")
def _(patch: Patch) -> None:
    def flip(self: Known, model: Any, takeover: Any, epoch: Any) -> None:
        known, self._standings = self._standings, {}
        try:
            super(Known, self).flip(model, takeover, epoch)
        finally:
            self._standings = known

    patch.setattr(Known, "flip", flip)


@planted("the claim is not asked for before an endpoint is restored")
def _(patch: Patch) -> None:
    for step in (restore_serving, warm_serving, switch_traffic):
        patch.setattr(step, "held_epoch", _claimed)


@planted("an epoch is claimed without its condition")
def _(patch: Patch) -> None:
    def claim(self: Known, model: Any, epoch: Any, _previous: Any) -> None:
        self._epochs[str(model)] = epoch

    patch.setattr(Known, "claim", claim)


@planted("both sides claim any number")
def _(patch: Patch) -> None:
    patch.setattr(failover, "ballot", lambda known, is_home: known + 1)
    patch.setattr(leadership, "_possible", lambda _: True)


@planted("a claim forgets what the peer announced")
def _(patch: Patch) -> None:
    real = claim_epoch.next_epoch
    patch.setattr(claim_epoch, "next_epoch", lambda *given, **named: real(*given, **{**named, "known": 0}))


@planted("a claim whose execution runs is taken as free")
def _(patch: Patch) -> None:
    patch.setattr(claim_epoch, "_dead", lambda *_: True)


@planted("a claim cannot be cleared")
def _(patch: Patch) -> None:
    def refused(*_: Any) -> Any:
        raise claim_epoch.NothingToClear("planted")

    patch.setattr(claim_epoch, "_clear", refused)


@planted("a claim is not concluded, and not free when its execution is dead")
def _(patch: Patch) -> None:
    patch.setattr(Known, "conclude", lambda *_: None)
    patch.setattr(claim_epoch, "_dead", lambda *_: False)


# what gateways know


@planted("a catalog that refuses forgets the takeover")
def _(patch: Patch) -> None:
    real = know_leader.Leaders._read

    def read(self: Any, model: Any) -> Any:
        self._catalog.leadership(model)
        return real(self, model)

    patch.setattr(know_leader.Leaders, "_read", read)


@planted("a process believes its catalog more than what it heard itself")
def _(patch: Patch) -> None:
    def read(self: Any, model: Any) -> Any:
        try:
            found = self._catalog.leadership(model)
        except know_leader.Retryable:
            if model not in self._memory:
                raise
            return self._memory[model], self._memory[model].standing
        self._memory[model] = found
        return found, found.standing

    patch.setattr(know_leader.Leaders, "_read", read)


@planted("what the peer announced later may be older")
def _(patch: Patch) -> None:
    def learned(_before: Any, said: Any, now: dt.datetime) -> Any:
        return Standing.of(said, now) if said.home else None

    def learn(self: Known, model: Any, standing: Any) -> None:
        self._standings[str(model)] = (model, standing)

    patch.setattr(know_leader, "learned", learned)
    patch.setattr(Known, "learn", learn)


@planted("an older word of the peer is written over a newer one")
def _(patch: Patch) -> None:
    def learn(self: Known, model: Any, standing: Any) -> None:
        self._standings[str(model)] = (model, standing)

    patch.setattr(Known, "learn", learn)


@planted("a gateway announces an epoch that nobody flipped")
def _(patch: Patch) -> None:
    real = serve_gateway.announce

    def announce(model: Any, region: str, knowledge: Any, **named: Any) -> Any:
        said = real(model, region, knowledge, **named)
        return said.model_copy(update={"epoch": said.epoch + 2}) if said.epoch and said.holder == region else said

    patch.setattr(serve_gateway, "announce", announce)


@planted("a region stands down for its own epoch, too")
def _(patch: Patch) -> None:
    def stand_down(self: Known, model: Any, _standing: Any) -> None:
        if str(model) in self._switches:
            self._former[str(model)] = self._switches.pop(str(model))

    def over(knowledge: Any, _region: str) -> bool:
        takeover, standing = knowledge.takeover, knowledge.standing
        return bool(takeover and standing and standing.epoch >= takeover.epoch)

    patch.setattr(Known, "stand_down", stand_down)
    patch.setattr(know_leader, "overruled", over)


@planted("a region stands down without its condition")
def _(patch: Patch) -> None:
    def stand_down(self: Known, model: Any, _standing: Any) -> None:
        if str(model) in self._switches:
            self._former[str(model)] = self._switches.pop(str(model))

    patch.setattr(Known, "stand_down", stand_down)


@planted("nobody stands down")
def _(patch: Patch) -> None:
    patch.setattr(Known, "stand_down", lambda *_: None)
    patch.setattr(serve_gateway, "overruled", lambda *_: False)


@planted("gateways do not ask each other")
def _(patch: Patch) -> None:
    patch.setattr(know_leader.Leaders, "_ask", lambda *_: None)


@planted("a region that stood down answers as if it drained")
def _(patch: Patch) -> None:
    patch.setattr(know_leader, "_drain", lambda *_: dt.timedelta(hours=9))


@planted("a region that stood down after an outage drains as after a move")
def _(patch: Patch) -> None:
    patch.setattr(failover.Kind, "planned", property(lambda _: True))


@planted("a planned move does not drain")
def _(patch: Patch) -> None:
    patch.setattr(know_leader, "_drain", lambda *_: dt.timedelta(0))


# proof


@planted("wrong answers are let pass")
def _(patch: Patch) -> None:
    patch.setattr(prove_answers, "judge", lambda *_: prove_answers.UNPROVEN)


@planted("the golden check is left out")
def _(patch: Patch) -> None:
    patch.setitem(DEFINITION["States"]["WarmServing"], "Next", "FlipSwitch")
    patch.setitem(DEFINITION["States"]["Warm?"], "Default", "FlipSwitch")


@planted("no evidence is kept")
def _(patch: Patch) -> None:
    def conclude(task: Any, *, evidence: Any, **named: Any) -> Any:
        return _real_conclude(task, evidence=SimpleNamespace(append=lambda record: record), **named)

    from functions.conclude_failover import app

    patch.setattr(app, "conclude_failover", conclude)


_real_conclude = conclude_failover.conclude_failover


# both answer


@planted("what is to answer beside the home is not asked anything before")
def _(patch: Patch) -> None:
    patch.setattr(answer_beside, "prove", lambda *_, **__: prove_answers.UNPROVEN)


@planted("what answered beside the home and was made anew answers at once")
def _(patch: Patch) -> None:
    patch.setattr(answer_beside.Answering, "keep", lambda _self, _model, beside: beside)


@planted("the name is shared before anything answers beside the home")
def _(patch: Patch) -> None:
    patch.setattr(onboard_model, "_answers_beside", lambda _: True)
    patch.setattr(onboard_model, "_beside_told", lambda *_, **__: None)
    patch.setattr(converge_serving.Answering, "let", _let_first)


def _let_first(self: Any, model: Any, _beside: Any, wanted: Any, _held: Any) -> str:
    self._routes.follow(model, wanted.rules.spread)
    return ""


@planted("a standby that gave a takeover back does not answer beside the home again")
def _(patch: Patch) -> None:
    real = leadership.role

    def role(region: str, home: str, knowledge: Any, **named: Any) -> Any:
        standing = knowledge.standing
        known = knowledge.model_copy(update={"beside": None}) if standing and standing.epoch else knowledge
        return real(region, home, known, **named)

    for user in (know_leader, converge_serving):
        patch.setattr(user, "role", role)


@planted("the home answers beside a standby that took over")
def _(patch: Patch) -> None:
    real = know_leader.role

    def role(region: str, home: str, knowledge: Any, **named: Any) -> Any:
        found = real(region, home, knowledge, **named)
        return found.model_copy(update={"stood_down": False}) if knowledge.takeover is None else found

    patch.setattr(know_leader, "role", role)


@planted("a standby beside the home writes, too")
def _(patch: Patch) -> None:
    real = leadership._beside
    patch.setattr(
        leadership, "_beside", lambda *given: real(*given).model_copy(update={"writer": True, "serving": True})
    )


@planted("what answers beside the home is withdrawn before the name is")
def _(patch: Patch) -> None:
    def leave(self: Any, model: Any, beside: Any, _rules: Any) -> None:
        if beside:
            self._catalog.withdraw_beside(model, beside)
        self._routes.follow(model, None)

    patch.setattr(answer_beside.Answering, "leave", leave)


@planted("an endpoint that answers clients counts as unused")
def _(patch: Patch) -> None:
    patch.setattr(converge_serving, "_used", lambda *_: frozenset())


# deciding


@planted("one vantage point is enough")
def _(patch: Patch) -> None:
    _rules(patch, quorum=1)


@planted("one round is enough")
def _(patch: Patch) -> None:
    _rules(patch, consecutive=1)


@planted("a vantage point that sees health does not count")
def _(patch: Patch) -> None:
    real = health.judge

    def judge(seen: Any, quorum: int) -> Any:
        return real([one for one in seen if one.sight is not Sight.HEALTHY] or seen, quorum)

    patch.setattr(health, "judge", judge)


@planted("what cannot be told is taken as down")
def _(patch: Patch) -> None:
    real = health.judge

    def judge(seen: Any, quorum: int) -> Any:
        verdict, reason = real(seen, quorum)
        return (Sight.UNHEALTHY if verdict is Sight.UNKNOWN else verdict), reason

    patch.setattr(health, "judge", judge)


@planted("nothing cools down")
def _(patch: Patch) -> None:
    patch.setattr(health, "_cooling", lambda *_: None)


@planted("the cool-down forgets when the model moved")
def _(patch: Patch) -> None:
    real = health._cooling
    patch.setattr(health, "_cooling", lambda state, *more: real(state.model_copy(update={"moved_at": None}), *more))


@planted("whatever the policy says, failovers are automatic")
def _(patch: Patch) -> None:
    _rules(patch, mode=FailoverMode.AUTOMATIC)


@planted("the same approval counts whenever it comes")
def _(patch: Patch) -> None:
    from mldr.steps import approve_failover

    patch.setattr(approve_failover, "objection", lambda *_: "")


@planted("what died is not gone on with")
def _(patch: Patch) -> None:
    patch.setattr(resume_failovers, "start_unless", lambda *_, **__: None)


@planted("a request that comes again starts again")
def _(patch: Patch) -> None:
    def start(workflows: Any, name: str, payload: Any, **_: Any) -> str:
        tried = name
        while workflows.status(tried) is not None:
            tried += "-2"
        workflows.start(tried, payload)
        return tried

    patch.setattr(start_failover, "start_unless", start)


def _rules(patch: Patch, **changed: Any) -> None:
    real = watching.rules_of
    for user in (watch_peer, watch_beside):
        patch.setattr(user, "rules_of", lambda policy: real(policy).model_copy(update=changed))
