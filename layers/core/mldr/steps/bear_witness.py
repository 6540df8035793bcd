"""Tell another pair of regions what a gateway of theirs looks like from here."""

from __future__ import annotations

import re

from mldr.domain.health import Observation
from mldr.domain.identity import Frozen, ModelKey
from mldr.ports.outside import Outside, Tokens

_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*")


class Testimony(Frozen):
    """An HTTP answer: what was seen, or why nobody looked."""

    status: int
    body: str


def bear_witness(model: ModelKey, host: str, token: str, *, tokens: Tokens, outside: Outside) -> Testimony:
    """Return what one request to a gateway saw: 401 without the right token, 400 when the host is no name.

    Only the health of a model is asked for, and only what was seen leaves, so that it is no way into other places.
    """
    if not tokens.valid(token):
        return Testimony(status=401, body='{"message": "send the gateway token as `Authorization: Bearer …`"}')
    if not _HOST.fullmatch(host):
        return Testimony(status=400, body='{"message": "host: give the name of the gateway to look at"}')
    seen: Observation = outside.probe(host, f"/models/{model.name}/health")
    return Testimony(status=200, body=seen.model_copy(update={"vantage": "witness"}).model_dump_json())
