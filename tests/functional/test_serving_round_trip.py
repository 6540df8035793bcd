"""What serves in one region is captured and restored in another: described again, it differs by its rewrites alone."""

import datetime as dt

import pytest

from mldr.aws.serving import SageMakerServing
from mldr.aws.serving_source import SageMakerServingSource
from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import ServingRule, VpcRule
from mldr.domain.policy import Policy
from mldr.domain.recovery_point import Manifest, Origin, Retention, Rewrite
from mldr.domain.serving import OWNER, plan_serving
from mldr.domain.serving_references import Grounds, Held, carry, find_references, rewrite
from mldr.domain.serving_state import ServingState
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY, moto  # noqa: F401 -- a fixture

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
RULES = Policy.parse(f"version: 1\nregions: [{ACTIVE}, {STANDBY}]\n").for_model("sagemaker", "churn", {})
ROLE, OURS = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("theirs", "ours"))
RETENTION = Retention(mode="GOVERNANCE", until=NOW)
SERVING = ServingRule(
    endpoint="churn",
    kms_key=f"arn:aws:kms:{STANDBY}:{ACCOUNT}:key/there",
    vpc=VpcRule(subnets=("subnet-there",), security_groups=("sg-there",)),
    references={"s3://captured/": "s3://captured-there/"},
)
GROUNDS = Grounds(
    rules=SERVING,
    roles=ExecutionRoles(own=OURS, named=(ROLE,)),
    standby=STANDBY,
    images={f"{ACCOUNT}.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1": f"{ACCOUNT}.dkr.ecr.{STANDBY}.amazonaws.com/churn:1"},
    held={f"s3://lake/{name}": Held(target=f"s3://vault/{name}", point=f"{name}-abc") for name in ("v1", "v2")},
)


def manifest(version):
    return Manifest(
        recovery_point=f"{version}-abc",
        model=CHURN,
        origin=Origin(region=ACTIVE, version=version, arn=f"arn/{version}", promoted_at=NOW),
        standby_region=STANDBY,
        sealed_at=NOW,
        retention=RETENTION,
        policy=RULES,
        policy_version="1",
        registry_document={"InferenceSpecification": {"Containers": [{"ModelDataUrl": f"s3://lake/{version}"}]}},
        rewrites=(Rewrite(path="x", kind="s3-object", source=f"s3://lake/{version}", target=f"s3://vault/{version}"),),
        golden=None, shards=(), objects=0, bytes=0, shared=0, layout="x",
    )  # fmt: skip


def container(version):
    return {
        "Image": f"{ACCOUNT}.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1",
        "ModelDataUrl": f"s3://lake/{version}",
        "Environment": {"REGION": ACTIVE, "LEVEL": "2"},
    }


def variant(version, **more):
    return {
        "VariantName": version, "ModelName": f"churn-{version}", "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1, **more,
    }  # fmt: skip


def serve(client, autoscaling):
    """Two production variants whose weights and counts were changed since, a shadow, scaling, and all settings."""
    for version in ("v1", "v2"):
        client.create_model(
            ModelName=f"churn-{version}",
            ExecutionRoleArn=ROLE,
            PrimaryContainer=container(version),
            VpcConfig={"Subnets": ["subnet-here"], "SecurityGroupIds": ["sg-here"]},
            EnableNetworkIsolation=True,
            Tags=[{"Key": "version", "Value": version}],
        )
    client.create_endpoint_config(
        EndpointConfigName="churn-config",
        ProductionVariants=[variant("v1", InitialVariantWeight=1.0), variant("v2", InitialVariantWeight=0.0)],
        ShadowProductionVariants=[{**variant("v2", InitialVariantWeight=0.5), "VariantName": "shadow"}],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 10,
            "DestinationS3Uri": "s3://captured/churn",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        },
        AsyncInferenceConfig={"OutputConfig": {"S3OutputPath": "s3://captured/answers"}},
        KmsKeyId=f"arn:aws:kms:{ACTIVE}:{ACCOUNT}:key/here",
        Tags=[{"Key": "made", "Value": "by hand"}],
    )
    client.create_endpoint(
        EndpointName="churn", EndpointConfigName="churn-config", Tags=[{"Key": "team", "Value": "risk"}]
    )
    client.create_inference_component(
        InferenceComponentName="churn-ic",
        EndpointName="churn",
        VariantName="v1",
        Specification={"ModelName": "churn-v1", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 128}},
        RuntimeConfig={"CopyCount": 2},
    )
    client.update_endpoint_weights_and_capacities(
        EndpointName="churn",
        DesiredWeightsAndCapacities=[
            {"VariantName": "v1", "DesiredWeight": 3.0, "DesiredInstanceCount": 5},
            {"VariantName": "v2", "DesiredWeight": 2.0},
        ],
    )
    where = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/churn/variant/v1",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    autoscaling.register_scalable_target(**where, MinCapacity=2, MaxCapacity=9)
    autoscaling.put_scaling_policy(
        **where,
        PolicyName="follow",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 70.0,
            "CustomizedMetricSpecification": {
                "MetricName": "m", "Namespace": "n", "Statistic": "Average",
                "Dimensions": [{"Name": "EndpointName", "Value": "churn"}],
            },
        },
    )  # fmt: skip
    autoscaling.put_scheduled_action(
        **where, ScheduledActionName="morning", Schedule="cron(0 6 * * ? *)", ScalableTargetAction={"MinCapacity": 3}
    )


