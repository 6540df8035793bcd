"""What is created in the standby region to serve a recovery point: as the active region served it, or by the policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mldr.domain.components import (
    BASE,
    NAME,
    as_taken,
    base_of,
    bases_first,
    copies_key,
    copies_of,
    managed,
    models_of,
    specifications,
)
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.kserve_plan import KServePlan, plan_inference_service
from mldr.domain.kserve_promotion import promoted
from mldr.domain.recovery_point import Manifest
from mldr.domain.references import rewrite_document
from mldr.domain.serving_references import rewrite
from mldr.domain.serving_state import Live, ServingState
from mldr.errors import NotRestorable

OWNER = {"Key": "mldr:owner", "Value": "mldr"}
MODEL_TAG, POINT_TAG = "mldr:model", "mldr:recovery-point"
_OWN_TAGS = {OWNER["Key"], MODEL_TAG, POINT_TAG}
VARIANT = "AllTraffic"
_VARIANTS = ("ProductionVariants", "ShadowProductionVariants")


class PlannedModel(Frozen):
    """One SageMaker model: what CreateModel takes besides its name."""

    name: str
    role: str
    containers: tuple[dict[str, Any], ...]
    settings: dict[str, Any] = {}  # VpcConfig, EnableNetworkIsolation, InferenceExecutionConfig
    tags: tuple[dict[str, str], ...] = ()


class ServingPlan(Frozen):
    """Everything that serves a model, under names that are the same for the same epoch."""

    name: str  # of the endpoint and of its configuration
    models: tuple[PlannedModel, ...]
    config: dict[str, Any]  # what CreateEndpointConfig takes besides its name and tags
    config_tags: tuple[dict[str, str], ...] = ()
    tags: tuple[dict[str, str], ...] = ()
    marks: tuple[dict[str, str], ...] = ()  # mldr's own tags of the endpoint, besides its owner's
    components: tuple[dict[str, Any], ...] = ()  # what CreateInferenceComponent takes, a base before its adapters
    component: str = ""  # the one of them that answers
    sources: dict[str, str] = {}  # how what is counted here is called where it was captured, if otherwise
    targets: tuple[dict[str, Any], ...] = ()  # what Application Auto Scaling takes
    policies: tuple[dict[str, Any], ...] = ()
    schedules: tuple[dict[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    kserve: KServePlan | None = None  # instead of all this, where an InferenceService serves

    @property
    def capacity(self) -> dict[str, int]:
        """Return the instances of each production variant, and the copies of each component.

        Instances that SageMaker adds and takes by itself, as copies need them, are nobody's to ask for.
        """
        instances = {
            one["VariantName"]: one["InitialInstanceCount"]
            for one in self.config["ProductionVariants"]
            if "InitialInstanceCount" in one and not managed(one)
        }
        found = {copies_key(one[NAME]): copies_of(one) for one in self.components}
        return instances | {name: count for name, count in found.items() if count is not None}

    @property
    def weights(self) -> dict[str, float]:
        """Return the traffic weight of each production variant that serves a model of its own."""
        variants = [one for one in self.config["ProductionVariants"] if one.get("ModelName")]
        return {one["VariantName"]: one.get("InitialVariantWeight", 1.0) for one in variants}


_CREATE_MODEL_FIELDS = {"Image", "ModelDataUrl", "ModelDataSource", "Environment", "ContainerHostname"}
ROLE = "ExecutionRoleArn"
_BESIDE_CONTAINERS = {"ModelName", ROLE, "Containers", "Tags"}


def endpoint_name(manifest: Manifest, epoch: int) -> str:
    """Return the name of what serves a recovery point in an epoch; an InferenceService keeps its own."""
    if manifest.policy.serving.kserve:
        return str(manifest.policy.serving.kserve.address)
    return claimed_name(manifest.model, manifest.recovery_point, epoch)


def claimed_name(model: ModelKey, recovery_point: str, epoch: int) -> str:
    """Return the name of an endpoint that a failover makes for its epoch."""
    return f"{model.name[:40]}-{recovery_point[-8:]}-e{epoch}"


def named_for(model: ModelKey, endpoint: str) -> bool:
    """Return whether an endpoint is called like what mldr makes for a model: for an epoch, or to stand by."""
    return endpoint.startswith(f"{model.name[:40]}-")


def containers_of(manifest: Manifest) -> tuple[dict[str, Any], ...]:
    """Return the containers of a point, on the vault's copies. Raises NotRestorable when its record names none."""
    document = rewrite_document(manifest.registry_document, manifest.rewrites)
    containers = document.get("InferenceSpecification", {}).get("Containers", [])
    if not containers:
        raise NotRestorable(
            f"{manifest.model}: version {manifest.origin.version} has no InferenceSpecification.Containers, "
            "so there is nothing to serve; register a version that says how it is served"
        )
    return tuple({k: v for k, v in one.items() if k in _CREATE_MODEL_FIELDS} for one in containers)


