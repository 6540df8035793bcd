"""SageMaker endpoints run the model's own code in a container process of their region."""

import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import joblib
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.models import botocore_stubber
from moto.moto_api._internal.models import moto_api_backend
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from localcloud.edge import endpoints
from localcloud.edge.endpoints import Endpoints
from localcloud.moto_repairs.sagemaker_endpoints import SageMakerEndpointRepairs
from localcloud.moto_repairs.sagemaker_serving import SageMakerServingRepairs
from localcloud.outage import Outage
from localcloud.server import Server, moto_application
from mldr.aws.clock import SystemClock
from mldr.aws.late_answers import SageMakerLateAnswers
from mldr.aws.serving import SageMakerServing
from mldr.domain.endpoint_status import answers
from mldr.domain.identity import ModelKey
from mldr.domain.late_answers import Sent
from mldr.errors import EndpointFailed, RequestRefused
from mldr.steps.deep_health import DeepHealth
from tests.fakes.world import FakeWorld

ROOT = Path(__file__).parents[3]
HERE, THERE = "ap-southeast-1", "ap-southeast-3"
ROLE = "arn:aws:iam::123456789012:role/any"
MODEL, MODEL_THERE = f"s3://models-{HERE}/model.tar.gz", f"s3://models-{THERE}/model.tar.gz"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
ECHO = """
    import os

    def model_fn(model_dir):
        return open(os.path.join(model_dir, "word.txt")).read()

    def input_fn(body, content_type):
        if "explode" in body:
            raise ValueError("the model cannot read this")
        return body

    def predict_fn(data, model):
        return f"{model}:{data}"

    def output_fn(prediction, accept):
        return prediction, "text/plain"
"""
IRIS = """
    import joblib, os

    def model_fn(model_dir):
        return joblib.load(os.path.join(model_dir, "model.joblib"))
"""


def image(region: str) -> str:
    """The scikit-learn image as ECR names it in the region."""
    return f"121021644041.dkr.ecr.{region}.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"


def packed(script: str = ECHO, **files: bytes) -> bytes:
    """A model.tar.gz."""
    out = io.BytesIO()
    contents = {"code/inference.py": textwrap.dedent(script).encode(), "word.txt": b"hello"} | files
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