def captured(source, endpoint="churn"):
    observed = source.observe(endpoint)
    carried, problems = carry(find_references(observed.document, ACTIVE), GROUNDS)
    assert problems == ()
    return ServingState(
        model=CHURN, endpoint=endpoint, region=ACTIVE, standby_region=STANDBY, captured_at=NOW, reason="test", epoch=0,
        retention=RETENTION, document=observed.document, live=observed.live, carried=carried,
    )  # fmt: skip


@pytest.fixture
def sides(moto):  # noqa: F811 -- the fixture itself
    def client(service, region):
        return lambda: moto.client(service, region)

    sources = [
        SageMakerServingSource(
            client("sagemaker", region), client("application-autoscaling", region), client("cloudwatch", region)
        )
        for region in (ACTIVE, STANDBY)
    ]
    serving = SageMakerServing(
        client("sagemaker", STANDBY),
        client("sagemaker-runtime", STANDBY),
        client("application-autoscaling", STANDBY),
        client("cloudwatch", STANDBY),
    )
    serve(moto.client("sagemaker", ACTIVE), moto.client("application-autoscaling", ACTIVE))
    return *sources, serving


def renamed(document, plan):
    """The captured document under the names that the restored one has."""
    names = {"churn": plan.name, "churn-ic": f"{plan.name}-c0"}
    names |= {one["ModelName"]: model.name for one, model in zip(document["Models"], plan.models, strict=True)}
    fields = {"EndpointName", "ModelName", "InferenceComponentName"}

    def walk(node, field=""):
        if isinstance(node, dict):
            if set(node) == {"Name", "Value"}:
                return {**node, "Value": names.get(node["Value"], node["Value"])}
            return {key: walk(value, key) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(one) for one in node]
        if field == "ResourceId":
            return "/".join(names.get(part, part) for part in node.split("/"))
        return names.get(node, node) if field in fields else node

    return walk(document)


def tagged(document):
    return [document["Endpoint"], document["Config"], *document["Models"], *document["Components"]]


def untagged(document):
    """The document without mldr's own marks."""
    for one in tagged(document):
        one["Tags"] = [tag for tag in one.get("Tags", []) if not tag["Key"].startswith("mldr:")]
    return document


def test_described_again_in_the_standby_it_differs_by_its_rewrites_alone(sides):
    here, there, serving = sides
    state = captured(here)
    plan = plan_serving(manifest("v1"), epoch=1, default_role="unused", state=state, others={"v2-abc": manifest("v2")})
    assert plan.warnings == ()
    serving.restore(plan)
    assert serving.finish(plan).status == "InService"

    found = there.observe(plan.name)
    assert [one.model_dump() for one in found.live] == [one.model_dump() for one in state.live]

    wanted = renamed(rewrite(state.document, state.carried), plan)
    live = {(one.shadow, one.variant): one for one in state.live}
    for place in ("ProductionVariants", "ShadowProductionVariants"):
        for one in wanted["Config"][place]:
            now = live[place != "ProductionVariants", one["VariantName"]]
            one.update(InitialVariantWeight=now.weight, InitialInstanceCount=now.instances)
    assert all(OWNER in one["Tags"] for one in tagged(found.document))
    assert untagged(found.document) == untagged(wanted)


def stepped(moto, region, endpoint, component, alarms):  # noqa: F811 -- the fixture itself
    """A policy that scales by steps, with its alarms; Application Auto Scaling tells which ones name it."""
    where = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"inference-component/{component}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }  # fmt: skip
    client, cloudwatch = moto.client("application-autoscaling", region), moto.client("cloudwatch", region)
    client.register_scalable_target(**where, MinCapacity=0, MaxCapacity=4)
    arn = client.put_scaling_policy(
        **where, PolicyName="from-zero", PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "Cooldown": 60},
    )["PolicyARN"]  # fmt: skip
    for name, action in alarms.items():
        cloudwatch.put_metric_alarm(
            AlarmName=name, AlarmDescription=f"in {region}", Namespace="AWS/SageMaker", Statistic="Maximum", Period=60,
            MetricName="NoCapacityInvocationFailures", EvaluationPeriods=1, Threshold=0.0,
            ComparisonOperator="GreaterThanThreshold", TreatMissingData="missing",
            Dimensions=[{"Name": "InferenceComponentName", "Value": component}],
            **{action: [arn, f"arn:aws:sns:{region}:{ACCOUNT}:people"]},
        )  # fmt: skip


