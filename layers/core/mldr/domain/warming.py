"""Whether a restored model is warm: with the counts and weights that were captured, and about as fast as it was.

A cold container answers slowly at first, and a standby's endpoint may be smaller than what served. Both are over before
traffic moves, but for a bounded time only: an outage is worse than slowness, unless the policy says otherwise.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence

from mldr.domain.components import counted_component
from mldr.domain.golden import GoldenInference
from mldr.domain.identity import Frozen
from mldr.domain.model_rules import WarmRule

MARK = "x-mldr-warm"  # the header of a request to a gateway that is to get ready, and to give no answer away
SLACK = 10.0  # milliseconds that a call may take longer anywhere: the factor of a very fast model would mean nothing
LONGEST_ANSWER = 22.0  # seconds that a gateway waits for a model: API Gateway waits 30 s for all that a gateway does


class Latency(Frozen):
    """How long answers took, in milliseconds, and where that is known from."""

    p50: float
    p95: float
    requests: int
    source: str


class Count(Frozen):
    """The instances of a variant, how many there are and how many were asked for, and its weight in the traffic."""

    current: int
    desired: int
    weight: float = 1.0


class Capacity(Frozen):
    """What an endpoint should have, instances and weights by variant, what it has, and why no more was given."""

    wanted: dict[str, int] = {}
    weights: dict[str, float] = {}
    there: dict[str, Count] = {}
    refused: str = ""


class Warmth(Frozen):
    """What came of one round. `more` asks for another; `warning` is what a person is told if traffic moves as it is.

    Also a warm model has one where it answers more slowly than a gateway waits.
    """

    warm: bool
    more: bool
    reason: str
    warning: str = ""


def measured(milliseconds: Sequence[float], source: str) -> Latency | None:
    """Return the percentiles of what was measured, None of nothing. The nearest rank, so each is a real answer."""
    if not milliseconds:
        return None
    ranked = sorted(milliseconds)

    def rank(share: float) -> float:
        return round(ranked[math.ceil(share * len(ranked)) - 1], 3)

    return Latency(p50=rank(0.5), p95=rank(0.95), requests=len(ranked), source=source)


def recorded(golden: Sequence[GoldenInference], captured: Latency | None) -> Latency | None:
    """Return the baseline: what the golden inferences say, else what was captured of the endpoint, None of neither."""
    told = [one.latency_ms for one in golden if one.latency_ms is not None]
    return measured(told, "the golden inferences") or captured


def drifted(held: Latency | None, found: Latency | None) -> bool:
    """Return whether a baseline is worth keeping anew: there was none, or its middle moved by more than a quarter."""
    if held is None or found is None:
        return held is None and found is not None
    return not 0.75 * held.p50 <= found.p50 <= 1.25 * held.p50


def missing(wanted: Mapping[str, int], there: Mapping[str, Count]) -> dict[str, int]:
    """Return the variants that have not asked for as many instances as they should have, with that number."""
    return {name: count for name, count in wanted.items() if name in there and there[name].desired < count}


def awake(wanted: Mapping[str, int], there: Mapping[str, Count]) -> dict[str, int]:
    """Return what an endpoint that answers later should have: one instance at least, also where it scaled to zero.

    One golden question never is the backlog that its autoscaling waits for, so it would wait for its answer in vain.
    docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html.
    """
    return {**wanted, **{name: max(1, wanted.get(name, 0)) for name in there}}


def together(captured: Mapping[str, int], beside: Mapping[str, int], sources: Mapping[str, str]) -> dict[str, int]:
    """Return the instances that carry the load of both regions: those that served at home, and those beside it.

    What answers beside the home is told by the home's names; `sources` has those that are called otherwise here.
    """
    return {name: count + beside.get(sources.get(name, name), 0) for name, count in captured.items()}


def reweighed(wanted: Mapping[str, float], there: Mapping[str, Count]) -> dict[str, float]:
    """Return the weights to set, of all variants, or nothing where each has its own already. One alone takes all."""
    known = {name: weight for name, weight in wanted.items() if name in there}
    differs = any(not _weighs(there[name], weight) for name, weight in known.items())
    return known if len(known) > 1 and differs else {}


def _weighs(count: Count, weight: float) -> bool:
    """SageMaker keeps weights with the precision of a Float: what comes back of 0.1 need not be equal to it."""
    return math.isclose(count.weight, weight, rel_tol=1e-6)


def judge(
    rule: WarmRule,
    samples: Sequence[float],
    baseline: Latency | None,
    *,
    capacity: Capacity,
    waited: dt.timedelta,
) -> Warmth:
    """Return whether the model is warm; `samples` are milliseconds in the order of the requests.

    Without a baseline it is warm once its answers get no faster any more.
    """
    cold = [text for text in (_lacking(capacity), _speed(rule, samples, baseline)) if text]
    if not cold:
        return Warmth(warm=True, more=False, reason=_told(samples, baseline), warning=_late(samples))
    reason = "; ".join(cold)
    if waited < rule.within:
        return Warmth(warm=False, more=True, reason=reason)
    told = f"not warm after {waited.total_seconds():.0f} s: {reason}"
    return Warmth(warm=False, more=False, reason=told, warning=told)


def _lacking(capacity: Capacity) -> str:
    there = capacity.there
    short = {name: one for name, one in capacity.wanted.items() if name in there and there[name].current < one}
    said = [_short(name, there[name].current, one) for name, one in short.items()]
    said += [
        f"variant {name} has the weight {there[name].weight:g} instead of {one:g}"
        for name, one in reweighed(capacity.weights, there).items()
        if not _weighs(there[name], one)
    ]
    told = ", ".join(said)
    return f"{told} ({capacity.refused})" if told and capacity.refused else told


def _short(name: str, has: int, wanted: int) -> str:
    component = counted_component(name)
    if component:
        return f"component {component} has {has} of {wanted} copies"
    return f"variant {name} has {has} of {wanted} instances"


def _speed(rule: WarmRule, samples: Sequence[float], baseline: Latency | None) -> str:
    found = measured(samples, "this region")
    if found is None:
        return ""
    if baseline is None:
        return _settled(rule, samples)
    for name, got, was in (("half", found.p50, baseline.p50), ("95 %", found.p95, baseline.p95)):
        most = rule.factor * was + SLACK
        if got > most:
            return (
                f"{name} of the answers came within {got:.0f} ms, {was:.0f} ms by {baseline.source}, "
                f"at most {most:.0f} ms are allowed"
            )
    return ""


def _late(samples: Sequence[float]) -> str:
    found = measured(samples, "this region")
    if found is None or found.p95 <= LONGEST_ANSWER * 1000:
        return ""
    return (
        f"95 % of the answers came within {found.p95 / 1000:.0f} s, and a gateway waits {LONGEST_ANSWER:.0f} s: its "
        "clients get 503 in their place"
    )


def _settled(rule: WarmRule, samples: Sequence[float]) -> str:
    middle = len(samples) // 2
    first, last = measured(samples[:middle], ""), measured(samples[middle:], "")
    if first is None or last is None or first.p50 <= rule.factor * last.p50 + SLACK:
        return ""
    return f"answers still get faster: half of them came within {first.p50:.0f} ms, then within {last.p50:.0f} ms"


def _told(samples: Sequence[float], baseline: Latency | None) -> str:
    found = measured(samples, "this region")
    if found is None:
        return "there are no golden inferences to warm it with"
    was = f", recorded {baseline.p50:.0f} ms by {baseline.source}" if baseline else ", no baseline is recorded"
    return f"half of {found.requests} answers within {found.p50:.0f} ms, 95 % within {found.p95:.0f} ms{was}"
