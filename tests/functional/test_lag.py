"""How far each model is behind its RPO, through the door, on a world in memory."""

import pytest

from functions.measure_lag import app as measure_lag
from mldr.errors import BadPolicy
from tests.fakes.policies import FakePolicies
from tests.functional.story import CHURN, capture, promoted, protect


def published(world):
    """The figures by name and model."""
    return {(one.name, str(one.model or "")): one.value for one in world.metrics.published}


def test_a_sealed_model_is_not_behind(world, context):
    protect(world, context, promoted(world))
    world.clock.move(seconds=3600)
    assert measure_lag.handler({}, context) == {"worst": 0.0}
    assert published(world) == {
        ("RpoLag", str(CHURN)): 0.0,
        ("RpoLagRatio", str(CHURN)): 0.0,
        ("WorstRpoLagRatio", ""): 0.0,
    }


def test_a_promotion_that_is_not_sealed_grows_older_until_it_is_beyond_its_rpo(world, context):
    """The RPO of the policy in force is 15 minutes."""
    capture(world, context, promoted(world))
    world.clock.move(seconds=300)
    assert measure_lag.handler({}, context)["worst"] == pytest.approx(1 / 3)
    world.clock.move(seconds=900)
    assert measure_lag.handler({}, context)["worst"] == pytest.approx(4 / 3)
    assert published(world)["RpoLag", str(CHURN)] == 1200.0


def test_nothing_is_read_of_the_active_region(world, context, monkeypatch):
    """The figure must not stop when that region does."""
    protect(world, context, promoted(world))
    monkeypatch.delattr(world, "registry")
    monkeypatch.delattr(world, "sources")
    assert measure_lag.handler({}, context) == {"worst": 0.0}


def test_without_models_there_is_a_figure(world, context):
    assert measure_lag.handler({}, context) == {"worst": 0.0}


def test_without_a_policy_there_is_none_and_the_function_fails(world, context):
    world.policies = FakePolicies(None)
    with pytest.raises(BadPolicy):
        measure_lag.handler({}, context)
    assert world.metrics.published == []
