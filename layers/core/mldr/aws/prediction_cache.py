"""Answers of models: one DynamoDB table of this region, and the queue on which new answers wait to be kept.

pk                     sk                what
MODEL#<model>          SLOT#<n>          an answer; overwritten by the next one that falls into its slot
MODEL#<model>          SERVING           what was last seen serving the model
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mldr.domain.identity import ModelKey
from mldr.domain.prediction_cache import Cached, Sighting
from mldr.errors import LostRace, RegionUnreachable
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_SERVING = "SERVING"
_GONE = RegionUnreachable("the table of the prediction cache does not exist; deploy the stack again")


class DynamoPredictionCache:
    """Needs dynamodb:BatchGetItem, GetItem and PutItem on the table. DynamoDB deletes what has expired, in time."""

    def __init__(self, dynamodb: Callable[[], DynamoDBClient], *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def read(self, model: ModelKey, slot: int) -> tuple[Cached | None, Sighting | None]:
        keys = [_key(model, _slot(slot)), _key(model, _SERVING)]
        with translated(f"look into the cache of {model}", ResourceNotFoundException=_GONE):
            answer = self._dynamodb().batch_get_item(RequestItems={self._table: {"Keys": keys}})
        found = {item["sk"]["S"]: item for item in answer["Responses"].get(self._table, [])}
        entry, sighting = found.get(_slot(slot)), found.get(_SERVING)
        return _entry(entry) if entry else None, _sighting(sighting) if sighting else None

    def sighting(self, model: ModelKey) -> Sighting | None:
        with translated(f"read what serves {model}", ResourceNotFoundException=_GONE):
            item = self._dynamodb().get_item(TableName=self._table, Key=_key(model, _SERVING)).get("Item")
        return _sighting(item) if item else None

    def see(self, model: ModelKey, sighting: Sighting) -> None:
        fields = {"at": _number(sighting.seen_at), "body": {"S": sighting.model_dump_json()}}
        self._put(
            _key(model, _SERVING) | fields,
            "attribute_not_exists(pk) OR #at <= :at",
            {":at": fields["at"]},
            {"#at": "at"},
        )

    def keep(self, entry: Cached) -> bool:
        about = entry.model_dump_json(exclude={"body"})
        fields: dict[str, Any] = {
            "epoch": {"N": str(entry.epoch)},
            "at": _number(entry.answered_at),
            "about": {"S": about},
            "body": {"B": entry.content},
            "expires": {"N": str(int(entry.expires.timestamp()) + 1)},
        }
        newer = "attribute_not_exists(pk) OR epoch < :epoch OR (epoch = :epoch AND #at <= :at)"
        values = {":epoch": fields["epoch"], ":at": fields["at"]}
        return self._put(_key(entry.model, _slot(entry.slot)) | fields, newer, values, {"#at": "at"})

    def _put(self, item: dict[str, Any], condition: str, values: dict[str, Any], names: dict[str, str]) -> bool:
        lost = LostRace("something newer is there")
        try:
            with translated(
                "write into the prediction cache", ConditionalCheckFailedException=lost, ResourceNotFoundException=_GONE
            ):
                self._dynamodb().put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                )
        except LostRace:
            return False
        return True


class QueuedOffers:
    """Needs sqs:SendMessage on the queue."""

    def __init__(self, sqs: Callable[[], SQSClient], *, queue_url: str, region: str) -> None:
        self._sqs, self._url, self._region = sqs, queue_url, region

    def offer(self, entry: Cached) -> None:
        message = {"region": self._region, "detail": {"entries": [entry.model_dump(mode="json")]}}
        absent = RegionUnreachable("the queue of the prediction cache does not exist; deploy the stack again")
        with translated("offer an answer to the prediction cache", AWS_SimpleQueueService_NonExistentQueue=absent):
            self._sqs().send_message(QueueUrl=self._url, MessageBody=json.dumps(message))


def _slot(number: int) -> str:
    return f"SLOT#{number}"


def _key(model: ModelKey, sk: str) -> dict[str, Any]:
    return {"pk": {"S": f"MODEL#{model}"}, "sk": {"S": sk}}


def _number(at: dt.datetime) -> dict[str, str]:
    """Microseconds, because two answers of one second must not be equally new."""
    return {"N": str(int(at.timestamp() * 1_000_000))}


def _entry(item: dict[str, Any]) -> Cached:
    body = base64.b64encode(bytes(item["body"]["B"])).decode()
    return Cached.model_validate({**json.loads(item["about"]["S"]), "body": body}, extra="ignore")


def _sighting(item: dict[str, Any]) -> Sighting:
    return Sighting.stored(item["body"]["S"])
