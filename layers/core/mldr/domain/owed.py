"""What a model is owed now: the policy in force, and over it the tags that its newest point was sealed with."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Record


def owed(policy: Policy, model: ModelKey, point: Record | None) -> ModelPolicy:
    """Return the rules of a model whose newest restorable point this is; without a point no tag is known.

    The tags themselves lie with the model's group in the other region, which may be the one that is lost.
    """
    return policy.for_model(model.registry, model.name, point.tags if point else {})
