"""Tiers: what stands ready before anything fails, how it is used, and how it goes away again."""

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError

from mldr.domain.failover import Epoch
from mldr.domain.tiers import DELETES, Leaving
from mldr.errors import EndpointFailed, NotAllowed
from tests.fakes.serving import Endpoint
from tests.fakes.world import ACTIVE, POLICY, STANDBY
from tests.functional.pair import Pair
from tests.functional.story import CHURN, clients_follow, deliver, fail_over, point, promoted, protect
from tests.functional.test_warming import captured

RULES = "golden: {uri"


def tier(world, name="warm-standby", serving=""):
    """The policy in force has churn in this tier from now on."""
    more = f"serving: {{{serving}}}\n    " if serving else ""
    world.policies.put(POLICY.replace(RULES, f"tier: {name}\n    {more}{RULES}", 1))


def due(world, context, kind="Tiers Due", **detail):
    """An event tells that endpoints may have to change; whether it was handled."""
    event = {"id": "due-1", "source": "mldr", "detail-type": kind, "region": STANDBY, "detail": detail}
    try:
        return deliver("converge_serving", context, event) == []
    except BatchProcessingError:
        return False


def standing(world):
    """The names of the endpoints that mldr holds."""
    return sorted(one.name for one in world.standing_endpoints.held())


@pytest.fixture
def warm(world, context):
    """A sealed point of a warm-standby churn, whose clients would follow a switch."""
    tier(world)
    protect(world, context, promoted(world))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def test_a_warm_model_stands_at_the_floor_as_soon_as_it_is_sealed(warm, context):
    captured(warm, instances=4)
    assert due(warm, context, "Recovery Point Sealed", model=str(CHURN), recovery_point=point(warm).recovery_point)
    [name] = standing(warm)
    assert name.startswith(f"churn-{point(warm).recovery_point[-8:]}-s")
    assert warm.serving.endpoints[name].counts == {"main": 1}


def test_a_floor_above_one_is_kept_and_never_more_than_served(warm, context):
    tier(warm, serving="floor: 3")
    captured(warm, instances=2)
    due(warm, context)
    [name] = standing(warm)
    assert warm.serving.endpoints[name].counts == {"main": 2}


def test_looking_again_changes_nothing(warm, context):
    captured(warm, instances=4)
    for _ in range(3):
        assert due(warm, context)
    assert len(warm.serving.endpoints) == 1
    assert warm.standing_endpoints.deleted == []


def test_a_cold_model_has_nothing_standing(world, context):
    protect(world, context, promoted(world))
    assert due(world, context)
    assert world.serving.endpoints == {}


def test_what_stands_is_made_anew_once_it_may_run_as_its_own_role(warm, context):
    captured(warm, instances=1)
    due(warm, context)
    before = standing(warm)
    state = warm.serving_captures.newest(CHURN)
    model = {**state.document["Models"][0], "ExecutionRoleArn": warm.env.serving_role_arn}
    warm.clock.move(minutes=1)
    update = {"document": {**state.document, "Models": [model]}, "captured_at": warm.clock.now()}
    warm.serving_captures.put(state.model_copy(update=update))
    due(warm, context)
    due(warm, context)
    assert standing(warm) != before
    assert len(standing(warm)) == 1


def test_nothing_is_let_stand_as_another_role_than_it_would_take_over_with(warm, context):
    warm.env = warm.env.model_copy(update={"serving_role_arns": ""})
    captured(warm, instances=1)
    assert due(warm, context)
    assert (standing(warm), warm.setbacks.of(CHURN).met.kind) == ([], "NotAllowed")


def test_a_failover_scales_what_stands_and_creates_nothing(warm, context):
    captured(warm, instances=4)
    due(warm, context)
    [name] = standing(warm)
    warm.clock.move(minutes=1)
    ended = fail_over(warm, context)
    assert ended.status == "SUCCEEDED"
    assert "MaterialiseServing" not in ended.path
    assert warm.catalog.takeover(CHURN).endpoint == name
    assert list(warm.serving.endpoints) == [name]
    assert warm.serving.endpoints[name].counts == {"main": 4}


