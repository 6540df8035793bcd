"""The world as clients see it: names, gateways, and the switches that send them to a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mldr.domain.health import Observation
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement
from mldr.domain.routing import Front, Route, RoutedRecord


class Dns(Protocol):
    """Route 53: health checks and records. Called on onboarding and when a tier changes, never during recovery."""

    def ensure_checks(self, model: ModelKey, route: Route) -> dict[str, str]:
        """Create the missing health checks; return id by role. Raises ChecksRefused."""

    def ensure_records(
        self, records: Sequence[RoutedRecord], ttl: int, check_ids: dict[str, str], *, gone: Sequence[str] = ()
    ) -> None:
        """Make the records' names hold these and no others, and the canaries in `gone` nothing, in one step.

        A name is answered at every instant. Raises ZoneMissing, RecordsChanged.
        """


class SwitchSignal(Protocol):
    """What Route 53's checkers see of a takeover switch. The catalog decides; this only shows what it says."""

    def show(self, model: ModelKey, *, on: bool, at_home: bool) -> None:
        """Show at once that this region has, or has not, taken the model over (at home: taken it back)."""


class RoutingControls(Protocol):
    """ARC routing controls: their data plane, never a look-up."""

    def point(self, model: ModelKey, region: str) -> bool:
        """Send a model's traffic to a region, all of its controls in one step; False where it has none.

        Pointing twice is harmless. Raises RoutingRefused, RegionUnreachable; then no control has changed.
        """


class Fronts(Protocol):
    """Where the gateways are. Read when a model is onboarded, never during recovery."""

    def front(self, region: str) -> Front:
        """Return a region's gateway. Raises ZoneMissing when the region has none."""


class Outside(Protocol):
    """The world as clients see it: names and gateways over the public network."""

    def text(self, name: str) -> str | None:
        """Return the TXT record of a name, or None when it does not resolve: how a canary is read."""

    def probe(self, host: str, path: str) -> Observation:
        """Return what an HTTPS request to a gateway saw."""

    def ask_witness(self, witness: str, host: str, model: ModelKey, token: str) -> Observation:
        """Return what a witness in another region saw of a gateway; unknown when it cannot be asked."""

    def target(self, name: str) -> str | None:
        """Return the host that a name points to right now, or None when it does not resolve."""

    def announcement(self, host: str, model: ModelKey) -> Announcement | None:
        """Return what a gateway says of who serves a model, within a second, or None when it does not."""

    def warm(
        self, host: str, model: ModelKey, body: bytes, content_type: str, token: str, *, requests: int
    ) -> list[float]:
        """Ask a gateway, so many times at once, to get ready; return the milliseconds of each answer that came."""


class Tokens(Protocol):
    """The secret that clients of the gateway present."""

    def valid(self, presented: str) -> bool:
        """Return whether a bearer token is the right one; compared in constant time."""

    def present(self) -> str:
        """Return the token, to show it to a gateway."""
