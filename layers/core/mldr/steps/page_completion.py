"""Page what a failover that completed leaves to be done: one rule for a model and for a region."""

from __future__ import annotations

from dataclasses import dataclass

from mldr.ports.stack import Pager


@dataclass(frozen=True)
class Completion:
    """A failover that completed. `clients` says where they are now, and `home` how they go home one day."""

    of: str
    said: str
    clients: str
    home: str
    warned: bool
    by_itself: bool
    untold: bool = False


def page_completion(done: Completion, pager: Pager) -> None:
    """Page for a warning, and for what nobody asked for, where it is told what happened.

    Who asked for it knows. That nothing has to be done is only said where nothing has.
    """
    calm = "" if done.warned else ", and nothing has to be done now"
    served = f"{done.clients}{calm}. {done.home}" if done.by_itself else ""
    page = "\n\n".join(one for one in (done.said, served) if one)
    if done.untold:
        pager.page(f"mldr: {done.of} completed, but not everybody was told", page)
    elif done.warned:
        pager.page(f"mldr: {done.of} completed, with a warning", page)
    elif done.by_itself:
        pager.page(f"mldr: {done.of} completed by itself", page)
