"""The takeover switch as checkers would see it, and ARC's routing controls, in memory."""

from __future__ import annotations

from mldr.domain.arc import read_controls, states_for
from mldr.domain.identity import ModelKey
from mldr.errors import MldrError


class FakeSwitchSignal:
    """`shown` has what was shown last of each model and side; `refusal` is raised instead."""

    def __init__(self) -> None:
        self.shown: dict[tuple[ModelKey, bool], bool] = {}
        self.refusal: MldrError | None = None

    def show(self, model: ModelKey, *, on: bool, at_home: bool) -> None:
        if self.refusal:
            raise self.refusal
        self.shown[model, at_home] = on


class FakeRoutingControls:
    """`states` has every control by ARN; `refusal` is raised instead."""

    def __init__(self, controls: str = "") -> None:
        self.controls = controls
        self.states: dict[str, bool] = {}
        self.refusal: MldrError | None = None

    def point(self, model: ModelKey, region: str) -> bool:
        states = states_for(model, region, read_controls(self.controls))
        if self.refusal:
            raise self.refusal
        self.states |= {state.arn: state.on for state in states}
        return bool(states)
