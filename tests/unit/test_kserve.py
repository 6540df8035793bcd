"""Capturing and planning InferenceServices: what a canary hides, what is bound to a region, what comes next."""

import copy
import datetime as dt

import pytest
import yaml

from mldr.domain.endpoint_status import answers
from mldr.domain.kserve import inference_path, kept, live, shares, split, unsettled
from mldr.domain.kserve_plan import next_step, plan_inference_service, standing
from mldr.domain.kserve_references import carried, find_bound, find_needs, find_refused
from mldr.domain.kserve_revisions import SOURCE_URI, older_component
from mldr.domain.kserve_rules import Address
from mldr.domain.policy import ModelPolicy, Policy
from mldr.domain.recovery_point import Retention
from mldr.domain.serving_state import Carried, Kind, Live, ServingState
from mldr.errors import BadPolicy, BadReference, EndpointFailed, EpochTaken

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SERVICE = yaml.safe_load("""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: fraud
  namespace: prod
  resourceVersion: "7"
  labels: {team: risk}
  annotations:
    serving.kserve.io/deploymentMode: Knative
    kubectl.kubernetes.io/last-applied-configuration: "{}"
    mldr/epoch: "2"
spec:
  predictor:
    minReplicas: 2
    maxReplicas: 10
    canaryTrafficPercent: 25
    serviceAccountName: s3-reader
    model: {modelFormat: {name: mlflow}, protocolVersion: v2, storageUri: s3://models/fraud/2/}
status:
  url: http://fraud.prod.example.com
  observedGeneration: 7
  components:
    predictor:
      latestCreatedRevision: fraud-predictor-00002
      latestReadyRevision: fraud-predictor-00002
      latestRolledoutRevision: fraud-predictor-00001
      traffic:
      - {latestRevision: true, percent: 10, revisionName: fraud-predictor-00002}
      - {latestRevision: false, percent: 90, revisionName: fraud-predictor-00001, tag: prev}
  conditions: [{type: Ready, status: "True"}]
  modelStatus: {transitionStatus: UpToDate, copies: {failedCopies: 0, totalCopies: 4}}
""")


def service(**changes):
    edited = copy.deepcopy(SERVICE)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = edited
        for one in parents:
            node = node[one]
        node[last] = value
    return edited


def revision(uri, *, image="server:1", **more):
    """A Knative revision as KServe makes one."""
    annotations = {SOURCE_URI: uri, "autoscaling.knative.dev/min-scale": "2", **more.pop("annotations", {})}
    container = {"name": "kserve-container", "image": image, **more.pop("container", {})}
    return {"metadata": {"annotations": annotations}, "spec": {"containers": [container], **more}}


def older(component, old, new):
    return older_component(component, "service.spec.predictor", old, new)


# What a cluster says


def test_the_shares_of_the_traffic_are_those_that_are_and_not_those_that_were_asked_for():
    [latest, previous] = shares(SERVICE)["predictor"]
    assert (latest.percent, previous.percent) == (10, 90)
    assert split(SERVICE) == {"predictor": ("fraud-predictor-00001", "fraud-predictor-00002")}
    assert [(one.variant, one.weight, one.instances) for one in live(SERVICE)] == [
        ("fraud-predictor-00001", 90, 4),
        ("fraud-predictor-00002", 10, None),
    ]


def test_one_revision_is_no_split():
    whole = [{"latestRevision": True, "percent": 100, "revisionName": "fraud-predictor-00002"}]
    assert split(service(status__components__predictor__traffic=whole)) == {}


def test_three_revisions_cannot_be_said_to_kserve_again():
    three = [{"percent": 30, "revisionName": "a"}, {"percent": 30, "revisionName": "b"}]
    three += [{"percent": 40, "revisionName": "c", "latestRevision": True}]
    with pytest.raises(BadReference, match=r"status.components.predictor.traffic: a, b"):
        split(service(status__components__predictor__traffic=three))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status__conditions": [{"type": "Ready", "status": "False", "message": "no nodes"}]}, "not ready: no nodes"),
        ({"status__conditions": []}, "not ready: Unknown"),
        ({"status__components__predictor__latestCreatedRevision": "fraud-predictor-00003"}, "in a roll-out"),
    ],
)
def test_a_state_in_between_is_not_one_to_capture(changes, says):
    assert unsettled(SERVICE) == ""
    assert says in unsettled(service(**changes))


