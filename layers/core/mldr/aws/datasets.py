"""Datasets in the catalog's table: snapshots, restores, and the log of what storage events told.

pk                     sk                     what
DATASETS               <dataset>              which snapshot runs, and which sealed one is the newest
DATASET#<dataset>      SNAPSHOT#<id>          a snapshot (a SnapshotRecord)
DATASET#<dataset>      CHANGE#<time>#<hash>   a storage event, under the time at which it was logged
DATASET#<dataset>      RESTORE#<id>           a restore (a RestoreRecord)

`expires` is the table's TTL attribute: what is over is forgotten some time after it could last be of use.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mldr.domain.datasets import Change
from mldr.domain.recovery_point import Phase
from mldr.domain.snapshots import LOG_KEPT, RestoreRecord, SnapshotRecord
from mldr.errors import LostRace
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ALL = "DATASETS"
_OPEN = "attempt = :attempt AND NOT #phase IN (:sealed, :failed)"
_IS_OVER: dict[str, Any] = {":sealed": {"S": Phase.SEALED}, ":failed": {"S": Phase.FAILED}}


class DynamoDatasets:
    """Needs dynamodb:GetItem, Query, PutItem and UpdateItem on the table."""

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    # snapshots

    def begin(self, record: SnapshotRecord) -> None:
        item = {**_key(_pk(record.dataset), f"SNAPSHOT#{record.snapshot}"), **_fields(record)}
        put = {"TableName": self._table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
        claim = {
            "TableName": self._table,
            "Key": _key(_ALL, record.dataset),
            "UpdateExpression": "SET running = :snapshot",
            "ConditionExpression": "attribute_not_exists(running) OR running = :none",
            "ExpressionAttributeValues": {":snapshot": {"S": record.snapshot}, ":none": {"S": ""}},
        }
        lost = LostRace(f"{record.snapshot} exists already, or another snapshot of {record.dataset} runs")
        with translated("begin a snapshot", TransactionCanceledException=lost):
            self._dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"Update": claim}])  # type: ignore[typeddict-item]

    def resume(self, record: SnapshotRecord) -> SnapshotRecord:
        again = record.model_copy(update={"attempt": record.attempt + 1, "phase": Phase.CAPTURING, "reason": ""})
        return self._write(again, record.attempt)

    def advance(self, record: SnapshotRecord) -> None:
        if not record.over:
            self._write(record, record.attempt)
            return
        free = {
            "TableName": self._table,
            "Key": _key(_ALL, record.dataset),
            "UpdateExpression": "SET running = :none" + (", newest = :snapshot" if record.sealed_at else ""),
            "ConditionExpression": "running = :snapshot",
            "ExpressionAttributeValues": {":snapshot": {"S": record.snapshot}, ":none": {"S": ""}},
        }
        update = self._update(record, record.attempt)
        lost = LostRace(f"{record.snapshot}: attempt {record.attempt} is over")
        with translated("end a snapshot", TransactionCanceledException=lost):
            self._dynamodb.transact_write_items(TransactItems=[{"Update": update}, {"Update": free}])  # type: ignore[typeddict-item]

    def _write(self, record: SnapshotRecord, attempt: int) -> SnapshotRecord:
        lost = LostRace(f"{record.snapshot}: attempt {attempt} is over")
        with translated("write a snapshot", ConditionalCheckFailedException=lost):
            answer = self._dynamodb.update_item(**self._update(record, attempt), ReturnValues="ALL_NEW")
        return _record(answer["Attributes"])

    def _update(self, record: SnapshotRecord, attempt: int) -> dict[str, Any]:
        fields = _fields(record)
        names = [name for name in fields if name != "again"]
        return {
            "TableName": self._table,
            "Key": _key(_pk(record.dataset), f"SNAPSHOT#{record.snapshot}"),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :new_{name}" for name in names),
            "ConditionExpression": _OPEN,
            "ExpressionAttributeNames": {f"#{name}": name for name in names},
            "ExpressionAttributeValues": {
                **{f":new_{name}": fields[name] for name in names},
                **_IS_OVER,
                ":attempt": {"N": str(attempt)},
            },
        }

    def annotate(self, record: SnapshotRecord) -> None:
        lost = LostRace(f"{record.snapshot} is unknown")
        with translated("annotate a snapshot", ConditionalCheckFailedException=lost):
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(_pk(record.dataset), f"SNAPSHOT#{record.snapshot}"),
                UpdateExpression="SET body = :body",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":body": _fields(record)["body"]},
            )

    def ask_again(self, dataset: str, snapshot: str, why: str) -> None:
        lost = LostRace(f"{snapshot} is over")
        with translated("ask for another snapshot", ConditionalCheckFailedException=lost):
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(_pk(dataset), f"SNAPSHOT#{snapshot}"),
                UpdateExpression="SET again = :why",
                ConditionExpression="attribute_exists(pk) AND NOT #phase IN (:sealed, :failed)",
                ExpressionAttributeNames={"#phase": "phase"},
                ExpressionAttributeValues={":why": {"S": why}, **_IS_OVER},
            )

    def running(self, dataset: str) -> SnapshotRecord | None:
        return self._pointed(dataset, "running")

    def newest(self, dataset: str) -> SnapshotRecord | None:
        return self._pointed(dataset, "newest")

    def _pointed(self, dataset: str, which: str) -> SnapshotRecord | None:
        item = self._get(_ALL, dataset)
        snapshot = item.get(which, {}).get("S") if item else None
        return self.record(dataset, snapshot) if snapshot else None

    def record(self, dataset: str, snapshot: str) -> SnapshotRecord | None:
        item = self._get(_pk(dataset), f"SNAPSHOT#{snapshot}")
        return _record(item) if item else None

    def records(self, dataset: str) -> Iterator[SnapshotRecord]:
        found = self._query("pk = :pk AND begins_with(sk, :sk)", _pk(dataset), {":sk": "SNAPSHOT#"}, forward=False)
        yield from (_record(item) for item in found)

    def names(self) -> list[str]:
        return [item["sk"]["S"] for item in self._query("pk = :pk", _ALL, {})]

    # what events told

    def log(self, change: Change, at: dt.datetime) -> None:
        item = {
            **_key(_pk(change.dataset), f"CHANGE#{_moment(at)}#{change.identity}"),
            "body": {"S": change.model_dump_json()},
            "expires": _seconds(at + LOG_KEPT),
        }
        with translated("log a change"):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def changes(self, dataset: str, since: dt.datetime) -> Iterator[Change]:
        between = {":since": f"CHANGE#{_moment(since)}", ":end": "CHANGE#~"}
        for item in self._query("pk = :pk AND sk BETWEEN :since AND :end", _pk(dataset), between):
            yield Change.stored(item["body"]["S"])

    # restores

    def put_restore(self, record: RestoreRecord) -> None:
        item = {
            **_key(_pk(record.dataset), f"RESTORE#{record.restore}"),
            "body": {"S": record.model_dump_json()},
            "expires": _seconds(record.started_at + LOG_KEPT),
        }
        with translated("remember a restore"):
            self._dynamodb.put_item(TableName=self._table, Item=item)

    def restore(self, dataset: str, restore: str) -> RestoreRecord | None:
        item = self._get(_pk(dataset), f"RESTORE#{restore}")
        return RestoreRecord.stored(item["body"]["S"]) if item else None

    # the table

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        with translated(f"read {sk} of {pk}"):
            return self._dynamodb.get_item(TableName=self._table, Key=_key(pk, sk), ConsistentRead=True).get("Item")

    def _query(
        self, condition: str, pk: str, values: dict[str, str], *, forward: bool = True
    ) -> Iterator[dict[str, Any]]:
        given = {name: {"S": value} for name, value in {":pk": pk, **values}.items()}
        with translated(f"list items of {pk}"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=given,
                ScanIndexForward=forward,
            )
            for page in pages:
                yield from page["Items"]


def _pk(dataset: str) -> str:
    return f"DATASET#{dataset}"


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _moment(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _seconds(at: dt.datetime) -> dict[str, str]:
    return {"N": str(int(at.timestamp()))}


def _fields(record: SnapshotRecord) -> dict[str, Any]:
    """What conditions look at stands beside the body; only what is over is ever forgotten."""
    fields: dict[str, Any] = {
        "attempt": {"N": str(record.attempt)},
        "phase": {"S": record.phase},
        "body": {"S": record.model_dump_json(exclude={"again"})},
    }
    if record.again:
        fields["again"] = {"S": record.again}
    if record.over:
        fields["expires"] = _seconds((record.kept_until or record.started_at) + LOG_KEPT)
    return fields


def _record(item: dict[str, Any]) -> SnapshotRecord:
    again = item.get("again", {}).get("S", "")
    return SnapshotRecord.stored(json.dumps({**json.loads(item["body"]["S"]), "again": again}))