def plan_serving(
    manifest: Manifest,
    *,
    epoch: int,
    default_role: str = "",
    state: ServingState | None = None,
    others: Mapping[str, Manifest] | None = None,
    name: str = "",
) -> ServingPlan:
    """Return what to create: as it was captured, or, where nothing was, what the policy says.

    `default_role` is the stack's; a plan that is only read, for its name or its counts, needs none.

    `others` are the manifests of the points besides the promoted one that the state names and that can be restored;
    `name` is that of an endpoint that stands already. Raises NotRestorable when the record names no container.
    """
    name = name or endpoint_name(manifest, epoch)
    if manifest.policy.serving.kserve:
        return _by_kserve(name, manifest, epoch, state, others or {})
    if state is None:
        plan = _by_policy(manifest, name, default_role)
    else:
        plan = _Captured(manifest, name, state, {**(others or {}), manifest.recovery_point: manifest}).plan()
    return plan.model_copy(update={"marks": _whose(manifest)})


def refused_roles(plan: ServingPlan, roles: ExecutionRoles) -> list[str]:
    """Return the roles of the plan that may not be passed."""
    named = {*(model.role for model in plan.models), plan.config.get(ROLE, roles.own)}
    return sorted(one for one in named if not roles.may_pass(one))


def as_allowed(plan: ServingPlan, roles: ExecutionRoles, region: str) -> ServingPlan:
    """Return the plan with no role that may not be passed: what was captured before a stack's parameter changed.

    A region is lost, and the stack's own role may do; no control plane has to change anything before it is tried.
    """
    refused, own = refused_roles(plan, roles), plan.config.get(ROLE)
    if not refused:
        return plan
    models = tuple(one.model_copy(update={"role": roles.instead_of(one.role)}) for one in plan.models)
    config = {**plan.config, ROLE: roles.instead_of(own)} if own else plan.config
    said = tuple(f"{roles.refused(one, region)}; until then {plan.name} runs as {roles.own}" for one in refused)
    return plan.model_copy(update={"models": models, "config": config, "warnings": (*plan.warnings, *said)})


def _whose(manifest: Manifest) -> tuple[dict[str, str], ...]:
    """By these tags an endpoint is found again, and let go of when no tier needs it."""
    said = {MODEL_TAG: str(manifest.model), POINT_TAG: manifest.recovery_point}
    return tuple({"Key": key, "Value": value} for key, value in said.items())


def _by_kserve(
    name: str, manifest: Manifest, epoch: int, state: ServingState | None, others: Mapping[str, Manifest]
) -> ServingPlan:
    """A registry's record does not say how KServe serves a version: without a captured state nothing is planned."""
    plan = ServingPlan(name=name, models=(), config={"ProductionVariants": []})
    if state is None or state.endpoint != name:
        return plan
    chosen = promoted(state, manifest, others)
    if gone := [point for point in chosen.points if point != manifest.recovery_point and point not in others]:
        raise NotRestorable(
            f"{name} was captured as it served from {', '.join(gone)}, which cannot be restored any more; "
            "look at `mldr status`, and serve a version whose recovery point is sound"
        )
    late = f"{manifest.recovery_point} was not rolled out when {name} was captured; it takes the place of what was"
    warnings = (late,) if chosen != state else ()
    return plan.model_copy(update={"kserve": plan_inference_service(chosen, epoch), "warnings": warnings})


def _by_policy(manifest: Manifest, name: str, default_role: str) -> ServingPlan:
    serving = manifest.policy.serving
    variant = {
        "VariantName": VARIANT,
        "ModelName": name,
        "InstanceType": serving.instance_type,
        "InitialInstanceCount": serving.instance_count,
    }
    model = PlannedModel(name=name, role=serving.role or default_role, containers=containers_of(manifest))
    return ServingPlan(name=name, models=(model,), config={"ProductionVariants": [variant]})


