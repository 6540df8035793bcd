"""Settings, wiring and errors: read whole, built late, translated by name."""

from functools import cached_property
from inspect import getmembers_static

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from mldr import sdk, settings, wiring
from mldr.errors import BadSettings, MissingArtifact, NotAllowed, RegionUnreachable, Throttled
from mldr.settings import Settings
from tests.fakes.world import FakeWorld

ENVIRONMENT = {
    "AWS_REGION": "ap-southeast-3",
    "ENVIRONMENT_NAME": "prod",
    "PEER_REGION": "ap-southeast-1",
    "VAULT_BUCKET": "vault",
    "VAULT_KEY_ARN": "arn",
    "CATALOG_TABLE": "catalog",
    "BUS_NAME": "mldr",
    "POLICY_LOCATION": "s3://config/policy.yaml",
}


@pytest.fixture
def environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return monkeypatch


def test_the_environment_is_read_with_defaults(environment):
    environment.setenv("RECORD_TTL", "5")
    loaded = settings.load()
    assert (loaded.aws_region, loaded.record_ttl, loaded.failure_threshold) == ("ap-southeast-3", 5, 3)
    assert loaded.prefix == "mldr-prod"


def test_every_bad_variable_is_named_at_once(environment):
    environment.delenv("PEER_REGION")
    environment.setenv("POLICY_LOCATION", "policy.yaml")
    environment.setenv("HEALTH_CHECK_INTERVAL", "often")
    with pytest.raises(BadSettings) as caught:
        settings.load()
    for name in ("PEER_REGION", "POLICY_LOCATION", "HEALTH_CHECK_INTERVAL"):
        assert name in str(caught.value)


def test_a_door_without_its_environment_says_what_is_missing(environment):
    environment.delenv("CATALOG_TABLE")
    wiring.world.cache_clear()
    with pytest.raises(BadSettings, match="CATALOG_TABLE"):
        wiring.world()


def test_every_port_has_an_adapter_and_a_fake(environment):
    wiring.world.cache_clear()
    real, fake = wiring.world(), FakeWorld()
    ports = [name for name, one in getmembers_static(wiring.World) if isinstance(one, cached_property)]
    assert len(ports) >= 40
    for name in ports:
        adapter, memory = getattr(real, name), getattr(fake, name)
        assert getattr(real, name) is adapter
        promised = [one for one in dir(adapter) if not one.startswith("_") and callable(getattr(adapter, one))]
        assert promised
        assert [one for one in promised if not hasattr(memory, one)] == [], name
    wiring.world.cache_clear()


def test_a_function_pays_for_its_own_clients_only(environment):
    world = wiring.World(settings.load())
    assert world._clients == {}
    assert world.catalog
    assert list(world._clients) == [("dynamodb", "ap-southeast-3")]
    assert world.sources
    assert ("s3", "ap-southeast-1") in world._clients


def failing(error, **leaves):
    with sdk.translated("look", **leaves):
        raise error


def refused(code, status=400):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (refused("SlowDown", 503), Throttled),
        (refused("ThrottlingException"), Throttled),
        (refused("TransactionConflictException"), Throttled),  # what is written is part of a transaction just now
        (refused("ServiceUnavailable", 503), RegionUnreachable),
        (refused("Whatever", 500), RegionUnreachable),
        (refused("AccessDeniedException"), NotAllowed),
        (refused("Whatever", 403), NotAllowed),
        (EndpointConnectionError(endpoint_url="x"), RegionUnreachable),
        (ReadTimeoutError(endpoint_url="x"), RegionUnreachable),
        (NoCredentialsError(), RegionUnreachable),
    ],
)
def test_what_botocore_raises_becomes_ours(error, ours):
    with pytest.raises(ours, match="look"):
        failing(error)


@pytest.mark.parametrize(("code", "leaf"), [("404", "_404"), ("NoSuchKey", "NoSuchKey"), ("A.B-C", "A_B_C")])
def test_a_code_that_means_something_here_wins(code, leaf):
    with pytest.raises(MissingArtifact, match="gone"):
        failing(refused(code), **{leaf: MissingArtifact("gone")})


def test_a_code_that_nobody_knows_stays_what_it_is():
    with pytest.raises(ClientError, match="SomethingNew"):
        failing(refused("SomethingNew"))


def test_what_is_made_while_an_environment_starts_is_made_in_lambda_alone(environment, monkeypatch):
    made = wiring.World(settings.load())
    monkeypatch.setattr(wiring, "world", lambda: made)
    wiring.at_start("tokens", clients=["sagemaker-runtime"])
    assert (made._clients, "tokens" in vars(made)) == ({}, False)
    environment.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    wiring.at_start("tokens", clients=["sagemaker-runtime"])
    assert sorted(service for service, _ in made._clients) == ["sagemaker-runtime", "secretsmanager"]
    assert "tokens" in vars(made)
