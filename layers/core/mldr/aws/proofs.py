"""The last golden request of each model's gateway, in the catalog's table.

pk                     sk                what
MODEL#<model>          PROOF             when it was asked and answered (a Proof)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mldr.domain.deep_health import Proof
from mldr.domain.identity import ModelKey
from mldr.errors import LostRace
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoProofs:
    """Needs dynamodb:GetItem and PutItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def newest(self, model: ModelKey) -> Proof | None:
        key = {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": "PROOF"}}
        with translated(f"read the last golden request of {model}"):
            item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return Proof.stored(item["body"]["S"]) if item else None

    def put(self, model: ModelKey, proof: Proof, previous: Proof | None) -> None:
        held: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if previous:
            held = {
                "ConditionExpression": "turn = :previous",
                "ExpressionAttributeValues": {":previous": {"S": _turn(previous)}},
            }
        lost = LostRace(f"{model}: another gateway asks")
        item: dict[str, Any] = {
            "pk": {"S": f"MODEL#{model}"},
            "sk": {"S": "PROOF"},
            "turn": {"S": _turn(proof)},
            "body": {"S": proof.model_dump_json()},
        }
        with translated("note a golden request", ConditionalCheckFailedException=lost):
            self._dynamodb.put_item(TableName=self._table, Item=item, **held)


def _turn(proof: Proof) -> str:
    """Return what one proof is told from the next by; a newer release may add to the rest."""
    return f"{proof.asked_at.isoformat()} {proof.outcome}"
