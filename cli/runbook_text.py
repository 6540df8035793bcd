"""The sections of a runbook: what happens by itself, what a person does, how to see that it worked, how to go home."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from cli.output import seconds, size
from cli.runbook_facts import Facts
from cli.runbook_reasons import FAILOVER, PLANNED, Ending
from mldr.domain.durations import format_duration as say
from mldr.domain.identity import Frozen
from mldr.domain.model_rules import CacheRule, FailoverMode, Tier
from mldr.domain.routing import SpreadBy, SwitchKind
from mldr.events.detail_types import FAILBACK_REQUESTED, FAILOVER_REQUESTED

REASON = "what you see, in one sentence"


class Section(Frozen):
    """One part: sentences first, then the commands in their order, each below its remark if there are any."""

    title: str
    says: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Reach:
    """How names and gateways are asked from a shell: as on AWS, or on the local cloud that this shell speaks to."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._dns = environment.get("DNS_RESOLVER", "").rpartition(":")
        self._port = environment.get("GATEWAY_TRANSPORT", "").rpartition(":")[2]

    def dig(self, kind: str, name: str) -> str:
        """Return the command that asks DNS for a name."""
        server = f"@{self._dns[0]} -p {self._dns[2]} " if self._dns[0] else ""
        return f"dig {server}+short {kind} {name}"

    def curl(self, host: str, path: str, more: str = "") -> str:
        """Return the command that asks a gateway."""
        asked = f"curl -s {more}" if more else "curl -s "
        if not self._port:
            return f"{asked}https://{host}{path}"
        address = f"$({self.dig('A', host)} | tail -1)"
        return f"{asked}--resolve {host}:{self._port}:{address} http://{host}:{self._port}{path}"


def sections(facts: Facts, reach: Reach) -> list[Section]:
    """Return the whole runbook of a model, as things stand."""
    return [
        _by_itself(facts),
        _really(facts, reach),
        _by_hand(facts),
        _watch(facts),
        _known(facts, reach),
        _home(facts),
        _exercise(facts),
        _allowed(facts),
        Section(title="Who is paged", says=tuple(_paged(facts))),
    ]


def endings(facts: Facts) -> list[Ending]:
    """Return what can go wrong, in this model's own names."""
    names = {"model": facts.model.name, "here": facts.here, "other": facts.other}
    useless = set() if facts.restored_by.warm.required else {"NotWarm"}
    return [
        Ending(one.error, one.traffic.format(**names), one.next.format(**names))
        for one in (*FAILOVER, *PLANNED)
        if one.error not in useless
    ]


def _by_itself(facts: Facts) -> Section:
    return Section(
        title=f"If {facts.other} fails: what happens by itself",
        says=(*_left_out(facts), _detection(facts), _start(facts), *_recovery(facts), *_measured(facts)),
    )


def _left_out(facts: Facts) -> Iterator[str]:
    """What needs nobody where both regions answer."""
    spread = facts.route.spread if facts.route else None
    if facts.route is None or spread is None or not facts.shared:
        return
    times = facts.route.times
    share = f"by weight, {spread.weight} % of the answers name {facts.standby}"
    how = share if spread.by is SpreadBy.WEIGHT else "each client the nearer one"
    yield (
        f"Both regions answer ({how}). DNS alone leaves out the one that is lost, within about "
        f"{times.interval * times.threshold} s, and clients keep an old answer for {times.ttl} s more: "
        "nothing has to run for that, and nobody has to ask."
    )
    yield (
        f"If it is {facts.standby} that fails, {facts.home} goes on alone: it scales its endpoint to the sum of both, "
        "and back when both are well; `mldr status` shows it."
    )
    yield f"What follows makes {facts.here} the writer, with instances for the load of both."


def _detection(facts: Facts) -> str:
    health, route = facts.rules.health, facts.route
    rounds = f"{health.consecutive_failures} rounds in a row in which {health.quorum} vantage points see it fail"
    if route is None:
        return f"{facts.here} counts {rounds}."
    checks = f"{route.times.interval * route.times.threshold} s until Route 53's checkers call it down"
    return f"{facts.here} counts {rounds}; each begins every few seconds. Route 53's part: {checks}."


def _start(facts: Facts) -> str:
    failover, health = facts.rules.failover, facts.rules.health
    flaps = f"it flaps (more than {health.flaps} changes in {say(health.flap_window)})"
    if failover.mode is FailoverMode.AUTOMATIC:
        restless = f"not within {say(health.cool_down)} of a move, nor while {flaps}: then it pages"
        return f"Mode `automatic`: {facts.here} then starts the failover by itself, but {restless}."
    if failover.mode is FailoverMode.APPROVE:
        page = f"{facts.here} then pages a token that counts for {say(failover.approve_within)}"
        restless = f"within {say(health.cool_down)} of a move or while {flaps}, too: the page says so, and you judge"
        return f"Mode `approve`: {page}; {restless}. Nothing moves until somebody confirms it."
    return f"Mode `manual`: {facts.here} pages that it is down, once, and nothing moves until somebody asks."


