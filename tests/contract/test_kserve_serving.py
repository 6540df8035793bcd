"""KServe as a serving target, on clusters in memory and on API servers over HTTPS: observe, restore, ask.

The model server is a stub that speaks the Open Inference Protocol; `make test-kserve` runs the same on a real one.
"""

import json
import threading
from collections import Counter
from contextlib import ExitStack
from textwrap import indent

import pytest

from mldr.domain.kserve_plan import plan_inference_service
from mldr.domain.recovery_point import Retention
from mldr.domain.serving import ServingPlan
from mldr.domain.serving_state import Carried, Kind, ServingState
from mldr.errors import (
    BadPolicy,
    BadReference,
    EndpointFailed,
    EpochTaken,
    NotRestorable,
    RegionUnreachable,
    RequestRefused,
    Throttled,
)
from mldr.kserve.clusters import PolicyClusters
from mldr.kserve.serving import KServeServing
from mldr.kserve.source import KServeSource
from mldr.kserve.targets import ServingSources, ServingTargets
from tests.contract.test_serving import PATHS
from tests.fakes.clusters import FakeClusters
from tests.fakes.policies import FakePolicies
from tests.fakes.serving import FakeServing
from tests.fakes.serving_captures import FakeServingSource
from tests.fakes.world import ACTIVE, STANDBY, START
from tests.kube.api_server import TOKEN, ApiServer
from tests.kube.controller import Controller, Ingress, stub

ENDPOINT = "kserve://prod/models/fraud"
ASKED = {"id": "42", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}]}


def inference_service(version, **predictor):
    """A user's InferenceService."""
    model = {"modelFormat": {"name": "mlflow"}, "protocolVersion": "v2", "storageUri": f"s3://lake/fraud/{version}"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": "models", "labels": {"team": "risk"}},
        "spec": {"predictor": {"minReplicas": 2, "serviceAccountName": "s3-reader", "model": model, **predictor}},
    }


class Regions:
    """One cluster in each of two regions, and how they are reached."""

    def __init__(self, stack, folder, over_https):
        self.controllers = {
            region: Controller(lambda name, uri: stub(name, float(uri.rstrip("/").rpartition("/")[2])), domain=domain)
            for region, domain in ((ACTIVE, "a.example"), (STANDBY, "b.example"))
        }
        self.ingresses = {region: stack.enter_context(Ingress(one)) for region, one in self.controllers.items()}
        if over_https:
            self.clusters = PolicyClusters(FakePolicies(self.policy(stack, folder)), lambda *_: lambda: TOKEN)
        else:
            self.clusters = FakeClusters()
            self.clusters.reached = {
                ("prod", region): (one.objects, self.ingresses[region].url) for region, one in self.controllers.items()
            }
        self.source = KServeSource(self.clusters, region=ACTIVE)
        self.serving = KServeServing(self.clusters, region=STANDBY)

    def policy(self, stack, folder):
        lines = ["version: 1", f"regions: [{ACTIVE}, {STANDBY}]", "clusters:", "  prod:"]
        for region, one in self.controllers.items():
            (folder / region).mkdir()
            server = stack.enter_context(ApiServer(one.objects, folder / region))
            lines += [f"    {region}:", f"      endpoint: {server.url}", "      eks: prod", "      ca: |"]
            lines += [indent(server.ca.rstrip(), " " * 8), f"      ingress: {self.ingresses[region].url}"]
        return "\n".join(lines)

    def roll_out(self, version, **predictor):
        """What a user does in the active region: create the service, or write over it."""
        objects = self.controllers[ACTIVE].objects
        wanted = inference_service(version, **predictor)
        held = [one for one in objects.every("InferenceService") if one["metadata"]["name"] == "fraud"]
        if held:
            wanted["metadata"]["resourceVersion"] = held[0]["metadata"]["resourceVersion"]
            objects.replace(wanted)
        else:
            objects.create(wanted)

    def captured(self):
        """What is observed now, with each model in the vault."""
        observed = self.source.observe(ENDPOINT)
        assert observed.status == "InService"
        places = [f"{part}.predictor.model.storageUri" for part in ("service.spec", "stable")]
        found = [(place, lookup(observed.document, place)) for place in places]
        return ServingState(
            model={"registry": "sagemaker", "name": "fraud"},
            endpoint=ENDPOINT,
            region=ACTIVE,
            standby_region=STANDBY,
            captured_at=START,
            reason="asked",
            epoch=0,
            retention=Retention(mode="GOVERNANCE", until=START),
            document=observed.document,
            live=observed.live,
            carried=tuple(
                Carried(path=place, kind=Kind.MODEL_DATA, source=uri, target=uri.replace("lake", "vault"))
                for place, uri in found
                if uri
            ),
        )

    def plan(self, epoch=1):
        """The plan of what is captured now."""
        return planned(plan_inference_service(self.captured(), epoch))

    def restored(self):
        """The InferenceService of the standby."""
        return self.controllers[STANDBY].objects.get("InferenceService", "models", "fraud")


