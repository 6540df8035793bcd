"""Put the plan of a copy in force, and list for a state machine what of it is still to be copied."""

from __future__ import annotations

from mldr.domain.identity import Frozen
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import PartsItem, PlanState, ShardItem, Transfer
from mldr.ports.catalog import Catalog
from mldr.ports.vault import Vault
from mldr.steps.working_files import keep_items


class Inventory(Frozen):
    """What the state machine needs to copy: where the work is listed, and until when the copies are locked."""

    sealed: bool = False
    more: bool = False  # the planning ran out of time and goes on after the cursor
    cursor: str = ""
    transfer: Transfer | None = None
    parts_key: str = ""
    parts: int = 0
    shards_key: str = ""
    shards: int = 0
    retention: Retention | None = None


def put_in_force(state: PlanState, catalog: Catalog, vault: Vault) -> Inventory:
    """Return the inventory of a plan that is complete. What an earlier attempt copied is not listed again."""
    transfer = state.transfer
    catalog.open_transfer(transfer, state.work)
    done = {item.item for item in catalog.items(transfer) if item.done_at}
    parts: list[PartsItem] = [one for one in state.parts if one.item not in done]
    shards: list[ShardItem] = [one for one in state.shards if one.item not in done]
    return Inventory(
        transfer=transfer,
        parts_key=keep_items(vault, transfer, "parts.json", parts),
        parts=len(parts),
        shards_key=keep_items(vault, transfer, "shards.json", shards),
        shards=len(shards),
        retention=state.retention,
    )