def _recovery(facts: Facts) -> Iterator[str]:
    point = facts.point.recovery_point if facts.point else "the newest sealed point, of which there is none"
    yield f"Then, in {facts.here} alone: the next epoch is claimed, and {_endpoint(facts)} from {point}."
    warm = facts.restored_by.warm
    later = "" if warm == facts.rules.warm else "; the policy in force has other `warm` rules, for points sealed later"
    yield (
        f"It is warmed until its answers take at most {warm.factor:g} times what was recorded, for {say(warm.within)} "
        f"at most; if they do not, {'it does not switch' if warm.required else 'it switches all the same, and pages'}"
        f" (sealed with that point{later})."
    )
    proof = "The golden inferences are compared" if facts.golden else "Nothing is compared: none are sealed"
    yield f"{proof}. Then the takeover switch is flipped; before that no traffic moves."
    yield _switched(facts)
    if facts.rules.cache:
        yield _bridged(facts, facts.rules.cache)


def _endpoint(facts: Facts) -> str:
    if kserve := facts.restored_by.serving.kserve:
        return f"the InferenceService {kserve.address} is made, or brought to that version,"
    if facts.here == facts.home:
        return "the model's own endpoint is used if it has that version, else one is created"
    if facts.rules.tier is Tier.COLD_STANDBY:
        return "an endpoint is created (cold-standby: nothing stands ready)"
    if facts.ready is None:
        return f"an endpoint is created, as none of that shape stands ready today ({facts.rules.tier}),"
    scaled = {
        Tier.WARM_STANDBY: " after it is scaled to what was captured",
        Tier.ACTIVE_ACTIVE: " and scaled to the sum of both regions" if facts.shared else "",
    }.get(facts.rules.tier, "")
    return f"{facts.ready} is used{scaled} ({facts.rules.tier})"


def _switched(facts: Facts) -> str:
    if facts.route is None:
        return "It has no name yet, so no client can follow."
    times, kind = facts.route.times, facts.route.kind
    seen = "the metric of the switch" if kind is SwitchKind.METRIC else f"{facts.here}'s /takeover"
    if facts.here == facts.home:
        seen = f"that {facts.here} is healthy again"
    spent = times.interval * times.threshold
    return (
        f"Route 53 sees {seen} within about {spent} s, and clients keep an old answer for {times.ttl} s more. "
        "No record is edited, and nothing in the failed region is called."
    )


def _bridged(facts: Facts, cache: CacheRule) -> str:
    """What cached answers are worth: DNS brings nobody to a region for their sake."""
    stands_in = f"where a gateway is up and its endpoint is not, for {say(cache.serve_stale)} past their time, marked"
    if facts.shared:
        return f"Cached answers stand in {stands_in} as such: in either region, as both answer."
    return (
        f"Cached answers stand in {stands_in} as such: at {facts.other} before anything moves, and of {facts.here} for "
        "whoever asks its gateway itself. They bring no client over by name: DNS waits for the golden inferences."
    )


def _measured(facts: Facts) -> Iterator[str]:
    policy = f"The policy promises an RTO of {say(facts.rules.rto)}."
    if facts.measured is None:
        yield f"{policy} It was never recovered in {facts.here}: expect surprises, and exercise it (below)."
        return
    phases = ", ".join(f"{name} {seconds(took)}" for name, took in facts.measured.phases.items())
    total = seconds(sum(facts.measured.phases.values()))
    last = f"The last {facts.measured.kind} to {facts.here}, {facts.measured.at:%Y-%m-%d %H:%M} UTC"
    yield f"{policy} {last}, took {total}: {phases}."


def _really(facts: Facts, reach: Reach) -> Section:
    """What a person looks at before confirming, or asking for, a failover."""
    title, model = f"Is {facts.other} really down?", facts.model.name
    decisions = f"mldr decisions {model} --limit 5 --region {facts.here}"
    if facts.route is None:
        return Section(title=title, says=("It has no name yet, so nobody watches it.",))
    route, abroad = facts.route, facts.here == facts.home
    front = route.standby if abroad else route.active
    name, seen = (route.switch_name, "“off”") if abroad else (route.verdict_name, "“unhealthy”")
    return Section(
        title=title,
        says=(
            "If it answers, let it serve. If Route 53 and your own look disagree, somebody does not reach it.",
            "Then ask from a third place before you move anything.",
        ),
        commands=(
            decisions,
            reach.dig("TXT", name),
            reach.curl(front.host, f"/models/{model}/health", "-m 10 -w '\\n%{http_code}\\n' "),
        ),
        remarks=(
            "who saw what, the newest first",
            f"Route 53's word; down: {seen}",
            f"your own look at {facts.other}; down: no answer (000), or 5xx with the reason",
        ),
    )