def lookup(document, path):
    for name in path.split("."):
        document = (document or {}).get(name)
    return document


def planned(kserve):
    return ServingPlan(name=ENDPOINT, models=(), config={}, kserve=kserve)


def restore(regions, plan, looks=5):
    """What the state machine does: restore, look, wait, again. Returns what it saw."""
    seen = []
    for _ in range(looks):
        regions.serving.restore(plan)
        seen.append(regions.serving.status(ENDPOINT)[0])
        if seen[-1] == "InService":
            break
        regions.controllers[STANDBY].tick()
    return seen


def answers(regions, asked=ASKED):
    answer, kind = regions.serving.invoke(ENDPOINT, json.dumps(asked).encode(), "application/json")
    assert kind == "application/json"
    return json.loads(answer)["outputs"][0]["data"]


@pytest.fixture(params=["memory", "https"])
def regions(request, tmp_path):
    with ExitStack() as stack:
        yield Regions(stack, tmp_path, request.param == "https")


def test_a_service_that_is_not_there_is_missing(regions):
    assert regions.source.observe(ENDPOINT).status == "Missing"
    assert regions.serving.status(ENDPOINT)[0] == "Missing"


def test_a_service_is_restored_and_answers_as_before(regions):
    regions.roll_out(3)
    assert restore(regions, regions.plan())[-1] == "InService"
    assert regions.restored()["spec"]["predictor"]["model"]["storageUri"] == "s3://vault/fraud/3"
    assert regions.controllers[STANDBY].started == ["s3://vault/fraud/3"]
    assert answers(regions) == [3.0, 6.0]


def test_restoring_again_changes_nothing(regions):
    regions.roll_out(3)
    plan = regions.plan()
    restore(regions, plan)
    before = regions.restored()
    restore(regions, plan)
    assert regions.restored() == before


def test_a_canary_comes_back_with_the_model_that_no_spec_names_any_more(regions):
    regions.roll_out(1)
    regions.roll_out(2, canaryTrafficPercent=10)
    restore(regions, regions.plan())
    [canary, most] = regions.restored()["status"]["components"]["predictor"]["traffic"]
    assert (canary["percent"], most["percent"]) == (10, 90)
    assert regions.controllers[STANDBY].started == ["s3://vault/fraud/1", "s3://vault/fraud/2"]
    assert Counter(answers(regions)[0] for _ in range(100)) == {1.0: 90, 2.0: 10}


def test_nothing_serves_before_the_canary_is_split_off(regions):
    regions.roll_out(1)
    regions.roll_out(2, canaryTrafficPercent=10)
    plan = regions.plan()
    standby = regions.controllers[STANDBY]
    standby.holding = True
    seen = restore(regions, plan, looks=12)
    assert (set(seen[:-1]), seen[-1]) == ({"Creating", "Updating"}, "InService")
    assert standby.started == ["s3://vault/fraud/1", "s3://vault/fraud/2"]


def test_a_canary_pinned_to_nothing_comes_back_behind_its_predecessor(regions):
    regions.roll_out(1)
    regions.roll_out(2, canaryTrafficPercent=0)
    restore(regions, regions.plan())
    assert {answers(regions)[0] for _ in range(20)} == {1.0}


def test_the_split_that_is_counts_and_not_the_one_that_was_asked_for_last(regions):
    regions.roll_out(1)
    regions.roll_out(2, canaryTrafficPercent=10)
    active = regions.controllers[ACTIVE]
    active.holding = True
    regions.roll_out(2, canaryTrafficPercent=60)
    document = regions.source.observe(ENDPOINT).document
    assert document["service"]["spec"]["predictor"]["canaryTrafficPercent"] == 10


def test_a_roll_out_that_is_stuck_is_not_captured(regions):
    regions.roll_out(1)
    regions.controllers[ACTIVE].broken = {"s3://lake/fraud/2"}
    regions.roll_out(2)
    assert "not ready" in regions.source.observe(ENDPOINT).status


def test_the_standby_begins_with_as_many_copies_as_ran(regions):
    regions.roll_out(1, minReplicas=7, maxReplicas=9)
    restore(regions, regions.plan())
    assert regions.restored()["spec"]["predictor"]["minReplicas"] == 7


