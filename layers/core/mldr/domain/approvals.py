"""A person's word before a failover: a token that is used once, within a time, and kept only as a digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import Self

from mldr.domain.identity import Frozen


class Approval(Frozen):
    """What a person was asked, and what came of it. `used_for` is the approval's own id, so that it may come twice."""

    failover_id: str
    digest: str  # SHA-256 of the token, in hexadecimal
    reason: str
    asked_at: dt.datetime
    expires_at: dt.datetime
    first_failure_at: dt.datetime | None = None
    used_for: str = ""
    used_by: str = ""
    used_at: dt.datetime | None = None
    withdrawn: str = ""  # why it counts no more

    @classmethod
    def ask(
        cls,
        token: str,
        *,
        failover_id: str,
        reason: str,
        now: dt.datetime,
        until: dt.datetime,
        first: dt.datetime | None,
    ) -> Self:
        """Return what to keep of a question; the token itself goes to the person and nowhere else."""
        return cls(
            failover_id=failover_id,
            digest=digest_of(token),
            reason=reason,
            asked_at=now,
            expires_at=until,
            first_failure_at=first,
        )

    @property
    def open(self) -> bool:
        """Whether nothing came of it yet."""
        return self.used_at is None and not self.withdrawn

    def use(self, who: str, approval_id: str, now: dt.datetime) -> Self:
        """Return it as used."""
        return self.model_copy(update={"used_by": who, "used_for": approval_id, "used_at": now})

    def withdraw(self, why: str) -> Self:
        """Return it as no longer of use."""
        return self.model_copy(update={"withdrawn": why})


def digest_of(token: str) -> str:
    """Return the digest by which a token is known; tokens are long and random, so it needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def objection(approval: Approval | None, token: str, approval_id: str, now: dt.datetime) -> str:
    """Return why a token does not approve; '' when it does, also again for the approval that used it.

    Whoever does not have the token learns only that it is wrong. Tokens are compared in constant time.
    """
    if approval is None:
        return "no failover of this model waits for an approval"
    if not hmac.compare_digest(approval.digest, digest_of(token)):
        return "the token is wrong, or a newer one was sent; the newest page has the one that counts"
    return "" if approval.used_for == approval_id else _spent(approval, now)


def _spent(approval: Approval, now: dt.datetime) -> str:
    if approval.used_at:
        when = f"{approval.used_at:%Y-%m-%d %H:%M:%S}"
        return f"{approval.used_by} approved it at {when}; failover {approval.failover_id} follows from that"
    if approval.withdrawn:
        return f"it is withdrawn: {approval.withdrawn}; to move the model all the same: mldr failover"
    if now >= approval.expires_at:
        return f"the token expired at {approval.expires_at:%Y-%m-%d %H:%M:%S}; a new one is sent while the outage lasts"
    return ""
