"""What keeps endpoints from standing in this region, in the catalog's table.

pk                     sk          what
MODEL#<model>          SETBACK     what the last look left (a Setback), or null: it stands
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mldr.domain.identity import ModelKey
from mldr.domain.setbacks import Setback
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoSetbacks:
    """Needs dynamodb:GetItem and PutItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def of(self, model: ModelKey) -> Setback | None:
        with translated(f"read what keeps {model} from standing"):
            found = self._dynamodb.get_item(TableName=self._table, Key=_key(model), ConsistentRead=True).get("Item")
        said = found["body"].get("S") if found else None
        return Setback.stored(said) if said else None

    def put(self, model: ModelKey, setback: Setback | None) -> None:
        body: Any = {"S": setback.model_dump_json()} if setback else {"NULL": True}
        with translated(f"remember what keeps {model} from standing"):
            self._dynamodb.put_item(TableName=self._table, Item={**_key(model), "body": body})


def _key(model: ModelKey) -> dict[str, Any]:
    return {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": "SETBACK"}}