HANDS = {
    FailoverMode.AUTOMATIC: "Usually nothing. Ask for it when a page says that it cannot be told, that it flaps or "
    "that the standby is not ready; or when you know better.",
    FailoverMode.APPROVE: "Look for yourself, as above, then confirm with the token of the newest page. When no "
    "page came, or its time is over and you will not wait for the next: ask for it.",
    FailoverMode.MANUAL: "You decide, and you ask for it: mldr will not.",
}


def _by_hand(facts: Facts) -> Section:
    mode, model = facts.rules.failover.mode, facts.model.name
    approves = mode is FailoverMode.APPROVE
    approve = [f"mldr approve {model} TOKEN --wait --region {facts.here}"] if approves else []
    asked = {"reason": REASON, "requested_by": "you"}
    return Section(
        title="What you do",
        says=(
            HANDS[mode],
            "Whether the region is really down is your judgement; nothing checks it.",
            "One command is enough: another one is refused, and does no harm.",
        ),
        remarks=(
            *(["either: confirm what the newest page asked about"] if approves else []),
            "or: ask for it, and follow it to its end" if approves else "ask for it, and follow it to its end",
            "the same without the CLI; then watch it",
        ),
        commands=(
            *approve,
            f'mldr failover {model} --reason "{REASON}" --wait --region {facts.here}',
            _put(facts, facts.here, FAILOVER_REQUESTED, asked),
        ),
    )


def _put(facts: Facts, region: str, kind: str, detail: Mapping[str, str]) -> str:
    body = json.dumps({"model": str(facts.model), **detail})
    entry = json.dumps([{"EventBusName": facts.bus, "Source": "mldr", "DetailType": kind, "Detail": body}])
    return f"aws events put-events --region {region} --entries '{entry}'"


def _watch(facts: Facts) -> Section:
    machine = (
        f"arn:{facts.partition}:states:{facts.here}:{facts.account}:stateMachine:mldr-{facts.environment}-failover"
    )
    return Section(
        title="Watch it",
        says=("Traffic has not moved before `FlipSwitch`.",),
        commands=(
            f"mldr status {facts.model.name} --region {facts.here}",
            f"mldr decisions {facts.model.name} --region {facts.here}",
            f"aws stepfunctions list-executions --region {facts.here} --max-results 5 --state-machine-arn {machine}",
        ),
    )


def _known(facts: Facts, reach: Reach) -> Section:
    title = "How to know that it worked"
    if facts.route is None:
        return Section(title=title, says=("It has no name yet; `mldr protect` gives it one.",))
    route, name = facts.route, facts.model.name
    front = route.active if facts.here == route.active.region else route.standby
    switch = "off" if facts.here == facts.home else "on"
    return Section(
        title=title,
        says=(
            "Every prediction says in its header `x-mldr-region` who answered.",
            "Clients that go on failing hold an old DNS answer: restart them.",
        ),
        commands=(
            reach.dig("TXT", route.switch_name),
            reach.dig("CNAME", route.name),
            reach.curl(front.host, f"/models/{name}/health", "-o /dev/null -w '%{http_code}\\n' "),
            f"mldr epoch {name} --region {facts.here}",
            reach.curl(front.host, f"/models/{name}/epoch"),
            f"aws s3 ls s3://{facts.vault}/evidence/{facts.model}/ --region {facts.here}",
        ),
        remarks=(
            f"the switch says “{switch}”",
            f"the name is {front.target}{_or_the_other(facts)}",
            f"{facts.here} is healthy: 200",
            f"{facts.here} serves",
            f"the same without the CLI: the holder is {facts.here}",
            "there is one record more; the newest says how it ended",
        ),
    )


def _or_the_other(facts: Facts) -> str:
    """Where both regions answer, DNS names either once the home serves again."""
    both = facts.here == facts.home and facts.route is not None and facts.route.spread is not None
    return f" or that of {facts.other}: both answer again" if both else ""


def _home(facts: Facts) -> Section:
    failover, home, model = facts.rules.failover, facts.home, facts.model.name
    return Section(
        title=f"How to fail back to {home}",
        says=(
            f"When {home} is well, it learns the higher epoch and stands down by itself; traffic stays until you ask.",
            f"The gate waits up to {say(failover.max_lag)} until all that {facts.standby} serves is sealed at home.",
            f"{facts.standby} then answers for {say(failover.drain)} more, so that no client fails.",
        ),
        remarks=(
            "may it begin? “lags” is no hindrance: the gate asks for what is missing, and waits",
            "go, and follow it to its end",
            "it worked when exactly one region serves and no claim is open: exit code 0",
            "the same request without the CLI",
        ),
        commands=(
            f"mldr failback {model} --plan",
            f'mldr failback {model} --reason "{home} is well again" --wait',
            f"mldr epoch {model}",
            _put(facts, home, FAILBACK_REQUESTED, {"reason": f"{home} is well again"}),
        ),
    )