def test_what_its_cluster_and_mldr_wrote_is_not_kept():
    assert kept(SERVICE)["metadata"] == {
        "name": "fraud",
        "labels": {"team": "risk"},
        "annotations": {"serving.kserve.io/deploymentMode": "Knative"},
    }


@pytest.mark.parametrize(
    ("predictor", "path"),
    [
        ({"model": {"protocolVersion": "v2"}}, "/v2/models/fraud/infer"),
        ({"model": {"modelFormat": {"name": "sklearn"}}}, "/v1/models/fraud:predict"),
        ({"containers": [{"env": [{"name": "PROTOCOL", "value": "v2"}]}]}, "/v2/models/fraud/infer"),
        ({"containers": [{"name": "kserve-container"}]}, "/v1/models/fraud:predict"),
    ],
)
def test_a_service_is_asked_in_the_protocol_that_kserve_takes_it_to_speak(predictor, path):
    assert inference_path(service(spec__predictor=predictor)) == path


# The older revision


def test_the_model_that_most_of_the_traffic_reaches_comes_back_from_its_revision():
    stable = older(SERVICE["spec"]["predictor"], revision("s3://models/fraud/1/"), revision("s3://models/fraud/2/"))
    assert stable["model"]["storageUri"] == "s3://models/fraud/1/"
    assert "canaryTrafficPercent" not in stable
    assert SERVICE["spec"]["predictor"]["model"]["storageUri"] == "s3://models/fraud/2/"


def test_scale_image_variables_and_concurrency_of_the_older_revision_come_back():
    old = revision(
        "s3://models/fraud/2/",
        image="server:0",
        container={"env": [{"name": "A", "value": "1"}]},
        annotations={"autoscaling.knative.dev/min-scale": "3", "autoscaling.knative.dev/metric": "rps"},
        containerConcurrency=5,
    )
    stable = older(SERVICE["spec"]["predictor"], old, revision("s3://models/fraud/2/"))
    assert (stable["minReplicas"], stable["scaleMetric"], stable["containerConcurrency"]) == (3, "rps", 5)
    assert (stable["model"]["image"], stable["model"]["env"]) == ("server:0", [{"name": "A", "value": "1"}])


def test_a_container_of_ones_own_is_put_back_whole():
    component = {"containers": [{"name": "kserve-container", "image": "mine:2", "args": ["--fast"]}]}
    old, new = revision("", image="mine:1"), revision("", image="mine:2", container={"args": ["--fast"]})
    [container] = older(component, old, new)["containers"]
    assert container == {"name": "kserve-container", "image": "mine:1"}


@pytest.mark.parametrize(
    ("old", "path"),
    [
        (revision("s3://models/fraud/2/", container={"args": ["--old"]}), r"containers\[kserve-container\]\.args"),
        (revision("s3://models/fraud/2/", serviceAccountName="other"), r"serviceAccountName"),
        (revision("s3://models/fraud/2/") | {"spec": {"containers": []}}, r"predictor\.containers"),
    ],
)
def test_a_difference_that_no_field_can_say_fails_the_capture_by_its_path(old, path):
    with pytest.raises(BadReference, match=path):
        older(SERVICE["spec"]["predictor"], old, revision("s3://models/fraud/2/"))


def test_a_variable_cannot_be_taken_away_from_a_runtime():
    component = {"model": {"env": [{"name": "NEW", "value": "1"}]}}
    old = revision("s3://a", container={"env": []})
    new = revision("s3://a", container={"env": [{"name": "NEW", "value": "1"}]})
    with pytest.raises(BadReference, match="env"):
        older(component, old, new)


