"""The world as clients see it, as a test wants it seen."""

from __future__ import annotations

from collections.abc import Callable

from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement, Leadership, announce


class FakeOutside:
    """`texts` answers by full name or first label, `targets` by name, `probes` by host; other names do not resolve."""

    def __init__(self) -> None:
        self.texts: dict[str, str | None] = {"_switch": "off", "_health": "healthy"}
        self.targets: dict[str, str | None] = {}
        self.probes: dict[str, Sight] = {}
        self.probed: list[tuple[str, str]] = []
        self.witnessed: dict[str, Sight] = {}  # by the witness's host
        self.witnesses: list[tuple[str, str, str, str]] = []
        # By host: what its gateway says, or how it finds out; None when it is silent. The others know nothing.
        self.announcements: dict[str, Announcement | Callable[[ModelKey], Announcement | None] | None] = {}
        self.listened: list[tuple[str, str]] = []
        self.warmed: list[tuple[str, str, bytes, str, int]] = []

    def text(self, name: str) -> str | None:
        return self.texts.get(name, self.texts.get(name.partition(".")[0]))

    def probe(self, host: str, path: str) -> Observation:
        self.probed.append((host, path))
        sight = self.probes.get(host, Sight.HEALTHY)
        return Observation(vantage="standby", sight=sight, detail=f"{host} looks {sight}")

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        self.witnesses.append((witness, host, str(model), token))
        sight = self.witnessed.get(witness, Sight.UNKNOWN)
        return Observation(vantage="witness", sight=sight, detail=f"{witness} sees {host} {sight}")

    def target(self, name: str) -> str | None:
        return self.targets.get(name)

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        self.listened.append((host, str(model)))
        if host not in self.announcements:
            return announce(model, host, Leadership(), route=None, version=None)
        said = self.announcements[host]
        return said(model) if callable(said) else said

    def warm(
        self, host: str, model: ModelKey, body: bytes, content_type: str, token: str, *, requests: int
    ) -> list[float]:
        self.warmed.append((host, str(model), body, token, requests))
        return [1.0] * requests
