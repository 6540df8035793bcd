"""DynamoDB's calls are atomic: a condition holds until its write is done, a transaction is whole, a read sees no half.

moto checks a condition and then writes, so that two conditional writes at once can both win; it takes a transaction
back by restoring a copy of the tables, which loses what others wrote meanwhile; and it reads tables and items while
others change them, which ends in "dictionary changed size during iteration" (even a get of a missing item adds a key).
"""

import copy
import threading
from collections.abc import Callable
from typing import Any

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

from localcloud.patches import Patches

CALLS = {
    DynamoDBBackend: "put_item update_item delete_item transact_write_items get_item query scan".split(),
    Table: ("all_items", "__len__"),  # what sweeps, exports and descriptions read
}


class DynamoDBRepairs:
    """Lets one call happen at a time."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._lock = threading.RLock()  # a transaction calls the single writes

    def start(self) -> None:
        """Put the repair in place."""
        for owner, names in CALLS.items():
            for name in names:
                self._patches.replace(owner, name, self._alone(vars(owner)[name]))

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()

    def _alone(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(place: DynamoDBBackend | Table, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                found = original(place, *args, **kwargs)
                # The answer is written after the call; the item itself may be changed by then.
                return copy.deepcopy(found) if isinstance(found, Item) else found

        return call