def test_what_stands_but_answers_wrongly_does_not_take_the_traffic(warm, context):
    due(warm, context)
    warm.serving.answer = lambda body: b"[2]"
    ended = fail_over(warm, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert warm.catalog.takeover(CHURN) is None


def test_a_failover_of_what_does_not_stand_yet_creates_it(warm, context):
    assert fail_over(warm, context).status == "SUCCEEDED"
    assert warm.catalog.takeover(CHURN).endpoint.endswith("-e1")


def test_an_endpoint_that_failed_is_not_used_and_is_made_anew(warm, context):
    due(warm, context)
    [name] = standing(warm)
    warm.serving.endpoints[name].statuses = [("Failed", "no capacity")]
    assert fail_over(warm, context).status == "SUCCEEDED"
    assert warm.catalog.takeover(CHURN).endpoint.endswith("-e1")


def test_a_failed_endpoint_is_replaced_while_nothing_runs(warm, context):
    due(warm, context)
    [name] = standing(warm)
    warm.serving.endpoints[name].statuses = [("Failed", "no capacity")]
    due(warm, context)
    assert warm.standing_endpoints.deleted == [name]
    due(warm, context)
    assert standing(warm) == [name]


def test_a_new_version_stands_before_the_old_one_goes(warm, context):
    due(warm, context)
    [old] = standing(warm)
    warm.clock.move(hours=1)
    protect(warm, context, promoted(warm))
    warm.serving.coming = [("Creating", ""), ("InService", "")]
    due(warm, context)
    assert old in standing(warm)
    assert len(standing(warm)) == 2
    new = next(name for name in standing(warm) if name != old)
    due(warm, context)
    assert len(standing(warm)) == 2, "the new one is not in service yet"
    warm.serving.status(new)
    due(warm, context)
    assert standing(warm) == [new]


def test_changing_the_tier_converges_in_both_directions(warm, context):
    due(warm, context)
    assert len(standing(warm)) == 1
    tier(warm, "cold-standby")
    due(warm, context)
    assert standing(warm) == []
    tier(warm)
    due(warm, context)
    assert len(standing(warm)) == 1


def test_nothing_is_touched_while_a_failover_runs(warm, context):
    now = warm.clock.now()
    claim = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="p", claimed_at=now)
    warm.catalog.claim(CHURN, claim, None)
    due(warm, context)
    assert standing(warm) == []
    warm.clock.move(hours=5)
    due(warm, context)
    assert standing(warm) == [], "an open claim ends by being concluded, not by its age"
    warm.catalog.conclude(CHURN, claim)
    due(warm, context)
    assert len(standing(warm)) == 1


def test_a_failover_in_the_middle_of_a_deletion_leaves_alone_what_goes(warm, context, monkeypatch):
    """The whole of it lies between two calls of SageMaker."""
    due(warm, context)
    [name] = standing(warm)
    delete = warm.standing_endpoints.delete

    def late(endpoint):
        assert fail_over(warm, context).status == "SUCCEEDED"
        return delete(endpoint)

    monkeypatch.setattr(warm.standing_endpoints, "delete", late)
    tier(warm, "cold-standby")
    assert due(warm, context)
    taken = warm.catalog.takeover(CHURN).endpoint
    assert (standing(warm), taken.endswith("-e1")) == ([taken], True)
    assert warm.standing_endpoints.deleted == [name]


def test_what_goes_while_a_failover_looks_for_it_is_not_taken(warm, context, monkeypatch):
    """The deletion ends within the very function that looks for what stands."""
    due(warm, context)
    [name] = standing(warm)
    leaving, going = warm.catalog.leaving, Leaving(endpoint=name, since=warm.clock.now())
    warm.catalog.leave(CHURN, going, None, None)

    def late(model, endpoint):
        monkeypatch.setattr(warm.catalog, "leaving", leaving)
        assert warm.standing_endpoints.delete(endpoint)
        warm.catalog.left(model, going, gone=True)
        return leaving(model, endpoint)

    monkeypatch.setattr(warm.catalog, "leaving", late)
    assert fail_over(warm, context).status == "SUCCEEDED"
    taken = warm.catalog.takeover(CHURN).endpoint
    assert (standing(warm), taken.endswith("-e1")) == ([taken], True)


def test_a_failover_just_before_a_deletion_keeps_what_it_took(warm, context, monkeypatch):
    due(warm, context)
    [name] = standing(warm)
    leaving = warm.catalog.leaving

    def late(model, endpoint):
        monkeypatch.setattr(warm.catalog, "leaving", leaving)
        assert fail_over(warm, context).status == "SUCCEEDED"
        return leaving(model, endpoint)

    monkeypatch.setattr(warm.catalog, "leaving", late)
    tier(warm, "cold-standby")
    assert due(warm, context)
    assert (standing(warm), warm.catalog.takeover(CHURN).endpoint) == ([name], name)


