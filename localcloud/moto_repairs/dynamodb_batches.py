"""DynamoDB's batches and transactions as AWS takes them: limited, without repeated keys, and idempotent by token.

Restores: BatchWriteItem takes 25 requests and no key twice (moto compares whole items, across tables); a transaction
that is sent again with its ClientRequestToken within ten minutes is done once.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.dynamodb.exceptions import DynamodbException, MockValidationException
from moto.dynamodb.responses import DynamoHandler

from localcloud.patches import Patches

WRITES, REMEMBERED_SECONDS = 25, 600.0
TWICE = "Provided list of item keys contains duplicates"


class IdempotentParameterMismatch(DynamodbException):
    """The token was used for another transaction."""

    def __init__(self) -> None:
        super().__init__(
            "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
            "The request token is used with different parameters.",
        )


class DynamoDBBatches:
    """Checks batches, and remembers the tokens of transactions."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._done: dict[tuple[str, str, str], tuple[float, str, Any]] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Put the repairs in place."""
        for name, repaired in (("batch_write_item", _checked), ("transact_write_items", self._once)):
            self._patches.replace(DynamoHandler, name, repaired(vars(DynamoHandler)[name]))

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()

    def _once(self, original: Callable[[DynamoHandler], Any]) -> Callable[[DynamoHandler], Any]:
        def transact(handler: DynamoHandler) -> Any:
            token = handler.body.get("ClientRequestToken")
            if not token:
                return original(handler)
            key, asked = (handler.current_account, handler.region, token), json.dumps(handler.body, sort_keys=True)
            with self._lock:
                at, before, answer = self._done.get(key, (0.0, "", None))
                if time.monotonic() - at < REMEMBERED_SECONDS and before:
                    if before != asked:
                        raise IdempotentParameterMismatch
                    return answer
                answer = original(handler)
                self._done[key] = (time.monotonic(), asked, answer)
            return answer

        return transact


def _checked(original: Callable[[DynamoHandler], Any]) -> Callable[[DynamoHandler], Any]:
    def write(handler: DynamoHandler) -> Any:
        asked = handler.body["RequestItems"]
        if not 1 <= sum(len(requests) for requests in asked.values()) <= WRITES:
            raise MockValidationException(f"1 validation error detected: a batch has 1 to {WRITES} requests")
        for name, requests in asked.items():
            parts = [part["AttributeName"] for part in handler.dynamodb_backend.get_table(name).schema]
            named = [_named(request, parts) for request in requests]
            if len(set(named)) != len(named):
                raise MockValidationException(TWICE)
        # A handler lives for one request.
        handler._contains_duplicates = lambda keys: False  # type: ignore[method-assign]
        return original(handler)

    return write


def _named(request: dict[str, Any], parts: list[str]) -> str:
    item = request["PutRequest"]["Item"] if "PutRequest" in request else request["DeleteRequest"]["Key"]
    return json.dumps([item.get(part) for part in parts], sort_keys=True)
