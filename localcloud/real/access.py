"""Keys that a server on loopback accepts."""

from __future__ import annotations

from typing import NamedTuple

REGION = "ap-southeast-3"


class Access(NamedTuple):
    """What signs a request."""

    access_key: str
    secret_key: str
