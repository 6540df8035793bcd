"""A model that KServe serves, through the doors: protected, captured, failed over to the other cluster, asked.

The model server is a stub that speaks the Open Inference Protocol; `make test-kserve` tells the same with a real one.
"""

import json
from collections import Counter
from contextlib import ExitStack

import pytest

from mldr.events.failover import ClaimedTask
from mldr.steps.find_endpoint import find_endpoint
from tests.fakes.world import STANDBY
from tests.functional.kserve_story import ASKED, ENDPOINT, Two
from tests.functional.story import CHURN, clients_follow, fail_over, manifest
from tests.kube.controller import stub


@pytest.fixture
def two(world, context):
    with ExitStack() as stack:
        made = Two(world, stack, stub)
        clients_follow(world)
        yield made


def test_a_canary_fails_over_with_both_of_its_models_from_the_vault(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    two.promote(context, 2, 1.001)
    two.roll_out(2, canaryTrafficPercent=10)
    assert two.capture(context)
    ended = fail_over(world, context)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Conclude"), ended.data
    assert world.catalog.takeover(CHURN).endpoint == ENDPOINT
    asked = [json.loads(world.serving.invoke(ENDPOINT, json.dumps(ASKED).encode(), "")[0]) for _ in range(100)]
    values = Counter(round(one["outputs"][0]["data"][0], 3) for one in asked)
    assert values == {100.0: 90, 100.1: 10}
    restored = two.controllers[STANDBY].objects.get("InferenceService", "models", "churn")
    newest = max(world.catalog.records(CHURN), key=lambda one: one.origin.promoted_at)
    assert restored["spec"]["predictor"]["model"]["storageUri"].startswith(
        f"s3://vault/{manifest(world, newest).layout}"
    )


def test_a_state_that_nobody_can_carry_is_refused_by_its_path_and_the_last_good_one_stays(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    assert two.capture(context)
    world.buckets.put("lake", "churn/unregistered/factor.txt", b"9")
    two.roll_out("unregistered")
    assert not two.capture(context)
    assert "service.spec.predictor.model.storageUri" in world.serving_captures.refusal(CHURN).reason
    assert "s3://lake/churn/unregistered/" in world.serving_captures.refusal(CHURN).reason
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED", ended.data


def test_what_a_stack_may_pass_to_sagemaker_is_nothing_to_kserve(two, world, context):
    rule = "serving: {kserve: {cluster"
    role = rule.replace("kserve", "role: 'arn:aws:iam::123456789012:role/unlisted', kserve", 1)
    world.policies.text = world.policies.text.replace(rule, role)
    assert "unlisted" in world.policies.text
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    assert two.capture(context)
    assert fail_over(world, context).status == "SUCCEEDED"


def test_without_a_capture_no_traffic_is_switched(two, world, context):
    two.promote(context, 1, 1.0)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "NotRestorable")
    assert world.catalog.takeover(CHURN) is None


def test_wrong_answers_of_the_restored_service_switch_nothing(two, world, context):
    two.promote(context, 1, 3.0)
    two.roll_out(1)
    assert two.capture(context)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert world.catalog.takeover(CHURN) is None


def test_a_version_that_was_approved_and_not_yet_rolled_out_is_what_the_standby_serves(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    assert two.capture(context)
    two.promote(context, 2, 1.001)
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED", ended.data
    answer, _ = world.serving.invoke(ENDPOINT, json.dumps(ASKED).encode(), "application/json")
    assert round(json.loads(answer)["outputs"][0]["data"][0], 3) == 100.1


def test_an_older_model_whose_point_went_bad_is_not_restored_from_it(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    two.promote(context, 2, 1.001)
    two.roll_out(2, canaryTrafficPercent=10)
    assert two.capture(context)
    oldest = min(world.catalog.records(CHURN), key=lambda one: one.origin.promoted_at)
    world.catalog.annotate(CHURN, oldest.recovery_point, damaged="bytes went bad")
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "NotRestorable")
    assert oldest.recovery_point in json.dumps(ended.data["error"])


def test_coming_home_looks_at_the_service_itself_and_not_for_an_endpoint_of_its_name(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    assert two.capture(context)
    ended = fail_over(world, context)
    asked = ClaimedTask.parse(ended.data)
    task = asked.model_copy(update={"claim": asked.claim.model_copy(update={"at_home": True})})
    found = find_endpoint(
        task,
        catalog=world.catalog,
        vault=world.vault,
        registry=lambda: world.registry,
        endpoints=NobodysEndpoints(),
        captures=world.serving_captures,
        serving=world.serving,
        clock=world.clock,
    )
    assert (found.endpoint, found.reuse) == (ENDPOINT, False)


class NobodysEndpoints:
    """SageMaker, where a cluster's service has no name."""

    def contents(self, endpoint):
        """Nobody may ask."""
        pytest.fail(f"SageMaker was asked for {endpoint}")