class Cloud:
    """moto behind HTTP with living endpoints."""

    def __init__(self, state: Path) -> None:
        self.outage, self.events = Outage(), list[dict[str, Any]]()
        self.clients: dict[tuple[str, str], Any] = {}
        self.server = Server(moto_application(), 0)
        environment = CREDENTIALS | {"AWS_ENDPOINT_URL": self.server.url}
        self.endpoints = Endpoints(
            self.outage, lambda _region, event: self.events.append(event), lambda _r, _n: environment, state, 20.0, 1.0
        )
        self.repairs = SageMakerEndpointRepairs(self.endpoints)
        self.hosting = SageMakerServingRepairs(self.endpoints.reweigh, self.endpoints.compose)
        for part in (self.server, self.endpoints, self.hosting, self.repairs):
            part.start()
        self.client("sagemaker"), self.client("sagemaker-runtime")
        for region in (HERE, THERE):
            where = {"LocationConstraint": region}
            self.client("s3", region).create_bucket(Bucket=f"models-{region}", CreateBucketConfiguration=where)

    def stock(self) -> None:
        """The artifacts that the tests share, good and bad."""
        scriptless = io.BytesIO()
        with tarfile.open(fileobj=scriptless, mode="w:gz"):
            pass
        self.put(packed())
        self.put(packed(), region=THERE)
        self.put(b"no archive", "garbage")
        self.put(packed("raise RuntimeError('boom')"), "broken.tar.gz")
        self.put(packed(ECHO, **{"../outside.txt": b"x"}), "outside.tar.gz")
        self.put(scriptless.getvalue(), "scriptless.tar.gz")

    def stop(self) -> None:
        """Stop every part."""
        for part in (self.repairs, self.hosting, self.endpoints, self.server):
            part.stop()

    def client(self, service: str, region: str = HERE) -> Any:
        """A client that does not retry."""
        if (service, region) not in self.clients:
            self.clients[service, region] = boto3.client(
                service,
                region,
                endpoint_url=self.server.url,
                aws_access_key_id="test",
                aws_secret_access_key="test",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self.clients[service, region]

    def put(self, body: bytes, key: str = "model.tar.gz", region: str = HERE) -> str:
        """Upload an artifact."""
        self.client("s3", region).put_object(Bucket=f"models-{region}", Key=key, Body=body)
        return f"s3://models-{region}/{key}"

    def endpoint(self, name: str, region: str = HERE, **container: Any) -> None:
        """Model, configuration and endpoint of one name."""
        sagemaker = self.client("sagemaker", region)
        described = {"Image": image(region)} | container
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=described)
        self.config(name, name, region)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def config(self, name: str, model: str, region: str = HERE) -> None:
        """A configuration of one variant."""
        variant = {"VariantName": "main", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self.client("sagemaker", region).create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])

    def settled(self, name: str, region: str = HERE) -> dict[str, Any]:
        """The endpoint's description once it is in service or has failed."""
        sagemaker = self.client("sagemaker", region)
        end = time.monotonic() + 20
        while (described := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] in (
            "Creating",
            "Updating",
        ):
            assert time.monotonic() < end, "the endpoint never settled"
            time.sleep(0.02)
        return dict(described)

    def ask(self, name: str, body: str | bytes, region: str = HERE, **options: Any) -> dict[str, Any]:
        """Invoke the endpoint."""
        runtime = self.client("sagemaker-runtime", region)
        answer = runtime.invoke_endpoint(EndpointName=name, Body=body, **options)
        return dict(answer) | {"Body": answer["Body"].read()}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One cloud for all tests; each takes names of its own."""
    moto_api_backend.reset()
    botocore_stubber.enabled = False
    made = Cloud(tmp_path_factory.mktemp("state"))
    made.stock()
    yield made
    made.stop()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What the condition returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Does the process run? One that only waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_real_classifier_answers_from_its_own_regions_bucket(cloud: Cloud) -> None:
    data = load_iris()
    model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    stored = io.BytesIO()
    joblib.dump(model, stored)
    url = cloud.put(packed(IRIS, **{"model.joblib": stored.getvalue()}), "iris.tar.gz")
    cloud.endpoint("iris", ModelDataUrl=url)
    described = cloud.settled("iris")
    assert described["EndpointStatus"] == "InService"
    rows = data.data[::10].tolist()
    answer = cloud.ask("iris", json.dumps(rows), ContentType="application/json", Accept="application/json")
    assert json.loads(answer["Body"]) == model.predict(rows).tolist()
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "main")
    csv = "\n".join(",".join(map(str, row)) for row in rows)
    answer = cloud.ask("iris", csv, ContentType="text/csv", Accept="text/csv")
    assert [int(line) for line in answer["Body"].split()] == model.predict(rows).tolist()


def test_an_endpoint_is_creating_first_and_announces_its_states(cloud: Cloud) -> None:
    cloud.endpoint("announced", ModelDataUrl=MODEL)
    status = cloud.client("sagemaker").describe_endpoint(EndpointName="announced")["EndpointStatus"]
    assert status == "Creating"
    with pytest.raises(ClientError, match=r"ValidationError.*not found"):
        cloud.ask("announced", "x")
    cloud.settled("announced")

    def told() -> list[str]:
        details = [event["detail"] for event in cloud.events if event["detail"]["EndpointName"] == "announced"]
        return [detail["EndpointStatus"] for detail in details]

    until(lambda: told() == ["CREATING", "IN_SERVICE"])
    event = next(event for event in reversed(cloud.events) if event["detail"]["EndpointName"] == "announced")
    assert (event["source"], event["detail-type"]) == ("aws.sagemaker", "SageMaker Endpoint State Change")
    assert event["detail"]["EndpointConfigName"] == "announced"
    assert event["detail"]["ProductionVariants"][0]["CurrentWeight"] == 1.0
    assert event["region"] == HERE


def test_the_script_decides_content_types_and_its_errors_are_model_errors(cloud: Cloud) -> None:
    cloud.endpoint("script", ModelDataUrl=MODEL)
    cloud.settled("script")
    assert cloud.ask("script", "there", ContentType="text/csv")["Body"] == b"hello:there"
    with pytest.raises(ClientError) as failed:
        cloud.ask("script", "explode", ContentType="text/csv")
    response: dict[str, Any] = dict(failed.value.response)
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 500
    assert "the model cannot read this" in response["OriginalMessage"]


def test_a_content_type_without_a_decoder_is_a_client_error(cloud: Cloud) -> None:
    script = "def model_fn(model_dir):\n    return None\n"
    cloud.endpoint("plain", ModelDataUrl=cloud.put(packed(script), "plain.tar.gz"))
    cloud.settled("plain")
    with pytest.raises(ClientError, match=r"client error \(415\)"):
        cloud.ask("plain", b"\xff\x00", ContentType="image/png")


def test_a_prefix_serves_as_well_as_an_archive(cloud: Cloud) -> None:
    cloud.put(textwrap.dedent(ECHO).encode(), "loose/code/inference.py")
    cloud.put(b"loose", "loose/word.txt")
    source = {"S3Uri": f"s3://models-{HERE}/loose/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    cloud.endpoint("loose", ModelDataSource={"S3DataSource": source})
    assert cloud.settled("loose")["EndpointStatus"] == "InService"
    assert cloud.ask("loose", "x", ContentType="text/csv")["Body"] == b"loose:x"


@pytest.mark.parametrize(
    ("name", "container", "reason"),
    [
        ("missing", {"ModelDataUrl": f"s3://models-{HERE}/nothing.tar.gz"}, "Failed to download model data"),
        ("elsewhere", {"ModelDataUrl": f"s3://models-{THERE}/model.tar.gz"}, "the bucket is in ap-southeast-3"),
        ("image", {"ModelDataUrl": f"s3://models-{HERE}/model.tar.gz", "Image": image(THERE)}, "must be in the region"),
        ("bucket", {"ModelDataUrl": "s3://no-such-bucket/model.tar.gz"}, "the bucket does not exist"),
        ("garbage", {"ModelDataUrl": f"s3://models-{HERE}/garbage"}, "is a valid tar.gz archive"),
        ("broken", {"ModelDataUrl": f"s3://models-{HERE}/broken.tar.gz"}, "did not pass the ping health check"),
        ("outside", {"ModelDataUrl": f"s3://models-{HERE}/outside.tar.gz"}, "lies outside the model"),
        ("scriptless", {"ModelDataUrl": f"s3://models-{HERE}/scriptless.tar.gz"}, "no code/inference.py"),
    ],
)
def test_what_cannot_be_served_fails_with_its_reason(
    cloud: Cloud, name: str, container: dict[str, str], reason: str
) -> None:
    cloud.endpoint(name, **container)
    described = cloud.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]
    with pytest.raises(ClientError, match="not found"):
        cloud.ask(name, "x")


def test_an_unknown_endpoint_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="Endpoint nobody of account 123456789012 not found"):
        cloud.ask("nobody", "x")


def test_what_exists_is_not_created_again(cloud: Cloud) -> None:
    cloud.endpoint("once", ModelDataUrl=MODEL)
    sagemaker = cloud.client("sagemaker")
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        cloud.endpoint("once", ModelDataUrl=MODEL)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        cloud.config("once", "once")
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(EndpointName="once", EndpointConfigName="once")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName="once")
    cloud.settled("once")


def test_a_deleted_endpoint_stops(cloud: Cloud) -> None:
    before = set(cloud.endpoints.pids(HERE))
    cloud.endpoint("gone", ModelDataUrl=MODEL)
    cloud.settled("gone")
    (pid,) = set(cloud.endpoints.pids(HERE)) - before
    cloud.client("sagemaker").delete_endpoint(EndpointName="gone")
    assert not alive(pid)
    with pytest.raises(ClientError, match="not found"):
        cloud.ask("gone", "x")


def test_an_update_takes_over_when_it_is_well_and_not_before(cloud: Cloud) -> None:
    cloud.endpoint("changing", ModelDataUrl=MODEL)
    cloud.settled("changing")
    sagemaker = cloud.client("sagemaker")
    better = cloud.put(packed(**{"word.txt": b"better"}), "better.tar.gz")
    for name, url in (("better", better), ("worse", f"s3://models-{HERE}/garbage")):
        container = {"Image": image(HERE), "ModelDataUrl": url}
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        cloud.config(name, name)
    for name in ("worse", "better"):
        sagemaker.update_endpoint(EndpointName="changing", EndpointConfigName=name)
        assert cloud.ask("changing", "x", ContentType="text/csv")["Body"] == b"hello:x"
        described = cloud.settled("changing")
        assert described["EndpointStatus"] == "InService"
        assert described["EndpointConfigName"] == ("better" if name == "better" else "changing")
    assert cloud.ask("changing", "x", ContentType="text/csv")["Body"] == b"better:x"


def served(cloud: Cloud, name: str, variants: list[dict[str, Any]], **config: Any) -> dict[str, Any]:
    """An endpoint of two models that say different words; its description once it has settled."""
    sagemaker = cloud.client("sagemaker")
    for word in ("one", "two"):
        url = cloud.put(packed(**{"word.txt": word.encode()}), f"{name}-{word}.tar.gz")
        container = {"Image": image(HERE), "ModelDataUrl": url}
        sagemaker.create_model(ModelName=f"{name}-{word}", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **config)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return cloud.settled(name)


def of_model(name: str, word: str, **more: Any) -> dict[str, Any]:
    """A variant named like its model's word."""
    hosts = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return {"VariantName": word, "ModelName": f"{name}-{word}", **hosts, **more}


