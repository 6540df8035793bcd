"""What a home remembers of the region that answers beside it, in the catalog's table.

pk                     sk          what
MODEL#<model>          SURVIVOR    what the last round left (a Survivor)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mldr.domain.identity import ModelKey
from mldr.domain.survivor import Survivor
from mldr.errors import LostRace
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoSurvivors:
    """Needs dynamodb:GetItem and PutItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def of(self, model: ModelKey) -> Survivor:
        with translated(f"read what is remembered of the region beside {model}'s home"):
            item = self._dynamodb.get_item(TableName=self._table, Key=_key(model), ConsistentRead=True).get("Item")
        return Survivor.stored(item["body"]["S"]) if item else Survivor()

    def put(self, model: ModelKey, survivor: Survivor) -> None:
        lost = LostRace(f"{model}: another round wrote revision {survivor.revision} first")
        with translated("remember the region beside a home", ConditionalCheckFailedException=lost):
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    **_key(model),
                    "number": {"N": str(survivor.revision)},
                    "body": {"S": survivor.model_dump_json()},
                },
                ConditionExpression="attribute_not_exists(pk)" if survivor.revision == 1 else "#n = :previous",
                **_follows(survivor),
            )


def _follows(survivor: Survivor) -> Any:
    if survivor.revision == 1:
        return {}
    return {
        "ExpressionAttributeNames": {"#n": "number"},
        "ExpressionAttributeValues": {":previous": {"N": str(survivor.revision - 1)}},
    }


def _key(model: ModelKey) -> dict[str, Any]:
    return {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": "SURVIVOR"}}
