"""The one place where ports meet adapters, each made when first used: a function pays for its own clients only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache

from mldr import settings
from mldr.wiring.gateway import Gateways


class World(Gateways):
    """Everything that a step may touch."""


@cache
def world() -> World:
    """Build the real world once per execution environment. Raises BadSettings."""
    return World(settings.load())


def at_start(*adapters: str, clients: Sequence[str] = ()) -> None:
    """Make adapters and clients of services while an execution environment of Lambda starts; does nothing elsewhere.

    Nothing is asked over the network: what hangs may cost a start no time. Raises BadSettings.
    """
    if "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        return
    made = world()
    for name in adapters:
        getattr(made, name)
    for service in clients:
        made._client(service)
