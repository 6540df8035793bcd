"""What was decided about each model's health, and what persons were asked, in the catalog's table.

pk                     sk                what
MODEL#<model>          DECISION#<time>   a line of the log of decisions, by when it began; forgotten after a month
MODEL#<model>          APPROVAL          what a person was asked last; `settled` once something came of it
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from mldr.domain.approvals import Approval
from mldr.domain.health import Decided
from mldr.domain.identity import ModelKey
from mldr.errors import LostRace
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = dt.timedelta(days=30)
_LINE, _APPROVAL = "DECISION#", "APPROVAL"


class DynamoDecisions:
    """Needs dynamodb:GetItem, Query and PutItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def log(self, model: ModelKey, decided: Decided) -> None:
        at = decided.at.astimezone(dt.UTC)
        item = {
            **_key(model, f"{_LINE}{at:%Y-%m-%dT%H:%M:%S.%f}"),
            "body": {"S": decided.model_dump_json()},
            "expires": {"N": str(int((decided.at + KEPT).timestamp()))},
        }
        with translated("write a decision"):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def newest(self, model: ModelKey, limit: int) -> list[Decided]:
        values = {":pk": {"S": f"MODEL#{model}"}, ":sk": {"S": _LINE}}
        with translated(f"list the decisions about {model}"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
                ExpressionAttributeValues=values,
                ConsistentRead=True,
                ScanIndexForward=False,
                PaginationConfig={"MaxItems": limit},
            )
            found = [item["body"]["S"] for page in pages for item in page["Items"]]
        return [Decided.stored(body) for body in found]

    def approval(self, model: ModelKey) -> Approval | None:
        with translated(f"read the approval of {model}"):
            item = self._dynamodb.get_item(TableName=self._table, Key=_key(model, _APPROVAL), ConsistentRead=True).get(
                "Item"
            )
        return Approval.stored(item["body"]["S"]) if item else None

    def ask(self, model: ModelKey, approval: Approval) -> None:
        with translated("remember a question"):
            self._dynamodb.put_item(TableName=self._table, Item=_question(model, approval))

    def settle(self, model: ModelKey, approval: Approval) -> None:
        settled = LostRace(f"{model}: the question is settled already, or another one was asked")
        with translated("settle a question", ConditionalCheckFailedException=settled):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={**_question(model, approval), "settled": {"BOOL": True}},
                ConditionExpression="digest = :digest AND attribute_not_exists(settled)",
                ExpressionAttributeValues={":digest": {"S": approval.digest}},
            )


def _question(model: ModelKey, approval: Approval) -> dict[str, Any]:
    return {
        **_key(model, _APPROVAL),
        "body": {"S": approval.model_dump_json()},
        "digest": {"S": approval.digest},
    }


def _key(model: ModelKey, sk: str) -> dict[str, Any]:
    return {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": sk}}
