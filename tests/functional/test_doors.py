"""Malformed and alien messages at every door: a clear error that names the field, and neighbours unharmed."""

import importlib
import json

import pytest

from tests.fakes.world import ACTIVE, STANDBY
from tests.functional.story import CHURN, deliver, failover_event, package_event, promoted

ARN = f"arn:aws:sagemaker:{ACTIVE}:123456789012:model-package/churn/1"
TASK = {"model": "sagemaker/churn", "recovery_point": "v1-abc", "attempt": 1}
FAILOVER = {
    "model": "sagemaker/churn",
    "failover_id": "f-1",
    "reason": "exercise",
    "requested_by": "operator",
    "requested_at": "2026-03-01T12:00:00Z",
}
CLAIM = {"epoch": 1, "recovery_point": "v1-abc", "endpoint": "churn-e1", "at": "2026-03-01T12:00:00Z"}


def alien(world):
    """Messages that are not promotions, and the words that must stand in the refusal."""
    good = package_event(world, ARN)
    return [
        ("not json at all", "not JSON"),
        ("[]", "valid dictionary"),
        ("", "not JSON"),
        ({key: value for key, value in good.items() if key != "detail"}, "detail: Field required"),
        ({**good, "time": "yesterday"}, "time: "),
        ({**good, "detail": {**good["detail"], "ModelPackageArn": "arn:aws:s3:::x"}}, "ModelPackageArn: "),
        ({**good, "detail": {**good["detail"], "ModelPackageArn": None}}, "ModelPackageArn: "),
        ({**good, "detail": {**good["detail"], "ModelPackageGroupName": ""}}, "ModelPackageGroupName: "),
        ({**good, "detail": {}}, "ModelPackageArn: Field required"),
        ({**good, "source": "aws.ec2", "detail-type": "EC2 Instance State-change"}, "detail-type: 'aws.ec2'"),
        ({**good, "source": "mldr", "detail-type": "Recovery Point Sealed"}, "is not a promotion"),
        ({**good, "source": "mldr", "detail-type": "Model Promoted", "detail": {"model": "../etc"}}, "model: "),
        ({**good, "source": "mldr", "detail-type": "Model Promoted", "detail": {"model": "a/b/churn"}}, "model: "),
        ({**good, "source": "mldr", "detail-type": "Model Promoted", "detail": {"model": "churn\n"}}, "model: "),
        ({**good, "source": "mldr", "detail-type": "Model Promoted", "detail": {}}, "model: Field required"),
        (
            {
                **good,
                "source": "mldr",
                "detail-type": "Model Promoted",
                "detail": {"model": "churn", "arn": "nonsense"},
            },
            "arn: ",
        ),
        (
            {**good, "detail": {**good["detail"], "ModelPackageArn": ARN.replace(ACTIVE, STANDBY)}},
            f"is in {STANDBY}, but this region stands by for {ACTIVE}",
        ),
    ]


@pytest.mark.parametrize("number", range(17))
def test_a_message_that_is_no_promotion_is_refused_by_field(world, context, number):
    body, says = alien(world)[number]
    with pytest.raises(Exception, match="All records failed") as caught:
        deliver("capture_recovery_point", context, body)
    assert says in str(caught.value)
    assert "BadEvent" in str(caught.value)


def test_every_alien_is_tried(world):
    assert len(alien(world)) == 17


def test_bad_neighbours_leave_the_good_message_unharmed(world, context):
    good = package_event(world, promoted(world))
    bodies = [body for body, _ in alien(world)]
    failed = deliver("capture_recovery_point", context, *bodies[:5], good, *bodies[5:])
    assert failed == [str(number) for number in range(18) if number != 5]
    assert len(world.workflows.started) == 1


def test_a_package_that_does_not_exist_fails_its_message_by_name(world, context):
    good = package_event(world, promoted(world))
    gone = package_event(world, ARN.replace("churn/1", "churn/99"))
    assert deliver("capture_recovery_point", context, gone, good) == ["0"]


def test_unknown_fields_are_ignored(world, context):
    event = package_event(world, promoted(world), account="123456789012", version="0", resources=[])
    event["detail"] |= {"ModelPackageVersion": 1, "Tags": {"x": "y"}, "NewInTheFuture": {"deep": [1]}}
    assert deliver("capture_recovery_point", context, event) == []
    assert len(world.workflows.started) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "somebody"}, "source: "),
        ({"detail-type": "Failover Completed"}, "detail-type: "),
        ({"id": None}, "id: "),
        ({"time": "soon"}, "time: "),
        ({"detail": {"reason": "x"}}, "detail.model: "),
        ({"detail": {"model": "churn"}}, "detail.reason: "),
        ({"detail": {"model": "churn", "reason": ""}}, "detail.reason: "),
        ({"detail": {"model": "churn", "reason": "x", "failover_id": "with space"}}, "detail.failover_id: "),
        ({"detail": {"model": "churn", "reason": "x", "first_failure_at": "x"}}, "detail.first_failure_at: "),
        ({"detail": {"model": "UPPER_case", "reason": "x"}}, "model: "),
        ({"detail": {"model": 7, "reason": "x"}}, "detail.model: "),
    ],
)
def test_a_failover_request_that_is_none_is_refused_by_field(world, context, change, says):
    bad = {**failover_event(world), **change}
    with pytest.raises(Exception, match="All records failed") as caught:
        deliver("start_failover", context, bad)
    assert "BadEvent" in str(caught.value)
    assert says in str(caught.value)
    assert deliver("start_failover", context, bad, failover_event(world), "{") == ["0", "2"]
    assert list(world.workflows.started) == ["failover-1"]


