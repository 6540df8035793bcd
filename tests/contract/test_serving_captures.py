"""Every ServingCaptures keeps the newest state, whatever comes late; a ServingSource tells what serves, whole."""

import datetime as dt

import pytest
from botocore.exceptions import ClientError

from mldr.aws.serving_capture import VaultServingCaptures
from mldr.aws.serving_source import SageMakerServingSource
from mldr.aws.vault import S3Vault
from mldr.domain.identity import ModelKey
from mldr.domain.recovery_point import Retention
from mldr.domain.serving_state import Live, Observed, Refusal, ServingState, state_key
from mldr.errors import LostRace, MissingArtifact, NotAllowed
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY
from tests.fakes.serving_captures import FakeServingCaptures, FakeServingSource

NOW = dt.datetime.now(dt.UTC)
CHURN, FRAUD = (ModelKey(registry="sagemaker", name=name) for name in ("churn", "fraud"))


def state(minutes=0, model=CHURN, weight=1.0):
    at = NOW + dt.timedelta(minutes=minutes)
    return ServingState(
        model=model,
        endpoint="churn",
        region=ACTIVE,
        standby_region=STANDBY,
        captured_at=at,
        reason="test",
        epoch=0,
        retention=Retention(mode="GOVERNANCE", until=at + dt.timedelta(days=35)),
        document={"Models": []},
        live=(Live(variant="a", weight=weight, instances=1),),
        carried=(),
    )


def in_aws(moto):
    moto.bucket("vault", locked=True)
    vault = S3Vault(moto.client("s3"), bucket="vault", key_arn=moto.key())
    dynamodb = moto.client("dynamodb")
    keys = [("pk", "HASH"), ("sk", "RANGE")]
    dynamodb.create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
    )
    return VaultServingCaptures(vault, dynamodb, table="catalog")


@pytest.fixture(params=["memory", "moto"])
def captures(request):
    return FakeServingCaptures() if request.param == "memory" else in_aws(request.getfixturevalue("moto"))


def test_a_model_that_nobody_captured_has_no_state(captures):
    assert captures.newest(CHURN) is None
    assert captures.refusal(CHURN) is None


def test_what_was_captured_last_is_the_newest(captures):
    for minutes in (0, 5):
        captures.put(state(minutes))
    assert captures.newest(CHURN) == state(5)
    assert captures.newest(FRAUD) is None


def test_an_older_state_that_comes_later_is_not_the_newest(captures):
    captures.put(state(5))
    captures.put(state(0, weight=0.5))
    assert captures.newest(CHURN) == state(5)


def test_the_state_of_an_earlier_time_is_still_known(captures):
    for minutes in (0, 5, 10):
        captures.put(state(minutes))
    for minutes, then in ((-1, None), (0, 0), (7, 5), (10, 10), (99, 10)):
        found = captures.newest(CHURN, NOW + dt.timedelta(minutes=minutes))
        assert found == (None if then is None else state(then)), minutes


def test_putting_a_state_again_is_harmless(captures):
    captures.put(state())
    captures.put(state())
    assert captures.newest(CHURN) == state()


def test_every_model_has_states_of_its_own(captures):
    captures.put(state())
    captures.put(state(1, FRAUD))
    assert (captures.newest(CHURN), captures.newest(FRAUD)) == (state(), state(1, FRAUD))


def test_why_the_last_look_failed_is_known_until_one_does_not(captures):
    captures.refuse(CHURN, Refusal(reason="BadReference: no", at=NOW))
    assert captures.refusal(CHURN).reason == "BadReference: no"
    captures.refuse(CHURN, Refusal(reason="", at=NOW))
    assert captures.refusal(CHURN).reason == ""
    assert captures.newest(CHURN) is None


