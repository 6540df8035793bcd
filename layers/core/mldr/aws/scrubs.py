"""The last check of each owner's bytes, in the catalog's table.

pk                     sk                what
SCRUBS                 <owner>           what the last run found (a Tally)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mldr.domain.scrub import Tally
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION = "SCRUBS"


class DynamoScrubs:
    """Needs dynamodb:GetItem and PutItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def note(self, tally: Tally) -> None:
        item = {"pk": {"S": PARTITION}, "sk": {"S": tally.owner}, "body": {"S": tally.model_dump_json()}}
        with translated("note a check of the vault"):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def last(self, owner: str) -> Tally | None:
        key = {"pk": {"S": PARTITION}, "sk": {"S": owner}}
        with translated("read the last check of the vault"):
            item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return Tally.stored(item["body"]["S"]) if item else None
