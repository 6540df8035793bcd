"""The world as clients see it, as a test wants it seen."""

from __future__ import annotations

from mldr.domain.health import Observation, Sight


class FakeOutside:
    """`texts` answers by full name or first label, `targets` by name, `probes` by host; other names do not resolve."""

    def __init__(self) -> None:
        self.texts: dict[str, str | None] = {"_switch": "off", "_health": "healthy"}
        self.targets: dict[str, str | None] = {}
        self.probes: dict[str, Sight] = {}
        self.probed: list[tuple[str, str]] = []

    def text(self, name: str) -> str | None:
        return self.texts.get(name, self.texts.get(name.partition(".")[0]))

    def probe(self, host: str, path: str) -> Observation:
        self.probed.append((host, path))
        sight = self.probes.get(host, Sight.HEALTHY)
        return Observation(vantage="standby", sight=sight, detail=f"{host} looks {sight}")

    def target(self, name: str) -> str | None:
        return self.targets.get(name)
