"""The pieces of a transfer, of a model or of a dataset."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from mldr.domain.manifests import Entry
from mldr.domain.recovery_point import Retention
from mldr.domain.transfers import Transfer
from mldr.events.message import Message


class PieceTask(Message):
    """A piece of a transfer: whose it is does not matter to the function that does it."""

    transfer: Transfer
    retention: Retention
    item: str


class PartsTask(PieceTask):
    """A range of parts of one large object."""

    entry: Entry
    upload: str
    first: int = Field(ge=1)
    last: int = Field(ge=1)


class ShardTask(PieceTask):
    """One shard: what is planned of it is a working file."""

    plan_key: str
    extend: bool = False
    locked_until: dt.datetime | None = None

    @property
    def all_locked_until(self) -> dt.datetime:
        """Return until when everything in the shard is locked once it is copied: what is reused may end sooner."""
        reused = None if self.extend else self.locked_until
        return min(self.retention.until, reused or self.retention.until)


class DigestTask(Message):
    """A look at the checksums that S3 computes for the shards that a map has read."""

    shards_key: str = Field(pattern=r"^in-progress/.+/[^/]+\.json$")
