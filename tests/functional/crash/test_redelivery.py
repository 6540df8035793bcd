"""Events that come twice, late or out of order, and a region that goes away in the middle of a copy."""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from typing import Any

import pytest

from mldr.domain.recovery_point import Phase, newest_restorable
from tests.functional.crash.crashes import Play
from tests.functional.crash.story import MODEL, Story
from tests.functional.crash.truth import VAULT, catalog, difference, final_state, nothing_partial, versions
from tests.functional.crash.two_regions import ACTIVE, STANDBY, client
from tests.functional.crash.wire import Cut

STEPS = ("Approved", "Approved", "Approved", "Rejected", "Approved")  # the third is an edit of its metadata
ORDERS = sorted(set(permutations((0, 0, 2, 3, 4))))  # the first event comes twice


def change(story: Story, step: int) -> dict[str, Any]:
    """What the model's owner does, as the event that says so."""
    edits = {"CustomerMetadataProperties": {"note": "edited"}} if step == 2 else {}
    return story.approve(story.arn, STEPS[step], **edits)


def started(story: Story) -> list[tuple[str, str]]:
    return [(one.name, one.execution_input) for one in story.regions.executions("protect")]


def outcome(story: Story) -> dict[str, Any]:
    """Where everything stands, whichever of the events is remembered as the one that told of the promotion."""
    found = final_state(story)
    for record in found["records"]:
        del record["origin"]["promoted_at"]
    return {**found, "started": started(story)}


@pytest.mark.parametrize("present", ["Approved", "Rejected"])
def test_whatever_the_order_of_the_events_the_present_status_decides(story: Story, present: str) -> None:
    ends = []
    for order in ORDERS:
        story.begin("protected")
        events = [change(story, step) for step in range(len(STEPS))]
        story.approve(story.arn, present)
        for step in order:
            assert story.regions.deliver("capture_recovery_point", events[step])
        ends.append(outcome(story))
    assert [difference(ends[0], end) for end in ends if end != ends[0]] == []
    assert len(ORDERS) == 60
    restorable = [record.recovery_point for record in catalog().records(MODEL) if record.restorable]
    assert len(restorable) == (1 if present == "Approved" else 0)
    assert len(started(story)) == (2 if present == "Approved" else 1), "an edited record is another recovery point"


def test_events_that_arrive_while_the_status_changes_end_in_the_last_status(story: Story) -> None:
    ends = []
    for order in ORDERS[::3]:
        story.begin("protected")
        first = story.promotion
        for step, told in enumerate(order):
            now = change(story, step)
            assert story.regions.deliver("capture_recovery_point", first if told == 0 else now)
        story.regions.walk("protect")
        ends.append(final_state(story)["packages"])
    assert all(end == ends[0] for end in ends)
    assert {bool(record.withdrawn) for record in catalog().records(MODEL) if record.attempt} == {False, True}


def test_an_edit_of_an_older_version_does_not_make_it_the_one_to_recover(story: Story) -> None:
    story.begin("protected")
    old = story.promotion
    new = {**story.approve(story.register()), "time": later(old, minutes=5)}
    assert story.regions.deliver("capture_recovery_point", new)
    edited = story.approve(old["detail"]["ModelPackageArn"], CustomerMetadataProperties={"note": "edited"})
    assert story.regions.deliver("capture_recovery_point", {**edited, "time": later(old, minutes=9)})
    story.regions.walk("protect")
    records = catalog().records(MODEL)
    assert [record.origin.version for record in records if record.restorable] == ["1", "1", "2"]
    point = newest_restorable(records)
    assert point
    assert point.origin.version == "2"


def later(event: dict[str, Any], *, minutes: int) -> str:
    return (dt.datetime.fromisoformat(event["time"]) + dt.timedelta(minutes=minutes)).isoformat()


def test_a_region_that_goes_away_during_the_copy_and_comes_back_ends_sealed_with_the_same_pins(story: Story) -> None:
    play = Play(story, "approved", lambda retried: story.protect(retried=retried))
    play.rehearse()
    needed = [
        call for call in play.calls if call.region == ACTIVE or call.operation in ("CopyObject", "UploadPartCopy")
    ]
    assert {call.door for call in needed} >= {"capture_recovery_point", "take_inventory", "copy_objects"}
    assert len(needed) > 10
    wrong = {str(call): lost for call in needed if (lost := _outage_from(play, call.number))}
    assert wrong == {}


@pytest.mark.parametrize("operation", ["CopyObject", "CompleteMultipartUpload"])
def test_a_copy_damaged_while_its_execution_was_lost_is_made_again(story: Story, operation: str) -> None:
    play = Play(story, "approved", lambda retried: story.protect(retried=retried))
    play.rehearse()
    copies = [call for call in play.calls if call.operation == operation]
    for call in copies:
        story.begin("approved")
        story.regions.wire.cut = Cut(call)
        story.protect(retried=False)
        _damage_the_newest_copy()
        story.protect()
        nothing_partial(story)
        [record] = catalog().records(MODEL)
        if record.phase is Phase.FAILED:
            # A large object has no parts any more to be made of: one attempt says so, the next copies it anew.
            assert record.reason.startswith("ChecksumMismatch: "), record.reason
            story.protect()
            nothing_partial(story)
            [record] = catalog().records(MODEL)
        assert (record.phase, record.reason) == (Phase.SEALED, "")
    assert copies


def _damage_the_newest_copy() -> None:
    newest = max(versions("recovery-points/"), key=lambda one: one["LastModified"])
    client("s3", STANDBY).put_object(Bucket=VAULT, Key=newest["Key"], Body=b"\0" * newest["Size"])


def _outage_from(play: Play, number: int) -> str:
    story = play.story
    story.begin("approved")
    story.regions.fail_active(after=number)
    story.protect()
    for record in catalog().records(MODEL):
        assert record.phase is Phase.SEALED or record.phase is Phase.FAILED or not record.attempt
        assert "RegionUnreachable" in record.reason or record.phase is Phase.CAPTURING
    nothing_partial(story)
    story.regions.heal()
    story.protect()
    nothing_partial(story)
    return difference({**play.ending, "told": None}, {**final_state(story), "told": None})
