"""The looks of *watch*, and a person's word on the failover that it asked about."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mldr.events.message import Message, Model


class FailoverApproval(Message):
    """A person confirms the failover that a page asked about."""

    model: Model
    token: str = Field(min_length=8, max_length=200)
    approved_by: str = Field(default="unknown", min_length=1, max_length=200)
    approval_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,60}$")


class FailoverApproved(Message):
    """`Failover Approved` as it arrives. Its event id is the approval's unless it brings an id of its own."""

    id: str
    source: Literal["mldr"]
    detail_type: Literal["Failover Approved"] = Field(alias="detail-type")
    detail: FailoverApproval

    @property
    def approval_id(self) -> str:
        """Return the id under which this approval counts once, however often the event arrives."""
        return self.detail.approval_id or self.id


class WatchTask(Message):
    """One look of *watch*: how many there were, how many there are to be, and the seconds between them."""

    round: int
    rounds: int
    pause: int
