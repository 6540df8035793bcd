"""Quotas: what endpoints of a region may have and have, on memory and on moto; and how the catalog keeps it."""

import datetime as dt

import pytest

from localcloud.moto_repairs.service_quotas import ServiceQuotaRepairs
from mldr.aws.catalog import DynamoCatalog
from mldr.aws.quotas import ServiceQuotas
from mldr.domain.capacity import ALL_TYPES, Capacity
from tests.contract.conftest import ACTIVE, STANDBY
from tests.fakes.catalog import FakeCatalog
from tests.fakes.quotas import FakeQuotas

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ROLE = "arn:aws:iam::123456789012:role/serve"


@pytest.fixture
def repairs():
    made = ServiceQuotaRepairs()
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=["memory", "moto"])
def region(request):
    """A region with a quota of 8 for ml.m5.large, 0 for ml.p4d.24xlarge, and one endpoint of two variants."""
    if request.param == "memory":
        quotas = FakeQuotas()
        quotas.allowed = {"ml.m5.large": 8, "ml.p4d.24xlarge": 0}
        quotas.endpoints = {"churn": {"ml.m5.large": 3, "ml.c5.large": 1}}
        return quotas
    repairs, moto = request.getfixturevalue("repairs"), request.getfixturevalue("moto")
    repairs.applied[(STANDBY, "ml.m5.large for endpoint usage")] = 8.0
    repairs.applied[(ACTIVE, "ml.m5.large for endpoint usage")] = 99.0
    endpoint(moto.client("sagemaker"), "churn", large=3, other=1)
    endpoint(moto.client("sagemaker", ACTIVE), "elsewhere", large=5, other=0)
    return ServiceQuotas(lambda: moto.client("service-quotas"), lambda: moto.client("sagemaker"))


def endpoint(sagemaker, name, *, large, other):
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "i"})
    variants = [("a", "ml.m5.large", large), ("b", "ml.c5.large", other)]
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": one, "ModelName": name, "InstanceType": kind, "InitialInstanceCount": count}
            for one, kind, count in variants
            if count
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def test_a_raised_quota_counts_and_else_the_default(region):
    limits = region.limits()
    assert (limits["ml.m5.large"], limits["ml.p4d.24xlarge"]) == (8, 0)


def test_only_quotas_of_endpoints_are_told(region):
    types = set(region.limits()) - {ALL_TYPES}
    assert types
    assert all(kind.startswith("ml.") and kind.count(".") == 2 for kind in types)


def test_the_quota_of_all_types_together_is_read(moto, repairs):
    repairs.applied[(STANDBY, "Number of instances across active endpoints")] = 7.0
    quotas = ServiceQuotas(lambda: moto.client("service-quotas"), lambda: moto.client("sagemaker"))
    assert quotas.limits()[ALL_TYPES] == 7


def test_what_each_endpoint_of_this_region_holds_is_counted_by_type(region):
    assert region.held() == {"churn": {"ml.m5.large": 3, "ml.c5.large": 1}}


def test_an_endpoint_that_goes_meanwhile_holds_nothing(moto, repairs, monkeypatch):
    sagemaker = moto.client("sagemaker")
    endpoint(sagemaker, "churn", large=1, other=0)
    quotas = ServiceQuotas(lambda: moto.client("service-quotas"), lambda: sagemaker)
    monkeypatch.setattr(
        sagemaker, "get_paginator", lambda _: type("P", (), {"paginate": lambda _: [
            {"Endpoints": [{"EndpointName": "gone"}, {"EndpointName": "churn"}]}]})()
    )  # fmt: skip
    assert quotas.held() == {"churn": {"ml.m5.large": 1}}


@pytest.fixture(params=["memory", "moto"])
def catalog(request):
    if request.param == "memory":
        return FakeCatalog()
    dynamodb = request.getfixturevalue("moto").client("dynamodb")
    dynamodb.create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoCatalog(dynamodb, table="catalog")


def test_the_catalog_keeps_the_last_reading(catalog):
    assert catalog.capacity() is None
    read = Capacity(limits={"ml.m5.large": 8}, used={"ml.m5.large": 9}, side_by_side=10, read_at=NOW)
    catalog.put_capacity(read)
    again = read.model_copy(update={"read_at": NOW + dt.timedelta(minutes=15)})
    catalog.put_capacity(again)
    assert catalog.capacity() == again
    assert again.free == {"ml.m5.large": 0}
