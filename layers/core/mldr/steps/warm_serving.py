"""Bring a restored endpoint to the capacity that was captured, and replay golden and recorded requests: is it warm?

One that answered beside the home until now carries the load of both: it is brought to the sum.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import cycle, islice

from mldr.domain.endpoint_status import IN_SERVICE
from mldr.domain.failover import WARM_LOOKS, looking
from mldr.domain.golden import GoldenInference
from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Manifest
from mldr.domain.serving import ServingPlan, plan_serving
from mldr.domain.serving_state import ServingState
from mldr.domain.warming import Capacity, Count, Warmth, awake, judge, missing, recorded, reweighed, together
from mldr.errors import EndpointFailed, NotAllowed, NotWarm
from mldr.events.failover import WarmTask
from mldr.ports.catalog import Catalog
from mldr.ports.serving import LateAnswers, Serving, ServingCaptures
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.prove_answers import golden_of
from mldr.steps.restore_serving import claimed_manifest, claimed_state, held_epoch, other_manifests

BUDGET = dt.timedelta(seconds=60)  # of one round; a slow model is asked less often in it


class Round(Frozen):
    """What one round of warming came to. `began` is when the first one did."""

    warmth: Warmth
    began: dt.datetime
    requests: int


def warm_serving(
    task: WarmTask,
    *,
    catalog: Catalog,
    vault: Vault,
    serving: Serving,
    late: LateAnswers,
    captures: ServingCaptures,
    clock: Clock,
) -> Round:
    """Return how warm the endpoint is. Raises NotWarm when it did not become so in time and its policy insists on it.

    What is asked here is no client's: it is answered by the endpoint itself, and no answer is kept. One that answers
    late is asked nothing: nobody waits for its answers, so how fast they are is not judged.
    """
    manifest, state = claimed_manifest(task, catalog, vault), claimed_state(task, captures)
    held_epoch(task, catalog)
    began = task.warm.began if task.warm else clock.now()
    claim = task.claim
    golden, asleep = golden_of(manifest, vault), late.asynchronous(claim.endpoint)
    capacity = _scaled(task, manifest, state, catalog, vault, serving, wake=asleep and bool(golden))
    golden = () if asleep else golden
    samples = replay(claim.endpoint, claim.component, golden, manifest.policy.warm.requests, serving, clock)
    within = min(manifest.policy.warm.within, looking(WARM_LOOKS, task.poll_seconds))
    warmth = judge(
        manifest.policy.warm.model_copy(update={"within": within}),
        samples,
        recorded(golden, state.latency if state else None),
        capacity=capacity,
        waited=clock.now() - began,
    )
    if warmth.warning and not warmth.warm and manifest.policy.warm.required:
        raise NotWarm(f"{task.model}: {warmth.reason}; warm.required in its policy keeps the traffic where it is")
    return Round(warmth=warmth, began=began, requests=len(samples))


def _scaled(
    task: WarmTask,
    manifest: Manifest,
    state: ServingState | None,
    catalog: Catalog,
    vault: Vault,
    serving: Serving,
    *,
    wake: bool,
) -> Capacity:
    """Ask for what is missing. The model's own endpoint only grows: the weights of its variants are its owner's."""
    endpoint, there = task.claim.endpoint, serving.capacity(task.claim.endpoint)
    if task.claim.reuse:
        capacity = Capacity(wanted=_held(task, state, there, catalog), there=there)
    else:
        others = other_manifests(task, state, catalog, vault)
        plan = plan_serving(manifest, epoch=task.claim.epoch, state=state, others=others, name=endpoint)
        capacity = Capacity(wanted=_wanted(task, plan, catalog), weights=plan.weights, there=there)
    if wake:
        capacity = capacity.model_copy(update={"wanted": awake(capacity.wanted, there)})
    short, weights = missing(capacity.wanted, there), reweighed(capacity.weights, there)
    if not (short or weights) or serving.status(endpoint)[0] != IN_SERVICE:
        return capacity
    refused = _ask(endpoint, short, weights, serving)
    return capacity.model_copy(update={"there": serving.capacity(endpoint), "refused": refused})


def _held(task: WarmTask, state: ServingState | None, there: dict[str, Count], catalog: Catalog) -> dict[str, int]:
    """Return what the peer serves with. While it did, nobody asked the model's own endpoint, whose autoscaling may have
    made it small. What was captured before the peer took over says nothing of that.
    """
    standing = catalog.standing(task.model)
    if state is None or standing is None or state.endpoint != standing.endpoint:
        return {}
    return state.counts_at(there, task.claim.component)


def _wanted(task: WarmTask, plan: ServingPlan, catalog: Catalog) -> dict[str, int]:
    """What answers beside the home is not counted anew while an epoch is claimed: every round asks for the same."""
    beside = catalog.leadership(task.model).beside
    shared = beside is not None and beside.endpoint == task.claim.endpoint
    return together(plan.capacity, beside.counts, plan.sources) if beside and shared else plan.capacity


def _ask(endpoint: str, short: dict[str, int], weights: dict[str, float], serving: Serving) -> str:
    """Return why the instances are refused, '' when they come: a small endpoint that serves is better than none.

    Also what is not allowed: scaling is granted by a tag of the endpoint, which counts some moments after it is set.
    """
    try:
        serving.scale(endpoint, short, weights)
    except (EndpointFailed, NotAllowed) as error:
        return str(error)
    return ""


def replay(
    endpoint: str, component: str, golden: Sequence[GoldenInference], requests: int, serving: Serving, clock: Clock
) -> list[float]:
    """Return how long each answer took, in milliseconds; each question was asked once before, and does not count.

    Of a slow model only as many questions are asked as half of the budget lasts for: all of them are asked when its
    answers are proven.
    """
    began, known = clock.now(), []
    for one in golden:
        serving.invoke(endpoint, one.body(), one.content_type, component=component)
        known.append(one)
        if clock.now() - began > BUDGET / 2:
            break
    samples: list[float] = []
    for one in islice(cycle(known), requests):
        before = clock.now()
        if samples and before - began > BUDGET:
            break
        serving.invoke(endpoint, one.body(), one.content_type, component=component)
        samples.append((clock.now() - before).total_seconds() * 1000)
    return samples
