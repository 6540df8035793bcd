"""Models that inference components serve: asked by name at home, captured, proven, and asked in the standby."""

from tests.e2e.cloud import ACTIVE, STANDBY, key, wait_for
from tests.e2e.owner import BUCKET, IMAGE, QUESTIONS, answer, question
from tests.e2e.standby import captured

NAMED, ZERO = "mosaic", "nightly"
MANAGED = {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}


def serve(cloud, name, *components, **variant):
    """An endpoint of components, which is asked by none of its variants."""
    sagemaker = cloud.aws("sagemaker", ACTIVE)
    hosts = {"VariantName": "hosts", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, **variant}
    role = "arn:aws:iam::123456789012:role/e2e-serving"
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[hosts], ExecutionRoleArn=role)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait_for(f"endpoint {name}", lambda: status(cloud, ACTIVE, name) == "InService", 60, cloud.story)
    for component, data in components:
        sagemaker.create_inference_component(
            InferenceComponentName=component,
            EndpointName=name,
            VariantName="hosts",
            Specification={
                "Container": {"Image": IMAGE, "ArtifactUrl": f"s3://{BUCKET}/{data}/model.tar.gz"},
                "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 128},
            },
            RuntimeConfig={"CopyCount": 1},
        )
    wait_for(f"components of {name}", lambda: set(held(cloud, ACTIVE, name).values()) == {"InService"}, 60, cloud.story)


def status(cloud, region, endpoint):
    return cloud.aws("sagemaker", region).describe_endpoint(EndpointName=endpoint)["EndpointStatus"]


def held(cloud, region, endpoint):
    """The components of an endpoint, and how they stand."""
    listed = cloud.aws("sagemaker", region).list_inference_components(EndpointNameEquals=endpoint)
    return {one["InferenceComponentName"]: one["InferenceComponentStatus"] for one in listed["InferenceComponents"]}


def standing(cloud, name):
    listed = cloud.aws("sagemaker", STANDBY).list_endpoints()["Endpoints"]
    return [one["EndpointName"] for one in listed if one["EndpointName"].startswith(f"{name}-")]


def published(cloud, owner, events, name):
    owner.upload(name)
    owner.record_golden(name)
    owner.promote(name)
    events.wait("Recovery Point Sealed", name, seconds=90)


def taken_over(cloud, events, name):
    """The switch after a failover that a person asked for."""
    cloud.tell("Failover Requested", {"model": f"sagemaker/{name}", "reason": "exercise"})
    (told, *_) = events.wait("Failover Completed", name, seconds=120)
    assert told["outcome"] == "completed", told["reason"]
    return cloud.catalog.takeover(key(name))


def answered_from(cloud, name, region):
    """Whether a client gets the right answer there."""
    return cloud.ask(name, question(QUESTIONS[0])) == (200, answer(QUESTIONS[0]), region)


def test_one_of_several_components_is_the_model_wherever_it_is_asked(cloud, owner, events):
    published(cloud, owner, events, NAMED)
    owner.upload("stranger")
    serve(cloud, NAMED, (f"{NAMED}-ic", NAMED), ("stranger-ic", "stranger"))
    wait_for("the home answers", lambda: answered_from(cloud, NAMED, ACTIVE), 60, lambda: cloud.story(NAMED))
    cloud.tell("Serving Capture Requested", {"model": f"sagemaker/{NAMED}", "reason": "test"})
    wait_for("it is captured", lambda: captured_as(cloud, NAMED) == f"{NAMED}-ic", 60, lambda: cloud.story(NAMED))

    switch = taken_over(cloud, events, NAMED)
    assert switch.component == f"{switch.endpoint}-c0"
    assert held(cloud, STANDBY, switch.endpoint) == {switch.component: "InService"}, "no other model comes with it"
    wait_for("clients follow", lambda: answered_from(cloud, NAMED, STANDBY), 60, lambda: cloud.story(NAMED))


def captured_as(cloud, name):
    """Which component answers, as the newest captured state says."""
    state = captured(cloud, name)
    return state.component if state else None


def test_what_stands_without_a_copy_gets_its_component_in_the_failover(cloud, owner, events):
    published(cloud, owner, events, ZERO)
    serve(cloud, ZERO, (f"{ZERO}-ic", ZERO), ManagedInstanceScaling=MANAGED)
    wait_for("the only one is found", lambda: answered_from(cloud, ZERO, ACTIVE), 60, lambda: cloud.story(ZERO))
    cloud.tell("Serving Capture Requested", {"model": f"sagemaker/{ZERO}", "reason": "test"})
    wait_for("it is captured", lambda: captured_as(cloud, ZERO) == f"{ZERO}-ic", 60, lambda: cloud.story(ZERO))

    def from_zero():
        found = standing(cloud, ZERO)
        return found[0] if len(found) == 1 and zero(cloud, found[0]) else None

    cloud.tell("Tiers Due", {"model": f"sagemaker/{ZERO}"})
    endpoint = wait_for("it stands", from_zero, 120, lambda: cloud.story(ZERO))
    assert held(cloud, STANDBY, endpoint) == {}
    switch = taken_over(cloud, events, ZERO)
    assert (switch.endpoint, held(cloud, STANDBY, endpoint)) == (endpoint, {f"{endpoint}-c0": "InService"})
    wait_for("clients follow", lambda: answered_from(cloud, ZERO, STANDBY), 60, lambda: cloud.story(ZERO))


def zero(cloud, endpoint):
    """Whether an endpoint is in service and may go down to no instance at all."""
    sagemaker = cloud.aws("sagemaker", STANDBY)
    [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=endpoint)["ProductionVariants"]
    managed = variant.get("ManagedInstanceScaling", {})
    return status(cloud, STANDBY, endpoint) == "InService" and managed.get("MinInstanceCount") == 0
