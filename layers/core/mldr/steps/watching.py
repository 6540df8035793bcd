"""Where, by whom and how often is watched, what a round reads and acts through, and what it rests on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from mldr.domain.health import Action, Rules
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.joint_failovers import Wish
from mldr.domain.model_rules import FailoverMode
from mldr.domain.owed import owed
from mldr.domain.policy import ModelPolicy
from mldr.domain.recovery_point import Record, newest_restorable
from mldr.errors import BadPolicy
from mldr.ports.catalog import Catalog
from mldr.ports.health import Decisions, Survivors
from mldr.ports.outside import Outside, Tokens
from mldr.ports.serving import ScalingLimits, Serving, ServingCaptures
from mldr.ports.stack import Bus, Clock, Pager, PolicyStore, Workflows
from mldr.ports.vault import Vault
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.silent_hosts import SilentHosts


class Watched(Frozen):
    """What was decided for one model in this round."""

    model: str
    action: Action
    reason: str
    wish: Wish | None = None  # what is asked for once all models were looked at


class Watch(Frozen):
    """Where, by whom and how often is watched. Without a witness its host is empty."""

    region: str
    peer: str
    witness: str
    pause: dt.timedelta  # between two rounds


@dataclass(frozen=True)
class Ports:
    """What a round reads and acts through. The witness's token is fetched only where there is a witness."""

    catalog: Catalog
    decisions: Decisions
    vault: Vault
    policies: PolicyStore
    outside: Outside
    serving: Serving
    captures: ServingCaptures
    survivors: Survivors
    limits: ScalingLimits
    workflows: Workflows
    evacuations: Workflows
    witness_token: Callable[[], Tokens]
    bus: Bus
    pager: Pager
    clock: Clock
    silent: SilentHosts


def policy_of(model: ModelKey, ports: Ports, point: Record | None = None) -> ModelPolicy | None:
    """Return the policy in force, or the newest sealed one while that has mistakes. Raises what its stores raise.

    Tags say nothing about when to act, but who goes first: they are those of `point`, which is read only in trouble.
    """
    try:
        policy, _ = ports.policies.load()
    except BadPolicy:
        sealed = point or newest_restorable(ports.catalog.records(model))
        return read_manifest(ports.vault, sealed).policy if sealed else None
    return owed(policy, model, point)


def rules_of(policy: ModelPolicy | None) -> Rules:
    """Return how a model is decided; without a policy a person decides."""
    if policy is None:
        return Rules(mode=FailoverMode.MANUAL, consecutive=3)
    health, failover = policy.health, policy.failover
    return Rules(
        mode=failover.mode,
        consecutive=health.consecutive_failures,
        quorum=health.quorum,
        cool_down=health.cool_down,
        flaps=health.flaps,
        flap_window=health.flap_window,
        approve_within=failover.approve_within,
    )
