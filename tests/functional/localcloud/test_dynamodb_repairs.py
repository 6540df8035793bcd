"""DynamoDB in the local cloud decides races as AWS does: one winner, no write lost, and no read of half a change."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.moto_repairs.dynamodb import DynamoDBRepairs

ROUNDS, THREADS = 25, 8


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    repairs = DynamoDBRepairs()
    repairs.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with mock_aws():
            keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
            client = boto3.client("dynamodb", region_name="ap-southeast-3", **keys)
            client.create_table(
                TableName="t",
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            )
            yield client
    finally:
        sys.setswitchinterval(before)
        repairs.stop()


def wins(write: Callable[[int], Any]) -> int:
    """How many of eight conditional writes at once were taken."""

    def code(number: int) -> str:
        try:
            write(number)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    with ThreadPoolExecutor(THREADS) as pool:
        codes = list(pool.map(code, range(THREADS)))
    assert set(codes) <= {"", "ConditionalCheckFailedException", "TransactionCanceledException"}
    return codes.count("")


def test_of_eight_puts_one_wins(dynamodb: Any) -> None:
    for number in range(ROUNDS):
        put = {"TableName": "t", "Item": {"pk": {"S": str(number)}}, "ConditionExpression": "attribute_not_exists(pk)"}
        assert wins(lambda _, put=put: dynamodb.put_item(**put)) == 1


def test_of_eight_updates_one_wins(dynamodb: Any) -> None:
    dynamodb.put_item(TableName="t", Item={"pk": {"S": "k"}, "n": {"N": "0"}})
    for number in range(ROUNDS):
        update = {
            "TableName": "t",
            "Key": {"pk": {"S": "k"}},
            "UpdateExpression": "SET n = :next",
            "ConditionExpression": "n = :now",
            "ExpressionAttributeValues": {":now": {"N": str(number)}, ":next": {"N": str(number + 1)}},
        }
        assert wins(lambda _, update=update: dynamodb.update_item(**update)) == 1


def test_a_cancelled_transaction_takes_nothing_of_others_back(dynamodb: Any) -> None:
    never = {"TableName": "t", "Key": {"pk": {"S": "none"}}, "ConditionExpression": "attribute_exists(pk)"}
    written = {"TableName": "t", "Item": {"pk": {"S": "transaction"}}}

    def write(number: int) -> Any:
        if number % 2:
            return dynamodb.put_item(TableName="t", Item={"pk": {"S": f"{number}"}})
        return dynamodb.transact_write_items(TransactItems=[{"Put": written}, {"ConditionCheck": never}])

    for _ in range(ROUNDS):
        assert wins(write) == THREADS // 2
        kept = {item["pk"]["S"] for item in dynamodb.scan(TableName="t")["Items"]}
        assert kept == {str(number) for number in range(1, THREADS, 2)}
        for name in kept:
            dynamodb.delete_item(TableName="t", Key={"pk": {"S": name}})


def test_reads_while_others_read_and_write_see_whole_items(dynamodb: Any) -> None:
    for number in range(50):
        dynamodb.put_item(TableName="t", Item={"pk": {"S": f"old {number}"}})
    grow = {"UpdateExpression": "SET #a = :v, #b = :v", "ExpressionAttributeValues": {":v": {"S": "x"}}}

    def act(number: int) -> None:
        for turn in range(8):
            new, missing = f"new {number} {turn}", f"missing {number} {turn}"
            dynamodb.put_item(TableName="t", Item={"pk": {"S": new}})
            names = {"#a": f"a{number}{turn}", "#b": f"b{number}{turn}"}
            dynamodb.update_item(TableName="t", Key={"pk": {"S": "old 0"}}, ExpressionAttributeNames=names, **grow)
            assert "Item" not in dynamodb.get_item(TableName="t", Key={"pk": {"S": missing}})
            assert len(dynamodb.scan(TableName="t")["Items"]) >= 50
            key = {":pk": {"S": "old 0"}}
            found = dynamodb.query(TableName="t", KeyConditionExpression="pk = :pk", ExpressionAttributeValues=key)
            [item] = found["Items"]
            assert {name[1:] for name in item if name[0] == "a"} == {name[1:] for name in item if name[0] == "b"}

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act, range(THREADS)))
