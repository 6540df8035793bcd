"""What else a function does with more than one call: take an approval back, give it back, and ask for a failover."""

from __future__ import annotations

import pytest

from tests.functional.crash.crashes import Play
from tests.functional.crash.story import MODEL, Story
from tests.functional.crash.truth import catalog
from tests.functional.crash.two_regions import STANDBY, client


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


def test_a_capture_of_the_serving_state_that_dies_leaves_the_state_before_or_the_new_one(story: Story) -> None:
    """Whenever its function dies; delivered again it ends with the new one, once."""
    story.begin("protected")
    play = Play(story, "protected", lambda _: story.capture_serving())
    assert play.crash("capture_serving", retried=False) == []
    assert len(play.cuts("capture_serving")) > 10
    assert story.captured().capacity == {"all": 1}


@pytest.mark.parametrize("retried", [True, False], ids=["tried again by its state machine", "requested again"])
def test_a_restore_of_a_captured_state_that_dies_ends_with_that_state(story: Story, retried: bool) -> None:
    play = Play(story, "captured", lambda again: story.recover(retried=again))
    assert play.crash("restore_serving", retried=retried) == []
    [endpoint] = client("sagemaker", STANDBY).list_endpoints()["Endpoints"]
    described = client("sagemaker", STANDBY).describe_endpoint(EndpointName=endpoint["EndpointName"])
    assert [one["CurrentInstanceCount"] for one in described["ProductionVariants"]] == [3]


def test_whenever_a_look_dies_that_lets_a_standby_answer_the_next_one_ends_it(story: Story) -> None:
    """With Route 53, DynamoDB and SageMaker as they are: clients are sent there once it answers, and no sooner."""
    play = Play(story, "shared", lambda _: story.converge())
    assert play.crash("converge_serving", retried=False) == []
    assert {call.operation for call in play.calls} >= {"InvokeEndpoint", "PutItem", "ChangeResourceRecordSets"}
    route, knowledge = catalog().route(MODEL), catalog().leadership(MODEL)
    assert route
    assert route.spread
    assert knowledge.beside
    assert knowledge.beside.counts == {"all": 3}


def test_converging_that_dies_is_made_good(story: Story) -> None:
    """Half an endpoint is completed, and none is made twice."""
    play = Play(story, "warmer", lambda _: story.converge())
    assert play.crash("converge_serving", retried=False) == []
    assert len(play.cuts("converge_serving")) > 10
    endpoints = client("sagemaker", STANDBY).list_endpoints()["Endpoints"]
    assert len([one for one in endpoints if "-s" in one["EndpointName"]]) == 1