def test_several_variants_answer_by_their_live_weights(cloud: Cloud) -> None:
    variants = [
        of_model("shared", "one", InitialVariantWeight=1.0),
        of_model("shared", "two", InitialVariantWeight=0.0),
    ]
    assert served(cloud, "shared", variants)["EndpointStatus"] == "InService"
    answers = {cloud.ask("shared", "x", ContentType="text/csv")["Body"] for _ in range(20)}
    assert answers == {b"one:x"}
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="shared",
        DesiredWeightsAndCapacities=[
            {"VariantName": "one", "DesiredWeight": 0.0},
            {"VariantName": "two", "DesiredWeight": 5.0, "DesiredInstanceCount": 3},
        ],
    )
    live = {one["VariantName"]: one for one in cloud.settled("shared")["ProductionVariants"]}
    assert (live["one"]["CurrentWeight"], live["one"]["CurrentInstanceCount"]) == (0.0, 1)
    assert (live["two"]["CurrentWeight"], live["two"]["CurrentInstanceCount"]) == (5.0, 3)
    answers = {cloud.ask("shared", "x", ContentType="text/csv")["Body"] for _ in range(20)}
    assert answers == {b"two:x"}
    assert cloud.ask("shared", "x", ContentType="text/csv", TargetVariant="one")["Body"] == b"one:x"

    def told() -> list[str]:
        details = [event["detail"] for event in cloud.events if event["detail"]["EndpointName"] == "shared"]
        return [detail["EndpointStatus"] for detail in details]

    until(lambda: told() == ["CREATING", "IN_SERVICE", "UPDATING", "IN_SERVICE"])


