"""Find every mistake in a policy at once: `line N: field: what is wrong; what would be right`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from mldr.domain import policy_text
from mldr.domain.cluster_check import unknown_cluster, wrong_clusters
from mldr.domain.datasets import DATASET_NAME, LONGEST_KEPT, DatasetRule
from mldr.domain.durations import format_duration
from mldr.domain.identity import Frozen
from mldr.domain.kserve_rules import ClusterRule
from mldr.domain.model_rules import ModelRules, Tier
from mldr.domain.policy_explain import explain, nearest
from mldr.domain.policy_text import Path, path_name
from mldr.domain.regions import REGIONS
from mldr.domain.routing import SpreadBy
from mldr.errors import BadPolicy

REGISTRIES = ("sagemaker", "mlflow", "wandb", "clearml", "kubeflow")
Mistake = tuple[int, str]


@dataclass(frozen=True)
class Checked:
    """The parts of a policy without a mistake in it."""

    regions: tuple[str, str]
    defaults: ModelRules
    models: tuple[tuple[str, ModelRules], ...]
    datasets: dict[str, DatasetRule]
    clusters: dict[str, dict[str, ClusterRule]]


def _region(value: Any) -> str:
    if value in REGIONS:
        return str(value)
    raise ValueError(f"{value!r} is not an AWS region; {nearest(str(value), REGIONS, 'write one like eu-west-1')}")


def _pattern(value: Any) -> str:
    registry, slash, model = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (registry and slash and model):
        raise ValueError(f"{value!r} is not a pattern; write registry/model, like sagemaker/churn-*")
    if not any(fnmatchcase(known, registry) for known in REGISTRIES):
        known = ", ".join(REGISTRIES)
        raise ValueError(
            f"{registry!r} is not a registry; {nearest(registry, REGISTRIES, f'the registries are {known}')}"
        )
    return str(value)


class _Entry(ModelRules):
    match: Annotated[str, BeforeValidator(_pattern)]


class _File(Frozen):
    version: Literal[1]
    regions: list[Annotated[str, BeforeValidator(_region)]] = Field(min_length=2, max_length=2)
    defaults: dict[str, Any] = {}
    models: list[dict[str, Any]] = []
    datasets: dict[str, dict[str, Any]] = {}
    clusters: dict[str, dict[str, dict[str, Any]]] = {}


def check(text: str) -> Checked:
    """Return the checked parts. Raises BadPolicy with every mistake, in the order of the file."""
    try:
        document = policy_text.read(text)
    except policy_text.Unreadable as error:
        raise BadPolicy([str(error)]) from error
    if not isinstance(document.value, dict):
        raise BadPolicy(["line 1: the policy is empty or not a list of fields; start from samplecfg/policy.yaml"])
    found = list(_mistakes(document))
    if found:
        raise BadPolicy([f"line {line}: {text}" for line, text in sorted(dict.fromkeys(found), key=lambda one: one[0])])
    defaults = document.value.get("defaults", {})
    return Checked(
        regions=(document.value["regions"][0], document.value["regions"][1]),
        defaults=ModelRules.model_validate(defaults),
        models=tuple(
            (entry["match"], _sound(_merged(defaults, entry), {("match",)}))
            for entry in document.value.get("models", [])
        ),
        datasets={
            name: DatasetRule.model_validate({"region": document.value["regions"][0], **own})
            for name, own in document.value.get("datasets", {}).items()
        },
        clusters={
            name: {region: ClusterRule.model_validate(own) for region, own in regions.items()}
            for name, regions in document.value.get("clusters", {}).items()
        },
    )


def _mistakes(document: policy_text.Document) -> Iterator[Mistake]:
    yield from document.mistakes
    for error in _errors(_File, document.value):
        yield _mistake(document, error["loc"], explain(_File, error))
    yield from _regions(document)
    defaults = document.value.get("defaults", {})
    defaults = defaults if isinstance(defaults, dict) else {}
    yield from _rules(document, ModelRules, defaults, ("defaults",), {})
    models = document.value.get("models", [])
    models = models if isinstance(models, list) else []
    entries = {index: entry for index, entry in enumerate(models) if isinstance(entry, dict)}
    for index, entry in entries.items():
        yield from _rules(document, _Entry, entry, ("models", index), defaults)
    yield from _unreachable(document, entries)
    yield from _datasets(document)
    clusters, regions = _group(document.value.get("clusters")), document.value.get("regions", [])
    known = [str(one) for one in regions] if isinstance(regions, list) else []
    yield from (_mistake(document, *found) for found in wrong_clusters(clusters, known))
    for path, named in [(("defaults",), defaults), *((("models", index), entry) for index, entry in entries.items())]:
        yield from _unknown_datasets(document, path, named.get("datasets"))
        yield from (_mistake(document, *found) for found in unknown_cluster(named, path, clusters))


def _mistake(document: policy_text.Document, path: Path, text: str) -> Mistake:
    return document.line(path), f"{path_name(path)}: {text}"


def _rules(
    document: policy_text.Document, model: type[ModelRules], own: dict[str, Any], here: Path, defaults: dict[str, Any]
) -> Iterator[Mistake]:
    """What is wrong in the rules that stand here; what only the defaults say is their own mistake."""
    merged = _merged(defaults, own)
    stands_here = set(policy_text.paths(own))
    errors = _errors(model, merged)
    for error in errors:
        loc = error["loc"]
        if loc in stands_here or (error["type"] == "missing" and loc[:-1] in stands_here):
            yield _mistake(document, (*here, *loc), explain(model, error))
    wrong = {error["loc"] for error in errors}
    sound = _sound(merged, {*wrong, ("match",)})
    for fields, text in _contradictions(sound):
        if wrong.isdisjoint(fields):
            for field in [one for one in fields if one in stands_here][:1]:
                yield _mistake(document, (*here, *field), text)


def _contradictions(rules: ModelRules) -> Iterator[tuple[tuple[Path, ...], str]]:
    """Fields that are right one by one and wrong together."""
    if rules.retention.period < rules.rpo:
        period, rpo = format_duration(rules.retention.period), format_duration(rules.rpo)
        fields: tuple[Path, ...] = (("retention", "period"), ("rpo",))
        yield fields, f"a retention of {period} is shorter than the rpo of {rpo}; keep points for longer"
    if rules.serving.kserve and rules.serving.endpoint:
        yield (("serving", "endpoint"),), "an InferenceService serves this model; leave the endpoint out"
    if rules.serving.kserve and rules.serving.component:
        text = "an InferenceService serves this model, and has no inference components; leave the component out"
        yield (("serving", "component"),), text
    yield from _tiered_wrongly(rules)
    for field in ("datasets", "features"):
        names = getattr(rules, field)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield ((field,),), f"{', '.join(twice)} stands here more than once; name each once"


def _tiered_wrongly(rules: ModelRules) -> Iterator[tuple[tuple[Path, ...], str]]:
    """What is said of a tier, or of two regions that both answer, and cannot be."""
    spread, tier = rules.active_active, rules.tier
    if rules.serving.kserve and tier is not Tier.COLD_STANDBY:
        not_so = "both regions cannot answer" if tier is Tier.ACTIVE_ACTIVE else "no warm one waits there"
        text = (
            f"an InferenceService has one name and nothing of it stands in the standby, so {not_so}; "
            "give tier: cold-standby, or serve the model by a SageMaker endpoint"
        )
        yield (("tier",), ("serving", "kserve")), text
    if spread and tier is not Tier.ACTIVE_ACTIVE:
        yield (("active_active",),), f"the tier is {tier}, and only one region answers; give tier: active-active"
    if spread and spread.by is SpreadBy.LATENCY and "weight" in spread.model_fields_set:
        yield (("active_active", "weight"),), "clients are shared by latency; give by: weight, or leave the weight out"


def _datasets(document: policy_text.Document) -> Iterator[Mistake]:
    """What is wrong in the datasets; what is no group of fields is a mistake of the file."""
    regions = document.value.get("regions", [])
    for name, own in _group(document.value.get("datasets")).items():
        here: Path = ("datasets", name)
        if not DATASET_NAME.fullmatch(name):
            yield _mistake(document, here, "is not a name; give small letters, digits and hyphens, 63 at the most")
        if not isinstance(own, dict):
            continue
        errors = _errors(DatasetRule, own)
        yield from (_mistake(document, (*here, *error["loc"]), explain(DatasetRule, error)) for error in errors)
        region = own.get("region")
        if isinstance(region, str) and isinstance(regions, list) and region not in regions:
            known = [str(one) for one in regions]
            hint = nearest(region, known, f"the regions are {', '.join(known)}")
            yield _mistake(document, (*here, "region"), f"{region!r} is not one of the policy's regions; {hint}")
        if not errors:
            yield from _period(document, here, DatasetRule.model_validate(own))


def _period(document: policy_text.Document, here: Path, rule: DatasetRule) -> Iterator[Mistake]:
    path: Path = (*here, "retention", "period")
    period = format_duration(rule.retention.period)
    if rule.retention.period > LONGEST_KEPT:
        limit = f"{LONGEST_KEPT.days}d"
        yield _mistake(
            document,
            path,
            f"{period} is longer than S3 Object Lock can keep a dataset: bytes that snapshots share are locked for "
            f"twice the period, 100 years at the most; give at most {limit}",
        )
    if rule.retention.period < rule.every:
        every = format_duration(rule.every)
        text = f"a retention of {period} ends before the next snapshot, which comes every {every}; keep them for longer"
        yield _mistake(document, path, text)


def _unknown_datasets(document: policy_text.Document, here: Path, named: Any) -> Iterator[Mistake]:
    known = list(_group(document.value.get("datasets")))
    for index, name in enumerate(named if isinstance(named, list) else []):
        if isinstance(name, str) and name not in known:
            hint = nearest(name, known, "add it under datasets, with its uri")
            yield _mistake(document, (*here, "datasets", index), f"{name!r} is not under datasets; {hint}")


def _group(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _regions(document: policy_text.Document) -> Iterator[Mistake]:
    regions = document.value.get("regions")
    if isinstance(regions, list) and len(regions) == 2 and regions[0] == regions[1]:
        yield _mistake(document, ("regions", 1), f"{regions[1]!r} is its own standby; name two different regions")


def _unreachable(document: policy_text.Document, entries: dict[int, dict[str, Any]]) -> Iterator[Mistake]:
    """Entries that never speak, because one above them matches everything that they match."""
    known = {index: entry["match"] for index, entry in entries.items() if isinstance(entry.get("match"), str)}
    for index, pattern in known.items():
        above = next((i for i, wider in known.items() if i < index and _covers(wider, pattern)), None)
        if above is not None:
            line = document.line(("models", above, "match"))
            text = f"{pattern!r} is never reached, {known[above]!r} on line {line} comes first; move it up"
            yield _mistake(document, ("models", index, "match"), text)


def _covers(wider: str, pattern: str) -> bool:
    """Whether everything that matches `pattern` surely matches `wider` too."""
    if wider == pattern:
        return True
    # A pattern is a text that `*` can match; `?` and `[…]` could match a piece of pattern that stands for more.
    if any(sign in wider for sign in "?["):
        return False
    pairs = zip(wider.split("/", 1), pattern.split("/", 1), strict=False)
    return all(fnmatchcase(narrow, wide) for wide, narrow in pairs)


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Lay an entry over the defaults, field by field."""
    result = dict(defaults)
    for key, value in own.items():
        under = result.get(key)
        result[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def _sound(merged: dict[str, Any], wrong: set[Path]) -> ModelRules:
    """Return the rules without the fields that are wrong, or without their groups where those need them."""
    rules = _without(merged, wrong)
    if _errors(ModelRules, rules):
        rules = _without(merged, {path[:1] for path in wrong})
    return ModelRules.model_validate(rules)


def _without(value: dict[str, Any], wrong: set[Path]) -> dict[str, Any]:
    result = {}
    for key, inner in value.items():
        below = {path[1:] for path in wrong if path[0] == key}
        if not below:
            result[key] = inner
        elif () not in below and isinstance(inner, dict):
            result[key] = _without(inner, below)
    return result


def _errors(model: type[BaseModel], value: Any) -> list[ErrorDetails]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []
