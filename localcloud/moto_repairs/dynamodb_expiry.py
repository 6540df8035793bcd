"""DynamoDB's time to live: items whose time has passed are gone after the next push of the local clock.

AWS deletes them within some days, so nothing may rely on the moment; moto never does.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
"""

from __future__ import annotations

import logging
from typing import Any

from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

from localcloud.clock import Clock
from localcloud.outage import Outage

log = logging.getLogger(__name__)


class Expiry:
    """Removes expired items from every table that has a time to live."""

    def __init__(self, account: str, outage: Outage, clock: Clock) -> None:
        self._account, self._outage, self._clock = account, outage, clock
        self._running = False
        clock.subscribe(self._sweep)

    def start(self) -> None:
        """Begin to follow the clock."""
        self._running = True

    def stop(self) -> None:
        """Let everything stay."""
        self._running = False

    def _sweep(self) -> None:
        if not self._running:
            return
        for region, backend in list(dynamodb_backends[self._account].items()):
            for table in [] if self._outage.failed(region) else list(backend.tables.values()):
                if table.ttl.get("TimeToLiveStatus") == "ENABLED":
                    self._remove_expired(backend, table, table.ttl["AttributeName"])

    def _remove_expired(self, backend: DynamoDBBackend, table: Any, attribute: str) -> None:
        for item in table.all_items():
            until = item.attrs.get(attribute)
            if until is None or until.type != "N" or float(until.value) > self._clock.now():
                continue
            parts = (part["AttributeName"] for part in table.schema)
            key = {part: {item.attrs[part].type: item.attrs[part].value} for part in parts}
            try:
                backend.delete_item(
                    table.name,
                    key,
                    expression_attribute_names={"#ttl": attribute},
                    expression_attribute_values={":seen": {until.type: until.value}},
                    condition_expression="#ttl = :seen",
                )
            except ConditionalCheckFailed:
                log.info("an item of %s was renewed while it expired", table.name)
