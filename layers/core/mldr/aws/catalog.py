"""The catalog: one DynamoDB table of the standby region.

pk                     sk                what
MODELS                 <model>           one item per model that was ever captured
MODEL#<model>          POINT#<id>        a recovery point (a Record)
MODEL#<model>          EPOCH             the current epoch; a claim that is open is listed by the index `open-claims`
MODEL#<model>          SWITCH            the takeover switch, once flipped; `off` once this region stood down
MODEL#<model>          SWITCH#PEER       what the peer was last seen to announce
MODEL#<model>          SWITCH#BESIDE     what answers here beside the home; `off` once it is withdrawn
STANDINGS              <model>           one item per model of which the peer announced something
MODEL#<model>          LEAVING#<name>    an endpoint that is being deleted; `off` once it is gone. Expires
MODEL#<model>          ROUTE             the onboarded Route 53 graph and its check ids
MODEL#<model>          HEALTH            what the last health round left
REGION                 CAPACITY          what this region was last read to be able to carry
TRANSFER#<owner>#<id>  PLAN              the plan in force of a transfer
TRANSFER#<owner>#<id>  ITEM#<plan>#<i>   a work item as it was planned; with #DONE behind it, what came of it
"""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from mldr.domain.capacity import Capacity
from mldr.domain.failover import Epoch, Takeover
from mldr.domain.health import HealthState
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import Beside, Leadership, Standing
from mldr.domain.recovery_point import Phase, Record
from mldr.domain.routing import Route
from mldr.domain.tiers import Leaving
from mldr.domain.transfers import Transfer, WorkItem
from mldr.errors import EpochTaken, LostRace, Throttled
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
        WriteRequestTypeDef,
    )

_POINT = "POINT#"
_SWITCH, _PEER, _BESIDE = "SWITCH", "SWITCH#PEER", "SWITCH#BESIDE"  # one query reads all
_LEAVING = "LEAVING#"
_CLAIM: AttributeValueTypeDef = {"S": "claim"}
_DONE = "#DONE"
LEFT = dt.timedelta(days=1)  # for so long a row about an endpoint that leaves is kept
KEPT = dt.timedelta(days=90)  # how long the progress of a transfer can be looked at
BATCH = 25  # items of one BatchWriteItem
TRIES = 8  # of one batch, while the table leaves items of it unprocessed
T = TypeVar("T", bound=Frozen)


