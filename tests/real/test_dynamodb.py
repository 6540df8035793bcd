"""What the product relies on in DynamoDB, asked of each server itself; one check per feature."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

SERVICE = "dynamodb"
feature = pytest.mark.feature
WITHIN = 10


@pytest.fixture
def table(cloud):
    client = cloud.client("dynamodb")
    client.create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return client


def item(sk="1", **more):
    return {"pk": {"S": "p"}, "sk": {"S": sk}, **more}


def putting(sk="1", **more):
    return {"Put": {"TableName": "catalog", "Item": item(sk), **more}}


ABSENT = "attribute_not_exists(pk)"


def keys(table):
    return [one["sk"]["S"] for one in table.scan(TableName="catalog", ConsistentRead=True)["Items"]]


@feature("conditions")
def test_a_refused_condition_shows_what_is_there(table):
    table.put_item(TableName="catalog", Item=item(who={"S": "first"}), ConditionExpression=ABSENT)
    with pytest.raises(table.exceptions.ConditionalCheckFailedException) as caught:
        table.put_item(
            TableName="catalog",
            Item=item(),
            ConditionExpression=ABSENT,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"]["who"] == {"S": "first"}


@feature("one winner of many conditions")
def test_of_sixteen_conditional_puts_one_wins(table):
    def one(number):
        try:
            table.put_item(TableName="catalog", Item=item(who={"N": str(number)}), ConditionExpression=ABSENT)
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(one, range(16))) == 1


@feature("transactions")
def test_a_transaction_is_all_or_nothing_and_says_why(table):
    table.put_item(TableName="catalog", Item=item("1"))
    with pytest.raises(table.exceptions.TransactionCanceledException) as caught:
        table.transact_write_items(TransactItems=[putting("2"), putting("1", ConditionExpression=ABSENT)])
    reasons = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert (reasons, keys(table)) == (["None", "ConditionalCheckFailed"], ["1"])
    table.transact_write_items(TransactItems=[putting("2"), putting("3", ConditionExpression=ABSENT)])
    assert sorted(keys(table)) == ["1", "2", "3"]


@feature("transaction checks")
def test_a_transaction_may_hang_on_another_item(table):
    check = {
        "ConditionCheck": {"TableName": "catalog", "Key": item("1"), "ConditionExpression": "attribute_exists(pk)"}
    }
    with pytest.raises(table.exceptions.TransactionCanceledException):
        table.transact_write_items(TransactItems=[check, putting("2")])
    table.put_item(TableName="catalog", Item=item("1"))
    table.transact_write_items(TransactItems=[check, putting("2")])
    assert sorted(keys(table)) == ["1", "2"]


@feature("client request tokens")
def test_a_transaction_with_the_same_token_is_applied_once(table):
    count = {
        "Update": {
            "TableName": "catalog",
            "Key": item(),
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    for _ in range(2):
        table.transact_write_items(TransactItems=[count], ClientRequestToken="the-same")
    assert table.get_item(TableName="catalog", Key=item(), ConsistentRead=True)["Item"]["n"] == {"N": "1"}


@feature("size of a transaction")
def test_a_transaction_of_more_than_a_hundred_is_refused(table):
    table.transact_write_items(TransactItems=[putting(str(number)) for number in range(100)])
    with pytest.raises(ClientError, match="100"):
        table.transact_write_items(TransactItems=[putting(str(number)) for number in range(101)])


@feature("size of an item")
def test_an_item_of_more_than_400_kb_is_refused(table):
    with pytest.raises(ClientError, match="size"):
        table.put_item(TableName="catalog", Item=item(much={"S": "x" * 410_000}))


@feature("order and pages")
def test_a_query_is_in_order_and_goes_on_at_a_megabyte(table):
    for number in range(40):
        table.put_item(TableName="catalog", Item=item(f"{number:02d}", much={"S": "x" * 50_000}))
    asked = {"KeyConditionExpression": "pk = :p AND sk >= :s", "ExpressionAttributeValues": {":p": {"S": "p"}}}
    asked["ExpressionAttributeValues"][":s"] = {"S": "05"}
    pages = list(table.get_paginator("query").paginate(TableName="catalog", ConsistentRead=True, **asked))
    assert [one["sk"]["S"] for page in pages for one in page["Items"]] == [f"{number:02d}" for number in range(5, 40)]
    assert len(pages) == 2


@feature("TTL")
def test_what_has_expired_is_deleted_and_nothing_else(table):
    spec = {"Enabled": True, "AttributeName": "expires"}
    table.update_time_to_live(TableName="catalog", TimeToLiveSpecification=spec)
    now = int(time.time())
    table.put_item(TableName="catalog", Item=item("old", expires={"N": str(now - 60)}))
    table.put_item(TableName="catalog", Item=item("new", expires={"N": str(now + 3600)}))
    table.put_item(TableName="catalog", Item=item("for ever"))
    until = time.monotonic() + WITHIN
    while "old" in keys(table) and time.monotonic() < until:
        time.sleep(0.2)
    assert sorted(keys(table)) == ["for ever", "new"]
