"""What a policy asks for that a model does not get: a file is checked without what was onboarded and captured."""

from __future__ import annotations

from mldr.domain.draining import too_short
from mldr.domain.model_rules import ModelRules, Tier
from mldr.domain.routing import Route
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import FROM_ZERO


def unkept(rules: ModelRules, route: Route | None, state: ServingState | None) -> tuple[str, ...]:
    """Return one sentence for each thing that is not as the policy says; of what is unknown nothing is said."""
    drain = too_short(rules.failover.drain, route) if route else ""
    return tuple(one for one in (drain, _floor(rules, state)) if one)


def _floor(rules: ModelRules, state: ServingState | None) -> str:
    asked = rules.tier is Tier.WARM_STANDBY and rules.serving.floor == 0 and rules.serving.kserve is None
    return FROM_ZERO if asked and state and not state.document.get("Components") else ""