class DynamoCatalog:
    """Needs dynamodb:GetItem, Query, PutItem, BatchWriteItem, UpdateItem and ConditionCheckItem on the table.

    Whoever lists open claims also needs Query on the index.
    """

    def __init__(self, dynamodb: DynamoDBClient, *, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    # recovery points

    def begin(self, record: Record) -> Record:
        self._put("MODELS", str(record.model), {})
        lost = LostRace("begun already")
        try:
            with translated("begin a recovery point", ConditionalCheckFailedException=lost):
                self._put(
                    _pk(record.model), _POINT + record.recovery_point, _fields(record), "attribute_not_exists(pk)"
                )
        except LostRace:
            return self._existing(record)
        return record

    def resume(self, record: Record, attempt: int) -> Record:
        again = record.model_copy(update={"attempt": attempt + 1, "phase": Phase.CAPTURING, "reason": ""})
        return self._replace(again, attempt)

    def advance(self, record: Record) -> None:
        self._replace(record, record.attempt)

    def _replace(self, record: Record, attempt: int) -> Record:
        """Write all but what others may have noted since the record was read: a withdrawal must not be lost."""
        lost = LostRace(f"{record.recovery_point}: attempt {attempt} is over, or the point is sealed")
        fields = {**_fields(record), "reason": {"S": record.reason}}
        written = {name: value for name, value in fields.items() if name not in _NOTED}
        with translated("write a recovery point", ConditionalCheckFailedException=lost):
            item = self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(_pk(record.model), _POINT + record.recovery_point),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in written),
                ConditionExpression="#attempt = :current AND #phase <> :sealed",
                ExpressionAttributeNames={f"#{name}": name for name in written},
                ExpressionAttributeValues={
                    **{f":{name}": value for name, value in written.items()},
                    ":current": {"N": str(attempt)},
                    ":sealed": {"S": Phase.SEALED},
                },
                ReturnValues="ALL_NEW",
            )["Attributes"]
        return _record(item)

    def annotate(self, model: ModelKey, recovery_point: str, **fields: str | None) -> None:
        sets = ", ".join(f"#{name} = :{name}" for name in fields)
        with translated(
            "annotate a recovery point", ConditionalCheckFailedException=LostRace(f"{recovery_point} is unknown")
        ):
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_key(_pk(model), _POINT + recovery_point),
                UpdateExpression=f"SET {sets}",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames={f"#{name}": name for name in fields},
                ExpressionAttributeValues={
                    f":{k}": {"NULL": True} if v is None else {"S": v} for k, v in fields.items()
                },
            )

    def _existing(self, record: Record) -> Record:
        found = self.record(record.model, record.recovery_point)
        if found is None:
            raise LostRace(f"{record.recovery_point} disappeared while it was begun")
        return found

    def record(self, model: ModelKey, recovery_point: str) -> Record | None:
        item = self._get(_pk(model), _POINT + recovery_point)
        return _record(item) if item else None

    def records(self, model: ModelKey) -> list[Record]:
        return [_record(item) for item in self._query(_pk(model), _POINT)]

    def models(self) -> list[ModelKey]:
        return [ModelKey.parse(item["sk"]["S"]) for item in self._query("MODELS", "")]

    def known_models(self) -> list[ModelKey]:
        named = {item["sk"]["S"] for pk in ("MODELS", "STANDINGS") for item in self._query(pk, "")}
        return [ModelKey.parse(name) for name in sorted(named)]

    # who serves

    def epoch(self, model: ModelKey) -> Epoch | None:
        item = self._get(_pk(model), "EPOCH")
        return Epoch.stored(item["body"]["S"]) if item else None

    def open_claims(self) -> list[ModelKey]:
        with translated("list open claims"):
            pages = self._dynamodb.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="open-claims",
                KeyConditionExpression="#open = :claim",
                ExpressionAttributeNames={"#open": "open"},
                ExpressionAttributeValues={":claim": _CLAIM},
            )
            return sorted((_model(item["pk"]["S"]) for page in pages for item in page["Items"]), key=str)

    def claim(self, model: ModelKey, epoch: Epoch, previous: Epoch | None) -> None:
        lost = LostRace(f"{model}: another failover claimed epoch {epoch.number} first")
        condition = "attribute_not_exists(pk)" if previous is None else "#n = :previous AND failover_id = :holder"
        values = (
            {}
            if previous is None
            else {":previous": {"N": str(previous.number)}, ":holder": {"S": previous.failover_id}}
        )
        with translated("claim an epoch", ConditionalCheckFailedException=lost):
            self._put(
                _pk(model), "EPOCH", _epoch_fields(epoch), condition, values, {"#n": "number"} if previous else None
            )

    def conclude(self, model: ModelKey, epoch: Epoch) -> None:
        done = epoch.model_copy(update={"concluded": True})
        values = {":number": {"N": str(epoch.number)}, ":holder": {"S": epoch.failover_id}}
        with translated("conclude an epoch", ConditionalCheckFailedException=LostRace("a newer epoch was claimed")):
            self._put(
                _pk(model),
                "EPOCH",
                _epoch_fields(done),
                "#n = :number AND failover_id = :holder",
                values,
                {"#n": "number"},
            )

    def flip(self, model: ModelKey, takeover: Takeover, epoch: Epoch) -> None:
        held = {":number": {"N": str(epoch.number)}, ":holder": {"S": epoch.failover_id}, ":no": {"BOOL": False}}
        open_ = "#n = :number AND failover_id = :holder AND (attribute_not_exists(concluded) OR concluded = :no)"
        newest = {":number": {"N": str(takeover.epoch)}}
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._table,
                "Item": _item(_pk(model), _SWITCH, _numbered(takeover.epoch, takeover)),
            }
        }
        steps = [
            self._check(model, "EPOCH", open_, held),
            self._check(model, _PEER, "attribute_not_exists(pk) OR #n < :number", newest),
            put,
        ]
        try:
            with translated("flip the takeover switch"):
                self._dynamodb.transact_write_items(TransactItems=steps)
        except ClientError as error:
            raise _refused(model, epoch, error) from error

    def _check(self, model: ModelKey, sk: str, condition: str, values: dict[str, Any]) -> TransactWriteItemTypeDef:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": _key(_pk(model), sk),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": {"#n": "number"},
                "ExpressionAttributeValues": values,
            }
        }

    def takeover(self, model: ModelKey) -> Takeover | None:
        item = self._get(_pk(model), _SWITCH)
        return Takeover.stored(item["body"]["S"]) if item and "off" not in item else None

    def leadership(self, model: ModelKey) -> Leadership:
        found = {item["sk"]["S"]: item for item in self._query(_pk(model), _SWITCH)}
        switch, peer, beside = found.get(_SWITCH), found.get(_PEER), found.get(_BESIDE)
        takeover = Takeover.stored(switch["body"]["S"]) if switch else None
        off = switch is not None and "off" in switch
        return Leadership(
            takeover=None if off else takeover,
            former=takeover if off else None,
            standing=Standing.stored(peer["body"]["S"]) if peer else None,
            beside=Beside.stored(beside["body"]["S"]) if beside and "off" not in beside else None,
        )

    def standing(self, model: ModelKey) -> Standing | None:
        return self._body(model, _PEER, Standing)

    def learn(self, model: ModelKey, standing: Standing) -> None:
        """Name the model first: one that is named without a standing is harmless, the other way round it is lost."""
        with translated("name a model of the peer"):
            self._put("STANDINGS", str(model), {})
        older = LostRace(f"{model}: a higher epoch than {standing.epoch} is known")
        try:
            with translated("remember what the peer announced", ConditionalCheckFailedException=older):
                self._put(
                    _pk(model),
                    _PEER,
                    _numbered(standing.epoch, standing),
                    "attribute_not_exists(pk) OR #n <= :number",
                    {":number": {"N": str(standing.epoch)}},
                    {"#n": "number"},
                )
        except LostRace:
            return

    def stand_down(self, model: ModelKey, standing: Standing) -> None:
        newer = LostRace(f"{model}: the takeover is off, or newer than {standing.epoch}")
        try:
            with translated("stand down", ConditionalCheckFailedException=newer):
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(_pk(model), _SWITCH),
                    UpdateExpression="SET #off = :off",
                    ConditionExpression="#n < :number",
                    ExpressionAttributeNames={"#n": "number", "#off": "off"},
                    ExpressionAttributeValues={":number": {"N": str(standing.epoch)}, ":off": {"BOOL": True}},
                )
        except LostRace:
            return

    def put_beside(self, model: ModelKey, beside: Beside, previous: Beside | None) -> None:
        self._write_beside(model, beside, previous, {})

    def withdraw_beside(self, model: ModelKey, beside: Beside) -> None:
        """What is off keeps its item: nothing of this table is ever deleted by a function."""
        self._write_beside(model, beside, beside, {"off": {"BOOL": True}})

    def _write_beside(
        self, model: ModelKey, beside: Beside, previous: Beside | None, more: dict[str, AttributeValueTypeDef]
    ) -> None:
        fields = {"mark": {"S": beside.mark}, "body": {"S": beside.model_dump_json()}, **more}
        condition, names, values = _still(previous)
        lost = LostRace(f"{model}: what answers beside the home was changed by another at the same time")
        with translated("write what answers beside the home", ConditionalCheckFailedException=lost):
            self._put(_pk(model), _BESIDE, fields, condition, values, names)

    # what is being deleted

    def leaving(self, model: ModelKey, endpoint: str) -> Leaving | None:
        item = self._get(_pk(model), _LEAVING + endpoint)
        return Leaving.stored(item["body"]["S"]) if item and "off" not in item else None

    def leave(self, model: ModelKey, leaving: Leaving, previous: Leaving | None, epoch: Epoch | None) -> None:
        condition, names, values = _still(previous)
        put: PutTypeDef = {
            "TableName": self._table,
            "Item": _item(_pk(model), _LEAVING + leaving.endpoint, _leaving_fields(leaving)),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
        }
        if values:
            put["ExpressionAttributeValues"] = values
        lost = LostRace(f"{leaving.endpoint}: a failover of {model} began, or another look deletes it")
        with translated("say that an endpoint leaves", TransactionCanceledException=lost):
            self._dynamodb.transact_write_items(TransactItems=[self._unclaimed(model, epoch), {"Put": put}])

    def _unclaimed(self, model: ModelKey, epoch: Epoch | None) -> TransactWriteItemTypeDef:
        if epoch:
            held = {":number": {"N": str(epoch.number)}, ":holder": {"S": epoch.failover_id}}
            return self._check(model, "EPOCH", "#n = :number AND failover_id = :holder", held)
        key, never = _key(_pk(model), "EPOCH"), "attribute_not_exists(pk)"
        return {"ConditionCheck": {"TableName": self._table, "Key": key, "ConditionExpression": never}}

    def left(self, model: ModelKey, leaving: Leaving, *, gone: bool) -> None:
        condition, names, values = _still(leaving)
        fields = _leaving_fields(leaving.model_copy(update={"open": False}))
        off: dict[str, AttributeValueTypeDef] = {"off": {"BOOL": True}} if gone else {}
        lost = LostRace(f"{leaving.endpoint} of {model} is deleted by another look by now")
        with translated("say how far a deletion came", ConditionalCheckFailedException=lost):
            self._put(_pk(model), _LEAVING + leaving.endpoint, {**fields, **off}, condition, values, names)

    # routes and health

    def put_route(self, model: ModelKey, route: Route, checks: dict[str, str]) -> None:
        with translated("remember a route"):
            self._put(
                _pk(model), "ROUTE", {"body": {"S": route.model_dump_json()}, "checks": {"S": json.dumps(checks)}}
            )

    def route(self, model: ModelKey) -> Route | None:
        return self._body(model, "ROUTE", Route)

    def health(self, model: ModelKey) -> HealthState:
        return self._body(model, "HEALTH", HealthState) or HealthState()

    def put_health(self, model: ModelKey, state: HealthState) -> None:
        with translated("remember health"):
            self._put(_pk(model), "HEALTH", {"body": {"S": state.model_dump_json()}})

    # the region

    def capacity(self) -> Capacity | None:
        item = self._get("REGION", "CAPACITY")
        return Capacity.stored(item["body"]["S"]) if item else None

    def put_capacity(self, capacity: Capacity) -> None:
        with translated("remember what the region can carry"):
            self._put("REGION", "CAPACITY", {"body": {"S": capacity.model_dump_json()}})

    # transfers

    def open_transfer(self, transfer: Transfer, items: Iterable[WorkItem]) -> None:
        rest = (self._planned(transfer, item) for item in items)
        while batch := list(islice(rest, BATCH)):
            self._write(batch)
        with translated("put a plan in force"):
            self._put(_transfer_pk(transfer.owner, transfer.id), "PLAN", _kept(transfer, transfer))

    def transfer(self, owner: str, name: str) -> Transfer | None:
        item = self._get(_transfer_pk(owner, name), "PLAN")
        return Transfer.stored(item["body"]["S"]) if item else None

    def item_done(self, transfer: Transfer, item: WorkItem) -> None:
        """Look before the write: items are kept by plan, so what comes too late changes nothing of the plan in force.

        A condition across both would make every worker of a transfer contend for one item of the table.
        """
        held = self.transfer(transfer.owner, transfer.id)
        if held is None or held.plan != transfer.plan:
            raise LostRace(f"{transfer.owner} {transfer.id}: plan {transfer.plan} is not in force any more")
        with translated(f"note that {item.item} is done"):
            self._put(
                _transfer_pk(transfer.owner, transfer.id),
                _item_sk(transfer, item.item) + _DONE,
                _kept(transfer, item),
            )

    def items(self, transfer: Transfer) -> list[WorkItem]:
        found = self._query(_transfer_pk(transfer.owner, transfer.id), _item_sk(transfer, ""))
        # What came of an item is listed right behind it, and replaces it.
        named = {item.item: item for item in (WorkItem.stored(row["body"]["S"]) for row in found)}
        return [named[name] for name in sorted(named)]

    def _planned(self, transfer: Transfer, item: WorkItem) -> WriteRequestTypeDef:
        pk = _transfer_pk(transfer.owner, transfer.id)
        return {"PutRequest": {"Item": _item(pk, _item_sk(transfer, item.item), _kept(transfer, item))}}

    def _write(self, batch: list[WriteRequestTypeDef]) -> None:
        left = {self._table: batch}
        for attempt in range(TRIES):
            with translated("write work items"):
                left = self._dynamodb.batch_write_item(RequestItems=left)["UnprocessedItems"]  # type: ignore[assignment]
            if not left:
                return
            time.sleep(random.random() * min(2.0, 0.05 * 2**attempt))
        raise Throttled(f"the table {self._table} leaves work items unprocessed; it is tried again, more slowly")

    # the table

    def _body(self, model: ModelKey, sk: str, kind: type[T]) -> T | None:
        item = self._get(_pk(model), sk)
        return kind.stored(item["body"]["S"]) if item else None

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        with translated(f"read {sk} of {pk}"):
            return self._dynamodb.get_item(TableName=self._table, Key=_key(pk, sk), ConsistentRead=True).get("Item")

    def _query(self, pk: str, begins: str) -> list[dict[str, Any]]:
        names = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": pk}}}
        if begins:
            names["KeyConditionExpression"] = "pk = :pk AND begins_with(sk, :sk)"
            names["ExpressionAttributeValues"] = {":pk": {"S": pk}, ":sk": {"S": begins}}
        with translated(f"list {begins or 'items'} of {pk}"):
            pages = self._dynamodb.get_paginator("query").paginate(TableName=self._table, ConsistentRead=True, **names)  # type: ignore[arg-type]
            return [item for page in pages for item in page["Items"]]

    def _put(
        self,
        pk: str,
        sk: str,
        fields: dict[str, Any],
        condition: str | None = None,
        values: dict[str, Any] | None = None,
        names: dict[str, str] | None = None,
    ) -> None:
        extra: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        if values:
            extra["ExpressionAttributeValues"] = values
        if names:
            extra["ExpressionAttributeNames"] = names
        self._dynamodb.put_item(TableName=self._table, Item=_item(pk, sk, fields), **extra)


