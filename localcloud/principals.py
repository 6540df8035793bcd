"""Who is calling: access key ids of the local cloud that say which part of the stack holds them."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["function", "state-machine", "endpoint"]
KINDS: tuple[Kind, ...] = ("function", "state-machine", "endpoint")
DEPLOYER = "deployer"


@dataclass(frozen=True)
class Principal:
    """One part of the stack that calls AWS with a role of its own."""

    kind: Kind
    region: str
    name: str


def access_key(kind: Kind, region: str, name: str) -> str:
    """The access key id that the part signs its calls with."""
    return f"{kind}:{region}:{name}"


def principal(key: str) -> Principal | None:
    """The part behind an access key id; None for people and tools, who may do everything."""
    kind, _, rest = key.partition(":")
    region, _, name = rest.partition(":")
    for known in KINDS:
        if kind == known and region and name:
            return Principal(known, region, name)
    return None
