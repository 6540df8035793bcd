"""DynamoDB's writes are atomic: a condition holds until its write is done, and a transaction is whole.

moto checks a condition and then writes, so that two conditional writes at once can both win; and it takes a
transaction back by restoring a copy of the tables, which loses what others wrote meanwhile.
"""

import threading
from collections.abc import Callable
from typing import Any

from moto.dynamodb.models import DynamoDBBackend

from localcloud.patches import Patches

WRITES = ("put_item", "update_item", "delete_item", "transact_write_items")


class DynamoDBRepairs:
    """Lets one write happen at a time."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._lock = threading.RLock()  # a transaction calls the single writes

    def start(self) -> None:
        """Put the repair in place."""
        for name in WRITES:
            self._patches.replace(DynamoDBBackend, name, self._alone(vars(DynamoDBBackend)[name]))

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()

    def _alone(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def write(backend: DynamoDBBackend, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return original(backend, *args, **kwargs)

        return write
