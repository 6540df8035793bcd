"""How far a model is behind: what is promoted and not sealed, since when."""

import datetime as dt

import pytest

from mldr.domain.identity import ModelKey
from mldr.domain.lag import LAG, RATIO, WORST, behind_since, figures, lag
from mldr.domain.recovery_point import Origin, Phase, Record

CHURN = ModelKey(registry="sagemaker", name="churn")
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def at(minutes):
    """So long after noon."""
    return NOON + dt.timedelta(minutes=minutes)


def record(version, minutes, phase=Phase.SEALED, point="", **more):
    """A recovery point of a version that was promoted then."""
    origin = Origin(region="r", version=str(version), arn=f"arn/{version}", promoted_at=at(minutes))
    name = point or f"v{version}"
    return Record(
        model=CHURN, recovery_point=name, phase=phase, attempt=1, origin=origin, started_at=at(minutes), **more
    )


UNSEALED = [Phase.CAPTURING, Phase.COPYING, Phase.VERIFYING, Phase.FAILED]


def test_a_model_without_versions_is_not_behind():
    assert lag([], NOON) == dt.timedelta(0)


def test_a_model_whose_newest_version_is_sealed_is_not_behind():
    assert lag([record(1, 0), record(2, 10)], at(500)) == dt.timedelta(0)


@pytest.mark.parametrize("phase", UNSEALED)
def test_a_version_is_behind_from_its_promotion_until_it_is_sealed(phase):
    assert lag([record(1, 0), record(2, 10, phase)], at(25)) == dt.timedelta(minutes=15)


def test_the_oldest_of_several_unsealed_versions_counts():
    records = [record(1, 0), record(2, 10, Phase.FAILED), record(3, 20, Phase.COPYING)]
    assert lag(records, at(30)) == dt.timedelta(minutes=20)


def test_an_older_version_that_failed_does_not_count_once_a_newer_one_is_sealed():
    assert lag([record(1, 0, Phase.FAILED), record(2, 10)], at(30)) == dt.timedelta(0)


def test_a_version_whose_approval_was_taken_back_is_not_missed():
    assert lag([record(1, 0), record(2, 10, Phase.FAILED, withdrawn="Rejected")], at(30)) == dt.timedelta(0)


def test_a_sealed_version_that_was_taken_back_leaves_the_one_before_in_force():
    assert lag([record(1, 0), record(2, 10, withdrawn="Rejected")], at(30)) == dt.timedelta(0)


def test_a_damaged_point_is_missed_from_its_promotion_on():
    assert lag([record(1, 0), record(2, 10, damaged="damaged: x")], at(30)) == dt.timedelta(minutes=20)


def test_another_point_of_a_sealed_version_is_no_promotion():
    """An edit of a version makes a second point of it."""
    assert lag([record(1, 0), record(1, 10, Phase.FAILED, point="v1-edited")], at(30)) == dt.timedelta(0)


def test_a_version_is_behind_since_its_first_promotion():
    records = [record(1, 0, Phase.FAILED), record(1, 10, Phase.COPYING, point="v1-edited")]
    assert behind_since(records) == at(0)


def test_a_clock_that_is_ahead_elsewhere_gives_no_negative_lag():
    assert lag([record(1, 10, Phase.COPYING)], at(0)) == dt.timedelta(0)


def test_the_figures_are_the_lag_its_share_of_the_rpo_and_the_worst_share():
    other = ModelKey(registry="sagemaker", name="fraud")
    quarter, hour = dt.timedelta(minutes=15), dt.timedelta(hours=1)
    made = figures([(CHURN, quarter, hour), (other, dt.timedelta(0), quarter)])
    assert [(one.name, one.value, one.unit, one.model) for one in made] == [
        (LAG, 900.0, "Seconds", CHURN),
        (RATIO, 0.25, "None", CHURN),
        (LAG, 0.0, "Seconds", other),
        (RATIO, 0.0, "None", other),
        (WORST, 0.25, "None", None),
    ]


def test_without_models_the_worst_is_zero_and_not_silence():
    assert [(one.name, one.value) for one in figures([])] == [(WORST, 0.0)]
