"""Serving plans: what was captured comes back under the names of the epoch, at its live weights and counts."""

import datetime as dt

import pytest

from mldr.domain.components import copies_key
from mldr.domain.identity import ModelKey
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import Manifest, Origin, Retention, Rewrite
from mldr.domain.serving import plan_serving
from mldr.domain.serving_state import Carried, Kind, Live, ServingState

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
RULES = Policy.parse("version: 1\nregions: [ap-southeast-1, ap-southeast-3]\n").for_model("sagemaker", "churn", {})
RETENTION = Retention(mode="GOVERNANCE", until=NOW + dt.timedelta(days=35))
ROLE = "arn:aws:iam::123456789012:role/serve"
PACKAGE = "arn:aws:sagemaker:ap-southeast-1:123456789012:model-package/churn/{}"
NAME = "churn-456789ab-e3"
SCALED = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


def manifest(version="1", digest="0123456789ab"):
    """A point of one version: its container is on the vault's copy."""
    point = f"v{version}-{digest}"
    path = "InferenceSpecification.Containers[0].ModelDataUrl"
    return Manifest(
        recovery_point=point,
        model=CHURN,
        origin=Origin(region="ap-southeast-1", version=version, arn=PACKAGE.format(version), promoted_at=NOW),
        standby_region="ap-southeast-3",
        sealed_at=NOW,
        retention=RETENTION,
        policy=RULES,
        policy_version="1",
        registry_document={
            "InferenceSpecification": {
                "Containers": [
                    {
                        "Image": "image",
                        "ModelDataUrl": f"s3://lake/{version}",
                        "Environment": {"OF": f"version {version}"},
                    }
                ]
            }
        },
        rewrites=(Rewrite(path=path, kind="s3-object", source=f"s3://lake/{version}", target=f"s3://vault/{version}"),),
        golden=None,
        shards=(),
        objects=0,
        bytes=0,
        shared=0,
        layout="layout",
    )


ONE, TWO = manifest("1"), manifest("2", "cdef01234567")
POINTS = {"1": ONE.recovery_point, "2": TWO.recovery_point}


def variant(name, model, **more):
    return {"VariantName": name, "ModelName": model, "InstanceType": "ml.c5.large", "InitialInstanceCount": 1, **more}


def state(versions=("1", "2"), *, live=(), shadow=(), components=(), containers=None, left_out=None, **document):
    """What was captured: a model and a variant of each version, `a` of the first and so on."""
    models, carried = [], []
    for index, version in enumerate(versions):
        path = f"Models[{index}].Containers[0].ModelDataUrl"
        own = {"ModelDataUrl": f"s3://lake/{version}", "Image": "image", "Environment": {"LIVE": version}}
        models.append(
            {"ModelName": f"m-{version}", "ExecutionRoleArn": "theirs", "Containers": containers or [own], "Tags": []}
        )
        carried.append(Carried(path=f"Models[{index}].ExecutionRoleArn", kind=Kind.ROLE, source="theirs", target=ROLE))
        if not containers:
            carried.append(
                Carried(
                    path=path,
                    kind=Kind.MODEL_DATA,
                    source=f"s3://lake/{version}",
                    target=f"s3://vault/{version}",
                    point=POINTS[version],
                )
            )
    shadows = set(shadow)
    variants = [
        variant("abc"[index], f"m-{version}") for index, version in enumerate(versions) if version not in shadows
    ]
    shadow_variants = [variant(f"shadow{version}", f"m-{version}") for version in shadow]
    config = {"ProductionVariants": variants, "Tags": [], **document.pop("Config", {})}
    if shadow_variants:
        config["ShadowProductionVariants"] = shadow_variants
    return ServingState(
        model=CHURN,
        endpoint="churn",
        region="ap-southeast-1",
        standby_region="ap-southeast-3",
        captured_at=NOW,
        reason="test",
        epoch=0,
        retention=RETENTION,
        document={
            "Endpoint": {"EndpointName": "churn", "Tags": [{"Key": "team", "Value": "risk"}]},
            "Config": config,
            "Models": models,
            "Components": list(components),
            **document,
        },
        live=tuple(live) or tuple(Live(variant=one["VariantName"], weight=1.0, instances=1) for one in variants),
        carried=tuple(carried),
        left_out=left_out or {},
    )


def plan(captured, promoted=ONE, others=(TWO,)):
    return plan_serving(
        promoted,
        epoch=3,
        default_role="unused",
        state=captured,
        others={one.recovery_point: one for one in others},
    )