def test_the_runtime_comes_along_under_a_name_of_its_own_and_is_not_chosen_for_others(regions):
    regions.roll_out(1)
    restore(regions, regions.plan())
    assert regions.restored()["spec"]["predictor"]["model"]["runtime"] == "mldr-fraud"
    runtime = regions.controllers[STANDBY].objects.get("ServingRuntime", "models", "mldr-fraud")
    assert runtime["spec"]["containers"][0]["image"] == "docker.io/seldonio/mlserver:1.5.0"
    assert [one["autoSelect"] for one in runtime["spec"]["supportedModelFormats"]] == [False]


def test_a_runtime_of_somebody_else_is_not_written_over(regions):
    regions.roll_out(1)
    theirs = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime"}
    theirs |= {"metadata": {"name": "mldr-fraud", "namespace": "models"}, "spec": {"containers": []}}
    regions.controllers[STANDBY].objects.put(theirs)
    with pytest.raises(EndpointFailed, match="mldr-fraud is there and not mldr's"):
        regions.serving.restore(regions.plan())


def test_secrets_come_along_by_name_only(regions):
    secret = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    model = inference_service(1)["spec"]["predictor"]["model"] | {"env": [secret]}
    regions.roll_out(1, model=model)
    document = regions.source.observe(ENDPOINT).document
    assert [(one["kind"], one["name"]) for one in document["needs"]] == [
        ("ServiceAccount", "s3-reader"),
        ("Secret", "db"),
    ]
    restore(regions, regions.plan())
    assert regions.restored()["spec"]["predictor"]["model"]["env"] == [secret]


def test_a_model_that_the_standby_cannot_load_fails_with_the_reason(regions):
    regions.roll_out(1)
    regions.controllers[STANDBY].broken = {"s3://vault/fraud/1"}
    regions.serving.restore(regions.plan())
    assert regions.serving.status(ENDPOINT) == ("Failed", "cannot load s3://vault/fraud/1")


def test_a_newer_epoch_is_not_written_over(regions):
    regions.roll_out(1)
    restore(regions, regions.plan(epoch=3))
    regions.roll_out(2)
    with pytest.raises(EpochTaken):
        regions.serving.restore(regions.plan(epoch=1))


def test_a_later_epoch_takes_the_service_over_and_waits_for_the_change(regions):
    regions.roll_out(1)
    restore(regions, regions.plan(epoch=1))
    regions.roll_out(2)
    plan = regions.plan(epoch=3)
    standby = regions.controllers[STANDBY]
    standby.holding = True
    regions.serving.restore(plan)
    assert regions.serving.status(ENDPOINT)[0] == "Creating", "Ready is still that of the older epoch"
    assert restore(regions, plan, looks=8)[-1] == "InService"
    assert answers(regions) == [2.0, 4.0]


def test_without_a_capture_there_is_nothing_to_restore(regions):
    with pytest.raises(NotRestorable, match="never captured"):
        regions.serving.restore(planned(None))


def test_the_host_of_the_service_is_asked_through_the_ingress_of_the_region(regions):
    regions.roll_out(3)
    restore(regions, regions.plan())
    assert regions.restored()["status"]["url"] == "http://fraud.models.b.example"
    assert answers(regions) == [3.0, 6.0], "no name of b.example resolves: only the ingress can have answered"


def test_an_answer_that_is_an_error_is_no_answer(regions):
    regions.roll_out(3)
    restore(regions, regions.plan())
    held = regions.restored()
    del held["spec"]["predictor"]["model"]["protocolVersion"]
    regions.controllers[STANDBY].objects.replace(held)
    with pytest.raises(RequestRefused, match="404"):
        KServeServing(regions.clusters, region=STANDBY).invoke(ENDPOINT, b"{}", "application/json")


@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, RequestRefused),
        (422, RequestRefused),
        (429, Throttled),
        (500, EndpointFailed),
        (503, EndpointFailed),
    ],
)
def test_only_an_error_of_the_model_itself_is_a_failed_endpoint(regions, monkeypatch, status, raised):
    regions.roll_out(3)
    restore(regions, regions.plan())
    monkeypatch.setattr("mldr.kserve.serving._post", lambda *_: (status, b"no", "text/plain"))
    with pytest.raises(raised, match=str(status)):
        KServeServing(regions.clusters, region=STANDBY).invoke(ENDPOINT, b"{}", "application/json")


