"""The figures by which a region shows Route 53 who serves a model, where the checkers cannot ask the gateways."""

from __future__ import annotations

from mldr.domain.identity import ModelKey
from mldr.domain.lag import Measured
from mldr.domain.routing import DEEP_HEALTH, TAKEN_BACK, TAKEOVER_SWITCH

SHOWN = "SwitchesShown"  # how many models a round spoke for: silence alarms

_ON, _OFF, _WELL = 200, 404, 200


def shown(model: ModelKey, *, on: bool, at_home: bool) -> Measured:
    """Return the figure of a region's own switch: in the standby that it took over, in the home that it took back."""
    return _figure(model, TAKEN_BACK if at_home else TAKEOVER_SWITCH, holds=on)


def of_standby(model: ModelKey, takeover: int, health: int | None = None) -> list[Measured]:
    """Return what a standby shows, given what its gateway would answer a checker that asks for the switch.

    Nothing of the switch when that cannot be told: it stays as it is. `health` is given where it answers beside the
    home; what cannot be told there is not well, and its clients go to the home.
    """
    switch = [shown(model, on=takeover == _ON, at_home=False)] if takeover in (_ON, _OFF) else []
    return switch if health is None else [*switch, _figure(model, DEEP_HEALTH, holds=health == _WELL)]


def of_home(model: ModelKey, takeover: int, health: int) -> list[Measured]:
    """Return what a home shows. A home that is not well has not taken its model back: it must not hold the clients."""
    well = health == _WELL
    return [
        _figure(model, DEEP_HEALTH, holds=well),
        _figure(model, TAKEN_BACK, holds=takeover == _ON and well),
    ]


def total(models: int) -> Measured:
    """Return the figure that is published in every round, also when there is no model."""
    return Measured(name=SHOWN, value=models, unit="None")


def _figure(model: ModelKey, name: str, *, holds: bool) -> Measured:
    return Measured(name=name, value=float(holds), unit="None", model=model)
