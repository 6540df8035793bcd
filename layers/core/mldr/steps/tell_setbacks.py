"""Remember what keeps an endpoint from standing, tell a person once, and forget it when it stands."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.setbacks import DAMAGED, Hindrance, after
from mldr.ports.serving import Setbacks
from mldr.ports.stack import Clock, Pager

FROM_THE_VAULT = (
    "Nobody is sent to what does not stand: a failover makes it from the vault, as for a cold standby, and of two "
    "regions that answer the home answers alone."
)
GOES_ON = (
    "What stands of it, or answers, goes on. A failover restores the newest sound point, if there is one: an older "
    "version, or nothing."
)


def tell_setback(
    model: ModelKey, met: Hindrance, *, region: str, setbacks: Setbacks, pager: Pager, clock: Clock
) -> None:
    """Page before remembering: a crash between the two pages again, and not never."""
    before = setbacks.of(model)
    found, tell = after(before, met, clock.now())
    if tell:
        pager.page(
            f"mldr: {model} does not stand in {region}",
            f"{met.kind}: {met.reason}\n\n{GOES_ON if met.kind == DAMAGED else FROM_THE_VAULT} It is tried again "
            f"every five minutes; you are told of this once. What is the matter now: mldr status {model.name}. "
            "What to do: the section 'What is to stand does not' of the operator's guide",
        )
    if found != before:
        setbacks.put(model, found)


def forget_setback(model: ModelKey, setbacks: Setbacks) -> None:
    """It stands, or nothing is to stand."""
    if setbacks.of(model):
        setbacks.put(model, None)
