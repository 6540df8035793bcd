"""Crash a run after each of its calls in turn, deliver again, and compare with the run that nothing interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.functional.crash.story import Story
from tests.functional.crash.truth import difference, final_state, nothing_partial
from tests.functional.crash.wire import Call, Cut

# The queue, not a state machine, tries these again.
FED_BY_A_QUEUE = {"capture_recovery_point", "capture_serving", "converge_serving", "start_failover"}


@dataclass
class Play:
    """A run that is repeated with crashes: where it begins, what it does, and whether it has come to its end."""

    story: Story
    chapter: str
    act: Callable[[bool], bool]  # retried? -> done?
    calls: list[Call] = field(default_factory=list)
    ending: dict[str, Any] = field(default_factory=dict)

    def rehearse(self) -> None:
        """Record the calls and the end of the run without a crash; nothing partial after any call."""
        if self.calls:
            return
        self.story.begin(self.chapter)
        self.story.regions.wire.seen = lambda: nothing_partial(self.story)
        assert self.act(True), "the run fails without any crash"
        self.calls, self.ending = self.story.regions.wire.calls, final_state(self.story)

    def cuts(self, door: str) -> list[Cut]:
        """After every call of a function, and before the first of each invocation.

        Dying before any other call leaves what dying after the one before it leaves.
        """
        own = [call for call in self.calls if call.door == door]
        return [Cut(call, before=True) for call in own if call.first] + [Cut(call) for call in own]

    def crash(self, door: str, *, retried: bool) -> list[str]:
        """Return what went wrong, one line for each crash that did not end as it should."""
        self.rehearse()
        cuts = self.cuts(door)
        assert cuts, f"{door} made no call: nothing was crashed"
        return [f"{cut}: {wrong}" for cut in cuts if (wrong := self._survives(cut, retried))]

    def _survives(self, cut: Cut, retried: bool) -> str:
        self.story.begin(self.chapter)
        self.story.regions.wire.cut = cut
        done = self.act(retried)
        if retried and not done and cut.call.door not in FED_BY_A_QUEUE:
            return "its state machine did not try it again"
        try:
            nothing_partial(self.story)
            self._delivered_again()
            nothing_partial(self.story)
        except AssertionError as wrong:
            return str(wrong)
        return difference(self.ending, final_state(self.story))

    def _delivered_again(self) -> None:
        """Once to make good what died, and once more, as any message may come; both late."""
        self.story.regions.wire.cut = None
        for _ in range(2):
            self.story.regions.forget_tokens()
            self.act(True)
