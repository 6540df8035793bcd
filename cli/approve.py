"""`mldr approve`: confirm the failover that a page asked about."""

from __future__ import annotations

import hmac
import time
import uuid
from dataclasses import replace
from typing import Annotated

import typer

from cli.failover import POLL, Followed, conclude, who
from cli.options import ModelName, Timeout, Wait
from cli.outcomes import Ended, Exit
from cli.output import AsJson, out, print_json
from cli.regions import Bus, Environment, Place, Region, look, places, silence
from mldr.domain.approvals import Approval, digest_of
from mldr.domain.identity import ModelKey
from mldr.events.detail_types import FAILOVER_APPROVED
from mldr.events.health import FailoverApproval

Token = Annotated[str, typer.Argument(help="The token of the newest page.", show_default=False)]
TAKEN_WITHIN = 60.0  # seconds
LOST = "look into the queues mldr-<env>-approval and mldr-<env>-approval-dlq"


def approve(
    model: ModelName,
    token: Token,
    wait: Wait = False,
    timeout: Timeout = 1800,
    as_json: AsJson = False,
    region: Region = None,
    env: Environment = "prod",
    bus: Bus = "mldr",
) -> None:
    """Confirm the failover that a page asked about, once, within the time that it names.

    [dim]$[/] mldr approve recommender-eu 5f0c9a417b3e8d2266a1c4f0 --wait --region ap-southeast-3

    `Failover Approved` is put on the bus of the region that asked; its own clock decides whether the time is over.

    Exit codes: 0 approved, the failover follows (with --wait: it completed), 1 it does not count (a wrong, used,
    expired or withdrawn token), or the failover did not complete, 2 bad input, 3 the region cannot be reached.
    """
    key = ModelKey.parse(model)
    approval_id = f"approval-{uuid.uuid4().hex}"
    said = FailoverApproval.parse({"model": str(key), "token": token, "approved_by": who(), "approval_id": approval_id})
    place = replace(_asking(key, token, places(region, env)), bus_name=bus)
    place.bus.put(FAILOVER_APPROVED, {**said.model_dump(mode="json"), "model": str(key)})
    began = time.monotonic()
    approval = _settled(place, key, approval_id, began + min(timeout, TAKEN_WITHIN))
    if wait:
        followed = Followed(key, approval.failover_id, place)
        conclude(followed, wait=True, timeout=timeout - (time.monotonic() - began), as_json=as_json)
        return
    if as_json:
        print_json({"model": str(key), "failover_id": approval.failover_id, "region": place.region})
        return
    out.print(f"[green]✓[/] approved: {place.region} takes over {key}, failover {approval.failover_id}")
    out.print(f"  [dim]→ follow it with `mldr status {key.name}`[/]")


def _asking(model: ModelKey, token: str, where: list[Place]) -> Place:
    """Return the region that sent the token. Ends the command when none that answers did."""
    looked = look(where, lambda place: place.decisions.approval(model))
    known = {region: found for region, found in looked.answers.items() if found}
    for place in where:
        found = known.get(place.region)
        if found and hmac.compare_digest(found.digest, digest_of(token)):
            return place
    more = f"; {silence(looked)}" if looked.silent else ""
    if not known:
        raise Ended(Exit.DOES_NOT_HOLD, f"no failover of {model} waits for an approval{more}", "see `mldr decisions`")
    raise Ended(Exit.DOES_NOT_HOLD, f"the token is wrong{more}", "the newest page has the one that counts")


def _settled(place: Place, model: ModelKey, approval_id: str, deadline: float) -> Approval:
    """Return the question once this approval has answered it. Ends the command when it does not count."""
    advice = f"see `mldr decisions {model.name}`"
    while True:
        found = place.decisions.approval(model)
        if found and found.used_for == approval_id:
            return found
        if found and found.used_at:
            text = f"{found.used_by} approved it at {found.used_at:%H:%M:%S} UTC: failover {found.failover_id}"
            raise Ended(Exit.DOES_NOT_HOLD, text, advice)
        if found and found.withdrawn:
            raise Ended(Exit.DOES_NOT_HOLD, f"it is withdrawn: {found.withdrawn}", advice)
        if time.monotonic() > deadline:
            until = f"{found.expires_at:%H:%M:%S} UTC" if found else "an unknown time"
            raise Ended(
                Exit.DOES_NOT_HOLD, f"the approval was not taken; the token counted until {until}", f"{advice}; {LOST}"
            )
        time.sleep(POLL)
