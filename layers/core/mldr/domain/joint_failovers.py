"""Which failovers of a round are asked for, and which together: several at once compete, and need an order.

The models of a region do not fail in the same second: Route 53 sees one of them down a round or two before another.
So a less critical model waits a little for a more critical one in trouble, and what waits in a queue is ordered anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

from mldr.domain.evacuation import Listed, urgency
from mldr.domain.health import Action, Decision, Fate, HealthState, Standby, Why
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.model_rules import Criticality, FailoverMode

HELD_ROUNDS = 2  # rounds that a failover waits for more critical models that are in trouble and not decided yet
NAMED = 5


class Turn(StrEnum):
    """How far a model's failover is."""

    COUNTING = "counting"  # in trouble, and not long enough
    ASKED = "asked"  # decided in this round
    QUEUED = "queued"  # asked for in an earlier round, and waiting in an evacuation


class Wish(Frozen):
    """A model in trouble. `waited` are the rounds since its policy would have it moved."""

    model: ModelKey
    turn: Turn
    mode: FailoverMode
    criticality: Criticality
    waited: int
    before: HealthState
    decision: Decision


class Sorted(Frozen):
    """The wishes of a round: what is asked for, what waits in a queue, and what is held, with the reason.

    What a person confirmed is asked for by itself: their word is about that model alone.
    """

    confirmed: tuple[Wish, ...]
    asked: tuple[Wish, ...]
    queued: tuple[Wish, ...]
    held: tuple[tuple[Wish, str], ...]

    @property
    def joint(self) -> bool:
        """Whether what is asked for needs an order: there is more than one, or others wait."""
        return bool(self.asked) and len(self.asked) + len(self.queued) > 1


def turn_of(decision: Decision, standby: Standby, mode: FailoverMode) -> Turn | None:
    """Return what a decision means for the failovers of other models, None when nothing."""
    state = decision.state
    if decision.action is Action.FAIL_OVER:
        return Turn.ASKED
    if decision.why is Why.REQUESTED and standby.fate in (Fate.QUEUED, Fate.UNSEEN):
        return Turn.QUEUED if state.request and state.request.within else None
    # A region's failure begins with rounds in which the vantage points do not agree yet.
    counting = decision.why is Why.COUNTING or (decision.why is Why.UNKNOWN and Why.UNKNOWN not in state.paged_for)
    return Turn.COUNTING if counting and mode is FailoverMode.AUTOMATIC and not standby.under_way else None


def sort_out(wishes: Sequence[Wish]) -> Sorted:
    """Return what to do about each; only a model that is decided for the first time waits for others."""
    counting = [one for one in wishes if one.turn is Turn.COUNTING]
    confirmed, asked, held = [], [], []
    for one in sorted((one for one in wishes if one.turn is Turn.ASKED), key=lambda one: str(one.model)):
        if one.mode is not FailoverMode.AUTOMATIC:
            confirmed.append(one)
            continue
        ahead = [other for other in counting if urgency(other.criticality) < urgency(one.criticality)]
        if ahead and one.before.request is None and one.waited < HELD_ROUNDS:
            held.append((one, f"{one.decision.reason}; held for a round: {_named(ahead)} may need its place"))
        else:
            asked.append(one)
    waiting = sorted((one for one in wishes if one.turn is Turn.QUEUED), key=lambda one: str(one.model))
    return Sorted(confirmed=tuple(confirmed), asked=tuple(asked), queued=tuple(waiting), held=tuple(held))


def _named(wishes: Sequence[Wish]) -> str:
    names = sorted(str(one.model) for one in wishes)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def listed(wish: Wish) -> Listed | None:
    """Return what an evacuation is told of a wish, None where nothing is requested."""
    state = wish.decision.state
    if state.request is None:
        return None
    return Listed(
        model=wish.model,
        failover_id=state.request.id,
        reason=f"unhealthy: {state.reason}" if wish.turn is Turn.QUEUED else wish.decision.reason,
        first_failure_at=state.first_unhealthy_at,
    )


def joint_id(wishes: Sequence[Wish], peer: str) -> str:
    """Return the id under which wishes are asked for together; those that were asked for in vain before get another."""
    requests = [one.decision.state.request for one in wishes]
    told = "\n".join(sorted(f"{one.id} {one.within}" for one in requests if one))
    return f"auto-{peer}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def joint_reason(wishes: Sequence[Wish], peer: str) -> str:
    """Return the sentence that the evacuation's evidence has."""
    return f"{len(wishes)} models of {peer} are down: {_named(wishes)}"
