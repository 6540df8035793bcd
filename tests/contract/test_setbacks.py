"""Setbacks and Reminders: what keeps endpoints from standing, and another look, in memory and on AWS's APIs."""

import datetime as dt
import json
from typing import Any

import pytest

from mldr.aws.reminders import QueuedReminders
from mldr.aws.setbacks import DynamoSetbacks
from mldr.domain.identity import ModelKey
from mldr.domain.setbacks import Hindrance, Setback
from mldr.events.serving import TiersWish
from tests.fakes.setbacks import FakeSetbacks

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
OTHER = ModelKey(registry="sagemaker", name="churn-2")
MET = Hindrance(kind="WrongAnswers", version="v1-0123456789ab", reason="0 of 1 answers")


@pytest.fixture
def setbacks(backend) -> Any:
    if not backend:
        return FakeSetbacks()
    backend.client("dynamodb").create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoSetbacks(backend.client("dynamodb"), table="catalog")


def test_what_stands_has_none(setbacks):
    assert setbacks.of(CHURN) is None


def test_it_is_read_back_whole_and_kept_apart_and_forgotten(setbacks):
    left = Setback(met=MET, since=NOW, told=(MET.mark,))
    setbacks.put(CHURN, left)
    assert (setbacks.of(CHURN), setbacks.of(OTHER)) == (left, None)
    setbacks.put(CHURN, None)
    assert setbacks.of(CHURN) is None
    setbacks.put(CHURN, left)
    assert setbacks.of(CHURN) == left


def test_a_reminder_is_a_message_that_converging_reads_and_that_waits(moto):
    sqs = moto.client("sqs")
    url = sqs.create_queue(QueueName="tiers")["QueueUrl"]
    QueuedReminders(lambda: sqs, queue_url=url).remind(CHURN, 3, dt.timedelta(seconds=1))
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=3)["Messages"]
    wish = TiersWish.parse(message["Body"])
    assert (wish.model, wish.tries, bool(json.loads(message["Body"])["id"])) == (CHURN, 3, True)
