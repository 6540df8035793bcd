"""Publish how far each model is behind its RPO: an alarm looks at the figure."""

from __future__ import annotations

from mldr.domain.lag import Measured, figures, lag
from mldr.ports.catalog import Catalog
from mldr.ports.stack import Clock, Metrics, PolicyStore


def measure_lag(*, catalog: Catalog, policies: PolicyStore, metrics: Metrics, clock: Clock) -> list[Measured]:
    """Return what was published. Raises BadPolicy: without an RPO nothing is published, and silence alarms, too."""
    policy, _ = policies.load()
    now = clock.now()
    made = figures(
        (model, lag(catalog.records(model), now), policy.for_model(model.registry, model.name, {}).rpo)
        for model in catalog.models()
    )
    metrics.publish(made)
    return made
