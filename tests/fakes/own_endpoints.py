"""The models' own endpoints in memory: what each was made of."""

from __future__ import annotations

import datetime as dt

from mldr.domain.prediction_cache import Look

AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class FakeOwnEndpoints:
    """`made_of` has every endpoint that serves."""

    def __init__(self) -> None:
        self.made_of: dict[str, frozenset[str]] = {}
        self.looks: dict[str, Look] = {}

    def look(self, endpoint: str, component: str = "") -> Look:
        """What `looks` says; an endpoint in service that it does not name was made of `made_of`, long ago."""
        if endpoint in self.looks:
            return self.looks[endpoint]
        contents = self.made_of.get(endpoint)
        if contents is None:
            return Look(status="Missing")
        return Look(
            status="InService", config=f"{endpoint}-1", contents=contents, models=1, made_at=AGO, changed_at=AGO
        )

    def contents(self, endpoint: str, component: str = "") -> frozenset[str]:
        return self.made_of.get(endpoint, frozenset())