def test_a_state_is_locked_in_the_vault(moto):
    in_aws(moto).put(state())
    key = state_key(CHURN, NOW, state().digest)
    held = moto.client("s3").head_object(Bucket="vault", Key=key)
    assert key.startswith("serving-state/sagemaker/churn/")
    assert held["ObjectLockMode"] == "GOVERNANCE"
    assert held["ObjectLockRetainUntilDate"] >= (NOW + dt.timedelta(days=35)).replace(microsecond=0)


def test_a_delete_marker_hides_no_state(moto):
    captures = in_aws(moto)
    captures.put(state())
    moto.client("s3").delete_object(Bucket="vault", Key=state_key(CHURN, NOW, state().digest))
    assert captures.newest(CHURN) == state()


def test_a_row_that_a_newer_state_replaced_expires_and_the_newest_does_not(moto):
    captures = in_aws(moto)
    for minutes in (0, 5):
        captures.put(state(minutes))
    rows = moto.client("dynamodb").scan(TableName="catalog")["Items"]
    assert ["expires" in row for row in sorted(rows, key=lambda row: row["sk"]["S"])] == [True, False]


def test_a_crash_between_object_and_row_leaves_the_state_before(moto, monkeypatch):
    captures = in_aws(moto)
    captures.put(state())

    def die(**_):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(moto.client("dynamodb"), "put_item", die)
        with pytest.raises(KeyboardInterrupt):
            captures.put(state(5))
    assert captures.newest(CHURN) == state()
    captures.put(state(5))
    assert captures.newest(CHURN) == state(5)


def test_a_state_that_cannot_be_read_is_missing(moto, monkeypatch):
    captures = in_aws(moto)
    captures.put(state())
    monkeypatch.setattr(captures._vault, "read", lambda *_: None)
    with pytest.raises(MissingArtifact, match="serving state s3://vault/serving-state/"):
        captures.newest(CHURN)


# the source

ROLE = f"arn:aws:iam::{ACCOUNT}:role/serve"
CONTAINER = {
    "Image": f"{ACCOUNT}.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1",
    "ModelDataUrl": "s3://lake/churn/model.tar.gz",
    "Environment": {"LEVEL": "2"},
}
VARIANTS = [
    {"VariantName": name, "ModelName": "churn-a", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
     "InitialVariantWeight": weight}
    for name, weight in (("main", 9.0), ("canary", 1.0))
]  # fmt: skip


def on_sagemaker(moto):
    return SageMakerServingSource(
        lambda: moto.client("sagemaker", ACTIVE),
        lambda: moto.client("application-autoscaling", ACTIVE),
        lambda: moto.client("cloudwatch", ACTIVE),
    )


@pytest.fixture
def sagemaker(moto):
    return moto.client("sagemaker", ACTIVE)


def serve(sagemaker, variants=VARIANTS, **config):
    sagemaker.create_model(
        ModelName="churn-a",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=CONTAINER,
        EnableNetworkIsolation=True,
        Tags=[{"Key": "team", "Value": "risk"}],
    )
    sagemaker.create_endpoint_config(EndpointConfigName="churn-1", ProductionVariants=variants, **config)
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="churn-1", Tags=[{"Key": "cost", "Value": "7"}])


@pytest.mark.parametrize("kind", ["memory", "moto"])
def test_where_nothing_serves_it_is_missing(request, kind):
    source = FakeServingSource() if kind == "memory" else on_sagemaker(request.getfixturevalue("moto"))
    assert source.observe("churn") == Observed(endpoint="churn", status="Missing")