def _pk(model: ModelKey) -> str:
    return f"MODEL#{model}"


def _model(pk: str) -> ModelKey:
    return ModelKey.parse(pk.removeprefix("MODEL#"))


def _transfer_pk(owner: str, name: str) -> str:
    return f"TRANSFER#{owner}#{name}"


def _item_sk(transfer: Transfer, item: str) -> str:
    return f"ITEM#{transfer.plan}#{item}"


def _kept(transfer: Transfer, body: Frozen) -> dict[str, Any]:
    expires = int((transfer.started_at + KEPT).timestamp())
    return {"body": {"S": body.model_dump_json()}, "expires": {"N": str(expires)}}


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _item(pk: str, sk: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {**_key(pk, sk), **fields}


def _numbered(number: int, body: Frozen) -> dict[str, Any]:
    return {"number": {"N": str(number)}, "body": {"S": body.model_dump_json()}}


def _still(previous: Beside | Leaving | None) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return the condition that a row is as it was read, with its names and values; what is off is as if not there."""
    if previous is None:
        return "attribute_not_exists(pk) OR attribute_exists(#off)", {"#off": "off"}, {}
    names = {"#off": "off", "#mark": "mark"}
    return "#mark = :mark AND attribute_not_exists(#off)", names, {":mark": {"S": previous.mark}}


def _leaving_fields(leaving: Leaving) -> dict[str, Any]:
    expires = int((leaving.since + LEFT).timestamp())
    return {
        "mark": {"S": leaving.mark},
        "body": {"S": leaving.model_dump_json()},
        "expires": {"N": str(expires)},
    }


def _refused(model: ModelKey, epoch: Epoch, error: ClientError) -> Exception:
    """Return why a flip was cancelled: its epoch is over, or another write of the same items was under way."""
    reasons: list[Any] = error.response.get("CancellationReasons", [])
    if code(error) != "TransactionCanceledException":
        return error
    if any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons):
        return EpochTaken(f"{model}: epoch {epoch.number} is over, so the switch stays as it is; see `mldr epoch`")
    return Throttled(f"{model}: the switch was written by another at the same time; it is tried again")


def _epoch_fields(epoch: Epoch) -> dict[str, Any]:
    return {
        "number": {"N": str(epoch.number)},
        "failover_id": {"S": epoch.failover_id},
        "concluded": {"BOOL": epoch.concluded},
        "body": {"S": epoch.model_dump_json()},
        **({} if epoch.concluded else {"open": _CLAIM}),
    }


# What `annotate` sets stands beside the body, so that it needs no read before its write.
_NOTED = ("target_arn", "withdrawn", "damaged", "tier_tag", "criticality_tag")
_ANNOTATIONS = (*_NOTED, "reason")


def _fields(record: Record) -> dict[str, Any]:
    body = record.model_dump_json(exclude={"restorable", *_ANNOTATIONS})
    noted = {name: {"S": value} for name in _ANNOTATIONS if (value := getattr(record, name))}
    return {"attempt": {"N": str(record.attempt)}, "phase": {"S": record.phase}, "body": {"S": body}, **noted}


def _record(item: dict[str, Any]) -> Record:
    noted = {name: item[name]["S"] for name in _ANNOTATIONS if "S" in item.get(name, {})}
    return Record.stored(json.dumps({**json.loads(item["body"]["S"]), **noted}))
