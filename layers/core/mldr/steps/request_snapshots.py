"""Ask for the snapshots that the policy wants by now."""

from __future__ import annotations

from mldr.domain.durations import format_duration
from mldr.domain.snapshots import is_wanted
from mldr.events import detail_types
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Bus, Clock, PolicyStore


def request_snapshots(
    *, peer_region: str, datasets: Datasets, policies: PolicyStore, bus: Bus, clock: Clock
) -> list[str]:
    """Return the datasets asked for: whose newest snapshot is too old, or that must be listed again. Twice is harmless.

    One whose snapshot fails is asked for again with every look, and fails and pages again while its cause lasts.
    """
    policy, _ = policies.load()
    asked = []
    for dataset, rule in sorted(policy.datasets.items()):
        newest = datasets.newest(dataset)
        if rule.region == peer_region and is_wanted(rule, newest, clock.now()):
            every = format_duration(rule.every)
            reason = f"the policy: a snapshot every {every}, a listing every {format_duration(rule.reconcile)}"
            bus.put(detail_types.SNAPSHOT_REQUESTED, {"dataset": dataset, "reason": reason, "if_due": True})
            asked.append(dataset)
    return asked
