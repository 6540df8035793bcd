"""What nothing wants to stand any more is taken away, whenever the look dies that does it; what serves never is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from mldr.domain import tiers
from mldr.domain.failover import Epoch
from tests.functional.crash.crashes import Play
from tests.functional.crash.story import MODEL, Story
from tests.functional.crash.truth import catalog, nothing_partial
from tests.functional.crash.two_regions import STANDBY, client
from tests.functional.crash.wire import Call

DELETES = {"DeleteModel", "DeleteEndpoint", "DeleteEndpointConfig"}


def standing(*, ready: bool = False) -> list[str]:
    """The endpoints that stand in the standby, or those of them that answer."""
    found = client("sagemaker", STANDBY).list_endpoints()["Endpoints"]
    return sorted(one["EndpointName"] for one in found if not ready or one["EndpointStatus"] == "InService")


def deleted(calls: list[Call]) -> set[str]:
    """What a run deleted."""
    return {call.operation for call in calls if call.operation.startswith("Delete")}


def but_for_a_configuration(wrong: list[str]) -> list[str]:
    """Dying between the two leaves the configuration of an endpoint that is gone: it costs nothing and serves nobody.

    SageMaker wants it to be deleted after its endpoint, and once that is gone nothing names it any more.
    """
    return [one for one in wrong if not ("(sagemaker.DeleteEndpoint of" in one and one.count(" instead of ") == 1
                                         and ": configs: " in one)]  # fmt: skip


def look(story: Story) -> bool:
    """The next look, so late that one which died surely does nothing any more."""
    story.regions.ahead += tiers.DELETES
    return story.converge()


def test_what_its_tier_wants_no_more_goes_away_whenever_the_look_dies_that_deletes_it(story: Story) -> None:
    play = Play(story, "colder", lambda _: look(story))
    wrong = play.crash("converge_serving", retried=False)
    assert but_for_a_configuration(wrong) == []
    assert len(wrong) <= 1
    assert deleted(play.calls) == DELETES
    assert (play.ending["endpoints"], play.ending["configs"], play.ending["serving models"]) == ([], [], [])


def test_what_a_newer_version_replaced_goes_away_and_at_every_moment_the_newest_answers(story: Story) -> None:
    story.begin("newer")
    assert len(standing(ready=True)) == 2
    newest: list[str] = []

    def replace(_: bool) -> bool:
        done = look(story)
        left = standing(ready=True)
        assert set(newest) <= set(left), "the newest version's endpoint does not stand any more"
        newest[:] = newest or left
        return done

    play = Play(story, "newer", replace)
    wrong = play.crash("converge_serving", retried=False)
    assert but_for_a_configuration(wrong) == []
    assert len(wrong) <= 1
    assert deleted(play.calls) == DELETES
    assert play.ending["endpoints"] == newest
    assert len(newest) == 1


def test_a_deletion_that_dies_hinders_no_failover(story: Story) -> None:
    """It finds the endpoint whole, or completes it, or makes its own."""
    play = Play(story, "colder", lambda _: story.converge())
    play.rehearse()
    for cut in play.cuts("converge_serving"):
        story.begin("colder")
        story.regions.wire.cut = cut
        assert not story.converge(), f"{cut} was not reached"
        story.regions.wire.cut = None
        assert story.recover(), str(cut)
        nothing_partial(story)
        taken = catalog().takeover(MODEL)
        assert taken, str(cut)
        look(story)
        nothing_partial(story)
        assert standing() == [taken.endpoint], str(cut)


def test_what_took_over_is_not_deleted_whenever_a_look_dies(story: Story) -> None:
    def look(_: bool) -> bool:
        story.regions.done.append("verify_serving")  # in the chapter before
        return story.converge()

    play = Play(story, "served by what stood", look)
    assert play.crash("converge_serving", retried=False) == []
    assert deleted(play.calls) == set()
    assert play.ending["takeover"][1] in play.ending["endpoints"]


def test_a_whole_failover_between_any_two_calls_of_a_deletion_keeps_what_it_took(story: Story) -> None:
    """It claims, proves and flips while the look stands still: with what stood, or with its own if that is leaving."""
    play = Play(story, "colder", lambda _: story.converge())
    play.rehearse()
    stood = set()
    for number in range(1, len(play.calls) + 1):
        story.begin("colder")
        [before] = standing()
        meanwhile(story, number, story.recover)
        assert story.converge()
        taken = catalog().takeover(MODEL)
        assert taken
        assert standing(ready=True) == [taken.endpoint], play.calls[number - 1]
        stood.add(taken.endpoint == before)
    assert stood == {True, False}, "the failover never came before the mark, or never after it"


def meanwhile(story: Story, number: int, act: Callable[[], bool]) -> None:
    """Let something else happen before this call of the function that is called next."""
    wire = story.regions.wire

    def happens(call: Call, _region: str, _given: dict[str, Any]) -> bool:
        if call.number == number:
            door, turn, calls, wire.calls = wire.door, wire.turn, wire.calls, []
            assert act()
            story.regions.heal()
            wire.door, wire.turn, wire.calls, wire.dead = door, turn, calls, False
        return False

    wire.refuses = happens


def test_while_a_claim_is_open_nothing_is_deleted_and_afterwards_it_is(story: Story) -> None:
    story.begin("colder")
    claimed = claim()
    assert story.converge()
    assert len(standing()) == 1
    catalog().conclude(MODEL, claimed)
    assert story.converge()
    assert standing() == []


def claim() -> Epoch:
    """A failover that claims, and does nothing else yet."""
    epoch = Epoch(
        number=1, failover_id="exercise-1", region=STANDBY, recovery_point="v1", claimed_at=dt.datetime.now(dt.UTC)
    )
    catalog().claim(MODEL, epoch, None)
    return epoch