def policies_of(observed):
    return [one for one in observed.document["ScalingPolicies"] if one["PolicyType"] == "StepScaling"]


def test_what_scales_by_steps_comes_back_with_the_alarms_that_trigger_it(sides, moto):  # noqa: F811 -- the fixture itself
    here, there, serving = sides
    stepped(moto, ACTIVE, "churn", "churn-ic", {f"no-copy-{ACTIVE}": "AlarmActions", "copies": "OKActions"})
    state = captured(here)
    plan = plan_serving(manifest("v1"), epoch=1, state=state, others={"v2-abc": manifest("v2")})
    assert plan.warnings == ()
    serving.restore(plan)
    for _ in range(2):
        assert serving.finish(plan).warnings == ()
    [policy] = policies_of(there.observe(plan.name))
    assert len(policy["Alarms"]) == 2
    [wanted] = [one for one in renamed(state.document, plan)["ScalingPolicies"] if one["PolicyName"] == "from-zero"]
    key = str  # the new names sort otherwise
    assert sorted(policy.pop("Alarms"), key=key) == sorted(wanted.pop("Alarms"), key=key)
    assert policy == wanted
    put = moto.client("cloudwatch", STANDBY).describe_alarms()["MetricAlarms"]
    assert all(one["AlarmName"].startswith(f"mldr-scaling-{plan.name}-") for one in put)
    [arn] = {arn for one in put for arn in (*one["AlarmActions"], *one["OKActions"])}
    assert arn.startswith(f"arn:aws:autoscaling:{STANDBY}:")
    assert sorted(len(one["OKActions"]) for one in put) == [0, 1], "each acts on what it acted on"
    assert ACTIVE not in str(put)


def test_steps_that_nothing_triggers_are_told(sides, moto):  # noqa: F811 -- the fixture itself
    here, *_ = sides
    stepped(moto, ACTIVE, "churn", "churn-ic", {})
    plan = plan_serving(manifest("v1"), epoch=1, state=captured(here), others={"v2-abc": manifest("v2")})
    [warning] = plan.warnings
    assert warning.startswith(
        "policy from-zero of inference-component/churn-ic scales by steps, and no CloudWatch alarm"
    )


def host(client):
    """An endpoint that only components answer, which goes down to no instance by itself."""
    client.create_model(ModelName="hosted", ExecutionRoleArn=ROLE, PrimaryContainer=container("v1"))
    scaling = {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3}
    hosts = {"VariantName": "hosts", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(
        EndpointConfigName="hosts",
        ProductionVariants=[{**hosts, "ManagedInstanceScaling": scaling}],
        ExecutionRoleArn=ROLE,
    )
    client.create_endpoint(EndpointName="hosts", EndpointConfigName="hosts")
    client.create_inference_component(
        InferenceComponentName="hosted",
        EndpointName="hosts",
        VariantName="hosts",
        Specification={"ModelName": "hosted", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 128}},
        RuntimeConfig={"CopyCount": 1},
    )
    client.update_inference_component_runtime_config(
        InferenceComponentName="hosted", DesiredRuntimeConfig={"CopyCount": 0}
    )


def test_an_endpoint_of_components_comes_back_from_zero_wherever_it_is_restored(sides, moto):  # noqa: F811 -- the fixture itself
    """SageMaker tells a weight of its variant and takes none; and not every region takes what it scaled down to."""
    here, there, serving = sides
    host(moto.client("sagemaker", ACTIVE))
    state = captured(here, "hosts")
    assert (state.live[0].weight, state.document["Components"][0]["RuntimeConfig"]["CopyCount"]) == (1.0, 0)
    plan = plan_serving(manifest("v1"), epoch=1, state=state)
    assert ["keeps one" in one for one in plan.warnings] == [True]
    serving.restore(plan)
    assert serving.finish(plan).status == "InService"
    [variant] = there.observe(plan.name).document["Config"]["ProductionVariants"]
    assert variant["ManagedInstanceScaling"]["MinInstanceCount"] == 1
    assert there.observe(plan.name).document["Components"][0]["RuntimeConfig"]["CopyCount"] == 1


def test_nothing_restored_names_the_active_region(sides):
    here, there, serving = sides
    plan = plan_serving(
        manifest("v1"), epoch=1, default_role="unused", state=captured(here), others={"v2-abc": manifest("v2")}
    )
    serving.restore(plan)
    serving.finish(plan)
    assert ACTIVE not in there.observe(plan.name).model_dump_json()
    assert "lake" not in there.observe(plan.name).model_dump_json()
