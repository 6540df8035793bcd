"""Finding what events missed: versions that nobody told of are told of again, through the same door as all others."""

import pytest

from functions.reconcile_registry import app
from tests.functional.story import CHURN, capture, deliver, document, package_event, point, promoted, protect, run


def reconcile(world, context):
    """Look once; the events that this put."""
    world.bus.events.clear()
    told = app.handler({}, context)["told"]
    assert [detail["arn"] for detail in world.bus.named("Model Promoted")] == told
    return world.bus.named("Model Promoted")


def hear(world, context, details):
    """Deliver what was put; the executions that this started."""
    before = set(world.workflows.started)
    for detail in details:
        event = {
            **package_event(world, detail["arn"]),
            "source": "mldr",
            "detail-type": "Model Promoted",
            "detail": detail,
        }
        assert deliver("capture_recovery_point", context, event) == []
    return sorted(set(world.workflows.started) - before)


def test_a_promotion_that_no_event_told_of_is_found_and_sealed(world, context):
    arn = promoted(world)
    details = reconcile(world, context)
    assert details == [{"model": "sagemaker/churn", "arn": arn}]
    [execution] = hear(world, context, details)
    assert run(world, context, execution).status == "SUCCEEDED"
    assert point(world).restorable
    assert reconcile(world, context) == []


def test_a_failed_point_is_tried_again(world, context):
    arn = world.registry.promote("churn", document())
    protect(world, context, arn)
    assert [detail["arn"] for detail in reconcile(world, context)] == [arn]


def test_a_sealed_point_that_was_never_onboarded_is_finished(world, context):
    world.dns.zone_exists = False
    protect(world, context, promoted(world))
    world.dns.zone_exists = True
    [execution] = hear(world, context, reconcile(world, context))
    assert run(world, context, execution).status == "SUCCEEDED"
    assert reconcile(world, context) == []


def test_an_approval_taken_back_in_silence_is_found(world, context):
    arn = promoted(world)
    protect(world, context, arn)
    world.registry.edit(arn, status="Rejected")
    assert hear(world, context, reconcile(world, context)) == []
    assert point(world).withdrawn == "the registry says Rejected"
    assert reconcile(world, context) == []


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_what_is_not_approved_is_left_alone(world, context, status):
    world.registry.promote("churn", document(), status=status)
    assert reconcile(world, context) == []


def test_our_own_copies_are_left_alone(world, context):
    world.registry.promote("churn", document(), copied_from="arn:of:the:original")
    assert reconcile(world, context) == []


def test_telling_of_a_point_that_is_being_made_starts_nothing(world, context):
    arn = promoted(world)
    capture(world, context, arn)
    assert hear(world, context, reconcile(world, context)) == []
    assert world.catalog.records(CHURN)[0].attempt == 1