def test_an_endpoint_is_described_whole_with_what_it_has_now(moto, sagemaker):
    """Weights and counts that were changed after the creation stand in no configuration."""
    capture = {
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": "s3://captured/churn",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    serve(sagemaker, DataCaptureConfig=capture, KmsKeyId="alias/volumes", Tags=[{"Key": "made", "Value": "x"}])
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="churn",
        DesiredWeightsAndCapacities=[
            {"VariantName": "main", "DesiredWeight": 3.0},
            {"VariantName": "canary", "DesiredInstanceCount": 4},
        ],
    )
    found = on_sagemaker(moto).observe("churn")
    assert found.status == "InService"
    assert found.live == (
        Live(variant="main", weight=3.0, instances=1),
        Live(variant="canary", weight=1.0, instances=4),
    )
    assert found.document == {
        "Endpoint": {"EndpointName": "churn", "Tags": [{"Key": "cost", "Value": "7"}]},
        "Config": {
            "ProductionVariants": VARIANTS,
            "DataCaptureConfig": capture,
            "KmsKeyId": "alias/volumes",
            "Tags": [{"Key": "made", "Value": "x"}],
        },
        "Models": [
            {
                "ModelName": "churn-a",
                "ExecutionRoleArn": ROLE,
                "EnableNetworkIsolation": True,
                "Containers": [CONTAINER],
                "Tags": [{"Key": "team", "Value": "risk"}],
            }
        ],
        "Components": [],
        "ScalableTargets": [],
        "ScalingPolicies": [],
        "ScheduledActions": [],
    }


def test_shadow_variants_serverless_and_async_settings_are_described(moto, sagemaker):
    asynchronous = {"OutputConfig": {"S3OutputPath": "s3://answers/churn"}}
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    main = {"VariantName": "main", "ModelName": "churn-a", "ServerlessConfig": serverless}
    shadow = {**VARIANTS[0], "VariantName": "shadow", "InitialVariantWeight": 0.5}
    serve(sagemaker, [main], AsyncInferenceConfig=asynchronous, ShadowProductionVariants=[shadow])
    found = on_sagemaker(moto).observe("churn")
    assert found.document["Config"]["AsyncInferenceConfig"] == asynchronous
    assert found.document["Config"]["ShadowProductionVariants"] == [shadow]
    assert found.live == (
        Live(variant="main", weight=1.0, instances=None, serverless=serverless),
        Live(variant="shadow", weight=0.5, instances=1, shadow=True),
    )


def test_the_digest_that_runs_is_told(moto, sagemaker, push):
    digest = push("churn", "1")
    serve(sagemaker)
    found = on_sagemaker(moto).observe("churn")
    assert found.images == {CONTAINER["Image"]: CONTAINER["Image"].replace(":1", f"@{digest}")}


@pytest.fixture
def push(moto):
    from tests.contract.test_small_ports import Ecr

    def pushed(repository, tag):
        return Ecr(moto).push(ACTIVE, repository, tag)

    return pushed


DIMENSIONS = {
    "endpoint/churn/variant/main": "sagemaker:variant:DesiredInstanceCount",
    "endpoint/churn/variant/canary": "sagemaker:variant:DesiredProvisionedConcurrency",
    "inference-component/churn-ic": "sagemaker:inference-component:DesiredCopyCount",
}


def test_autoscaling_of_all_three_dimensions_and_inference_components_are_described(moto, sagemaker):
    serve(sagemaker)
    component = {
        "InferenceComponentName": "churn-ic",
        "EndpointName": "churn",
        "VariantName": "main",
        "Specification": {
            "Container": {"Image": CONTAINER["Image"], "ArtifactUrl": "s3://lake/churn/model.tar.gz"},
            "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 512},
        },
        "RuntimeConfig": {"CopyCount": 1},
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    sagemaker.create_inference_component(**component)
    sagemaker.update_inference_component_runtime_config(
        InferenceComponentName="churn-ic", DesiredRuntimeConfig={"CopyCount": 3}
    )
    client = moto.client("application-autoscaling", ACTIVE)
    for resource, dimension in DIMENSIONS.items():
        where = {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}
        client.register_scalable_target(**where, MinCapacity=1, MaxCapacity=4)
        client.put_scaling_policy(
            **where,
            PolicyName="p",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "Cooldown": 60},
        )
        client.put_scheduled_action(
            **where,
            ScheduledActionName="s",
            Schedule="rate(1 day)",
            StartTime=NOW,
            ScalableTargetAction={"MinCapacity": 2},
        )
    found = on_sagemaker(moto).observe("churn").document
    assert found["Components"] == [{**component, "RuntimeConfig": {"CopyCount": 3}}]
    for kind in ("ScalableTargets", "ScalingPolicies", "ScheduledActions"):
        assert {one["ResourceId"]: one["ScalableDimension"] for one in found[kind]} == DIMENSIONS, kind
    assert found["ScalingPolicies"][0]["StepScalingPolicyConfiguration"]["Cooldown"] == 60
    assert isinstance(found["ScheduledActions"][0]["StartTime"], str)