def test_an_older_model_that_no_storage_uri_names_fails_the_capture():
    with pytest.raises(BadReference, match="s3://a"):
        older({"containers": []}, revision("s3://a"), revision("s3://b"))


# What is bound to the region


@pytest.mark.parametrize(
    ("value", "name", "binding"),
    [
        ("s3://models/fraud/1/", "storageUri", "s3"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0", "image", "image"),
        ("eu-west-1", "value", "region"),
        ("eu-west-1b", "topology.kubernetes.io/zone", "other"),
        ("arn:aws:sns:eu-west-1:123456789012:alerts", "value", "other"),
        ("https://db.eu-west-1.rds.amazonaws.com", "value", "other"),
        ("--model=s3://models/a", "args", "other"),
        ("pvc://volume/model", "storageUri", "cluster"),
        ("volume", "claimName", "cluster"),
    ],
)
def test_whatever_names_the_region_is_found_with_its_path(value, name, binding):
    [bound] = find_bound({"service": {"spec": [{name: value}]}}, "eu-west-1")
    assert (bound.path, bound.binding, bound.value) == (f"service.spec[0].{name}", binding, value)


@pytest.mark.parametrize("value", ["hf://org/model", "gs://bucket/m", "docker.io/a:1", "eu-west-12", "my-eu-west-1-x"])
def test_what_is_the_same_everywhere_stays(value):
    assert find_bound({"service": {"storageUri": value}}, "eu-west-1") == []


def test_secrets_are_listed_by_name_and_nothing_else_of_them():
    spec = yaml.safe_load("""\
predictor:
  serviceAccountName: s3-reader
  imagePullSecrets: [{name: registry}]
  volumes: [{name: v, secret: {secretName: tls}}, {name: w, configMap: {name: settings}}]
  containers:
  - env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
""")
    needs = {(one.kind, one.name) for one in find_needs({"service": {"spec": spec}})}
    assert needs == {
        ("ServiceAccount", "s3-reader"),
        ("Secret", "registry"),
        ("Secret", "tls"),
        ("Secret", "db"),
        ("ConfigMap", "settings"),
    }
    assert find_refused({"service": {"spec": spec}}, ()) == []


def test_the_value_of_a_secret_fails_the_capture_and_is_not_repeated():
    document = {"service": {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}}
    [problem] = find_refused(document, ())
    assert problem.path == "service.env[0].value"
    assert "hunter2" not in str(problem)
    assert find_refused(document, ("DB_PASSWORD",)) == []


def test_a_bucket_that_only_a_secret_knows_fails_the_capture():
    [problem] = find_refused({"service": {"model": {"storage": {"key": "storage-config", "path": "a"}}}}, ())
    assert problem.path == "service.model.storage"


class Sealed:
    """As much of a manifest as is looked at."""

    def __init__(self, point, kind, source, target):
        self.recovery_point = point
        self.rewrites = [type("Rewrite", (), {"kind": kind, "source": source, "target": target})()]


def test_a_storage_uri_is_found_in_the_point_that_holds_all_of_it():
    newer = Sealed("v2", "s3-prefix", "s3://models/fraud/2/", "s3://vault/v2/")
    older_point = Sealed("v1", "s3-prefix", "s3://models/fraud/1/", "s3://vault/v1/")
    one = Sealed("v0", "s3-object", "s3://models/m.tar.gz", "s3://vault/v0/m.tar.gz")
    manifests = [newer, older_point, one]
    assert carried("s3://models/fraud/1/", manifests) == ("s3://vault/v1/", "v1")
    assert carried("s3://models/fraud/2", manifests) == ("s3://vault/v2", "v2")
    assert carried("s3://models/fraud/2/sub/", manifests) == ("s3://vault/v2/sub/", "v2")
    assert carried("s3://models/m.tar.gz", manifests) == ("s3://vault/v0/m.tar.gz", "v0")
    for unheld in ("s3://models/fraud/", "s3://models/fraud/22/", "s3://models/m.tar.gz/x"):
        assert carried(unheld, manifests) is None


# What comes next


def state(stable=None, **more):
    document = {"service": kept(SERVICE), "stable": stable, "runtime": None, "traffic": {}, "needs": []}
    place = "service.spec.predictor.model.storageUri"
    rewritten = Carried(
        path=place, kind=Kind.MODEL_DATA, source="s3://models/fraud/2/", target="s3://vault/2/", point="v2"
    )
    return ServingState(
        model={"registry": "sagemaker", "name": "fraud"},  # type: ignore[arg-type]
        endpoint="kserve://prod/prod/fraud",
        region="eu-west-1",
        standby_region="eu-north-1",
        captured_at=NOW,
        reason="asked",
        epoch=0,
        retention=Retention(mode="GOVERNANCE", until=NOW),
        document=document,
        live=(Live(variant="fraud-predictor-00001", weight=90, instances=4),),
        carried=(rewritten,),
        **more,
    )


STABLE = {"predictor": {"minReplicas": 2, "model": {"modelFormat": {"name": "mlflow"}, "storageUri": "s3://vault/1/"}}}


def applied(step, **status):
    """What the cluster has after a step: Ready, a generation further."""
    return {
        **step.document,
        "metadata": {**step.document["metadata"], "resourceVersion": "9"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": 1, **status},
    }


def test_a_plan_is_rewritten_and_has_as_many_copies_as_ran():
    plan = plan_inference_service(state(), 1)
    [spec] = plan.stages
    assert spec["predictor"]["model"]["storageUri"] == "s3://vault/2/"
    assert spec["predictor"]["minReplicas"] == 4
    assert plan_inference_service(state(), 1) == plan


def test_what_takes_most_of_the_traffic_comes_first_and_the_canary_only_once_it_is_ready():
    plan = plan_inference_service(state(STABLE), 1)
    first = next_step(plan, None)
    assert (first.verb, first.document["spec"]["predictor"]["model"]["storageUri"]) == ("create", "s3://vault/1/")
    found = applied(first)
    starting = {**found, "status": {}}
    assert next_step(plan, starting).verb == "wait"
    assert standing(starting)[0] == "Creating"
    assert standing(found) == ("Creating", "the canary follows")
    second = next_step(plan, found)
    assert (second.verb, second.document["spec"]["predictor"]["canaryTrafficPercent"]) == ("replace", 25)
    assert second.document["metadata"]["resourceVersion"] == "9"
    assert standing(applied(second))[0] == "Creating", "its status is still that of the first stage"
    split_up = {"predictor": {"traffic": [{"latestRevision": True, "percent": 25, "revisionName": "b"}]}}
    done = applied(second, observedGeneration=2, components=split_up)
    assert standing(done) == ("InService", "")
    assert next_step(plan, done).verb == "done"


def test_it_does_not_serve_until_the_traffic_is_split():
    plan = plan_inference_service(state(STABLE), 1)
    second = next_step(plan, applied(next_step(plan, None)))
    whole = {"predictor": {"traffic": [{"latestRevision": True, "percent": 100, "revisionName": "b"}]}}
    status, reason = standing(applied(second, observedGeneration=2, components=whole))
    assert (status, reason) == ("Creating", "predictor: 100 % of the traffic reach the newest revision, 25 % are to")


def test_an_older_epoch_does_not_write_over_a_newer_one():
    newer = applied(next_step(plan_inference_service(state(), 3), None))
    with pytest.raises(EpochTaken, match="epoch 3"):
        next_step(plan_inference_service(state(), 1), newer)


def test_what_an_older_plan_left_is_written_over_from_the_first_stage():
    left = applied(next_step(plan_inference_service(state(), 1), None))
    step = next_step(plan_inference_service(state(STABLE), 3), left)
    assert (step.verb, step.document["spec"]) == ("replace", plan_inference_service(state(STABLE), 3).stages[0])


def test_a_service_of_somebody_else_is_used_when_it_is_the_same_and_never_written_over():
    plan = plan_inference_service(state(), 1)
    theirs = applied(next_step(plan, None))
    theirs["metadata"]["annotations"] = {}
    theirs["spec"] = {**theirs["spec"], "defaulted": True}
    assert next_step(plan, theirs).verb == "done"
    theirs["spec"] = {"predictor": {**theirs["spec"]["predictor"], "minReplicas": 1}}
    with pytest.raises(EndpointFailed, match="annotate inferenceservice fraud mldr/owner=mldr"):
        next_step(plan, theirs)


def test_a_model_that_cannot_be_loaded_has_failed_and_says_why():
    broken = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no such bucket"}}
    assert standing(service(status__modelStatus=broken)) == ("Failed", "no such bucket")
    assert standing(None)[0] == "Missing"


ROLLING_OUT = {
    "status__conditions": [{"type": "Ready", "status": "Unknown", "message": "a revision is being made"}],
    "status__components__predictor__latestCreatedRevision": "fraud-predictor-00003",
}
BROKEN = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no such bucket"}}


def test_a_roll_out_is_an_update_and_the_older_revision_serves_on():
    assert standing(service(**ROLLING_OUT)) == ("Updating", "a revision is being made")
    broken = service(**ROLLING_OUT, status__modelStatus=BROKEN)
    assert standing(broken) == ("UpdateRollbackFailed", "no such bucket")
    assert all(answers(standing(one)[0]) for one in (service(**ROLLING_OUT), broken))


@pytest.mark.parametrize(
    "more",
    [
        {"status__components__predictor__latestCreatedRevision": "fraud-predictor-00002"},  # it is what fails
        {"status__components__predictor__latestReadyRevision": None},  # none was ever ready
        {"status__url": None},
    ],
)
def test_where_no_older_revision_serves_nobody_is_answered(more):
    found = service(**{**ROLLING_OUT, **more})
    assert standing(found)[0] == "Creating"
    assert not answers(standing(found)[0])


# The policy

POLICY = """\
version: 1
regions: [eu-west-1, eu-north-1]
clusters:
  prod:
    eu-west-1: {endpoint: "https://a.example", eks: prod-a}
    eu-north-1: {endpoint: "https://b.example", token_secret: mldr/clusters/b, ingress: "http://10.0.0.1:8080"}
models:
  - match: sagemaker/fraud
    serving: {kserve: {cluster: prod, namespace: models, name: fraud}}
"""


def test_a_model_that_kserve_serves_has_an_address_for_an_endpoint():
    rules = Policy.parse(POLICY).for_model("sagemaker", "fraud", {})
    assert rules.serving.endpoint == "kserve://prod/models/fraud"
    assert ModelPolicy.model_validate_json(rules.model_dump_json()) == rules
    assert Address.parse(rules.serving.endpoint) == rules.serving.kserve.address


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cluster: prod", "cluster: prot", "line 9: models[0].serving.kserve.cluster: 'prot' is not under clusters"),
        (
            "prod-a}",
            "prod-a, token_secret: mldr/clusters/a}",
            "line 5: clusters.prod.eu-west-1: give one way to a token",
        ),
        ("https://b", "http://b", "line 6: clusters.prod.eu-north-1.endpoint: 'http://b.example' does not fit"),
        ("    eu-north-1:", "    eu-south-1:", "line 4: clusters.prod: eu-north-1 is missing"),
        ("    eu-north-1:", "    eu-south-1:", "line 6: clusters.prod.eu-south-1: 'eu-south-1' is not one of"),
        ("  prod:\n", "  Prod_1:\n", "line 4: clusters.Prod_1: is not a name"),
        ("{kserve", "{endpoint: a, kserve", "line 9: models[0].serving.endpoint: an InferenceService serves"),
    ],
)
def test_mistakes_in_clusters_are_named_with_their_line(old, new, says):
    with pytest.raises(BadPolicy) as caught:
        Policy.parse(POLICY.replace(old, new))
    assert any(one.startswith(says) for one in caught.value.mistakes), caught.value.mistakes


@pytest.mark.parametrize("text", ["kserve://a/b", "churn", "kserve://A/b/c", "kserve://a/b/c/d"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadReference):
        Address.parse(text)
