"""Ask an endpoint the golden questions, to prove that it answers as recorded before any client is sent to it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from mldr.domain.failover import VERIFY_LOOKS, looking
from mldr.domain.golden import UNPROVEN, GoldenInference, Verdict, judge, parse_golden
from mldr.domain.identity import Frozen
from mldr.domain.late_answers import Sent
from mldr.domain.recovery_point import Manifest
from mldr.domain.repairs import standing
from mldr.errors import EndpointFailed, MissingArtifact, WrongAnswers
from mldr.events.failover import VerifyTask
from mldr.ports.catalog import Catalog
from mldr.ports.serving import LateAnswers, Serving
from mldr.ports.stack import Clock
from mldr.ports.vault import Vault
from mldr.steps.repairs import load_repairs
from mldr.steps.restore_serving import claimed_manifest

RESERVE = 100_000  # milliseconds that the function must have left to ask once more: an answer may take 60 s
PATIENCE = dt.timedelta(hours=2)  # with the hour of a restore less than the four of an execution


class Verified(Frozen):
    """How far the proof is: how many questions were answered right, whether there are more, and which one was sent.

    `began` is when the first call did.
    `warning` is what a person is told where there is nothing to ask.
    """

    more: bool
    cursor: int
    reason: str
    began: dt.datetime
    warning: str = ""
    sent: Sent | None = None
    waits: bool = False


def verify_serving(
    task: VerifyTask,
    *,
    catalog: Catalog,
    vault: Vault,
    serving: Serving,
    late: LateAnswers,
    clock: Clock,
    remaining: Callable[[], int],
) -> Verified:
    """Return how far the proof is; a slow model, or many questions, take more than one call.

    Raises WrongAnswers naming the first answer that is not reproduced, and EndpointFailed when it takes too long.
    """
    claim, done, began = task.claim, task.verify.cursor, task.verify.began or clock.now()
    manifest = claimed_manifest(task, catalog, vault)
    golden = _to_prove(manifest, vault)
    if not golden:
        return Verified(more=False, cursor=0, reason=UNPROVEN.reason, began=began, warning=UNPROVEN.reason)
    if late.asynchronous(claim.endpoint):
        return _verified_late(task, manifest, golden, late, began, clock)
    _check_time(task, done, len(golden), clock.now() - began, PATIENCE)
    asked = _asked(claim.endpoint, claim.component, golden[done:], serving, lambda: remaining() > RESERVE)
    verdict = judge(golden[done : done + len(asked)], asked, first=done + 1)
    _check(manifest, verdict)
    cursor = done + len(asked)
    reason = f"{cursor} of {len(golden)} golden answers reproduced"
    return Verified(more=cursor < len(golden), cursor=cursor, reason=reason, began=began)


def _verified_late(
    task: VerifyTask,
    manifest: Manifest,
    golden: Sequence[GoldenInference],
    late: LateAnswers,
    began: dt.datetime,
    clock: Clock,
) -> Verified:
    """Look for the answer to the question that was sent, and send the next one: whoever calls waits in between."""
    done, sent = task.verify.cursor, task.verify.sent
    answer = late.answer(sent) if sent else None
    if answer is not None:
        _check(manifest, judge(golden[done : done + 1], [answer], first=done + 1))
        done, sent = done + 1, None
    reason = f"{done} of {len(golden)} golden answers reproduced"
    if done == len(golden):
        return Verified(more=False, cursor=done, reason=reason, began=began)
    patience = min(PATIENCE, looking(VERIFY_LOOKS, task.poll_seconds))
    _check_time(task, done, len(golden), clock.now() - began, patience)
    if sent:
        reason = f"golden question {done + 1} of {len(golden)} waits for its answer"
    else:
        sent = late.ask(task.claim.endpoint, golden[done].body(), golden[done].content_type)
    return Verified(more=True, cursor=done, reason=reason, began=began, sent=sent, waits=True)


def _check_time(task: VerifyTask, done: int, asked: int, took: dt.timedelta, patience: dt.timedelta) -> None:
    """Raise EndpointFailed while it can be told: an execution that outlasts its time or its history ends unheard."""
    if took > patience:
        raise EndpointFailed(
            f"{done} of {asked} golden answers of {task.model} were reproduced within {patience}, and more are not "
            f"waited for; see the log of endpoint {task.claim.endpoint}, keep fewer golden inferences or (where it "
            "answers asynchronously) raise EndpointPollSeconds, then request the failover again"
        )


def prove(endpoint: str, component: str, manifest: Manifest, *, vault: Vault, serving: Serving) -> Verdict:
    """Return the verdict on an endpoint of a recovery point. Raises WrongAnswers as above, and EndpointFailed."""
    golden = _to_prove(manifest, vault)
    if not golden:
        return UNPROVEN
    verdict = judge(golden, _asked(endpoint, component, golden, serving, lambda: True))
    _check(manifest, verdict)
    return verdict


def _asked(
    endpoint: str, component: str, golden: Sequence[GoldenInference], serving: Serving, may: Callable[[], bool]
) -> list[bytes]:
    """Return the answers to the first questions, to one at least, while there is time."""
    answers: list[bytes] = []
    for one in golden:
        if answers and not may():
            break
        answers.append(serving.invoke(endpoint, one.body(), one.content_type, component=component)[0])
    return answers


def _to_prove(manifest: Manifest, vault: Vault) -> tuple[GoldenInference, ...]:
    return tuple(one for one in golden_of(manifest, vault) if one.proves)


def _check(manifest: Manifest, verdict: Verdict) -> None:
    if not verdict.passed:
        raise WrongAnswers(f"{manifest.model}: {verdict.reason}; traffic stays where it is")


def golden_of(manifest: Manifest, vault: Vault) -> tuple[GoldenInference, ...]:
    """Return the golden inferences of a recovery point and the requests that were recorded with them, none when it has
    none. Raises MissingArtifact or BadGolden.
    """
    named = manifest.golden
    if named is None:
        return ()
    content = vault.read(named.key, standing(named.key, named.version_id, load_repairs(vault)))
    if content is None:
        raise MissingArtifact(
            f"the golden inferences {vault.uri(named.key)} (version {named.version_id}) cannot be read"
        )
    return parse_golden(content)
