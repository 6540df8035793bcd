"""Captured serving states: each a locked object of the vault, and a row of the catalog that names its version.

pk             sk                 what
MODEL#<model>  SERVING#<time>     one captured state; the last one in order is the newest
MODEL#<model>  SERVING-REFUSED    why the last look could not be captured
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from mldr.domain.identity import ModelKey
from mldr.domain.serving_state import Refusal, ServingState, state_key
from mldr.errors import LostRace, MissingArtifact
from mldr.ports.vault import Vault
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_STATE, _REFUSED = "SERVING#", "SERVING-REFUSED"
_TIME = "%Y%m%dT%H%M%S.%fZ"
KEPT = dt.timedelta(days=90)  # how long the row of a state is kept that a newer one replaced


class VaultServingCaptures:
    """Needs dynamodb:Query, GetItem, PutItem and UpdateItem on the table, and what S3Vault.seal, versions and read
    need under `serving-state/`.
    """

    def __init__(self, vault: Vault, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._vault, self._dynamodb, self._table = vault, dynamodb, table

    def put(self, state: ServingState) -> None:
        """Write the object first: a row never names what is not there."""
        before = self._row(state.model, state.captured_at)
        key = state_key(state.model, state.captured_at, state.digest)
        content = state.model_dump_json(indent=1).encode()
        try:
            version = self._vault.seal(key, content, state.retention)
        except LostRace:
            version = self._vault.versions(key)[0]
        row = {"body": {"S": json.dumps({"key": key, "version": version, "digest": state.digest})}}
        with translated("remember a serving state"):
            self._dynamodb.put_item(
                TableName=self._table, Item={**_key(state.model, _STATE + state.captured_at.strftime(_TIME)), **row}
            )
        if before and before["sk"]["S"] != _STATE + state.captured_at.strftime(_TIME):
            self._let_go(before, state.captured_at)

    def _let_go(self, row: dict[str, Any], at: dt.datetime) -> None:
        with translated("let go of a serving state"):
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression="SET expires = :expires",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":expires": {"N": str(int((at + KEPT).timestamp()))}},
            )

    def newest(self, model: ModelKey, as_of: dt.datetime | None = None) -> ServingState | None:
        row = self._row(model, as_of)
        if row is None:
            return None
        named = json.loads(row["body"]["S"])
        content = self._vault.read(named["key"], named["version"])
        if content is None:
            raise MissingArtifact(
                f"the serving state {self._vault.uri(named['key'])} (version {named['version']}) cannot be read"
            )
        return ServingState.model_validate_json(content)

    def _row(self, model: ModelKey, as_of: dt.datetime | None) -> dict[str, Any] | None:
        last = _STATE + (as_of.strftime(_TIME) if as_of else "~")
        with translated(f"find the serving state of {model}"):
            found = self._dynamodb.query(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
                ExpressionAttributeValues={
                    ":pk": {"S": f"MODEL#{model}"}, ":first": {"S": _STATE}, ":last": {"S": last}
                },
                ScanIndexForward=False,
                Limit=1,
            )["Items"]  # fmt: skip
        return found[0] if found else None

    def refuse(self, model: ModelKey, refusal: Refusal) -> None:
        with translated("remember why a serving state was not captured"):
            self._dynamodb.put_item(
                TableName=self._table, Item={**_key(model, _REFUSED), "body": {"S": refusal.model_dump_json()}}
            )

    def refusal(self, model: ModelKey) -> Refusal | None:
        with translated(f"look whether the serving state of {model} is captured"):
            found = self._dynamodb.get_item(TableName=self._table, Key=_key(model, _REFUSED), ConsistentRead=True)
        return Refusal.stored(found["Item"]["body"]["S"]) if "Item" in found else None


def _key(model: ModelKey, sk: str) -> dict[str, Any]:
    return {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": sk}}