def scaled(cloud: Cloud, name: str, count: int) -> None:
    """Ask for so many instances."""
    wanted: list[Any] = [{"VariantName": "main", "DesiredInstanceCount": count}]
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=wanted
    )


def answered(cloud: Cloud, name: str, region: str) -> str:
    """The answer, nothing while its containers start anew."""
    try:
        return str(cloud.ask(name, "x", region, ContentType="text/csv")["Body"])
    except ClientError:
        return ""


def serving(cloud: Cloud) -> SageMakerServing:
    """mldr's own eyes."""
    return SageMakerServing(
        lambda: cloud.client("sagemaker"),
        lambda: cloud.client("sagemaker-runtime"),
        *[lambda: cloud.client("sagemaker")] * 2,
    )


def test_an_endpoint_that_is_scaled_is_updating_and_answers_with_the_same_containers(cloud: Cloud) -> None:
    cloud.endpoint("scaled", ModelDataUrl=MODEL)
    cloud.settled("scaled")
    before = cloud.endpoints.pids(HERE)
    scaled(cloud, "scaled", 4)
    status, _ = serving(cloud).status("scaled")
    assert (status, answers(status)) == ("Updating", True)
    assert serving(cloud).invoke("scaled", b"x", "text/csv")[0] == b"hello:x"
    with pytest.raises(EndpointFailed, match="in-progress"):
        serving(cloud).scale("scaled", {"main": 5})
    assert cloud.settled("scaled")["ProductionVariants"][0]["CurrentInstanceCount"] == 4
    assert cloud.endpoints.pids(HERE) == before


