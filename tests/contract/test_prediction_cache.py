"""What every prediction cache promises: one slot is one answer, the newest of the highest epoch."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest

from mldr.aws.prediction_cache import DynamoPredictionCache, QueuedOffers
from mldr.domain.identity import ModelKey
from mldr.domain.prediction_cache import LARGEST, Cached, Sighting
from mldr.errors import RegionUnreachable
from mldr.events.serving import PredictionsKept
from tests.contract.conftest import STANDBY
from tests.fakes.prediction_cache import FakePredictionCache

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN, OTHER = (ModelKey(registry="sagemaker", name=name) for name in ("churn", "other"))
TABLE = "predictions"


def cached(**more) -> Cached:
    """An answer."""
    given = {
        "model": CHURN, "version": "v1", "key": "k", "slot": 3, "endpoint": "churn", "epoch": 0, "asked_at": NOW,
        "answered_at": NOW, "expires": NOW + dt.timedelta(minutes=15), "content_type": "application/x-npy",
        "body": base64.b64encode(bytes(range(256))).decode(),
    }  # fmt: skip
    return Cached.model_validate({**given, **more})


def later(seconds: float) -> dt.datetime:
    """A while after NOW."""
    return NOW + dt.timedelta(seconds=seconds)


@pytest.fixture
def dynamodb(backend):
    if backend is None:
        return None
    made = backend.client("dynamodb", STANDBY)
    made.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return made


@pytest.fixture
def cache(dynamodb):
    return FakePredictionCache() if dynamodb is None else DynamoPredictionCache(lambda: dynamodb, table=TABLE)


def test_an_answer_is_found_in_its_slot_byte_by_byte(cache):
    entry = cached()
    assert cache.read(CHURN, 3) == (None, None)
    assert cache.keep(entry)
    found, _ = cache.read(CHURN, 3)
    assert found == entry
    assert found.content == bytes(range(256))


def test_the_largest_answer_fits(cache):
    entry = cached(body=base64.b64encode(b"\xff" * LARGEST).decode())
    assert cache.keep(entry)
    assert cache.read(CHURN, 3)[0] == entry


def test_slots_and_models_are_apart(cache):
    cache.keep(cached())
    assert cache.read(CHURN, 4)[0] is None
    assert cache.read(OTHER, 3)[0] is None


def test_a_newer_answer_replaces_and_an_older_one_does_not(cache):
    newer, older = cached(answered_at=later(0.5), key="newer"), cached(key="older")
    assert cache.keep(newer)
    assert not cache.keep(older)
    assert cache.read(CHURN, 3)[0] == newer
    assert cache.keep(cached(answered_at=later(1), key="newest"))
    assert cache.read(CHURN, 3)[0].key == "newest"


def test_a_higher_epoch_replaces_whatever_the_clock_says_and_a_lower_one_never(cache):
    assert cache.keep(cached(epoch=2, answered_at=later(-300)))
    assert not cache.keep(cached(epoch=1, answered_at=later(300)))
    assert cache.keep(cached(epoch=3, answered_at=later(-600), key="third"))
    assert cache.read(CHURN, 3)[0].key == "third"


def test_keeping_the_same_twice_is_harmless(cache):
    assert [cache.keep(cached()), cache.keep(cached())] == [True, True]


def test_what_serves_is_read_with_the_slot_and_an_older_look_changes_nothing(cache):
    new = Sighting(endpoint="churn", status="InService", seen_at=later(1), version="v2", settled_at=later(1))
    cache.see(CHURN, new)
    cache.see(CHURN, Sighting(endpoint="churn", status="InService", seen_at=NOW, version="v1", settled_at=NOW))
    assert cache.read(CHURN, 3) == (None, new)
    assert cache.sighting(CHURN) == new
    assert cache.sighting(OTHER) is None


@pytest.fixture
def table(cloud):
    """The adapter, on a table that is not there yet."""
    return cloud.client("dynamodb", STANDBY)


def test_an_answer_expires_in_the_table(cloud, table):
    table.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    entry = cached()
    DynamoPredictionCache(lambda: table, table=TABLE).keep(entry)
    item = table.get_item(TableName=TABLE, Key={"pk": {"S": "MODEL#sagemaker/churn"}, "sk": {"S": "SLOT#3"}})["Item"]
    assert int(item["expires"]["N"]) >= entry.expires.timestamp()


def test_a_table_that_is_not_there_is_a_cache_that_does_not_answer(table):
    cache = DynamoPredictionCache(lambda: table, table=TABLE)
    for call in (lambda: cache.read(CHURN, 3), lambda: cache.keep(cached()), lambda: cache.sighting(CHURN)):
        with pytest.raises(RegionUnreachable, match="deploy the stack again"):
            call()


@pytest.fixture
def sqs(moto):
    return moto.client("sqs", STANDBY)


def test_an_offer_is_a_message_that_the_keeper_reads(sqs):
    url = sqs.create_queue(QueueName="predictions")["QueueUrl"]
    entry = cached(body=base64.b64encode(b"\xff" * LARGEST).decode())
    QueuedOffers(lambda: sqs, queue_url=url, region=STANDBY).offer(entry)
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    read = PredictionsKept.parse(message["Body"])
    assert (read.region, read.entries) == (STANDBY, (entry,))
    assert len(message["Body"]) < 256 * 1024
    assert json.loads(message["Body"])["detail"]["entries"][0]["model"] == {"registry": "sagemaker", "name": "churn"}


def test_a_queue_that_is_not_there_is_a_cache_that_does_not_answer(sqs):
    with pytest.raises(RegionUnreachable, match="deploy the stack again"):
        QueuedOffers(lambda: sqs, queue_url="https://queue.amazonaws.com/123456789012/none", region=STANDBY).offer(
            cached()
        )
