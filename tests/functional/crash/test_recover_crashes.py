"""*recover* dies after each of its AWS calls in turn, and every time ends as if nothing had happened."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.functional.crash.crashes import Play
from tests.functional.crash.story import Story

DOORS = """start_failover claim_epoch find_endpoint materialise_serving restore_serving warm_serving verify_serving
flip_switch confirm_takeover conclude_failover""".split()


@pytest.fixture(scope="module")
def play(story: Story) -> Play:
    return Play(story, "protected", lambda retried: story.recover(retried=retried))


@pytest.mark.parametrize("door", DOORS)
def test_a_task_that_dies_after_any_call_is_tried_again_and_ends_the_same(play: Play, door: str) -> None:
    assert play.crash(door, retried=True) == []


@pytest.mark.parametrize("door", DOORS)
def test_an_execution_lost_after_any_call_is_made_good_by_the_same_request(play: Play, door: str) -> None:
    assert play.crash(door, retried=False) == []


def test_no_call_of_recover_is_left_out(play: Play) -> None:
    play.rehearse()
    found = Counter(call.door for call in play.calls)
    assert set(found) == set(DOORS)
    assert sum(len(play.cuts(door)) for door in DOORS) > 40, f"only these calls were crashed: {dict(found)}"
