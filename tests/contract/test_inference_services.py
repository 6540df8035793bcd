"""What InferenceServices promises: the fake in memory, and the REST adapter on an API server with the real CRDs."""

import copy
import ssl

import pytest

from mldr.errors import EndpointFailed, LostRace, NotAllowed, RegionUnreachable, Throttled
from mldr.kserve.rest import RestInferenceServices
from tests.fakes.clusters import FakeInferenceServices, KubeObjects
from tests.kube.api_server import TOKEN, ApiServer, certificate, granted
from tests.kube.controller import RUNTIME

SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "fraud", "namespace": "models", "labels": {"team": "risk"}},
    "spec": {
        "predictor": {
            "minReplicas": 2,
            "model": {"modelFormat": {"name": "mlflow"}, "protocolVersion": "v2", "storageUri": "s3://lake/fraud/1"},
        }
    },
}
OWN_RUNTIME = {**RUNTIME, "kind": "ServingRuntime", "metadata": {"name": "ours", "namespace": "models"}}


@pytest.fixture
def server(tmp_path):
    with ApiServer(KubeObjects(), tmp_path) as running:
        yield running


@pytest.fixture(params=["memory", "rest"])
def services(request):
    if request.param == "memory":
        return FakeInferenceServices(KubeObjects())
    return on(request.getfixturevalue("server"))


def on(server, token=TOKEN, ca=None):
    return RestInferenceServices(server.url, server.ca if ca is None else ca, lambda: token)


def changed(document, **spec):
    edited = copy.deepcopy(document)
    edited["spec"]["predictor"] |= spec
    return edited


def test_a_ca_that_names_no_key_identifiers_is_trusted_also_where_python_is_strict_by_default(server, monkeypatch):
    """As EKS makes it, and as Python does since 3.13; the server's own certificate is such a one."""
    made = ssl.create_default_context

    def strict(**given):
        context = made(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    assert on(server).get("InferenceService", "models", "fraud") is None


def test_chain_and_host_name_are_checked(server):
    context = on(server)._tls
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_what_nobody_made_is_none(services):
    kinds = ("InferenceService", "ServingRuntime", "ClusterServingRuntime", "Revision")
    assert [services.get(kind, "models", "fraud") for kind in kinds] == [None] * 4


def test_what_was_created_is_read_back_with_its_version_and_without_a_status(services):
    services.create({**SERVICE, "status": {"url": "http://mine"}})
    found = services.get("InferenceService", "models", "fraud")
    assert found["spec"]["predictor"]["model"]["storageUri"] == "s3://lake/fraud/1"
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["resourceVersion"]
    assert "status" not in found


def test_creating_twice_is_a_lost_race(services):
    services.create(SERVICE)
    with pytest.raises(LostRace):
        services.create(SERVICE)


def test_an_object_of_the_version_that_was_read_is_replaced(services):
    found = services.create(SERVICE)
    written = services.replace(changed(found, minReplicas=5))
    assert written["spec"]["predictor"]["minReplicas"] == 5
    assert written["metadata"]["generation"] == 2
    assert written["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]


def test_a_change_of_annotations_alone_is_no_new_generation(services):
    found = services.create(SERVICE)
    found["metadata"]["annotations"] = {"mldr/owner": "mldr"}
    assert services.replace(found)["metadata"]["generation"] == 1


def test_replacing_what_changed_meanwhile_is_a_lost_race(services):
    found = services.create(SERVICE)
    services.replace(changed(found, minReplicas=3))
    with pytest.raises(LostRace):
        services.replace(changed(found, minReplicas=4))


def test_replacing_blindly_is_refused(services):
    services.create(SERVICE)
    with pytest.raises(EndpointFailed, match="resourceVersion"):
        services.replace(SERVICE)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"minReplicas": "two"}, "minReplicas"),
        ({"model": {"modelFormat": {"version": "1"}}}, "modelFormat"),
        ({"canaryTraficPercent": 10}, 'unknown field "spec.predictor.canaryTraficPercent"'),
    ],
)
def test_what_the_real_schema_does_not_allow_is_refused_by_its_path(services, spec, named):
    with pytest.raises(EndpointFailed, match=named):
        services.create(changed(SERVICE, **spec))


def test_a_runtime_of_the_namespace_is_created_and_replaced(services):
    found = services.create(OWN_RUNTIME)
    found["spec"]["containers"][0]["image"] = "docker.io/other:2"
    services.replace(found)
    held = services.get("ServingRuntime", "models", "ours")
    assert held["spec"]["containers"][0]["image"] == "docker.io/other:2"


def test_a_wrong_token_is_not_allowed(server):
    with pytest.raises(NotAllowed, match="401"):
        on(server, token="stale").get("InferenceService", "models", "fraud")


def test_what_the_manifest_does_not_grant_is_forbidden(server):
    with pytest.raises(NotAllowed, match=r"403 .*cannot create"):
        on(server).create(RUNTIME | {"metadata": {"name": "mine", "namespace": ""}})


@pytest.mark.parametrize(("status", "raised"), [(500, RegionUnreachable), (503, RegionUnreachable), (429, Throttled)])
def test_a_server_in_trouble_is_asked_again(server, status, raised):
    server.fault = status
    with pytest.raises(raised, match="leader changed"):
        on(server).get("InferenceService", "models", "fraud")


def test_a_server_that_is_gone_is_unreachable(tmp_path):
    with ApiServer(KubeObjects(), tmp_path) as server:
        gone = on(server)
    with pytest.raises(RegionUnreachable):
        gone.get("InferenceService", "models", "fraud")


def test_a_server_with_another_certificate_is_not_believed(server, tmp_path):
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other")
    with pytest.raises(NotAllowed, match="CA"):
        on(server, ca=other).get("InferenceService", "models", "fraud")


def test_the_manifest_grants_what_is_used_and_no_more(server):
    services = on(server)
    services.replace(changed(services.create(SERVICE), minReplicas=1))
    services.replace(services.create(OWN_RUNTIME) | {"spec": OWN_RUNTIME["spec"]})
    for kind in ("InferenceService", "ServingRuntime", "ClusterServingRuntime", "Revision"):
        services.get(kind, "models", "ours")
    assert server.used == granted()
