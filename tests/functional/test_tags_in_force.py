"""A tier or criticality that a tag of the model's group sets: kept with the point, in force wherever it counts."""

import pytest

from mldr.domain.failover import Kind
from mldr.domain.health import Sight
from mldr.domain.model_rules import Criticality
from mldr.errors import RegionUnreachable
from tests.functional.story import CHURN, clients_follow, deliver, package_event, point, promoted, protect
from tests.functional.test_evacuation import drawn
from tests.functional.test_tiers import due, standing, tier
from tests.functional.test_warming import captured
from tests.functional.test_watch import look

WARM, URGENT = {"mldr:tier": "warm-standby"}, {"mldr:criticality": "revenue-critical"}


def tagged(world, context, **tags):
    """Churn is sealed, of a group with these tags, which the policy file knows nothing of."""
    arn = promoted(world)
    world.registry.edit(arn, tags=tags)
    protect(world, context, arn)
    clients_follow(world)
    return arn


def told_again(world, context, arn, **tags):
    """The tags were edited since, and `mldr protect` or a late event describes the version again."""
    world.registry.edit(arn, tags=tags)
    event = package_event(world, arn)
    assert deliver("capture_recovery_point", context, event) == []


def test_a_tag_lets_an_endpoint_stand(world, context):
    tagged(world, context, **WARM)
    captured(world, instances=4)
    assert due(world, context)
    [name] = standing(world)
    assert world.serving.endpoints[name].counts == {"main": 1}


def test_a_tag_lies_over_the_tier_of_the_file(world, context):
    tier(world, "warm-standby")
    tagged(world, context, **{"mldr:tier": "cold-standby"})
    assert due(world, context)
    assert standing(world) == []


@pytest.mark.parametrize("name", ["tier", "mldr:color", "mldr:tier"])
def test_a_tag_that_means_nothing_changes_nothing(world, context, name):
    tagged(world, context, **{name: "lukewarm"})
    assert point(world).tags == {}
    assert due(world, context)
    assert standing(world) == []


def test_an_edited_tag_counts_once_the_version_is_described_again(world, context):
    arn = tagged(world, context, **WARM)
    due(world, context)
    assert len(standing(world)) == 1
    told_again(world, context, arn)
    assert point(world).tags == {}
    due(world, context)
    assert standing(world) == []
    assert (point(world).attempt, point(world).restorable) == (1, True), "no other point is made of it"
    told_again(world, context, arn, **WARM)
    due(world, context)
    assert len(standing(world)) == 1


def test_the_tags_of_the_version_that_would_be_restored_count(world, context):
    """A later version that is not sealed yet takes nothing away."""
    tagged(world, context, **WARM)
    arn = promoted(world)
    world.registry.edit(arn, tags={})
    assert deliver("capture_recovery_point", context, package_event(world, arn)) == []
    due(world, context)
    assert len(standing(world)) == 1


def test_the_watch_says_what_the_tagged_tier_lacks(world, context):
    tagged(world, context, **WARM)
    look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert "warm-standby endpoint" in world.catalog.health(CHURN).decided.reason


def test_the_plan_of_a_region_holds_the_tagged_recovery_time_whatever_was_edited_since(world, context):
    tagged(world, context, **URGENT)
    tier(world, "cold-standby")  # the policy is another one than when it was sealed
    [line] = drawn(world, kind=Kind.FAILOVER).plan.planned
    assert line.criticality is Criticality.REVENUE_CRITICAL
    assert (line.deadline - world.clock.now()).total_seconds() == 15 * 60


def test_one_model_whose_points_cannot_be_read_holds_up_no_other(world, context, monkeypatch):
    tagged(world, context, **WARM)
    records, other = world.catalog.records, CHURN.model_copy(update={"name": "a-first-one"})
    [record] = records(CHURN)
    world.catalog.begin(record.model_copy(update={"model": other}))

    def unreadable(model):
        if model == other:
            raise RegionUnreachable("the table does not answer")
        return records(model)

    monkeypatch.setattr(world.catalog, "records", unreadable)
    assert not due(world, context), "it is tried again"
    assert len(standing(world)) == 1
