"""Law 1, read off the log of every call: recovering asks nothing of a lost region, nor of a control plane elsewhere."""

from collections.abc import Iterable
from typing import Any

Calls = Iterable[dict[str, Any]]


def forbidden(calls: Calls, *lost: str) -> list[dict[str, Any]]:
    """The calls that no recovery may make; one that was refused, for whatever reason, was made."""
    return [one for one in calls if one["region"] in lost or one["control_plane"] or one["refused"]]


def operations(calls: Calls) -> set[str]:
    """What was called: a log in which the recovery itself is not would prove nothing."""
    return {one["operation"] for one in calls}