def test_what_a_dead_look_was_deleting_is_deleted_once_it_is_surely_dead(warm, context):
    due(warm, context)
    [name] = standing(warm)
    tier(warm, "cold-standby")
    warm.catalog.leave(CHURN, Leaving(endpoint=name, since=warm.clock.now()), None, None)
    due(warm, context)
    assert standing(warm) == [name], "the look that began may only be slow"
    warm.clock.move(seconds=DELETES.total_seconds())
    due(warm, context)
    assert (standing(warm), warm.catalog.leaving(CHURN, name)) == ([], None)


def test_what_a_dead_look_was_deleting_and_is_wanted_again_is_used_once_that_is_surely_dead(warm, context):
    due(warm, context)
    [name] = standing(warm)
    warm.catalog.leave(CHURN, Leaving(endpoint=name, since=warm.clock.now()), None, None)
    warm.clock.move(seconds=DELETES.total_seconds())
    due(warm, context)
    assert fail_over(warm, context).status == "SUCCEEDED"
    assert warm.catalog.takeover(CHURN).endpoint == name


def test_what_sagemaker_does_not_delete_now_is_deleted_by_the_next_look_and_not_taken_in_between(
    warm, context, monkeypatch
):
    due(warm, context)
    [name] = standing(warm)
    tier(warm, "cold-standby")
    with monkeypatch.context() as busy:
        busy.setattr(warm.standing_endpoints, "delete", lambda _: False)
        due(warm, context)
    assert warm.catalog.leaving(CHURN, name).going(warm.clock.now())
    due(warm, context)
    assert (standing(warm), warm.catalog.leaving(CHURN, name)) == ([], None)


def test_what_serves_is_neither_scaled_nor_deleted(warm, context):
    captured(warm, instances=4)
    due(warm, context)
    [name] = standing(warm)
    fail_over(warm, context)
    for name_of_tier in ("warm-standby", "cold-standby"):
        tier(warm, name_of_tier)
        due(warm, context, "Failover Completed", model=str(CHURN))
        assert warm.serving.endpoints[name].counts == {"main": 4}


def test_an_endpoint_that_is_not_mldrs_is_never_touched(warm, context):
    warm.serving.endpoints["churn-12345678-e7"] = Endpoint(counts={"a": 9})
    tier(warm, "cold-standby")
    due(warm, context)
    assert warm.serving.endpoints["churn-12345678-e7"].counts == {"a": 9}
    with pytest.raises(NotAllowed):
        warm.standing_endpoints.delete("churn-12345678-e7")


def test_creation_that_is_refused_is_told_and_tried_again(warm, context, monkeypatch):
    def refuse(plan):
        raise EndpointFailed(f"endpoint {plan.name} cannot be created: the limit is 0")

    with monkeypatch.context() as no_capacity:
        no_capacity.setattr(warm.serving, "restore", refuse)
        assert due(warm, context)
    assert warm.setbacks.of(CHURN).met.reason.endswith("the limit is 0")
    assert due(warm, context)
    assert len(standing(warm)) == 1


def test_one_model_that_cannot_stand_holds_up_no_other(warm, context, monkeypatch):
    tier(warm)
    create = warm.serving.restore

    def refuse_first(plan):
        if plan.name.startswith("churn"):
            raise EndpointFailed("no")
        create(plan)

    document = warm.registry.describe(promoted(warm)).document
    protect(warm, context, warm.registry.promote("plain", document))
    warm.policies.put(POLICY.replace(RULES, f"tier: warm-standby\n    {RULES}", 1) + "    tier: warm-standby\n")
    monkeypatch.setattr(warm.serving, "restore", refuse_first)
    assert due(warm, context)
    assert [name.partition("-")[0] for name in standing(warm)] == ["plain"]


def test_a_floor_of_zero_without_inference_components_is_one(warm, context):
    tier(warm, serving="floor: 0")
    captured(warm, instances=4)
    due(warm, context)
    [name] = standing(warm)
    assert warm.serving.endpoints[name].counts == {"main": 1}


@pytest.fixture
def pair(monkeypatch, context):
    """Both regions, and a version of churn that is sealed in the standby and served at home."""
    both = Pair(monkeypatch, context)
    both.protected()
    both.listen()
    return both


def there_and_back(pair):
    """The home fails and heals; the model goes to the standby and comes home again, which the standby learns."""
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    pair.heal(pair.home)
    pair.listen()
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    arn = pair.standby.catalog.record(CHURN, served).target_arn
    assert pair.protect(pair.home, arn).status == "SUCCEEDED"
    assert pair.request(pair.home, "failback", "back-1").status == "SUCCEEDED"
    pair.listen()


