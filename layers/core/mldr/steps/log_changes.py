"""Remember what a storage event told, for every dataset that the object belongs to."""

from __future__ import annotations

from mldr.events.snapshots import StorageEvent
from mldr.ports.datasets import Datasets
from mldr.ports.stack import Clock, PolicyStore


def log_changes(event: StorageEvent, *, datasets: Datasets, policies: PolicyStore, clock: Clock) -> list[str]:
    """Return the datasets that it was logged for. An object of no dataset is nobody's concern."""
    policy, _ = policies.load()
    logged = []
    for dataset, rule in policy.datasets.items():
        name = rule.name_of(event.bucket, event.stored.key) if rule.region == event.region else None
        if name is not None:
            datasets.log(event.change(dataset, name), clock.now())
            logged.append(dataset)
    return logged