def compose(sagemaker, name="churn-ic", **more):
    """An inference component beside the variants."""
    container = {"Image": CONTAINER["Image"], "ArtifactUrl": "s3://lake/churn/model.tar.gz"}
    given = more or {"Specification": {"Container": container}}
    sagemaker.create_inference_component(
        InferenceComponentName=name, EndpointName="churn", VariantName="main", RuntimeConfig={"CopyCount": 1}, **given
    )


def test_a_component_runs_by_a_digest_like_a_variant(moto, sagemaker, push):
    image, digest = CONTAINER["Image"].replace(":1", ":2"), push("churn", "2")
    serve(sagemaker)
    compose(sagemaker, Specification={"Container": {"Image": image, "ArtifactUrl": "s3://lake/churn/model.tar.gz"}})
    found = on_sagemaker(moto).observe("churn")
    assert found.images == {image: image.replace(":2", f"@{digest}")}
    [made] = found.document["Components"]
    assert made["Specification"]["Container"]["Image"] == image


def test_a_component_made_for_several_instance_types_is_described_for_each(moto, sagemaker):
    serve(sagemaker)
    types = [
        {"InstanceType": "ml.g5.xlarge", "ModelName": "churn-a"},
        {
            "InstanceType": "ml.g6.xlarge",
            "Container": {"Image": CONTAINER["Image"], "ArtifactUrl": "s3://lake/x.tar.gz"},
        },
    ]
    compose(sagemaker, Specifications=types)
    document = on_sagemaker(moto).observe("churn").document
    [made] = document["Components"]
    assert ("Specification" in made, made["Specifications"]) == (False, types)


@pytest.mark.parametrize("status", ["Creating", "Updating"])
def test_a_component_that_is_being_changed_is_no_state(moto, sagemaker, status):
    serve(sagemaker)
    compose(sagemaker)
    backend_of(sagemaker)["churn-ic"]["InferenceComponentStatus"] = status
    assert on_sagemaker(moto).observe("churn").status == "Updating"


def test_a_component_that_failed_is_no_part_of_what_serves(moto, sagemaker):
    serve(sagemaker)
    compose(sagemaker)
    backend_of(sagemaker)["churn-ic"]["InferenceComponentStatus"] = "Failed"
    assert on_sagemaker(moto).observe("churn").document["Components"] == []


def backend_of(sagemaker):
    """The components that moto keeps of the active region."""
    from moto.sagemaker.models import sagemaker_backends

    from localcloud.moto_repairs.sagemaker_serving import components

    return components(sagemaker_backends[ACCOUNT][sagemaker.meta.region_name])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_component_that_goes_or_changes_while_it_is_described_is_described_again(
    moto, sagemaker, monkeypatch, moment
):
    serve(sagemaker)
    compose(sagemaker)
    describe = sagemaker.describe_inference_component

    def changing(**given):
        if moment == "before":
            sagemaker.delete_inference_component(**given)
        found = describe(**given)
        sagemaker.update_inference_component_runtime_config(**given, DesiredRuntimeConfig={"CopyCount": 2})
        return found

    monkeypatch.setattr(sagemaker, "describe_inference_component", changing)
    with pytest.raises(LostRace):
        on_sagemaker(moto).observe("churn")


