"""What else a function does with more than one call: take an approval back, give it back, and ask for a failover."""

from __future__ import annotations

import pytest

from tests.functional.crash.crashes import Play
from tests.functional.crash.story import MODEL, Story
from tests.functional.crash.truth import catalog


@pytest.mark.parametrize(("chapter", "status"), [("rejected", "Rejected"), ("approved again", "Approved")])
def test_an_approval_taken_back_or_given_back_reaches_both_the_catalog_and_the_registry(
    story: Story, chapter: str, status: str
) -> None:
    play = Play(story, chapter, lambda retried: story.protect(retried=retried) or True)
    assert play.crash("capture_recovery_point", retried=False) == []
    assert len(play.calls) >= 6
    [package] = play.ending["packages"]
    [record] = catalog().records(MODEL)
    assert (package[1], bool(record.withdrawn)) == (status, status == "Rejected")


@pytest.mark.parametrize("retried", [True, False], ids=["tried again by its state machine", "by the next round"])
def test_a_decision_to_fail_over_is_acted_on_once_whenever_its_function_dies(story: Story, retried: bool) -> None:
    play = Play(story, "outage", lambda again: story.watch(retried=again))
    assert play.crash("decide_failover", retried=retried) == []
    assert len(play.cuts("decide_failover")) > 8
    assert len(play.ending["requests"]) == len(play.ending["evidence"]) == 1
