"""What every model and every dataset is owed: read from one YAML file, validated whole, resolved per model.

`Policy.parse` names every mistake at once, with its line. The first entry of `models` whose pattern matches is laid
over `defaults`; tags of the model's group lie over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal, Self

from mldr.domain.datasets import DatasetRule
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.kserve_rules import ClusterRule
from mldr.domain.model_rules import Criticality, Digest, FailoverMode, ModelRules, RetentionMode, Tier

__all__ = [
    "Criticality",
    "DatasetRule",
    "Digest",
    "Entry",
    "FailoverMode",
    "ModelPolicy",
    "ModelRules",
    "Policy",
    "RetentionMode",
    "Tier",
]

CRITICALITY_TAG = "mldr:criticality"
TIER_TAG = "mldr:tier"


class ModelPolicy(ModelRules):
    """The rules of one model, resolved, and how they were found."""

    matched: str | None
    warnings: tuple[str, ...] = ()


class Entry(Frozen):
    """One line of `models`: a pattern, and the rules with the defaults already under them."""

    match: str
    rules: ModelRules

    def matches(self, registry: str, model: str) -> bool:
        """Say whether this entry speaks of that model."""
        wanted_registry, _, wanted_model = self.match.partition("/")
        return fnmatchcase(registry, wanted_registry) and fnmatchcase(model, wanted_model)


class Policy(Frozen):
    """A whole, valid policy."""

    version: Literal[1]
    regions: tuple[str, str]
    defaults: ModelRules
    models: tuple[Entry, ...]
    datasets: dict[str, DatasetRule] = {}
    clusters: dict[str, dict[str, ClusterRule]] = {}  # by name, then by region

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a policy file. Raises BadPolicy with every mistake in it."""
        # Few functions read a policy's text, and its parser takes longer to import than all rules.
        from mldr.domain.policy_check import check

        checked = check(text)
        entries = tuple(Entry(match=match, rules=rules) for match, rules in checked.models)
        return cls(
            version=1,
            regions=checked.regions,
            defaults=checked.defaults,
            models=entries,
            datasets=checked.datasets,
            clusters=checked.clusters,
        )

    def for_model(self, registry: str, model: str, tags: Mapping[str, str]) -> ModelPolicy:
        """Return what this model is owed. What a person should know about it is in `warnings`, never an error."""
        key = ModelKey(registry=registry, name=model)
        entry = next((entry for entry in self.models if entry.matches(registry, model)), None)
        overrides, warnings = _overrides(tags)
        if entry is None:
            warnings.insert(0, f"no entry of the policy matches {key}: the defaults apply; add one under models")
        rules = ModelRules.model_validate((entry.rules if entry else self.defaults).given() | overrides)
        kserve = rules.serving.kserve
        endpoint = str(kserve.address) if kserve else rules.serving.endpoint or model
        serving = rules.serving.model_copy(update={"endpoint": endpoint})
        return ModelPolicy(
            **dict(rules) | {"serving": serving}, matched=entry.match if entry else None, warnings=tuple(warnings)
        )


def effective(tags: Mapping[str, str]) -> dict[str, str]:
    """Return those tags of a model's group that change what its policy says."""
    overrides, _ = _overrides(tags)
    return {f"mldr:{field}": value for field, value in overrides.items()}


def _overrides(tags: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What tags change, and a warning for each that cannot."""
    kinds: dict[str, type[StrEnum]] = {CRITICALITY_TAG: Criticality, TIER_TAG: Tier}
    overrides, warnings = {}, []
    for name, value in sorted(tags.items()):
        if name not in kinds:
            if name.startswith("mldr:"):
                warnings.append(f"tag {name} is unknown and ignored; the tags are {', '.join(kinds)}")
        elif value in (allowed := [member.value for member in kinds[name]]):
            overrides[name.removeprefix("mldr:")] = value
        else:
            warnings.append(f"tag {name}: {value!r} is ignored; it can be {', '.join(allowed)}")
    return overrides, warnings