def test_more_components_than_one_call_takes_are_asked_for_in_several(moto, sagemaker, monkeypatch):
    """DescribeScalableTargets takes 50 resources."""
    serve(sagemaker)
    for number in range(60):
        compose(sagemaker, f"ic-{number}")
    client = moto.client("application-autoscaling", ACTIVE)
    paginator, asked = client.get_paginator, []

    def counting(operation):
        found = paginator(operation)
        paginate = found.paginate
        if operation == "describe_scalable_targets":
            found.paginate = lambda **given: (asked.append(len(given["ResourceIds"])), paginate(**given))[1]
        return found

    monkeypatch.setattr(client, "get_paginator", counting)
    assert len(on_sagemaker(moto).observe("churn").document["Components"]) == 60
    assert (max(asked), sum(asked)) == (50, 62)


@pytest.mark.parametrize("status", ["Creating", "Updating", "Failed"])
def test_what_is_not_in_service_is_not_described_further(moto, sagemaker, monkeypatch, status):
    monkeypatch.setattr(sagemaker, "describe_endpoint", lambda **_: {"EndpointStatus": status})
    assert on_sagemaker(moto).observe("churn") == Observed(endpoint="churn", status=status)


def test_an_endpoint_that_changes_while_it_is_described_is_described_again(moto, sagemaker, monkeypatch):
    serve(sagemaker)
    describe = sagemaker.describe_endpoint

    def changing(**arguments):
        found = describe(**arguments)
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="churn", DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredWeight": 2.0}]
        )
        return found

    monkeypatch.setattr(sagemaker, "describe_endpoint", changing)
    with pytest.raises(LostRace, match="changed while it was described"):
        on_sagemaker(moto).observe("churn")


def test_a_forbidden_look_is_not_a_missing_endpoint(moto, sagemaker, monkeypatch):
    def forbid(**_):
        error = {"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        raise ClientError(error, "DescribeEndpoint")  # type: ignore[arg-type]

    monkeypatch.setattr(sagemaker, "describe_endpoint", forbid)
    with pytest.raises(NotAllowed):
        on_sagemaker(moto).observe("churn")


class Figures:
    """CloudWatch, as far as latencies are asked of it; `values` by metric and statistic, in microseconds."""

    def __init__(self, **values):
        self.values, self.asked = values, []

    def get_metric_data(self, **asked):
        self.asked.append(asked)
        given = [(query["Id"], self.values.get(query["Id"])) for query in asked["MetricDataQueries"]]
        return {"MetricDataResults": [{"Id": name, "Values": [value] if value else []} for name, value in given]}


def with_figures(moto, figures):
    clients = [lambda name=name: moto.client(name, ACTIVE) for name in ("sagemaker", "application-autoscaling")]
    return SageMakerServingSource(*clients, lambda: figures)


def two_variants(sagemaker):
    sagemaker.create_model(ModelName="churn-a", ExecutionRoleArn=ROLE, PrimaryContainer=CONTAINER)
    sagemaker.create_endpoint_config(EndpointConfigName="churn", ProductionVariants=VARIANTS)
    sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="churn")


def test_how_fast_clients_were_answered_is_model_and_overhead_of_the_busiest_variant(moto, sagemaker):
    two_variants(sagemaker)
    figures = Figures(
        modellatency_p50=20_000.0,
        modellatency_p95=45_000.0,
        overheadlatency_p50=5_000.0,
        overheadlatency_p95=6_000.0,
        modellatency_samplecount=1200.0,
    )
    found = with_figures(moto, figures).observe("churn").latency
    assert (found.p50, found.p95, found.requests, found.source) == (25.0, 51.0, 1200, "CloudWatch")
    [asked] = figures.asked
    metrics = [query["MetricStat"]["Metric"] for query in asked["MetricDataQueries"]]
    assert {one["Namespace"] for one in metrics} == {"AWS/SageMaker"}
    assert {"Name": "VariantName", "Value": "main"} in metrics[0]["Dimensions"]


def test_an_endpoint_that_nobody_asked_has_no_latency(moto, sagemaker):
    two_variants(sagemaker)
    assert with_figures(moto, Figures()).observe("churn").latency is None
