"""What a policy asks for that a model does not get: a file is checked without what was onboarded and captured."""

from __future__ import annotations

from mldr.domain.draining import too_short
from mldr.domain.health import out_of_reach
from mldr.domain.model_rules import ModelRules, Tier
from mldr.domain.routing import Route
from mldr.domain.serving import untriggered
from mldr.domain.serving_state import ServingState
from mldr.domain.tiers import FROM_ZERO


def unkept(rules: ModelRules, route: Route | None, state: ServingState | None, vantages: int = 0) -> tuple[str, ...]:
    """Return one sentence for each thing that is not as the policy says; of what is unknown nothing is said.

    `vantages` is from how many points the model's health was looked at last, 0 where nobody has looked.
    """
    drain = too_short(rules.failover.drain, route) if route else ""
    quorum = out_of_reach(rules.health.quorum, vantages)
    silent = untriggered(state.document.get("ScalingPolicies", [])) if state else ()
    return tuple(one for one in (drain, _tier(rules), _floor(rules, state), quorum, *silent) if one)


def _tier(rules: ModelRules) -> str:
    """No policy file says so, but a tag of the model's group may."""
    if rules.serving.kserve is None or rules.tier is Tier.COLD_STANDBY:
        return ""
    return f"the tier is {rules.tier}, but nothing of an InferenceService stands by; it is restored cold"


def _floor(rules: ModelRules, state: ServingState | None) -> str:
    asked = rules.tier is Tier.WARM_STANDBY and rules.serving.floor == 0 and rules.serving.kserve is None
    return FROM_ZERO if asked and state and not state.document.get("Components") else ""