def test_after_a_failback_the_standby_is_at_its_floor_again_once_it_has_drained(pair, context):
    world = pair.standby
    tier(world)
    captured(world, instances=4)
    due(world, context)
    [name] = standing(world)
    there_and_back(pair)
    due(world, context)
    assert world.serving.endpoints[name].counts == {"main": 4}, "clients are still answered while it drains"
    world.clock.move(minutes=6)
    due(world, context)
    assert world.serving.endpoints[name].counts == {"main": 1}


def test_after_a_failback_a_cold_standby_has_nothing_left(pair, context):
    world = pair.standby
    there_and_back(pair)
    due(world, context)
    assert len(world.serving.endpoints) == 1, "it drains"
    world.clock.move(minutes=6)
    due(world, context)
    assert world.serving.endpoints == {}
    with pair.inside(pair.home):
        due(pair.home, context)
    assert pair.predict() == (200, ACTIVE)


def test_the_home_keeps_its_own_endpoint_whatever_the_tier(pair, context):
    tier(pair.home)
    with pair.inside(pair.home):
        assert due(pair.home, context, model=str(CHURN))
    assert list(pair.home.serving.endpoints) == ["churn"]


def test_an_active_active_model_stands_as_large_as_it_serves(warm, context):
    tier(warm, "active-active")
    captured(warm, instances=4)
    due(warm, context)
    [name] = standing(warm)
    assert warm.serving.endpoints[name].counts == {"main": 4}


def test_a_failover_that_begins_meanwhile_is_left_alone(warm, context, monkeypatch):
    """Between the look and the act: whatever the decision was, it is not carried out."""
    due(warm, context)
    tier(warm, "cold-standby")
    claim = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="p", claimed_at=warm.clock.now())
    held = warm.catalog.leadership

    def claimed_meanwhile(model):
        if warm.catalog.epoch(model) is None:
            warm.catalog.claim(model, claim, None)
        return held(model)

    monkeypatch.setattr(warm.catalog, "leadership", claimed_meanwhile)
    due(warm, context)
    assert len(standing(warm)) == 1


def scaling(world):
    """The captured endpoint scales by itself, from one instance on."""
    captured(world, instances=1)
    state = world.serving_captures.newest(CHURN)
    target = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{state.endpoint}/variant/main", "MinCapacity": 1,
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "MaxCapacity": 4,
    }  # fmt: skip
    recaptured(world, state, {**state.document, "ScalableTargets": [target]})


def recaptured(world, state, document):
    """The same endpoint is captured again a minute later."""
    world.clock.move(minutes=1)
    world.serving_captures.put(state.model_copy(update={"document": document, "captured_at": world.clock.now()}))
    world.clock.move(minutes=1)


def test_after_a_failback_autoscaling_is_taken_away_also_where_the_counts_are_at_the_floor(pair, context):
    world = pair.standby
    tier(world)
    scaling(world)
    due(world, context)
    [name] = standing(world)
    there_and_back(pair)
    due(world, context)
    assert world.serving.scaling[name].targets, "clients are still answered while it drains"
    world.clock.move(minutes=6)
    due(world, context)
    assert (standing(world), world.serving.endpoints[name].counts) == ([name], {"main": 1})
    assert name not in world.serving.scaling


def test_autoscaling_that_a_failover_registered_meanwhile_stays(warm, context, monkeypatch):
    scaling(warm)
    due(warm, context)
    [name] = standing(warm)
    newest = warm.serving_captures.newest

    def late(model):
        monkeypatch.setattr(warm.serving_captures, "newest", newest)
        assert fail_over(warm, context).status == "SUCCEEDED"
        return newest(model)

    monkeypatch.setattr(warm.serving_captures, "newest", late)
    due(warm, context)
    assert warm.serving.scaling[name].targets


@pytest.mark.parametrize("stands", [True, False])
def test_a_takeover_by_what_stood_says_which_shadow_variants_are_missing(warm, context, stands):
    captured(warm, instances=1)
    state = warm.serving_captures.newest(CHURN)
    [main] = state.document["Config"]["ProductionVariants"]
    config = {"ProductionVariants": [main], "ShadowProductionVariants": [{**main, "VariantName": "candidate"}]}
    recaptured(warm, state, {**state.document, "Config": config})
    if stands:
        due(warm, context)
    assert fail_over(warm, context).status == "SUCCEEDED"
    taken = warm.catalog.takeover(CHURN).endpoint
    assert ("ShadowProductionVariants" in warm.serving.endpoints[taken].plan.config) is not stands
    said = "; ".join(warm.evidence.records[-1].warnings)
    assert ("without the shadow variants of what served (candidate)" in said) is stands