def _exercise(facts: Facts) -> Section:
    return Section(
        title="Exercise it while all is well",
        says=("A planned move out and home again; no request fails.",),
        commands=(
            f'mldr move {facts.model.name} --reason "exercise" --wait',
            f'mldr failback {facts.model.name} --reason "the exercise is over" --wait',
        ),
    )


ELSEWHERE = "Route 53 records and health checks, IAM, buckets and their settings (control planes in us-east-1)"
BY_HAND = "the catalog by hand"
OWN_CALLS = (
    "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities",
    "CreateInferenceComponent", "RegisterScalableTarget", "PutScalingPolicy",
)  # fmt: skip


def _allowed(facts: Facts) -> Section:
    here, kserve = facts.here, facts.restored_by.serving.kserve
    own = f"the API server of its cluster in {here}" if kserve else ", ".join(f"`{call}`" for call in OWN_CALLS)
    return Section(
        title=f"What is allowed while {facts.other} fails",
        says=(
            f"Allowed: events to the bus of {here}; reading its catalog; raising its quotas; asking DNS and gateways.",
            f"Allowed, too, of {here} itself: {own}. These are control-plane calls, but the failover makes them, too.",
            f"Not allowed: anything in {facts.other}; {ELSEWHERE}; CloudFormation; ARC's control plane; {BY_HAND}.",
        ),
    )


def _paged(facts: Facts) -> Iterator[str]:
    for region, topic in facts.topics.items():
        who = ", ".join(facts.pages[region]) or "nobody: subscribe whoever is on call"
        yield f"{region}, {topic}: {who}."
    for region, why in facts.silent.items():
        yield f"{region} does not answer: {why}."


def markdown(facts: Facts, written: list[Section], wrong: list[Ending]) -> str:
    """Return the runbook as a page."""
    made = f"Written by `mldr runbook {facts.model.name}` at {facts.read_at:%Y-%m-%d %H:%M} UTC"
    lines = [f"# Runbook: {facts.model.name}, {facts.rules.tier}", ""]
    lines += [f"{made} from what stands in the regions; write it anew after a change of the policy.", ""]
    lines += [*(f"- **Today: {trouble}.**" for trouble in facts.troubles), *([""] if facts.troubles else [])]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in summary(facts).items()), ""]
    for one in written:
        lines += [f"## {one.title}", "", *(f"- {sentence}" for sentence in one.says), ""]
        if one.commands:
            lines += ["```console", *_typed(one), "```", ""]
    lines += ["## What can go wrong", "", "| it ends with | the traffic is | next |", "|---|---|---|"]
    lines += [f"| `{one.error}` | {one.traffic} | {one.next} |" for one in wrong]
    return "\n".join(lines) + "\n"


def _typed(section: Section) -> Iterator[str]:
    for remark, command in zip_longest(section.remarks, section.commands):
        yield from [f"# {remark}"] if remark else []
        yield f"$ {command}"


def summary(facts: Facts) -> dict[str, str]:
    """Return what stands, line by line."""
    point, captured = facts.point, facts.captured
    sealed = "none"
    if point:
        at = f"{point.sealed_at:%Y-%m-%d %H:%M} UTC" if point.sealed_at else "?"
        sealed = f"{point.recovery_point}, sealed {at}, {point.objects} objects, {size(point.bytes)}"
    variants = "; ".join(
        f"{one['variant']} {one['instances'] or 'serverless'}, weight {one['weight']:g}" for one in captured["variants"]
    )
    return {
        "serves now": f"{facts.serving} ({facts.serves.get(facts.serving, 'it does not answer; nobody took over')})",
        "takes over": facts.here,
        "home, standby": f"{facts.home}, {facts.standby}",
        "criticality, tier, mode": f"{facts.rules.criticality}, {facts.rules.tier}, {facts.rules.failover.mode}",
        "promised": f"RTO {say(facts.rules.rto)}, RPO {say(facts.rules.rpo)}",
        "entry of the policy": f"`{facts.matched}`" if facts.matched else "none: the defaults",
        "policy in force": f"`{facts.policy}`, and the other region's own" if facts.policy else "",
        "name": facts.route.name if facts.route else "none yet",
        "answers beside it": f"{facts.standby} ({facts.beside.endpoint})" if facts.beside else "nothing",
        "newest sealed point": sealed,
        "mldr's endpoints there": ", ".join(f"{one.name} ({one.status})" for one in facts.stands) or "none",
        "served as captured": variants or "not captured: the policy's instances",
        "datasets": ", ".join(facts.datasets) or "none",
    }