PIECE = {
    "transfer": {"owner": "model/sagemaker/churn", "id": "v1-abc", "plan": "p1", "started_at": "2026-03-01T12:00:00Z"},
    "retention": {"mode": "GOVERNANCE", "until": "2030-01-01T00:00:00Z"},
}
ENTRY = {
    **dict.fromkeys(("name", "bucket", "source_key", "source_version", "etag", "key", "version_id"), "x"),
    "modified": 0,
    "size": 6 * 1000**3,
    "digests": {"CRC64NVME": ""},
}
DOORS = {
    "take_inventory": TASK,
    "copy_parts": {**PIECE, "item": "parts/000001", "entry": ENTRY, "upload": "u", "first": 1, "last": 2},
    "copy_objects": {**PIECE, "item": "shards/000001", "plan_key": "in-progress/x"},
    "seal_recovery_point": {**TASK, **PIECE},
    "sync_registry": TASK,
    "onboard_model": TASK,
    "conclude_protection": TASK,
    "claim_epoch": FAILOVER,
    "materialise_serving": {**FAILOVER, "claim": CLAIM},
    "restore_serving": {**FAILOVER, "claim": CLAIM},
    "warm_serving": {**FAILOVER, "claim": CLAIM},
    "verify_serving": {**FAILOVER, "claim": CLAIM},
    "flip_switch": {**FAILOVER, "claim": CLAIM},
    "confirm_takeover": {**FAILOVER, "claim": CLAIM},
    "conclude_failover": FAILOVER,
}


def enter(door, payload, context):
    return importlib.import_module(f"functions.{door}.app").handler(payload, context)


@pytest.mark.parametrize(("door", "field"), [(door, field) for door, good in DOORS.items() for field in good])
def test_a_task_with_a_missing_field_is_refused_by_its_name(world, context, door, field):
    payload = {key: value for key, value in DOORS[door].items() if key != field}
    with pytest.raises(Exception, match=rf"\b{field}: Field required") as caught:
        enter(door, payload, context)
    assert type(caught.value).__name__ == "BadEvent"


@pytest.mark.parametrize(("door", "field"), [(door, field) for door, good in DOORS.items() for field in good])
def test_a_task_with_a_malformed_field_is_refused_by_its_name(world, context, door, field):
    with pytest.raises(Exception, match=field) as caught:
        enter(door, {**DOORS[door], field: {"not": "this"}}, context)
    assert type(caught.value).__name__ == "BadEvent"


@pytest.mark.parametrize("door", ["take_inventory", "seal_recovery_point", "conclude_protection"])
def test_a_task_of_a_point_that_nobody_began_is_superseded(world, context, door):
    with pytest.raises(Exception, match="attempt 1 was superseded") as caught:
        enter(door, DOORS[door], context)
    assert type(caught.value).__name__ == "LostRace"


@pytest.mark.parametrize("door", ["copy_parts", "copy_objects"])
def test_a_piece_of_a_plan_that_is_not_in_force_is_refused(world, context, door):
    with pytest.raises(Exception, match="plan p1 is not in force") as caught:
        enter(door, DOORS[door], context)
    assert type(caught.value).__name__ == "LostRace"


@pytest.mark.parametrize("door", ["materialise_serving", "restore_serving", "flip_switch"])
def test_work_without_an_epoch_is_refused(world, context, door):
    with pytest.raises(Exception, match="epoch 1 of sagemaker/churn is over") as caught:
        enter(door, DOORS[door], context)
    assert type(caught.value).__name__ == "EpochTaken"
    assert (world.serving.endpoints, world.catalog.takeover(CHURN)) == ({}, None)


@pytest.mark.parametrize("door", ["warm_serving", "verify_serving", "sync_registry", "confirm_takeover"])
def test_work_on_a_point_that_is_not_sealed_is_refused(world, context, door):
    with pytest.raises(Exception, match=r"mldr status|only a sealed version|never onboarded") as caught:
        enter(door, DOORS[door], context)
    assert type(caught.value).__name__ == "NotRestorable"


def test_what_a_door_returns_is_json(world, context):
    event = package_event(world, promoted(world))
    deliver("capture_recovery_point", context, event)
    [payload] = world.workflows.started.values()
    json.dumps(enter("take_inventory", payload, context))