def test_an_endpoint_that_is_scaled_stays_well(cloud: Cloud, world: FakeWorld) -> None:
    """Autoscaling must not look like an outage to anybody who asks `/health`."""
    cloud.endpoint("deep", ModelDataUrl=MODEL)
    cloud.settled("deep")
    world.buckets.put("lake", "churn/golden.jsonl", b'{"request": "x", "answer": "x", "content_type": "text/csv"}')
    deep = DeepHealth(
        catalog=world.catalog,
        vault=world.vault,
        policies=world.policies,
        serving=serving(cloud),
        prompt=serving(cloud),
        proofs=world.proofs,
        goldens=world.goldens,
        clock=world.clock,
    )
    scaled(cloud, "deep", 2)
    found = deep.look(ModelKey(registry="sagemaker", name="churn"), "deep")
    assert (found.healthy, found.body["status"]) == (True, "Updating")
    assert "hello:" in found.body["golden"]["reason"], "the container itself answered"
    cloud.settled("deep")


def test_a_region_that_fails_while_an_endpoint_is_scaled_keeps_the_counts(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its containers are back before the new counts are in force."""
    monkeypatch.setattr(cloud.endpoints, "_resize_seconds", 8.0)
    cloud.endpoint("lost", THERE, ModelDataUrl=MODEL_THERE)
    cloud.settled("lost", THERE)
    cloud.client("sagemaker", THERE).update_endpoint_weights_and_capacities(
        EndpointName="lost", DesiredWeightsAndCapacities=[{"VariantName": "main", "DesiredInstanceCount": 4}]
    )
    cloud.outage.fail(THERE)
    cloud.outage.heal(THERE)
    until(lambda: "x" in answered(cloud, "lost", THERE))
    described = cloud.settled("lost", THERE)
    assert (described["EndpointStatus"], described["ProductionVariants"][0]["CurrentInstanceCount"]) == ("InService", 4)
    cloud.client("sagemaker", THERE).delete_endpoint(EndpointName="lost")


def test_what_the_local_cloud_refuses_means_what_it_means_on_aws(cloud: Cloud) -> None:
    """The same answers as tests/contract/test_serving.py expects of the adapter."""
    cloud.endpoint("strict", ModelDataUrl=MODEL)
    script = "def model_fn(model_dir):\n    return None\n"
    cloud.endpoint("narrow", ModelDataUrl=cloud.put(packed(script), "narrow.tar.gz"))
    for name in ("strict", "narrow"):
        cloud.settled(name)
    with pytest.raises(EndpointFailed, match="server error"):
        serving(cloud).invoke("strict", b"explode", "text/csv")
    with pytest.raises(RequestRefused, match=r"client error \(415\)") as told:
        serving(cloud).invoke("narrow", b"\xff", "image/png")
    assert (told.value.status, "image/png" in told.value.said, "account" in told.value.said) == (415, True, False)
    with pytest.raises(RequestRefused, match="not found") as told:
        serving(cloud).invoke("nobody", b"x", "text/csv")
    assert (told.value.status, told.value.said) == (0, "")


HOSTS = {"VariantName": "one", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("shadowed", {"ShadowProductionVariants": [of_model("shadowed", "two")]}, "shadow variants"),
    ],
)
def test_what_does_not_run_here_is_refused_by_name(
    cloud: Cloud, name: str, config: dict[str, Any], reason: str
) -> None:
    described = served(cloud, name, [of_model(name, "one")], **config)
    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]


def late(cloud: Cloud) -> SageMakerLateAnswers:
    """What proves an asynchronous endpoint, its questions in the bucket of the models."""
    clients = (lambda service=one: cloud.client(service) for one in ("sagemaker", "sagemaker-runtime", "s3"))
    return SageMakerLateAnswers(*clients, SystemClock(), bucket=f"models-{HERE}")


def later(cloud: Cloud, sent: Sent) -> bytes:
    return bytes(until(lambda: late(cloud).answer(sent)))


def test_an_asynchronous_endpoint_answers_into_its_bucket_and_in_no_other_way(cloud: Cloud) -> None:
    places = {"S3OutputPath": f"s3://models-{HERE}/answers", "S3FailurePath": f"s3://models-{HERE}/failures/"}
    served(cloud, "delayed", [of_model("delayed", "one")], AsyncInferenceConfig={"OutputConfig": places})
    asked = late(cloud)
    assert (asked.asynchronous("delayed"), asked.asynchronous("nobody")) == (True, False)
    sent = asked.ask("delayed", b"x", "text/csv")
    assert sent.output.startswith(f"s3://models-{HERE}/answers/")
    assert later(cloud, sent) == b"one:x"
    with pytest.raises(EndpointFailed, match=r"failures/.* says: .*cannot read this"):
        later(cloud, asked.ask("delayed", b"explode", "text/csv"))
    with pytest.raises(RequestRefused, match="asynchronous"):
        serving(cloud).invoke("delayed", b"x", "text/csv")


def test_an_endpoint_that_waits_takes_no_request_for_later(cloud: Cloud) -> None:
    cloud.endpoint("prompt", ModelDataUrl=MODEL)
    cloud.settled("prompt")
    assert not late(cloud).asynchronous("prompt")
    with pytest.raises(RequestRefused, match="not asynchronous"):
        late(cloud).ask("prompt", b"x", "text/csv")


def component(cloud: Cloud, endpoint: str, name: str, **specification: Any) -> dict[str, Any]:
    """An inference component once it is in service or has failed."""
    sagemaker = cloud.client("sagemaker")
    container = {"Container": {"Image": image(HERE), "ArtifactUrl": MODEL}}
    sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName=endpoint,
        VariantName="one",
        Specification=specification or container,
        RuntimeConfig={"CopyCount": 1},
    )

    def settled() -> dict[str, Any] | None:
        found = sagemaker.describe_inference_component(InferenceComponentName=name)
        return None if found["InferenceComponentStatus"] == "Creating" else dict(found)

    return dict(until(settled, 20.0))


def test_a_component_answers_by_its_name_alone_and_goes_before_its_endpoint(cloud: Cloud) -> None:
    assert served(cloud, "composed", [HOSTS], ExecutionRoleArn=ROLE)["EndpointStatus"] == "InService"
    with pytest.raises(ClientError, match="Inference Component Name header is required"):
        cloud.ask("composed", "x", ContentType="text/csv")
    assert component(cloud, "composed", "composed-c0")["InferenceComponentStatus"] == "InService"
    asked = cloud.ask("composed", "x", ContentType="text/csv", InferenceComponentName="composed-c0")
    assert asked["Body"] == b"hello:x"
    with pytest.raises(ClientError, match="Could not find inference component"):
        cloud.ask("composed", "x", ContentType="text/csv", InferenceComponentName="another")
    assert serving(cloud).invoke("composed", b"x", "text/csv")[0] == b"hello:x", "the only one need not be named"

    sagemaker, pids = cloud.client("sagemaker"), cloud.endpoints.pids(HERE)
    with pytest.raises(ClientError, match="Cannot delete endpoint with inference component associated"):
        sagemaker.delete_endpoint(EndpointName="composed")
    sagemaker.delete_inference_component(InferenceComponentName="composed-c0")
    until(lambda: len(cloud.endpoints.pids(HERE)) == len(pids) - 1)
    sagemaker.delete_endpoint(EndpointName="composed")


def test_of_several_components_mldr_guesses_none(cloud: Cloud) -> None:
    served(cloud, "several", [HOSTS], ExecutionRoleArn=ROLE)
    for name in ("several-c0", "several-c1"):
        component(cloud, "several", name)
    with pytest.raises(RequestRefused, match=r"has several-c0, several-c1; write the one .*serving.component"):
        serving(cloud).invoke("several", b"x", "text/csv")
    assert serving(cloud).invoke("several", b"x", "text/csv", component="several-c1")[0] == b"hello:x"


def test_an_adapter_needs_its_base_and_does_not_run_here(cloud: Cloud) -> None:
    served(cloud, "adapted", [HOSTS], ExecutionRoleArn=ROLE)
    adapter = {"BaseInferenceComponentName": "adapted-base", "Container": {"ArtifactUrl": MODEL}}
    with pytest.raises(ClientError, match="Could not find inference component"):
        component(cloud, "adapted", "adapted-a", **adapter)
    component(cloud, "adapted", "adapted-base")
    failed = component(cloud, "adapted", "adapted-a", **adapter)
    assert (failed["InferenceComponentStatus"], "adapters" in failed["FailureReason"]) == ("Failed", True)


def test_a_component_without_copies_has_no_capacity_to_answer(cloud: Cloud) -> None:
    served(cloud, "empty", [HOSTS], ExecutionRoleArn=ROLE)
    component(cloud, "empty", "empty-c0")
    cloud.client("sagemaker").update_inference_component_runtime_config(
        InferenceComponentName="empty-c0", DesiredRuntimeConfig={"CopyCount": 0}
    )
    with pytest.raises(ClientError, match="no capacity"):
        cloud.ask("empty", "x", ContentType="text/csv", InferenceComponentName="empty-c0")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([{"VariantName": "nobody", "DesiredWeight": 1.0}], "not present within endpoint configuration"),
        ([{"VariantName": "main", "DesiredWeight": 1.0}], "Cannot update in-progress endpoint"),
    ],
)
def test_weights_of_what_is_not_there_or_not_ready_are_refused(
    cloud: Cloud, wanted: list[dict[str, Any]], message: str
) -> None:
    name = f"unweighed-{len(message)}"
    cloud.endpoint(name, ModelDataUrl=MODEL)
    if "in-progress" not in message:
        cloud.settled(name)
    with pytest.raises(ClientError, match=message):
        cloud.client("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=wanted
        )
    cloud.settled(name)


def test_only_what_exists_can_scale(cloud: Cloud) -> None:
    scaling = cloud.client("application-autoscaling")
    for resource, dimension in (
        ("endpoint/nobody/variant/main", "sagemaker:variant:DesiredProvisionedConcurrency"),
        ("inference-component/nobody", "sagemaker:inference-component:DesiredCopyCount"),
    ):
        with pytest.raises(ClientError, match="Could not find"):
            scaling.register_scalable_target(
                ServiceNamespace="sagemaker",
                ResourceId=resource,
                ScalableDimension=dimension,
                MinCapacity=1,
                MaxCapacity=2,
            )


def test_an_outage_kills_the_regions_containers_and_healing_starts_them(cloud: Cloud) -> None:
    cloud.endpoint("struck", THERE, Image=image(THERE), ModelDataUrl=MODEL_THERE)
    cloud.settled("struck", THERE)
    (pid,) = cloud.endpoints.pids(THERE)
    here = cloud.endpoints.pids(HERE)
    cloud.outage.fail(THERE)
    assert not alive(pid)
    assert cloud.endpoints.pids(THERE) == []
    assert cloud.endpoints.pids(HERE) == here
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        cloud.ask("struck", "x", THERE)
    cloud.outage.heal(THERE)

    def answer() -> bytes | None:
        try:
            return bytes(cloud.ask("struck", "x", THERE, ContentType="text/csv")["Body"])
        except ClientError:
            return None

    assert until(answer) == b"hello:x"


def test_containers_that_do_not_start_when_their_region_heals_are_started_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "AGAIN_SECONDS", 0.2)
    s3, artifact = cloud.client("s3", THERE), {"Bucket": f"models-{THERE}", "Key": "model.tar.gz"}
    kept = s3.get_object(**artifact)["Body"].read()
    cloud.endpoint("slow", THERE, Image=image(THERE), ModelDataUrl=MODEL_THERE)
    cloud.settled("slow", THERE)
    s3.delete_object(**artifact)
    cloud.outage.fail(THERE)
    cloud.outage.heal(THERE)
    slow = cloud.endpoints._served[THERE, "slow"]
    assert until(lambda: slow.record.failure_reason)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        cloud.ask("slow", "x", THERE)
    s3.put_object(**artifact, Body=kept)

    def answer() -> bytes | None:
        try:
            return bytes(cloud.ask("slow", "x", THERE, ContentType="text/csv")["Body"])
        except ClientError:
            return None

    assert until(answer) == b"hello:x"


def test_a_container_that_ends_is_started_again(cloud: Cloud) -> None:
    before = set(cloud.endpoints.pids(HERE))
    cloud.endpoint("mortal", ModelDataUrl=MODEL)
    cloud.settled("mortal")
    (pid,) = set(cloud.endpoints.pids(HERE)) - before
    os.kill(pid, 9)
    with pytest.raises(ClientError, match="ModelError"):
        cloud.ask("mortal", "x")

    def answer() -> bytes | None:
        try:
            return bytes(cloud.ask("mortal", "x", ContentType="text/csv")["Body"])
        except ClientError:
            return None

    assert until(answer) == b"hello:x"


def test_a_container_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = f"""
        import pathlib, time
        from localcloud.edge.container_process import Artifact, ContainerProcess
        artifact = Artifact("{HERE}", "{MODEL}", "archive", {{}})
        started = ContainerProcess(artifact, pathlib.Path("{tmp_path}"), {{}}, "main")
        print(started.pid, flush=True)
        time.sleep(60)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        until(lambda: not alive(pid))