@pytest.mark.parametrize(
    ("status", "heard"),
    [(400, (400, "no")), (422, (422, "no")), *[(one, (0, "")) for one in PATHS]],
)
def test_what_is_said_of_the_way_to_the_model_is_no_word_to_the_client(regions, monkeypatch, status, heard):
    """Path and credentials are mldr's own; the ingress answers 404 and 403 in the place of any service."""
    regions.roll_out(3)
    restore(regions, regions.plan())
    monkeypatch.setattr("mldr.kserve.serving._post", lambda *_: (status, b"no", "text/plain"))
    with pytest.raises(RequestRefused) as told:
        KServeServing(regions.clusters, region=STANDBY).invoke(ENDPOINT, b"{}", "application/json")
    assert (told.value.status, told.value.said) == heard


def test_a_service_that_is_not_there_does_not_answer(regions):
    with pytest.raises(RequestRefused, match="there is no such InferenceService"):
        regions.serving.invoke(ENDPOINT, b"{}", "application/json")


def test_an_ingress_that_is_gone_is_unreachable(regions):
    regions.roll_out(1)
    restore(regions, regions.plan())
    regions.ingresses[STANDBY].__exit__()
    with pytest.raises(RegionUnreachable):
        regions.serving.invoke(ENDPOINT, b"{}", "application/json")


def test_deep_health_does_not_wait_for_an_answer_that_does_not_come(regions, monkeypatch):
    regions.roll_out(1)
    restore(regions, regions.plan())
    asked = threading.Event()
    monkeypatch.setattr(regions.controllers[STANDBY], "predict", lambda *_: asked.wait(5) and (200, b""))
    prompt = KServeServing(regions.clusters, region=STANDBY, timeout=0.2)
    with pytest.raises(RegionUnreachable, match="timed out"):
        prompt.invoke(ENDPOINT, b"{}", "application/json")
    asked.set()


def test_a_cluster_that_the_policy_does_not_name_is_its_mistake(regions):
    with pytest.raises(BadPolicy, match=r"clusters\.other"):
        regions.serving.status("kserve://other/models/fraud")


def test_scaling_sets_the_floor(regions):
    regions.roll_out(1, maxReplicas=3)
    regions.roll_out(2, maxReplicas=3, canaryTrafficPercent=10)
    restore(regions, regions.plan())
    regions.serving.scale(ENDPOINT, {"fraud-predictor-00001": 5})
    assert regions.restored()["spec"]["predictor"]["minReplicas"] == 5
    assert regions.restored()["spec"]["predictor"]["maxReplicas"] == 5


@pytest.mark.parametrize("times", [1, 100])
def test_a_write_of_kserve_between_reading_and_writing_is_read_again(regions, monkeypatch, times):
    regions.roll_out(1)
    restore(regions, regions.plan(epoch=1))
    regions.roll_out(2)
    plan = regions.plan(epoch=3)
    services, standby = type(regions.clusters.services("prod", STANDBY)), regions.controllers[STANDBY].objects
    read, reads = services.get, []

    def disturbed(self, kind, namespace, name):
        found = read(self, kind, namespace, name)
        if kind == "InferenceService" and len(reads) < times:
            reads.append(name)
            standby.put_status(namespace, name, standby.get(kind, namespace, name)["status"])
        return found

    monkeypatch.setattr(services, "get", disturbed)
    if times == 1:
        regions.serving.restore(plan)
        assert regions.restored()["metadata"]["annotations"]["mldr/epoch"] == "3"
    else:
        with pytest.raises(Throttled, match="written by others"):
            regions.serving.restore(plan)


def test_a_model_without_a_runtime_to_find_is_not_captured(regions):
    regions.roll_out(1)
    del regions.controllers[ACTIVE].objects._held["ClusterServingRuntime", "", "kserve-mlserver"]
    with pytest.raises(BadReference, match=r"predictor\.model\.runtime"):
        regions.source.observe(ENDPOINT)


def test_an_endpoints_name_says_who_serves_it():
    sagemaker, kserve = FakeServing(), FakeServing()
    made = []
    targets = ServingTargets(sagemaker, lambda: made.append(1) or kserve)
    assert targets.status("churn")[1] == "there is no endpoint churn in this region"
    assert made == []
    targets.status(ENDPOINT)
    targets.status(ENDPOINT)
    assert made == [1]
    observers = FakeServingSource(), FakeServingSource()
    sources = ServingSources(observers[0], lambda: observers[1])
    sources.observe("churn")
    sources.observe(ENDPOINT)
    assert [one.looks for one in observers] == [["churn"], [ENDPOINT]]
