"""DynamoDB in the local cloud forgets expired items, takes batches as AWS does, and does a transaction once."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.clock import Clock
from localcloud.moto_repairs.dynamodb import DynamoDBRepairs
from localcloud.moto_repairs.dynamodb_batches import DynamoDBBatches
from localcloud.moto_repairs.dynamodb_expiry import Expiry
from localcloud.outage import Outage
from tests.functional.localcloud.one_endpoint import SESSION
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE

KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]


class Tables:
    """Two tables, a clock and an outage."""

    def __init__(self) -> None:
        self.clock, self.outage = Clock(), Outage()
        self.repairs = [DynamoDBRepairs(), DynamoDBBatches(), Expiry(ACCOUNT, self.outage, self.clock)]

    def make(self) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.client = SESSION.client("dynamodb", region_name=HERE, **keys)
        attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
        for name in ("t", "other"):
            self.client.create_table(
                TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=attributes, KeySchema=KEYS
            )

    def put(self, sk: str, **more: Any) -> None:
        self.client.put_item(TableName="t", Item={"pk": {"S": "p"}, "sk": {"S": sk}, **more})

    def left(self) -> list[str]:
        return [item["sk"]["S"] for item in self.client.scan(TableName="t")["Items"]]


@pytest.fixture
def tables() -> Iterator[Tables]:
    made = Tables()
    for repair in made.repairs:
        repair.start()
    try:
        with mock_aws():
            made.make()
            yield made
    finally:
        for repair in reversed(made.repairs):
            repair.stop()


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def request(sk: str, **more: Any) -> dict[str, Any]:
    return {"PutRequest": {"Item": {"pk": {"S": "p"}, "sk": {"S": sk}, **more}}}


def expires(tables: Tables) -> None:
    settings = {"Enabled": True, "AttributeName": "expires"}
    tables.client.update_time_to_live(TableName="t", TimeToLiveSpecification=settings)


def test_items_are_gone_once_the_clock_has_passed_them(tables: Tables) -> None:
    expires(tables)
    now = int(time.time())
    tables.put("soon", expires={"N": str(now + 60)})
    tables.put("later", expires={"N": str(now + 600)})
    tables.put("text", expires={"S": str(now)})
    tables.put("never")
    tables.clock.advance(120)
    assert sorted(tables.left()) == ["later", "never", "text"]
    description = tables.client.describe_time_to_live(TableName="t")["TimeToLiveDescription"]
    assert description == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_items_stay_without_a_time_to_live_and_while_the_region_is_failed(tables: Tables) -> None:
    tables.put("old", expires={"N": "1"})
    tables.clock.advance(60)
    assert tables.left() == ["old"]
    expires(tables)
    tables.outage.fail(HERE)
    tables.clock.advance(60)
    assert tables.left() == ["old"]
    tables.outage.heal(HERE)
    tables.clock.advance(60)
    assert tables.left() == []


def test_a_batch_writes_and_deletes_over_tables_and_is_read_back(tables: Tables) -> None:
    tables.put("old")
    delete = {"DeleteRequest": {"Key": {"pk": {"S": "p"}, "sk": {"S": "old"}}}}
    batch = {"t": [delete, *(request(f"{number:02}") for number in range(20))], "other": [request("00")]}
    assert tables.client.batch_write_item(RequestItems=batch)["UnprocessedItems"] == {}
    keys = [{"pk": {"S": "p"}, "sk": {"S": name}} for name in ("old", "00", "19")]
    answer = tables.client.batch_get_item(RequestItems={"t": {"Keys": keys, "ConsistentRead": True}})
    assert sorted(item["sk"]["S"] for item in answer["Responses"]["t"]) == ["00", "19"]


def test_a_batch_with_too_many_requests_or_one_key_twice_is_refused_whole(tables: Tables) -> None:
    write = tables.client.batch_write_item
    many = [request(str(number)) for number in range(26)]
    assert refused(write, RequestItems={"t": many}) == "ValidationException"
    twice = [request("a", n={"N": "1"}), request("a", n={"N": "2"})]
    assert refused(write, RequestItems={"t": twice}) == "ValidationException"
    both = [request("a"), {"DeleteRequest": {"Key": {"pk": {"S": "p"}, "sk": {"S": "a"}}}}]
    assert refused(write, RequestItems={"t": both}) == "ValidationException"
    assert tables.left() == []


def test_a_transaction_with_a_token_is_done_once(tables: Tables) -> None:
    key = {"pk": {"S": "p"}, "sk": {"S": "count"}}
    add = {"TableName": "t", "Key": key, "UpdateExpression": "ADD n :one"}
    step = {"Update": {**add, "ExpressionAttributeValues": {":one": {"N": "1"}}}}
    write = tables.client.transact_write_items
    for token in ("first", "first", "second"):
        write(TransactItems=[step], ClientRequestToken=token)
    assert tables.client.get_item(TableName="t", Key=key)["Item"]["n"] == {"N": "2"}
    other = [{"Delete": {"TableName": "t", "Key": key}}]
    assert refused(write, TransactItems=other, ClientRequestToken="first") == "IdempotentParameterMismatchException"


def test_a_refused_transaction_may_be_tried_again_with_its_token(tables: Tables) -> None:
    key = {"pk": {"S": "p"}, "sk": {"S": "a"}}
    check = {"ConditionCheck": {"TableName": "t", "Key": key, "ConditionExpression": "attribute_exists(pk)"}}
    put = {"Put": {"TableName": "t", "Item": {"pk": {"S": "p"}, "sk": {"S": "b"}}}}
    again = {"TransactItems": [check, put], "ClientRequestToken": "token"}
    assert refused(tables.client.transact_write_items, **again) == "TransactionCanceledException"
    tables.put("a")
    tables.client.transact_write_items(**again)
    assert tables.left() == ["a", "b"]
