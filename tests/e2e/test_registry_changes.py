"""Approvals that are taken back, versions that follow each other, and events that never came."""

from mldr.domain.recovery_point import Phase
from tests.e2e.cloud import ACTIVE, RECONCILE_MINUTES, key, wait_for

FORWARDING = "mldr-prod-forward-promotions"


def test_an_approval_taken_back_is_no_longer_recovered_to(cloud, owner, events, protected):
    point = protected("retired")
    owner.reject(point.origin.arn)

    def withdrawn():
        (found,) = cloud.catalog.records(key("retired"))
        return found.withdrawn and status(cloud, found) == "Rejected"

    wait_for("the standby's copy is rejected too", withdrawn, 60, lambda: cloud.story("retired"))
    cloud.tell("Failover Requested", {"model": "sagemaker/retired", "reason": "exercise"})
    told = events.wait("Failover Completed", "retired")[-1]
    assert told["outcome"] == "refused"
    assert f"{point.recovery_point} is the registry says Rejected" in told["reason"]


def test_the_next_version_is_a_recovery_point_of_its_own(cloud, owner, events, protected):
    first = protected("retired")
    heard = len(events.of("Recovery Point Sealed", "retired"))
    arn = owner.promote("retired")
    told = events.wait("Recovery Point Sealed", "retired", count=heard + 1)[-1]
    assert told["source_arn"] == arn
    points = {point.recovery_point: point for point in cloud.catalog.records(key("retired"))}
    second = points.pop(told["recovery_point"])
    assert list(points) == [first.recovery_point]
    assert status(cloud, second) == "Approved"
    assert second.target_arn != first.target_arn


def status(cloud, point):
    """What the standby's registry says of its copy."""
    return cloud.aws("sagemaker").describe_model_package(ModelPackageName=point.target_arn)["ModelApprovalStatus"]


def test_a_promotion_that_no_event_told_of_is_found(cloud, owner):
    bus = cloud.aws("events", ACTIVE)
    owner.upload("missed")
    bus.disable_rule(Name=FORWARDING)
    try:
        arn = owner.promote("missed")
        cloud.settle()
        assert cloud.catalog.records(key("missed")) == []
        cloud.door(f"clock/advance/{RECONCILE_MINUTES * 60}", "POST")
        sealed = wait_for("it is found and sealed", lambda: points(cloud), 60, lambda: cloud.story("missed"))
    finally:
        bus.enable_rule(Name=FORWARDING)
    assert [point.origin.arn for point in sealed] == [arn]


def points(cloud):
    """The sealed points of `missed`."""
    return [point for point in cloud.catalog.records(key("missed")) if point.phase is Phase.SEALED]