class _Captured:
    """One plan in the making: the captured state, laid over the points that can be restored."""

    def __init__(self, manifest: Manifest, name: str, state: ServingState, points: Mapping[str, Manifest]) -> None:
        self._manifest, self._name, self._state, self._points = manifest, name, state, points
        self._document = rewrite(state.document, state.carried)
        self._sources = [one["ModelName"] for one in self._document["Models"]]
        self._live = {(one.shadow, one.variant): one for one in state.live}
        self._models: dict[str, PlannedModel] = {}
        self._warnings = [f"variant {variant} is not restored: {why}" for variant, why in state.left_out.items()]

    def plan(self) -> ServingPlan:
        wanted = self._wanted()
        promoted = self._promoted(wanted)
        config = {k: v for k, v in self._document["Config"].items() if k not in (*_VARIANTS, "Tags")}
        for place in _VARIANTS:
            kept = [self._variant(one, place, promoted) for one in wanted[place]]
            if kept or place == _VARIANTS[0]:
                config[place] = _with_traffic(kept) if place == _VARIANTS[0] else kept
        components, names = self._components(promoted)
        return ServingPlan(
            name=self._name,
            models=self._named(config, components),
            config=config,
            config_tags=_tags(self._document["Config"].get("Tags", [])),
            tags=_tags(self._document["Endpoint"].get("Tags", [])),
            components=tuple(components),
            component=names.get(self._state.answers, ""),
            sources={copies_key(new): copies_key(old) for old, new in names.items()},
            **self._scaling(config, names),
            warnings=tuple(self._warnings),
        )

    def _wanted(self) -> dict[str, list[dict[str, Any]]]:
        """Return the variants of which everything can be restored; an inference component is no variant's affair."""
        wanted: dict[str, list[dict[str, Any]]] = {}
        for place in _VARIANTS:
            variants = self._document["Config"].get(place, [])
            wanted[place] = [one for one in variants if self._usable(one.get("ModelName"), one["VariantName"])]
        if not wanted[_VARIANTS[0]]:
            wanted[_VARIANTS[0]] = [self._heaviest(self._document["Config"][_VARIANTS[0]])]
        return wanted

    def _usable(self, model: str | None, variant: str) -> bool:
        if variant in self._state.left_out:
            return False
        gone = [point for point in self._needs(model) if point not in self._points]
        if gone:
            self._warnings.append(f"variant {variant} is not restored: {', '.join(gone)} cannot be restored any more")
        return not gone

    def _needs(self, model: str | None) -> list[str]:
        """Return the points that a captured model takes its data from."""
        if model is None:
            return []
        prefix = f"Models[{self._sources.index(model)}]."
        return [one.point for one in self._state.carried if one.point and one.path.startswith(prefix)]

    def _heaviest(self, variants: list[dict[str, Any]]) -> dict[str, Any]:
        return max(variants, key=lambda one: self._weight(one["VariantName"]))

    def _weight(self, variant: str) -> float:
        live = self._live.get((False, variant))
        return live.weight if live else 0.0

    def _promoted(self, wanted: dict[str, list[dict[str, Any]]]) -> str | None:
        """Return the captured model or component whose place the promoted version takes; None where it serves already.

        A version can be promoted before the active region deploys it: recovery serves what was promoted.
        """
        point = self._manifest.recovery_point
        if self._state.answers:
            return self._promoted_component(self._state.answers)
        components = self._document.get("Components", [])
        models = [one["ModelName"] for one in wanted[_VARIANTS[0]] if one.get("ModelName")]
        places = [self._needs(one) for one in models]
        places += [self._component_needs(index) for index in range(len(components))]
        if any(point in needs and all(one in self._points for one in needs) for needs in places):
            return None
        if any(self._is_promoted_image(one) for one in models):
            return None
        if models:
            heaviest = self._heaviest([one for one in wanted[_VARIANTS[0]] if one.get("ModelName")])
            self._warnings.append(f"variant {heaviest['VariantName']} serves {point}, which was promoted since")
            return f"variant/{heaviest['VariantName']}"
        if not components:
            return None
        largest = max(components, key=lambda one: one.get("RuntimeConfig", {}).get("CopyCount", 0))
        self._warnings.append(f"component {largest['InferenceComponentName']} serves {point}, which was promoted since")
        return f"component/{largest['InferenceComponentName']}"

    def _promoted_component(self, name: str) -> str | None:
        """Clients are answered by one component: it is the one that serves what was promoted."""
        point = self._manifest.recovery_point
        index = next(i for i, one in enumerate(self._document["Components"]) if one[NAME] == name)
        needs, models = self._component_needs(index), models_of(self._document["Components"][index])
        if point in needs and all(one in self._points for one in needs):
            return None
        if models and all(self._is_promoted_image(one) for one in models):
            return None
        self._warnings.append(f"component {name} serves {point}, which was promoted since")
        return f"component/{name}"

    def _is_promoted_image(self, model: str) -> bool:
        """Return whether a model that is all image, without data, runs the images of the promoted version."""
        captured = self._document["Models"][self._sources.index(model)]["Containers"]
        images = [one.get("Image") for one in captured]
        return not self._needs(model) and images == [one.get("Image") for one in containers_of(self._manifest)]

    def _component_needs(self, index: int) -> list[str]:
        prefix = f"Components[{index}]."
        own = [one.point for one in self._state.carried if one.point and one.path.startswith(prefix)]
        return own + [one for name in models_of(self._document["Components"][index]) for one in self._needs(name)]

    def _variant(self, variant: dict[str, Any], place: str, promoted: str | None) -> dict[str, Any]:
        """Return a variant at its live weight and capacity."""
        live = self._live.get((place != _VARIANTS[0], variant["VariantName"]))
        made, said = as_taken({**variant, **_capacity(variant, live)})
        self._warnings += said
        if variant.get("ModelName"):
            takes = place == _VARIANTS[0] and promoted == f"variant/{variant['VariantName']}"
            made["ModelName"] = self._model(variant["ModelName"], takes)
        return made

    def _model(self, source: str, takes_promoted: bool) -> str:
        """Return the key of a planned model, having planned it."""
        key = f"{source}/promoted" if takes_promoted else source
        if key not in self._models:
            captured = self._document["Models"][self._sources.index(source)]
            containers = containers_of(self._manifest) if takes_promoted else self._containers(captured)
            self._models[key] = PlannedModel(
                name=key,
                role=captured[ROLE],
                containers=containers,
                settings={k: v for k, v in captured.items() if k not in _BESIDE_CONTAINERS},
                tags=_tags(captured.get("Tags", [])),
            )
        return key

    def _containers(self, captured: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Return the containers; one that names a package becomes the containers of the point made of it."""
        made: list[dict[str, Any]] = []
        for container in captured["Containers"]:
            package = container.get("ModelPackageName")
            if package not in self._points:  # no package, or one that the policy names in the standby
                made.append(container)
                continue
            extra = container.get("Environment", {})
            for one in containers_of(self._points[package]):
                environment = {**one.get("Environment", {}), **extra}
                made.append({**one, **({"Environment": environment} if environment else {})})
        return tuple(made)

    def _components(self, promoted: str | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Return the inference components, and the new name of each by its old one."""
        captured = self._document.get("Components", [])
        names = {one["InferenceComponentName"]: f"{self._name}-c{index}" for index, one in enumerate(captured)}
        made = []
        for index, one in enumerate(captured):
            gone = [point for point in self._component_needs(index) if point not in self._points]
            takes = promoted == f"component/{one['InferenceComponentName']}"
            if gone and not takes:
                name = one["InferenceComponentName"]
                self._warnings.append(f"component {name} is not restored: {', '.join(gone)} cannot be restored")
                continue
            made.append(self._component(one, names, takes))
        made = bases_first(made)
        return made, {old: new for old, new in names.items() if new in {one["InferenceComponentName"] for one in made}}

    def _component(self, captured: dict[str, Any], names: dict[str, str], takes_promoted: bool) -> dict[str, Any]:
        made = [self._specification(one, names, takes_promoted) for one in specifications(captured)]
        said = (
            {"Specifications": made} if captured.get("Specifications") else {"Specification": made[0]} if made else {}
        )
        component = {
            **captured,
            NAME: names[captured[NAME]],
            "EndpointName": self._name,
            **said,
            "Tags": list(_tags(captured.get("Tags", []))),
        }
        copies = copies_of(captured)
        # What scaled to nothing has to answer golden questions, and then clients; and no component is made with none.
        if copies is not None:
            component["RuntimeConfig"] = {"CopyCount": max(1, copies)}
        return component

    def _specification(self, captured: dict[str, Any], names: dict[str, str], takes_promoted: bool) -> dict[str, Any]:
        specification = dict(captured)
        if specification.get("ModelName"):
            specification["ModelName"] = self._model(specification["ModelName"], takes_promoted)
        elif takes_promoted:
            container = containers_of(self._manifest)[0]
            renamed = {"Image": "Image", "ModelDataUrl": "ArtifactUrl", "Environment": "Environment"}
            if base_of({"Specification": captured}):
                renamed.pop("Image")  # an adapter runs in the container of its base
            taken = {renamed[name]: value for name, value in container.items() if name in renamed}
            specification["Container"] = {**specification.get("Container", {}), **taken}
        base = specification.get(BASE)
        if base:
            specification[BASE] = names.get(base, base)
        return specification

    def _named(self, config: dict[str, Any], components: list[dict[str, Any]]) -> tuple[PlannedModel, ...]:
        """Give the planned models their names, here and where they are named."""
        only = len(self._models) == 1
        names = {key: self._name if only else f"{self._name}-m{index}" for index, key in enumerate(self._models)}
        for one in [variant for place in _VARIANTS for variant in config.get(place, [])]:
            if one.get("ModelName"):
                one["ModelName"] = names[one["ModelName"]]
        for one in [made for component in components for made in specifications(component)]:
            if one.get("ModelName"):
                one["ModelName"] = names[one["ModelName"]]
        return tuple(model.model_copy(update={"name": names[key]}) for key, model in self._models.items())

    def _scaling(self, config: dict[str, Any], components: dict[str, str]) -> dict[str, tuple[dict[str, Any], ...]]:
        """Return autoscaling under the new names, for what is restored."""
        source = self._state.endpoint
        variants = [one["VariantName"] for place in _VARIANTS for one in config.get(place, [])]
        resources = {f"endpoint/{source}/variant/{one}": f"endpoint/{self._name}/variant/{one}" for one in variants}
        resources |= {f"inference-component/{old}": f"inference-component/{new}" for old, new in components.items()}
        renamed = {"EndpointName": {source: self._name}, "InferenceComponentName": components}

        def moved(kind: str) -> tuple[dict[str, Any], ...]:
            captured = [one for one in self._document.get(kind, []) if one["ResourceId"] in resources]
            return tuple(
                _redimensioned({**one, "ResourceId": resources[one["ResourceId"]]}, renamed) for one in captured
            )

        policies = [one for one in self._document.get("ScalingPolicies", []) if one["ResourceId"] in resources]
        self._warnings += untriggered(policies)
        return {
            "targets": moved("ScalableTargets"),
            "policies": moved("ScalingPolicies"),
            "schedules": moved("ScheduledActions"),
        }


def _capacity(variant: dict[str, Any], live: Live | None) -> dict[str, Any]:
    """Return what the variant has now. CreateEndpointConfig takes no fewer than one instance."""
    if live is None:
        return {}
    made: dict[str, Any] = {"InitialVariantWeight": live.weight}
    if live.serverless is not None:
        made["ServerlessConfig"] = live.serverless
    elif live.instances is not None:
        made["InitialInstanceCount"] = max(1, live.instances)
    return made


def untriggered(policies: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return one sentence for each policy that scales by steps without a captured alarm that triggers it."""
    silent = [one for one in policies if one.get("PolicyType") == "StepScaling" and not one.get("Alarms")]
    return tuple(
        f"policy {one['PolicyName']} of {one['ResourceId']} scales by steps, and no CloudWatch alarm was "
        "captured that triggers it: nothing scales by it until an alarm names the new policy"
        for one in silent
    )


def _with_traffic(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the variants; where those that are left had no traffic, the first takes it."""
    if any(one.get("InitialVariantWeight", 1.0) for one in variants):
        return variants
    return [{**variants[0], "InitialVariantWeight": 1.0}, *variants[1:]]


def _redimensioned(node: Any, renamed: Mapping[str, Mapping[str, str]]) -> Any:
    """Return a policy whose metrics are those of the new endpoint."""
    if isinstance(node, list):
        return [_redimensioned(one, renamed) for one in node]
    if not isinstance(node, dict):
        return node
    names = renamed.get(node.get("Name", ""), {}) if set(node) == {"Name", "Value"} else {}
    if names:
        return {**node, "Value": names.get(node["Value"], node["Value"])}
    return {name: _redimensioned(value, renamed) for name, value in node.items()}


def _tags(captured: list[dict[str, str]]) -> tuple[dict[str, str], ...]:
    """Return what may be set of the tags: not AWS's own, and not the mark of another owner."""
    return tuple(one for one in captured if not one["Key"].startswith("aws:") and one["Key"] not in _OWN_TAGS)