def theirs(made):
    """The tags that others have given."""
    return [one for one in made.tags if not one["Key"].startswith("mldr:")]


def variants(made, place="ProductionVariants"):
    return {one["VariantName"]: one for one in made.config.get(place, [])}


def test_without_a_captured_state_the_policy_decides():
    made = plan_serving(ONE, epoch=3, default_role=ROLE)
    [model] = made.models
    assert (made.name, model.name, model.role) == (NAME, NAME, ROLE)
    assert made.capacity == {"AllTraffic": 1}
    assert variants(made)["AllTraffic"]["InstanceType"] == "ml.m5.large"


def test_a_plan_is_the_same_however_often_it_is_made():
    captured = state()
    assert plan(captured) == plan(captured)


def test_every_variant_comes_back_with_its_own_version_at_its_live_weight_and_count():
    made = plan(state(live=[Live(variant="a", weight=9.0, instances=4), Live(variant="b", weight=0.5, instances=2)]))
    found = variants(made)
    assert [(one["InitialVariantWeight"], one["InitialInstanceCount"]) for one in found.values()] == [
        (9.0, 4),
        (0.5, 2),
    ]
    models = {one.name: one for one in made.models}
    assert models[found["a"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/1"
    assert models[found["b"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/2"
    assert models[found["b"]["ModelName"]].containers[0]["Environment"] == {"LIVE": "2"}
    assert sorted(models) == [f"{NAME}-m0", f"{NAME}-m1"]
    assert (made.capacity, made.warnings, made.models[0].role) == ({"a": 4, "b": 2}, (), ROLE)
    assert theirs(made) == [{"Key": "team", "Value": "risk"}]


def test_one_model_has_the_name_of_the_endpoint():
    made = plan(state(versions=("1",)))
    assert [one.name for one in made.models] == [NAME]
    assert variants(made)["a"]["ModelName"] == NAME


def test_two_variants_of_one_model_share_it():
    captured = state(versions=("1",), Config={"ProductionVariants": [variant("a", "m-1"), variant("b", "m-1")]})
    made = plan(captured)
    assert {one["ModelName"] for one in made.config["ProductionVariants"]} == {NAME}


def test_what_was_scaled_to_nothing_begins_with_one_instance():
    """CreateEndpointConfig takes no fewer."""
    made = plan(state(versions=("1",), live=[Live(variant="a", weight=1.0, instances=0)]))
    assert made.capacity == {"a": 1}


def test_a_serverless_variant_keeps_its_live_settings():
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 7}
    captured = state(
        versions=("1",),
        live=[Live(variant="a", weight=1.0, instances=None, serverless=serverless)],
        Config={
            "ProductionVariants": [
                {"VariantName": "a", "ModelName": "m-1", "ServerlessConfig": {**serverless, "MaxConcurrency": 2}}
            ]
        },
    )
    made = plan(captured)
    assert variants(made)["a"]["ServerlessConfig"] == serverless
    assert made.capacity == {}


def test_a_shadow_comes_back_as_a_shadow():
    made = plan(state(shadow=("2",), live=[Live(variant="a", weight=1, instances=1),
                                           Live(variant="shadow2", weight=0.2, instances=3, shadow=True)]))  # fmt: skip
    [shadow] = variants(made, "ShadowProductionVariants").values()
    assert (shadow["InitialVariantWeight"], shadow["InitialInstanceCount"]) == (0.2, 3)
    assert list(variants(made)) == ["a"]


def test_a_shadow_that_was_left_out_stays_out_and_is_named():
    made = plan(state(shadow=("2",), left_out={"shadow2": "no point holds it"}))
    assert "ShadowProductionVariants" not in made.config
    assert made.warnings == ("variant shadow2 is not restored: no point holds it",)


def test_a_variant_whose_point_is_gone_does_not_hold_the_others_up():
    made = plan(state(live=[Live(variant="a", weight=0.0, instances=1), Live(variant="b", weight=9.0, instances=4)]),
                others=())  # fmt: skip
    assert list(variants(made)) == ["a"]
    assert variants(made)["a"]["InitialVariantWeight"] == 1.0, "what is left takes the traffic"
    assert made.warnings == (f"variant b is not restored: {TWO.recovery_point} cannot be restored any more",)


def test_a_version_that_was_promoted_since_takes_the_place_of_the_heaviest_variant():
    three = manifest("3", "fedcba987654")
    captured = state(live=[Live(variant="a", weight=1.0, instances=1), Live(variant="b", weight=9.0, instances=4)])
    made = plan(captured, promoted=three, others=(ONE, TWO))
    models = {one.name: one for one in made.models}
    found = variants(made)
    assert models[found["b"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/3"
    assert models[found["b"]["ModelName"]].containers[0]["Environment"] == {"OF": "version 3"}
    assert models[found["a"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/1"
    assert made.capacity == {"a": 1, "b": 4}
    assert made.warnings == (f"variant b serves {three.recovery_point}, which was promoted since",)


def test_a_version_takes_the_only_variant_though_that_ones_point_is_gone():
    three = manifest("3", "fedcba987654")
    made = plan(state(versions=("1",)), promoted=three, others=())
    assert made.models[0].containers[0]["ModelDataUrl"] == "s3://vault/3"
    assert made.capacity == {"a": 1}


def test_a_container_that_names_a_package_becomes_the_containers_of_its_point():
    captured = state(versions=("1",), containers=[{"ModelPackageName": PACKAGE.format(1), "Environment": {"X": "1"}}])
    carried = Carried(
        path="Models[0].Containers[0].ModelPackageName",
        kind=Kind.MODEL_PACKAGE,
        source=PACKAGE.format(1),
        target=ONE.recovery_point,
        point=ONE.recovery_point,
    )
    made = plan(captured.model_copy(update={"carried": (*captured.carried, carried)}))
    assert made.models[0].containers == (
        {"Image": "image", "ModelDataUrl": "s3://vault/1", "Environment": {"OF": "version 1", "X": "1"}},
    )


def test_a_model_that_is_all_image_keeps_its_live_environment_while_it_runs_the_promoted_image():
    live = [{"Image": "image", "Environment": {"LIVE": "yes"}}]
    made = plan(state(versions=("1",), containers=live))
    assert (made.models[0].containers, made.warnings) == (tuple(live), ())
    other = plan(state(versions=("1",), containers=[{"Image": "another"}]))
    assert other.models[0].containers[0]["Environment"] == {"OF": "version 1"}
    assert len(other.warnings) == 1


def test_autoscaling_follows_to_the_new_names():
    dimensions = [{"Name": "EndpointName", "Value": "churn"}, {"Name": "VariantName", "Value": "a"}]
    resource = "endpoint/churn/variant/a"
    captured = state(
        versions=("1",),
        ScalableTargets=[
            {**SCALED, "ResourceId": resource, "MinCapacity": 1, "MaxCapacity": 9},
            {**SCALED, "ResourceId": "endpoint/churn/variant/gone", "MinCapacity": 1, "MaxCapacity": 2},
        ],
        ScalingPolicies=[
            {
                **SCALED,
                "ResourceId": resource,
                "PolicyName": "p",
                "TargetTrackingScalingPolicyConfiguration": {
                    "CustomizedMetricSpecification": {"Dimensions": dimensions, "MetricName": "m"}
                },
            }
        ],
        ScheduledActions=[{**SCALED, "ResourceId": resource, "ScheduledActionName": "s", "Schedule": "rate(1 day)"}],
    )
    made = plan(captured)
    new = f"endpoint/{NAME}/variant/a"
    assert [one["ResourceId"] for one in (*made.targets, *made.policies, *made.schedules)] == [new] * 3
    metric = made.policies[0]["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": NAME}, {"Name": "VariantName", "Value": "a"}]


def components(*versions):
    return [
        {
            "InferenceComponentName": f"ic-{version}",
            "EndpointName": "churn",
            "VariantName": "a",
            "Specification": {"ModelName": f"m-{version}"},
            "RuntimeConfig": {"CopyCount": int(version)},
            "Tags": [],
        }
        for version in versions
    ]


def of_components(**more):
    hosts = {"VariantName": "a", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    return state(components=components("1", "2"), Config={"ProductionVariants": [hosts]}, **more)


def test_inference_components_come_back_with_their_copies_and_their_autoscaling():
    copies = {**SCALED, "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"}
    made = plan(of_components(ScalableTargets=[{**copies, "ResourceId": "inference-component/ic-2", "MinCapacity": 0}]))
    assert [(one["InferenceComponentName"], one["RuntimeConfig"]["CopyCount"]) for one in made.components] == [
        (f"{NAME}-c0", 1),
        (f"{NAME}-c1", 2),
    ]
    assert {one["EndpointName"] for one in made.components} == {NAME}
    assert [one["Specification"]["ModelName"] for one in made.components] == [one.name for one in made.models]
    assert "ModelName" not in variants(made)["a"]
    assert made.targets[0]["ResourceId"] == f"inference-component/{NAME}-c1"


def test_a_component_whose_point_is_gone_does_not_hold_the_others_up():
    made = plan(of_components(), others=())
    assert [one["InferenceComponentName"] for one in made.components] == [f"{NAME}-c0"]
    assert len(made.warnings) == 1


def test_a_version_promoted_since_takes_the_place_of_the_component_with_the_most_copies():
    three = manifest("3", "fedcba987654")
    made = plan(of_components(), promoted=three, others=(ONE, TWO))
    models = {one.name: one for one in made.models}
    assert models[made.components[1]["Specification"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/3"
    assert models[made.components[0]["Specification"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/1"


def answered(by, *, specifications=None, adapter=None, zero=False):
    """An endpoint of components of which one answers for the model."""
    captured = of_components()
    held = list(captured.document["Components"])
    if specifications:
        held[0] = {**held[0], "Specifications": specifications}
        held[0].pop("Specification")
    if adapter:
        made = {
            **held[0],
            "InferenceComponentName": "a-first",
            "Specification": {"BaseInferenceComponentName": adapter},
        }
        made.pop("RuntimeConfig")
        held = [made, *held]
    if zero:
        held = [{**one, "RuntimeConfig": {"CopyCount": 0}} for one in held]
    return captured.model_copy(update={"component": by, "document": {**captured.document, "Components": held}})


def test_the_component_that_answers_has_its_new_name_in_the_plan():
    assert plan(answered("ic-2")).component == f"{NAME}-c1"
    assert plan(state()).component == ""


def test_the_component_that_answers_serves_what_was_promoted_whatever_the_others_serve():
    made = plan(answered("ic-2"), promoted=ONE, others=(TWO,))
    models = {one.name: one for one in made.models}
    assert models[made.components[1]["Specification"]["ModelName"]].containers[0]["ModelDataUrl"] == "s3://vault/1"
    assert "ic-2 serves" in made.warnings[0]


def test_every_component_comes_back_with_a_copy_after_it_scaled_to_nothing():
    """CreateInferenceComponent takes no fewer."""
    made = plan(answered("ic-2", zero=True))
    assert [one["RuntimeConfig"]["CopyCount"] for one in made.components] == [1, 1]


def hosted(**more):
    """An endpoint of components, whose variant is described with more."""
    hosts = {"VariantName": "a", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1, **more}
    live = [Live(variant="a", weight=1.0, instances=2)]
    return state(components=components("1"), Config={"ProductionVariants": [hosts]}, live=live)


def test_a_variant_without_a_model_takes_no_weight_and_no_access_to_its_hosts():
    made = plan(hosted(InitialVariantWeight=1.0, EnableSSMAccess=True))
    assert variants(made)["a"] == {"VariantName": "a", "InstanceType": "ml.c5.large", "InitialInstanceCount": 2}
    assert (made.weights, made.warnings) == ({}, ()), "there is no traffic of its own to be reweighed"


def test_a_variant_without_a_model_whose_weight_was_taken_away_gets_none():
    captured = hosted().model_copy(update={"live": (Live(variant="a", weight=0.0, instances=1),)})
    assert "InitialVariantWeight" not in variants(plan(captured))["a"]


SCALING = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 4}


def test_what_scaled_to_zero_instances_keeps_one_in_a_failover_and_says_so():
    made = plan(hosted(ManagedInstanceScaling=SCALING))
    assert variants(made)["a"]["ManagedInstanceScaling"] == {**SCALING, "MinInstanceCount": 1}
    [warning] = made.warnings
    assert warning.startswith("variant a scales to zero instances where it was captured; what a failover makes keeps")


@pytest.mark.parametrize("change", [{"MinInstanceCount": 2}, {"Status": "DISABLED"}])
def test_managed_scaling_of_components_stays_as_it_was_unless_it_goes_to_zero(change):
    made = plan(hosted(ManagedInstanceScaling={**SCALING, **change}))
    assert (variants(made)["a"]["ManagedInstanceScaling"], made.warnings) == ({**SCALING, **change}, ())


def test_managed_scaling_of_a_model_is_left_out_and_its_instances_are_asked_for():
    """Endpoints made while SageMaker took it have it still."""
    scaled = variant("a", "m-1", ManagedInstanceScaling={**SCALING, "MinInstanceCount": 1}, EnableSSMAccess=True)
    made = plan(state(versions=("1",), Config={"ProductionVariants": [scaled]}))
    assert "ManagedInstanceScaling" not in variants(made)["a"]
    assert (variants(made)["a"]["EnableSSMAccess"], made.capacity) == (True, {"a": 1})
    assert made.warnings[0].startswith("variant a has ManagedInstanceScaling, which SageMaker takes only of")


def test_an_adapter_stands_behind_its_base_and_names_it_anew():
    made = plan(answered("a-first", adapter="ic-1"))
    assert [one["InferenceComponentName"] for one in made.components] == [f"{NAME}-c1", f"{NAME}-c2", f"{NAME}-c0"]
    assert made.components[2]["Specification"]["BaseInferenceComponentName"] == f"{NAME}-c1"
    assert made.component == f"{NAME}-c0"


def test_a_component_for_several_instance_types_has_its_models_renamed_in_each():
    types = [{"InstanceType": "ml.g5.xlarge", "ModelName": "m-1"}, {"InstanceType": "ml.g6.xlarge", "ModelName": "m-2"}]
    made = plan(answered("ic-1", specifications=types))
    names = {one.name for one in made.models}
    assert {one["ModelName"] for one in made.components[0]["Specifications"]} == names
    assert "Specification" not in made.components[0]


def test_copies_are_counted_beside_the_instances_by_their_new_name_and_known_by_the_old_one():
    made = plan(answered("ic-2"))
    key = copies_key(f"{NAME}-c1")
    assert (made.capacity[key], made.sources[key]) == (2, copies_key("ic-2"))


def test_a_state_from_before_the_question_was_asked_has_its_only_component_answer():
    captured = of_components()
    alone = {**captured.document, "Components": captured.document["Components"][:1]}
    assert plan(captured.model_copy(update={"document": alone})).component == f"{NAME}-c0"


def test_names_fit_into_what_sagemaker_takes():
    long = ModelKey(registry="sagemaker", name="x" * 63)
    made = plan_serving(
        ONE.model_copy(update={"model": long}),
        epoch=12345,
        default_role=ROLE,
        state=state(),
        others={TWO.recovery_point: TWO},
    )
    assert all(len(one.name) <= 63 for one in made.models)


@pytest.mark.parametrize("tag", ["aws:cloudformation:stack-name", "mldr:owner"])
def test_tags_that_may_not_be_set_again_are_not(tag):
    captured = state(versions=("1",), Endpoint={"Tags": [{"Key": tag, "Value": "x"}, {"Key": "k", "Value": "v"}]})
    assert theirs(plan(captured)) == [{"Key": "k", "Value": "v"}]


def test_capacity_and_weights_are_those_of_the_production_variants():
    captured = state(
        live=[
            Live(variant="a", weight=9.0, instances=4),
            Live(variant="b", weight=1.0, instances=None, serverless={"MemorySizeInMB": 1024, "MaxConcurrency": 1}),
            Live(variant="s", weight=1.0, instances=2, shadow=True),
        ]
    )
    assert (captured.capacity, captured.weights) == ({"a": 4}, {"a": 9.0, "b": 1.0})


def test_when_and_why_a_state_was_captured_does_not_change_what_it_is():
    later = state().model_copy(update={"captured_at": NOW + dt.timedelta(hours=1), "reason": "another", "epoch": 2})
    assert later.digest == state().digest
    assert state(live=[Live(variant="a", weight=2.0, instances=1)]).digest != state().digest


@pytest.mark.parametrize(
    ("there", "component", "counts"),
    [
        (["a", "component/own"], "own", {"a": 1, "component/own": 5}),
        (["a", "component/own"], "", {"a": 1, "component/own": 5}),
        (["a", "component/own", "component/other"], "own", {"a": 1, "component/own": 5}),
        (["a", "component/own", "component/other"], "", {"a": 1}),
        (["a"], "", {"a": 1}),
    ],
)
def test_what_a_model_is_served_with_is_told_by_the_names_of_an_endpoint_that_was_not_restored(
    there, component, counts
):
    """The copies are those of the base: an adapter has none of its own, and none of another model's is meant."""
    adapter = {"InferenceComponentName": "e1-c1", "Specification": {"BaseInferenceComponentName": "e1-c0"}}
    base = {"InferenceComponentName": "e1-c0", "Specification": {}, "RuntimeConfig": {"CopyCount": 5}}
    live = (Live(variant="a", weight=1.0, instances=1), Live(variant="s", weight=1.0, instances=9, shadow=True))
    assert state(("1",), live=live, components=(adapter, base)).counts_at(there, component) == counts
