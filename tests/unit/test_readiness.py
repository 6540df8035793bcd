"""What a standby is ready for: one thing holds a failover up, everything else is told with it."""

import datetime as dt

import pytest

from mldr.domain.capacity import STALE, Capacity
from mldr.domain.identity import ModelKey
from mldr.domain.readiness import LONGEST, Known, Stands, readiness
from mldr.domain.recovery_point import Origin, Phase, Record
from mldr.domain.serving_state import Refusal

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
POINT = Record(
    model=ModelKey(registry="sagemaker", name="churn"),
    recovery_point="v1-aaa",
    attempt=1,
    phase=Phase.SEALED,
    origin=Origin(region="ap-southeast-1", version="1", arn="arn", promoted_at=NOW),
    started_at=NOW,
)
NEEDS = {"ml.m5.large": 4}


def known(**more):
    return Known(point=POINT, **more)


def capacity(limit=4, used=0, age=dt.timedelta()):
    return Capacity(
        limits={"ml.m5.large": limit}, used={"ml.m5.large": used}, side_by_side=10, read_at=NOW - age
    )  # fmt: skip


def test_without_a_sealed_point_nothing_can_be_served():
    found = readiness(Known(point=None, capacity=capacity()), NOW)
    assert (found.ready, found.reason) == (False, "no sealed recovery point")


def test_of_what_is_as_promised_nothing_is_said():
    stands = Stands(tier="warm-standby", endpoint="churn-s", status="InService")
    told = Refusal(reason="", at=NOW)
    found = readiness(known(stands=stands, refusal=told, instances=NEEDS, capacity=capacity()), NOW)
    assert (found.ready, found.reason) == (True, "")


def test_a_home_has_its_own_endpoint():
    refusal = Refusal(reason="BadReference: no", at=NOW)
    assert readiness(known(own=True, refusal=refusal, instances=NEEDS), NOW).reason == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"stands": Stands(tier="warm-standby", endpoint="churn-s", status="Failed", reason="no capacity")},
            "its warm-standby endpoint churn-s is Failed (no capacity): a failover takes as long as a cold one",
        ),
        (
            {"refusal": Refusal(reason="BadReference: a key", at=NOW), "captured_at": NOW},
            "is restored as captured at 2026-03-01 12:00:00, a later look was refused: BadReference: a key",
        ),
        (
            {"refusal": Refusal(reason="BadReference: a key", at=NOW)},
            "was never captured: the policy's is restored, a later look was refused: BadReference: a key",
        ),
        ({"instances": NEEDS}, "is not known: they were never read"),
        ({"instances": NEEDS, "capacity": capacity(limit=5, used=2)}, "needs 4 x ml.m5.large and the quota of this"),
        ({"instances": NEEDS, "capacity": capacity(age=STALE * 2)}, "were last read at 2026-03-01 08:00:00"),
    ],
)
def test_what_makes_it_slower_older_or_smaller_is_told_and_holds_nothing_up(more, said):
    found = readiness(known(**more), NOW)
    assert found.ready
    assert said in found.reason


def test_everything_is_told_at_once_and_a_long_refusal_is_cut():
    stands = Stands(tier="warm-standby", endpoint="churn-s", status="Missing")
    refusal = Refusal(reason="x" * 5000, at=NOW)
    told = readiness(known(stands=stands, refusal=refusal, instances=NEEDS), NOW).reason
    assert [word in told for word in ("churn-s", "refused", "quotas")] == [True, True, True]
    assert told.count("x" * LONGEST) == 1
    assert len(told) < 2 * LONGEST + 200
