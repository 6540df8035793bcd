"""How the active region serves comes back after a failover: what was changed since, not what was once configured."""

import json

from tests.e2e.cloud import ACTIVE, STANDBY, TEAM_ROLE, key, wait_for
from tests.e2e.owner import BUCKET, IMAGE, QUESTIONS, answer, question
from tests.e2e.standby import captured

NAME = "balance"
LIVE = {"main": (3.0, 2), "canary": (1.0, 1)}
SCALED = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"endpoint/{NAME}/variant/main",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
}
BUSY = {
    "Namespace": "AWS/SageMaker", "MetricName": "ConcurrentRequestsPerModel", "Statistic": "Maximum", "Period": 60,
    "EvaluationPeriods": 1, "Threshold": 10.0, "ComparisonOperator": "GreaterThanThreshold",
    "Dimensions": [{"Name": "EndpointName", "Value": NAME}, {"Name": "VariantName", "Value": "main"}],
}  # fmt: skip
TRACKED = {
    "TargetValue": 70.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}


def serve(cloud):
    """Two versions side by side; then their weights and counts are changed, and one of them scales."""
    sagemaker = cloud.aws("sagemaker", ACTIVE)
    for name, number in (("main", 2), ("canary", 1)):
        container = {"Image": IMAGE, "ModelDataUrl": data(number)["ModelDataUrl"], "Environment": {"LEVEL": name}}
        sagemaker.create_model(ModelName=f"{NAME}-{name}", ExecutionRoleArn=TEAM_ROLE, PrimaryContainer=container)
    variants = [
        {"VariantName": name, "ModelName": f"{NAME}-{name}", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        for name in LIVE
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    wait_for(f"endpoint {NAME}", lambda: described(cloud, ACTIVE, NAME)["EndpointStatus"] == "InService", 60)
    scaling = cloud.aws("application-autoscaling", ACTIVE)
    scaling.register_scalable_target(**SCALED, MinCapacity=1, MaxCapacity=4)
    scaling.put_scaling_policy(
        **SCALED, PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=TRACKED
    )
    steps = scaling.put_scaling_policy(
        **SCALED, PolicyName="q", PolicyType="StepScaling", StepScalingPolicyConfiguration=STEPS
    )
    cloud.aws("cloudwatch", ACTIVE).put_metric_alarm(AlarmName="busy", AlarmActions=[steps["PolicyARN"]], **BUSY)
    scaling.put_scheduled_action(
        **SCALED, ScheduledActionName="s", Schedule="cron(0 6 * * ? *)", ScalableTargetAction={"MinCapacity": 2}
    )
    wanted = [
        {"VariantName": name, "DesiredWeight": weight, "DesiredInstanceCount": count}
        for name, (weight, count) in LIVE.items()
    ]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=NAME, DesiredWeightsAndCapacities=wanted)


def data(number):
    return {"ModelDataUrl": f"s3://{BUCKET}/{NAME}-{number}/model.tar.gz"}


def described(cloud, region, endpoint):
    return cloud.aws("sagemaker", region).describe_endpoint(EndpointName=endpoint)


def live(cloud, region, endpoint):
    variants = described(cloud, region, endpoint)["ProductionVariants"]
    return {one["VariantName"]: (one["CurrentWeight"], one["CurrentInstanceCount"]) for one in variants}


def roles(cloud, region, endpoint):
    """What the models behind an endpoint run as."""
    sagemaker = cloud.aws("sagemaker", region)
    config = described(cloud, region, endpoint)["EndpointConfigName"]
    variants = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    return {sagemaker.describe_model(ModelName=one["ModelName"])["ExecutionRoleArn"] for one in variants}


def test_weights_and_counts_that_were_changed_since_come_back(cloud, owner, events):
    for number in (1, 2):
        owner.upload(f"{NAME}-{number}")
        owner.promote(NAME, data=data(number))
        events.wait("Recovery Point Sealed", NAME, count=number, seconds=90)
    serve(cloud)

    def is_captured():
        state = captured(cloud, NAME)
        return state and {one.variant: (one.weight, one.instances) for one in state.live} == LIVE

    wait_for("the live weights are captured", is_captured, 60, lambda: cloud.story(NAME))
    cloud.tell("Failover Requested", {"model": f"sagemaker/{NAME}", "reason": "exercise"})
    (told, *_) = events.wait("Failover Completed", NAME, seconds=90)
    assert told["outcome"] == "completed", told["reason"]

    endpoint = cloud.catalog.takeover(key(NAME)).endpoint
    assert live(cloud, STANDBY, endpoint) == LIVE
    assert roles(cloud, STANDBY, endpoint) == {TEAM_ROLE}, "each runs as it does at home, and can read the vault"
    runtime = cloud.aws("sagemaker-runtime", STANDBY)
    for variant in LIVE:
        asked = runtime.invoke_endpoint(
            EndpointName=endpoint, TargetVariant=variant, Body=question(QUESTIONS[0]), ContentType="application/json"
        )
        assert json.loads(asked["Body"].read()) == answer(QUESTIONS[0])
    scaling = cloud.aws("application-autoscaling", STANDBY)
    moved = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{endpoint}/variant/main"}
    [target] = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[moved["ResourceId"]])[
        "ScalableTargets"
    ]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    policies = {one["PolicyName"]: one for one in scaling.describe_scaling_policies(**moved)["ScalingPolicies"]}
    assert policies.keys() == {"p", "q"}
    [alarm] = policies["q"]["Alarms"]
    assert alarm["AlarmName"].startswith(f"mldr-scaling-{endpoint}-")
    [busy] = cloud.aws("cloudwatch", STANDBY).describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]
    assert {one["Name"]: one["Value"] for one in busy["Dimensions"]} == {
        "EndpointName": endpoint,
        "VariantName": "main",
    }
    assert len(scaling.describe_scheduled_actions(**moved)["ScheduledActions"]) == 1
