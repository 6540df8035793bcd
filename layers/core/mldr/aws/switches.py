"""The two takeover switches: what Route 53's checkers look at, a path of the gateway or a metric."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.switches import shown
from mldr.ports.stack import Metrics


class GatewaySwitch:
    """Needs nothing: the gateway answers the checkers from the catalog, so there is nothing left to tell them."""

    def show(self, model: ModelKey, *, on: bool, at_home: bool) -> None:
        """Return at once."""


class MetricSwitch:
    """Needs what its Metrics need. The schedule repeats every minute what is shown here at once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def show(self, model: ModelKey, *, on: bool, at_home: bool) -> None:
        self._metrics.publish([shown(model, on=on, at_home=at_home)])
